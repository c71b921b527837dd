"""The picture fields of the page."""

import base64
import binascii
import io
from pathlib import Path
from typing import Any
from unittest import mock

import gradio as gr
from gradio import component_meta, processing_utils
from gradio.data_classes import ImageData
from PIL import Image

from cyclegan.files import write_atomically

# Gradio writes a .pyi beside the source of every component class when it is imported, here into
# the repository or the installed package; type checkers would then believe it over the source.
with mock.patch.object(component_meta, "create_or_modify_pyi", create=True):

    class Photo(gr.Image):
        """gr.Image without its decoder: the app gets the file and reads it with `load_image`.

        Gradio's own decoding fails before the app is asked, with a traceback, and reads 16-bit and
        transparent pictures wrong. What the app returns is written as PNG, losslessly, or as WebP
        in a quality at which no difference is seen.
        """

        # The browser's half stays the stock one.
        is_template = True

        def preprocess(self, payload: ImageData | None) -> Any:
            """The path of the file, or its content where it came as a data URL."""
            if payload is None:
                return None
            if payload.url and payload.url.startswith("data:"):
                try:
                    return io.BytesIO(base64.b64decode(payload.url.split(",", 1)[1]))
                except (IndexError, binascii.Error):
                    return io.BytesIO()
            return payload.path

        def postprocess(self, value: Any) -> Any:
            """Write a PIL image to gradio's cache; anything else is passed on."""
            if not isinstance(value, Image.Image):
                return super().postprocess(value)
            with io.BytesIO() as buffer:
                value.save(buffer, self.format, quality=93, method=2, compress_level=3)
                content = buffer.getvalue()
            folder = Path(self.GRADIO_CACHE, processing_utils.hash_bytes(content))
            path = folder / f"picture.{self.format}"
            # Equal pictures are one file, which may be on its way to a browser at this moment.
            if path.exists():
                path.touch()
            else:
                write_atomically(path, lambda temporary: temporary.write_bytes(content))
            return ImageData(path=str(path), orig_name=path.name)
