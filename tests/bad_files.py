"""Files that people, cameras and attackers send: how they are made, and what is to come of them."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

SIZE = (64, 48)
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3
Colour = tuple[int, ...]


@dataclass(frozen=True)
class Shows:
    """A file that is read: its size, and the colours in the middle of its quarters, row by row."""

    quarters: tuple[Colour, ...] = (RED, GREEN, BLUE, WHITE)
    size: tuple[int, int] = SIZE
    tolerance: int = 4


GREYS = tuple((level,) * 3 for level in (40, 90, 160, 230))
NOT_READ = "is not a picture that can be read; use JPEG"
CUT = "is damaged or cut short"
TOO_LARGE = "has more than 64 megapixels"
HEIC = "is HEIC, which is not read here"
SWAPPED = Shows((BLUE, GREEN, RED, WHITE))
BITS = Shows((WHITE, BLACK, BLACK, WHITE))
AVIF = features.check("avif")


def quarters(
    mode: str = "RGB", colours: tuple[Any, ...] = (RED, GREEN, BLUE, WHITE)
) -> Image.Image:
    """Four colours."""
    image = Image.new(mode, SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for index, colour in enumerate(colours):
        x, y = index % 2 * width, index // 2 * height
        image.paste(colour, (x, y, x + width, y + height))
    return image


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


SOFT: dict[str, Any] = {"quality": 95, "subsampling": 0}


def cut(format: str, tenths: int) -> bytes:
    """So many tenths of a photo."""
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    content = save(Image.fromarray(pixels), format)
    return content[: len(content) * tenths // 10]


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, kind: int = 2) -> bytes:
    """A PNG of packed rows, with further chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def zeros() -> bytes:
    """A hundred megabytes of zeros, packed to a thousandth."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(2**20)) for _ in range(100)]
    return b"".join([*parts, packer.flush()])


def small_png(*more: bytes) -> bytes:
    pixels = np.asarray(quarters())
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png(*SIZE, zlib.compress(rows), *more)


def tiff(width: int, height: int) -> bytes:
    """A TIFF whose header promises more than there is."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height)]
    tags.append((279, width * height & 0xFFFFFFFF))
    body = struct.pack("<H", len(tags))
    body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4)


def patched(content: bytes, place: int, other: bytes) -> bytes:
    return content[:place] + other + content[place + len(other) :]


def wide(kind: str) -> bytes:
    """A small picture that says it is a large one."""
    if kind == "GIF":
        return patched(save(quarters(), kind), 6, b"\xff" * 4)
    if kind == "WEBP":
        return patched(save(quarters(), kind, lossless=True), 21, b"\xfe\xff\xfb\x0f")
    return patched(save(quarters(), "BMP"), 18, struct.pack("<ii", 30000, 30000))


def many_scans() -> bytes:
    """A progressive JPEG whose last, empty scan comes a thousand times.

    A small one: at 64 megapixels Chromium, which draws what is chosen, would be busy for minutes.
    """
    content = save(Image.new("L", (640, 480), 128), "JPEG", progressive=True, quality=50)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * 1000 + content[-2:]


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with segments right after its start: marker and content."""
    content = save(quarters(), "JPEG", **SOFT)
    extra = b"".join(
        bytes((255, marker)) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
    )
    return content[:2] + extra + content[2:]


def icc(length: int) -> list[tuple[int, bytes]]:
    parts = 255
    head = b"ICC_PROFILE\0"
    return [(0xE2, head + bytes((i + 1, parts)) + bytes(length // parts)) for i in range(parts)]


def other_colours() -> bytes:
    """A profile in which red and blue change places, made of that of sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"gone"), (b"bXYZ", b"rXYZ"), (b"gone", b"bXYZ")):
        profile = profile.replace(one, other, 1)
    return profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def ycck() -> bytes:
    """A JPEG in the inverted YCCK of Adobe's programs: a CMYK one whose colours are renamed."""
    cmy = [tuple(255 - level for level in colour) for colour in (RED, GREEN, BLUE, WHITE)]
    image = quarters("YCbCr", tuple(_ycc(colour) for colour in cmy))
    y, cb, cr = (band.point(lambda level: 255 - level) for band in image.split())
    four = Image.merge("CMYK", (y, cb, cr, Image.new("L", SIZE, 0)))
    content = save(four, "JPEG", **SOFT)
    return patched(content, content.index(b"Adobe") + 11, b"\2")


def _ycc(colour: Colour) -> Colour:
    return Image.new("RGB", (1, 1), colour).convert("YCbCr").getpixel((0, 0))  # type: ignore[return-value]


def animated(format: str, **options: Any) -> bytes:
    frames = [quarters(), Image.new("RGB", SIZE, "black"), Image.new("RGB", SIZE, "yellow")]
    return save(frames[0], format, save_all=True, append_images=frames[1:], duration=90, **options)


