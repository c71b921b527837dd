"""Which files a training reads: folders, splits, pairs, and which of them can be read."""

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import ExifTags, Image

from cyclegan.config import DataConfig
from cyclegan.errors import UserError
from cyclegan.images import EXTENSIONS, FORMATS, MAX_PIXELS, ImageError, load_image

logger = logging.getLogger(__name__)

SIDES = ("a", "b")


class DataError(UserError):
    """Training data that is missing or too little."""


def resolve(config: DataConfig, sides: Sequence[str] = SIDES) -> DataConfig:
    """Fill in the domains' labels from the folder names where the user gave none.

    `--data horse2zebra` gives "horse" and "zebra"; `--domain-a photos/cats` gives "cats"; else
    "A" and "B". Of one domain, it is the folder's name.
    """
    guessed = {side: side.upper() for side in sides}
    if config.data is not None:
        match = re.fullmatch(r"([a-zA-Z]+)2([a-zA-Z]+)", config.data.resolve().name)
        if len(sides) == 1:
            guessed["a"] = config.data.resolve().name
        elif match:
            guessed = {"a": match[1], "b": match[2]}
    else:
        for side in sides:
            folders = getattr(config, f"domain_{side}")
            if folders:
                guessed[side] = folders[0].resolve().name
    return replace(
        config,
        label_a=config.label_a or guessed["a"],
        label_b=config.label_b or guessed.get("b", ""),
    )


def folders(
    config: DataConfig, split: str = "train", sides: Sequence[str] = SIDES
) -> dict[str, list[Path]]:
    """List the folders of each side; those of "test" may be none.

    Of --data, trainA and trainB (or train/A and train/B, or A and B); train alone for a model of
    one domain, or with --layout, where every picture holds both sides. Where there is no such
    folder, --data itself.

    Raises DataError, naming the folder, when a training folder is missing.
    """
    if config.data is not None and (config.domain_a or config.domain_b):
        raise DataError("--data and --domain-a/--domain-b are both given; choose one.")
    if config.data is None:
        if config.layout is not None:
            raise DataError("--layout is for the folder of --data DIR, which is not given.")
        if not all(getattr(config, f"domain_{side}") for side in sides):
            flags = " and ".join(f"--domain-{side}" for side in sides)
            raise DataError(f"There is no training data: give --data DIR, or {flags}.")
    found: dict[str, list[Path]] = {}
    for side in sides:
        if config.data is None:
            paths = list(getattr(config, f"domain_{side}")) if split == "train" else []
        elif config.layout is None and len(sides) > 1:
            usual = config.data / f"{split}{side.upper()}"
            paths = [sided(config.data, split, side) or usual]
        else:
            named = (config.data / f"{split}{side.upper()}", config.data / split)
            whole = [config.data] if split == "train" else []
            paths = next(([path] for path in named if path.is_dir()), whole)
        if split != "train":
            paths = [path for path in paths if path.is_dir()]
        for path in paths:
            if not path.is_dir():
                raise DataError(f"The folder {path} for domain {side.upper()} does not exist.")
        found[side] = paths
    return found


