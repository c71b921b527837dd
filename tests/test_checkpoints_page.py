"""Checkpoints at work on the page: tried on the Translate tab, and all of them on one photo."""

import base64
import io
import json
import math
import pickle
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from trainings import trainer

from cyclegan.checkpoint import list_checkpoints, save_best
from cyclegan.runs import checkpoint_weights
from cyclegan.ui.models import ModelError, Shelf
from cyclegan.ui.translation import make_step, translations

GREYS = {2: 60, 4: 120, 6: 200}
"""What the checkpoint of a step paints from red to blue; the other way it is the negative."""
TEAL = (40, 110, 120)
WAIT = 30_000


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose three checkpoints paint known greys, whatever they see."""
    folder = tmp_path_factory.mktemp("trained") / "zebras"
    trainer(photos, folder, "--steps", "6", "--keep-checkpoints", "3").run()
    for path in list_checkpoints(folder / "checkpoint"):
        grey = GREYS[int(path.stem)]
        state = torch.load(path, weights_only=True)
        averages = state["learner"]["ema"]
        for name, value in (("generator_ab", grey), ("generator_ba", 255 - grey)):
            weight, bias = [key for key in averages if key.startswith(name)][-2:]
            averages[weight].zero_()
            averages[bias].fill_(math.atanh(value / 127.5 - 1))
        torch.save(state, path)
    save_best(folder / "checkpoint", "kid", 0.03, 4)
    return folder


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "black", "white")
    (folder / "runs").mkdir()
    server = PageServer(folder, "--weights", weights, "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture
def runs(server: PageServer, run: Path) -> Iterator[Path]:
    """The page's runs: one with three checkpoints, to be tampered with at will."""
    folder = server.cwd.parent / "runs"
    shutil.copytree(run, folder / "zebras")
    yield folder
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.fixture
def page(browser: Browser, server: PageServer, runs: Path) -> Iterator[Page]:
    with watched_page(browser, server) as page:
        await_model(page)
        yield page


def await_model(page: Page) -> None:
    """Wait for the model, and fix the direction, which the page would choose by the picture."""
    page.locator("#direction label").first.click(timeout=WAIT)


