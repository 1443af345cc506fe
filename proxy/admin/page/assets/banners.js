// What an operator must not miss, whatever view is open: no connection, a refused reload, not ready, no Redis, no certificate, drift.

import { change, get, wordsOf } from "./api.js";
import { ask, toast } from "./ask.js";
import { inWords as certificateInWords } from "./certificates.js";
import { arrange, h, id, put, show } from "./dom.js";
import { link, tick } from "./live.js";
import { clock, many, span } from "./units.js";

const MOST = 6;

function banner(bad, ...buttons) {
  const [title, text, more] = [h("strong", null), h("span", null), h("div", null)];
  const el = h("div", { class: bad ? "banner bad" : "banner", role: bad ? "alert" : null }, h("div", { class: "what" }, title, " ", text, more), buttons.length ? h("div", { class: "buttons" }, buttons) : null);
  return { el, title, text, more, said: "" };
}

/** Says lines of a banner, as a list or as they stand. */
function lines(one, list, tag) {
  const said = JSON.stringify(list);
  if (one.said === said) return;
  one.said = said;
  const shown = list.slice(0, MOST);
  if (list.length > MOST) shown.push(`… and ${list.length - MOST} more`);
  one.more.replaceChildren(...(tag === "pre" ? shown.map((line) => h("pre", null, line)) : [h("ul", null, shown.map((line) => h("li", null, line)))]));
}

const off = banner(true);
const refused = banner(true);
const unready = banner(true);
const stopping = banner(false);
const redis = banner(false);
const acme = banner(true);
const ending = banner(true);
const restart = banner(false);
const drift = banner(false,
  h("button", { type: "button", id: "save", click: save }, "Save to the file…"),
  h("button", { type: "button", id: "drop", click: () => drop() }, "Drop all…"));
const ALL = [off, refused, unready, stopping, redis, acme, ending, restart, drift];

let drifted = { key: "", entries: [] };
let waits = { key: "", list: [] };

/** What differs from the file at run time: entries of GET drift. */
export const entries = () => drifted.entries;

/** Tells what the last tick says. */
export function tell() {
  const on = new Set();
  if (link.state === "off") {
    on.add(off);
    put(off.title, `${link.why ? "Refused" : "Not connected"} since ${clock(link.since)}.`);
    put(off.text, `${link.why ? `The stats port says: ${link.why}. ` : ""}What is shown is from before; it is tried again all the time.`);
  }
  if (tick) told(on);
  const want = ALL.filter((one) => on.has(one)).map((one) => one.el);
  arrange(id("banners"), want);
  const badge = id("badge-config");
  show(badge, on.has(refused) || Boolean(tick?.drift));
  put(badge, on.has(refused) ? "!" : String(tick?.drift ?? ""));
  badge.className = on.has(refused) ? "badge bad" : "badge";
  badge.setAttribute("aria-label", on.has(refused) ? "the last reload was refused" : "changes at run time");
}

