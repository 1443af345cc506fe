// What proxies share by Redis: how the tier is, and who else is there. Nothing of it is shown where the file names no Redis.

import { get } from "./api.js";
import { Rows, h, id, put, show, worded } from "./dom.js";
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

const proxies = new Rows(id("peers").tBodies[0], () => {
  const [name, where, version, generation, since] = [h("td"), h("td", { class: "mono" }), h("td"), h("td", { class: "n" }), h("td", { class: "n" })];
  const configuration = worded();
  return {
    el: h("tr", null, name, where, version, generation, h("td", null, configuration.el), since),
    tell(peer) {
      put(name, `${peer.name}${peer.is_this ? " (this one)" : ""}`);
      put(where, [...peer.listen, peer.admin && `stats ${peer.admin}`].filter(Boolean).join(", "));
      put(version, peer.version);
      put(generation, count(peer.generation));
      configuration.tell(peer.differs ? "warn" : "good", peer.differs ? "differs" : "the same");
      put(since, span(Math.max(0, (Date.now() - Date.parse(peer.since)) / 1000)));
    },
  };
});

/** Tells who shares the tier, as GET cluster says. */
function tellCluster(cluster) {
  const { purges, peers } = cluster;
  const differ = cluster.peers_differing ? `, ${many(cluster.peers_differing, "runs", "run")} another configuration` : "";
  const waiting = purges?.queued ? `, ${many(purges.queued, "purge")} waiting to be told` : "";
  const seen = cluster.seen_seconds_ago === null ? "Nobody was seen yet" : many(cluster.peers_total, "proxy", "proxies");
  const old = cluster.seen_seconds_ago > 15 ? ` (as of ${span(cluster.seen_seconds_ago)} ago)` : "";
  const purged = purges ? ` Purges: ${count(purges.sent)} told, ${count(purges.received)} heard${waiting}.` : "";
  put(id("cluster-facts"), `${seen}${differ}${old}.${purged}`);
  proxies.tell(peers, (peer) => peer.id);
}

/** Asks who is there. */
export async function refresh(tier) {
  if (!tier) return;
  try {
    tellCluster(await get("api/v1/cluster"));
  } catch {
    // The link at the top says that nothing is heard.
  }
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
  const { entries } = tier;
  if (entries) {
    const hits = percent(entries.found, entries.found + entries.missed);
    say("Answers found", `${count(entries.found)} of ${count(entries.found + entries.missed)} look-ups${hits === null ? "" : ` (${hits} %)`}`);
    say("Found, not used", counts(entries.refused));
    say("Fetches for all", counts(entries.leases));
    say("Written", `${many(entries.written, "answer")}${entries.queued ? `, ${count(entries.queued)} waiting (${bytes(entries.queued_bytes)} of ${bytes(entries.queue_capacity_bytes)})` : ""}`);
    say("Dropped", counts(entries.dropped) || "none");
  } else {
    for (const name of ["Found, not used", "Fetches for all", "Written", "Dropped"]) say(name, "");
    say("Answers found", "answers are not kept there (entries: false)");
  }
  say("Bytes", `${bytes(tier.bytes_sent)} sent, ${bytes(tier.bytes_received)} received`);
}
