// What stands around the stage: views, strength, detail, and how things are going in words.

import { percent } from "../dom.js";
import { t } from "../words.js";
import { Choice, el, span, symbol } from "./parts.js";
import { sentence } from "./shelf.js";

const DETAILS = ["0", "0.5", "1"];
const LONG = 3; // seconds after which it is worth saying how long it has been

export class Controls {
  #timer = 0;
  #began = 0;

  constructor(stage, { onstrength, ondetail, onnew, oncancel, onagain }) {
    this.stage = stage;
    this.range = el("input", {
      type: "range",
      id: "strength",
      min: 0,
      max: 1,
      step: 0.01,
      value: 1,
      oninput: () => this.#strong(onstrength),
    });
    this.output = el("output", { for: "strength" });
    this.strong = el(
      "div",
      { class: "strength" },
      el("label", { for: "strength" }, t("translate.strength")),
      this.range,
      this.output,
    );
    this.tools = el("div", { class: "tools" }, stage.choice.element, this.strong);
    this.guessing = sentence({ class: "guess", role: "status" });
    this.guess = this.guessing.element;

    this.words = el("span", {});
    this.elapsed = el("span", { class: "elapsed", "aria-hidden": "true" });
    this.line = el("p", { class: "line", role: "status" }, this.words);
    this.hinting = sentence({ class: "hint", role: "status" });
    const button = (words, onclick, attributes = {}) =>
      el("button", { type: "button", ...attributes, onclick }, words);
    this.cancel = button(t("translate.cancel"), oncancel);
    this.again = button(t("translate.again"), onagain);
    this.status = el(
      "div",
      { id: "status" },
      el("div", { class: "said" }, this.line, this.elapsed, this.cancel, this.again),
      this.hinting.element,
    );
    this.fresher = el(
      "button",
      { type: "button", class: "new", onclick: onnew, title: "N" },
      symbol("plus"),
      t("translate.new"),
    );
    this.actions = el("div", { class: "actions" }, this.fresher);

    this.details = new Choice("detail", t("translate.detail"), () => {
      this.#cost();
      ondetail();
    });
    this.details.offer(
      DETAILS.map((value) => [value, t(`translate.detail_${value.replace(".", "")}`)]),
      "0",
    );
    this.costing = el("p", { class: "hint", id: "detail-cost" });
    this.settings = el(
      "div",
      { class: "settings" },
      el("span", { class: "name" }, t("translate.detail")),
      this.details.element,
      this.costing,
    );
    this.#strong(() => {});
    // The way back is that of the full translation.
    const fixed = () => (this.range.disabled = stage.view === "cycle");
    stage.element.addEventListener("view", fixed);
  }

  get strength() {
    return Number(this.range.value);
  }

  set strength(strength) {
    this.range.value = strength;
    this.range.dispatchEvent(new Event("input"));
  }

  get detail() {
    return Number(this.details.value);
  }

  set detail(detail) {
    this.details.set(`${detail}`);
  }

  /** A new picture starts with what is quick and known. */
  fresh() {
    this.details.set("0");
    this.guessed("");
    this.hint("");
  }

  /** Say how things stand: "empty", "working", "done", "stopped" or "failed". */
  say(kind, words, again = kind === "stopped") {
    this.line.className = `line ${kind}`;
    if (this.words.textContent !== words) this.words.textContent = words;
    this.cancel.hidden = kind !== "working";
    this.again.hidden = !again;
    if (kind === "working") this.#tick();
    else this.#rest();
  }

  /** Say which place a request has in the queue; null once it is its turn. */
  place(place) {
    if (this.line.classList.contains("working") && place)
      this.say("working", t("translate.place", place));
    else if (this.waited && !place) this.say("working", t("translate.translating"));
    this.waited = place;
  }

  hint(words) {
    this.hinting.say(words);
  }

  guessed(words, warn = false) {
    this.guessing.say(words);
    this.guess.classList.toggle("warn", Boolean(warn));
  }

  /** Say what there is to say about a result, and offer what can be done with it. */
  show({ facts, working, picture, shelf, twoWays }) {
    this.tools.hidden = this.actions.hidden = !picture;
    this.#detailed(facts, shelf, picture);
    if (facts) {
      const done = t("translate.done", { time: span(facts.seconds) });
      const going = working && !facts.recovered && twoWays;
      const open = going ? t("translate.going_back") : twoWays ? "" : t("translate.no_way_back");
      const share = percent(facts.cycle_error ?? 0);
      const rest = facts.recovered ? t("translate.way_back", { share }) : open;
      this.say(going ? "working" : "done", t("translate.sentences", { one: done, other: rest }));
    } else if (!picture) this.say("empty", t("translate.empty"));
  }

  #strong(onstrength) {
    const { strength } = this;
    this.stage.strength = strength;
    this.output.textContent = percent(strength).replace(".0", "");
    this.range.setAttribute("aria-valuetext", this.output.textContent);
    this.range.style.setProperty("--filled", strength);
    onstrength(strength);
  }

  // Detail costs what the network has to look at: pixels, compared with those it was trained on.
  #detailed(facts, shelf, picture) {
    const model = shelf.named(facts?.model) ?? shelf.model;
    const short = facts && Math.min(facts.width, facts.height);
    if (facts && model?.scale) {
      // As translator.py has it, from the side that it was trained on to the picture's own.
      const pixels = (detail) => (model.scale * (short / model.scale) ** detail) ** 2;
      const unit = facts.seconds / pixels(facts.detail);
      this.estimate = (detail) => (short > model.scale ? unit * pixels(detail) : 0);
      this.small = short <= 1.25 * model.scale;
    }
    this.settings.hidden = !picture || this.small || Boolean(facts?.one_size);
    this.#cost();
  }

  #cost() {
    const detail = this.details.value;
    const key = `translate.detail_${detail.replace(".", "")}_hint`;
    const seconds = detail === "0" ? 0 : this.estimate?.(Number(detail));
    const about = seconds ? t("translate.about_each", { time: span(seconds) }) : "";
    this.costing.textContent = t("translate.sentences", { one: t(key), other: about }).trim();
  }

  #tick() {
    if (this.#timer) return;
    this.#began = performance.now();
    this.#timer = setInterval(() => {
      const seconds = Math.round((performance.now() - this.#began) / 1000);
      const left = this.waited?.seconds;
      if (left) this.elapsed.textContent = t("translate.about", { time: span(Math.ceil(left)) });
      else this.elapsed.textContent = seconds < LONG ? "" : span(seconds);
    }, 500);
  }

  #rest() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.elapsed.textContent = "";
  }
}
