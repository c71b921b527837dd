"""A generator as everything that there is on this machine runs it."""

import copy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from cyclegan.networks import Generator
from cyclegan.weights import load_weights

Run = Callable[[Tensor], Tensor]
"""Runs a generator: float32 [N, 3, H, W] in [-1, 1] on the CPU to the same."""
GPU = "PyTorch, GPU"


def backends(network: Generator, size: int) -> dict[str, Run]:
    """Have a generator for images of about that size run in float32, by the name of what runs it.

    OpenVINO is there if it is installed, a GPU if the machine has one; PyTorch on the CPU is first.
    """
    found: dict[str, Run] = {"PyTorch": network}
    with suppress(ImportError):
        from cyclegan.compiled import Compiled, converted

        found["OpenVINO"] = Compiled(converted(network, 3, size), network)
    return found | _on_gpu(network)


def shipped(folder: Path, name: str = "generator_ab") -> dict[str, Run]:
    """The same for one of the networks of a weights folder, with the OpenVINO network beside it."""
    weights = load_weights(folder)
    network = weights.networks[name]
    found: dict[str, Run] = {"PyTorch": network}
    with suppress(ImportError):
        from cyclegan.compiled import compiled

        if made := compiled(weights, name, 3, folder, "auto"):
            found["OpenVINO"] = made
    return found | _on_gpu(network)


def _on_gpu(network: torch.nn.Module) -> dict[str, Run]:
    if not torch.cuda.is_available():
        return {}
    there = copy.deepcopy(network).cuda()
    # The answer comes back, so it has been waited for.
    return {GPU: lambda images: there(images.cuda()).cpu()}
