"""Where the page finds runs: folders on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from run_folders import advance, begin, shown_step

from cyclegan.errors import UserError
from cyclegan.hub_runs import HubRuns
from cyclegan.run_source import LocalRuns, RunSource, open_runs
from cyclegan.runs import RunWriter, read_run


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    writer = begin(tmp_path / "runs" / "apples")
    yield writer
    writer.close()


def test_folders_win_over_hub_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_runs("runs"), LocalRuns)
    assert open_runs("runs").names() == []
    assert isinstance(open_runs("you/zebras"), HubRuns)
    Path("you/zebras").mkdir(parents=True)
    sources: list[RunSource] = [open_runs("you/zebras"), open_runs(tmp_path / "a b/c/d")]
    assert [(source.local, source.names(), source.problem) for source in sources] == [
        (True, [], ""),
        (True, [], ""),
    ]


def test_a_local_run(writer: RunWriter) -> None:
    folder = writer.folder
    advance(writer, 500)
    for where in (folder, folder.parent):
        runs = open_runs(where)
        assert runs.names() == ["apples"]
        assert runs.read("apples") == read_run(folder)
        assert shown_step(runs.tile("apples", 500, "fake_b", 1)) == pytest.approx(500, abs=10)
        assert shown_step(runs.tile("apples", 500, "real_a", 0)) == pytest.approx(0, abs=10)
        assert runs.tile("apples", 500, "fake_b", 2) is None
        assert runs.tile("apples", 250, "fake_b", 0) is None
        assert runs.checkpoints("apples") == []
        with pytest.raises(UserError):
            runs.weights("apples", 500)


def test_every_folder_has_a_name_of_its_own(tmp_path: Path) -> None:
    folders = ["plain", "a b", "a~20b", "50%", "Äpfel", "what?#", '"<&>"', "..dots"]
    for folder in folders:
        RunWriter(tmp_path / folder).describe({"name": folder})
    runs = LocalRuns(tmp_path)
    names = runs.names()
    assert len(set(names)) == len(folders) and not set("/\\?#%&\"'<> ") & set("".join(names))
    assert sorted(runs.read(name).description["name"] for name in names) == sorted(folders)
    shutil.rmtree(tmp_path / "plain")
    with pytest.raises(UserError, match=r"no run 'plain'"):
        runs.read("plain")
    RunWriter(tmp_path / "late").describe({})
    assert runs.read("late").description == {}


def test_nothing_outside_of_a_run_is_shown(writer: RunWriter, tmp_path: Path) -> None:
    secret = tmp_path / "secret.0.png"
    Image.new("RGB", (8, 8)).save(secret)
    runs = LocalRuns(writer.folder.parent)
    for name in ("../apples", "..", ".", "", "apples/", "/", str(writer.folder), "apples\0"):
        with pytest.raises(UserError):
            runs.tile(name, 0, "fake_b", 0)
        with pytest.raises(UserError):
            runs.read(name)
    for tile in (
        "real/../../../../secret",
        str(secret)[:-6],
        "../../probes/real_a",
        "real\0",
        "r" * 999,
    ):
        assert runs.tile("apples", 0, tile, 0) is None
    assert runs.tile("apples", 10**300, "fake_b", 0) is None
    (writer.folder / "probes" / "real_c.0.png").symlink_to(secret)
    assert runs.tile("apples", 0, "real_c", 0) is None
    # A run folder may itself be a link, and its samples may lie on another disk.
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "elsewhere").symlink_to(writer.folder)
    shutil.move(writer.folder / "samples", tmp_path / "disk")
    (writer.folder / "samples").symlink_to(tmp_path / "disk")
    assert LocalRuns(linked).tile("elsewhere", 0, "fake_b", 0)


def test_listing_reads_neither_metrics_nor_samples(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        (folder / "status.json").write_text("{}")
        # What cannot be read cannot have been read.
        (folder / "metrics.jsonl").symlink_to("metrics.jsonl")
        (folder / "samples").symlink_to("samples")
    runs = LocalRuns(tmp_path)
    assert sorted(runs.names()) == ["0", "1", "2"]
    assert runs.read("0").samples == []
