"""Folders of photos as training batches.

Nothing here keeps a random state: image k of a run is a pure function of the seed and of k, so a
resumed run goes on exactly where it stopped, whatever the number of workers.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cyclegan.cache import decode_photos
from cyclegan.config import DataConfig
from cyclegan.errors import UserError
from cyclegan.images import EXTENSIONS, FORMATS, MAX_PIXELS, ImageError, load_image, to_tensor

logger = logging.getLogger(__name__)

SIDES = ("a", "b")
MOST_PROBES = 16
"""How many pictures of each folder of --probes are taken."""


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


def identity(files: Sequence[Path], roots: Sequence[Path]) -> str:
    """Give a short hexadecimal name to a list of photos, which changes when the list does.

    It is made from sizes in bytes and names below the `roots`, in order, so that it stays the same
    wherever the folders lie; what the photos show is not read.
    """
    digest = hashlib.sha256()
    for file in files:
        root = next((root for root in roots if file.is_relative_to(root)), file.parent)
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()[:16]


def _problem(file: Path) -> str | None:
    """Say why a picture cannot be trained on; None when it can."""
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


def readable_images(paths: Sequence[Path], side: str, needed: int = 1) -> list[Path]:
    """Decode every picture below the folders once and keep those that can be read.

    Each of the others is named in a warning; a count of them follows.

    Raises DataError when fewer than `needed` are left, which is before any network is built.
    """
    files = list_images(paths)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        problems = list(threads.map(_problem, files))
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
    photo: Path | Image.Image, config: DataConfig, random: np.random.Generator, channels: int = 3
) -> Tensor:
    """Resize, crop and flip a picture: float32 [channels, size, size] in [-1, 1].

    An image given in place of a path is one that `load_image` returned.

    Resizing keeps the aspect ratio: the short side becomes image_size * resize (times up to zoom).
    """
    image = photo if isinstance(photo, Image.Image) else load_image(photo)
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


class Photos(Dataset[dict[str, Tensor]]):
    """Photos of both sides, from which a subclass picks pairs."""

    def __init__(
        self, files: dict[str, list[Path]], config: DataConfig, seed: int, channels: dict[str, int]
    ):
        self.files = files
        self.config = config
        self.seed = seed
        self.channels = channels
        self.decoded: dict[Path, np.ndarray] = {}

    def image(self, side: str, index: int, random: np.random.Generator) -> Tensor:
        """Make the training image of one file: float32 [C, size, size] in [-1, 1].

        Raises DataError when neither it nor any other of its side can be read.
        """
        files = self.files[side]
        # A file that breaks while training (an unmounted disk, a half-written copy) is passed over.
        for offset in range(len(files)):
            file = files[(index + offset) % len(files)]
            pixels = self.decoded.get(file)
            try:
                photo = file if pixels is None else Image.fromarray(pixels)
                return training_image(photo, self.config, random, self.channels[side])
            except ImageError as error:
                logger.warning("Skipped %s: %s", file, error)
        raise DataError(f"No picture of domain {side.upper()} can be read any more.")


class UnpairedDataset(Photos):
    """Image pairs drawn without pairing, addressed by their position k in the whole run.

    Domain A is walked in shuffled passes, so that an epoch shows every image; the partner from
    domain B is drawn at random each time (Zhu et al. 2017). When B is the larger domain, it is
    walked and A is drawn.

    Raises CacheError when the photos shall be held in memory, and do not fit.
    """

    def __init__(
        self,
        files_a: Sequence[Path],
        files_b: Sequence[Path],
        config: DataConfig,
        seed: int,
        channels: dict[str, int],
    ):
        super().__init__({"a": list(files_a), "b": list(files_b)}, config, seed, channels)
        self.walked, self.drawn = ("a", "b") if len(files_a) >= len(files_b) else ("b", "a")
        if config.cache == "ram":
            # Here, before workers fork, so that all of them read the same memory.
            self.decoded = decode_photos([*files_a, *files_b])

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
        return {f"real_{side}": self.image(side, index[side], random) for side in SIDES}


DATASETS = {"unpaired": UnpairedDataset}
"""By what a family of models says that it trains on."""


class ValidationDataset(Photos):
    """Up to `count` pairs of test photos, the same ones every time, cut from the middle.

    They are chosen at random by the seed from testA and testB; where either is missing or holds
    nothing readable, there are none.
    """

    def __init__(self, config: DataConfig, seed: int, channels: dict[str, int], count: int):
        random = np.random.default_rng((seed, 3))
        files = {
            side: list(islice(_shuffled_readable(list_images(paths), random), count))
            for side, paths in folders(config, "test").items()
        }
        super().__init__(files, centred(config), seed, channels)

    def __len__(self) -> int:
        return min(len(files) for files in self.files.values())

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        if k >= len(self):
            raise IndexError(k)  # which ends a for loop
        random = np.random.default_rng((self.seed, 3, k))
        return {f"real_{side}": self.image(side, k, random) for side in SIDES}


def load_probes(dataset: Photos, count: int) -> dict[str, Tensor]:
    """Load the images that samples show, cut from the middle.

    They are resized as for training, by --resize but without --zoom, since at another scale the
    networks look worse than they are.

    From the folders A and B of --probes, in the order of their names, up to `MOST_PROBES` of each;
    without it, `count` taken at random, by the data set's seed, from the test folders where there
    are any and from the training photos elsewhere. Returns "real_a" and "real_b": float32 [N, C,
    size, size] in [-1, 1], as many of either.

    Raises DataError, naming it, when a folder of --probes is missing or holds nothing readable.
    """
    config = centred(dataset.config)
    tests = folders(config, "test")
    random = np.random.default_rng((dataset.seed, 2))
    probes: dict[str, list[Tensor]] = {side: [] for side in SIDES}
    for side, images in probes.items():
        if config.probes is not None:
            count = MOST_PROBES
            files = list_images([config.probes / side.upper()])
        else:
            # Training photos, which are known to be readable, come after and fill up.
            pools = (list_images(tests[side]), dataset.files[side])
            files = [pool[index] for pool in pools for index in random.permutation(len(pool))]
        for file in files:
            if len(images) == count:
                break
            try:
                images.append(training_image(file, config, random, dataset.channels[side]))
            except ImageError as error:
                logger.warning("Skipped the probe %s: %s", file, error)
        if config.probes is not None and not images:
            raise DataError(
                f"--probes needs a folder {config.probes / side.upper()} with readable pictures "
                f"of domain {side.upper()}."
            )
    count = min(len(images) for images in probes.values())
    return {f"real_{side}": torch.stack(images[:count]) for side, images in probes.items()}


def centred(config: DataConfig) -> DataConfig:
    """Make settings that cut photos to look at or to measure: from the middle, always the same."""
    return replace(config, zoom=1.0, crop="centre", flip=False)


def _shuffled_readable(files: Sequence[Path], random: np.random.Generator) -> Iterator[Path]:
    for index in random.permutation(len(files)):
        problem = _problem(files[index])
        if problem is None:
            yield files[index]
        else:
            logger.warning("Skipped %s: %s", files[index], problem)
