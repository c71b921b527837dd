"""One translation on a CPU, by PyTorch and by OpenVINO: how long, how alike, how near the limit.

    python -m benchmarks.translation [--rounds N] [--turns N]

Everything that is timed runs in a process of its own, since the threads of one library would wait
for work on the cores that the other one needs; the processes take turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.report import machine, publish, table
from benchmarks.start import ROOT, Served
from benchmarks.translation_gpu import on_a_gpu
from cyclegan.compiled import Compiled, compiled, converted, psnr
from cyclegan.networks import Generator, ResnetGenerator, initialise
from cyclegan.weights import load_weights

WEIGHTS = ROOT / "weights" / "apples-oranges"
EXAMPLES = ROOT / "cyclegan" / "ui" / "examples"
SIDE = 256
RUNS = {
    "PyTorch, float32": "the reference",
    "PyTorch, bfloat16": "autocast",
    "OpenVINO, float32": "as shipped weights without 8 bits on other processors than the next",
    "OpenVINO, half precision": "as weights without 8 bits, on processors that are quicker so",
    "OpenVINO, 8 bits": "as shipped, or quantised on the examples",
    "OpenVINO, 8 bits, all that NNCF quantises": "with its defaults, on the examples",
}
LIMITED = ("PyTorch, float32", "OpenVINO, 8 bits")
"""Those of `RUNS` whose distance from the limit is told; the first is the reference."""
NETWORKS = {
    "shipped": "`weights/apples-oranges` (width 32, 6 blocks)",
    "paper": "as wide and deep as the paper's (width 64, 9 blocks, random weights)",
}


class Single(Generator):
    """A convolution as large as those in the middle of a generator, and nothing else."""

    multiple, minimum = 4, 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 256, 1), nn.Conv2d(256, 256, 3), nn.Conv2d(256, 3, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def examples(side: int = SIDE) -> list[Tensor]:
    """The project's own pictures as a network sees them: [1, 3, H, W] each."""
    found = []
    for path in sorted(EXAMPLES.glob("*s-*.jpg")):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((side, side)), np.float32)
        found.append(torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 127.5 - 1))
    return found


def network_of(name: str) -> Generator:
    """One of the networks that are measured; the same one every time."""
    if name == "shipped":
        return load_weights(WEIGHTS).networks["generator_ab"]  # type: ignore[return-value]
    torch.manual_seed(0)
    made = Single() if name == "single" else initialise(ResnetGenerator())
    return made.eval().requires_grad_(False)


def runner(network: str, run: str, quantised: Path) -> Callable[[Tensor], Tensor]:
    """What runs a network in one of the ways of `RUNS`."""
    plain = network_of(network)
    if run == "PyTorch, float32":
        return plain
    if run == "PyTorch, bfloat16":

        def halved(images: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return plain(images).float()

        return halved
    if run in ("OpenVINO, float32", "OpenVINO, half precision"):
        made = Compiled(converted(plain, 3, SIDE), plain)
        return made if run == "OpenVINO, float32" else made.quick
    if network == "shipped" and run == "OpenVINO, 8 bits":
        made = compiled(load_weights(WEIGHTS), "generator_ab", 3, WEIGHTS, "openvino")
        assert made is not None
        return made
    import openvino

    file = f"{network}{'' if run == 'OpenVINO, 8 bits' else '-defaults'}.xml"
    return Compiled(openvino.Core().read_model(quantised / file), plain).quick


@torch.inference_mode()
def child(network: str, run: str, turns: int, quantised: Path) -> None:
    """Print milliseconds of every call, and how alike the pictures are to PyTorch's."""
    call, pictures = runner(network, run, quantised), examples()
    plain = network_of(network)
    shown = pictures if network == "shipped" else pictures[:2]
    alike = [psnr(call(x), plain(x)) for x in shown]
    for _ in range(3):
        call(pictures[0])
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        call(pictures[0])
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps({"ms": times, "psnr": min(min(alike), 200.0)}))


