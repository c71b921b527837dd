// The models of the page: which are there, which are coming, and which one is chosen.

import { say } from "../dom.js";
import { language, t } from "../words.js";
import { address, article, Choice, el } from "./parts.js";

const SOON = 1000; // milliseconds between looks while a model is coming

/** `onchange()` is called when the models have changed, `onmodel(fresh)` when one was chosen. */
export class Shelf {
  #models = [];
  #timer = 0;
  chosen = null; // by the visitor; null for whichever is first
  known = false; // whether the server has answered yet

  constructor({ onchange, onmodel, ondirection }) {
    this.onchange = onchange;
    this.select = el("select", {
      id: "model",
      onchange: () => this.choose(this.select.value),
    });
    const word = t("translate.model");
    this.element = el("label", { class: "chooser", hidden: true }, word, this.select);
    this.onmodel = onmodel;
    this.direction = new Choice("direction", t("translate.direction"), ondirection);
    this.only = el("p", { class: "only", hidden: true });
    this.notice = el("div", { id: "notice", role: "status" });
    this.ask();
  }

  /** The models that translate, or will on first use. */
  get usable() {
    return this.#models.filter((model) => model.usable);
  }

  /** Whether there may be more in a moment. */
  get coming() {
    return !this.known || this.#models.some((model) => model.state === "loading");
  }

  /** The chosen model; undefined while there is none. */
  get model() {
    return this.usable.find(({ name }) => name === this.chosen) ?? this.usable[0];
  }

  /** The direction that is chosen, or the only one there is; null while neither is so. */
  get way() {
    const { directions = [] } = this.model ?? {};
    return directions.length === 1 ? directions[0] : this.direction.value;
  }

  named(name) {
    return this.#models.find((model) => model.name === name);
  }

  /** Take a model; `fresh` if it may have changed since this page heard of it. */
  async choose(name, fresh = false) {
    this.chosen = name;
    if (fresh) await this.ask();
    this.#offer();
    this.onmodel(fresh);
  }

  /** Take over the model of a result that is shown again, as far as it is still there. */
  follow(name) {
    if (this.named(name)) this.chosen = name;
    this.#offer();
  }

  /** "apple → orange" */
  arrow(labels, direction) {
    const [from, , to] = direction;
    return `${labels[from]} → ${labels[to]}`;
  }

  /** Say what a guess found, and what follows from it. */
  guessed(guess, labels) {
    if (!guess) return "";
    const [a, b] = [labels.a, labels.b].map((label) => article(label, language));
    if (guess.neither) return t("translate.neither", { a, b });
    return t("translate.looks_like", { label: guess.direction === "a2b" ? a : b });
  }

  async ask() {
    clearTimeout(this.#timer);
    try {
      const answer = await fetch(address("studio/shelf.json"), { cache: "no-store" });
      if (answer.ok) {
        this.#models = (await answer.json()).models;
        this.known = true;
      }
    } catch {
      // The page is restarting, or the network is gone; gradio says so.
    }
    if (this.coming) this.#timer = setTimeout(() => this.ask(), SOON);
    this.#offer();
    this.#tell();
    this.onchange();
  }

  /** Show the directions of the chosen model, and which one is meant. */
  point(direction) {
    const model = this.model;
    const directions = model?.directions ?? [];
    const options = directions.map((one) => [one, this.arrow(model.labels, one)]);
    // A single way is nothing to choose.
    const [only, choice] = options.length === 1 ? [options[0][1], []] : [null, options];
    this.only.hidden = !only;
    this.only.replaceChildren(
      ...(only ? [el("b", {}, only), el("small", {}, t("translate.one_way"))] : []),
    );
    this.direction.offer(choice, direction);
  }

  #offer() {
    const names = this.usable.map(({ name }) => name);
    const options = names.map((name) => el("option", { value: name }, name));
    if (names.join() !== [...this.select.options].map(({ value }) => value).join())
      this.select.replaceChildren(...options);
    if (this.model) this.select.value = this.model.name;
    this.element.hidden = names.length < 2;
  }

  #tell() {
    const paragraphs = this.#models
      .filter((model) => model.state === "failed")
      .map(({ reason }) => {
        const missing = el("b", {}, t("translate.model_missing"));
        return el("p", { class: "missing" }, missing, ` ${reason}`);
      });
    const coming = this.#models.filter((model) => model.state === "loading");
    if (coming.length) {
      const names = coming.map(({ name }) => name).join(", ");
      paragraphs.unshift(el("p", { class: "loading" }, t("translate.loading", { names })));
    }
    if (this.known && !this.coming && !this.usable.length)
      paragraphs.push(el("p", { class: "missing" }, t("translate.no_model")));
    // Only when it changes, or a screen reader would say it every second.
    const text = paragraphs.map((paragraph) => paragraph.textContent).join("\n");
    if (this.notice.dataset.said === text) return;
    this.notice.dataset.said = text;
    this.notice.replaceChildren(...paragraphs);
  }
}

/** A line of words that is hidden when there are none. */
export function sentence(attributes) {
  const element = el("p", { ...attributes, hidden: true });
  return { element, say: (text) => say(element, text) };
}
