"""The page as a whole: its frame, its theme, and the server."""

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
import torch
from gradio.utils import is_zero_gpu_space
from starlette.middleware import Middleware

from cyclegan.compiled import MISSING, Backend, BackendError
from cyclegan.errors import UserError
from cyclegan.run_source import RunSource, open_runs
from cyclegan.translator import Device
from cyclegan.ui.api import endpoint
from cyclegan.ui.batch import batch_tab
from cyclegan.ui.batch_files import MAX_BYTES
from cyclegan.ui.generate import FOLLOW_TAB, generate_routes, generate_tab
from cyclegan.ui.generate_api import generate_endpoint
from cyclegan.ui.generation import make_maker
from cyclegan.ui.guard import Guard
from cyclegan.ui.live import live_routes, live_tab
from cyclegan.ui.model_panel import model_routes, models_endpoint, models_tab
from cyclegan.ui.models import MAX_LOADED, Shelf, sources
from cyclegan.ui.page import Page
from cyclegan.ui.result_routes import result_routes
from cyclegan.ui.results import ResultStore
from cyclegan.ui.run_routes import run_routes
from cyclegan.ui.stage_routes import stage_routes
from cyclegan.ui.theme import theme
from cyclegan.ui.training import FOLLOW_LINK, training_tab
from cyclegan.ui.translate import translate_tab
from cyclegan.ui.translation import Step, make_step
from cyclegan.ui.way_back import Recover, make_recover
from cyclegan.ui.words import RELABEL, Spoken, catalogue, word, word_routes

TITLE = "CycleGAN"
STYLES = [Path(__file__).parent / name for name in ("style.css", "batch.css", "models.css")]

CLEANING = (3600, 86400)
"""Seconds after which pictures are looked for again, and at which age they are deleted."""

SESSIONS = 100
"""Of how many visits the server remembers where they stand; gradio keeps 0.3 MB for each."""

logger = logging.getLogger(__name__)

MARK = Path(__file__).parent / "mark.svg"
HEADER = f"<header>{MARK.read_text('utf-8')}<div><h1>{TITLE}</h1><p>${{value}}</p></div></header>"


def build(
    shelf: Shelf, source: RunSource, store: ResultStore, step: Step, recover: Recover
) -> gr.Blocks:
    """Lay out the page; its Training tab needs the routes of `run_routes(source)` beside it."""
    make = make_maker(shelf)
    with Page(title=TITLE, analytics_enabled=False, delete_cache=CLEANING) as page:
        # First: the page's own events, which nobody calls, would take these names otherwise.
        endpoint(shelf, step)
        generate_endpoint(shelf, make)
        models_endpoint(shelf)
        gr.HTML(word("page.subtitle"), html_template=HEADER, elem_id="top")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(word("page.tab_translate"), id="translate", elem_id="tab-translate"):
                chooser = translate_tab(page, shelf, store, step, recover)
            with gr.Tab(word("page.tab_generate"), id="generate", elem_id="tab-generate"):
                generate_tab(shelf, make)
            with gr.Tab(word("page.tab_live"), id="live", elem_id="tab-live"):
                live_tab(shelf)
            with gr.Tab(word("page.tab_batch"), id="batch", elem_id="tab-batch"):
                batch_tab(shelf, step)
            with gr.Tab(word("page.tab_models"), id="models", elem_id="tab-models"):
                models_tab(shelf, tabs, chooser)
            with gr.Tab(word("page.tab_training"), id="training", elem_id="tab-training"):
                training_tab(source, shelf, tabs, chooser)
        page.load(None, js=FOLLOW_LINK)
        page.load(None, js=FOLLOW_TAB)
        page.load(None, js=RELABEL)
    return page


