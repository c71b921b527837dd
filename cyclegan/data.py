"""Folders of photos as training batches.

Nothing here keeps a random state: image k of a run is a pure function of the seed and of k, so a
resumed run goes on exactly where it stopped, whatever the number of workers.
"""

import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cyclegan.config import DataConfig
from cyclegan.errors import UserError
from cyclegan.images import EXTENSIONS, FORMATS, MAX_PIXELS, ImageError, load_image, to_tensor

logger = logging.getLogger(__name__)

SIDES = ("a", "b")


class DataError(UserError):
    """Training data that is missing or too little."""


def resolve(config: DataConfig) -> DataConfig:
    """Fill in the domains' labels from the folder names where the user gave none.

    `--data horse2zebra` gives "horse" and "zebra"; `--domain-a photos/cats` gives "cats"; else
    "A" and "B".
    """
    guessed = {"a": "A", "b": "B"}
    if config.data is not None:
        match = re.fullmatch(r"([a-zA-Z]+)2([a-zA-Z]+)", config.data.resolve().name)
        if match:
            guessed = {"a": match[1], "b": match[2]}
    else:
        for side in SIDES:
            folders = getattr(config, f"domain_{side}")
            if folders:
                guessed[side] = folders[0].resolve().name
    return replace(
        config, label_a=config.label_a or guessed["a"], label_b=config.label_b or guessed["b"]
    )


def short_sides(config: DataConfig) -> tuple[int, int]:
    """Give the range of pixels to which the short side of a photo is resized before cropping."""
    smallest = config.image_size * config.resize
    return round(smallest), round(smallest * config.zoom)


def folders(config: DataConfig, split: str = "train") -> dict[str, list[Path]]:
    """List the folders of each side; those of "test" may be none.

    Raises DataError, naming the folder, when a training folder is missing.
    """
    if config.data is not None and (config.domain_a or config.domain_b):
        raise DataError("--data and --domain-a/--domain-b are both given; choose one.")
    if config.data is None and not (config.domain_a and config.domain_b):
        raise DataError("There is no training data: give --data DIR, or --domain-a and --domain-b.")
    found: dict[str, list[Path]] = {}
    for side in SIDES:
        if config.data is not None:
            paths = [config.data / f"{split}{side.upper()}"]
        else:
            paths = list(getattr(config, f"domain_{side}")) if split == "train" else []
        if split != "train":
            paths = [path for path in paths if path.is_dir()]
        for path in paths:
            if not path.is_dir():
                raise DataError(f"The folder {path} for domain {side.upper()} does not exist.")
        found[side] = paths
    return found


def list_images(paths: Sequence[Path]) -> list[Path]:
    """List the picture files below folders, by extension, in a stable order."""
    return [
        file
        for path in paths
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in EXTENSIONS and not file.name.startswith(".") and file.is_file()
    ]


def readable_images(paths: Sequence[Path], side: str, needed: int = 1) -> list[Path]:
    """Decode every picture below the folders once and keep those that can be read.

    Each of the others is named in a warning; a count of them follows.

    Raises DataError when fewer than `needed` are left, which is before any network is built.
    """
    files = list_images(paths)

    def problem(file: Path) -> str | None:
        try:
            with Image.open(file, formats=FORMATS) as image:
                # A JPEG decoded at an eighth of its size is still read to its last byte; but one
                # that is too large must not slip through as a smaller one.
                if image.width * image.height <= MAX_PIXELS:
                    image.draft("RGB", (64, 64))
                load_image(image, file.name)
        except ImageError as error:
            return str(error)
        except Exception:
            try:
                load_image(file)
            except ImageError as error:
                return str(error)
        return None

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        problems = list(threads.map(problem, files))
    for file, text in zip(files, problems, strict=True):
        if text is not None:
            logger.warning("Skipped %s: %s", file, text)
    good = [file for file, text in zip(files, problems, strict=True) if text is None]
    if len(good) < len(files):
        logger.warning(
            "Domain %s: %d of %d files cannot be read and are left out.",
            side.upper(),
            len(files) - len(good),
            len(files),
        )
    where = ", ".join(str(path) for path in paths)
    if not good:
        raise DataError(f"Domain {side.upper()} has no readable pictures in {where}.")
    if len(good) < needed:
        raise DataError(
            f"Domain {side.upper()} has {len(good)} readable pictures in {where}, fewer than the "
            f"batch of {needed}; add pictures or lower --batch-size."
        )
    return good


