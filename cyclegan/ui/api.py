"""The endpoint /translate, for programs."""

import math
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan.errors import UserError
from cyclegan.images import ImageError
from cyclegan.translator import prepare
from cyclegan.ui.models import Shelf
from cyclegan.ui.photo import Photo
from cyclegan.ui.translation import Step, failure, translations
from cyclegan.ui.words import language_of, reword

QUEUE = "translate"
"""Translations wait for each other: two at once would only share the same processor."""


def endpoint(shelf: Shelf, step: Step) -> None:
    """Define /translate for programs. Its fields are its own, so that the page's never limit it.

    On the page, gradio would refuse a model that is not among the choices a visitor was shown.
    """

    def translate(
        image: Any,
        weights: str = "",
        direction: str = "a2b",
        detail: float = 0.0,
        strength: float = 1.0,
        *,
        request: gr.Request | None = None,
    ) -> tuple[Image.Image, Image.Image | None, dict[str, Any]]:
        """Translate a picture there and back.

        Args:
            image: JPEG, PNG, WebP, BMP, TIFF or GIF.
            weights: the name of a model on this page; empty for the first one.
            direction: "a2b", "b2a", or "auto" to go by what the picture shows.
            detail: 0 for the scale that the model was trained for, 1 for all of the pixels.
            strength: 0 for the picture itself, 1 for the whole translation; the way back starts
                from the whole one.
        """
        try:
            if image is None:
                raise ImageError("There is no picture in this request; send one as `image`.")
            _check("detail", detail)
            _check("strength", strength)
            real = prepare(image)
            *_, result = translations(step, shelf, weights, real, direction, detail)
            fake = result.change.apply(real, strength)
            recovered = None
            if result.back:
                recovered = result.back.apply(result.change.apply(real) if strength < 1 else fake)
        except Exception as error:
            sentence = reword(failure(error), language_of(request))
            raise gr.Error(sentence, print_exception=False) from error
        figures = {
            "seconds": round(result.seconds, 3),
            "cycle_error": result.cycle_error,
            "width": fake.width,
            "height": fake.height,
            "model": result.model.name,
            "revision": result.model.revision,
            "direction": result.direction,
            "detail": detail,
            "strength": strength,
        }
        return fake, recovered, figures

    with gr.Column(visible=False):
        inputs = [
            Photo(label="image"),
            gr.Textbox("", label="weights"),
            gr.Textbox("a2b", label="direction"),
            gr.Number(0, label="detail"),
            gr.Number(1, label="strength"),
        ]
        outputs = [
            Photo(label="fake", format="png"),
            Photo(label="recovered", format="png"),
            gr.JSON(label="figures"),
        ]
        gr.Button().click(
            translate,
            inputs,
            outputs,
            api_name="translate",
            concurrency_id=QUEUE,
            concurrency_limit=1,
        )


def _check(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        raise UserError(f"{name} is {value!r}; it must be a number from 0 to 1.")
