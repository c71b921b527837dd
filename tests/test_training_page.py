"""The Training tab as people meet it: a real app.py in a real Chromium, runs on a real disk."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, Position, expect
from training_tab import (
    REAL,
    Training,
    expect_shade,
    note_steps,
    runs,
    server,
    tab,
    where,
)


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
    expect_shade(tab, 50)
    thumb = tab.locator(".runs .thumb img")
    expect(thumb).to_have_attribute("src", re.compile("/tiles/600/"))
    expect(thumb).to_have_js_property("complete", True)
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
    expect(slider).to_have_attribute("aria-valuetext", "Step 100 of 10,000")
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
