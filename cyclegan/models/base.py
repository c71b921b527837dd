"""What a family of models declares, so that the training loop need not know it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrize import is_parametrized

from cyclegan.config import Direction

Batch = Mapping[str, Tensor]
Cache = dict[str, Tensor]
Networks = Mapping[str, nn.Module] | nn.ModuleDict


@dataclass(frozen=True)
class Phase:
    """One optimiser step of a training step.

    Attributes:
        name: as it stands in metrics, e.g. "generators".
        trains: the networks that step; all others are frozen meanwhile.
        losses: from the batch, and a cache that lives for one training step and carries tensors
            from phase to phase, to the losses by name, already weighted. The loop minimises and
            logs their sum, nothing else. Of a model in evaluation mode they are validation losses:
            no augmentation, no pool, nothing that needs gradients.
        rate: by what the learning rate is multiplied in this phase.
    """

    name: str
    trains: tuple[str, ...]
    losses: Callable[[Batch, Cache], dict[str, Tensor]]
    rate: float = 1.0


class Model(nn.Module, ABC):
    """Networks and phases. A family subclasses this once, in one file, and is final.

    Class attributes:
        family: its name on the command line and in config.json.
        Config: its frozen dataclass of settings.
        presets: by name, what a preset changes in each part of a RunConfig.
        defaults: what it changes there without being asked.
        data: the kind of data set it trains on, a key of data.DATASETS.
        translators: for each direction, the network that translates.
        generator: the network that makes images from z alone, if there is one.
        encoder: the network that finds the z of an image of domain B, where z chooses among
            translations.
        ships: the networks that make up its weights.
        rows: what belongs side by side in a sample, named as `sample` names it.
        alarms: what can go wrong with it, keys of watching.LIMITS.
        probes: how many pictures a sample shows of each kind.

    Attributes:
        progress: share of the run that is done, from 0 to 1, for weights that change on the way;
            the loop sets it before every step.
    """

    family: ClassVar[str]
    Config: ClassVar[type]
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    data: ClassVar[str]
    translators: ClassVar[Mapping[Direction, str]] = {}
    generator: ClassVar[str | None] = None
    encoder: ClassVar[str | None] = None
    ships: ClassVar[tuple[str, ...]]
    rows: ClassVar[tuple[tuple[str, ...], ...]]
    alarms: ClassVar[tuple[str, ...]] = ()
    probes: ClassVar[int] = 4

    def __init__(self, config: Any, image_size: int):
        super().__init__()
        self.config = config
        self.progress = 0.0
        build = self.builders(config, image_size)
        self.networks = nn.ModuleDict({name: make() for name, make in build.items()})

    @staticmethod
    @abstractmethod
    def builders(config: Any, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        """Name every network with the function that makes it, freshly initialised.

        Raises ValueError, naming the setting, when the settings make no network or do not fit
        images of `image_size` pixels.
        """

    @staticmethod
    @abstractmethod
    def channels(config: Any) -> dict[str, int]:
        """How many channels the images of each domain have, by domain letter."""

    def noise(self, count: int, size: int, like: Tensor) -> Tensor:
        """Draw z: [count, size] from N(0, 1), on the device of `like`.

        In evaluation mode it is always the same, so that validation losses can be compared.
        """
        if self.training:
            return torch.randn(count, size, device=like.device)
        return fixed_noise(count, size, like)

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """List the phases of a training step, in order."""

    @staticmethod
    def measure(networks: Networks, batch: Batch) -> dict[str, float]:
        """Measure what only this family can tell of the probes, by name."""
        return {}

    @staticmethod
    @abstractmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        """Make what a sample shows, by name and in order, from the shipped networks."""


def together(network: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
    """Run a network on several batches [N, C, H, W] of images of one size; returns what each gave.

    In one call, which keeps a GPU busier, unless the network would then compute something else:
    batch norm sees other batches, dropout draws other numbers, and spectral norm moves on by one
    iteration a call.
    """
    if any(
        isinstance(layer, _BatchNorm | _DropoutNd) or is_parametrized(layer)
        for layer in network.modules()
    ):
        return tuple(network(batch) for batch in batches)
    return network(torch.cat(batches)).split([len(batch) for batch in batches])


def fixed_noise(count: int, size: int, like: Tensor, seed: int = 0) -> Tensor:
    """Draw z from a seed: [count, size] from N(0, 1), the same on every device."""
    # The first rows of a longer draw differ from a shorter one unless each row is drawn alone.
    rows = [
        torch.randn(size, generator=torch.Generator().manual_seed(seed + index))
        for index in range(count)
    ]
    return torch.stack(rows).to(like.device)
