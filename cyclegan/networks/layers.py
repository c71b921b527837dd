"""Layers of torch that take it long to train on a CPU, with the same answers in less time.

What they compute, their parameters and their names are torch's. Elsewhere, and in evaluation mode
(which is what is exported), they are torch's own to the letter.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv2d(nn.Conv2d):
    """A convolution whose reflection, if that is how it pads, is quick in the backward pass."""

    def forward(self, input: Tensor) -> Tensor:
        if self.padding_mode != "reflect" or not _quick(self, input):
            return super().forward(input)
        padded = _Reflection.apply(input, int(self.padding[0]))
        return F.conv2d(padded, self.weight, self.bias, self.stride)


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection, quick in the backward pass where it is equally wide at every edge."""

    def forward(self, input: Tensor) -> Tensor:
        if len(set(self.padding)) > 1 or not _quick(self, input):
            return super().forward(input)
        return _Reflection.apply(input, self.padding[0])


class InstanceNorm2d(nn.InstanceNorm2d):
    """A group norm with groups of one channel: a fifth of the time of torch's instance norm.

    Of images in channels-last order, whose group norm goes backwards at a tenth of the speed, each
    has a batch norm of its own.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not _quick(self, input):
            return super().forward(input)
        weight, bias, eps = self.weight, self.bias, self.eps
        if not _channels_last(input):
            return F.group_norm(input, self.num_features, weight, bias, eps)
        images = [
            F.batch_norm(image, None, None, weight, bias, training=True, eps=eps)
            for image in input.split(1)
        ]
        return torch.cat(images) if len(images) > 1 else images[0]


class Upsample(nn.Upsample):
    """Doubling, the bilinear one as a transposed convolution of every channel with 1, 3, 3, 1.

    torch's own backward pass takes nearly as long as that of the convolution behind it.
    """

    def forward(self, input: Tensor) -> Tensor:
        # Compiled, the replication's backward pass fails on the order in which gradients arrive.
        if self.scale_factor != 2 or not _quick(self, input) or torch.compiler.is_compiling():
            return super().forward(input)
        # Autocast would convert what comes out, too, and all that follows would be slower.
        with torch.autocast("cpu", enabled=False):
            if self.mode != "bilinear":
                return super().forward(input)
            full = input.to(torch.promote_types(input.dtype, torch.float32))
            line = full.new_tensor([0.25, 0.75, 0.75, 0.25])
            kernel = torch.outer(line, line).repeat(input.shape[1], 1, 1, 1)
            padded = F.pad(full, (1,) * 4, mode="replicate")
            doubled = F.conv_transpose2d(padded, kernel, stride=2, padding=3, groups=input.shape[1])
            return doubled.to(input.dtype)


def _channels_last(images: Tensor) -> bool:
    """Whether the channels of a pixel of [N, C, H, W] lie together in memory."""
    return not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)


def _quick(layer: nn.Module, input: Tensor) -> bool:
    return layer.training and input.device.type == "cpu"


class _Reflection(torch.autograd.Function):
    """Reflection padding [N, C, H, W] whose backward pass folds the edges back in whole slices.

    torch's adds them up pixel by pixel, and under autocast works in float32.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, edge: int) -> Tensor:
        ctx.edge = edge
        with torch.autocast(input.device.type, enabled=False):
            return F.pad(input, (edge,) * 4, mode="reflect")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), edge = gradients, ctx.edge
        for dim in (2, 3):
            inside = gradient.shape[dim] - 2 * edge
            folded = gradient.narrow(dim, edge, inside).clone()
            before, after = gradient.narrow(dim, 0, edge), gradient.narrow(dim, edge + inside, edge)
            folded.narrow(dim, 1, edge).add_(before.flip(dim))
            folded.narrow(dim, inside - 1 - edge, edge).add_(after.flip(dim))
            gradient = folded
        return gradient, None
