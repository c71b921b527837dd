"""A translation in two stages, there and back, whoever asks for it; and its failures."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import gradio as gr
import numpy as np
from PIL import Image

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.native import Change
from cyclegan.translator import Info, Translator
from cyclegan.ui.entries import lacks_memory
from cyclegan.ui.models import Shelf, make_translator
from cyclegan.weights import Weights

logger = logging.getLogger(__name__)

PREVIEW = 1600
"""Longest side, in pixels, of what is looked at on the page; downloads have all pixels."""

Step = Callable[[str | Weights, Image.Image, Direction, float], Change]
"""Runs a network on a picture, at a detail from 0 to 1; which network, says the name of a model on
the shelf, or weights that are in memory, and the direction."""
View = Literal["real", "fake", "recovered"]
VIEWS: tuple[View, ...] = ("real", "fake", "recovered")


@dataclass(frozen=True)
class Translation:
    """A translation as far as it has come: first the way there, then the way back too.

    Attributes:
        model: of which model it is.
        direction, detail: what was asked for.
        real: the picture, upright, at most 24 megapixels.
        change: what the way there changes about it.
        seconds: how long the network took for the way there.
        previews: what there is to look at so far, at most `PREVIEW` pixels a side, same sizes.
        back: what the way back changes about the fake; None for weights that know none.
        cycle_error: how far the recovered preview is from the real one; see `cycle_error`.
    """

    model: Info
    direction: Direction
    detail: float
    real: Image.Image
    change: Change
    seconds: float
    previews: Mapping[View, Image.Image]
    back: Change | None = None
    cycle_error: float | None = None


def make_step(shelf: Shelf) -> Step:
    """Make the function that runs a network; the one thing here that wants a GPU."""

    def step(
        model: str | Weights, image: Image.Image, direction: Direction, detail: float
    ) -> Change:
        if isinstance(model, Weights):
            return make_translator("", model, shelf.device).change(image, direction, detail)
        return shelf.get(model).change(image, direction, detail)

    try:
        import spaces  # type: ignore[import-not-found]
    except ImportError:
        return step
    # On a ZeroGPU Space this runs in a copy of this process from before, which has the models from
    # the start, hence their names; other weights travel there.
    return spaces.GPU(step)


def translations(
    step: Step, shelf: Shelf, name: str, real: Image.Image, direction: str, detail: float = 0.0
) -> Iterator[Translation]:
    """Translate there, yield, translate back, yield.

    Args:
        step: of `make_step`.
        shelf: where the model is.
        name: of the model; empty for the first.
        real: a picture as `translator.prepare` returns it.
        direction: "a2b" or "b2a"; "auto" goes by what the picture seems to show.
        detail: 0 for the scale that the network was trained for, 1 for all of the picture's pixels.

    Raises UserError.
    """
    model = shelf.get(name)
    there = known_direction(model, real, direction)
    runs = model.weights if shelf.tried(name) else name
    start = perf_counter()
    change = step(runs, real, there, detail)
    seconds = perf_counter() - start
    result = Translation(
        model.info, there, detail, real, change, seconds, previews_of(real, change)
    )
    yield result
    if _back(there) in model.directions:
        yield _translated_back(step, runs, result)


def way_back(step: Step, shelf: Shelf, there: Translation) -> Translation:
    """Translate back what has come as far as the way there; for models that know a way back.

    Raises UserError, also when the model is gone or has become another one meanwhile.
    """
    name = there.model.name
    model = shelf.get(name)
    if model.info.revision != there.model.revision:
        raise UserError(f"{name} has been updated since; translate the picture again.")
    return _translated_back(step, model.weights if shelf.tried(name) else name, there)


def _translated_back(step: Step, runs: str | Weights, there: Translation) -> Translation:
    # The fake as the network on the way there painted it, pixel by pixel, is all that the way back
    # needs to see: where that one left the trained scale, this one works on every pixel too.
    height, width = there.change.values.shape[1:]
    small = there.real.resize((width, height), Image.Resampling.LANCZOS)
    fake = there.change.apply(small)
    back = step(runs, fake, _back(there.direction), float(there.detail > 0))
    recovered = back.apply(there.previews["fake"])
    return replace(
        there,
        previews={**there.previews, "recovered": recovered},
        back=back,
        cycle_error=cycle_error(there.previews["real"], recovered),
    )


def _back(direction: Direction) -> Direction:
    return "b2a" if direction == "a2b" else "a2b"


def previews_of(real: Image.Image, change: Change) -> dict[View, Image.Image]:
    """The picture and its translation as they are looked at."""
    small = shrink(real, PREVIEW)
    return {"real": small, "fake": change.apply(small)}


def shrink(image: Image.Image, side: int) -> Image.Image:
    """The picture at `side` pixels a side at most."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def cycle_error(real: Image.Image, recovered: Image.Image) -> float:
    """How far the way back misses: mean absolute difference, 0 for none and 1 for all of it."""
    difference = np.asarray(real, dtype=np.int16) - np.asarray(recovered, dtype=np.int16)
    return float(np.abs(difference).mean() / 255)


def arrow(labels: Mapping[str, str], direction: Direction) -> str:
    """Label a direction by its domains: "apple → orange"."""
    return f"{labels[direction[0]]} → {labels[direction[2]]}"


def known_direction(model: Translator, real: Image.Image, direction: str) -> Direction:
    """Check a direction, or find out the one for a picture if it is "auto". Raises UserError."""
    if not model.directions:
        raise UserError(f"{model.info.name} makes pictures from noise and does not translate any.")
    known = " and ".join(f"{name} ({arrow(model.info.labels, name)})" for name in model.directions)
    if direction == "auto":
        if len(model.directions) == 1:
            return model.directions[0]
        guess = model.domain(real)
        if guess is None:
            raise UserError(
                f"{model.info.name} cannot tell what a picture shows; choose a direction: {known}."
            )
        return guess.direction
    for name in model.directions:
        if direction == name:
            return name
    raise UserError(f"The direction {direction!r} is unknown; {model.info.name} has {known}.")


def failure(error: Exception) -> str:
    """Say in one sentence what went wrong; what nobody foresaw goes into the log as well."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, gr.Error):
        # A ZeroGPU Space says so when a visitor has used up the time on the GPU.
        return error.message
    if lacks_memory(error):
        return "The picture does not fit into the memory of this machine; try a smaller one."
    # Not foreseen: the traceback belongs into the log, and a way on belongs onto the page.
    logger.error("A translation failed", exc_info=error)
    return "Something went wrong here; the server's log says what. Try another picture."
