// What proxies share by Redis: how the tier is, and who else is there. Nothing of it is shown where the file names no Redis.

import { attr, h, id, put, show, worded } from "./dom.js";
import { bytes, count, many, percent, span, time } from "./units.js";

const STATES = { up: ["good", "used"], down: ["bad", "not used"], unknown: ["off", "not tried yet"] };

const state = worded();
const pairs = new Map();

/** Says one fact; an empty one is not shown. */
function say(name, text) {
  let dd = pairs.get(name);
  if (!dd) {
    dd = h("dd");
    id("shared-facts").append(h("dt", null, name), dd);
    pairs.set(name, dd);
  }
  show(dd, text !== "");
  show(dd.previousElementSibling, text !== "");
  if (typeof text === "string") put(dd, text);
  else if (text.parentElement !== dd) dd.replaceChildren(text);
}

/** Words with their counts, those alone that happened. */
function counts(all) {
  const some = Object.entries(all ?? {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  return some.map(([name, n]) => `${name.replaceAll("_", " ")} ${count(n)}`).join(", ");
}

/** Tells what the tier says of itself; null: there is none. */
export function tell(tier) {
  show(id("shared"), Boolean(tier));
  if (!tier) return;
  const [kind, word] = STATES[tier.state];
  state.tell(kind, `${word} for ${span(tier.since_seconds)}`);
  say("State", state.el);
  say("Why", tier.why ?? "");
  say("Address", `${tier.address}, keys ${tier.prefix}:…`);
  const { latency } = tier;
  say("Latency, last minute", latency ? `p50 ${time(latency.p50_seconds)}, p99 ${time(latency.p99_seconds)}, at most ${time(tier.timeout_seconds)}` : "no answer within the last minute");
  say("Round trips", counts(tier.operations) || "none");
  say("Errors", counts(tier.errors) || "none");
  say("Bytes", `${bytes(tier.bytes_sent)} sent, ${bytes(tier.bytes_received)} received`);
  attr(id("shared-facts"), "data-state", tier.state);
}
