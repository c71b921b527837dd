"""The server before strangers: its flags, its login, and its prefix."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from asking import ask, log_in, png
from gradio_client import Client, handle_file
from page_server import PageServer, painter, watched_page
from PIL import Image
from playwright.sync_api import Browser, expect
from proxy import proxied
from running_page import running
from studio_page import give, said, shown, source
from training_tab import Training, expect_shade

import app
from cyclegan.ui.guard import OPEN, OPEN_BELOW

WAIT = 30_000
USER, PASSWORD = "anna", "s3cret: with a colon"
PREFIX = "/zoo/zebras"


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def weights(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painter(constant_weights, tmp_path_factory.mktemp("w") / "painter", "apple", "orange")


# Flags


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--auth", "anna"], "a user and a password are needed"),
        (["--auth", ":secret"], "a user and a password are needed"),
        (["--auth", "anna:"], "a user and a password are needed"),
        (["--max-file-size", "50 pounds"], "'50 pounds' is no size"),
        (["--max-file-size", "0mb"], "'0mb' is no size"),
        (["--root-path", "zebras"], "'zebras' is no path"),
        (["--root-path", "/a b"], "'/a b' is no path"),
        (["--max-loaded", "0"], "'0' is no number from 1 on"),
        (["--port", "http"], "invalid int value: 'http'"),
        (["--tea"], "unrecognized arguments: --tea"),
    ],
)
def test_a_wrong_flag_is_one_sentence(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        app.main(flags)
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert said.err.startswith("app.py: ")
    assert complaint in said.err
    assert said.err.count("\n") == 1


def test_flags_and_environment_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    options = app.parse(["--auth", "anna:a:b", "--max-file-size", "2KB", "--root-path", "/x/y/"])
    assert options.auth == ("anna", "a:b")
    assert options.max_file_size == 2048
    assert options.root_path == "/x/y"
    assert app.parse([]).auth is None
    assert app.parse([]).max_file_size == 50 * 2**20
    monkeypatch.setenv("CYCLEGAN_AUTH", "ben:c")
    monkeypatch.setenv("CYCLEGAN_MAX_LOADED", "2")
    monkeypatch.setenv("CYCLEGAN_MAX_FILE_SIZE", "1mb")
    options = app.parse([])
    assert (options.auth, options.max_loaded, options.max_file_size) == (("ben", "c"), 2, 2**20)
    assert app.parse(["--auth", "anna:a"]).auth == ("anna", "a")


def test_a_wrong_login_in_the_environment_does_not_open_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CYCLEGAN_AUTH", "no-colon")
    with pytest.raises(SystemExit):
        app.main([])
    assert "a user and a password are needed" in capsys.readouterr().err


# Login


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[gr.Blocks]:
    """The page in this process, with a login, so that its routes can be listed."""
    with running(tmp_path, auth=(USER, PASSWORD)) as page:
        yield page


def doors(page: gr.Blocks) -> set[tuple[str, str]]:
    """Method and path of every route of a running page, gradio's and ours."""
    app = page.app
    found = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    for route in app.routes:
        for method in getattr(route, "methods", None) or ():
            found.add((method, route.path))
    return found


def test_without_a_login_only_the_login_answers(guarded: gr.Blocks) -> None:
    url = guarded.local_url.rstrip("/")
    found = doors(guarded)
    ours = {path.split("/")[1] for _, path in found}
    assert {"training", "words", "gradio_api", "config"} <= ours
    assert ("POST", "/gradio_api/upload") in found
    assert len(found) > 60

    cookie = log_in(url, USER, PASSWORD)
    for method, path in sorted(found):
        asked = re.sub(r"{[^}]*}", "1", path)
        public = path in OPEN or path.startswith(OPEN_BELOW)
        code, _, body = ask(url + asked, method, b"{}" if method == "POST" else None)
        shut = (code, body) if method != "HEAD" else (code, b"Log in first.")
        closed = code == 404 and body in (b"Not found", b"")
        assert public or closed or shut == (401, b"Log in first."), (method, path, code, body[:99])
        for dodge in (f"/{asked}", f"{asked}/", f"/.{asked}", f"/assets/..{asked}"):
            code, _, body = ask(url + dodge, method, b"{}" if method == "POST" else None)
            assert public or code in (401, 403, 404, 405, 307), (method, dodge, code, body[:99])

    # What is open says nothing but that there is a login.
    _, _, start = ask(url + "/")
    config = json.loads(re.search(rb"window.gradio_config = (.*?);</script>", start)[1])  # type: ignore[index]
    assert config["auth_required"] is True
    assert (config["components"], config["dependencies"]) == ([], [])
    for path in ("/config", "/words/en.json", "/training/runs.json", "/gradio_api/info"):
        assert ask(url + path, Cookie=cookie)[0] == 200, path
        assert ask(url + path, Cookie=cookie.split("=")[0] + "=guessed")[0] == 401, path


