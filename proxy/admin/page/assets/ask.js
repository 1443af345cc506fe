// Before anything is changed, the operator is asked; afterwards, told. The words of a refusal are the stats port's own.

import { wordsOf } from "./api.js";
import { h, id, put, show } from "./dom.js";

const STAYS = 6000;

let leave = null; // ends the last question, if that is not over

/**
 * Asks "do it?", does it, and tells what came of it. `what` has a title, a body (elements), the word on the button,
 * whether it is a danger, `act()` which does it and gives words for the result, and `first`, the element to focus.
 * A refusal stays in the dialog. While it is done there is no way back; where the browser closes the dialog all the same,
 * a note tells what came of it. Resolves to whether it was done.
 */
export function ask(what) {
  const box = id("ask");
  const [yes, no, problem] = [id("ask-yes"), id("ask-no"), id("ask-problem")];
  if (box.open) return Promise.resolve(false);
  leave?.();
  const from = document.activeElement;
  put(id("ask-title"), what.title);
  id("ask-body").replaceChildren(...(what.body ?? []).map((one) => (typeof one === "string" ? h("p", null, one) : one)));
  put(yes, what.word);
  yes.className = what.danger ? "danger" : "primary";
  yes.disabled = Boolean(what.blocked);
  no.disabled = false;
  show(problem, false);
  box.showModal();
  (what.first ?? (what.blocked ? no : yes)).focus();
  return new Promise((resolve) => {
    const form = box.querySelector("form");
    let done = false;
    let acting = false;
    let over = false; // from then on the dialog is another one's
    const act = async (event) => {
      event.preventDefault();
      if (yes.disabled) return;
      acting = yes.disabled = no.disabled = true;
      show(problem, false);
      try {
        const words = await what.act();
        done = true;
        if (words) toast(words);
      } catch (error) {
        if (over || !box.open) toast(wordsOf(error), true);
        else {
          put(problem, wordsOf(error));
          show(problem, true);
          yes.disabled = no.disabled = false;
          yes.focus();
        }
      }
      acting = false;
      if (over) resolve(done);
      else if (done) cancel();
    };
    const cancel = () => {
      box.close();
      end();
    };
    const keep = (event) => {
      if (acting) event.preventDefault();
    };
    const closed = () => {
      if (!box.open) end();
    };
    const end = () => {
      if (over) return;
      over = true;
      leave = null;
      form.removeEventListener("submit", act);
      no.removeEventListener("click", cancel);
      box.removeEventListener("cancel", keep);
      box.removeEventListener("close", closed);
      // Back to where it was asked from, if that is still there.
      if (from?.isConnected) from.focus({ focusVisible: true });
      if (!acting) resolve(done);
    };
    leave = end;
    form.addEventListener("submit", act);
    no.addEventListener("click", cancel);
    box.addEventListener("cancel", keep);
    box.addEventListener("close", closed);
  });
}

/** Tells something that stays until it is closed when it is bad, and a few seconds otherwise. */
export function toast(words, bad = false) {
  const el = h("div", { class: bad ? "toast bad" : "toast" }, h("span", null, words), h("button", { type: "button", "aria-label": "Close this note", click: () => el.remove() }, "✕"));
  const box = id("toasts");
  while (box.children.length > 3) box.firstChild.remove();
  box.append(el);
  if (!bad) setTimeout(() => el.remove(), STAYS);
}

/**
 * Asks for a token until one is given; `words` say what was wrong with the last. Without one there is nothing to go back
 * to.
 */
export function askToken(words) {
  const box = id("token");
  const value = id("token-value");
  const form = box.querySelector("form");
  value.value = "";
  put(id("token-problem"), words);
  show(id("token-problem"), Boolean(words));
  if (!box.open) box.showModal();
  value.focus();
  return new Promise((resolve) => {
    const keep = (event) => event.preventDefault();
    // A browser may close it all the same, when Escape is pressed and nothing else was.
    const again = () => {
      if (box.open) return;
      put(id("token-problem"), words || "Nothing is told without a token.");
      show(id("token-problem"), true);
      box.showModal();
      value.focus();
    };
    box.addEventListener("cancel", keep);
    box.addEventListener("close", again);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.removeEventListener("cancel", keep);
      box.removeEventListener("close", again);
      box.close();
      resolve(value.value.trim());
    }, { once: true });
  });
}
