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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from benchmarks.backends import GPU, Run, shipped
from benchmarks.report import machine, publish, spread, table
from benchmarks.start import ROOT, Served, http

WEIGHTS = ROOT / "weights" / "apples-oranges"
PHOTO = ROOT / "cyclegan" / "ui" / "examples" / "apples-1.jpg"
SIDE = 256
SETTLED = 50
"""Translations after which the memory is taken for settled."""
BATCHES = (1, 2, 4, 8, 16)
FEWEST, WARM_UP = 4, 2
"""Pictures that a rate is measured on at least, and turns before the first that counts."""
PAYS = 1.05
"""By how much more pictures a second have to come out of a batch for it to be worth waiting for."""


@dataclass
class Visit:
    """What a person has seen.

    Attributes:
        there, back: seconds until the translation was there, and the way back.
        places: in the queue, as they were told.
        done: whether both came.
    """

    there: float = 0.0
    back: float = 0.0
    places: tuple[int, ...] = ()
    done: bool = False


def ask(url: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    """The JSON that a GET, or a POST of a body, is answered with."""
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with http.open(request, timeout=600) as answer:
        return json.load(answer)


def upload(url: str, name: str) -> dict[str, str]:
    """Upload the photo in the size asked for; what the page's client calls it."""
    buffer = io.BytesIO()
    with Image.open(PHOTO) as photo:
        photo.resize((SIDE, SIDE)).save(buffer, "JPEG", quality=90)
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + buffer.getvalue() + b"\r\n--x--\r\n"
    (path,) = ask(f"{url}/gradio_api/upload", body, "multipart/form-data; boundary=x")
    return {"path": path, "name": name}


def messages(url: str, session: str) -> Iterator[dict[str, Any]]:
    """What the queue says to a session, until it has nothing more to say."""
    with http.open(f"{url}/gradio_api/queue/data?session_hash={session}", timeout=600) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if message["msg"] == "close_stream":
                    return
                yield message


def request(url: str, event: int, asked: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Ask for something through the queue: the facts in the answer if there are any, and places."""
    session, places, facts = uuid.uuid4().hex, (), {}
    body = {"data": [None], "fn_index": event, "session_hash": session, "event_data": asked}
    ask(f"{url}/gradio_api/queue/join", json.dumps(body).encode())
    for message in messages(url, session):
        if message["msg"] == "estimation":
            places += (message["rank"] + 1,)
        if message["msg"] == "process_completed" and message["success"]:
            facts = json.loads(message["output"]["data"][0]).get("facts", {})
    return facts, places


def translate(url: str, events: tuple[int, int], photo: dict[str, str]) -> Visit:
    """Have a picture translated there, and then back, as the browser asks for it."""
    visit, begun = Visit(), time.perf_counter()
    asked = {"id": 1, "source": photo, "model": "", "direction": "a2b", "detail": 0}
    facts, visit.places = request(url, events[0], asked)
    visit.there = time.perf_counter() - begun
    if facts:
        facts, _ = request(url, events[1], {"id": 2, "token": facts["token"]})
    visit.back = time.perf_counter() - begun
    visit.done = facts.get("recovered", False)
    return visit


def events(url: str) -> tuple[int, int]:
    """The numbers of the client's events there and back in the page's description of itself."""
    known = {d["targets"][0][1]: d["id"] for d in ask(f"{url}/config")["dependencies"]}
    return known["translate"], known["translate_back"]


def crowd(url: str, people: int) -> list[Visit]:
    """Have so many people ask at the same moment."""
    numbers, visits = events(url), [Visit() for _ in range(people)]
    photos = [upload(url, f"{index}.jpg") for index in range(people)]
    together = threading.Barrier(people)

    def visit(index: int) -> None:
        together.wait()
        visits[index] = translate(url, numbers, photos[index])

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return visits


def row(page: Served, count: int) -> tuple[list[float], list[float], int]:
    """Translate one picture after another: megabytes after each, seconds of each, and failures."""
    numbers, photo = events(page.url), upload(page.url, "photo.jpg")
    memory, seconds, lost = [], [], 0
    for _ in range(count):
        visit = translate(page.url, numbers, photo)
        seconds.append(visit.back)
        memory.append(page.process.memory_info().rss / 2**20)
        lost += not visit.done
    return memory, seconds, lost


@torch.inference_mode()
def batches(runs: Sequence[Run], repeats: int) -> list[list[float]]:
    """Pictures a second through a network, for every size of a batch, turn by turn.

    For every size it is given once more: one of OpenVINO suits itself to the sizes that it is given
    again and again, but not to as many.
    """
    found: list[list[float]] = [[] for _ in BATCHES]
    for repeat in range(WARM_UP + repeats):
        for run, rates, batch in zip(runs, found, BATCHES, strict=True):
            pictures = torch.rand(batch, 3, SIDE, SIDE) * 2 - 1
            calls = max(1, FEWEST // batch)
            begun = time.perf_counter()
            for _ in range(calls):
                run(pictures)
            if repeat >= WARM_UP:
                rates.append(calls * batch / (time.perf_counter() - begun))
    return found


def gain(rates: Sequence[Sequence[float]]) -> list[str]:
    """Cells for what batches gain on one picture at a time, and at which one that ends."""
    gains = [statistics.median(rate) / statistics.median(rates[0]) for rate in rates]
    pays, best = 1, 1.0
    for batch, value in zip(BATCHES, gains, strict=True):
        # Each has to be worth more than the one before, for which fewer would wait.
        if value > best * PAYS:
            pays, best = batch, value
    cells = [f"{value:.2f}×" for value in gains[1:]]
    return [*cells, f"up to {pays}" if pays > 1 else "never"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the page under load.")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--row", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    with Served() as page:
        page.after(page.answers)
        page.after(page.loaded)
        alone = [visit.there for visit in crowd(page.url, 1) + crowd(page.url, 1)]
        visits = crowd(page.url, options.people)
    there, back = [visit.there for visit in visits], [visit.back for visit in visits]
    furthest = max(max(visit.places, default=0) for visit in visits)

    def p95(seconds: Sequence[float]) -> str:
        return f"{statistics.quantiles(seconds, n=20)[-1]:.1f}"

    people = [
        ["people at once", str(options.people)],
        ["requests lost", str(sum(not visit.done for visit in visits))],
        ["people who were told their place in the queue", str(sum(bool(v.places) for v in visits))],
        ["furthest place", str(furthest)],
        ["seconds until a translation was there, for one alone", f"{min(alone):.1f}"],
        ["for one of many, p50", f"{statistics.median(there):.1f}"],
        ["p95", p95(there)],
        ["seconds until the way back was there too, p50", f"{statistics.median(back):.1f}"],
        ["p95", p95(back)],
        ["translations there and back a second", f"{options.people / max(back):.2f}"],
    ]

    runs = [shipped(WEIGHTS) for _ in BATCHES]
    rates = {name: batches([run[name] for run in runs], options.repeats) for name in runs[0]}
    batched = [[name, *gain(rate)] for name, rate in rates.items()]
    if GPU not in rates:
        batched.append([GPU, *(["not measured"] * len(BATCHES))])
    head = ["run by", *(f"batch of {batch}" for batch in BATCHES[1:]), "pays"]

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
        "Pictures a second with several in one call of the network, against one by one: what "
        "batching waiting requests could gain at most. A batch pays if it gains at least "
        f"{PAYS - 1:.0%} over the smaller one that did so last.\n\n{table(head, batched)}\n\n"
        f"{table(['one after another', ''], rows)}\n\n"
        f"`python -m benchmarks.load --people {options.people} --row {options.row} --repeats "
        f"{options.repeats}`; {machine()}.",
    )


if __name__ == "__main__":
    main()
