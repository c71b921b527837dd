// The Training tab: a list of runs, and one of them in full.

import { Checkpoints } from "./checkpoints.js";
import { Curves } from "./curves.js";
import { address, el, News, Poll, runPath, say, Unanswered } from "./dom.js";
import { RunList } from "./list.js";
import { Player } from "./player.js";
import { Summary } from "./summary.js";
import { loadWords, t } from "./words.js";

const PAGE = 12; // runs
const SOON = 1; // second between looks at a run that trains
const LATER = 4; // at one that said nothing for a while, or where asking failed
const LIST = 5; // at the list while something trains
const LIST_EMPTY = 2; // where somebody waits for the first run
const LIST_IDLE = 10;
const START = "python train.py cyclegan --data PHOTOS --out";
const ALIVE = ["running", "starting"];

/** Fill `element` and keep it up to date while it can be seen. */
export async function open(element) {
  await Promise.all([stylesheets(), loadWords()]);
  // The one text that stands in a style sheet.
  const empty = JSON.stringify(t("training.learn_empty"));
  document.documentElement.style.setProperty("--learn-empty", empty);
  new Room(element);
}

class Room {
  #size = PAGE; // runs listed
  #listed = null; // News of the list
  #cards = [];
  #run = null;
  #news = null; // News of the open run
  #curves = null;
  #name = "";
  #stale = true; // whether the curves may have news
  #total = 0; // runs there are
  #problem = ""; // that the source of the runs has
  awake = false;

