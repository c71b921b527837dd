"""Photos and line drawings of them, as pairs for pix2pix and BicycleGAN."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from cyclegan.files import appearing
from cyclegan.images import ImageError, load_image
from cyclegan.photos import list_images
from cyclegan.prepare import PreparationError, check_share, held_out, link

logger = logging.getLogger(__name__)

SIDE = 512
"""Pixels of a drawing's short side, in which the numbers below are measured."""
BLUR = 3.0
SHORTEST = 45
"""Strokes shorter than this are grass, fur and noise."""


def draw_edges(photo: Image.Image, contrast: float = 0.35, pen: int = 4) -> Image.Image:
    """Draw the outlines of an RGB picture: dark lines on white, grey, its short side `SIDE`.

    Args:
        contrast: by which share of the value range brightness or a colour has to change for a
            line; lower draws more.
        pen: width of the lines, in pixels.
    """
    import cv2

    scale = SIDE / min(photo.size)
    size = round(scale * photo.width), round(scale * photo.height)
    # Haze would leave nothing to draw.
    photo = ImageOps.autocontrast(photo.resize(size, Image.Resampling.LANCZOS), cutoff=2)
    blurred = cv2.GaussianBlur(np.asarray(photo), (0, 0), BLUR)
    # Of the colours it takes the one that changes most: a horse may be as light as the sky. Of what
    # is blurred so, the gradient that it computes is about the height of the step.
    edges = cv2.Canny(blurred, 255 * contrast / 2, 255 * contrast, L2gradient=True)
    _, strokes, figures, _ = cv2.connectedComponentsWithStats(edges, connectivity=8)
    long = figures[:, cv2.CC_STAT_AREA] >= SHORTEST
    long[0] = False  # the paper
    lines = np.where(long[strokes.astype(np.intp)], 255, 0).astype(np.uint8)
    lines = cv2.dilate(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (pen, pen)))
    return Image.fromarray(255 - cv2.GaussianBlur(lines, (0, 0), 0.8))


def pair_with_edges(
    images: Path,
    out: Path,
    contrast: float = 0.35,
    pen: int = 4,
    test: float = 0.1,
    seed: int = 0,
) -> dict[str, int]:
    """Draw every photo below `images`: drawings in trainA and testA, photos in trainB and testB.

    A drawing and its photo keep the photo's name and its place below `images`, numbered where that
    is taken. Photos are linked to where possible, and stay where they are; those that cannot be
    read are named in a warning and left out.

    Args:
        out: a folder that is new or empty; it appears whole or not at all.
        contrast, pen: as of `draw_edges`.
        test: the share of the photos that goes into testA and testB.
        seed: which photos those are.

    Returns how many pictures are in each folder.

    Raises PreparationError when there is nothing to draw or OpenCV is missing, and FolderError.
    """
    check_share(test)
    if not 0 < contrast <= 1:
        raise PreparationError(f"--contrast is {contrast}; give a share above 0, up to 1.")
    if not 1 <= pen <= SIDE // 8:
        raise PreparationError(f"--pen is {pen}; give 1 to {SIDE // 8} pixels.")
    try:
        import cv2

        # Photos are drawn side by side already.
        cv2.setNumThreads(0)
    except ImportError:
        raise PreparationError(
            "Drawing edges needs a package: pip install opencv-python-headless."
        ) from None
    if not images.is_dir():
        raise PreparationError(f"The folder {images} does not exist; give the one with the photos.")
    photos = list_images([images])
    names = _names([photo.relative_to(images) for photo in photos])
    held = held_out(len(photos), test, np.random.default_rng(seed))

    def draw(index: int) -> str | None:
        photo, name = photos[index], names[index]
        split = "test" if index in held else "train"
        try:
            drawing = draw_edges(load_image(photo), contrast, pen)
        except ImageError as error:
            logger.warning("Skipped %s: %s", photo, error)
            return None
        for side in "AB":
            (made / f"{split}{side}" / name).parent.mkdir(parents=True, exist_ok=True)
        drawing.save(made / f"{split}A" / name.with_suffix(".png"))
        link(photo, made / f"{split}B" / name)
        return split

    with appearing(out) as made:
        with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
            work = threads.map(draw, range(len(photos)))
            done = list(tqdm(work, desc="Drawing", total=len(photos), unit="photo", disable=None))
        if "train" not in done:
            raise PreparationError(f"{images} has no photos to train on that can be read.")
    return {f"{split}{side}": done.count(split) for split in ("train", "test") for side in "AB"}


def _names(places: Sequence[Path]) -> list[Path]:
    """Number those that are the same but for their extension, which pairs do not look at."""
    taken: set[str] = set()
    names = []
    for place in places:
        name, number = place, 1
        while (key := str(name.with_suffix("")).lower()) in taken:
            number += 1
            name = place.with_stem(f"{place.stem}-{number}")
        taken.add(key)
        names.append(name)
    return names
