"""Photos kept on the device that trains, and training images cut from them there."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from cyclegan.cache import SHARE, CacheError, megabytes
from cyclegan.images import FORMATS, ImageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cut:
    """A square of a photo: its left and upper edge, its side in pixels, and if it is mirrored."""

    left: float
    top: float
    side: float
    mirrored: bool


def hold_photos(
    files: Sequence[Path],
    read: Callable[[Path], Image.Image],
    short_side: int,
    channels: int,
    device: torch.device,
) -> dict[Path, Tensor]:
    """Bring photos to a device: uint8 [channels, H, W] by path, with at most that short side.

    Args:
        files: of the photos; one that `read` raises ImageError for is left out.
        read: decodes one.
        short_side: more of a photo is not needed.
        channels: 3 (RGB) or 1 (grey).
        device: where they go.

    Raises CacheError, before anything is decoded, when they would take more than `SHARE` of the
    memory that is free there.
    """

    def size(file: Path) -> float:
        try:
            with Image.open(file, formats=FORMATS) as image:
                shrunk = min(1.0, short_side / min(image.size))
                return channels * image.width * image.height * shrunk**2
        except Exception:
            return 0.0  # `read` will judge it

    def pixels(file: Path) -> np.ndarray | None:
        try:
            photo = read(file)
        except ImageError:
            return None
        if min(photo.size) > short_side:
            scale = short_side / min(photo.size)
            smaller = (round(photo.width * scale), round(photo.height * scale))
            photo = photo.resize(smaller, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.array(photo.convert("RGB" if channels == 3 else "L"))

    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        needed, free = sum(threads.map(size, files)), _free(device)
        if needed > SHARE * free:
            raise CacheError(
                f"--cache device needs {megabytes(needed)} for {len(files)} photos, more than "
                f"{SHARE:.0%} of the {megabytes(free)} of memory that are free there; use "
                "--cache ram or leave it out."
            )
        held = {}
        for file, array in zip(files, threads.map(pixels, files), strict=True):
            if array is not None:
                photo = torch.from_numpy(array).reshape(*array.shape[:2], channels)
                held[file] = photo.permute(2, 0, 1).contiguous().to(device)
    logger.info("Holding %d photos on %s: %s.", len(held), device, megabytes(needed))
    return held


def cut_out(photo: Tensor, cut: Cut, size: int) -> Tensor:
    """Resample a square of a photo: float32 [C, size, size] in [-1, 1], on the photo's device.

    `photo` is uint8 [C, H, W]. What Pillow's bicubic filter does, as two products of matrices;
    nothing waits for the device.
    """
    down = _bicubic(cut.top, cut.side, photo.shape[1], size, photo.device)
    across = _bicubic(cut.left, cut.side, photo.shape[2], size, photo.device)
    if cut.mirrored:
        across = across.flip(0)
    pixels = down @ photo.float() @ across.mT
    return pixels.round().clamp(0, 255).div(127.5).sub(1.0)


def _bicubic(start: float, side: float, length: int, size: int, device: torch.device) -> Tensor:
    """What each of `length` pixels gives to each of `size` between start and start + side."""
    step = side / size
    # Where pixels become fewer, the filter widens with them.
    wide = max(1.0, step)
    centres = start + (torch.arange(size, device=device) + 0.5) * step
    places = torch.arange(length, device=device) + 0.5
    x = (places - centres[:, None]).abs() / wide
    # Keys's cubic with a = -1/2.
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(1, keepdim=True)


def _free(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    # Every process of a run holds its own; torchrun says how many this machine has.
    return psutil.virtual_memory().available / int(os.environ.get("LOCAL_WORLD_SIZE", 1))