def serve(
    weights: Sequence[str],
    shipped: Path,
    runs: str,
    host: str | None = None,
    port: int | None = None,
    device: Device = "auto",
    backend: Backend = "auto",
    auth: tuple[str, str] | None = None,
    max_file_size: int = 50 * 2**20,
    max_loaded: int = MAX_LOADED,
    root_path: str | None = None,
    mcp: bool = False,
) -> None:
    """Open the page and serve it until it is interrupted.

    Args:
        weights: folders or Hub names, before those in the folder `shipped`.
        shipped: folder of weights folders.
        runs: a folder of runs, or the Hub name of a run.
        host: address to listen on; this machine only by default.
        port: by default the first free one.
        device: what the models run on.
        backend: what runs them on a CPU; "auto" is OpenVINO where it proves itself.
        auth: user and password that the page asks for; nothing answers without them.
        max_file_size: bytes of the largest file that is taken.
        max_loaded: models that are kept in memory at once.
        root_path: prefix under which a proxy serves the page, such as "/zebras".
        mcp: whether the page is a server of the Model Context Protocol too.

    Raises UserError when the device, the backend, the port or the protocol is not to be had.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # The client of the Hub logs every request at this level.
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    at_hand = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not at_hand.get(device, True):
        raise UserError(f"--device {device} is not to be had on this machine; use --device auto.")
    if backend == "openvino" and find_spec("openvino") is None:
        raise BackendError(MISSING)
    if backend == "openvino" and device != "cpu" and (device != "auto" or any(at_hand.values())):
        raise BackendError("--backend openvino is for CPUs; add --device cpu.")
    if mcp and auth:
        raise UserError("--mcp has no login, so it cannot be used with --auth; leave one out.")
    if mcp and find_spec("mcp") is None:
        raise UserError("--mcp needs a package more; pip install 'gradio[mcp]'.")
    local = is_local(host, root_path)
    shelf = Shelf(sources(weights, shipped), device, max_loaded, local, backend)
    loading = shelf.start()
    if is_zero_gpu_space():
        # There, what runs on the GPU is a copy of this process from before: it has to be complete.
        loading.join()
    source = open_runs(runs)
    store = ResultStore()
    store.start()
    step = make_step(shelf)
    recover = make_recover(shelf, store, step)
    page = build(shelf, source, store, step, recover)
    # One limit for every event that waits, clicks as well as API calls, of which none may pass by.
    page.queue(max_size=64, api_open=False)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            theme=theme(),
            css_paths=STYLES,
            favicon_path=MARK,
            # Relative, or a browser would look for it outside of a proxy's prefix.
            head='<link rel="icon" href="favicon.ico">',
            footer_links=["api"],
            run_history=False,
            state_session_capacity=SESSIONS,
            enable_monitoring=False,
            auth=[auth] if auth else None,
            max_file_size=max_file_size,
            root_path=root_path,
            mcp_server=mcp,
            ssr_mode=False,
            pwa=False,
            i18n=catalogue(),
            # Results have routes of their own.
            blocked_paths=[str(store.folder)],
            app_kwargs={
                "routes": [
                    *word_routes(),
                    *stage_routes(shelf),
                    *result_routes(store, recover),
                    *generate_routes(shelf),
                    *live_routes(shelf),
                    *model_routes(shelf),
                    *run_routes(source),
                ],
                "middleware": [
                    Middleware(Guard, bool(auth), max_file_size, max(max_file_size, MAX_BYTES)),
                    Middleware(Spoken),
                ],
            },
        )
    except OSError as error:
        # Gradio looks through a range of ports, and says so; only one was asked for.
        if port is not None and str(port) in str(error):
            raise UserError(f"Port {port} is taken; give another with --port.") from error
        raise UserError(f"The page cannot be served: {error}") from error


def is_local(host: str | None, root_path: str | None) -> bool:
    """Whether only people at this machine reach the page: no Space, and no proxy before it."""
    said = os.environ
    address = host or said.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    proxied = root_path or said.get("GRADIO_ROOT_PATH") or said.get("SPACE_ID")
    shared = said.get("GRADIO_SHARE", "").lower() == "true"
    return address in ("127.0.0.1", "localhost", "::1") and not (proxied or shared)