def training_image(
    path: Path, config: DataConfig, random: np.random.Generator, channels: int = 3
) -> Tensor:
    """Load a picture, resize, crop and flip it: float32 [channels, size, size] in [-1, 1].

    Resizing keeps the aspect ratio: the short side becomes image_size * resize (times up to zoom).
    """
    image = load_image(path)
    scale = config.resize * config.zoom ** random.random()
    side = min(image.size) / scale
    place = random.random(2) if config.crop == "random" else (0.5, 0.5)
    left = place[0] * (image.width - side)
    top = place[1] * (image.height - side)
    # One resampling straight from the crop; PIL's filter widens with the factor, so no aliasing.
    image = image.resize(
        (config.image_size, config.image_size),
        Image.Resampling.BICUBIC,
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    if config.flip and random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return to_tensor(image, channels)


class UnpairedDataset(Dataset[dict[str, Tensor]]):
    """Image pairs drawn without pairing, addressed by their position k in the whole run.

    Domain A is walked in shuffled passes, so that an epoch shows every image; the partner from
    domain B is drawn at random each time (Zhu et al. 2017). When B is the larger domain, it is
    walked and A is drawn.
    """

    def __init__(
        self,
        files_a: Sequence[Path],
        files_b: Sequence[Path],
        config: DataConfig,
        seed: int,
        channels: dict[str, int],
    ):
        self.files = {"a": list(files_a), "b": list(files_b)}
        self.config = config
        self.seed = seed
        self.channels = channels
        self.walked, self.drawn = ("a", "b") if len(files_a) >= len(files_b) else ("b", "a")

    def __len__(self) -> int:
        """The images of an epoch: those of the larger domain."""
        return len(self.files[self.walked])

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        random = np.random.default_rng((self.seed, 1, k))
        epoch, position = divmod(k, len(self))
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self))
        index = {
            self.walked: int(order[position]),
            self.drawn: int(random.integers(len(self.files[self.drawn]))),
        }
        return {f"real_{side}": self._image(side, index[side], random) for side in SIDES}

    def _image(self, side: str, index: int, random: np.random.Generator) -> Tensor:
        files = self.files[side]
        # A file that breaks while training (an unmounted disk, a half-written copy) is passed over.
        for offset in range(len(files)):
            file = files[(index + offset) % len(files)]
            try:
                return training_image(file, self.config, random, self.channels[side])
            except ImageError as error:
                logger.warning("Skipped %s: %s", file, error)
        raise DataError(f"No picture of domain {side.upper()} can be read any more.")


DATASETS = {"unpaired": UnpairedDataset}
"""By what a family of models says that it trains on."""


def load_probes(dataset: UnpairedDataset, count: int) -> dict[str, Tensor]:
    """Load the images that sample grids show: `count` a side, cut from the middle.

    They are resized as for training, by --resize but without --zoom, since at another scale the
    networks look worse than they are.

    Taken at random, by the data set's seed, from the test folders where there are any and from the
    training photos elsewhere. Returns "real_a" and "real_b": float32 [count, C, size, size] in
    [-1, 1], both of the same count.
    """
    tests = folders(dataset.config, "test")
    config = replace(dataset.config, zoom=1.0, crop="centre", flip=False)
    random = np.random.default_rng((dataset.seed, 2))
    probes: dict[str, list[Tensor]] = {side: [] for side in SIDES}
    for side, images in probes.items():
        test, train = list_images(tests[side]), dataset.files[side]
        # Training photos, which are known to be readable, come after and fill up what is missing.
        files = [pool[index] for pool in (test, train) for index in random.permutation(len(pool))]
        for file in files:
            if len(images) == count:
                break
            try:
                images.append(training_image(file, config, random, dataset.channels[side]))
            except ImageError as error:
                logger.warning("Skipped the probe %s: %s", file, error)
    count = min(len(images) for images in probes.values())
    return {f"real_{side}": torch.stack(images[:count]) for side, images in probes.items()}
