"""Which of its two domains a photo is from, or neither, so that nobody has to choose a direction.

A photo is reduced to eleven numbers (`look`), and weights say in config.json how the photos of
their domains look (`Looks`): two clouds of one shape. The nearer cloud is the guess, and a photo
that is far from both looks like neither. No network runs for it. Networks' features, what networks
leave alone and discriminators were measured too and are no better: see docs/results.md.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from PIL import Image, ImageOps

from cyclegan.config import Direction, Strict
from cyclegan.images import ImageError, load_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.networks import Generator

if TYPE_CHECKING:
    from cyclegan.weights import Weights

SIDE = 64
"""To how many pixels a side a photo is reduced before it is looked at."""
NUMBERS = 11
"""How many numbers `look` gives."""
FEWEST, MOST = 20, 300
"""How many photos of each domain `calibrate` needs, and how many it looks at."""
FOLDS = 5
TAIL = 0.99
"""Share of the calibration photos, each judged by the others, that must not look like neither."""
MARGIN = 1.25
"""How much farther away than these a photo may be: people's photos vary more than data sets."""
SHRINK = 0.2
"""How far correlations are drawn to zero, which they need where photos are few."""
FREEDOM = 5.0
"""Degrees of freedom of the clouds as Student distributions, whose tails are never quite sure."""


