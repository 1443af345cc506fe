// The first look: is it well, how much is going on, how was it before, what happened.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { Rows, h, id, plainRow, put, shape, show } from "./dom.js";
import { tick } from "./live.js";
import { bytes, clock, count, digits, NONE, percent, rate, span, time, timeParts } from "./units.js";

const KEPT = 1000;
const DRAWN = 200;
const RANGES = { "15m": { step: "1s", points: 900 }, "24h": { step: "1m", points: 1440 } };
const SERIES = ["requests", "errors", "p50", "p95", "p99", "in_flight", "cache_hits", "cache_lookups", "cache_hit_bytes", "bytes_out"];

const tiles = new Map();
let range = "15m";
let history = null;
let minute = null;

function tile(name) {
  let one = tiles.get(name);
  if (!one) {
    const [big, unit, under] = [h("span", null), h("small", null), h("dd", { class: "under" })];
    const el = h("div", { class: "tile" }, h("dt", null, name), h("dd", null, big, unit), under);
    id("tiles").append(el);
    tiles.set(name, (one = { el, big, unit, under }));
  }
  return one;
}

function say(name, [number, unit], under, mood = "") {
  const one = tile(name);
  put(one.big, number);
  put(one.unit, unit);
  put(one.under, under);
  one.el.className = mood ? `tile ${mood}` : "tile";
}

const perMinute = (n) => (n === null || n === undefined ? "" : `1 min: ${rate(n / 60)}`);
const latency = (name, now, past) => say(name, timeParts(now), past === undefined || past === null ? "" : `1 min: ${time(past)}`);

function numbers() {
  const second = tick.second ?? {};
  const past = tick.minute ?? {};
  say("Requests/s", [rate(second.requests), ""], perMinute(past.requests));
  latency("p50", second.p50, past.p50);
  latency("p95", second.p95, past.p95);
  latency("p99", second.p99, past.p99);
  const errors = percent(second.errors, second.requests);
  say("Errors", [errors ?? NONE, errors === null ? "" : "%"], past.requests ? `1 min: ${count(past.errors)}` : "", second.errors > 0 ? "bad" : past.errors > 0 ? "warn" : "");
  const hits = percent(past.cache_hits, past.cache_lookups);
  say("Cache hits", [hits ?? NONE, hits === null ? "" : "%"], "requests, 1 min");
  const hit = percent(past.cache_hit_bytes, past.bytes_out);
  say("Cache bytes", [hit ?? NONE, hit === null ? "" : "%"], past.bytes_out ? `of ${bytes(past.bytes_out)}` : "of bytes, 1 min");
  say("In flight", [count(second.in_flight), ""], "requests");
  const open = tick.connections?.active ?? tick.connections;
  say("Connections", [count(open), ""], tick.connections?.total === undefined ? "open" : `${count(tick.connections.total)} so far`);
}

const fact = { ready: h("b", null), rest: h("span", null) };
let readyWas = null;

function facts() {
  if (readyWas !== tick.ready) {
    readyWas = tick.ready;
    fact.ready.className = tick.ready ? "good" : "bad";
    fact.ready.replaceChildren(shape(tick.ready ? "good" : "bad"), tick.ready ? "ready" : "not ready");
    id("facts").replaceChildren(fact.ready, fact.rest);
  }
  const age = (Date.now() - new Date(tick.reload?.at ?? Number.NaN)) / 1000;
  const loaded = Number.isNaN(age) ? "" : `, last reload ${tick.reload.ok ? "" : "refused "}${span(age)} ago`;
  put(fact.rest, ` · generation ${tick.generation}${loaded} · up ${span(tick.uptime_seconds)} · version ${tick.version}`);
}

// -- the history

const ratio = (part, whole) => (points) => (points[part] ?? []).map((n, at) => (points[whole]?.[at] ? (100 * n) / points[whole][at] : null));
const of = (name) => (points) => points[name] ?? [];
// A minute's number of requests is shown per second too, so that both ranges read alike.
const perSecond = (name) => (points) => (points[name] ?? []).map((n) => (n === null ? null : n / history.step_seconds));
const percents = (n) => (Number.isInteger(n) ? `${n} %` : `${digits(n)} %`);

const charts = [
  new Chart("Requests/s", [{ name: "all", of: perSecond("requests"), style: "c1" }, { name: "errors", of: perSecond("errors"), style: "c2 dash", peak: true }], rate),
  new Chart("Time to answer", [{ name: "p50", of: of("p50"), style: "c1" }, { name: "p95", of: of("p95"), style: "c3 dash", peak: true }, { name: "p99", of: of("p99"), style: "c2 thin", peak: true }], (s) => (s === 0 ? "0" : time(s))),
  new Chart("Cache hits", [{ name: "requests", of: ratio("cache_hits", "cache_lookups"), style: "c4" }, { name: "bytes", of: ratio("cache_hit_bytes", "bytes_out"), style: "c1 dash" }], percents, 100),
  new Chart("In flight", [{ name: "requests", of: of("in_flight"), style: "c1" }], rate),
];

