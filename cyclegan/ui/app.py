"""The page as a whole: its frame, its theme, and the server."""

import logging
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import torch
from gradio import themes
from gradio.utils import is_zero_gpu_space

from cyclegan.errors import UserError
from cyclegan.run_source import RunSource, open_runs
from cyclegan.translator import Device
from cyclegan.ui.models import Shelf, sources
from cyclegan.ui.page import Page
from cyclegan.ui.run_routes import run_routes
from cyclegan.ui.training import FOLLOW_LINK, training_tab
from cyclegan.ui.translate import translate_tab

TITLE = "CycleGAN"
STYLE = Path(__file__).parent / "style.css"
MAX_FILE_SIZE = "50mb"

logger = logging.getLogger(__name__)

# Two arcs that run into each other: there and back.
MARK = """<svg viewBox="0 0 40 40" aria-hidden="true">
<path class="there" d="M6 22 A14 14 0 0 1 31 11.5"/><path class="there" d="M31.5 4 V12 H23.5"/>
<path class="back" d="M34 18 A14 14 0 0 1 9 28.5"/><path class="back" d="M8.5 36 V28 H16.5"/>
</svg>"""
HEADER = f"""<header>{MARK}<div><h1>{TITLE}</h1>
<p>Turns one kind of picture into another and back, learned from photos nobody paired.</p>
</div></header>"""


def theme() -> themes.Base:
    """Warm paper, dark ink, one green; fonts that every machine has, so nothing is fetched."""
    green = themes.Color(
        "#eef6f2", "#d8eae1", "#b3d6c5", "#86bca4", "#599f82", "#38846a",
        "#2a6a55", "#235646", "#1e463a", "#193a31", "#0c211b", name="leaf",
    )  # fmt: skip
    stone = themes.Color(
        "#faf8f4", "#f3f0e9", "#e6e1d6", "#d3ccbe", "#a8a092", "#7d766a",
        "#5e584e", "#48433b", "#2e2b26", "#1f1d1a", "#161513", name="paper",
    )  # fmt: skip
    text = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    base = themes.Base(
        primary_hue=green, secondary_hue=green, neutral_hue=stone, font=text, font_mono=mono,
        radius_size=themes.sizes.radius_lg,
    )  # fmt: skip
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_400",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_300",
    )


def build(shelf: Shelf, source: RunSource) -> gr.Blocks:
    """Lay out the page; its Training tab needs the routes of `run_routes(source)` beside it."""
    # Uploads and results are looked for every hour and deleted when they are a day old.
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(HEADER, elem_id="top")
        with gr.Tabs() as tabs:
            with gr.Tab("Translate", id="translate"):
                chooser = translate_tab(page, shelf)
            with gr.Tab("Training", id="training"):
                training_tab(source, shelf, tabs, chooser)
        page.load(None, js=FOLLOW_LINK)
    return page


def serve(
    weights: Sequence[str],
    shipped: Path,
    runs: str,
    host: str | None = None,
    port: int | None = None,
    device: Device = "auto",
) -> None:
    """Open the page and serve it until it is interrupted.

    Args:
        weights: folders or Hub names, before those in the folder `shipped`.
        shipped: folder of weights folders.
        runs: a folder of runs, or the Hub name of a run.
        host: address to listen on; this machine only by default.
        port: by default the first free one.
        device: what the models run on.

    Raises UserError when the device or the port is not to be had.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # The client of the Hub logs every request at this level.
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    at_hand = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not at_hand.get(device, True):
        raise UserError(f"--device {device} is not to be had on this machine; use --device auto.")
    shelf = Shelf(sources(weights, shipped), device)
    loading = shelf.start()
    if is_zero_gpu_space():
        # There, what runs on the GPU is a copy of this process from before: it has to be complete.
        loading.join()
    source = open_runs(runs)
    page = build(shelf, source)
    # One limit for every event that waits, clicks as well as API calls.
    page.queue(max_size=64)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            theme=theme(),
            css_paths=STYLE,
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            max_file_size=MAX_FILE_SIZE,
            ssr_mode=False,
            app_kwargs={"routes": run_routes(source)},
        )
    except OSError as error:
        # Gradio looks through a range of ports, and says so; only one was asked for.
        if port is not None and str(port) in str(error):
            raise UserError(f"Port {port} is taken; give another with --port.") from error
        raise UserError(f"The page cannot be served: {error}") from error
