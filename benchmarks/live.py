"""The Live tab's frames, with the weights that ship: how many a second, and what they take.

    python -m benchmarks.live [--frames N]

Visitors post frames over real HTTP, each the next one when the last is answered, as the browser
does. Beside the network are decoding, turning into tensors and back, encoding and HTTP.
"""

import argparse
import io
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import uvicorn
from PIL import Image
from starlette.applications import Starlette

from benchmarks.report import machine, publish, spread, table
from cyclegan import frames
from cyclegan.compiled import Backend
from cyclegan.translator import best_device
from cyclegan.ui.live import live_routes
from cyclegan.ui.models import Shelf

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "weights" / "apples-oranges"
PHOTO = ROOT / "cyclegan" / "ui" / "examples" / "apples-1.jpg"
QUALITIES = {"Fast": 96, "Middle": 160, "Fine": 256}
"""Short sides of frames, in pixels, as in ui/client/live/controls.js."""
WARM_UP = 3


class Stopwatch:
    """Stands in for the function that runs a network, and notes how long it takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._run = frames.run_padded

    def __call__(self, *arguments: Any) -> torch.Tensor:
        start = time.perf_counter()
        fake = self._run(*arguments)
        if fake.is_cuda:
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - start)
        return fake


@contextmanager
def served(backend: Backend) -> Iterator[str]:
    """Serve the route of the frames; gives its address."""
    shelf = Shelf([str(WEIGHTS)], backend=backend)
    shelf.start().join()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=live_routes(shelf)), log_level="error")
        )
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/live/frame"
        server.should_exit = True
        thread.join()


def film(url: str, short: int, count: int, visitor: str) -> list[float]:
    """Post frames one after the other; seconds until each is answered."""
    with Image.open(PHOTO) as photo, io.BytesIO() as buffer:
        size = (round(short * 4 / 3 / 8) * 8, short)
        photo.convert("RGB").resize(size).save(buffer, "JPEG", quality=90)
        body = buffer.getvalue()
    http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    times = []
    for _ in range(count):
        start = time.perf_counter()
        with http.open(f"{url}?direction=a2b&visitor={visitor}", body, timeout=60) as answer:
            answer.read()
        times.append(time.perf_counter() - start)
    return times


def row(url: str, backend: Backend, name: str, short: int, count: int) -> list[str]:
    """Measure a quality."""
    film(url, short, WARM_UP, "visitor-1")
    with patch.object(frames, "run_padded", Stopwatch()) as network:
        whole = film(url, short, count, "visitor-1")
    beside = [1 - inside / outside for inside, outside in zip(network.seconds, whole, strict=True)]
    threads = [
        threading.Thread(target=film, args=(url, short, count, f"visitor-{index}"))
        for index in (1, 2)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    each = count / (time.perf_counter() - start)
    return [
        f"{name}, {short} px, `{backend}`",
        f"{1 / median(whole):.1f}",
        spread([1000 * seconds for seconds in whole], "ms", 0),
        f"{100 * median(beside):.0f}%",
        f"{each:.1f}",
    ]


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description="Measure the frames of the Live tab.")
    parser.add_argument("--frames", type=int, default=30, help="frames of each film")
    count = parser.parse_args().frames
    rows = []
    for backend in ("torch", "auto"):
        with served(backend) as url:
            rows += [row(url, backend, name, short, count) for name, short in QUALITIES.items()]
    head = (
        "short side of a frame, `--backend`",
        "frames/s",
        "answered after",
        "beside the network",
        "of two",
    )
    precision = "bfloat16" if frames.halves(torch.device(best_device())) else "float32"
    publish(
        "live",
        f"""### Live webcam

`python -m benchmarks.live`: frames of 4:3 over HTTP, {count} a row, the next when the last is
answered; medians, least and greatest in brackets. The last column is what each of two visitors
gets. PyTorch ran the network in {precision}; `auto` took OpenVINO's in 8 bits. The camera and the
browser's drawing come on top.

{table(head, rows)}

{machine()}""",
    )


if __name__ == "__main__":
    main()
