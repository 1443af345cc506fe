// One row of the table of nodes. Its cells are made once and told every second; only what changed is touched.

import { spark } from "./chart.js";
import { attr, h, put, show, worded } from "./dom.js";
import { recent } from "./live.js";
import { NONE, count, left, many, rate, span, time } from "./units.js";
import * as verbs from "./verbs.js";

const HEALTH = { healthy: "good", checking: "off", unhealthy: "bad", ejected: "warn" };
const STATE = { up: "good", drain: "half", down: "off" };
/** The names of the columns; where a node is a card, they stand above the values. */
export const LABELS = ["Node", "State", "Health", "Weight", "In flight", "Requests/s", "p50", "p99", "Errors/s", "Retries/s", "Last check", null];

/** Whether a node is in full service. */
export const isWell = (node) => node.state === "up" && !node.removed && node.health === "healthy" && node.breaker !== "open" && node.agent_share === 100;

/** A rate that is worth a look only when it is not nothing. */
export function tellFailing(el, n, style = "bad") {
  put(el, n === null || n === undefined ? NONE : n > 0 ? rate(n) : "0");
  attr(el, "class", `${el.tagName === "TD" ? "n " : ""}${n > 0 ? style : "soft"}`);
}

/** What stands below the state: since when, or what is left of a drain. */
function below(node) {
  if (!node.drain) return `for ${span(node.since_seconds)}`;
  const { remaining, ends_in_seconds: ends } = node.drain;
  return remaining > 0 ? `${count(remaining)} left, cut in ${left(ends)}` : "empty";
}

function healthWord(node) {
  if (node.breaker === "open") return ["bad", "breaker open"];
  if (node.breaker === "half_open") return ["warn", "breaker half open"];
  return [HEALTH[node.health] ?? "off", node.health];
}

function reason(node) {
  const rests = node.rests_for_seconds ? `rests ${left(node.rests_for_seconds)} more; ` : "";
  const asks = node.agent_share < 100 ? `asks for ${node.agent_share} %; ` : "";
  return `${asks}${rests}${node.reason}`;
}

/** The row of a node: `el`, and `tell(node)`. */
export class NodeRow {
  constructor(upstream) {
    this.upstream = upstream;
    const sub = (name) => h("span", { class: `sub cut ${name ?? ""}` });
    Object.assign(this, {
      name: h("span", { class: "name" }), tags: h("span"), addr: sub("addr"), state: worded(), since: sub(), health: worded(), why: sub("why"),
      weight: h("span"), share: sub(), flying: h("span"), places: sub(), rate: h("span"), spark: spark(), check: worded(), checked: sub("check"),
    });
    const cell = (at, name, ...kids) => h("td", { class: name, role: "cell", "data-label": LABELS[at] }, kids);
    this.p50 = cell(6, "n");
    this.slowest = h("span");
    this.usual = h("span", { class: "sub narrow" }); // stands in for the column of p50 where there is no room for it
    this.p99 = cell(7, "n", this.slowest, this.usual);
    this.failed = h("span");
    this.again = h("span", { class: "sub narrow" });
    this.errors = cell(8, "n", this.failed, this.again);
    this.retries = cell(9, "n");
    this.buttons = ["drain", "undrain", "down", "weight", "remove"].map((verb) => {
      const word = verb[0].toUpperCase() + verb.slice(1);
      return h("button", { type: "button", tabindex: "-1", "data-verb": verb, click: () => this.act(verb) }, word);
    });
    this.el = h("tr", { class: "node", role: "row", tabindex: "-1" },
      h("th", { scope: "row", role: "rowheader" }, h("span", { class: "cut" }, this.name, this.tags), this.addr),
      cell(1, null, this.state.el, this.since), cell(2, null, this.health.el, this.why),
      cell(3, "n", this.weight, this.share), cell(4, "n", this.flying, this.places),
      cell(5, "n", h("span", { class: "rate" }, this.spark.el, this.rate)),
      this.p50, this.p99, this.errors, this.retries,
      cell(10, null, this.check.el, this.checked), cell(11, null, h("span", { class: "verbs" }, this.buttons)));
    this.el.row = this;
  }

  act(verb) {
    if (this.node && !this.buttons.find((button) => button.dataset.verb === verb).hidden) return verbs[verb](this.upstream, this.node);
  }

  tell(node) {
    this.node = node;
    put(this.name, node.id);
    this.tell_tags(node);
    attr(this.el, "data-node", `${this.upstream}/${node.id}`);
    put(this.addr, node.addr === node.id ? "" : node.addr);
    attr(this.addr, "title", node.addr);
    this.state.tell(STATE[node.state] ?? "off", node.state);
    put(this.since, below(node));
    this.health.tell(...healthWord(node));
    const why = reason(node);
    put(this.why, why);
    attr(this.why, "title", why);
    put(this.weight, String(node.weight));
    put(this.share, node.effective_weight === node.weight ? "" : `${Number(node.effective_weight.toFixed(2))} now`);
    put(this.flying, count(node.in_flight));
    put(this.places, [node.max_conns ? `of ${count(node.max_conns)}` : "", node.tunnels ? many(node.tunnels, "tunnel") : ""].filter(Boolean).join(", "));
    this.numbers(node.second ?? {});
    this.probe(node.last_check);
    const look = node.state === "down" ? "node is-down" : node.drain || node.state === "drain" ? "node is-drain" : healthWord(node)[0] === "bad" ? "node is-bad" : "node";
    attr(this.el, "class", look);
    this.offer(node);
  }

  numbers(second) {
    put(this.rate, rate(second.requests));
    this.spark.tell(recent.get(`${this.upstream}/${this.node.id}`) ?? []);
    put(this.p50, time(second.p50));
    put(this.slowest, time(second.p99));
    put(this.usual, `p50 ${time(second.p50)}`);
    tellFailing(this.failed, second.errors);
    put(this.again, second.retries > 0 ? `${rate(second.retries)} retried` : "");
    tellFailing(this.retries, second.retries, "warn");
  }

  probe(check) {
    this.check.tell(check ? (check.ok ? "good" : "bad") : "off", check ? (check.ok ? "passed" : "failed") : "none");
    const words = check ? `${check.ok && check.text === "passed" ? "" : `${check.text}, `}${span(check.age_seconds)} ago` : "";
    put(this.checked, words);
    attr(this.checked, "title", words);
  }

  tell_tags(node) {
    const tags = [node.backup && "backup", node.priority > 0 && `tier ${node.priority}`, node.drift && "changed", node.removed && "leaving"].filter(Boolean);
    if (this.tagged === tags.join()) return;
    this.tagged = tags.join();
    this.tags.replaceChildren(...tags.map((tag) => h("span", { class: "tag" }, tag)));
  }

  /** Shows the verbs that make sense now. */
  offer(node) {
    const back = node.state !== "up";
    const can = { drain: !back, undrain: back, down: node.state !== "down", weight: true, remove: true };
    for (const button of this.buttons) {
      const verb = button.dataset.verb;
      const on = !node.removed && can[verb];
      if (button.hidden === on) {
        const had = document.activeElement === button;
        show(button, on);
        if (had) this.el.focus();
      }
      attr(button, "aria-label", `${verb[0].toUpperCase()}${verb.slice(1)} ${this.upstream}/${node.id}`);
    }
  }

  /** Whether it or its buttons are reached by Tab: one row at a time is. */
  reach(on) {
    attr(this.el, "tabindex", on ? "0" : "-1");
    for (const button of this.buttons) attr(button, "tabindex", on ? "0" : "-1");
  }
}
