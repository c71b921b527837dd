"""The part of benchmarks/translation.py that needs a GPU."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.report import table
from benchmarks.train_speed import peak_rate
from cyclegan.graphed import Graphed, Halved
from cyclegan.networks import Generator, ResnetGenerator

SIDE = 256
BATCHES = (1, 2, 4, 8, 16, 32, 64)
GOAL = 1.0
"""Milliseconds of a translation at batch 1 that are to be undercut."""


def milliseconds(run: Callable[[Tensor], Tensor], batch: int, calls: int = 30) -> float:
    """The median time of a call, with what it makes waited for."""
    pictures = torch.rand(batch, 3, SIDE, SIDE, device="cuda") * 2 - 1
    times = []
    for call in range(calls + 5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run(pictures)
        torch.cuda.synchronize()
        if call >= 5:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


@torch.inference_mode()
def on_a_gpu() -> str:
    """A table of the paper's generator on this machine's GPU, or that there is none."""
    if not torch.cuda.is_available():
        return "On a GPU: not measured."
    from benchmarks.translation import multiply_adds

    plain = ResnetGenerator().eval().requires_grad_(False)
    flops = 2e9 * multiply_adds(plain)
    network: Generator = plain.cuda()
    ways = {
        "PyTorch, float32": network,
        "bfloat16, channels last": Halved(network),
        "the same as a CUDA graph": Graphed(network),
    }
    peak = peak_rate(torch.device("cuda"), torch.bfloat16)
    rows = []
    for name, run in ways.items():
        times = [milliseconds(run, batch) for batch in BATCHES]
        rates = [batch / ms * 1000 for batch, ms in zip(BATCHES, times, strict=True)]
        best = max(rates)
        rows.append([
            name,
            f"{times[0]:.2f} ms",
            f"{best:.0f}, batch of {BATCHES[rates.index(best)]}",
            f"{best * flops / peak:.0%}",
        ])  # fmt: skip
    head = ["", "one picture", "pictures a second", "of the rate of matrix products in bf16"]
    return (
        f"On a GPU, the paper's generator; the goal is {GOAL:g} ms for one picture.\n\n"
        f"{table(head, rows)}"
    )
