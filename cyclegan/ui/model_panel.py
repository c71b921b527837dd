"""The Models tab: what there is to translate with, and a door for more. The endpoint /models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cyclegan.errors import UserError
from cyclegan.files import CONFIG
from cyclegan.ui.card_view import about, sample_sheet
from cyclegan.ui.model_view import model_json, panels
from cyclegan.ui.models import Shelf
from cyclegan.ui.translate import choose, line
from cyclegan.ui.translation import failure
from cyclegan.ui.words import language_of, reword, say, word

NEARBY = (f"weights/*/{CONFIG}", f"runs/*/weights/{CONFIG}", f"runs/*/*/weights/{CONFIG}")
"""Where weights lie that somebody on this machine may want to pick."""

# Buttons are found by what they say in "data-do". While the panels are looked at, the server is
# asked what is new; cards that somebody has unfolded stay so.
ALIVE = """
const opened = new Set();
const name = (node) => node.closest("[data-model]").dataset.model;
element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    const asked = button && { name: button.dataset.name };
    if (asked) trigger(button.dataset.do === "use" ? "choose_model" : "reload_model", asked);
});
element.addEventListener("toggle", (event) => {
    opened[event.target.open ? "add" : "delete"](name(event.target));
}, true);
watch("value", () => {
    element.querySelectorAll("details").forEach((card) => (card.open = opened.has(name(card))));
});
let seen = false;
const look = () => seen && !document.hidden &&
    trigger("look", { key: element.querySelector(".models")?.dataset.key });
new IntersectionObserver((entries) => {
    const before = seen;
    seen = entries.at(-1).isIntersecting;
    if (seen && !before) look();
}).observe(element);
setInterval(look, 3000);
"""


def models_tab(shelf: Shelf, tabs: gr.Tabs, chooser: gr.Dropdown) -> None:
    """Fill the Models tab.

    Args:
        shelf: the models.
        tabs: of the page; the one called "translate" is turned to.
        chooser: of the models there.
    """
    with gr.Row(elem_id="models-add", equal_height=True):
        hub_name = gr.Textbox(
            label=word("models.add"),
            placeholder="USER/NAME",
            max_length=300,
            elem_id="models-name",
            scale=3,
        )
        folder = gr.Dropdown(
            label=word("models.add_folder"),
            choices=[],
            value=None,
            allow_custom_value=True,
            visible=shelf.local,
            elem_id="models-folder",
            scale=2,
        )
        button = gr.Button(
            word("models.add_button"), variant="primary", elem_id="models-button", scale=0
        )
    gr.HTML(word("models.add_info"), html_template="<p>${value}</p>", elem_id="models-fine")
    status = gr.HTML(elem_id="models-status")
    listed = gr.HTML(
        elem_id="models-list",
        apply_default_css=False,
        js_on_load=ALIVE,
    )

    def look(event: gr.EventData, request: gr.Request) -> Any:
        """Show what is new; nothing is sent to a browser that has it."""
        now, key = panels(shelf, language_of(request))
        known = isinstance(event._data, dict) and event._data.get("key") == key
        return gr.skip() if known else now

    def use(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        name = _named(event)
        if name not in [entry.name for entry in shelf.translating()]:
            return {status: line("failed", say(language_of(request), "models.gone", name=name))}
        return {tabs: gr.Tabs(selected="translate"), chooser: choose(shelf, name), status: ""}

    def reload(event: gr.EventData, request: gr.Request) -> Iterator[dict[Any, Any]]:
        name, language = _named(event), language_of(request)
        yield {status: line("working", say(language, "models.fetching", name=name))}
        try:
            shelf.reload(name)
            said = line("done", say(language, "models.reloaded", name=name))
        except Exception as error:
            said = line("failed", reword(failure(error), language))
        now, _ = panels(shelf, language)
        yield {status: said, listed: now}

    def add(typed: str, picked: str | None, request: gr.Request) -> Iterator[dict[Any, Any]]:
        language, source = language_of(request), (typed or picked or "").strip()
        if not source:
            yield {status: line("failed", say(language, "models.empty"))}
            return
        yield {status: line("working", say(language, "models.fetching", name=source))}
        try:
            name = shelf.use(source)
        except Exception as error:
            yield {status: line("failed", reword(failure(error), language))}
            return
        now, _ = panels(shelf, language)
        said = line("done", say(language, "models.added", name=name))
        yield {status: said, listed: now, hub_name: "", folder: None}

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    one: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 1, **quiet}
    listed.look(look, None, listed, queue=False, **quiet)
    listed.choose_model(use, None, [tabs, chooser, status], queue=False, **quiet)
    listed.reload_model(reload, None, [status, listed], **one)
    gr.on(
        [button.click, hub_name.submit],
        add,
        [hub_name, folder],
        [status, listed, hub_name, folder],
        **one,
    )
    folder.focus(lambda: gr.Dropdown(choices=_nearby(shelf)), None, folder, queue=False, **quiet)


def models_endpoint(shelf: Shelf) -> None:
    """Define /models for programs."""

    def models() -> list[dict[str, Any]]:
        """List the models of this page, as /translate takes them by name."""
        return [model_json(entry) for entry in shelf.entries()]

    with gr.Column(visible=False):
        gr.Button().click(models, None, gr.JSON(label="models"), api_name="models", queue=False)


def model_routes(shelf: Shelf) -> list[Route]:
    """The route for the sample sheets of the models of a shelf."""

    def samples(request: Request) -> Response:
        name = request.query_params.get("name", "")
        folder = next((entry.folder for entry in shelf.entries() if entry.name == name), None)
        known = about(folder) if folder else None
        body = sample_sheet(folder, known.sheet) if folder and known and known.sheet else None
        if body is None:
            return Response(status_code=404)
        headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Response(body, media_type="image/webp", headers=headers)

    return [Route("/models/samples.webp", samples)]


def _named(event: gr.EventData) -> str:
    match event._data:
        case {"name": str(name)}:
            return name
    raise UserError("This page asked for no model that there is; reload it.")


def _nearby(shelf: Shelf) -> list[str]:
    """Folders with weights below where the page was started, but for those it has."""
    known = {entry.folder.resolve() for entry in shelf.entries() if entry.folder}
    found = [path.parent for pattern in NEARBY for path in sorted(Path().glob(pattern))]
    return [str(folder) for folder in found if folder.resolve() not in known]
