"""/batch: photos and zips in, one zip out, over real HTTP; and what bounds a batch."""

import csv
import io
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw_photo
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import PageServer
from painted import SIZE, packed, painted_page, photo, unpacked
from PIL import Image

from cyclegan.errors import UserError
from cyclegan.recipe import Recipe, read_recipe
from cyclegan.ui import batch_files, batch_work
from cyclegan.ui.batch_files import BatchError, Given, gathered, new_folder
from cyclegan.ui.batch_work import Batch, Wish, work
from cyclegan.ui.models import Shelf
from cyclegan.ui.translation import make_step

WHITE, BLACK = ((255, 255),) * 3, ((0, 0),) * 3


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    with painted_page(constant_weights, tmp_path_factory.mktemp("batch")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: PageServer) -> Client:
    return Client(server.url, verbose=False)


def call(client: Client, files: list[Path], *rest: Any) -> tuple[dict[str, bytes], dict[str, Any]]:
    """What is in the zip that comes back, and the report."""
    path, report = client.predict([handle_file(file) for file in files], *rest, api_name="/batch")
    return unpacked(Path(path)) if path else {}, report


def test_names_folders_formats_and_sizes_are_kept(client: Client, tmp_path: Path) -> None:
    (tmp_path / "alone.webp").write_bytes(photo("WEBP"))
    files = {
        "a.jpg": photo(),
        "trip/day 1/b.PNG": photo("PNG", (31, 50)),
        "trip/c.gif": photo("GIF"),
        "苹果/照片.jpeg": photo(),
    }
    given = [packed(tmp_path / "x.zip", files), tmp_path / "alone.webp"]
    results, report = call(client, given, "", "a2b", True)
    kinds = {
        "a.jpg": "JPEG",
        "trip/day 1/b.PNG": "PNG",
        "trip/c.png": "PNG",
        "苹果/照片.jpeg": "JPEG",
        "alone.webp": "WEBP",
    }
    for name, kind in kinds.items():
        back = re.sub(r"(\.\w+)$", r".recovered\1", name)
        size = (31, 50) if "b.PNG" in name else SIZE
        for file, picture, colour in ((name, "fake", WHITE), (back, "recovered", BLACK)):
            content = results.pop(file)
            result = Image.open(io.BytesIO(content))
            assert (result.format, result.size) == (kind, size)
            assert result.convert("RGB").getextrema() == colour
            recipe = Recipe("painter", None, "a2b", "black → white", picture)
            assert read_recipe(io.BytesIO(content)) == recipe
    assert list(results) == ["report.csv"]
    rows = list(csv.DictReader(io.StringIO(results["report.csv"].decode("utf-8-sig"))))
    assert [row["file"] for row in rows] == [*files, "alone.webp"]
    assert rows[1]["direction"] == "black → white"
    assert (report["total"], report["translated"], report["failed"]) == (5, 5, 0)
    assert [file["result"] for file in report["files"]] == list(kinds)
    assert report["files"][1]["width"] == 31


def test_what_cannot_be_translated_is_named_and_the_others_are(
    client: Client, tmp_path: Path
) -> None:
    files = {
        "good.png": photo("PNG"),
        "../../evil.png": photo("PNG"),
        "cut.jpg": photo()[:500],
        "notes.txt": b"x",
        "__MACOSX/._good.png": b"x",
        "=1+1.png": b"words",
    }
    (tmp_path / "words.md").write_text("words")
    (tmp_path / "broken.zip").write_text("words")
    given = [packed(tmp_path / "x.zip", files), tmp_path / "words.md", tmp_path / "broken.zip"]
    results, report = call(client, given, "", "a2b")
    assert sorted(results) == ["evil.png", "good.png", "report.csv"]
    notes = {file["name"]: file["note"] for file in report["files"]}
    assert notes.pop("good.png") == notes.pop("evil.png") == ""
    assert notes.pop("cut.jpg").startswith("cut.jpg is damaged or cut short")
    assert notes.pop("=1+1.png").startswith("=1+1.png is not a picture")
    assert notes.pop("words.md").startswith("words.md is not a picture that can be read")
    assert notes == {
        "notes.txt": "notes.txt is no picture.",
        "broken.zip": "broken.zip is no zip, or a damaged one; pack it again.",
    }
    # No spreadsheet may take a name for a formula.
    assert "\n'=1+1.png," in results["report.csv"].decode("utf-8-sig").replace("\r", "")


def test_equal_names_are_numbered_also_where_only_case_differs(
    client: Client, tmp_path: Path
) -> None:
    one = packed(tmp_path / "1.zip", {"a.png": photo("PNG"), "A.PNG": photo("PNG")})
    two = packed(
        tmp_path / "2.zip", {"a.png": photo("PNG"), "a.gif": photo("GIF"), "b/a.png": photo()}
    )
    results, _ = call(client, [one, two], "", "a2b")
    assert list(results) == ["a.png", "A-2.PNG", "a-3.png", "a-4.png", "b/a.png", "report.csv"]


def test_each_photo_may_have_its_own_direction(client: Client, tmp_path: Path) -> None:
    given = []
    for side in "ab":
        draw_photo(side, 0, SIZE).save(tmp_path / f"{side}.png")
        given.append(tmp_path / f"{side}.png")
    results, report = call(client, given)
    for file in report["files"]:
        colour = {"a2b": WHITE, "b2a": BLACK}[file["direction"]]
        assert Image.open(io.BytesIO(results[file["result"]])).getextrema() == colour


