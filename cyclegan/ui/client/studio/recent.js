// What was translated in this browser session: facts only, the pictures stay on the server.

import { t } from "../words.js";
import { arrange, el, preview, span } from "./parts.js";

const KEY = "studio";
const KEPT = 24; // results

/** `onopen(facts)` is called when one is to be shown again, `ongone()` when its files are gone. */
export class Recent {
  #results = []; // facts, the newest first
  #shown = null; // token
  #items = new Map(); // token → element
  #wanted = null; // token of the one that is about to be shown

  constructor(onopen, ongone) {
    this.onopen = onopen;
    this.ongone = ongone;
    this.list = el("ul", { class: "strip" });
    this.element = el(
      "section",
      { id: "recent", hidden: true },
      el("h3", {}, t("translate.recent")),
      this.list,
    );
    this.#read();
    this.#draw();
  }

  /** The result that was shown last, also before the page was reloaded. */
  get last() {
    return this.#results.find(({ token }) => token === this.#shown);
  }

  /** Remember a result, or what has become of it since; `shown` if it is the one on the stage. */
  add(facts, shown) {
    if (shown) [this.#shown, this.#wanted] = [facts.token, null];
    const before = this.#results.findIndex(({ token }) => token === facts.token);
    if (before >= 0) this.#results[before] = facts;
    else this.#results.unshift(facts);
    this.#results.length = Math.min(this.#results.length, KEPT);
    this.#write();
    this.#draw();
  }

  /** Say which one is shown; null for none. */
  mark(token) {
    this.#shown = token;
    this.#wanted = null;
    this.#write();
    this.#draw();
  }

  /** A result of the same photo, made in the same way; `direction` may be "auto". */
  find(photo, model, direction, detail) {
    return this.#results.find(
      (facts) =>
        this.#is(facts, photo, model, detail) &&
        (direction === "auto" || facts.direction === direction),
    );
  }

  /** What a model made of a photo last. */
  made(photo, model, detail) {
    return this.#results.find((facts) => this.#is(facts, photo, model, detail));
  }

  /** The newest result of a photo. */
  latest(photo) {
    return this.#results.find((facts) => photo && facts.photo === photo);
  }

  /** Show a result again; one that is gone leaves. */
  async open(facts) {
    this.#wanted = facts.token;
    const there = await isThere(facts);
    // Something newer may have taken its place meanwhile.
    if (this.#wanted !== facts.token) return;
    if (there) return this.onopen(facts);
    this.forget(facts.token);
    this.ongone();
  }

  forget(token) {
    this.#results = this.#results.filter((facts) => facts.token !== token);
    if (this.#shown === token) this.#shown = null;
    this.#write();
    this.#draw();
  }

  #is(facts, photo, model, detail) {
    const same = facts.model === model.name && facts.revision === model.revision;
    return same && facts.photo === photo && facts.detail === detail;
  }

  #draw() {
    this.element.hidden = !this.#results.length;
    const items = this.#results.map((facts) => {
      if (!this.#items.has(facts.token)) this.#items.set(facts.token, this.#item(facts));
      const item = this.#items.get(facts.token);
      item.firstChild.ariaCurrent = facts.token === this.#shown ? "true" : null;
      return item;
    });
    arrange(this.list, items);
  }

  #item(facts) {
    const [from, , to] = facts.direction;
    const words = `${facts.labels[from]} → ${facts.labels[to]}`;
    const { name, model } = facts;
    const title = t("translate.recent_title", { name, model, words });
    const button = el(
      "button",
      {
        type: "button",
        title,
        "aria-label": title,
        onclick: () => this.open(this.#results.find(({ token }) => token === facts.token)),
      },
      el("img", {
        src: preview(facts, "fake"),
        alt: "",
        loading: "lazy",
        onerror: () => this.#missing(facts),
      }),
    );
    return el("li", {}, button, el("small", {}, facts.detail ? span(facts.seconds) : words));
  }

  // A picture that does not come may be gone, or only late.
  async #missing(facts) {
    if (!(await isThere(facts))) this.forget(facts.token);
  }

  #read() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY)) ?? {};
      this.#results = Array.isArray(kept.results) ? kept.results.filter((one) => one.token) : [];
      this.#shown = kept.shown ?? null;
    } catch {
      // Storage is forbidden here, or holds something else; then the session starts now.
    }
  }

  #write() {
    try {
      const kept = { results: this.#results, shown: this.#shown };
      sessionStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // The same; nothing is lost but the memory of a reload.
    }
  }
}

async function isThere(facts) {
  const asked = { method: "HEAD", cache: "no-store" };
  const answer = await fetch(preview(facts, "fake"), asked).catch(() => null);
  // Without an answer nobody knows; what is cached can still be shown.
  return answer?.status !== 404;
}
