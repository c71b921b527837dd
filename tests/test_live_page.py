"""The Live tab in Chromium, which makes up a camera."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import PageServer, watched_page
from painted import fill, painted_page
from PIL import Image
from playwright.sync_api import Browser, Page, expect

WAIT = 20_000
RATE = re.compile(r"^[\d.]+ frames a second · ([\d,]+ ms|[\d.]+ s) behind")
CHROMIUM = "--use-fake-device-for-media-stream"
"""Flags for conftest.browser: a camera that shows a green field with a timer."""


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    with painted_page(constant_weights, tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    with watched_page(browser, server, permissions=["camera"]) as page:
        page.get_by_role("tab", name="Live").click()
        yield page


def begin(page: Page) -> None:
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".live .figures")).to_have_text(RATE, timeout=WAIT)


def said(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".live .said")).to_have_text(text, timeout=WAIT)


def look(page: Page) -> np.ndarray:
    """What is on the stage, as [H, W, 3]."""
    address = page.locator(".live canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    content = base64.b64decode(address.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def half(page: Page, side: str) -> float:
    """How bright the camera's half of the stage is, or the translation's.

    The median: what is sharper in the camera's picture than in a frame stays in the translation.
    """
    picture = look(page)
    middle = picture.shape[1] // 2
    part = picture[:, : middle - 2] if side == "camera" else picture[:, middle + 2 :]
    return float(np.median(part.max(axis=2) if side == "camera" else part.min(axis=2)))


def slide(page: Page, label: str, value: int) -> None:
    page.locator(".live").get_by_label(label).fill(str(value))


def test_frames_are_translated_one_at_a_time_until_the_tab_is_left(page: Page) -> None:
    under_way, most = set(), 0

    def asked(request: Any) -> None:
        nonlocal most
        if "/live/frame" in request.url:
            under_way.add(request)
            most = max(most, len(under_way))

    page.on("request", asked)
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            const kept = async (wanted) => (window.given = await ask(wanted));
            navigator.mediaDevices.getUserMedia = kept;
        }"""
    )
    begin(page)
    assert most == 1
    # On the left is the green field, on the right what the network paints.
    assert half(page, "camera") < 200
    assert half(page, "translation") > 250

    page.locator(".live").get_by_text("white → black").click()
    page.wait_for_function(
        """() => {
            const canvas = document.querySelector(".live canvas");
            const at = [canvas.width - 9, canvas.height / 2, 1, 1];
            return canvas.getContext("2d").getImageData(...at).data[1] < 5;
        }"""
    )

    page.get_by_role("tab", name="Translate").click()
    page.wait_for_function("given.getTracks().every((track) => track.readyState === 'ended')")
    page.get_by_role("tab", name="Live").click()
    said(page, "Stopped when you left this tab.")
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    assert most == 1


def test_strength_and_split_answer_without_the_server(page: Page) -> None:
    begin(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_focused()
    page.on("request", lambda request: pytest.fail(request.url))
    assert half(page, "translation") > 250
    slide(page, "Strength", 0)
    camera = look(page).astype(int)
    assert half(page, "translation") < 50
    slide(page, "Strength", 50)
    assert np.median(np.abs(2 * look(page).astype(int)[:, -40:] - camera[:, -40:] - 255)) < 6
    slide(page, "Strength", 100)
    slide(page, "Where the camera's picture ends", 0)
    assert np.median(look(page)) > 250
    slide(page, "Where the camera's picture ends", 100)
    assert (look(page) == camera).all()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("NotAllowedError", "The browser may not use the camera"),
        ("NotFoundError", "There is no camera"),
        ("NotReadableError", "Another program uses the camera"),
        ("Oddity", "The camera cannot be started (for some reason)."),
    ],
)
def test_without_a_camera_there_is_one_sentence(page: Page, name: str, sentence: str) -> None:
    page.evaluate(
        """(name) => {
            const refuse = () => Promise.reject(new DOMException("for some reason", name));
            navigator.mediaDevices.getUserMedia = refuse;
        }""",
        name,
    )
    page.get_by_role("button", name="Start the camera").click()
    said(page, re.compile(f"^{re.escape(sentence)}"))
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()


def test_a_visitor_who_says_no_is_told_where_to_say_yes(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        said(page, re.compile("^The browser may not use the camera; allow it for this site"))


def test_a_full_server_is_asked_again_until_there_is_a_place(
    browser: Browser, server: PageServer
) -> None:
    fill(server)
    with watched_page(browser, server, expected="503", permissions=["camera"]) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start the camera").click()
        said(page, "4 visitors are live already, as many as this machine takes.")
        # The others have gone meanwhile.
        expect(page.locator(".live .figures")).to_have_text(RATE, timeout=WAIT)
        expect(page.locator(".live .said")).to_be_hidden()


def test_the_tab_is_reached_by_keyboard_and_speaks_chinese(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server, permissions=["camera"], locale="zh-CN") as page:
        page.get_by_role("tab", name="实时").click()
        expect(page.get_by_role("button", name="打开摄像头")).to_be_enabled(timeout=WAIT)
        page.get_by_role("tab", name="实时").focus()
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "打开摄像头":
                break
        page.keyboard.press("Enter")
        expect(page.locator(".live .figures")).to_have_text(re.compile("每秒 .+ 帧"), timeout=WAIT)
        expect(page.get_by_role("button", name="停止")).to_be_focused()
