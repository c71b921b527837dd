"""Run folders for tests, as a training writes them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cyclegan.runs import RunWriter

TILES = ("fake_b", "recovered_a", "fake_a", "recovered_b")


def begin(folder: Path) -> RunWriter:
    """A run with two probes, both grey, and the sample of step 0."""
    writer = RunWriter(folder)
    writer.describe({"format": 1, "model": "cyclegan", "probes": 2, "config": {}})
    writer.probes({name: torch.zeros(2, 3, 16, 16) for name in ("real_a", "real_b")})
    advance(writer, 0)
    return writer


def advance(writer: RunWriter, step: int, phase: str = "running") -> None:
    """Train on to `step`, at most 1000; its tiles are of a grey that tells the step."""
    losses = {"generators/cycle": 1 / (step + 1)}
    writer.metrics({"step": step, "kind": "training", "losses": losses})
    writer.sample(step, {name: torch.full((2, 3, 16, 16), step / 1000) for name in TILES})
    writer.status(phase, step, 1000)


def shown_step(path: Path | None) -> float:
    """The step that the grey of a tile tells, give or take 10; photos tell 0."""
    assert path is not None
    with Image.open(path) as image:
        return (float(np.asarray(image.convert("L")).mean()) / 127.5 - 1) * 1000
