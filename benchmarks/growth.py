"""How cost grows: with image size, batch, width, residual blocks, visitors and processes.

    python -m benchmarks.growth [--turns N] [--only NAME …]

Everything is measured in turns, each value after the other, and compared with the first value of
the same turn, so that a machine that slows down for a while slows all of them. Drawn pictures and
random weights: what a network computes does not change how long it takes.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import scaling
from benchmarks.backends import backends
from benchmarks.load import crowd
from benchmarks.plots import Curve, Panel, draw
from benchmarks.report import machine, publish, table
from benchmarks.start import ROOT, Served
from cyclegan.config import DataConfig, HubConfig, RunConfig, TrainingConfig
from cyclegan.devices import make_accelerator
from cyclegan.learner import Learner
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.networks import ResnetGenerator

WIDTH, BLOCKS, SIZE = 32, 6, 256
"""Of a translation, where it is not this that grows: what ships for CPUs."""
SMALL = 64
"""Side of the images of a training step, where it is not this that grows."""
SIZES = (128, 192, 256, 384, 512, 768, 1024)
BATCHES = (1, 2, 4, 8, 16)
WIDTHS = (16, 24, 32, 48, 64)
DEPTHS = (3, 6, 9, 12)
STEP_SIZES, STEP_BATCHES, STEP_WIDTHS = (32, 64, 96, 128), (1, 2, 4, 8), (16, 32, 48, 64)
VISITORS = (1, 2, 4, 8, 16)
PROCESSES = (1, 2, 4)
CORES = os.cpu_count() or 1
LEAST = 0.15
"""Seconds that are measured at least at a time."""


def repeated(run: Callable[[], object]) -> Callable[[], float]:
    """Make the function that measures the seconds of a call, several calls if they are short."""
    run()
    run()
    begun = time.perf_counter()
    run()
    calls = max(1, round(LEAST / (time.perf_counter() - begun)))

    def measure() -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - begun) / calls

    return measure


def in_turns(tasks: Sequence[Callable[[], float]], turns: int) -> list[list[float]]:
    """Have every task give a number, one after the other, so many times."""
    return [[task() for task in tasks] for _ in range(turns)]


def multiply_adds(run: Callable[[], object]) -> int:
    """Count what convolutions compute."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


@torch.inference_mode()
def translations(
    title: str,
    axis: str,
    shapes: Sequence[tuple[int, int, int, int]],
    turns: int,
    early: str = "",
    late: str = "",
) -> Panel:
    """Measure the translation of [batch, 3, size, size] by (batch, size, width, blocks).

    The one of the four that changes are the values.
    """
    work: list[float] = []
    tasks: dict[str, list[Callable[[], float]]] = {}
    for batch, size, width, blocks in shapes:
        network = ResnetGenerator(3, 3, width, blocks, "bilinear").eval()
        images = torch.rand(batch, 3, size, size) * 2 - 1
        work.append(multiply_adds(lambda n=network, i=images: n(i)))
        for name, run in backends(network, size).items():
            tasks.setdefault(name, []).append(repeated(lambda r=run, i=images: r(i)))
    curves = [Curve(name, in_turns(task, turns)) for name, task in tasks.items()]
    return Panel(title, axis, changing(shapes), work, curves, early=early, late=late)


def steps(
    title: str,
    axis: str,
    shapes: Sequence[tuple[int, int, int, int]],
    turns: int,
    early: str = "",
    late: str = "",
) -> Panel:
    """Measure a training step in the same way, losses, gradients and optimisers included."""
    work: list[float] = []
    tasks = []
    for batch, size, width, blocks in shapes:
        step = training_step(batch, size, width, blocks)
        step()
        work.append(multiply_adds(step))
        tasks.append(repeated(step))
    curve = Curve("PyTorch", in_turns(tasks, turns))
    return Panel(title, axis, changing(shapes), work, [curve], early=early, late=late)


def training_step(batch: int, size: int, width: int, blocks: int) -> Callable[[], object]:
    """A learner's step on images that are at hand."""
    model = CycleGANConfig(width=width, blocks=blocks, discriminator_width=width)
    settings = TrainingConfig(out=Path("unused"), steps=1, batch_size=batch, device="cpu")
    config = RunConfig(
        model, DataConfig(data=Path("unused"), image_size=size), settings, HubConfig()
    )
    learner = Learner(config, make_accelerator(settings))
    learner.total = 10**6
    learner.model.train()
    images = {name: torch.rand(batch, 3, size, size) * 2 - 1 for name in ("real_a", "real_b")}
    return lambda: learner.step([images])


