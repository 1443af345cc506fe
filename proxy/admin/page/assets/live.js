// What is going on, once a second: by the stream, or by asking every two seconds while the stream is broken. Whoever
// draws sees the same shape, a tick, and need not know where it came from.

import { Refused, call, events, get, held, sleep } from "./api.js";

const POLL = 2000;
const SILENT = 5000; // a stream that says nothing for so long is broken, whatever the network says
const LONGEST = 30000;
const SEEN = 60;

/** How we are connected: `live`, `polling`, `off`, or `connecting`; since when it is off, and why, if we are told. */
export const link = { state: "connecting", since: new Date(), why: "", tries: 0 };
/** The last tick. */
export let tick = null;
/** The last minute of requests of every node, oldest first, as this page saw it: by UPSTREAM/NODE. */
export const recent = new Map();

const listeners = new Set();
let before = null;

/** Calls `tell()` after each tick and whenever the connection changes. */
export const listen = (tell) => listeners.add(tell);

/** Begins, and goes on for ever. */
export function begin() {
  stream();
  poll();
}

function told() {
  for (const tell of listeners) tell();
}

function state(now, why = "") {
  if (now === link.state && why === link.why) return;
  if (now === "off" && link.state !== "off") link.since = new Date();
  link.state = now;
  link.why = why;
  told();
}

function take(next) {
  tick = next;
  const here = new Set();
  for (const upstream of next.upstreams ?? []) {
    for (const node of upstream.nodes) {
      const key = `${upstream.name}/${node.id}`;
      here.add(key);
      let seen = recent.get(key);
      if (!seen) recent.set(key, (seen = []));
      seen.push(node.second?.requests ?? 0);
      if (seen.length > SEEN) seen.shift();
    }
  }
  for (const key of recent.keys()) if (!here.has(key)) recent.delete(key);
  told();
}

async function stream() {
  let wait = 1000;
  for (;;) {
    const ended = new AbortController();
    let timer = null;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => ended.abort(), SILENT);
    };
    try {
      await events("api/v1/stream", ended.signal, (name, data) => {
        alive();
        if (name !== "tick") return;
        wait = 1000;
        link.tries = 0;
        state("live");
        take(data);
      });
    } catch {
      // Whatever it was: it is tried again below, and the link says so meanwhile.
    }
    clearTimeout(timer);
    if (link.state === "live") state("connecting");
    link.tries += 1;
    await sleep(wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST);
  }
}

async function poll() {
  for (;;) {
    await sleep(link.state === "connecting" && !tick ? 600 : POLL);
    if (link.state === "live") {
      before = null;
      continue;
    }
    if (held()) state("off", why(held()));
    try {
      const next = await asked();
      if (link.state === "live") continue;
      state("polling");
      take(next);
    } catch (error) {
      if (link.state !== "live") state("off", why(error));
    }
  }
}

/** What the stats port says of it, if it was the one that refused. */
const why = (error) => (error instanceof Refused ? error.message.replace(/\.$/, "") : "");

const some = (path) => get(path).catch(() => null);

/** A tick out of single answers; what the stream counts per second is here what was counted since the last time. */
async function asked() {
  const newest = (before?.newest ?? 0);
  const [status, ups, routes, cache, list] = await Promise.all([
    call("api/v1/status").then((answer) => answer.json()),
    get("api/v1/upstreams"),
    some("api/v1/routes"),
    some("api/v1/cache"),
    some(newest ? `api/v1/events?after=${newest}` : "api/v1/events?limit=100"),
  ]);
  const now = performance.now();
  const past = before ? (now - before.at) / 1000 : null;
  const totals = new Map([["", status.requests.total]]);
  const nodes = (upstream) => upstream.nodes.map((node) => {
    const key = `${upstream.name}/${node.id}`;
    totals.set(key, node.requests_total).set(`${key} errors`, node.errors_total);
    const second = { requests: delta(key), errors: delta(`${key} errors`), retries: null, p50: null, p99: null };
    return { ...node, second: node.second ?? second };
  });
  const delta = (key) => (past && before.totals.has(key) ? Math.max(0, (totals.get(key) - before.totals.get(key)) / past) : null);
  const next = {
    at: new Date().toISOString(),
    generation: status.generation, version: status.version, state: status.state, ready: status.ready, not_ready: status.not_ready,
    drift: status.drift, uptime_seconds: status.uptime_seconds, reload: status.config.last_reload, connections: status.connections,
    second: status.second ?? { requests: delta(""), in_flight: status.requests.in_flight }, minute: status.minute ?? null,
    upstreams: ups.upstreams.map((upstream) => ({ ...upstream, total: upstream.nodes.filter((node) => !node.removed).length, nodes: nodes(upstream) })),
    routes: routes?.routes ?? [], cache, events: list?.events ?? [],
  };
  before = { at: now, totals, newest: Math.max(newest, ...next.events.map((event) => event.id)) };
  return next;
}
