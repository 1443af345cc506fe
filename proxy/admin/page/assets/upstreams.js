// Every node of every upstream: a row each, told every second. Only upstreams in sight are told, so that a thousand
// nodes cost what a screenful does.

import { get } from "./api.js";
import { spark } from "./chart.js";
import { arrange, attr, h, id, put, show } from "./dom.js";
import { recent, tick } from "./live.js";
import { LABELS, NodeRow, isWell, tellFailing } from "./noderow.js";
import { count, many, rate, span, time } from "./units.js";
import { add } from "./verbs.js";

const NAMES_EVERY = 10000;
const KEYS = { d: "drain", u: "undrain", x: "down", w: "weight" };

const groups = new Map();
let current = null;
let names = new Map();
let asking = null;

const sight = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    target.group.seen = isIntersecting;
    if (isIntersecting) target.group.draw();
  }
}, { rootMargin: "200px" });

/** The nodes of an upstream, under a row that sums them up. */
class Group {
  constructor(name) {
    Object.assign(this, { name, rows: new Map(), open: true, seen: true, upstream: null });
    this.fold = h("button", { type: "button", class: "fold", "aria-expanded": "true", click: () => this.toggle() }, name);
    this.how = h("span", { class: "soft" });
    this.well = h("td", { role: "cell", colspan: 2 });
    const n = (at, ...kids) => h("td", { class: "n", role: "cell", "data-label": LABELS[at] }, kids);
    Object.assign(this, { flying: n(4), rate: h("span"), spark: spark(), p50: n(6), p99: n(7), errors: n(8), retries: n(9) });
    const button = h("button", { type: "button", "aria-label": `Add a node to ${name}`, click: () => add(name) }, "Add node…");
    this.head = h("tr", { class: "group", role: "row" }, h("th", { scope: "rowgroup", role: "rowheader" }, this.fold), this.well, h("td", { class: "n", role: "cell" }),
      this.flying, n(5, h("span", { class: "rate" }, this.spark.el, this.rate)), this.p50, this.p99, this.errors, this.retries,
      h("td", { role: "cell", "data-label": "Balance" }, this.how), h("td", { role: "cell" }, h("span", { class: "verbs" }, button)));
    this.remark = h("td", { colspan: 12, role: "cell" });
    this.remarks = h("tr", { class: "remark", role: "row", hidden: true }, this.remark);
    this.el = h("tbody", { role: "rowgroup" }, this.head, this.remarks);
    this.el.group = this;
    sight.observe(this.el);
  }

  toggle() {
    this.open = !this.open;
    this.fold.setAttribute("aria-expanded", String(this.open));
    render();
  }

  /** Takes the upstream of this tick and the nodes that fit the filter; makes and removes rows. */
  take(upstream, fitting) {
    this.upstream = upstream;
    const rows = new Map();
    for (const node of this.open ? fitting : []) {
      const row = this.rows.get(node.id) ?? new NodeRow(this.name);
      row.node = node;
      rows.set(node.id, row);
    }
    this.rows = rows;
    arrange(this.el, [this.head, this.remarks, ...[...rows.values()].map((row) => row.el)]);
    if (this.seen) this.draw();
  }

  draw() {
    const { upstream } = this;
    if (!upstream) return;
    for (const row of this.rows.values()) row.tell(row.node);
    const sum = (of) => upstream.nodes.reduce((all, node) => all + (of(node) ?? 0), 0);
    const second = upstream.second ?? { requests: sum((node) => node.second?.requests), errors: sum((node) => node.second?.errors) };
    put(this.how, upstream.balance);
    const total = upstream.total ?? upstream.nodes.length;
    put(this.well, `${upstream.available} of ${total} available${upstream.waiting ? `, ${count(upstream.waiting)} wait` : ""}`);
    attr(this.well, "class", upstream.available === 0 ? "bad" : upstream.available < total ? "warn" : null);
    put(this.flying, count(sum((node) => node.in_flight)));
    put(this.rate, rate(second.requests));
    this.spark.tell(this.recent());
    put(this.p50, time(second.p50));
    put(this.p99, time(second.p99));
    tellFailing(this.errors, second.errors);
    tellFailing(this.retries, second.retries ?? sum((node) => node.second?.retries), "warn");
    this.say();
  }

  recent() {
    const all = [];
    for (const node of this.upstream.nodes) {
      const seen = recent.get(`${this.name}/${node.id}`) ?? [];
      seen.forEach((n, at) => { all[at + 60 - seen.length] = (all[at + 60 - seen.length] ?? 0) + n; });
    }
    return all.filter((n) => n !== undefined);
  }

