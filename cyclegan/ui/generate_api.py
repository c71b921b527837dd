"""The endpoint /generate, for programs."""

from time import perf_counter
from typing import Any

import gradio as gr
import torch
from PIL import Image

from cyclegan.generator import NO_PICTURE, GeneratorError, read_seed, read_z
from cyclegan.images import ImageError
from cyclegan.ui.api import QUEUE
from cyclegan.ui.generation import MOST, Make, find_generator, runs_as
from cyclegan.ui.models import Shelf
from cyclegan.ui.photo import Photo
from cyclegan.ui.translation import failure
from cyclegan.ui.words import language_of, reword


def generate_endpoint(shelf: Shelf, make: Make) -> None:
    """Define /generate for programs."""

    def generate(
        model: str = "",
        seed: Any = 0,
        count: Any = 1,
        z: Any = None,
        image: Any = None,
        *,
        request: gr.Request | None = None,
    ) -> tuple[list[Image.Image], dict[str, Any]]:
        """Make pictures from noise, or several translations of one picture.

        Args:
            model: the name of a model on this page that makes pictures; empty for the first one.
            seed: a whole number from 0 on; picture k is the one that seed + k makes alone.
            count: how many pictures, from 1 to 48.
            z: in place of seed and count, a list of numbers, or a list of such lists.
            image: what is translated, for models that start from a picture.
        """
        try:
            generator = find_generator(shelf, model)
            if z is None:
                first, number = read_seed(seed), _count(count)
                chosen = generator.draw(number, first)
            else:
                first = None
                lists = z if isinstance(z, list) and z and isinstance(z[0], list) else [z]
                _count(len(lists))
                chosen = torch.stack([read_z(one, generator.latent) for one in lists])
            if generator.takes_picture and image is None:
                raise ImageError("There is no picture in this request; send one as `image`.")
            if image is not None and not generator.takes_picture:
                raise GeneratorError(NO_PICTURE.format(name=generator.info.name))
            photo = None if image is None else generator.seen(image)
            begun = perf_counter()
            pictures = make(runs_as(shelf, generator), photo, chosen)
        except Exception as error:
            sentence = reword(failure(error), language_of(request))
            raise gr.Error(sentence, print_exception=False) from error
        figures = {
            "model": generator.info.name,
            "revision": generator.info.revision,
            "seed": first,
            "z": chosen.tolist(),
            "width": pictures[0].width,
            "height": pictures[0].height,
            "seconds": round(perf_counter() - begun, 3),
        }
        return pictures, figures

    with gr.Column(visible=False):
        inputs = [
            gr.Textbox("", label="model"),
            gr.Number(0, label="seed"),
            gr.Number(1, label="count"),
            gr.JSON(None, label="z"),
            Photo(label="image"),
        ]
        outputs = [
            gr.Gallery(label="pictures", format="png", type="pil"),
            gr.JSON(label="figures"),
        ]
        gr.Button().click(
            generate,
            inputs,
            outputs,
            api_name="generate",
            concurrency_id=QUEUE,
            concurrency_limit=1,
        )


def _count(value: Any) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not 1 <= value <= MOST:
        raise GeneratorError(f"count is {value!r}; it must be a whole number from 1 to {MOST}.")
    return int(value)
