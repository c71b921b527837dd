"""The Training tab as people meet it: a real app.py in a real Chromium, runs on a real disk."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from page_server import ROOT, PageServer, watched_page
from PIL import Image
from playwright.sync_api import Browser, Page, Position, expect
from trainings import TINY

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


OpenTab = Callable[..., AbstractContextManager[Page]]


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


@pytest.mark.slow
def test_a_run_appears_moves_and_finishes(tab: Page, runs: Path) -> None:
    expect(tab.locator(".nothing")).to_contain_text("python train.py cyclegan --data")
    training = Training(runs / "first")
    summary = tab.locator(".summary")
    expect(summary).to_contain_text("Starting")
    expect(tab.locator(".player")).to_contain_text("The first pictures appear here")

    training.train(3)
    expect(summary).to_contain_text("300 of 10,000")
    for text in ("Training", "1 h 2 min", "a small computer", "278 apple, 127 orange"):
        expect(summary).to_contain_text(text)
    where(tab).to_have_text("Step 300 of 10,000")
    expect_shade(tab, 20)
    expect_shade(tab, REAL, "real_a.0")
    words = tab.locator(".triple figcaption > span")
    expect(words).to_have_text(["apple", "orange", "apple again"])
    expect(tab.locator(".triple small")).to_have_text("off by 1.0%")
    expect(tab.locator(".news")).to_have_text("Live")

    training.train()
    where(tab).to_have_text("Step 400 of 10,000")
    expect_shade(tab, 30)

    tab.get_by_role("button", name="Step back").click()
    where(tab).to_have_text("Step 300 of 10,000")
    training.train()
    expect(tab.locator(".news")).to_have_text("New: step 500")
    where(tab).to_have_text("Step 300 of 10,000")
    tab.locator(".news").click()
    expect_shade(tab, 40)
    training.train()
    where(tab).to_have_text("Step 600 of 10,000")

    training.status("finished")
    expect(summary).to_contain_text("Finished")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.wait_for_timeout(3000)
    assert [url for url in asked if "/runs/" in url] == [], "a finished run has no news"

    # The list, which looks for new runs now and then, notices one that goes on.
    training.train()
    expect(summary).to_contain_text("Training")
    where(tab).to_have_text("Step 700 of 10,000")


def test_scrubbing_by_mouse_by_keys_and_by_dragging_a_picture(tab: Page, runs: Path) -> None:
    Training(runs / "run").train(11)
    where(tab).to_have_text("Step 1,100 of 10,000")
    track = tab.locator(".track")
    track.scroll_into_view_if_needed()
    place = track.bounding_box()
    assert place
    middle = place["y"] + place["height"] / 2

    tab.mouse.move(place["x"] + place["width"], middle)
    tab.mouse.down()
    tab.mouse.move(place["x"] + place["width"] / 2, middle, steps=5)
    where(tab).to_have_text("Step 600 of 10,000")
    expect_shade(tab, 50)
    tab.mouse.move(place["x"], middle, steps=5)
    tab.mouse.up()
    where(tab).to_have_text("Step 100 of 10,000")
    expect_shade(tab, 0)

    slider = tab.get_by_label("Training step of the pictures")
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", "step 100 of 10,000")
    for key, step in (("ArrowRight", "200"), ("End", "1,100"), ("ArrowLeft", "1,000")):
        tab.keyboard.press(key)
        where(tab).to_have_text(f"Step {step} of 10,000")
    expect_shade(tab, 90)

    # Arrow keys work where nothing else has use for them, too.
    tab.get_by_role("button", name="Step back").click()
    tab.keyboard.press("ArrowLeft")
    where(tab).to_have_text("Step 800 of 10,000")

    picture = tab.locator('[data-tile="fake_b.0"]').bounding_box()
    whole = tab.locator(".groups").bounding_box()
    assert picture and whole
    tab.mouse.move(picture["x"] + 100, picture["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(picture["x"] + 100 - whole["width"] / 11 * 3, picture["y"] + 50, steps=4)
    tab.mouse.up()
    where(tab).to_have_text("Step 500 of 10,000")


def test_play_shows_every_sample_once_in_order(tab: Page, runs: Path) -> None:
    Training(runs / "run").train(9)
    where(tab).to_have_text("Step 900 of 10,000")
    note_steps(tab)
    tab.get_by_label("Speed").select_option("4×")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("window.seen.at(-1) === 900")
    expect(tab.get_by_role("button", name="Play")).to_be_visible()
    assert tab.evaluate("window.seen") == [100 * (i + 1) for i in range(9)]

    tab.get_by_label("Speed").select_option("½×")
    tab.get_by_role("button", name="Play").click()
    where(tab).to_have_text("Step 200 of 10,000")
    tab.get_by_role("button", name="Pause").click()
    where(tab).not_to_have_text("Step 900 of 10,000")


def test_nothing_is_asked_while_nobody_looks(tab: Page, runs: Path) -> None:
    Training(runs / "run").train(2)
    expect_shade(tab, 10)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.get_by_role("tab", name="Translate").click()
    tab.wait_for_timeout(500)
    asked.clear()
    tab.wait_for_timeout(2500)
    assert asked == []
    with tab.expect_request("**/run.json"):
        tab.get_by_role("tab", name="Training").click()

    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    tab.evaluate(hide, True)
    tab.wait_for_timeout(500)
    asked.clear()
    tab.wait_for_timeout(2500)
    assert asked == []
    with tab.expect_request("**/run.json"):
        tab.evaluate(hide, False)


def test_other_directions_and_pictures(tab: Page, runs: Path) -> None:
    training = Training(runs / "run")
    training.train(4)
    training.status("finished")
    expect_shade(tab, 30)
    tiles = tab.locator(".triple figure:visible")
    tab.get_by_role("button", name="orange → apple").click()
    expect(tab.locator(".triple figcaption > span")).to_have_text(
        ["orange", "apple", "orange again"]
    )
    expect_shade(tab, 30, "fake_a.0")
    tab.get_by_role("button", name="Picture 2").click()
    expect_shade(tab, 30, "fake_a.1")
    expect(tab.locator(".triple small")).to_have_text("off by 2.0%")
    tab.get_by_role("button", name="Both").click()
    expect(tiles).to_have_count(6)
    tab.get_by_role("button", name="All pictures").click()
    expect(tiles).to_have_count(12)
    tab.keyboard.press("ArrowLeft")
    for tile in ("fake_b.0", "fake_a.1", "recovered_b.1"):
        expect_shade(tab, 20, tile)


def test_photos_that_were_not_published_leave_their_place_to_the_others(
    tab: Page, runs: Path
) -> None:
    training = Training(runs / "run")
    shutil.rmtree(runs / "run" / "probes")
    training.train(2)
    expect_shade(tab, 10)
    expect(tab.locator(".triple figcaption > span:visible")).to_have_text(["orange", "apple again"])


def test_curves_say_their_values_and_lead_to_the_pictures(tab: Page, runs: Path) -> None:
    training = Training(runs / "run")
    training.train(9)
    training.log(
        "alarm", alarm="inversion", direction="a2b", value=-1, active=True, message="Dark."
    )
    training.train()
    training.log(
        "evaluation", scores={"fid": 12.5, "fid_a2b": 12.5}, extractor="tiny", protocol="5"
    )
    training.log("training", losses={"generators/cycle": float("nan")})
    training.log("rollback", **{"from": 1000, "reason": "Not finite.", "rate": 0.5})
    alarms = [{"kind": "inversion", "direction": "a2b", "message": "Light is dark.", "since": 900}]
    training.status("running", alarms=alarms)
    expect(tab.locator(".alarms")).to_have_text("▲ Alarm Light is dark.")
    expect(tab.locator(".runs li")).to_contain_text("▲ alarm")

    game = tab.locator(".chart").filter(has_text="Generators against discriminators")
    expect(game.locator(".legend li")).to_have_text(
        [
            "generators0.5",
            "generators, test photos0.5",
            "discriminators0.25",
            "discriminators, test photos0.25",
        ],
    )
    # What was not measured by the network that everybody uses is not called FID.
    other = tab.locator(".chart").filter(has_text="Fréchet distance (tiny)")
    expect(other).to_contain_text("Features: tiny. 5")
    events = tab.locator(".events li")
    expect(events).to_have_text(
        [
            "↺ Rollbackstep 1,000Not finite. Went back to step 1,000, with 0.5 times the "
            "learning rate.",
            "▲ Alarmstep 900Dark.",
        ]
    )
    events.get_by_role("button", name="step 900").click()
    where(tab).to_have_text("Step 900 of 10,000")
    expect(tab.locator(".tools .at")).to_have_text("at step 900")
    assert tab.locator(".event title").first.text_content() == "step 900: Dark."

    plot = game.locator("> svg")
    plot.scroll_into_view_if_needed()
    place = plot.bounding_box()
    assert place
    at: Position = {"x": 46 + (place["width"] - 56) * 0.3, "y": 80}
    plot.hover(position=at)
    expect(tab.locator(".tools .at")).to_have_text(re.compile("at step (298|299|300|301|302)"))
    where(tab).to_have_text("Step 900 of 10,000")
    plot.click(position=at)
    where(tab).to_have_text("Step 300 of 10,000")
    expect_shade(tab, 20)


def test_damaged_runs_open_with_what_is_there(tab: Page, runs: Path) -> None:
    whole = Training(runs / "a-whole-one")
    whole.train(3)
    shutil.copytree(runs / "a-whole-one", runs / "torn")
    torn = runs / "torn"
    with (torn / "metrics.jsonl").open("a") as file:
        file.write('[]\n{"step": "x"}\n{"step": 7, "kind": ["odd"]}\n{"step": 400, "losses": {"ge')
    (torn / "status.json").write_text('{"phase": "running", "step"')
    (torn / "samples" / "00000200" / "fake_b.0.webp").unlink()
    (torn / "samples" / "00000300" / "fake_b.1.webp").write_bytes(b"RIFF")
    (torn / "samples" / "notes.txt").write_text("mine")
    (torn / "samples" / ".00000400.abc.tmp").mkdir()
    (runs / "bare").mkdir()
    (runs / "bare" / "run.json").write_text("{")
    odd = {"rows": [[3], "x", ["../../secret", "fake_b"]], "labels": 7, "images": {"a": "many"}}
    (runs / "odd").mkdir()
    (runs / "odd" / "run.json").write_text(json.dumps(odd))
    (runs / "odd" / "status.json").write_text('{"phase": 3, "step": NaN, "total": [], "alarms": 5}')
    before = runs / "before" / "samples"
    before.mkdir(parents=True)
    (runs / "before" / "run.json").write_text('{"config": {"data": {"label_a": "apple"}}}')
    (runs / "before" / "metrics.jsonl").write_text('{"step": 5, "losses": {"generators/cycle": 2}}')
    (before / "00000005.webp").write_bytes(b"a sheet")
    (runs / "no run").mkdir()
    (runs / "file").write_text("")

    items = tab.locator(".runs li")
    expect(items).to_have_count(5)

    items.filter(has_text="torn").click()
    expect(tab.locator(".summary")).to_contain_text("Starting")
    expect_shade(tab, 20)
    tab.get_by_role("button", name="Step back").click()
    expect(tab.locator('[data-tile="fake_b.0"] .missing')).to_be_visible()
    expect_shade(tab, 10, "recovered_a.0")

    for name in ("bare", "odd"):
        items.filter(has_text=name).click()
        expect(tab.locator(".summary h2")).to_have_text(name)
        expect(tab.locator(".run .quiet-words")).to_be_visible()
    items.filter(has_text="before").click()
    expect(tab.locator(".chart h3:visible").first).to_have_text("Cycle, identity and other losses")


def test_a_run_that_is_deleted_is_said_to_be_gone(
    browser: Browser, server: PageServer, runs: Path
) -> None:
    for name in ("kept", "deleted"):
        Training(runs / name).train(2)
    with watched_page(browser, server, "/#run=deleted", expected=r"404.*/run\.json") as page:
        expect_shade(page, 10)
        shutil.rmtree(runs / "deleted")
        gone = page.locator(".problem").filter(has_text="There is no run 'deleted'")
        expect(gone).to_be_visible()
        page.locator(".runs li").filter(has_text="kept").click()
        expect_shade(page, 10)
        expect(gone).not_to_be_visible()


@pytest.mark.slow
def test_fifty_runs_of_two_hundred_samples_are_light(
    browser: Browser, server: PageServer, runs: Path
) -> None:
    training = Training(runs / "run-00", probes=1)
    training.train(200)
    training.status("finished")
    training.writer.close()
    for index in range(1, 50):
        folder = runs / f"run-{index:02}"
        shutil.copytree(runs / "run-00", folder, ignore=shutil.ignore_patterns("samples"))
        (folder / "samples").symlink_to(runs / "run-00" / "samples")
    with watched_page(browser, server) as page:
        expect(page.locator("#direction")).to_be_visible(timeout=60_000)
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        sizes: list[int] = []
        network.on("Network.loadingFinished", lambda end: sizes.append(end["encodedDataLength"]))
        start = time.perf_counter()
        page.get_by_role("tab", name="Training").click()
        expect_shade(page, 10 * 199 % 240)
        expect(page.locator(".chart").first).to_be_visible()
        print(f"opened in {time.perf_counter() - start:.2f} s")
        page.wait_for_function(
            "[...document.querySelectorAll('.thumb img')].slice(0, 8).every((i) => i.complete)"
        )
        print(f"{len(sizes)} answers, {sum(sizes) / 1024:.0f} KiB")
        assert len(sizes) < 80
        assert sum(sizes) < 500 * 1024

        page.locator(".scroller").evaluate("(list) => list.scrollTo(0, 1e6)")
        expect(page.locator(".runs li")).not_to_have_count(12)
        for index in (30, 20, 10):
            page.locator(".runs li").nth(index).click()
            expect(page.locator(".summary h2")).to_have_text(
                page.locator(".runs li strong").nth(index).inner_text()
            )
            page.get_by_role("button", name="Both").click()
            page.evaluate(
                """async () => {
                    const slider = document.querySelector(".track input");
                    for (let at = 0; at <= slider.max; at++) {
                        slider.value = at;
                        slider.dispatchEvent(new Event("input"));
                        await new Promise(requestAnimationFrame);
                    }
                }"""
            )
        network.send("HeapProfiler.collectGarbage")
        heap = network.send("Runtime.getHeapUsage")["usedSize"] / 2**20
        print(f"{heap:.1f} MiB of heap after scrubbing through three runs")
        assert heap < 40


def test_time_lapses(tab: Page, runs: Path, server: PageServer) -> None:
    training = Training(runs / "run")
    training.train(5)
    training.status("finished")
    expect_shade(tab, 40)
    for kind in ("WebP", "GIF"):
        tab.locator(".menu summary").click()
        expect(tab.locator(".menu .panel p").first).to_have_text(
            "Picture 1, apple → orange, 5 samples."
        )
        with tab.expect_download() as download:
            tab.get_by_role("button", name=kind).click()
        assert download.value.suggested_filename == f"run-apple-to-orange-1.{kind.lower()}"
        with Image.open(download.value.path()) as animation:
            assert animation.format == kind.upper()
            frames = getattr(animation, "n_frames", 1)
            assert frames == 5
            assert animation.width > 3 * SIZE
            middles = []
            for frame in range(frames):
                animation.seek(frame)
                middles.append(animation.convert("RGB").getpixel((animation.width // 2, 40)))
        assert [value[0] for value in middles] == pytest.approx([0, 10, 20, 30, 40], abs=4)
        tab.keyboard.press("Escape")

    training.train(145)
    content = server.get("/training/runs/run/timelapse/1.webp?rows=0,1")
    with Image.open(io.BytesIO(content)) as animation:
        assert getattr(animation, "n_frames", 1) == 120
        assert animation.height > 2 * SIZE


def test_addresses_that_lead_nowhere(server: PageServer, runs: Path) -> None:
    Training(runs / "run").train(1)
    (runs / "secret.0.webp").write_bytes(b"mine")
    status = partial(refusal, server)
    for path in (
        "runs/none/run.json",
        "runs/none/curves.json",
        "runs/none/tiles/1/fake_b.0",
        "runs/none/frames/1?tiles=fake_b.0",
        "runs/none/timelapse/0.webp",
    ):
        code, body = status(path)
        assert code == 404
        assert "There is no run" in json.loads(body)["error"]
    for path in (
        "runs/run/tiles/100/..%2F..%2F..%2Fsecret.0",
        "runs/run/tiles/100/fake_b",
        "runs/run/tiles/100/fake_b.9",
        "runs/run/tiles/7/fake_b.0",
        "runs/run/timelapse/0.exe",
        "runs/..%2Frun/run.json",
        "client/..%2Ftraining.py",
        "client/none.js",
    ):
        assert status(path)[0] == 404
    code, body = status("runs/run/timelapse/9.webp")
    assert code == 404
    assert "no samples of this picture" in json.loads(body)["error"]


def refusal(server: PageServer, path: str) -> tuple[int, bytes]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.get(f"/training/{path}")
    return caught.value.code, caught.value.read()


def test_a_link_opens_a_run(browser: Browser, server: PageServer, runs: Path) -> None:
    for name in ("one", "two words", "three"):
        training = Training(runs / name)
        training.train(1)
        training.status("stopped")
    with watched_page(browser, server, "/#run=two~20words") as page:
        expect(page.locator(".summary h2")).to_have_text("two~20words")
        expect(page.locator(".summary")).to_contain_text("the same command goes on from there")
        page.locator(".runs li").filter(has_text="three").click()
        expect(page.locator(".summary h2")).to_have_text("three")
        assert page.url.endswith("#run=three")


@pytest.mark.slow
def test_a_training_elsewhere_that_cannot_be_reached_is_said_in_one_sentence(
    browser: Browser, tmp_path: Path
) -> None:
    server = PageServer(tmp_path, "--runs", "someone/somewhere")
    try:
        with watched_page(browser, server) as page:
            page.get_by_role("tab", name="Training").click()
            expect(page.locator(".nothing")).to_contain_text("someone/somewhere")
            problem = page.locator(".problem").first
            expect(problem).to_contain_text("someone/somewhere")
            expect(problem).to_contain_text("no connection")
    finally:
        server.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(
    browser: Browser, server: PageServer, runs: Path, scheme: Any
) -> None:
    for name in ("short", "a-run-with-quite-a-long-name-that-has-to-be-broken-somewhere"):
        training = Training(runs / name)
        training.train(30)
    context = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": scheme}
    with watched_page(browser, server, **context) as page:
        page.get_by_role("tab", name="Training").tap()
        expect_shade(page, 10 * 29 % 240)
        expect(page.locator(".chart").first).to_be_visible()
        expect(page.locator(".runs li").first).not_to_be_visible()
        page.get_by_role("button", name="2 runs").tap()
        page.locator(".runs li").filter(has_text="a-run-with").tap()
        expect(page.locator(".summary h2")).to_contain_text("quite-a-long-name")
        expect(page.locator(".runs li").first).not_to_be_visible()
        page.get_by_role("button", name="Both").tap()
        page.get_by_role("button", name="All pictures").tap()
        track = page.locator(".track")
        track.scroll_into_view_if_needed()
        track.tap(position={"x": 4, "y": 20})
        expect_shade(page, 0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_real_training_appears_moves_is_scrubbed_and_finishes(
    tab: Page, runs: Path, photos: Path
) -> None:
    flags = "--steps 400 --log-every 5 --sample-every 5 --checkpoint-every 100".split()
    command = [
        *(sys.executable, str(ROOT / "train.py"), "cyclegan"),
        *("--data", str(photos), "--out", str(runs / "real"), *TINY, *flags),
    ]
    # Not a pipe, which would be full before anybody reads it.
    log = runs.parent / "training.txt"
    with log.open("w") as file:
        training = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        summary = tab.locator(".summary")
        expect(summary).to_contain_text("real", timeout=120_000)
        note_steps(tab)
        tab.wait_for_function("new Set(window.seen).size > 3", timeout=60_000)
        assert training.wait(120) == 0, log.read_text()
        expect(summary).to_contain_text("Finished")
        where(tab).to_have_text("Step 400 of 400")
        tab.get_by_label("Training step of the pictures").press("ArrowLeft")
        where(tab).to_have_text("Step 395 of 400")
        assert shade(tab) >= 0
        expect(tab.locator(".chart").first).to_be_visible()
        expect(tab.locator(".checkpoints li")).not_to_have_count(0)
    finally:
        training.kill()
        training.wait()
