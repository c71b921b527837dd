"""The Training tab for tests: runs that a test writes by hand, and what is seen of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from page_server import PageServer, watched_page
from playwright.sync_api import Browser, Page, expect

from cyclegan.runs import RunWriter

WAIT = 30_000
expect.set_options(timeout=WAIT)
ROWS = [["real_a", "fake_b", "recovered_a"], ["real_b", "fake_a", "recovered_b"]]
DESCRIPTION = {
    "format": 1,
    "model": "cyclegan",
    "labels": {"a": "apple", "b": "orange"},
    "images": {"a": 278, "b": 127},
    "rows": ROWS,
    "directions": ["a2b", "b2a"],
    "device": "cpu",
    "machine": "a small computer",
}
SIZE = 32
REAL = 250


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    server = PageServer(folder, "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture
def runs(server: PageServer) -> Iterator[Path]:
    folder = server.cwd.parent / "runs"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tab(browser: Browser, server: PageServer, runs: Path) -> Iterator[Page]:
    """The page with its Training tab open."""
    with watched_page(browser, server) as page:
        page.get_by_role("tab", name="Training").click()
        yield page


class Training:
    """Writes a run as a training does. The fakes of sample i are grey, of brightness 10 * i."""

    def __init__(self, folder: Path, probes: int = 2) -> None:
        self.writer = RunWriter(folder)
        self.probes = probes
        self.steps: list[int] = []
        self.writer.describe(DESCRIPTION)
        self.writer.probes({"real_a": self._grey(REAL), "real_b": self._grey(REAL)})

    def _grey(self, brightness: int) -> torch.Tensor:
        return torch.full((self.probes, 3, SIZE, SIZE), brightness / 127.5 - 1)

    def train(self, samples: int = 1, every: int = 100, total: int = 10_000) -> None:
        """Go on for some samples."""
        for _ in range(samples):
            step = every * (len(self.steps) + 1)
            shade = self._grey(10 * len(self.steps) % 240)
            made = [name for row in ROWS for name in row if not name.startswith("real")]
            self.writer.sample(step, dict.fromkeys(made, shade))
            self.steps.append(step)
            losses = {"generators/adversarial": 0.5, "generators/cycle": 2.0}
            losses["discriminators/adversarial"] = 0.25
            self.log("training", seconds=75.0, images_per_second=4.0, losses=losses)
            self.log("validation", images=3, losses=losses)
            error = [round(0.01 * (index + 1), 3) for index in range(self.probes)]
            self.log("probes", cycle_error={"a": error, "b": error})
        self.status("running", total, eta_seconds=3720)

    def log(self, kind: str, **values: Any) -> None:
        self.writer.metrics({"step": self.steps[-1], "kind": kind, **values})

    def status(self, phase: str, total: int = 10_000, **more: Any) -> None:
        step = self.steps[-1] if self.steps else 0
        self.writer.status(phase, step, total, device="cpu", **more)


def shade(page: Page, tile: str = "fake_b.0") -> int:
    """The brightness of a picture as it is on the screen; -1 while there is none."""
    return page.evaluate(
        """(tile) => {
            const canvas = document.querySelector(`[data-tile="${tile}"] canvas`);
            if (!canvas || canvas.width < 2) return -1;
            return canvas.getContext("2d").getImageData(9, 9, 1, 1).data[0];
        }""",
        tile,
    )


def expect_shade(page: Page, value: int, tile: str = "fake_b.0") -> None:
    """Wait until a picture has this brightness, give or take what WebP does to it."""
    expect(page.locator(f'[data-tile="{tile}"]')).to_be_visible()
    page.wait_for_function(
        """([tile, value]) => {
            const canvas = document.querySelector(`[data-tile="${tile}"] canvas`);
            if (!canvas || canvas.width < 2) return false;
            const [red] = canvas.getContext("2d").getImageData(9, 9, 1, 1).data;
            return Math.abs(red - value) <= 3;
        }""",
        arg=[tile, value],
    )


def note_steps(page: Page) -> None:
    """Keep in window.seen every step that is shown from now on."""
    page.evaluate(
        """() => {
            window.seen = [];
            const where = document.querySelector(".where");
            new MutationObserver(() => window.seen.push(parseInt(where.textContent.slice(5))))
                .observe(where, {childList: true, characterData: true, subtree: true});
        }"""
    )


def where(page: Page) -> Any:
    return expect(page.locator(".where"))
