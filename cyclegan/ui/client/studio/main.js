// The Translate tab: a picture comes in, goes through a model, and is looked at.

import { percent } from "../dom.js";
import { loadWords, t } from "../words.js";
import { Controls } from "./controls.js";
import { Compare } from "./compare.js";
import { Door, limitWords, Refused, upload } from "./door.js";
import { Examples } from "./examples.js";
import { Link } from "./link.js";
import { el, load, preview, stylesheets } from "./parts.js";
import { Recent } from "./recent.js";
import { Save } from "./save.js";
import { Shelf } from "./shelf.js";
import { Sketch } from "./sketch.js";
import { sceneOf, Stage } from "./views.js";

const STYLES = ["studio", "door", "sketch", "views", "large", "tools", "strips"];

/** Fill `element`; `gradio` carries requests to the server, see link.js. */
export async function open(element, gradio) {
  await Promise.all([loadWords(), stylesheets(STYLES)]);
  new Studio(element, gradio);
}

class Studio {
  #picture = null; // {name, url, source, photo}: source is what the server knows it by
  #facts = null; // of the result that is shown
  #chosen = "auto"; // direction
  #asked = null; // what the server is at: {model, direction}, or {back: facts} for the way back
  #pending = false; // whether the picture waits for a model
  #sending = null; // AbortController of the upload

