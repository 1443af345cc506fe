// Numbers as people read them: the unit that matters, three digits that count, a dash where there is nothing to say.

export const NONE = "–";

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const STEPS = [[1e12, "T"], [1e9, "G"], [1e6, "M"]];

/** A number of things: 12,345; 4.21 M. */
export function count(n) {
  if (n === null || n === undefined) return NONE;
  for (const [size, letter] of STEPS) if (n >= size) return `${digits(n / size)} ${letter}`;
  return grouped.format(n);
}

/** So many a second: 0, 0.4, 17, 1,234. */
export function rate(n) {
  if (n === null || n === undefined) return NONE;
  return n > 0 && n < 10 && !Number.isInteger(n) ? n.toFixed(1) : count(Math.round(n));
}

/** Three digits that count. */
export function digits(n) {
  return n >= 100 ? String(Math.round(n)) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

/** A duration of a request: [number, unit]. */
export function timeParts(seconds) {
  if (seconds === null || seconds === undefined) return [NONE, ""];
  if (seconds === 0) return ["0", "ms"];
  if (seconds >= 0.9995) return [digits(seconds), "s"];
  const ms = seconds * 1000;
  return [ms >= 99.95 ? String(Math.round(ms)) : ms >= 9.995 ? ms.toFixed(1) : ms.toFixed(2), "ms"];
}

/** A duration of a request: 0.42 ms, 123 ms, 1.24 s. */
export const time = (seconds) => timeParts(seconds).join(" ").trim();

/** How long something has been so: 12 s, 3 min, 2 h, 5 d. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How long something still lasts: in seconds as long as that is a countdown. */
export const left = (seconds) => (seconds < 600 ? `${Math.max(0, Math.ceil(seconds))} s` : span(seconds));

/** Memory or bodies: 12.3 MiB. */
export function bytes(n) {
  if (n === null || n === undefined) return NONE;
  for (const [at, unit] of ["B", "KiB", "MiB", "GiB", "TiB"].entries()) {
    const in_it = n / 1024 ** at;
    if (in_it < 1023.5 || unit === "TiB") return at === 0 ? `${n} B` : `${digits(in_it)} ${unit}`;
  }
}

/** A share in percent, without its sign; null where there was nothing. */
export function percent(part, whole) {
  if (!whole || part === null || part === undefined) return null;
  const share = (part / whole) * 100;
  return share === 0 || share === 100 ? String(share) : share < 0.1 ? "<0.1" : share > 99.9 ? ">99.9" : share.toFixed(share < 10 ? 2 : 1);
}

/** A share in percent: 12.3 %. */
export function share(part, whole) {
  const text = percent(part, whole);
  return text === null ? NONE : `${text} %`;
}

/** When, by this machine's clock: the time, and the day unless it is today. */
export function clock(at) {
  const when = at instanceof Date ? at : new Date(at);
  if (Number.isNaN(when.getTime())) return NONE;
  const day = when.toDateString() === new Date().toDateString() ? "" : `${two(when.getMonth() + 1)}-${two(when.getDate())} `;
  return `${day}${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

const two = (n) => String(n).padStart(2, "0");

/** "1 node", "2 nodes". */
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