def picture(size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture in one colour, which scaling leaves as it is."""
    buffer = io.BytesIO()
    Image.new("RGB", size, TEAL).save(buffer, "PNG")
    return buffer.getvalue()


def give(page: Page, field: str, content: bytes) -> None:
    """Choose a file."""
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files(f"#{field} input[type=file]", [file])  # type: ignore[list-item]


def open_training(page: Page) -> None:
    page.get_by_role("tab", name="Training").click()
    expect(page.locator("#learn")).to_be_visible(timeout=WAIT)


def attempt(page: Page, words: str) -> None:
    open_training(page)
    page.locator(".checkpoints li", has_text=words).get_by_role("button").click()


def look(page: Page, picture: Locator) -> Image.Image:
    source = picture.get_attribute("src")
    assert source
    return Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB")


def colour(page: Page, picture: Locator) -> tuple[int, ...]:
    """The colour of a picture that has only one, give or take what WebP does to it."""
    bands = look(page, picture).getextrema()
    assert all(high - low <= 6 for low, high in bands)  # type: ignore[operator]
    return tuple(round((low + high) / 2) for low, high in bands)  # type: ignore[operator]


def strip(page: Page) -> dict[str, tuple[int, ...]]:
    """What the strip shows, by its captions, once everything has gone through."""
    expect(page.locator("#learn-status .done")).to_be_visible(timeout=WAIT)
    items = page.locator("#learn-strip .thumbnail-item")
    return {item.inner_text(): colour(page, item.locator("img")) for item in items.all()}


def grey(value: int) -> object:
    return pytest.approx((value,) * 3, abs=3)


def test_a_checkpoint_translates_on_the_translate_tab(page: Page, server: PageServer) -> None:
    give(page, "studio", picture())
    expect(page.locator("#recovered img.picture")).to_be_visible(timeout=WAIT)
    for words, step in (("Step 4", 4), ("Now", 6), ("Step 4", 4)):
        before = page.locator("#recovered img.picture").get_attribute("src")
        attempt(page, words)
        expect(page.locator("#model")).to_have_value(f"zebras · step {step}", timeout=WAIT)
        expect(page.locator("#recovered img.picture")).not_to_have_attribute("src", str(before))
        expect(page.locator("#recovered img.picture")).to_be_visible(timeout=WAIT)
        expect(page.locator("#direction label").first).to_have_text("red → blue")
        assert colour(page, page.locator("#fake img.picture")) == grey(GREYS[step])
        assert colour(page, page.locator("#recovered img.picture")) == grey(255 - GREYS[step])

    sent = {"url": "data:image/png;base64," + base64.b64encode(picture()).decode()}
    kind, (_, _, figures) = server.translate(sent, "zebras · step 4", "a2b")
    assert (kind, figures["model"]) == ("complete", "zebras · step 4")


def test_the_pages_of_others_keep_their_model(
    page: Page, browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server) as other:
        await_model(other)
        attempt(page, "Step 2")
        expect(page.locator("#model")).to_have_value("zebras · step 2", timeout=WAIT)
        give(other, "studio", picture())
        expect(other.locator("#recovered img.picture")).to_be_visible(timeout=WAIT)
        assert colour(other, other.locator("#fake img.picture")) == grey(255)
        other.reload()
        await_model(other)
        other.locator("#model").select_option("zebras · step 2")


def test_a_photo_goes_through_every_checkpoint(page: Page) -> None:
    open_training(page)
    give(page, "learn-photo", picture((1000, 500)))
    there = {"step 2": 60, "step 4 ★ best": 120, "step 6": 200}
    shown = strip(page)
    assert list(shown) == ["Your photo", *there]
    assert shown.pop("Your photo") == pytest.approx(TEAL, abs=3)
    assert shown == {caption: grey(value) for caption, value in there.items()}
    expect(page.locator("#learn-status")).to_contain_text("Translated by 3 checkpoints in")
    last = page.locator("#learn-strip .thumbnail-item", has_text="step 6").locator("img")
    assert look(page, last).size == (768, 384)

    source = str(last.get_attribute("src"))
    page.locator("#learn-direction").get_by_text("blue → red").click()
    expect(last).not_to_have_attribute("src", source, timeout=WAIT)
    back = strip(page)
    back.pop("Your photo")
    assert back == {caption: grey(255 - value) for caption, value in there.items()}

    page.get_by_label("Remove Image").locator("visible=true").click()
    expect(page.locator("#learn-strip img")).to_have_count(0)
    expect(page.locator("#learn-status .done")).to_have_count(0)


def test_the_newest_photo_is_the_one_that_goes_through(page: Page, runs: Path) -> None:
    source = runs / "zebras" / "checkpoint" / "00000006.pt"
    for step in range(10, 30):
        shutil.copy(source, source.with_name(f"{step:08d}.pt"))
    open_training(page)
    give(page, "learn-photo", picture((700, 400)))
    page.locator("#learn-strip img").nth(2).wait_for(state="attached")
    give(page, "learn-photo", picture((64, 48)))
    expect(page.locator("#learn-status")).to_contain_text("by 23 checkpoints", timeout=WAIT)
    images = page.locator("#learn-strip img")
    expect(images).to_have_count(24)
    assert [look(page, image).size for image in (images.first, images.nth(2), images.last)] == [
        (64, 48)
    ] * 3


def test_a_run_that_is_opened_puts_the_strip_away_and_the_photo_waits(
    page: Page, runs: Path
) -> None:
    other = shutil.copytree(runs / "zebras", runs / "early")
    for path in list_checkpoints(other / "checkpoint"):
        path.unlink()
    open_training(page)
    page.locator(".runs").get_by_text("zebras").click()
    expect(page.locator("#learn-status .empty")).to_be_hidden()
    give(page, "learn-photo", picture())
    assert len(strip(page)) == 4
    page.locator(".runs").get_by_text("early").click()
    expect(page.locator("#learn-status")).to_contain_text("This run has no checkpoint yet")
    expect(page.locator("#learn-strip img")).to_have_count(0)
    shutil.copy(runs / "zebras/checkpoint/00000004.pt", other / "checkpoint")
    page.get_by_text("Send it through again").click()
    expect(page.locator("#learn-status")).to_contain_text("by 1 checkpoint in", timeout=WAIT)
    assert list(strip(page).values())[1:] == [grey(120)]


def test_a_checkpoint_that_is_gone_is_one_sentence(page: Page, runs: Path) -> None:
    open_training(page)
    expect(page.locator(".checkpoints li")).to_have_count(4)
    (runs / "zebras/checkpoint/00000002.pt").unlink()
    (runs / "zebras/checkpoint/00000006.pt").write_bytes(b"torn")
    attempt(page, "Step 2")
    expect(page.locator(".toast-body")).to_contain_text("does not hold the checkpoint of step 2")
    expect(page.locator("#learn")).to_be_visible()
    give(page, "learn-photo", picture())
    assert list(strip(page).values())[1:] == [grey(120)]
    expect(page.locator("#learn-status")).to_contain_text("00000006.pt cannot be read")


def test_a_bad_file_is_one_sentence(page: Page, tmp_path: Path) -> None:
    open_training(page)
    give(page, "learn-photo", picture())
    strip(page)
    page.get_by_label("Remove Image").locator("visible=true").click()
    expect(page.locator("#learn-strip img")).to_have_count(0)
    give(page, "learn-photo", b"these are words")
    expect(page.locator("#learn-status .failed")).to_have_text(
        "photo.png is not a picture that can be read; use JPEG, PNG, WebP, BMP, TIFF or GIF."
    )
    expect(page.locator("#learn-photo img")).to_have_count(0)
    give(page, "learn-photo", picture())
    assert len(strip(page)) == 4
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(53_000_000)
    page.set_input_files("#learn-photo input[type=file]", tmp_path / "large.png")
    expect(page.locator(".toast-body")).to_contain_text("maximum allowed size of 50")
    expect(page.locator("#learn-strip img")).to_have_count(0)
    expect(page.locator("#learn-status .done")).to_have_count(0)


def test_a_request_that_makes_no_sense_is_one_sentence(page: Page) -> None:
    open_training(page)
    for text in ("words", json.dumps({"run": "zebras", "step": "two"}), json.dumps([1])):
        page.locator("#try-request textarea").evaluate(
            "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }",
            text,
        )
        expect(page.locator(".toast-body")).to_contain_text("asked for no checkpoint")
        page.locator(".toast-close").click()
        expect(page.locator(".toast-body")).to_have_count(0)


def test_a_phone_shows_the_strip_below_the_photo(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_training(page)
    expect(page.locator("#learn-strip")).to_be_hidden()
    give(page, "learn-photo", picture((900, 700)))
    strip(page)
    boxes = [page.locator(f"#learn-{name}").bounding_box() for name in ("photo", "status", "strip")]
    tops = [box["y"] for box in boxes if box]
    assert len(tops) == 3
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_only_the_models_tried_last_stay_loaded(run: Path) -> None:
    shelf = Shelf([], "cpu", max_loaded=3)
    for name in "abc":
        shelf.add(name, checkpoint_weights(run, 2))
    assert shelf.tried("a")
    shelf.add("d", checkpoint_weights(run, 4))
    assert sorted(entry.name for entry in shelf.ready()) == ["a", "c", "d"]
    with pytest.raises(ModelError, match="no weights called 'b' on this page"):
        shelf.get("b")


def test_where_the_gpu_has_a_copy_of_the_page_from_before_tried_models_travel_there(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ZeroGPU: functions run where nothing is known but what they are sent."""

    def elsewhere(function):
        return lambda *values: sent(function(*sent(values)))

    def sent(value):
        return pickle.loads(pickle.dumps(value))

    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=elsewhere))
    step = make_step(Shelf([], "cpu"))
    here = Shelf([], "cpu")
    here.add("zebras · step 4", checkpoint_weights(run, 4))
    real = Image.new("RGB", (32, 32), TEAL)
    *_, result = translations(step, here, "zebras · step 4", real, "b2a")
    assert result.previews["fake"].getextrema() == ((135, 135),) * 3
    assert result.previews["recovered"].getextrema() == ((120, 120),) * 3
