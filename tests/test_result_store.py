"""The store of results: how long it keeps them, how many, and whose they are."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan.native import Change
from cyclegan.recipe import Recipe, read_recipe
from cyclegan.translator import Info
from cyclegan.ui.lettering import font_for
from cyclegan.ui.results import GoneError, ResultStore
from cyclegan.ui.translation import Translation


def made(size: tuple[int, int] = (64, 48), name: str = "grey") -> Translation:
    """A translation that adds half of the range."""
    real = Image.new("RGB", size, (100, 100, 100))
    change = Change(np.ones((3, 4, 4), dtype=np.float16))
    previews: Any = {"real": real, "fake": change.apply(real), "recovered": real}
    info = Info("/home/somebody/weights", name, None, {"a": "x", "b": "y"}, 64)
    return Translation(info, "a2b", 0.0, real, change, 0.1, previews, change, 0.0)


@pytest.fixture
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where gradio's temporary files are."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_results_are_gone_after_a_day(above: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultStore()
    old = store.keep(made())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 23 * 3600)
    young = store.keep(made())
    assert store.open(old.token) == old
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    with pytest.raises(GoneError, match="no longer here; translate the picture again"):
        store.open(old.token)
    store.sweep()
    assert [path.name for path in store.folder.iterdir()] == [young.token]


def test_without_room_the_ones_unused_for_longest_go_first(above: Path) -> None:
    one = ResultStore().keep(made()).bytes
    store = ResultStore(max_bytes=3 * one)
    tokens = [store.keep(made()).token for _ in range(3)]
    store.open(tokens[0])
    tokens.append(store.keep(made()).token)
    assert {path.name for path in store.folder.iterdir()} == {tokens[0], tokens[2], tokens[3]}
    with pytest.raises(GoneError):
        store.open(tokens[1])
    with pytest.raises(GoneError):
        store.add_recovered(tokens[1], made())
    assert not (store.folder / tokens[1]).exists()
    large = ResultStore(max_bytes=1)
    assert large.open(large.keep(made()).token), "the newest is kept in any case"


def test_a_result_knows_its_files(above: Path, tmp_path: Path) -> None:
    store = ResultStore()
    real = made().real
    path = tmp_path / "photo.png"
    real.save(path)
    for original in (None, path, str(path), io.BytesIO(path.read_bytes())):
        result = store.keep(made(), "C:\\Users\\me\\photo.png", original)
        assert (result.name, result.recovered) == ("photo.png", True)
        assert result.real().tobytes() == real.tobytes()
        assert result.change().apply(real).getpixel((0, 0)) == (228, 228, 228)
        assert result.recipe("fake", 1.0).model == "grey"
    (result.folder / "change.npz").write_bytes(b"torn")
    with pytest.raises(GoneError):
        result.change()


def test_a_full_disk_is_one_sentence(above: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultStore()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Change, "save", full)
    with pytest.raises(Exception, match="There is no room left on this server's disk"):
        store.keep(made())
    assert list(store.folder.iterdir()) == []


def test_forty_threads_at_once(above: Path) -> None:
    store = ResultStore(max_bytes=20 * ResultStore().keep(made()).bytes)
    errors: list[Exception] = []
    barrier = threading.Barrier(40)

    def work() -> None:
        barrier.wait()
        try:
            for _ in range(5):
                result = store.keep(made(), "photo.png")
                store.sweep()
                try:
                    assert store.open(result.token).real().size == (64, 48)
                    store.add_recovered(result.token, made())
                except GoneError:
                    # The other threads had more to keep than there is room for.
                    continue
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    kept = {path.name for path in store.folder.iterdir()}
    assert 15 <= len(kept) <= 20
    assert all(store.open(token) for token in kept)


def test_nothing_stays_behind(above: Path) -> None:
    left, fresh = above / "results-left", above / "results-fresh"
    for folder in (left, fresh):
        (folder / "token").mkdir(parents=True)
    os.utime(left, (time.time() - 90_000,) * 2)
    script = (
        "from cyclegan.ui.results import ResultStore; store = ResultStore(); "
        "print(store.folder); (store.folder / 'x').touch()"
    )
    folder = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert Path(folder).parent == above
    assert not Path(folder).exists()
    assert not left.exists()
    assert fresh.exists(), "it may belong to a page that is open"


def test_captions_are_written_in_letters_or_not_at_all() -> None:
    assert font_for("Photo apple 60%", 20)
    assert font_for("\U0010fff0", 20) is None


def test_recipes_survive_every_format(tmp_path: Path) -> None:
    recipe = Recipe("someone/苹果", "f00", "b2a", "b → a", "fake", 0.7, 0.2)
    for format in ("png", "webp", "gif", "jpeg", "tiff"):
        path = tmp_path / f"picture.{format}"
        Image.new("RGB", (8, 8)).save(path, **recipe.options(format))
        assert read_recipe(path) == recipe
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.bmp", **recipe.options("bmp"))
    assert read_recipe(tmp_path / "plain.bmp") is None
