"""The Translate tab, and the endpoint /translate behind it."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.images import EXTENSIONS, ImageError
from cyclegan.translator import MAX_SIDE, Translator, prepare
from cyclegan.ui.models import Shelf, StillLoading
from cyclegan.ui.photo import Photo
from cyclegan.ui.translation import Step, Translation, arrow, failure, make_step, translations

EXAMPLES = Path(__file__).parent / "examples"
QUEUE = "translate"
"""Translations wait for each other: two at once would only share the same processor."""


def percent(share: float) -> str:
    """Say a share in words: "4%", or "less than 1%"."""
    return f"{share:.0%}" if share >= 0.005 else "less than 1%"


def examples() -> list[Path]:
    """The pictures to click on; none is fine."""
    found = EXAMPLES.iterdir() if EXAMPLES.is_dir() else ()
    return sorted(path for path in found if path.suffix in EXTENSIONS)


def fitting_direction(model: Translator, stem: str) -> Direction | None:
    """The direction for an example, whose file is called after what it shows: apples-1."""
    for direction in model.directions:
        if stem.lower().startswith(model.info.labels[direction[0]].lower()):
            return direction
    return None


def line(kind: str, text: str) -> str:
    """Say how things stand; kind is "empty", "working", "done" or "failed"."""
    return f'<p class="line {kind}" role="status">{html.escape(text)}</p>'


FAILED = '<p class="line failed"'
EMPTY = line("empty", "Drop a picture, paste one, take one, or click an example.")


def _said(result: Translation, model: Translator) -> str:
    text = f"Translated in {result.seconds:.1f} s."
    if result.cycle_error is not None:
        return line(
            "done", f"{text} The way back differs by {percent(result.cycle_error)} on average."
        )
    if len(model.directions) < 2:
        return line("done", f"{text} These weights know no way back.")
    return line("working", f"{text} Translating it back …")


def endpoint(shelf: Shelf, step: Step) -> None:
    """Define /translate for programs. Its fields are its own, so that the page's never limit it.

    On the page, gradio would refuse a model that is not among the choices a visitor was shown.
    """

    def translate(
        image: Any, weights: str = "", direction: str = "a2b"
    ) -> tuple[Image.Image, Image.Image | None, dict[str, Any]]:
        """Translate a picture there and back.

        Args:
            image: JPEG, PNG, WebP, BMP, TIFF or GIF.
            weights: the name of a model on this page; empty for the first one.
            direction: "a2b" or "b2a".
        """
        try:
            if image is None:
                raise ImageError("There is no picture in this request; send one as `image`.")
            model = shelf.get(weights)
            *_, result = translations(step, shelf, weights, prepare(image), direction)
        except Exception as error:
            raise gr.Error(failure(error), print_exception=False) from error
        figures = {
            "seconds": round(result.seconds, 3),
            "cycle_error": result.cycle_error,
            "width": result.fake.width,
            "height": result.fake.height,
            "model": model.info.name,
            "revision": model.info.revision,
            "direction": direction,
        }
        return result.fake, result.recovered, figures

    with gr.Column(visible=False):
        inputs = [
            Photo(label="image"),
            gr.Textbox("", label="weights"),
            gr.Textbox("a2b", label="direction"),
        ]
        outputs = [
            Photo(label="fake", format="png"),
            Photo(label="recovered", format="png"),
            gr.JSON(label="figures"),
        ]
        gr.Button().click(
            translate,
            inputs,
            outputs,
            api_name="translate",
            concurrency_id=QUEUE,
            concurrency_limit=1,
        )


def translate_tab(page: gr.Blocks, shelf: Shelf) -> gr.Dropdown:
    """Fill the Translate tab. Returns its chooser, for `choose`."""
    step = make_step(shelf)
    pictures = examples()

    notice = gr.HTML(elem_id="notice")
    with gr.Row(elem_id="controls"):
        direction = gr.Radio(
            [("A → B", "a2b"), ("B → A", "b2a")],
            value="a2b",
            label="Direction",
            elem_id="direction",
            visible=False,
        )
        model = gr.Dropdown(
            [], label="Model", elem_id="model", filterable=False, visible="hidden", min_width=220
        )
    with gr.Row(elem_id="pictures", equal_height=True):
        photo = Photo(
            label="Your picture",
            format="webp",
            sources=["upload", "clipboard", "webcam"],
            webcam_options=gr.WebcamOptions(
                mirror=False, constraints={"video": {"facingMode": "environment"}}
            ),
            buttons=["fullscreen"],
            elem_id="real",
            placeholder="Drop a picture here",
            alt_text="Your picture",
        )
        fake, recovered = (
            Photo(
                label=label,
                format="webp",
                interactive=False,
                buttons=["download", "fullscreen"],
                elem_id=name,
                alt_text=label,
            )
            for name, label in (("fake", "Translated"), ("recovered", "Recovered"))
        )
        status = gr.HTML(EMPTY, elem_id="status")
    if pictures:
        gallery = gr.Dataset(
            components=[photo],
            samples=[[str(path)] for path in pictures],
            type="index",
            label="Examples",
            samples_per_page=len(pictures),
            elem_id="examples",
        )
    gr.HTML(
        f"<p>Results have the size of your picture, up to {MAX_SIDE} pixels a side; "
        "larger pictures are scaled down to that. Pictures stay on the machine that runs this "
        "page, and are deleted after a day.</p>",
        elem_id="fine",
    )
    timer = gr.Timer(1, active=False)
    seen = gr.State([None])
    results = [fake, recovered, status]
    started = {fake: None, recovered: None, status: line("working", "Translating …")}

    def failed(error: Exception) -> dict[Any, Any]:
        return {fake: None, recovered: None, status: line("failed", failure(error))}

    def refresh(
        path: Any, name: str | None, chosen: str, before: list[str | None]
    ) -> dict[Any, Any]:
        """Bring the controls up to date with the shelf."""
        state = " ".join(entry.state for entry in shelf.entries())
        if before[:1] == [state]:
            return {timer: gr.skip()}
        names = [entry.name for entry in shelf.ready()]
        first = next(iter(names), None)
        # The model named first may come last; it takes its place unless somebody is at work.
        kept = name in names and (path is not None or name != before[-1])
        current = name if kept else first
        return {
            notice: _notice(shelf),
            model: choose(shelf, current),
            direction: _directions(shelf, current, chosen),
            timer: gr.Timer(active=shelf.loading),
            seen: [state, first],
        }

    def receive(path: Any) -> dict[Any, Any]:
        """Put into the panel what the networks will see: upright, on white, a single frame."""
        if path is None:
            return {fake: None, recovered: None, status: EMPTY}
        try:
            return {photo: prepare(path), **started}
        except Exception as error:
            # Without a picture: a browser would draw a broken one.
            return {photo: None, **failed(error)}

    def empty(path: Any, said: str) -> dict[Any, Any]:
        """Clear away what belongs to a picture that is no longer there."""
        # A file that is too large empties the field in the browser, which says why.
        if path is not None or said.startswith(FAILED):
            return {status: gr.skip()}
        return {fake: None, recovered: None, status: EMPTY}

    def show(path: Any, name: str | None, chosen: str) -> Iterator[dict[Any, Any]]:
        # Every output gets a value at every step. Gradio sends the browser what changed from step
        # to step, and a skipped value after a real one can leave a mixture of both.
        if path is None:
            # Nothing to do, and nothing to wipe out: a message about a bad file may stand here.
            yield {status: gr.skip()}
            return
        try:
            model_now = shelf.get(name)
            yield started
            for result in translations(step, shelf, name or "", prepare(path), chosen):
                yield {
                    fake: result.fake,
                    recovered: result.recovered,
                    status: _said(result, model_now),
                }
        except StillLoading:
            # The chooser changes when the model arrives, and that translates what is here by then.
            waiting = line("working", "The model is still loading; your picture is next.")
            yield {fake: None, recovered: None, status: waiting}
        except Exception as error:
            yield failed(error)

    def pick(index: int, name: str | None, chosen: str) -> dict[Any, Any]:
        path = pictures[index]
        try:
            fitting = fitting_direction(shelf.get(name), path.stem)
        except UserError:
            fitting = None
        return {photo: prepare(path), direction: fitting or chosen, **started}

    inputs = [photo, model, direction]
    common: dict[str, Any] = {
        "concurrency_id": QUEUE,
        "concurrency_limit": 1,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    looked = [photo, model, direction, seen]
    controls = [notice, model, direction, timer, seen]
    page.load(refresh, looked, controls, **quick)
    timer.tick(refresh, looked, controls, **quick)
    photo.input(receive, photo, [photo, *results], trigger_mode="always_last", **common).then(
        show, inputs, results, trigger_mode="always_last", **common
    )
    photo.change(empty, [photo, status], results, **quick)
    direction.input(show, inputs, results, trigger_mode="always_last", **common)
    model.change(
        lambda name, chosen: (_directions(shelf, name, chosen), _notice(shelf)),
        [model, direction],
        [direction, notice],
        **quick,
    ).then(show, inputs, results, trigger_mode="always_last", **common)
    if pictures:
        gallery.click(
            pick, [gallery, model, direction], [photo, *results, direction], **quick
        ).then(show, inputs, results, trigger_mode="always_last", **common)
    endpoint(shelf, step)
    return model


def choose(shelf: Shelf, name: str | None) -> gr.Dropdown:
    """Have the chooser offer what is ready and stand at `name`, which translates what is there."""
    names = [entry.name for entry in shelf.ready()]
    return gr.Dropdown(choices=names, value=name, visible=len(names) > 1 or "hidden")


def _directions(shelf: Shelf, name: str | None, chosen: str) -> gr.Radio:
    try:
        model = shelf.get(name)
    except UserError:
        return gr.Radio(visible=False)
    choices = [(arrow(model.info.labels, direction), direction) for direction in model.directions]
    value = chosen if chosen in model.directions else model.directions[0]
    return gr.Radio(choices=choices, value=value, visible=True)


def _notice(shelf: Shelf) -> str:
    lines = []
    coming = [entry.source for entry in shelf.entries() if entry.state == "loading"]
    if coming:
        lines.append(f'<p class="loading">Loading {html.escape(", ".join(coming))} …</p>')
    for entry in shelf.entries():
        if entry.state == "failed":
            reason = html.escape(entry.reason)
            lines.append(f'<p class="missing"><b>A model is missing.</b> {reason}</p>')
    if not coming and not shelf.ready():
        lines.append(
            '<p class="missing">There is no model to translate with. Start the page with '
            "<code>--weights FOLDER</code> or <code>--weights USER/NAME</code>.</p>"
        )
    return "".join(lines)
