"""What the server keeps to itself: files, other visitors, doors of gradio that nobody needs."""

import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from asking import META, ask, data_url, png, upload
from page_server import PageServer, http, painter


@pytest.fixture(scope="module")
def weights(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painter(constant_weights, tmp_path_factory.mktemp("w") / "painter", "apple", "orange")


@pytest.fixture(scope="module")
def page(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A page for everybody, with a small limit."""
    server = PageServer(
        tmp_path_factory.mktemp("page"), "--weights", weights, "--max-file-size", "100kb"
    )
    yield server
    server.stop()


@pytest.fixture
def inside() -> Iterator[tuple[str, list[str]]]:
    """A server that only this machine reaches, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png())

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret.png", asked
    server.shutdown()
    server.server_close()


def test_a_request_cannot_name_files_of_the_machine(page: PageServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())
    _, mine = upload(page.url, "mine.png", png((20, 20)))
    link = Path(mine).with_name("link.png")
    link.symlink_to(secret)
    above = Path(mine).parents[len(Path(mine).parents) - 2]
    names = (
        *(secret, secret.as_uri(), f"file:{secret}", link),
        f"{mine}/../../../..{secret}",
        *("/etc/passwd", "/proc/self/environ", "../../../../../../etc/passwd", "~/.bashrc", ""),
        *(above, "\0", "x" * 10_000),
    )
    for name in map(str, names):
        for value in (
            {"path": name, "meta": META},
            {"path": name},
            {"path": name, "url": data_url(png()), "meta": META},
            {"value": {"path": name, "meta": META}},
        ):
            kind, said = page.translate(value, "", "a2b")
            assert kind == "error", (value, said)
            assert set(said) <= {"error", "visible", "duration", "title"}
            assert said["error"].startswith(("This file was not uploaded", "This request cannot"))
    assert page.translate({"path": mine, "meta": META}, "", "a2b")[0] == "complete"


def test_a_request_cannot_have_the_server_fetch_anything(
    page: PageServer, inside: tuple[str, list[str]]
) -> None:
    url, asked = inside
    assert ask(url)[0] == 200
    asked.clear()
    for value in (
        {"path": url, "meta": META},
        {"path": url, "url": url, "meta": META},
        {"url": url},
        {"url": url, "meta": META},
    ):
        kind, said = page.translate(value, "", "a2b")
        assert kind == "error", said
        assert said["error"].endswith(".")
    for path in (f"file={url}", f"file/{url}", f"proxy={url}", f"file={url.replace('//', '/')}"):
        assert ask(f"{page.url}/gradio_api/{path}")[0] in (400, 403, 404)
    assert asked == []


def test_routes_for_files_serve_no_others(page: PageServer, weights: Path) -> None:
    steps = ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/")
    ours = ("/training/client/", "/training/client/studio/", "/studio/results/x/", "/words/")
    for target in ("/etc/passwd", str(weights / "config.json"), "/proc/self/environ"):
        up = "../" * 12 + target[1:]
        dots = up.replace("..", "%2e%2e")
        for start in (*steps, *ours):
            for name in (
                target,
                up,
                dots,
                up.replace("/", "%2f"),
                f"file://{target}",
                f"/{target}",
            ):
                code, _, body = ask(page.url + start + name)
                assert code in (400, 403, 404, 422), (start, name, code)
                assert b"root:" not in body and b"label_a" not in body and b"PATH=" not in body


def test_uploads_can_be_neither_listed_nor_guessed(page: PageServer) -> None:
    _, path = upload(page.url, "holiday-in-rome.png", png((33, 44)))
    assert ask(f"{page.url}/gradio_api/file={path}")[0] == 200
    folder = Path(path).parent
    # The name of the folder says nothing to somebody who has the same picture.
    assert len(folder.name) == 64
    assert folder.name != hashlib.sha256(png((33, 44))).hexdigest()
    for place in (folder, f"{folder}/", folder.parent, f"{folder.parent}/*", f"{folder}/.."):
        assert ask(f"{page.url}/gradio_api/file={place}")[0] in (403, 404)
    kind, _ = page.translate({"path": path, "meta": META}, "", "a2b")
    assert kind == "complete"
    for public in (
        *("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/openapi.json"),
        *("/gradio_api/queue/status", "/gradio_api/upload_progress?upload_id=1"),
        *("/gradio_api/user", "/gradio_api/token", "/training/runs.json"),
    ):
        _, _, body = ask(page.url + public)
        assert b"holiday-in-rome" not in body, public
        assert folder.name.encode() not in body, public


def test_one_visitor_does_not_see_another_in_the_queue(page: PageServer) -> None:
    file = {"url": data_url(png())}
    join = {"data": [file], "session_hash": "of-anna"}
    event = page.post("/gradio_api/call/translate", join)["event_id"]
    assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f-]{36}", event), (
        "a number that is guessed is no secret"
    )
    status = json.loads(page.get("/gradio_api/queue/status"))
    assert {name for name, value in status.items() if value is not None} <= {"msg", "queue_size"}
    for path in ("call/translate/" + "0" * 32, "queue/data?session_hash=of-ben"):
        code, _, body = ask(f"{page.url}/gradio_api/{path}")
        assert code == 404 or b"picture" not in body
        assert b"complete" not in body
    assert b"complete" in page.get(f"/gradio_api/call/translate/{event}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/run/translate"),
        ("POST", "/gradio_api/api/translate"),
        ("POST", "/gradio_api/process_recording"),
        ("GET", "/gradio_api/deep_link?session_hash=of-anna"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/run-history/buckets"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/monitoring/key"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/vibe-code"),
        ("GET", "/gradio_api/proxy=http://example.com/"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/docs"),
    ],
)
def test_doors_of_gradio_that_nobody_needs_are_closed(
    page: PageServer, method: str, path: str
) -> None:
    body = json.dumps({"data": [{"url": data_url(png())}], "prompt": "x", "code": "x"}).encode()
    code, _, answer = ask(
        page.url + path, method, body if method == "POST" else None, Content_Type="application/json"
    )
    assert code in (403, 404, 405), answer[:200]


