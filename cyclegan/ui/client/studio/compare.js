// One photo through all models of the page, one after the other; a click opens a result.

import { t } from "../words.js";
import { arrange, el, preview } from "./parts.js";

/** `onask(model)` has the photo go through a model, after which `next` is to be called; `onstop()`
 * stops that, `onopen(facts)` shows a result.
 */
export class Compare {
  #rows = []; // {model, facts}, as they were shown last
  #tour = []; // models that the photo is still to go through
  #failures = new Map(); // model → why the photo did not get through it
  #tiles = new Map(); // model → {element, shape}
  running = null; // the model that it goes through now

  constructor({ onask, onstop, onopen }) {
    this.onask = onask;
    this.onopen = onopen;
    const onclick = () => (this.running ? onstop() : this.#start());
    this.button = el("button", { type: "button", onclick });
    this.list = el("ul", { class: "strip wide" });
    const title = el("h3", {}, t("translate.compare"));
    this.element = el(
      "section",
      { id: "compare", hidden: true },
      el("header", {}, title, this.button),
      this.list,
    );
  }

  /** Go on to the next model; `failure` says why the photo did not get through this one. */
  next(failure) {
    if (failure) this.#failures.set(this.running.name, failure);
    this.running = this.#tour.shift() ?? null;
    if (this.running) this.onask(this.running);
  }

  /** Go through no more models; `clear`: for another photo. */
  stop(clear = false) {
    this.#tour = [];
    this.running = null;
    if (clear) this.#failures.clear();
  }

  /** Show where every model stands: `made(model)` gives facts, of which `shown` is on the stage. */
  show(models, made, shown) {
    this.#rows = models.map((model) => ({ model, facts: made(model) }));
    const missing = this.#rows.filter(({ facts }) => !facts).length;
    this.element.hidden = models.length < 2;
    this.button.hidden = !this.running && !missing;
    this.button.textContent = this.running
      ? t("translate.cancel")
      : t("translate.compare_run", { n: missing });
    this.list.hidden = models.length - missing < 2 && !this.running && !this.#failures.size;
    arrange(
      this.list,
      this.#rows.map((row) => this.#tile(row, row.facts && row.facts.token === shown)),
    );
  }

  #start() {
    this.#failures.clear();
    this.#tour = this.#rows.filter(({ facts }) => !facts).map(({ model }) => model);
    this.next();
  }

  #tile({ model, facts }, current) {
    const [state, words] = this.#state(model, facts);
    const shape = JSON.stringify([facts?.token, words, state, current]);
    const before = this.#tiles.get(model.name);
    if (before?.shape === shape) return before.element;
    const button = el(
      "button",
      {
        type: "button",
        disabled: !facts,
        "aria-label": `${model.name}: ${words}`,
        "aria-current": current ? "true" : null,
        onclick: () => this.onopen(facts),
      },
      facts && el("img", { src: preview(facts, "fake"), alt: "" }),
    );
    const name = el("span", { title: model.name }, model.name);
    const element = el("li", { class: state }, button, name, el("small", {}, words));
    this.#tiles.set(model.name, { element, shape });
    return element;
  }

  #state(model, facts) {
    if (facts) {
      const [from, , to] = facts.direction;
      return ["done", `${facts.labels[from]} → ${facts.labels[to]}`];
    }
    if (this.running?.name === model.name) return ["working", t("translate.translating")];
    const failure = this.#failures.get(model.name);
    return failure ? ["failed", failure] : ["open", ""];
  }
}
