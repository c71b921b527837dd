"""The route of the Live tab: frames over real HTTP, good and bad."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pytest
from conftest import draw_photo
from page_server import PageServer
from painted import VISITOR, fill, painted_page, send
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cyclegan.ui import live
from cyclegan.ui.live import LiveError, Visitors
from cyclegan.ui.models import Shelf

SIZE = (160, 96)


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    with painted_page(constant_weights, tmp_path_factory.mktemp("live")) as server:
        yield server


def encoded(image: Image.Image, format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def frame() -> bytes:
    return encoded(draw_photo("a", 0, SIZE))


@pytest.mark.parametrize(("direction", "colour"), [("a2b", 255), ("b2a", 0)])
@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_frame_comes_back_translated(
    server: PageServer, direction: str, colour: int, format: str
) -> None:
    body = encoded(draw_photo("a", 0, SIZE), format)
    status, picture, headers = send(server, body, direction=direction)
    assert (status, picture.format, picture.size) == (200, "JPEG", SIZE)
    assert picture.convert("RGB").getextrema() == ((colour, colour),) * 3
    assert headers["Live-Visitors"] == "1"
    assert "network;dur=" in headers["Server-Timing"]
    assert headers["Cache-Control"] == "no-store"


BAD: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (bytes, 400, "The frame is no JPEG or WebP picture"),
    "words": (lambda: b"these are words", 400, "The frame is no JPEG or WebP picture"),
    "png": (
        lambda: encoded(draw_photo("a", 0, SIZE), "PNG"),
        400,
        "The frame is no JPEG or WebP picture",
    ),
    "cut": (lambda: frame()[:-200], 400, "The frame is damaged or cut short"),
    "beheaded": (lambda: frame()[:600], 400, "The frame is no JPEG or WebP picture"),
    "heavy": (lambda: frame() + bytes(live.MAX_BYTES), 413, "A frame has at most 1,000,000 bytes."),
    "large": (
        lambda: encoded(Image.new("RGB", (1000, 601))),
        413,
        "A frame has at most 600,000 pixels.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_gives_one_sentence(server: PageServer, name: str) -> None:
    make, wanted, sentence = BAD[name]
    status, said, _ = send(server, make(), {})
    assert (status, said[: len(sentence)]) == (wanted, sentence)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"model": "nowhere"}, "There are no weights called 'nowhere'"),
        (
            {"direction": "up"},
            "The direction 'up' is unknown; painter has a2b (black → white) and b2a "
            "(white → black).",
        ),
        ({"visitor": "me"}, "A frame needs the name of its visitor"),
        ({"visitor": "../../etc/passwd"}, "A frame needs the name of its visitor"),
    ],
)
def test_a_bad_request_gives_one_sentence(
    server: PageServer, query: dict[str, str], sentence: str
) -> None:
    status, said, _ = send(server, frame(), {}, **query)
    assert status == 400
    assert said.startswith(sentence)


def test_sentences_are_in_the_language_of_the_browser(server: PageServer) -> None:
    _, said, _ = send(server, b"words", {"Accept-Language": "zh-CN"})
    assert said == "这一帧不是 JPEG 或 WebP 图片，或已损坏。"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://a.proxy"}, 200),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://here.example", "X-Forwarded-Host": "here.example"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_post_frames(
    server: PageServer, headers: dict[str, str], status: int
) -> None:
    assert send(server, frame(), headers)[0] == status


def test_as_many_are_live_as_there_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    visitors = Visitors(places=2)
    with visitors.place("one") as live:
        assert live == 1
        with pytest.raises(LiveError, match="One frame at a time") as refusal:
            visitors.place("one").__enter__()
        assert refusal.value.status == 429
    with visitors.place("two") as live:
        assert live == 2
    # Between two frames the place stays one's own.
    with pytest.raises(LiveError, match="2 visitors are live already") as refusal:
        visitors.place("three").__enter__()
    assert refusal.value.status == 503
    now += 4
    with visitors.place("one"):
        now += 4
        with visitors.place("three") as live:
            assert live == 2


def test_who_finds_no_place_is_told_when_to_come_again(server: PageServer) -> None:
    fill(server)
    status, said, headers = send(server, frame(), visitor="one-too-many")
    assert status == 503
    assert said == "4 visitors are live already, as many as this machine takes."
    assert headers["Retry-After"] == "3"
    assert send(server, frame(), visitor="visitor-1")[2]["Live-Visitors"] == "4"


def test_where_a_gpu_is_borrowed_the_tab_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "is_zero_gpu_space", lambda: True)
    shelf = Shelf([])
    with gr.Blocks() as blocks:
        live.live_tab(shelf)
    assert "live.zero_gpu" in json.dumps(blocks.get_config_file(), default=str)
    client = TestClient(Starlette(routes=live.live_routes(shelf)))
    answer = client.post(f"/live/frame?visitor={VISITOR}", content=frame())
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("This Space shares its GPU")
