"""The facts of `knowledge.py`: 43 relations, each with one or two sentences and the pairs that fill them.

A sentence has two slots; the last one ends it and is the blank, so a relation may be asked both ways. Kept out:
what is disputed, what changes with time, and what has several answers or spellings (capitals that moved, accents).
Levels: 1 is everyday English, 2 is taught at school, 3 is rarer.
"""

from typing import NamedTuple


class Relation(NamedTuple):
    """Facts of one kind: `pairs` is 'a: b; c: d; ...', and slots {0} and {1} of `sentences` stand for a and b."""

    level: int
    sentences: tuple[str, ...]
    pairs: str


_CAPITAL = ('The capital of {0} is the city of {1}', 'The city of {1} is the capital of {0}')
_SYMBOL = ('The chemical symbol for {0} is {1}', 'The chemical element with the symbol {1} is {0}')
_ATOMIC = ('The atomic number of {0} is {1}', 'The chemical element with atomic number {1} is {0}')
_OPPOSITE = ('The opposite of {0} is {1}', 'The word that means the opposite of {0} is {1}')

RELATIONS = (
    Relation(
        2,
        _CAPITAL,
        """France: Paris; Germany: Berlin; Italy: Rome; Spain: Madrid; Portugal: Lisbon; Greece: Athens; Austria:
        Vienna; Poland: Warsaw; Hungary: Budapest; Sweden: Stockholm; Norway: Oslo; Denmark: Copenhagen;
        Finland: Helsinki; Ireland: Dublin; Belgium: Brussels; Russia: Moscow; Japan: Tokyo; China: Beijing;
        India: New Delhi; Thailand: Bangkok; Vietnam: Hanoi; South Korea: Seoul; Turkey: Ankara; Iran:
        Tehran; Iraq: Baghdad; Afghanistan: Kabul; Canada: Ottawa; Australia: Canberra; New Zealand:
        Wellington; Cuba: Havana; Peru: Lima; Argentina: Buenos Aires; Kenya: Nairobi; the Philippines:
        Manila; Pakistan: Islamabad; Syria: Damascus""",
    ),
    Relation(
        3,
        _CAPITAL,
        """Nepal: Kathmandu; Bangladesh: Dhaka; Cambodia: Phnom Penh; Jordan: Amman; Lebanon: Beirut; Saudi Arabia:
        Riyadh; Oman: Muscat; Armenia: Yerevan; Azerbaijan: Baku; Uzbekistan: Tashkent; Bulgaria: Sofia;
        Romania: Bucharest; Serbia: Belgrade; Croatia: Zagreb; Slovenia: Ljubljana; Slovakia: Bratislava;
        Estonia: Tallinn; Latvia: Riga; Lithuania: Vilnius; Belarus: Minsk; Albania: Tirana; Iceland:
        Reykjavik; Cyprus: Nicosia; Malta: Valletta; Morocco: Rabat; Algeria: Algiers; Tunisia: Tunis;
        Libya: Tripoli; Sudan: Khartoum; Ethiopia: Addis Ababa; Uganda: Kampala; Rwanda: Kigali; Zambia:
        Lusaka; Zimbabwe: Harare; Mozambique: Maputo; Angola: Luanda; Namibia: Windhoek; Botswana: Gaborone;
        Ghana: Accra; Nigeria: Abuja; Senegal: Dakar; Mali: Bamako; Liberia: Monrovia; Madagascar:
        Antananarivo; Jamaica: Kingston; Haiti: Port-au-Prince; Honduras: Tegucigalpa; Nicaragua: Managua;
        Venezuela: Caracas; Ecuador: Quito; Uruguay: Montevideo; Suriname: Paramaribo; Fiji: Suva; Bhutan:
        Thimphu; Qatar: Doha""",
    ),
    Relation(
        3,
        (
            'The capital of the U.S. state of {0} is {1}',
            'The city of {1} is the capital of the U.S. state of {0}',
        ),
        """Alabama: Montgomery; Alaska: Juneau; Arizona: Phoenix; Arkansas: Little Rock; California: Sacramento;
        Colorado: Denver; Connecticut: Hartford; Delaware: Dover; Florida: Tallahassee; Georgia: Atlanta;
        Hawaii: Honolulu; Idaho: Boise; Illinois: Springfield; Iowa: Des Moines; Kansas: Topeka; Kentucky:
        Frankfort; Louisiana: Baton Rouge; Maine: Augusta; Maryland: Annapolis; Massachusetts: Boston;
        Michigan: Lansing; Mississippi: Jackson; Montana: Helena; Nebraska: Lincoln; New Hampshire: Concord;
        New Jersey: Trenton; New Mexico: Santa Fe; New York: Albany; North Carolina: Raleigh; North Dakota:
        Bismarck; Ohio: Columbus; Oregon: Salem; Pennsylvania: Harrisburg; Rhode Island: Providence; South
        Dakota: Pierre; Tennessee: Nashville; Texas: Austin; Vermont: Montpelier; Virginia: Richmond;
        Washington: Olympia; Wisconsin: Madison; Wyoming: Cheyenne""",
    ),
    Relation(
        2,
        ('{0} is a country on the continent of {1}',),
        """France: Europe; Poland: Europe; Italy: Europe; Norway: Europe; Belgium: Europe; Ireland: Europe; Hungary:
        Europe; Portugal: Europe; China: Asia; India: Asia; Japan: Asia; Thailand: Asia; Vietnam: Asia;
        Nepal: Asia; Mongolia: Asia; Laos: Asia; Kenya: Africa; Nigeria: Africa; Ghana: Africa; Uganda:
        Africa; Zambia: Africa; Angola: Africa; Mali: Africa; Senegal: Africa; Brazil: South America; Peru:
        South America; Chile: South America; Bolivia: South America; Ecuador: South America; Paraguay: South
        America; Canada: North America; Mexico: North America""",
    ),
    Relation(
        3,
        ('The unit of {0} currency is called the {1}',),
        """Japanese: yen; Indian: rupee; Chinese: yuan; Mexican: peso; Brazilian: real; British: pound; Swiss: franc;
        Swedish: krona; Danish: krone; Hungarian: forint; Thai: baht; Vietnamese: dong; Turkish: lira; South
        African: rand; Nigerian: naira; Kenyan: shilling; Israeli: shekel; Saudi: riyal; Kuwaiti: dinar;
        Moroccan: dirham; Malaysian: ringgit; Bangladeshi: taka; Ethiopian: birr; Ghanaian: cedi; Ukrainian:
        hryvnia; Romanian: leu; Albanian: lek; Georgian: lari; Armenian: dram; Guatemalan: quetzal;
        Honduran: lempira; South Korean: won; Indonesian: rupiah; Czech: koruna; Zambian: kwacha; Angolan:
        kwanza; Cambodian: riel; Haitian: gourde; Canadian: dollar; Peruvian: sol""",
    ),
    Relation(
        2,
        ('The official language of {0} is {1}', 'In {0}, the official language is {1}'),
        """France: French; Germany: German; Portugal: Portuguese; Brazil: Portuguese; Poland: Polish; Greece: Greek;
        Hungary: Hungarian; Romania: Romanian; Bulgaria: Bulgarian; Denmark: Danish; Austria: German;
        Turkey: Turkish; Thailand: Thai; Vietnam: Vietnamese; Cuba: Spanish; Honduras: Spanish; Saudi
        Arabia: Arabic; Egypt: Arabic; Libya: Arabic; Jordan: Arabic; Angola: Portuguese; Mozambique:
        Portuguese; Senegal: French; Gabon: French; Ghana: English; Nigeria: English; Jamaica: English;
        Albania: Albanian; Latvia: Latvian; Lithuania: Lithuanian; Estonia: Estonian; Ukraine: Ukrainian;
        Liechtenstein: German; North Korea: Korean""",
    ),
    Relation(
        2,
        ('People who come from {0} are called {1}',),
        """Germany: Germans; Italy: Italians; Canada: Canadians; Australia: Australians; Russia: Russians; Mexico:
        Mexicans; Brazil: Brazilians; Greece: Greeks; Sweden: Swedes; Norway: Norwegians; Denmark: Danes;
        Poland: Poles; Turkey: Turks; Finland: Finns; India: Indians; Egypt: Egyptians; Peru: Peruvians;
        Hungary: Hungarians; Austria: Austrians; Belgium: Belgians; Cuba: Cubans; Nigeria: Nigerians; Korea:
        Koreans; Texas: Texans; California: Californians; New York City: New Yorkers; London: Londoners""",
    ),
    Relation(
        2,
        ('The city of {0} lies in the country of {1}',),
        """Milan: Italy; Munich: Germany; Hamburg: Germany; Barcelona: Spain; Seville: Spain; Lyon: France; Marseille:
        France; Geneva: Switzerland; Zurich: Switzerland; Salzburg: Austria; Krakow: Poland; Porto:
        Portugal; Antwerp: Belgium; Rotterdam: the Netherlands; Bergen: Norway; Istanbul: Turkey; Mumbai:
        India; Kolkata: India; Shanghai: China; Osaka: Japan; Kyoto: Japan; Busan: South Korea; Karachi:
        Pakistan; Lahore: Pakistan; Casablanca: Morocco; Johannesburg: South Africa; Lagos: Nigeria;
        Mombasa: Kenya; Rio de Janeiro: Brazil; Toronto: Canada; Montreal: Canada; Auckland: New Zealand;
        Melbourne: Australia; Brisbane: Australia; Gothenburg: Sweden; Naples: Italy; Nagasaki: Japan;
        Isfahan: Iran; Cusco: Peru; Aleppo: Syria""",
    ),
    Relation(
        2,
        ('{0} in the city of {1}',),
        """The Eiffel Tower stands: Paris; The Colosseum stands: Rome; Big Ben stands: London; The Kremlin stands:
        Moscow; The Empire State Building stands: New York; The Brandenburg Gate stands: Berlin; The
        Parthenon stands: Athens; The Forbidden City stands: Beijing; The Blue Mosque stands: Istanbul; The
        Louvre Museum is: Paris; The Prado Museum is: Madrid; The Uffizi Gallery is: Florence; The Sagrada
        Familia stands: Barcelona; The Golden Gate Bridge is: San Francisco; The Space Needle stands:
        Seattle; The Rialto Bridge is: Venice; The White House stands: Washington; The Alamo stands: San
        Antonio; The Burj Khalifa stands: Dubai; The Liberty Bell is: Philadelphia; The Opera House shaped
        like sails stands: Sydney; The Charles Bridge is: Prague""",
    ),
    Relation(
        3,
        ('The river that flows through the city of {0} is the {1}',),
        """London: Thames; Paris: Seine; Vienna: Danube; Rome: Tiber; Cairo: Nile; Baghdad: Tigris; Cologne: Rhine;
        Florence: Arno; New Orleans: Mississippi; Prague: Vltava; Dublin: Liffey; Warsaw: Vistula; Hamburg:
        Elbe; Budapest: Danube; Seoul: Han; Limerick: Shannon""",
    ),
    Relation(
        2,
        _SYMBOL,
        """hydrogen: H; oxygen: O; carbon: C; nitrogen: N; helium: He; iron: Fe; gold: Au; silver: Ag; copper: Cu;
        sodium: Na; potassium: K; calcium: Ca; chlorine: Cl; lead: Pb; zinc: Zn; mercury: Hg; tin: Sn; neon:
        Ne""",
    ),
    Relation(
        3,
        _SYMBOL,
        """iodine: I; magnesium: Mg; silicon: Si; phosphorus: P; lithium: Li; uranium: U; nickel: Ni; platinum: Pt;
        argon: Ar; fluorine: F; boron: B; bromine: Br; titanium: Ti; tungsten: W; arsenic: As; antimony: Sb;
        manganese: Mn; chromium: Cr; cobalt: Co; krypton: Kr; xenon: Xe; radium: Ra; plutonium: Pu; bismuth:
        Bi""",
    ),
    Relation(
        3,
        _ATOMIC,
        """hydrogen: 1; helium: 2; lithium: 3; beryllium: 4; boron: 5; carbon: 6; nitrogen: 7; oxygen: 8; fluorine: 9;
        neon: 10; sodium: 11; magnesium: 12; silicon: 14; phosphorus: 15; chlorine: 17; argon: 18;
        potassium: 19; calcium: 20; iron: 26; copper: 29; zinc: 30; silver: 47; tin: 50; iodine: 53;
        platinum: 78; gold: 79; mercury: 80; lead: 82; radon: 86; radium: 88; uranium: 92; plutonium: 94""",
    ),
    Relation(
        1,
        ('Number of {0}: {1}',),
        """days in a week: 7; hours in a day: 24; minutes in an hour: 60; seconds in a minute: 60; months in a year:
        12; days in a leap year: 366; years in a decade: 10; years in a century: 100; seasons in a year: 4;
        days in January: 31; days in April: 30; days in May: 31; days in June: 30; days in August: 31; days
        in September: 30; days in November: 30; days in December: 31; cents in a dollar: 100; cents in a
        dime: 10; eggs in a dozen: 12; legs on a spider: 8; legs on an insect: 6; legs on a horse: 4; legs
        on a bird: 2; wheels on a bicycle: 2; wheels on a tricycle: 3; wheels on a unicycle: 1; sides of a
        triangle: 3; sides of a square: 4; letters in the English alphabet: 26; U.S. states: 50; singers in
        a duet: 2; babies in a set of triplets: 3; babies in a set of quadruplets: 4""",
    ),
    Relation(
        2,
        ('Number of {0}: {1}',),
        """inches in a foot: 12; feet in a yard: 3; ounces in a pound: 16; pints in a quart: 2; quarts in a gallon: 4;
        centimeters in a meter: 100; millimeters in a centimeter: 10; pence in a British pound: 100; nickels
        in a dollar: 20; quarters in a dollar: 4; degrees in a full circle: 360; degrees in a right angle:
        90; sides of a pentagon: 5; sides of a hexagon: 6; sides of an octagon: 8; sides of a decagon: 10;
        faces of a cube: 6; edges of a cube: 12; corners of a cube: 8; keys on a standard piano: 88; strings
        on a violin: 4; squares on a chessboard: 64; cards in a standard deck without jokers: 52; arms of an
        octopus: 8; stripes on the flag of the United States: 13; planets in the Solar System: 8; bits in a
        byte: 8; players on the field for one soccer team: 11; players on the court for one basketball team:
        5; rings in the Olympic symbol: 5; musicians in a string quartet: 4; holes on a full golf course:
        18; wings on a bee: 4; U.S. senators: 100; pawns that each chess player starts with: 8""",
    ),
    Relation(
        3,
        ('Number of {0}: {1}',),
        """bones in the adult human body: 206; chambers in the human heart: 4; chambers in the heart of a fish: 2;
        chromosomes in a normal human body cell: 46; sides of a heptagon: 7; sides of a nonagon: 9; sides of
        a dodecagon: 12; faces of an icosahedron: 20; faces of a dodecahedron: 12; edges of a tetrahedron:
        6; lines in a sonnet: 14; lines in a limerick: 5; syllables in a traditional haiku: 17; events in a
        decathlon: 10; events in a heptathlon: 7; symphonies completed by Beethoven: 9; pips on a standard
        die: 21; pairs of human ribs: 12; cervical vertebrae in a giraffe: 7; degrees between the freezing
        and boiling of water in Fahrenheit: 180; years in the term of a U.S. senator: 6; players on the
        field for one rugby union team: 15; justices on the U.S. Supreme Court since 1869: 9; legs on a
        lobster, claws included: 10; sides of a hendecagon: 11; years of marriage at a silver anniversary:
        25; years of marriage at a golden anniversary: 50; squares on a shogi board: 81; members in a nonet:
        9; electrons in a neutral oxygen atom: 8""",
    ),
    Relation(
        2,
        ('The Roman numeral {0} stands for the number {1}', 'Written as a Roman numeral, the number {1} is {0}'),
        """II: 2; III: 3; IV: 4; V: 5; VI: 6; VII: 7; IX: 9; X: 10; XI: 11; XII: 12; XV: 15; XIX: 19; XX: 20; XXX: 30;
        XL: 40; L: 50; LX: 60; XC: 90; C: 100; CC: 200; CD: 400; D: 500; CM: 900""",
    ),
    Relation(
        2,
        ('{0} was written by {1}',),
        """The novel Pride and Prejudice: Jane Austen; The novel Moby-Dick: Herman Melville; The play Hamlet: William
        Shakespeare; The play Romeo and Juliet: William Shakespeare; The novel Great Expectations: Charles
        Dickens; The novel Oliver Twist: Charles Dickens; The novel War and Peace: Leo Tolstoy; The novel
        Anna Karenina: Leo Tolstoy; The novel Animal Farm: George Orwell; The novel Frankenstein: Mary
        Shelley; The novel Dracula: Bram Stoker; The novel Brave New World: Aldous Huxley; The novel The
        Great Gatsby: F. Scott Fitzgerald; The novel The Old Man and the Sea: Ernest Hemingway; The novel
        The Grapes of Wrath: John Steinbeck; The novel To Kill a Mockingbird: Harper Lee; The novel Lord of
        the Flies: William Golding; The novel Treasure Island: Robert Louis Stevenson; The novel The Jungle:
        Upton Sinclair; The novel Robinson Crusoe: Daniel Defoe; The book Gulliver's Travels: Jonathan
        Swift; The novel Don Quixote: Miguel de Cervantes; The novel Les Miserables: Victor Hugo; The novel
        Madame Bovary: Gustave Flaubert; The novel The Stranger: Albert Camus; The poem The Raven: Edgar
        Allan Poe; The poem Paradise Lost: John Milton; The play Waiting for Godot: Samuel Beckett; The play
        Pygmalion: George Bernard Shaw; The play Death of a Salesman: Arthur Miller; The play A Doll's
        House: Henrik Ibsen; The book Walden: Henry David Thoreau; The novel Ulysses: James Joyce; The novel
        Mrs Dalloway: Virginia Woolf; The novel The Trial: Franz Kafka; The novel Middlemarch: George Eliot;
        The novel The Scarlet Letter: Nathaniel Hawthorne; The novel Beloved: Toni Morrison; The novel Dune:
        Frank Herbert; The novel Heart of Darkness: Joseph Conrad; The novel Fahrenheit 451: Ray Bradbury;
        The book The Wealth of Nations: Adam Smith""",
    ),
    Relation(
        2,
        ('{0} {1}',),
        """Penicillin was discovered by Alexander: Fleming; The law of universal gravitation was published by Isaac:
        Newton; The theory of general relativity was developed by Albert: Einstein; The first person to walk
        on the Moon was Neil: Armstrong; The first person in space was Yuri: Gagarin; The first woman in
        space was Valentina: Tereshkova; The first president of the United States was George: Washington;
        Dynamite was invented by Alfred: Nobel; The raised-dot alphabet for the blind was invented by Louis:
        Braille; The World Wide Web was invented by Tim: Berners-Lee; The injected polio vaccine was
        developed by Jonas: Salk; Psychoanalysis was founded by Sigmund: Freud; The laws of planetary motion
        were found by Johannes: Kepler; The laws of heredity were found in pea plants by Gregor: Mendel;
        Radioactivity was discovered by Henri: Becquerel; The neutron was discovered by James: Chadwick; The
        uncertainty principle was stated by Werner: Heisenberg; The planet Uranus was discovered by William:
        Herschel; Pluto was discovered by Clyde: Tombaugh; The hypothesis of continental drift was put
        forward by Alfred: Wegener; The Linux kernel was first written by Linus: Torvalds; Amazon was
        founded by Jeff: Bezos; Facebook was founded at Harvard by Mark: Zuckerberg; The hero Sherlock
        Holmes was created by Arthur Conan: Doyle; The painting Mona Lisa is by Leonardo: da Vinci; The
        painting The Starry Night is by Vincent: van Gogh; The painting Guernica is by Pablo: Picasso; The
        painting The Scream is by Edvard: Munch; The painting Girl with a Pearl Earring is by Johannes:
        Vermeer; The painting Water Lilies is by Claude: Monet; The painting The Birth of Venus is by
        Sandro: Botticelli; The painting American Gothic is by Grant: Wood; The painting Nighthawks is by
        Edward: Hopper; The sculpture The Thinker is by Auguste: Rodin; The opera The Magic Flute was
        composed by Wolfgang Amadeus: Mozart; The opera Carmen was composed by Georges: Bizet; The Moonlight
        Sonata was composed by Ludwig van: Beethoven; The opera La Traviata was composed by Giuseppe: Verdi;
        The Four Seasons were composed by Antonio: Vivaldi; The opera Tosca was composed by Giacomo:
        Puccini; The Brandenburg Concertos were composed by Johann Sebastian: Bach; The Ring cycle was
        composed by Richard: Wagner; The ballet The Rite of Spring was composed by Igor: Stravinsky;
        Rhapsody in Blue was composed by George: Gershwin; The orchestral suite The Planets was composed by
        Gustav: Holst; The Maple Leaf Rag was composed by Scott: Joplin""",
    ),
    Relation(
        2,
        ('The {0} president of the United States was {1}',),
        """second: John Adams; third: Thomas Jefferson; fourth: James Madison; fifth: James Monroe; seventh: Andrew
        Jackson; 16th: Abraham Lincoln; 26th: Theodore Roosevelt; 28th: Woodrow Wilson; 30th: Calvin
        Coolidge; 31st: Herbert Hoover; 37th: Richard Nixon; 38th: Gerald Ford; 39th: Jimmy Carter; 40th:
        Ronald Reagan; 42nd: Bill Clinton; 44th: Barack Obama""",
    ),
    Relation(
        1,
        ('The color of {0} is {1}',),
        """fresh snow: white; healthy grass: green; a ripe banana: yellow; coal: black; human blood: red; a ripe lemon:
        yellow; an emerald: green; a ruby: red; a clear daytime sky: blue; the fur of a polar bear: white;
        cow's milk: white; the feathers of a crow: black; a flamingo: pink; a ripe pumpkin: orange; a
        typical carrot: orange; a typical stop sign: red; soot: black; a school bus in the United States:
        yellow; sulfur: yellow; chlorophyll: green; paint mixed from blue and yellow: green; paint mixed
        from red and white: pink; paint mixed from red and yellow: orange; turmeric: yellow""",
    ),
    Relation(
        1,
        ('A young {0} is called a {1}',),
        """dog: puppy; cat: kitten; cow: calf; horse: foal; sheep: lamb; goat: kid; pig: piglet; duck: duckling; goose:
        gosling; swan: cygnet; deer: fawn; lion: cub; bear: cub; kangaroo: joey; frog: tadpole; chicken:
        chick; seal: pup; elephant: calf; whale: calf; hare: leveret; spider: spiderling; turkey: poult;
        butterfly: caterpillar""",
    ),
    Relation(
        2,
        ('A {0} is called a {1}',),
        """female horse: mare; male horse: stallion; female pig: sow; male pig: boar; male chicken: rooster; male
        goose: gander; female sheep: ewe; male sheep: ram; male duck: drake; female lion: lioness; female
        fox: vixen; male bee: drone; female tiger: tigress; group of lions: pride; group of wolves: pack;
        group of bees: swarm; group of crows: murder; group of sheep: flock; group of whales: pod; group of
        geese on the ground: gaggle""",
    ),
    Relation(
        1,
        ('In English, the sound that a {0} makes is called a {1}',),
        """dog: bark; cat: meow; cow: moo; duck: quack; lion: roar; snake: hiss; owl: hoot; horse: neigh; wolf: howl;
        frog: croak; mouse: squeak""",
    ),
    Relation(
        1,
        _OPPOSITE,
        """hot: cold; up: down; left: right; day: night; early: late; fast: slow; rich: poor; north: south; east: west;
        happy: sad; empty: full; wet: dry; love: hate; war: peace; true: false; strong: weak; first: last;
        high: low; thick: thin; black: white; push: pull; buy: sell; life: death; male: female; odd: even;
        positive: negative; above: below; before: after; inside: outside; near: far; clean: dirty; cheap:
        expensive; loud: quiet; dead: alive; asleep: awake; top: bottom; yes: no; always: never; heaven:
        hell; good: bad; more: less; man: woman; summer: winter; forget: remember; question: answer""",
    ),
    Relation(
        2,
        _OPPOSITE,
        """internal: external; maximum: minimum; ancient: modern; guilty: innocent; victory: defeat; ascend: descend;
        import: export; success: failure; optimist: pessimist; horizontal: vertical; shallow: deep; wide:
        narrow; absent: present; accept: reject; increase: decrease; multiply: divide; majority: minority;
        plural: singular; public: private; synonym: antonym; entrance: exit; permanent: temporary;
        artificial: natural; rural: urban; introvert: extrovert; input: output; upstairs: downstairs;
        northern: southern; friend: enemy; smooth: rough; lend: borrow; tight: loose; eastern: western;
        superior: inferior; assets: liabilities""",
    ),
    Relation(
        1,
        ('The plural of the word {0} is {1}',),
        """child: children; mouse: mice; foot: feet; tooth: teeth; goose: geese; man: men; woman: women; leaf: leaves;
        knife: knives; wolf: wolves; wife: wives; city: cities; baby: babies; box: boxes; dog: dogs; bus:
        buses; church: churches; half: halves; shelf: shelves; thief: thieves; loaf: loaves; calf: calves;
        potato: potatoes; tomato: tomatoes; lady: ladies; story: stories; day: days; key: keys; wish:
        wishes; book: books""",
    ),
    Relation(
        3,
        ('The plural of the word {0} is {1}',),
        """ox: oxen; louse: lice; crisis: crises; analysis: analyses; thesis: theses; hypothesis: hypotheses; oasis:
        oases; phenomenon: phenomena; criterion: criteria; bacterium: bacteria; stimulus: stimuli; nucleus:
        nuclei; larva: larvae; alumnus: alumni; passer-by: passers-by; axis: axes""",
    ),
    Relation(
        1,
        ('The past tense of the verb {0} is {1}', 'Today they {0}, and yesterday they also {1}'),
        """go: went; eat: ate; see: saw; come: came; run: ran; give: gave; take: took; write: wrote; speak: spoke;
        drink: drank; sing: sang; swim: swam; begin: began; buy: bought; think: thought; bring: brought;
        teach: taught; sleep: slept; sell: sold; tell: told; know: knew; fly: flew; grow: grew; throw:
        threw; draw: drew; drive: drove; ride: rode; win: won; sit: sat; stand: stood; meet: met; lose:
        lost; pay: paid; fight: fought; feel: felt; hear: heard; choose: chose; break: broke; steal: stole;
        fall: fell; dig: dug; build: built; forget: forgot; freeze: froze; shake: shook; climb: climbed;
        walk: walked; work: worked; play: played; try: tried""",
    ),
    Relation(
        2,
        (
            'The past participle of the verb {0} is {1}',
            'In the past they used to {0}, but for years now they have not {1}',
        ),
        """eat: eaten; see: seen; give: given; take: taken; write: written; speak: spoken; drink: drunk; sing: sung;
        swim: swum; fly: flown; drive: driven; ride: ridden; choose: chosen; steal: stolen; fall: fallen;
        teach: taught; fight: fought""",
    ),
    Relation(
        1,
        ('The month that comes right after {0} is {1}', 'The month that comes right before {1} is {0}'),
        """January: February; February: March; March: April; April: May; May: June; June: July; July: August; August:
        September; September: October; October: November; November: December; December: January""",
    ),
    Relation(
        1,
        ('The day that comes right after {0} is {1}', 'The day that comes right before {1} is {0}'),
        """Monday: Tuesday; Tuesday: Wednesday; Wednesday: Thursday; Thursday: Friday; Friday: Saturday; Saturday:
        Sunday; Sunday: Monday""",
    ),
    Relation(
        1,
        (
            'In the English alphabet, the letter right after {0} is {1}',
            'In the English alphabet, the letter right before {1} is {0}',
        ),
        """A: B; B: C; C: D; D: E; E: F; F: G; G: H; H: I; J: K; K: L; L: M; M: N; N: O; P: Q; Q: R; R: S; S: T; U: V;
        V: W; W: X; X: Y; Y: Z""",
    ),
    Relation(
        2,
        ('{0} is {1}',),
        """The first planet from the Sun: Mercury; The second planet from the Sun: Venus; The fourth planet from the
        Sun: Mars; The fifth planet from the Sun: Jupiter; The sixth planet from the Sun: Saturn; The
        seventh planet from the Sun: Uranus; The planet farthest from the Sun: Neptune; The largest planet
        in the Solar System: Jupiter; The planet that the moon Titan orbits: Saturn; The planet that the
        moon Ganymede orbits: Jupiter; The planet that the moon Phobos orbits: Mars; The planet that the
        moon Triton orbits: Neptune; The planet that the moon Miranda orbits: Uranus; The planet often
        called the Red Planet: Mars""",
    ),
    Relation(
        3,
        ('The SI unit of {0} is the {1}',),
        """force: newton; energy: joule; power: watt; electric current: ampere; electrical resistance: ohm; frequency:
        hertz; pressure: pascal; temperature: kelvin; capacitance: farad; electric charge: coulomb; mass:
        kilogram; time: second; luminous intensity: candela; amount of substance: mole; radioactivity:
        becquerel; magnetic flux density: tesla; inductance: henry; magnetic flux: weber; illuminance: lux""",
    ),
    Relation(
        2,
        ('The scientific study of {0} is called {1}',),
        """plants: botany; animals: zoology; rocks and the structure of the Earth: geology; weather: meteorology;
        insects: entomology; birds: ornithology; fish: ichthyology; the human mind: psychology; fungi:
        mycology; earthquakes: seismology; the heart: cardiology; the skin: dermatology; the nervous system:
        neurology; reptiles and amphibians: herpetology; volcanoes: volcanology; poisons: toxicology;
        heredity: genetics""",
    ),
    Relation(
        1,
        ('A person who {0} is called a {1}',),
        """bakes bread for a living: baker; flies a plane: pilot; looks after people's teeth: dentist; repairs water
        pipes: plumber; grows crops on the land: farmer; puts out fires for a living: firefighter; sells
        flowers: florist; plays the piano: pianist; plays the violin: violinist; plays the guitar:
        guitarist; plays the drums: drummer; does magic tricks: magician; works in a mine: miner; treats
        sick animals: veterinarian; does not eat meat: vegetarian; makes pots from clay: potter; sells and
        cuts up meat: butcher; lends out the books of a library: librarian; writes poems: poet; makes wooden
        barrels: cooper; plays the cello: cellist; makes statues: sculptor""",
    ),
    Relation(
        3,
        ('The Roman name of the Greek {0} was {1}',),
        """god Zeus: Jupiter; god Ares: Mars; god Poseidon: Neptune; goddess Aphrodite: Venus; god Hermes: Mercury;
        goddess Artemis: Diana; goddess Athena: Minerva; goddess Hera: Juno; god Hephaestus: Vulcan; god
        Dionysus: Bacchus; god Eros: Cupid; god Cronus: Saturn; goddess Demeter: Ceres; hero Odysseus:
        Ulysses; hero Heracles: Hercules""",
    ),
    Relation(
        2,
        ('The Spanish word for {0} is {1}',),
        """house: casa; dog: perro; cat: gato; water: agua; milk: leche; bread: pan; red: rojo; sun: sol; moon: luna;
        night: noche; book: libro; friend: amigo; hand: mano; head: cabeza; white: blanco; green: verde;
        love: amor; apple: manzana; two: dos; three: tres; man: hombre; school: escuela; city: ciudad;
        cheese: queso; king: rey""",
    ),
    Relation(
        3,
        ('The {0} is {1}',),
        """French word for water: eau; French word for dog: chien; French word for house: maison; French word for
        bread: pain; French word for wine: vin; French word for book: livre; French word for red: rouge;
        French word for black: noir; French word for sun: soleil; French word for moon: lune; French word
        for night: nuit; French word for milk: lait; French word for cheese: fromage; French word for apple:
        pomme; French word for king: roi; French word for three: trois; French word for horse: cheval;
        German word for water: Wasser; German word for house: Haus; German word for dog: Hund; German word
        for bread: Brot; German word for book: Buch; German word for night: Nacht; German word for milk:
        Milch; German word for tree: Baum; German word for apple: Apfel; German word for moon: Mond; German
        word for sun: Sonne; German word for red: rot; German word for three: drei; Latin word for water:
        aqua; Latin word for king: rex; Latin word for peace: pax; Latin word for moon: luna; Latin word for
        dog: canis""",
    ),
    Relation(
        2,
        ('{0} in the year {1}',),
        """The First World War began: 1914; The First World War ended: 1918; The Second World War began in Europe:
        1939; The Second World War ended: 1945; Humans first walked on the Moon: 1969; The United States
        Declaration of Independence was signed: 1776; The French Revolution began: 1789; The Berlin Wall
        fell: 1989; Columbus first reached the Americas: 1492; The Battle of Hastings was fought: 1066;
        Magna Carta was sealed by King John: 1215; The Titanic sank: 1912; The Soviet Union was dissolved:
        1991; The Battle of Waterloo was fought: 1815; The Great Fire of London broke out: 1666; The
        American Civil War began: 1861; The American Civil War ended: 1865; Japan attacked Pearl Harbor:
        1941; The Allies landed in Normandy on D-Day: 1944; President John F. Kennedy was shot: 1963;
        Sputnik 1 was launched: 1957; Yuri Gagarin flew into space: 1961; The October Revolution took place
        in Russia: 1917; The twin towers of the World Trade Center were destroyed: 2001; India became
        independent: 1947; The Wright brothers made their first powered flight: 1903""",
    ),
    Relation(
        3,
        ('{0} in the year {1}',),
        """Constantinople fell to the Ottomans: 1453; Martin Luther published his Ninety-five Theses: 1517; The Spanish
        Armada sailed against England: 1588; The Chernobyl disaster happened: 1986; Nelson Mandela became
        president of South Africa: 1994; Britain handed Hong Kong back to China: 1997; The United States
        made the Louisiana Purchase: 1803; The first modern Olympic Games were held: 1896; The great San
        Francisco earthquake struck: 1906; The Treaty of Versailles was signed: 1919; The Suez Canal was
        opened: 1869; The Panama Canal was opened: 1914; The Eiffel Tower was completed: 1889; Darwin
        published On the Origin of Species: 1859; Newton first published his Principia: 1687; The Boston Tea
        Party took place: 1773; Edmund Hillary and Tenzing Norgay climbed Mount Everest: 1953; The People's
        Republic of China was founded: 1949; The Cuban Missile Crisis took place: 1962; The Battle of
        Gettysburg was fought: 1863; The United States bought Alaska from Russia: 1867; Richard Nixon
        resigned as president: 1974; The Battle of Trafalgar was fought: 1805; William Shakespeare died:
        1616; Mozart was born: 1756; Albert Einstein was born: 1879; Queen Victoria died: 1901; Vesuvius
        buried Pompeii: 79; The Lusitania was sunk: 1915; The first iPhone was sold: 2007""",
    ),
    Relation(
        2,
        ('{0} {1}',),
        """The largest ocean on Earth is the: Pacific; The highest mountain above sea level in the world is Mount:
        Everest; The highest mountain in Africa is Mount: Kilimanjaro; The highest mountain in Japan is
        Mount: Fuji; The largest country in the world by area is: Russia; The largest U.S. state by area is:
        Alaska; The smallest U.S. state by area is: Rhode Island; The largest hot desert in the world is
        the: Sahara; The largest island in the world is: Greenland; The fastest animal on land is the:
        cheetah; The largest animal that has ever lived is the blue: whale; The tallest animal on land is
        the: giraffe; The largest living bird is the: ostrich; The gas that green plants take in for
        photosynthesis is carbon: dioxide; The force that pulls falling things towards the ground is called:
        gravity; The hardest natural mineral is: diamond; The most common gas in the air is: nitrogen; The
        only metal that is liquid at room temperature is: mercury; The organ that pumps blood through the
        body is the: heart; The largest organ of the human body is the: skin; The organs with which people
        breathe are the: lungs; The organ with which people think is the: brain; The fear of spiders is
        called: arachnophobia; The fear of small closed rooms is called: claustrophobia; The longest bone in
        the human body is the: femur; The part of the cell that holds its chromosomes is the: nucleus; The
        galaxy in which we live is called the Milky: Way; The star at the center of the Solar System is the:
        Sun; Frozen water is called: ice; Water freezes at this temperature in degrees Celsius:: 0; Water
        boils at sea level at this temperature in degrees Celsius:: 100; The chemical formula of water is:
        H2O; The process by which green plants make sugar from light is called: photosynthesis; The sea
        between Europe and Africa is called the: Mediterranean; The mountains along the border of France and
        Spain are called the: Pyrenees; The long mountain range in the west of South America is called the:
        Andes; The canal from the Mediterranean to the Red Sea is called the: Suez Canal; The strait between
        Spain and Morocco is called the Strait of: Gibraltar; The language spoken by the ancient Romans was:
        Latin; The ship on which the Pilgrims sailed in 1620 was the: Mayflower; The wooden horse of legend
        stood before the city of: Troy; The brother whom Romulus killed was: Remus; The vitamin whose lack
        causes scurvy is vitamin: C; The pigment that makes leaves green is called: chlorophyll; The metal
        in the alloy bronze besides tin is: copper; The metal in the alloy brass besides copper is: zinc;
        The planet we live on is called: Earth""",
    ),
)
