// The page's main loop: which view is open, the connection's state, theme and keys. Only the open view is drawn.

import { onToken } from "./api.js";
import { askToken } from "./ask.js";
import * as banners from "./banners.js";
import { view as cache } from "./cache.js";
import { view as config } from "./config.js";
import { id, put, show } from "./dom.js";
import { begin, link, listen, tick } from "./live.js";
import { take, view as overview } from "./overview.js";
import { view as routes } from "./routes.js";
import { view as slow } from "./slow.js";
import { clock, many } from "./units.js";
import { inTrouble, view as upstreams } from "./upstreams.js";

const VIEWS = { overview, upstreams, cache, routes, slow, config };
const NAMES = Object.keys(VIEWS);
const THEMES = ["auto", "light", "dark"];
const THEME = "tidegate-theme";

let open = null;
let drawn = false;
let unknown = false;

const here = () => (NAMES.includes(location.hash.slice(1)) ? location.hash.slice(1) : "overview");

/** Opens the view that the address names. */
function turn() {
  const name = here();
  if (name === open) return;
  if (open) {
    VIEWS[open].close();
    show(id(`view-${open}`), false);
  }
  open = name;
  for (const a of document.querySelectorAll("nav a")) {
    if (a.hash === `#${name}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  show(id(`view-${name}`), true);
  document.title = `${document.querySelector("nav [aria-current]").firstChild.data.trim()} – Tidegate`;
  window.scrollTo(0, 0);
  VIEWS[name].open();
  if (tick) VIEWS[name].tell();
}

const LINK = {
  live: () => "live",
  polling: () => "every 2 s (no stream)",
  connecting: () => "connecting",
  off: () => `${link.why ? "refused" : "not connected"} since ${clock(link.since)}`,
};

function tellLink() {
  id("link").className = unknown ? "link" : `link ${link.state}`;
  put(id("link-text"), unknown ? "waits for a token" : LINK[link.state]());
}

/** Asks who this is; the link says meanwhile what everything waits for. */
async function token(words) {
  unknown = true;
  tellLink();
  const given = await askToken(words);
  unknown = false;
  tellLink();
  return given;
}

/** Draws at most once a frame, and not at all while nobody looks. */
function draw() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    tellLink();
    banners.tell();
    if (!tick) return;
    const trouble = inTrouble();
    const badge = id("badge-upstreams");
    show(badge, trouble > 0);
    put(badge, String(trouble));
    badge.setAttribute("aria-label", `${many(trouble, "node")} not in full service`);
    VIEWS[open].tell();
  });
}

function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  put(id("theme"), `Theme: ${name}`);
  localStorage.setItem(THEME, name);
}

const nextTheme = () => theme(THEMES[(THEMES.indexOf(localStorage.getItem(THEME) ?? "auto") + 1) % THEMES.length]);

function keys(event) {
  const typing = event.target.closest("input, select, textarea, dialog[open]");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.key >= "1" && event.key <= String(NAMES.length)) location.hash = NAMES[event.key - 1];
  else if (event.key === "?") id("keys").showModal();
  else if (event.key === "t") nextTheme();
  else if (event.key === "/" && open) {
    const field = id(VIEWS[open].filter ?? "event-filter");
    if (!field.offsetParent) return;
    event.preventDefault();
    field.focus();
  }
}

const kept = localStorage.getItem(THEME);
theme(THEMES.includes(kept) ? kept : "auto");
onToken(token);
for (const view of Object.values(VIEWS)) view.begin();
let taken = null;
listen(() => {
  if (tick && tick !== taken) take(tick);
  taken = tick;
  draw();
});
window.addEventListener("hashchange", turn);
document.addEventListener("keydown", keys);
id("theme").addEventListener("click", nextTheme);
id("help").addEventListener("click", () => id("keys").showModal());
turn();
begin();
