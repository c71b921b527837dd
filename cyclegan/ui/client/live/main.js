// The Live tab: the camera's pictures translated as they come, one at a time.

import { el } from "../dom.js";
import { loadWords } from "../words.js";
import { Camera } from "./camera.js";
import { Controls } from "./controls.js";
import { Refused, Server } from "./server.js";
import { Stage } from "./stage.js";

const COUNTED = 5000; // milliseconds over which frames are counted
const LATER = 1000; // before the server is asked for its models again

/** Fill `element`. */
export async function open(element) {
  const [t] = await Promise.all([loadWords(), stylesheet()]);
  new Live(element, t);
}

class Live {
  #run = null; // AbortController of the translation under way
  #drawn = []; // when the last frames were drawn
  #missing = false; // whether there was no model when last asked
  #seen = false; // whether the tab is the open one and the window can be seen
  #stage;

  constructor(element, t) {
    this.t = t;
    this.element = element;
    this.camera = new Camera(() => this.#stop("unplugged"));
    this.server = new Server();
    this.#stage = new Stage(t);
    this.controls = new Controls(t, {
      start: () => this.#start(),
      stop: () => this.#stop(),
      turn: () => this.#start(true),
      strength: (value) => this.#stage.blend(value),
    });
    this.status = el("p", { class: "said", role: "status" });
    // Not announced: it changes with every frame.
    this.figures = el("p", { class: "figures" });
    const lines = el("div", { class: "lines" }, this.figures, this.status);
    element.replaceChildren(this.controls.element, this.#stage.element, lines);
    this.#say("private");
    this.#watch();
  }

  async #models() {
    const listed = await this.server.models().catch(() => null);
    if (listed) this.controls.offer(listed.models);
    if (!listed?.models.length) {
      this.#missing = true;
      this.#say(listed && !listed.loading ? "no_model" : "loading");
      if (this.#seen) setTimeout(() => this.#models(), LATER);
    } else if (this.#missing) {
      this.#missing = false;
      this.#say("private");
    }
  }

  /** Nobody's camera stays on behind a tab that is not looked at. */
  #watch() {
    const look = () => {
      const seen = !document.hidden && this.element.getClientRects().length > 0;
      if (seen === this.#seen) return;
      this.#seen = seen;
      // Models may have been added on their tab meanwhile.
      if (seen) this.#models();
      else if (this.#run) this.#stop("left");
    };
    document.addEventListener("visibilitychange", look);
    addEventListener("pagehide", () => this.#stop());
    new ResizeObserver(look).observe(this.element);
    look();
  }

  async #start(turned = false) {
    this.#run?.abort();
    const run = (this.#run = new AbortController());
    this.#show("starting");
    this.#say("starting");
    try {
      await this.camera.open(turned);
      if (run.signal.aborted) return run === this.#run && this.camera.close();
      this.controls.cameras(this.camera.several);
      this.#drawn = [];
      this.#show("live");
      this.#say();
      while (!run.signal.aborted) await this.#frame(run.signal);
    } catch (error) {
      if (run === this.#run) this.#stop(error.key ?? "camera_failed", { why: error.message });
    }
  }

  async #frame(signal) {
    const picture = await this.camera.next(this.controls.short, signal);
    if (signal.aborted) return;
    const asked = performance.now();
    try {
      const { bitmap, visitors } = await this.server.translate(
        picture.small,
        this.controls.choice,
        signal,
      );
      if (signal.aborted) return;
      this.#stage.draw(picture, bitmap);
      this.#count(performance.now() - asked, visitors);
      this.#say();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      this.#said(error.message || this.t("live.silent"), "failed");
      this.figures.textContent = "";
      await pause(error.seconds, signal);
    }
  }

  #count(latency, visitors) {
    const now = performance.now();
    this.#drawn = [...this.#drawn.filter((at) => now - at < COUNTED), now];
    if (this.#drawn.length < 2) return;
    const rate = (1000 * (this.#drawn.length - 1)) / (now - this.#drawn[0]);
    const words = [
      this.t("live.rate", { rate: rate.toFixed(rate < 9.95 ? 1 : 0) }),
      this.#behind(latency),
    ];
    if (visitors > 1) words.push(this.t("live.sharing", { n: visitors }));
    this.figures.textContent = words.join(" · ");
  }

  #behind(latency) {
    if (latency < 1000) return this.t("live.latency", { n: Math.round(latency) });
    return this.t("live.latency_long", { seconds: (latency / 1000).toFixed(1) });
  }

  #stop(key = "private", values = {}) {
    this.#run?.abort();
    this.#run = null;
    this.camera.close();
    this.#show("idle");
    this.figures.textContent = "";
    this.#say(key, values);
  }

  #show(state) {
    this.element.dataset.state = state;
    this.controls.show(state);
  }

  #say(key = "", values = {}) {
    const calm = ["", "private", "starting", "loading", "left"].includes(key);
    this.#said(key && this.t(`live.${key}`, values), calm ? "" : "failed");
  }

  #said(text, kind) {
    if (this.status.textContent === text) return;
    this.status.textContent = text;
    this.status.className = `said ${kind}`;
  }
}

function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function stylesheet() {
  const href = new URL("training/client/live/live.css", document.baseURI).href;
  const link = el("link", { rel: "stylesheet", href });
  document.head.append(link);
  return new Promise((resolve) => (link.onload = link.onerror = resolve));
}
