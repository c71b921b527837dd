"""Reading every kind of picture file that people drop, and the way from pixels to tensors."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features

from cyclegan.images import (
    EXTENSIONS,
    MAX_PIXELS,
    ImageError,
    grid,
    load_image,
    save_image,
    to_image,
    to_tensor,
)

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
}
ALL: dict[str, dict[str, Any]] = {**LOSSLESS, "JPEG": {"quality": 100, "subsampling": 0}, "GIF": {}}


def quarters() -> Image.Image:
    """Four colours, so that no turning or mirroring goes unseen; wider than high."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:] = RED, GREEN
    pixels[8:, :16], pixels[8:, 16:] = BLUE, WHITE
    return Image.fromarray(pixels)


def noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def encode(image: Image.Image, format: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def reload(image: Image.Image, format: str, **options: Any) -> np.ndarray:
    loaded = load_image(encode(image, format, **options))
    assert loaded.mode == "RGB"
    return np.asarray(loaded).astype(int)


def refusal(source: Any, name: str | None = None) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        load_image(source, name)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats(format: str) -> None:
    image = noise()
    assert (reload(image, format, **LOSSLESS[format]) == np.asarray(image)).all()


@pytest.mark.parametrize("format", ALL)
def test_every_format(format: str) -> None:
    difference = reload(quarters(), format, **ALL[format]) - np.asarray(quarters())
    assert np.abs(difference).max() <= 3


def test_path_string_file_and_image_are_all_taken(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    quarters().save(path)
    for source in (path, str(path), path.open("rb"), Image.open(path), quarters()):
        assert load_image(source).tobytes() == quarters().tobytes()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_grey(format: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    pixels = reload(Image.fromarray(ramp), format)
    assert (pixels == ramp[:, :, None]).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_palette(format: str) -> None:
    image = quarters().quantize(4)
    assert image.mode == "P"
    assert (reload(image, format) == np.asarray(quarters())).all()


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(format: str) -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (2, 0, 4, 2))
    pixels = reload(image, format, transparency=0)
    assert (pixels[:, :2] == WHITE).all()
    assert (pixels[:, 2:] == BLUE).all()


def test_transparent_grey_value_is_white() -> None:
    image = Image.fromarray(np.array([[0, 10, 20]], np.uint8))
    assert reload(image, "PNG", transparency=10)[0, :, 0].tolist() == [0, 255, 20]


@pytest.mark.parametrize(
    ("mode", "format"), [("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF")]
)
def test_alpha_is_laid_on_white(mode: str, format: str) -> None:
    image = Image.new(mode, (3, 1))
    black = (0,) * (len(mode) - 1)
    for x, alpha in enumerate((0, 51, 255)):
        image.putpixel((x, 0), (*black, alpha))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    # 51 is a fifth of 255: four fifths of the white show through.
    assert reload(image, format, **options)[0].tolist() == [[255] * 3, [204] * 3, [0] * 3]


@pytest.mark.parametrize(("format", "tolerance"), [("TIFF", 0), ("JPEG", 3)])
def test_cmyk(format: str, tolerance: int) -> None:
    image = Image.new("CMYK", (16, 32), (0, 255, 255, 0))
    image.paste((255, 255, 0, 0), (0, 16, 16, 32))
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    pixels = reload(image, format, **options)
    assert np.abs(pixels[:16] - RED).max() <= tolerance
    assert np.abs(pixels[16:] - BLUE).max() <= tolerance


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_values(format: str) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(8, 32)
    image = Image.fromarray(levels * 257)
    assert image.mode == "I;16"
    assert (reload(image, format) == levels[:, :, None]).all()


def test_dark_16_bit_grey_stays_dark() -> None:
    assert reload(Image.fromarray(np.full((4, 4), 255, np.uint16)), "PNG").max() == 1


def test_big_endian_16_bit_grey() -> None:
    levels = np.arange(256, dtype=">u2").reshape(8, 32)
    image = Image.frombytes("I;16B", (32, 8), (levels * 257).astype(">u2").tobytes())
    assert (reload(image, "TIFF") == levels[:, :, None]).all()


def test_32_bit_integers() -> None:
    levels = np.arange(256, dtype=np.int32).reshape(8, 32)
    assert (reload(Image.fromarray(levels * 257), "TIFF") == levels[:, :, None]).all()


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_tiff(top: float) -> None:
    levels = np.arange(256, dtype=np.float32).reshape(8, 32)
    image = Image.fromarray(levels / 255 * np.float32(top))
    assert image.mode == "F"
    assert (reload(image, "TIFF") == levels[:, :, None]).all()


def test_not_a_number_is_black() -> None:
    values = np.array([[np.nan, 0.5, 1.0]], np.float32)
    assert reload(Image.fromarray(values), "TIFF")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit(format: str) -> None:
    image = Image.new("1", (5, 3), 0)
    image.putpixel((4, 0), 1)
    pixels = reload(image, format)
    assert pixels[0, 4].tolist() == [255] * 3
    assert pixels.sum() == 3 * 255


# How the camera holds the sensor: what has to be done to an upright picture to get what is stored.
TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(orientation: int, format: str) -> None:
    upright = np.asarray(quarters())
    stored = Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = reload(stored, format, exif=exif, **ALL[format])
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).max() <= 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_nonsense_in_exif_is_no_reason_to_refuse() -> None:
    nonsense = b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40
    assert reload(quarters(), "PNG", exif=nonsense).shape == (16, 32, 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, GREEN)]
    options = {"lossless": True} if format == "WEBP" else {}
    file = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert getattr(Image.open(file), "n_frames", 1) == 3
    assert (np.asarray(load_image(file)) == RED).all()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("format", ALL)
