// Numbers as people read them: a port of t2jax/plotting/labels.py.
const t2words = (() => {
  const SUFFIXES = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  const grouped = (value, digits = 0) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

  // 6036 -> '6.04k', rounded first, so that 999,960 becomes '1M'
  function count(value, digits = 3) {
    if (!Number.isFinite(value)) return '–';
    const rounded = Number(value.toPrecision(digits));
    const [size, suffix] = SUFFIXES.find(([least]) => Math.abs(rounded) >= least) ?? [1, ''];
    return String(Number((rounded / size).toPrecision(digits))) + suffix;
  }

  function flops(value) {
    const [mantissa, exponent] = value.toExponential(2).split('e');
    return `${Number(mantissa)}e${Number(exponent)}`;
  }

  function ratio(value) {
    if (!Number.isFinite(value)) return '–';
    if (value >= 1e5) return count(value);
    return value >= 9.5 ? grouped(value) : value.toFixed(1);
  }

  function percent(value) {
    if (!Number.isFinite(value)) return '–';
    const hundred = 100 * value;
    if (Math.abs(hundred) >= 99.95) return `${grouped(hundred)}\u00a0%`;
    return `${hundred.toFixed(Math.abs(hundred) >= 9.95 || hundred === 0 ? 1 : 2)}\u00a0%`;
  }

  const loss = (value) => (Number.isFinite(value) ? value.toFixed(3) : '–');
  const samples = (k) => (k < 1 - 1e-9 ? '< 1' : count(k));
  return { count, flops, grouped, loss, percent, ratio, samples };
})();
