"""The page under load, with the weights that ship: many people at once, and many pictures in a row.

    python -m benchmarks.load [--people N] [--row N] [--repeats N]

Everybody asks over real HTTP, through the queue that the browser asks through; they share the
processor with the page.
"""

import argparse
import io
import json
import statistics
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from benchmarks.report import machine, publish, spread, table
from benchmarks.start import ROOT, Served, http
from cyclegan.weights import load_weights

WEIGHTS = ROOT / "weights" / "apples-oranges"
PHOTO = ROOT / "cyclegan" / "ui" / "examples" / "apples-1.jpg"
SIDE = 256
SETTLED = 50
"""Translations after which the memory is taken for settled."""
BATCHES = (1, 2, 4, 8)


@dataclass
class Visit:
    """What a person has seen: seconds of waiting, places in the queue, whether a result came."""

    seconds: float = 0.0
    places: tuple[int, ...] = ()
    done: bool = False


def ask(url: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    """The JSON that a GET, or a POST of a body, is answered with."""
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with http.open(request, timeout=600) as answer:
        return json.load(answer)


def upload(url: str, name: str) -> dict[str, Any]:
    """Upload the photo in the size asked for; what a request calls it."""
    buffer = io.BytesIO()
    with Image.open(PHOTO) as photo:
        photo.resize((SIDE, SIDE)).save(buffer, "JPEG", quality=90)
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + buffer.getvalue() + b"\r\n--x--\r\n"
    (path,) = ask(f"{url}/gradio_api/upload", body, "multipart/form-data; boundary=x")
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def messages(url: str, session: str) -> Iterator[dict[str, Any]]:
    """What the queue says to a session, until it has nothing more to say."""
    with http.open(f"{url}/gradio_api/queue/data?session_hash={session}", timeout=600) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if message["msg"] == "close_stream":
                    return
                yield message


def translate(url: str, endpoint: int, photo: dict[str, Any]) -> Visit:
    """Have a picture translated there and back, as the browser asks for it."""
    session, visit, begun = uuid.uuid4().hex, Visit(), time.perf_counter()
    data = [photo, "", "a2b", 0, 1]
    body = json.dumps({"data": data, "fn_index": endpoint, "session_hash": session}).encode()
    ask(f"{url}/gradio_api/queue/join", body)
    for message in messages(url, session):
        if message["msg"] == "estimation":
            visit.places += (message["rank"] + 1,)
        if message["msg"] == "process_completed":
            visit.done = bool(message["success"])
    visit.seconds = time.perf_counter() - begun
    return visit


def endpoint(url: str) -> int:
    """The number of /translate in the page's description of itself."""
    dependencies = ask(f"{url}/config")["dependencies"]
    return next(d["id"] for d in dependencies if d["api_name"] == "translate")


def crowd(url: str, people: int) -> list[Visit]:
    """Have so many people ask at the same moment."""
    number, visits = endpoint(url), [Visit() for _ in range(people)]
    photos = [upload(url, f"{index}.jpg") for index in range(people)]
    together = threading.Barrier(people)

    def visit(index: int) -> None:
        together.wait()
        visits[index] = translate(url, number, photos[index])

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return visits


def row(page: Served, count: int) -> tuple[list[float], list[float], int]:
    """Translate one picture after another: megabytes after each, seconds of each, and failures."""
    number, photo = endpoint(page.url), upload(page.url, "photo.jpg")
    memory, seconds, lost = [], [], 0
    for _ in range(count):
        visit = translate(page.url, number, photo)
        seconds.append(visit.seconds)
        memory.append(page.process.memory_info().rss / 2**20)
        lost += not visit.done
    return memory, seconds, lost


@torch.inference_mode()
def batches(repeats: int) -> list[list[float]]:
    """Pictures a second through the network, for every size of a batch, turn by turn."""
    network = load_weights(WEIGHTS).networks["generator_ab"]
    found: list[list[float]] = [[] for _ in BATCHES]
    for repeat in range(repeats + 1):
        for rates, batch in zip(found, BATCHES, strict=True):
            pictures = torch.rand(batch, 3, SIDE, SIDE) * 2 - 1
            begun = time.perf_counter()
            for _ in range(max(BATCHES) // batch):
                network(pictures)
            # The first turn warms up.
            if repeat:
                rates.append(max(BATCHES) / (time.perf_counter() - begun))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the page under load.")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--row", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    with Served() as page:
        page.after(page.answers)
        page.after(page.loaded)
        alone = [visit.seconds for visit in crowd(page.url, 1) + crowd(page.url, 1)]
        visits = crowd(page.url, options.people)
    seconds = [visit.seconds for visit in visits]
    furthest = max(max(visit.places, default=0) for visit in visits)
    p95 = statistics.quantiles(seconds, n=20)[-1]
    people = [
        ["people at once", str(options.people)],
        ["requests lost", str(sum(not visit.done for visit in visits))],
        ["people who were told their place in the queue", str(sum(bool(v.places) for v in visits))],
        ["furthest place", str(furthest)],
        ["seconds for one person alone", f"{min(alone):.1f}"],
        ["seconds until everything was there, p50", f"{statistics.median(seconds):.1f}"],
        ["p95", f"{p95:.1f}"],
        ["translations there and back a second", f"{options.people / max(seconds):.2f}"],
    ]

    rates = batches(options.repeats)
    first = statistics.median(rates[0])
    batched = [
        [
            str(batch),
            spread(rate, "", 2).replace(" ", "", 1),
            f"{statistics.median(rate) / first:.2f}×",
        ]
        for batch, rate in zip(BATCHES, rates, strict=True)
    ]

    with Served() as page:
        page.after(page.loaded)
        page.after(page.answers)
        memory, each, lost = row(page, options.row)
        files = [path for path in page.files.rglob("*") if path.is_file()]
        kept = sum(path.stat().st_size for path in files) / 2**20
    settled, last = memory[min(SETTLED, len(memory)) - 1], memory[-1]
    rows = [
        ["translations there and back", f"{options.row}"],
        ["failed", str(lost)],
        ["seconds each", spread(each, "s", 2)],
        [f"memory after {SETTLED}", f"{settled:.0f} MB"],
        ["memory at the end", f"{last:.0f} MB ({last / settled - 1:+.1%})"],
        [f"most memory after {SETTLED}", f"{max(memory[SETTLED - 1 :], default=last):.0f} MB"],
        ["files that wait for their deletion", f"{len(files)}, {kept:.0f} MB"],
    ]
    publish(
        "load",
        "## The page under load\n\n"
        f"Weights that ship, a photo of {SIDE}×{SIDE} pixels, there and back, on the CPU.\n\n"
        f"{table(['many at once', ''], people)}\n\n"
        "Several pictures in one call of the network, which is what batching waiting requests "
        "could gain at most:\n\n"
        f"{table(['batch', 'pictures a second', 'against one by one'], batched)}\n\n"
        f"{table(['one after another', ''], rows)}\n\n"
        f"`python -m benchmarks.load --people {options.people} --row {options.row} --repeats "
        f"{options.repeats}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
