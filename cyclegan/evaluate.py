"""FID and KID: how far what networks make is from real photos of the domain it is meant for.

The arithmetic is torch-fidelity's, an optional package; here is which pictures go in.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from cyclegan.config import DataConfig
from cyclegan.data import Photos, centred
from cyclegan.extractor import INCEPTION, EvaluationError, load_extractor
from cyclegan.images import ImageError
from cyclegan.models import Model, Networks
from cyclegan.models.base import fixed_noise
from cyclegan.photos import folders, list_images, readable_images

logger = logging.getLogger(__name__)

BATCH = 8
KID_SUBSET = 1000


@dataclass(frozen=True)
class Evaluation:
    """What was measured, in which features, and how.

    Attributes:
        scores: for every direction, "z2a" being that of images made from noise, "fid_a2b",
            "kid_a2b" (the mean over subsets) and "kid_a2b_std" (their standard deviation; none when
            every subset is all there is), and the means over directions "fid" and "kid". Lower is
            better. Beside them what the family measures by itself, as a mean over batches.
        extractor: `INCEPTION`, or the stem of the file whose features were compared.
        protocol: one sentence from which the measurement can be repeated.
    """

    scores: dict[str, float]
    extractor: str
    protocol: str

    def __str__(self) -> str:
        scores = [f"{title(key, self.extractor)} {score:.4g}" for key, score in self.scores.items()]
        return f"{', '.join(scores)}. {self.protocol}"


def title(key: str, extractor: str) -> str:
    """Name a score for people: "FID A→B", which other features than Inception's never are."""
    metric, *rest = key.split("_")
    if metric not in ("fid", "kid"):
        return key.replace("_", " ")
    if extractor == INCEPTION:
        name, features = metric.upper(), ""
    else:
        name = "Fréchet distance" if metric == "fid" else metric.upper()
        features = f" ({extractor})"
    words = {"a2b": "A→B", "b2a": "B→A", "z2a": "z→A", "std": "deviation"}
    return " ".join([name, *(words.get(word, word) for word in rest)]) + features


