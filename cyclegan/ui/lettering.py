"""Words in pictures: whichever font of this machine has their letters."""

from collections.abc import Iterator
from functools import cache

from PIL import ImageFont

# What Linux, macOS and Windows come with; the ones from "NotoSansCJK" on know Chinese.
FILES = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),
    *("Arial.ttf", "arial.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf"),
    *("NotoSansSC[wght].ttf", "SourceHanSansSC-Regular.otf", "DroidSansFallbackFull.ttf"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc"),
    *("STHeiti Medium.ttc", "msyh.ttc", "simhei.ttf", "simsun.ttc"),
)
NO_LETTER = "\U0010fffe"


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont | None:
    """A font of `size` pixels that has all letters of `text`; None if this machine has none.

    Pillow brings a font for the letters of English along, so those can always be written.
    """
    return next((font for font in _fonts(size) if _has(font, text)), None)


@cache
def _files() -> tuple[str, ...]:
    """The fonts that are here; Pillow looks through the folders of the system for each."""
    found = []
    for name in FILES:
        try:
            found.append(str(ImageFont.truetype(name, 10).path))
        except OSError:
            continue
    return tuple(found)


def _fonts(size: int) -> Iterator[ImageFont.FreeTypeFont]:
    own = ImageFont.load_default(size)
    if isinstance(own, ImageFont.FreeTypeFont):
        yield own
    for path in _files():
        yield ImageFont.truetype(path, size)


def _has(font: ImageFont.FreeTypeFont, text: str) -> bool:
    # A letter that a font lacks looks like one that no font has.
    lacking = _shape(font, NO_LETTER)
    return all(_shape(font, letter) != lacking for letter in set(text))


def _shape(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)  # type: ignore[arg-type]
