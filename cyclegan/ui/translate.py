"""The Translate tab: a place for its client, and the event that translates for it.

The client is the folder client/studio/, plain JavaScript. It uploads pictures as gradio does, asks
for translations through gradio's queue, and gets facts back as JSON; the pictures themselves, and
what there is to choose among, it fetches from the routes in result_routes.py and stage_routes.py.
"""

import html
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import utils

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.images import ImageError
from cyclegan.translator import Translator, prepare
from cyclegan.ui.api import QUEUE
from cyclegan.ui.models import Shelf
from cyclegan.ui.page import NOT_HERE, Page
from cyclegan.ui.results import ORIGINAL, ResultStore
from cyclegan.ui.stage_routes import EXAMPLES, examples
from cyclegan.ui.translation import Step, failure, known_direction, translations
from cyclegan.ui.way_back import Recover
from cyclegan.ui.words import language_of, reword

REFINED = "refine"
"""More detail takes minutes of a large picture, for which nobody else should wait: the networks
take turns tile by tile."""
PATIENCE, PAUSE = 60.0, 0.2
"""Seconds that a way back gives way to translations at most, and between two looks at those."""
# Relative to the page, wherever a proxy has put it.
OPEN = """
import(new URL("training/client/studio/main.js", document.baseURI))
    .then((client) => client.open(element.querySelector(".studio"), {
        translate: (asked) => trigger(asked.detail ? "refine" : "translate", asked),
        recover: (asked) => trigger(asked.detail ? "refine_back" : "translate_back", asked),
        stop: (id) => trigger("give_up", id),
        listen: (heard) => watch("value", () => heard(props.value)),
    }))
    .catch((error) => { element.textContent = `This tab cannot be shown: ${error.message}`; });
"""
# Emptied, so that the same name is a change again.
CHOSEN = """
(name) => {
    if (name) document.dispatchEvent(new CustomEvent("studio:model", { detail: name }));
    return null;
}
"""


@dataclass(eq=False)
class Visit:
    """A visitor's page: requests up to the one of that number are no longer wanted."""

    over: int = 0


def line(kind: str, text: str) -> str:
    """Say how things stand; kind is "empty", "working", "done" or "failed"."""
    return f'<p class="line {kind}" role="status">{html.escape(text)}</p>'


def choose(shelf: Shelf, name: str) -> gr.Dropdown:
    """Have the Translate tab take a model, and translate with it what is there."""
    return gr.Dropdown(choices=[entry.name for entry in shelf.translating()], value=name)


