"""Pictures from noise for whoever asks: which model makes them, how a z is called, what loops."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gradio import utils
from PIL import Image
from torch import Tensor

from cyclegan.generator import Generator, GeneratorError, read_seed, read_z
from cyclegan.images import ImageError
from cyclegan.ui.models import ModelError, Shelf, StillLoading, make_translator
from cyclegan.ui.page import NOT_HERE
from cyclegan.weights import Weights

MOST = 48
"""Pictures in one answer, so that others need not wait long."""
FRAMES, FRAME_MS, REST_MS = 24, 60, 600
"""Of a path: frames from one end to the other, how long one is shown, and how long an end."""
CRISP = 256
"""Longest side, in pixels, up to which the pixels of small pictures are enlarged in a path."""

Make = Callable[[str | Weights, Image.Image | None, Tensor], list[Image.Image]]
"""Runs a generator on z [N, latent], and on a picture if it takes one; which generator, says the
name of a model on the shelf, or weights that are in memory."""
Kind = Literal["webp", "gif"]
KINDS: tuple[Kind, ...] = ("webp", "gif")


def make_maker(shelf: Shelf) -> Make:
    """Make the function that runs a generator; the one thing here that wants a GPU."""

    def make(model: str | Weights, image: Image.Image | None, z: Tensor) -> list[Image.Image]:
        if isinstance(model, Weights):
            found = make_translator("", model, shelf.device)
        else:
            found = shelf.get(model)
        generator = Generator(found.weights, found.info, found.device)
        if image is None:
            return generator.generate(z)
        return [generator.translate(image, row) for row in z]

    try:
        import spaces  # type: ignore[import-not-found]
    except ImportError:
        return make
    # As `translation.make_step`.
    return spaces.GPU(make)


def find_generator(shelf: Shelf, name: str) -> Generator:
    """The generator of that name; the first one when there is no name.

    Raises ModelError when there is none, GeneratorError when that model takes no z.
    """
    if not name:
        able = [entry.name for entry in shelf.ready() if entry.generates]
        if not able and shelf.loading:
            raise StillLoading("The model is still loading; try again in a moment.")
        if not able:
            raise ModelError(
                "This page has no model that makes pictures from noise; start it with --weights "
                "FOLDER_OR_HUB_NAME of a DCGAN or a BicycleGAN."
            )
        name = able[0]
    found = shelf.get(name)
    return Generator(found.weights, found.info, found.device)


def runs_as(shelf: Shelf, generator: Generator) -> str | Weights:
    """What `Make` is to be told of a generator; see `Shelf.tried`."""
    name = generator.info.name
    return generator.weights if shelf.tried(name) else name


def uploaded(path: str) -> Path:
    """A picture that was sent here, by its path, whole or below the folder of such pictures.

    Raises ImageError when it is not there, or no longer.
    """
    folder = utils.get_upload_folder()
    whole = Path(folder, path)
    if not utils.is_in_or_equal(whole, folder):
        raise ImageError(NOT_HERE)
    if not whole.is_file():
        raise ImageError("This picture is no longer here; choose it again.")
    return whole


def to_code(z: Tensor) -> str:
    """Write a z [latent] for a link, to the last bit."""
    return "~" + base64.urlsafe_b64encode(z.numpy().astype("<f4").tobytes()).decode().rstrip("=")


def from_code(code: str, generator: Generator) -> Tensor:
    """The z [latent] of a link: that of `to_code`, or the first one that a seed draws.

    Raises GeneratorError.
    """
    if not code.startswith("~"):
        return generator.draw(1, read_seed(code))[0]
    try:
        numbers = np.frombuffer(base64.urlsafe_b64decode(code[1:] + "=="), "<f4")
    except ValueError:
        raise GeneratorError("This link is damaged; its z cannot be read.") from None
    return read_z(numbers.tolist(), generator.latent)


def png(image: Image.Image) -> str:
    """A picture as a data URL."""
    with io.BytesIO() as buffer:
        image.save(buffer, "PNG")
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def loop(pictures: Sequence[Image.Image], kind: Kind) -> str:
    """A film through pictures of one size and back, for ever, as a data URL."""
    scale = max(1, CRISP // max(pictures[0].size))
    size = (scale * pictures[0].width, scale * pictures[0].height)
    frames = [picture.resize(size, Image.Resampling.NEAREST) for picture in pictures]
    if kind == "gif":
        frames = _in_one_palette(pictures, frames)
    frames += frames[-2:0:-1]
    times = [FRAME_MS] * len(frames)
    times[0] = times[len(pictures) - 1] = REST_MS
    options: dict[str, Any] = {"quality": 90, "method": 3} if kind == "webp" else {}
    with io.BytesIO() as buffer:
        frames[0].save(
            buffer,
            kind,
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            **options,
        )
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _in_one_palette(
    pictures: Sequence[Image.Image], frames: Sequence[Image.Image]
) -> list[Image.Image]:
    """Reduce frames to the 255 colours that suit all pictures; colours of their own flicker."""
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * len(pictures)))
    for index, picture in enumerate(pictures):
        together.paste(picture, (0, index * height))
    palette = together.quantize(255, Image.Quantize.MEDIANCUT)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
