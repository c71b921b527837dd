"""The Training tab: a place for its client, and what the client says to the rest of the page.

The client is the folder client/, plain JavaScript that the browser loads when the tab is opened
for the first time; it asks the routes in run_routes.py.
"""

import gradio as gr

from cyclegan.run_source import RunSource
from cyclegan.ui.checkpoints import checkpoints_panel
from cyclegan.ui.models import Shelf
from cyclegan.ui.words import word

ROOM = '<div class="room"></div><p hidden>${value}</p>'
# Relative to the page, wherever a proxy has put it.
OPEN = """
import(new URL("training/client/main.js", document.baseURI))
    .then((client) => client.open(element.querySelector(".room")))
    .catch((error) => {
        console.warn(error);
        element.querySelector("p").hidden = false;
    });
"""
FOLLOW_LINK = """
() => {
    if (location.hash.startsWith("#run=")) document.getElementById("tab-training-button")?.click();
}
"""
"""JavaScript for a freshly loaded page: a link to a run opens the tab."""


def training_tab(source: RunSource, shelf: Shelf, tabs: gr.Tabs, chooser: gr.Dropdown) -> None:
    """Fill the Training tab.

    Args:
        source: where the runs are.
        shelf: where a checkpoint goes that is tried out.
        tabs: of the page.
        chooser: of the models on the Translate tab.
    """
    gr.HTML(
        word("training.unavailable"),
        html_template=ROOM,
        elem_id="training-room",
        apply_default_css=False,
        js_on_load=OPEN,
    )
    # The client writes into these; nobody sees them.
    opened = gr.Textbox(visible="hidden", elem_id="open-run")
    request = gr.Textbox(visible="hidden", elem_id="try-request")
    checkpoints_panel(source, shelf, opened, request, tabs, chooser)
