"""Translation with generators whose answers are known beforehand."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan.config import Direction
from cyclegan.images import ImageError, to_tensor
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.native import MAX_PIXELS
from cyclegan.networks import Generator
from cyclegan.tiles import run_padded
from cyclegan.translator import Info, Translator, prepare
from cyclegan.weights import Weights, WeightsConfig, WeightsError


class Add(Generator):
    """Adds a constant; insists on the sizes that it says it needs."""

    multiple, minimum = 4, 8

    def __init__(self, constant: float = 0.0):
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-2] % 4 == x.shape[-1] % 4 == 0
        assert min(x.shape[-2:]) >= 8
        return x + self.constant


def levels(count: int) -> float:
    """How much a value in [-1, 1] has to grow for a picture to become `count` levels brighter."""
    return count / 127.5


def make(
    ab: Generator,
    ba: Generator,
    short_sides: tuple[int, int] | None = None,
    change_blur: float = 0.0,
    **settings: Any,
) -> Translator:
    config = WeightsConfig(
        1, "cyclegan", "dark", "bright", 32, settings, 0, short_sides, change_blur
    )
    networks: dict[str, nn.Module] = {"generator_ab": ab, "generator_ba": ba}
    weights = Weights(config, CycleGANConfig(**settings), networks)
    info = Info("memory", "memory", None, {"a": "dark", "b": "bright"}, 32)
    return Translator(weights, info, "cpu")


@pytest.fixture
def translator() -> Translator:
    """A to B makes a picture 100 levels brighter, B to A makes it 30 levels darker."""
    return make(Add(levels(100)), Add(-levels(30)))


def scene(size: tuple[int, int]) -> Image.Image:
    """Noise between 40 and 140, so that nothing clips."""
    pixels = np.random.default_rng(0).integers(40, 140, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def brighter(image: Image.Image, count: int) -> np.ndarray:
    return np.asarray(image).astype(int) + count


def test_directions_are_not_swapped(translator: Translator) -> None:
    real = scene((20, 12))
    assert (np.asarray(translator.translate(real, "a2b")) == brighter(real, 100)).all()
    assert (np.asarray(translator.translate(real, "b2a")) == brighter(real, -30)).all()
    assert (np.asarray(translator.translate(real)) == brighter(real, 100)).all()


def test_recovering_goes_there_and_back(translator: Translator) -> None:
    real = scene((20, 12))
    directions: list[tuple[Direction, int]] = [("a2b", 100), ("b2a", -30)]
    for direction, there in directions:
        fake, recovered = translator.recover(real, direction)
        assert (np.asarray(fake) == brighter(real, there)).all()
        assert (np.asarray(recovered) == brighter(real, 70)).all()


def test_directions_survive_saving_and_loading(constant_weights: Path, tmp_path: Path) -> None:
    translator = Translator.load(constant_weights, device="cpu")
    translator.save(tmp_path / "copy")
    for source in (constant_weights, str(tmp_path / "copy")):
        loaded = Translator.load(source, device="cpu")
        assert loaded.directions == ("a2b", "b2a")
        assert loaded.translate(scene((9, 9)), "a2b").getextrema() == ((255, 255),) * 3
        assert loaded.translate(scene((9, 9)), "b2a").getextrema() == ((0, 0),) * 3
        fake, recovered = loaded.recover(scene((9, 9)), "b2a")
        assert (fake.getextrema(), recovered.getextrema()) == (((0, 0),) * 3, ((255, 255),) * 3)


def test_what_is_loaded_is_described(constant_weights: Path) -> None:
    info = Translator.load(constant_weights, device="cpu").info
    labels = {"a": "black", "b": "white"}
    assert info == Info(str(constant_weights), "black2white", None, labels, 16)


SIZES = [(1, 1), (2, 1), (1, 9), (7, 13), (8, 8), (33, 50), (3000, 12), (5, 1400)]


@pytest.mark.parametrize("size", SIZES)
def test_sizes_and_places_are_kept(translator: Translator, size: tuple[int, int]) -> None:
    real = scene(size)
    fake = translator.translate(real, "a2b")
    expected = brighter(real, 100)
    assert fake.size == size
    assert fake.mode == "RGB"
    assert (np.asarray(fake) == expected).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (300, 12)])
def test_real_networks_take_every_size(constant_weights: Path, size: tuple[int, int]) -> None:
    fake, recovered = Translator.load(constant_weights, device="cpu").recover(scene(size))
    assert fake.size == recovered.size == size


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (9, 30), (8, 12)])
def test_padding_continues_the_picture(shape: tuple[int, int]) -> None:
    """A network that averages 3x3 pixels must see no foreign colour at the borders."""

    class Blur(Add):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    x = torch.full((1, 3, *shape), 0.25)
    torch.testing.assert_close(run_padded(Blur(), x), x)


def test_large_pictures_are_scaled_down_to_the_limit(translator: Translator) -> None:
    assert prepare(Image.new("RGB", (8000, 4000))).size == (6928, 3464)
    assert prepare(Image.new("RGB", (1, MAX_PIXELS + 9))).size == (1, MAX_PIXELS)
    exact = Image.new("RGB", (6000, 4000), (50, 60, 70))
    fake = translator.translate(exact)
    assert fake.size == exact.size
    assert fake.getpixel((9, 9)) == (150, 160, 170)


class Seen(Add):
    """Also remembers the sizes that it was given."""

    def __init__(self, constant: float = 0.0):
        super().__init__(constant)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append((x.shape[-1], x.shape[-2]))
        return super().forward(x)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((160, 80), (48, 24)),  # its short side is above the 24 pixels of training
        ((80, 163), (24, 52)),  # 48.9 pixels high, padded to a multiple of four
        ((90, 24), (92, 24)),
        ((30, 9), (56, 16)),  # too small: enlarged to 53 x 16, and padded
    ],
)
def test_pictures_are_translated_at_the_scale_of_training(
    size: tuple[int, int], seen: tuple[int, int]
) -> None:
    network = Seen(levels(100))
    real = scene(size)
    fake = make(network, Add(), short_sides=(16, 24)).translate(real)
    assert network.sizes == [seen]
    # Only the change is enlarged, so noise of single pixels stays.
    assert fake.size == size
    assert np.abs(np.asarray(fake) - brighter(real, 100)).max() <= 1


def test_grey_domains() -> None:
    """From grey to colour: the generator gets one channel, and back it gives one."""

    class Paint(Add):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[1] == 1
            return torch.cat([x, x - 2, x - 2], 1)

    class Grey(Add):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[1] == 3
            return x[:, :1]

    for short_sides in (None, (8, 8)):
        translator = make(Paint(), Grey(), short_sides, channels_a=1, lambda_identity=0.0)
        fake, recovered = translator.recover(Image.new("RGB", (19, 29), (80, 80, 80)), "a2b")
        assert fake.size == recovered.size == (19, 29)
        assert fake.getpixel((9, 9)) == (80, 0, 0)
        assert recovered.getpixel((9, 9)) == (80, 80, 80)


def test_files_are_taken_and_bad_ones_refused(translator: Translator, tmp_path: Path) -> None:
    real = scene((6, 5))
    real.save(tmp_path / "real.png")
    for source in (tmp_path / "real.png", str(tmp_path / "real.png")):
        assert (np.asarray(translator.translate(source)) == brighter(real, 100)).all()
    (tmp_path / "bad.png").write_bytes(b"")
    for call in (translator.translate, translator.recover):
        with pytest.raises(ImageError, match=r"bad\.png is empty"):
            call(tmp_path / "bad.png")


def test_unknown_direction(translator: Translator) -> None:
    direction: Any = "b2c"
    with pytest.raises(ValueError, match="'b2c'; these weights know a2b or b2a"):
        translator.translate(scene((8, 8)), direction)


@pytest.mark.parametrize("source", ["no such folder", "a/b/c", "/nowhere/at/all", "config.json"])
def test_unknown_source(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="neither a weights folder nor a Hub name"):
        Translator.load(source)


def test_a_folder_that_holds_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json does not exist"):
        Translator.load(tmp_path)


def test_a_folder_wins_over_a_hub_name(
    constant_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "name").symlink_to(constant_weights)
    monkeypatch.chdir(tmp_path)
    info = Translator.load("user/name", device="cpu").info
    assert (info.source, info.name, info.revision) == ("user/name", "name", None)


def test_threads_do_not_get_each_others_pictures(translator: Translator) -> None:
    pictures = [Image.new("RGB", (40 + n, 30), (n, n, n)) for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(translator.recover, pictures))
    for number, (fake, recovered) in enumerate(results):
        assert fake.size == (40 + number, 30)
        assert fake.getextrema() == ((number + 100,) * 2,) * 3
        assert recovered.getextrema() == ((number + 70,) * 2,) * 3


def test_nothing_keeps_gradients(translator: Translator) -> None:
    seen = []

    class Spy(Add):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.is_grad_enabled())
            return super().forward(x)

    make(Spy(), Spy()).translate(scene((8, 8)))
    assert seen == [False]
    assert to_tensor(scene((8, 8))).requires_grad is False


class Checker(Add):
    """Paints a checkerboard of single pixels over the picture, 50 levels up and down."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in x.shape[-2:]), indexing="ij")
        return super().forward(x) + ((rows + columns) % 2 * 2 - 1) * levels(50)


