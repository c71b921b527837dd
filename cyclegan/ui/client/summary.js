// The head of a run: how it is doing, in words and numbers.

import { count, duration, el, say, short } from "./dom.js";
import { share, stateWord } from "./list.js";
import { t } from "./words.js";

export class Summary {
  constructor() {
    this.name = el("h2", { tabindex: -1 });
    this.state = el("span", { class: "pill" });
    this.bar = el("i");
    const scale = { "aria-valuemin": 0, "aria-valuemax": 100 };
    const said = { role: "progressbar", "aria-label": t("training.progress"), ...scale };
    this.progress = el("div", { class: "progress", ...said }, this.bar);
    this.facts = el("dl", {});
    this.note = el("p", { class: "said" });
    this.alarms = el("div", { class: "alarms", role: "status" });
    this.element = el(
      "header",
      { class: "summary" },
      el("div", { class: "title" }, this.name, this.state),
      this.progress,
      this.facts,
      this.note,
      this.alarms,
    );
  }

  show(run) {
    const done = share(run);
    say(this.name, run.name);
    say(this.state, stateWord(run.state));
    this.element.dataset.state = run.state;
    this.bar.style.setProperty("--share", done);
    this.progress.hidden = !run.total;
    this.progress.setAttribute("aria-valuenow", Math.floor(100 * done));
    say(this.note, run.note);
    const facts = [
      [t("training.fact_step"), run.total ? t("training.progress_of", run) : ""],
      [t("training.fact_left"), run.eta == null ? "" : duration(run.eta)],
      [
        t("training.fact_spent"),
        run.eta != null || run.seconds == null ? "" : duration(run.seconds),
      ],
      [t("training.fact_speed"), run.speed == null ? "" : short(run.speed)],
      [t("training.fact_epoch"), run.epoch == null ? "" : short(run.epoch)],
      [t("training.fact_device"), run.machine || run.device],
      [
        t("training.fact_photos"),
        Object.entries(run.images)
          .map(([side, n]) => `${count(n)} ${run.labels[side] ?? side}`)
          .join(", "),
      ],
    ];
    this.facts.replaceChildren(
      ...facts
        .filter(([, text]) => text)
        .map(([key, text]) => el("div", {}, el("dt", {}, key), el("dd", {}, text))),
    );
    const said = run.alarms.map((text) =>
      el("p", {}, el("b", {}, t("training.alarm")), ` ${text}`),
    );
    // Only when it changes, or a screen reader would say it every second.
    if (this.alarms.textContent !== said.map((p) => p.textContent).join(""))
      this.alarms.replaceChildren(...said);
    this.alarms.hidden = !said.length;
  }
}
