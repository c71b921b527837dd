"""The page in the process of a test, for those that look at it from inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import gradio as gr

from cyclegan import ui


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[gr.Blocks]:
    """Serve the page without any models, until the end of the block."""
    launch = gr.Blocks.launch

    def beside(page: gr.Blocks, **flags: Any) -> Any:
        pages.append(page)
        return launch(page, **flags, prevent_thread_lock=True)

    pages: list[gr.Blocks] = []
    place = {"GRADIO_TEMP_DIR": str(folder / "gradio")}
    with mock.patch.object(gr.Blocks, "launch", beside), mock.patch.dict("os.environ", place):
        ui.serve([], folder, str(folder / "runs"), device="cpu", **options)
        yield pages[0]
        pages[0].close()
