"""The Generate tab: a place for its client, and the event that makes pictures for it.

The client is the folder client/generate/, plain JavaScript. It asks through gradio's queue and gets
JSON back, pictures and all: they are small, and what they are made from stands in the page's link.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import gradio as gr
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.generator import path, read_seed, slerp
from cyclegan.images import ImageError
from cyclegan.ui.api import QUEUE
from cyclegan.ui.generation import (
    FRAMES,
    KINDS,
    MOST,
    Make,
    find_generator,
    from_code,
    loop,
    png,
    runs_as,
    to_code,
    uploaded,
)
from cyclegan.ui.models import Entry, Shelf
from cyclegan.ui.translation import failure
from cyclegan.ui.words import Language, language_of, reword

AT_ONCE = 4
"""Pictures after which a visitor may have changed their mind."""
# Relative to the page, wherever a proxy has put it.
OPEN = """
import(new URL("training/client/generate/main.js", document.baseURI))
    .then((client) => client.open(element.querySelector(".studio"), {
        translate: (asked) => trigger("generate", asked),
        stop: (id) => trigger("give_up", id),
        listen: (heard) => watch("value", () => heard(props.value)),
    }))
    .catch((error) => { element.textContent = `This tab cannot be shown: ${error.message}`; });
"""
FOLLOW_TAB = """
() => {
    const tab = new URLSearchParams(location.search).get("tab");
    if (/^[a-z]+$/.test(tab ?? "")) document.getElementById(`tab-${tab}-button`)?.click();
}
"""
"""JavaScript for a freshly loaded page: ?tab=… opens a tab."""


@dataclass(frozen=True)
class Asked:
    """What the client asks for.

    Attributes:
        id: grows with every request; only the newest of a visitor counts.
        want: "grid", several pictures; "one"; "style", the one whose z a reference has; "path".
        model: its name on the shelf.
        photo: path of the upload that is translated, for models that take one.
        seed: as it was typed, of the grid.
        count: pictures of the grid.
        near: how far from `start`, from 0 to 1, the pictures of the grid are; drawn freely at 1.
        start: the z that the grid varies, that "one" shows, or where the path begins, as a code.
        end: where the path ends.
        move: for "one", where z is to be along each direction; None where it stays.
        reference: path of an upload.
    """

    id: int
    want: Literal["grid", "one", "style", "path"]
    model: str
    photo: str = ""
    seed: str | int = 0
    count: int = 12
    near: float = 1.0
    start: str = ""
    end: str = ""
    move: tuple[float | None, ...] = ()
    reference: str = ""


@dataclass(eq=False)
class Visit:
    """A visitor's page: requests up to the one of that number are no longer wanted."""

    over: int = 0


def generate_tab(shelf: Shelf, make: Make) -> None:
    """Fill the Generate tab; its client needs the route of `generate_routes(shelf)`."""

    def generate(visit: Visit, event: gr.EventData, request: gr.Request) -> Iterator[str]:
        """Make what the client asks for: answers as JSON, the newest of which holds.

        Each has the request's "id" and a "state": "working", "done", or "failed" with an "error",
        "fatal" if a picture that was sent is to blame.
        """
        reply: dict[str, Any] = {"id": None, "state": "working"}
        try:
            asked = _asked(event._data)
            reply["id"] = asked.id
            for made in _answers(shelf, make, asked):
                if asked.id <= visit.over:
                    break
                reply |= made
                yield json.dumps(reply)
            yield json.dumps(reply | {"state": "done"})
        except Exception as error:
            said = reword(failure(error), language_of(request))
            fatal = isinstance(error, ImageError)
            yield json.dumps(reply | {"state": "failed", "error": said, "fatal": fatal})

    def give_up(visit: Visit, event: gr.EventData) -> None:
        if isinstance(event._data, int):
            visit.over = event._data

    queue = gr.HTML(elem_id="generate-queue")
    stage = gr.HTML(
        html_template='<div class="studio"></div>',
        elem_id="generate",
        apply_default_css=False,
        js_on_load=OPEN,
    )
    visit = gr.State(Visit())
    stage.generate(
        generate,
        visit,
        stage,
        concurrency_id=QUEUE,
        concurrency_limit=1,
        trigger_mode="multiple",
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=queue,
    )
    stage.give_up(give_up, visit, queue=False, api_visibility="private", show_progress="hidden")


