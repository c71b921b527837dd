"""Lay out what weights make of photos held back: `python -m docs.photo_sheet WEIGHTS --photos A B`.

A row a direction: translations of photos drawn by a seed, the way back under each, and at the
end the photos whose way back is worst. The photos themselves, which may not be ours to show,
are left out.
"""

import argparse
import random
from pathlib import Path

import torch
from PIL import Image, ImageOps

from cyclegan.files import PHOTO_SHEET
from cyclegan.images import grid, load_image, save_image, to_tensor
from cyclegan.photos import list_images
from cyclegan.translator import Translator

SIDE = 192
DRAWN, WORST = 6, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help=f"weights folder, which receives {PHOTO_SHEET}")
    parser.add_argument("--photos", type=Path, nargs=2, required=True, metavar=("A", "B"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", nargs="*", default=(), metavar="NAME", help="photos left out")
    options = parser.parse_args()
    translator = Translator.load(options.weights)
    rows = []
    for direction, folder in zip(("a2b", "b2a"), options.photos, strict=True):
        photos = [path for path in list_images([folder]) if path.name not in options.without]
        if len(photos) < DRAWN + WORST:
            parser.error(f"{folder} holds {len(photos)} photos; it takes {DRAWN + WORST} to show.")
        made = []
        for path in photos:
            photo = load_image(path).convert("RGB")
            images = (photo, *translator.recover(photo, direction))
            real, fake, recovered = (_square(image) for image in images)
            made.append(((real - recovered).abs().mean().item(), fake, recovered))
        # Drawn before anything is compared, so that other weights show the same photos.
        chosen = random.Random(options.seed).sample(range(len(made)), DRAWN)
        others = [one for index, one in enumerate(made) if index not in chosen]
        drawn = [made[index] for index in chosen]
        worst = sorted(others, key=lambda one: -one[0])[:WORST]
        rows += [[one[index] for one in drawn + worst] for index in (1, 2)]
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    save_image(grid(columns), options.weights / PHOTO_SHEET, quality=85)


def _square(image: Image.Image) -> torch.Tensor:
    return to_tensor(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
