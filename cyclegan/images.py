"""The one door between picture files, PIL and tensors.

Every picture enters through `load_image` and every tensor through `to_tensor`, whose value range is
[-1, 1]; `to_image` and `grid` lead back out.
"""

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.files import write_atomically

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
# Named, so that no decoder that runs other programs (EPS starts Ghostscript) is ever reached.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF") + (
    ("AVIF",) if features.check("avif") else ()
)
MAX_PIXELS = 64_000_000


class ImageError(UserError):
    """A picture that cannot be read; the text is one sentence that names it and says why."""


def load_image(source: str | Path | BinaryIO | Image.Image, name: str | None = None) -> Image.Image:
    """Decode a picture into an upright 8-bit RGB image.

    JPEG, PNG, WebP, BMP, TIFF, GIF and, where Pillow has it, AVIF. Grey, palette, CMYK, 16-bit and
    floating-point pictures are converted; transparency is laid on white; EXIF orientation is
    applied; of an animation, the first frame is taken.

    Args:
        source: a path, an open binary file, or a PIL image.
        name: how error messages call it; the file's name by default.

    Raises:
        ImageError: the file is missing, empty, no picture, damaged, or over `MAX_PIXELS` pixels.
    """
    name = name or (Path(source).name if isinstance(source, str | Path) else "The picture")
    try:
        # Also an image that Pillow has opened is decoded only now, and may turn out damaged.
        if isinstance(source, Image.Image):
            return _convert(source, name)
        with warnings.catch_warnings():
            # Pillow only warns from 89 megapixels on; the check below refuses earlier.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as image:
                return _convert(image, name)
    except ImageError:
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
        if isinstance(source, str | Path) and Path(source).stat().st_size == 0:
            raise ImageError(f"{name} is empty (0 bytes); choose another file.") from None
        raise ImageError(
            f"{name} is not a picture that can be read; use JPEG, PNG, WebP, BMP, TIFF or GIF."
        ) from None
    except Exception as error:
        # Pillow's decoders raise nearly every built-in exception on damaged files.
        raise ImageError(f"{name} is damaged or cut short ({error}); save it again.") from error


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first."


def _convert(image: Image.Image, name: str) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large(name))
    image.load()
    # An orientation that cannot be read is no reason to refuse the picture itself.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Bring integers up to 65535 and floats up to 1 or 255 to 8 bits; Pillow would clip them."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 255.0 if top <= 1.0 else 1.0
    else:
        scale = 1.0 if top <= 255.0 and image.mode == "I" else 255.0 / 65535.0
    return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))


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
