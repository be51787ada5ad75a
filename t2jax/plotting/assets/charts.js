// Two charts as SVG, drawn at the width of their box. Colours are those of report.css; labels stand on the curves.
const t2charts = (() => {
  const NS = 'http://www.w3.org/2000/svg';
  const { count, flops, percent } = t2words;
  const MARGIN = { left: 54, right: 14, top: 42, bottom: 44 };

  function add(parent, name, attributes = {}, text = '') {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    parent.append(node);
    return node;
  }

  // Clears a box and puts an SVG into it that screen readers know by one sentence.
  function canvas(box, sentence, margin) {
    const width = Math.max(260, box.clientWidth),
      height = Math.round(Math.min(380, 210 + width * 0.2));
    box.replaceChildren();
    const svg = add(box, 'svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': sentence });
    const area = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
    return { svg, ...area, width };
  }

  const logScale = (low, high, from, to) => {
    const slope = (to - from) / Math.log(high / low);
    return (value) => from + slope * Math.log(value / low);
  };
  const linearScale = (low, high, from, to) => (value) => from + ((to - from) * (value - low)) / (high - low);

  // Round numbers on a logarithmic axis: of a few series the densest with at most `most`.
  function logTicks(low, high, most) {
    const first = Math.floor(Math.log10(low)),
      last = Math.ceil(Math.log10(high));
    const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const series = [4, 3, 2, 1].map((step) => powers.filter((p) => p % step === 0).map((p) => 10 ** p));
    for (const digits of [
      [1, 3],
      [1, 2, 5],
      [1, 1.5, 2, 3, 4, 5, 7],
    ])
      series.push(powers.flatMap((p) => digits.map((digit) => Number((digit * 10 ** p).toPrecision(3)))));
    let chosen = [];
    for (const candidate of series) {
      const inside = candidate.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
      if (inside.length >= 2 && inside.length <= most) chosen = inside;
    }
    return chosen;
  }

  function linearTicks(low, high, most) {
    const rough = (high - low) / most,
      power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
    const first = Math.ceil(low / step - 1e-9),
      last = Math.floor(high / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  function axes(g, x, y, xTicks, yTicks, write, title) {
    for (const tick of yTicks) {
      add(g.svg, 'line', { class: 'grid', x1: g.left, x2: g.right, y1: y(tick), y2: y(tick) });
      add(g.svg, 'text', { x: g.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, write.y(tick));
    }
    add(g.svg, 'line', { class: 'axis', x1: g.left, x2: g.right, y1: g.bottom, y2: g.bottom });
    for (const tick of xTicks) {
      add(g.svg, 'line', { class: 'axis', x1: x(tick), x2: x(tick), y1: g.bottom, y2: g.bottom + 5 });
      add(g.svg, 'text', { x: x(tick), y: g.bottom + 19, 'text-anchor': 'middle' }, write.x(tick));
    }
    add(g.svg, 'text', { x: (g.left + g.right) / 2, y: g.bottom + 38, 'text-anchor': 'middle' }, title.x);
    add(g.svg, 'text', { x: 0, y: title.top ?? 14 }, title.y);
  }

  const path = (points) => points.map(([px, py], i) => `${i ? 'L' : 'M'}${px.toFixed(1)} ${py.toFixed(1)}`).join('');

  function shade(g, x, [low, high]) {
    const from = Math.max(g.left, x(low)),
      to = Math.min(g.right, x(high));
    if (to <= from) return;
    add(g.svg, 'rect', { class: 'data', x: from, width: to - from, y: g.top, height: g.bottom - g.top });
  }

  function diamond(g, px, py) {
    const d = `M${px - 6} ${py}L${px} ${py - 6}L${px + 6} ${py}L${px} ${py + 6}Z`;
    add(g.svg, 'path', { class: 'mark', d, style: '--law: var(--chinchilla)' });
  }

  // Writes a name beside a mark, on the side where there is room for it.
  function beside(g, px, py, text, style) {
    const right = px + 9 + 6.6 * text.length < g.right;
    const place = { x: right ? px + 9 : px - 9, y: py, 'text-anchor': right ? 'start' : 'end' };
    add(g.svg, 'text', { class: 'name halo', ...place, style }, text);
  }

  // The value against N of one law: `choice` as plan() returns it, `profile` [{params, samples}] for the scale of k.
  function sizes(box, { law, choice, profile, pickName, sentence }) {
    const g = canvas(box, sentence, MARGIN),
      style = `--law: var(--${law}, var(--faint))`;
    const { curve, chinchilla: pick } = choice,
      marked = pick && pick.value !== null;
    const higher = choice.target !== 'nll';
    const ns = [...curve.params, choice.params, ...(marked ? [pick.params] : [])];
    const x = logScale(Math.min(...ns), Math.max(...ns), g.left, g.right);
    // far from the optimum a loss runs away, and would flatten what matters
    const near = [...curve.value, ...(curve.low ?? []), ...(curve.high ?? [])];
    let low = Math.min(...near, ...(marked ? [pick.value] : [])),
      high = Math.max(...near);
    if (!higher)
      high = Math.min(
        high,
        Math.max(choice.value + 4 * Math.max(choice.value - low, 0.35 * choice.value), marked ? pick.value * 1.05 : 0),
      );
    const air = 0.07 * (high - low || 1);
    low = Math.max(0, low - (higher ? 1 : 2) * air);
    high += (higher ? 2 : 1) * air;
    const y = linearScale(low, high, g.bottom, g.top);
    shade(g, x, choice.params_range);
    const few = g.width < 480;
    const write = {
      x: (tick) => count(tick, 2),
      y: (tick) => (higher ? `${Number((100 * tick).toPrecision(6))}\u00a0%` : tick),
    };
    const name = { nll: 'NLL (nats), lower is better', pass_at_k: 'pass@k, higher is better' }[choice.target];
    axes(g, x, y, logTicks(Math.min(...ns), Math.max(...ns), few ? 4 : 7), linearTicks(low, high, 5), write, {
      x: 'N, parameters',
      y: name ?? 'success, higher is better',
      top: 12,
    });
    scaleOfK(g, x, profile, few);
    const [w, h] = [g.right - g.left, g.bottom - g.top];
    const inside = add(g.svg, 'svg', {
      x: g.left,
      y: g.top,
      width: w,
      height: h,
      viewBox: `${g.left} ${g.top} ${w} ${h}`,
    });
    const at = (values) => curve.params.map((n, i) => [x(n), y(values[i])]);
    if (curve.low)
      add(inside, 'path', { class: 'band', style, d: `${path([...at(curve.low), ...at(curve.high).reverse()])}Z` });
    add(inside, 'path', { class: 'curve', style, d: path(at(curve.value)) });
    const span = choice.bands?.params?.['80'];
    if (span) {
      const [from, to] = span.map((n) => Math.min(g.right, Math.max(g.left, x(n)))),
        py = g.bottom - 8;
      add(g.svg, 'path', {
        class: 'span',
        style,
        d: `M${from} ${py - 4}V${py + 4}M${from} ${py}H${to}M${to} ${py - 4}V${py + 4}`,
      });
    }
    const up = higher ? -12 : 20;
    if (marked) {
      diamond(g, x(pick.params), y(pick.value));
      // where the two are close the names go to either side of the curve
      const close = Math.abs(x(pick.params) - x(choice.params)) < 150 && Math.abs(y(pick.value) - y(choice.value)) < 40;
      beside(
        g,
        x(pick.params),
        y(pick.value) + (close ? (higher ? 20 : -12) : up),
        `${pickName} ${count(pick.params)}`,
        '--law: var(--chinchilla)',
      );
    }
    add(g.svg, 'circle', { class: 'mark', style, cx: x(choice.params), cy: y(choice.value), r: 6 });
    beside(g, x(choice.params), y(choice.value) + up, `best ${count(choice.params)}`, style);
  }

  // k falls as N grows: its round numbers above the size that draws so many samples.
  function scaleOfK(g, x, profile, few) {
    const paid = profile.filter((point) => point.samples >= 1 && Number.isFinite(point.tokens));
    const falls = paid.every((point, i) => !i || point.samples < paid[i - 1].samples);
    if (paid.length < 2 || !falls) return;
    const ticks = logTicks(Math.max(1, paid.at(-1).samples), paid[0].samples, few ? 4 : 7);
    add(g.svg, 'line', { class: 'axis', x1: g.left, x2: g.right, y1: g.top, y2: g.top });
    for (const k of ticks) {
      const i = paid.findIndex((point) => point.samples <= k);
      if (i < 1) continue;
      const [a, b] = [paid[i - 1], paid[i]],
        share = Math.log(a.samples / k) / Math.log(a.samples / b.samples);
      const px = x(a.params * (b.params / a.params) ** share);
      add(g.svg, 'line', { class: 'axis', x1: px, x2: px, y1: g.top - 5, y2: g.top });
      add(g.svg, 'text', { x: px, y: g.top - 9, 'text-anchor': 'middle' }, count(k));
    }
    add(g.svg, 'text', { x: g.right, y: 12, 'text-anchor': 'end' }, few ? 'k' : 'k, samples that are paid');
  }

  // N* against the budget: `lines` {law: [{budget, params}]}, `here` {law: params} at the budget `now`.
  function frontier(box, { lines, here, now, data, names, title, sentence }) {
    const narrow = box.clientWidth < 480;
    const name = (law) => (narrow ? names[law].replace(/ \(.*/, '') : names[law]);
    const longest = Math.max(...Object.keys(here).map((law) => name(law).length));
    const g = canvas(box, sentence, { ...MARGIN, top: 26, right: 12 + 8.1 * longest });
    const points = Object.values(lines).flat();
    if (!points.length) return;
    const budgets = [...points.map((point) => point.budget), now];
    const ns = [...points.map((point) => point.params), ...Object.values(here)];
    const [low, high, least, most] = [
      Math.min(...budgets),
      Math.max(...budgets),
      Math.min(...ns) / 1.3,
      Math.max(...ns) * 1.3,
    ];
    const x = logScale(low, high, g.left, g.right),
      y = logScale(least, most, g.bottom, g.top);
    if (data) shade(g, x, data);
    axes(
      g,
      x,
      y,
      logTicks(low, high, narrow ? 3 : 7),
      logTicks(least, most, 6),
      { x: flops, y: (tick) => count(tick, 2) },
      { x: title, y: 'N*, parameters', top: 12 },
    );
    add(g.svg, 'line', { class: 'now', x1: x(now), x2: x(now), y1: g.top, y2: g.bottom });
    const ends = [];
    for (const [law, line] of Object.entries(lines)) {
      if (!line.length) continue;
      const style = `--law: var(--${law}, var(--faint))`,
        at = line.map((point) => [x(point.budget), y(point.params)]);
      add(g.svg, 'path', { class: 'curve', style, d: path(at) });
      if (here[law]) add(g.svg, 'circle', { class: 'mark', style, cx: x(now), cy: y(here[law]), r: 5 });
      ends.push({ at: at.at(-1)[1], style, text: name(law) });
    }
    ends.sort((a, b) => a.at - b.at);
    ends.forEach((end, i) => {
      end.y = i ? Math.max(end.at, ends[i - 1].y + 15) : end.at;
    });
    for (const end of ends)
      add(g.svg, 'text', { class: 'name', style: end.style, x: g.right + 8, y: end.y + 4 }, end.text);
  }

  return { sizes, frontier };
})();
