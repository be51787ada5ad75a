"""The situations of `causal.py`: everyday causes and effects.

Each has five lines: a cause; and, each with its answer after ' > ', an effect of it; what would have been otherwise;
why something came about; and what the effect led to. {M} and {F} stand for a man's and a woman's name.
"""

SITUATIONS = """
it had rained all night
the streets in the morning were > wet
if it had not rained all night, the streets in the morning would have been > dry
the streets were wet in the morning because during the night it had > rained
children on their way to school had to wear rubber > boots

the sun shone all day on the snowman
the snowman began to > melt
if the day had been freezing cold, the snowman would not have > melted
the snowman melted because the day was too > warm
by the evening the snow had turned into > water

{M} dropped the glass on the stone floor
the glass > broke
if {M} had not dropped the glass, it would not have > broken
the glass broke because {M} had let it > fall
{M} swept up the sharp pieces so that nobody would cut their bare > feet

{F} had not eaten anything all day
in the evening {F} was very > hungry
if {F} had eaten a large lunch, she would have felt > full
{F} was hungry because all day she had had nothing to > eat
{F} went into a restaurant and ordered some > food

{M} had run ten miles in the heat without drinking
at the finish {M} was very > thirsty
if {M} had drunk enough on the way, he would not have been so > thirsty
{M} was thirsty because for hours he had had nothing to > drink
{M} asked for a large glass of cold > water

{F} had not slept for two nights
at work {F} was very > tired
if {F} had slept well, she would have stayed > awake
{F} could hardly keep her eyes open because she had had too little > sleep
during the movie that evening, {F} fell > asleep

the battery of the phone was empty
the phone could not be turned > on
if the battery had been full, the phone would have > worked
the phone could not be turned on because nobody had charged its > battery
{M} looked for a cable and plugged the phone > in

the car ran out of gas on the highway
the engine suddenly > stopped
if the tank of the car had been full, the engine would have kept > running
the car stopped on the highway because it had run out of > gas
{M} had to walk to the nearest gas > station

{F} walked home in heavy rain without an umbrella
at home her clothes were all > wet
if {F} had carried an umbrella, her clothes would have stayed > dry
{F} got wet in the rain because she had forgotten her > umbrella
{F} changed into clean, dry > clothes

there was no lamp in the cellar
it was very > dark
if there had been a bright lamp in the cellar, {M} could have seen > everything
{M} could not see anything in the cellar because it was too > dark
{M} had to go and get a > flashlight

the night was far below freezing
the water in the pond turned to > ice
if the night had been warm, the water in the pond would not have > frozen
the pond was covered with ice because the weather was so > cold
the children could go out on the pond to > skate

{M} left the ice cream in the hot car
the ice cream > melted
if {M} had put the ice cream into the freezer, it would have stayed > frozen
the ice cream melted because the car was too > hot
the seat of the car was now all wet and > sticky

{F} studied hard for weeks before the test
to her the questions of the test seemed > easy
if {F} had not studied at all, she would probably have > failed
{F} passed the test because for weeks she had > studied
{F} passed the test and got a very good > grade

{M} did not hear his alarm clock
he woke up too > late
if {M} had heard his alarm clock, he would have woken up on > time
{M} woke up too late because he had forgotten to set his > alarm
{M} came running but missed the school > bus

{F} touched the hot stove
she burned her > hand
if the stove had been turned off, {F} would not have been > burned
{F} burned her hand because the stove was still > hot
{F} held her hand under cold > water

the baby had not been fed for hours
the baby began to > cry
if the baby had just been fed, it would not have been > hungry
the mother fed the crying baby because it was > hungry
the mother gave the baby a bottle of warm > milk

{M} never brushed his teeth
he got holes in his > teeth
if {M} had brushed his teeth every day, they would have stayed > healthy
{M} had a toothache because for years he had not brushed his > teeth
{M} had to go to the > dentist

{F} had a bad cold
she had to blow her > nose
if {F} had stayed away from sick people, she would not have become > sick
{F} was sneezing all day because she had caught a > cold
{F} did not go to school but stayed all day in > bed

a strong wind came in through the open window
the candle went > out
if the window had been shut, the candle would have kept > burning
the wind blew out the candle because somebody had opened the > window
the room, which had no other light, was now completely > dark

{M} watered his tomato plants every day
the plants began to > grow
if {M} had never watered the tomato plants, they would have > died
the tomato plants dried up because nobody had given them any > water
in August {M} could pick a basket of ripe, red > tomatoes

{F} was cutting onions
her eyes filled with > tears
if {F} had been cutting carrots instead of onions, she would not have begun to > cry
{F} had tears in her eyes because in the kitchen she was cutting > onions
{F} took a tissue and wiped her > eyes

the bicycle rolled over a sharp nail
the tire went > flat
if there had been no nail on the road, the bicycle would not have had a flat > tire
the tire of the bicycle went flat because it had rolled over a sharp > nail
{M} could not ride the bicycle home and had to > walk

the sidewalk was covered with ice
{F} slipped and > fell
if there had been no ice on the sidewalk, {F} would not have slipped and > fallen
{F} slipped on the sidewalk because it was covered with > ice
a neighbor brought salt so that the ice would > melt

it had snowed all night
in the morning the roofs were > white
if the night had been warmer, the snow would have fallen as > rain
the roofs were white in the morning because during the night it had > snowed
the children ran outside to build a > snowman

{M} was caught lying again and again
his friends called him a > liar
if {M} had told no lies, his friends would still have believed > him
nobody believed {M} anymore because he had told too many > lies
when {M} was in danger and shouted, nobody came to > help

{F} won millions in the lottery
she was suddenly very > rich
if {F} had lost all her money, she would have been > poor
{F} was suddenly rich because she had won the > lottery
{F} no longer had to work and quit her > job

the music was far too loud
{M} put his fingers in his > ears
if somebody had turned the music off, the room would have been > quiet
{M} covered his ears because the music was too > loud
{M} asked his neighbors to turn the music > down

the dog heard a stranger at the door
the dog began to > bark
if no stranger had come to the door, the dog would not have > barked
the dog barked because it had heard somebody knock on the > door
the sleeping baby woke > up

the mouse saw the cat
the mouse ran > away
if there had been no cat, the mouse would not have been > afraid
the mouse hid in its hole because it was afraid of the > cat
the hungry cat did not catch the > mouse

{F} lost the key to her house
she could not open the > door
if {F} had not lost her key, she could have gone > inside
{F} could not get into her house because she had lost her > key
{F} had to call a > locksmith

the milk had been left in the sun for days
the milk turned > sour
if the milk had been kept in the refrigerator, it would have stayed > fresh
the milk turned sour because it had not been kept > cold
{F} poured all of it down the > drain

{M} put far too much salt in the soup
the soup tasted too > salty
if {M} had not added so much salt, the soup would have tasted much > better
the soup tasted bad because {M} had added too much > salt
the guests were very thirsty and drank a lot of > water

the sun was very bright
{F} put on her > sunglasses
if the sky had been full of clouds, {F} would not have needed her > sunglasses
{F} put on her sunglasses because the light was too > bright
her eyes were protected from the light of the > sun

{M} lay on the beach for hours without sunscreen
his skin turned > red
if {M} had lain in the shade, his skin would not have been > burned
{M} got a sunburn because he had lain too long in the > sun
a few days later his skin began to > peel

the bread was left in the oven for three hours
the crust of the bread turned > black
if {F} had taken the bread out in time, it would not have > burned
the bread burned because {F} had forgotten that it was in the > oven
the whole kitchen was full of > smoke

a house on the street was burning
the neighbors called the fire > department
if the firefighters had come too late, the house would have burned > down
the neighbors saw smoke because a house was on > fire
the firefighters came and put out the > fire

{M} dug in the muddy garden all afternoon
his hands were very > dirty
if {M} had worn gloves, his hands would have stayed > clean
{M} got dirty hands in the garden because he had not worn any > gloves
before dinner {M} had to wash his > hands

{F} spilled coffee on her white shirt
on the shirt there was a brown > stain
if {F} had not spilled her coffee, her shirt would still have been > clean
there was a brown stain on the shirt because {F} had spilled her > coffee
{F} put the shirt into the washing > machine

the plane took off three hours late
{M} came to the meeting too > late
if the plane had taken off earlier, {M} would have been on > time
{M} missed his connection because his first plane was > late
when {M} came in, the meeting was already > over

{F} had practiced the piano every day for years
she could play very > well
if {F} had never practiced the piano, she would have played very > badly
{F} played the piano so well because every day she had > practiced
she gave a concert, and the hall was > full

{M} told a very funny joke
everybody began to > laugh
if {M}'s joke had not been funny, nobody would have > laughed
everybody laughed because the joke was so > funny
{F} laughed until her eyes were full of > tears

the movie had a very sad ending
in the last scene {F} began to > cry
if the movie had been a funny one, {F} would have begun to > laugh
{F} cried during the movie because it was so > sad
{M} asked {F} why she was > crying

{M} carried heavy boxes all day
in the evening his back > hurt
if the boxes had been empty, they would have been > light
{M}'s back hurt because the boxes he had carried were too > heavy
{M} made an appointment to see a > doctor

{F} was afraid of heights
on the tower she did not dare to look > down
if {F} had not been afraid, she would have climbed to the very > top
{F} did not go up the tower because she was afraid of > heights
she held on to the railing with both > hands

the elevator was broken
everybody had to take the > stairs
if the elevator had been working, nobody would have had to climb the > stairs
everybody took the stairs because the elevator was > broken
on the tenth floor, {M} was out of > breath

the power went out in the evening
the whole house was suddenly > dark
if the power had not gone out, the lamps would have given > light
all the lamps in the house went out because there was no > power
{F} found some matches and lit a > candle

{M} put a seed into the soil and watered it
after some weeks a small plant began to > grow
if {M} had never watered the seed, no plant would have > grown
there was a new plant in the garden because in the spring {M} had planted a > seed
in the summer the garden was full of > flowers

the river rose after days of rain
the town by the river was > flooded
if the river had not risen, the cellars of the town would have stayed > dry
the town was flooded because there had been too much > rain
people had to leave their > homes

it had not rained for months
the fields were very > dry
if it had rained often, the grass would have been > green
the grass turned brown because for months there had been no > rain
the farmers had a very poor > harvest

{F} was careless with the sharp knife
she cut her > finger
if the knife had been very dull, it could not have > cut
{F}'s finger was bleeding because she had cut it with a > knife
{F} had to cover the cut with a > bandage

{F} let go of the string of her balloon
the balloon flew up into the > sky
if {F} had held the string, the balloon would not have flown > away
{F}'s balloon flew away because she had let > go
her little brother pointed up and began to > cry

{M} threw a ball at the window
the glass of the window > broke
if {M} had missed the window, the glass would not have > broken
the window was broken because {M} had hit it with a > ball
{M} had to pay for a new > window

{F} got a kitten for her birthday
she was very > happy
if nobody had remembered her birthday, {F} would have been very > sad
{F} was happy because she had received a birthday > present
she hugged her parents and said thank > you

{M} broke his leg
he had to walk on > crutches
if {M} had not fallen from the ladder, he would not have broken his > leg
{M} had to walk on crutches because he had broken his > leg
his friends carried his heavy school > bag

our team scored more goals than the other team
our team > won
if the other team had scored more goals than our team, our team would have > lost
our team won because it had scored more > goals
the fans of our team were very > happy

{F} drove far too fast
a police officer gave her a > ticket
if {F} had driven slowly, the police would not have stopped > her
the police stopped {F} because she was driving too > fast
{F} had to pay a > fine

{M} robbed a bank
he was arrested by the > police
if {M} had not robbed the bank, he would still have been a free > man
{M} was sent to prison because he had robbed a > bank
the judge sent him to prison for ten > years

{M} spent all his money
his wallet was > empty
if {M} had saved some money, his wallet would not have been > empty
{M} could not pay because he had no more > money
{M} asked a friend to lend him some > money

the soup was very hot
{F} burned her > tongue
if {F} had waited for ten minutes, the soup would have cooled > down
{F} burned her tongue because the soup was too > hot
{F} quickly drank a glass of cold > water

the house was very cold in the morning
{F} put on a thick, warm > sweater
if the heating had been on, the house would have been > warm
{F} was shivering because she was so > cold
after a while {F} no longer felt > cold

the day was very hot
the children went to the pool to > swim
if it had been winter, the water of the pool would have been too > cold
the children jumped into the pool because the day was so > hot
their hair and their towels were > wet

{F} drank strong coffee at midnight
in bed she could not fall > asleep
if {F} had not drunk coffee at midnight, she would have slept > well
{F} lay awake all night because she had drunk too much > coffee
the next day {F} was very > tired

the boat had a hole in the bottom
the boat began to > sink
if there had been no hole in the boat, it would not have > sunk
water came into the boat because in its bottom there was a > hole
the fishermen had to swim to the > shore

{M} forgot to close the gate
the sheep ran > away
if {M} had closed the gate, the sheep could not have gotten > out
the sheep got out of the field because {M} had forgotten to close the > gate
{M} spent the whole evening looking for his > sheep

{F} left the door of the bird cage open
the bird flew > away
if {F} had closed the cage, the bird could not have > escaped
the bird escaped from its cage because the door was > open
the cage was now > empty

{M} poked a stick into the nest of the bees
he was > stung
if {M} had left the bees alone, they would not have stung > him
{M}'s arm was swollen because he had been stung by a > bee
{M} ran away as fast as he > could

the fisherman caught nothing all week
his family had no fish to > eat
if the fisherman had caught something, his family would have eaten > fish
the fish bit on the hook because on it there was a fat > worm
his children went to bed > hungry

{F} was allergic to cats
when a cat came near her, she began to > sneeze
if {F} had not been allergic to cats, she could have kept one as a > pet
the cat made {F} sneeze because she was > allergic
{F} asked her friend to take away the > cat

{M} wore shoes that were two sizes too small
his feet > hurt
if the shoes had been the right size, {M}'s feet would not have > hurt
{M}'s shoes hurt him because they were too > small
{M} went to a store and bought new > shoes

{F} grew four inches during the summer
her old dresses were too > short
if {F} had not grown, her old dresses would still have > fit
{F}'s old dresses were too short because during the summer she had > grown
her mother gave the dresses to the younger > sister

the teacher walked into the noisy classroom
the class became > quiet
if the teacher had not come in, the children would have gone on making > noise
the noisy children became quiet because they had seen the > teacher
in the silence one could hear the ticking of the > clock

{M} cheated on the test
the teacher gave him a bad > grade
if {M} had not cheated, he would not have been > punished
{M} was punished because on the test he had > cheated
{M} was so ashamed that his face turned > red

{M} fell off his bicycle without a helmet
he hurt his > head
if {M} had worn a helmet, he would not have hurt his > head
{M} hurt his head in the fall because he had not worn a > helmet
an ambulance took {M} to the > hospital

the traffic light turned red
the cars had to > stop
if the traffic light had been green, the cars would not have > stopped
the cars stopped at the crossing because the traffic light was > red
the children could safely cross the > street

a truck had broken down on the bridge
behind it there was a long traffic > jam
if the truck had not broken down, the traffic would have kept > moving
the cars stood still for hours because a truck on the bridge had broken > down
{F} came to work an hour > late

it was late in the fall
the trees had lost their > leaves
if it had been summer, the leaves would have been > green
the branches of the trees were bare because in the fall they had lost their > leaves
the birds could no longer hide their > nests

the long winter was over
the bear in the cave woke > up
if it had still been winter, the bear would still have been > asleep
the bear came out of its cave because the long winter was > over
the hungry bear went to look for something to > eat

the moon moved in front of the sun
in the middle of the day it became > dark
if the moon had not covered the sun, the sky would have been > bright
it became dark at noon because the moon had covered the > sun
the birds went to sleep as if it were > night

{M} put a bowl of water into the freezer
the water turned into > ice
if {M} had put the water on a hot stove, it would have begun to > boil
the water turned into ice because {M} had put it into the > freezer
when {M} turned the bowl over, no water ran > out

{F} put a pot of water on the fire
after a while the water began to > boil
if {F} had put out the fire, the water would have stayed > cold
the lid of the pot was shaking because the water had begun to > boil
{F} could make herself a hot cup of > tea

{M} put three spoons of sugar in his coffee
the coffee tasted very > sweet
if {M} had not put any sugar in his coffee, it would have tasted > bitter
{M}'s coffee tasted sweet because he had put in too much > sugar
{F}, who takes her coffee black, did not like the > taste

{F} put no sugar in the lemonade
the lemonade tasted very > sour
if {F} had added sugar to the lemonade, it would have tasted > sweet
the drink was sour because {F} had made it from fresh > lemons
{F} opened the box and added three spoons of > sugar

{M} was the tallest boy in the class
he could reach the highest > shelf
if {M} had been shorter, he would have had to stand on a > chair
{M} could reach the highest shelf because he was so > tall
whenever a book was too high, the others asked {M} for > help

{F} could not see well
the doctor told her to wear > glasses
if {F} had had perfect eyes, she would not have needed any > glasses
{F} wore glasses because without them she could not > see
now even small letters were easy for {F} to > read

the old man was nearly deaf
people had to speak very > loudly
if the old man had had good ears, nobody would have had to > shout
people shouted when they spoke to the old man because he could hardly > hear
the doctor told him to wear a hearing > aid

{F} grew up in Spain
she learned to speak > Spanish
if {F} had grown up in France instead, she would have learned to speak > French
{F} spoke Spanish so well because she had grown up in > Spain
{F} got work as a teacher of that > language

{M} dropped his phone into the lake
the phone no longer > worked
if {M} had not dropped his phone into the lake, it would still have > worked
{M}'s phone was wet because he had dropped it into the > lake
{M} had to buy a new > phone

little {F} got lost in the big store
she began to call for her > mother
if {F} had held her mother's hand, she would not have gotten > lost
little {F} cried in the store because she could not find her > mother
when they found each other, both of them were very > happy

{M} came to the bus stop ten minutes late
the bus had already > left
if {M} had come ten minutes earlier, he would have caught the > bus
{M} missed the bus because he came too > late
{M} had to go to work on > foot

the paint on the bench was still wet
{M} sat down and got paint on his > pants
if the paint had been dry, {M}'s pants would have stayed > clean
{M} got paint on his pants because the bench had just been > painted
his wife told him to take them > off

the thief saw a police car
he ran > away
if the thief had not run away, he would have been > caught
the thief ran away because he was afraid of the > police
the thief hid in a barn so that nobody would find > him

{M} broke his sister's favorite toy on purpose
his sister was very > angry
if {M} had not broken the toy, his sister would not have been > angry
{M}'s sister was angry because he had broken her favorite > toy
later {M} told his sister that he was > sorry

{M} walked on the thin ice of the pond
he fell into the cold > water
if the ice on the pond had been thicker, it would not have > broken
the ice broke under {M} because it was too > thin
{M} came home wet and > cold

the cat pushed the vase off the table
the vase fell on the > floor
if the cat had not pushed the vase, it would still have stood on the > table
the vase fell off the table because it had been pushed by the > cat
the vase was broken into many small > pieces

the baker forgot to put yeast in the dough
the dough did not > rise
if the baker had put yeast in the dough, it would have > risen
the bread stayed flat because the baker had forgotten to add the > yeast
the bread was as hard as a > rock

{F}'s hair was hanging over her eyes
she went to have it > cut
if {F} had just had her hair cut, it would have been > short
{F} went to the hairdresser because her hair was too > long
her hair was now much > shorter

{M} had not shaved for a year
he had a long > beard
if {M} had shaved every morning, he would not have had a > beard
{M} had a long beard because for a year he had not > shaved
his friends could hardly see his > face

all the seats on the train were taken
{M} had to > stand
if there had been a free seat on the train, {M} would have sat > down
{M} had to stand on the train because there was no free > seat
after three hours, his legs were very > tired

{M} had a high fever
his forehead was very > hot
if {M} had been healthy, his temperature would have been > normal
{M}'s forehead was hot because he had a high > fever
his mother put him to bed and called the > doctor

{F} took the medicine from the doctor
she soon felt much > better
if {F} had not taken her medicine, she would have stayed > sick
{F} soon felt better because she had taken her > medicine
after two days {F} could get out of > bed

{M} returned the library book a month late
he had to pay a > fine
if {M} had returned the library book on time, he would not have had to pay any > money
{M} had to pay a fine because he had returned his library book too > late
next time {M} brought his books back on > time

there is almost no rain in the desert
hardly any plants can > grow
if there were a lot of rain, the desert would be > green
hardly any plants grow in the desert because there is almost no > rain
desert animals have to live with very little > water

{M} mixed red paint into the yellow paint
the paint turned > orange
if {M} had mixed blue paint into the yellow paint, it would have turned > green
the white paint turned pink because {M} had added a little > red
{M} had to go and buy some more yellow > paint

dark clouds covered the sky
everybody thought that it would soon > rain
if there had been no clouds at night, {F} could have seen the moon and the > stars
{F} could not see the sun because the sky was covered with > clouds
before she went out, {F} picked up her > umbrella

lightning struck the dry old tree
the tree caught > fire
if it had rained harder, the fire in the tree would have gone > out
the tree caught fire because it had been struck by > lightning
from far away people could see the > smoke

the pond dried up in the hot summer
all the fish in the pond > died
if there had been enough water in the pond, the fish would still have been > alive
the fish in the pond died because there was no more > water
the herons that lived on fish had nothing left to > eat

{M} pulled the plug of the bathtub
the water ran > out
if {M} had not pulled the plug, the bathtub would have stayed > full
the water ran out of the bathtub because {M} had pulled the > plug
a minute later the bathtub was > empty

{F} forgot to turn off the water of the bathtub
the bathtub began to > overflow
if {F} had turned the water off in time, the floor would have stayed > dry
the bathtub overflowed because {F} had forgotten to turn off the > water
the floor of the bathroom was all > wet

{M} lifted weights every day for a year
his arms became very > strong
if {M} had never exercised, his arms would have stayed > weak
{M}'s arms were so strong because every day he had lifted > weights
he could lift boxes that for others were too > heavy

{M} ate far too much at dinner
his stomach > hurt
if {M} had eaten less at dinner, his stomach would not have > hurt
{M}'s stomach hurt because he had eaten too > much
he was offered cake but could not eat any > more

{F} washed the wool sweater in boiling water
the sweater > shrank
if {F} had washed the sweater in cold water, it would not have > shrunk
the sweater shrank because {F} had washed it in water that was too > hot
when {F} tried the sweater on, it was too > small

{M} washed a red sock together with his white shirts
the shirts turned > pink
if the red sock had not been in the wash, the shirts would have stayed > white
the white shirts turned pink because {M} had washed them with a sock that was > red
{M} did not like the shirts in their new > color

{M} threw a ball up into the air
after a moment the ball came back > down
if there were no gravity, a ball thrown up would not come back > down
a ball that is thrown up falls back to the ground because of > gravity
{M} held out his hands to catch the > ball

{F} gave the old man her seat on the bus
the old man could sit > down
if {F} had not given the old man her seat, he would have had to > stand
the old man thanked {F} because on the bus she had given him her > seat
he smiled at her and said thank > you

{M}'s grandmother had died
he was very > sad
if his grandmother had not died, {M} would not have been so > sad
{M} wore black to the funeral because his grandmother had > died
{M} sat alone in his room and began to > cry

{F} and {M} fell in love
a year later they got > married
if {F} and {M} had never met, they would not have gotten > married
{F} wanted to marry {M} because she had fallen in > love
on that day {F} wore a long white > dress

the lesson was very boring
{M} looked out of the > window
if the lesson had been more interesting, {M} would not have been so > bored
{M} yawned during the lesson because it was so > boring
he could not answer the teacher's > question

all {F}'s answers on the test were right
she got the best > grade
if all {F}'s answers had been wrong, she would have > failed
{F} got the best grade because on the test she had not made a single > mistake
her parents were very > proud

{M} had no map in the forest
he could not find the > way
if {M} had taken a map with him, he would not have gotten > lost
{M} did not know the way because he had forgotten to bring a > map
{M} shouted as loudly as he could for > help

the bridge was closed
the cars had to turn > around
if the bridge had been open, the cars could have crossed the > river
the cars could not cross the river because workers had closed the > bridge
people crossed the river by > boat

the farmer set up a scarecrow in the corn
the birds stayed > away
if the farmer had not set up a scarecrow, the birds would have eaten the > corn
the birds stayed away from the corn because they were afraid of the > scarecrow
in the fall the farmer had a good > harvest

{F} hung the wet clothes in the sun
by the evening the clothes were > dry
if it had rained on the clothes all day, they would have stayed > wet
the wet clothes dried quickly because {F} had hung them in the > sun
{F} could take the clothes off the line and fold > them

{M} wore a heavy coat on a hot day
he began to > sweat
if {M} had worn only a shirt on the hot day, he would have felt much > cooler
{M} began to sweat in his heavy coat because he was too > hot
{M} took off his > coat

{F} stirred salt into hot water
the salt > dissolved
if {F} had stirred sand into the water, it would not have > dissolved
the water tasted salty because {F} had added some > salt
nobody could see the salt, but the water tasted > salty

{M} threw a stone into the lake
the stone > sank
if {M} had thrown a piece of wood into the lake, it would have > floated
the stone sank in the lake because it was heavier than > water
the stone came to lie at the bottom of the > lake

{M} sat down on his glasses
the glasses > broke
if {M} had not sat down on his glasses, they would not have > broken
{M}'s glasses were broken because he had sat down on > them
{M} had to buy a new pair of > glasses

{M} built a snowman without gloves
his fingers were very > cold
if {M} had worn gloves in the snow, his fingers would have stayed > warm
{M}'s fingers were cold because he had forgotten his > gloves
inside the house {M} warmed his hands by the > fire

guests were coming and the house was dirty
{F} spent the whole day > cleaning
if nobody had been coming, {F} would not have had to > clean
{F} cleaned the whole house because that evening she was expecting > guests
when the guests came, the house was > clean

{M}'s computer crashed before he saved his work
all his work was > lost
if {M} had saved his work, it would not have been > lost
{M} lost his work in the crash because he had forgotten to > save
{M} had to start all over > again

the ship hit an iceberg
the ship began to > sink
if the ship had not hit the iceberg, it would not have > sunk
the ship sank in the cold sea because it had hit an > iceberg
the passengers climbed into the > lifeboats

{F} kept her flowers in a dark cellar
the flowers > died
if {F} had put her flowers by the window, they would have gotten enough > light
the flowers in the cellar died because they had no > light
{F} threw the flowers > away

the battery of the clock was dead
the hands of the clock stopped > moving
if the clock had had a new battery, it would have shown the right > time
the clock stopped because it needed a new > battery
{M} looked at the clock and came too > late

a big wave hit the sand castle
the castle was washed > away
if no wave had hit the sand castle, it would still have been > standing
the sand castle was washed away because it had been hit by a big > wave
the children had to build a new > castle

a tall tree fell across the road
the road was > blocked
if the tree had not fallen, the cars could have driven > on
no car could pass because the road was blocked by a fallen > tree
the cars had to turn > around

a strong earthquake shook the city
many old houses > collapsed
if there had been no earthquake, the old houses would still have been > standing
many houses in the city fell down because there had been a strong > earthquake
many families lost their > homes

{F} sang softly to the baby
the baby fell > asleep
if there had been a loud noise, the baby would have stayed > awake
the baby fell asleep because {F} had sung it a > song
everybody in the house had to be > quiet
"""
