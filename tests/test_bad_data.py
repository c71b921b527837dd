"""Data that no training can use: one sentence, exit code 2, and no run folder."""

from pathlib import Path

import pytest
from conftest import PhotoFolder, draw_photo
from PIL import Image

from cyclegan.cli import train


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Train a family on data, which has to be refused in these words with nothing written."""

    def check(family: str, data: Path, *words: str, flags: str = "") -> None:
        before = sorted(tmp_path.rglob("*"))
        flags = f"--image-size 32 --device cpu --steps 1 {flags}"
        out = tmp_path / "run"
        code = train([family, "--data", str(data), "--out", str(out), *flags.split()])
        said = capsys.readouterr().err.splitlines()[-1]
        assert code == 2 and said.startswith("train.py: ") and said.endswith(".")
        assert [word for word in words if word not in said] == []
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.mark.parametrize("family", ["pix2pix", "bicyclegan"])
def test_unequal_pairs(refused, photo_folder: PhotoFolder, family: str) -> None:
    root = photo_folder()
    (root / "trainB" / "2.png").rename(root / "trainB" / "two.png")
    refused(family, root, "trainA/2.png", "no partner", "domain B", "1 such pictures of A")
    (root / "trainA" / "2.png").unlink()
    refused(family, root, "trainB/two.png", "no partner", "domain A")


def test_a_name_that_two_pictures_have(refused, photo_folder: PhotoFolder) -> None:
    root = photo_folder()
    draw_photo("a", 0).save(root / "trainA" / "0.jpg")
    refused("pix2pix", root, "0.jpg", "0.png", "the same name")


def test_pairs_of_other_proportions(refused, photo_folder: PhotoFolder) -> None:
    root = photo_folder()
    draw_photo("b", 3, (60, 40)).save(root / "trainB" / "3.png")
    refused("pix2pix", root, "trainA/3.png", "48×40", "60×40", "the same proportions")


@pytest.mark.parametrize("family", ["cyclegan", "cut", "pix2pix", "bicyclegan"])
def test_one_side_missing(refused, photo_folder: PhotoFolder, family: str) -> None:
    root = photo_folder()
    for file in (root / "trainB").iterdir():
        file.unlink()
    expected = "no partner" if family in ("pix2pix", "bicyclegan") else "no readable pictures"
    refused(family, root, expected)
    (root / "trainB").rmdir()
    refused(family, root, "trainB", "domain B does not exist")


def test_no_data_for_one_domain(refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused("dcgan", tmp_path / "empty", "no readable pictures", str(tmp_path / "empty"))
    refused("dcgan", tmp_path / "gone", "does not exist", str(tmp_path / "gone"))


@pytest.mark.parametrize("folder", [".", "train"])
def test_side_by_side_pictures_of_odd_width(refused, tmp_path: Path, folder: str) -> None:
    place = tmp_path / "set" / folder
    place.mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (81, 40)).save(place / f"{index}.png")
    refused("pix2pix", tmp_path / "set", "no readable pictures", flags="--layout ab")


def test_a_single_odd_picture_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index, width in enumerate((96, 81, 96)):
        draw_photo("a", index, (width, 48)).save(tmp_path / f"{index}.png")
    tiny = "--width 2 --discriminator-width 2 --discriminator-downsamplings 2 --layout ba"
    flags = f"--image-size 32 --device cpu --steps 1 {tiny} --out {tmp_path / 'run'}"
    assert train(["pix2pix", "--data", str(tmp_path), *flags.split()]) == 0
    assert "1.png is 81 pixels wide, an odd number" in caplog.text


def test_a_turned_photo_is_as_high_as_it_looks(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    """What a phone stores lying, a drawing of it shows upright."""
    root = photo_folder(count=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_photo("b", 0, (40, 48)).save(root / "trainB" / "0.png", exif=exif)
    tiny = "--width 2 --discriminator-width 2 --discriminator-downsamplings 2"
    flags = f"--image-size 32 --device cpu --steps 1 {tiny} --out {tmp_path / 'run'}"
    assert train(["pix2pix", "--data", str(root), *flags.split()]) == 0
