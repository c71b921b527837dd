"""What the Training tab is told of a run, without a browser."""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from page_server import PageServer, http
from PIL import Image

from cyclegan.run_source import LocalRuns
from cyclegan.runs import Run, RunWriter, read_run
from cyclegan.ui.curves import POINTS, curves, thin
from cyclegan.ui.run_store import RunStore
from cyclegan.ui.run_view import overview
from cyclegan.ui.timelapse import evenly, strip


class CountedRuns(LocalRuns):
    """Counts how often a run is read."""

    reads = 0

    def read(self, name: str) -> Run:
        self.reads += 1
        return super().read(name)


def run(*lines: dict[str, Any], **status: Any) -> Run:
    metrics = [{"kind": "training", **line} for line in lines]
    return Run(Path("nowhere"), {}, status, metrics, [], {})


def chart(of: Run, title: str) -> dict[str, Any]:
    return next(chart for chart in curves(of)["charts"] if chart["title"] == title)


def test_thinning_keeps_the_mean_the_extremes_and_the_end() -> None:
    rows = [(step, float(step % 2)) for step in range(1, 10 * POINTS + 1)]
    thinned = thin(rows)
    assert len(thinned["steps"]) == POINTS
    assert thinned["steps"][-1] == rows[-1][0]
    assert set(thinned["values"]) == {0.5}
    assert (set(thinned["low"]), set(thinned["high"])) == ({0.0}, {1.0})
    few = thin(rows[:POINTS])
    assert (few["steps"], few["values"]) == tuple(map(list, zip(*rows[:POINTS], strict=True)))
    assert "low" not in few


def test_curves_are_named_after_what_they_measure() -> None:
    losses = {"generators/adversarial": 1, "generators/cycle": 2, "other/cycle": 3, "l1": 4}
    of = run(
        {"step": 1, "losses": losses, "learning_rates": {"generators": 1e-4, "other": 1e-4}},
        {"step": 1, "kind": "validation", "losses": {"generators/cycle": 5}},
        {"step": 2, "losses": {"generators/cycle": float("inf"), "l1": "x"}},
    )
    game = chart(of, "Generators against discriminators")
    assert [curve["label"] for curve in game["curves"]] == ["generators"]
    rest = chart(of, "Cycle, identity and other losses")["curves"]
    assert [(curve["label"], curve["dashed"], curve["values"]) for curve in rest] == [
        ("cycle (generators)", False, [2]),
        ("cycle (generators), test photos", True, [5]),
        ("cycle (other)", False, [3]),
        ("l1", False, [4]),
    ]
    assert [c["label"] for c in chart(of, "Learning rate")["curves"]] == ["generators and other"]


@pytest.mark.parametrize(
    ("extractor", "title"),
    [("inception-v3-compat", "FID"), ("tiny", "Fréchet distance (tiny)")],
)
def test_distances_are_called_by_what_they_are(extractor: str, title: str) -> None:
    scores = {"fid": 3, "fid_a2b": 2, "fid_b2a": 4, "kid_a2b": 0.5, "kid_a2b_std": 0.1}
    of = run(
        {
            "step": 1,
            "kind": "evaluation",
            "scores": scores,
            "extractor": extractor,
            "protocol": "P.",
        }
    )
    found = chart(of, title)
    assert [curve["label"] for curve in found["curves"]] == ["A → B", "B → A", "mean"]
    assert found["note"] == f"Features: {extractor}. P."
    (kid,) = curves(of)["charts"][1]["curves"]
    assert (kid["low"], kid["values"], kid["high"]) == ([0.4], [0.5], [0.6])


def test_answers_have_a_chart_of_their_own() -> None:
    of = run({"step": 1, "kind": "probes", "measured": {"answers": 0.2, "answers_fixed": 0.0}})
    found = chart(of, "Answers to one picture")
    labels = [(curve["label"], curve["values"]) for curve in found["curves"]]
    assert labels == [("different z", [0.2]), ("the same z", [0.0])]


def test_of_one_direction_the_mean_is_not_told_again() -> None:
    scores = {"fid": 2, "fid_z2a": 2}
    of = run({"step": 1, "kind": "evaluation", "scores": scores, "extractor": "t", "protocol": ""})
    (curve,) = chart(of, "Fréchet distance (t)")["curves"]
    assert curve["label"] == "z → A"


def test_an_alarm_that_is_over_does_not_repeat_what_to_do() -> None:
    alarm = {"kind": "alarm", "message": "A → B has inverted: start anew."}
    of = run({"step": 1, "active": True, **alarm}, {"step": 2, "active": False, **alarm})
    assert [(event["kind"], event["text"]) for event in curves(of)["events"]] == [
        ("alarm", "A → B has inverted: start anew."),
        ("over", "No longer: A → B has inverted."),
    ]