class Invert(Add):
    """Paints the negative: a change as strong as the picture itself, in every frequency."""

    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


@pytest.mark.parametrize("size", [(24, 24), (48, 96), (9, 30)])
def test_a_blurred_change_drops_what_the_picture_does_not_have(size: tuple[int, int]) -> None:
    real = Image.linear_gradient("L").resize(size).convert("RGB").point(lambda v: 60 + v // 2)
    sides = (min(size), min(size))
    sharp = make(Checker(), Add(), short_sides=sides).translate(real)
    soft = make(Checker(), Add(), short_sides=sides, change_blur=4.0).translate(real)
    assert (np.abs(brighter(sharp, 0) - np.asarray(real)) == 50).all()
    assert np.abs(brighter(soft, 0) - np.asarray(real)).mean() < 5
    # And it keeps most of what the picture has: the negative of a checkerboard is one.
    board = np.indices((size[1], size[0])).sum(0) % 2 * 200 + 28
    real = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    soft = make(Invert(), Add(), short_sides=sides, change_blur=4.0).translate(real)
    assert np.abs(brighter(soft, 0) - (255 - np.asarray(real).astype(int))).mean() < 20


def test_a_blurred_change_keeps_broad_changes() -> None:
    real = scene((60, 40))
    networks = make(Add(levels(50)), Add(), short_sides=(16, 24), change_blur=3.0)
    assert np.abs(np.asarray(networks.translate(real)) - brighter(real, 50)).max() <= 1
