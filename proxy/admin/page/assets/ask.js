// Before anything is changed, the operator is asked; afterwards, told. The words of a refusal are the stats port's own.

import { wordsOf } from "./api.js";
import { h, id, put, show } from "./dom.js";

const STAYS = 6000;

/**
 * Asks "do it?", does it, and tells what came of it. `what` has a title, a body (elements), the word on the button,
 * whether it is a danger, `act()` which does it and gives words for the result, and `first`, the element to focus.
 * A refusal stays in the dialog. Resolves to whether it was done.
 */
export function ask(what) {
  const box = id("ask");
  const [yes, no, problem] = [id("ask-yes"), id("ask-no"), id("ask-problem")];
  if (box.open) return Promise.resolve(false);
  const from = document.activeElement;
  put(id("ask-title"), what.title);
  id("ask-body").replaceChildren(...(what.body ?? []).map((one) => (typeof one === "string" ? h("p", null, one) : one)));
  put(yes, what.word);
  yes.className = what.danger ? "danger" : "primary";
  yes.disabled = Boolean(what.blocked);
  show(problem, false);
  box.showModal();
  (what.first ?? (what.blocked ? no : yes)).focus();
  return new Promise((resolve) => {
    const form = box.querySelector("form");
    let done = false;
    const act = async (event) => {
      event.preventDefault();
      if (yes.disabled) return;
      yes.disabled = true;
      show(problem, false);
      try {
        const words = await what.act();
        done = true;
        if (words) toast(words);
        box.close();
      } catch (error) {
        put(problem, wordsOf(error));
        show(problem, true);
        yes.disabled = false;
        yes.focus();
      }
    };
    const cancel = () => box.close();
    form.addEventListener("submit", act);
    no.addEventListener("click", cancel);
    box.addEventListener("close", () => {
      form.removeEventListener("submit", act);
      no.removeEventListener("click", cancel);
      // Back to where it was asked from, if that is still there.
      if (from?.isConnected) from.focus({ focusVisible: true });
      resolve(done);
    }, { once: true });
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

/** Asks for a token until one is given; `words` say what was wrong with the last. */
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
    const keep = (event) => event.preventDefault(); // without a token there is nothing to go back to
    box.addEventListener("cancel", keep);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.removeEventListener("cancel", keep);
      box.close();
      resolve(value.value.trim());
    }, { once: true });
  });
}
