"""Masks of objects, guessed by a network that knows a thousand things from ImageNet."""

import logging
import re
from collections.abc import Sequence
from math import log
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from cyclegan.config import DataConfig
from cyclegan.files import appearing
from cyclegan.images import ImageError, load_image, to_tensor
from cyclegan.networks import EfficientNetLiteClasses
from cyclegan.photos import folders, list_images
from cyclegan.prepare import PreparationError
from cyclegan.pretrained import load_classes

logger = logging.getLogger(__name__)

SIDE = 112
"""Pixels of a mask's short side: a quarter of those that the network looks at."""
LOOKS = {224: 0, 320: 0, 448: 16}
"""Short sides at which a photo is looked at, and by how many pixels it is shifted meanwhile: half a
stride of the network, so that the places that it names lie between each other."""
FAR, NEAR = (224, 448), (320, 448)
"""From afar it sees the whole of large objects, and around small ones; from near the other way
round. Where the two differ, a mask is grey."""
SURE = 0.9
"""Log-odds from which a mask is white: five in seven. Black it is from those that all classes have
where the network sees nothing."""


def parse_classes(text: str) -> list[int]:
    """Read numbers of ImageNet's classes, such as "0-397" (animals) or "340" (zebra) or both.

    Raises PreparationError when they are none.
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < 1000:
            raise PreparationError(
                f"--classes {text!r} is not understood; give numbers below 1000, as in 0-397,950."
            )
        found.update(range(first, last + 1))
    if len(found) == 1000:
        raise PreparationError("--classes names all of ImageNet; leave out what is background.")
    return sorted(found)


@torch.no_grad()
def guess_mask(
    photo: Image.Image, network: EfficientNetLiteClasses, classes: Sequence[int]
) -> Image.Image:
    """Say where in an RGB photo something of these classes is: "L", its short side `SIDE` pixels.

    White where the network is sure of it, black where it is sure of something else, grey where it
    is not. It looks from farther than a pixel, so edges are soft, and a little outside.
    """
    others = [number for number in range(1000) if number not in set(classes)]
    shorter = min(photo.size)
    width, height = (round(SIDE * side / shorter) for side in photo.size)
    odds: dict[int, Tensor] = {}
    for side, shift in LOOKS.items():
        size = [round(side * edge / shorter / 32) * 32 for edge in photo.size]
        seen = to_tensor(photo.resize((size[0], size[1]), Image.Resampling.BICUBIC))[None]
        if shift:
            seen = F.pad(seen, [shift, 32 - shift] * 2, mode="reflect")
        logits = network(seen)
        found: Tensor = logits[:, classes].logsumexp(1, True) - logits[:, others].logsumexp(1, True)
        found = F.interpolate(found, scale_factor=8, mode="bicubic", align_corners=False)
        top, right, bottom = shift // 4, (shift + size[0]) // 4, (shift + size[1]) // 4
        found = found[:, :, top:bottom, top:right]
        odds[side] = F.interpolate(found, (height, width), mode="bilinear")[0, 0]
    chance = log(len(classes) / len(others))
    grey = torch.zeros(height, width)
    for sides in (FAR, NEAR):
        mean = torch.stack([odds[side] for side in sides]).mean(0)
        grey += ((mean - chance) / (SURE - chance)).clamp(0, 1) / 2
    return Image.fromarray((grey * 255).round().byte().numpy())


def guess_masks(data: Path, out: Path, classes: str, split: str = "train") -> dict[str, int]:
    """Guess the masks of all photos of a data folder: maskA and maskB in `out`, as --masks wants.

    Photos that cannot be read are named in a warning and left out.

    Args:
        data: with trainA and trainB, or however `train.py` may find them.
        out: a folder that is new or empty; it appears whole or not at all.
        classes: of ImageNet, see `parse_classes`.
        split: "train", or "test" for `evaluate --masked`.

    Returns how many masks are in each folder.

    Raises PreparationError when classes are not understood, the package with the network's weights
    is missing or there is no photo; DataError when a folder is missing; FolderError.
    """
    numbers = parse_classes(classes)
    try:
        network = load_classes()
    except ValueError as error:
        raise PreparationError(str(error)) from None
    roots = folders(DataConfig(data=data), split)
    counts = {}
    with appearing(out) as made:
        for side, paths in roots.items():
            name = f"mask{side.upper()}"
            (made / name).mkdir()
            for file in tqdm(list_images(paths), desc=name, unit="photo", disable=None):
                try:
                    mask = guess_mask(load_image(file), network, numbers)
                except ImageError as error:
                    logger.warning("Skipped %s: %s", file, error)
                    continue
                mask.save(made / name / f"{file.stem}.png")
            counts[name] = len(list((made / name).iterdir()))
            if not counts[name]:
                raise PreparationError(
                    f"{data} has no {split} photos of {side.upper()} to look at."
                )
    return counts
