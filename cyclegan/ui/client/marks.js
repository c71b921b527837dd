// What is worth a mark on the slider: kept checkpoints, alarms, rollbacks.

import { el, nearest } from "./dom.js";
import { t } from "./words.js";

const SIGNS = { alarm: "▲", over: "△", rollback: "↺", checkpoint: "●", best: "★" };

export class Marks {
  #steps = [];
  #checkpoints = [];
  #events = [];

  constructor() {
    this.element = el("div", { class: "marks", "aria-hidden": "true" });
  }

  show(run, checkpoints) {
    this.#steps = run.samples;
    this.#checkpoints = checkpoints.map((step) => {
      const best = run.best?.step === step;
      return {
        step,
        kind: best ? "best" : "checkpoint",
        text: best ? t("training.mark_best") : t("training.mark_kept"),
      };
    });
    this.#draw();
  }

  events(events) {
    this.#events = events;
    this.#draw();
  }

  #draw() {
    const last = Math.max(1, this.#steps.length - 1);
    const marks = [...this.#checkpoints, ...this.#events].map(({ step, kind, text }) => {
      const at = nearest(this.#steps, step) / last;
      const title = t("training.mark", { step, text });
      return el("i", { class: kind, style: `--at:${at}`, title }, SIGNS[kind] ?? SIGNS.alarm);
    });
    this.element.replaceChildren(...marks);
  }
}
