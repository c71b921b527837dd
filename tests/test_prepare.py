"""From data sets as they are published to folders that training reads."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cyclegan import prepare
from cyclegan.cli import train
from cyclegan.commands import main
from cyclegan.config import DataConfig
from cyclegan.edges import draw_edges, pair_with_edges
from cyclegan.files import FolderError
from cyclegan.photos import training_photos
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
    with pytest.raises(FolderError, match="not empty"):
        split_celeba(images, attributes, "Black_Hair", "Blond_Hair", out)
    assert [file.name for file in out.iterdir()] == ["thesis.txt"]


# --- drawings of photos


def landscape(size=(200, 160), sky=(120, 160, 220), noise=0.0, seed=0):
    """A disc before a sky, which is as light as it."""
    picture = Image.new("RGB", size, sky)
    box = (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
    ImageDraw.Draw(picture).ellipse(box, fill=(230, 130, 80))
    grain = np.random.default_rng(seed).normal(0, noise, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def ink(drawing):
    """Where lines are: bool [height, width]."""
    return np.asarray(drawing) < 128


def test_a_drawing_is_the_outline_and_nothing_else():
    drawing = draw_edges(landscape(noise=6))
    assert drawing.mode == "L" and drawing.size == (640, 512)
    assert np.asarray(drawing).max() == 255 and np.asarray(drawing).min() < 20
    rows, columns = np.nonzero(ink(drawing))
    # How far each dark pixel is from the ellipse, whose half axes are 160 and 128 pixels.
    radius = np.hypot((columns - 320) / 160, (rows - 256) / 128)
    assert np.abs(radius - 1).max() < 0.06
    # All the way round.
    angles = np.arctan2((rows - 256) / 128, (columns - 320) / 160)
    assert len(set((angles / (np.pi / 18)).round())) >= 36


def test_a_thicker_pen_and_less_contrast_draw_more():
    photo = landscape(noise=6)
    thin, thick = (ink(draw_edges(photo, pen=pen)).mean() for pen in (2, 8))
    assert thick > 2 * thin
    # Greyish on grey, beside black and white, which set the scale.
    faint = Image.new("RGB", (200, 160), (120, 120, 120))
    draw = ImageDraw.Draw(faint)
    draw.rectangle((0, 0, 30, 160), fill="black")
    draw.rectangle((30, 0, 60, 160), fill="white")
    draw.ellipse((90, 40, 170, 120), fill=(165, 165, 165))
    right = np.s_[:, 256:]
    assert not ink(draw_edges(faint, contrast=0.5))[right].any()
    assert ink(draw_edges(faint, contrast=0.1))[right].any()


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    (folder / "sea").mkdir(parents=True)
    for index in range(8):
        landscape(seed=index, noise=4).save(folder / f"{index}.jpg")
    landscape((100, 200)).save(folder / "sea" / "0.png")
    landscape().save(folder / "0.webp")
    turned = Image.Exif()
    turned[0x0112] = 6
    landscape((160, 100)).save(folder / "lying.jpg", exif=turned)
    (folder / "torn.jpg").write_bytes(b"torn")
    return folder


def test_drawings_and_photos_are_pairs(album, tmp_path, caplog):
    before = {file: file.read_bytes() for file in album.rglob("*") if file.is_file()}
    counts = pair_with_edges(album, tmp_path / "out", test=0.25)
    assert counts["trainA"] == counts["trainB"] and counts["testA"] == counts["testB"]
    assert sum(counts.values()) == 22 and 4 <= counts["testA"] + counts["testB"] <= 6
    assert "torn.jpg" in caplog.text
    # Two are called 0.
    names = {file.stem for file in (tmp_path / "out").glob("*B/*") if file.is_file()}
    assert {"0", "0-2", "lying"} <= names
    found = training_photos(DataConfig(data=tmp_path / "out"), True, ("a", "b"))
    assert len(found["a"]) == counts["trainA"]
    for file in (tmp_path / "out").glob("*B/**/*.*"):
        assert any(file.samefile(photo) for photo in before)
    assert {file: file.read_bytes() for file in before} == before


def test_the_drawing_of_a_turned_photo_stands_upright(album, tmp_path):
    pair_with_edges(album, tmp_path / "out", test=0)
    drawing = Image.open(tmp_path / "out" / "trainA" / "lying.png")
    assert drawing.size == (512, 819)


def test_training_reads_what_was_prepared(album, tmp_path, capsys):
    out = tmp_path / "edges2photos"
    assert main(["prepare", "edges", "--images", str(album), "--out", str(out)]) == 0
    assert "trainA: 10, trainB: 10, testA: 1, testB: 1" in capsys.readouterr().out
    flags = "--image-size 32 --width 2 --discriminator-width 2 --discriminator-downsamplings 2"
    run = ["--out", str(tmp_path / "run"), "--steps", "1", "--device", "cpu", *flags.split()]
    assert train(["pix2pix", "--data", str(out), *run]) == 0


def test_what_cannot_be_drawn(album, tmp_path, capsys, monkeypatch):
    def refused(*words, images=album, out=tmp_path / "out", flags=()):
        before = sorted(tmp_path.rglob("*"))
        code = main(["prepare", "edges", "--images", str(images), "--out", str(out), *flags])
        said = capsys.readouterr().err.splitlines()[-1]
        assert code == 2 and said.startswith("cyclegan: ") and said.endswith(".")
        assert [word for word in words if word not in said] == []
        assert sorted(tmp_path.rglob("*")) == before

    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "torn.png").write_bytes(b"torn")
    refused("nowhere", "does not exist", images=tmp_path / "nowhere")
    refused("no photos", images=tmp_path / "nothing")
    refused("not empty", out=album)
    refused("--test is 1.0", flags=["--test", "1"])
    refused("--contrast is 0.0", flags=["--contrast", "0"])
    refused("--pen is 0", flags=["--pen", "0"])
    monkeypatch.setitem(sys.modules, "cv2", None)
    refused("pip install opencv-python-headless")


# --- the command for CelebA


def celeba(images, attributes, tmp_path, **changes):
    given = {"a": "Black_Hair", "b": "Blond_Hair", "out": tmp_path / "out", **changes}
    flags = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return main(
        ["prepare", "celeba", "--images", str(images), "--attributes", str(attributes), *flags]
    )


def test_the_command_for_celeba(images, attributes, tmp_path, capsys):
    assert celeba(images, attributes, tmp_path, test=0.2) == 0
    said = capsys.readouterr().out
    assert "trainA: 8, testA: 2, trainB: 8, testB: 2" in said
    assert "left out: 2 with both, 3 with neither" in said
    assert (
        celeba(images, attributes, tmp_path, a="Eyeglasses", b="!Eyeglasses", out=tmp_path / "x")
        == 0
    )
    flags = "--image-size 16 --width 2 --blocks 1 --discriminator-width 2 --device cpu --steps 1"
    flags += " --discriminator-downsamplings 2"
    run = ["--out", str(tmp_path / "run"), *flags.split()]
    assert train(["cyclegan", "--data", str(tmp_path / "out"), *run]) == 0


def test_the_command_says_what_is_wrong(images, attributes, tmp_path, capsys):
    def refused(*words, **changes):
        assert celeba(images, changes.pop("attributes", attributes), tmp_path, **changes) == 2
        said = capsys.readouterr().err
        assert said.startswith("cyclegan: ") and said.count("\n") == 1
        assert [word for word in words if word not in said] == []
        assert not (tmp_path / "out").exists()

    refused("'Black_Hare'", "Black_Hair", a="Black_Hare")
    refused("--test is -0.5", test=-0.5)
    refused("gone.csv", attributes=tmp_path / "gone.csv")
    for name, content in (("empty.csv", ""), ("binary.txt", "\udcff"), ("title.csv", "image_id\n")):
        (tmp_path / name).write_text(content, errors="surrogateescape")
        refused(name, attributes=tmp_path / name)
    torn = attributes.read_text().splitlines()
    for line in (torn[4][:9], torn[4].replace("1", "7"), torn[4] + torn[4]):
        attributes.write_text("\n".join([*torn[:4], line, *torn[5:]]))
        refused("Line 5", "3 values")
