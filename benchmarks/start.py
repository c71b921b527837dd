"""How long the page takes to start.

    python -m benchmarks.start [--starts N]

Every start is `python app.py` in a process of its own, with the weights that ship; the page counts
as there when it has answered a GET of "/" whole.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.report import machine, publish, spread, table

ROOT = Path(__file__).parent.parent
# Whatever proxy the machine has set up, the page is on this side of it.
http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# As `python -X importtime` writes it: microseconds of the module, and with all that it imports.
IMPORTED = re.compile(r"^import time: +\d+ \| +(\d+) \| cyclegan\.ui$", re.M)


class Served:
    """app.py in a process of its own, between `with` and its end.

    Args:
        interpreter: flags of Python.
        flags: of app.py.

    Attributes:
        url: where its page is.
        process: what psutil knows of it.
    """

    def __init__(self, *interpreter: str, flags: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, *interpreter, str(ROOT / "app.py")]
        self._command += ["--device", "cpu", "--port", str(port), *flags]

    def __enter__(self) -> "Served":
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.files, self._log = folder / "files", folder / "log.txt"
        self._started = time.perf_counter()
        with self._log.open("w") as log:
            self._child = subprocess.Popen(
                self._command,
                cwd=folder,
                env={**os.environ, "GRADIO_TEMP_DIR": str(self.files), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.process = psutil.Process(self._child.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.terminate()
        self._child.wait(30)
        self._folder.cleanup()

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def after(self, happened: Callable[[], bool]) -> float:
        """Seconds from the start until something has happened."""
        while not happened():
            if self._child.poll() is not None or time.perf_counter() - self._started > 300:
                raise SystemExit(f"The page did not start:\n{self.log}")
            time.sleep(0.02)
        return time.perf_counter() - self._started

    def answers(self) -> bool:
        """Whether the page is there."""
        try:
            with http.open(self.url, timeout=30) as answer:
                return len(answer.read()) > 0
        except OSError:
            return False

    def loaded(self) -> bool:
        """Whether a model is there to translate with."""
        return "Loaded " in self.log

    def peak(self) -> float:
        """Megabytes of memory that it has had at most; what it has now where that is not told."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return self.process.memory_info().rss / 2**20
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long the page takes to start.")
    parser.add_argument("--starts", type=int, default=5)
    starts = parser.parse_args().starts
    imports, pages, models, peaks = [], [], [], []
    for _ in range(starts):
        with Served("-X", "importtime") as page:
            pages.append(page.after(page.answers))
            found = IMPORTED.search(page.log)
            assert found
            imports.append(int(found[1]) / 1e6)
            models.append(page.after(page.loaded))
            peaks.append(page.peak())
    own = [page - before for page, before in zip(pages, imports, strict=True)]
    rows = [
        ["importing the page (`import cyclegan.ui`)", spread(imports, "s", 2)],
        ["start of the process to the first page", spread(pages, "s", 2)],
        ["**of which not importing**", f"**{spread(own, 's', 2)}**"],
        ["start of the process to the first model in memory", spread(models, "s", 2)],
        ["most memory by then", spread(peaks, "MB", 0)],
    ]
    publish(
        "start",
        "## Start of the page\n\n"
        f"`python app.py` with the weights that ship. Median of {starts} starts "
        "(least–greatest), files cached by the system; `-X importtime`, by which the imports are "
        "measured, slows them a little.\n\n"
        f"{table(['', ''], rows)}\n\n"
        f"`python -m benchmarks.start --starts {starts}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
