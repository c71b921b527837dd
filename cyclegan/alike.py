"""What has an object's colours outside of its mask: another one, perhaps, that was left out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from cyclegan.images import load_image, to_tensor

BINS = 32
"""Of either channel of chroma; brightness does not count, since objects cast and lie in shadows."""
SHARE = 0.8
"""How much of an object its colours are to cover, the most frequent first."""
COLOURED = 28
"""How far from grey, of 128, a colour must be: grey, white and black are everybody's."""
FEW = 0.02
"""What part of a photo must be white in its mask, for its own colours to be known."""
WHITE, GREY = 0.9, 128 / 255


def doubt_alike(files: Sequence[tuple[Path, Path]]) -> None:
    """Make masks grey that are darker where their photos have the colours of what is white in them.

    An outline is of what stands out, one orange of a heap; the others are no background. Where less
    than `FEW` of a mask is white, the colours are those of all objects together.

    Args:
        files: photos, each with its mask, which is written anew.

    Raises ImageError for what is not a picture.
    """
    everywhere = torch.zeros(BINS * BINS)
    for photo, mask in files:
        everywhere += _counted(*_read(photo, mask))
    for photo, mask in files:
        chroma, white = _read(photo, mask)
        own = _counted(chroma, white)
        colours = _common(own if own.sum() >= FEW * white.numel() else everywhere)
        alike = Image.fromarray((colours[chroma] * 255).byte().numpy())
        # A speck is a reflection, or chance.
        alike = to_tensor(alike.filter(ImageFilter.MedianFilter(5)), 1)[0] > 0
        doubted = torch.where(alike, white.clamp(min=GREY), white)
        Image.fromarray((doubted * 255).round().byte().numpy()).save(mask)


def _counted(chroma: Tensor, white: Tensor) -> Tensor:
    """Count the colours, [BINS²], of what is white in a mask from 0 to 1, [H, W]."""
    return torch.bincount(chroma[white > WHITE], minlength=BINS * BINS).float()


def _common(counts: Tensor) -> Tensor:
    """Say of every colour, [BINS²], whether it is one of the object's; greys never are."""
    near = F.avg_pool2d(counts.reshape(1, 1, BINS, BINS), 3, 1, 1).flatten()
    frequent, order = near.sort(descending=True)
    before = frequent.cumsum(0) - frequent
    found = torch.zeros(len(near), dtype=torch.bool)
    found[order] = (before < SHARE * near.sum()) & (frequent > 0)
    middles = (torch.arange(BINS) + 0.5) * 256 / BINS - 128
    return found & (torch.hypot(middles[:, None], middles[None]).flatten() > COLOURED)


def _read(photo: Path, mask: Path) -> tuple[Tensor, Tensor]:
    """Give the number of each pixel's colour and the mask in [0, 1], both [H, W]."""
    white = to_tensor(load_image(mask), 1)[0] / 2 + 0.5
    size = white.shape[1], white.shape[0]
    pixels = load_image(photo).convert("YCbCr").resize(size, Image.Resampling.BOX)
    binned = torch.from_numpy(np.array(pixels)).long() * BINS // 256
    return binned[..., 1] * BINS + binned[..., 2], white
