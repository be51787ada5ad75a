// The planner's form: reads a question from its fields, says what is wrong with one, keeps sliders in step with fields.
// A question is {kind, train, inference, total, questions, price, answer, prompt, batch, select, tp, fp}.
function t2form(form, data) {
  const { count, flops } = t2words;
  const field = form.elements;
  const CHOICES = ['kind', 'price', 'select'];
  const BUDGETS = ['train', 'inference', 'total', 'questions'];
  const COUNTS = ['answer', 'prompt', 'batch'];
  const LINK = '#explorer?';
  const rounded = (value) => Number(flops(value));
  const START = {
    kind: 'separate',
    train: data.train,
    inference: data.inference,
    total: rounded(2 * data.train),
    questions: rounded(data.train / data.inference),
    price: 'paper',
    answer: 1,
    prompt: 256,
    batch: 256,
    select: 'coverage',
    tp: 0.9,
    fp: 0.05,
  };

  const isExact = (question) => question.price !== 'paper';
  const isTpu = (question) => isExact(question) && question.price !== 'transformer';

  // The fields that a question uses, besides its choices.
  function used(question) {
    const names = question.kind === 'total' ? ['total', 'questions'] : ['train', 'inference'];
    names.push('answer');
    if (isExact(question)) names.push('prompt');
    if (isTpu(question)) names.push('batch');
    if (question.select === 'verifier') names.push('tp', 'fp');
    return names;
  }

  // A number as people type it: 1e21, 2.5e20, 1,000,000; NaN for anything else.
  function parse(text) {
    const plain = text.trim().replace(/^\d{1,3}(,\d{3})+$/, (digits) => digits.replaceAll(',', ''));
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
  }

  // With every digit: 4e11, 2.5e20, 1000.
  const typed = (value) => (value >= 1e5 ? value.toExponential() : String(value)).replace('e+', 'e');

  // What is wrong with a field, in one sentence; '' if nothing.
  function fault(name, value, question) {
    const text = field[name].value.trim();
    const said = text ? `‘${text}’` : 'Nothing';
    if (BUDGETS.includes(name)) {
      if (value > 0 && Number.isFinite(value)) return '';
      return `${said} is not a budget; give a number above 0, such as 1e21 or 2.5e20.`;
    }
    if (COUNTS.includes(name)) {
      const least = name === 'answer' && isExact(question) ? 2 : 1;
      if (Number.isInteger(value) && value >= least) return '';
      return `${said} is not a count; give a whole number of at least ${least}.`;
    }
    return value >= 0 && value <= 1 ? '' : `${said} is not a chance; give a number from 0 to 1.`;
  }

  function mark(name, sentence) {
    field[name].setAttribute('aria-invalid', String(Boolean(sentence)));
    document.getElementById(`${name}-error`).textContent = sentence;
  }

  // Returns the question, or null where a field is wrong; that field is then marked.
  function read() {
    const question = Object.fromEntries(CHOICES.map((name) => [name, field[name].value]));
    reveal(question);
    document.getElementById('ask-error').textContent = '';
    const needed = used(question);
    let good = true;
    for (const name of [...BUDGETS, ...COUNTS, 'tp', 'fp']) {
      question[name] = parse(field[name].value);
      const sentence = needed.includes(name) ? fault(name, question[name], question) : '';
      mark(name, sentence);
      if (sentence) good = false;
    }
    return good ? question : null;
  }

  // Shows what the planner has against a question, beside the field that the sentence begins with.
  function refuse(question, message) {
    const name = used(question).find((one) => message.startsWith(`${one}_`) || message.startsWith(`${one} `));
    const sentence = `${message.replace(/\.$/, '')}.`;
    if (name) mark(name, sentence);
    else document.getElementById('ask-error').textContent = sentence;
  }

  function reveal(question) {
    for (const part of form.querySelectorAll('[data-kind]')) part.hidden = part.dataset.kind !== question.kind;
    const needed = used(question);
    for (const part of form.querySelectorAll('[data-field]')) part.hidden = !needed.includes(part.dataset.field);
    const tokens = !isExact(question) && parse(field.answer.value) === 1;
    const label = (name) => form.querySelector(`[for=ask-${name}]`);
    label('inference').textContent = `Inference budget, FLOPs for each ${tokens ? 'served token' : 'question'}`;
    label('questions').textContent = tokens ? 'Tokens it will serve' : 'Questions it will answer';
  }

  // ---- sliders: the exponent of a budget

  const words = (name, value) => (name === 'questions' ? count(value) : `${flops(value)} FLOPs`);

  function slide(name) {
    const slider = field[`${name}-slider`];
    const value = parse(field[name].value);
    if (value > 0) slider.value = Math.log10(value);
    slider.setAttribute('aria-valuetext', words(name, value > 0 ? value : 10 ** slider.value));
  }

  function limit() {
    const all = (name, ...more) => [...data.fits.flatMap((fit) => fit[name]), ...more];
    const train = all('train_flops_range', data.train);
    const serve = all('params_range', data.inference / 2).map((params) => 2 * params);
    const ends = {
      train: [Math.min(...train) / 10, Math.max(...train) * 1e4],
      inference: [Math.min(...serve), Math.max(...serve) * 1e4],
      total: [Math.min(...train) / 10, Math.max(...train) * 1e4],
      questions: [1, 1e15],
    };
    for (const [name, [low, high]] of Object.entries(ends)) {
      field[`${name}-slider`].min = Math.floor(Math.log10(low));
      field[`${name}-slider`].max = Math.ceil(Math.log10(high));
    }
  }

  function follow({ target }) {
    if (target.name.endsWith('-slider')) {
      const name = target.name.replace('-slider', '');
      const value = Number((10 ** target.value).toPrecision(2));
      field[name].value = typed(value);
      target.setAttribute('aria-valuetext', words(name, value));
    } else if (BUDGETS.includes(target.name)) slide(target.name);
  }

  function fill(question) {
    for (const [name, value] of Object.entries(question))
      field[name].value = typeof value === 'number' ? typed(value) : value;
    BUDGETS.forEach(slide);
  }

  // ---- a question in other shapes

  // As t2plan takes it.
  function request(question) {
    const { kind, price, select, train, inference, total, questions, answer, prompt, batch, tp, fp } = question;
    return {
      fits: data.fits,
      budget: kind === 'total' ? { total, questions } : { train, inference },
      price: { kind: price, answer, ...(isExact(question) && { prompt }), ...(isTpu(question) && { batch }) },
      selection: { kind: select, ...(select === 'verifier' && { true_positive: tp, false_positive: fp }) },
      constants: data.constants,
      refits: 0,
    };
  }

  // As flags of `t2jax plan`.
  function flags(question) {
    const { kind, price, select, train, inference, total, questions, answer, prompt, batch, tp, fp } = question;
    const said = kind === 'total' ? [`--total-flops ${typed(total)}`, `--questions ${typed(questions)}`] : [];
    if (kind !== 'total') said.push(`--train-flops ${typed(train)}`, `--inference-flops ${typed(inference)}`);
    if (answer !== 1) said.push(`--answer-tokens ${answer}`);
    if (isExact(question)) said.push(`--price ${price}`, `--prompt-tokens ${prompt}`);
    if (isTpu(question)) said.push(`--batch ${batch}`);
    if (select !== 'coverage') said.push(`--select ${select}${select === 'verifier' ? `:${tp},${fp}` : ''}`);
    return said;
  }

  // In the address, as far as it differs from the study's own.
  function keep(question) {
    const names = [...CHOICES, ...used(question)].filter((name) => question[name] !== START[name]);
    const text = (value) => (typeof value === 'number' ? typed(value) : value);
    const query = new URLSearchParams(names.map((name) => [name, text(question[name])]));
    if (names.length) history.replaceState(null, '', LINK + query);
    else if (location.hash.startsWith(LINK)) history.replaceState(null, '', '#explorer');
  }

  // Fills the form from the address, if that holds a question.
  function restore() {
    if (!location.hash.startsWith(LINK)) return false;
    const query = new URLSearchParams(location.hash.slice(LINK.length));
    fill(START);
    for (const name of Object.keys(START)) if (query.has(name)) offer(name, query.get(name));
    BUDGETS.forEach(slide);
    return true;
  }

  // Takes a value into a field, unless it is none of the field's options.
  function offer(name, value) {
    const before = field[name].value;
    field[name].value = value;
    if (CHOICES.includes(name) && field[name].value !== value) field[name].value = before;
  }

  limit();
  fill(START);
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', follow);
  return { fill, flags, keep, read, refuse, request, restore, reset: () => fill(START), rounded };
}
