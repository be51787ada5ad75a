// Prices, as t2jax/laws/prices.py and hardware.py have them: what a training token, a question (its prompt) and a sample
// of it cost for a model of N parameters. `constants` has the ladder of shapes and the chips, written by planner.py.
'use strict';
const t2prices = (() => {
  /** A number as Python's .4g writes it. */
  const g = (value) => {
    const tiny = value !== 0 && Math.abs(value) < 1e-4;
    const text = tiny ? value.toExponential(3) : Number(value).toPrecision(4);
    if (!text.includes('e')) return String(Number(text));
    return text.replace(/(\.\d*?)0+e/, '$1e').replace('.e', 'e').replace(/e([+-])(\d)$/, 'e$10$2');
  };

  const checkAbove0 = (values) => {
    for (const [name, value] of Object.entries(values)) {
      if (!(value > 0 && value < Infinity)) throw new Error(`${name} is ${value}; it has to be a finite number above 0`);
    }
  };

  const paper = ({answer = 1}) => {
    checkAbove0({answer});
    return {
      name: '6 N D to train, 2 N a sample' + (answer === 1 ? '' : ` of ${answer} tokens, for each`),
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
      throw new Error(`answer is ${answer} tokens; the first comes with the prompt: give at least 2`);
    }
    const {shapeOf, low, high} = shapesAlong(constants.ladder);
    return {
      name: `transformer FLOPs, prompts of ${prompt} and answers of ${answer} tokens`,
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
      name: `${work.name}, and reading on TPU ${kind}, ${batch} rows at once`,
      unit: 'eFLOPs',
      train_unit: 'eFLOPs',
      batch,
      perQuestion: (n) => work.perQuestion(n) + reading(n, 0),
      perSample: (n) => work.perSample(n) + reading(n, 1) - reading(n, 0),
    };
  };

  /** The price that {kind, ...} describes: 'paper', 'transformer' or a chip. */
  const priceOf = (given, constants) => {
    if (given.kind === 'paper') return paper(given);
    if (given.kind === 'transformer') return transformer(given, constants);
    if (!(given.kind in constants.chips)) throw new Error(`there is no price ${given.kind}`);
    return bandwidth(given, constants);
  };

  return {priceOf, g};
})();
