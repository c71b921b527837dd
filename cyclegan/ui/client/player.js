// The stage and its slider: what the model makes of the probes, at any step of the training.

import { address, el, icon, nearest, runPath, say } from "./dom.js";
import { Frames } from "./frames.js";
import { Marks } from "./marks.js";
import { Stage } from "./stage.js";
import { TimeLapse } from "./timelapse.js";
import { t } from "./words.js";

const SPEEDS = [
  ["½×", 4],
  ["1×", 8],
  ["2×", 16],
  ["4×", 32],
]; // pictures a second
const AHEAD = 10; // steps to fetch in the direction of travel
const PLAY = "M8 5.5v13l11-6.5z";
const PAUSE = "M7 5.5h3.5v13H7zm6.5 0H17v13h-3.5z";
const BACK = "M15.5 6 9 12l6.5 6";
const ON = "M8.5 6 15 12l-6.5 6";

/** Shows one run. `onstep(step)` is called when another step is shown. */
export class Player {
  #steps = [];
  #index = 0;
  #from = 0;
  #direction = 1;
  #live = true;
  #playing = 0;
  #errors = {};
  #frames = null;
  #drawn = null;
  #peeked = null; // a place that somebody points at elsewhere

  constructor(onstep) {
    this.onstep = onstep;
    this.stage = new Stage(
      () => this.#view(),
      (share) => this.#drag(share),
    );
    this.range = el("input", {
      type: "range",
      min: 0,
      step: 1,
      "aria-label": t("training.slider"),
      oninput: () => this.#go(Number(this.range.value), { byHand: true }),
    });
    this.film = el("img", { class: "film", alt: "", draggable: "false" });
    this.marks = new Marks();
    this.cursor = el("i", { class: "cursor" });
    this.track = el(
      "div",
      { class: "track" },
      this.film,
      this.marks.element,
      this.cursor,
      this.range,
    );
    this.button = el("button", { class: "play", type: "button", onclick: () => this.toggle() });
    this.speed = el(
      "select",
      { "aria-label": t("training.speed") },
      SPEEDS.map(([word, perSecond]) =>
        el("option", { value: perSecond, selected: perSecond === 8 }, word),
      ),
    );
    this.where = el("output", { class: "where" });
    this.news = el("button", { class: "news", type: "button", onclick: () => this.follow() });
    this.lapse = new TimeLapse(() => this.#chosen());
    const nudge = (by, label, path) =>
      el(
        "button",
        { type: "button", "aria-label": label, title: label, onclick: () => this.nudge(by) },
        icon(path),
      );
    this.bar = el(
      "div",
      { class: "bar-row" },
      nudge(-1, t("training.back"), BACK),
      this.button,
      nudge(1, t("training.forward"), ON),
      el("div", { class: "now" }, this.where, this.news),
      this.speed,
      this.lapse.element,
    );
    this.mini = el(
      "div",
      { class: "mini", "aria-hidden": "true" },
      ["", "", ""].map(() => el("canvas")),
    );
    this.nothing = el("p", { class: "quiet-words" });
    this.element = el(
      "section",
      { class: "player", "aria-label": t("training.pictures") },
      this.stage.element,
      this.track,
      this.bar,
      this.nothing,
    );
    this.#pressed(false);
    new ResizeObserver(() => this.#strip()).observe(this.track);
    // The small pictures are for when the large ones are out of sight.
    new IntersectionObserver(([entry]) =>
      this.mini.classList.toggle("needless", entry.isIntersecting),
    ).observe(this.track);
  }

  /** Take in what is known of the run; another run starts at its newest sample. */
  show(run, checkpoints) {
    const other = run.name !== this.run?.name;
    const here = this.#steps[this.#index];
    this.run = run;
    this.#steps = run.samples;
    if (other) {
      this.pause();
      this.#errors = {};
      this.#live = true;
    }
    const some = run.samples.length > 0 && run.rows.length > 0;
    for (const part of [this.stage.element, this.track, this.bar]) part.hidden = !some;
    say(this.nothing, some ? "" : noPictures(run));
    if (!some) return;
    this.range.max = run.samples.length - 1;
    this.marks.show(run, checkpoints);
    if (this.stage.show(run)) this.#view();
    const last = run.samples.length - 1;
    this.#go(this.#live && !this.#playing ? last : nearest(run.samples, here ?? run.samples[last]));
    this.#strip();
  }

  /** Cycle errors of the probes by step, and alarms to mark on the slider. */
  annotate(errors, events) {
    this.#errors = errors;
    this.marks.events(events);
    this.#words();
  }

  /** Show the sample nearest to a step. */
  seek(step) {
    if (this.#steps.length) this.#go(nearest(this.#steps, step), { byHand: true });
  }

  /** Show in small what belongs to a step; null for the one that is shown. */
  peek(step) {
    this.#peeked = step == null || !this.#steps.length ? null : nearest(this.#steps, step);
    this.#fetch();
    this.#small();
  }

  nudge(by) {
    this.#go(this.#index + by, { byHand: true });
  }

  /** Show the newest sample, and every one that comes. */
  follow() {
    this.pause();
    this.#go(this.#steps.length - 1, { byHand: true });
  }

  toggle() {
    if (this.#playing) return this.pause();
    if (this.#index === this.#steps.length - 1) this.#go(0, { byHand: true });
    let then = performance.now();
    const beat = (now) => {
      const next = this.#steps[this.#index + 1];
      if (next === undefined) return this.pause();
      // A picture that is not here yet holds the animation; it never skips what is to be seen.
      if (now - then >= 1000 / Number(this.speed.value) - 4 && this.#frames.has(next)) {
        then = now;
        this.#go(this.#index + 1, { byHand: true });
      }
      this.#playing = requestAnimationFrame(beat);
    };
    this.#playing = requestAnimationFrame(beat);
    this.#pressed(true);
  }

  pause() {
    cancelAnimationFrame(this.#playing);
    this.#playing = 0;
    this.#pressed(false);
  }

  close() {
    this.pause();
    this.#frames?.close();
    this.#frames = null;
    this.run = null;
  }

  #pressed(playing) {
    const word = playing ? t("training.pause") : t("training.play");
    this.button.setAttribute("aria-label", word);
    this.button.title = word;
    this.button.replaceChildren(icon(playing ? PAUSE : PLAY));
  }

  /** Other tiles are to be seen: forget those that were. */
  #view() {
    this.#frames?.close();
    this.#frames = new Frames(this.run, this.stage.tiles(), () => this.#came());
    this.#drawn = null;
    this.#fetch();
    this.#words();
    this.#strip();
  }

  #go(index, { byHand = false } = {}) {
    const last = this.#steps.length - 1;
    index = Math.max(0, Math.min(last, index));
    if (byHand && this.#playing && index !== this.#index + 1) this.pause();
    if (index !== this.#index) this.#direction = Math.sign(index - this.#index);
    if (byHand) this.#live = index === last;
    this.#index = index;
    this.range.value = index;
    this.track.style.setProperty("--at", last ? index / last : 1);
    this.#fetch();
    this.#draw();
    this.#words();
    this.onstep(this.#steps[index]);
  }

  /** Somebody drags across the pictures: by which share of their width since it began. */
  #drag(share) {
    if (share === 0) this.#from = this.#index;
    else this.#go(this.#from + Math.round(share * this.#steps.length), { byHand: true });
  }

  #fetch() {
    const wanted = [this.#peeked ?? this.#index, this.#index];
    for (let away = 1; away <= AHEAD; away++) {
      wanted.push(this.#index + away * this.#direction);
      if (away <= AHEAD / 2) wanted.push(this.#index - away * this.#direction);
    }
    const steps = new Set(wanted.map((index) => this.#steps[index]));
    steps.delete(undefined);
    this.#frames?.want([...steps]);
  }

  #came() {
    if (this.#drawn !== this.#steps[this.#index]) this.#draw();
    if (this.#peeked !== null) this.#small();
  }

  #small() {
    const step = this.#frames?.nearest(this.#steps, this.#peeked ?? this.#index);
    if (step !== undefined) this.stage.copy(this.#frames.get(step), [...this.mini.children]);
  }

  /** Draw what is shown, or until it has come what is nearest to it. */
  #draw() {
    const step = this.#steps[this.#index];
    const at = this.#frames?.has(step) ? step : this.#frames?.nearest(this.#steps, this.#index);
    this.stage.element.classList.toggle("coming", at !== step);
    if (at === undefined || at === this.#drawn) return;
    this.#drawn = at;
    this.stage.draw(this.#frames.get(at), at);
    this.#small();
  }

  #words() {
    const step = this.#steps[this.#index];
    if (step === undefined) return;
    const { total } = this.run;
    const words = total ? t("training.step_of", { step, total }) : t("training.step", { step });
    say(this.where, words);
    this.range.setAttribute("aria-valuetext", words);
    const last = this.#steps.at(-1);
    const running = this.run.state === "running";
    const behind = this.#index < this.#steps.length - 1;
    const fresh = running && !this.#playing;
    const newest = fresh ? t("training.new", { step: last }) : t("training.newest");
    say(this.news, behind ? newest : running ? t("training.live") : "");
    this.news.classList.toggle("live", running && !behind);
    this.news.disabled = !behind;
    this.stage.errors(this.#errors[step] ?? {});
  }

  #strip() {
    const tile = this.run && this.stage.tiles()[0];
    const width = this.track.clientWidth;
    if (!tile || !width) return;
    const cells = Math.max(4, Math.min(40, Math.floor(width / 56)));
    const query = new URLSearchParams({
      count: cells,
      until: this.#steps.at(-1),
      made: this.run.made,
    });
    const url = address(`${runPath(this.run.name)}/strip/${tile}?${query}`);
    if (this.film.src !== url) this.film.src = url;
  }

  #chosen() {
    return { run: this.run, ...this.stage.chosen() };
  }
}

const noPictures = (run) =>
  run.rows.length ? t("training.first_sample") : t("training.no_pictures");
