// The Generate tab: pictures from noise, and the many answers of a model to one picture.

import { say } from "../dom.js";
import { loadWords, t } from "../words.js";
import { Link } from "../studio/link.js";
import { el, span, stylesheets } from "../studio/parts.js";
import { describe, Grid } from "./cells.js";
import { Head, nothing } from "./head.js";
import { Held } from "./held.js";
import { fromAddress, PLAIN, toAddress } from "./place.js";
import { Source } from "./source.js";

const CALM = 400; // milliseconds of rest before the address follows a slider
const STYLES = ["studio", "door", "sketch", "tools", "strips", "../generate/generate"];

/** Fill `element`; `gradio` carries requests to the server, see studio/link.js. */
export async function open(element, gradio) {
  await Promise.all([loadWords(), stylesheets(STYLES)]);
  new Generate(element, gradio);
}

class Generate {
  #state; // what the address says, see place.js
  #pictures = []; // of the grid
  #one = null; // the held picture: {code, at, url}
  #name = ""; // what it is called
  #origin = ""; // what the one is called that the grid varies
  #input = null; // URL of the picture that is answered, as the network sees it
  #ends = null; // of the film that is shown, or asked for
  #picking = false; // whether the next picture is the other end of a path
  #wants = new Map(); // what is still to be asked for, by kind
  #busy = null; // what the server is at
  #begun = false; // whether anything has been asked for
  #seen = false; // whether somebody looks at the tab
  #timer = 0;

  constructor(element, gradio) {
    this.element = element;
    const { state, mine } = fromAddress();
    this.#state = state;
    this.head = new Head({
      onmodels: () => this.#modelled(),
      onmodel: () => this.#remodel(),
      onseed: () => this.#set({ seed: this.head.seed.value.trim() }),
      oncount: () => this.#set({ count: Number(this.head.counts.value) }),
    });
    this.source = new Source(element, {
      onphoto: (photo) => this.#set({ photo, end: "" }),
      onstyle: (reference) => this.#want("style", { reference }),
      onsay: (kind, words) => this.#say(kind, words),
    });
    this.grid = new Grid({
      onpick: (picture) => this.#pick(picture),
      onnear: (near) => this.#set({ near }),
      onback: () => this.#set({ start: "" }),
    });
    this.held = new Held({
      onmove: (move) => this.#want("one", { start: this.#state.hold, move }),
      onvary: () => this.#vary(),
      onpath: () => this.#aim(!this.#picking),
      onlet: () => this.#hold(null, ""),
    });
    this.link = new Link(gradio, {
      onreply: (reply) => this.#reply(reply),
      onplace: (place) => place && this.#say("working", t("translate.place", place)),
      onlost: () => this.#reply({ state: "failed", error: t("translate.lost") }),
      place: "#generate-queue",
    });
    this.#lay();
    this.head.show(state);
    this.#show();
    this.head.ask();
    if (mine) this.#restore();
    element.addEventListener("keydown", ({ key }) => key === "Escape" && this.#aim(false));
    // Work begins when somebody looks, and the address is this tab's while somebody does.
    new IntersectionObserver((entries) => this.#look(entries.at(-1).isIntersecting)).observe(element);
  }

  #lay() {
    const button = (words, attributes) => el("button", { type: "button", ...attributes }, words);
    this.words = el("p", { class: "line empty", role: "status" });
    this.again = button(t("translate.again"), { hidden: true });
    this.give = el("p", { hidden: true });
    this.hint = el("p", { class: "hint" }, t("generate.hint"));
    this.none = nothing();
    this.copy = button(t("generate.link"), { id: "copy", onclick: () => this.#copy() });
    this.making = el(
      "div",
      { class: "making" },
      this.grid.element,
      el("div", { class: "single" }, this.hint, this.held.element),
    );
    this.foot = el(
      "div",
      { class: "foot" },
      el("div", { id: "generate-status", class: "said" }, this.words, this.again),
      el("div", { class: "actions" }, this.copy),
    );
    const { head, source } = this;
    this.element.append(
      head.element,
      this.none,
      this.give,
      source.door.element,
      source.examples.element,
      source.element,
      this.foot,
      this.making,
    );
  }

  #look(seen) {
    const fresh = seen && !this.#seen;
    this.#seen = seen;
    if (fresh) this.head.ask();
    this.#address();
  }

  /** Ask for all that a link says. */
  #restore() {
    const { hold, end } = this.#state;
    if (hold) this.#want("one", { start: hold });
    if (hold && end) this.#want("path", { start: hold, end });
  }

  #modelled() {
    const { model, loading, chosen } = this.head;
    if (model && !loading && chosen && model.name !== chosen) {
      // With another model a link would bring other pictures.
      this.#state = { ...PLAIN };
      this.#begun = true;
      this.#wants.clear();
      this.#show();
      return this.#say("failed", t("generate.gone", { name: chosen }));
    }
    if (model && !this.#begun) this.#wants.set("grid", {});
    this.#begun ||= Boolean(model);
    this.#pump();
    this.#show();
  }

  #remodel() {
    const own = (code) => (code.startsWith("~") ? "" : code);
    const { start, hold, photo } = this.#state;
    const kept = { start: own(start), hold: own(hold), end: "" };
    this.#halt();
    this.#one = this.#input = null;
    this.#pictures = [];
    const model = this.head.chosen;
    this.#set({ ...kept, model, photo: this.head.model.takes_picture ? photo : "" });
    if (this.#state.hold) this.#want("one", { start: this.#state.hold });
  }

  /** Change what the grid shows. */
  #set(change) {
    const renewed = "photo" in change && this.#state.hold;
    this.#state = { ...this.#state, ...change };
    this.#pictures = [];
    this.#aim(false);
    if (renewed) this.#want("one", { start: this.#state.hold });
    this.#want("grid");
    this.#show();
    this.#address();
  }

