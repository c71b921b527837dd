"""Which domain a photo is from: by hand-made generators, hand-made looks, and folders of photos."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import draw_photo
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from trainings import trainer

from cyclegan.commands import main
from cyclegan.config import to_json
from cyclegan.domains import FEWEST, NUMBERS, Guess, Looks, calibrate, guess, look
from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.networks import Generator
from cyclegan.translator import Translator
from cyclegan.weights import Weights, WeightsConfig, WeightsError, read_config, replace_config

ROOT = Path(__file__).parent.parent
EYE = tuple(tuple(float(row == column) for column in range(NUMBERS)) for row in range(NUMBERS))
NULL = (0.0,) * NUMBERS
ODD_PICTURES = {
    "one pixel": Image.new("RGB", (1, 1), (200, 30, 30)),
    "a line": Image.new("RGB", (5000, 1), (30, 30, 200)),
    "greyscale": Image.new("L", (40, 30), 90),
    "16 bits": Image.fromarray(np.full((20, 30), 40_000, np.uint16)),
    "transparent": Image.new("RGBA", (40, 30), (10, 200, 10, 0)),
    "palette": Image.new("RGB", (40, 30), (0, 255, 0)).quantize(2),
    "huge": Image.new("RGB", (6000, 4000), (255, 255, 0)),
    "noise": Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    ),
}


class Add(Generator):
    """Makes a picture brighter by a constant."""

    def __init__(self, levels: float, multiple: int = 4):
        super().__init__()
        self.constant = levels / 127.5
        self.multiple = self.minimum = multiple

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % self.multiple == x.shape[-2] % self.multiple == 0
        return x + self.constant


def translator(ab: float, ba: float, looks: Looks | None = None, **settings: Any) -> Translator:
    """Networks that make pictures brighter by `ab` and `ba` levels."""
    multiple = settings.pop("multiple", 4)
    config = WeightsConfig(1, "cyclegan", "dark", "bright", 32, settings, looks=looks)
    networks: dict[str, nn.Module] = {
        "generator_ab": Add(ab, multiple),
        "generator_ba": Add(ba, multiple),
    }
    weights = Weights(config, CycleGANConfig(**settings), networks)
    return Translator(weights, Translator.load(WEIGHTS).info, "cpu")


WEIGHTS = ROOT / "weights" / "apples-oranges"


def of(model: Translator, image: Image.Image) -> Guess:
    found = model.domain(image)
    assert found is not None
    return found


# ---------------------------------------------------------------------- without calibration


@pytest.mark.parametrize(
    ("ab", "ba", "expected"),
    [
        (30, 10, Guess("a", "a2b", 0.75)),
        (-30, 10, Guess("a", "a2b", 0.75)),
        (10, 40, Guess("b", "b2a", 0.8)),
        (0, 20, Guess("b", "b2a", 1.0)),
        (0, 0, Guess("a", "a2b", 0.5)),
    ],
)
@pytest.mark.parametrize("multiple", [4, 256])
def test_a_photo_is_of_the_domain_that_changes_it_least(
    ab: float, ba: float, expected: Guess, multiple: int
) -> None:
    found = of(translator(ab, ba, multiple=multiple), Image.new("RGB", (90, 70), (99, 88, 77)))
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-4)
    assert replace(found, confidence=expected.confidence) == expected


def test_networks_that_paint_know_their_own_colour(constant_weights: Path) -> None:
    # They paint black, which is domain A, and white, which is B.
    model = Translator.load(constant_weights, device="cpu")
    for colour, domain, direction in ((0, "a", "a2b"), (255, "b", "b2a")):
        found = of(model, Image.new("L", (30, 20), colour))
        assert (found.domain, found.direction) == (domain, direction)
        assert found.confidence > 0.99


@pytest.mark.parametrize("name", ODD_PICTURES)
def test_without_calibration_nothing_is_neither(name: str, constant_weights: Path) -> None:
    found = of(Translator.load(constant_weights, device="cpu"), ODD_PICTURES[name])
    assert not found.neither
    assert 0.5 <= found.confidence <= 1


def test_there_is_no_guess_where_there_is_nothing_to_tell_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = Image.new("RGB", (40, 30))
    assert translator(1, 2, channels_a=1, channels_b=1).domain(photo) is not None
    assert translator(1, 2, channels_a=1, lambda_identity=0.0).domain(photo) is None
    monkeypatch.setattr(CycleGAN, "translators", {"a2b": "generator_ab"})
    assert translator(1, 2).domain(photo) is None


# ---------------------------------------------------------------------- the numbers of a photo


def test_the_numbers_of_plain_pictures() -> None:
    flat = math.log(0.01)
    for colour, means in (
        ((255, 255, 255), [1, 0, 0]),
        ((255, 0, 0), [-1 / 3, 2, 0]),
        ((0, 0, 255), [-1 / 3, 0, -2]),
    ):
        expected = [*means, flat, flat, flat, 0, 0, 0, flat, flat]
        assert look(Image.new("RGB", (70, 50), colour)) == pytest.approx(expected, abs=1e-9)


def test_the_numbers_of_red_and_blue_stripes() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2, 0] = pixels[:, 1::2, 2] = 255
    # Red minus green is 2 and 0, green minus blue is 0 and -2: they go up and down together,
    # while the brightness, a third of red and blue alike, stays.
    flat, one = math.log(0.01), math.log(1.01)
    together = 1 / 1.01**2
    expected = [-1 / 3, 1, -1, flat, one, one, 0, 0, together, flat, flat]
    assert look(Image.fromarray(pixels)) == pytest.approx(expected, abs=0.001)


def test_the_numbers_stay_when_a_photo_is_enlarged() -> None:
    photo = draw_photo("a", 1, (96, 80))
    large = photo.resize((2400, 2000), Image.Resampling.BICUBIC)
    assert np.abs(look(large) - look(photo)).max() < 0.1
    assert np.abs(look(draw_photo("b", 1, (96, 80))) - look(photo)).max() > 0.5


# ---------------------------------------------------------------------- with calibration


def around(image: Image.Image, limit: float, apart: float = 3.0) -> Looks:
    """Looks with an image in the middle of domain A, B being some spreads away from it."""
    mean = look(image).tolist()
    return Looks(tuple(mean), (mean[0] + apart, *mean[1:]), (1.0,) * NUMBERS, EYE, limit)


def test_the_confidence_is_that_of_three_clouds() -> None:
    photo = Image.new("RGB", (30, 40), (120, 60, 40))
    found = of(translator(1, 0, around(photo, limit=20)), photo)
    # Student's density with 5 degrees of freedom in 11 dimensions: (1 + distance / 5) ** -8.
    other, neither = (1 + 9 / 5) ** -8, (1 + 20 / 5) ** -8
    expected = Guess("a", "a2b", 1 / (1 + other + neither))
    assert found.confidence == pytest.approx(expected.confidence)
    assert replace(found, confidence=expected.confidence) == expected


def test_a_photo_beyond_the_limit_is_neither_and_never_sure() -> None:
    photo = Image.new("RGB", (30, 40), (120, 60, 40))
    mean = np.array(look(photo))
    for away, neither in ((1.9, False), (2.1, True), (50, True)):
        shifted = mean - np.eye(NUMBERS)[1] * away
        looks = replace(around(photo, limit=4), mean_a=tuple(shifted.tolist()))
        looks = replace(looks, mean_b=tuple((shifted - 100).tolist()))
        found = of(translator(1, 0, looks), photo)
        assert (found.domain, found.neither) == ("a", neither)
        assert (found.confidence < 0.5) == neither


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Thirty photos of red discs, and as many of blue squares."""
    folder = tmp_path_factory.mktemp("drawn")
    files: dict[str, list[Path]] = {"a": [], "b": []}
    for side, found in files.items():
        (folder / side).mkdir()
        for index in range(30):
            found.append(folder / side / f"{index:02d}.png")
            draw_photo(side, index).save(found[-1])
    return files