  say() {
    const words = [];
    if (this.upstream.fail_open) words.push("Too few nodes are healthy: health is ignored and all are used (fail open).");
    if (this.upstream.unverified) words.push("Its nodes are believed whoever they are (tls: verify: false).");
    for (const name of names.get(this.name) ?? []) {
      const seen = name.age_seconds === null ? "never answered" : `last answer ${span(name.age_seconds)} ago`;
      if (name.addresses === 0) words.push(`${name.name}: the name has no address yet: ${name.failure ?? "it was not looked up yet"}.`);
      else if (name.failure) words.push(`${name.name}: cannot be resolved (${name.failure}); its last addresses are used; ${seen}.`);
    }
    put(this.remark, words.join(" "));
    show(this.remarks, words.length > 0);
  }
}

function fits(upstream, node, words, which) {
  if (which === "trouble" && isWell(node)) return false;
  if (which === "drift" && !node.drift) return false;
  if (!words.length) return true;
  const text = `${upstream.name}/${node.id} ${node.addr} ${node.state} ${node.health} ${node.reason} ${node.backup ? "backup" : ""}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Tells what the last tick and the filter say. */
function render() {
  if (!tick) return;
  const words = id("node-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const which = id("node-show").value;
  const wanted = [];
  let shown = 0;
  for (const upstream of tick.upstreams) {
    const fitting = upstream.nodes.filter((node) => fits(upstream, node, words, which));
    const filtered = words.length > 0 || which;
    if (filtered && !fitting.length) continue;
    let group = groups.get(upstream.name);
    if (!group) groups.set(upstream.name, (group = new Group(upstream.name)));
    group.take(upstream, fitting);
    wanted.push(group.el);
    shown += fitting.length;
  }
  const here = new Set(tick.upstreams.map((upstream) => upstream.name));
  for (const [name, group] of groups) if (!here.has(name)) sight.unobserve(group.el), groups.delete(name);
  arrange(id("nodes"), [id("nodes").tHead, ...wanted]);
  show(id("nodes-none"), wanted.length === 0);
  const all = tick.upstreams.flatMap((upstream) => upstream.nodes);
  const well = all.filter(isWell).length;
  put(id("node-facts"), `${many(all.length, "node")} in ${many(tick.upstreams.length, "upstream")}, ${well === all.length ? "all" : count(well)} in full service${shown < all.length ? `; ${count(shown)} shown` : ""}`);
  keepReach();
}

// -- by keyboard: one row at a time is reached by Tab, the arrows go from row to row

const rows = () => [...id("nodes").querySelectorAll("tr.node")];

function keepReach() {
  if (!current?.el.isConnected) reach(rows()[0]?.row ?? null);
}

function reach(row) {
  if (current === row) return;
  current?.reach(false);
  current = row;
  current?.reach(true);
}

function go(row) {
  if (!row) return;
  reach(row);
  row.el.focus();
  row.el.scrollIntoView({ block: "nearest" });
}

function keys(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const row = event.target.closest?.("tr.node")?.row;
  if (!row) return;
  const all = rows();
  const at = all.indexOf(row.el);
  const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    go(all[Math.min(all.length - 1, Math.max(0, to))]?.row);
  } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    event.preventDefault();
    const stops = [row.el, ...row.buttons.filter((button) => !button.hidden)];
    const here = stops.indexOf(document.activeElement);
    stops[Math.min(stops.length - 1, Math.max(0, here + (event.key === "ArrowRight" ? 1 : -1)))].focus();
  } else if (KEYS[event.key]) {
    event.preventDefault();
    row.act(KEYS[event.key]);
  }
}

async function askNames() {
  try {
    const told = await get("api/v1/upstreams");
    names = new Map(told.upstreams.map((upstream) => [upstream.name, upstream.names]));
    for (const group of groups.values()) if (group.upstream) group.say();
  } catch {
    // They are asked for again.
  }
}

/** Nodes that are not in full service, for the badge beside the view's name. */
export const inTrouble = () => tick.upstreams.reduce((all, upstream) => all + upstream.nodes.filter((node) => !isWell(node) && !node.removed).length, 0);

/** What app.js asks of a view. */
export const view = {
  filter: "node-filter",
  begin() {
    id("node-filter").addEventListener("input", render);
    id("node-show").addEventListener("change", render);
    id("nodes").addEventListener("keydown", keys);
    id("nodes").addEventListener("focusin", (event) => {
      const row = event.target.closest("tr.node")?.row;
      if (row) reach(row);
    });
  },
  open() {
    askNames();
    asking = setInterval(askNames, NAMES_EVERY);
  },
  close() {
    clearInterval(asking);
  },
  tell: render,
};
