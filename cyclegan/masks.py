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

from cyclegan.alike import doubt_alike
from cyclegan.config import DataConfig
from cyclegan.files import appearing
from cyclegan.images import ImageError, load_image, to_tensor
from cyclegan.networks import EfficientNetLiteClasses
from cyclegan.photos import by_name, folders, list_images
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

REACH = 18
"""How far around objects, in pixels of a mask, it may be white too: half a stride, at its smallest
look. What is white farther from an outline is another object, which the outline left out. And how
far holes of a guess may be from what is white to be filled."""

DOUBT = 0.25
"""From which guess on an outline is believed to be of the object, and no longer of a tree or a
person beside it."""


def parse_classes(text: str, flag: str = "--classes") -> list[int]:
    """Read numbers of ImageNet's classes, such as "0-397" (animals) or "340" (zebra) or both.

    Raises PreparationError when they are none.
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < 1000:
            raise PreparationError(
                f"{flag} {text!r} is not understood; give numbers below 1000, as in 0-397,950."
            )
        found.update(range(first, last + 1))
    if len(found) == 1000:
        raise PreparationError(f"{flag} names all of ImageNet; leave out what is background.")
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


def outlined(mask: Image.Image, outline: Image.Image) -> Image.Image:
    """Put the sharp outline of an object into a guessed mask of it; both are "L".

    The outline, from a background remover, is right about edges and does not know what the object
    is; the guess is the other way round. So what lies within is as the outline says, where the
    guess does not rule it out; around it, black; and far from any, where the guess is white, grey:
    another object, or the outline has missed this one. Holes of the guess within an outline, such
    as the smooth side of an apple or a muzzle, are filled.
    """
    guess = to_tensor(mask, 1)[None] / 2 + 0.5
    sharp = outline.convert("L").resize(mask.size, Image.Resampling.BOX)
    found = to_tensor(sharp, 1)[None] / 2 + 0.5
    believed, within = (guess / DOUBT).clamp(max=1), found > 0.1
    filled = _widest(torch.where(within, believed, 0.0))
    filled = -_widest(-torch.where(within, filled, 1.0))
    near = _widest((found > 0.5).float()) > 0
    made = torch.where(near, found * filled, guess.clamp(max=0.5))
    return Image.fromarray((made[0, 0] * 255).round().byte().numpy())


def _widest(values: Tensor) -> Tensor:
    return F.max_pool2d(values, 2 * REACH + 1, 1, REACH)


def guess_masks(
    data: Path,
    out: Path,
    classes: str,
    split: str = "train",
    outlines: Path | None = None,
    alike: bool = False,
) -> dict[str, int]:
    """Guess the masks of all photos of a data folder: maskA and maskB in `out`, as --masks wants.

    Photos that cannot be read are named in a warning and left out.

    Args:
        data: with trainA and trainB, or however `train.py` may find them.
        out: a folder that is new or empty; it appears whole or not at all.
        classes: of ImageNet, see `parse_classes`.
        split: "train", or "test" for `evaluate --masked`.
        outlines: built like `data`, with pictures of the same names, see `outlined`; a photo that
            has none there is guessed without.
        alike: leave in doubt what has an object's colours, see `doubt_alike`.

    Returns how many masks are in each folder.

    Raises PreparationError when classes are not understood, the package with the network's weights
    is missing or there is no photo; DataError when a folder is missing or two photos share a name;
    FolderError.
    """
    numbers = parse_classes(classes)
    try:
        network = load_classes()
    except ValueError as error:
        raise PreparationError(str(error)) from None
    roots = folders(DataConfig(data=data), split)
    sharp = {side: list[Path]() for side in roots}
    if outlines is not None:
        sharp = folders(DataConfig(data=outlines), split)
    counts = {}
    with appearing(out) as made:
        for side, paths in roots.items():
            folder = made / f"mask{side.upper()}"
            photos = by_name(list_images(paths), paths, "masks")
            outline = by_name(list_images(sharp[side]), sharp[side], "masks")
            done: list[tuple[Path, Path]] = []
            for name, file in tqdm(photos.items(), desc=folder.name, unit="photo", disable=None):
                try:
                    mask = guess_mask(load_image(file), network, numbers)
                    if name in outline:
                        mask = outlined(mask, load_image(outline[name]))
                except ImageError as error:
                    logger.warning("Skipped %s: %s", file, error)
                    continue
                target = folder / f"{name}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                mask.save(target)
                done.append((file, target))
            counts[folder.name] = len(done)
            if not done:
                raise PreparationError(
                    f"{data} has no {split} photos of {side.upper()} to look at."
                )
            if alike:
                doubt_alike(done)
    return counts
