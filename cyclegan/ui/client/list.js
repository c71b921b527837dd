// All runs, the newest first: a page at a time, and more as one scrolls.

import { address, duration, el, runPath, say, short } from "./dom.js";
import { t } from "./words.js";

/** The word for a state that run_view.py gives. */
export const stateWord = (state) => t(`training.state_${state}`);

/** `onopen(name)` when a run is chosen, `onmore()` when the end of the list is in sight. */
export class RunList {
  #items = new Map(); // name → its elements

  constructor(onopen, onmore) {
    this.onopen = onopen;
    this.items = el("ul", {});
    this.more = el(
      "button",
      { type: "button", class: "more", hidden: true, onclick: onmore },
      t("training.show_more"),
    );
    this.count = el("p", {});
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
    this.element = el(
      "nav",
      { class: "runs", "aria-label": t("training.runs") },
      this.count,
      this.toggle,
      this.scroller,
    );
    const reached = ([entry]) => entry.isIntersecting && !this.more.hidden && onmore();
    new IntersectionObserver(reached, { rootMargin: "200px" }).observe(this.more);
    this.fold(true);
  }

  /** On a phone the list gives way to the run. */
  fold(folded) {
    this.folded = folded;
    this.element.classList.toggle("folded", folded);
    this.toggle.setAttribute("aria-expanded", `${!folded}`);
    this.toggle.dataset.hint = folded ? t("training.runs_unfold") : t("training.runs_fold");
  }

  show(cards, total, open) {
    for (const words of [this.count, this.heading])
      say(words, t("training.runs_count", { n: total }));
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
      say(alarms, alarmed ? t("training.alarms_count", { n: alarmed }) : "");
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
  const facts = card.total ? [t("training.progress_of", card)] : [];
  if (card.eta != null) facts.push(t("training.time_left", { time: duration(card.eta) }));
  if (card.speed != null && card.state === "running")
    facts.push(t("training.images_per_second", { speed: short(card.speed) }));
  if (card.device) facts.push(card.device);
  return facts.join(" · ");
}