class Evaluator:
    """Compares what networks make with real test photos, as often as networks change.

    Where a domain has no test folder, its training photos stand in; the protocol says so. Photos
    are cut as probes are. Where z chooses among translations, every photo has a z of its own;
    where z is all there is, there are as many fakes as real photos. Every z is the same each time.
    Features of real photos are kept, so evaluating again costs less.

    Nothing here touches the random state of torch, NumPy or Python, or the networks' mode; it all
    runs in full precision, as weights that ship do.

    Args:
        family: says which network translates in which direction, or makes images from z.
        config: says where photos are and how they are cut.
        channels: of the images of each domain, by its letter.
        device: where the networks are.
        extractor: a file instead of Inception, see `load_extractor`.
        seed: draws the subsets of KID.
        kid_subsets: how many.

    Raises EvaluationError at once when something is missing, DataError when photos are.
    """

    def __init__(
        self,
        family: type[Model],
        config: DataConfig,
        channels: Mapping[str, int],
        device: torch.device,
        extractor: Path | None = None,
        seed: int = 0,
        kid_subsets: int = 100,
    ):
        self.family = family
        self.config = centred(config)
        self.channels = channels
        self.device = device
        self.seed = seed
        self.kid_subsets = kid_subsets
        sides = tuple(channels)
        tests, trained = folders(config, "test", sides), folders(config, "train", sides)
        self.split = {side: "test" if list_images(tests[side]) else "training" for side in sides}
        files = {
            side: readable_images(
                tests[side] if self.split[side] == "test" else trained[side],
                side,
                layout=config.layout,
            )
            for side in sides
        }
        for side, listed in files.items():
            if len(listed) < 2:
                raise EvaluationError(
                    f"FID and KID need two {self.split[side]} photos of domain {side.upper()} at "
                    f"least; {listed[0].parent} has one that can be read."
                )
        self.photos = Photos(files, replace(self.config, cache="none"), seed, channels)
        with _undisturbed(device):
            self.extractor = load_extractor(extractor, config.image_size, device)
        self._real: dict[str, Tensor] = {}

    def evaluate(self, networks: Networks) -> Evaluation:
        """Measure the networks, which may be in any mode.

        Raises EvaluationError when the features are no numbers that can be compared.
        """
        modes = {
            part: part.training for name in self.family.ships for part in networks[name].modules()
        }
        try:
            with _undisturbed(self.device):
                for part in modes:
                    part.training = False
                return self._evaluate(networks)
        finally:
            for part, mode in modes.items():
                part.training = mode

    def _evaluate(self, networks: Networks) -> Evaluation:
        from torch_fidelity.version import __version__

        self._real = self._real or {
            side: self._features(self._images(side), side) for side in self.channels
        }
        fakes = {
            way: self._features(self._translated(way[0], networks[name]), way[0])
            for way, name in self.family.translators.items()
        }
        if self.family.generator is not None:
            generator = networks[self.family.generator]
            made = self._generated(generator, len(self._real["a"]))
            fakes["z2a"] = self._features(made, "a")
        subset = min([KID_SUBSET, *(len(f) for f in [*fakes.values(), *self._real.values()])])
        scores: dict[str, float] = {}
        counts = []
        for way, fake in fakes.items():
            source, target = way[0], way[-1]
            real = self._real[target]
            found = distances(fake, real, self.seed, self.kid_subsets, subset)
            scores[f"fid_{way}"] = found.fid
            scores[f"kid_{way}"], scores[f"kid_{way}_std"] = found.kid, found.kid_std
            origin = "noise"
            if source != "z":
                origin = f"{self.split[source]} photos of {source.upper()}"
            counts.append(
                f"{way}: {len(fake)} fakes from {origin} against {len(real)} {self.split[target]} "
                f"photos of {target.upper()}"
            )
        for metric in ("fid", "kid"):
            scores[metric] = sum(scores[f"{metric}_{way}"] for way in fakes) / len(fakes)
        scores |= self._measured(networks)
        size = self.config.image_size
        protocol = (
            f"{'; '.join(counts)}; from the middle of each photo a square of "
            f"1/{self.config.resize:g} of its short side, resized to {size}×{size} pixels "
            f"(bicubic, 8 bits); {self.extractor.protocol}; KID as the mean over "
            f"{self.kid_subsets} subsets of {subset}, seed {self.seed}; "
            f"torch-fidelity {__version__}."
        )
        return Evaluation(scores, self.extractor.name, protocol)

    def _measured(self, networks: Networks) -> dict[str, float]:
        """What the family alone can tell of all the photos."""
        sums: dict[str, float] = {}
        count = 0
        for made in zip(*(self._images(side) for side in self.channels), strict=False):
            batch = dict(zip((f"real_{side}" for side in self.channels), made, strict=True))
            found = self.family.measure(networks, batch)
            if not found:
                break
            count += len(made[0])
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value * len(made[0])
        return {name: total / count for name, total in sums.items()}

    def _features(self, batches: Iterator[Tensor], side: str) -> Tensor:
        features = [self.extractor(images) for images in batches]
        if sum(len(batch) for batch in features) < 2:
            raise EvaluationError(f"The photos of domain {side.upper()} cannot be read any more.")
        return torch.cat(features)

    def _translated(self, side: str, network: nn.Module) -> Iterator[Tensor]:
        latent, first = getattr(network, "latent", 0), 0
        for images in self._images(side):
            if latent:
                yield network(images, fixed_noise(len(images), latent, images, first))
            else:
                yield network(images)
            first += len(images)

    def _generated(self, network: nn.Module, count: int) -> Iterator[Tensor]:
        latent, like = cast(int, network.latent), torch.empty(0, device=self.device)
        for first in range(0, count, BATCH):
            yield network(fixed_noise(min(BATCH, count - first), latent, like, first))

    def _images(self, side: str) -> Iterator[Tensor]:
        # What is drawn from it changes nothing, since the cut is fixed.
        random = np.random.default_rng(0)

        def load(file: Path) -> Tensor | None:
            try:
                return self.photos.load(side, file, random)
            except ImageError as error:
                logger.warning("Skipped %s: %s", file, error)
                return None

        files = self.photos.files[side]
        with ThreadPoolExecutor(max_workers=BATCH) as threads:
            for start in range(0, len(files), BATCH):
                loaded = threads.map(load, files[start : start + BATCH])
                images = [image for image in loaded if image is not None]
                if images:
                    yield torch.stack(images).to(self.device)


@dataclass(frozen=True)
class Distances:
    """Fréchet distance, kernel distance (the mean over subsets) and its standard deviation."""

    fid: float
    kid: float
    kid_std: float


def distances(
    fake: Tensor, real: Tensor, seed: int, kid_subsets: int = 100, subset: int = KID_SUBSET
) -> Distances:
    """Compare features of two sets of pictures, [N, D] and [M, D], by torch-fidelity.

    Heusel et al. 2017 and Bińkowski et al. 2018. KID is taken of `kid_subsets` subsets of up to
    `subset` pictures, drawn by the seed.
    """
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    statistics = [fid_features_to_statistics(features) for features in (fake, real)]
    fid = fid_statistics_to_metric(*statistics, verbose=False)
    kid = kid_features_to_metric(
        fake,
        real,
        kid_subsets=kid_subsets,
        kid_subset_size=min(subset, len(fake), len(real)),
        rng_seed=seed,
        verbose=False,
    )
    return Distances(
        fid["frechet_inception_distance"],
        kid["kernel_inception_distance_mean"],
        kid["kernel_inception_distance_std"],
    )


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Leave the random state as it was; compute without gradients and in full precision."""
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        yield
