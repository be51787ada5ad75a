// What a budget should buy by each fitted law, with bands and alternatives: t2jax/laws/plan.py and bands.py in the reader's
// browser.
'use strict';
const t2plan = (() => {
  const {LAWS, selectionOf, checkSelection} = t2laws, {priceOf, g} = t2prices;
  const {EXACT, whole, mostSamples, tokensPaid, sizesConsidered, problemOf} = t2problem;
  const SAME = 0.01; // sizes closer than this are one and the same choice
  const CURVE = 100; // sizes at which the predicted value is given
  const LEVELS = [80, 95];

  // --- bands: the choice made again under bootstrap refits --------------------------------------------------------
  const mostRefits = (problem) => (problem.law.singlePass ? Infinity : problem.selection.mostRefits || Infinity);
  const drawnOf = (fit) => Math.max(0, ...Object.values(fit.replicates || {}).map((values) => values.length));
  const refitsOf = (problem, fit, atMost) => {
    const names = Object.keys(fit.parameters), drawn = fit.replicates || {};
    const n = names.length && drawn[names[0]] ? drawn[names[0]].length : 0;
    const limit = Math.min(atMost, mostRefits(problem));
    const refits = [];
    for (let i = 0; i < n && refits.length < limit; i++) {
      const parameters = Object.fromEntries(names.map((name) => [name, drawn[name][i]]));
      if (names.every((name) => Number.isFinite(parameters[name]))) refits.push(problem.with({parameters}));
    }
    return refits.length ? refits : null;
  };
  const percentile = (sorted, share) => {
    const at = share / 100 * (sorted.length - 1), i = Math.floor(at);
    return i + 1 < sorted.length ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
  };
  const band = (values) => {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (!sorted.length) return {};
    return Object.fromEntries(LEVELS.map((level) => [level, [50 - level / 2, 50 + level / 2].map((at) => percentile(sorted, at))]));
  };
  const chooseAgain = (refits, chosen) => {
    const found = refits.map((problem) => problem.optimum(problem.choosesSamples ? 6 : 4));
    const atEdge = refits.filter((problem, i) => {
      const x = Math.log(found[i][0]);
      return Math.min(x - problem.low, problem.high - x) < 1e-6;
    }).length / refits.length;
    const bands = {
      params: band(found.map((one) => one[0])),
      tokens: band(found.map((one) => one[1])),
      tokens_per_param: band(found.map((one) => one[1] / one[0])),
      samples: band(found.map((one) => one[2])),
      value: band(refits.map((problem) => problem.value(...chosen.slice(0, 3)))),
    };
    return {bands, atEdge};
  };
  const regret = (problem, refits, chosen, other) => {
    const worseBy = problem.sign * (other[3] - chosen[3]);
    if (!refits) return {worse_by: worseBy, bands: null, better_in: null};
    const apart = refits.map((one) => one.sign * (one.value(...other.slice(0, 3)) - one.value(...chosen.slice(0, 3))));
    return {worse_by: worseBy, bands: band(apart), better_in: apart.filter((value) => value < 0).length / apart.length};
  };

  // --- what is said of a choice -----------------------------------------------------------------------------------
  const named = ([params, tokens, samples, value]) => ({params, tokens, tokens_per_param: tokens / params, samples, value});

  const warningsOf = (fit, problem, [n, d, k]) => {
    const {budget, price} = problem, said = [];
    const reached = [
      ['model size', n, fit.params_range],
      ['tokens per parameter', d / n, fit.tokens_per_param_range],
      ['training FLOPs', 6 * n * d, fit.train_flops_range],
    ];
    if (!problem.law.singlePass && budget.inference !== null) reached.push(['samples', k, fit.k_range]);
    for (const [what, value, [low, high]] of reached) {
      if (!(0.99 * low <= value && value <= 1.01 * high)) {
        said.push(`${what} ${g(value)} is outside the ${g(low)} to ${g(high)} that ${fit.law} was fitted to`);
      }
    }
    fit.params_range.forEach((end, i) => {
      if (0.99 * end <= n && n <= 1.01 * end) {
        said.push(`the optimum is the ${i ? 'largest' : 'smallest'} size trained, ${g(end)}: nothing measured lies beyond it`);
      }
    });
    const below = Math.log(n) - problem.low, above = problem.high - Math.log(n);
    if (above < 1e-6 && problem.high < Math.log(sizesConsidered(fit)[1]) - 1e-6) {
      said.push(`the optimum is the largest size of which the budget pays a sample, ${g(n)} parameters`);
    } else if (Math.min(below, above) < 1e-6) {
      said.push(`the optimum lies at the edge of the sizes considered, ${g(n)} parameters`);
    }
    const paid = tokensPaid(budget, price, n, k);
    if (d < (1 - 1e-6) * paid) {
      const left = Math.round(100 * (1 - d / paid));
      said.push(`${fit.law} predicts that more than ${g(d)} tokens do harm: ${left}% of the training budget is left`);
    }
    if (price.batch !== undefined && k > price.batch) {
      said.push(`${g(k)} samples are more than the ${price.batch} rows decoded at once, but the price reads the prompt's cache ` +
        'once a step for all of them: it is too low');
    }
    return said.concat(price.warnings(n));
  };

  const doubts = (fit, problem, best, atEdge, atMost) => {
    const said = [];
    if (problem.choosesSamples && best[2] < 1.001) {
      said.push('the optimum draws one sample: the law predicts nothing better of more at this budget');
    }
    if (!Object.keys(fit.replicates || {}).length) said.push('the fit holds no bootstrap refits, so there are no bands');
    const drawn = drawnOf(fit), most = Math.min(atMost, mostRefits(problem));
    if (most > 0 && drawn > most) {
      said.push(`the bands are of the first ${most} of ${drawn} refits, so that the answer comes at once`);
    }
    if (atEdge > 0.05) {
      said.push(`${Math.round(100 * atEdge)}% of the refits choose a size at the edge of those considered or paid: the bands are cut there`);
    }
    return said;
  };

  const chinchillaPick = (problem, refits, bought, fit) => {
    const {price, budget: all} = problem;
    let budget = all;
    if (all.total !== undefined) {
      const spent = price.perTrainingToken(bought[0]) * bought[1];
      budget = {train: spent, inference: (all.total - spent) / all.questions};
    }
    const selection = LAWS[fit.law].singlePass ? selectionOf({kind: 'coverage'}) : problem.selection;
    const once = problemOf(fit, {train: budget.train, inference: null}, price, selection);
    let pick = once.best([once.optimum()]);
    const found = {by: fit.law, warnings: warningsOf(fit, once, pick)}, apart = problem.with({budget});
    if (whole(mostSamples(budget, price, pick[0])) < 1) {
      return {...found, ...named(pick), samples: 0, value: null, worse_by: null, bands: null, better_in: null};
    }
    pick = apart.wholeAtSize(pick[0]);
    return {...found, ...named(pick), ...regret(problem, refits, bought, pick)};
  };

  const secondBest = (problem, refits, bought, fit) => {
    const sizes = fit.sizes.filter((n) => Math.abs(Math.log(n / bought[0])) > SAME);
    if (!sizes.length) return null;
    const other = problem.best(sizes.map((n) => problem.wholeAtSize(n)));
    return Number.isNaN(other[3]) ? null : {...named(other), ...regret(problem, refits, bought, other)};
  };

  const curveOf = (problem, refits, best, fit) => {
    const low = Math.max(problem.low, Math.log(Math.min(fit.params_range[0], best[0]) / 3));
    const high = Math.min(problem.high, Math.log(Math.max(fit.params_range[1], best[0]) * 3));
    const curve = {params: [], value: [], low: refits && [], high: refits && []};
    for (let i = 0; i < CURVE; i++) {
      const found = problem.atSize(Math.exp(low + i / (CURVE - 1) * (high - low)));
      if (!Number.isFinite(found[3])) continue;
      curve.params.push(found[0]);
      curve.value.push(found[3]);
      if (refits) {
        const [from, to] = band(refits.map((one) => one.value(...found.slice(0, 3))))[80] || [NaN, NaN];
        curve.low.push(from);
        curve.high.push(to);
      }
    }
    return curve;
  };

  const planLaw = (fit, budget, price, selection, chinchilla, atMost) => {
    const law = LAWS[fit.law], once = law.singlePass && budget.total === undefined;
    const problem = problemOf(fit, once ? {train: budget.train, inference: null} : budget, price, selection);
    const best = problem.optimum(), bought = problem.wholeNear(best);
    const refits = atMost > 0 ? refitsOf(problem, fit, atMost) : null;
    const again = refits ? chooseAgain(refits, best) : {bands: null, atEdge: 0};
    const shown = named(best), shownWhole = named(bought);
    if (once) {
      const paid = budget.inference === null ? 1 : mostSamples(budget, price, best[0]);
      shown.samples = paid;
      shownWhole.samples = Math.max(0, whole(paid));
      if (again.bands) delete again.bands.samples;
    }
    return {
      target: law.target === 'nll' || selection.kind === 'coverage' ? law.target : 'success',
      ...shown,
      whole: shownWhole,
      bands: again.bands,
      refits: refits ? refits.length : 0,
      chinchilla: law.singlePass ? null : chinchillaPick(problem, refits, bought, chinchilla || fit),
      second_best: secondBest(problem, refits, bought, fit),
      curve: curveOf(problem, refits, best, fit),
      params_range: fit.params_range,
      warnings: [...(fit.warnings || []), ...warningsOf(fit, problem, best), ...doubts(fit, problem, best, again.atEdge, atMost)],
    };
  };

  const exact = (budget) => (budget.total === undefined ? {train: budget.train, inference: budget.inference ?? null} : budget);

  /** Choose N, D and k by every fit within a budget; what `t2jax plan --json` prints. Throws an Error, one sentence, for
   * what cannot be planned. `refits` bounds those for the bands (0: none). */
  const plan = ({fits, budget, price, selection, constants, refits = Infinity}) => {
    const laws = fits.map((fit) => fit.law);
    if (!laws.length) throw new Error('there is no fit to plan with; give at least one');
    const unknown = laws.find((law) => !(law in LAWS));
    if (unknown !== undefined) throw new Error(`there is no law ${unknown}; the laws are ${Object.keys(LAWS).join(', ')}`);
    if (new Set(laws).size < laws.length) throw new Error(`the fits are of ${laws.join(', ')}; give one fit of each law`);
    const given = exact(budget), cost = priceOf(price, constants), select = selectionOf(selection);
    const able = [], refused = [];
    for (const fit of fits) {
      try {
        checkSelection(LAWS[fit.law], select);
        able.push(fit);
      } catch (error) {
        refused.push(error.message);
      }
    }
    if (refused.length && able.every((fit) => LAWS[fit.law].singlePass)) throw new Error(refused[0]);
    const chinchilla = fits.find((fit) => LAWS[fit.law].singlePass);
    const choices = able.map((fit) => [fit.law, planLaw(fit, given, cost, select, chinchilla, refits)]);
    const {name, unit, train_unit, served} = cost;
    return {
      budget: given, price: {name, unit, train_unit, served}, selection: select.name,
      choices: Object.fromEntries(choices), warnings: refused,
    };
  };

  /** The optimum of every law at several training budgets, each served with `inference`; budgets that buy nothing are
   * left out. */
  const frontier = ({fits, budgets, inference, price, selection, constants}) => {
    const cost = priceOf(price, constants), select = selectionOf(selection), found = {};
    for (const fit of fits) {
      found[fit.law] = [];
      for (const train of budgets) {
        try {
          const once = LAWS[fit.law].singlePass, budget = {train, inference: inference ?? null};
          const problem = problemOf(fit, once ? {train, inference: null} : budget, cost, select);
          const point = {train, ...named(problem.optimum(problem.choosesSamples ? 8 : EXACT))};
          if (once) point.samples = mostSamples(budget, cost, point.params);
          found[fit.law].push(point);
        } catch (error) { // a law that cannot, or a budget that buys no model; nothing else is let pass
          if (error.constructor !== Error) throw error;
        }
      }
    }
    return found;
  };

  /** What each of some sizes gives by one fit: [{params, tokens, samples, value}], nan where it is not paid. */
  const profile = (fit, budget, price, selection, constants, sizes) => {
    const problem = problemOf(fit, exact(budget), priceOf(price, constants), selectionOf(selection));
    return sizes.map((n) => named(problem.atSize(n)));
  };

  return {plan, frontier, profile};
})();
if (typeof module !== 'undefined') module.exports = t2plan; // of the concatenated files, in node
