// One chart, drawn as SVG at the size it has on the screen.

import { count, el, nearest, short } from "./dom.js";
import { language, t } from "./words.js";

const HEIGHT = 190;
const MARGIN = { left: 46, right: 10, top: 14, bottom: 22 };
const SIGNS = { alarm: "▲", over: "△", rollback: "↺" };
const DOTS = 30; // of curves with so few points, each is shown

/** `onpoint(step, chosen)`: somebody points at a step, or chooses it; null when they go. */
export class Chart {
  #width = 0;
  #options = { smoothing: 0, log: false };
  #lines = [];
  #data = { curves: [] };
  #events = [];
  #until = 1;
  #at = null;
  #range = [0, 1]; // of values
  #x = () => 0; // from steps and values to pixels
  #y = () => 0;

  constructor(onpoint) {
    this.title = el("h3");
    this.legend = el("ul", { class: "legend" });
    this.note = el("p", { class: "note" });
    this.plot = el("g");
    this.cross = el("g", { class: "cross" });
    this.svg = el("svg", { role: "img", height: HEIGHT }, this.plot, this.cross);
    this.element = el("figure", { class: "chart" }, this.title, this.legend, this.svg, this.note);
    new ResizeObserver(([{ contentRect }]) => {
      if (Math.round(contentRect.width) !== this.#width) this.#draw();
    }).observe(this.svg);
    this.#listen(onpoint);
  }

  /** What curves.curves says of a chart, the events, and the last step of all charts. */
  show(data, events, until, options) {
    this.#data = data;
    this.#events = events;
    this.#until = Math.max(1, until);
    this.#options = { ...options, log: options.log && data.log };
    this.#draw();
  }

  /** Put the cross at a step and say the values there. */
  point(step) {
    this.#at = step;
    if (!this.#width || step == null) return;
    const x = this.#x(step);
    const dots = this.#lines.map(({ curve, values, value }) => {
      const at = nearest(curve.steps, step);
      const known = values[at];
      const text = short(known);
      if (value.textContent !== text) value.textContent = text;
      const y = this.#y(known);
      return (
        Number.isFinite(y) &&
        el("circle", { cx: this.#x(curve.steps[at]), cy: y, r: 3, class: `c${curve.colour % 6}` })
      );
    });
    this.cross.replaceChildren(
      line(x, MARGIN.top, x, HEIGHT - MARGIN.bottom),
      ...dots.filter(Boolean),
    );
  }

  #draw() {
    const { title, note, curves } = this.#data;
    this.title.textContent = title;
    this.note.textContent = note;
    this.note.hidden = !note;
    this.#lines = curves.map((curve) => {
      const values = curve.noisy ? smooth(curve.values, this.#options.smoothing) : curve.values;
      return { curve, values, value: el("b") };
    });
    this.legend.replaceChildren(
      ...this.#lines.map(({ curve, value }) => {
        const key = el(
          "svg",
          { class: "key", viewBox: "0 0 22 6", "aria-hidden": "true" },
          line(1, 3, 21, 3, style(curve)),
        );
        return el("li", {}, key, el("span", {}, curve.label), value);
      }),
    );
    this.#width = Math.round(this.svg.getBoundingClientRect().width);
    if (!this.#width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", `${title}: ${this.#lines.map(said).join(", ")}`);
    this.#scale();
    this.plot.replaceChildren(
      ...this.#grid(),
      ...this.#marks(),
      ...this.#lines.flatMap((l) => this.#curve(l)),
    );
    this.point(this.#at ?? this.#until);
  }

  #scale() {
    const { log } = this.#options;
    // The band of a noisy curve may run out of the picture.
    const band = ({ noisy, low = [], high = [] }) => (noisy ? [] : [...low, ...high]);
    const all = this.#lines.flatMap(({ curve, values }) => [
      ...values,
      ...curve.values,
      ...band(curve),
    ]);
    const usable = all.filter((value) => value != null && (!log || value > 0));
    let low = Math.min(...usable);
    let high = Math.max(...usable);
    if (!usable.length) [low, high] = [0, 1];
    if (low === high)
      [low, high] = log
        ? [low / 2, high * 2]
        : [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
    else if (!log) {
      const room = 0.06 * (high - low);
      // Close to nothing begins at nothing.
      low = low >= 0 && low < 0.4 * high ? 0 : low - room;
      high += room;
    }
    const of = log ? Math.log10 : (value) => value;
    const inner = HEIGHT - MARGIN.top - MARGIN.bottom;
    this.#range = [low, high];
    this.#y = (value) => MARGIN.top + inner * (1 - (of(value) - of(low)) / (of(high) - of(low)));
    const across = this.#width - MARGIN.left - MARGIN.right;
    this.#x = (step) => MARGIN.left + (across * step) / this.#until;
  }

  #grid() {
    const [low, high] = this.#range;
    const right = this.#width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const values = this.#options.log ? decades(low, high) : ticks(low, high, 5);
    return [
      ...values.flatMap((value) => {
        const y = this.#y(value);
        return [
          line(MARGIN.left, y, right, y, "grid"),
          text(MARGIN.left - 7, y + 4, short(value), "end"),
        ];
      }),
      ...ticks(0, this.#until, this.#width / 90).map((step) =>
        text(this.#x(step), bottom + 16, compact(step), "middle"),
      ),
    ];
  }

  #marks() {
    return this.#events.map(({ step, kind, text: words }) => {
      const x = this.#x(step);
      const sign = text(x, MARGIN.top - 3, SIGNS[kind] ?? SIGNS.alarm, "middle");
      const title = el("title", {}, t("training.mark", { step, text: words }));
      return el(
        "g",
        { class: `event ${kind}` },
        title,
        line(x, MARGIN.top, x, HEIGHT - MARGIN.bottom),
        sign,
      );
    });
  }

  #curve({ curve, values }) {
    const { steps, low, high } = curve;
    const drawn = [];
    const path = (ys) => {
      const points = ys.map((y, i) => [this.#x(steps[i]), this.#y(y)]);
      return points
        .filter(([, y]) => Number.isFinite(y))
        .map(([x, y]) => `${x.toFixed(1)},${this.#clip(y).toFixed(1)}`);
    };
    if (low && high) {
      const band = [...path(high), ...path(low).reverse()];
      if (band.length)
        drawn.push(el("path", { class: `band c${curve.colour % 6}`, d: `M${band.join("L")}Z` }));
    }
    const points = path(values);
    if (points.length) drawn.push(el("path", { class: style(curve), d: `M${points.join("L")}` }));
    if (points.length <= DOTS) {
      for (const point of points) {
        const [cx, cy] = point.split(",");
        drawn.push(el("circle", { cx, cy, r: 2.2, class: `c${curve.colour % 6}` }));
      }
    }
    return drawn;
  }

  #clip(y) {
    return Math.max(MARGIN.top - 6, Math.min(HEIGHT - MARGIN.bottom, y));
  }

  #listen(onpoint) {
    const step = (event) => {
      const { left } = this.svg.getBoundingClientRect();
      const share =
        (event.clientX - left - MARGIN.left) / (this.#width - MARGIN.left - MARGIN.right);
      return Math.max(0, Math.min(1, share)) * this.#until;
    };
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.svg.setPointerCapture(event.pointerId);
      onpoint(step(event), true);
    });
    this.svg.addEventListener("pointermove", (event) => onpoint(step(event), event.buttons === 1));
    this.svg.addEventListener("pointerleave", () => onpoint(null, false));
  }
}

/** Exponential smoothing that does not start at nothing. */
export function smooth(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/** Round numbers from low to high, about so many. */
export function ticks(low, high, about) {
  const rough = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i++)
    found.push(Number((i * step).toPrecision(12)));
  return found;
}

function decades(low, high) {
  const factors = high / low > 100 ? [1] : high / low > 6 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) found.push(Number(value.toPrecision(6)));
    }
  }
  return found;
}

/** "12.5K", or where people count in ten thousands "1.25万". */
function compact(step) {
  if (step < 1e4) return count(step);
  return step.toLocaleString(language, { notation: "compact", maximumSignificantDigits: 3 });
}

const style = (curve) => `curve c${curve.colour % 6}${curve.dashed ? " dashed" : ""}`;
const said = ({ curve, values }) => `${curve.label} ${short(values.at(-1))}`;
const line = (x1, y1, x2, y2, name) => el("line", { x1, y1, x2, y2, class: name });
const text = (x, y, words, anchor) => el("text", { x, y, "text-anchor": anchor }, words);
