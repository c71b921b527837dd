"""A run's checkpoints at work: one on the Translate tab, or all of them on a photo of one's own."""

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.images import load_image
from cyclegan.run_source import RunSource
from cyclegan.runs import Run
from cyclegan.ui.models import Shelf
from cyclegan.ui.photo import Photo
from cyclegan.ui.run_view import labels
from cyclegan.ui.translate import choose, line
from cyclegan.ui.translation import arrow, failure, make_step

LONG_SIDE = 768
"""Longest side, in pixels, of a photo that goes through every checkpoint."""
INTRODUCTION = f"""<h3>See it learn</h3>
<p>Drop a photo of your own: every kept checkpoint of this run translates it, the oldest first, at
up to {LONG_SIDE} pixels a side.</p>"""
NONE_KEPT = line("empty", "This run has no checkpoint yet; drop a photo here once it has.")


@dataclass(eq=False)
class Passage:
    """A visitor's photo on its way through the checkpoints of a run.

    Attributes:
        real: the photo, or None when there is nothing to do.
        run: its name.
        direction: in which it is translated.
        steps: the checkpoints that are still to come, oldest first; None for the newest weights.
        best: the step of the best checkpoint.
        pictures: the files made so far with their captions, the photo first.
        status: how things stand, as a line of HTML.
        lost: why checkpoints were left out, one sentence each.
        seconds: how long it took so far.
        stopped: whether the visitor has asked for something else since.
    """

    real: Image.Image | None = None
    run: str = ""
    direction: Direction = "a2b"
    steps: list[int | None] = field(default_factory=list)
    best: int | None = None
    pictures: list[tuple[str, str]] = field(default_factory=list)
    status: str = line("empty", "")
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False


