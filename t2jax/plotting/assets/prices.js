// Prices, as t2jax/laws/prices.py and hardware.py have them: what a training token, a question (its prompt) and a sample
// of it cost for a model of N parameters. `constants` has the ladder of shapes and the chips, written by planner.py.
'use strict';
const t2prices = (() => {
  /** A number as Python's .4g writes it, or with other digits. */
  const g = (value, digits = 4) => {
    const tiny = value !== 0 && Math.abs(value) < 1e-4;
    const text = tiny ? Number(value).toExponential(digits - 1) : Number(value).toPrecision(digits);
    if (!text.includes('e')) return String(Number(text));
    return text.replace(/(\.\d*?)0+e/, '$1e').replace('.e', 'e').replace(/e([+-])(\d)$/, 'e$10$2');
  };

  const checkAbove0 = (values) => {
    for (const [name, value] of Object.entries(values)) {
      if (!(value > 0 && value < Infinity)) throw new Error(`${name} is ${g(value, 6)}; it has to be a finite number above 0`);
    }
  };

  const paper = ({answer = 1}) => {
    checkAbove0({answer});
    return {
      name: '6 N D to train, 2 N a sample' + (answer === 1 ? '' : ` of ${g(answer, 6)} tokens, for each`),
      unit: 'FLOPs',
      train_unit: 'FLOPs',
      served: answer === 1 ? 'token' : 'question',
      perTrainingToken: (n) => 6 * n,
      perQuestion: () => 0,
      perSample: (n) => 2 * n * answer,
      warnings: () => [],
    };
  };

  // --- exact counts (t2jax/costs.py), of a shape {vocab, width, depth, hidden} -----------------------------------
  const countParams = (s) => (4 * s.width + 3 * s.hidden) * s.width * s.depth + s.vocab * s.width;
  const forwardFlops = (s, length) => length * (2 * countParams(s) + 4 * s.width * length * s.depth);
  const prefillFlops = (s, prompt) => forwardFlops(s, prompt) - (prompt - 1) * 2 * s.vocab * s.width;
  const decodeStepFlops = (s, cached) => 2 * countParams(s) + 4 * s.width * (cached + 1) * s.depth;
  const cacheBytes = (s, columns, width) => 2 * s.depth * s.width * columns * width;

  const interpolate = (x, xs, ys) => {
    if (x <= xs[0]) return ys[0];
    for (let i = 1; i < xs.length; i++) {
      if (x <= xs[i]) return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
    }
    return ys[ys.length - 1];
  };

  /** A function from N to the shape of a model of that size along a ladder (t2jax/laws/shapes.py). */
  const shapesAlong = (ladder) => {
    const sizes = ladder.map((s) => ({vocab: s.vocab, width: s.d_model, depth: s.n_layers, hidden: s.d_hidden}));
    const scaled = (s, factor) => ({vocab: s.vocab, width: s.width * factor, depth: s.depth * factor, hidden: s.hidden * factor});
    const knots = [scaled(sizes[0], 1e-6), ...sizes, scaled(sizes[sizes.length - 1], 1e6)];
    const logN = knots.map((s) => Math.log(countParams(s)));
    const logWidth = knots.map((s) => Math.log(s.width)), logDepth = knots.map((s) => Math.log(s.depth));
    const vocab = sizes[0].vocab;
    const shapeOf = (n) => {
      const at = Math.log(n);
      const width = Math.exp(interpolate(at, logN, logWidth)), depth = Math.exp(interpolate(at, logN, logDepth));
      return {vocab, width, depth, hidden: ((n - vocab * width) / (depth * width) - 4 * width) / 3};
    };
    return {shapeOf, low: countParams(sizes[0]), high: countParams(sizes[sizes.length - 1])};
  };

  const transformer = ({prompt, answer, context = 2048}, constants) => {
    checkAbove0({prompt, context});
    if (!(answer >= 2 && answer < Infinity)) {
      throw new Error(`answer is ${g(answer, 6)} tokens; the first comes with the prompt: give at least 2`);
    }
    const {shapeOf, low, high} = shapesAlong(constants.ladder);
    return {
      name: `transformer FLOPs, prompts of ${g(prompt, 6)} and answers of ${g(answer, 6)} tokens`,
      unit: 'FLOPs',
      train_unit: 'FLOPs',
      served: 'question',
      shapeOf,
      perTrainingToken: (n) => 3 * forwardFlops(shapeOf(n), context) / context,
      perQuestion: (n) => prefillFlops(shapeOf(n), prompt),
      perSample: (n) => (answer - 1) * decodeStepFlops(shapeOf(n), prompt + answer - 1),
      warnings: (n) => (n >= low && n <= high ? [] : [
        `the width and depth of ${g(n)} parameters are guessed: the ladder has ${g(low)} to ${g(high)}`,
      ]),
    };
  };

  const bandwidth = ({kind, prompt, answer, context, batch = 1}, constants) => {
    checkAbove0({batch});
    const work = transformer({prompt, answer, context}, constants), chip = constants.chips[kind], width = 2;
    // what one question has to read, in FLOPs of the same time (Kinetics, arXiv 2506.05333)
    const reading = (n, samples) => {
      const s = work.shapeOf(n), steps = answer - 1;
      const params = countParams(s) * width / batch * (1 + samples * steps);
      const cache = cacheBytes(s, steps * prompt + samples * steps * (steps + 1) / 2, width);
      return (params + cache) * chip.flops / chip.bandwidth;
    };
    return {
      ...work,
      name: `${work.name}, and reading on TPU ${kind}, ${g(batch, 6)} rows at once`,
      unit: 'eFLOPs',
      train_unit: 'eFLOPs',
      batch,
      perQuestion: (n) => work.perQuestion(n) + reading(n, 0),
      perSample: (n) => work.perSample(n) + reading(n, 1) - reading(n, 0),
    };
  };

  /** Seconds from measured speeds: their log is linear in log N; beyond the largest size it falls as 1 / N. */
  const measured = ({params, tokens_per_second: speeds, train_tokens_per_second: trainSpeeds = null, answer = 1}) => {
    checkAbove0({answer});
    const columns = [speeds, trainSpeeds || speeds];
    if (params.length < 2 || columns.some((column) => column.length !== params.length)) {
      throw new Error('a table of measured speeds needs at least two sizes and a speed for each');
    }
    if (![params, ...columns].every((column) => column.every((value) => value > 0 && value < Infinity))) {
      throw new Error('a table of measured speeds holds a number that is not finite and above 0; mend it');
    }
    if (!params.every((size, i) => i === 0 || size > params[i - 1])) {
      throw new Error('the sizes of a table of measured speeds have to ascend, each of them once');
    }
    const logN = params.map(Math.log), low = params[0], high = params[params.length - 1];
    const secondsAt = (column) => {
      const logSpeed = column.map(Math.log);
      return (n) => Math.exp(-interpolate(Math.log(n), logN, logSpeed)) * Math.max(n / high, 1);
    };
    const seconds = secondsAt(speeds);
    return {
      name: `measured speeds of ${params.length} sizes, answers of ${g(answer, 6)} tokens`,
      unit: 'seconds',
      train_unit: trainSpeeds ? 'seconds' : 'FLOPs',
      served: answer === 1 ? 'token' : 'question',
      perTrainingToken: trainSpeeds ? secondsAt(trainSpeeds) : (n) => 6 * n,
      perQuestion: () => 0,
      perSample: (n) => answer * seconds(n),
      warnings: (n) => (n >= low && n <= high ? [] : [
        `the speed of ${g(n)} parameters is guessed: measured were ${g(low)} to ${g(high)}`,
      ]),
    };
  };

  /** Another price, times `dollars` for each of its units. */
  const money = (of, dollars) => {
    checkAbove0({dollars});
    if (of.unit !== of.train_unit) {
      throw new Error(`samples cost ${of.unit} but training costs ${of.train_unit}, so one rate in dollars cannot price ` +
        'both; measure the speed of training too');
    }
    return {
      ...of,
      name: `${g(dollars)} dollars for each of ${of.unit}: ${of.name}`,
      unit: 'dollars',
      train_unit: 'dollars',
      perTrainingToken: (n) => dollars * of.perTrainingToken(n),
      perQuestion: (n) => dollars * of.perQuestion(n),
      perSample: (n) => dollars * of.perSample(n),
    };
  };

  /** The price that {kind, ...} describes: 'paper', 'transformer', a chip or 'measured', in dollars if it has a rate. */
  const priceOf = (given, constants) => {
    if (given.kind === 'paper') return paper(given);
    if (given.kind === 'transformer') return transformer(given, constants);
    if (given.kind === 'measured') {
      const rate = given.dollars_per_hour;
      return rate === null || rate === undefined ? measured(given) : money(measured(given), rate / 3600);
    }
    if (!(given.kind in constants.chips)) throw new Error(`there is no price ${given.kind}`);
    return bandwidth(given, constants);
  };

  return {priceOf, g};
})();
