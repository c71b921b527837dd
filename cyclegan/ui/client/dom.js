// Small helpers: elements, numbers, and asking the server again and again.

import { language, t } from "./words.js";

const SVG = new Set("svg path line text g circle rect polygon title".split(" "));

/** Make an element: attributes that begin with "on" are listeners, false and null are left out. */
export function el(name, attributes = {}, ...children) {
  const made = SVG.has(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

/** An icon of 24 × 24, drawn in the colour of the text. */
export function icon(path) {
  const drawn = el("path", { d: path });
  return el("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" }, drawn);
}

/** Set an element's text if it differs, so that nothing flickers and screen readers stay calm. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

/** "12,500" */
export const count = (number) => Math.round(number).toLocaleString(language);

/** Three digits of a value that may be large or tiny: "0.0123", "2e-7". */
export function short(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    return value.toExponential(1).replace(".0e", "e").replace("e+", "e").replace("-", "−");
  }
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

/** "3.1%" of a share from 0 to 1 */
export function percent(share) {
  const digits = share < 0.0995 ? 1 : 0;
  const format = { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits };
  return share.toLocaleString(language, format);
}

/** A time span in its two largest units: "3 h 26 min". */
export function duration(seconds) {
  if (seconds < 60) return t("training.seconds", { n: Math.round(seconds) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return t("training.minutes", { n: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t("training.hours", { hours, minutes: minutes % 60 });
  return t("training.days", { days: Math.floor(hours / 24), hours: hours % 24 });
}

/** The place in sorted `values` whose value is nearest to `value`. */
export function nearest(values, value) {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - values[low - 1] < values[low] - value ? low - 1 : low;
}

/** Address on the server, relative to where the page is. */
export const address = (path) => new URL(`training/${path}`, document.baseURI).href;
export const runPath = (name) => `runs/${encodeURIComponent(name)}`;

/** The server cannot be reached, or refuses with a sentence, which is `reason`. */
export class Unanswered extends Error {
  constructor(reason = "") {
    super(reason || "no answer");
    this.reason = reason;
  }
}

/** Asks for JSON that changes: `ask` gives the value, or undefined when there is no news. */
export class News {
  #tag = "";

  constructor(path) {
    this.path = path;
  }

  async ask() {
    const headers = this.#tag ? { "If-None-Match": this.#tag } : {};
    const answer = await fetch(address(this.path), { headers, cache: "no-store" }).catch(() => {
      throw new Unanswered();
    });
    if (answer.status === 304) return undefined;
    const value = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Unanswered(value.error);
    this.#tag = answer.headers.get("ETag") ?? "";
    return value;
  }
}

/** Calls `ask` again and again while awake; it says how many seconds to wait, or null to stop. */
export class Poll {
  #timer = 0;
  #asking = false;
  #again = false;
  #awake = false;

  constructor(ask) {
    this.ask = ask;
  }

  /** Ask at once and go on, or stop. */
  wake(awake) {
    this.#awake = awake;
    clearTimeout(this.#timer);
    if (awake) this.#run();
  }

  async #run() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    let seconds = 10;
    try {
      seconds = await this.ask();
    } finally {
      this.#asking = false;
      if (this.#awake && this.#again) setTimeout(() => this.#run());
      else if (this.#awake && seconds !== null) {
        this.#timer = setTimeout(() => this.#run(), 1000 * seconds);
      }
      this.#again = false;
    }
  }
}
