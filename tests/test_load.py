"""Many people at once, many pictures in a row: nothing is lost, and nothing grows."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from asking import META, ask, png, upload
from page_server import PageServer, http, painter
from running_page import running

from cyclegan.ui import app as page_app

PEOPLE = 20
SETTLED, ROW = 50, 150


@pytest.fixture(scope="module")
def page(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    server = PageServer(folder, "--weights", painter(constant_weights, folder / "w", "a", "b"))
    while "still loading" in str(server.translate(photo(server), "", "a2b")):
        pass
    yield server
    server.stop()


def photo(page: PageServer) -> dict[str, Any]:
    return {"path": upload(page.url, "photo.png", png())[1], "meta": META}


def visit(page: PageServer, number: int, file: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for a translation as the browser does; all that the queue says about it."""
    session = uuid.uuid4().hex
    body = {"data": [file, "", "a2b"], "fn_index": number, "session_hash": session}
    page.post("/gradio_api/queue/join", body)
    with http.open(f"{page.url}/gradio_api/queue/data?session_hash={session}", timeout=120) as said:
        lines = [line[6:] for line in said if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_of_many_at_once_nobody_is_lost_and_all_know_their_place(page: PageServer) -> None:
    dependencies = json.loads(page.get("/config"))["dependencies"]
    number = next(d["id"] for d in dependencies if d["api_name"] == "translate")
    heard: dict[int, list[dict[str, Any]]] = {}
    together = threading.Barrier(PEOPLE)

    def person(index: int) -> None:
        file = photo(page)
        together.wait()
        heard[index] = visit(page, number, file)

    threads = [threading.Thread(target=person, args=(index,)) for index in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [[m for m in said if m["msg"] == "process_completed"] for said in heard.values()]
    assert [end[0]["success"] for end in ends] == [True] * PEOPLE
    ranks = [[m["rank"] for m in said if m["msg"] == "estimation"] for said in heard.values()]
    assert all(ranks)
    assert max(max(rank) for rank in ranks) > PEOPLE // 4
    # Whoever waits only ever moves forward.
    assert all(rank == sorted(rank, reverse=True) for rank in ranks)


@pytest.mark.slow
def test_memory_does_not_grow(page: PageServer) -> None:
    file, process = photo(page), psutil.Process(page.pid)
    sizes = []
    for _ in range(ROW):
        kind, said = page.translate(file, "", "a2b")
        assert kind == "complete", said
        sizes.append(process.memory_info().rss)
    assert sizes[-1] < 1.05 * sizes[SETTLED]


def test_old_pictures_are_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page_app, "CLEANING", (1, 1))
    with running(tmp_path) as page:
        url = page.local_url.rstrip("/")
        _, path = upload(url, "photo.png", png())
        assert ask(f"{url}/gradio_api/file={path}")[0] == 200
        while Path(path).exists():
            time.sleep(0.1)