  constructor(element) {
    this.list = new RunList(
      (name) => this.open(name),
      () => this.#more(),
    );
    this.summary = new Summary();
    this.player = new Player((step) => this.curves.point(step));
    this.curves = new Curves(
      this.player.mini,
      (step) => this.player.seek(step),
      (step) => this.player.peek(step),
    );
    this.checkpoints = new Checkpoints((step) =>
      tell("try-request", JSON.stringify({ run: this.#name, step })),
    );
    this.problem = el("p", { class: "problem", role: "status", hidden: true });
    this.gone = el("p", { class: "problem", role: "status", hidden: true });
    this.empty = el("section", { class: "nothing", hidden: true });
    this.loading = el("p", { class: "quiet-words" }, t("training.looking"));
    this.run = el(
      "article",
      { class: "run", hidden: true },
      this.summary.element,
      this.player.element,
      this.curves.element,
      this.checkpoints.element,
    );
    this.columns = el(
      "div",
      { class: "columns" },
      this.list.element,
      el("div", {}, this.gone, this.run),
    );
    this.columns.hidden = true;
    element.replaceChildren(this.problem, this.loading, this.empty, this.columns);
    this.lists = new Poll(() => this.#askList());
    this.details = new Poll(() => this.#askRun());
    this.#listed = new News(this.#listPath());
    if (linked()) this.#select(linked());
    this.#watch(element);
    addEventListener(
      "hashchange",
      () => linked() && linked() !== this.#name && this.open(linked()),
    );
    addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a run. */
  open(name) {
    this.list.fold(true);
    this.#select(name);
    if (name !== linked()) history.replaceState(null, "", `#run=${encodeURIComponent(name)}`);
  }

  #select(name) {
    this.#name = name;
    this.#run = null;
    this.#news = new News(`${runPath(name)}/run.json`);
    this.#curves = new News(`${runPath(name)}/curves.json`);
    this.#stale = true;
    // Whoever compares the curves of runs stays where they have scrolled to.
    this.run.style.minHeight = `${this.run.offsetHeight}px`;
    this.curves.clear();
    this.player.close();
    say(this.gone, "");
    this.list.show(this.#cards, this.#total, name);
    this.details.wake(this.awake);
  }

  /** Ask only while the tab is the open one and the window can be seen. */
  #watch(element) {
    const look = () => {
      const awake = !document.hidden && element.getClientRects().length > 0;
      if (awake === this.awake) return;
      this.awake = awake;
      if (!awake) this.player.pause();
      this.lists.wake(awake);
      this.details.wake(awake && this.#name !== "");
    };
    document.addEventListener("visibilitychange", look);
    new ResizeObserver(look).observe(element);
    look();
  }

  async #askList() {
    try {
      const list = await this.#listed.ask();
      if (list) this.#showList(list);
    } catch (error) {
      return this.#failed(error);
    }
    say(this.problem, this.#problem);
    if (!this.#cards.length) return LIST_EMPTY;
    return this.#cards.some((card) => ALIVE.includes(card.state)) ? LIST : LIST_IDLE;
  }

  #showList(list) {
    this.#cards = list.runs;
    this.#total = list.total;
    this.loading.hidden = true;
    this.columns.hidden = !list.total;
    this.empty.hidden = list.total > 0;
    this.columns.classList.toggle("alone", list.total === 1);
    this.#problem = list.problem;
    if (!list.total) return this.empty.replaceChildren(...invitation(list));
    if (!this.#name) this.#select(this.#cards[0].name);
    this.list.show(this.#cards, this.#total, this.#name);
    // The open run may have come back to life, which only the list notices.
    const card = this.#cards.find(({ name }) => name === this.#name);
    if (card && this.#run && (card.state !== this.#run.state || card.step !== this.#run.step))
      this.details.wake(this.awake);
  }

  #more() {
    if (this.#size >= this.#total) return;
    this.#size += 2 * PAGE;
    this.#listed = new News(this.#listPath());
    this.lists.wake(this.awake);
  }

  #listPath() {
    return `runs.json?count=${this.#size}`;
  }

  async #askRun() {
    // Another run may be opened meanwhile, or the same one again.
    const news = this.#news;
    try {
      const run = await news.ask();
      if (news !== this.#news) return 0;
      if (run) this.#showRun(run);
      this.#stale ||= run !== undefined;
      const curves = this.#stale && (await this.#curves.ask());
      if (news !== this.#news) return 0;
      this.#stale = false;
      if (curves) {
        this.curves.show(curves);
        this.player.annotate(curves.errors, curves.events);
        this.run.style.minHeight = "";
      }
    } catch (error) {
      if (news !== this.#news) return 0;
      if (!error.reason) return this.#failed(error);
      say(this.gone, error.reason);
      this.run.hidden = true;
      return null;
    }
    say(this.problem, this.#problem);
    if (ALIVE.includes(this.#run.state)) return SOON;
    return this.#run.state === "quiet" ? LATER : null;
  }

  #showRun(run) {
    if (!this.#run) tell("open-run", run.name);
    this.#run = run;
    this.#problem = run.problem;
    this.run.hidden = false;
    // The list asks less often; what it says of this run should not lag behind.
    this.#cards = this.#cards.map((card) => (card.name === run.name ? { ...card, ...run } : card));
    this.list.show(this.#cards, this.#total, run.name);
    this.summary.show(run);
    this.player.show(run, run.checkpoints);
    this.checkpoints.show(run);
  }

  #failed(error) {
    if (!(error instanceof Unanswered)) throw error;
    say(this.problem, t("training.silent"));
    return LATER;
  }

  /** Arrow keys scrub wherever one is, but where they mean something else. */
  #key(event) {
    if (!this.awake || !this.#run || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest?.("input, select, textarea, [role=tab], [contenteditable], summary"))
      return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      this.player.nudge(by);
      event.preventDefault();
    }
  }
}

function linked() {
  const found = /^#run=(.+)$/.exec(location.hash);
  try {
    return found ? decodeURIComponent(found[1]) : "";
  } catch {
    return "";
  }
}

/** Say something to the part of the page that lives on the server. */
function tell(id, text) {
  const field = document.querySelector(`#${id} textarea, #${id} input`);
  if (!field) return;
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function invitation({ where, local }) {
  const heading = el("h2", {}, t("training.none"));
  if (local) {
    return [
      heading,
      el("p", {}, t("training.none_local", { where })),
      el("pre", {}, `${START} ${where}/my-first-run`),
      el("p", {}, t("training.none_follows")),
    ];
  }
  return [
    heading,
    el("p", {}, t("training.none_hub", { where })),
    el("pre", {}, `${START} runs/my-first-run --push-to-hub ${where} --push-every 500`),
  ];
}

function stylesheets() {
  const loads = ["room", "runs", "pictures", "slider", "curves"].map((name) => {
    const link = el("link", { rel: "stylesheet", href: address(`client/${name}.css`) });
    document.head.append(link);
    return new Promise((resolve) => (link.onload = link.onerror = resolve));
  });
  return Promise.all(loads);
}