@dataclass(frozen=True)
class Looks(Strict):
    """How the photos of two domains look, in the numbers that `look` gives.

    Attributes:
        mean_a, mean_b: of the photos of each domain.
        spread: standard deviation around these means, the same for both.
        correlation: of the deviations, a matrix row by row.
        limit: the squared Mahalanobis distance beyond which a photo looks like neither domain.
    """

    mean_a: tuple[float, ...]
    mean_b: tuple[float, ...]
    spread: tuple[float, ...]
    correlation: tuple[tuple[float, ...], ...]
    limit: float

    def __post_init__(self):
        rows = (self.mean_a, self.mean_b, self.spread, self.correlation, *self.correlation)
        if any(len(row) != NUMBERS for row in rows):
            raise ValueError(f"every list must hold {NUMBERS} entries.")
        if not all(np.isfinite(row).all() for row in (*rows, self.limit)):
            raise ValueError("every number must be finite.")
        if min(*self.spread, self.limit) <= 0:
            raise ValueError("spread and limit must be above 0.")
        matrix = np.array(self.correlation)
        if not np.array_equal(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] < 1e-3:
            raise ValueError("correlation must be symmetric and positive definite.")

    def distances(self, looks: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distances of looks [N, 11] from both domains: [N, 2]."""
        apart = np.stack([looks - self.mean_a, looks - self.mean_b], axis=1) / self.spread
        solved = np.linalg.solve(np.array(self.correlation), apart[..., None])[..., 0]
        return (apart * solved).sum(axis=-1)


@dataclass(frozen=True)
class Guess:
    """Where a photo seems to be from.

    Attributes:
        domain: the likelier of the two.
        direction: from that domain to the other.
        confidence: how likely that domain is, from 0 to 1; under 0.5 where `neither`.
        neither: whether the photo looks like neither domain. Weights without `looks` never say so.
    """

    domain: Literal["a", "b"]
    direction: Direction
    confidence: float
    neither: bool = False


def guess(weights: "Weights", image: Image.Image) -> Guess | None:
    """Guess the domain of a photo of any size and mode.

    With the `looks` of the weights this takes milliseconds and no network. Without, the photo is
    of the domain into which the networks translate it with the least change, which takes two
    passes over `SIDE` pixels.

    Returns None where there is nothing to choose or nothing to tell by: for weights that translate
    one way only, and for those without `looks` whose domains differ in channels.
    """
    config = weights.config
    family = FAMILIES[config.model]
    if set(family.translators) != {"a2b", "b2a"}:
        return None
    if config.looks is not None:
        near_a, near_b = config.looks.distances(look(image)[None])[0]
        # The third cloud is whatever else there is: as likely everywhere as a domain at its limit.
        tails = np.log1p(np.array([near_a, near_b, config.looks.limit]) / FREEDOM)
        shares = np.exp((tails.min() - tails) * (FREEDOM + NUMBERS) / 2)
        chance_a, chance_b, _ = (float(share) for share in shares / shares.sum())
        return _guess(chance_a, chance_b, min(near_a, near_b) > config.looks.limit)
    if len(set(family.channels(weights.settings).values())) != 1:
        return None
    change_a, change_b = _changes(weights, family.translators, image)
    total = change_a + change_b
    return _guess(change_b / total, change_a / total, False) if total else _guess(0.5, 0.5, False)


def _guess(chance_a: float, chance_b: float, neither: bool) -> Guess:
    if chance_a >= chance_b:
        return Guess("a", "a2b", chance_a, bool(neither))
    return Guess("b", "b2a", chance_b, bool(neither))


@torch.inference_mode()
def _changes(
    weights: "Weights", translators: Mapping[Direction, str], image: Image.Image
) -> tuple[float, float]:
    """Measure how much a photo changes on its way into domain A and into domain B."""
    channels = FAMILIES[weights.config.model].channels(weights.settings)
    changes = {}
    for direction, name in translators.items():
        network = cast(Generator, weights.networks[name])
        side = max(network.minimum, -(-SIDE // network.multiple) * network.multiple)
        real = to_tensor(_small(image, side), channels[direction[0]]).unsqueeze(0)
        real = real.to(next(network.parameters(), real).device)
        changes[direction] = float((network(real) - real).abs().mean())
    return changes["b2a"], changes["a2b"]


def _small(image: Image.Image, side: int = SIDE) -> Image.Image:
    image = image.convert("RGB")
    # Most pixels of a large photo are averaged away at once, which is quicker than resampling.
    image = image.reduce(max(1, min(image.size) // (4 * side)))
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def look(image: Image.Image) -> np.ndarray:
    """Reduce the middle square of a photo to `NUMBERS` numbers, float64.

    In brightness, red minus green and green minus blue: means, logarithms of standard deviations,
    and correlations, in which the centre counts most; then how rough its brightness is, fine and
    coarse, as logarithms.
    """
    pixels = np.asarray(_small(image), dtype=np.float64) / 127.5 - 1
    red, green, blue = np.moveaxis(pixels, -1, 0)
    light = pixels.mean(axis=-1)
    values = np.stack([light, red - green, green - blue]).reshape(3, -1)
    window = np.hanning(SIDE + 2)[1:-1]
    weight = np.outer(window, window).ravel() / window.sum() ** 2
    mean = values @ weight
    apart = values - mean[:, None]
    covariance = (apart * weight) @ apart.T
    # What is added keeps one level of noise on a plain picture from counting as contrast.
    spread = np.sqrt(covariance.diagonal()) + 0.01
    correlation = (covariance / np.outer(spread, spread))[np.triu_indices(3, 1)]
    coarse = light.reshape(SIDE // 4, 4, SIDE // 4, 4).mean(axis=(1, 3))
    rough = [np.abs(np.diff(x, axis=axis)).mean() for x in (light, coarse) for axis in (0, 1)]
    roughness = np.log([rough[0] + rough[1] + 0.01, rough[2] + rough[3] + 0.01])
    return np.concatenate([mean, np.log(spread), correlation, roughness])


def calibrate(photos: Mapping[str, Sequence[Path]]) -> Looks | None:
    """Learn how the photos of domains "a" and "b" look, from up to `MOST` of each.

    The same photos in the same order give the same numbers. Photos that cannot be read are passed
    over; returns None when fewer than `FEWEST` are left of a domain.
    """
    if min(len(photos[side]) for side in "ab") < FEWEST:
        return None
    looks = [_looks_of(_spaced(photos[side])) for side in "ab"]
    if min(map(len, looks)) < FEWEST:
        return None
    unseen = []
    for fold in range(FOLDS):
        parts = [np.arange(len(found)) % FOLDS == fold for found in looks]
        others = _fit([found[~part] for found, part in zip(looks, parts, strict=True)], 1.0)
        seen = np.concatenate([found[part] for found, part in zip(looks, parts, strict=True)])
        unseen.append(others.distances(seen).min(axis=1))
    return _fit(looks, MARGIN * float(np.quantile(np.concatenate(unseen), TAIL)))


def _spaced(files: Sequence[Path]) -> list[Path]:
    count = min(len(files), MOST)
    return [files[index * len(files) // count] for index in range(count)]


def _looks_of(files: Iterable[Path]) -> np.ndarray:
    def look_at(file: Path) -> np.ndarray | None:
        try:
            return look(load_image(file))
        except ImageError:
            return None

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        found = threads.map(look_at, files)
        return np.array([each for each in found if each is not None])


def _fit(looks: Sequence[np.ndarray], limit: float) -> Looks:
    means = [found.mean(axis=0) for found in looks]
    # Of each domain by itself and then averaged, so that the larger one does not outweigh.
    apart = [found - mean for found, mean in zip(looks, means, strict=True)]
    covariance = np.mean([each.T @ each / len(each) for each in apart], axis=0)
    spread = np.sqrt(covariance.diagonal()) + 0.001
    correlation = (1 - SHRINK) * covariance / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    # Rounded, since config.json is read by people too.
    mean_a, mean_b = (tuple(mean.round(4).tolist()) for mean in means)
    rows = tuple(tuple(row) for row in correlation.round(3).tolist())
    return Looks(mean_a, mean_b, tuple(spread.round(4).tolist()), rows, round(limit, 2))
