"""Generators rewritten to compute the same in fewer multiplications."""

import copy
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks import Generator, ResnetGenerator


def folded(network: Generator) -> Generator:
    """The same function in fewer multiplications, where that is known: a copy.

    The last convolution of a ResNet generator has 3 channels out, and processors compute 16 at
    once: one over windows a pixel larger gives two times two pixels in one go, 12 channels. And a
    convolution of pixels that nearest neighbour has doubled sees every value two or four times.
    """
    made = copy.deepcopy(network)
    if isinstance(made, ResnetGenerator):
        convolution = cast(nn.Conv2d, made.head[0])
        made.head = nn.Sequential(FourPixels(convolution), *list(made.head)[1:])
        if made.attention is not None:
            made.attention = FourPixels(cast(nn.Conv2d, made.attention))
        for index, stage in enumerate(cast(Sequence[nn.Sequential], made.up)):
            upsample, convolution, *rest = stage
            if isinstance(upsample, nn.Upsample) and upsample.mode == "nearest":
                made.up[index] = nn.Sequential(Doubled(cast(nn.Conv2d, convolution)), *rest)
    return made


class Doubled(nn.Module):
    """Doubling by nearest neighbour and a 3x3 convolution of the same size, as a transposed one.

    16 multiplications for 2x2 pixels, a channel in and a channel out, instead of 36.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        weight = convolution.weight.detach().transpose(0, 1).flip(2, 3)
        # What a value adds to the picture: the kernel, once from each of its two by two pixels.
        twice = weight.new_ones(weight.shape[1], 1, 2, 2)
        spread = F.conv2d(weight, twice, padding=1, groups=weight.shape[1])
        self.weight = nn.Parameter(spread, requires_grad=False)
        self.bias, self.mode = convolution.bias, convolution.padding_mode

    def forward(self, x: Tensor) -> Tensor:
        padding = 1
        if self.mode == "reflect":
            # Of two equal pixels at the edge, the mirror's is the other one.
            x, padding = F.pad(x, (1,) * 4, mode="replicate"), 3
        return F.conv_transpose2d(x, self.weight, self.bias, 2, padding)


class FourPixels(nn.Module):
    """A convolution of odd kernel, stride 1 and the same size, two times two pixels at a time."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        out, into, side, _ = convolution.weight.shape
        weight = convolution.weight.new_zeros(out, 2, 2, into, side + 1, side + 1)
        for row in (0, 1):
            for column in (0, 1):
                weight[:, row, column, :, row : row + side, column : column + side] = (
                    convolution.weight.detach()
                )
        bias = cast(Tensor, convolution.bias).detach().repeat_interleave(4)
        self.weight = nn.Parameter(weight.flatten(0, 2), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.pad, self.mode = side // 2, convolution.padding_mode

    def forward(self, x: Tensor) -> Tensor:
        mode = "constant" if self.mode == "zeros" else self.mode
        padded = F.pad(x, (self.pad,) * 4, mode=mode)
        made = F.conv2d(padded, self.weight, self.bias, stride=2)
        return F.pixel_shuffle(made, 2)