async function load() {
  const { step, points } = RANGES[range];
  const asked = range;
  try {
    const told = await get(`api/v1/history?of=total&step=${step}&points=${points}`);
    if (asked !== range) return;
    history = told;
    draw();
  } catch {
    history ??= { step_seconds: step === "1s" ? 1 : 60, end: tick?.at ?? new Date().toISOString(), points: Object.fromEntries(SERIES.map((name) => [name, []])) };
  }
}

function draw() {
  for (const chart of charts) chart.tell(history);
}

/** Adds the second of this tick to what was loaded. */
function grow() {
  if (!history) return;
  if (range === "24h") {
    const now = Math.floor(Date.now() / 60000);
    if (minute !== null && now !== minute) load();
    minute = now;
    return;
  }
  const from = new Date(history.end).getTime();
  const to = new Date(tick.at).getTime();
  const behind = Math.round((to - from) / 1000);
  if (behind < 1) return;
  if (behind > 5 && history.points.requests?.length) {
    load(); // seconds were missed: they are asked for
    return;
  }
  for (const name of SERIES) {
    const list = (history.points[name] ??= []);
    for (let n = 1; n < behind && list.length; n += 1) list.push(null);
    list.push(tick.second?.[name] ?? null);
    if (list.length > RANGES["15m"].points) list.splice(0, list.length - RANGES["15m"].points);
  }
  history.end = tick.at;
  draw();
}

// -- the events

const LEVEL = { info: "off", warning: "warn", error: "bad" };
let all = [];
let cursor = null;
let first = true;
const rows = new Rows(id("events"), (event) => ({
  el: h("tr", null, h("td", { title: event.at }, clock(event.at)), h("td", { class: event.level === "error" ? "bad" : event.level === "warning" ? "warn" : null }, shape(LEVEL[event.level] ?? "off"), event.kind.replace("_", " ")), h("td", null, event.text)),
  tell() {},
}));
const none = plainRow(["", "", ""], () => ["", "", "Nothing yet."]);

function told() {
  const kinds = id("event-kind");
  const known = new Set([...kinds.options].map((option) => option.value));
  for (const { kind } of all) if (!known.has(kind)) kinds.append(h("option", { value: kind }, kind.replace("_", " "))), known.add(kind);
  const words = id("event-filter").value.toLowerCase();
  const fits = (event) => (!kinds.value || event.kind === kinds.value) && (!words || `${event.text} ${event.upstream ?? ""} ${event.node ?? ""}`.toLowerCase().includes(words));
  rows.tell(all.filter(fits).slice(0, DRAWN), (event) => event.id);
  if (!id("events").children.length) none.tell(), id("events").append(none.el);
  show(id("older"), cursor !== null);
}

/** Takes in what a tick tells of events, whether this view is open or not; what was missed meanwhile is asked for. */
export function take({ events, last_event: last }) {
  const newest = all[0]?.id ?? 0;
  note(events);
  if (!first && last > Math.max(newest, all[0]?.id ?? 0)) older(`&after=${newest}`, true);
}

function note(events) {
  if (!events?.length) return;
  const known = new Set(all.map((event) => event.id));
  all = [...events.filter((event) => !known.has(event.id)), ...all].sort((a, b) => b.id - a.id).slice(0, KEPT);
}

async function older(query, newer = false) {
  try {
    const { events, next_cursor } = await get(`api/v1/events?limit=100${query}`);
    if (!newer) cursor = next_cursor;
    note(events);
    told();
  } catch {
    // They come with the next tick.
  }
}

/** What app.js asks of a view. */
export const view = {
  begin() {
    id("charts").append(...charts.map((chart) => chart.el));
    id("range").addEventListener("click", (event) => {
      const chosen = event.target.dataset.range;
      if (!chosen || chosen === range) return;
      range = chosen;
      for (const button of id("range").children) button.setAttribute("aria-pressed", String(button.dataset.range === range));
      history = null;
      load();
    });
    id("event-kind").addEventListener("change", told);
    id("event-filter").addEventListener("input", told);
    id("older").addEventListener("click", () => older(`&cursor=${encodeURIComponent(cursor)}`));
  },
  open() {
    load();
    if (first) older("");
    first = false;
  },
  close() {},
  tell() {
    numbers();
    facts();
    grow();
    told();
  },
};
