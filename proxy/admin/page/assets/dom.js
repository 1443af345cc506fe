// Making and changing elements. Data becomes text and attributes, never markup: nothing on this page knows innerHTML.
// Changing is cheap where nothing changed, so that a thousand rows can be told every second.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const id = (name) => document.getElementById(name);

function fill(el, props, kids) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") el.addEventListener(name, value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...kids.flat().filter((kid) => kid !== null && kid !== undefined));
  return el;
}

/** An HTML element: attributes, listeners (a function is one), children. */
export const h = (tag, props, ...kids) => fill(document.createElement(tag), props, kids);

/** An SVG element. */
export const svg = (tag, props, ...kids) => fill(document.createElementNS(SVG, tag), props, kids);

/** Says a text in an element, unless it says it already. */
export function put(el, text) {
  if (el.told === text) return;
  el.told = text;
  el.textContent = text;
}

/** Sets an attribute, unless it is so already; null takes it away. */
export function attr(el, name, value) {
  const had = (el.had ??= new Map());
  if (had.get(name) === value) return;
  had.set(name, value);
  if (value === null) el.removeAttribute(name);
  else el.setAttribute(name, value);
}

/** Shows or hides. */
export function show(el, on) {
  if (el.hidden === on) el.hidden = !on;
}

/** Makes the children of `parent` these, in this order, moving as few as possible. */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const kid of [...parent.children]) if (!keep.has(kid)) kid.remove();
  wanted.forEach((kid, at) => {
    if (parent.children[at] !== kid) parent.insertBefore(kid, parent.children[at] ?? null);
  });
}

/** Rows of a table that stay the same elements: `make()` gives `{ el, tell(item) }`, the key says which is whose. */
export class Rows {
  constructor(body, make) {
    this.body = body;
    this.make = make;
    this.rows = new Map();
  }

  tell(items, key) {
    const next = new Map();
    for (const item of items) {
      const name = key(item);
      const row = this.rows.get(name) ?? this.make(item);
      row.tell(item);
      next.set(name, row);
    }
    this.rows = next;
    arrange(this.body, [...next.values()].map((row) => row.el));
  }
}

/** A row of cells that say texts: `cells` are classes, `texts(item)` what they say. */
export function plainRow(cells, texts) {
  const tds = cells.map((name) => h("td", { class: name || null }));
  return { el: h("tr", null, tds), tell: (item) => texts(item).forEach((text, at) => put(tds[at], text)) };
}

const SHAPES = {
  good: ["circle", { cx: 5, cy: 5, r: 4 }],
  half: ["path", { d: "M5 1a4 4 0 0 0 0 8z M5 1a4 4 0 0 1 0 8" }],
  off: ["circle", { cx: 5, cy: 5, r: 4, class: "hollow" }],
  warn: ["path", { d: "M5 1l4.5 8h-9z" }],
  bad: ["path", { d: "M1.5 1.5l7 7m0-7l-7 7" }],
};

/** A small shape before a word, so that the colour is not all there is. */
export function shape(kind) {
  const [tag, props] = SHAPES[kind];
  return svg("svg", { class: "shape", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg(tag, kind === "half" ? { ...props, class: "hollow" } : props),
    kind === "half" ? svg("path", { d: "M5 1a4 4 0 0 0 0 8z" }) : null);
}

const SHAPE_COLOUR = { good: "good", half: "warn", off: "soft", warn: "warn", bad: "bad" };

/** A word with its shape, which can become another. */
export function worded() {
  const el = h("span", { class: "words" });
  let had = "";
  return {
    el,
    tell(kind, word) {
      if (had === kind + word) return;
      had = kind + word;
      el.className = `words ${SHAPE_COLOUR[kind]}`;
      el.replaceChildren(shape(kind), word);
    },
  };
}
