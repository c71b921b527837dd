"""The Generate tab in a browser, and /generate from a program, with known answers."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import noise
import numpy as np
import pytest
import torch
from conftest import draw_photo
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect
from running_page import running
from studio_page import plain, png
from test_accessibility import stops_of_the_keys, violations
from test_languages import texts
from test_words import english

from cyclegan.models.base import fixed_noise

GREY = (191, 191, 191)
BASE = 191 / 127.5 - 1


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    painted = painter(constant_weights, folder / "painter", "black", "white")
    weights = (noise.colours(folder / "colours"), noise.tints(folder / "tints"), painted)
    server = PageServer(folder, "--weights", *weights)
    yield server
    server.stop()


def drawn(seed: int) -> list[float]:
    """The z of a seed."""
    return fixed_noise(1, 3, torch.empty(0), seed)[0].tolist()


def shades(z: Sequence[float], base: float = 0.0) -> list[float]:
    return [noise.shade(base + value) for value in z]


def colour(url: str) -> list[float]:
    """The colour of a picture that is a data URL, which is all of one."""
    with Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == pixels[0]).all()
    return pixels[0].tolist()


def open_tab(page: Page, query: str = "") -> None:
    """Open the tab by its link, and wait for its grid."""
    page.goto(urlsplit(page.url)._replace(query=f"tab=generate{query}").geturl())
    expect(page.locator("#tab-generate-button")).to_have_attribute("aria-selected", "true")


def done(page: Page) -> None:
    expect(page.locator("#generate-status .done")).to_contain_text("pictures in")


def filled(page: Page) -> None:
    expect(page.locator("#generate .cells button:enabled")).to_have_count(12)


def pictures(page: Page) -> list[str]:
    return page.locator("#generate .cells img").evaluate_all("all => all.map(({src}) => src)")


def held(page: Page) -> str:
    return page.locator("#held img").get_attribute("src") or ""


def move(range_: Locator, value: float) -> None:
    """Drag a slider, as a hand would: it speaks at every place on the way."""
    range_.evaluate(
        """(range, value) => {
            range.value = value;
            range.dispatchEvent(new Event("input", { bubbles: true }));
            range.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        value,
    )


def test_a_grid_is_what_its_seed_draws(browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server) as page:
        open_tab(page)
        done(page)
        shown = pictures(page)
        assert len(shown) == 12
        for seed, url in enumerate(shown, 1):
            assert colour(url) == pytest.approx(shades(drawn(seed)), abs=1)
        page.locator("#seed").fill("4")
        page.locator("#seed").press("Enter")
        expect(page.locator("#generate .cells button").first).to_have_attribute(
            "aria-label", "Seed 4"
        )
        filled(page)
        # What two grids share is the same to the last pixel.
        assert pictures(page)[:9] == shown[3:]
        page.locator("#resample").click()
        expect(page.locator("#seed")).not_to_have_value("4")
        done(page)
        assert set(pictures(page)).isdisjoint(shown)


def test_a_seed_that_is_being_typed_is_not_written_over(
    browser: Browser, server: PageServer
) -> None:
    """While a model is on its way, the page asks every second what there is, and shows it."""
    asked = []

    def still_loading(route: Route) -> None:
        asked.append(route)
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "loading": True})

    with watched_page(browser, server) as page:
        page.route("**/generate/models.json", still_loading)
        open_tab(page)
        done(page)
        page.locator("#seed").fill("4")
        before = len(asked)
        while len(asked) < before + 2:
            page.wait_for_timeout(100)
        page.locator("#seed").press("Enter")
        first = page.locator("#generate .cells button").first
        expect(first).to_have_attribute("aria-label", "Seed 4")
        # What was entered is shown as the server read it.
        page.locator("#seed").fill("007")
        page.locator("#seed").press("Enter")
        expect(page.locator("#seed")).to_have_value("7")
        filled(page)
        page.unroute_all(behavior="wait")


def test_what_is_no_seed_is_said_and_mended(browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server) as page:
        open_tab(page)
        done(page)
        page.locator("#seed").fill("many")
        page.locator("#seed").press("Enter")
        failed = page.locator("#generate-status .failed")
        expect(failed).to_have_text("The seed is 'many'; it must be a whole number from 0 on.")
        expect(page.locator("#generate .many")).not_to_be_visible()
        page.locator("#seed").fill("7")
        page.locator("#seed").press("Enter")
        done(page)
        assert colour(pictures(page)[0]) == pytest.approx(shades(drawn(7)), abs=1)


