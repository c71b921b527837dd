"""Whether pictures are line drawings, dark on white, which visitors can draw themselves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cyclegan.images import ImageError, load_image
from cyclegan.photos import half

LOOKED_AT = 50
"""How many pictures are looked at."""
MOST = 0.9
"""Share of them that have to be drawings."""
WHITE, GREY = 230, 16
"""A pixel is white from this level on, and grey if its channels differ by no more than that."""
SHEET = 0.6
"""Share of a drawing that is white."""


def are_drawings(files: Sequence[Path], layout: str | None = None) -> bool:
    """Whether nearly all pictures are grey and mostly white; those that cannot be read are not.

    With a layout it is about the halves that are domain A; see `photos.half`.
    """
    spaced = files[:: max(1, len(files) // LOOKED_AT)][:LOOKED_AT]
    return bool(spaced) and float(np.mean([_is_drawing(file, layout) for file in spaced])) >= MOST


def _is_drawing(file: Path, layout: str | None) -> bool:
    try:
        pixels = np.asarray(half(load_image(file), layout, "a")).astype(int)
    except ImageError:
        return False
    grey = np.ptp(pixels, axis=2) <= GREY
    white = pixels.min(axis=2) >= WHITE
    # Scans and lossy files have a pixel of colour here and there.
    return bool(grey.mean() > 0.99 and white.mean() > SHEET)