def see_through() -> bytes:
    """A palette with an entry that is not there: its quarter is white."""
    image = Image.new("P", SIZE)
    image.putpalette([*RED, *GREEN, *BLUE, *BLACK])
    image.paste(quarters("L", (0, 1, 2, 3)))
    return save(image, "PNG", transparency=3)


def numbers(dtype: Any, scale: float, format: str) -> bytes:
    """The four greys as deep numbers."""
    return save(
        Image.fromarray((np.asarray(quarters("L", GREY), np.float64) * scale).astype(dtype)), format
    )


def see_through_grey() -> bytes:
    pixels = ((40, 255), (90, 255), (160, 255), (0, 0))
    return save(quarters("LA", pixels), "PNG")


def see_through_colour(format: str = "WEBP", **options: Any) -> bytes:
    pixels = ((*RED, 255), (*GREEN, 255), (*BLUE, 255), (0, 0, 0, 0))
    return save(quarters("RGBA", pixels), format, lossless=True, **options)


def bits(format: str, **options: Any) -> bytes:
    return save(quarters("1", (1, 0, 0, 1)), format, **options)


GREY = tuple(grey[0] for grey in GREYS)


def deep_colour() -> bytes:
    """16 bits a channel, which Pillow cannot write."""
    pixels = (np.asarray(quarters()).astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png(*SIZE, zlib.compress(rows), depth=16)


def box(kind: bytes, *brands: bytes) -> bytes:
    """The start of a file of the family of MPEG-4, and noise."""
    body = b"ftyp" + kind + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body + random.Random(0).randbytes(2000)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.txt", "x" * 1000)
    return buffer.getvalue()


SVG = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><text>&x;</text></svg>"""
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
HTML = b"<!doctype html><script>alert(document.cookie)</script>"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
TEXT = PngImagePlugin.PngInfo()
TEXT.add_text("Comment", "x" * 900_000)

Made = tuple[Callable[[], bytes], Shows | str]
FILES: dict[str, Made] = {
    **{
        f"cut-{tenths}0.{extension}": (partial(cut, format, tenths), CUT)
        for format, extension in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"))
        for tenths in range(1, 10)
    },
    # Bombs
    "pixels.png": (lambda: png(20000, 20000, zeros(), depth=1, kind=0), TOO_LARGE),
    "pixels.gif": (lambda: wide("GIF"), TOO_LARGE),
    "pixels.tiff": (lambda: tiff(60000, 60000), TOO_LARGE),
    "pixels.webp": (lambda: wide("WEBP"), TOO_LARGE),
    "pixels.bmp": (lambda: wide("BMP"), TOO_LARGE),
    "rows.png": (lambda: png(*SIZE, zeros()), Shows((BLACK,) * 4)),
    "ztxt.png": (lambda: small_png(chunk(b"zTXt", b"Comment\0\0" + zeros())), CUT),
    "itxt.png": (lambda: small_png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros())), CUT),
    "iccp.png": (lambda: small_png(chunk(b"iCCP", b"profile\0\0" + zeros())), CUT),
    "scans.jpg": (many_scans, "has more than 50 scans"),
    # Metadata that is large, or nonsense
    "exif.jpg": (lambda: jpeg_with((0xE1, b"Exif\0\0MM\0*" + b"\xff" * 65000)), Shows()),
    "exif.png": (lambda: small_png(chunk(b"eXIf", b"II*\0" + bytes(8_000_000))), Shows()),
    "colours.png": (lambda: save(quarters(), "PNG", icc_profile=other_colours()), SWAPPED),
    "colours.jpg": (lambda: save(quarters(), "JPEG", icc_profile=other_colours(), **SOFT), SWAPPED),
    "colours-alpha.png": (lambda: see_through_colour("PNG", icc_profile=other_colours()), SWAPPED),
    "nonsense.png": (lambda: save(quarters(), "PNG", icc_profile=b"x" * 5000), Shows()),
    "icc.jpg": (lambda: jpeg_with(*icc(16_000_000)), Shows()),
    "xmp.jpg": (lambda: jpeg_with(*[(0xE1, XMP + b"<x>" * 21000)] * 50), Shows()),
    "xmp.webp": (lambda: save(quarters(), "WEBP", lossless=True, xmp=b"<x>" * 2_000_000), Shows()),
    "xmp.png": (lambda: save(quarters(), "PNG", pnginfo=TEXT), Shows()),
    "comment.gif": (lambda: save(quarters(), "GIF", comment=b"x" * 60_000), Shows()),
    # Several frames or pages: the first is taken
    "animated.gif": (lambda: animated("GIF"), Shows()),
    "animated.webp": (lambda: animated("WEBP", lossless=True), Shows()),
    "animated.png": (lambda: animated("PNG"), Shows()),
    "pages.tiff": (lambda: animated("TIFF"), Shows()),
    "camera.mpo": (lambda: animated("MPO", **SOFT), Shows()),
    # Kinds of pixels
    "bit.png": (lambda: bits("PNG"), BITS),
    "bit.tiff": (lambda: bits("TIFF", compression="group4"), BITS),
    "grey.jpg": (lambda: save(quarters("L", GREY), "JPEG", **SOFT), Shows(GREYS)),
    "grey-alpha.png": (see_through_grey, Shows((*GREYS[:3], WHITE))),
    "colour-alpha.webp": (see_through_colour, Shows()),
    "palette.png": (see_through, Shows()),
    "deep-grey.png": (lambda: numbers(np.uint16, 257, "PNG"), Shows(GREYS)),
    "deep-colour.png": (deep_colour, Shows()),
    "long.tiff": (lambda: numbers(np.int32, 257, "TIFF"), Shows(GREYS)),
    "float.tiff": (lambda: numbers(np.float32, 1 / 255, "TIFF"), Shows(GREYS)),
    "cmyk.jpg": (lambda: save(quarters().convert("CMYK"), "JPEG", **SOFT), Shows()),
    "ycck.jpg": (ycck, Shows()),
    "cmyk.tiff": (lambda: save(quarters().convert("CMYK"), "TIFF"), Shows()),
    "progressive.jpg": (lambda: save(quarters(), "JPEG", progressive=True, **SOFT), Shows()),
    "packed.tiff": (lambda: save(quarters(), "TIFF", compression="tiff_lzw"), Shows()),
    # Not pictures, or not those that are read
    "nothing.jpg": (bytes, "is empty (0 bytes)"),
    "one-byte.png": (lambda: b"\x89", NOT_READ),
    "letter.png": (lambda: b"Dear all,\nthis is no picture.\n" * 20, NOT_READ),
    "noise.jpg": (lambda: random.Random(0).randbytes(5000), NOT_READ),
    "zeros.png": (lambda: bytes(5000), NOT_READ),
    "drawing.svg": (lambda: SVG, NOT_READ),
    "paper.pdf": (lambda: PDF, NOT_READ),
    "page.html": (lambda: HTML, NOT_READ),
    "data.json": (lambda: b'{"path": "/etc/passwd"}', NOT_READ),
    "print.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NOT_READ),
    "photos.zip": (zipped, NOT_READ),
    "photo.heic": (lambda: box(b"heic", b"mif1", b"heic"), HEIC + "; save it as JPEG (an iPhone"),
    "burst.heic": (lambda: box(b"msf1", b"hevc"), HEIC),
    "photo.jxl": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "is JPEG XL, which is not"),
    "film.mp4": (lambda: box(b"isom", b"mp42"), NOT_READ),
    "damaged.avif": (lambda: box(b"avif", b"mif1"), NOT_READ if AVIF else "is AVIF"),
    # Something else than its name says, or two things at once
    "really-a-png.jpg": (lambda: save(quarters(), "PNG"), Shows()),
    "really-a-jpeg.png": (lambda: save(quarters(), "JPEG", **SOFT), Shows()),
    "really-a-gif.svg": (lambda: save(quarters(), "GIF"), Shows()),
    "script.gif": (lambda: save(quarters(), "GIF") + b"*/=1;alert(1)//", Shows()),
    "paper-behind.jpg": (lambda: save(quarters(), "JPEG", **SOFT) + PDF, Shows()),
    "archive-behind.png": (lambda: save(quarters(), "PNG") + zipped(), Shows()),
    "page-inside.jpg": (lambda: jpeg_with((0xFE, HTML)), Shows()),
    # Names
    "苹果 🍎 ünï.png": (lambda: save(quarters(), "PNG"), Shows()),
    "苹果.txt": (lambda: b"words", NOT_READ),
    "-rf.png": (lambda: save(quarters(), "PNG"), Shows()),
    ".png": (lambda: save(quarters(), "PNG"), Shows()),
    "no-extension": (lambda: save(quarters(), "PNG"), Shows()),
    "../../../etc/passwd.png": (lambda: save(quarters(), "PNG"), Shows()),
    "..\\..\\windows.png": (lambda: b"words", NOT_READ),
    "<img src=x onerror=alert(1)>.png": (lambda: b"words", NOT_READ),
    "x" * 300 + ".png": (lambda: save(quarters(), "PNG"), Shows()),
    "y" * 300 + ".png": (lambda: b"words", NOT_READ),
}  # fmt: skip
if features.check("avif"):
    FILES["photo.avif"] = (
        lambda: save(quarters(), "AVIF", quality=100, subsampling="4:4:4"),
        Shows(),
    )


def check(image: Image.Image, shows: Shows) -> None:
    """Compare a picture with what its file was made of."""
    assert image.size == shows.size
    width, height = shows.size
    for index, colour in enumerate(shows.quarters):
        place = (width // 4 + index % 2 * width // 2, height // 4 + index // 2 * height // 2)
        seen = image.convert("RGB").getpixel(place)
        assert isinstance(seen, tuple)
        difference = max(abs(a - b) for a, b in zip(seen, colour, strict=True))
        assert difference <= shows.tolerance, (index, seen, colour)