def test_cut_short(format: str, share: float, tmp_path: Path) -> None:
    content = encode(noise(), format, **ALL[format]).getvalue()
    path = tmp_path / f"holiday.{format.lower()}"
    path.write_bytes(content[: int(len(content) * share)])
    assert refusal(path).startswith(path.name)


def test_an_opened_image_that_is_cut_short(tmp_path: Path) -> None:
    content = encode(noise(), "PNG").getvalue()
    opened = Image.open(io.BytesIO(content[: len(content) // 2]))
    assert "damaged or cut short" in refusal(opened, "upload")


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("nothing.jpg", b"", "is empty (0 bytes)"),
        ("letter.jpg", b"Dear all,\nthis is no picture.\n" * 20, "not a picture"),
        ("zeros.png", b"\0" * 5000, "not a picture"),
        ("logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><rect/></svg>", "not a picture"),
        # What Pillow could read, but only by starting other programs or decoders of no use here.
        ("print.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        ("plain.png", b"P6 2 2 255 " + b"\0" * 12, "not a picture"),
    ],
)
def test_files_that_are_no_pictures(name: str, content: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = refusal(path)
    assert text.startswith(name)
    assert cause in text


def test_folder_and_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path.name} is a folder")
    assert refusal(tmp_path / "gone.png").startswith("gone.png does not exist")
    assert refusal(io.BytesIO(b"text"), "upload.png").startswith("upload.png is not a picture")


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@pytest.mark.parametrize("side", [8001, 10_000, 20_000])
def test_enormous_pictures_are_refused(side: int, tmp_path: Path) -> None:
    """Below, at and above the sizes at which Pillow itself warns and refuses."""
    assert side * side > MAX_PIXELS
    rows = zlib.compress(bytes((1 + -(-side // 8)) * side), 1)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path = tmp_path / "poster.png"
    content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert refusal(path).startswith("poster.png has more than 64 megapixels")


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("size", [(1, 1), (300, 2), (1, 50)])
def test_tiny_and_narrow_pictures(size: tuple[int, int], format: str) -> None:
    pixels = reload(Image.new("RGB", size, RED), format, **ALL[format])
    assert pixels.shape == (size[1], size[0], 3)
    assert np.abs(pixels - RED).max() <= 3


def test_tensors_and_images_round_trip_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8)
    pixels = np.stack([levels, levels[::-1], np.roll(levels, 7)], axis=1).reshape(8, 32, 3)
    image = Image.fromarray(pixels)
    tensor = to_tensor(image)
    assert (tensor.dtype, tensor.shape) == (torch.float32, (3, 8, 32))
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert to_image(tensor).tobytes() == image.tobytes()


def test_value_range_and_channel_order() -> None:
    tensor = to_tensor(Image.new("RGB", (1, 1), (255, 0, 51)))
    torch.testing.assert_close(tensor.flatten(), torch.tensor([1.0, -1.0, -0.6]))


def test_grey_tensors() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    tensor = to_tensor(Image.fromarray(levels).convert("RGB"), channels=1)
    assert tensor.shape == (1, 8, 32)
    back = to_image(tensor)
    assert back.mode == "RGB"
    assert (np.asarray(back) == levels[:, :, None]).all()
    with pytest.raises(ValueError, match="not 4"):
        to_tensor(Image.new("RGB", (1, 1)), channels=4)


def test_values_outside_the_range_are_clipped() -> None:
    assert to_image(torch.full((3, 1, 1), 1.7)).getpixel((0, 0)) == WHITE
    assert to_image(torch.full((3, 1, 1), -9.0)).getpixel((0, 0)) == BLACK


def test_half_precision_tensors_become_images() -> None:
    tensor = to_tensor(quarters())
    assert to_image(tensor.bfloat16()).tobytes() == quarters().tobytes()


def test_grid_lays_columns_side_by_side() -> None:
    columns = [
        torch.stack([torch.full((3, 2, 5), -1.0), torch.full((3, 2, 5), -0.6)]),
        torch.stack([torch.full((1, 2, 5), 0.2), torch.full((1, 2, 5), 0.6)]),
    ]
    sheet = np.asarray(grid(columns, gap=3))[:, :, 0]
    assert sheet.shape == (2 + 3 + 2, 5 + 3 + 5)
    assert (sheet[:2, :5], sheet[5:, :5]) == (pytest.approx(0), pytest.approx(51))
    assert (sheet[:2, 8:], sheet[5:, 8:]) == (pytest.approx(153), pytest.approx(204))
    assert (sheet[2:5] == 255).all()
    assert (sheet[:, 5:8] == 255).all()


@pytest.mark.parametrize(
    "extension", [e for e in EXTENSIONS if e != ".avif" or features.check("avif")]
)
def test_saving_follows_the_extension(extension: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / f"picture{extension.upper()}"
    save_image(quarters(), path)
    with Image.open(path) as image:
        assert image.format == Image.registered_extensions()[extension]
        difference = np.asarray(image.convert("RGB")).astype(int) - np.asarray(quarters())
    # Lossy formats halve the resolution of colours, which smears the edges between the quarters.
    assert np.abs(difference).mean() < 10
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_saving_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    save_image(quarters(), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="RGBA"):
        save_image(quarters().convert("RGBA"), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["picture.jpg"]
