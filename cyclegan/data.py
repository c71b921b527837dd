"""Folders of photos as training batches.

Nothing here keeps a random state: image k of a run is a pure function of the seed and of k, so a
resumed run goes on exactly where it stopped, whatever the number of workers.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
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
from cyclegan.images import ImageError, load_image, to_tensor
from cyclegan.photos import SIDES, DataError, folders, half, list_images, pairs, problem
from cyclegan.resident import Cut, cut_out, hold_photos

logger = logging.getLogger(__name__)


def short_sides(config: DataConfig) -> tuple[int, int]:
    """Give the range of pixels to which the short side of a photo is resized before cropping."""
    smallest = config.image_size * config.resize
    return round(smallest), round(smallest * config.zoom)


def training_image(
    photo: Path | Image.Image, config: DataConfig, random: np.random.Generator, channels: int = 3
) -> Tensor:
    """Resize, crop and flip a picture: float32 [channels, size, size] in [-1, 1].

    An image given in place of a path is one that `load_image` returned.

    Resizing keeps the aspect ratio: the short side becomes image_size * resize (times up to zoom).
    """
    image = photo if isinstance(photo, Image.Image) else load_image(photo)
    cut = draw_cut(image.width, image.height, config, random)
    # One resampling straight from the crop; PIL's filter widens with the factor, so no aliasing.
    image = image.resize(
        (config.image_size, config.image_size),
        Image.Resampling.BICUBIC,
        box=(cut.left, cut.top, cut.left + cut.side, cut.top + cut.side),
        reducing_gap=3.0,
    )
    if cut.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return to_tensor(image, channels)


def draw_cut(width: int, height: int, config: DataConfig, random: np.random.Generator) -> Cut:
    """Draw which square of a photo is shown, and whether mirrored; the same part at any scale."""
    scale = config.resize * config.zoom ** random.random()
    side = min(width, height) / scale
    place = random.random(2) if config.crop == "random" else (0.5, 0.5)
    mirrored = config.flip and random.random() < 0.5
    return Cut(place[0] * (width - side), place[1] * (height - side), side, bool(mirrored))


class Photos(Dataset[dict[str, Tensor]]):
    """Photos of one or two sides, from which a subclass picks what belongs into a batch.

    Args:
        files: of each side; where `paired`, as many of both, in the same order.
        config, seed: as of the run.
        channels: of the images of each side.
        masks: of each side, from photos that have one to where their objects are.

    Raises CacheError when the photos shall be held in memory, and do not fit.
    """

    paired = False

    def __init__(
        self,
        files: Mapping[str, Sequence[Path]],
        config: DataConfig,
        seed: int,
        channels: Mapping[str, int],
        masks: Mapping[str, Mapping[Path, Path]] | None = None,
    ):
        self.files = {side: list(listed) for side, listed in files.items()}
        self.config = config
        self.seed = seed
        self.masks = masks or {}
        self.channels = {**channels, **{f"mask_{side}": 1 for side in self.masks}}
        self.decoded: dict[Path, np.ndarray] = {}
        self.held: dict[str, dict[Path, Tensor]] = {}
        if config.cache == "ram":
            # Here, before workers fork, so that all of them read the same memory.
            self.decoded = decode_photos(
                list(dict.fromkeys(file for listed in self._sources().values() for file in listed))
            )

    def _sources(self) -> dict[str, list[Path]]:
        """Everything that is read, by what it is of."""
        masks = {f"mask_{side}": list(found.values()) for side, found in self.masks.items()}
        return {**self.files, **masks}

    def hold(self, device: torch.device) -> None:
        """Keep the photos on a device, where images are cut and stay from now on.

        Raises CacheError when they do not fit.
        """
        for side, files in self._sources().items():
            self.held[side] = hold_photos(
                list(dict.fromkeys(files)),
                lambda file, side=side: half(load_image(file), self.config.layout, side, file.name),
                short_sides(self.config)[1],
                self.channels[side],
                device,
            )

    def __len__(self) -> int:
        """The images of an epoch."""
        return len(next(iter(self.files.values())))

    def order(self, k: int) -> tuple[int, np.random.Generator]:
        """Which image of an epoch position k of the run is, and the random numbers for it."""
        epoch, position = divmod(k, len(self))
        shuffled = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self))
        return int(shuffled[position]), np.random.default_rng((self.seed, 1, k))

    def load(self, side: str, file: Path, random: np.random.Generator) -> Tensor:
        """Make the training image of a file: float32 [C, size, size] in [-1, 1].

        Raises ImageError when it cannot be read any more.
        """
        if self.held:
            held = self.held[side].get(file)
            if held is None:
                raise ImageError(f"{file.name} could not be read at the start.")
            cut = draw_cut(held.shape[2], held.shape[1], self.config, random)
            return cut_out(held, cut, self.config.image_size)
        pixels = self.decoded.get(file)
        photo = load_image(file) if pixels is None else Image.fromarray(pixels)
        photo = half(photo, self.config.layout, side, file.name)
        return training_image(photo, self.config, random, self.channels[side])

    def image(self, side: str, index: int, random: np.random.Generator) -> dict[str, Tensor]:
        """Make the training image of one file, or of the next that can be read, as "real_a".

        Where there are masks, the same square of its mask is "mask_a": float32 [1, size, size],
        from -1 where nothing should change to 1 on the object; 0, also everywhere of a photo
        without a mask, where it is not known.

        Raises DataError when neither it nor any other of its side can be read.
        """
        files = self.files[side]
        # A file that breaks while training (an unmounted disk, a half-written copy) is passed over.
        for offset in range(len(files)):
            file = files[(index + offset) % len(files)]
            again = copy.deepcopy(random)
            try:
                made = {f"real_{side}": self.load(side, file, random)}
                if side in self.masks:
                    made[f"mask_{side}"] = self._mask(side, file, made[f"real_{side}"], again)
                return made
            except ImageError as error:
                logger.warning("Skipped %s: %s", file, error)
        raise DataError(f"No picture of domain {side.upper()} can be read any more.")

    def _mask(self, side: str, file: Path, image: Tensor, random: np.random.Generator) -> Tensor:
        mask = self.masks[side].get(file)
        if mask is None:
            return torch.zeros_like(image[:1])
        return self.load(f"mask_{side}", mask, random)

    def pair(self, index: int, seed: tuple[int, ...]) -> dict[str, Tensor]:
        """Make the training images of a pair, cut and mirrored alike, or of the next readable one.

        Raises DataError when no pair can be read any more.
        """
        for offset in range(len(self)):
            at = (index + offset) % len(self)
            try:
                return {
                    f"real_{side}": self.load(side, files[at], np.random.default_rng(seed))
                    for side, files in self.files.items()
                }
            except ImageError as error:
                logger.warning("Skipped a pair: %s", error)
        raise DataError("No pair of pictures can be read any more.")


class UnpairedDataset(Photos):
    """Image pairs drawn without pairing, addressed by their position k in the whole run.

    Domain A is walked in shuffled passes, so that an epoch shows every image; the partner from
    domain B is drawn at random each time (Zhu et al. 2017). When B is the larger domain, it is
    walked and A is drawn.
    """

    def __len__(self) -> int:
        return max(len(files) for files in self.files.values())

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        walked = next(side for side in SIDES if len(self.files[side]) == len(self))
        drawn = "b" if walked == "a" else "a"
        position, random = self.order(k)
        index = {walked: position, drawn: int(random.integers(len(self.files[drawn])))}
        return {
            name: image
            for side in SIDES
            for name, image in self.image(side, index[side], random).items()
        }


class PairedDataset(Photos):
    """Pairs in shuffled passes, addressed by their position k in the whole run."""

    paired = True

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return self.pair(self.order(k)[0], (self.seed, 1, k))


class SingleDataset(Photos):
    """Images of one domain in shuffled passes, addressed by their position k in the whole run."""

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        position, random = self.order(k)
        return self.image("a", position, random)


DATASETS: dict[str, type[Photos]] = {
    "unpaired": UnpairedDataset,
    "paired": PairedDataset,
    "single": SingleDataset,
}
"""By what a family of models says that it trains on."""


class ValidationDataset(Photos):
    """Up to `count` test photos of each side, or pairs, the same ones every time, from the middle.

    They are chosen at random by the seed; where a side has no test photos that can be read, there
    are none.

    Raises DataError for pairs that are none.
    """

    def __init__(
        self,
        config: DataConfig,
        seed: int,
        channels: Mapping[str, int],
        count: int,
        paired: bool = False,
    ):
        random = np.random.default_rng((seed, 3))
        roots = folders(config, "test", tuple(channels))
        files = {side: list_images(paths) for side, paths in roots.items()}
        if paired:
            files = pairs(files, roots)
            order = random.permutation(len(files["a"]))
            good = (
                i for i in order if all(_readable(listed[i], config) for listed in files.values())
            )
            chosen = list(islice(good, count))
            files = {side: [listed[i] for i in chosen] for side, listed in files.items()}
        else:
            for side, listed in files.items():
                drawn = (listed[at] for at in random.permutation(len(listed)))
                files[side] = list(islice((f for f in drawn if _readable(f, config)), count))
        super().__init__(files, replace(centred(config), cache="none"), seed, channels)
        self.paired = paired

    def __len__(self) -> int:
        return min(len(files) for files in self.files.values())

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        if k >= len(self):
            raise IndexError(k)  # which ends a for loop
        if self.paired:
            return self.pair(k, (self.seed, 3, k))
        random = np.random.default_rng((self.seed, 3, k))
        return {
            name: image
            for side in self.files
            for name, image in self.image(side, k, random).items()
        }


def centred(config: DataConfig) -> DataConfig:
    """Make settings that cut photos to look at or to measure: from the middle, always the same."""
    return replace(config, zoom=1.0, crop="centre", flip=False)


def _readable(file: Path, config: DataConfig) -> bool:
    text = problem(file, config.layout)
    if text is not None:
        logger.warning("Skipped %s: %s", file, text)
    return text is None
