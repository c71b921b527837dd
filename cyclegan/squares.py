"""What pictures are compared by: whole, as large as a network sees them, or by their middle."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from cyclegan.images import to_tensor
from cyclegan.translator import Translator, prepare


def sized(photo: Path | Image.Image, translator: Translator) -> Image.Image:
    """A whole photo, no larger or smaller than the network sees it at detail 0."""
    image = prepare(photo)
    return image.resize(translator.scaled(image.size), Image.Resampling.LANCZOS)


def units(images: Iterator[Image.Image] | Sequence[Image.Image]) -> Iterator[Tensor]:
    """Pictures as [3, H, W] in [0, 1]."""
    return (to_tensor(image, 3) / 2 + 0.5 for image in images)


def middles(images: Sequence[Image.Image], size: int, channels: int = 3) -> Tensor:
    """The middle squares, [N, channels, size, size] in [-1, 1]."""
    found = []
    for image in images:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        square = image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
        found.append(to_tensor(square, channels))
    return torch.stack(found)
