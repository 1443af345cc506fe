// Curves over time, as SVG. Gaps are where nothing was seen: no line is drawn over them.

import { attr, h, put, svg } from "./dom.js";

const HEIGHT = 132;
const LEFT = 46;
const TOP = 10;
const BOTTOM = 18;
const STRIPES = 4;
const DENSE = 2.2; // places of a curve are at least so far apart, in pixels

/** A round number at or above `n`, so that the lines of the grid have round numbers too. */
export function ceiling(n) {
  if (!(n > 0)) return STRIPES;
  const size = 10 ** Math.floor(Math.log10(n / STRIPES));
  const step = [1, 2, 2.5, 5, 10].find((one) => STRIPES * size * one >= n * 0.999);
  return STRIPES * size * step;
}

/** The `d` of a path through values (null: a gap), `x` and `y` giving the places. */
export function path(values, x, y) {
  let d = "";
  let pen = "M";
  values.forEach((value, at) => {
    if (value === null || value === undefined) {
      pen = "M";
      return;
    }
    d += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return d;
}

/** A value without the zeros that say nothing: an axis has round numbers. */
const round = (word) => word.replace(/\.(\d*?)0+(?=\D|$)/, (_, rest) => (rest ? `.${rest}` : ""));

/**
 * Fewer values: of each `by` of them the largest (`peak`), or the mean. Where a group begins depends on the time alone, so
 * that a curve moves to the left and does not flicker. `last` is the number of the last step since 1970.
 */
export function thinned(values, by, last, peak) {
  const groups = [];
  let group = null;
  values.forEach((value, at) => {
    const number = Math.floor((last - (values.length - 1 - at)) / by);
    if (number !== group?.number) groups.push((group = { number, sum: 0, n: 0, most: null }));
    if (value === null || value === undefined) return;
    group.sum += value;
    group.n += 1;
    group.most = Math.max(group.most ?? value, value);
  });
  return groups.map(({ sum, n, most }) => (n === 0 ? null : peak ? most : sum / n));
}

/** One chart: `series` are { name, of(points) -> values, style, peak }, `say` a value in words, `most` a fixed top or none. */
export class Chart {
  constructor(title, series, say, most) {
    Object.assign(this, { title, series, say, most, at: null, by: 1, shown: null });
    this.values = series.map(() => h("i", null));
    const names = series.map((one, n) => h("span", { class: one.style }, `${one.name} `, this.values[n]));
    this.curves = series.map((one) => svg("path", { class: `curve ${one.style}` }));
    this.area = svg("path", { class: `area ${series[0].style}` });
    this.grid = svg("g");
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.svg = svg("svg", { height: HEIGHT, role: "img", tabindex: "0" }, this.grid, this.area, this.curves, this.cursor);
    this.el = h("figure", { class: "chart" }, h("figcaption", null, h("b", null, title), names), this.svg);
    this.width = 0;
    new ResizeObserver(([seen]) => {
      this.width = Math.round(seen.contentRect.width);
      this.draw();
    }).observe(this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows this history: { step_seconds, end, points }. */
  tell(history) {
    this.shown = history;
    this.draw();
  }

  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.size) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    this.at = Math.min(this.size - 1, Math.max(0, (this.at ?? this.size - 1) + by * step));
    this.read();
  }

  point(x) {
    this.at = x === null || !this.size ? null : Math.min(this.size - 1, Math.max(0, Math.round(((x - LEFT) / (this.width - LEFT)) * (this.size - 1))));
    this.read();
  }

  draw() {
    if (!this.shown || this.width < 80) return;
    const whole = this.series.map((one) => one.of(this.shown.points));
    this.latest = whole.map((list) => list.at(-1));
    const most = Math.max(0, ...whole.map((list) => list.length));
    this.by = Math.max(1, Math.ceil((most * DENSE) / (this.width - LEFT)));
    this.last = Math.round(new Date(this.shown.end).getTime() / 1000 / this.shown.step_seconds);
    const lists = whole.map((list, n) => thinned(list, this.by, this.last, this.series[n].peak));
    this.lists = lists;
    this.size = Math.max(0, ...lists.map((list) => list.length));
    const top = this.most ?? ceiling(Math.max(0, ...lists.flat().filter((n) => n !== null)));
    const high = HEIGHT - TOP - BOTTOM;
    this.x = (at) => LEFT + (at / Math.max(1, this.size - 1)) * (this.width - LEFT - 1);
    const y = (value) => TOP + high * (1 - Math.min(1, value / top));
    attr(this.svg, "viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.curves.forEach((curve, n) => attr(curve, "d", path(lists[n], this.x, y)));
    attr(this.area, "d", this.filled(lists[0], y));
    this.lines(top, y);
    this.read();
  }

  filled(values, y) {
    const low = HEIGHT - BOTTOM;
    let d = "";
    let from = null;
    const close = (to) => {
      if (from !== null) d += `L${this.x(to).toFixed(1)} ${low}L${this.x(from).toFixed(1)} ${low}Z`;
      from = null;
    };
    values.forEach((value, at) => {
      if (value === null) return close(at - 1);
      d += `${from === null ? "M" : "L"}${this.x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      from ??= at;
    });
    close(values.length - 1);
    return d;
  }

  lines(top, y) {
    const told = `${top} ${this.width} ${this.size} ${this.minute()}`;
    if (told === this.lined) return;
    this.lined = told;
    const across = [];
    for (let n = 0; n <= STRIPES; n += 1) {
      const value = (top * n) / STRIPES;
      across.push(svg("line", { class: "grid", x1: LEFT, x2: this.width, y1: y(value), y2: y(value) }));
      across.push(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, round(this.say(value))));
    }
    for (const [part, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
      across.push(svg("text", { x: LEFT + part * (this.width - LEFT), y: HEIGHT - 3, "text-anchor": anchor }, this.time(part * (this.size - 1), false)));
    }
    this.grid.replaceChildren(...across);
  }

  minute() {
    return Math.floor(new Date(this.shown.end).getTime() / 60000);
  }

  time(at, seconds = true) {
    const end = new Date(this.shown.end).getTime();
    const when = new Date(end - (this.size - 1 - at) * this.by * this.shown.step_seconds * 1000);
    const two = (n) => String(n).padStart(2, "0");
    return `${two(when.getHours())}:${two(when.getMinutes())}${seconds ? `:${two(when.getSeconds())}` : ""}`;
  }

  /** Tells the values under the pointer, or the latest. */
  read() {
    if (!this.lists) return;
    const words = this.lists.map((list, n) => {
      const value = this.at === null ? this.latest[n] : list[this.at];
      const word = value === null || value === undefined ? "–" : this.say(value);
      put(this.values[n], word);
      return `${this.series[n].name} ${word}`;
    });
    attr(this.cursor, "visibility", this.at === null ? "hidden" : "visible");
    const when = this.at === null ? "now" : this.time(this.at);
    if (this.at !== null) {
      attr(this.cursor, "x1", String(this.x(this.at)));
      attr(this.cursor, "x2", String(this.x(this.at)));
    }
    put(this.el.querySelector("b"), this.at === null ? this.title : `${this.title}, ${when}`);
    attr(this.svg, "aria-label", `${this.title}, ${when}: ${words.join(", ")}`);
  }
}

/** A small curve without words, for a row: 62 by 20. */
export function spark() {
  const line = svg("path");
  const el = svg("svg", { class: "spark", viewBox: "0 0 60 20", preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  return {
    el,
    tell(values) {
      const top = Math.max(1, ...values);
      const from = 60 - values.length;
      attr(line, "d", values.length < 2 ? "" : path(values, (at) => from + at, (value) => 19 - (18 * value) / top));
    },
  };
}

/** A bar that is so full, 0 to 1. */
export function bar() {
  const part = svg("rect", { height: 10, width: 0 });
  const el = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, part);
  return { el, tell: (full) => attr(part, "width", (100 * Math.min(1, Math.max(0, full || 0))).toFixed(2)) };
}
