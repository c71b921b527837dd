"""app.py in a process of its own, for the tests that look at it from outside."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
# Whatever proxy the machine has set up, the page is on this side of it.
http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PageServer:
    """Runs app.py until `stop`; `url` answers from the moment the constructor returns.

    It runs in an empty folder of its own, so that a test can see whether anything is written there.
    """

    def __init__(self, folder: Path, *arguments: str | Path, **environment: str) -> None:
        self.cwd = folder / "cwd"
        self.cwd.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log-{time.monotonic_ns()}.txt"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, str(ROOT / "app.py"), "--device", "cpu", "--port", str(port)]
        cache = {"GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HOME": str(folder / "hf")}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, *map(str, arguments)],
                env={**os.environ, "NO_PROXY": "127.0.0.1", **cache, **environment},
                cwd=self.cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 90
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"app.py did not come up:\n{self.log}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that app.py has printed."""
        return self._log.read_text()

    def get(self, path: str) -> bytes:
        """The answer to GET; raises urllib.error.HTTPError on any status but 2xx."""
        with http.open(self.url + path, timeout=30) as answer:
            return answer.read()

    def post(self, path: str, value: Any) -> Any:
        """The JSON answer to a POST of JSON."""
        body, headers = json.dumps(value).encode(), {"Content-Type": "application/json"}
        with http.open(
            urllib.request.Request(self.url + path, body, headers), timeout=60
        ) as answer:
            return json.load(answer)

    def translate(self, *data: Any) -> tuple[str, Any]:
        """Call /translate as curl does: ("complete", outputs) or ("error", what was said)."""
        event = self.post("/gradio_api/call/translate", {"data": data})["event_id"]
        stream = self.get(f"/gradio_api/call/translate/{event}").decode()
        kind, value = re.findall(r"event: (\w+)\ndata: (.*)", stream)[-1]
        return kind, json.loads(value)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            self.get("/theme.css")
        except OSError:
            return False
        return True


@contextmanager
def watched_page(
    browser: "Browser",
    server: PageServer,
    path: str = "/",
    expected: str = "$^",
    url: str = "",
    **context: Any,
) -> "Iterator[Page]":
    """Open the page; at the end neither it nor its server may have complained or asked outside.

    Complaints in the console that match `expected` are passed over. `url` is where the page is
    found instead, when something stands before the server.
    """
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    page = opened.new_page()
    page.set_default_timeout(30_000)
    outside: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: said.type == "error" and errors.append(f"{said.text} {said.location['url']}"),
    )
    url = url or server.url
    page.goto(url + path)
    yield page
    opened.close()
    assert [u for u in outside if not u.startswith((url, "data:", "blob:"))] == []
    assert [error for error in errors if not re.search(expected, error)] == []
    assert "Traceback" not in server.log, server.log


def painter(weights: Path, folder: Path, label_a: str, label_b: str) -> Path:
    """Copy a weights folder, rename its domains, and have it translate at any size without scaling.

    What networks paint all over is then what comes out.
    """
    shutil.copytree(weights, folder)
    path = folder / "config.json"
    change = {"label_a": label_a, "label_b": label_b, "short_sides": [1, 4096]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return folder
