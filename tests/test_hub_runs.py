"""A training that runs elsewhere is followed through the stand-in Hub."""

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hub_client import log_in, wait_for
from hub_server import HubServer
from run_folders import TILES, advance, begin, shown_step

from cyclegan import hub_runs
from cyclegan.checkpoint import save_best
from cyclegan.errors import UserError
from cyclegan.hub_runs import HubRuns
from cyclegan.pusher import Pusher
from cyclegan.runs import RunWriter, read_run

NAME = "tester/apples"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as hub_server:
        log_in(hub_server, tmp_path, monkeypatch)
        yield hub_server
        # Or it would look at the server of the next test.
        wait_for(lambda: not followers())


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    writer = begin(tmp_path / "runs" / "apples")
    yield writer
    writer.close()


def push(folder: Path, photos: bool = False) -> None:
    pusher = Pusher(NAME, photos=photos)
    pusher.submit(folder)
    pusher.close()


def follow(where: str = NAME, **options: float) -> HubRuns:
    """Look at the Hub all the time, and have looked once."""
    runs = HubRuns(where, **{"every": 0.02, "quiet": 0.2, **options})
    wait_for(lambda: runs.names() or "still to come" not in runs.problem)
    return runs


def followers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("follow ")]


def test_following_equals_the_original(server: HubServer, writer: RunWriter) -> None:
    server.page_size = 3
    push(writer.folder)
    runs = follow()
    assert (runs.names(), runs.problem, runs.local) == (["apples"], "", False)
    for step in (500, 750, 1000):
        advance(writer, step, "finished" if step == 1000 else "running")
        push(writer.folder)
        wait_for(lambda step=step: runs.read("apples").status["step"] == step)
        ours, theirs = read_run(writer.folder), runs.read("apples")
        for part in ("description", "status", "metrics", "samples"):
            assert getattr(theirs, part) == getattr(ours, part)
    for step in ours.samples:
        for tile in TILES:
            for probe in range(2):
                path = runs.tile("apples", step, tile, probe)
                assert path and path.read_bytes() == ours.tile(step, tile, probe).read_bytes()
    # Photos were not asked for, so they are not there.
    assert runs.tile("apples", 0, "real_a", 0) is None
    assert not [path for path in server.files(NAME) if "probes" in path]
    assert runs.checkpoints("apples") == []
    push(writer.folder, photos=True)
    wait_for(lambda: runs.tile("apples", 0, "real_a", 0))
    assert runs.tile("apples", 0, "real_a", 0).suffix == ".png"


