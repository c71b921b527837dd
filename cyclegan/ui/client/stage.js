// The pictures of a step: photo, translation and back, for one probe or all, one direction or both.

import { el, percent, say } from "./dom.js";
import { pictures, release } from "./frames.js";
import { t } from "./words.js";

const THUMBNAIL = 96; // pixels
const PROBES = 12; // that one can choose among

/** `onview()` is called when other tiles are to be seen, `ondrag(share)` while one drags across. */
export class Stage {
  #run = null;
  #shape = "";
  #row = 0; // or "both"
  #probe = 0; // or "all"
  #canvases = new Map(); // tile → canvas
  #notes = []; // where the cycle error of a probe is said

  constructor(onview, ondrag) {
    this.onview = onview;
    const group = (name, label) => el("div", { class: name, role: "group", "aria-label": label });
    this.directions = group("segments", t("training.direction"));
    this.probes = group("probes", t("training.picture"));
    this.groups = el("div", { class: "groups" });
    const choices = el("div", { class: "choices" }, this.directions, this.probes);
    this.element = el("div", { class: "stage" }, choices, this.groups);
    draggable(this.groups, ondrag);
  }

  /** Take in what is known of the run; true if other tiles are to be seen from now on. */
  show(run) {
    const shape = JSON.stringify([run.name, run.made, run.rows, run.labels, run.probes]);
    const other = run.name !== this.#run?.name;
    this.#run = run;
    if (shape === this.#shape) return false;
    if (other) [this.#row, this.#probe] = [0, 0];
    this.#shape = shape;
    this.#choices();
    this.#build();
    return true;
  }

  /** The tiles to fetch for a step: all that are to be seen but the photos, which stay the same. */
  tiles() {
    return [...this.#canvases.keys()].filter(isMade);
  }

  /** What an animation would be of: a probe, and the places of its rows. */
  chosen() {
    const rows = this.#row === "both" ? [...this.#run.rows.keys()] : [this.#row];
    const words = this.#row === "both" ? t("training.both_directions") : this.#word(this.#row);
    return { probe: this.#probe === "all" ? 0 : this.#probe, rows, words };
  }

  /** Copy the first row, as it is at a step, to small canvases. */
  copy(bitmaps, canvases) {
    const tiles = [...this.#canvases]
      .filter(([, canvas]) => !canvas.parentElement.hidden)
      .slice(0, canvases.length);
    for (const [place, canvas] of canvases.entries()) {
      const [tile, large] = tiles[place] ?? [];
      const picture = tile && (isMade(tile) ? bitmaps[tile] : large.width > 1 && large);
      if (picture) paint(canvas, picture);
      canvas.hidden = !tile || place >= this.#run.rows[0].length;
    }
  }

  draw(bitmaps, step) {
    for (const [tile, canvas] of this.#canvases) {
      if (!isMade(tile)) continue;
      paint(canvas, bitmaps[tile]);
      canvas.setAttribute(
        "aria-label",
        t("training.picture_at", { words: canvas.dataset.words, step }),
      );
    }
  }

  /** Say how far the ways back miss: {"a": [0.03, …], …}. */
  errors(errors) {
    for (const { note, side, probe } of this.#notes) {
      const error = errors[side]?.[probe];
      say(note, error == null ? "" : t("training.off_by", { share: percent(error) }));
    }
  }

  #word(row) {
    if (row === "both") return t("training.both");
    const [from, to] = this.#run.rows[row].map((tile) => words(tile, this.#run.labels));
    return to ? `${from} → ${to}` : from;
  }

  #choices() {
    const { rows, probes } = this.#run;
    const choose = (key, value, change, ...content) => {
      const onclick = () => {
        change(value);
        this.#build();
        this.onview();
      };
      return el(
        "button",
        { type: "button", "data-value": value, "aria-label": key, onclick },
        ...content,
      );
    };
    const setRow = (row) => (this.#row = row);
    const setProbe = (probe) => (this.#probe = probe);
    const directions = rows.length > 1 ? [...rows.keys(), "both"] : [];
    this.directions.replaceChildren(
      ...directions.map((row) => choose(null, row, setRow, this.#word(row))),
    );
    const number = probes > 1 ? Math.min(probes, PROBES) : 0;
    const thumbnails = Array.from({ length: number }, () => el("canvas"));
    this.probes.replaceChildren(
      ...thumbnails.map((canvas, probe) =>
        choose(t("training.picture_n", { n: probe + 1 }), probe, setProbe, canvas),
      ),
      ...(number ? [choose(t("training.picture_all"), "all", setProbe, t("training.all"))] : []),
    );
    const row = rows[0];
    const made = row.find(isMade) ?? row[0];
    const wanted = thumbnails.flatMap((_, probe) => [`${row[0]}.${probe}`, `${made}.${probe}`]);
    if (!number) return;
    this.#load(wanted, THUMBNAIL, (found) => {
      for (const [probe, canvas] of thumbnails.entries()) {
        paint(canvas, found[wanted[2 * probe]] ?? found[wanted[2 * probe + 1]]);
      }
    });
  }

  /** Make room for the pictures that are to be seen. */
  #build() {
    const { rows, probes, labels } = this.#run;
    for (const [buttons, value] of [
      [this.directions, this.#row],
      [this.probes, this.#probe],
    ]) {
      for (const button of buttons.children)
        button.setAttribute("aria-pressed", button.dataset.value === `${value}`);
    }
    this.#canvases.clear();
    this.#notes = [];
    const shown = this.#row === "both" ? rows : [rows[this.#row]];
    const chosen =
      this.#probe === "all" ? [...Array(Math.min(probes, PROBES)).keys()] : [this.#probe];
    const figure = (tile, probe) => {
      const said = words(tile, labels);
      const canvas = el("canvas", {
        role: "img",
        "aria-label": said,
        "data-words": t("training.picture_words", { words: said, n: probe + 1 }),
        width: 1,
        height: 1,
      });
      this.#canvases.set(`${tile}.${probe}`, canvas);
      const note = tile.startsWith("recovered") ? el("small", { hidden: true }) : null;
      if (note) this.#notes.push({ note, side: tile.split("_")[1], probe });
      return el(
        "figure",
        { "data-tile": `${tile}.${probe}` },
        canvas,
        el("figcaption", {}, el("span", {}, said), note),
      );
    };
    const row = (probe) => (tiles) =>
      el(
        "div",
        { class: "triple" },
        tiles.map((tile) => figure(tile, probe)),
      );
    this.groups.replaceChildren(...chosen.flatMap((probe) => shown.map(row(probe))));
    this.groups.classList.toggle("several", this.groups.children.length > 1);
    const photos = [...this.#canvases.keys()].filter((tile) => !isMade(tile));
    if (photos.length)
      this.#load(photos, 0, (found) => {
        for (const tile of photos) {
          const canvas = this.#canvases.get(tile);
          if (!canvas) continue;
          paint(canvas, found[tile]);
          // Photos are not always published; then their place is the others'.
          canvas.parentElement.hidden = !found[tile];
        }
      });
  }

  #load(tiles, size, use) {
    const shape = this.#shape;
    pictures(this.#run, this.#run.samples.at(-1), tiles, { size })
      .then((found) => {
        if (shape === this.#shape) use(found);
        release(found);
      })
      .catch(() => {});
  }
}

const isMade = (tile) => !tile.startsWith("real");

/** "apple", "orange", "apple again" */
function words(tile, labels) {
  const [kind, side] = tile.split("_");
  const label = labels[side] ?? side ?? kind;
  return kind === "recovered" ? t("training.again", { label }) : label;
}

function paint(canvas, bitmap) {
  canvas.classList.toggle("missing", !bitmap);
  if (!bitmap) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
}

/** Call `ondrag` with 0 where a drag begins, then with the share of the width that it went. */
function draggable(element, ondrag) {
  let from = null;
  element.addEventListener("pointerdown", (event) => {
    from = event.button === 0 ? event.clientX : null;
    if (from !== null) ondrag(0);
  });
  element.addEventListener("pointermove", (event) => {
    if (from === null || !event.buttons) return;
    const share = (event.clientX - from) / element.clientWidth;
    if (Math.abs(event.clientX - from) > 4) {
      element.setPointerCapture(event.pointerId);
      ondrag(share);
    }
  });
  for (const end of ["pointerup", "pointercancel"])
    element.addEventListener(end, () => (from = null));
}