  constructor(element, gradio) {
    this.shelf = new Shelf({
      onchange: () => this.#shelved(),
      onmodel: (fresh) => this.#remodel(fresh),
      ondirection: (direction) => this.#redirect(direction),
    });
    this.stage = new Stage();
    this.save = new Save();
    this.recent = new Recent(
      (facts) => this.#reopen(facts),
      () => this.controls.say("failed", t("translate.gone")),
    );
    this.compare = new Compare({
      onask: (model) => this.#ask(model, "auto"),
      onstop: () => this.#cancel(),
      onopen: (facts) => this.recent.open(facts),
    });
    this.controls = new Controls(this.stage, {
      onstrength: (strength) => this.save.set(this.#facts, strength),
      ondetail: () => this.#run(),
      onnew: () => this.door.choose(),
      oncancel: () => this.#cancel(),
      onagain: () => (this.#facts ? this.#look() : this.#run(true)),
    });
    const take = (file, others) => this.#give(file, others);
    const sketch = new Sketch(take);
    this.door = new Door(element, sketch, take);
    this.controls.actions.append(sketch.opener(), this.door.shutter());
    this.examples = new Examples((example) => this.#example(example));
    this.link = new Link(gradio, {
      onreply: (reply) => this.#reply(reply),
      onplace: (place) => this.#asked?.back || this.controls.place(place),
      onlost: () => this.#reply({ state: "failed", error: t("translate.lost") }),
    });
    const { controls, shelf } = this;
    element.append(
      shelf.notice,
      el(
        "div",
        { class: "head" },
        shelf.direction.element,
        shelf.only,
        controls.guess,
        shelf.element,
      ),
      el("div", { class: "scene" }, this.door.element, this.stage.element),
      controls.tools,
      el("div", { class: "foot" }, controls.status, controls.actions, this.save.element),
      controls.settings,
      this.compare.element,
      this.examples.element,
      this.recent.element,
      el("p", { class: "fine" }, t("translate.fine")),
    );
    this.element = element;
    const looked = () => this.stage.view === "cycle" && this.#look();
    this.stage.element.addEventListener("view", looked);
    element.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("studio:model", ({ detail }) => shelf.choose(detail, true));
    this.#show();
    if (this.recent.last) this.recent.open(this.recent.last);
  }

  /** Take in a file; whatever else was going on is over. */
  async #give(file, others = 0) {
    const url = URL.createObjectURL(file);
    const sending = this.#begin({ name: file.name, url, source: null, photo: null });
    this.controls.say("working", t("translate.sending", { share: "0%" }));
    this.controls.hint(others ? t("translate.others", { n: others }) : "");
    try {
      const path = await upload(file, sending.signal, (share) => {
        const words = t("translate.sending", { share: percent(share) });
        if (sending === this.#sending) this.controls.say("working", words);
      });
      if (sending !== this.#sending) return;
      this.#picture.source = { path, name: file.name };
      this.#run();
    } catch (error) {
      if (sending !== this.#sending) return;
      if (!(error instanceof Refused)) throw error;
      const words = t(`translate.${error.message}`, { name: file.name, limit: limitWords() });
      this.#picture = null;
      this.#fail(words);
    }
  }

  #example({ name, url }) {
    this.#begin({ name, url, source: { example: name }, photo: null });
    this.#run();
  }

  /** Put a new picture on the stage. */
  #begin(picture) {
    this.link.cancel();
    this.#sending?.abort();
    this.#sending = new AbortController();
    this.compare.stop(true);
    // A direction that was chosen before there was any picture is meant for this one.
    if (this.#picture) this.#chosen = "auto";
    if (this.#picture?.url.startsWith("blob:")) URL.revokeObjectURL(this.#picture.url);
    this.#picture = picture;
    this.#facts = this.#asked = null;
    this.controls.strength = 1;
    this.controls.fresh();
    this.#point();
    this.recent.mark(null);
    this.#show();
    this.stage.reveal();
    return this.#sending;
  }

  /** Have the picture translated as the controls say, unless that is done; `fresh`: even then. */
  #run(fresh = false) {
    if (!this.#picture?.source) return;
    this.link.cancel();
    this.compare.stop();
    const { model } = this.shelf;
    this.#pending = !model;
    this.#facts = this.#asked = null;
    if (!model && !this.shelf.coming) return this.#fail(t("translate.no_model"));
    if (!model) {
      this.#show();
      return this.controls.say("working", t("translate.model_coming"));
    }
    const { detail } = this.controls;
    const { photo } = this.#picture;
    const known = photo && !fresh && this.recent.find(photo, model, this.#chosen, detail);
    if (known) return this.#reopen(known);
    this.#ask(model, this.#chosen);
    this.#show();
    this.controls.say("working", t("translate.translating"));
  }

  #ask(model, direction) {
    this.#asked = { model, direction };
    const { source } = this.#picture;
    this.link.ask({ source, model: model.name, direction, detail: this.controls.detail });
  }

  /** Have what is shown translated back too, once it is seen, unless that is done or under way. */
  async #recover() {
    const facts = this.#facts;
    if (!facts?.two_ways || facts.recovered || this.#asked || this.compare.running) return;
    const asked = (this.#asked = { back: facts });
    await load(preview(facts, "fake"));
    const { token, detail } = facts;
    if (asked === this.#asked) this.link.ask({ token, detail }, "recover");
  }

  #look() {
    this.#recover();
    this.#show();
  }

  #recovered(before, { state, facts, error }) {
    if (state === "working") return;
    this.#asked = null;
    if (facts) this.recent.add((this.#facts = { ...before, ...facts }), true);
    this.#show();
    // The translation stays, whatever became of the way back.
    if (error) this.controls.say("failed", error, true);
  }

  #reply(reply) {
    const { model, direction, back } = this.#asked;
    if (back) return this.#recovered(back, reply);
    if (reply.state !== "working") this.#asked = null;
    // What goes through all models does so beside the stage.
    const beside = this.compare.running;
    if (reply.state === "failed") {
      if (!beside) return this.#fail(reply.error, reply.fatal);
      this.compare.next(reply.error);
      return this.#look();
    }
    const { guess } = reply;
    if (reply.facts) {
      this.#picture.photo ??= reply.facts.token;
      const auto = direction === "auto";
      const facts = { ...reply.facts, guess, auto, photo: this.#picture.photo };
      this.#picture.source = { token: facts.token, name: facts.name };
      this.recent.add(facts, !beside);
      if (!beside) this.#facts = facts;
    }
    if (beside) {
      if (reply.facts) this.compare.next();
      return this.#look();
    }
    const labels = model.labels ?? reply.facts?.labels;
    this.shelf.point(reply.direction);
    this.controls.guessed(this.shelf.guessed(guess, labels), guess?.neither);
    this.#look();
  }

  /** Show a result that was made before. */
  #reopen(facts) {
    const other = facts.photo !== this.#picture?.photo;
    if (other || !this.compare.running) {
      this.link.cancel();
      this.#sending?.abort();
      this.compare.stop(other);
      this.#asked = null;
    }
    this.#pending = false;
    const { token, name, photo } = facts;
    this.#picture = { name, photo, source: { token, name }, url: sceneOf(facts).real };
    this.#facts = facts;
    this.#chosen = facts.auto ? "auto" : facts.direction;
    this.controls.detail = facts.detail;
    this.controls.hint("");
    this.shelf.follow(facts.model);
    this.shelf.point(facts.direction);
    this.controls.guessed(this.shelf.guessed(facts.guess, facts.labels), facts.guess?.neither);
    this.recent.mark(token);
    this.#look();
    this.stage.reveal();
  }

  #cancel() {
    this.link.cancel();
    this.#sending?.abort();
    this.compare.stop();
    this.#pending = false;
    this.#asked = null;
    if (!this.#picture?.source) this.#picture = null;
    const before = !this.#facts && this.recent.latest(this.#picture?.photo);
    if (before) return this.#reopen(before);
    this.#show();
    if (!this.#facts) this.controls.say("stopped", t("translate.stopped"));
  }

  #fail(words, fatal = false) {
    this.#asked = null;
    this.#pending = false;
    this.#facts = null;
    // What the server cannot read, no second attempt will make readable.
    if (fatal) this.#picture = null;
    this.shelf.ask();
    this.#show();
    this.controls.say("failed", words, Boolean(this.#picture?.source));
  }

  #compare() {
    const drawn = Boolean(this.shelf.model?.drawn);
    this.door.draw(drawn);
    this.examples.offer(drawn);
    const photo = this.#picture?.photo;
    const made = (model) => this.recent.made(photo, model, this.controls.detail);
    this.compare.show(photo ? this.shelf.usable : [], made, this.#facts?.token);
  }

  #shelved() {
    // A result that was there before the models were is of one of them.
    if (this.#facts && !this.shelf.chosen) this.shelf.follow(this.#facts.model);
    if (!this.#asked) this.#point();
    if (this.#pending) this.#run();
    this.#compare();
  }

  #remodel(fresh) {
    const { model } = this.shelf;
    if (model && !model.directions.includes(this.#chosen)) this.#chosen = "auto";
    this.#point();
    this.#run(fresh);
  }

  #redirect(direction) {
    this.#chosen = direction;
    this.controls.guessed("");
    this.#point();
    this.#run();
  }

  /** Have the toggle stand at what was chosen, or has come out; nowhere while that is open. */
  #point() {
    const chosen = this.#chosen === "auto" ? null : this.#chosen;
    this.shelf.point(this.#facts?.direction ?? chosen);
  }

  /** Draw what is known: the picture, as much of its result as there is, and the words for it. */
  #show() {
    const facts = this.#facts;
    this.element.dataset.state = !this.#picture ? "empty" : facts ? "shown" : "coming";
    const labels = facts?.labels ?? this.shelf.model?.labels;
    const direction = facts?.direction ?? this.shelf.way;
    const name = (which, side) =>
      labels && direction
        ? t(`translate.${which}`, { label: labels[direction[side]] })
        : t(`translate.${which}_open`);
    const names = {
      real: t("translate.real"),
      fake: name("fake", 2),
      recovered: name("recovered", 0),
    };
    const none = { real: this.#picture?.url, fake: null, recovered: null };
    const scene = facts ? sceneOf(facts) : none;
    const coming = this.#picture && !this.#picture.source;
    const working = Boolean((this.#asked && !this.compare.running) || this.#pending || coming);
    const twoWays = facts ? facts.two_ways : this.shelf.model?.directions.length !== 1;
    this.stage.set(this.#picture ? scene : {}, names, working, twoWays);
    this.stage.note(facts?.recovered ? facts.cycle_error : null);
    this.save.set(facts, this.controls.strength);
    this.controls.show({ facts, working, picture: this.#picture, shelf: this.shelf, twoWays });
    this.#compare();
  }

  // Only while one is at the tab's own controls, where nothing is typed: nobody is surprised.
  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, dialog"))
      return;
    const { directions = [] } = this.shelf.model ?? {};
    const view = this.stage.views[Number(event.key) - 1];
    if (view && this.#picture) this.stage.show(view);
    else if (event.key === "n") this.door.choose();
    else if (event.key === "z") this.stage.open("fake");
    else if (event.key === "d" && directions.length > 1)
      this.#redirect(directions.find((one) => one !== this.shelf.direction.value));
    else return;
    event.preventDefault();
  }
}
