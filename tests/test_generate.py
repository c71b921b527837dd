"""Pictures from z, by networks whose answers are known; and what is no z, no seed, no picture."""

import base64
import io
import math
from pathlib import Path

import noise
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.generator import Generator, GeneratorError, path, read_seed, read_z, slerp
from cyclegan.images import ImageError
from cyclegan.models.base import fixed_noise
from cyclegan.ui.generation import from_code, loop, to_code
from cyclegan.weights import WeightsError


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator.load(noise.colours(tmp_path_factory.mktemp("weights") / "colours"), "cpu")


@pytest.fixture(scope="module")
def tints(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator.load(noise.tints(tmp_path_factory.mktemp("weights") / "tints"), "cpu")


def assert_is(picture: Image.Image, z: Tensor, base: float = 0.0) -> None:
    """All of a picture has the colour that z stands for."""
    wanted = [noise.shade(base + value) for value in z.tolist()]
    assert picture.mode == "RGB"
    assert np.abs(np.asarray(picture) - np.array(wanted)).max() <= 1


def test_a_picture_is_what_its_z_says(colours: Generator) -> None:
    z = torch.tensor([[0.0, 1.0, -1.0], [2.0, -0.3, 0.1]])
    made = colours.generate(z)
    assert [picture.size for picture in made] == [(32, 32)] * 2
    for picture, row in zip(made, z, strict=True):
        assert_is(picture, row)


def test_a_seed_draws_the_same_z_whatever_is_drawn_beside_it(colours: Generator) -> None:
    z = colours.draw(5, seed=40)
    assert torch.equal(z, fixed_noise(5, 3, torch.empty(0), 40))
    assert torch.equal(z[3], colours.draw(1, seed=43)[0])
    assert not torch.equal(z[0], z[1])
    alone = [np.asarray(colours.generate(row[None])[0]) for row in z]
    together = [np.asarray(picture) for picture in colours.generate(z)]
    assert all(map(np.array_equal, alone, together))


def test_bicyclegan_answers_a_picture_as_z_says(tints: Generator) -> None:
    assert tints.takes_picture
    z = torch.tensor([0.2, -0.7, 1.0])
    made = tints.translate(Image.new("RGB", (300, 200), (191, 191, 191)), z)
    # The short side is that of training images.
    assert made.size == (24, 16)
    assert_is(made, z, 191 / 127.5 - 1)
    other = tints.translate(Image.new("RGB", (16, 16), (191, 191, 191)), -z)
    assert_is(other, -z, 191 / 127.5 - 1)


def test_the_style_of_a_reference_is_a_z(tints: Generator, tmp_path: Path) -> None:
    z = tints.encode(Image.new("RGB", (40, 30), "teal"))
    assert z.tolist() == pytest.approx(noise.STYLE)
    assert_is(tints.translate(Image.new("RGB", (16, 16), "black"), z), z, -1)
    without = Generator.load(noise.tints(tmp_path / "w", encoder=False), "cpu")
    assert not without.encodes
    with pytest.raises(GeneratorError, match="w has no encoder"):
        without.encode(Image.new("RGB", (40, 30), "teal"))


def test_directions_of_a_long_z_are_those_of_the_first_layer(tmp_path: Path) -> None:
    generator = Generator.load(noise.colours(tmp_path / "w", latent=40), "cpu")
    weight = generator.weights.networks["generator"].get_parameter("layers.0.weight")
    for place, channel, strength in ((7, 10, 5.0), (31, 11, 3.0), (12, 12, -2.0)):
        weight.data[place, channel] = strength
    found = generator.directions(5)
    assert found.shape == (5, 40)
    assert found[:3].argmax(1).tolist() == [7, 31, 12]
    assert torch.allclose(found @ found.T, torch.eye(5), atol=1e-6)


def test_a_short_z_is_told_number_by_number(colours: Generator) -> None:
    assert torch.equal(colours.directions(), torch.eye(3))


def test_slerp_walks_on_the_arc() -> None:
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    third = slerp(start, end, 1 / 3)
    assert third.tolist() == pytest.approx([2 * math.cos(math.pi / 6), 1.0])
    assert torch.allclose(slerp(start, end, 0.0), start)
    assert torch.allclose(slerp(start, end, 1.0), end, atol=1e-6)
    # Without an arc the way is straight.
    assert torch.allclose(slerp(start, -start, 0.25), start / 2)
    assert torch.allclose(slerp(torch.zeros(2), end, 0.5), end / 2)


def test_a_path_is_slow_at_both_ends() -> None:
    start, end = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    way = path(start, end, 9)
    assert torch.allclose(way[[0, -1]], torch.stack([start, end]), atol=1e-6)
    steps = way.diff(dim=0).norm(dim=1)
    assert steps[0] < steps[3] > steps[-1]
    assert torch.allclose(way.norm(dim=1), torch.ones(9), atol=1e-6)


def test_a_code_brings_z_back_to_the_last_bit(colours: Generator) -> None:
    z = colours.draw(1, seed=9)[0] / 3
    assert torch.equal(from_code(to_code(z), colours), z)
    assert torch.equal(from_code("9", colours), colours.draw(1, seed=9)[0])


@pytest.mark.parametrize("code", ["~", "~!!!!", "~AAAA", "~AAAAAAAA", "~AACAfwAAgH8AAIB_", "x", ""])
def test_a_damaged_code_is_one_sentence(colours: Generator, code: str) -> None:
    with pytest.raises(GeneratorError, match=r"^[^\n]+\.$"):
        from_code(code, colours)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_loop_goes_there_and_back_with_its_pixels_enlarged(kind: str) -> None:
    pictures = [Image.new("RGB", (40, 20), (60 * step, 0, 0)) for step in range(4)]
    content = loop(pictures, kind).partition("base64,")[2]
    with Image.open(io.BytesIO(base64.b64decode(content))) as film:
        assert film.size == (240, 120)
        assert film.n_frames == 6
        assert film.info["loop"] == 0
        reds = []
        for frame in range(6):
            film.seek(frame)
            reds.append(film.convert("RGB").getpixel((120, 60))[0])
    assert reds == pytest.approx([0, 60, 120, 180, 120, 60], abs=6)


@pytest.mark.parametrize(
    ("typed", "seed"), [("7", 7), (" 42 ", 42), (3, 3), (5.0, 5), (2**32 - 1, 2**32 - 1)]
)
def test_seeds_as_they_are_typed(typed: object, seed: int) -> None:
    assert read_seed(typed) == seed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("abc", "The seed is 'abc'; it must be a whole number from 0 on."),
        ("", "The seed is ''; it must be a whole number from 0 on."),
        (-1, "The seed is -1; it must be a whole number from 0 on."),
        (1.5, "The seed is 1.5; it must be a whole number from 0 on."),
        (math.nan, "The seed is nan; it must be a whole number from 0 on."),
        (True, "The seed is True; it must be a whole number from 0 on."),
        (None, "The seed is None; it must be a whole number from 0 on."),
        ("²", "The seed is '²'; it must be a whole number from 0 on."),
        (2**32, "The seed is 4294967296; 4294967295 is the largest."),
        ("9" * 5000, f"The seed is '{'9' * 38}…; 4294967295 is the largest."),
    ],
)
def test_what_is_no_seed_is_one_sentence(typed: object, said: str) -> None:
    with pytest.raises(GeneratorError) as raised:
        read_seed(typed)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1.0, 2.0], "z has 2 numbers; this model takes 3."),
        ([], "z has 0 numbers; this model takes 3."),
        ([1, 2, "3"], "z is [1, 2, '3']; it must be a list of 3 numbers."),
        ([1, 2, True], "z is [1, 2, True]; it must be a list of 3 numbers."),
        ("1, 2, 3", "z is '1, 2, 3'; it must be a list of 3 numbers."),
        (4, "z is 4; it must be a list of 3 numbers."),
        ([1.0, math.inf, 0.0], "z has numbers that are not finite; give finite ones."),
        ([10**400, 0, 0], "z has numbers that are not finite; give finite ones."),
        ([1e39, 0, 0], "z has numbers that are not finite; give finite ones."),
    ],
)
def test_what_is_no_z_is_one_sentence(given: object, said: str) -> None:
    with pytest.raises(GeneratorError) as raised:
        read_z(given, 3)
    assert str(raised.value) == said


