"""The Models tab and /models as people and programs meet them: a real app.py, a real Chromium."""

import base64
import io
import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import wait_for
from hub_server import TOKEN, HubServer
from page_server import PageServer, http, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from studio_page import WAIT, give, mean, plain, said, shown

from cyclegan import guests

# Nearly every test starts a server of its own.
pytestmark = pytest.mark.slow

CARD = """---
license: cc-by-4.0
---
# painter

Paints. ![spy](https://tracker.example/spy.png) <img src="https://tracker.example/b.png">

## Data and licence

Ten walls, photographed by nobody.

## Use

`python app.py --weights someone/guest` <script>document.title = "taken"</script>
"""


def webp() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 80), (200, 30, 30)).save(buffer, "WEBP")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(constant_weights: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in constant_weights.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_repo("someone/host", files)
        server.add_repo("tester/secret", files, private=True)
        card = {"README.md": CARD.encode(), "samples.webp": webp()}
        server.add_repo("someone/guest", {**files, **card})
        yield server


@pytest.fixture
def server(hub: HubServer, constant_weights: Path, tmp_path: Path) -> Iterator[PageServer]:
    """A page with a model from the Hub, one from a folder and one that is nowhere."""
    folder = painter(constant_weights, tmp_path / "private" / "walls", "brick", "stone")
    with serving(hub, tmp_path, "--weights", "someone/host", folder, "someone/missing") as server:
        yield server


class serving:
    """A page whose host has a token to the Hub, for as long as it is needed."""

    def __init__(self, hub: HubServer, folder: Path, *arguments: str | Path) -> None:
        account = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        self.server = PageServer(folder / "page", *arguments, **account)

    def __enter__(self) -> PageServer:
        return self.server

    def __exit__(self, *exception: object) -> None:
        self.server.stop()


def open_models(page: Page) -> None:
    page.get_by_role("tab", name="Models").click()
    expect(panel(page, "walls")).to_be_visible(timeout=WAIT)


def panel(page: Page, name: str) -> Locator:
    return page.locator(f'article[data-model="{name}"]')


def add(page: Page, name: str) -> None:
    page.get_by_label("Another model from the Hugging Face Hub").fill(name)
    page.get_by_role("button", name="Add", exact=True).click()


def status(page: Page, kind: str) -> Locator:
    line = page.locator(f"#models-status .line.{kind}")
    expect(line).to_be_visible(timeout=WAIT)
    return line


def models(server: PageServer) -> list[dict[str, Any]]:
    """What /models says, asked as curl does."""
    event = server.post("/gradio_api/call/models", {"data": []})["event_id"]
    stream = server.get(f"/gradio_api/call/models/{event}").decode()
    return json.loads(stream.split("data: ", 1)[1].splitlines()[0])[0]


def test_a_model_that_is_pasted_translates_without_a_restart(
    browser: Browser, server: PageServer, hub: HubServer
) -> None:
    with watched_page(browser, server) as page:
        open_models(page)
        hub.requests.clear()
        add(page, "someone/guest")
        assert status(page, "done").inner_text() == (
            "guest is here; everybody who uses this page can use it now."
        )
        # Not with the host's token.
        asked = [r for r in hub.requests if "someone/guest" in r.path or "storage" in r.path]
        assert asked
        assert {request.token for request in asked} == {None}
        shown_panel = panel(page, "guest")
        expect(shown_panel).to_contain_text("Added by a visitor of this page;")
        expect(shown_panel).to_contain_text("black ⇄ white")
        expect(shown_panel).to_contain_text("cc-by-4.0")
        expect(shown_panel).to_contain_text("Ten walls, photographed by nobody.")
        expect(shown_panel).to_contain_text(hub.repos["someone/guest"].refs["main"][:7])
        # Samples are the page's own copy; nothing else in the card is fetched or run, which
        # `watched_page` looks at too.
        sheet = shown_panel.locator("img")
        expect(sheet).to_have_count(1)
        sheet.scroll_into_view_if_needed()
        page.wait_for_function("(image) => image.naturalWidth === 320", arg=sheet.element_handle())
        card = shown_panel.get_by_text("The rest of the model card")
        card.click()
        expect(shown_panel.get_by_text("<script>")).to_be_visible()
        assert page.title() != "taken"

        shown_panel.get_by_role("button", name="Translate with it").click()
        expect(page.get_by_role("tab", name="Translate")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#studio .chooser select")).to_have_value("guest")
        give(page, plain())
        said(page, "done")
        assert mean(shown(page, "fake"))[0] > 250
    # For everybody, and for programs.
    with watched_page(browser, server) as page:
        open_models(page)
        expect(panel(page, "guest")).to_be_visible()


def test_programs_are_told_what_there_is_and_nothing_private(
    server: PageServer, hub: HubServer, tmp_path: Path, browser: Browser
) -> None:
    with watched_page(browser, server) as page:
        open_models(page)
        expect(panel(page, "missing")).to_contain_text("Cannot be used", timeout=WAIT)
        expect(panel(page, "walls")).to_contain_text("a folder on this machine")
        assert str(tmp_path) not in page.content()
    listed = {model["name"]: model for model in models(server)}
    assert list(listed)[:3] == ["host", "walls", "missing"]
    assert listed["host"] == {
        "name": "host",
        "source": "someone/host",
        "state": "ready",
        "revision": hub.repos["someone/host"].refs["main"],
        "labels": {"a": "black", "b": "white"},
        "directions": ["a2b", "b2a"],
        "image_size": 16,
        "family": "cyclegan",
        "licence": None,
        "parameters": listed["walls"]["parameters"],
        "bytes": len(hub.files("someone/host")["model.safetensors"]),
        "reason": None,
    }
    assert listed["host"]["parameters"] > 1000
    assert (listed["walls"]["source"], listed["walls"]["revision"]) == (None, None)
    assert listed["missing"]["state"] == "failed"
    assert str(tmp_path) not in json.dumps(listed)


def test_a_newer_revision_is_shown_and_used_after_a_reload(
    browser: Browser, server: PageServer, hub: HubServer, files: dict[str, bytes]
) -> None:
    with watched_page(browser, server) as page:
        wait_for(lambda: "loading" not in [model["state"] for model in models(server)])
        config = {**json.loads(files["config.json"]), "label_a": "soot"}
        newest = hub.add_repo("someone/host", {"config.json": json.dumps(config).encode()})
        open_models(page)
        note = panel(page, "host").locator(".note.newer")
        expect(note).to_contain_text(newest[:7], timeout=WAIT)
        expect(panel(page, "host")).to_contain_text("black ⇄ white")
        note.get_by_role("button", name="Reload").click()
        assert status(page, "done").inner_text() == "host is up to date."
        expect(panel(page, "host")).to_contain_text("soot ⇄ white")
        expect(note).to_have_count(0)
    kind, outputs = server.translate({"url": picture()}, "host", "a2b")
    assert kind == "complete"
    assert outputs[2]["revision"] == newest


def picture() -> str:
    return "data:image/png;base64," + base64.b64encode(plain()).decode()


def test_a_model_that_failed_can_be_tried_again(
    browser: Browser, server: PageServer, hub: HubServer, files: dict[str, bytes]
) -> None:
    with watched_page(browser, server) as page:
        open_models(page)
        missing = panel(page, "missing")
        expect(missing.locator(".note.failed")).to_contain_text("Cannot pull someone/missing")
        missing.get_by_role("button", name="Try again").click()
        assert "Cannot pull someone/missing" in status(page, "failed").inner_text()
        hub.add_repo("someone/missing", files)
        missing.get_by_role("button", name="Try again").click()
        expect(missing).to_contain_text("On the disk; loads on first use", timeout=WAIT)


def test_what_cannot_be_had_is_one_sentence_each(
    browser: Browser, server: PageServer, hub: HubServer, files: dict[str, bytes]
) -> None:
    hostile = {**json.loads(files["config.json"]), "image_size": 10**12}
    hub.add_repo("evil/config", {**files, "config.json": json.dumps(hostile).encode()})
    hub.add_repo("evil/pickle", {**files, "model.safetensors": b"\x80\x02cos\nsystem\n"})
    hub.add_repo("evil/large", {**files, "README.md": bytes(guests.MOST_BYTES["README.md"] + 1)})
    hub.add_repo("evil/other", {"config.json": b'{"architectures": ["Bert"]}', "model.bin": b"x"})
    refusals = {
        "": "Write the name of a model first, as in USER/NAME.",
        "painter": "'painter' is not the name of a Hub repository; write USER/NAME[@REVISION].",
        "nobody/nothing": "has no model nobody/nothing, or not for everybody",
        # The host's token would open it.
        "tester/secret": "has no model tester/secret, or not for everybody",
        "evil/large": "evil/large is too large for this page: README.md has 1.0 MB",
        "evil/other": "evil/other holds no weights for this page: it has no model.safetensors.",
        "evil/config": "image_size is 1,000,000,000,000, of at most 1,024",
        "evil/pickle": "is damaged or cut short",
    }
    with watched_page(browser, server) as page:
        open_models(page)
        before = page.locator("article").count()
        for name, sentence in refusals.items():
            add(page, name)
            expect(status(page, "failed")).to_contain_text(sentence, timeout=WAIT)
        assert page.locator("article").count() == before
    assert not any("evil/large/resolve" in request.path for request in hub.requests)


def test_folders_can_be_named_where_the_page_is_for_this_machine_only(
    browser: Browser, server: PageServer, hub: HubServer, constant_weights: Path, tmp_path: Path
) -> None:
    near = painter(constant_weights, server.cwd / "runs" / "dusk" / "weights", "noon", "dusk")
    with watched_page(browser, server) as page:
        open_models(page)
        field = page.get_by_label("Or a folder on this machine")
        field.click()
        page.get_by_role("option", name=str(near.relative_to(server.cwd))).click()
        page.get_by_role("button", name="Add", exact=True).click()
        status(page, "done")
        expect(panel(page, "dusk")).to_contain_text("noon ⇄ dusk")
    with (
        serving(hub, tmp_path / "open", "--host", "0.0.0.0", "--weights", "someone/host") as public,
        watched_page(browser, public) as page,
    ):
        page.get_by_role("tab", name="Models").click()
        expect(panel(page, "host")).to_be_visible(timeout=WAIT)
        expect(page.get_by_label("Or a folder on this machine")).to_have_count(0)
        for place in (str(near), f"{near}/../weights", "~"):
            add(page, place)
            expect(status(page, "failed")).to_contain_text("is not the name of a Hub repository")


def test_samples_are_pictures_of_models_and_nothing_else(server: PageServer) -> None:
    for query in ("", "?name=", "?name=missing", "?name=../../etc/passwd", "?name=walls"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            server.get(f"/models/samples.webp{query}")
        assert refusal.value.code == 404
    wait_for(lambda: models(server)[-1]["bytes"])
    with http.open(f"{server.url}/models/samples.webp?name=apples-oranges", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        with Image.open(io.BytesIO(answer.read())) as image:
            assert max(image.size) <= 1600


def test_the_tab_in_chinese_and_on_a_phone(browser: Browser, server: PageServer) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN"}
    with watched_page(browser, server, **phone) as page:
        page.get_by_role("tab", name="模型").click()
        article = panel(page, "apples-oranges")
        expect(article.get_by_role("button", name="用它转换")).to_be_visible(timeout=WAIT)
        expect(article).to_contain_text("在磁盘上；首次使用时载入")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
