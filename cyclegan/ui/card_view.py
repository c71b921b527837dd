"""What the weights folder of a model tells about it: its card as safe HTML, its size, its samples.

Cards and sample sheets may be a stranger's. No HTML of theirs reaches the page, no picture that
they link to is asked for, and their samples are decoded here and sent as our own.
"""

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image

from cyclegan.errors import UserError
from cyclegan.files import CARD, PHOTO_SHEET, SAMPLE_SHEET, TENSORS
from cyclegan.weights import read_config, tensor_shapes

CHOSEN = ("data", "limit", "evaluation", "results", "figures", "bias")
"""What somebody who decides whether to trust a model reads first: how such headings begin."""
MOST_CARD = 1_000_000
SHEET_PIXELS, SHEET_SIDE = 20_000_000, 1600
"""Pixels that a sample sheet may have, and its longest side as it is sent."""


@dataclass(frozen=True)
class About:
    """What a weights folder tells.

    Attributes:
        family, step, short_sides: see weights.WeightsConfig.
        parameters: of all its networks.
        bytes: of the file that holds them.
        licence: as the card's front matter names it, or "".
        lead: what the card says before its first section, as HTML.
        chosen, rest: the card's sections: heading, and what stands below it as HTML.
        sheet: changes with the sample sheet; "" when there is none that can be shown.
        sheet_size: its width and height in pixels as it is sent.
    """

    family: str
    step: int
    short_sides: tuple[int, int] | None
    parameters: int
    bytes: int
    licence: str
    lead: str
    chosen: tuple[tuple[str, str], ...]
    rest: tuple[tuple[str, str], ...]
    sheet: str
    sheet_size: tuple[int, int]


def about(folder: Path) -> About | None:
    """Look into a weights folder; None when it is not what it was."""
    stamps = [_stamp(folder / name) for name in (CARD, TENSORS, SAMPLE_SHEET)]
    try:
        return _about(folder, *stamps)
    except (UserError, OSError):
        return None


@lru_cache(maxsize=64)
def _about(folder: Path, card: str, tensors: str, sheet: str) -> About:
    config = read_config(folder)
    shapes = tensor_shapes(folder / TENSORS)
    text = ""
    if card:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            text = file.read(MOST_CARD)
    licence, sections = _sections(text)
    lead = "".join(body for title, body in sections if not title)
    titled = [section for section in sections if section[0]]
    size = _sheet_size(folder)
    chosen = [section for section in titled if section[0].lower().startswith(CHOSEN)]
    return About(
        family=config.model,
        step=config.step,
        short_sides=config.short_sides,
        parameters=sum(shape.numel() for shape in shapes.values()),
        bytes=(folder / TENSORS).stat().st_size,
        licence=licence,
        lead=lead,
        chosen=tuple(chosen),
        rest=tuple(section for section in titled if section not in chosen),
        sheet=sheet if size else "",
        sheet_size=size or (0, 0),
    )


@lru_cache(maxsize=16)
def sample_sheet(folder: Path, sheet: str) -> bytes | None:
    """The sample sheet `sheet` as a WebP of our own; None when it cannot be read."""
    buffer, size = io.BytesIO(), _sheet_size(folder)
    try:
        with Image.open(folder / SAMPLE_SHEET, formats=["WEBP"]) as picture:
            if size and picture.width * picture.height <= SHEET_PIXELS:
                picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(
                    buffer, "WEBP", quality=85
                )
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return buffer.getvalue() or None


def _sheet_size(folder: Path) -> tuple[int, int] | None:
    """How large the sample sheet is sent; None when there is none, or none of a sane size."""
    try:
        with Image.open(folder / SAMPLE_SHEET, formats=["WEBP"]) as picture:
            width, height = picture.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    if width * height > SHEET_PIXELS:
        return None
    scale = min(1.0, SHEET_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _stamp(path: Path) -> str:
    """Something that changes with a file; "" when there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _sections(card: str) -> tuple[str, list[tuple[str, str]]]:
    """The licence of a card, and its headings of the second level with what stands below each."""
    front, body = "", card
    if match := re.match(r"---\r?\n(.*?)\r?\n---\r?\n", card, re.DOTALL):
        front, body = match[1], card[match.end() :]
    named = dict(re.findall(r"^(license|license_name):[ \t]*['\"]?([\w.+-]{1,60})", front, re.M))
    licence = named.get("license_name") if named.get("license") == "other" else None
    parser = _parser()
    groups: list[tuple[str, list[Token]]] = [("", [])]
    tokens = iter(parser.parse(body))
    for token in tokens:
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
            title = next(tokens).content
            next(tokens)
            # The first level is the name of the model, which stands there already.
            groups += [(title, [])] if token.tag == "h2" else []
        else:
            groups[-1][1].append(token)
    rendered = [(title, parser.renderer.render(part, parser.options, {})) for title, part in groups]
    return licence or named.get("license", ""), [(t, body.strip()) for t, body in rendered]


def _parser() -> MarkdownIt:
    # With "html" off, what looks like HTML is shown as the text that it is.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("heading_open", lambda *_: "<h4>")
    parser.add_render_rule("heading_close", lambda *_: "</h4>")
    return parser


def _image(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    # To fetch a picture is to tell its server who is looking; the sample sheet is shown elsewhere.
    source = str(tokens[index].attrGet("src"))
    sheets = (SAMPLE_SHEET, PHOTO_SHEET)
    return "" if source in sheets else f"<i>{html.escape(tokens[index].content)}</i>"


def _link(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    target = str(tokens[index].attrGet("href"))
    if not target.startswith(("https://", "http://")):
        # Files beside the card, which the page does not have.
        return "<a>"
    return f'<a href="{html.escape(target)}" target="_blank" rel="noopener noreferrer nofollow">'
