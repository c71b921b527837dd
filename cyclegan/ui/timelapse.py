"""Pictures over time as files: the film strip under the slider, and an animation to keep."""

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from cyclegan.errors import UserError

FRAMES = 120
"""Frames of an animation; of more samples, as many are taken at even distances."""
SIDE = 256
"""Longest side of a picture in an animation, pixels; of small samples, their own."""
FRAME_MS, LAST_MS = 100, 2000
MARGIN, LINE = 8, 24
PAPER, INK, TRACK, BAR = (250, 248, 244), (46, 43, 38), (230, 225, 214), (42, 106, 85)

Find = Callable[[int, str], Path | None]
"""From a step and the name of a tile to its file, or None."""
Kind = Literal["webp", "gif"]


def evenly(steps: Sequence[int], count: int) -> list[int]:
    """Choose at most `count` at even distances, the first and the last among them."""
    if len(steps) <= count:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]


def find_all(find: Find, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Path | None]:
    """Find several tiles at once: those of a run on the Hub have to be fetched."""
    with ThreadPoolExecutor(8) as threads:
        paths = threads.map(lambda place: find(*place), wanted)
        return dict(zip(wanted, paths, strict=True))


def timelapse(
    steps: Sequence[int], rows: Sequence[dict[str, str]], find: Find, total: int, kind: Kind
) -> bytes:
    """Make an animation of a probe over the training, pictures of a row side by side.

    Args:
        steps: all sample steps, oldest first.
        rows: for each row the names of its tiles, and what each is called in the picture.
        find: where a tile is.
        total: steps of the whole run, for the bar below; 0 if unknown.
        kind: an animated WebP or a GIF.

    Raises UserError when there is nothing to show.
    """
    chosen = evenly(steps, FRAMES)
    found = find_all(find, [(step, name) for step in chosen for row in rows for name in row])
    frames: list[Image.Image] = []
    shown: list[dict[str, str]] = []
    side = 0
    for step in chosen:
        tiles = {name: _open(found[step, name]) for row in rows for name in row}
        if not shown:
            # What the first frame lacks, photos that were not published, all of them lack.
            shown = [{n: word for n, word in row.items() if tiles[n]} for row in rows]
            shown = [row for row in shown if row]
            side = min(SIDE, max((max(t.size) for t in tiles.values() if t), default=0))
        if not any(tiles.values()):
            continue
        frame = _frame(tiles, shown, side, f"step {step:,}", step / max(total, steps[-1], 1))
        # The quick way to choose colours: the thorough one takes twenty times as long.
        fast = Image.Quantize.FASTOCTREE
        frames.append(frame.quantize(192, fast) if kind == "gif" else frame)
    if not frames:
        raise UserError("There are no samples of this picture to make a time-lapse of.")
    with io.BytesIO() as buffer:
        frames[0].save(
            buffer,
            kind,
            save_all=True,
            append_images=frames[1:],
            # On the last one the eye wants to rest.
            duration=[FRAME_MS] * (len(frames) - 1) + [LAST_MS],
            loop=0,
            **({"quality": 80, "method": 2} if kind == "webp" else {}),
        )
        return buffer.getvalue()


def strip(paths: Iterable[Path | None], side: int) -> bytes:
    """Put pictures into one long WebP, each cropped to a square of `side` pixels."""
    pictures = [_open(path) for path in paths]
    sheet = Image.new("RGB", (side * max(1, len(pictures)), side), TRACK)
    for index, picture in enumerate(pictures):
        if picture:
            edge = min(picture.size)
            x, y = (picture.width - edge) // 2, (picture.height - edge) // 2
            box = (x, y, x + edge, y + edge)
            sheet.paste(picture.resize((side, side), box=box), (index * side, 0))
    return webp(sheet, quality=70)


def thumbnail(path: Path, side: int) -> bytes | None:
    """A WebP of at most `side` pixels a side; None if the file is no picture."""
    picture = _open(path)
    if picture is None:
        return None
    picture.thumbnail((side, side))
    return webp(picture, quality=75)


def webp(picture: Image.Image, quality: int) -> bytes:
    """Encode as WebP, quickly."""
    with io.BytesIO() as buffer:
        picture.save(buffer, "WEBP", quality=quality, method=1)
        return buffer.getvalue()


def _frame(
    tiles: dict[str, Image.Image | None],
    rows: Sequence[dict[str, str]],
    side: int,
    caption: str,
    share: float,
) -> Image.Image:
    """Draw one frame: rows of tiles with their words above, the step and a bar below."""
    columns = max(len(row) for row in rows)
    width = columns * (side + MARGIN) + MARGIN
    height = len(rows) * (LINE + side + MARGIN) + LINE + MARGIN
    frame = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(frame)
    font = ImageFont.load_default(max(10, min(14, side // 9)))
    for y, row in enumerate(rows):
        top = y * (LINE + side + MARGIN)
        for x, (name, word) in enumerate(row.items()):
            left = MARGIN + x * (side + MARGIN)
            draw.text((left, top + LINE / 2 + 1), word, INK, font, anchor="lm")
            tile = tiles[name]
            if tile:
                tile.thumbnail((side, side))
                frame.paste(tile, (left, top + LINE))
    bottom = height - LINE - MARGIN
    draw.text((MARGIN, bottom + LINE / 2), caption, INK, font, anchor="lm")
    bar = (MARGIN, height - MARGIN - 2, width - MARGIN, height - MARGIN + 1)
    draw.rectangle(bar, TRACK)
    draw.rectangle((*bar[:2], MARGIN + (width - 2 * MARGIN) * min(1, share), bar[3]), BAR)
    return frame


def _open(path: Path | None) -> Image.Image | None:
    """Read a tile; None if it is missing, half-written or no picture."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
