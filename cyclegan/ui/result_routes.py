"""What the Translate tab asks the server about results: facts, previews, downloads.

The pixels of a download are made while it is asked for, a few at a time, into a file that nobody
else sees and that is gone when it has been sent.
"""

import math
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.ui.keepsakes import CLIP_SIDE, SHEET_SIDE, Panel, clip, fitted, sheet
from cyclegan.ui.results import GoneError, Result, ResultStore, room
from cyclegan.ui.translation import VIEWS, failure
from cyclegan.ui.way_back import Recover
from cyclegan.ui.words import Language, language_of, reword, say

ROOT = "studio/results"
"""What the paths of all routes begin with."""
RENDERS = 1
"""Downloads that are made at once: one takes up to 0.8 GB for 24 megapixels, and all the cores."""
FORMATS = {
    "fake": ("png", "webp"),
    "recovered": ("png", "webp"),
    "sheet": ("png", "webp"),
    "clip": ("webp", "gif"),
}
"""What can be downloaded, and as what; the first is the default."""
WITH_BACK = ("recovered", "sheet", "clip")
"""Those of them that show the way back, if there is one."""
WEBP_SIDE = 16383
QUICK: dict[str, dict[str, int]] = {
    "png": {"compress_level": 3},
    "webp": {"quality": 92, "method": 2},
}
"""How hard to press: a little more would take several times as long."""
CHUNK = 1 << 20
FOREVER = "private, max-age=86400, immutable"
"""For previews, which never change."""

Endpoint = Callable[[Request], Awaitable[Response]]


class BadRequest(UserError):
    """A request for a download that there cannot be."""


@dataclass(frozen=True)
class Order:
    """A download as it was asked for.

    Attributes:
        result: of which result.
        what: a key of `FORMATS`.
        format: one of its formats.
        strength: from 0 (the photo) to 1 (the translation).
        language: of the captions.
    """

    result: Result
    what: str
    format: str
    strength: float
    language: Language

    @property
    def file_name(self) -> str:
        """A name that says what is in the file: "holiday-apple-orange.png"."""
        labels, way = self.result.model.labels, self.result.direction
        words = [self.result.name.rsplit(".", 1)[0], labels[way[0]], labels[way[2]]]
        words += [labels[way[0]]] if self.what == "recovered" else []
        words += [self.what] if self.what in ("sheet", "clip") else []
        name = "-".join(filter(None, (re.sub(r"[^\w]+", "-", word).strip("-_") for word in words)))
        return f"{name}.{self.format}"


def result_routes(store: ResultStore, recover: Recover) -> list[Route]:
    """The routes for the results of a store; `recover` adds the way back where one is missing."""
    turns, backs = CapacityLimiter(RENDERS), CapacityLimiter(RENDERS)

    async def facts(request: Request) -> Response:
        result = store.open(request.path_params["token"])
        return JSONResponse(result.facts(), headers={"Cache-Control": "no-store"})

    async def view(request: Request) -> Response:
        result = store.open(request.path_params["token"])
        for which in VIEWS:
            if which == request.path_params["view"]:
                path = result.view(which)
                headers = {"ETag": f'"{which}"', "Cache-Control": FOREVER}
                if which in request.headers.get("If-None-Match", ""):
                    return Response(status_code=304, headers=headers)
                return FileResponse(path, headers=headers, media_type="image/webp")
        raise GoneError(say(language_of(request), "results.unknown_file"))

    async def download(request: Request) -> Response:
        order = _order(request, store)
        headers = {
            "Content-Disposition": _attachment(order.file_name),
            "Cache-Control": "no-store",
        }
        kind = f"image/{order.format}"
        if request.method == "HEAD":
            return Response(media_type=kind, headers=headers)
        if order.what in WITH_BACK and not order.result.recovered:
            async with backs:
                result = await to_thread.run_sync(recover, order.result.token)
            order = replace(order, result=result)
        async with turns:
            if await request.is_disconnected():
                return Response(status_code=499)
            file, length = await to_thread.run_sync(_render, order, store.folder)
        headers["Content-Length"] = str(length)
        return StreamingResponse(_chunks(file), headers=headers, media_type=kind)

    return [
        Route(f"/{ROOT}/{{token}}/facts.json", _answering(facts)),
        Route(f"/{ROOT}/{{token}}/{{view}}.webp", _answering(view)),
        Route(f"/{ROOT}/{{token}}/download/{{what}}", _answering(download)),
    ]


