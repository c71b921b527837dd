"""Differentiable augmentation of what discriminators see (Zhao et al. 2020, DiffAugment)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Policy = Literal["color", "translation", "cutout"]


def augment(images: Tensor, policy: Sequence[Policy]) -> Tensor:
    """Change every image of a batch at random, each in its own way and in the order of `policy`.

    color: brightness by up to half a unit, saturation by 0 to 2, contrast by 0.5 to 1.5;
    translation: by up to an eighth of the side, what is uncovered being grey; cutout: a grey square
    of half the side, anywhere.

    Takes [N, C, H, W] in [-1, 1], in which 0 is grey, and returns the same shape and type. Values
    may leave the range: a clamp would stop gradients. Random numbers come from torch's global
    generator on the CPU, whatever the device, which then never has to be waited for.
    """
    if not policy:
        return images
    changed = []
    for image in images:
        for name in policy:
            image = _POLICIES[name](image)
        changed.append(image)
    return torch.stack(changed)


def _color(image: Tensor) -> Tensor:
    brightness, saturation, contrast = torch.rand(3).tolist()
    image = image + (brightness - 0.5)
    grey = image.mean(0, keepdim=True)
    image = grey + (image - grey) * (2 * saturation)
    mean = image.mean()
    return mean + (image - mean) * (contrast + 0.5)


def _translation(image: Tensor) -> Tensor:
    down, right = (_integer(-reach, reach) for reach in (_part(s, 8) for s in image.shape[1:]))
    # A negative padding cuts off.
    return F.pad(image, (right, -right, down, -down))


def _cutout(image: Tensor) -> Tensor:
    mask = torch.ones_like(image[:1])
    (top, bottom), (left, right) = (_span(side) for side in image.shape[1:])
    mask[:, top:bottom, left:right] = 0
    return image * mask


def _span(side: int) -> tuple[int, int]:
    """Draw where the square begins and ends; its centre lies anywhere, so it may stick out."""
    start = _integer(0, side) - _part(side, 4)
    return max(0, start), start + _part(side, 2)


def _integer(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def _part(side: int, parts: int) -> int:
    return (side + parts // 2) // parts


_POLICIES = {"color": _color, "translation": _translation, "cutout": _cutout}
