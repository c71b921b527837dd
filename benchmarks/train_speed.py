"""How fast a CycleGAN trains, against the loop that the known code bases share.

    python -m benchmarks.train_speed [--rounds N] [--no-compile]

All variants take turns, so whatever else the machine does meanwhile hits all of them; ratios are
medians over the rounds. On a CPU with the networks of the preset "tiny", on a GPU also with the
paper's. How much memory a step takes is counted in benchmarks/train_memory.py.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks.overhead import draw_photos
from benchmarks.plain import PlainLoop, as_torch_has_them
from benchmarks.report import machine, publish, table
from benchmarks.train_memory import images, peak_bytes, step_flops
from cyclegan.cli import parse_training
from cyclegan.devices import make_accelerator
from cyclegan.learner import Learner
from cyclegan.training import Trainer

TINY = ("--preset", "tiny")
PAPER = ("--upsample", "resize", "--blocks", "9", "--width", "64")
MEMORY_SIZES = (256, 512, 1024)
PAIRS = 200 * 1000
"""Image pairs of 200 epochs of a thousand images a side: apple2orange, by the paper's schedule."""
Variants = Mapping[str, tuple[Callable[[], object], int]]
"""By name: what takes a step, and on how many image pairs."""


def learner(device: str, *flags: str) -> Learner:
    """Build networks and optimisers as a training does, without photos."""
    command = ["cyclegan", "--data", "none", "--device", device, *flags]
    config = parse_training(command)
    return Learner(config, make_accelerator(config.training))


def plain(device: str, size: int, *flags: str) -> Callable[[], object]:
    """The reference, from the same weights, at batch 1."""
    made = learner(device, *flags, "--precision", "no")
    loop, where = PlainLoop(as_torch_has_them(made.networks)), made.accelerator.device
    batch = images(1, size, where)
    return lambda: loop.step(batch)


def stepping(made: Learner, batch: int, size: int) -> tuple[Callable[[], object], int]:
    """Steps of a learner on the same images again and again."""
    pictures = images(batch, size, made.accelerator.device)
    return lambda: made.step([pictures]), batch


def rates(variants: Variants, rounds: int, steps: int = 1) -> dict[str, list[float]]:
    """Let all variants take turns; returns image pairs a second of each in every round."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, (step, count) in variants.items():
            begun = _now()
            for _ in range(steps):
                step()
            # The first round compiles, chooses kernels and fills pools.
            if turn:
                found[name].append(count * steps / (_now() - begun))
    return found


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The most floating-point operations a second that products of large matrices reach."""
    size = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(12):
        begun = _now()
        torch.mm(one, other)
        times.append(_now() - begun)
    return 2 * size**3 / min(times)


def speed_table(
    device: str, size: int, flags: Sequence[str], batches: Sequence[int], compiled: Sequence[int],
    rounds: int,
) -> tuple[str, float]:  # fmt: skip
    """Measure all variants; returns the table, and the most image pairs a second."""
    variants: dict[str, tuple[Callable[[], object], int]] = {
        "plain loop, float32, 1": (plain(device, size, *flags), 1)
    }
    makes = {"no": "float32", "bf16": "bf16"}
    for precision, name in makes.items():
        made = learner(device, *flags, "--precision", precision)
        for batch in batches:
            variants[f"{name}, {batch}"] = stepping(made, batch, size)
    if compiled:
        made = learner(device, *flags, "--precision", "bf16", "--compile")
        for batch in compiled:
            variants[f"bf16, compiled, {batch}"] = stepping(made, batch, size)
    gpu = device != "cpu"
    found = rates(variants, rounds, 10 if gpu else 1)
    where = made.accelerator.device
    work = step_flops(learner("cpu", *flags, "--precision", "no"), size)
    peaks = {
        name: peak_rate(where, dtype)
        for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16))
    }
    base, rows = found["plain loop, float32, 1"], []
    for name, values in found.items():
        ratios = [value / first for value, first in zip(values, base, strict=True)]
        share = median(values) * work / peaks["bf16" if "bf16" in name else "float32"]
        absolute = [f"{median(values):.1f}"] if gpu else []
        spread = f"{median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"
        rows.append([name, spread, f"{share:.0%}", *absolute])
    head = ["variant, batch", "images a second, to the plain loop", "of matrix products' rate"]
    head += ["image pairs a second"] if gpu else []
    text = (
        f"{table(head, rows)}\n\nA step on one image pair has {work / 1e12:.2f} TFLOP in its "
        f"convolutions. Products of large matrices reach {peaks['float32'] / 1e12:.2f} TFLOP/s in "
        f"float32 and {peaks['bf16'] / 1e12:.2f} in bf16."
    )
    return text, max(median(values) for values in found.values())