def _answering(endpoint: Endpoint) -> Endpoint:
    """Answer what goes wrong with a sentence in the visitor's language."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            kinds = ((BadRequest, 400), (GoneError, 404), (UserError, 503), (Exception, 500))
            status = next(status for kind, status in kinds if isinstance(error, kind))
            sentence = reword(failure(error), language_of(request))
            return JSONResponse({"error": sentence}, status, headers={"Cache-Control": "no-store"})

    return answer


def _order(request: Request, store: ResultStore) -> Order:
    """Read a request for a download. Raises BadRequest and GoneError."""
    language = language_of(request)
    what, query = request.path_params["what"], request.query_params
    if what not in FORMATS:
        raise GoneError(say(language, "results.unknown_file"))
    result = store.open(request.path_params["token"])
    known = FORMATS[what]
    format = query.get("format", known[0])
    if format not in known:
        shown, choice = format[:20], " / ".join(known)
        raise BadRequest(say(language, "results.unknown_format", format=shown, known=choice))
    if what == "recovered" and not result.two_ways:
        raise GoneError(say(language, "results.no_way_back"))
    if format == "webp" and what in ("fake", "recovered") and max(result.size) > WEBP_SIDE:
        raise BadRequest(say(language, "results.too_wide", side=WEBP_SIDE))
    return Order(result, what, format, _strength(query.get("strength", "1"), language), language)


def _strength(text: str, language: Language) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Not a number is not between any two.
    if not 0 <= value <= 1:
        raise BadRequest(say(language, "results.unknown_strength", strength=text[:20]))
    return value


def _render(order: Order, folder: Path) -> tuple[BinaryIO, int]:
    """Make the file that was asked for; a file without a name, and its length."""
    options = order.result.recipe(order.what, order.strength).options(order.format)
    with room():
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
        if order.what == "clip":
            clip(_panels(order, CLIP_SIDE[order.format]), file, order.format, options)
        else:
            picture = _sheet(order) if order.what == "sheet" else _picture(order)
            picture.save(file, order.format, **options, **QUICK[order.format])
        length = file.tell()
        file.seek(0)
    return file, length


def _picture(order: Order) -> Image.Image:
    real = order.result.real()
    fake = order.result.change().apply(real, 1.0 if order.what == "recovered" else order.strength)
    return order.result.back().apply(fake) if order.what == "recovered" else fake


def _sheet(order: Order) -> Image.Image:
    recipe = order.result.recipe("sheet", order.strength)
    return sheet(_panels(order, SHEET_SIDE), recipe.model)


def _panels(order: Order, side: int) -> list[Panel]:
    """The pictures at a size for looking at, and what they are called."""
    result, language = order.result, order.language
    labels, way = result.model.labels, cast(Direction, result.direction)
    real = fitted(result.real(), side)
    change = result.change()
    translated = say(language, "results.translated")
    if order.strength < 1:
        translated += f" {order.strength:.0%}"
    panels = [
        Panel(real, say(language, "results.photo"), labels[way[0]]),
        Panel(change.apply(real, order.strength), translated, labels[way[2]]),
    ]
    if result.recovered:
        recovered = result.back().apply(change.apply(real))
        panels.append(Panel(recovered, say(language, "results.recovered"), labels[way[0]]))
    return panels


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "ignore").decode().strip("-")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, CHUNK), b"")
