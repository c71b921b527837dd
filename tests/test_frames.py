"""Frames of a film: what a translator makes of small pictures, at their own scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import draw_photo
from PIL import Image
from torch import nn

from cyclegan import frames
from cyclegan.config import to_json
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.networks import ResnetGenerator
from cyclegan.translator import Info, Translator
from cyclegan.weights import Weights, WeightsConfig

CONFIG = WeightsConfig(
    1, "cyclegan", "a", "b", 64, to_json(CycleGANConfig(width=4, blocks=1)), 0, (48, 64)
)


def translator(**changes: object) -> Translator:
    networks: dict[str, nn.Module] = {
        name: ResnetGenerator(width=4, blocks=1).eval() for name in ("generator_ab", "generator_ba")
    }
    weights = Weights(replace(CONFIG, **changes), CycleGANConfig(width=4, blocks=1), networks)
    return Translator(weights, Info("x", "x", None, {"a": "a", "b": "b"}, 64), "cpu")


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("halves", [False, True])
def test_at_the_scale_of_training_a_frame_is_translated_as_a_photo_is(
    monkeypatch: pytest.MonkeyPatch, halves: bool
) -> None:
    monkeypatch.setattr(frames, "halves", lambda device: halves)
    made, photo = translator(), draw_photo("a", 0, (80, 60))
    expected, frame = pixels(made.translate(photo, "a2b")), pixels(made.frame(photo, "a2b"))
    # Half precision keeps eight bits of a number, which is a step or two of a colour.
    assert np.abs(frame - expected).mean() < (1.5 if halves else 0.5)
    assert np.abs(frame - pixels(made.frame(photo, "b2a"))).mean() > 5


def test_the_network_sees_a_small_frame_as_small_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = frames.run_padded
    monkeypatch.setattr(
        frames, "run_padded", lambda network, real: seen.append(real.shape) or run(network, real)
    )
    frame = translator().frame(draw_photo("a", 0, (33, 21)), "a2b")
    assert frame.size == (33, 21)
    assert seen == [(1, 3, 21, 33)]


def test_a_change_is_smoothed_where_the_weights_ask_for_it() -> None:
    # The same networks twice.
    torch.manual_seed(1)
    rough = translator()
    torch.manual_seed(1)
    smooth = translator(change_blur=3.0)
    grey = Image.new("RGB", (48, 48), (128, 128, 128))
    grey.putpixel((24, 24), (255, 0, 0))
    before = pixels(grey)
    changes = [pixels(made.frame(grey, "a2b")) - before for made in (rough, smooth)]
    steps = [np.abs(np.diff(change, axis=0)).mean() for change in changes]
    assert steps[1] < steps[0] / 2
    assert changes[1].mean() == pytest.approx(changes[0].mean(), abs=3)


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'up'"):
        translator().frame(draw_photo("a", 0, (33, 21)), "up")  # type: ignore[arg-type]