def translate_tab(
    page: Page, shelf: Shelf, store: ResultStore, step: Step, recover: Recover
) -> gr.Dropdown:
    """Fill the Translate tab of a page. Returns what `choose` writes into; nobody sees it."""

    def translate(visit: Visit, event: gr.EventData, request: gr.Request) -> Iterator[str]:
        """Translate what the client asks for: answers as JSON, the newest of which holds.

        Each has the request's "id" and a "state": "working", later with the "direction" and the
        "guess" behind it; "done" with "facts"; or "failed" with an "error", "fatal" if the picture
        itself is to blame. One that is no longer wanted ends without a word.
        """
        reply: dict[str, Any] = {"id": None, "state": "working"}
        try:
            number, source, name, direction, detail = _asked(event._data)
            reply["id"] = number
            if number <= visit.over:
                # Given up while it was waiting in the queue.
                yield json.dumps(reply)
                return
            model = shelf.get(name)
            path, title = _file(source, store)
            real = prepare(path)
            guess = model.domain(real) if direction == "auto" else None
            if direction == "auto" and len(model.directions) == 2:
                direction = _by_name(model, source) or (guess and guess.direction) or "a2b"
            direction = known_direction(model, real, direction)
            reply |= {"direction": direction, "guess": guess and asdict(guess)}
            yield json.dumps(reply)
            made = next(translations(step, shelf, name, real, direction, detail))
            result = store.keep(made, title, path)
            yield json.dumps(reply | {"state": "done", "facts": result.facts()})
        except Exception as error:
            yield json.dumps(reply | _failed(error, request))

    def go_back(visit: Visit, event: gr.EventData, request: gr.Request) -> Iterator[str]:
        """Translate a result back once nobody waits for a translation; answers as `translate`."""
        reply: dict[str, Any] = {"id": None, "state": "working"}
        try:
            number, token = _result(event._data)
            reply["id"] = number
            ahead = (QUEUE, REFINED) if store.open(token).detail else (QUEUE,)
            latest = time.monotonic() + PATIENCE
            while number > visit.over and page.busy(*ahead) and time.monotonic() < latest:
                # Gradio ends this here when the visitor has left.
                yield json.dumps(reply)
                time.sleep(PAUSE)
            if number > visit.over:
                reply |= {"state": "done", "facts": recover(token).facts()}
            yield json.dumps(reply)
        except Exception as error:
            yield json.dumps(reply | _failed(error, request))

    def give_up(visit: Visit, event: gr.EventData) -> None:
        # Gradio's `cancels` would tell the client of an error, at no certain time.
        if isinstance(event._data, int):
            visit.over = event._data

    # The queue's own words about where a request stands are read off this one by the client.
    queue = gr.HTML(elem_id="studio-queue")
    stage = gr.HTML(
        html_template='<div class="studio"></div>',
        elem_id="studio",
        apply_default_css=False,
        js_on_load=OPEN,
    )
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    visit = gr.State(Visit())
    for event, function, concurrency in (
        (stage.translate, translate, QUEUE),
        (stage.refine, translate, REFINED),
        (stage.translate_back, go_back, f"{QUEUE} back"),
        (stage.refine_back, go_back, f"{REFINED} back"),
    ):
        event(
            function,
            visit,
            stage,
            concurrency_id=concurrency,
            concurrency_limit=1,
            trigger_mode="multiple",
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=queue,
        )
    stage.give_up(give_up, visit, queue=False, **quiet)
    chooser = gr.Dropdown(allow_custom_value=True, visible="hidden", elem_id="chooser")
    chooser.change(None, chooser, chooser, js=CHOSEN, **quiet)
    return chooser


def _asked(data: Any) -> tuple[int, Mapping[str, str], str, str, float]:
    match data:
        case {
            "id": int(number),
            "source": {**source},
            "model": str(model),
            "direction": str(direction),
            "detail": int() | float() as detail,
        } if 0 <= detail <= 1 and all(isinstance(value, str) for value in source.values()):
            return number, source, model, direction, float(detail)
    raise UserError("This page asked for nothing that there is; reload it.")


def _result(data: Any) -> tuple[int, str]:
    match data:
        case {"id": int(number), "token": str(token)}:
            return number, token
    raise UserError("This page asked for nothing that there is; reload it.")


def _failed(error: Exception, request: gr.Request) -> dict[str, Any]:
    said = reword(failure(error), language_of(request))
    return {"state": "failed", "error": said, "fatal": isinstance(error, ImageError)}


def _file(source: Mapping[str, str], store: ResultStore) -> tuple[Path, str]:
    """The file of a picture that the client names, and what its owner calls it."""
    match source:
        case {"token": token}:
            result = store.open(token)
            return result.folder / ORIGINAL, result.name
        case {"example": name} if name in examples():
            return EXAMPLES / name, name
        case {"path": path, "name": name} if utils.is_in_or_equal(path, utils.get_upload_folder()):
            return Path(path), name
    raise ImageError(NOT_HERE)


def _by_name(model: Translator, source: Mapping[str, str]) -> Direction | None:
    """The direction for an example, whose file is called after what it shows: apples-1."""
    for direction in model.directions:
        label = model.info.labels[direction[0]].lower()
        if source.get("example", "").startswith(label):
            return direction
    return None