def taught(photos: Mapping[str, Sequence[Path]]) -> Translator:
    looks = calibrate(photos)
    assert looks is not None
    # The networks would say otherwise: they are not asked any more.
    return translator(0, 100, looks)


def test_photos_held_back_are_told_apart(drawn: dict[str, list[Path]]) -> None:
    model = taught(drawn)
    found = {side: [of(model, draw_photo(side, 500 + i)) for i in range(40)] for side in "ab"}
    for side, guesses in found.items():
        assert sum(each.domain == side for each in guesses) >= 38
        assert sum(each.neither for each in guesses) <= 4


@pytest.mark.parametrize("name", ODD_PICTURES)
def test_odd_pictures_are_neither(name: str, drawn: dict[str, list[Path]]) -> None:
    found = of(taught(drawn), ODD_PICTURES[name])
    assert found.neither
    assert found.confidence < 0.5


def test_calibration_is_repeatable_and_passes_over_damaged_photos(
    drawn: dict[str, list[Path]], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    once = calibrate(drawn)
    assert once is not None
    assert once == calibrate({"a": [*drawn["a"], damaged], "b": drawn["b"]})
    assert once != calibrate({"a": drawn["b"], "b": drawn["a"]})


def test_calibration_needs_some_photos(drawn: dict[str, list[Path]], tmp_path: Path) -> None:
    few = drawn["a"][:FEWEST]
    assert calibrate({"a": few, "b": drawn["b"]}) is not None
    assert calibrate({"a": few[1:], "b": drawn["b"]}) is None
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    assert calibrate({"a": [*few[1:], damaged], "b": drawn["b"]}) is None


def test_photos_of_one_plain_colour_can_be_calibrated(tmp_path: Path) -> None:
    files: dict[str, list[Path]] = {"a": [], "b": []}
    for side, colour in (("a", (200, 0, 0)), ("b", (0, 0, 200))):
        for index in range(FEWEST):
            files[side].append(tmp_path / f"{side}{index}.png")
            Image.new("RGB", (20, 20), colour).save(files[side][-1])
    model = taught(files)
    found = of(model, Image.new("RGB", (90, 30), (0, 0, 200)))
    assert (found.domain, found.neither) == ("b", False)
    assert of(model, Image.new("RGB", (90, 30), (0, 200, 0))).neither


# ---------------------------------------------------------------------- on disk


def test_looks_come_back_from_a_weights_folder(
    constant_weights: Path, tmp_path: Path, drawn: dict[str, list[Path]]
) -> None:
    model = Translator.load(constant_weights, device="cpu")
    model.save(tmp_path)
    before = load_file(tmp_path / "model.safetensors")
    looks = calibrate(drawn)
    config = replace(read_config(tmp_path), looks=looks)
    replace_config(tmp_path, config)
    assert read_config(tmp_path) == config
    after = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(after[key], value) for key, value in before.items())
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"]) == to_json(config)
    photo = draw_photo("b", 77)
    assert of(Translator.load(tmp_path, device="cpu"), photo) == guess(
        replace(model.weights, config=config), photo
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"mean_a": [0.0] * (NUMBERS - 1)}, "entries"),
        ({"correlation": []}, "entries"),
        ({"correlation": [[1.0]] * NUMBERS}, "entries"),
        ({"correlation": [[1.0] * NUMBERS] * NUMBERS}, "positive definite"),
        ({"correlation": [[1.0, 0.5, *NULL[2:]], *EYE[1:]]}, "symmetric"),
        ({"spread": [0.0] * NUMBERS}, "above 0"),
        ({"limit": -1.0}, "above 0"),
        ({"limit": float("inf")}, "finite"),
        ({"mean_b": [float("nan")] * NUMBERS}, "finite"),
        ({"limit": "far"}, "number"),
        ({"colour": 1}, "not a known key"),
    ],
)
def test_looks_are_read_strictly(
    change: dict[str, Any], word: str, constant_weights: Path, tmp_path: Path
) -> None:
    config = json.loads((constant_weights / "config.json").read_text())
    looks = Looks(NULL, NULL, (1.0,) * NUMBERS, EYE, 9.0)
    config["looks"] = {**to_json(looks), **change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=word):
        read_config(tmp_path)


