// All runs, the newest first: a page at a time, and more as one scrolls.

import { address, count, duration, el, runPath, say, short } from "./dom.js";

const STATES = {
  running: "Training",
  starting: "Starting",
  quiet: "No news",
  stopped: "Stopped",
  failed: "Failed",
  finished: "Finished",
};

/** The word for a state. */
export const stateWord = (state) => STATES[state] ?? state;

/** `onopen(name)` when a run is chosen, `onmore()` when the end of the list is in sight. */
export class RunList {
  #items = new Map(); // name → its elements

  constructor(onopen, onmore) {
    this.onopen = onopen;
    this.items = el("ul", {});
    this.more = el(
      "button",
      { type: "button", class: "more", hidden: true, onclick: onmore },
      "Show more",
    );
    this.heading = el("span", {});
    this.toggle = el(
      "button",
      {
        type: "button",
        class: "unfold",
        "aria-expanded": "false",
        onclick: () => this.fold(!this.folded),
      },
      this.heading,
    );
    this.scroller = el("div", { class: "scroller" }, this.items, this.more);
    this.element = el("nav", { class: "runs", "aria-label": "Runs" }, this.toggle, this.scroller);
    const reached = ([entry]) => entry.isIntersecting && !this.more.hidden && onmore();
    new IntersectionObserver(reached, { rootMargin: "200px" }).observe(this.more);
    this.fold(true);
  }

  /** On a phone the list gives way to the run. */
  fold(folded) {
    this.folded = folded;
    this.element.classList.toggle("folded", folded);
    this.toggle.setAttribute("aria-expanded", `${!folded}`);
  }

  show(cards, total, open) {
    say(this.heading, total === 1 ? "1 run" : `${count(total)} runs`);
    for (const card of cards) {
      const item = this.#items.get(card.name) ?? this.#make(card.name);
      item.update(card, card.name === open);
    }
    const names = new Set(cards.map((card) => card.name));
    for (const name of this.#items.keys()) if (!names.has(name)) this.#items.delete(name);
    const order = cards.map((card) => this.#items.get(card.name).element);
    const same =
      order.length === this.items.children.length &&
      order.every((one, i) => one === this.items.children[i]);
    if (!same) this.items.replaceChildren(...order);
    this.more.hidden = cards.length >= total;
  }

  #make(name) {
    const picture = el("img", { alt: "", loading: "lazy", width: 52, height: 52 });
    const state = el("span", { class: "state" });
    const facts = el("span", { class: "facts" });
    const bar = el("i");
    const alarms = el("span", { class: "alarmed" });
    const button = el(
      "button",
      { type: "button", onclick: () => this.onopen(name) },
      el("span", { class: "thumb" }, picture),
      el(
        "span",
        { class: "about" },
        el("strong", {}, name),
        el("span", {}, state, alarms),
        el("span", { class: "done" }, bar),
        facts,
      ),
    );
    const update = (card, open) => {
      button.setAttribute("aria-current", open ? "true" : "false");
      button.className = card.state;
      say(state, stateWord(card.state));
      const alarmed = card.alarms.length;
      say(alarms, alarmed ? `▲ ${alarmed === 1 ? "alarm" : `${alarmed} alarms`}` : "");
      say(facts, told(card));
      bar.style.setProperty("--share", share(card));
      const [step, tile] = card.picture ?? [];
      const path = `${runPath(name)}/tiles/${step}/${tile}.0?size=104&made=${card.made}`;
      const source = card.picture && address(path);
      if (source && picture.src !== source) picture.src = source;
      picture.hidden = !source;
    };
    const item = { element: el("li", {}, button), update };
    this.#items.set(name, item);
    return item;
  }
}

/** How much of a run is done, from 0 to 1. */
export const share = ({ step, total }) => (total ? Math.min(1, step / total) : 0);

function told(card) {
  const facts = card.total ? [`${count(card.step)} of ${count(card.total)}`] : [];
  if (card.eta != null) facts.push(`${duration(card.eta)} left`);
  if (card.speed != null && card.state === "running") facts.push(`${short(card.speed)} images/s`);
  if (card.device) facts.push(card.device);
  return facts.join(" · ");
}