def generate_routes(shelf: Shelf) -> list[Route]:
    """generate/models.json: the models that make pictures from z, and whether more may come."""

    def models(request: Request) -> Response:
        language = language_of(request)
        listed = [_model(entry, language) for entry in shelf.entries() if entry.generates]
        answer = {"models": listed, "loading": shelf.loading}
        return JSONResponse(answer, headers={"Cache-Control": "no-cache"})

    return [Route("/generate/models.json", models)]


def _model(entry: Entry, language: Language) -> dict[str, Any]:
    assert entry.info
    return {
        "name": entry.name,
        "usable": entry.state != "failed",
        "reason": reword(entry.reason, language),
        "labels": entry.info.labels,
        # What translates starts from a picture.
        "takes_picture": bool(entry.directions),
        "drawn": entry.info.drawn,
        "image_size": entry.info.image_size,
    }


def _asked(data: Any) -> Asked:
    try:
        asked = TypeAdapter(Asked).validate_python(data)
    except ValidationError as error:
        raise UserError("This page asked for nothing that there is; reload it.") from error
    if not (1 <= asked.count <= MOST and 0 <= asked.near <= 1):
        raise UserError("This page asked for nothing that there is; reload it.")
    return asked


def _answers(shelf: Shelf, make: Make, asked: Asked) -> Iterator[dict[str, Any]]:
    """What there is to say to a request, more and more of it. Raises UserError."""
    generator = find_generator(shelf, asked.model)
    model = runs_as(shelf, generator)
    photo = generator.seen(uploaded(asked.photo)) if generator.takes_picture else None
    directions = generator.directions()
    begun = perf_counter()

    def made(z: Tensor) -> Iterator[list[Image.Image]]:
        """As many pictures as there are so far."""
        pictures: list[Image.Image] = []
        for rows in z.split(AT_ONCE):
            pictures += make(model, photo, rows)
            yield pictures

    match asked.want:
        case "grid":
            seed = read_seed(asked.seed)
            z = generator.draw(asked.count, seed)
            codes = [str(seed + index) for index in range(asked.count)]
            if asked.start:
                start = from_code(asked.start, generator)
                z = torch.stack([slerp(start, row, asked.near) for row in z])
                codes = [to_code(row) for row in z]
            facts = {"seed": seed, "photo": photo and png(photo), "encodes": generator.encodes}
            shown: list[dict[str, Any]] = []
            for pictures in made(z):
                new = slice(len(shown), len(pictures))
                for each in zip(codes[new], z[new], pictures[new], strict=True):
                    shown.append(_shown(directions, *each))
                yield {**facts, "pictures": shown, "seconds": perf_counter() - begun}
        case "one" | "style":
            if asked.want == "style":
                z = generator.encode(uploaded(asked.reference))
                code = to_code(z)
            else:
                z, code = from_code(asked.start, generator), asked.start
                if asked.move:
                    z = _moved(directions, z, asked.move)
                    code = to_code(z)
            (picture,) = make(model, photo, z[None])
            yield {"one": _shown(directions, code, z, picture)}
        case "path":
            ends = (from_code(asked.start, generator), from_code(asked.end, generator))
            for pictures in made(path(*ends, FRAMES)):
                # Nothing to look at before it is whole, but somebody may have changed their mind.
                whole = len(pictures) == FRAMES
                yield {"film": {kind: loop(pictures, kind) for kind in KINDS} if whole else None}


def _shown(directions: Tensor, code: str, z: Tensor, picture: Image.Image) -> dict[str, Any]:
    """A picture as the client has it: what made it, and where its z is along each direction."""
    at = [round(value, 3) for value in (directions @ z).tolist()]
    return {"code": code, "at": at, "url": png(picture)}


def _moved(directions: Tensor, z: Tensor, to: tuple[float | None, ...]) -> Tensor:
    for value, direction in zip(to, directions, strict=False):
        if value is not None:
            z = z + (value - z @ direction) * direction
    return z
