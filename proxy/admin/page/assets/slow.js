// Requests that were slow, with where their time went, and those that failed, as they come.

import { Refused, events, get, sleep } from "./api.js";
import { Rows, h, id, put, show, svg } from "./dom.js";
import { tick } from "./live.js";
import { bytes, clock, many, NONE, time } from "./units.js";

const EVERY = 3000;
const SHOWN = 50;
const KEPT = 200;
const AGAIN = 3000;
const LONGEST = 30000;
const SILENT = 35000; // something comes every ten seconds, if only to keep the stream alive

let asking = null;
let paused = false;
let reading = null;

/** The parts of a request's time, in their order: none overlaps another, and they add up to the whole. */
export function parts({ queue = 0, connect = 0, ttfb, total }) {
  const first = Math.max(0, (ttfb ?? total) - queue - connect);
  return { queue, connect, ttfb: first, rest: Math.max(0, total - queue - connect - first) };
}

function falls(t, longest) {
  let x = 0;
  const bars = Object.entries(parts(t)).map(([name, seconds]) => {
    const width = (seconds / longest) * 1000;
    const one = svg("rect", { class: name, x: x.toFixed(2), width: width.toFixed(2), height: 14 });
    x += width;
    return one;
  });
  const words = `queue ${time(t.queue)}, connect ${time(t.connect)}, first byte after ${time(t.ttfb)}, total ${time(t.total)}`;
  return svg("svg", { class: "falls", viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img", "aria-label": words }, bars);
}

const request = (method, host, target, name) => [h("span", { class: "mono cut first", title: target }, `${method} ${target}`), h("span", { class: "sub cut" }, host, name ? h("span", { class: "mono" }, ` ${name}`) : null)];

let longest = 0;
const rows = new Rows(id("slow").tBodies[0], (one) => {
  const n = (text) => h("td", { class: "n" }, text);
  const bars = h("td");
  const { queue, connect, ttfb, rest } = parts(one.t);
  const cache = one.cache ? `cache ${one.cache}${one.cache_reason ? `, ${one.cache_reason.replaceAll("_", " ")}` : ""}` : "";
  let drawn = 0;
  return {
    el: h("tr", null, h("td", { title: one.at }, clock(one.at), h("span", { class: "sub" }, one.route)), h("td", { class: "url" }, request(one.method, one.host, one.target, one.id)),
      h("td", null, `${one.status || "none"}, ${bytes(one.bytes_out)}`, h("span", { class: one.end === "ok" ? "sub" : "sub bad" }, one.end.replaceAll("_", " "))),
      h("td", null, `${one.upstream}: ${one.nodes.join(" → ") || NONE}`, h("span", { class: "sub" }, cache)),
      bars, n(one.t.queue === undefined ? NONE : time(queue)), n(one.t.connect === undefined ? NONE : time(connect)), n(one.t.ttfb === undefined ? NONE : time(ttfb)), n(time(rest)), n(h("b", null, time(one.t.total)))),
    tell() {
      if (drawn === longest) return;
      drawn = longest;
      bars.replaceChildren(falls(one.t, longest));
    },
  };
});

async function refresh() {
  if (paused) return;
  const route = id("slow-route").value;
  try {
    const { slow } = await get(`api/v1/slow?limit=${SHOWN}${route ? `&route=${encodeURIComponent(route)}` : ""}`);
    longest = Math.max(0, ...slow.map((one) => one.t.total));
    rows.tell(slow, (one) => one.id + one.at);
    show(id("slow-none"), slow.length === 0);
  } catch {
    // The link at the top says that nothing is heard.
  }
}

// -- what fails, out of the access log

let failed = [];
let lost = 0;
let skipped = 0;
let number = 0;
const errors = new Rows(id("errors").tBodies[0], ({ line }) => {
  const target = line.path + (line.query ? `?${line.query}` : "");
  const total = line.t?.total ?? line["t.total"];
  const nodes = Array.isArray(line.nodes) ? line.nodes.join(" → ") : line.nodes ?? "";
  return {
    el: h("tr", null, h("td", null, clock(line.ts)), h("td", { class: "url" }, request(line.method ?? "", line.host ?? "", target)), h("td", { class: "n bad" }, String(line.status)), h("td", null, (line.end ?? "").replaceAll("_", " ")), h("td", null, line.route ?? ""), h("td", null, nodes), h("td", { class: "n" }, time(total))),
    tell() {},
  };
});

function tellErrors(words) {
  errors.tell(failed, (one) => one.number);
  put(id("errors-facts"), words ?? `Answers of 500 and above since this view was opened: ${failed.length ? many(failed.length, "line") : "none"}${lost ? `, and ${many(lost, "line")} that came too fast` : ""}${skipped ? `, and ${many(skipped, "line")} skipped while paused` : ""}.`);
}

/** Why the errors are not heard. */
function silence(error, silent) {
  if (error instanceof Refused) return `Not heard: ${error.message.replace(/\.$/, "")}`;
  return silent ? `Nothing was heard for ${SILENT / 1000} s` : "The stream broke";
}

/** Reads until the view is closed. What ends the stream is said, and it is opened again, later each time. */
async function read() {
  const mine = (reading = new AbortController());
  let wait = AGAIN;
  tellErrors();
  while (!mine.signal.aborted) {
    const ended = new AbortController();
    const end = () => ended.abort();
    mine.signal.addEventListener("abort", end, { once: true });
    let timer = setTimeout(end, SILENT);
    let why = null;
    try {
      await events("api/v1/log?status=5xx", ended.signal, (name, data) => {
        clearTimeout(timer);
        timer = setTimeout(end, SILENT);
        if (name === "open") wait = AGAIN;
        else if (name === "lost") lost += data.count;
        else if (name !== "line") return;
        else if (paused) skipped += 1;
        else failed = [{ number: (number += 1), line: data }, ...failed].slice(0, KEPT);
        tellErrors();
      });
    } catch (error) {
      why = error;
    }
    clearTimeout(timer);
    mine.signal.removeEventListener("abort", end);
    if (mine.signal.aborted) return;
    const pause = Math.max(wait, why?.after ?? 0);
    tellErrors(`${silence(why, ended.signal.aborted)}; asked again in ${Math.ceil(pause / 1000)} s.`);
    await sleep(pause, mine.signal);
    wait = Math.min(wait * 2, LONGEST);
  }
}

function choices() {
  const box = id("slow-route");
  const known = new Set([...box.options].map((option) => option.value));
  for (const { name } of tick?.routes ?? []) if (!known.has(name)) box.append(h("option", { value: name }, name));
}

/** What app.js asks of a view. */
export const view = {
  filter: "slow-route",
  begin() {
    id("slow-route").addEventListener("change", refresh);
    id("slow-pause").addEventListener("click", () => {
      paused = !paused;
      id("slow-pause").setAttribute("aria-pressed", String(paused));
      put(id("slow-pause"), paused ? "Go on" : "Pause");
      refresh();
    });
  },
  open() {
    choices();
    refresh();
    read();
    asking = setInterval(refresh, EVERY);
  },
  close() {
    clearInterval(asking);
    reading?.abort();
  },
  tell: choices,
};
