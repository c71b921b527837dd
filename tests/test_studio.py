"""The stage of the Translate tab: views, strength, ways in, memory, downloads; by their pixels."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_way import TRANSLATING
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from studio_page import (
    TEAL,
    WAIT,
    give,
    mean,
    photo,
    plain,
    said,
    seen,
    shown,
    source,
    turn,
)

CHROMIUM = "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MIDDLE = (0.5, 0.5)


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model that paints white one way and black the other, and its mirror image."""
    folder = tmp_path_factory.mktemp("page")
    first = painter(constant_weights, folder / "painter", "apple", "orange")
    second = painter(constant_weights, folder / "other", "black", "white")
    server = PageServer(folder, "--weights", first, second, "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """The page, freshly opened, set to paint white."""
    with watched_page(browser, server, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_text("apple → orange").click(timeout=WAIT)
        yield page


def near(colour: tuple[float, ...], by: float = 6) -> object:
    return pytest.approx(colour, abs=by)


def translate(page: Page, content: bytes | None = None, name: str = "photo.png") -> None:
    give(page, content or plain(), name)
    expect(page.locator("#status .line.done")).to_contain_text("The way back", timeout=WAIT)


def strengthen(page: Page, strength: float) -> None:
    page.locator("#strength").fill(str(strength))


def test_strength_mixes_photo_and_translation_without_the_server(page: Page) -> None:
    translate(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    fake = page.locator("#fake .frame")
    expect(page.locator("#fake img.picture")).to_be_visible()
    for strength in (1, 0.5, 0.2, 0):
        strengthen(page, strength)
        mixed = tuple(band + strength * (255 - band) for band in TEAL)
        assert seen(fake, MIDDLE) == near(mixed)
    # The page may still be waiting for models.
    assert [url for url in asked if not url.endswith("shelf.json")] == []
    assert seen(page.locator("#real .frame"), MIDDLE) == near(TEAL)
    assert seen(page.locator("#recovered .frame"), MIDDLE) == near(BLACK)


def test_the_line_between_photo_and_translation_follows_mouse_and_keys(page: Page) -> None:
    translate(page)
    turn(page, "slider")
    frame, handle = page.locator(".comparing .frame"), page.get_by_role("slider").first
    handle = page.locator(".comparing [role=slider]")
    expect(handle).to_have_attribute("aria-valuenow", "50")
    assert (seen(frame, (0.3, 0.3)), seen(frame, (0.7, 0.3))) == (near(TEAL), near(WHITE))

    box = frame.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 30, steps=4)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", "80")
    assert (seen(frame, (0.7, 0.3)), seen(frame, (0.9, 0.3))) == (near(TEAL), near(WHITE))

    handle.focus()
    for key, value in (("ArrowLeft", "78"), ("Home", "0"), ("PageUp", "20"), ("End", "100")):
        page.keyboard.press(key)
        expect(handle).to_have_attribute("aria-valuenow", value)
    assert seen(frame, (0.7, 0.3)) == near(TEAL)
    # The translation on the right is as strong as asked.
    page.keyboard.press("Home")
    strengthen(page, 0.5)
    assert seen(frame, (0.7, 0.3)) == near(tuple((band + 255) / 2 for band in TEAL))


def test_the_difference_is_what_was_added_and_can_be_amplified(page: Page) -> None:
    # Dark enough a difference that four times as much still fits.
    translate(page, plain((215, 225, 235)))
    turn(page, "difference")
    frame = page.locator(".stage .single:visible .frame")
    expect(frame.locator("canvas")).to_be_visible()
    assert seen(frame, MIDDLE) == near((160, 120, 80), 12)
    strengthen(page, 0.5)
    assert seen(frame, MIDDLE) == near((80, 60, 40), 8)
    page.get_by_label("4× brighter").uncheck()
    strengthen(page, 1)
    assert seen(frame, MIDDLE) == near((40, 30, 20), 4)


def test_the_map_shows_where_the_way_back_misses_and_its_scale_in_figures(page: Page) -> None:
    # The way back is black: it misses the left half by 40%, the right half not at all.
    picture = Image.new("RGB", (320, 240), (102, 102, 102))
    picture.paste(BLACK, (160, 0, 320, 240))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    translate(page, buffer.getvalue())
    turn(page, "cycle")
    frame = page.locator(".stage .single:visible .frame")
    expect(frame.locator("canvas")).to_be_visible()
    expect(page.locator(".ticks")).to_have_text("0%25%≥ 50%")
    # 40 of 50 percent is the eighth of inferno's ten steps.
    assert seen(frame, (0.2, 0.5)) == near((0xFC, 0xA5, 0x0A), 10)
    assert seen(frame, (0.8, 0.5)) == near((0, 0, 4), 10)
    expect(page.locator(".legend p:visible")).to_contain_text("20% on average")
    frame.hover(position={"x": 60, "y": 60})
    expect(page.locator(".legend output")).to_have_text("here: 40%")
    expect(page.locator("#strength")).to_be_disabled()


@pytest.mark.parametrize("way", ["drop", "paste", pytest.param("camera", marks=pytest.mark.slow)])
def test_a_picture_comes_in_by(way: str, page: Page, tmp_path: Path) -> None:
    if way == "drop":
        file = tmp_path / "dropped.png"
        file.write_bytes(plain())
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        browser = page.context.new_cdp_session(page)
        for kind in ("dragEnter", "dragOver", "drop"):
            if kind == "drop":
                expect(page.get_by_text("Drop it anywhere")).to_be_visible()
            # Far from the mark, where a browser would leave the page for the picture.
            event = {"type": kind, "x": 640, "y": 20, "data": data}
            browser.send("Input.dispatchDragEvent", event)
    elif way == "paste":
        page.evaluate(
            """async (bytes) => {
                const blob = new Blob([new Uint8Array(bytes)], { type: "image/png" });
                await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
            }""",
            list(plain()),
        )
        page.keyboard.press("Control+V")
    else:
        page.get_by_role("button", name="Take a photo").click()
        shutter = page.get_by_role("button", name="Take it")
        expect(shutter).to_be_enabled()
        shutter.click()
        expect(page.locator("dialog.camera")).not_to_be_visible()
    said(page, "done")
    expect(page.locator("#fake img.picture")).to_be_visible()
    assert mean(shown(page, "fake")) == near(WHITE)
    if way != "camera":
        assert mean(shown(page, "real")) == near(TEAL)


def test_of_two_pictures_the_last_one_wins(page: Page) -> None:
    give(page, photo((1800, 1400)), "first.png")
    said(page, "working")
    give(page, plain(), "second.png")
    said(page, "done")
    assert mean(shown(page, "real")) == near(TEAL)
    assert shown(page, "fake").size == shown(page, "recovered").size == (320, 240)
    titles = page.locator("#recent button").evaluate_all("all => all.map((one) => one.title)")
    assert [title for title in titles if not title.startswith("second.png")] == []


def test_a_translation_can_be_stopped_and_taken_up_again(page: Page) -> None:
    give(page, photo((1400, 1000)))
    expect(page.locator("#status .line.working")).to_contain_text("Translating …")
    page.get_by_role("button", name="Stop").click()
    said(page, "stopped")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#fake img.picture")).to_be_visible(timeout=WAIT)


def test_recent_results_survive_a_reload_and_leave_when_their_files_are_gone(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server, expected="404") as page:
        page.get_by_text("apple → orange").click(timeout=WAIT)
        translate(page, plain(), "teal.png")
        translate(page, plain((200, 30, 30)), "red.png")
        page.reload()
        items = page.locator("#recent button")
        expect(items).to_have_count(2, timeout=WAIT)
        # What was on the stage is there again.
        expect(page.locator("#real img.picture")).to_be_visible()
        assert mean(shown(page, "real")) == near((200, 30, 30))
        items.nth(1).click()
        expect(items.nth(1)).to_have_attribute("aria-current", "true")
        assert mean(shown(page, "real")) == near(TEAL)
        assert mean(shown(page, "recovered")) == near(BLACK)

        token = source(page, "real").split("/")[-2]
        items.nth(0).click()
        expect(items.nth(0)).to_have_attribute("aria-current", "true")
        (folder,) = server.cwd.parent.glob(f"gradio/results-*/{token}")
        shutil.rmtree(folder)
        items.nth(1).click()
        assert "no longer kept" in said(page, "failed").inner_text()
        expect(items).to_have_count(1)


@pytest.mark.slow
def test_downloads_have_the_pixels_of_the_photo_and_the_strength_of_the_slider(page: Page) -> None:
    translate(page, plain(size=(2000, 1500)), "holiday.png")
    strengthen(page, 0.5)
    for kind, form in (("PNG", "PNG"), ("WebP", "WEBP"), ("Sheet", "PNG"), ("Clip", "WEBP")):
        with page.expect_download() as coming:
            page.locator("#save").get_by_text(kind, exact=True).click()
        assert coming.value.suggested_filename.startswith("holiday")
        with Image.open(coming.value.path()) as image:
            assert image.format == form
            if kind in ("PNG", "WebP"):
                assert image.size == (2000, 1500)
                assert mean(image) == near(tuple((band + 255) / 2 for band in TEAL), 3)
            assert getattr(image, "n_frames", 1) > 1 or kind != "Clip"


def test_one_photo_goes_through_every_model_and_a_click_opens_a_result(page: Page) -> None:
    translate(page)
    page.locator("#compare").get_by_role(
        "button", name=f"Try {1 + len(TRANSLATING)} more models"
    ).click()
    tiles = page.locator("#compare li")
    # The models that ship are always there too.
    expect(tiles).to_have_count(2 + len(TRANSLATING))
    for tile in tiles.all():
        expect(tile).to_have_class("done", timeout=WAIT)
    # The stage stays with what is looked at until then.
    expect(page.locator("#model")).to_have_value("painter")
    tiles.nth(1).get_by_role("button").click()
    expect(page.locator("#model")).to_have_value("other")
    expect(page.locator("#direction label").first).to_have_text("black → white")
    assert mean(shown(page, "real")) == near(TEAL)

    # What is there already is shown at once, not made again.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#model").select_option("painter")
    expect(page.locator("#direction label").first).to_have_text("apple → orange")
    said(page, "done")
    assert [url for url in asked if "queue/join" in url] == []


@pytest.mark.slow
def test_whoever_waits_sees_their_place(page: Page, browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server) as other:
        other.get_by_text("apple → orange").click(timeout=WAIT)
        give(other, photo((4000, 3000)))
        # It has gone up: smaller pictures would overtake it on the way.
        expect(said(other, "working")).to_have_text("Translating …", timeout=WAIT)
        give(page, plain())
        expect(page.locator("#status .line.working")).to_contain_text("Number 1 of 1 in line")
        said(page, "done")
        said(other, "done")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.locator("#examples button").first.focus()
    page.keyboard.press("Enter")
    said(page, "done")
    page.locator("#views input:checked").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#views input:checked")).to_have_value("slider")
    # Order: direction, model, what is on the stage, views, strength.
    page.locator("#direction input:checked").focus()
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate(
                """document.activeElement.id || document.activeElement.className
                    || document.activeElement.name"""
            )
        )
    assert order == ["model", "handle", "expand", "views", "strength", "new"]
    page.keyboard.press("4")
    expect(page.locator("#views input:checked")).to_have_value("cycle")
    page.keyboard.press("1")
    page.locator("#fake button").focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog.large")
    expect(large).to_be_visible()
    expect(large.locator("strong")).to_have_text("Translated: orange")
    page.keyboard.press("ArrowRight")
    expect(large.locator("strong")).to_have_text("Recovered: apple")
    page.keyboard.press("Escape")
    expect(large).not_to_be_visible()
    expect(page.locator("#fake button")).to_be_focused()


def test_fingers_move_the_line(browser: Browser, server: PageServer) -> None:
    phone = {"width": 390, "height": 844}
    with watched_page(browser, server, viewport=phone, has_touch=True, is_mobile=True) as page:
        page.get_by_text("apple → orange").tap(timeout=WAIT)
        translate(page)
        frame = page.locator(".comparing .frame")
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        assert box
        touch = page.context.new_cdp_session(page)
        y = box["y"] + 40
        for kind, share in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.2)):
            point = {"x": box["x"] + share * box["width"], "y": y}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        handle = page.locator(".comparing [role=slider]")
        expect(handle).to_have_attribute("aria-valuenow", "20")
        assert (seen(frame, (0.1, 0.3)), seen(frame, (0.4, 0.3))) == (near(TEAL), near(WHITE))


def test_the_page_speaks_chinese_to_those_who_do(browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server, locale="zh-CN") as page:
        page.get_by_text("apple → orange").click(timeout=WAIT)
        give(page, plain())
        assert "转换用时" in said(page, "done").inner_text()
        give(page, b"words", "words.png")
        assert "words.png" in said(page, "failed").inner_text()
