"""The Batch tab in Chromium: files are dropped, a zip is downloaded."""

import base64
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_server import PageServer, watched_page
from painted import packed, painted_page, photo, unpacked
from PIL import Image
from playwright.sync_api import Browser, Page, expect

WAIT = 60_000
WHITE, BLACK = ((255, 255),) * 3, ((0, 0),) * 3


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    with painted_page(constant_weights, tmp_path_factory.mktemp("batch")) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    with watched_page(browser, server) as page:
        page.get_by_role("tab", name="Batch").click()
        expect(page.locator("#batch-direction label")).to_have_count(3, timeout=WAIT)
        yield page


def drop(page: Page, files: dict[str, bytes]) -> None:
    """Let go of files over the field, as somebody does who drags them from a folder."""
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, content] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
                transfer.items.add(new File([bytes], name));
            }
            return transfer;
        }""",
        {name: base64.b64encode(content).decode() for name, content in files.items()},
    )
    target = page.locator("#batch-files button").first
    target.dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.locator("#batch-files tr.file")).to_have_count(len(files), timeout=WAIT)


def test_dropped_files_and_a_zip_come_back_as_one_zip(page: Page, tmp_path: Path) -> None:
    inner = packed(tmp_path / "x.zip", {"beach/b.jpg": photo(), "notes.txt": b"x"})
    drop(page, {"a.png": photo("PNG"), "words.png": b"words", "x.zip": inner.read_bytes()})
    page.locator("#batch-direction").get_by_label("white → black").check(force=True)
    page.get_by_label("Also translate back").check()
    page.get_by_role("button", name="Translate all").click()
    done = page.locator("#batch-status .done")
    expect(done).to_have_text(
        re.compile(r"^Translated 2 photos in .+\. 2 files were left out; see below\.$"),
        timeout=WAIT,
    )
    expect(page.locator("#batch-pictures img")).to_have_count(2)
    expect(page.get_by_alt_text("beach/b.jpg and its translation")).to_be_visible()
    expect(page.locator("#batch-problems li")).to_have_text(
        [
            "notes.txt is no picture.",
            re.compile(r"^words\.png is not a picture that can be read"),
        ]
    )
    with page.expect_download() as download:
        page.get_by_text(re.compile(r"Download 2 results \(\d+ kB\)")).click()
    assert download.value.suggested_filename == "painter.zip"
    results = unpacked(download.value.path())
    assert sorted(results) == [
        *("a.png", "a.recovered.png", "beach/b.jpg", "beach/b.recovered.jpg", "report.csv"),
    ]
    assert Image.open(io.BytesIO(results["beach/b.jpg"])).getextrema() == BLACK
    assert Image.open(io.BytesIO(results["a.recovered.png"])).getextrema() == WHITE


def many(count: int = 60) -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 700), "red").save(buffer, "JPEG")
    return {f"{index}.jpg": buffer.getvalue() for index in range(count)}


def test_a_batch_shows_how_far_it_is_and_stops_with_what_it_has(page: Page) -> None:
    drop(page, many())
    page.get_by_role("button", name="Translate all").click()
    expect(page.locator("#batch-status p")).to_have_text(
        re.compile(r"^\d+ of 60: \d+\.jpg · about \d+ (s|min) to go$"), timeout=WAIT
    )
    bar = page.get_by_role("progressbar", name="Progress of the batch")
    expect(bar).to_have_attribute("max", "60")
    page.get_by_role("button", name="Stop here").click()
    expect(page.locator("#batch-status .done")).to_have_text(
        re.compile(r"^Stopped: \d+ of 60 photos are translated, in .+\.$"), timeout=WAIT
    )
    expect(page.get_by_role("button", name="Translate all")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Download \d+ results?"))).to_be_visible()


def test_a_batch_ends_when_its_visitor_leaves_and_others_are_served_meanwhile(
    browser: Browser, server: PageServer
) -> None:
    batches = server.cwd.parent / "gradio" / "batches"
    with watched_page(browser, server) as page:
        page.get_by_role("tab", name="Batch").click()
        drop(page, many())
        before = set(batches.iterdir()) if batches.exists() else set()
        page.get_by_role("button", name="Translate all").click()
        expect(page.locator("#batch-status p")).to_contain_text("of 60", timeout=WAIT)
        content = "data:image/png;base64," + base64.b64encode(photo("PNG")).decode()
        assert server.translate({"url": content}, "", "a2b")[0] == "complete"
        expect(page.locator("#batch-status p")).to_contain_text("of 60")
        (own,) = set(batches.iterdir()) - before
    deadline = time.monotonic() + 60
    while own.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not own.exists()
    assert "Traceback" not in server.log


def test_the_tab_speaks_chinese_on_a_phone(
    browser: Browser, server: PageServer, tmp_path: Path
) -> None:
    phone: dict[str, Any] = {"locale": "zh-CN", "viewport": {"width": 390, "height": 800}}
    with watched_page(browser, server, **phone) as page:
        page.get_by_role("tab", name="批量").click()
        expect(page.locator("#batch-limits")).to_contain_text("每次最多 200 张照片、共 200 MB")
        drop(page, {"a.png": photo("PNG"), "words.png": b"words"})
        page.get_by_role("button", name="全部转换").click()
        expect(page.locator("#batch-status .done")).to_contain_text("已转换 1 张照片", timeout=WAIT)
        expect(page.locator("#batch-problems li")).to_contain_text("不是可读取的图片")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