def loading_table(device: str, flags: Sequence[str], batch: int, rounds: int) -> str:
    """How much slower training is on photos than on images that are there already."""
    gpu = device != "cpu"
    steps = 30 if gpu else 2
    variants: dict[str, tuple[Callable[[], object], int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "photos")
        for cache in ("none", "ram", "device"):
            words = ["cyclegan", "--data", f"{folder}/photos", "--out", f"{folder}/{cache}",
                     "--device", device, *flags, "--batch-size", str(batch), "--cache", cache,
                     "--steps", str((rounds + 1) * steps)]  # fmt: skip
            trainer = Trainer(parse_training(words))
            if not variants:
                size = trainer.config.data.image_size
                variants["images that are there already"] = stepping(trainer.learner, batch, size)
            loaded = trainer._batches()

            def step(trainer: Trainer = trainer, loaded=loaded) -> None:
                trainer.learner.step([next(loaded)])

            variants[f"`--cache {cache}`"] = (step, batch)
        found = rates(variants, rounds, steps)
        trainer.accelerator.end_training()
    base = found["images that are there already"]
    rows = []
    for name, values in found.items():
        ratios = [value / first for value, first in zip(values, base, strict=True)]
        rows.append([name, f"{median(ratios):.1%} ({min(ratios):.1%}–{max(ratios):.1%})"])
    return table([f"photos of 640×480, batch {batch}", "images a second"], rows)


def memory_table() -> str:
    """Peak memory of a step on one image pair, with and without checkpointed activations."""
    rows = []
    for precision, name in (("no", "float32"), ("bf16", "bf16")):
        for flags, how in (((), ""), (("--checkpoint-activations",), ", checkpointed")):
            made = learner("auto", *PAPER, "--precision", precision, *flags)
            peaks = [peak_bytes(made, size) for size in MEMORY_SIZES]
            rows.append([f"{name}{how}", *(f"{peak / 1e9:.2f} GB" for peak in peaks)])
    return table(["ResNet-9, width 64", *(f"{size} px" for size in MEMORY_SIZES)], rows)


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=128, help="pixels of the CPU's images")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    rounds, compiles = options.rounds, not options.no_compile
    gpu = torch.cuda.is_available()

    on_cpu, _ = speed_table(
        "cpu", options.size, (*TINY, "--image-size", str(options.size)), (1, 2, 4),
        (1,) if compiles else (), rounds,
    )  # fmt: skip
    cpu_loading = loading_table("cpu", (*TINY, "--image-size", str(options.size)), 1, rounds)
    on_gpu, headline = "Not measured: this machine has no GPU.", "not measured (no GPU)"
    if gpu:
        on_gpu, best = speed_table(
            "auto", 256, PAPER, (1, 2, 4, 8, 16, 32), (1, 8) if compiles else (), rounds
        )
        on_gpu += "\n\n" + loading_table("auto", (*PAPER, "--precision", "bf16"), 1, rounds)
        on_gpu += "\n\n" + loading_table("auto", (*PAPER, "--precision", "bf16"), 16, rounds)
        headline = f"{PAIRS / best / 60:.1f} minutes"
    counted = "as the GPU's allocator says" if gpu else "counted, not measured: no GPU"
    publish(
        "train-speed",
        "## Speed of training\n\n"
        "Whole steps of CycleGAN, identity loss on, against a plain loop of the same networks "
        "(`benchmarks/plain.py`: eager, float32, batch 1, every network called by itself, every "
        f"loss read in every step). All variants took turns for {rounds} rounds; medians (least–"
        "greatest).\n\n"
        f"### On a CPU: the preset tiny at {options.size} pixels\n\n{on_cpu}\n\n{cpu_loading}\n\n"
        f"### On a GPU: ResNet-9, width 64, 256 pixels\n\n{on_gpu}\n\n"
        f"**200 epochs of 1,000 images a side on one GPU: {headline}.**\n\n"
        f"### Memory of a step on one image pair\n\nBesides weights and averages; {counted}.\n\n"
        f"{memory_table()}\n\n"
        f"`python -m benchmarks.train_speed --rounds {rounds} --size {options.size}"
        f"{'' if compiles else ' --no-compile'}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