  #vary() {
    this.#origin = this.#name;
    this.#set({ start: this.#state.hold });
    // On a phone the grid is above.
    this.grid.title.scrollIntoView({ block: "nearest" });
  }

  #want(kind, asked = {}) {
    this.#wants.set(kind, asked);
    this.#pump();
  }

  /** Ask for what is wanted next; of a kind that the server is at already, the newest counts. */
  #pump() {
    const { model } = this.head;
    const { photo, seed, count, near, start } = this.#state;
    if (!this.#seen || !model || (model.takes_picture && !photo)) return;
    const kind = ["style", "one", "grid", "path"].find((each) => this.#wants.has(each));
    // A slider asks faster than it is answered: it is heard again after the answer.
    const wait = this.#busy && (this.#busy.kind !== kind || kind === "one");
    if (!kind || wait) return;
    const asked = this.#wants.get(kind);
    this.#wants.delete(kind);
    this.#busy = { kind, asked };
    const grid = kind === "grid" ? { seed, count, near: start ? near : 1, start } : {};
    this.link.ask({ want: kind, model: model.name, photo, ...grid, ...asked });
    if (kind !== "one") this.#say("working", t(`generate.working_${kind}`, { n: count }));
  }

  #halt() {
    this.#wants.clear();
    this.link.cancel();
    this.#busy = null;
  }

  #reply(reply) {
    const { kind, asked } = this.#busy;
    if (reply.state !== "working") this.#busy = null;
    if (reply.state === "failed") this.#fail(reply, kind, asked);
    else if (kind === "grid") this.#gridded(reply);
    else if (reply.one) this.#changed(reply.one, kind, asked);
    else if (reply.film) this.#filmed(reply.film, asked);
    this.#show();
    if (reply.state !== "working") this.#pump();
  }

  #gridded({ state, pictures, photo, seconds, seed, encodes }) {
    if (!pictures) return;
    this.#pictures = pictures;
    this.#input = photo;
    this.source.encodes(encodes);
    this.#state.seed = `${seed}`;
    if (state === "done")
      this.#say("done", t("generate.done", { n: pictures.length, time: span(seconds) }));
  }

  #changed(one, kind, asked) {
    const same = one.code === this.#state.hold;
    this.#one = one;
    this.#state.hold = one.code;
    if (kind === "style") this.#name = t("generate.in_style");
    else if (!same || !this.#name) this.#name = named(one.code);
    if (kind === "style" || asked.move) this.#unfilm();
    if (kind === "style") {
      this.#say("done", t("generate.style_done"));
      this.#show();
      this.held.element.scrollIntoView({ block: "nearest" });
    }
    this.#address();
  }

  #filmed(film, { end, name }) {
    const words = t("generate.from_to", { from: this.#name, to: name ?? named(end) });
    this.held.screen({ ...film, words });
    this.#say("done", t("generate.path_done"));
  }

  #fail({ error, fatal }, kind, asked) {
    this.#say("failed", error);
    // What the server cannot read, no second attempt will make readable.
    this.again.hidden = fatal;
    this.again.onclick = () => this.#want(kind, asked);
    if (fatal && kind !== "style") {
      this.#state.photo = "";
      this.#wants.clear();
    }
    // What a link asks for in vain is not asked for again.
    if (kind === "one" && !this.#one) this.#state.hold = this.#state.end = "";
  }

  #pick(picture) {
    const name = describe(picture, this.#pictures.indexOf(picture));
    if (!this.#picking) return this.#hold(picture, name);
    this.#aim(false);
    this.#unfilm();
    this.#state.end = picture.code;
    this.#want("path", { start: this.#state.hold, end: picture.code, name });
    this.#address();
  }

  #hold(picture, name) {
    this.#wants.delete("one");
    this.#one = picture;
    this.#name = name;
    this.#state.hold = picture?.code ?? "";
    this.#unfilm();
    this.#aim(false);
    this.#show();
    this.#address();
    // On a phone it comes below the grid.
    if (picture) this.held.element.scrollIntoView({ block: "nearest" });
  }

  #unfilm() {
    this.#wants.delete("path");
    this.#state.end = "";
    this.held.screen(null);
  }

  #aim(picking) {
    if (picking !== this.#picking) this.#say(picking ? "working" : "done", picking ? t("generate.aim") : "");
    this.#picking = picking;
    this.#show();
  }

  #show() {
    const { model, known, loading } = this.head;
    const { start, near, count, seed, hold } = this.#state;
    const empty = model?.takes_picture && !this.#state.photo;
    this.element.dataset.state = model ? (empty ? "empty" : "shown") : "none";
    this.none.hidden = Boolean(model) || !known || loading;
    this.making.hidden = this.copy.hidden = !model || empty;
    this.head.element.hidden = this.foot.hidden = !model;
    if (!model) return;
    this.head.bare(empty);
    say(this.give, empty ? t("generate.give", { model: model.name, label: model.labels.a }) : "");
    this.head.show(this.#state);
    this.source.show(model, model.takes_picture && this.#state.photo ? this.#input : null);
    const crisp = model.image_size <= 64;
    this.element.classList.toggle("crisp", crisp);
    this.element.classList.toggle("picking", this.#picking);
    this.grid.name(start && (this.#origin || named(start)), near, seed);
    // At rest there is room for what has come, which of a bad seed is nothing.
    const working = this.#wants.has("grid") || this.#busy?.kind === "grid";
    this.grid.show(this.#pictures, working ? count : this.#pictures.length, hold, working);
    this.grid.element.hidden = !working && !this.#pictures.length;
    this.held.show(this.#one, this.#name, this.#picking);
    this.hint.hidden = Boolean(this.#one) || this.grid.element.hidden;
  }

  #say(kind, words) {
    this.words.className = `line ${kind}`;
    say(this.words, words);
    this.again.hidden = true;
  }

  #address() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write(), CALM);
  }

  #write() {
    const { model } = this.head;
    if (this.#seen && model) toAddress({ ...this.#state, model: model.name });
    else if (!this.#seen) toAddress(null);
  }

  async #copy() {
    this.#write();
    try {
      await navigator.clipboard.writeText(location.href);
      this.#say("done", t("generate.copied"));
    } catch {
      // Only pages that came over HTTPS, or from this machine, may.
      prompt(t("generate.link"), location.href);
    }
  }
}

/** What a picture is called of which no more is known than its z. */
const named = (code) => (code.startsWith("~") ? t("generate.own") : describe({ code }, 0));
