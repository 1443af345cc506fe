// The certificates that clients are shown, and how long they still hold. Nothing of it is shown where no port speaks TLS.

import { get } from "./api.js";
import { Rows, h, id, put, show, worded } from "./dom.js";
import { count } from "./units.js";

const STATES = { ok: ["good", "ok"], soon: ["warn", "soon"], expired: ["bad", "expired"] };

const source = (is) => (is.source === "acme" ? "from the CA" : is.file);

const rows = new Rows(id("certificates").tBodies[0], () => {
  const [names, from, issuer, ports, until, days] = [h("td", { class: "url" }), h("td", { class: "url mono" }), h("td", { class: "url" }), h("td", { class: "mono" }), h("td"), h("td", { class: "n" })];
  const state = worded();
  return {
    el: h("tr", null, names, h("td", null, state.el), days, until, from, issuer, ports),
    tell(is) {
      put(names, is.names.join(", "));
      put(from, source(is));
      put(issuer, is.issuer);
      put(ports, is.ports.join(", "));
      put(until, is.not_after.slice(0, 10));
      put(days, is.days_left < 0 ? `−${count(-is.days_left)}` : count(is.days_left));
      state.tell(...(STATES[is.state] ?? ["off", is.state]));
    },
  };
});

/** Asks which there are. */
export async function refresh() {
  try {
    const { certificates } = await get("api/v1/certificates");
    show(id("certificates-card"), certificates.length > 0);
    rows.tell(certificates, (is) => `${source(is)} ${is.names} ${is.not_after}`);
  } catch {
    // The link at the top says that nothing is heard.
  }
}

/** One that has expired or is about to, in words. */
export function inWords(is) {
  const days = is.days_left === 1 ? "1 day" : `${count(is.days_left)} days`;
  const told = is.state === "expired" ? `has expired (${is.not_after.slice(0, 10)}) and is served all the same` : `expires in ${days} (${is.not_after.slice(0, 10)})`;
  return `${is.names.join(", ")} (${source(is)}) ${told}`;
}
