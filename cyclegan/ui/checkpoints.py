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
from cyclegan.ui.words import Language, language_of, reword, say, word

LONG_SIDE = 768
"""Longest side, in pixels, of a photo that goes through every checkpoint."""


@dataclass(eq=False)
class Passage:
    """A visitor's photo on its way through the checkpoints of a run.

    Attributes:
        real: the photo, or None when there is nothing to do.
        run: its name.
        language: of the visitor.
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
    language: Language = "en"
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
        gr.HTML(word("training.learn"), html_template="<h3>${value}</h3>")
        introduction = '<p>${value.replace("{side}", side)}</p>'
        gr.HTML(
            word("training.learn_words"),
            html_template=introduction,
            side=LONG_SIDE,
            elem_id="learn-words",
        )
        with gr.Row(elem_id="learn-row"):
            with gr.Column(elem_id="learn-give", min_width=0):
                direction = gr.Radio(label=word("training.direction"), elem_id="learn-direction")
                photo = Photo(
                    label=word("training.learn_photo"),
                    format="webp",
                    sources=["upload", "clipboard"],
                    buttons=[],
                    elem_id="learn-photo",
                    placeholder=word("training.learn_drop"),
                    alt_text=word("training.learn_photo"),
                )
                status = gr.HTML(elem_id="learn-status")
                again = gr.Button(
                    word("training.learn_again"), visible=False, size="sm", elem_id="learn-again"
                )
            strip = gr.Gallery(
                label=word("training.learn_strip"),
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

    def try_out(text: str, visitor: gr.Request) -> dict[Any, Any]:
        """Put a checkpoint on the shelf and turn to where it translates."""
        if not text:
            return {request: gr.skip()}
        language = language_of(visitor)
        try:
            run, at = _requested(text)
            if not source.local:
                gr.Info(say(language, "training.fetching", run=run))
            weights = source.weights(run, at)
            name = f"{run} · step {weights.config.step}"
            shelf.add(name, weights)
        except Exception as error:
            gr.Warning(reword(failure(error), language))
            return {request: ""}
        # Emptied, so that the same request is a change again.
        return {request: "", tabs: gr.Tabs(selected="translate"), chooser: choose(shelf, name)}

    def file(picture: Image.Image) -> str:
        """Write a picture to where gradio serves it from: once, not whenever the strip grows."""
        return photo.postprocess(picture).path

    def prepared(path: Any, name: str, chosen: Direction, language: Language) -> Passage:
        """Get a photo ready for its passage; without a photo, or with a bad one, there is none."""
        try:
            steps = source.checkpoints(name) if source.local else [None]
            if not steps:
                return Passage(status=line("empty", say(language, "training.learn_none")))
            if path is None:
                return Passage()
            real = load_image(path)
            real.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
            best = source.read(name).best.get("step")
            pictures = [(file(real), say(language, "training.learn_photo"))]
            waiting = line("working", say(language, "training.learn_next"))
            return Passage(real, name, language, chosen, [*steps], best, pictures, waiting)
        except Exception as error:
            return Passage(status=line("failed", reword(failure(error), language)))

    def shown(now: Passage) -> dict[Any, Any]:
        return {
            strip: now.pictures,
            status: now.status,
            again: gr.Button(visible=now.real is not None and not now.steps),
        }

    def start(
        before: Passage, path: Any, name: str, chosen: Direction, visitor: gr.Request
    ) -> dict[Any, Any]:
        before.stopped = True
        now = prepared(path, name, chosen, language_of(visitor))
        return {**shown(now), passage: now, turn: next(turns)}

    def receive(
        before: Passage, path: Any, name: str, chosen: Direction, visitor: gr.Request
    ) -> dict[Any, Any]:
        started = start(before, path, name, chosen, visitor)
        # Upright and small; without a picture in place of a bad one, which a browser cannot draw.
        return {**started, photo: started[passage].real}

    def empty(
        before: Passage, path: Any, name: str, chosen: Direction, visitor: gr.Request
    ) -> dict[Any, Any]:
        """Clear away what belongs to a photo that is no longer there."""
        # A file that is too large empties the field in the browser, which says why.
        if path is not None or before.real is None:
            return {turn: gr.skip()}
        return start(before, None, name, chosen, visitor)

    def open_run(
        before: Passage, path: Any, name: str, chosen: str, visitor: gr.Request
    ) -> dict[Any, Any]:
        """Show the panel for a run; a photo that is there stays, and waits to be sent through."""
        before.stopped = True
        try:
            run = source.read(name)
        except UserError:
            # No run is open, or it has just been deleted, which the tab says.
            return {panel: gr.Column(visible=False), passage: Passage()}
        now = prepared(None, name, "a2b", language_of(visitor))
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
            fake = step(weights, now.real, now.direction, 0.0).apply(now.real)
            at = weights.config.step
            key = "training.learn_best" if at == now.best else "training.learn_step"
            now.pictures.append((file(fake), say(now.language, key, step=f"{at:,}")))
        except UserError as error:
            # A running training deletes its oldest checkpoints.
            now.lost.append(reword(str(error), now.language))
        except Exception as error:
            now.steps = []
            now.status = line("failed", reword(failure(error), now.language))
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
        key = "training.learn_now_newest" if at is None else "training.learn_now"
        total = done + len(now.lost) + len(now.steps)
        nth = total - len(now.steps) + 1
        words = say(now.language, key, step=f"{at or 0:,}", done=nth, total=total)
        return line("working", words)
    if not done:
        return line("failed", now.lost[0])
    words = say(now.language, "training.learn_done", n=done, seconds=f"{now.seconds:.1f}")
    if now.lost:
        missing = say(now.language, "training.learn_without", n=len(now.lost), reason=now.lost[0])
        words = f"{words} {missing}"
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
