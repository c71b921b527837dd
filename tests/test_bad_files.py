"""Bad and odd files, sent by programs and by people: read right, or refused in one sentence."""

import io
import re
import socket
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asking import META, upload
from bad_files import FILES, Shows, check
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, expect
from studio_page import WAIT, give, shown


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    server = PageServer(folder, "--weights", painter(constant_weights, folder / "w", "a", "b"))
    yield server
    assert "Traceback" not in server.log, server.log
    server.stop()


def test_an_upload_broken_off_is_no_fault_of_the_page(server: PageServer) -> None:
    """As a browser does when another photo is given before the first has gone up."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: page\r\nContent-Length: 100000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        # Once something else has been answered, the page is at work on this one.
        server.get("/theme.css")
    assert server.get("/theme.css")
    assert "Traceback" not in server.log, server.log


@pytest.mark.parametrize("name", FILES, ids=lambda name: ascii(name)[:40])
def test_through_the_api(server: PageServer, name: str) -> None:
    make, expected = FILES[name]
    file = {"path": upload(server.url, name, make())[1], "meta": META}
    # At strength 0 the result is the picture as it was read.
    kind, said = server.translate(file, "", "a2b", 0, 0)
    if isinstance(expected, Shows):
        assert kind == "complete", said
        path = urllib.parse.quote(said[0]["url"].removeprefix(server.url))
        with Image.open(io.BytesIO(server.get(path))) as image:
            check(image, expected)
    else:
        assert kind == "error"
        assert expected in said["error"]
        assert said["error"].endswith(".")
        assert len(said["error"]) < 250
        assert not {"\n", "/"} & set(said["error"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_through_the_page(server: PageServer, browser: Browser) -> None:
    """One visitor chooses every file, one after the other."""
    with watched_page(browser, server) as page:
        before = ""
        for name, (make, expected) in FILES.items():
            give(page, make(), Path(name).name)
            if isinstance(expected, Shows):
                page.wait_for_function(
                    """before => document.querySelector("#status .line.done")
                        && document.querySelector("#real img.picture")?.src !== before""",
                    arg=before,
                )
                # What is seen is a WebP of it.
                check(shown(page, "real"), replace(expected, tolerance=16))
                before = page.locator("#real img.picture").evaluate("image => image.src")
            else:
                failed = page.locator("#status .line.failed")
                expect(failed).to_contain_text(expected, timeout=WAIT)
                if re.fullmatch(r"[\w.-]{1,40}", name, re.ASCII):
                    expect(failed).to_contain_text(name, timeout=WAIT)
