"""The Training tab: how runs are doing, read from their folders while somebody looks."""

import html
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import gradio as gr
import pandas as pd
from gradio import processing_utils, utils

from cyclegan.runs import Run, list_runs, read_run

INTERVAL = 2.0
QUIET = 300.0
"""Seconds without news after which a run that says it is running is doubted."""
EARLIER = 8
"""Sample sheets shown besides the newest."""
POINTS = 240
"""Points of a curve; more would cost the browser and show nothing else."""

STATES = {
    "running": "Training",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
    "quiet": "No news",
    "unknown": "Starting",
}
COLOURS = ["#38846a", "#e07a2f", "#7a6bb0", "#b8923a", "#4a86b8", "#b2556b"]


def training_tab(runs: Path, tab: gr.Tab, others: Sequence[gr.Tab]) -> None:
    """Fill the Training tab, which asks for news only while `tab` is the one that is open."""
    empty = gr.HTML(_empty(runs), elem_id="no-runs")
    chooser = gr.Dropdown([], label="Run", filterable=False, visible=False, elem_id="run")
    summary = gr.HTML(visible=False, elem_id="summary")
    newest = gr.Image(
        label="Newest samples",
        interactive=False,
        visible=False,
        buttons=["download", "fullscreen"],
        elem_id="newest",
        alt_text="What the model makes of the same few pictures",
    )
    caption = gr.HTML(visible=False, elem_id="caption")
    with gr.Row(visible=False, elem_id="curves") as curves:
        plots = [
            gr.LinePlot(
                x="step",
                y="loss",
                color="curve",
                title=title,
                x_title="step",
                y_title=" ",
                color_title=" ",
                height=260,
                elem_id=f"curves-{index}",
                min_width=320,
            )
            for index, title in enumerate(("Adversarial losses", "Other losses"))
        ]
    earlier = gr.Gallery(
        label="Earlier samples",
        columns=4,
        object_fit="contain",
        height="auto",
        interactive=False,
        visible=False,
        buttons=["fullscreen"],
        elem_id="earlier",
    )
    timer = gr.Timer(INTERVAL, active=False)
    seen = gr.State("")
    outputs = [empty, chooser, summary, newest, caption, curves, *plots, earlier, timer, seen]

    def look(chosen: str | None, before: str) -> dict[Any, Any]:
        """What changed since `before`, the state of things at the last look."""
        folders = list_runs(runs)
        if not folders:
            return {empty: gr.HTML(visible=True), timer: gr.Timer(active=True)}
        names = [str(folder) for folder in folders]
        run = read_run(Path(chosen) if chosen in names else folders[0])
        state = _state(run)
        samples = run.samples[-1 - EARLIER :]
        now = repr((names, run.folder, state, run.status, len(run.metrics), samples))
        if now == before:
            return {seen: before}
        sheets = [sheet for sheet in map(_sheet, reversed(samples)) if sheet]
        frames = _curves(run)
        return {
            empty: gr.HTML(visible=False),
            chooser: gr.Dropdown(
                choices=[(folder.name, str(folder)) for folder in folders],
                value=str(run.folder),
                visible=len(folders) > 1,
            ),
            summary: gr.HTML(_summary(run, state), visible=True),
            newest: gr.Image(
                sheets[0][0] if sheets else None,
                label=f"Newest samples, {sheets[0][1]}" if sheets else None,
                visible=bool(sheets),
            ),
            caption: gr.HTML(_caption(run), visible=bool(sheets and _caption(run))),
            curves: gr.Row(visible=bool(run.metrics)),
            **{
                plot: gr.LinePlot(frame, color_map=_colours(frame), visible=not frame.empty)
                for plot, frame in zip(plots, frames, strict=True)
            },
            earlier: gr.Gallery(sheets[1:], visible=len(sheets) > 1),
            # A finished run has no news; another one is looked for when the tab is opened again.
            timer: gr.Timer(active=state != "finished"),
            seen: now,
        }

    # Ticks stay out of the queue, where they would wait behind translations and count as visitors.
    quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    tab.select(lambda chosen: look(chosen, ""), chooser, outputs, **quick)
    chooser.input(lambda chosen: look(chosen, ""), chooser, outputs, **quick)
    timer.tick(look, [chooser, seen], outputs, **quick)
    for other in others:
        other.select(lambda: gr.Timer(active=False), None, timer, **quick)


def _state(run: Run) -> str:
    phase = run.status.get("phase")
    if phase not in STATES:
        return "unknown"
    updated = run.status.get("updated")
    if phase == "running" and isinstance(updated, int | float) and time.time() - updated > QUIET:
        return "quiet"
    return str(phase)


