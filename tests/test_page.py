"""The page as people meet it: a real app.py in a real Chromium."""

import base64
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import draw_photo
from page_server import ROOT, PageServer, painter
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from cyclegan.runs import RunWriter

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
EXAMPLES = ROOT / "cyclegan" / "ui" / "examples"
SIZE = (60, 44)
WAIT = 30_000
INTERVAL = 2.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "These tests drive the page in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model that paints white one way and black the other, and one that is missing.

    Its domains are called after the examples that ship.
    """
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "apple", "orange")
    runs = folder / "runs"
    runs.mkdir()
    server = PageServer(folder, "--weights", weights, "someone/missing", "--runs", runs)
    yield server
    server.stop()


@pytest.fixture
def runs(server: PageServer) -> Iterator[Path]:
    folder = server.cwd.parent / "runs"
    yield folder
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """The page, freshly opened, with its model loaded; afterwards nobody may have complained."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    outside: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    expect(page.locator("#direction label").first).to_have_text("apple → orange", timeout=WAIT)
    yield page
    context.close()
    assert [u for u in outside if not u.startswith((server.url, "data:", "blob:"))] == []
    assert errors == []
    assert "Traceback" not in server.log, server.log


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


def test_the_training_tab_follows_a_run_while_it_is_looked_at(page: Page, runs: Path) -> None:
    training = page.get_by_role("tab", name="Training")
    training.click()
    expect(page.locator("#no-runs")).to_contain_text("python train.py cyclegan --data")

    writer = RunWriter(runs / "first")
    writer.describe({"config": {"data": {"label_a": "apple", "label_b": "orange"}}})
    summary = page.locator("#summary")
    expect(summary).to_contain_text("Starting", timeout=WAIT)

    for step in (10, 20, 30):
        losses = {"generators/adversarial": 1 / step, "generators/cycle": 2.0}
        losses["discriminators/adversarial"] = 0.5
        writer.metrics({"step": step, "seconds": 75.0, "images_per_second": 4, "losses": losses})
        writer.sample(step, draw_photo("a", step, (90, 60)))
    writer.status("running", 30, 1000, eta_seconds=3720)
    expect(summary).to_contain_text("30 of 1,000", timeout=WAIT)
    expect(summary).to_contain_text("1 h 2 min")
    expect(page.locator("#newest")).to_contain_text("step 30")
    assert shown(page, "newest").size == (90, 60)
    expect(page.locator("#earlier img")).to_have_count(2)
    expect(page.locator("#curves canvas, #curves svg.marks")).to_have_count(2, timeout=WAIT)

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("tab", name="Translate").click()
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(1.6 * INTERVAL * 1000)
    assert asked == [], "nobody looks, so nothing is asked"

    writer.status("finished", 1000, 1000)
    training.click()
    expect(summary).to_contain_text("Finished", timeout=WAIT)
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(1.6 * INTERVAL * 1000)
    assert asked == [], "a finished run has no news"


def test_the_newest_of_several_runs_comes_first_and_a_half_written_one_opens(
    page: Page, runs: Path
) -> None:
    old = RunWriter(runs / "old")
    old.describe({})
    old.status("failed", 5, 10, error="generators/cycle became nan at step 5.")
    time.sleep(0.05)
    new = RunWriter(runs / "new")
    new.describe({})
    new.status("stopped", 1, 10)
    (runs / "new" / "metrics.jsonl").write_text('{"step": 1, "losses": {"generators/cy')
    page.get_by_role("tab", name="Training").click()
    expect(page.locator("#summary h2")).to_contain_text("new")
    expect(page.locator("#summary")).to_contain_text("1 of 10")
    page.get_by_label("Run").click()
    page.get_by_role("option", name="old").click()
    expect(page.locator("#summary")).to_contain_text("generators/cycle became nan at step 5.")


def test_a_phone_shows_everything_without_scrolling_sideways(page: Page, runs: Path) -> None:
    writer = RunWriter(runs / "a-run-with-quite-a-long-name-that-has-to-be-broken-somewhere")
    writer.describe({})
    writer.status("running", 1, 10)
    writer.metrics({"step": 1, "losses": {"generators/adversarial": 1.0, "generators/cycle": 2.0}})
    writer.sample(1, draw_photo("a", 0, (900, 600)))
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
    page.get_by_role("tab", name="Training").click()
    expect(page.locator("#newest img")).to_be_visible(timeout=WAIT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
