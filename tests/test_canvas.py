"""The sheet to draw on: who is offered it, what comes of mouse, finger and keys."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_photo
from one_way import RED, reddening
from page_server import PageServer, painter, watched_page
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Locator, Page, expect
from studio_page import WAIT, mean, said, shown

from cyclegan.cli import parse_training
from cyclegan.drawings import are_drawings
from cyclegan.training import Trainer
from cyclegan.weights import read_config

SIDE = 720
PEN = 20
"""How wide a line is, in pixels of the sheet."""
Place = tuple[float, float]


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model for drawings, which paints all red, and one for photos."""
    folder = tmp_path_factory.mktemp("page")
    models = (
        reddening(folder / "red", drawn=True),
        painter(constant_weights, folder / "painter", "apple", "orange"),
    )
    server = PageServer(folder, "--weights", *models, "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    with watched_page(browser, server) as page:
        opener(page).click(timeout=WAIT)
        yield page


def opener(page: Page) -> Locator:
    return page.locator(".door").get_by_role("button", name="Draw")


def canvas(page: Page) -> Locator:
    return page.locator(".sketch canvas")


def stroke(page: Page, *places: Place) -> None:
    """Draw through places, in shares of the sheet, with the mouse."""
    box = canvas(page).bounding_box()
    assert box
    for at, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        if at == 0:
            page.mouse.down()
    page.mouse.up()


def drawn(page: Page) -> np.ndarray:
    """The sheet, by its brightness: [720, 720]."""
    address = canvas(page).evaluate("canvas => canvas.toDataURL()")
    png = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)


def black(sheet: np.ndarray, *places: Place) -> list[bool]:
    """Whether the sheet is black at places; it must be black or white."""
    found = [sheet[int(y * (SIDE - 1)), int(x * (SIDE - 1))] for x, y in places]
    assert set(found) <= {0, 255}
    return [value == 0 for value in found]


