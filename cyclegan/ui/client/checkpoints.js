// The kept checkpoints of a run, each with a way to the Translate tab.

import { el, short } from "./dom.js";
import { t } from "./words.js";

/** `ontry(step)`: somebody wants to try a checkpoint, or with null the newest weights. */
export class Checkpoints {
  #shown = "";

  constructor(ontry) {
    this.ontry = ontry;
    this.items = el("ul", {});
    this.element = el(
      "section",
      { class: "checkpoints", "aria-label": t("training.checkpoints") },
      el("h3", {}, t("training.checkpoints")),
      this.items,
    );
  }

  show(run) {
    const steps = [...run.checkpoints].reverse();
    const shown = JSON.stringify([run.name, steps, run.best, run.local]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const attempt = (step, ...words) => {
      const label = step === null ? t("training.try_newest") : t("training.try_step", { step });
      const listen = { "aria-label": label, onclick: () => this.ontry(step) };
      const button = el("button", { type: "button", ...listen }, t("training.try"));
      return el("li", {}, el("span", {}, ...words), button);
    };
    const items = steps.map((step) => {
      const best = run.best?.step === step;
      const measured =
        best && [run.best.metric, run.best.value == null ? "" : short(run.best.value)].join(" ");
      return attempt(
        step,
        el("b", {}, t("training.step", { step })),
        best && el("em", {}, t("training.best", { measured })),
      );
    });
    // From the Hub there are no checkpoints, but weights.
    if (steps.length || !run.local) {
      const newest = el("small", {}, t("training.newest_weights"));
      items.unshift(attempt(null, el("b", {}, t("training.now")), newest));
    }
    this.items.replaceChildren(...items);
    this.element.hidden = !items.length;
  }
}
