// The stage: one result in four views. The strength is a matter of the browser alone.

import { percent } from "../dom.js";
import { t } from "../words.js";
import { DifferenceView } from "./difference.js";
import { HeatView } from "./heat.js";
import { Large } from "./large.js";
import { Choice, el, load, preview, symbol } from "./parts.js";
import { Frame, SliderView } from "./slider.js";

const VIEWS = ["panels", "slider", "difference", "cycle"];
const NARROW = 700; // pixels, below which one picture at a time is the better start

/** Shows a picture on its way and what became of it. */
export class Stage {
  #names = {}; // what each panel shows: {real, fake, recovered}
  #scene = null; // { real, fake, recovered }: addresses, as far as they are there
  #strength = 1;
  #view;
  #start; // the view to begin with
  views = []; // those that there are to choose

  constructor() {
    this.frames = Object.fromEntries(
      ["real", "fake", "recovered"].map((name) => [name, new Frame(name)]),
    );
    this.large = new Large();
    this.figures = Object.fromEntries(
      Object.keys(this.frames).map((name) => [name, this.#panel(name)]),
    );
    this.panels = el("div", { class: "panels" }, Object.values(this.figures));
    this.slider = new SliderView();
    this.difference = new DifferenceView();
    this.heat = new HeatView();
    this.elements = {
      panels: this.panels,
      slider: this.slider.element,
      difference: this.difference.element,
      cycle: this.heat.element,
    };
    this.choice = new Choice("views", t("translate.view"), (view) => this.show(view));
    const expand = el(
      "button",
      {
        type: "button",
        class: "expand",
        "aria-label": t("translate.large"),
        title: t("translate.large"),
        onclick: () => this.open(this.#view === "cycle" ? "recovered" : "fake"),
      },
      symbol("large"),
    );
    this.element = el(
      "div",
      { class: "stage" },
      Object.values(this.elements),
      expand,
      this.large.element,
    );
    this.#start = innerWidth < NARROW ? "slider" : "panels";
    this.show(this.#start);
    this.#offer(true);
  }

  get view() {
    return this.#view;
  }

  /** Turn to a view; a difference that is not seen is not computed. */
  show(view) {
    this.#view = view;
    this.choice.set(view);
    for (const [name, element] of Object.entries(this.elements)) element.hidden = name !== view;
    this.element.dataset.view = view;
    this.element.dispatchEvent(new CustomEvent("view"));
    this.#draw();
  }

  /** Show a picture that is on its way: of the result only what is there, and nothing older.
   *
   * `scene` is {real, fake, recovered}, addresses or null; `names` what to call them; `waiting`
   * whether the rest is on its way; `twoWays` whether there is a way back at all.
   */
  async set(scene, names, waiting, twoWays) {
    const before = this.#scene;
    this.#scene = scene;
    this.#names = names;
    this.element.classList.toggle("working", waiting);
    for (const [which, frame] of Object.entries(this.frames)) {
      frame.set(scene[which], which === "fake" ? scene.real : null, names[which]);
      frame.caption.querySelector("span").textContent = names[which] ?? "";
      frame.wait(scene[which] || !waiting ? "" : t(`translate.${which}_appears`));
    }
    this.figures.recovered.hidden = !twoWays;
    this.#offer(twoWays);
    const appears = scene.fake || !waiting ? "" : t("translate.fake_appears");
    this.slider.set(scene, names, appears);
    this.difference.wait(appears);
    this.large.set(scene, names);
    if (scene.real && scene.real !== before?.real) await this.#measure(scene);
    if (this.#scene === scene) this.#draw();
  }

  /** Say in the caption of the way back how far it misses. */
  note(error) {
    const small = this.frames.recovered.caption.querySelector("small");
    small.textContent = error == null ? "" : t("translate.off_by", { share: percent(error) });
    this.heat.average = error;
  }

  set strength(strength) {
    this.#strength = strength;
    this.element.style.setProperty("--strength", strength);
    this.difference.strength = strength;
  }

  /** Scroll to the stage, should it be out of sight. */
  reveal() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
  }

  /** Look at one of the pictures in large. */
  open(which) {
    if (this.#scene?.real) this.large.open(this.#scene[which] ? which : "real");
  }

  // The frames take the shape of the picture before anything else of it is there.
  async #measure(scene) {
    const image = await load(scene.real);
    if (this.#scene.real !== scene.real || !image) return;
    this.element.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
  }

  #draw() {
    if (!this.#scene) return;
    if (this.#view === "difference") this.difference.draw(this.#scene);
    if (this.#view === "cycle") this.heat.draw(this.#scene);
  }

  #offer(twoWays) {
    this.views = VIEWS.filter((view) => twoWays || view !== "cycle");
    if (!this.views.includes(this.#view)) this.show(this.#start);
    const options = this.views.map((view, at) => [
      view,
      t(`translate.view_${view}`),
      view,
      `${at + 1}`,
    ]);
    this.choice.offer(options, this.#view);
  }

  #panel(which) {
    const frame = this.frames[which];
    const button = el(
      "button",
      { type: "button", class: "look", onclick: () => this.open(which) },
      frame.element,
    );
    frame.button = button;
    frame.caption = el("figcaption", {}, el("span", {}), el("small", {}));
    return el("figure", { id: which }, button, frame.caption);
  }
}

/** The addresses of a result's previews, as `Stage.set` takes them. */
export const sceneOf = (facts) => ({
  real: preview(facts, "real"),
  fake: preview(facts, "fake"),
  recovered: facts.recovered ? preview(facts, "recovered") : null,
});
