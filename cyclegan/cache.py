"""Decoded photos in memory."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from cyclegan.errors import UserError
from cyclegan.images import FORMATS, ImageError, load_image

logger = logging.getLogger(__name__)

SHARE = 0.8
"""How much of the memory that is free the photos may take."""


class CacheError(UserError):
    """Photos that do not fit into memory."""


def decode_photos(files: Sequence[Path]) -> dict[Path, np.ndarray]:
    """Decode photos as `load_image` does: uint8 [H, W, 3] by path.

    One that cannot be read is left out.

    Raises CacheError, before anything is decoded, when they would take more than `SHARE` of the
    memory that is free.
    """
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        size = sum(threads.map(_decoded_size, files))
        # Every process of a run holds its own; torchrun says how many this machine has.
        needed = size * int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        free = psutil.virtual_memory().available
        if needed > SHARE * free:
            raise CacheError(
                f"--cache ram needs {megabytes(needed)} for {len(files)} photos, more than "
                f"{SHARE:.0%} of the {megabytes(free)} of memory that are free; leave it out."
            )
        photos = dict(zip(files, threads.map(_decode, files), strict=True))
    logger.info("Holding %d decoded photos in memory: %s.", len(photos), megabytes(size))
    return {file: photo for file, photo in photos.items() if photo is not None}


def _decoded_size(file: Path) -> int:
    try:
        with Image.open(file, formats=FORMATS) as image:
            return 3 * image.width * image.height
    except Exception:
        return 0  # _decode will pass it over, with load_image's judgement


def _decode(file: Path) -> np.ndarray | None:
    try:
        return np.asarray(load_image(file))
    except ImageError:
        return None


def megabytes(size: float) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e6:,.0f} MB"
