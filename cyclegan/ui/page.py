"""The frame of the page."""

from typing import Any

import gradio as gr

REFUSAL = (
    "This request cannot be understood; send the picture as an uploaded file or as "
    '{"url": "data:…"}, and weights and direction as text.'
)


class Page(gr.Blocks):
    """gr.Blocks that answers a malformed request with a sentence instead of a traceback."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """Turn what a request holds into what the app's functions take. Raises gr.Error."""
        try:
            return await super().preprocess_data(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(REFUSAL, print_exception=False) from error
