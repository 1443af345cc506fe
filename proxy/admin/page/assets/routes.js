// Every route: what it takes, where it leads, what it does on the way, and how it fares.

import { get } from "./api.js";
import { Rows, attr, h, id, put } from "./dom.js";
import { tick } from "./live.js";
import { tellFailing } from "./noderow.js";
import { count, NONE, rate, time } from "./units.js";

const EVERY = 5000;

let list = [];
let asking = null;

const word = (value) => (value === true ? "on" : value === false || value === null || value === undefined ? "off" : String(value).replaceAll("_", " "));
const slow = (value) => (typeof value === "number" ? time(value) : value ?? NONE);

const rows = new Rows(id("routes").tBodies[0], () => {
  const words = [h("th", { scope: "row" }), h("td", { class: "url mono" }), h("td"), h("td"), h("td"), h("td"), h("td", { class: "n" })];
  const numbers = Array.from({ length: 6 }, () => h("td", { class: "n" }));
  return {
    el: h("tr", null, words, numbers),
    tell(route) {
      const texts = [route.name, route.match, route.goes_to, word(route.cache), word(route.express), word(route.compress), slow(route.slow ?? route.slow_seconds)];
      texts.forEach((text, at) => put(words[at], text));
      for (const cell of words.slice(3, 6)) attr(cell, "class", cell.told === "off" || cell.told === "no cache" ? "soft" : null);
      const second = route.second ?? {};
      const past = route.minute ?? second;
      put(numbers[0], rate(second.requests));
      put(numbers[1], time(past.p50));
      put(numbers[2], time(past.p99));
      tellFailing(numbers[3], second.errors);
      put(numbers[4], count(route.requests_total));
      put(numbers[5], count(route.errors_total));
    },
  };
});

function tell() {
  const live = new Map((tick?.routes ?? []).map((route) => [route.name, route.second]));
  rows.tell(list.map((route) => ({ ...route, second: live.get(route.name) ?? route.second })), (route) => route.name);
}

async function refresh() {
  try {
    list = (await get("api/v1/routes")).routes;
    tell();
  } catch {
    // The link at the top says that nothing is heard.
  }
}

/** What app.js asks of a view. */
export const view = {
  begin() {},
  open() {
    refresh();
    asking = setInterval(refresh, EVERY);
  },
  close() {
    clearInterval(asking);
  },
  tell,
};
