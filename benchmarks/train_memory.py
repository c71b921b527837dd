"""How much memory a training step takes, counted without computing anything.

Tensors without values go through the real step, and every storage is counted from when it is made
until it is freed. Where there is a GPU, its allocator is asked instead.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from cyclegan.learner import Learner


class LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations make, while they live.

    Attributes:
        peak: the most bytes that were alive at one time.
    """

    def __init__(self):
        super().__init__()
        self.peak = self._now = 0
        self._sizes: dict[weakref.ref, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return made

    def _see(self, storage: torch.UntypedStorage) -> None:
        seen = weakref.ref(storage, self._forget)
        if seen not in self._sizes:
            self._sizes[seen] = storage.nbytes()
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)

    def _forget(self, seen: weakref.ref) -> None:
        self._now -= self._sizes.pop(seen)


def images(count: int, size: int, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Draw a batch."""
    return {
        f"real_{side}": torch.rand(count, 3, size, size, device=device) * 2 - 1 for side in "ab"
    }


def backpropagate(learner: Learner, batch: dict[str, Tensor]) -> None:
    """Do what a training step does up to the optimisers, which take the same at any image size."""
    cache: dict[str, Tensor] = {}
    for phase in learner.phases:
        for name, network in learner.networks.items():
            network.requires_grad_(name in phase.trains)
            network.zero_grad(set_to_none=True)
        with learner.accelerator.autocast():
            losses = phase.losses(batch, cache)
        torch.stack(list(losses.values())).sum().backward()


def peak_bytes(learner: Learner, size: int) -> int:
    """The most bytes that one step on one image pair takes besides weights and their averages."""
    device = learner.accelerator.device
    if device.type == "cuda":
        learner.step([images(1, size, device)])
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        learner.step([images(1, size, device)])
        return torch.cuda.max_memory_allocated(device) - before
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
        backpropagate(learner, images(1, size))
    return live.peak


def step_flops(learner: Learner, size: int) -> int:
    """Multiplications and additions of the networks in a step on one image pair."""
    device = learner.accelerator.device
    counter = FlopCounterMode(display=False)
    with FakeTensorMode(allow_non_fake_inputs=True), counter:
        backpropagate(learner, images(1, size, device))
    return counter.get_total_flops()
