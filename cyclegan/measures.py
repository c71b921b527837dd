"""Figures of merit with their confidence: means over pictures, bootstrapped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DRAWS = 1000
CONFIDENCE = 95


@dataclass(frozen=True)
class Mean:
    """A mean over pictures, with the middle 95% of the means of 1000 bootstrap samples.

    Attributes:
        value, low, high: the mean and its interval.
        count: pictures.
    """

    value: float
    low: float
    high: float
    count: int

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} ({self.low:{spec}}–{self.high:{spec}})"


def mean(values: Sequence[float] | Tensor, seed: int) -> Mean:
    """Average one value a picture; the interval is the same every time for a seed."""
    found = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    means = found[random.integers(len(found), size=(DRAWS, len(found)))].mean(1)
    low, high = np.percentile(means, [50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2])
    return Mean(float(found.mean()), float(low), float(high), len(found))


def error(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference as a share of the value range, of [3, H, W] in [0, 1]."""
    return float((a - b).abs().mean())


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of [3, H, W] in [0, 1]; 99 for equal pictures."""
    squared = float((a - b).square().mean())
    return 99.0 if squared < 10**-9.9 else -10 * float(np.log10(squared))


def similarity(a: Tensor, b: Tensor) -> float:
    """SSIM (Wang et al. 2004), a Gaussian window of 11 pixels, of [3, H, W] in [0, 1]."""
    # An optional package.
    from kornia.metrics import ssim

    return float(ssim(a[None], b[None], 11).mean())


def luminance_correlation(a: Tensor, b: Tensor) -> float:
    """Correlation of brightness over the pixels: 1 keeps light and dark, -1 exchanges them.

    0 where one of the two has no contrast at all.
    """
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    first, second = ((image * weights).sum(0).flatten().double() for image in (a, b))
    first, second = first - first.mean(), second - second.mean()
    scale = float(first.norm() * second.norm())
    return float(first @ second) / scale if scale > 1e-9 else 0.0