def test_what_is_drawn_with_the_mouse_is_translated(page: Page) -> None:
    done = page.get_by_role("button", name="Translate it")
    expect(done).to_be_disabled()
    stroke(page, (0.2, 0.3), (0.8, 0.3))
    stroke(page, (0.5, 0.6))
    sheet = drawn(page)
    assert black(sheet, (0.25, 0.3), (0.75, 0.3), (0.5, 0.6), (0.5, 0.45)) == [True] * 3 + [False]
    # A line is as wide as those that the model has learned from.
    assert abs((sheet[:300, SIDE // 2] < 128).sum() - PEN) <= 1
    done.click()
    said(page, "done")
    expect(page.locator(".sketch")).to_be_hidden()
    real = np.asarray(shown(page, "real").convert("L")).astype(int)
    # But for what WebP makes of it.
    assert real.shape == (SIDE, SIDE)
    assert np.abs(real - sheet).mean() < 1
    assert mean(shown(page, "fake")) == pytest.approx(RED, abs=3)
    expect(page.locator("#recent button")).to_have_count(1)

    # The sheet is as it was left, to be drawn on.
    page.locator(".actions").get_by_role("button", name="Draw").click()
    stroke(page, (0.5, 0.45))
    assert black(drawn(page), (0.25, 0.3), (0.5, 0.45)) == [True, True]
    done.click()
    expect(page.locator("#recent button")).to_have_count(2)


def test_strokes_are_erased_undone_and_cleared(page: Page) -> None:
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    expect(undo).to_be_disabled()
    expect(clear).to_be_disabled()
    places: Sequence[Place] = [(0.3, 0.5), (0.5, 0.5), (0.7, 0.5)]
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    page.locator(".sketch").get_by_text("Eraser").click()
    stroke(page, (0.5, 0.3), (0.5, 0.7))
    assert black(drawn(page), *places) == [True, False, True]
    clear.click()
    expect(clear).to_be_disabled()
    assert drawn(page).min() == 255
    # What was cleared by mistake comes back, then the rest goes step by step.
    undo.click()
    assert black(drawn(page), *places) == [True, False, True]
    canvas(page).focus()
    page.keyboard.press("Control+z")
    assert black(drawn(page), *places) == [True, True, True]
    undo.click()
    assert drawn(page).min() == 255
    expect(undo).to_be_disabled()


def test_keys_alone_draw_and_translate(page: Page) -> None:
    expect(canvas(page)).to_be_focused()
    # From the middle: without a line to the right, then with one up.
    for key in ["ArrowRight"] * 5 + [" "] + ["ArrowUp"] * 10 + [" "] + ["ArrowRight"] * 5:
        page.keyboard.press(key)
    middle = 0.5 + 5 * 12 / SIDE
    sheet = drawn(page)
    assert black(sheet, (middle, 0.5), (middle, 0.4), (0.5, 0.5)) == [True, True, False]
    assert black(sheet, (middle + 5 * 12 / SIDE, 0.5 - 120 / SIDE)) == [False]
    page.keyboard.press("Enter")
    said(page, "done")
    assert mean(shown(page, "fake")) == pytest.approx(RED, abs=3)


def test_fingers_draw(browser: Browser, server: PageServer) -> None:
    phone = {"width": 390, "height": 844}
    with watched_page(browser, server, viewport=phone, has_touch=True, is_mobile=True) as page:
        opener(page).tap(timeout=WAIT)
        box = canvas(page).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= phone["width"]
        buttons = page.locator(".sketch").get_by_role("button")
        for button in buttons.all():
            place = button.bounding_box()
            assert place and place["y"] + place["height"] <= phone["height"]
            assert min(place["width"], place["height"]) >= 44
        touch = page.context.new_cdp_session(page)
        for kind, x in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8)):
            at = {"x": box["x"] + x * box["width"], "y": box["y"] + 0.5 * box["height"]}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert black(drawn(page), (0.3, 0.5), (0.7, 0.5), (0.5, 0.7)) == [True, True, False]
        # The page behind has not moved.
        assert page.evaluate("scrollY") == 0


def test_drawing_is_for_models_that_know_drawings(browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server) as page:
        expect(opener(page)).to_be_visible(timeout=WAIT)
        first = page.locator("#examples button").first
        expect(first).to_have_attribute("title", "drawing apple")
        first.click()
        said(page, "done")
        assert mean(shown(page, "fake")) == pytest.approx(RED, abs=3)
        page.locator("#model").select_option("painter")
        expect(page.get_by_role("button", name="Draw", exact=True)).to_have_count(0)
        expect(first).to_have_attribute("title", "apples 1")


# --- who knows drawings


def lines(index: int, size: int = 40) -> Image.Image:
    sheet = Image.new("L", (size, size), 255)
    ImageDraw.Draw(sheet).ellipse((5, 5, 20 + index, 30), outline=0, width=2)
    return sheet


def test_drawings_are_told_from_other_pictures(tmp_path: Path) -> None:
    folder = tmp_path
    sheets, others = [], {"photo": draw_photo("a", 0), "tinted": lines(0).convert("RGB")}
    for index in range(20):
        sheets.append(folder / f"{index}.png")
        lines(index % 5).save(sheets[-1])
    ImageDraw.Draw(others["tinted"]).rectangle((0, 30, 40, 40), fill=(250, 240, 120))
    others["night"] = Image.eval(lines(0), lambda level: 255 - level)
    assert are_drawings(sheets)
    assert not are_drawings([])
    (folder / "broken.png").write_bytes(b"")
    assert are_drawings([*sheets, folder / "broken.png"])
    for name, image in others.items():
        image.save(folder / f"{name}.png")
        assert not are_drawings([folder / f"{name}.png"])
        # One in ten may be something else.
        assert are_drawings([*sheets, folder / f"{name}.png"])
        assert not are_drawings([*sheets[:4], folder / f"{name}.png"])


@pytest.mark.parametrize(("layout", "is_drawn"), [("ab", True), ("ba", False)])
def test_a_training_notes_that_its_pictures_are_drawings(
    layout: str, is_drawn: bool, tmp_path: Path
) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    for index in range(6):
        pair = Image.new("RGB", (80, 40))
        pair.paste(lines(index), (0, 0))
        pair.paste(draw_photo("b", index, (40, 40)), (40, 0))
        pair.save(tmp_path / "data" / "train" / f"{index}.png")
    flags = "--preset tiny --image-size 32 --width 2 --discriminator-width 2 "
    flags += f"--layout {layout} --steps 1 --device cpu"
    data, out = str(tmp_path / "data"), str(tmp_path / "run")
    Trainer(parse_training(["pix2pix", "--data", data, "--out", out, *flags.split()])).run()
    assert read_config(tmp_path / "run" / "weights").drawn is is_drawn