function told(on) {
  if (tick.reload && !tick.reload.ok) {
    on.add(refused);
    put(refused.title, `The reload of ${clock(tick.reload.at)} was refused.`);
    put(refused.text, `Generation ${tick.generation} keeps serving.`);
    lines(refused, tick.reload.errors, "pre");
  }
  if (tick.state === "stopping") {
    on.add(stopping);
    put(stopping.title, "Stopping.");
    put(stopping.text, "Requests in flight finish; the process ends with the last.");
  } else if (!tick.ready) {
    on.add(unready);
    put(unready.title, "Not ready.");
    const one = tick.not_ready.length === 1;
    put(unready.text, one ? `${tick.not_ready[0]}.` : "");
    lines(unready, one ? [] : tick.not_ready, "ul");
  }
  if (tick.redis?.state === "down") {
    on.add(redis);
    put(redis.title, `Redis has not been used for ${span(tick.redis.since_seconds)}.`);
    put(redis.text, `${tick.redis.address}: ${tick.redis.why ?? "no reason known"}. Requests are served without it; it is tried again each second.`);
  }
  if (tick.acme?.length) {
    on.add(acme);
    put(acme.title, `${many(tick.acme.length, "certificate")} from the CA to look at.`);
    put(acme.text, "");
    lines(acme, tick.acme.map(certificate), "ul");
  }
  if (tick.certificates?.length) {
    on.add(ending);
    const over = tick.certificates.filter((is) => is.state === "expired").length;
    const soon = tick.certificates.length - over;
    put(ending.title, [over ? `${many(over, "certificate has", "certificates have")} expired.` : "", soon ? `${many(soon, "certificate expires", "certificates expire")} soon.` : ""].join(" ").trim());
    put(ending.text, "");
    lines(ending, tick.certificates.map(certificateInWords), "ul");
  }
  const key = `${tick.generation} ${tick.drift} ${tick.reload?.at}`;
  if (waits.key !== key) look(key);
  if (waits.list.length) {
    on.add(restart);
    put(restart.title, "Waits for a restart:");
    put(restart.text, waits.list.join("; "));
  }
  if (tick.drift > 0) {
    on.add(drift);
    put(drift.title, `${many(tick.drift, "change")} at run time.`);
    put(drift.text, "The file says otherwise; what was changed is gone when the process ends.");
    lines(drift, drifted.entries.map(inWords), "ul");
  }
}

/** A certificate from the CA that is not as it should be. */
function certificate(is) {
  const state = { missing: "there is none, handshakes are refused", ordering: "is being ordered", expired: "has expired and is served all the same", valid: "is not renewed yet" }[is.state] ?? is.state;
  return `${is.names.join(", ")}: ${state}${is.failure ? `; ${many(is.failures, "order")} failed, the last: ${is.failure}` : ""}`;
}

/** An entry of the drift in words. */
export function inWords(entry) {
  return entry.text ?? `${entry.upstream}/${entry.node}: ${entry.what} ${entry.file ?? "–"} → ${entry.now ?? "–"}`;
}

/** Asks for what the stream does not carry, when the generation has changed. */
async function look(key) {
  waits = { key, list: waits.list };
  try {
    const [status, differs] = await Promise.all([get("api/v1/status"), tick.drift > 0 ? get("api/v1/drift") : { entries: [] }]);
    if (waits.key !== key) return; // it was asked again meanwhile
    waits.list = status.waits_for_restart ?? [];
    drifted = { key, entries: differs.entries };
  } catch {
    if (waits.key !== key) return;
    drifted = { key, entries: [] }; // the count is there; the words come with the next change
  }
  tell();
}

function patch(text) {
  const style = (line) => (line.startsWith("+") ? "plus" : line.startsWith("-") ? "minus" : null);
  return h("pre", { class: "patch", tabindex: "0" }, text.split("\n").map((line) => h("span", { class: style(line) }, `${line}\n`)));
}

async function save() {
  let would;
  try {
    would = await change("POST", "api/v1/save?dry_run=true");
  } catch (error) {
    const shown = error.problem?.patch;
    if (!shown) return toast(wordsOf(error), true);
    return ask({ title: "The file cannot be changed line by line", word: "Save", blocked: true, body: [error.words, "By hand it would be:", patch(shown)] });
  }
  return ask({
    title: "Save this to the file?", word: "Save",
    body: [patch(would.patch ?? "")],
    act: async () => {
      await change("POST", "api/v1/save", undefined, would.generation);
      return "Saved: the file says what is in force.";
    },
  });
}

/** Asks whether to forget what was changed at run time: of one node, or of all. */
export function drop(node) {
  return ask({
    title: node ? `Forget what was changed of ${node}?` : "Forget all that was changed at run time?", word: "Drop", danger: true,
    body: ["What the file says is in force again at once:", h("ul", null, drifted.entries.filter((entry) => !node || `${entry.upstream}/${entry.node}` === node).map((entry) => h("li", null, inWords(entry))))],
    act: async () => {
      const { dropped } = await change("POST", "api/v1/drop", node ? { node } : {});
      return `Dropped ${many(dropped.length, "change")}: the file is in force.`;
    },
  });
}