def _sheet(path: Path) -> tuple[str, str] | None:
    """Copy a sample sheet to where gradio may serve it from; the run's folder stays private."""
    try:
        copy = processing_utils.save_file_to_cache(path, utils.get_upload_folder())
    except OSError:
        # A resumed run takes back samples that it will make again.
        return None
    return copy, f"step {int(path.stem):,}"


def _summary(run: Run, state: str) -> str:
    status, last = run.status, run.metrics[-1] if run.metrics else {}
    step, total = _number(status.get("step")), _number(status.get("total"))
    facts = []
    if total:
        facts.append(("Step", f"{step:,.0f} of {total:,.0f}"))
    if state == "running" and "eta_seconds" in status:
        facts.append(("Time left", duration(_number(status["eta_seconds"]))))
    if "seconds" in last:
        facts.append(("Time so far", duration(_number(last["seconds"]))))
    if "images_per_second" in last:
        facts.append(("Images per second", f"{_number(last['images_per_second']):.2g}"))
    if "epoch" in last:
        facts.append(("Epoch", f"{_number(last['epoch']):.1f}"))
    if "device" in status:
        facts.append(("Device", str(status["device"])))
    note = ""
    if state == "failed":
        note = str(status.get("error") or "It ended with an error.")
    elif state == "quiet":
        ago = duration(time.time() - _number(status.get("updated")))
        note = f"Nothing was written for {ago}. If it was killed, its command resumes it."
    elif state == "stopped":
        note = "It was stopped and saved; the same command goes on from there."
    share = min(1.0, step / total) if total else 0.0
    return (
        f'<section class="run {state}"><h2>{html.escape(run.folder.name)}'
        f'<span class="pill">{STATES[state]}</span></h2>'
        f'<div class="bar" role="progressbar" aria-valuenow="{share:.0%}">'
        f'<i style="width:{share:.2%}"></i></div><dl>'
        + "".join(f"<div><dt>{key}</dt><dd>{html.escape(text)}</dd></div>" for key, text in facts)
        + "</dl>"
        + (f'<p class="note">{html.escape(note)}</p>' if note else "")
        + "</section>"
    )


def duration(seconds: float) -> str:
    """Say a time span in its two largest units: "3 h 26 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _caption(run: Run) -> str:
    """Name the columns of the sheet of a family that translates both ways."""
    config = run.description.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    losses = run.metrics[-1].get("losses") if run.metrics else None
    if not isinstance(data, dict) or not isinstance(losses, dict):
        return ""
    if not any(name.endswith("/cycle") for name in losses):
        return ""
    a, b = (html.escape(str(data.get(f"label_{side}", side.upper()))) for side in "ab")
    return f"<p>Columns: {a}, made {b}, and back; {b}, made {a}, and back.</p>"


def _curves(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The losses in which the phases play against each other, and all others.

    The first curves are called after their phases, the others after what they measure.
    """
    game: list[tuple[int, float, str]] = []
    rest: list[tuple[int, float, str]] = []
    for step, losses in _losses(run):
        for key, value in losses.items():
            phase, _, name = key.partition("/")
            if name == "adversarial":
                game.append((step, value, phase))
            else:
                rest.append((step, value, name or phase))
    return _thinned(game), _thinned(rest)


def _losses(run: Run) -> list[tuple[int, dict[str, float]]]:
    found = []
    for line in run.metrics:
        losses = line.get("losses")
        if isinstance(losses, dict):
            numbers = {k: float(v) for k, v in losses.items() if isinstance(v, int | float)}
            found.append((line["step"], numbers))
    return found


def _thinned(rows: list[tuple[int, float, str]]) -> pd.DataFrame:
    """At most `POINTS` points a curve, each the mean of its neighbours, which also calms it."""
    width = max(1.0, (max((step for step, _, _ in rows), default=0) + 1) / POINTS)
    groups: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for step, value, curve in rows:
        groups.setdefault((curve, int(step / width)), []).append((step, value))
    points = [
        (round(fmean(step for step, _ in group)), fmean(value for _, value in group), curve)
        for (curve, _), group in groups.items()
    ]
    return pd.DataFrame(points, columns=["step", "loss", "curve"])  # type: ignore[arg-type]


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    return dict(zip(frame["curve"].unique(), COLOURS, strict=False))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _empty(runs: Path) -> str:
    where = html.escape(str(runs))
    return (
        '<section class="nothing"><h2>No training yet</h2>'
        f"<p>This tab shows the trainings that write to <code>{where}</code>. Start one with two "
        "folders of photos, <code>trainA</code> and <code>trainB</code>, in one place:</p>"
        f"<pre>python train.py cyclegan --data PHOTOS --out {where}/my-first-run</pre>"
        "<p>Its samples, losses and progress appear here by themselves.</p></section>"
    )
