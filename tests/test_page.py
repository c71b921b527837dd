"""The Translate tab as people meet it: a real app.py in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_server import ROOT, PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from studio_page import SIZE, WAIT, give, give_file, mean, photo, said, shown, source, turn

EXAMPLES = ROOT / "cyclegan" / "ui" / "examples"


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


def brightness(page: Page, name: str) -> float:
    return sum(mean(shown(page, name))) / 3


def test_a_photo_is_translated_there_and_back_and_in_the_other_direction(page: Page) -> None:
    page.get_by_text("apple → orange").click()
    give(page, photo())
    assert "The way back differs by" in said(page, "done").inner_text()
    assert [shown(page, name).size for name in ("real", "fake", "recovered")] == [SIZE] * 3
    real = brightness(page, "real")
    assert 60 < real < 220
    assert brightness(page, "fake") > 250
    assert brightness(page, "recovered") < 5

    before = source(page, "recovered")
    page.get_by_text("orange → apple").click()
    expect(page.locator("#recovered img.picture")).not_to_have_attribute("src", before)
    said(page, "done")
    expect(page.locator("#recovered img.picture")).to_be_visible()
    assert brightness(page, "real") == pytest.approx(real, abs=2)
    assert brightness(page, "fake") < 5
    assert brightness(page, "recovered") > 250


def test_the_translation_does_not_wait_for_the_way_back(page: Page) -> None:
    page.get_by_text("apple → orange").click()
    give(page, photo((900, 700)))
    page.wait_for_function(
        """document.querySelector("#fake img.picture").src
            && !document.querySelector("#recovered img.picture").src""",
        polling=10,
    )
    said(page, "done")
    expect(page.locator("#recovered img.picture")).to_be_visible()


def test_a_file_that_is_no_picture_gives_one_sentence_and_the_page_goes_on(page: Page) -> None:
    give(page, photo())
    said(page, "done")
    give(page, b"these are words", "words.png")
    assert "words.png" in said(page, "failed").inner_text()
    assert "is not a picture that can be read" in said(page, "failed").inner_text()
    expect(page.locator(".studio .door")).to_be_visible()
    expect(page.locator(".studio .stage img:visible")).to_have_count(0)
    give(page, photo())
    said(page, "done")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    give(page, photo())
    said(page, "done")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(53_000_000)
    give_file(page, tmp_path / "large.png")
    assert said(page, "failed").inner_text() == (
        "large.png is larger than 50 MB, the most that this page takes; choose a smaller file."
    )
    expect(page.locator(".studio .stage img:visible")).to_have_count(0)


def test_an_example_brings_its_direction_along(page: Page) -> None:
    names = [path.stem for path in sorted(EXAMPLES.iterdir()) if path.suffix == ".jpg"]
    buttons = page.locator("#examples button")
    expect(buttons).to_have_count(len(names))
    for name, value in (("oranges-1", "b2a"), ("apples-1", "a2b")):
        buttons.nth(names.index(name)).click()
        said(page, "working")
        said(page, "done")
        expect(page.locator("#direction input:checked")).to_have_value(value)
        with Image.open(EXAMPLES / f"{name}.jpg") as example:
            assert shown(page, "recovered").size == example.size


def test_a_missing_model_is_named_with_its_reason(page: Page) -> None:
    notice = page.locator("#notice .missing")
    expect(notice).to_contain_text("someone/missing", timeout=WAIT)
    expect(notice).to_contain_text("no connection to http://127.0.0.1:9")


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, server: PageServer
) -> None:
    phone = {"width": 390, "height": 844}
    with watched_page(browser, server, viewport=phone, has_touch=True, is_mobile=True) as page:
        page.locator("#examples button").first.tap()
        said(page, "done")
        expect(page.locator("#views input:checked")).to_have_value("slider")
        for view in ("slider", "panels", "difference", "cycle"):
            turn(page, view)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate(
            """[...document.querySelectorAll(".studio :is(button, select, a, .segments label)")]
                .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
                .filter(([, { width, height }]) => width && Math.min(width, height) < 44)
                .map(([words]) => words)"""
        )
        assert small == []