def changing(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """The one column in which shapes differ."""
    (found,) = [list(column) for column in zip(*shapes, strict=True) if len(set(column)) > 1]
    return found


def visitors(turns: int) -> Panel:
    """Measure the real page while so many people ask at the same moment."""
    found: dict[str, list[list[float]]] = {}
    with Served() as page:
        page.after(page.answers)
        page.after(page.loaded)
        for _ in range(turns + 1):
            crowds = [crowd(page.url, people) for people in VISITORS]
            for name, seconds in {
                "half have a translation": [median(v.there for v in visits) for visits in crowds],
                "all have one": [max(v.there for v in visits) for visits in crowds],
                "all have the way back": [max(v.back for v in visits) for visits in crowds],
            }.items():
                found.setdefault(name, []).append(seconds)
    return Panel(
        "Visitors at once",
        "visitors",
        VISITORS,
        VISITORS,
        # The first turn warms up.
        [Curve(name, turn[1:]) for name, turn in found.items()],
        "one after the other",
        "a visitor",
        early="what a request takes beside the network overlaps with the networks of others, and "
        "half of many wait for half of them only",
        late="requests and answers take processor time from the networks",
    )


def processes() -> Panel:
    """Measure trainings of so many processes, each with a thread of its own and a batch of one."""
    options = argparse.Namespace(steps=10, size=64, width=16)
    rates = [scaling.measure(count, 1, 1, options)["images_per_second"] for count in PROCESSES]
    return Panel(
        "A step of training processes",
        "processes, one thread each",
        PROCESSES,
        [max(1, count / CORES) for count in PROCESSES],
        [Curve("a step", [[count / rate for count, rate in zip(PROCESSES, rates, strict=True)]])],
        f"sharing {CORES} cores",
        "a core's work",
        late="every step waits for the slowest process and for the average of all gradients, and "
        "the cores share caches and memory",
    )


def large(pixels: int) -> str:
    """Why large pictures may cost more: what the first layer hands on, and what caches hold."""
    megabytes = WIDTH * pixels * 4 / 2**20
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    kilobytes = [int(size[:-1]) for size in sizes if size.endswith("K")]
    cache = f" of {max(kilobytes) // 1024} MB" if kilobytes else ""
    return (
        f"the largest layers hand on {megabytes:.0f} MB at the end, through memory rather than the "
        f"last cache{cache}"
    )


CALLS = "layers have a price of their own, whatever their size: calls, buffers, threads that meet"
NARROW = "narrow layers move more bytes for each multiply-add, and leave wide vector units idle"


def measure(turns: int) -> dict[str, list[Panel]]:
    """Measure everything; the panels of each plot."""
    end = SIZES[-1] ** 2
    few = max(1, turns // 2)
    return {
        "translation": [
            translations(
                "Image size", "pixels a side", [(1, size, WIDTH, BLOCKS) for size in SIZES],
                turns, CALLS, large(end),
            ),
            translations(
                "Batch", "pictures", [(batch, SIZE // 2, WIDTH, BLOCKS) for batch in BATCHES],
                turns, CALLS, large(BATCHES[-1] * (SIZE // 2) ** 2),
            ),
            translations(
                "Width", "channels of the first layer",
                [(1, SIZE, width, BLOCKS) for width in WIDTHS], turns, NARROW,
            ),
            translations(
                "Depth", "residual blocks", [(1, SIZE, WIDTH, blocks) for blocks in DEPTHS],
                turns, "the layers before and after the blocks, at the picture's own size, cost "
                "more for each multiply-add than a block",
            ),
        ],
        "training": [
            steps(
                "Image size", "pixels a side", [(1, size, WIDTH, BLOCKS) for size in STEP_SIZES],
                few, CALLS, "what the way back through the network needs is kept in memory",
            ),
            steps(
                "Batch", "pairs of pictures",
                [(batch, SMALL, WIDTH, BLOCKS) for batch in STEP_BATCHES], few, CALLS,
            ),
            steps(
                "Width", "channels of the first layer",
                [(1, SMALL, width, BLOCKS) for width in STEP_WIDTHS], few, NARROW,
            ),
        ],
        "page": [visitors(few), processes()],
    }  # fmt: skip


INTRODUCTIONS = {
    "translation": f"A translation; where nothing else is said, one picture of {SIZE}×{SIZE} "
    f"pixels, width {WIDTH}, {BLOCKS} blocks (batches of {SIZE // 2}×{SIZE // 2}).",
    "training": f"A training step of CycleGAN with all its losses; where nothing else is said, one "
    f"pair of {SMALL}×{SMALL} pixels, width {WIDTH} of generators and discriminators, {BLOCKS} "
    "blocks.",
    "page": "The real page with the weights that ship, over HTTP; and trainings by "
    "`benchmarks/scaling.py`.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how cost grows.")
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    parts = []
    for name, panels in measure(turns).items():
        path = ROOT / "docs" / "plots" / f"{name}.svg"
        draw(path, panels)
        titles = ", ".join(panel.title.lower() for panel in panels)
        parts.append(f"### {name.capitalize()}\n\n{INTRODUCTIONS[name]}\n")
        parts.append(f"![How time grows: {titles}](plots/{path.name})\n")
        for panel in panels:
            parts.append(f"**{panel.title}.** {panel.sentences()}\n")
            parts.append(f"{table(panel.head(), panel.rows())}\n")
    missing = "" if torch.cuda.is_available() else " Not measured: GPUs."
    publish(
        "growth",
        "## How cost grows\n\nTimes against the first of the row, medians with the least and "
        "greatest of the turns (shaded). Dashed is how much there is to compute: while a curve "
        "runs beside it, time grows as the multiply-adds of the convolutions do. A range of no "
        "width is a single turn: training, visitors and processes take half of the turns or one. "
        "Where curves bend is measured; the reasons given are what would explain it, and none "
        "was tested by itself.\n\n"
        + "\n".join(parts)
        + f"\n`python -m benchmarks.growth --turns {turns}`; {machine()}.{missing}",
    )


if __name__ == "__main__":
    main()