def sided(folder: Path, split: str, side: str) -> Path | None:
    """The folder of one side: trainA, train/A or, of those without a test split, A."""
    names = [f"{split}{side.upper()}", f"{split}/{side.upper()}"]
    names += [side.upper()] if split == "train" else []
    return next((folder / name for name in names if (folder / name).is_dir()), None)


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
        digest.update(f"{_below(file, roots).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()[:16]


def by_name(files: Sequence[Path], roots: Sequence[Path], what: str) -> dict[str, Path]:
    """Give files their names below the roots, with the folders in between, without extensions.

    Raises DataError when two have the same, saying that `what` ("pairs") need one of each.
    """
    found: dict[str, Path] = {}
    for file in files:
        name = _below(file, roots).with_suffix("").as_posix()
        if name in found:
            raise DataError(
                f"{file} and {found[name]} have the same name; {what} need one of each."
            )
        found[name] = file
    return found


def _below(file: Path, roots: Sequence[Path]) -> Path:
    root = next((root for root in roots if file.is_relative_to(root)), file.parent)
    return file.relative_to(root)


def problem(file: Path, layout: str | None = None) -> str | None:
    """Say why a picture cannot be trained on; None when it can."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            half(image, layout, "a", file.name)
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


def readable_images(
    paths: Sequence[Path], side: str, needed: int = 1, layout: str | None = None
) -> list[Path]:
    """Decode every picture below the folders once and keep those that can be read.

    Each of the others is named in a warning; a count of them follows.

    Raises DataError when fewer than `needed` are left, which is before any network is built.
    """
    files = list_images(paths)

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        problems = list(threads.map(partial(problem, layout=layout), files))
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


def half(image: Image.Image, layout: str | None, side: str, name: str = "") -> Image.Image:
    """Cut one side out of a picture that holds both; without a layout, the picture itself.

    Raises ImageError, calling the picture `name`, when it cannot be halved.
    """
    if layout is None:
        return image
    if image.width % 2:
        raise ImageError(
            f"{name or 'A picture'} is {image.width} pixels wide, an odd number, so it does not "
            "hold two pictures side by side."
        )
    left = image.width // 2 * layout.index(side)
    return image.crop((left, 0, left + image.width // 2, image.height))


def pairs(
    files: Mapping[str, Sequence[Path]], roots: Mapping[str, Sequence[Path]]
) -> dict[str, list[Path]]:
    """Put files of both sides into an order in which equal names stand side by side.

    Names count without their extensions, and with the folders that they are in below the roots.

    Raises DataError, naming one, when a picture has no partner, or two of a side share a name.
    """
    named = {side: by_name(listed, roots[side], "pairs") for side, listed in files.items()}
    lone = {
        side: [file for name, file in mine.items() if name not in named[other]]
        for (side, mine), other in zip(named.items(), reversed(named), strict=True)
    }
    for side, alone in lone.items():
        if alone:
            missing = "B" if side == "a" else "A"
            raise DataError(
                f"{alone[0]} has no partner of the same name in domain {missing} "
                f"({len(alone)} such pictures of {side.upper()}); add or remove them."
            )
    return {side: [mine[name] for name in sorted(mine)] for side, mine in named.items()}


def training_photos(
    config: DataConfig, paired: bool, sides: Sequence[str], needed: int = 1
) -> dict[str, list[Path]]:
    """Find what is trained on: readable pictures of each side, or of both in the same order.

    Raises DataError when there are fewer than `needed`, or pairs that are none.
    """
    roots = folders(config, sides=sides)
    listed = {side: list_images(roots[side]) for side in sides}
    if paired:
        listed = pairs(listed, roots)
        for pair in zip(*listed.values(), strict=True):
            _refuse_unlike(*pair)
    good = {side: readable_images(roots[side], side, needed, config.layout) for side in sides}
    if not paired:
        return good
    readable = {side: set(files) for side, files in good.items()}
    kept = [
        pair
        for pair in zip(*listed.values(), strict=True)
        if all(file in readable[side] for side, file in zip(sides, pair, strict=True))
    ]
    if len(kept) < needed:
        raise DataError(
            f"There are {len(kept)} pairs of readable pictures, fewer than the batch of {needed}; "
            "add pairs or lower --batch-size."
        )
    return {side: [pair[index] for pair in kept] for index, side in enumerate(sides)}


def object_masks(
    config: DataConfig, photos: Mapping[str, Sequence[Path]]
) -> dict[str, dict[Path, Path]]:
    """Find the masks of `--masks`: for each side, from photos to pictures of the same name.

    Names are those of `by_name`.

    Raises DataError when there are none for a side, two of a side share a name, or a mask cannot
    lie on top of its photo.
    """
    if config.masks is None:
        return {}
    if config.layout is not None:
        raise DataError("--masks is for photos of their own, not for --layout.")
    roots = folders(config, sides=tuple(photos))
    found: dict[str, dict[Path, Path]] = {}
    for side, files in photos.items():
        folder = config.masks / f"mask{side.upper()}"
        masks = by_name(list_images([folder]), [folder], "masks")
        named = by_name(files, roots[side], "masks")
        found[side] = {file: masks[name] for name, file in named.items() if name in masks}
        if not found[side]:
            raise DataError(f"{folder} has no mask named like a photo of domain {side.upper()}.")
        for pair in found[side].items():
            _refuse_unlike(*pair)
        logger.info("%d of %d photos of %s have masks.", len(found[side]), len(files), side.upper())
    return found


def _refuse_unlike(first: Path, second: Path) -> None:
    """Refuse a pair whose pictures cannot lie on top of each other."""
    sizes = []
    for file in (first, second):
        try:
            with Image.open(file, formats=FORMATS) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
                sizes.append(image.size[::-1] if turned else image.size)
        except Exception:
            return  # `readable_images` says what is wrong with it
    (width, height), (other_width, other_height) = sizes
    if abs(width * other_height - other_width * height) > 0.02 * width * other_height:
        raise DataError(
            f"{first} has {width}×{height} pixels and its partner {second} "
            f"{other_width}×{other_height}; pairs need the same proportions."
        )
