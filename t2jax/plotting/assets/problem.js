// The search for the best N, D and k of one law against a budget, as t2jax/laws/budgets.py and problem.py have it: on the
// same grids, so that the page and `t2jax plan` agree to every digit shown. Choices are [N, D, k, value].
'use strict';
const t2problem = (() => {
  const {LAWS, checkSelection, predict} = t2laws, {g} = t2prices;
  const ROUNDING = 1e-9, EXACT = 20, PER_SIZE = 10, NEAR = 4;
  const BELOW = 10, ABOVE = 1e3; // how far beyond the fitted sizes to search

  const whole = (samples) => Math.floor(samples * (1 + ROUNDING));
  const losses = (value) => (Number.isNaN(value) ? Infinity : value);

  // --- budgets: {train, inference} or {total, questions} ---------------------------------------------------------
  const mostSamples = (budget, price, n) => {
    if (budget.total !== undefined) return (budget.total / budget.questions - price.perQuestion(n)) / price.perSample(n);
    return budget.inference === null ? 1 : (budget.inference - price.perQuestion(n)) / price.perSample(n);
  };
  const samplesCost = (price, n, k) => price.perQuestion(n) + k * price.perSample(n);
  const tokensPaid = (budget, price, n, k) => {
    if (budget.total === undefined) return budget.train / price.perTrainingToken(n);
    return (budget.total - budget.questions * samplesCost(price, n, k)) / price.perTrainingToken(n);
  };
  /** The log of the largest size, from low to high, of which a budget pays so many samples; -Infinity: none. */
  const largestSize = (budget, price, samples, low, high) => {
    const pays = (x) => mostSamples(budget, price, Math.exp(x)) * (1 + ROUNDING) >= samples;
    let left = Math.log(low), right = Math.log(high);
    const [smallest, largest] = [left, right];
    for (let i = 0; i < 60; i++) {
      const middle = (left + right) / 2;
      if (pays(middle)) left = middle; else right = middle;
    }
    return pays(largest) ? largest : pays(smallest) ? left : -Infinity;
  };
  const sizesPaid = (budget, price, low, high) => {
    const unit = price.unit.toLowerCase(), trainUnit = price.train_unit.toLowerCase();
    const [named, spent] = budget.total !== undefined ? [`total_${unit}`, budget.total] : [`inference_${unit}`, budget.inference];
    const given = budget.total !== undefined ? {[named]: spent, questions: budget.questions} : {[`train_${trainUnit}`]: budget.train};
    if (budget.total === undefined && spent !== null) given[named] = spent;
    for (const [name, value] of Object.entries(given)) {
      if (!(value > 0 && value < Infinity)) throw new Error(`${name} is ${g(value, 6)}; a budget has to be a finite number above 0`);
    }
    if (budget.total !== undefined && price.unit !== price.train_unit) {
      throw new Error(`training is priced in ${price.train_unit} and samples in ${price.unit}, so one budget cannot pay ` +
        'both; give two budgets or another price');
    }
    const limit = largestSize(budget, price, 1, low, high);
    if (!Number.isFinite(limit)) {
      const least = samplesCost(price, low, 1) * (budget.total === undefined ? 1 : budget.questions);
      const paid = Math.exp(largestSize(budget, price, 1, 1, low));
      const pays = paid ? ` but at most one of ${g(paid)} parameters` : '';
      throw new Error(`${named} ${g(spent, 6)} pays no sample of even the smallest model considered (${g(low, 6)} ` +
        `parameters)${pays}; give more than ${g(least)}`);
    }
    if (!(tokensPaid(budget, price, low, 1) >= 1)) {
      throw new Error(`the budget leaves less than one training token for the smallest model considered, ${g(low, 6)} parameters ` +
        `at ${g(price.perTrainingToken(low), 3)} ${price.train_unit} a token; give more`);
    }
    return [Math.log(low), limit];
  };

  // --- the search -------------------------------------------------------------------------------------------------
  const COUNTS = {1: [33, 9], 2: [17, 13]};

  /** Find the minimum of a function of one or two numbers in a box: every round lays a grid over what is left of the
   * box and keeps what lies around its best point. */
  const minimise = (cost, low, high, rounds) => {
    const n = low.length;
    let left = low.slice(), right = high.slice(), best = low.slice();
    for (let round = 0; round < rounds; round++) {
      const count = COUNTS[n][round ? 1 : 0], span = right.map((end, i) => end - left[i]);
      let least = Infinity, found = null;
      for (let i = 0; i < count; i++) {
        const x = left[0] + i / (count - 1) * span[0];
        for (let j = 0; j < (n === 2 ? count : 1); j++) {
          const y = n === 2 ? left[1] + j / (count - 1) * span[1] : undefined;
          const value = losses(cost(x, y));
          if (found === null || value < least) [least, found] = [value, n === 2 ? [x, y] : [x]];
        }
      }
      best = found;
      const reach = span.map((width) => width * n / (count - 1));
      left = best.map((at, i) => Math.max(low[i], at - reach[i]));
      right = best.map((at, i) => Math.min(high[i], at + reach[i]));
    }
    return best;
  };

  const sizesConsidered = (fit) => [fit.params_range[0] / BELOW, fit.params_range[1] * ABOVE];

  /** What to choose by: one fit's parameters (or a refit's) against a budget. */
  class Problem {
    constructor(law, parameters, budget, price, selection, low, high) {
      Object.assign(this, {law, parameters, budget, price, selection, low, high});
      this.sign = law.target === 'nll' ? 1 : -1;
      const endToEnd = budget.total !== undefined;
      this.choosesSamples = !law.singlePass && (endToEnd || (budget.inference !== null && !selection.moreIsBetter));
    }

    with(changes) {
      const all = {...this, ...changes};
      return new Problem(all.law, all.parameters, all.budget, all.price, all.selection, all.low, all.high);
    }

    value(n, d, k) {
      return d > 0 ? predict(this.law, this.parameters, this.selection, n, d, k) : NaN;
    }

    draw(n, k) {
      if (!(k <= mostSamples(this.budget, this.price, n) * (1 + ROUNDING))) return [n, NaN, k, NaN];
      const most = this.law.mostTokens ? this.law.mostTokens(this.parameters, n) : Infinity;
      const tokens = Math.min(tokensPaid(this.budget, this.price, n, k), most);
      return [n, tokens, k, this.value(n, tokens, k)];
    }

    spend(n, trade = -Infinity) {
      let most = this.law.singlePass ? 1 : mostSamples(this.budget, this.price, n);
      if (this.choosesSamples) most = 1 + (most - 1) / (1 + Math.exp(-Math.max(trade, -700)));
      return this.draw(n, Math.max(most, 1));
    }

    trades() {
      return [-12 - Math.log(mostSamples(this.budget, this.price, Math.exp(this.low))), 12];
    }

    optimum(rounds = EXACT) {
      const box = [[this.low, this.high], ...(this.choosesSamples ? [this.trades()] : [])];
      const cost = (x, z) => this.sign * this.spend(Math.exp(x), z)[3];
      const [x, z] = minimise(cost, box.map((side) => side[0]), box.map((side) => side[1]), rounds);
      return this.spend(Math.exp(x), z);
    }

    optimumAt(samples) {
      const found = [];
      for (const k of samples) {
        const most = largestSize(this.budget, this.price, k, Math.exp(this.low), Math.exp(this.high));
        if (!(most >= this.low)) continue;
        const [x] = minimise((at) => this.sign * this.draw(Math.exp(at), k)[3], [this.low], [most], EXACT);
        found.push(this.draw(Math.exp(x), k));
      }
      return found;
    }

    atSize(n) {
      if (!this.choosesSamples) return this.spend(n);
      const [low, high] = this.trades();
      const [z] = minimise((at) => this.sign * this.spend(n, at)[3], [low], [high], PER_SIZE);
      return this.spend(n, z);
    }

    best(choices) {
      const loss = choices.map((choice) => losses(this.sign * choice[3])), least = Math.min(...loss);
      return choices[Math.max(0, loss.findIndex((value) => value <= least + 1e-12 * Math.abs(least)))];
    }

    wholeNear(choice) {
      const nearest = whole(choice[2]), ks = [];
      for (let k = Math.max(1, nearest - NEAR); k <= nearest + NEAR; k++) ks.push(k);
      return this.best(this.optimumAt(ks));
    }

    wholeAtSize(n) {
      const k = whole(this.atSize(n)[2]), fewer = this.draw(n, k);
      if (!this.choosesSamples) return fewer;
      const more = this.draw(n, k + 1);
      return losses(this.sign * more[3]) < losses(this.sign * fewer[3]) ? more : fewer;
    }
  }

  const problemOf = (fit, budget, price, selection) => {
    const law = LAWS[fit.law];
    checkSelection(law, selection);
    return new Problem(law, fit.parameters, budget, price, selection, ...sizesPaid(budget, price, ...sizesConsidered(fit)));
  };

  return {EXACT, whole, mostSamples, tokensPaid, sizesConsidered, problemOf};
})();
