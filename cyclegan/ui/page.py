"""The frame of the page."""

from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio import utils

REFUSAL = (
    "This request cannot be understood; send the picture as an uploaded file or as "
    '{"url": "data:…"}, and weights and direction as text.'
)
NOT_HERE = "This file was not uploaded here; send the file itself."


class Page(gr.Blocks):
    """gr.Blocks that knows who waits, and answers a malformed request with a sentence."""

    def busy(self, *queues: str) -> bool:
        """Whether anybody waits for an event of these concurrency ids, or is at one."""
        known = self._queue.event_queue_per_concurrency_id
        found = (known[name] for name in queues if name in known)
        return any(queue.queue or queue.current_concurrency for queue in found)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Turn what a request holds into what the app's functions take. Raises gr.Error."""
        try:
            _check_files(inputs)
            if inputs:
                # Programs leave out what is optional at the end.
                inputs = [*inputs, *(field.value for field in block_fn.inputs[len(inputs) :])]
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(REFUSAL, print_exception=False) from error


def _check_files(value: Any) -> None:
    """Refuse every file that is not in gradio's folder. Raises gr.Error.

    Left to itself, gradio fetches what a path names, of any size, where it is a URL. The URL of a
    file of this page, which is what programs have of its results, is taken for that file.
    """
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            _, ours, file = path.partition("/gradio_api/file=")
            value["path"] = path = unquote(file) if ours else path
            if not utils.is_in_or_equal(path, utils.get_upload_folder()):
                raise gr.Error(NOT_HERE, print_exception=False)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_files(item)
