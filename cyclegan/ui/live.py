"""The Live tab: a place for its client, and the route that translates the frames of a webcam.

A visitor has one frame under way at a time and sends the next when it is answered, so frames are
never queued; visitors take turns, frame by frame. The frames pass by gradio's queue, which would
take longer than a small network on a GPU.
"""

import asyncio
import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import is_zero_gpu_space
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cyclegan.errors import UserError
from cyclegan.images import ImageError, load_image
from cyclegan.tiles import PIXELS
from cyclegan.ui.models import Shelf
from cyclegan.ui.translation import failure, known_direction
from cyclegan.ui.words import language_of, reword, word

MAX_BYTES = 1_000_000
MAX_PIXELS = PIXELS
"""Of a frame, which a network is given at once; the client sends a fifth of that at most."""
VISITORS = 4
"""How many may be live at once; each has the speed that there is divided by their number."""
AWAY = 5.0
"""Seconds without a frame after which a visitor's place is free again."""
# Frames are small and drawn large: half as many pixels of colour would be seen.
ENCODING = {"quality": 90, "subsampling": 0}
FORMATS = ("JPEG", "WEBP")
# Relative to the page, wherever a proxy has put it; beside the modules that all tabs share.
OPEN = """
import(new URL("training/client/live/main.js", document.baseURI))
    .then((client) => client.open(element.querySelector(".live")))
    .catch((error) => { element.textContent = `This tab cannot be shown: ${error.message}`; });
"""


class LiveError(UserError):
    """A frame that is not translated, and the status of the answer that says so."""

    def __init__(self, text: str, status: int = 400):
        super().__init__(text)
        self.status = status


class Visitors:
    """Who is live: at most `places` at once, each with one frame at a time."""

    def __init__(self, places: int = VISITORS):
        self._places = places
        self._seen: dict[str, float] = {}
        self._busy: set[str] = set()
        # Whoever has waited longest is next, so a visitor's frames alternate with the others'.
        self.turn = asyncio.Lock()

    @contextmanager
    def place(self, visitor: str) -> Iterator[int]:
        """Keep a place for a visitor's frame; gives how many are live.

        Raises LiveError when there is none, or when the visitor has a frame under way.
        """
        now = time.monotonic()
        self._seen = {
            name: seen
            for name, seen in self._seen.items()
            if name in self._busy or now - seen < AWAY
        }
        if visitor in self._busy:
            raise LiveError("One frame at a time; wait for the answer.", 429)
        if visitor not in self._seen and len(self._seen) >= self._places:
            raise LiveError(
                f"{self._places} visitors are live already, as many as this machine takes.", 503
            )
        self._busy.add(visitor)
        self._seen[visitor] = now
        try:
            yield len(self._seen)
        finally:
            self._busy.discard(visitor)
            self._seen[visitor] = time.monotonic()


def live_tab(shelf: Shelf) -> None:
    """Fill the Live tab; its client needs the routes of `live_routes(shelf)`."""
    if is_zero_gpu_space():
        gr.HTML(word("live.zero_gpu"), elem_id="live-elsewhere")
        return
    gr.HTML('<div class="live"></div>', elem_id="live", apply_default_css=False, js_on_load=OPEN)


def live_routes(shelf: Shelf) -> list[Route]:
    """live/models.json, and live/frame?model=&direction=&visitor=, which takes a JPEG or WebP.

    The answer is a JPEG of the frame's size, whose headers say how many visitors are live and how
    long it took; or {"error": sentence} with a status of 400 or more.
    """
    visitors = Visitors()

    def models(request: Request) -> Response:
        listed = [
            {
                "name": entry.name,
                "labels": entry.info.labels,
                "directions": list(entry.directions),
            }
            for entry in shelf.translating()
            if entry.info
        ]
        return JSONResponse({"models": listed, "loading": shelf.loading})

    async def answer(request: Request) -> Response:
        if from_elsewhere(request):
            raise LiveError("The pages of other sites may not ask for frames.", 403)
        if is_zero_gpu_space():
            raise LiveError("This Space shares its GPU, which live translation cannot.", 503)
        visitor = request.query_params.get("visitor", "")
        if not re.fullmatch(r"[\w-]{8,64}", visitor):
            raise LiveError("A frame needs the name of its visitor: 8 to 64 letters or digits.")
        # Before a place is taken, which a slow line should not keep.
        body = await _body(request)
        with visitors.place(visitor) as live:
            async with visitors.turn:
                if await request.is_disconnected():
                    return Response(status_code=499)
                frame, timing = await run_in_threadpool(
                    _translated,
                    shelf,
                    request.query_params.get("model", ""),
                    request.query_params.get("direction", "a2b"),
                    body,
                )
        headers = {"Live-Visitors": str(live), "Server-Timing": timing, "Cache-Control": "no-store"}
        return Response(frame, media_type="image/jpeg", headers=headers)

    async def frame(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            status = error.status if isinstance(error, LiveError) else 400
            status = status if isinstance(error, UserError) else 500
            said = reword(failure(error), language_of(request))
            headers = {"Retry-After": "3"} if status == 503 else None
            return JSONResponse({"error": said}, status, headers)

    return [
        Route("/live/models.json", models),
        Route("/live/frame", frame, methods=["POST"]),
    ]


def from_elsewhere(request: Request) -> bool:
    """Whether the page of another site has made a browser send this.

    Gradio only keeps such a page from reading the answer; the work would be done all the same.
    """
    site = request.headers.get("sec-fetch-site")
    if site:
        return site not in ("same-origin", "none")
    # Browsers say so to https and to their own machine only.
    origin = request.headers.get("origin")
    hosts = (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    return origin is not None and urlsplit(origin).netloc not in hosts


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise LiveError(f"A frame has at most {MAX_BYTES:,} bytes.", 413)
    return bytes(body)


def _translated(shelf: Shelf, model: str, direction: str, body: bytes) -> tuple[bytes, str]:
    """A frame's translation as JPEG, and the header that says how long it took."""
    begun = perf_counter()
    frame = _decoded(body)
    translator = shelf.get(model)
    way = known_direction(translator, frame, direction)
    start = perf_counter()
    fake = translator.frame(frame, way)
    network = perf_counter() - start
    with io.BytesIO() as buffer:
        fake.save(buffer, "JPEG", **ENCODING)
        content = buffer.getvalue()
    whole = perf_counter() - begun
    return content, f"network;dur={1000 * network:.1f}, frame;dur={1000 * whole:.1f}"


def _decoded(body: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise LiveError(f"A frame has at most {MAX_PIXELS:,} pixels.", 413)
            return load_image(image, "The frame")
    except UserError:
        raise
    except Exception as error:
        raise ImageError("The frame is no JPEG or WebP picture, or a damaged one.") from error
