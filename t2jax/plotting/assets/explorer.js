// Asks t2plan what the budget in the form buys, says it and draws it.
// The optimum comes with every move of a slider; bands, frontier and address follow once the reader pauses.
(() => {
  const { count, grouped, loss, percent, ratio, samples } = t2words;
  const PAUSE = 250; // ms
  const POINTS = 16; // budgets of the frontier
  const root = document.getElementById('explorer');
  const find = (selector) => root.querySelector(selector);
  const data = JSON.parse(document.getElementById('explorer-data').textContent);
  const form = t2form(find('form'), data);
  const fields = find('form').elements;
  const budgets = data.fits.flatMap((fit) => fit.train_flops_range);
  const range = [Math.min(...budgets), Math.max(...budgets)];
  let question = null; // the last that had an answer
  let answer = null;
  let shown = data.leading; // the law of the first chart
  let lines = { key: '', of: {}, left: [] }; // of the second, and the budgets that it lacks
  let busy = true; // until the slow part of the answer is there
  let waiting = 0;
  let frame = 0;

  function element(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // ---- in words

  const writer = (choice) => (choice.target === 'nll' ? loss : percent);
  const many = (k) => `${grouped(k)} sample${k === 1 ? '' : 's'}`;
  const band = (ends, write) => (ends ? `80\u00a0%: ${ends.map((end) => write(end)).join(' to ')}` : '');

  function target(law, choice) {
    if (choice.target === 'nll') return law === 'chinchilla' ? 'loss' : 'NLL';
    return choice.target === 'pass_at_k' ? 'pass@k' : 'success';
  }

  function purchase({ params, tokens, samples: k }) {
    const drawn = k >= 1 ? many(k) : 'for which the budget pays no sample';
    return `${count(params)} parameters, ${count(tokens)} tokens, ${drawn}`;
  }

  // What to do, and what comes of it.
  function sentences(law, choice) {
    const { params, tokens, samples: k, value } = choice.whole;
    const train = `Train ${count(params)} parameters on ${count(tokens)} tokens`;
    const predicts = `${data.names[law]} predicts ${target(law, choice)} ${writer(choice)(value)}`;
    if (choice.chinchilla) return [`${train} and draw ${many(k)} of each question.`, `${predicts}.`];
    const paid = k >= 1 ? `; the budget pays ${grouped(k)}` : ', which the budget does not pay';
    return [`${train}.`, `${predicts} for one sample${paid}.`];
  }

  function comparison(law, choice) {
    const pick = choice.chinchilla;
    const name = pick.by === 'chinchilla' ? 'Chinchilla’s pick' : 'This law’s pick for one sample';
    const bought = `${name} at the same budgets: ${purchase(pick)}`;
    if (pick.value === null) return `${bought}.`;
    const apart = (value) => (choice.target === 'nll' ? loss(value) : percent(value).replace('%', 'points'));
    const between = pick.bands?.['80'] ? ` (${band(pick.bands['80'], apart)})` : '';
    const value = `${target(law, choice)} ${writer(choice)(pick.value)}`;
    return `${bought}; ${value}, worse by ${apart(pick.worse_by)}${between}.`;
  }

  function card(law, choice) {
    const write = writer(choice);
    const parts = [
      ['params', 'parameters N', count],
      ['tokens', 'tokens D', count],
      ['tokens_per_param', 'D/N', ratio],
      ['samples', 'samples k', samples],
      ['value', target(law, choice), write],
    ];
    const box = element('div', { class: 'law', style: `--law: var(--${law}, var(--faint))`, 'data-law': law });
    const list = element('dl', {});
    for (const [name, label, say] of parts) {
      box.setAttribute(`data-${name.replaceAll('_', '-')}`, choice[name]);
      const value = element('dd', {}, say(choice[name]));
      if (choice.bands?.[name]?.['80']) value.append(element('small', {}, band(choice.bands[name]['80'], say)));
      list.append(element('dt', {}, label), value);
    }
    const bought = `To buy: ${purchase(choice.whole)}; ${target(law, choice)} ${write(choice.whole.value)}`;
    box.append(element('h3', {}, data.names[law]), list);
    box.append(element('p', {}, `${bought}${choice.chinchilla ? '' : ' for one'}.`));
    if (choice.chinchilla) box.append(element('p', {}, comparison(law, choice)));
    const said = (choice.chinchilla?.warnings ?? []).map((warning) => `Chinchilla’s pick: ${warning}`);
    const warnings = [...choice.warnings, ...said];
    if (warnings.length) box.append(cautions(law, warnings));
    return box;
  }

  function cautions(law, warnings) {
    const open = find(`[data-law="${law}"] details`)?.open ? { open: '' } : {};
    const list = element('ul', {}, ...warnings.map((warning) => element('li', {}, warning)));
    return element('details', open, element('summary', {}, `Read with care (${warnings.length})`), list);
  }

  function say() {
    const choices = Object.entries(answer.choices);
    const lead = answer.choices[data.leading] ? data.leading : choices[0][0];
    const [buy, predicts] = sentences(lead, answer.choices[lead]);
    find('output').replaceChildren(`${buy} `, element('small', {}, predicts));
    find('.laws').replaceChildren(...choices.map(([law, choice]) => card(law, choice)));
    find('.unable').textContent = answer.warnings.map((warning) => `${warning}.`).join(' ');
    const flags = form.flags(question).flatMap((flag) => [' ', element('span', {}, flag)]);
    find('.command code').replaceChildren('t2jax plan WORKDIR', ...flags);
    if (!answer.choices[shown]) shown = lead;
    offerLaws(Object.keys(answer.choices));
    draw();
  }

  // ---- in charts

  function offerLaws(laws) {
    const set = find('.charts .radios');
    if (set.dataset.laws !== laws.join()) {
      const radio = (law) => element('input', { type: 'radio', name: 'shown', value: law });
      const labels = laws.map((law) => element('label', {}, radio(law), data.names[law]));
      set.replaceChildren(set.querySelector('legend'), ...labels);
      set.dataset.laws = laws.join();
      set.hidden = laws.length < 2;
    }
    for (const option of set.querySelectorAll('input')) option.checked = option.value === shown;
  }

  function draw() {
    const choice = answer.choices[shown];
    const fit = data.fits.find((one) => one.law === shown);
    const { budget, price, selection, constants } = form.request(question);
    const some = choice.curve.params.filter((_, i) => i % 4 === 0);
    const profile = choice.chinchilla ? t2plan.profile(fit, budget, price, selection, constants, some) : [];
    const pickName = choice.chinchilla?.by === 'chinchilla' ? 'Chinchilla' : 'for one sample';
    const best = `best at ${count(choice.params)} parameters`;
    const sentence = `${data.names[shown]}: ${target(shown, choice)} against model size, ${best}.`;
    t2charts.sizes(find('#sizes-chart .drawing'), { law: shown, choice, profile, pickName, sentence });
    const bands = '; the pale band holds 80\u00a0% of refits of the law, the bar at the foot 80\u00a0% of their optima';
    find('#sizes-chart figcaption').textContent =
      'Every size spends the whole budget: a larger model sees fewer tokens and draws fewer samples. ' +
      `The shaded sizes were trained${choice.bands ? bands : ''}.`;
    drawFrontier();
  }

  function drawFrontier() {
    const total = question.kind === 'total';
    const here = Object.fromEntries(Object.entries(answer.choices).map(([law, choice]) => [law, choice.params]));
    const laws = Object.keys(here);
    t2charts.frontier(find('#frontier-chart .drawing'), {
      lines: Object.fromEntries(Object.entries(lines.of).filter(([law]) => laws.includes(law))),
      here,
      now: total ? question.total : question.train,
      data: total ? null : range,
      names: data.names,
      title: `${total ? 'Total' : 'Training'} budget, FLOPs`,
      sentence: `Best size against the budget, by ${laws.map((law) => data.names[law]).join(', ')}.`,
    });
    find('#frontier-chart figcaption').textContent = total
      ? 'The number of questions stays as asked; the dotted line is your budget.'
      : 'The inference budget stays as asked; the dotted line is your budget, the shaded ones are those of the runs.';
  }

  // The best sizes at one other budget, by law.
  function bestAt(flops, { budget, ...rest }) {
    if (question.kind === 'total') return t2plan.plan({ ...rest, budget: { ...budget, total: flops } }).choices;
    const found = t2plan.frontier({ ...rest, budgets: [flops], inference: budget.inference });
    const paid = Object.entries(found).filter(([, points]) => points.length);
    return Object.fromEntries(paid.map(([law, points]) => [law, points[0]]));
  }

  // Finds the frontier a budget at a time, so that the page stays quick.
  function findFrontier() {
    const asked = form.request(question);
    const now = asked.budget.total ?? asked.budget.train;
    const [low, high] = [Math.min(range[0], now) / 3, Math.max(range[1] * 1e3, now * 3)];
    const key = JSON.stringify([
      low,
      high,
      asked.budget.questions,
      asked.budget.inference,
      asked.price,
      asked.selection,
    ]);
    if (key === lines.key) return;
    const left = Array.from({ length: POINTS }, (_, i) => low * (high / low) ** (i / (POINTS - 1)));
    const mine = { key, of: {}, left };
    lines = mine;
    const next = () => {
      if (lines !== mine) return;
      const flops = left.shift();
      if (flops === undefined) {
        drawFrontier();
        settle();
        return;
      }
      try {
        for (const [law, { params }] of Object.entries(bestAt(flops, asked))) {
          mine.of[law] ??= [];
          mine.of[law].push({ budget: flops, params });
        }
      } catch {
        // a budget that buys nothing has no best size
      }
      setTimeout(next);
    };
    next();
  }

  // ---- asking

  function ask() {
    const asked = form.read();
    if (!asked) return;
    try {
      answer = t2plan.plan(form.request(asked));
    } catch (error) {
      form.refuse(asked, error.message);
      return;
    }
    question = asked;
    say();
    clearTimeout(waiting);
    waiting = setTimeout(finish, PAUSE);
  }

  function finish() {
    form.keep(question);
    findFrontier();
    if (data.fits.some((fit) => Object.keys(fit.replicates).length)) {
      answer = t2plan.plan({ ...form.request(question), refits: data.refits });
      say();
    }
    busy = false;
    settle();
  }

  // Tells tests how far the page is: 'answer' without the frontier, 'all' with it.
  function settle() {
    if (!busy) root.dataset.ready = lines.left.length ? 'answer' : 'all';
  }

  function soon() {
    busy = true;
    delete root.dataset.ready;
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(ask);
  }

  // A new price means another unit: the budget that pays the model last chosen as many samples as before.
  function reprice() {
    if (fields.price.value !== 'paper' && Number(fields.answer.value) < 2) fields.answer.value = 64;
    const asked = form.read();
    if (!asked || !question) return;
    const law = answer.choices[data.leading] ? data.leading : Object.keys(answer.choices)[0];
    const { params, samples: k } = answer.choices[law];
    const { price, constants } = form.request(asked);
    const fit = data.fits.find((one) => one.law === law);
    const paid = (inference) => {
      const budget = { train: question.train || data.train, inference };
      return t2plan.profile(fit, budget, price, { kind: 'coverage' }, constants, [params])[0].samples;
    };
    const much = 1e6 * params * (asked.answer + asked.prompt);
    const each = much / (paid(2 * much) - paid(much)); // the samples paid grow linearly with the budget
    const inference = form.rounded(much + (k - paid(much)) * each);
    if (inference > 0) form.fill({ inference, questions: form.rounded(asked.total / 2 / inference) });
  }

  find('form').addEventListener('input', soon);
  find('form').addEventListener('change', ({ target }) => {
    if (target.name === 'price') reprice();
    soon();
  });
  fields.back.addEventListener('click', () => {
    form.reset();
    soon();
  });
  find('.charts').addEventListener('change', (event) => {
    shown = event.target.value;
    draw();
  });
  find('.command button').addEventListener('click', async ({ target: button }) => {
    await navigator.clipboard.writeText(find('.command code').textContent);
    button.textContent = 'Copied';
  });
  window.addEventListener('hashchange', () => form.restore() && soon());

  root.classList.add('js');
  for (const part of root.querySelectorAll('.live')) part.hidden = false;
  find('.command button').hidden = !navigator.clipboard;
  ask();
  if (form.restore()) {
    root.scrollIntoView();
    ask();
  }
  new ResizeObserver(() => answer && draw()).observe(find('.charts'));
})();
