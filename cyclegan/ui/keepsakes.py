"""What visitors show to others: the three pictures on one sheet, and a clip that loops."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageDraw

from cyclegan.ui.lettering import font_for
from cyclegan.ui.translation import shrink

PAPER, INK, FAINT = (250, 248, 244), (46, 43, 38), (125, 118, 106)
SHEET_SIDE = 1200
"""Longest side, in pixels, of a picture on a sheet."""
CLIP_SIDE = {"webp": 640, "gif": 480}
"""Longest side, in pixels, of a clip; a GIF of the same size would be several times as large."""
SMALLEST = 320
"""Shortest long side of a picture here; smaller ones are enlarged, so that captions fit."""
WIDE = 1.9
"""Pictures wider than this times their height stand below each other on a sheet."""
SHADE = 200
"""How dark the ground of a label is, of 255."""
REST, FADE, FADES = 750, 50, 6
"""Of a clip: milliseconds that a picture stays, milliseconds of a frame in between, and how many of
those there are."""


@dataclass(frozen=True)
class Panel:
    """A picture with its caption: its part in the translation, and the domain that it is in."""

    picture: Image.Image
    part: str
    label: str


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The picture at `side` pixels a side at most, and `SMALLEST` at least."""
    scale = SMALLEST / max(image.size)
    if scale > 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.resize(size, Image.Resampling.LANCZOS)
    return shrink(image, side)


def sheet(panels: Sequence[Panel], credit: str) -> Image.Image:
    """Lay pictures of one size out on paper with their captions; at the end, whose work it is."""
    width, height = panels[0].picture.size
    unit = max(12, round(max(width, height) / 42))
    gap, margin, line = unit, 2 * unit, round(2.4 * unit)
    across = width <= WIDE * height
    right, down = (width + gap, 0) if across else (0, height + line)
    last = len(panels) - 1
    # Captions have room enough to be as far from the edge as the pictures.
    size = (2 * margin + last * right + width, margin + last * down + height + line + gap // 2)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    corners = _corners((width, height), unit // 2)
    end = baseline = 0
    for index, panel in enumerate(panels):
        left, top = margin + index * right, margin + index * down
        page.paste(panel.picture, (left, top), corners)
        baseline = top + height + round(1.5 * unit)
        end = _write(draw, (left, baseline), panel.part, unit, INK)
        at = end + unit // 2 if end > left else left
        end = _write(draw, (at, baseline), panel.label, unit, FAINT)
    small = max(10, round(0.75 * unit))
    font = font_for(credit, small)
    if font and end + gap + font.getlength(credit) < page.width - margin:
        draw.text((page.width - margin, baseline), credit, FAINT, font, anchor="rs")
    return page


def clip(panels: Sequence[Panel], file: BinaryIO, format: str, options: dict[str, Any]) -> None:
    """Write pictures of one size that fade into each other for ever, as "webp" or "gif".

    `options` go to `PIL.Image.save`.
    """
    pictures = [np.asarray(panel.picture, dtype=np.float32) for panel in panels]
    frames: list[Image.Image] = []
    times: list[int] = []
    for index, panel in enumerate(panels):
        after = (index + 1) % len(panels)
        for step in range(FADES + 1):
            # Slow at both ends, as things move.
            share = (1 - np.cos(np.pi * step / (FADES + 1))) / 2
            mixed = pictures[index] + share * (pictures[after] - pictures[index])
            picture = Image.fromarray(mixed.round().astype(np.uint8))
            _label(picture, panel if share < 0.5 else panels[after])
            frames.append(picture)
            times.append(FADE if step else REST)
    if format == "gif":
        frames = _in_one_palette(frames)
        options = {**options, "optimize": False}
    else:
        options = {**options, "quality": 80, "method": 3}
    frames[0].save(
        file,
        format,
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        **options,
    )


def _in_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Reduce frames to the 255 colours that suit the pictures; colours of their own flicker."""
    width, height = frames[0].size
    pictures = frames[:: FADES + 1]
    together = Image.new("RGB", (width, height * len(pictures)))
    for index, picture in enumerate(pictures):
        together.paste(picture, (0, index * height))
    palette = together.quantize(255, Image.Quantize.MEDIANCUT)
    return [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]


def _label(picture: Image.Image, panel: Panel) -> None:
    """Write the caption into the corner, light on dark, which can be read on anything."""
    size = max(13, round(max(picture.size) / 34))
    high, away = round(1.8 * size), round(0.8 * size)
    for text in (f"{panel.part} · {panel.label}", panel.label):
        font = font_for(text, size)
        wide = round(font.getlength(text)) + round(1.3 * size) if font else 0
        # A strip has no place for it.
        if font and wide + 2 * away <= picture.width and 3 * high <= picture.height:
            pill = Image.new("RGB", (wide, high), INK)
            ImageDraw.Draw(pill).text((wide / 2, high / 2), text, "white", font, anchor="mm")
            mask = _corners((wide, high), high // 2, SHADE)
            picture.paste(pill, (away, picture.height - high - away), mask)
            return


def _corners(size: tuple[int, int], radius: int, opacity: int = 255) -> Image.Image:
    """A mask with round corners, smooth at the edges."""
    mask = Image.new("L", (2 * size[0], 2 * size[1]))
    box = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, 2 * radius, opacity)
    return mask.reduce(2)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: tuple[int, int, int]
) -> int:
    """Write from a point on the baseline on; returns where the text ends.

    Without a font for it nothing is written: boxes in place of letters help nobody.
    """
    font = font_for(text, size)
    if font is None:
        return at[0]
    draw.text(at, text, ink, font, anchor="ls")
    return at[0] + round(font.getlength(text))