def test_a_picture_is_held_moved_varied_filmed_and_a_link_brings_all_back(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server) as page:
        open_tab(page, "&seed=20")
        done(page)
        page.locator("#generate .cells button").nth(2).click()
        expect(page.locator("#held h3").first).to_have_text("Seed 22")
        assert held(page) == pictures(page)[2]
        # Where the sliders are is where z is.
        at = page.locator("#held .sliders input").evaluate_all("all => all.map((r) => +r.value)")
        assert at == pytest.approx(drawn(22), abs=0.05)
        before = held(page)
        move(page.locator("#held .sliders input").nth(1), -3)
        expect(page.locator("#held img")).not_to_have_attribute("src", before)
        moved = [drawn(22)[0], -3, drawn(22)[2]]
        assert colour(held(page)) == pytest.approx(shades(moved), abs=1)

        page.locator("#vary").click()
        expect(page.locator("#generate .many h3")).to_contain_text("A picture of your own")
        done(page)
        move(page.locator("#near"), 0.05)
        filled(page)
        done(page)
        for url in pictures(page):
            # A twentieth of the way is near.
            assert colour(url) == pytest.approx(shades(moved), abs=40)
        assert len(set(pictures(page))) == 12

        page.locator("#path").click()
        expect(page.locator("#generate-status")).to_contain_text("other end")
        page.locator("#generate .cells button").nth(5).click()
        expect(page.locator("#held img")).to_have_attribute("src", re.compile("^data:image/webp"))
        film, cells = held(page), pictures(page)
        gif = page.locator("#held a[data-kind=gif]").get_attribute("href") or ""
        with Image.open(io.BytesIO(base64.b64decode(gif.partition(",")[2]))) as image:
            assert (image.format, image.size, image.info["loop"]) == ("GIF", (256, 256), 0)
        page.locator("#play").click()
        assert colour(held(page)) == pytest.approx(shades(moved), abs=1)
        still = held(page)
        page.wait_for_url("**end=**")
        link = page.url

    with watched_page(browser, server, link.removeprefix(server.url)) as page:
        expect(page.locator("#held img")).to_have_attribute("src", film)
        filled(page)
        assert pictures(page) == cells
        page.locator("#play").click()
        assert held(page) == still
        # The address belongs to the tab as long as somebody looks at it.
        page.locator("#tab-translate-button").click()
        page.wait_for_url(lambda url: "generate" not in url)


def test_a_picture_is_answered_in_many_ways_and_in_the_style_of_another(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server) as page:
        open_tab(page, "&model=tints")
        expect(page.locator("#generate .door")).to_be_visible()
        expect(page.locator("#seed")).not_to_be_visible()
        files = page.locator("#generate input[type=file]")
        files.first.set_input_files(
            [{"name": "grey.png", "mimeType": "image/png", "buffer": plain(GREY)}]
        )
        done(page)
        for seed, url in enumerate(pictures(page), 1):
            assert colour(url) == pytest.approx(shades(drawn(seed), BASE), abs=1)
        page.locator("#generate .source input[type=file]").set_input_files(
            [{"name": "style.png", "mimeType": "image/png", "buffer": png(draw_photo("b", 1))}]
        )
        expect(page.locator("#held h3").first).to_have_text("In the style of your reference")
        assert colour(held(page)) == pytest.approx(shades(noise.STYLE, BASE), abs=1)
        page.wait_for_url("**hold=**photo=**")
        link, cells, style = page.url, pictures(page), held(page)

    with watched_page(browser, server, link.removeprefix(server.url)) as page:
        expect(page.locator("#held img")).to_have_attribute("src", style)
        done(page)
        assert pictures(page) == cells


def test_a_link_to_what_is_gone_says_so(browser: Browser, server: PageServer) -> None:
    with watched_page(browser, server) as page:
        failed = page.locator("#generate-status .failed")
        open_tab(page, f"&model=tints&photo={'0' * 64}/gone.png")
        expect(failed).to_have_text("This picture is no longer here; choose it again.")
        expect(page.locator("#generate .door")).to_be_visible()
        open_tab(page, "&model=colours&start=~AAAA")
        expect(failed).to_have_text("This link is damaged; its z cannot be read.")
        open_tab(page, "&model=nobody&seed=3")
        expect(failed).to_contain_text("nobody is not on this page")
        expect(page.locator("#generate .many")).not_to_be_visible()
        page.locator("#resample").click()
        done(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "width", "locale"), [("light", 1280, "en"), ("dark", 390, "zh-CN")]
)
def test_every_state_can_be_used_by_all(
    browser: Browser, server: PageServer, scheme: Any, width: int, locale: str
) -> None:
    found: dict[str, Any] = {}

    def look(page: Page, state: str) -> None:
        wide = page.evaluate("document.documentElement.scrollWidth")
        said = [text for text in texts(page) if locale == "zh-CN" and foreign(text)]
        found[state] = [*violations(page), *said, *([wide] if wide > width else [])]

    with watched_page(
        browser,
        server,
        color_scheme=scheme,
        locale=locale,
        reduced_motion="reduce",
        viewport={"width": width, "height": 900},
    ) as page:
        open_tab(page)
        filled(page)
        if locale == "zh-CN":
            # Relabelled a moment after gradio has drawn it.
            expect(page.locator("[aria-label='Gradio footer navigation']")).to_have_count(0)
        look(page, "grid")
        page.locator("#generate .cells button").nth(2).click()
        page.locator("#vary").click()
        filled(page)
        look(page, "varied")
        page.locator("#path").click()
        look(page, "aiming")
        page.locator("#generate .cells button").nth(5).click()
        # Whoever wants no motion starts it by hand.
        expect(page.locator("#play")).to_be_visible()
        assert held(page).startswith("data:image/png")
        look(page, "film")
        page.locator("#seed").fill("?")
        page.locator("#seed").press("Enter")
        expect(page.locator("#generate-status .failed")).to_be_visible()
        look(page, "failed")
        page.locator("#resample").click()
        expect(page.locator("#generate-status .done")).to_be_visible()
        page.locator("#generate-model").select_option("tints")
        expect(page.locator("#generate .door")).to_be_visible()
        look(page, "empty")
        files = page.locator("#generate input[type=file]").first
        files.set_input_files([{"name": "a.png", "mimeType": "image/png", "buffer": b"words"}])
        expect(page.locator("#generate-status .failed")).to_be_visible()
        look(page, "refused")
        files.set_input_files([{"name": "a.png", "mimeType": "image/png", "buffer": plain(GREY)}])
        expect(page.locator("#generate .source")).to_be_visible()
        look(page, "answered")
        assert {state: said for state, said in found.items() if said} == {}


