// The cache: how full and how useful it is, what is asked for most, what would become of a request, and the purge.

import { change, get, wordsOf } from "./api.js";
import { ask } from "./ask.js";
import { bar } from "./chart.js";
import { Rows, h, id, plainRow, put, show } from "./dom.js";
import { tick } from "./live.js";
import * as shared from "./shared.js";
import { bytes, count, many, NONE, percent, share, span } from "./units.js";

const EVERY = 2000;
const MEANING = {
  hit: "answered from the store", stale: "answered from the store though no longer fresh", revalidated: "stored, and a node said that it is still right",
  miss: "not stored: a node was asked", bypass: "the cache had nothing to do with it", error: "the fetch failed",
};
const HINTS = { url: "http://shop.example.com/page", tag: "product-17", prefix: "/assets/", host: "shop.example.com", all: "" };

let asking = null;
const tiles = new Map();

function say(name, number, unit, under, full) {
  let one = tiles.get(name);
  if (!one) {
    const parts = { big: h("span"), unit: h("small"), under: h("dd", { class: "under" }), bar: full === undefined ? null : bar() };
    id("cache-tiles").append(h("div", { class: "tile" }, h("dt", null, name), h("dd", null, parts.big, parts.unit), parts.bar && h("dd", { class: "under" }, parts.bar.el), parts.under));
    tiles.set(name, (one = parts));
  }
  put(one.big, number);
  put(one.unit, unit);
  put(one.under, under);
  one.bar?.tell(full);
}

const outcomes = new Rows(id("cache-requests").tBodies[0], () => {
  const full = bar();
  const texts = [h("td"), h("td", { class: "soft" }), h("td", { class: "n" }), h("td", { class: "n" })];
  return {
    el: h("tr", null, texts, h("td", { class: "barred" }, full.el)),
    tell([name, n, all]) {
      [name, MEANING[name] ?? "", count(n), share(n, all)].forEach((text, at) => put(texts[at], text));
      full.tell(all ? n / all : 0);
    },
  };
});
const pairs = () => plainRow(["", "n"], ([name, n]) => [name.replaceAll("_", " "), count(n)]);
const evictions = new Rows(id("cache-evictions").tBodies[0], pairs);
const reasons = new Rows(id("cache-reasons").tBodies[0], pairs);

const TOPS = [["hits", "Most hits", count], ["misses", "Most misses", count], ["bytes", "Most bytes sent", bytes]];
const tops = TOPS.map(([key, title, unit]) => {
  const body = h("tbody");
  const rows = new Rows(body, () => plainRow(["url mono", "n"], (one) => [one.url, `${one.at_most > one.at_least ? "≥ " : ""}${unit(one.at_least)}`]));
  const none = h("p", { class: "soft" }, "Nothing yet.");
  const el = h("div", { class: "card" }, h("h2", null, title), none, h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "URL"), h("th", { scope: "col", class: "n" }, key === "bytes" ? "Bytes" : "Requests"))), body)));
  return { key, el, tell: (list) => (rows.tell(list, (one) => one.url), show(none, list.length === 0)) };
});