def multiply_adds(network: Generator) -> float:
    """Multiply-adds of one picture, in units of 10⁹."""
    total = 0.0

    def count(layer: nn.Conv2d, inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel() / 1e9

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return total


def asked(network: str, run: str, turns: int, quantised: Path) -> dict[str, Any]:
    """Have a process of its own measure."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.translation",
        "--turns",
        str(turns),
    ]
    command += ["--child", network, run, str(quantised)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


Measured = dict[str, list[dict[str, Any]]]


def measure(network: str, runs: Iterable[str], rounds: int, turns: int, folder: Path) -> Measured:
    """Have every way of running a network measured, in turn."""
    found: Measured = {run: [] for run in runs}
    for _ in range(rounds):
        for run, measured in found.items():
            measured.append(asked(network, run, turns, folder))
    return found


def compare(found: Measured) -> list[list[str]]:
    """Rows of a table: every way of running a network, against PyTorch in float32."""
    middle = {run: [statistics.median(one["ms"]) for one in every] for run, every in found.items()}
    first = next(iter(middle.values()))
    rows = []
    for run, measured in found.items():
        ratios = sorted(base / own for base, own in zip(first, middle[run], strict=True))
        rows.append([
            run,
            f"{statistics.median(ratios):.2f}× ({ratios[0]:.2f}–{ratios[-1]:.2f})",
            "" if run == LIMITED[0] else f"{min(one['psnr'] for one in measured):.1f} dB",
        ])  # fmt: skip
    return rows


def limit(found: dict[str, Measured]) -> list[list[str]]:
    """Rows of a table: how much of the rate of one large convolution the networks reach."""
    rows = []
    for run in LIMITED:
        rates = {
            name: multiply_adds(network_of(name)) / min(min(one["ms"]) for one in measured[run])
            for name, measured in found.items()
        }
        best = rates.pop("single")
        rows.append([run, *(f"{rate / best:.0%}" for rate in rates.values())])
    return rows


def waits(starts: int) -> list[list[str]]:
    """Rows of a table: start, memory and the first translation on the page, before and after."""
    from benchmarks.load import events, translate, upload

    rows = []
    for backend in ("torch", "auto"):
        ready, loaded, peaks, first, second = [], [], [], [], []
        for _ in range(starts):
            with Served(flags=("--backend", backend)) as page:
                ready.append(page.after(page.answers))
                loaded.append(page.after(page.loaded))
                numbers, photo = events(page.url), upload(page.url, "photo.jpg")
                first.append(translate(page.url, numbers, photo).there)
                second.append(translate(page.url, numbers, photo).there)
                peaks.append(page.peak())
        cells = [ready, loaded, first, second]
        rows.append([
            f"`--backend {backend}`",
            *(f"{statistics.median(cell):.2f} s" for cell in cells),
            f"{statistics.median(peaks):.0f} MB",
        ])  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure translations on a CPU.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--turns", type=int, default=15, help="calls of a process that are timed")
    parser.add_argument("--starts", type=int, default=3, help="starts of the page")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        network, run, folder = options.child
        child(network, run, options.turns, Path(folder))
        return

    import nncf
    import openvino

    from cyclegan.quantise import in_8_bits

    with TemporaryDirectory() as folder:
        quantised = Path(folder)
        for name in ("paper", "single"):
            model = in_8_bits(network_of(name), 3, SIDE, examples())
            openvino.save_model(model, quantised / f"{name}.xml", compress_to_fp16=False)
        for name in NETWORKS:
            model, data = converted(network_of(name), 3, SIDE), [x.numpy() for x in examples()]
            model = nncf.quantize(model, nncf.Dataset(data), subset_size=len(data))
            openvino.save_model(model, quantised / f"{name}-defaults.xml", compress_to_fp16=False)
        found = {
            name: measure(name, runs, options.rounds, options.turns, quantised)
            for name, runs in (("single", LIMITED), *((name, RUNS) for name in NETWORKS))
        }
    parts = [
        f"{about}:\n\n{table(['run by', 'as fast', 'least PSNR'], compare(found[name]))}"
        for name, about in NETWORKS.items()
    ]
    shares = limit(found)
    head = ["of the rate of one large convolution", *NETWORKS]
    started = ["", "page", "model in memory", "first translation", "second", "most memory"]
    publish(
        "translation",
        "## A translation on a CPU\n\n"
        f"{SIDE}×{SIDE} pixels, one picture, the network alone. Median over {options.rounds} "
        "rounds of how many times as fast as PyTorch eager in float32 (least–greatest), each way "
        "in a process of its own; the least PSNR against PyTorch on the project's pictures of "
        "fruit, all eight for the shipped network.\n\n"
        + "\n\n".join(parts)
        + "\n\nHow near the limit: multiply-adds a "
        "second, as a share of those that the same library reaches on a single convolution of 256 "
        "channels. They are counted as the network is defined; where OpenVINO is given fewer for "
        "the same result (`cyclegan/folding.py`), it may come out above all.\n\n"
        f"{table(head, shares)}\n\nThe page, a photo of {SIDE}×{SIDE} pixels over HTTP, "
        f"seconds from the start of the process or from the request; {options.starts} "
        f"starts.\n\n{table(started, waits(options.starts))}\n\n"
        f"{on_a_gpu()}\n\n"
        f"`python -m benchmarks.translation --rounds {options.rounds} --turns {options.turns} "
        f"--starts {options.starts}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
