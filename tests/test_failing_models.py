"""A model that fails in the middle of a request says so, and leaves the others alone."""

import io
import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from asking import META, data_url, png, upload
from page_server import PageServer, painter
from PIL import Image
from safetensors.torch import load_file, safe_open, save_file

SPARE = 150_000_000
"""Bytes that are left to a page that runs short of memory."""


@pytest.fixture(scope="module")
def page(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A page with a model that works, and one whose weights are no numbers."""
    folder = tmp_path_factory.mktemp("page")
    good = painter(constant_weights, folder / "good", "black", "white")
    bad = Path(shutil.copytree(good, folder / "bad")) / "model.safetensors"
    with safe_open(bad, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(bad)
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    save_file(broken, bad, metadata)
    server = PageServer(folder, "--weights", good, bad.parent)
    while "still loading" in str(server.translate({"url": data_url(png())}, "bad", "a2b")):
        pass
    yield server
    server.stop()


def works(page: PageServer) -> bool:
    kind, outputs = page.translate({"url": data_url(png())}, "good", "a2b")
    return kind == "complete" and outputs[2]["model"] == "good"


def test_weights_that_are_no_numbers(page: PageServer) -> None:
    kind, said = page.translate({"url": data_url(png())}, "bad", "a2b")
    assert kind == "error"
    assert "bad" in said["error"] and "numbers" in said["error"]
    assert works(page)
    assert "Traceback" not in page.log


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_memory_that_runs_out(page: PageServer) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5900, 4000), "teal").save(buffer, "PNG")
    _, path = upload(page.url, "large.png", buffer.getvalue())
    assert works(page)
    before = resource.prlimit(page.pid, resource.RLIMIT_AS)  # type: ignore[attr-defined]
    limit = psutil.Process(page.pid).memory_info().vms + SPARE
    resource.prlimit(page.pid, resource.RLIMIT_AS, (limit, before[1]))  # type: ignore[attr-defined]
    kind, said = page.translate({"path": path, "meta": META}, "good", "a2b", 1)
    assert kind == "error"
    assert said["error"] == (
        "The picture does not fit into the memory of this machine; try a smaller one."
    )
    assert works(page)
    resource.prlimit(page.pid, resource.RLIMIT_AS, before)  # type: ignore[attr-defined]
    assert works(page)
    assert "Traceback" not in page.log
    assert json.loads(page.get("/gradio_api/queue/status"))["queue_size"] == 0
