// The head of the tab: which model, from which seed, how many.

import { icon } from "../dom.js";
import { t } from "../words.js";
import { address, Choice, el } from "../studio/parts.js";
import { COUNTS } from "./place.js";

const SOON = 1000; // milliseconds between looks while a model is coming
const TRAIN = `python train.py dcgan --data DIR --out runs/NAME
python app.py --weights runs/NAME/weights`;
const DICE = "M5 5h14v14H5zM9 9h.01M15 9h.01M9 15h.01M15 15h.01M12 12h.01";
const SEEDS = 1_000_000; // what is drawn stays short enough to be read out

/** `onmodel()`, `onseed()` and `oncount()` are called when the visitor has chosen; `onmodels()` when
 * the server has said what there is. */
export class Head {
  #models = [];
  #timer = 0;
  #typing = false; // whether the seed is being written, and is not to be written over
  chosen = "";
  known = false; // whether the server has answered yet
  loading = true; // whether more may come

  constructor({ onmodels, onmodel, onseed, oncount }) {
    this.onmodels = onmodels;
    this.select = el("select", {
      id: "generate-model",
      onchange: () => {
        this.chosen = this.select.value;
        onmodel();
      },
    });
    this.chooser = el("label", { class: "chooser" }, t("translate.model"), this.select);
    this.seed = el("input", {
      id: "seed",
      inputmode: "numeric",
      autocomplete: "off",
      maxlength: 12,
      oninput: () => (this.#typing = true),
      onblur: () => (this.#typing = false),
      onchange: () => {
        this.#typing = false;
        onseed();
      },
    });
    const again = el(
      "button",
      { type: "button", class: "first", id: "resample", onclick: () => this.#draw(onseed) },
      icon(DICE),
      t("generate.resample"),
    );
    this.counts = new Choice("count", t("generate.count"), () => oncount());
    this.counts.offer(
      COUNTS.map((count) => [`${count}`, `${count}`]),
      `${COUNTS[0]}`,
    );
    const name = el("label", { class: "seed" }, t("generate.seed"), this.seed);
    this.seeds = el("div", { class: "actions" }, name, again);
    this.element = el(
      "div",
      { class: "head" },
      this.seeds,
      this.counts.element,
      this.chooser,
    );
  }

  /** The models that make pictures, or will on first use. */
  get usable() {
    return this.#models.filter((model) => model.usable);
  }

  /** The chosen model; undefined while there is none. */
  get model() {
    return this.usable.find(({ name }) => name === this.chosen) ?? this.usable[0];
  }

  /** Ask the server which models there are, again and again while more may come. */
  async ask() {
    clearTimeout(this.#timer);
    try {
      const answer = await fetch(address("generate/models.json"), { cache: "no-store" });
      if (answer.ok) {
        const { models, loading } = await answer.json();
        this.#models = models;
        this.loading = loading;
        this.known = true;
      }
    } catch {
      // The page is restarting, or the network is gone; gradio says so.
    }
    if (this.loading) this.#timer = setTimeout(() => this.ask(), SOON);
    this.#offer();
    this.onmodels();
  }

  /** Show a state's model, seed and count. */
  show({ model, seed, count }) {
    this.chosen = model;
    if (!this.#typing) this.seed.value = seed;
    this.counts.set(`${count}`);
    this.#offer();
  }

  /** Show no more than the model as long as there is nothing to make. */
  bare(bare) {
    this.seeds.hidden = this.counts.element.hidden = bare;
  }

  #draw(onseed) {
    const [number] = crypto.getRandomValues(new Uint32Array(1));
    this.seed.value = number % SEEDS;
    onseed();
  }

  #offer() {
    const names = this.usable.map(({ name }) => name);
    if (names.join() !== [...this.select.options].map(({ value }) => value).join())
      this.select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    if (this.model) this.select.value = this.model.name;
    this.chooser.hidden = names.length < 2;
  }
}

/** What to read where there is no model that makes pictures. */
export function nothing() {
  return el(
    "div",
    { class: "none", hidden: true },
    el("p", { class: "invitation" }, t("generate.none")),
    el("p", {}, t("generate.none_train")),
    el("pre", {}, TRAIN),
    el("p", { class: "hint" }, t("generate.none_add")),
  );
}
