// All curves of a run: one chart beside the other, with one cross through all of them.

import { Chart } from "./chart.js";
import { el, say } from "./dom.js";
import { t } from "./words.js";

const LISTED = 6; // events, the newest

/** `onseek(step)` when somebody chooses a step, `onpeek(step)` while they point at one. */
export class Curves {
  #charts = new Map(); // title → Chart
  #data = null;
  #step = 0;

  constructor(mini, onseek, onpeek) {
    this.onseek = onseek;
    this.onpeek = onpeek;
    this.smoothing = el("input", {
      type: "range",
      min: 0,
      max: 0.98,
      step: 0.02,
      value: 0.6,
      oninput: () => this.#draw(),
    });
    this.log = el("input", { type: "checkbox", onchange: () => this.#draw() });
    this.at = el("output", { class: "at" });
    this.grid = el("div", { class: "charts" });
    this.events = el("ul", { class: "events" });
    this.element = el(
      "section",
      { class: "curves", "aria-label": t("training.curves") },
      el(
        "div",
        { class: "tools" },
        el("h3", {}, t("training.curves")),
        this.at,
        mini,
        el("label", {}, t("training.smooth"), this.smoothing),
        el("label", {}, this.log, t("training.logarithmic")),
      ),
      this.grid,
      this.events,
    );
    this.element.hidden = true;
  }

  show(data) {
    this.#data = data;
    this.element.hidden = !data.charts.length && !data.events.length;
    this.#draw();
    this.#list();
  }

  clear() {
    this.#data = null;
    this.#charts.clear();
    this.element.hidden = true;
  }

  /** The step whose pictures are shown. */
  point(step) {
    this.#step = step;
    this.#cross(step);
  }

  #draw() {
    const { charts, events } = this.#data;
    const until = Math.max(
      0,
      ...charts.flatMap(({ curves }) => curves.map(({ steps }) => steps.at(-1))),
    );
    const options = { smoothing: Number(this.smoothing.value), log: this.log.checked };
    for (const data of charts) {
      let chart = this.#charts.get(data.title);
      if (!chart) {
        chart = new Chart((step, chosen) => this.#pointed(step, chosen));
        this.#charts.set(data.title, chart);
      }
      chart.show(data, events, until, options);
    }
    const shown = charts.map(({ title }) => this.#charts.get(title).element);
    const same =
      shown.length === this.grid.children.length &&
      shown.every((one, i) => one === this.grid.children[i]);
    if (!same) this.grid.replaceChildren(...shown);
    this.#cross(this.#step);
  }

  #pointed(step, chosen) {
    if (chosen) this.onseek(step);
    this.onpeek(chosen ? null : step);
    this.#cross(step ?? this.#step);
  }

  #cross(step) {
    for (const chart of this.#charts.values()) chart.point(step);
    say(this.at, t("training.at_step", { step: Math.round(step) }));
  }

  #list() {
    const words = {
      alarm: t("training.alarm"),
      over: t("training.alarm_over"),
      rollback: t("training.rollback"),
    };
    const listed = this.#data.events.slice(-LISTED).reverse();
    this.events.replaceChildren(
      ...listed.map(({ step, kind, text }) =>
        el(
          "li",
          { class: kind },
          el("b", {}, words[kind]),
          el(
            "button",
            { type: "button", class: "link", onclick: () => this.onseek(step) },
            t("training.step_link", { step }),
          ),
          el("span", {}, text),
        ),
      ),
    );
  }
}
