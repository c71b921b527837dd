"""What generators may normalise by."""

from typing import Literal

from torch import nn

from cyclegan.networks.layers import InstanceNorm2d

Norm = Literal["instance", "affine", "batch"]


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """A norm over the channels of an image, before which only a batch norm leaves out the bias.

    "affine" is the instance norm with a learned scale and shift.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return InstanceNorm2d(channels, affine=norm == "affine")
