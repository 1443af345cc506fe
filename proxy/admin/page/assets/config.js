// The configuration in force, what a reload would make of it, and what was changed at run time.

import { Refused, change, get, wordsOf } from "./api.js";
import { ask } from "./ask.js";
import { drop, entries, inWords } from "./banners.js";
import * as certificates from "./certificates.js";
import { h, id, put } from "./dom.js";
import { tick } from "./live.js";
import { clock, many } from "./units.js";

const EVERY = 5000;

let asking = null;
let shown = "";
let drifted = "";
let generation = null;

/** A line of YAML: its key, its value, and what is said about it. */
function line(text) {
  const [, indent, key, rest] = /^(\s*(?:- )?)([\w.-]+:(?=\s|$))?(.*)$/s.exec(text);
  const said = rest.search(/(^|\s)#/);
  const value = said < 0 ? rest : rest.slice(0, said);
  return [indent, key ? h("span", { class: "key" }, key) : "", value, said < 0 ? "" : h("span", { class: "said" }, rest.slice(said)), "\n"];
}

async function effective() {
  try {
    const config = await get("api/v1/config");
    generation = config.generation;
    put(id("config-facts"), `Generation ${config.generation}, loaded ${clock(config.loaded_at)} from ${config.path}${config.files.length > 1 ? ` and ${many(config.files.length - 1, "more file")}` : ""}`);
    id("config-facts").title = config.files.join("\n");
    if (config.effective === shown) return;
    shown = config.effective;
    id("yaml").replaceChildren(...shown.split("\n").flatMap(line));
  } catch {
    // The link at the top says that nothing is heard.
  }
}

async function diff() {
  const box = id("diff");
  let kids;
  try {
    const { changes, errors } = await get("api/v1/config/diff");
    const problem = (error) => h("pre", null, typeof error === "string" ? error : error.text);
    if (errors?.length) kids = [h("p", { class: "bad" }, "It would be refused:"), ...errors.map(problem)];
    else if (!changes.length) kids = [h("p", null, "Nothing: the file says what is in force.")];
    else kids = [h("ul", null, changes.map((one) => h("li", null, h("span", null, one.text ?? one, one.needs_restart ? h("span", { class: "tag" }, "needs a restart") : null))))];
  } catch (error) {
    kids = [h("p", { class: error instanceof Refused ? null : "bad" }, wordsOf(error))];
  }
  const words = kids.map((kid) => kid.textContent).join("\n");
  if (box.words === words) return;
  box.words = words;
  box.replaceChildren(...kids);
}

function drift() {
  const list = entries();
  const words = JSON.stringify(list);
  if (words === drifted) return;
  drifted = words;
  const item = (entry) => {
    const node = `${entry.upstream}/${entry.node}`;
    return h("li", null, h("span", null, inWords(entry)), h("button", { type: "button", "aria-label": `Drop the change of ${node}`, click: () => drop(node) }, "Drop…"));
  };
  id("drift").replaceChildren(list.length ? h("ul", null, list.map(item)) : h("p", null, "Nothing: all is as the file says."));
}

function reload() {
  ask({
    title: "Reload the file?", word: "Reload",
    body: ["The file is read again. A mistake in it changes nothing; else it is in force at once, and no request is lost."],
    act: async () => {
      const told = await change("POST", "api/v1/reload");
      effective();
      diff();
      if (told.result === "unchanged") return "Nothing changed: the file says what is in force.";
      return [`Generation ${told.generation} is in force.`, ...told.notes, ...told.warnings].join("\n");
    },
  });
}

function look() {
  diff();
  certificates.refresh();
}

/** What app.js asks of a view. */
export const view = {
  begin() {
    id("reload").addEventListener("click", reload);
  },
  open() {
    effective();
    look();
    asking = setInterval(look, EVERY);
  },
  close() {
    clearInterval(asking);
  },
  tell() {
    drift();
    if (tick.generation !== generation && generation !== null) {
      generation = tick.generation;
      effective();
    }
  },
};
