"""The Training tab with odd runs, many runs, and far away: damaged, deleted, linked to, phones."""

import io
import json
import shutil
import subprocess
import sys
import time
import urllib.error
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from page_server import ROOT, PageServer, watched_page
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from training_tab import (
    SIZE,
    Training,
    expect_shade,
    note_steps,
    runs,
    server,
    shade,
    tab,
    where,
)
from trainings import TINY


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

        page.locator(".runs .scroller").evaluate("(list) => list.scrollTo(0, 1e6)")
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
