"""Photos that are measured by masks of their objects."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.extractor import EvaluationError
from cyclegan.photos import by_name, list_images
from cyclegan.translator import prepare

Masked = tuple[Image.Image, NDArray[np.uint8]]
"""A photo in RGB, and its mask, as large: white on the object, black where none is."""

WHITE, BLACK = 191, 64
"""Above the one it is the object, up to the other it is none; between them nobody is sure."""
SEEN = 0.01
"""The share of a photo that an object takes at least, for its change to be compared with that of
its surroundings; of a speck they are the same few pixels."""
LEAST = 0.03
"""The share of a photo that an object takes at least to be put elsewhere, where smaller ones would
be blurred."""
NEAREST = 6
"""Of so many objects with about the proportions of the one before, one is drawn."""
AROUND = 7
"""Width of the brush, in pixels, with which an object is painted over: masks cut off ears."""


def masked_photos(folder: Path, side: str, most: int) -> list[tuple[Path, Path]]:
    """List photos of a domain, "a" or "b", each with its mask, the first `most` by name.

    Raises EvaluationError when a photo has no mask.
    """
    masks, photos = (
        by_name(list_images([root]), [root], "masks")
        for root in (folder / f"{name}{side.upper()}" for name in ("mask", "test"))
    )
    found = list(photos.items())[:most]
    for name, file in found:
        if name not in masks:
            raise EvaluationError(f"{file} has no mask; leave it out of --masked, or add one.")
    return [(file, masks[name]) for name, file in found]


def load_mask(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a mask for a photo of that width and height. Raises ImageError."""
    return np.array(prepare(file).convert("L").resize(size))


def exchanged(places: Sequence[Masked], objects: Sequence[Masked], seed: int) -> list[Image.Image]:
    """Put real objects where those of other photos stood, as a translation would that is perfect.

    What is not black in the mask of a place is painted over with its surroundings (Telea 2004), and
    an object, drawn by the seed, takes the box around what is white. Photos without anything white
    are left out; where no object is large enough, all are.
    """
    random = np.random.default_rng(seed)
    large = [item for item in objects if np.mean(item[1] > WHITE) >= LEAST]
    found = []
    for photo, mask in places:
        if not large or not (mask > WHITE).any():
            continue
        left, top, right, bottom = _box(mask)
        shape = _shape(mask)
        near = sorted(large, key=lambda item: abs(np.log(_shape(item[1]) / shape)))[:NEAREST]
        other, cut = near[random.integers(len(near))]
        # What is grey may be of the object or not; it stays where it was.
        alpha = Image.fromarray(np.clip(2 * cut.astype(np.int16) - 255, 0, 255).astype(np.uint8))
        size, box = (right - left, bottom - top), _box(cut)
        scene = _emptied(photo, mask)
        scene.paste(other.crop(box).resize(size), (left, top), alpha.crop(box).resize(size))
        found.append(scene)
    return found


def _emptied(photo: Image.Image, mask: NDArray[np.uint8]) -> Image.Image:
    # An optional package.
    import cv2

    hole = cv2.dilate((mask > BLACK).astype(np.uint8), np.ones((AROUND, AROUND), np.uint8))
    return Image.fromarray(cv2.inpaint(np.asarray(photo), hole, 5, cv2.INPAINT_TELEA))


def _box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is white."""
    across, down = (np.flatnonzero((mask > WHITE).any(axis)) for axis in (0, 1))
    return int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1


def _shape(mask: NDArray[np.uint8]) -> float:
    left, top, right, bottom = _box(mask)
    return (right - left) / (bottom - top)