def checkpoints_panel(
    source: RunSource,
    shelf: Shelf,
    opened: gr.Textbox,
    request: gr.Textbox,
    tabs: gr.Tabs,
    chooser: gr.Dropdown,
) -> None:
    """Fill what stands below a run on the Training tab.

    Args:
        source: where the runs are.
        shelf: where a checkpoint goes that is tried out.
        opened: holds the name of the run that is looked at, "" for none.
        request: gets which checkpoint to try out, {"run": NAME, "step": STEP} in JSON, where null
            instead of a step means the newest averaged weights; it is emptied in answer.
        tabs: of the page; the one called "translate" is turned to.
        chooser: of the models there.
    """
    step = make_step(shelf)
    turns = itertools.count(1)

    with gr.Column(visible=False, elem_id="learn") as panel:
        gr.HTML(INTRODUCTION, elem_id="learn-words")
        with gr.Row(elem_id="learn-row"):
            with gr.Column(elem_id="learn-give", min_width=0):
                direction = gr.Radio(label="Direction", elem_id="learn-direction")
                photo = Photo(
                    label="Your photo",
                    format="webp",
                    sources=["upload", "clipboard"],
                    buttons=[],
                    elem_id="learn-photo",
                    placeholder="Drop a photo here",
                    alt_text="Your photo",
                )
                status = gr.HTML(elem_id="learn-status")
                again = gr.Button(
                    "Send it through again", visible=False, size="sm", elem_id="learn-again"
                )
            strip = gr.Gallery(
                label="What every checkpoint makes of it",
                columns=4,
                object_fit="contain",
                height="auto",
                interactive=False,
                buttons=["download", "fullscreen"],
                elem_id="learn-strip",
            )
    passage = gr.State(Passage())
    # Every new value has `advance` called, from the browser: nobody waits behind a visitor who has
    # left, and visitors take turns.
    turn = gr.State(0)

    def try_out(text: str) -> dict[Any, Any]:
        """Put a checkpoint on the shelf and turn to where it translates."""
        if not text:
            return {request: gr.skip()}
        try:
            run, at = _requested(text)
            if not source.local:
                gr.Info(f"Fetching the weights of {run} …")
            weights = source.weights(run, at)
            name = f"{run} · step {weights.config.step}"
            shelf.add(name, weights)
        except Exception as error:
            gr.Warning(failure(error))
            return {request: ""}
        # Emptied, so that the same request is a change again.
        return {request: "", tabs: gr.Tabs(selected="translate"), chooser: choose(shelf, name)}

    def file(picture: Image.Image) -> str:
        """Write a picture to where gradio serves it from: once, not whenever the strip grows."""
        return photo.postprocess(picture).path

    def prepared(path: Any, name: str, chosen: Direction) -> Passage:
        """Get a photo ready for its passage; without a photo, or with a bad one, there is none."""
        try:
            steps = source.checkpoints(name) if source.local else [None]
            if not steps:
                return Passage(status=NONE_KEPT)
            if path is None:
                return Passage()
            real = load_image(path)
            real.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
            best = source.read(name).best.get("step")
            pictures = [(file(real), "your photo")]
            waiting = line("working", "Your photo is next …")
            return Passage(real, name, chosen, [*steps], best, pictures, waiting)
        except Exception as error:
            return Passage(status=line("failed", failure(error)))

    def shown(now: Passage) -> dict[Any, Any]:
        return {
            strip: now.pictures,
            status: now.status,
            again: gr.Button(visible=now.real is not None and not now.steps),
        }

    def start(before: Passage, path: Any, name: str, chosen: Direction) -> dict[Any, Any]:
        before.stopped = True
        now = prepared(path, name, chosen)
        return {**shown(now), passage: now, turn: next(turns)}

    def receive(before: Passage, path: Any, name: str, chosen: Direction) -> dict[Any, Any]:
        started = start(before, path, name, chosen)
        # Upright and small; without a picture in place of a bad one, which a browser cannot draw.
        return {**started, photo: started[passage].real}

    def empty(before: Passage, path: Any, name: str, chosen: Direction) -> dict[Any, Any]:
        """Clear away what belongs to a photo that is no longer there."""
        # A file that is too large empties the field in the browser, which says why.
        if path is not None or before.real is None:
            return {turn: gr.skip()}
        return start(before, None, name, chosen)

    def open_run(before: Passage, path: Any, name: str, chosen: str) -> dict[Any, Any]:
        """Show the panel for a run; a photo that is there stays, and waits to be sent through."""
        before.stopped = True
        try:
            run = source.read(name)
        except UserError:
            # No run is open, or it has just been deleted, which the tab says.
            return {panel: gr.Column(visible=False), passage: Passage()}
        now = prepared(None, name, "a2b")
        return {
            **shown(now),
            again: gr.Button(visible=path is not None),
            panel: gr.Column(visible=True),
            direction: _directions(run, chosen),
            passage: now,
            turn: next(turns),
        }

    def advance(now: Passage) -> dict[Any, Any]:
        """Have one checkpoint translate; in memory is only this one."""
        if now.stopped:
            return {turn: gr.skip()}
        if now.real is None or not now.steps:
            # Once more, should a picture of the passage before have come in between.
            return {strip: now.pictures, status: now.status}
        begun = perf_counter()
        try:
            weights = source.weights(now.run, now.steps[0])
            fake = step(weights, now.real, now.direction)
            at = weights.config.step
            caption = f"step {at:,} ★ best" if at == now.best else f"step {at:,}"
            now.pictures.append((file(fake), caption))
        except UserError as error:
            # A running training deletes its oldest checkpoints.
            now.lost.append(str(error))
        except Exception as error:
            now.steps = []
            now.status = line("failed", failure(error))
            return shown(now)
        if now.stopped:
            return {turn: gr.skip()}
        now.steps = now.steps[1:]
        now.seconds += perf_counter() - begun
        now.status = _said(now)
        return {**shown(now), turn: next(turns)}

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    given = [passage, photo, opened, direction]
    results = [strip, status, again, passage, turn]
    photo.input(receive, given, [photo, *results], trigger_mode="always_last", **quiet)
    gr.on(
        [direction.input, again.click],
        start,
        given,
        results,
        trigger_mode="always_last",
        **quiet,
    )
    photo.change(empty, given, results, trigger_mode="always_last", **quiet)
    opened.change(
        open_run,
        given,
        [panel, direction, *results],
        trigger_mode="always_last",
        **quiet,
    )
    # Beside the queue of translations, which should not wait until all checkpoints are through.
    turn.change(
        advance,
        passage,
        [strip, status, again, turn],
        concurrency_id="checkpoints",
        concurrency_limit=1,
        trigger_mode="always_last",
        **quiet,
    )
    # A change: scripts that write into a field cause no input event.
    request.change(try_out, request, [request, tabs, chooser], **quiet)


def _said(now: Passage) -> str:
    done = len(now.pictures) - 1
    if now.steps:
        at = now.steps[0]
        which = "The newest weights" if at is None else f"Step {at:,}"
        total = done + len(now.lost) + len(now.steps)
        return line("working", f"{which}: {total - len(now.steps) + 1} of {total} …")
    if not done:
        return line("failed", now.lost[0])
    checkpoints = "1 checkpoint" if done == 1 else f"{done} checkpoints"
    words = f"Translated by {checkpoints} in {now.seconds:.1f} s."
    if now.lost:
        words += f" Without {len(now.lost)} more: {now.lost[0]}"
    return line("done", words)


def _requested(text: str) -> tuple[str, int | None]:
    with contextlib.suppress(ValueError):
        match json.loads(text):
            case {"run": str(run), "step": int() | None as step}:
                return run, step
    raise UserError("This page asked for no checkpoint that there is; reload it.")


def _directions(run: Run, chosen: str) -> gr.Radio:
    listed = run.description.get("directions")
    known: list[Direction] = [
        direction
        for direction in ("a2b", "b2a")
        if not isinstance(listed, list) or direction in listed
    ]
    return gr.Radio(
        [(arrow(labels(run), direction), direction) for direction in known],
        value=chosen if chosen in known else next(iter(known), None),
        visible=len(known) > 1,
    )