def test_keys_alone_hold_a_picture_and_reach_all_there_is_for_it(
    browser: Browser, server: PageServer
) -> None:
    with watched_page(browser, server) as page:
        open_tab(page)
        done(page)
        page.locator("#generate .cells button").nth(1).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#held h3").first).to_have_text("Seed 2")
        page.locator("#held .sliders input").first.focus()
        before = held(page)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#held img")).not_to_have_attribute("src", before)
        assert stops_of_the_keys(page) > 30


def foreign(text: str) -> list[str]:
    return english(re.sub(r"colours|tints|painter|sketch|paint|colour|a\.png", " ", text))


def test_a_page_without_such_a_model_says_what_makes_one(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as blocks:
        page = browser.new_page()
        page.goto(f"{blocks.local_url}?tab=generate")
        expect(page.locator("#generate .none")).to_contain_text("python train.py dcgan")
        expect(page.locator("#generate .head")).not_to_be_visible()
        assert violations(page) == []
        page.close()


@pytest.fixture(scope="module")
def client(server: PageServer) -> Client:
    return Client(server.url, verbose=False)


def ask(client: Client, **asked: Any) -> tuple[list[list[float]], dict[str, Any]]:
    """The colours of the pictures, and the figures."""
    shown, figures = client.predict(**asked, api_name="/generate")
    found = []
    for each in shown:
        with Image.open(each["image"]) as image:
            assert image.size == (figures["width"], figures["height"])
            assert image.format == "PNG"
            found.append(list(image.convert("RGB").getpixel((3, 3))))
    return found, figures


def test_a_program_has_what_a_seed_draws(client: Client) -> None:
    made, figures = ask(client, seed=30, count=3)
    for seed, one in enumerate(made, 30):
        assert one == pytest.approx(shades(drawn(seed)), abs=1)
    assert (figures["model"], figures["seed"]) == ("colours", 30)
    assert np.allclose(figures["z"], [drawn(seed) for seed in (30, 31, 32)])
    # The same, one by one, and by its z.
    assert ask(client, model="colours", seed=32)[0] == made[2:]
    assert ask(client, z=figures["z"])[0] == made
    assert ask(client, z=figures["z"][1])[0] == made[1:2]


def test_a_program_has_many_answers_to_a_picture(client: Client, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), GREY).save(tmp_path / "grey.png")
    image = handle_file(str(tmp_path / "grey.png"))
    made, figures = ask(client, model="tints", z=[0.3, -0.3, 1], image=image)
    assert made[0] == pytest.approx(shades((0.3, -0.3, 1), BASE), abs=1)
    assert (figures["width"], figures["height"]) == (16, 16)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"z": [1, 2]}, "z has 2 numbers; this model takes 3."),
        ({"z": [[1, 2, 3], [1]]}, "z has 1 numbers; this model takes 3."),
        ({"z": "north"}, "z is 'north'; it must be a list of 3 numbers."),
        ({"seed": "abc"}, "The seed is 'abc'; it must be a whole number from 0 on."),
        ({"seed": -1}, "The seed is -1; it must be a whole number from 0 on."),
        ({"count": 0}, "count is 0; it must be a whole number from 1 to 48."),
        ({"count": 1.5}, "count is 1.5; it must be a whole number from 1 to 48."),
        ({"model": "tints"}, "There is no picture in this request; send one as `image`."),
        (
            {"model": "painter"},
            "painter makes no pictures from noise; a DCGAN",
        ),
        ({"model": "nobody"}, "There are no weights called 'nobody' on this page"),
    ],
)
def test_a_program_hears_what_is_wrong(client: Client, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(AppError, match=re.escape(said)):
        client.predict(**asked, api_name="/generate")
