"""The shelf of models: first use, room in memory, what visitors add, and what goes wrong."""

import gc
import json
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hub_client import log_in, wait_for
from hub_server import HubServer
from PIL import Image

from cyclegan.ui import entries, models
from cyclegan.ui.models import ModelError, Shelf, StillLoading
from cyclegan.weights import load_weights

NAME = "someone/painter"
PHOTO = Image.new("RGB", (32, 32), (90, 120, 150))
WHITE = ((255, 255),) * 3


@pytest.fixture
def folder(constant_weights: Path, tmp_path: Path) -> Callable[[str], str]:
    """Make weights folders that paint white: `folder("a")`."""

    def make(name: str) -> str:
        return str(shutil.copytree(constant_weights, tmp_path / "weights of" / name))

    return make


@pytest.fixture
def files(constant_weights: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in constant_weights.iterdir()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The stand-in Hub, to which the host has a token."""
    with HubServer() as server:
        log_in(server, tmp_path, monkeypatch)
        yield server


def started(sources: list[str], **options: Any) -> Shelf:
    shelf = Shelf(sources, "cpu", **options)
    shelf.start().join()
    return shelf


def states(shelf: Shelf) -> list[str]:
    return [entry.state for entry in shelf.entries()]


def paints_white(shelf: Shelf, name: str | None = None) -> bool:
    return shelf.get(name).translate(PHOTO, "a2b").getextrema() == WHITE


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of models in the order in which they were brought into memory."""
    names: list[str] = []
    load = entries.loaded

    def noted(entry: entries.Entry, *runs_on: Any) -> Any:
        names.append(entry.name)
        return load(entry, *runs_on)

    monkeypatch.setattr(models, "loaded", noted)
    return names


# --------------------------------------------------------------------------- memory


def test_the_first_model_is_loaded_at_once_and_others_when_they_are_used(
    folder: Callable[[str], str],
) -> None:
    shelf = started([folder(name) for name in "abc"])
    assert states(shelf) == ["ready", "waiting", "waiting"]
    assert [entry.name for entry in shelf.ready()] == ["a", "b", "c"]
    waiting = shelf.entries()[1]
    assert waiting.info is not None
    assert waiting.info.labels == {"a": "black", "b": "white"}
    assert waiting.directions == ("a2b", "b2a")
    assert paints_white(shelf, "b")
    assert states(shelf) == ["ready", "ready", "waiting"]


def test_the_model_unused_for_longest_leaves_memory(folder: Callable[[str], str]) -> None:
    shelf = started([folder(name) for name in "abc"], max_loaded=2)
    shelf.get("b")
    shelf.get("a")
    gone = weakref.ref(shelf.get("b").weights.networks["generator_ab"])
    shelf.get("a")
    shelf.get("c")
    assert states(shelf) == ["ready", "waiting", "ready"]
    gc.collect()
    assert gone() is None
    assert paints_white(shelf, "b")
    assert states(shelf) == ["waiting", "ready", "ready"]


def test_who_translates_keeps_the_translator(folder: Callable[[str], str]) -> None:
    shelf = started([folder(name) for name in "ab"], max_loaded=1)
    held = shelf.get("a")
    shelf.get("b")
    shelf.reload("b")
    assert states(shelf) == ["waiting", "waiting"]
    assert held.translate(PHOTO, "a2b").getextrema() == WHITE


def test_checkpoints_that_are_tried_count_and_go(
    folder: Callable[[str], str], constant_weights: Path
) -> None:
    shelf = started([folder("a")], max_loaded=2)
    for name in ("run · step 1", "run · step 2"):
        shelf.add(name, load_weights(constant_weights))
    assert [entry.name for entry in shelf.entries()] == ["a", "run · step 1", "run · step 2"]
    assert states(shelf) == ["waiting", "ready", "ready"]
    assert shelf.tried("run · step 1")
    assert not shelf.tried("a")
    shelf.get("a")
    assert [entry.name for entry in shelf.entries()] == ["a", "run · step 1"]
    with pytest.raises(ModelError, match=r"no weights called 'run · step 2' on this page"):
        shelf.get("run · step 2")


def test_many_who_want_the_same_model_load_it_once(
    folder: Callable[[str], str], loads: list[str]
) -> None:
    shelf = started([folder("a"), folder("b")])
    loads.clear()
    together = threading.Barrier(8)

    def get(_: int) -> Any:
        together.wait()
        return shelf.get("b")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(get, range(8)))) == 1
    assert loads == ["b"]


def test_threads_that_want_everything_get_what_they_ask_for(folder: Callable[[str], str]) -> None:
    names = "abcd"
    shelf = started([folder(name) for name in names], max_loaded=2)

    def use(turn: int) -> bool:
        name = names[(turn * 7) % 4]
        if turn % 10 == 9:
            shelf.reload(name)
        model = shelf.get(name)
        return model.info.name == name and model.translate(PHOTO).getextrema() == WHITE

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(use, range(80)))
    assert states(shelf).count("ready") <= 2
    assert "failed" not in states(shelf)


def test_on_zerogpu_everything_is_there_before_the_first_call(
    folder: Callable[[str], str], constant_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "is_zero_gpu_space", lambda: True)
    shelf = started([folder(name) for name in "abc"], max_loaded=1)
    assert states(shelf) == ["ready"] * 3
    for name in "xy":
        shelf.add(name, load_weights(constant_weights))
    assert [entry.name for entry in shelf.entries()] == ["a", "b", "c", "y"]
    assert [shelf.tried(name) for name in "ay"] == [False, True]
    # What replaces a model is not in the copy of this process that has the GPU; it travels there.
    shelf.reload("b")
    shelf.get("b")
    assert shelf.tried("b")
    assert states(shelf) == ["ready"] * 3


