// A line chart with labelled axes as SVG. Pointer and arrow keys read its values.

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 250;
const MARGIN = {top: 10, right: 14, bottom: 44, left: 62};

function element(name, attributes, text) {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}

// ticks are about n round numbers from low to high; of whole numbers only where whole is true.
function ticks(low, high, n, whole) {
  const rough = (high - low) / Math.max(1, n);
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const out = [];
  // + 0 makes 0 of -0
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) out.push(i * step + 0);
  return out;
}

export class Chart {
  // options: xLabel, yLabel, x and y (which write a value), least (of the y axis), most (likewise), empty (a text while
  // there are no values).
  constructor(container, options) {
    this.options = options;
    this.series = [];
    this.at = null; // the x that is read
    this.legend = document.createElement('div');
    this.legend.className = 'legend';
    this.svg = element('svg', {role: 'img', tabindex: '0', height: HEIGHT});
    container.append(this.legend, this.svg);
    this.svg.addEventListener('pointermove', (e) => this.point(e.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener('pointerleave', () => this.read(null));
    this.svg.addEventListener('blur', () => this.read(null));
    this.svg.addEventListener('keydown', (e) => this.key(e));
    new ResizeObserver(() => this.draw()).observe(container);
  }

  // set shows series: [{name, color: blue | pale | orange | green, points: [[x, y]…] by x, y null where there is none,
  // dots}].
  set(series) {
    this.series = series;
    this.draw();
  }

  // every is all x of the series, in order.
  every() {
    return [...new Set(this.series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
  }

  point(px) {
    if (!this.toX) return;
    const x = this.toX(px);
    this.read(
      this.every().reduce((best, v) => (best === null || Math.abs(v - x) < Math.abs(best - x) ? v : best), null),
    );
  }

  key(e) {
    const all = this.every();
    if (!all.length) return;
    const by = Math.max(1, Math.round(all.length / 100));
    let i = this.at === null ? all.length - 1 : all.findIndex((v) => v >= this.at);
    if (e.key === 'ArrowLeft') i -= by;
    else if (e.key === 'ArrowRight') i += by;
    else if (e.key === 'Home') i = 0;
    else if (e.key === 'End') i = all.length - 1;
    else if (e.key === 'Escape') return this.read(null);
    else return;
    e.preventDefault();
    this.read(all[Math.max(0, Math.min(all.length - 1, i))]);
  }

  read(x) {
    if (x === this.at) return;
    this.at = x;
    this.draw();
  }

  // value is a series's value at the x that is read, or its last one.
  value(s) {
    for (let i = s.points.length - 1; i >= 0; i--) {
      const [x, y] = s.points[i];
      if (y !== null && (this.at === null || x === this.at)) return y;
    }
    return null;
  }

  draw() {
    const o = this.options;
    const width = this.svg.clientWidth || 560;
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren();
    this.toX = null;
    this.drawLegend();
    const middle = (MARGIN.left + right) / 2;
    const points = this.series.flatMap((s) => s.points).filter((p) => p[1] !== null);
    if (!points.length) {
      this.svg.append(element('text', {x: width / 2, y: HEIGHT / 2, 'text-anchor': 'middle'}, o.empty));
      return;
    }
    const xs = points.map((p) => p[0]);
    const ys = points.map((p) => p[1]).sort((a, b) => a - b);
    let x0 = xs.reduce((a, b) => Math.min(a, b));
    let x1 = xs.reduce((a, b) => Math.max(a, b));
    if (x1 === x0) [x0, x1] = [x0 - 1, x1 + 1];
    // A few far outliers must not press all else flat.
    let y0 = ys[0];
    let y1 = ys[Math.min(ys.length - 1, Math.floor(ys.length * 0.998))];
    if (o.least !== undefined) y0 = Math.min(y0, o.least);
    if (y1 - y0 < 1e-12) [y0, y1] = [y0 - Math.abs(y0 || 1) * 0.1, y1 + Math.abs(y1 || 1) * 0.1];
    const marks = ticks(y0, y1, 5, false);
    const step = marks.length > 1 ? marks[1] - marks[0] : y1 - y0;
    y0 = Math.floor(y0 / step + 1e-9) * step;
    y1 = Math.ceil(y1 / step - 1e-9) * step;
    if (o.most !== undefined) y1 = Math.min(y1, o.most);
    const px = (x) => MARGIN.left + ((x - x0) / (x1 - x0)) * (right - MARGIN.left);
    const py = (y) => bottom - ((y - y0) / (y1 - y0)) * (bottom - MARGIN.top);
    this.toX = (p) => x0 + ((p - MARGIN.left) / (right - MARGIN.left)) * (x1 - x0);

    for (const y of ticks(y0, y1, Math.round((y1 - y0) / step), false)) {
      this.svg.append(
        element('line', {class: 'grid-line', x1: MARGIN.left, x2: right, y1: py(y), y2: py(y)}),
        element('text', {x: MARGIN.left - 8, y: py(y) + 4, 'text-anchor': 'end'}, o.y(y, step)));
    }
    for (const x of ticks(x0, x1, width / 95, true)) {
      if (x < x0 || x > x1) continue;
      this.svg.append(
        element('line', {class: 'axis', x1: px(x), x2: px(x), y1: bottom, y2: bottom + 4}),
        element('text', {x: px(x), y: bottom + 18, 'text-anchor': 'middle'}, o.x(x)));
    }
    this.svg.append(
      element('line', {class: 'axis', x1: MARGIN.left, x2: right, y1: bottom, y2: bottom}),
      element('text', {x: middle, y: HEIGHT - 6, 'text-anchor': 'middle'}, o.xLabel),
      element(
        'text',
        {x: 0, y: 0, 'text-anchor': 'middle', transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)`},
        o.yLabel,
      ),
    );

    const clip = (y) => Math.max(y0, Math.min(y1, y));
    for (const s of this.series) {
      let d = '';
      let pen = 'M';
      for (const [x, y] of s.points) {
        if (y === null) {
          if (!s.dots) pen = 'M'; // what was not measured is a gap, between evaluations it is none
          continue;
        }
        d += `${pen}${px(x).toFixed(1)} ${py(clip(y)).toFixed(1)}`;
        pen = 'L';
      }
      this.svg.append(element('path', {class: `line ${s.color}`, d}));
      const shown = s.points.filter((p) => p[1] !== null);
      const dots = s.dots && shown.length <= 60 ? shown : shown.filter((p) => p[0] === this.at && s.color !== 'pale');
      for (const [x, y] of dots)
        this.svg.append(element('circle', {class: s.color, cx: px(x), cy: py(clip(y)), r: 3.5}));
    }
    if (this.at !== null && this.at >= x0 && this.at <= x1) {
      this.svg.append(element('line', {class: 'cursor', x1: px(this.at), x2: px(this.at), y1: MARGIN.top, y2: bottom}));
    }
  }

  drawLegend() {
    const parts = [];
    const read = [];
    for (const s of this.series) {
      const v = this.value(s);
      const text = v === null ? s.name : `${s.name} ${this.options.y(v)}`;
      read.push(text);
      const key = document.createElement('span');
      key.className = `key ${s.color}`;
      key.textContent = text;
      parts.push(key);
    }
    const where = document.createElement('span');
    where.textContent = this.at === null ? '' : `${this.options.unit} ${this.options.x(this.at)}`;
    if (this.at !== null) parts.push(where);
    this.legend.replaceChildren(...parts);
    const place = this.at === null ? 'latest' : where.textContent;
    this.svg.setAttribute(
      'aria-label',
      `${this.options.yLabel} by ${this.options.unit}. ${place}: ${read.join(', ') || 'no values yet'}. `
        + 'Arrow keys read values.',
    );
  }
}
