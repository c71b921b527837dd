"""A page whose one model paints all white, or all black the other way round, and what it is given.

Used by the tests of the Batch tab and of the Live tab.
"""

import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import draw_photo
from page_server import PageServer, http, painter
from PIL import Image

from cyclegan.ui.live import VISITORS

SIZE = (60, 44)
VISITOR = "visitor-of-the-tests"


@contextmanager
def painted_page(weights: Path, folder: Path) -> Iterator[PageServer]:
    """Serve the page with a model that paints all over, until it is loaded and until the end."""
    server = PageServer(folder, "--weights", painter(weights, folder / "painter", "black", "white"))
    for _ in range(300):
        if json.loads(server.get("/live/models.json"))["models"]:
            break
        time.sleep(0.1)
    yield server
    server.stop()


def photo(format: str = "JPEG", size: tuple[int, int] = SIZE) -> bytes:
    """A photo as a file."""
    buffer = io.BytesIO()
    draw_photo("a", 0, size).save(buffer, format)
    return buffer.getvalue()


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make a zip."""
    with zipfile.ZipFile(path, "w") as zip:
        for name, content in files.items():
            zip.writestr(name, content)
    return path


def unpacked(path: Path) -> dict[str, bytes]:
    """What is in a zip, which must be sound."""
    with zipfile.ZipFile(path) as zip:
        assert zip.testzip() is None
        return {name: zip.read(name) for name in zip.namelist()}


def send(
    server: PageServer, body: bytes, headers: Mapping[str, str] = {}, **query: str
) -> tuple[int, Any, Any]:
    """Post a frame: the status, the picture or what was said, and the headers."""
    asked = {"model": "", "direction": "a2b", "visitor": VISITOR, **query}
    address = f"{server.url}/live/frame?{urllib.parse.urlencode(asked)}"
    try:
        with http.open(urllib.request.Request(address, body, dict(headers)), timeout=60) as answer:
            return answer.status, Image.open(io.BytesIO(answer.read())), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"], error.headers


def fill(server: PageServer) -> None:
    """Take all places; those of visitors of other tests become free sooner or later."""
    taken, deadline = 0, time.monotonic() + 30
    while taken < VISITORS and time.monotonic() < deadline:
        for taken in range(1, VISITORS + 1):
            if send(server, photo(), visitor=f"visitor-{taken}")[0] != 200:
                taken = 0
                break
    assert taken == VISITORS