def test_a_z_is_checked_wherever_it_comes_in(colours: Generator, tints: Generator) -> None:
    grey = Image.new("RGB", (16, 16), "grey")
    for z in (torch.zeros(2, 4), torch.zeros(3), torch.full((1, 3), math.nan)):
        with pytest.raises(GeneratorError, match=r"^z has"):
            colours.generate(z)
    with pytest.raises(GeneratorError, match="z has 4 numbers; this model takes 3"):
        tints.translate(grey, torch.zeros(4))
    with pytest.raises(GeneratorError, match="needs a picture to start from"):
        tints.generate(torch.zeros(1, 3))
    with pytest.raises(GeneratorError, match="from noise alone"):
        colours.translate(grey, torch.zeros(3))
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        tints.translate("missing.png", torch.zeros(3))


def test_other_families_and_bad_weights_are_refused(constant_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="black2white makes no pictures from noise"):
        Generator.load(constant_weights)
    with pytest.raises(UserError, match="neither a weights folder nor a Hub name"):
        Generator.load(tmp_path / "no where")
    broken = Generator.load(noise.colours(tmp_path / "w"), "cpu")
    broken.weights.networks["generator"].get_parameter("layers.0.weight").data.fill_(math.nan)
    with pytest.raises(WeightsError, match="w computes numbers that are not finite"):
        broken.generate(torch.zeros(1, 3))
