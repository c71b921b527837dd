"""The one door between picture files, PIL and tensors.

Every picture enters through `load_image` and every tensor through `to_tensor`, whose value range is
[-1, 1]; `to_image` and `grid` lead back out.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.files import write_atomically

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
# Named, so that no decoder that runs other programs (EPS starts Ghostscript) is ever reached.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF") + (
    ("AVIF",) if features.check("avif") else ()
)
MAX_PIXELS = 64_000_000
MAX_SCANS = 50
"""Scans of a progressive JPEG. Cameras and programs write about ten, each over the whole picture;
thousands of empty ones make a small file that takes hours."""
IPHONE = " (an iPhone takes JPEG with Settings > Camera > Formats > Most Compatible)"
# A marker of a JPEG; within a scan, 00 and the restart markers are part of it.
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
LARGEST_PROFILE = 4_000_000
"""Bytes of a colour profile; those of printing presses have half of it."""
LONGEST_NAME = 80
"""Characters of a file's name in a message."""
# How files begin that a phone or a browser may send, but that nothing here reads.
UNREAD = {
    "HEIC": (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypmif1", b"ftypmsf1"),
    "AVIF": (b"ftypavif", b"ftypavis"),
    "JPEG XL": (b"JXL \r\n\x87\n",),
}


class ImageError(UserError):
    """A picture that cannot be read; the text is one sentence that names it and says why."""


def load_image(source: str | Path | BinaryIO | Image.Image, name: str | None = None) -> Image.Image:
    """Decode a picture into an upright 8-bit RGB image.

    JPEG, PNG, WebP, BMP, TIFF, GIF and, where Pillow has it, AVIF. Grey, palette, CMYK, 16-bit and
    floating-point pictures are converted, and colours that are not those of sRGB; transparency is
    laid on white; EXIF orientation is applied; of an animation, the first frame is taken.

    Args:
        source: a path, an open binary file, or a PIL image.
        name: how error messages call it; the file's name by default.

    Raises:
        ImageError: the file is missing, empty, no picture, damaged, over `MAX_PIXELS` pixels, or
            made to keep a decoder busy.
    """
    if not name:
        name = Path(source).name if isinstance(source, str | Path) else "The picture"
        if len(name) > LONGEST_NAME:
            name = f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"
    try:
        # Also an image that Pillow has opened is decoded only now, and may turn out damaged.
        if isinstance(source, Image.Image):
            return _convert(source, name)
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata, and of 89 megapixels, which are refused below.
            warnings.simplefilter("ignore")
            with Image.open(source, formats=FORMATS) as image:
                if image.format in ("JPEG", "MPO") and image.fp and _scans(image.fp) > MAX_SCANS:
                    raise ImageError(
                        f"{name} has more than {MAX_SCANS} scans, which only keep a computer busy; "
                        "save it again."
                    )
                return _convert(image, name)
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist; check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, not a picture.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; check its permissions.") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name)) from None
    except UnidentifiedImageError:
        assert not isinstance(source, Image.Image)
        raise ImageError(_unread(source, name)) from None
    except Exception as error:
        # Pillow's decoders raise nearly every built-in exception on damaged files.
        raise ImageError(f"{name} is damaged or cut short ({error}); save it again.") from error


def _unread(source: str | Path | BinaryIO, name: str) -> str:
    """Say what a file is that is not read here."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(source, "rb")) if isinstance(source, str | Path) else source
        file.seek(0)
        start = file.read(256)
    if not start:
        return f"{name} is empty (0 bytes); choose another file."
    # The first four bytes are a length.
    for kind, signatures in UNREAD.items():
        if kind not in FORMATS and start[4:].startswith(signatures):
            hint = IPHONE if kind == "HEIC" else ""
            return f"{name} is {kind}, which is not read here; save it as JPEG{hint}."
    return f"{name} is not a picture that can be read; use JPEG, PNG, WebP, BMP, TIFF or GIF."


def _scans(file: IO[bytes]) -> int:
    """Count the scans of a JPEG, but not those of other pictures inside or behind it."""
    file.seek(0)
    content, place, scans = file.read(), 2, 0
    while scans <= MAX_SCANS and (found := MARKER.search(content, place)):
        kind = found[1]
        if kind == b"\xd9":
            break
        scans += kind == b"\xda"
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return scans


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first."


def _convert(image: Image.Image, name: str) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large(name))
    image.load()
    # An orientation that cannot be read is no reason to refuse the picture itself.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    image = _to_srgb(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(image, mask=image.getchannel("A"))
        image = on_white
    image = image.convert("RGB")
    # What a photo says about itself, and where it was taken, is not passed on with its pixels.
    image.info = {}
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from the colours of the profile that a picture brings, as phones and prints do."""
    content = image.info.get("icc_profile") or b""
    if image.mode not in ("RGB", "RGBA", "CMYK") or not 0 < len(content) <= LARGEST_PROFILE:
        return image
    # A profile that cannot be used is no reason to refuse the picture.
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if "sRGB" not in ImageCms.getProfileDescription(profile):
            srgb, mode = ImageCms.createProfile("sRGB"), image.mode.replace("CMYK", "RGB")
            return ImageCms.profileToProfile(image, profile, srgb, outputMode=mode) or image
    return image


def _from_deep(image: Image.Image) -> Image.Image:
    """Bring integers up to 65535 and floats up to 1 or 255 to 8 bits; Pillow would clip them."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 255.0 if top <= 1.0 else 1.0
    else:
        scale = 1.0 if top <= 255.0 and image.mode == "I" else 255.0 / 65535.0
    # In place: at 64 megapixels, every copy takes a quarter of a gigabyte.
    values *= scale
    return Image.fromarray(values.round(out=values).clip(0, 255, out=values).astype(np.uint8))


def to_tensor(image: Image.Image, channels: int = 3) -> Tensor:
    """Turn an RGB image into float32 [channels, H, W] in [-1, 1]; channels is 3 (RGB) or 1 (grey).

    Raises ValueError for another number of channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"Pictures have 3 channels (RGB) or 1 (grey), not {channels}.")
    array = np.array(image.convert("RGB" if channels == 3 else "L"))
    pixels = torch.from_numpy(array).reshape(image.height, image.width, channels)
    return pixels.permute(2, 0, 1).float().div(127.5).sub(1.0)


