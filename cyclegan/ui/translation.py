"""What the tab and the endpoint have in common: a translation in two stages, and its failures."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import gradio as gr
import numpy as np
from PIL import Image

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.translator import Translator
from cyclegan.ui.models import Shelf, make_translator
from cyclegan.weights import Weights

logger = logging.getLogger(__name__)

Step = Callable[[str | Weights, Image.Image, Direction], Image.Image]
"""Runs a network, of a model by its name on the shelf or of weights that are in memory."""


@dataclass(frozen=True)
class Translation:
    """A translation as far as it has come: first the fake, then the recovered picture too."""

    real: Image.Image
    fake: Image.Image
    seconds: float
    recovered: Image.Image | None = None
    cycle_error: float | None = None


def make_step(shelf: Shelf) -> Step:
    """Make the function that runs a network; the one thing here that wants a GPU."""

    def step(model: str | Weights, image: Image.Image, direction: Direction) -> Image.Image:
        if isinstance(model, Weights):
            return make_translator("", model, shelf.device).translate(image, direction)
        return shelf.get(model).translate(image, direction)

    try:
        import spaces  # type: ignore[import-not-found]
    except ImportError:
        return step
    # On a ZeroGPU Space this runs in a copy of this process from before, which has the models from
    # the start, hence their names; other weights travel there.
    return spaces.GPU(step)


def translations(
    step: Step, shelf: Shelf, name: str, real: Image.Image, direction: str
) -> Iterator[Translation]:
    """Translate there, yield, translate back, yield. Raises UserError."""
    model = shelf.get(name)
    there = _known(model, direction)
    runs = model.weights if shelf.tried(name) else name
    back: Direction = "b2a" if there == "a2b" else "a2b"
    start = perf_counter()
    fake = step(runs, real, there)
    result = Translation(real, fake, perf_counter() - start)
    yield result
    if back in model.directions:
        recovered = step(runs, fake, back)
        yield Translation(real, fake, result.seconds, recovered, cycle_error(real, recovered))


def cycle_error(real: Image.Image, recovered: Image.Image) -> float:
    """How far the way back misses: mean absolute difference, 0 for none and 1 for all of it."""
    difference = np.asarray(real, dtype=np.int16) - np.asarray(recovered, dtype=np.int16)
    return float(np.abs(difference).mean() / 255)


def arrow(labels: Mapping[str, str], direction: Direction) -> str:
    """Label a direction by its domains: "apple → orange"."""
    return f"{labels[direction[0]]} → {labels[direction[2]]}"


def _known(model: Translator, direction: str) -> Direction:
    for known in model.directions:
        if direction == known:
            return known
    known = " and ".join(f"{name} ({arrow(model.info.labels, name)})" for name in model.directions)
    raise UserError(f"The direction {direction!r} is unknown; {model.info.name} has {known}.")


def failure(error: Exception) -> str:
    """Say in one sentence what went wrong; what nobody foresaw goes into the log as well."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, gr.Error):
        # A ZeroGPU Space says so when a visitor has used up the time on the GPU.
        return error.message
    if "out of memory" in str(error).lower():
        return "The picture does not fit into the memory of this machine; try a smaller one."
    # Not foreseen: the traceback belongs into the log, and a way on belongs onto the page.
    logger.error("A translation failed", exc_info=error)
    return "Something went wrong here; the server's log says what. Try another picture."
