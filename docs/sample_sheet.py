"""Lay out what weights make of the project's own examples: `python -m docs.sample_sheet WEIGHTS`.

Both ways with the way back, one way, or, where z chooses, several answers to each drawing; of
models that make pictures from noise, those of the first seeds.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageOps

from cyclegan.files import SAMPLE_SHEET
from cyclegan.generator import Generator, takes_z
from cyclegan.images import grid, load_image, save_image, to_tensor
from cyclegan.translator import Translator

EXAMPLES = Path(__file__).resolve().parent.parent / "cyclegan" / "ui" / "examples"
SIDE = 256
SEEDS, COLUMNS = 32, 8
ANSWERS = 5

Columns = list[list[Image.Image]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="weights folder, which receives samples.webp")
    options = parser.parse_args()
    translator = Translator.load(options.weights)
    columns = _answers(translator) if takes_z(translator.weights.config) else _ways(translator)
    side = min(SIDE, *columns[0][0].size)
    batches = [torch.stack([_square(image, side) for image in column]) for column in columns]
    save_image(grid(batches), options.weights / SAMPLE_SHEET, quality=85)


def _ways(translator: Translator) -> Columns:
    columns: Columns = []
    for direction in translator.directions:
        label = translator.info.labels[direction[0]]
        name = "drawing-*.png" if translator.info.drawn else f"{label}s-*.jpg"
        reals = [load_image(path) for path in sorted(EXAMPLES.glob(name))]
        if len(translator.directions) == 2:
            made = [translator.recover(real, direction) for real in reals]
        else:
            made = [(translator.translate(real, direction),) for real in reals]
        rows = [(real, *images) for real, images in zip(reals, made, strict=True)]
        # Two groups side by side in any case.
        length = len(rows) if len(translator.directions) == 2 else (len(rows) + 1) // 2
        for group in (rows[:length], rows[length:]):
            columns += [list(column) for column in zip(*group, strict=True)]
    return columns


def _answers(translator: Translator) -> Columns:
    generator = Generator(translator.weights, translator.info, translator.device)
    if not generator.takes_picture:
        made = generator.generate(generator.draw(SEEDS))
        return [made[column::COLUMNS] for column in range(COLUMNS)]
    drawings = [load_image(path) for path in sorted(EXAMPLES.glob("drawing-*.png"))]
    columns = [[generator.seen(drawing) for drawing in drawings]]
    for z in generator.draw(ANSWERS):
        columns.append([generator.translate(drawing, z) for drawing in drawings])
    return columns


def _square(image: Image.Image, side: int) -> torch.Tensor:
    return to_tensor(ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
