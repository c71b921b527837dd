"""The way back comes after translations that others wait for, and only if somebody wants it."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import data_url, png
from conftest import draw_photo
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from result_page import answered, ask, download, join, place, translated, upload, wish
from studio_page import WAIT, give, mean, plain, said, shown, source

BUSY = 4
"""Large photos of others that wait in the queue; there is time for much beside them."""
BLACK = (0, 0, 0)
FAKE = "**/fake.webp"
# When a picture came to the stage, in milliseconds of the clock that all pages share.
NOTE = """(id) => {
    const picture = document.querySelector(`#${id} img.picture`);
    const look = () => picture.src && (window.came ??= performance.timeOrigin + performance.now());
    new MutationObserver(look).observe(picture, { attributes: true });
    look();
}"""


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model that paints white one way and black the other."""
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "apple", "orange")
    server = PageServer(folder, "--weights", weights)
    photo = {"url": data_url(png())}
    while server.translate(photo, "painter", "a2b")[0] == "error":
        time.sleep(0.1)
    yield server
    server.stop()


def file(folder: Path, size: tuple[int, int]) -> Path:
    path = folder / f"{size[0]}.png"
    draw_photo("a", 0, size).save(path, compress_level=1)
    return path


def there(server: PageServer, path: Path) -> dict[str, Any]:
    """The facts of a translation that nobody has asked the way back of."""
    asked = wish({"path": upload(server, path), "name": path.name})
    return answered(server, join(server, "translate", asked))


def occupy(server: PageServer, path: Path) -> list[str]:
    """Let others queue up with large photos: their sessions."""
    asked = wish({"path": upload(server, path), "name": "large.png"})
    return [join(server, "translate", asked) for _ in range(BUSY)]


def facts_of(server: PageServer, facts: dict[str, Any]) -> dict[str, Any]:
    return json.loads(server.get(f"{place(facts)}/facts.json"))


def test_whoever_waits_gets_a_translation_before_others_get_a_way_back(
    server: PageServer, tmp_path: Path
) -> None:
    facts = there(server, file(tmp_path, (400, 300)))
    others = occupy(server, file(tmp_path, (1600, 1200)))
    back = join(server, "translate_back", {"id": 2, "token": facts["token"]})
    small = {"path": upload(server, tmp_path / "400.png"), "name": "small.png"}
    last = join(server, "translate", wish(small))
    order: list[str] = []

    def hear(session: str) -> None:
        answered(server, session)
        order.append(session)

    threads = [threading.Thread(target=hear, args=(one,)) for one in (*others, back, last)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == [*others, last, back]
    assert facts_of(server, facts)["recovered"]


def test_what_is_given_up_is_not_translated_back(server: PageServer, tmp_path: Path) -> None:
    small = file(tmp_path, (400, 300))
    asked = wish({"path": upload(server, small), "name": "small.png"})
    session = join(server, "translate", asked, "visitor")
    facts = answered(server, session)
    others = occupy(server, file(tmp_path, (1600, 1200)))
    join(server, "translate_back", {"id": 2, "token": facts["token"]}, session)
    join(server, "give_up", 2, session, "run/predict")
    with pytest.raises(AssertionError, match="working"):
        answered(server, session)
    for other in others:
        answered(server, other)
    # Another's way back, after which it would have been this one's turn.
    assert translated(server, small)["recovered"]
    assert not facts_of(server, facts)["recovered"]


@pytest.mark.parametrize("what", ["recovered?format=png", "sheet?format=png", "clip?format=gif"])
def test_downloads_have_the_way_back_made(server: PageServer, tmp_path: Path, what: str) -> None:
    facts = there(server, file(tmp_path, (400, 300)))
    body = download(server, facts, what)
    now = facts_of(server, facts)
    assert now == facts | {"recovered": True, "cycle_error": pytest.approx(0.4, abs=0.3)}
    assert ask(server, f"{place(facts)}/recovered.webp")[0] == 200
    if what.startswith("recovered"):
        assert mean(Image.open(io.BytesIO(body))) == BLACK
    # The way back is there: asking for it once more changes nothing.
    assert download(server, facts, what) == body
    again = join(server, "translate_back", {"id": 2, "token": facts["token"]})
    assert answered(server, again) == now


@pytest.mark.parametrize("asked", [{"id": 1}, {"id": 1, "token": 5}, "x", {"id": 1, "token": "f"}])
def test_what_cannot_be_translated_back_is_one_sentence(server: PageServer, asked: Any) -> None:
    with pytest.raises(AssertionError, match=r"failed.*(reload it|translate the picture again)\."):
        answered(server, join(server, "translate_back", asked))


# --- in a browser


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    with watched_page(browser, server) as page:
        page.get_by_text("apple → orange").click(timeout=WAIT)
        yield page


def unseen(page: Page) -> None:
    """Have a picture translated, but let nobody see that before the route is free again."""
    held: list[Route] = []
    page.route(FAKE, lambda route: held.append(route))
    give(page, plain())
    page.wait_for_function("document.querySelector('#fake img.picture').src")


def test_of_two_visitors_both_see_a_translation_before_one_sees_the_way_back(
    page: Page, browser: Browser, server: PageServer, tmp_path: Path
) -> None:
    large = file(tmp_path, (1600, 1200))
    unseen(page)
    with watched_page(browser, server) as other:
        other.get_by_text("apple → orange").click(timeout=WAIT)
        others = occupy(server, large)
        other.evaluate(NOTE, "fake")
        page.evaluate(NOTE, "recovered")
        # Now the first visitor sees the translation, so that the page asks for the way back.
        with page.expect_request("**/queue/join*"):
            page.unroute(FAKE)
        expect(page.locator("#status .line.working")).to_contain_text("Translating it back …")
        give(other, plain(), "other.png")
        expect(page.locator("#status .line.done")).to_contain_text("The way back", timeout=WAIT)
        expect(other.locator("#status .line.done")).to_contain_text("The way back", timeout=WAIT)
        assert other.evaluate("window.came") < page.evaluate("window.came")
    for session in others:
        answered(server, session)


def test_a_stopped_way_back_is_made_when_somebody_looks(
    page: Page, server: PageServer, tmp_path: Path
) -> None:
    large = file(tmp_path, (1600, 1200))
    unseen(page)
    page.get_by_role("button", name="Stop").click()
    page.unroute(FAKE)
    assert said(page, "done").inner_text().startswith("Translated in")
    expect(page.locator("#fake img.picture")).to_be_visible()
    # Somebody else's translation there and back, in which time this one's would have come.
    assert translated(server, large)["recovered"]
    expect(page.locator("#status .line.working")).to_have_count(0)
    token = source(page, "fake").split("/")[-2]
    assert not facts_of(server, {"token": token})["recovered"]

    page.locator("#views input[value=cycle]").check(force=True)
    expect(page.locator("#status .line.done")).to_contain_text("The way back", timeout=WAIT)
    assert mean(shown(page, "recovered")) == pytest.approx(BLACK, abs=3)
    page.reload()
    expect(page.locator("#recovered img.picture")).to_be_visible(timeout=WAIT)


def test_a_result_that_came_as_far_as_the_way_there_is_completed_after_a_reload(
    page: Page, server: PageServer
) -> None:
    unseen(page)
    page.get_by_role("button", name="Stop").click()
    page.unroute(FAKE)
    said(page, "done")
    expect(page.locator("#recent img").first).to_be_visible()
    page.reload()
    expect(page.locator("#status .line.done")).to_contain_text("The way back", timeout=WAIT)
    assert mean(shown(page, "recovered")) == pytest.approx(BLACK, abs=3)