def test_training_learns_how_its_photos_look(drawn: dict[str, list[Path]], tmp_path: Path) -> None:
    data = tmp_path / "disc2square"
    for side, files in drawn.items():
        (data / f"train{side.upper()}").mkdir(parents=True)
        for file in files:
            (data / f"train{side.upper()}" / file.name).write_bytes(file.read_bytes())
    for name in ("one", "two"):
        trainer(data, tmp_path / name, "--steps", "1").run()
    assert read_config(tmp_path / "one" / "weights").looks == calibrate(drawn)
    one, two = (
        [
            (tmp_path / name / "weights" / file).read_bytes()
            for file in ("config.json", "model.safetensors")
        ]
        for name in ("one", "two")
    )
    assert one == two


def test_weights_are_calibrated_and_used_by_commands(
    constant_weights: Path,
    tmp_path: Path,
    drawn: dict[str, list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = str(tmp_path / "weights")
    Translator.load(constant_weights, device="cpu").save(weights)
    folders = [str(drawn[side][0].parent) for side in "ab"]
    (tmp_path / "empty").mkdir()
    few = ["calibrate", weights, "--domain-a", folders[0], "--domain-b", str(tmp_path / "empty")]
    assert main(few) == 2
    assert f"needs {FEWEST} photos" in capsys.readouterr().err
    assert read_config(Path(weights)).looks is None

    assert main(["calibrate", weights, "--domain-a", folders[0], "--domain-b", folders[1]]) == 0
    photos = []
    for name, photo in (
        ("discs.png", draw_photo("a", 900)),
        ("squares.png", draw_photo("b", 900)),
        ("green.png", Image.new("RGB", (48, 40), (0, 255, 0))),
    ):
        photo.save(tmp_path / name)
        photos.append(str(tmp_path / name))
    out = tmp_path / "out"
    command = ["translate", *photos, "--weights", weights, "--output", str(out)]
    assert main([*command, "--direction", "auto", "--device", "cpu"]) == 0
    # From A (black) everything becomes white, and from B black.
    for name, colour in (("discs.png", 255), ("squares.png", 0)):
        with Image.open(out / name) as made:
            assert made.convert("L").getextrema() == (colour, colour)
    lines = capsys.readouterr().err
    assert f"{photos[0]} is taken for black." in lines
    assert f"{photos[1]} is taken for white." in lines
    assert f"{photos[2]} is taken for" in lines
    assert "though it looks like neither black nor white." in lines


# ---------------------------------------------------------------------- what ships


@pytest.mark.parametrize("path", sorted((ROOT / "cyclegan/ui/examples").glob("*.jpg")), ids=str)
def test_the_examples_are_told_apart(path: Path) -> None:
    found = of(Translator.load(WEIGHTS, device="cpu"), Image.open(path))
    assert (found.domain == "a") == path.name.startswith("apple")
    assert not found.neither


@pytest.mark.parametrize("name", ODD_PICTURES)
def test_odd_pictures_are_neither_apple_nor_orange(name: str) -> None:
    assert of(Translator.load(WEIGHTS, device="cpu"), ODD_PICTURES[name]).neither
