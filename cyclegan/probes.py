"""The fixed images that samples show."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cyclegan.data import Photos, centred
from cyclegan.images import ImageError
from cyclegan.photos import DataError, folders, list_images, pairs

logger = logging.getLogger(__name__)

MOST_PROBES = 16
"""How many pictures of each folder of --probes are taken."""


def load_probes(dataset: Photos, count: int) -> dict[str, Tensor]:
    """Load the images that samples show, cut from the middle.

    They are resized as for training, by --resize but without --zoom, since at another scale the
    networks look worse than they are.

    From the folders A and B of --probes, in the order of their names, up to `MOST_PROBES` of each;
    without it, `count` taken at random, by the data set's seed, from the test folders where there
    are any and from the training photos elsewhere. Returns "real_a" and "real_b": float32 [N, C,
    size, size] in [-1, 1], as many of either; of pairs, what belongs together.

    Raises DataError, naming it, when a folder of --probes is missing or holds nothing readable.
    """
    config = replace(centred(dataset.config), cache="none")
    if config.probes is not None:
        files, count = _given(dataset, config.probes), MOST_PROBES
        config = replace(config, layout=None)
    else:
        files = _drawn(dataset)
    shown = Photos(files, config, dataset.seed, dataset.channels)
    if dataset.paired:
        made = _first(shown, tuple(files), list(zip(*files.values(), strict=True)), count)
    else:
        made = {
            side: _first(shown, (side,), [(file,) for file in listed], count)[side]
            for side, listed in files.items()
        }
    for side, images in made.items():
        if config.probes is not None and not images:
            raise DataError(
                f"--probes needs a folder {config.probes / side.upper()} with readable pictures "
                f"of domain {side.upper()}."
            )
    count = min(len(images) for images in made.values())
    return {f"real_{side}": torch.stack(images[:count]) for side, images in made.items()}


def _given(dataset: Photos, folder: Path) -> dict[str, list[Path]]:
    roots = {side: [folder / side.upper()] for side in dataset.files}
    listed = {side: list_images(paths) for side, paths in roots.items()}
    return pairs(listed, roots) if dataset.paired else listed


def _drawn(dataset: Photos) -> dict[str, list[Path]]:
    random = np.random.default_rng((dataset.seed, 2))
    roots = folders(dataset.config, "test", tuple(dataset.files))
    tests = {side: list_images(paths) for side, paths in roots.items()}
    if dataset.paired:
        tests = pairs(tests, roots)
    files: dict[str, list[Path]] = {}
    orders: list[np.ndarray] = []
    for side, trained in dataset.files.items():
        # Training photos, which are known to be readable, come after and fill up.
        pools = (tests[side], trained)
        if not (dataset.paired and orders):
            orders = [random.permutation(len(pool)) for pool in pools]
        files[side] = [pool[at] for pool, order in zip(pools, orders, strict=True) for at in order]
    return files


def _first(
    shown: Photos, sides: Sequence[str], groups: Sequence[tuple[Path, ...]], count: int
) -> dict[str, list[Tensor]]:
    """Read the first groups of files that can be read, one file a side."""
    made: dict[str, list[Tensor]] = {side: [] for side in sides}
    # What is drawn from it changes nothing, since the cut is fixed.
    random = np.random.default_rng(0)
    for group in groups:
        if len(made[sides[0]]) == count:
            break
        try:
            images = [
                shown.load(side, file, random) for side, file in zip(sides, group, strict=True)
            ]
        except ImageError as error:
            logger.warning("Skipped the probe %s: %s", group[0], error)
            continue
        for side, image in zip(sides, images, strict=True):
            made[side].append(image)
    return made
