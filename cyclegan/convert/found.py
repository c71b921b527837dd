"""A network that was recognised, and what recognising one takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from cyclegan.convert.reading import Tensors


@dataclass(frozen=True)
class Found:
    """A network that was recognised.

    Attributes:
        source: whose layout it is.
        network: our class of it.
        options: what to build that with.
        tensors: its state dict, under our names.
        assumed: what the file does not tell, a sentence; or "".
    """

    source: str
    network: type[nn.Module]
    options: Mapping[str, Any]
    tensors: Tensors
    assumed: str = ""

    def fitted(self) -> "Found | None":
        """With the zeros that are not stored; None unless every key and shape is as it should."""
        try:
            with torch.device("meta"):
                expected = self.network(**self.options).state_dict()
        except ValueError:
            return None
        tensors = dict(self.tensors)
        for key, value in expected.items():
            # A layer without a bias adds nothing; batches are counted since PyTorch 0.4.1.
            if key not in tensors and key.endswith((".bias", ".num_batches_tracked")):
                tensors[key] = torch.zeros(value.shape, dtype=value.dtype)
        shapes = {key: value.shape for key, value in tensors.items()}
        if shapes != {key: value.shape for key, value in expected.items()}:
            return None
        return replace(self, tensors=tensors)

    def build(self) -> nn.Module:
        """The network with its tensors, which it shares."""
        with torch.device("meta"):
            network = self.network(**self.options)
        network.load_state_dict(self.tensors, assign=True)
        return network.eval().requires_grad_(False)

    def by_image(self) -> "Found":
        """The same with batch norms that take their statistics from each image.

        That is a batch norm in training mode, on one image: an instance norm that is affine.
        """
        statistics = ("running_mean", "running_var", "num_batches_tracked")
        tensors = {k: value for k, value in self.tensors.items() if not k.endswith(statistics)}
        options = {**self.options, "norm": "affine"}
        changed = replace(self, tensors=tensors, options=options).fitted()
        assert changed is not None
        return changed


def rename(tensors: Tensors, layers: Mapping[str, str]) -> Tensors:
    """Rename layers, given as ours to theirs; what is not named keeps its name and fits nowhere."""
    ours = {theirs: name for name, theirs in layers.items()}
    renamed = {}
    for key, value in tensors.items():
        layer, _, parameter = key.rpartition(".")
        renamed[f"{ours.get(layer, layer)}.{parameter}"] = value
    return renamed


def with_norms(layers: Mapping[str, str]) -> dict[str, str]:
    """Add the norms, each of which comes right after its convolution in both networks."""

    def following(name: str) -> str:
        return re.sub(r"\d+$", lambda number: str(int(number[0]) + 1), name)

    norms = {following(a): following(b) for a, b in layers.items() if a != "head.0"}
    return {**layers, **norms}


def convolves(tensors: Tensors, layer: str) -> bool:
    """Whether a layer is a convolution."""
    weight = tensors.get(f"{layer}.weight")
    return weight is not None and weight.ndim == 4


def norm_after(tensors: Tensors, convolution: str, norm: str) -> str | None:
    """Which norm follows a convolution; None for no norm at all, which has no counterpart."""
    if f"{norm}.weight" in tensors:
        return "batch" if f"{norm}.running_mean" in tensors else "affine"
    return "instance" if f"{convolution}.bias" in tensors else None
