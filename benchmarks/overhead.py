"""What the training loop costs beyond forward, backward and optimiser step.

    python -m benchmarks.overhead [--repeats R]

Real trainings on real files, with a stopwatch in their seams. Every moment belongs to exactly one
name, so nothing is left out.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from benchmarks.report import machine, publish, spread, table
from cyclegan import learner as learner_module
from cyclegan.config import DataConfig, HubConfig, RunConfig, TrainingConfig
from cyclegan.image_pool import ImagePool
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.training import Trainer

COMPUTING = {
    "forward": "forward passes and losses",
    "backward": "backward passes",
    "optimizer": "optimiser steps",
}
EVERY_STEP = {
    "data": "waiting for photos",
    "pool": "image pools",
    "averages": "averaging the generators",
    "step": "freezing, zeroing, the rest of a step",
    "loop": "loss sums, progress bar, the rest of the loop",
}
NOW_AND_THEN = {
    "log": ("a line of metrics", "log_every"),
    "sample": ("a sample: 4 probes there and back, and measures", "sample_every"),
    "validation": ("validation losses of 32 pairs", "sample_every"),
    "checkpoint": ("a checkpoint", "checkpoint_every"),
    "weights": ("the weights folder", "checkpoint_every"),
}
WARM_UP = 3
PAIRS = 2
"""Test photos of each domain; the time for 32 follows from theirs."""
DEFAULT = TrainingConfig()
Times = dict[str, float]
"""Seconds by name."""


@dataclass(frozen=True)
class Setting:
    """A training to measure, in repeats of so many steps."""

    name: str
    model: CycleGANConfig
    size: int
    device: str
    steps: int


TINY = CycleGANConfig(width=8, blocks=1, discriminator_width=8, discriminator_downsamplings=2)
NARROW = CycleGANConfig(width=16, blocks=6, discriminator_width=16)
SETTINGS = (
    Setting("32 px, width 8, CPU", TINY, 32, "cpu", 40),
    Setting("256 px, width 16, CPU", NARROW, 256, "cpu", 2),
    Setting("256 px, width 64, GPU", CycleGANConfig(), 256, "auto", 20),
)


class Stopwatch:
    """Gives every moment to the innermost function that is timed, and to "loop" outside of all."""

    def __init__(self, device: torch.device):
        self.spent: Times = defaultdict(float)
        self.calls: dict[str, list[float]] = defaultdict(list)
        self.marks: list[Times] = []
        self._device = device
        self._name = "loop"
        self._last = self._now()

    def _now(self) -> float:
        # A GPU works on while Python goes ahead; only after waiting is its work done.
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _switch(self, name: str) -> str:
        now = self._now()
        self.spent[self._name] += now - self._last
        before, self._name, self._last = self._name, name, now
        return before

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function; the start of every "step" is marked."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            before = self._switch(name)
            if name == "step":
                self.marks.append(self.spent.copy())
            spent = self.spent[name]
            try:
                return function(*args, **kwargs)
            finally:
                self._switch(before)
                self.calls[name].append(self.spent[name] - spent)

        return wrapper

    def time(self, owner: Any, attribute: str, name: str) -> None:
        """Wrap a method of one object."""
        setattr(owner, attribute, self.timed(name, getattr(owner, attribute)))

    def iterator(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        """Wrap waiting for the next item."""
        return iter(self.timed(name, lambda: next(items, None)), None)


def measure(setting: Setting, repeats: int, folder: Path) -> tuple[list[Times], Stopwatch]:
    """Train; returns for every repeat the seconds of each name a step, and the stopwatch."""
    steps = WARM_UP + repeats * setting.steps + 1
    config = RunConfig(
        setting.model,
        DataConfig(data=folder / "photos", image_size=setting.size),
        TrainingConfig(
            out=folder / setting.name,
            steps=steps,
            device=setting.device,  # type: ignore[arg-type]
            log_every=setting.steps,
            # They come before the first and after the last step, and are reported by themselves.
            sample_every=steps,
            checkpoint_every=steps,
            validation_images=PAIRS,
        ),
        HubConfig(),
    )
    trainer = Trainer(config)
    learner, recorder = trainer.learner, trainer.recorder
    watch = Stopwatch(trainer.device)
    learner.phases = tuple(
        replace(phase, losses=watch.timed("forward", phase.losses)) for phase in learner.phases
    )
    watch.time(trainer.accelerator, "backward", "backward")
    for optimizer in learner.optimizers.values():
        watch.time(optimizer, "step", "optimizer")
    for module in learner.model.modules():
        if isinstance(module, ImagePool):
            watch.time(module, "forward", "pool")
    watch.time(learner, "step", "step")
    watch.time(trainer, "_log", "log")
    watch.time(trainer, "_save", "checkpoint")
    watch.time(recorder, "sample", "sample")
    watch.time(recorder, "validate", "validation")
    watch.time(recorder, "ship", "weights")
    batches = trainer._batches
    trainer._batches = lambda: watch.iterator("data", batches())
    average = watch.timed("averages", learner_module.update_averages)
    with patch.object(learner_module, "update_averages", average):
        trainer.run()
    marks = watch.marks[WARM_UP :: setting.steps]
    return [
        {name: (after[name] - before.get(name, 0.0)) / setting.steps for name in after}
        for before, after in pairwise(marks)
    ], watch


def column(repeats: Sequence[Times], watch: Stopwatch) -> list[str]:
    """Make a column of the table."""
    total = [sum(times[name] for name in [*COMPUTING, *EVERY_STEP]) for times in repeats]
    outside = [sum(times[name] for name in EVERY_STEP) for times in repeats]
    share = [100 * part / whole for part, whole in zip(outside, total, strict=True)]
    cells = [spread([1000 * seconds for seconds in total], "ms")]
    for name in [*COMPUTING, *EVERY_STEP]:
        cells.append(f"{1000 * median(times[name] for times in repeats):.2f} ms")
    cells.append(f"**{spread(share, '%')}**")
    added = 0.0
    for name, (_, interval) in NOW_AND_THEN.items():
        # The first call finds nothing in the caches of processor and disk.
        seconds = median(watch.calls[name][1:])
        if name == "validation":
            seconds *= DEFAULT.validation_images / PAIRS
        cells.append(f"{1000 * seconds:.1f} ms")
        added += seconds / getattr(DEFAULT, interval)
    cells.append(f"{100 * added / median(total):.1f} %")
    return cells


def draw_photos(folder: Path) -> None:
    """Write JPEG photos of 640×480 pixels."""
    random = np.random.default_rng(0)
    for name, count in {"train": 16, "test": PAIRS}.items():
        for side in "AB":
            (folder / f"{name}{side}").mkdir(parents=True)
            for index in range(count):
                blobs = random.integers(0, 256, (15, 20, 3), dtype=np.uint8)
                photo = Image.fromarray(blobs).resize((640, 480), Image.Resampling.BICUBIC)
                photo.save(folder / f"{name}{side}" / f"{index}.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the overhead of the training loop.")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    intervals = ", ".join(
        f"{interval} {getattr(DEFAULT, interval)}"
        for interval in dict.fromkeys(interval for _, interval in NOW_AND_THEN.values())
    )
    rows = [
        ["a step"],
        *([text] for text in [*COMPUTING.values(), *EVERY_STEP.values()]),
        ["**outside forward, backward and optimiser**"],
        *([f"now and then: {text}"] for text, _ in NOW_AND_THEN.values()),
        [f"which adds to a step ({intervals})"],
    ]
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "photos")
        for setting in SETTINGS:
            if setting.device == "auto" and not torch.cuda.is_available():
                cells = ["not measured"] * len(rows)
            else:
                cells = column(*measure(setting, repeats, Path(folder)))
            for row, cell in zip(rows, cells, strict=True):
                row.append(cell)
    publish(
        "overhead",
        f"## Overhead of the training loop\n\n"
        f"Share of a training step that is not forward, backward or optimiser, at batch 1, on "
        f"JPEG photos of 640×480 pixels, with networks that suit the device. Median of {repeats} "
        f"repeats (least–greatest) of {', '.join(str(s.steps) for s in SETTINGS)} steps after "
        f"{WARM_UP} to warm up. A GPU is waited for at every switch of the stopwatch.\n\n"
        f"{table(['', *(setting.name for setting in SETTINGS)], rows)}\n\n"
        f"`OMP_NUM_THREADS={torch.get_num_threads()} python -m benchmarks.overhead "
        f"--repeats {repeats}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