function tell(cache) {
  const all = Object.values(cache.requests).reduce((sum, n) => sum + n, 0);
  const past = tick?.minute ?? {};
  const full = percent(cache.bytes, cache.capacity_bytes);
  say("Full", full ?? NONE, full === null ? "" : "%", `${bytes(cache.bytes)} of ${bytes(cache.capacity_bytes)}`, cache.bytes / cache.capacity_bytes);
  const hits = percent(past.cache_hits, past.cache_lookups);
  say("Hits, last minute", hits ?? NONE, hits === null ? "" : "%", "of requests");
  say("Hits, since the start", cache.hit_ratio === null ? NONE : percent(cache.hit_ratio, 1), cache.hit_ratio === null ? "" : "%", "of requests, without bypass");
  say("Answers stored", count(cache.entries), "", cache.encoded ? `${many(cache.encoded, "body", "bodies")} in other encodings` : "");
  say("Being fetched", count(cache.fills), "", cache.makings || cache.recompressing ? `${count(cache.makings + cache.recompressing)} being compressed` : "now");
  say("Evicted for room", count(cache.evictions.capacity ?? 0), "", "since the start");
  say("Not storable", count(cache.not_storable), "", "URLs, a moment ago");
  outcomes.tell(Object.entries(cache.requests).sort((a, b) => b[1] - a[1]).map(([name, n]) => [name, n, all]), ([name]) => name);
  const sorted = (map) => Object.entries(map ?? {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const orNone = (list) => (list.length ? list : [["none", 0]]);
  evictions.tell(orNone(sorted(cache.evictions)), ([name]) => name);
  reasons.tell(orNone(sorted(cache.uncacheable)), ([name]) => name);
  for (const top of tops) top.tell(cache.top[top.key]);
  const on = cache.routes.filter((route) => route.express !== "no_cache" && route.express !== "redirect").length;
  shared.tell(cache.redis);
  shared.refresh(cache.redis);
  put(id("cache-facts"), on ? `${many(on, "route")} of ${cache.routes.length} with a cache` : "No route has a cache: say cache: true on one.");
}

async function refresh() {
  try {
    tell(await get("api/v1/cache"));
  } catch {
    // The link at the top says that nothing is heard.
  }
}

// -- the purge

const purge = id("purge");

function adapt() {
  const what = purge.what.value;
  const value = purge.querySelector("input[name=value]");
  show(id("purge-value"), what !== "all");
  show(id("purge-host"), what === "prefix");
  value.required = what !== "all";
  value.placeholder = HINTS[what];
}

async function submitPurge(event) {
  event.preventDefault();
  const what = purge.what.value;
  const hard = purge.mode.value === "hard";
  const body = what === "all" ? { all: true } : { [what]: purge.elements.value.value.trim() };
  if (what === "prefix" && purge.host.value.trim()) body.host = purge.host.value.trim();
  if (hard) body.hard = true;
  const named = what === "all" ? "everything" : `${what} ${body[what]}${body.host ? ` on ${body.host}` : ""}`;
  const said = id("purge-result");
  put(said, "");
  await ask({
    title: `Purge ${named}?`, word: hard ? "Remove" : "Purge", danger: hard || what === "all",
    body: [hard ? "What is stored is removed: the nodes have to answer all of it again." : "What is stored is stale from now on: a node is asked whether it is still right before its next use."],
    act: async () => {
      const { purged, mode } = await change("POST", "api/v1/purge", body);
      said.className = "ok";
      put(said, `${many(purged, "answer")} purged (${mode})`);
      refresh();
    },
  });
}

// -- what would become of a request

function variant(one) {
  const rows = [
    ["for this request", one.is_for_request ? "yes" : "no"], ["status", one.status], ["state", one.state], ["age", span(one.age_seconds)],
    ["lifetime", one.lifetime_seconds === null ? "for ever" : `${span(one.lifetime_seconds)} (${one.lifetime_from})`], ["size", bytes(one.size_bytes)],
    ["encoding", one.encoding ?? "none"], ["tags", one.tags.join(", ")], ["selected by", Object.entries(one.selected_by).map(([name, value]) => `${name}: ${value ?? "(none)"}`).join("; ")],
  ];
  return rows.filter(([, text]) => text !== "").flatMap(([name, text]) => [h("dt", null, name), h("dd", null, String(text))]);
}

async function submitExplain(event) {
  event.preventDefault();
  const form = id("explain");
  const asked = new URLSearchParams({ url: form.url.value.trim(), method: form.elements.method.value.trim() || "GET" });
  for (const line of form.headers.value.split("\n")) if (line.trim()) asked.append("header", line.trim());
  const said = id("explain-short");
  try {
    const told = await get(`api/v1/cache/explain?${asked}`);
    said.className = "";
    put(said, `${told.outcome ?? "no cache"}${told.reason ? `: ${told.reason.replaceAll("_", " ")}` : ""}`);
    id("explain-result").replaceChildren(
      h("p", null, told.decision),
      h("dl", { class: "pairs" }, h("dt", null, "stored under"), h("dd", { class: "mono" }, told.key), h("dt", null, "route"), h("dd", null, told.route ?? "none matches"), told.variants.flatMap(variant)),
    );
  } catch (error) {
    said.className = "bad";
    put(said, wordsOf(error));
    id("explain-result").replaceChildren();
  }
}

/** What app.js asks of a view. */
export const view = {
  begin() {
    id("tops").append(...tops.map((top) => top.el));
    purge.what.addEventListener("change", adapt);
    purge.addEventListener("submit", submitPurge);
    id("explain").addEventListener("submit", submitExplain);
    adapt();
  },
  open() {
    refresh();
    asking = setInterval(refresh, EVERY);
  },
  close() {
    clearInterval(asking);
  },
  tell() {},
};
