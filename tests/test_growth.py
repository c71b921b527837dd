"""The benchmark of how cost grows: what it counts, draws and says, not how long anything takes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.growth import changing, multiply_adds, repeated, training_step, translations
from benchmarks.load import gain
from benchmarks.plots import Curve, Panel, draw

SIZES = (1, 2, 4, 8)


def panel(*curves: Curve, **more: str) -> Panel:
    return Panel("Size", "pixels", SIZES, SIZES, curves, **more)


def test_multiply_adds_are_those_of_convolutions() -> None:
    convolution = torch.nn.Conv2d(3, 8, 5, padding=2)
    images = torch.zeros(2, 3, 16, 12)
    assert multiply_adds(lambda: convolution(images)) == 2 * 16 * 12 * 8 * 3 * 5 * 5
    counts = [multiply_adds(training_step(batch, 32, 4, 1)) for batch in (1, 3)]
    assert counts[1] == 3 * counts[0]


def test_a_translation_is_measured_for_every_backend_at_hand() -> None:
    found = translations("Size", "pixels", [(1, size, 4, 1) for size in (16, 32)], 2)
    assert found.values == [16, 32]
    assert found.growth == [1, 4]
    assert found.curves[0].name == "PyTorch"
    for curve in found.curves:
        assert [len(turn) for turn in curve.turns] == [2, 2]
        assert all(seconds > 0 for turn in curve.turns for seconds in turn)
        assert curve.ratios[0] == (1, 1, 1)


def test_only_one_thing_may_change() -> None:
    assert changing([(1, 8, 4), (1, 16, 4)]) == [8, 16]
    with pytest.raises(ValueError):
        changing([(1, 8, 4), (2, 16, 4)])


def test_short_calls_are_repeated() -> None:
    calls: list[int] = []
    measure: Callable[[], float] = repeated(lambda: calls.append(1))
    before = len(calls)
    measure()
    assert len(calls) - before > 100


def test_ratios_are_within_a_turn() -> None:
    # The machine was three times as slow in the second turn.
    curve = Curve("PyTorch", [[1, 2, 4, 8], [3, 6, 12, 24], [1, 2, 4, 10]])
    assert curve.ratios == [(1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 10)]
    assert panel(curve).rows()[3] == ["8", "8.00×", "8.00× (8.00–10.00)"]
    assert panel(curve).head() == ["pixels", "multiply-adds", "PyTorch"]


def test_sentences_say_where_a_curve_bends_and_why() -> None:
    straight = Curve("even", [[1, 2, 4, 8.4]])
    early = Curve("early", [[2, 2, 4, 8]])
    late = Curve("late", [[1, 2, 4, 24]])
    said = panel(straight, early, late, early="calls", late="caches").sentences()
    assert said == (
        "even: a multiply-add costs the same everywhere, within 5%. "
        "early: a multiply-add costs up to 2.0 times as much below 2, because calls. "
        "late: a multiply-add costs up to 3.0 times as much above 4, because caches."
    )


def test_equal_numbers_draw_an_equal_file_of_text_and_lines(tmp_path: Path) -> None:
    curves = [Curve(name, [[1, 2.2, 4, 8], [1, 2, 5, 9]]) for name in ("PyTorch", "OpenVINO")]
    for name in ("one", "two"):
        draw(tmp_path / f"{name}.svg", [panel(*curves)] * 3)
    svg = (tmp_path / "one.svg").read_text()
    assert svg == (tmp_path / "two.svg").read_text()
    # Letters stay letters, in a font that every machine has, and nothing says when this was.
    assert svg.count(">OpenVINO</text>") == 3
    assert "sans-serif" in svg
    assert not re.search("<metadata|<image|Matplotlib v", svg)
    draw(tmp_path / "plots" / "other.svg", [panel(curves[0])])
    assert (tmp_path / "plots" / "other.svg").read_text() != svg


def test_a_batch_pays_while_it_gains_on_the_one_before() -> None:
    assert gain([[1], [1.01], [0.9], [0.9], [0.8]])[-1] == "never"
    assert gain([[2, 1], [3, 3], [4, 4], [4.1, 4.1], [4, 4]]) == [
        *("2.00×", "2.67×", "2.73×", "2.67×"),
        "up to 4",
    ]