def test_nothing_is_asked_twice(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = follow()
    first = runs.tile("apples", 0, "fake_b", 0)
    server.requests.clear()
    assert runs.tile("apples", 0, "fake_b", 0) == first
    wait_for(lambda: runs.names() and len(server.requests) > 2)
    # As long as nothing changes, only the head is asked for.
    assert {request.path for request in server.requests} == {f"/api/models/{NAME}"}
    writer.status("stopped", 0, 1000)
    push(writer.folder)
    server.requests.clear()
    wait_for(lambda: runs.read("apples").status["phase"] == "stopped")
    resolved = [request.path for request in server.requests if "/resolve/" in request.path]
    assert [path.rpartition("/run/")[2] for path in resolved] == ["status.json"]
    assert runs.tile("apples", 0, "fake_b", 0) == first
    # A sample that was made anew is another picture.
    writer.sample(0, {"fake_b": torch.ones(1, 3, 16, 16)})
    push(writer.folder)
    wait_for(lambda: shown_step(runs.tile("apples", 0, "fake_b", 0)) > 990)
    assert runs.tile("apples", 0, "recovered_a", 0) is None


def test_the_network_fails_and_comes_back(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = follow(timeout=1)
    seen = runs.read("apples")

    def gone(*words: str) -> None:
        known = (*words, f"Cannot follow {NAME}: ", " (since ", " UTC).")
        wait_for(lambda: runs.names() and all(word in runs.problem for word in known))
        assert ". " not in runs.problem
        assert runs.names() == ["apples"] and runs.read("apples") == seen
        with pytest.raises(UserError, match=r"^Cannot fetch run/samples/00000000/fake_b\.0\.webp"):
            runs.tile("apples", 0, "fake_b", 0)

    def back() -> None:
        wait_for(lambda: runs.names() and runs.problem == "")

    server.fail_with = 500
    gone("500")
    server.fail_with = None
    back()
    with server.hanging():
        gone("does not answer")
    back()
    server.drop = True
    gone("no connection")
    server.drop = False
    back()
    server.stop()
    gone("no connection")
    advance(writer, 500)
    server.start()
    push(writer.folder)
    back()
    wait_for(lambda: runs.read("apples").samples == [0, 500])
    assert shown_step(runs.tile("apples", 500, "fake_b", 0)) == pytest.approx(500, abs=10)


def test_tiles_are_fetched_several_at_once(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = follow()
    with ThreadPoolExecutor(8) as pool, server.hanging() as held:
        assert held.wait(30)
        server.requests.clear()
        wanted = [(tile, probe) for tile in TILES for probe in range(2)]
        coming = [pool.submit(runs.tile, "apples", 0, *tile) for tile in wanted]
        wait_for(lambda: sum("/resolve/" in r.path for r in server.requests) == len(wanted))
        assert not [tile for tile in coming if tile.done()]
        assert runs.names() == ["apples"] and runs.read("apples").samples == [0]
    for (tile, probe), path in zip(wanted, coming, strict=True):
        there = path.result()
        assert (
            there
            and there.read_bytes() == read_run(writer.folder).tile(0, tile, probe).read_bytes()
        )


def test_a_half_seen_commit_is_not_shown(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = follow()
    seen = runs.read("apples")
    server.fail_with, server.fail_on = 503, "metrics.jsonl"
    advance(writer, 500)
    push(writer.folder)
    wait_for(lambda: runs.names() and "answered 503" in runs.problem)
    assert runs.read("apples") == seen
    server.fail_with = None
    wait_for(lambda: runs.read("apples").samples == [0, 500])
    assert runs.read("apples").metrics == read_run(writer.folder).metrics


def test_nobody_looks(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = HubRuns(NAME, every=0.02, quiet=0.1)
    assert not followers()
    wait_for(runs.names)
    wait_for(lambda: not followers())
    advance(writer, 500)
    push(writer.folder)
    wait_for(lambda: runs.read("apples").samples == [0, 500])


@pytest.mark.parametrize(
    ("files", "private", "words"),
    [
        (None, False, "no such repository, or it is private"),
        ({"run/run.json": b"{}"}, True, "set HF_TOKEN or run hf auth login"),
        ({"config.json": b"{}", "run/status.json": b"{}"}, False, "holds no run"),
    ],
)
def test_what_cannot_be_followed(
    server: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes] | None,
    private: bool,
    words: str,
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if files:
        server.add_repo(NAME, files, private)
    runs = follow()
    assert words in runs.problem and NAME in runs.problem and ". " not in runs.problem
    assert runs.names() == []
    for call in (runs.read, runs.checkpoints, lambda name: runs.weights(name, None)):
        with pytest.raises(UserError):
            call("apples")


def test_foreign_files_on_the_hub(server: HubServer) -> None:
    files = {
        "run.json": b"[",
        "metrics.jsonl": b'{"step": 1}\n{"st',
        "samples/00000001/fake_b.0.webp": b"no picture",
        "samples/latest/fake_b.0.webp": b"",
        "samples/00000002/.fake_b.0.webp": b"",
        "samples/00000003/notes.txt": b"",
        "notes.0.webp": b"",
    }
    server.add_repo(NAME, {f"run/{path}": content for path, content in files.items()})
    runs = follow(f"{NAME}@main")
    run = runs.read("apples")
    assert (run.description, run.status, run.samples) == ({}, {}, [1])
    assert [line["step"] for line in run.metrics] == [1]
    for tile in (
        "../00000003/notes",
        "../../run",
        "/etc/passwd",
        "real/../../run",
        "../../notes",
        "fake_b\0",
    ):
        assert runs.tile("apples", 1, tile, 0) is None
    with pytest.raises(UserError):
        runs.tile("../apples", 1, "fake_b", 0)


def test_a_damaged_picture_is_not_kept(server: HubServer, writer: RunWriter) -> None:
    push(writer.folder)
    runs = follow()
    whole = dict(server.blobs)
    server.blobs = {digest: content[:-1] for digest, content in whole.items()}
    with pytest.raises(UserError, match=r"fake_b\.0\.webp .* damaged"):
        runs.tile("apples", 0, "fake_b", 0)
    server.blobs = whole
    assert runs.tile("apples", 0, "fake_b", 0)


def test_only_so_many_tiles_stay(
    server: HubServer, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_runs, "_MOST_TILES", 2)
    writer.sample(0, {tile: torch.full((1, 3, 16, 16), n / 4) for n, tile in enumerate(TILES)})
    push(writer.folder)
    runs = follow()
    paths = [runs.tile("apples", 0, tile, 0) for tile in TILES[:2]]
    assert runs.tile("apples", 0, TILES[0], 0) == paths[0]
    paths.append(runs.tile("apples", 0, TILES[2], 0))
    # The one that was not asked for longest made room.
    assert [path is not None and path.exists() for path in paths] == [True, False, True]
    assert shown_step(runs.tile("apples", 0, TILES[1], 0)) == pytest.approx(250, abs=10)


def test_weights_are_those_of_the_commit(
    server: HubServer, writer: RunWriter, constant_weights: Path
) -> None:
    push(writer.folder)
    runs = follow()
    with pytest.raises(UserError, match=r"config\.json"):
        runs.weights("apples", None)
    shutil.copytree(constant_weights, writer.folder / "weights")
    push(writer.folder)
    wait_for(lambda: "config.json" in server.files(NAME))
    wait_for(lambda: runs.problem == "" and loads(runs))
    assert runs.weights("apples", None).config.label_b == "white"
    with pytest.raises(UserError, match="stay where it is trained"):
        runs.weights("apples", 500)


def test_best_and_late_parts(server: HubServer, writer: RunWriter) -> None:
    """What was there before the run, comes with it, and goes with it."""
    server.add_repo(NAME, {"run/status.json": b'{"step": 7}', "run/notes.txt": b"not ours"})
    runs = follow()
    assert "holds no run" in runs.problem
    server.add_repo(NAME, {"run/run.json": b"{}"})
    wait_for(runs.names)
    assert runs.read("apples").status == {"step": 7}
    save_best(writer.folder / "checkpoint", "kid", 0.5, 0)
    push(writer.folder)
    wait_for(lambda: runs.read("apples").best == {"metric": "kid", "value": 0.5, "step": 0})
    (writer.folder / "checkpoint" / "best.json").unlink()
    push(writer.folder)
    wait_for(lambda: not runs.read("apples").best)
    assert server.files(NAME)["run/notes.txt"] == b"not ours"


def loads(runs: HubRuns) -> bool:
    try:
        return bool(runs.weights("apples", None))
    except UserError:
        return False