def test_nothing_to_translate_gives_no_zip_but_a_report(client: Client, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("words")
    results, report = call(client, [tmp_path / "words.png"])
    assert results == {}
    assert (report["translated"], report["failed"]) == (0, 1)


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        (("nowhere",), "There are no weights called 'nowhere'"),
        (("", "up"), "The direction 'up' is unknown; painter has a2b (black → white)"),
    ],
)
def test_a_wish_that_cannot_be_is_one_sentence(
    client: Client, tmp_path: Path, rest: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "a.png").write_bytes(photo("PNG"))
    with pytest.raises(AppError) as refusal:
        call(client, [tmp_path / "a.png"], *rest)
    assert sentence in str(refusal.value)


def test_too_many_pictures_and_none_are_refused(client: Client, tmp_path: Path) -> None:
    many = packed(tmp_path / "x.zip", {f"{i}.png": b"" for i in range(201)})
    with pytest.raises(AppError, match="These are 201 pictures; send at most 200 at a time"):
        call(client, [many])
    with pytest.raises(AppError, match="There is no picture in this"):
        call(client, [packed(tmp_path / "y.zip", {})])


def test_files_of_this_machine_are_not_read(server: PageServer) -> None:
    config = server.cwd.parent / "painter" / "config.json"
    data = [[{"path": str(config), "meta": {"_type": "gradio.FileData"}}], "", "a2b", False]
    event = server.post("/gradio_api/call/batch", {"data": data})["event_id"]
    said = server.get(f"/gradio_api/call/batch/{event}").decode()
    assert "event: error" in said
    assert "black" not in said


def test_bytes_are_bounded_as_sent_and_as_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(batch_files.MAX_BYTES + 1)
    with (
        pytest.raises(BatchError, match="This is more than 200 MB together"),
        gathered([Given(tmp_path / "large.png", "large.png")]),
    ):
        pass
    # Two zips share what they may unpack to.
    monkeypatch.setattr(batch_files, "MAX_BYTES", 25_000)
    content = np.random.default_rng(0).bytes(10_000)
    paths = [packed(tmp_path / f"{i}.zip", {f"{i}.png": content}) for i in range(2)]
    with gathered([Given(path, path.name) for path in paths]) as (items, _):
        for item in items:
            opened = item.open()
            assert isinstance(opened, io.BytesIO)
            assert opened.read() == content
        with pytest.raises(UserError, match="The zips unpack to more than"):
            items[0].open()


@pytest.fixture
def shelf(constant_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    shelf = Shelf([str(constant_weights)], "cpu")
    shelf.start().join()
    return shelf


def given(tmp_path: Path, count: int) -> list[Given]:
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(photo("PNG"))
    return [Given(tmp_path / f"{index}.png", f"{index}.png") for index in range(count)]


def test_a_stopped_batch_keeps_what_it_has(shelf: Shelf, tmp_path: Path) -> None:
    batch = Batch()
    for _ in work(batch, given(tmp_path, 5), Wish("", "a2b"), shelf, make_step(shelf), "en"):
        batch.stopped = batch.done == 2
    assert batch.archive is not None
    assert list(unpacked(batch.archive)) == ["0.png", "1.png", "report.csv"]


def test_a_batch_that_nobody_waits_for_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    batch = Batch()
    going = work(batch, given(tmp_path, 5), Wish("", "a2b"), shelf, make_step(shelf), "en")
    while batch.done < 2:
        next(going)
    batches = tmp_path / "cache" / "batches"
    assert len(list(batches.glob("*/*.zip"))) == 1
    going.close()
    assert list(batches.iterdir()) == []


def test_batches_take_turns(shelf: Shelf, tmp_path: Path) -> None:
    """While one waits between two photos, the other is not kept from its own."""
    step = make_step(shelf)
    batches = Batch(), Batch()
    files = given(tmp_path, 3)
    both = [work(batch, files, Wish("", "a2b"), shelf, step, "en") for batch in batches]
    for _ in range(4):
        for going in both:
            next(going)
    assert [batch.done for batch in batches] == [3, 3]


def test_a_full_result_says_so_and_old_ones_make_way(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_work, "MAX_RESULT", 100)
    batch = Batch()
    list(work(batch, given(tmp_path, 2), Wish("", "a2b"), shelf, make_step(shelf), "en"))
    assert [row.note for row in batch.rows] == [
        "",
        "The zip of results is full; send fewer photos at a time.",
    ]
    assert batch.archive is not None
    name = batch.archive.parent.name
    assert re.fullmatch(r"[0-9a-f]{32}", name)
    new_folder().joinpath("x.zip").write_bytes(b"x")
    assert batch.archive.exists()
    # A day later, or when there is no room.
    long_ago = time.time() - batch_files.MAX_AGE - 60
    for path in (batch.archive, batch.archive.parent):
        os.utime(path, (long_ago, long_ago))
    kept = new_folder().parent
    assert not batch.archive.exists()
    monkeypatch.setattr(batch_files, "MAX_KEPT", 0)
    new_folder()
    assert list(kept.glob("*/*")) == []
