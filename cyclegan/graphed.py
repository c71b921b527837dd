"""Generators as a GPU runs them quickest: in half the precision, channels last, as CUDA graphs.

At one picture at a time a GPU waits for Python to tell it what to do next; a graph is told once for
every size. On a shared ZeroGPU there is none, since the process that captures is not the one that
replays.
"""

import copy
import logging
from collections import OrderedDict

import torch
from torch import Tensor

from cyclegan.compiled import LEAST, parity
from cyclegan.networks import Generator

logger = logging.getLogger(__name__)

GRAPHS = 8
"""Sizes for which a graph is kept; each holds the memory of a forward pass."""
WARM_UP = 3
"""Passes before a capture, in which cuDNN chooses its algorithms."""


class Halved(Generator):
    """A generator in bfloat16, channels last: float32 [N, C, H, W] in [-1, 1] in and out."""

    def __init__(self, network: Generator):
        super().__init__()
        self.multiple, self.minimum, self.reach = network.multiple, network.minimum, network.reach
        # Not a part of this one, whose parameters it would otherwise share out.
        self._original = [network]
        halved = copy.deepcopy(network).to(torch.bfloat16)
        self.network = halved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def original(self) -> Generator:
        """The network in full precision."""
        return self._original[0]

    def forward(self, real: Tensor) -> Tensor:
        # Whoever asks for half precision in general does not ask for it twice.
        with torch.autocast(real.device.type, enabled=False):
            seen = real.to(torch.bfloat16, memory_format=torch.channels_last)
            return self.network(seen).float()


class Graphed(Halved):
    """The same, replayed as one CUDA graph where a size comes again."""

    def __init__(self, network: Generator):
        super().__init__(network)
        self._graphs: OrderedDict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None]
        self._graphs = OrderedDict()

    @torch.inference_mode()
    def forward(self, real: Tensor) -> Tensor:
        if real.shape not in self._graphs:
            self._graphs[real.shape] = None
            if len(self._graphs) > GRAPHS:
                self._graphs.popitem(last=False)
            return super().forward(real)
        self._graphs.move_to_end(real.shape)
        graph, given, made = self._graphs[real.shape] or self._captured(real)
        given.copy_(real)
        graph.replay()
        return made.clone()

    def _captured(self, real: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = real.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                super().forward(given)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = super().forward(given)
        self._graphs[real.shape] = found = (graph, given, made)
        return found


def graphed(network: Generator, channels: int, size: int) -> Generator | None:
    """Have a GPU run a network as CUDA graphs; None, and a line in the log, where that fails.

    `channels` and `size` are those of the images that it was trained on.
    """
    try:
        made = Graphed(network)
        # The second time a graph is captured, the third time it is replayed.
        found = [parity(made, network, channels, size) for _ in range(3)]
        if not min(found) >= LEAST:
            raise ValueError(f"its pictures are only {min(found):.1f} dB alike")
    except Exception as error:
        logger.warning("CUDA graphs are not used: %s.", " ".join(str(error).split()).rstrip("."))
        return None
    return made
