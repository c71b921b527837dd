"""Data sets on the Hub as training data, against the stand-in Hub."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import draw_photo
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as Pictures
from hub_client import log_in
from hub_server import HubServer
from huggingface_hub import constants
from PIL import Image

from cyclegan.cli import train
from cyclegan.config import DataConfig
from cyclegan.hub import HubError
from cyclegan.hub_data import fetched
from cyclegan.photos import DataError, folders, list_images, training_photos

NAME = "tester/disc2square"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        log_in(server, tmp_path, monkeypatch)
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
        yield server


def content(side: str, index: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    draw_photo(side, index).save(file, kind)
    return file.getvalue()


def picture_files(train: str = "train{}/", count: int = 2, ending: str = "png") -> dict:
    return {
        f"{train.format(side.upper())}{index}.{ending}": content(side, index)
        for side in "ab"
        for index in range(count)
    }


def add(server: HubServer, files: dict[str, bytes], name: str = NAME) -> str:
    return server.add_repo(f"datasets/{name}", files)


def table(path: Path, features: dict, rows: dict) -> bytes:
    Dataset.from_dict(rows, features=Features(features)).to_parquet(path)
    return path.read_bytes()


def hub(name: str = NAME, **settings) -> DataConfig:
    return DataConfig(data=Path(f"hf://{name}"), **settings)


def shown(config: DataConfig, split: str = "train", sides: str = "ab") -> dict[str, list[bytes]]:
    """The pixels of every picture that training or testing would read."""
    return {
        side: [Image.open(file).convert("RGB").tobytes() for file in list_images(paths)]
        for side, paths in folders(config, split, tuple(sides)).items()
    }


def drawn(side: str, *indices: int) -> list[bytes]:
    return [draw_photo(side, index).tobytes() for index in indices]


# --- folders of pictures


@pytest.mark.parametrize("layout", ["train{}/", "train/{}/", "{}/", "discs/train{}/"])
def test_pictures_of_a_data_set(server: HubServer, layout: str) -> None:
    card = b"---\nlicense: cc-by-4.0\n---\nDiscs and squares.\n"
    commit = add(server, {**picture_files(layout), "README.md": card, "model.bin": b"large"})
    config = fetched(hub())
    assert shown(config) == {side: drawn(side, 0, 1) for side in "ab"}
    assert (config.label_a, config.label_b, config.license) == ("disc", "square", "cc-by-4.0")
    link = f"[{NAME}]({server.url}/datasets/{NAME}/tree/{commit})"
    assert config.description == f"From {link}, commit {commit[:7]}."
    # Only pictures were downloaded.
    asked = [request.path for request in server.requests if "/resolve/" in request.path]
    assert asked and all(path.endswith(".png") for path in asked)


def test_what_is_given_is_kept(server: HubServer) -> None:
    add(server, {**picture_files(), "README.md": b"---\nlicense: mit\n---\n"})
    config = fetched(hub(label_b="box", license="other", description="Drawn."))
    assert (config.label_a, config.label_b, config.license) == ("disc", "box", "other")
    assert config.description.startswith("Drawn. From [tester/disc2square]")


def test_a_data_set_of_one_domain_and_one_of_whole_pairs(server: HubServer) -> None:
    add(server, {"deep/1.JPG": content("a", 1), "deep/2.jpg": content("a", 2)}, "tester/discs")
    config = fetched(hub("tester/discs"), ("a",))
    assert shown(config, sides="a") == {"a": drawn("a", 1, 2)} and config.label_a == "discs"
    paired = fetched(hub("tester/discs", layout="ab"))
    assert [len(files) for files in training_photos(paired, True, ("a", "b")).values()] == [2, 2]


def test_a_revision(server: HubServer) -> None:
    first = add(server, picture_files(count=1))
    add(server, picture_files(count=3))
    assert len(shown(fetched(hub()))["a"]) == 3
    assert len(shown(fetched(hub(f"{NAME}@{first}")))["a"]) == 1
    # As the Hub's own file system writes it.
    assert len(shown(fetched(hub(f"datasets/{NAME}@{first}")))["a"]) == 1


def test_a_folder_is_left_as_it_is(tmp_path: Path) -> None:
    for config in (DataConfig(), DataConfig(data=tmp_path), DataConfig(domain_a=(tmp_path,))):
        assert fetched(config) is config


@pytest.mark.parametrize("trouble", ["no connection", "out of order"])
def test_without_the_hub_the_cache_serves(
    server: HubServer, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    add(server, picture_files())
    before = fetched(hub())
    if trouble == "no connection":
        server.stop()
    else:
        server.fail_with = 503
    with caplog.at_level(logging.WARNING):
        after = fetched(hub())
    assert after.data == before.data and after.description == before.description
    assert "does not answer; the cached commit" in caplog.text
    with pytest.raises(HubError, match="tester/other"):
        fetched(hub("tester/other"))


# --- Parquet


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, bytes]:
    """Three rows to train on, of which the middle one is torn, and one to test on."""
    features = {"imageA": Pictures(), "number": Value("int32"), "imageB": Pictures()}

    def rows(*indices: int) -> dict:
        return {
            "imageA": [{"bytes": content("a", index, "JPEG"), "path": None} for index in indices],
            "number": list(indices),
            "imageB": [{"bytes": content("b", index), "path": "x"} for index in indices],
        }

    torn = rows(0, 1, 2)
    torn["imageB"][1]["bytes"] = b"torn"
    return {
        "data/train-00000-of-00001.parquet": table(tmp_path / "train", features, torn),
        "data/validation-00000-of-00001.parquet": table(tmp_path / "test", features, rows(7)),
    }


def test_parquet_of_two_columns(
    server: HubServer, pairs: dict, caplog: pytest.LogCaptureFixture
) -> None:
    commit = add(server, {**pairs, "picture of the card.png": content("a", 0)})
    with caplog.at_level(logging.WARNING):
        config = fetched(hub())
    assert "Skipped row 1 of train" in caplog.text and commit[:7] in config.description
    assert shown(config)["b"] == drawn("b", 0, 2)
    assert shown(config, "test")["b"] == drawn("b", 7)
    # Rows stay together, under one name, and bytes as they are.
    files = training_photos(config, True, ("a", "b"))
    assert [[file.name for file in side] for side in files.values()] == [
        ["000000.jpg", "000002.jpg"],
        ["000000.png", "000002.png"],
    ]
    assert files["a"][1].read_bytes() == content("a", 2, "JPEG")


def test_parquet_is_unpacked_once(server: HubServer, pairs: dict, monkeypatch) -> None:
    add(server, pairs)
    before = fetched(hub())
    assert before.data is not None
    stamps = {file: file.stat().st_mtime_ns for file in before.data.rglob("*")}
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert fetched(hub()) == before
    assert {file: file.stat().st_mtime_ns for file in before.data.rglob("*")} == stamps
    server.stop()
    assert fetched(hub()).data == before.data


def test_parquet_of_one_column(server: HubServer, tmp_path: Path) -> None:
    features = {"image": Pictures(), "label": ClassLabel(names=["disc", "square"])}
    rows = {
        "image": [{"bytes": content(side, 3), "path": None} for side in "aba"],
        "label": [0, 1, 0],
    }
    add(server, {"train.parquet": table(tmp_path / "t", features, rows)})
    assert shown(fetched(hub())) == {"a": drawn("a", 3, 3), "b": drawn("b", 3)}
    single = fetched(hub(), ("a",))
    assert shown(single, sides="a") == {"a": drawn("a", 3) + drawn("b", 3) + drawn("a", 3)}
    del features["label"], rows["label"]
    add(server, {"train.parquet": table(tmp_path / "t", features, rows)})
    refused(hub(), "columns of pictures: image", "two")
    assert len(shown(fetched(hub(), ("a",)), sides="a")["a"]) == 3


# --- what is refused


def refused(config: DataConfig, *words: str, kind: type = DataError) -> None:
    with pytest.raises(kind) as refusal:
        fetched(config)
    text = str(refusal.value)
    assert "\n" not in text and text.endswith(".")
    assert [word for word in words if word not in text] == []


def test_what_is_wrong_is_said_in_one_sentence(
    server: HubServer, pairs: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(server, {"notes.txt": b"none"}, "tester/empty")
    add(server, {"train.parquet": b"torn"}, "tester/torn")
    add(server, {"test.parquet": pairs["data/train-00000-of-00001.parquet"]}, "tester/test")
    refused(hub("nobody"), "'nobody'", "USER/NAME", kind=HubError)
    refused(hub("tester/gone"), "hf://tester/gone", "check the name", kind=HubError)
    refused(hub(f"{NAME}@gone"), NAME, kind=HubError)
    refused(hub("tester/empty"), "hf://tester/empty", "neither pictures nor Parquet", kind=HubError)
    refused(hub("tester/torn"), "hf://tester/torn", "cannot be read")
    refused(hub("tester/test"), "no split train", "test")
    monkeypatch.setitem(sys.modules, "datasets", None)
    add(server, pairs)
    refused(hub(), f"hf://{NAME}", "pip install datasets")
    left = [file for file in (tmp_path / "assets").rglob("*") if file.is_file()]
    assert {file.name for file in left} <= {"lock"}


def test_training_on_a_data_set(
    server: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**picture_files(), "README.md": b"---\nlicense: mit\n---\n"}
    commit = add(server, files)
    tiny = "--width 2 --blocks 1 --discriminator-width 2 --discriminator-downsamplings 2 --steps 1"
    common = ["--image-size", "16", "--device", "cpu", *tiny.split()]

    def run(name: str, out: str) -> int:
        return train(["cyclegan", "--data", f"hf://{name}", "--out", str(tmp_path / out), *common])

    assert run(NAME, "run") == 0
    written = json.loads((tmp_path / "run" / "run.json").read_text())
    assert commit in written["config"]["data"]["description"]
    assert written["labels"] == {"a": "disc", "b": "square"}
    card = (tmp_path / "run" / "weights" / "README.md").read_text()
    assert f"[{NAME}]" in card and commit[:7] in card and "license: mit" in card
    # The same command goes on, also without the Hub.
    server.stop()
    assert run(NAME, "run") == 0
    capsys.readouterr()
    assert run("tester/gone", "other") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train.py: Cannot fetch hf://tester/gone: no connection")
    assert not (tmp_path / "other").exists()