# --------------------------------------------------------------------------- failures


def test_what_fails_is_one_sentence_without_paths_and_the_others_go_on(
    folder: Callable[[str], str], tmp_path: Path
) -> None:
    broken = Path(folder("broken"))
    (broken / "config.json").write_text("{")
    shelf = started([str(broken), folder("good"), str(tmp_path / "nowhere")])
    assert states(shelf) == ["failed", "ready", "failed"]
    reasons = [entry.reason for entry in shelf.entries()]
    assert reasons[0].startswith("broken/config.json: ")
    assert reasons[2] == "nowhere is neither a weights folder nor a Hub name (USER/NAME)."
    assert not any(str(tmp_path) in reason for reason in reasons)
    assert paints_white(shelf)
    with pytest.raises(ModelError, match=r"^broken/config\.json: "):
        shelf.get("broken")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [Path.unlink, damage])
def test_weights_that_go_bad_after_the_start_fail_alone_until_they_are_good_again(
    folder: Callable[[str], str], tmp_path: Path, harm: Callable[[Path], Any]
) -> None:
    shelf = started([folder("a"), folder("b")])
    tensors = tmp_path / "weights of" / "b" / "model.safetensors"
    whole = tensors.read_bytes()
    harm(tensors)
    with pytest.raises(ModelError) as refusal:
        shelf.get("b")
    assert str(refusal.value).startswith("b/model.safetensors ")
    assert str(tmp_path) not in str(refusal.value)
    assert states(shelf) == ["ready", "failed"]
    assert [entry.name for entry in shelf.ready()] == ["a"]
    assert paints_white(shelf, "a")
    tensors.write_bytes(whole)
    shelf.reload("b")
    assert states(shelf) == ["ready", "waiting"]
    assert paints_white(shelf, "b")


def test_too_little_memory_is_a_sentence_and_the_next_try_may_succeed(
    folder: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = started([folder("a"), folder("b")])
    with monkeypatch.context() as patch:
        words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        patch.setattr(models, "loaded", lambda *_: (_ for _ in ()).throw(RuntimeError(words)))
        with pytest.raises(ModelError, match="too little memory for b now; try again later"):
            shelf.get("b")
        assert paints_white(shelf, "a")
    assert states(shelf) == ["ready", "waiting"]
    assert paints_white(shelf, "b")


def test_what_nobody_foresaw_is_a_sentence_too(
    folder: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = started([folder("a"), folder("b")])
    monkeypatch.setattr(models, "loaded", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match=r"^b cannot be loaded; the server's log says why\.$"):
        shelf.get("b")


def test_a_model_that_is_still_coming_says_so(hub: HubServer, files: dict[str, bytes]) -> None:
    hub.add_repo(NAME, files)
    shelf = Shelf([NAME], "cpu")
    with hub.hanging() as asked:
        thread = shelf.start()
        assert asked.wait(30)
        assert shelf.loading
        for name in (None, "painter"):
            with pytest.raises(StillLoading, match="still loading; try again in a moment"):
                shelf.get(name)
    thread.join()
    assert paints_white(shelf)


def test_a_file_cut_short_in_the_cache_is_fetched_once_more(
    hub: HubServer, files: dict[str, bytes], folder: Callable[[str], str]
) -> None:
    hub.add_repo(NAME, files)
    shelf = started([folder("a"), NAME])
    cached = shelf.entries()[1].folder
    assert cached is not None
    damage((cached / "model.safetensors").resolve())
    assert paints_white(shelf, "painter")


def test_a_hub_that_was_away_can_be_asked_again(hub: HubServer, files: dict[str, bytes]) -> None:
    hub.add_repo(NAME, files)
    hub.fail_with = 503
    shelf = started([NAME])
    assert states(shelf) == ["failed"]
    with pytest.raises(ModelError, match="out of order"):
        shelf.reload("painter")
    assert states(shelf) == ["failed"]
    hub.fail_with = None
    shelf.reload("painter")
    assert paints_white(shelf, "painter")


# --------------------------------------------------------------------------- revisions


def test_a_newer_revision_is_noticed_and_taken(
    hub: HubServer, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "NEWS", 0.0)
    first = hub.add_repo(NAME, files)
    shelf = started([NAME, f"{NAME}@{first}"])
    assert shelf.newer("painter") is None
    second = hub.add_repo(NAME, {"config.json": relabelled(files, "grey")})
    wait_for(lambda: shelf.newer(NAME) == second)
    assert shelf.newer(f"{NAME}@{first}") is None
    held = shelf.get(NAME)
    shelf.reload(NAME)
    assert shelf.newer(NAME) is None
    now = shelf.get(NAME)
    assert now is not held
    assert now.info.revision == second
    assert now.info.labels["a"] == "grey"
    assert shelf.get(f"{NAME}@{first}").info.revision == first


def test_asking_for_news_never_waits_and_is_not_repeated(
    hub: HubServer, files: dict[str, bytes]
) -> None:
    hub.add_repo(NAME, files)
    shelf = started([NAME])
    before = len(hub.requests)
    with hub.hanging() as asked:
        assert shelf.newer("painter") is None
        assert asked.wait(30)
        assert all(shelf.newer("painter") is None for _ in range(20))
        assert len(hub.requests) == before + 1


def relabelled(files: dict[str, bytes], label: str) -> bytes:
    return json.dumps({**json.loads(files["config.json"]), "label_a": label}).encode()
