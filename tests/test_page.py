"""The page as people meet it: a real app.py in a real Chromium."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import draw_photo
from page_server import ROOT, PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

EXAMPLES = ROOT / "cyclegan" / "ui" / "examples"
SIZE = (60, 44)
WAIT = 30_000


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model that paints white one way and black the other, and one that is missing.

    Its domains are called after the examples that ship.
    """
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "apple", "orange")
    server = PageServer(folder, "--weights", weights, "someone/missing", "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """The page, freshly opened, with its model loaded."""
    with watched_page(browser, server) as page:
        expect(page.locator("#direction label").first).to_have_text("apple → orange", timeout=WAIT)
        yield page


def photo(size: tuple[int, int] = SIZE) -> bytes:
    buffer = io.BytesIO()
    draw_photo("a", 0, size).save(buffer, "PNG")
    return buffer.getvalue()


def give(page: Page, content: bytes, name: str = "photo.png") -> None:
    """Choose a file."""
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    page.set_input_files("#real input[type=file]", [file])  # type: ignore[list-item]


def drop(page: Page, content: bytes) -> None:
    """Drop a file on the page, as a mouse does."""
    transfer = page.evaluate_handle(
        """text => {
            const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "photo.png", {type: "image/png"}));
            return transfer;
        }""",
        base64.b64encode(content).decode(),
    )
    page.dispatch_event("#real .upload-container button", "drop", {"dataTransfer": transfer})


def said(page: Page, kind: str) -> Locator:
    line = page.locator(f"#status .line.{kind}")
    expect(line).to_be_visible(timeout=WAIT)
    return line


def shown(page: Page, name: str) -> Image.Image:
    """The picture in a panel, as it came over the wire."""
    source = page.locator(f"#{name} img").get_attribute("src")
    assert source
    body = page.request.get(source).body()
    return Image.open(io.BytesIO(body)).convert("RGB")


def brightness(page: Page, name: str) -> float:
    return sum(shown(page, name).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))) / 3  # type: ignore[arg-type]


def test_a_dropped_photo_is_translated_there_and_back(page: Page) -> None:
    drop(page, photo())
    assert "The way back differs by" in said(page, "done").inner_text()
    assert [shown(page, name).size for name in ("real", "fake", "recovered")] == [SIZE] * 3
    real = brightness(page, "real")
    assert 60 < real < 220
    assert brightness(page, "fake") > 250
    assert brightness(page, "recovered") < 5

    before = page.locator("#recovered img").get_attribute("src")
    page.get_by_text("orange → apple").click()
    expect(page.locator("#recovered img")).not_to_have_attribute("src", str(before), timeout=WAIT)
    said(page, "done")
    assert brightness(page, "real") == pytest.approx(real, abs=2)
    assert brightness(page, "fake") < 5
    assert brightness(page, "recovered") > 250

    page.get_by_label("Remove Image").click()
    said(page, "empty")
    expect(page.locator("#fake img, #recovered img")).to_have_count(0)


def test_the_translation_does_not_wait_for_the_way_back(page: Page) -> None:
    give(page, photo((900, 700)))
    page.wait_for_function(
        "document.querySelector('#fake img') && !document.querySelector('#recovered img')",
        polling=10,
    )
    said(page, "done")
    expect(page.locator("#recovered img")).to_have_count(1)


def test_a_file_that_is_no_picture_gives_one_sentence_and_the_page_goes_on(page: Page) -> None:
    give(page, b"these are words", "words.png")
    assert said(page, "failed").inner_text() == (
        "words.png is not a picture that can be read; use JPEG, PNG, WebP, BMP, TIFF or GIF."
    )
    expect(page.locator("#real img")).to_have_count(0)
    give(page, photo())
    said(page, "done")


def test_a_file_that_is_too_large_leaves_no_old_results_behind(page: Page, tmp_path: Path) -> None:
    give(page, photo())
    said(page, "done")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(53_000_000)
    page.set_input_files("#real input[type=file]", tmp_path / "large.png")
    expect(page.locator(".toast-body")).to_contain_text("maximum allowed size of 50")
    said(page, "empty")
    expect(page.locator("#real img, #fake img, #recovered img")).to_have_count(0)


def test_an_example_brings_its_direction_along(page: Page) -> None:
    names = [path.stem for path in sorted(EXAMPLES.iterdir()) if path.suffix == ".jpg"]
    buttons = page.locator("#examples button.gallery-item")
    expect(buttons).to_have_count(len(names))
    for name, value in (("oranges-1", "b2a"), ("apples-1", "a2b")):
        buttons.nth(names.index(name)).click()
        expect(page.locator("#direction input:checked")).to_have_value(value)
        said(page, "done")
        with Image.open(EXAMPLES / f"{name}.jpg") as example:
            expect(page.locator("#recovered img")).to_have_count(1)
            assert shown(page, "recovered").size == example.size


def test_a_missing_model_is_named_with_its_reason(page: Page) -> None:
    notice = page.locator("#notice .missing")
    expect(notice).to_contain_text("someone/missing", timeout=WAIT)
    expect(notice).to_contain_text("no connection to http://127.0.0.1:9")


def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    give(page, photo())
    said(page, "done")
    places = [
        page.locator(f"#{name}").bounding_box()
        for name in ("real", "status", "fake", "recovered", "examples")
    ]
    tops = [place["y"] for place in places if place]
    assert tops == sorted(tops)
    assert len(tops) == 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
