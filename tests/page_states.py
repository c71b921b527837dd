"""The whole page for tests that look at all of it: every tab, in the states that it can be in."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import draw_photo
from page_server import PageServer, painter
from playwright.sync_api import FilePayload, Page, expect
from training_tab import Training

# Complaints of the console that are meant: a picture, a model and a camera that are not to be had.
EXPECTED = "the server responded with a status of"
LOSSES = "The loss generators/cycle is not finite at step 300."
INVERTED = (
    "apple → orange comes out with light and dark exchanged: colours have inverted. Start anew "
    "with another --seed, a larger --lambda-identity, or --lambda-luminance 1."
)


@pytest.fixture(scope="module")
def studio(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a model, one that is missing, and three runs of which much is to be said."""
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "apple", "orange")
    finished = Training(folder / "runs" / "1-finished")
    finished.train(3)
    finished.status("finished")
    failed = Training(folder / "runs" / "2-failed")
    failed.train(1)
    failed.status("failed", error=LOSSES)
    busy = Training(folder / "runs" / "3-busy")
    busy.train(4)
    busy.log("alarm", active=True, message=INVERTED)
    busy.log("alarm", active=False, message=INVERTED)
    busy.log("rollback", **{"from": 400, "reason": LOSSES, "rate": 0.5})
    measured = {"a2b": 0.5, "b2a": 0.25}
    busy.log("probes", luminance_correlation=measured, diversity=measured, change=measured)
    busy.log("evaluation", scores={"fid": 3, "fid_a2b": 2}, extractor="tiny", protocol="5 + 5")
    busy.status("running", eta_seconds=3720, alarms=[{"message": INVERTED}])
    for step in (100, 200):
        # Only their names are looked at, until somebody tries one.
        path = folder / "runs" / "3-busy" / "checkpoint" / f"{step:08d}.pt"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    server = PageServer(folder, "--weights", weights, "someone/missing", "--runs", folder / "runs")
    yield server
    server.stop()


def go(page: Page, tab: str) -> None:
    """Open a tab by its id."""
    page.locator(f"#tab-{tab}-button").click()
    expect(page.locator(f"#tab-{tab}")).to_be_visible()


def picture(name: str = "apple.png", size: tuple[int, int] = (400, 300)) -> FilePayload:
    """A file to upload."""
    buffer = io.BytesIO()
    draw_photo("a", 0, size).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def _nothing_yet(page: Page) -> None:
    expect(page.locator("#examples img").first).to_be_visible()
    # The model that is missing takes its time to fail.
    expect(page.locator("#notice")).to_contain_text("someone/missing")


def _translated(page: Page) -> None:
    page.set_input_files("#studio input[type=file]", [picture()])
    expect(page.locator("#status .done")).to_be_visible()
    expect(page.locator("#recent img").first).to_be_visible()


def _view(name: str) -> Callable[[Page], None]:
    def look(page: Page) -> None:
        page.locator(f"#views label:has([value={name}])").click()

    return look


def _refused(page: Page) -> None:
    page.set_input_files("#studio input[type=file]", [{**picture(), "buffer": b"words"}])
    expect(page.locator("#status .failed")).to_be_visible()


def _live(page: Page) -> None:
    go(page, "live")
    expect(page.locator("#live button.go:visible")).to_be_enabled()


def _no_camera(page: Page) -> None:
    page.locator("#live button.go:visible").click()
    expect(page.locator("#live [role=status]:visible").first).to_be_visible()


def _batch(page: Page) -> None:
    go(page, "batch")
    expect(page.locator("#batch-limits")).not_to_be_empty()


def _batch_done(page: Page) -> None:
    files = [picture("one.png"), picture("two.png"), {**picture("bad.png"), "buffer": b"words"}]
    page.set_input_files("#batch-files input[type=file]", files)
    expect(page.locator("#batch-start")).to_be_enabled()
    page.locator("#batch-start").click()
    expect(page.locator("#batch-download")).to_be_visible()


def _models(page: Page) -> None:
    go(page, "models")
    expect(page.locator("#models-list")).to_contain_text("someone/missing")


def _model_refused(page: Page) -> None:
    page.locator("#models-name input, #models-name textarea").fill("no name")
    page.locator("#models-button").click()
    expect(page.locator("#models-status .failed")).to_be_visible()


def _training(page: Page) -> None:
    go(page, "training")
    page.locator(".runs li").filter(has_text="3-busy").locator("button").dispatch_event("click")
    expect(page.locator(".summary h2")).to_have_text("3-busy")
    expect(page.locator(".chart:visible").first).to_be_visible()
    expect(page.locator(".checkpoints li").first).to_be_visible()
    expect(page.locator("#learn")).to_be_visible()


def _training_unfolded(page: Page) -> None:
    page.locator(".segments button").last.click()
    page.locator(".menu summary").click()
    expect(page.locator(".menu .panel")).to_be_visible()


def _training_failed(page: Page) -> None:
    page.locator(".runs li").filter(has_text="2-failed").locator("button").dispatch_event("click")
    expect(page.locator(".summary h2")).to_have_text("2-failed")
    expect(page.locator(".summary .said")).to_be_visible()


STATES: dict[str, Callable[[Page], None]] = {
    "nothing yet": _nothing_yet,
    "translated": _translated,
    "slider": _view("slider"),
    "difference": _view("difference"),
    "way back": _view("cycle"),
    "refused": _refused,
    "live": _live,
    "no camera": _no_camera,
    "batch": _batch,
    "batch done": _batch_done,
    "models": _models,
    "model refused": _model_refused,
    "training": _training,
    "training, all of it": _training_unfolded,
    "training failed": _training_failed,
}
"""By name, how each state is reached from the one before; it is there when the function returns."""