def test_a_wrong_password_is_refused_and_logging_out_ends_the_session(guarded: gr.Blocks) -> None:
    url = guarded.local_url.rstrip("/")
    for password in ("", "s3cret", PASSWORD + " "):
        with pytest.raises(KeyError):
            log_in(url, USER, password)
    cookie = log_in(url, USER, PASSWORD)
    assert ask(url + "/training/runs.json", Cookie=cookie)[0] == 200
    ask(url + "/logout", Cookie=cookie)
    assert ask(url + "/training/runs.json", Cookie=cookie)[0] == 401


def test_the_pages_of_other_sites_cannot_use_the_session(guarded: gr.Blocks) -> None:
    url = guarded.local_url.rstrip("/")
    cookie, path = log_in(url, USER, PASSWORD), url + "/training/runs.json"
    assert ask(path, Cookie=cookie, Origin=url)[0] == 200
    for origin in ("https://evil.example", "null", url + ".evil.example"):
        assert ask(path, Cookie=cookie, Origin=origin)[0] == 403


# Behind a prefix, with and without a login


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "kept"])
def behind(
    request: pytest.FixtureRequest, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, PageServer]]:
    """A page with a login behind a proxy, and the address there."""
    folder = tmp_path_factory.mktemp("behind")
    Training(folder / "runs" / "fruit").train(4)
    server = PageServer(
        folder,
        *("--weights", weights, "--runs", folder / "runs", "--root-path", PREFIX),
        CYCLEGAN_AUTH=f"{USER}:{PASSWORD}",
    )
    with proxied(server.url, PREFIX, strip=request.param) as url:
        yield url, server
    server.stop()


def test_behind_a_prefix_the_page_works_after_the_login(
    behind: tuple[str, PageServer], browser: Browser
) -> None:
    url, server = behind
    with watched_page(browser, server, url=url, expected=r"400 \(Bad Request\)|favicon") as page:
        page.get_by_label("username").fill(USER)
        page.get_by_label("password").fill("wrong")
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_text("Incorrect Credentials")).to_be_visible(timeout=WAIT)
        page.get_by_label("username").fill(USER)
        page.get_by_label("password").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        give(page, png())
        said(page, "done")
        # By the picture it may be either direction.
        ends = [shown(page, name).getextrema()[0] for name in ("fake", "recovered")]
        assert sorted(ends) == [(0, 0), (255, 255)]
        picture = source(page, "fake")
        assert picture.startswith(url)
        download = f"{picture.rsplit('/', 1)[0]}/download/fake?format=png"
        assert "attachment" in page.request.get(download).headers["content-disposition"]
        frame = page.request.post(f"{url}/live/frame?visitor=anna-anna", data=jpeg())
        assert frame.headers["content-type"].startswith("image/")

        page.get_by_role("tab", name="Training").click()
        expect_shade(page, 30)
    # Whoever has not logged in cannot look at them either.
    for path in (download, picture):
        assert ask(path)[0] == 401


def test_behind_a_prefix_programs_work(behind: tuple[str, PageServer], tmp_path: Path) -> None:
    url, _ = behind
    photo = tmp_path / "photo.png"
    photo.write_bytes(png())
    client = Client(url + "/", auth=(USER, PASSWORD), verbose=False)
    fake, recovered, figures = client.predict(handle_file(photo), api_name="/translate")
    colours = [Image.open(path).convert("RGB").getextrema() for path in (fake, recovered)]
    assert colours == [((255, 255),) * 3, ((0, 0),) * 3]
    assert figures["model"] == "painter"
