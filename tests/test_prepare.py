"""From data sets as they are published to folders that training reads."""

import os
from pathlib import Path

import pytest
from PIL import Image

from cyclegan import prepare
from cyclegan.prepare import PreparationError, split_celeba

NAMES = ["Black_Hair", "Blond_Hair", "Eyeglasses"]
# Ten dark ones, ten fair ones, two of both, three of neither; every fifth with glasses.
ROWS = {
    f"{number:06}.jpg": (
        1 if number <= 10 or 21 <= number <= 22 else -1,
        1 if 11 <= number <= 22 else -1,
        1 if number % 5 == 0 else -1,
    )
    for number in range(1, 26)
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for name in ROWS:
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


@pytest.fixture(params=["csv", "txt"])
def attributes(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"list_attr_celeba.{request.param}"
    if request.param == "csv":
        lines = [",".join(["image_id", *NAMES])]
        lines += [",".join([name, *map(str, row)]) for name, row in ROWS.items()]
    else:
        lines = [str(len(ROWS)), " ".join(NAMES) + " "]
        lines += [
            f"{name} " + " ".join(f"{value:2}" for value in row) for name, row in ROWS.items()
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def listed(folder: Path) -> dict[str, set[str]]:
    return {part.name: {file.name for file in part.iterdir()} for part in folder.iterdir()}


def test_celeba_is_split_by_two_attributes(images, attributes, tmp_path):
    found = split_celeba(images, attributes, "Black_Hair", "Blond_Hair", tmp_path / "out", 0.2)
    assert found.counts == {"trainA": 8, "testA": 2, "trainB": 8, "testB": 2}
    assert (found.both, found.neither, found.missing) == (2, 3, 0)
    parts = listed(tmp_path / "out")
    dark, fair = ({f"{n:06}.jpg" for n in numbers} for numbers in (range(1, 11), range(11, 21)))
    assert parts["trainA"] | parts["testA"] == dark and not parts["trainA"] & parts["testA"]
    assert parts["trainB"] | parts["testB"] == fair and not parts["trainB"] & parts["testB"]
    assert str(found).endswith("left out: 2 with both, 3 with neither.")


def test_an_attribute_and_its_absence_leave_nobody_out(images, attributes, tmp_path):
    out = tmp_path / "out"
    found = split_celeba(images, attributes, "Eyeglasses", "!Eyeglasses", out, test=0)
    assert (found.both, found.neither) == (0, 0)
    assert listed(out)["trainA"] == {f"{n:06}.jpg" for n in range(5, 26, 5)}
    assert found.counts["trainB"] == 20 and found.counts["testA"] == 0


def test_pictures_are_linked_and_stay_where_they_are(images, attributes, tmp_path):
    before = {file.name: file.read_bytes() for file in images.iterdir()}
    split_celeba(images, attributes, "Black_Hair", "Blond_Hair", tmp_path / "out")
    assert {file.name: file.read_bytes() for file in images.iterdir()} == before
    for file in (tmp_path / "out").rglob("*.jpg"):
        assert file.samefile(images / file.name)


def test_the_split_is_the_seed_s(images, attributes, tmp_path):
    def test_side(seed, name):
        out = tmp_path / name
        split_celeba(images, attributes, "Black_Hair", "Blond_Hair", out, 0.3, seed)
        return listed(out)["testA"]

    assert test_side(1, "x") == test_side(1, "y")
    assert len({frozenset(test_side(seed, f"s{seed}")) for seed in range(8)}) > 1


def test_without_links_pictures_are_copied(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"pixels")

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    prepare.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"pixels" and not (tmp_path / "b").is_symlink()
    assert not (tmp_path / "a").samefile(tmp_path / "b")


def test_missing_pictures_are_counted(images, attributes, tmp_path):
    (images / "000001.jpg").unlink()
    found = split_celeba(images, attributes, "Black_Hair", "Blond_Hair", tmp_path / "out")
    assert found.missing == 1
    assert "1 that the list names and the folder does not have" in str(found)


def refused(tmp_path: Path, *words: str, **changes) -> None:
    """Nothing may be left behind by a preparation that was refused."""
    asked = {"a": "Black_Hair", "b": "Blond_Hair", "out": tmp_path / "out", **changes}
    with pytest.raises(PreparationError) as refusal:
        split_celeba(**asked)
    text = str(refusal.value)
    assert "\n" not in text and text.endswith(".")
    assert [word for word in words if word not in text] == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".out", "out"))]


def test_what_is_wrong_is_said_in_one_sentence(images, attributes, tmp_path):
    given = {"images": images, "attributes": attributes}
    refused(tmp_path, "'Black_Hare'", "Black_Hair", **given, a="Black_Hare")
    refused(tmp_path, "nowhere", **{**given, "images": tmp_path / "nowhere"})
    refused(tmp_path, "missing.csv", **{**given, "attributes": tmp_path / "missing.csv"})
    refused(tmp_path, "--test is 1", **given, test=1.0)
    text = attributes.read_text().splitlines()
    text[5] = text[5][:-3]
    attributes.write_text("\n".join(text))
    refused(tmp_path, "Line 6 of", "3 values", **given)


def test_a_path_in_place_of_a_file_name_is_refused(images, attributes, tmp_path):
    attributes.write_text(attributes.read_text().replace("000003.jpg", "../000003.jpg"))
    refused(tmp_path, "'../000003.jpg'", images=images, attributes=attributes)


def test_a_folder_that_is_in_use_is_refused(images, attributes, tmp_path):
    out = tmp_path / "taken"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(PreparationError, match="not empty"):
        split_celeba(images, attributes, "Black_Hair", "Blond_Hair", out)
    assert [file.name for file in out.iterdir()] == ["thesis.txt"]
