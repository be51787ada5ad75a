// The laws and the ways to select among samples, as t2jax/laws/forms.py and selection.py have them: what a fitted law
// predicts for N parameters, D tokens and k samples. Numbers in, numbers out; tests compare every one with Python.
'use strict';
const t2laws = (() => {
  const power = (coefficient, exponent, x) => coefficient * Math.exp(-exponent * Math.log(x));
  const chinchilla = (p, n, d) => p.E + power(p.A, p.alpha, n) + power(p.B, p.beta, d);
  const t2nll = (p, n, d, k) => chinchilla(p, n, d) + power(p.G, p.gamma, k);

  /** Stirling's series of log-gamma after its term 1 / (12 z). */
  const stirlingRest = (z) => {
    const inverse = 1 / z, square = inverse * inverse;
    return inverse * square * (-1 / 360 + square * (1 / 1260 + square * (-1 / 1680 + square / 1188)));
  };

  /** 1 - B(a, b + k) / B(a, b): the chance of a success in k tries where p ~ Beta(a, b). */
  const passAtK = (a, b, k) => {
    let growth = 0;
    for (let j = 0; j < 8; j++) {
      const step = a * k / ((b + j) * (a + b + k + j));
      growth += step + growth * step;
    }
    const x = b + 8;
    let logRatio = (x - 0.5) * Math.log1p(a * k / (x * (x + a + k))) - Math.log1p(growth);
    logRatio -= k * Math.log1p(a / (x + k)) + a * Math.log1p(k / (x + a));
    logRatio += (a / ((x + k) * (x + k + a)) - a / (x * (x + a))) / 12;
    return -Math.expm1(logRatio + stirlingRest(x + k) + stirlingRest(x + a) - stirlingRest(x + a + k) - stirlingRest(x));
  };

  const clip = (value, low, high) => Math.min(Math.max(value, low), high);

  /** (a, b) of the Beta distribution of questions' accuracy, from the loss of a single pass (T2 Approach 2). */
  const betaOfLoss = (p, loss) => {
    const slope = clip(p.theta1 * (loss - p.theta0), -300, 300);
    const mean = p.theta2 / (1 + Math.exp(slope));
    const rest = (1 - p.theta2) + p.theta2 / (1 + Math.exp(-slope)); // 1 - mean, without losing its digits
    const concentration = Math.exp(Math.min(p.theta3 + p.theta4 * loss, 300));
    return [mean * concentration, rest * concentration];
  };

  const LAWS = {
    chinchilla: {target: 'nll', singlePass: true, predict: chinchilla},
    't2-nll': {target: 'nll', predict: t2nll},
    't2-accuracy': {
      target: 'pass_at_k',
      predict: (p, n, d, k) => passAtK(...betaOfLoss(p, chinchilla(p, n, d)), k),
    },
    't2-nll-overtraining': {
      target: 'nll',
      predict: (p, n, d, k) => t2nll(p, n, d, k) + power(p.H, -p.eta, d / n),
      // the D beyond which the law rises: there beta B / D^beta = eta H (D / N)^eta
      mostTokens: (p, n) => {
        const fall = p.beta * p.B, rise = p.eta * p.H;
        if (!(rise > 0)) return Infinity;
        return Math.max(1, Math.exp((Math.log(fall) - Math.log(rise) + p.eta * Math.log(n)) / (p.beta + p.eta)));
      },
    },
    'per-k': {
      target: 'nll',
      predict: (p, n, d, k) => {
        const logK = Math.log(k);
        const bySize = power(power(p.A, p.a, k), p.alpha + p.alpha_k * logK, n);
        return power(p.E, p.e, k) + bySize + power(power(p.B, p.b, k), p.beta + p.beta_k * logK, d);
      },
    },
    'log-bilinear': {
      target: 'pass_at_k',
      predict: (p, n, d, k) => {
        const logC = Math.log(6 * n * d), logK = Math.log(k);
        return Math.exp(-Math.exp(clip(p.c0 + p.c1 * logC + p.c2 * logK + p.c3 * logC * logK, -300, 300)));
      },
    },
  };
  for (const [name, law] of Object.entries(LAWS)) law.name = name;

  // --- selection: which of k samples is handed on --------------------------------------------------------------

  /** log(1 - p), of the last double below 1 where p is 1. */
  const logRest = (p) => Math.log1p(-Math.min(p, 1 - 2 ** -53));

  /** Average chance(p) over p ~ Beta(a, b) by the trapezoid rule in logit p; it has to be 0 at 0 and 1 at 1, and no
   * steeper than k samples make it. See mean_under_beta in selection.py. */
  const meanUnderBeta = (chance, a, b, k) => {
    const mean = a / (a + b), fewer = Math.min(1, 1e8 * (1 / a + 1 / b));
    a *= fewer;
    b *= fewer;
    const middle = Math.log(a) - Math.log(b), spread = Math.sqrt(1 / a + 1 / b);
    const low = Math.max(middle - 8 * spread - 25 / a, -Math.log(Math.max(k, b, 1)) - 17);
    const high = Math.min(middle + 8 * spread + 25 / b, Math.log(Math.max(a, 1)) + 17);
    const steps = Math.ceil((high - low) / (0.5 * Math.min(1, spread)));
    if (!Number.isFinite(steps)) return NaN;
    const count = 1 + Math.max(1, steps), step = (high - low) / (count - 1);
    const logits = new Float64Array(count), density = new Float64Array(count);
    let top = -Infinity;
    for (let i = 0; i < count; i++) {
      const z = low + step * i;
      logits[i] = z;
      density[i] = a * z - (a + b) * (Math.max(0, z) + Math.log1p(Math.exp(-Math.abs(z))));
      top = Math.max(top, density[i]);
    }
    let total = 0, sum = 0;
    for (let i = 0; i < count; i++) {
      density[i] = Math.exp(density[i] - top);
      total += density[i];
      if (density[i] > 0) {
        const p = 1 / (1 + Math.exp(-logits[i]));
        sum += (chance(p) - p) * density[i];
      }
    }
    // the rule goes on beyond both ends, where the density falls as two geometric series
    total += density[0] / Math.expm1(a * step) + density[count - 1] / Math.expm1(b * step);
    return mean + sum / total;
  };

  const LANCZOS = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  const logGamma = (z) => {
    if (z < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * z))) - logGamma(1 - z);
    let sum = 0.99999999999980993;
    LANCZOS.forEach((c, i) => { sum += c / (z + i); });
    const t = z + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (z - 0.5) * Math.log(t) - t + Math.log(sum);
  };

  /** Lentz's continued fraction of the incomplete beta function. */
  const betaFraction = (a, b, x) => {
    const tiny = 1e-300, keep = (value) => (Math.abs(value) < tiny ? tiny : value);
    let c = 1, d = 1 / keep(1 - (a + b) * x / (a + 1)), h = d;
    for (let m = 1; m < 20000; m++) {
      let part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / keep(1 + part * d);
      c = keep(1 + part / c);
      h *= d * c;
      part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / keep(1 + part * d);
      c = keep(1 + part / c);
      h *= d * c;
      if (Math.abs(d * c - 1) < 1e-13) break;
    }
    return h;
  };

  /** The distribution function of Beta(a, b), as a function of p. */
  const betaBelow = (a, b) => {
    const constant = logGamma(a + b) - logGamma(a) - logGamma(b);
    return (p) => {
      if (p <= 0) return 0;
      if (p >= 1) return 1;
      const front = Math.exp(constant + a * Math.log(p) + b * Math.log1p(-p));
      return p < (a + 1) / (a + b + 2) ? front * betaFraction(a, b, p) / a : 1 - front * betaFraction(b, a, 1 - p) / b;
    };
  };

  /** P(Y < p) of p ~ Beta(a, b) and Y ~ Beta(m, m), averaged over the narrower of the two. */
  const chanceAbove = (m, a, b) => {
    if (m <= 1) return a / (a + b);
    const wide = 1 / a + 1 / b > 2 / m;
    if (wide) return 1 - meanUnderBeta(betaBelow(a, b), m, m, 1);
    return meanUnderBeta(betaBelow(m, m), a, b, 1);
  };

  const short = (chance) => String(Number(chance.toPrecision(3)));

  const SELECTIONS = {
    coverage: () => ({name: 'coverage', moreIsBetter: true, mean: passAtK}),
    verifier: ({true_positive: right, false_positive: wrong}) => {
      for (const [name, value] of [['true_positive', right], ['false_positive', wrong]]) {
        if (!(value >= 0 && value <= 1)) throw new Error(`${name} is ${value}; a verifier accepts with a chance from 0 to 1`);
      }
      const chance = (p, k) => {
        const accepted = wrong + p * (right - wrong), rest = logRest(accepted);
        const some = -Math.expm1(k * rest) / (accepted > 0 ? accepted : 1);
        return p * (right * some + (1 - right) * Math.exp((k - 1) * rest));
      };
      return {
        name: `verifier accepting ${short(right)} of right and ${short(wrong)} of wrong samples`,
        moreIsBetter: right >= wrong,
        mostRefits: 100,
        mean: (a, b, k) => meanUnderBeta((p) => chance(p, k), a, b, k),
      };
    },
    majority: () => ({
      name: 'majority vote',
      moreIsBetter: false,
      mostRefits: 20,
      // exact at whole k; a fractional k draws one sample more for a share of the questions
      mean: (a, b, k) => {
        const whole = Math.floor(k), m = Math.ceil(whole / 2), next = Math.ceil((whole + 1) / 2);
        const now = chanceAbove(m, a, b);
        return k > whole && next > m ? now + (k - whole) * (chanceAbove(next, a, b) - now) : now;
      },
    }),
  };

  const selectionOf = (given) => {
    if (!(given.kind in SELECTIONS)) throw new Error(`there is no selection ${given.kind}`);
    return {kind: given.kind, ...SELECTIONS[given.kind](given)};
  };

  /** Refuse a selection that a law cannot predict: only t2-accuracy knows how success is spread over questions. */
  const checkSelection = (law, selection) => {
    if (selection.kind !== 'coverage' && !law.singlePass && law.name !== 't2-accuracy') {
      throw new Error(`${law.name} does not say how success is spread over questions, so it can plan with coverage alone; ` +
        `fit t2-accuracy to plan with a ${selection.name}`);
    }
  };

  /** Predict a law's target under a selection. */
  const predict = (law, p, selection, n, d, k) => {
    if (selection.kind === 'coverage' || law.singlePass) return law.predict(p, n, d, k);
    return selection.mean(...betaOfLoss(p, chinchilla(p, n, d)), k);
  };

  return {LAWS, selectionOf, checkSelection, predict};
})();
