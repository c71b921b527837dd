"""Lay out examples, their translations and the way back: `python -m docs.sample_sheet WEIGHTS`."""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageOps

from cyclegan.config import Direction
from cyclegan.files import SAMPLE_SHEET
from cyclegan.images import grid, load_image, save_image, to_tensor
from cyclegan.translator import Translator

EXAMPLES = Path(__file__).resolve().parent.parent / "cyclegan" / "ui" / "examples"
SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="weights folder, which receives samples.webp")
    options = parser.parse_args()
    translator = Translator.load(options.weights)
    columns: list[list[Image.Image]] = []
    directions: tuple[Direction, ...] = ("a2b", "b2a")
    for direction in directions:
        label = translator.info.labels[direction[0]]
        rows = []
        for path in sorted(EXAMPLES.glob(f"{label}s-*.jpg")):
            real = load_image(path)
            rows.append((real, *translator.recover(real, direction)))
        columns += [list(column) for column in zip(*rows, strict=True)]
    batches = [torch.stack([_square(image) for image in column]) for column in columns]
    save_image(grid(batches), options.weights / SAMPLE_SHEET, quality=85)


def _square(image: Image.Image) -> torch.Tensor:
    return to_tensor(ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