def test_a_run_is_told_in_the_language_of_who_asks(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "zebras")
    writer.describe({"labels": {"a": "horse", "b": "zebra"}})
    losses = {"generators/cycle": 1.0, "generators/odd": 2.0}
    writer.metrics({"step": 100, "kind": "training", "losses": losses})
    writer.metrics({"step": 100, "kind": "probes", "cycle_error": {"a": [0.1]}})
    broken = "The loss generators/cycle is not finite at step 90."
    writer.metrics({"step": 100, "kind": "rollback", "reason": broken, "rate": 0.5})
    writer.status("failed", 100, 1000, error=broken)
    store = RunStore(LocalRuns(tmp_path))
    chinese = store.curves("zebras", "zh-CN")
    assert [chart["title"] for chart in chinese["charts"]] == [
        "循环、恒等及其他损失",
        "样例图片的循环误差",
    ]
    # What a model calls its own losses is no word of ours.
    labels = [curve["label"] for chart in chinese["charts"] for curve in chart["curves"]]
    assert labels == ["循环", "odd", "horse 往返"]
    (event,) = chinese["events"]
    reason = "第 90 步的损失 generators/cycle 不是有限值。"
    assert event["text"] == reason + "已回退到第 100 步，学习率变为原来的 0.5 倍。"
    assert store.overview("zebras", "zh-CN")["note"] == reason
    english = store.curves("zebras")
    assert english["charts"][0]["title"] == "Cycle, identity and other losses"
    assert english["events"][0]["text"] == (
        f"{broken} Went back to step 100, with 0.5 times the learning rate."
    )
    assert store.overview("zebras")["note"] == broken


def test_a_run_that_says_nothing_for_five_minutes_is_doubted() -> None:
    now = time.time()
    assert overview(run(phase="running", updated=now - 200), "x")["state"] == "running"
    quiet = overview(run(phase="running", updated=now - 400), "x")
    assert quiet["state"] == "quiet"
    assert "Nothing was written for 7 min" in quiet["note"]
    assert overview(run(phase="finished", updated=now - 400), "x")["state"] == "finished"
    # To the Hub training pushes only now and then.
    elsewhere = overview(run(phase="running", updated=now - 400), "x", local=False)
    assert elsewhere["state"] == "running"


def test_a_run_that_never_got_going_is_doubted_too(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert overview(read_run(tmp_path), "x")["state"] == "starting"
    os.utime(tmp_path / "run.json", (1, 1))
    assert overview(read_run(tmp_path), "x")["state"] == "quiet"


def test_a_run_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run")
    writer.describe({})
    source = CountedRuns(tmp_path)
    store = RunStore(source)
    for _ in range(2):
        store.overview("run")
        store.curves("run")
    source.reads = 0
    for _ in range(5):
        store.overview("run")
        store.curves("run")
        store.card("run")
    assert source.reads == 0
    writer.metrics({"step": 1, "kind": "training", "losses": {"l1": 1}, "seconds": 9})
    assert store.overview("run")["seconds"] == 9
    assert len(store.curves("run")["charts"]) == 1
    writer.sample(1, {"fake_b": torch.zeros(1, 3, 8, 8)})
    assert store.overview("run")["samples"] == [1]


def test_no_news_costs_next_to_nothing(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "runs" / "run")
    writer.describe({})
    writer.status("finished", 1, 1)
    server = PageServer(tmp_path, "--runs", tmp_path / "runs")
    try:
        for path in ("runs.json", "runs/run/run.json", "runs/run/curves.json", "client/main.js"):
            address = f"{server.url}/training/{path}"
            with http.open(address, timeout=30) as answer:
                tag = answer.headers["ETag"]
            again = urllib.request.Request(address, headers={"If-None-Match": f"W/{tag}"})
            with pytest.raises(urllib.error.HTTPError) as caught:
                http.open(again, timeout=30)
            assert caught.value.code == 304
            assert caught.value.read() == b""
        writer.status("stopped", 1, 2)
        assert json.loads(server.get("/training/runs/run/run.json"))["state"] == "stopped"
    finally:
        server.stop()


def test_samples_of_an_animation_lie_at_even_distances() -> None:
    assert evenly(range(5), 9) == [0, 1, 2, 3, 4]
    assert evenly(range(0, 1001), 5) == [0, 250, 500, 750, 1000]


def test_a_film_strip_passes_over_what_is_no_picture(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "wide.png")
    (tmp_path / "words.png").write_text("no picture")
    content = strip([tmp_path / "wide.png", None, tmp_path / "words.png"], 16)
    (tmp_path / "strip.webp").write_bytes(content)
    with Image.open(tmp_path / "strip.webp") as film:
        assert film.size == (48, 16)
        shades = [film.convert("L").getpixel((x, 8)) for x in (8, 40)]
    assert shades == pytest.approx([255, 224], abs=6)