def test_only_what_is_documented_can_be_called(page: PageServer) -> None:
    named = json.loads(page.get("/gradio_api/info"))["named_endpoints"]
    assert set(named) <= {"/translate", "/generate", "/batch", "/models"}
    assert "/translate" in named


def test_what_is_too_large_is_refused(page: PageServer) -> None:
    code, said = upload(page.url, "large.png", bytes(101 * 1024))
    assert code == 413
    assert "maximum allowed size" in said
    assert upload(page.url, "small.png", bytes(99 * 1024))[0] == 200
    # In the request itself, with its length announced and without.
    body = json.dumps({"data": [{"url": data_url(bytes(1_500_000))}]}).encode()
    url, kind = page.url + "/gradio_api/call/translate", "application/json"
    code, _, answer = ask(url, "POST", body, Content_Type=kind)
    assert (code, b"This request is larger than" in answer) == (413, True)
    chunks = (body[place : place + 65536] for place in range(0, len(body), 65536))
    request = urllib.request.Request(url, chunks, {"Content-Type": kind})  # type: ignore[arg-type]
    with pytest.raises(urllib.error.HTTPError) as refusal:
        http.open(request, timeout=30)
    assert refusal.value.code == 413


def test_pages_of_other_sites_read_nothing_from_a_page_at_home(page: PageServer) -> None:
    for path in ("/config", "/gradio_api/info", "/training/runs.json", "/words/en.json"):
        for origin in ("https://evil.example", "null"):
            _, headers, _ = ask(page.url + path, Origin=origin)
            assert "access-control-allow-origin" not in headers
    preflight = {"Access_Control_Request_Method": "POST", "Origin": "https://evil.example"}
    _, headers, _ = ask(page.url + "/gradio_api/queue/join", "OPTIONS", **preflight)
    assert "access-control-allow-origin" not in headers


def test_pictures_are_gone_when_the_server_ends(weights: Path, tmp_path: Path) -> None:
    server = PageServer(tmp_path, "--weights", weights)
    _, path = upload(server.url, "holiday.png", png())
    file = {"path": path, "meta": META}
    while "still loading" in str(said := server.translate(file, "", "a2b")):
        pass
    results = [Path(result["path"]) for result in said[1][:2]]
    assert all(place.exists() for place in (Path(path), *results))
    server.stop()
    assert not any(place.exists() for place in (Path(path), *results))


def test_the_log_has_no_traceback(page: PageServer) -> None:
    # Last in this file, so that it speaks for everything above.
    assert "Traceback" not in page.log, page.log
