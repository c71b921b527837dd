"""Photos that are measured by masks of their objects."""

from pathlib import Path

from cyclegan.extractor import EvaluationError
from cyclegan.photos import by_name, list_images


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
