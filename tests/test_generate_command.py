"""`python -m cyclegan generate`: pictures whose seed is their name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_photo
from PIL import Image

from cyclegan.commands import main
from cyclegan.config import to_json
from cyclegan.generator import Generator
from cyclegan.models.bicyclegan import BicycleGAN, BicycleGANConfig
from cyclegan.models.dcgan import DCGAN, DCGANConfig
from cyclegan.weights import WeightsConfig, save_weights

SETTINGS = {
    "dcgan": DCGANConfig(width=4, discriminator_width=4, latent=3),
    "bicyclegan": BicycleGANConfig(width=4, encoder_width=4, discriminator_width=4, latent=3),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained networks of each family that takes a z."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    for family in (DCGAN, BicycleGAN):
        settings = SETTINGS[family.family]
        model = family(settings, image_size=64)
        shipped = {name: model.networks[name] for name in family.ships}
        config = WeightsConfig(1, family.family, "line art", "emoji", 64, to_json(settings))
        save_weights(folder / family.family, config, shipped)
    return {path.name: path for path in folder.iterdir()}


def generate(weights: Path, output: Path, *flags: object) -> int:
    return main(["generate", str(weights), "--output", str(output), *map(str, flags)])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_pictures_are_called_by_the_seed_that_makes_them(weights, tmp_path, capsys):
    assert generate(weights["dcgan"], tmp_path / "made", "--count", 3, "--seed", 41) == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "41.png",
        "42.png",
        "43.png",
    ]
    assert capsys.readouterr().out == f"Made 3 pictures in {tmp_path / 'made'}\n"
    generator = Generator.load(weights["dcgan"], "cpu")
    (alone,) = generator.generate(generator.draw(1, 43))
    assert np.array_equal(pixels(tmp_path / "made" / "43.png"), np.asarray(alone))
    assert (pixels(tmp_path / "made" / "41.png") != pixels(tmp_path / "made" / "42.png")).any()


def test_one_photo_has_many_answers_and_one_like_the_reference(weights, tmp_path):
    photo = tmp_path / "photo.png"
    draw_photo("a", 0, (90, 64)).save(photo)
    draw_photo("b", 0).save(tmp_path / "style.png")
    flags = ("--photo", photo, "--reference", tmp_path / "style.png", "--count", 2)
    assert generate(weights["bicyclegan"], tmp_path / "made", *flags) == 0
    made = {path.name: pixels(path) for path in (tmp_path / "made").iterdir()}
    assert set(made) == {"0.png", "1.png", "reference.png"}
    generator = Generator.load(weights["bicyclegan"], "cpu")
    style = generator.encode(tmp_path / "style.png")
    assert np.array_equal(made["reference.png"], np.asarray(generator.translate(photo, style)))
    assert (made["0.png"] != made["1.png"]).any()


@pytest.mark.parametrize(
    ("family", "flags", "words"),
    [
        ("dcgan", ("--count", 0), "--count is 0; it must be at least 1"),
        ("dcgan", ("--seed", -1), "The seed is -1"),
        ("dcgan", ("--seed", 2**32 - 1), f"The seed is {2**32 + 14}"),
        ("dcgan", ("--photo", "photo.png"), "makes pictures from noise alone"),
        ("dcgan", ("--reference", "photo.png"), "give --photo too"),
        ("bicyclegan", (), "starts from a photo; give --photo"),
        ("bicyclegan", ("--photo", "missing.png"), "missing.png"),
        ("bicyclegan", ("--photo", "made/0.png"), "0.png would be replaced"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(
    weights, tmp_path, monkeypatch, capsys, family, flags, words
):
    monkeypatch.chdir(tmp_path)
    draw_photo("a", 0).save("photo.png")
    assert generate(weights[family], Path("made"), *flags) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[-1]
    assert not list(tmp_path.glob("made/*"))


def test_a_seed_that_is_no_number_is_refused(weights, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        generate(weights["dcgan"], tmp_path / "made", "--seed", "seven")
    assert ended.value.code == 2
    assert "seven" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_translator_is_no_generator(constant_weights, tmp_path, capsys):
    assert generate(constant_weights, tmp_path / "made") == 2
    assert "makes no pictures from noise" in capsys.readouterr().err