def to_bytes(images: Tensor) -> Tensor:
    """Round [-1, 1] to uint8 of the same shape, as picture files hold it; clips values outside."""
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_image(tensor: Tensor) -> Image.Image:
    """Turn [C, H, W] in [-1, 1], C being 1 or 3, into an RGB image; values outside are clipped."""
    array = to_bytes(tensor).permute(1, 2, 0).cpu().numpy()
    if array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(array).convert("RGB")


def grid(columns: Sequence[Tensor], gap: int = 4) -> Image.Image:
    """Lay batches side by side: `columns[j][i]` in [-1, 1] becomes row i, column j.

    Every batch is [N, C, H, W] with the same N, H and W. The gaps are white.
    """
    count, _, height, width = columns[0].shape
    sheet = Image.new(
        "RGB",
        (len(columns) * (width + gap) - gap, count * (height + gap) - gap),
        "white",
    )
    for column, batch in enumerate(columns):
        for row, picture in enumerate(batch):
            sheet.paste(to_image(picture), (column * (width + gap), row * (height + gap)))
    return sheet


def save_image(image: Image.Image, path: Path, quality: int = 92) -> None:
    """Write a picture in the format of its extension, atomically (see files.write_atomically)."""
    format = Image.registered_extensions()[path.suffix.lower()]
    write_atomically(path, lambda temporary: image.save(temporary, format=format, quality=quality))
