// What can be done to a node. Each verb says first what it will do, and afterwards what it did.

import { change, nodePath } from "./api.js";
import { ask } from "./ask.js";
import { h } from "./dom.js";
import { left, many } from "./units.js";

const MOST = 65535;

const state = (node) => `now ${node.state}${node.in_flight ? `, ${many(node.in_flight, "request")} in flight` : ", nothing in flight"}`;

function confirm(upstream, node, verb, title, word, text, after, danger = false) {
  return ask({
    title: `${title} ${upstream}/${node.id}?`, word, danger,
    body: [text, h("p", { class: "soft" }, `${node.addr}, ${state(node)}`)],
    act: async () => after(await change("POST", `${nodePath(upstream, node.id)}/${verb}`)),
  });
}

/** No new requests; those in flight finish. */
export const drain = (upstream, node) => confirm(upstream, node, "drain", "Drain", "Drain",
  "It gets no new requests, and those in flight may finish.",
  (now) => `${upstream}/${node.id} drains: ${many(now.drain?.remaining ?? now.in_flight, "request")} left, cut in ${left(now.drain?.ends_in_seconds ?? 0)}.`);

/** In service again. */
export const undrain = (upstream, node) => confirm(upstream, node, "undrain", "Put back", "Undrain",
  "It gets requests again.", () => `${upstream}/${node.id} gets requests again.`);

/** Out of service. */
export const down = (upstream, node) => confirm(upstream, node, "down", "Take down", "Down",
  "It gets no new requests and no health checks.", () => `${upstream}/${node.id} is down.`, true);

/** Another share. */
export function weight(upstream, node) {
  const value = h("input", { type: "number", min: "0", max: String(MOST), step: "1", required: true, value: String(node.weight) });
  return ask({
    title: `Weight of ${upstream}/${node.id}`, word: "Set weight", first: value,
    body: [h("label", null, "Weight", value), h("p", { class: "soft" }, "Its share of new requests beside the other nodes; 0 gives it none.")],
    act: async () => {
      const now = await change("POST", `${nodePath(upstream, node.id)}/weight`, { weight: Number(value.value) });
      return `${upstream}/${node.id} has weight ${now.weight}.`;
    },
  });
}

/** Gone, once it is empty. */
export const remove = (upstream, node) => ask({
  title: `Remove ${upstream}/${node.id}?`, word: "Remove", danger: true,
  body: ["It drains and is gone then. The file is not changed: it is there again after a restart, unless you save.", h("p", { class: "soft" }, `${node.addr}, ${state(node)}`)],
  act: async () => {
    await change("DELETE", nodePath(upstream, node.id));
    return `${upstream}/${node.id} drains and is gone then.`;
  },
});

/** One more. */
export function add(upstream) {
  const addr = h("input", { type: "text", required: true, placeholder: "10.0.0.14:3000", spellcheck: "false", autocomplete: "off" });
  const name = h("input", { type: "text", placeholder: "made from the address", spellcheck: "false", autocomplete: "off" });
  const share = h("input", { type: "number", min: "0", max: String(MOST), step: "1", value: "1", required: true });
  const backup = h("input", { type: "checkbox" });
  const max = h("input", { type: "number", min: "1", step: "1", placeholder: "no limit" });
  return ask({
    title: `Add a node to ${upstream}`, word: "Add", first: addr,
    body: [
      h("label", { class: "block" }, "Address", addr), h("label", { class: "block" }, "Id", name),
      h("label", { class: "block" }, "Weight", share), h("label", { class: "block" }, "Requests at a time (max_conns)", max),
      h("label", null, backup, " backup: used only when no other can be"),
    ],
    act: async () => {
      const body = { addr: addr.value.trim(), weight: Number(share.value) };
      if (name.value.trim()) body.id = name.value.trim();
      if (max.value) body.max_conns = Number(max.value);
      if (backup.checked) body.backup = true;
      const now = await change("POST", `api/v1/upstreams/${encodeURIComponent(upstream)}/nodes`, body);
      return `${upstream}/${now.id} was added at ${now.addr}.`;
    },
  });
}
