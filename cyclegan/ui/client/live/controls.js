// What a visitor chooses: model, direction, quality, strength, camera; start and stop.

import { el, icon } from "../dom.js";

const TURN = "M4 9h3l2-3h6l2 3h3v11H4zM9 15a3 3 0 0 1 5.5-1.5M15 14a3 3 0 0 1-5.5 1.5";
const QUALITIES = { fast: 96, middle: 160, fine: 256 }; // short side of a frame

export class Controls {
  #models = [];

  /** `on` has what is called: start, stop, turn, strength(0 … 1). */
  constructor(t, on) {
    this.t = t;
    this.only = el("p", { class: "only" });
    this.model = el("select", { onchange: () => this.#directions() });
    this.direction = el("div", {
      class: "toggle",
      role: "radiogroup",
      "aria-label": t("live.direction"),
    });
    this.quality = el(
      "select",
      {},
      Object.entries(QUALITIES).map(([name, short]) =>
        el("option", { value: short }, t(`live.${name}`)),
      ),
    );
    this.strength = el("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 100,
      oninput: () => on.strength(this.strength.value / 100),
    });
    this.start = el("button", { class: "go", type: "button", onclick: on.start }, t("live.start"));
    this.stop = el("button", { class: "go", type: "button", onclick: on.stop }, t("live.stop"));
    this.turn = el(
      "button",
      { class: "turn", type: "button", onclick: on.turn, "aria-label": t("live.turn") },
      icon(TURN),
    );
    this.chooser = el("label", { class: "field" }, el("span", {}, t("live.model")), this.model);
    this.element = el(
      "div",
      { class: "controls" },
      this.start,
      this.stop,
      this.turn,
      this.direction,
      this.only,
      this.chooser,
      el("label", { class: "field" }, el("span", {}, t("live.quality")), this.quality),
      el("label", { class: "field" }, el("span", {}, t("live.strength")), this.strength),
    );
    this.cameras(false);
    this.offer([]);
    this.show("idle");
  }

  /** Models by name, with what their domains show and the directions they translate in. */
  offer(models) {
    const before = this.model.value;
    this.#models = models;
    this.model.replaceChildren(...models.map(({ name }) => el("option", {}, name)));
    if (models.some(({ name }) => name === before)) this.model.value = before;
    this.chooser.hidden = models.length < 2;
    this.start.disabled = !models.length;
    this.#directions();
  }

  show(state) {
    const focused = [this.start, this.stop].includes(document.activeElement);
    this.start.hidden = state !== "idle";
    this.stop.hidden = state === "idle";
    this.turn.disabled = state !== "live";
    // One button in two shapes: whoever has pressed it by keyboard stays on it.
    if (focused) (state === "idle" ? this.start : this.stop).focus();
  }

  cameras(several) {
    this.turn.hidden = !several;
  }

  get choice() {
    return { model: this.model.value, direction: this.#direction };
  }

  /** Short side of the frames, in pixels. */
  get short() {
    return Number(this.quality.value);
  }

  get #direction() {
    return this.direction.querySelector(":checked")?.value ?? "a2b";
  }

  #directions() {
    const chosen = this.#direction;
    const model = this.#models.find(({ name }) => name === this.model.value);
    const known = model?.directions ?? [];
    const kept = known.includes(chosen) ? chosen : known[0];
    const arrow = (value) => {
      const [from, to] = value.split("2").map((side) => model.labels[side]);
      return `${from} → ${to}`;
    };
    this.direction.replaceChildren(
      ...known.map((value) => {
        const input = { type: "radio", name: "live-direction", value, checked: value === kept };
        return el("label", {}, el("input", input), el("span", {}, arrow(value)));
      }),
    );
    this.direction.hidden = known.length < 2;
    // A single way is nothing to choose.
    this.only.hidden = known.length !== 1;
    this.only.textContent = this.only.hidden
      ? ""
      : this.t("live.one_way", { way: arrow(known[0]) });
  }
}
