"""Set out data for apples and oranges on which a training learns to leave backgrounds alone.

    python -m docs.fruit_scenes --grocery DIR --fruits360 DIR --out DIR

Shop photos of training and validation, some of fruits-360's single fruits on white, and scenes made
from these: a few of the fruits in front of walls, tables and skies that are the same for apples and
for oranges. Of 127 training oranges in crates nobody learns that a background is to be left alone.
Their masks, in OUT/maskA and OUT/maskB, and those of the photos, guessed from their colours, are
for `train.py --masks OUT --attention --lambda-attention`; in OUT/masked are such scenes with test
fruit, for `evaluate --masked`.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclegan.images import load_image
from cyclegan.photos import list_images

SIDE = 320
SCENES, MASKED = 200, 60
EVERY = 15
"""Every how manieth single fruit is taken as it is; their pictures are turned by a few degrees."""
PALE, VIVID = 0.2, 0.75
"""Saturations below which a pixel shows no fruit, and above which it does; wood is between."""
DARK = 50
"""Below which brightness a pixel's saturation says nothing."""
WHITE = 38
"""How far from white the background of fruits-360 gets, its shadows and JPEG's noise included."""


def cut_out(fruit: Image.Image) -> Image.Image:
    """Make what surrounds a fruit on white transparent: RGBA."""
    ink = np.asarray(fruit, np.int16).min(-1) < 255 - WHITE
    mask = Image.fromarray(np.where(ink, 255, 0).astype(np.uint8))
    mask = mask.filter(ImageFilter.MedianFilter(5))
    # A highlight is white too, but is not reached from the border.
    around = Image.new("L", (mask.width + 2, mask.height + 2))
    around.paste(mask, (1, 1))
    ImageDraw.floodfill(around, (0, 0), 128)
    filled = np.asarray(around)[1:-1, 1:-1] != 128
    alpha = Image.fromarray(np.where(filled, 255, 0).astype(np.uint8))
    cut = fruit.convert("RGBA")
    # A pixel less all around, where the fruit is mixed with white.
    cut.putalpha(alpha.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.GaussianBlur(0.8)))
    return cut


def colourful(photo: Image.Image) -> Image.Image:
    """Guess where in a shop there is fruit (L): white what has colour, black what has none.

    Between the two, as wood and shadows are, it is grey: not known.
    """
    scale = SIDE / 2 / min(photo.size)
    small = photo.resize((round(scale * photo.width), round(scale * photo.height)))
    pixels = np.asarray(small, np.float32)
    bright = pixels.max(-1)
    saturation = (bright - pixels.min(-1)) / np.maximum(bright, 1)
    grey = np.clip((saturation - PALE) / (VIVID - PALE), 0, 1)
    grey = np.where(bright < DARK, np.minimum(grey, 0.5), grey) * 255
    # Highlights and labels on a fruit belong to it.
    filled = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.MaxFilter(7))
    return filled.filter(ImageFilter.MinFilter(7)).filter(ImageFilter.GaussianBlur(1))


def background(random: np.random.Generator) -> Image.Image:
    """Paint something with light, texture and perhaps a table's edge, in any colour or none.

    A third is brown with a grain: what is like oranges and is none must be learned too.
    """
    wooden = random.random() < 0.35
    grain = random.integers(4, 20) if wooden else 1

    def clouds(cells: int) -> np.ndarray:
        small = Image.fromarray(random.random((cells, max(2, cells // grain)), np.float32))
        return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) - 0.5

    def colour() -> np.ndarray:
        grey = random.uniform(0.05, 1.0)
        if wooden:
            return grey * np.array([1, random.uniform(0.6, 0.85), random.uniform(0.25, 0.65)])
        return np.clip(grey + random.normal(0, random.choice([0.02, 0.15]), 3), 0, 1)

    picture = np.ones((SIDE, SIDE, 1)) * colour()
    if random.random() < 0.6:
        picture[int(SIDE * random.uniform(0.3, 0.8)) :] = colour()
    for cells, most in ((3, 0.35), (12, 0.15), (60, 0.2), (SIDE, 0.1)):
        picture += (clouds(cells) * random.uniform(0, most))[..., None]
    blur = ImageFilter.GaussianBlur(random.uniform(0.3, 2.5))
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).filter(blur)


def scene(fruits: Sequence[Path], random: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Put one to four fruits in front of a background, each with something of a shadow.

    Returns the picture (RGB) and where in it the fruits are (L, white).
    """
    picture = background(random)
    mask = Image.new("L", picture.size)
    light = random.uniform(0.6, 1.1)
    for _ in range(random.integers(1, 5)):
        cut = cut_out(load_image(fruits[random.integers(len(fruits))]))
        side = int(SIDE * random.uniform(0.3, 0.75))
        cut = cut.rotate(random.uniform(-40, 40), Image.Resampling.BICUBIC)
        cut = cut.resize((side, side), Image.Resampling.LANCZOS)
        left, top = (int(x) for x in random.uniform(-0.2 * side, SIDE - 0.8 * side, 2))
        shadow = Image.new("L", picture.size)
        shadow.paste(cut.getchannel("A"), (left, top + side // 12))
        shadow = shadow.filter(ImageFilter.GaussianBlur(side / 14)).point(lambda a: a // 2)
        picture.paste((0, 0, 0), (0, 0), shadow)
        lit = cut.convert("RGB").point(lambda value: min(255, round(value * light)))
        for paper, ink in ((picture, lit), (mask, 255)):
            paper.paste(ink, (left, top, left + side, top + side), cut.getchannel("A"))
    return picture, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grocery", type=Path, required=True, help="holds trainA, valA and so on")
    parser.add_argument("--fruits360", type=Path, required=True, help="holds trainA, testA …")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    for side in "AB":
        out, masks = options.out / f"train{side}", options.out / f"mask{side}"
        out.mkdir(parents=True)
        masks.mkdir()
        fruits = list_images([options.fruits360 / f"train{side}"])
        photos = list_images([options.grocery / f"{part}{side}" for part in ("train", "val")])
        for number, file in enumerate([*photos, *fruits[::EVERY]]):
            shutil.copy(file, out / f"{number:04}-{file.name}")
            colourful(load_image(file)).save(masks / f"{number:04}-{file.stem}.png")
        for number in range(SCENES):
            # The same backgrounds for both sides, though not the same places.
            random = np.random.default_rng((number, ord(side)))
            picture, mask = scene(fruits, random)
            picture.save(out / f"scene-{number:03}.jpg", quality=92)
            mask.save(masks / f"scene-{number:03}.png")
        tests = options.out / f"test{side}"
        tests.mkdir()
        for file in list_images([options.grocery / f"test{side}"]):
            shutil.copy(file, tests / file.name)
        unseen = list_images([options.fruits360 / f"test{side}"])
        for number in range(MASKED):
            random = np.random.default_rng((SCENES + number, ord(side)))
            for kind, image in zip(("test", "mask"), scene(unseen, random), strict=True):
                folder = options.out / "masked" / f"{kind}{side}"
                folder.mkdir(parents=True, exist_ok=True)
                image.save(folder / f"scene-{number:03}.png")


if __name__ == "__main__":
    main()
