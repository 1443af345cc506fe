// Talking to the stats port: the token, the errors in its own words. Paths are relative, so that a tunnel or a path in
// front of the page does not matter.

const KEPT = "tidegate-token";

/** What the stats port refused, in its words. */
export class Refused extends Error {
  constructor(status, problem, after = 0) {
    super(problem.detail ?? problem.title ?? `the stats port answered ${status}`);
    this.status = status;
    this.problem = problem;
    this.after = after; // milliseconds until it may be asked again, if it said so
  }

  /** The whole of it: what is wrong, and each mistake of a file. */
  get words() {
    const errors = (this.problem.errors ?? []).map((error) => (typeof error === "string" ? error : error.text ?? JSON.stringify(error)));
    return [this.message, ...errors].join("\n\n");
  }
}

/** What went wrong, in words, whatever it is. */
export const wordsOf = (error) => (error instanceof Refused ? error.words : `The stats port cannot be reached (${error.message}).`);

let askToken = null;
let asking = null;

/** Says who asks the operator for a token: `ask(words)` resolves to it. */
export const onToken = (ask) => { askToken = ask; };

/** Waits; not longer than until `signal` ends it. */
export const sleep = (ms, signal) => new Promise((wake) => {
  setTimeout(wake, ms);
  signal?.addEventListener("abort", wake, { once: true });
});

let quiet = { until: 0, refused: null }; // nothing is sent before: the stats port said when to come again
const waiting = new Set();

/** The refusal that everything waits for, as long as it does. */
export const held = () => (quiet.until > performance.now() ? quiet.refused : null);

/**
 * Waits as long as the stats port asked for. What is read waits, the same once at a time, so that nothing piles up that
 * is asked every few seconds; a change does not, because whoever asked for it should not be kept guessing.
 */
async function patience(path, { method = "GET", signal }) {
  for (;;) {
    const left = quiet.until - performance.now();
    if (left <= 0 || signal?.aborted) return;
    if (method !== "GET" || waiting.has(path)) throw quiet.refused;
    waiting.add(path);
    await sleep(left, signal);
    waiting.delete(path);
  }
}

/** When to come again, in milliseconds, of an answer that asks for patience; 0 when it does not say. */
function after(answer) {
  const seconds = answer.status === 429 ? Number(answer.headers.get("Retry-After")) : 0;
  return seconds > 0 ? seconds * 1000 : 0;
}

/** A request with the token, if there is one. Asks for a token and tries again when one is needed. */
export async function call(path, options = {}) {
  for (;;) {
    await patience(path, options);
    const token = sessionStorage.getItem(KEPT);
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(path, { ...options, headers, cache: "no-store" });
    if (answer.ok) return answer;
    const refused = new Refused(answer.status, await answer.json().catch(() => ({})), after(answer));
    if (refused.after && token === sessionStorage.getItem(KEPT)) quiet = { until: Math.max(quiet.until, performance.now() + refused.after), refused };
    if (answer.status !== 401 || !askToken) throw refused;
    if (token !== sessionStorage.getItem(KEPT)) continue; // another request was given one meanwhile
    // However many were refused at a time, the operator is asked once.
    asking ??= askToken(token ? refused.message : "").finally(() => { asking = null; });
    sessionStorage.setItem(KEPT, await asking);
    quiet.until = 0; // that was about the token before
  }
}

/** What a GET answers. */
export const get = async (path) => (await call(path)).json();

/** What a change answers. `generation` guards against what somebody else changed meanwhile. */
export async function change(method, path, body, generation) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  if (generation !== undefined) headers["If-Match"] = `"${generation}"`;
  const answer = await call(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
}

/** The path of a node. */
export const nodePath = (upstream, node) => `api/v1/upstreams/${encodeURIComponent(upstream)}/nodes/${encodeURIComponent(node)}`;

/**
 * Reads server-sent events until the stream ends or `signal` ends it: `tell(name, data)` for each, `tell("open")` before
 * the first, and one without a name it knows for what only keeps the stream alive. Read by hand because a browser's own
 * reader cannot send a token.
 */
export async function events(path, signal, tell) {
  const answer = await call(path, { signal, headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  tell("open", null);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      const data = [];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
      tell(name, data.length ? JSON.parse(data.join("\n")) : null);
    }
  }
}
