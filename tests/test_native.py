"""Changes carried to pictures of any size, and networks run in tiles without seams."""

import copy
import os
import pickle
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import draw_photo
from PIL import Image
from torchvision.transforms.v2.functional import gaussian_blur

from cyclegan import native, tiles
from cyclegan.images import to_tensor
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.native import Change, ChangeError
from cyclegan.networks import Generator, ResnetGenerator, UnetGenerator, initialise
from cyclegan.tiles import calibrated, fitting, run_padded, run_tiled
from cyclegan.translator import Info, Translator
from cyclegan.weights import Weights, WeightsConfig


def levels(count: float) -> float:
    """What so many of 255 levels are in [-1, 1]."""
    return count / 127.5


def constant(count: int, size: tuple[int, int] = (6, 4), channels: int = 3) -> Change:
    """A change by so many of 255 levels, of `size` (width, height)."""
    return Change(np.full((channels, size[1], size[0]), levels(count), np.float16))


def noise(size: tuple[int, int], low: int = 60, high: int = 160) -> Image.Image:
    pixels = np.random.default_rng(0).integers(low, high, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


SIZES = [(1, 1), (3, 2), (6, 4), (7, 5), (9, 6), (61, 43), (400, 3), (5, 2000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("blur", [0.0, 2.5])
def test_a_change_fits_pictures_of_any_size(size: tuple[int, int], blur: float) -> None:
    real = noise(size)
    fake = Change(constant(40).values, blur=blur).apply(real)
    assert (fake.size, fake.mode) == (size, "RGB")
    assert np.abs(array(fake) - array(real) - 40).max() <= 1


def test_strength_mixes_photo_and_translation() -> None:
    real = noise((50, 40))
    change = constant(80)
    assert (array(change.apply(real, 0)) == array(real)).all()
    assert np.abs(array(change.apply(real, 0.25)) - array(real) - 20).max() <= 1
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must be from 0 to 1"):
            change.apply(real, strength)


def test_strength_works_on_what_takes_the_place_of_a_photo() -> None:
    real = Image.new("RGB", (50, 40), (100, 100, 100))
    white = Change(np.ones((3, 4, 5), np.float16), adds=False)
    assert white.apply(real).getextrema() == ((255, 255),) * 3
    assert white.apply(real, 0.2).getextrema() == ((131, 131),) * 3
    # A grey network's photo is grey; half of it is half grey.
    red = Image.new("RGB", (50, 40), (200, 0, 0))
    luminance = red.convert("L").getpixel((0, 0))
    assert isinstance(luminance, int)
    same = constant(0, channels=1)
    assert same.apply(red).getextrema() == ((luminance, luminance),) * 3
    assert same.apply(red, 0.5).getpixel((0, 0)) == (
        round((200 + luminance) / 2), luminance // 2, luminance // 2
    )  # fmt: skip


def apple(side: int) -> np.ndarray:
    """Where a red disc is, in a picture of `side` pixels: booleans [side, side]."""
    rows, columns = np.indices((side, side)) / side - 0.5
    return np.hypot(rows, columns) < 0.31


@pytest.mark.parametrize("blur", [0.0, 2.5])
def test_a_change_ends_where_the_apple_ends(blur: float) -> None:
    """The network sees 60 pixels and paints the disc green; the photo has 720."""
    colours = np.array([[[210, 210, 215]], [[180, 30, 40]]])
    disc = apple(720)
    real = Image.fromarray(np.where(disc[..., None], colours[1], colours[0]).astype(np.uint8))
    small = np.asarray(real.resize((60, 60), Image.Resampling.BOX).getchannel(1)).astype(float)
    inside = (210 - small) / (210 - 30)
    values = np.zeros((3, 60, 60), np.float16)
    values[1] = inside * 90 / 127.5
    expected = disc * 90
    ring = np.abs(np.hypot(*(np.indices((720, 720)) / 720 - 0.5)) - 0.31) < 2 / 60

    def error(fake: np.ndarray) -> float:
        return float(np.abs(fake[..., 1] - array(real)[..., 1] - expected)[ring].mean())

    # What becomes of it without the photo's help.
    plain = torch.from_numpy(values[1:2].astype(np.float32))
    if blur:
        plain = gaussian_blur(plain, [15, 15], [blur, blur])
    enlarged = Image.fromarray(plain[0].numpy() * 127.5).resize((720, 720), 3)
    spilt = float(np.abs(np.asarray(enlarged) - expected)[ring].mean())
    assert spilt > 8
    assert error(array(Change(values, blur=blur).apply(real))) < 0.6 * spilt


def test_what_does_not_follow_the_photo_is_kept_or_smoothed() -> None:
    """Stripes on a flat photo: a network that was trained for them keeps them."""
    real = Image.new("RGB", (360, 360), (128, 128, 128))
    wave = 60 * np.sin(np.arange(60) * 2 * np.pi / 6)
    values = np.broadcast_to(wave / 127.5, (3, 60, 60)).astype(np.float16)
    at = (np.arange(360) + 0.5) / 6 - 0.5
    expected = 60 * np.sin(at * 2 * np.pi / 6)
    kept = array(Change(values).apply(real))[..., 0] - 128
    smoothed = array(Change(values, blur=2.5).apply(real))[..., 0] - 128
    inner = np.s_[72:-72, 72:-72]
    assert np.corrcoef(kept[inner].ravel(), np.tile(expected[72:-72], 216))[0, 1] > 0.98
    assert kept[inner].std() == pytest.approx(60 / 2**0.5, rel=0.1)
    assert smoothed[inner].std() < 5


@pytest.mark.parametrize("blur", [0.0, 2.5])
@pytest.mark.parametrize("size", [(640, 427), (90, 400)])
def test_a_change_is_applied_without_seams(
    blur: float, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).normal(0, 0.2, (3, 40, 60)).clip(-1, 1)
    change = Change(values.astype(np.float16), blur=blur)
    real = draw_photo("a", 0, size)
    whole = array(change.apply(real))
    monkeypatch.setattr(native, "TILE", 50)
    assert np.abs(array(change.apply(real)) - whole).max() <= 1


def test_changes_travel_and_are_kept_without_pickles(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(0, 0.2, (3, 40, 60)).astype(np.float16)
    change = Change(values, adds=False, blur=1.5)
    change.save(tmp_path / "there.npz")
    for read in (Change.load(tmp_path / "there.npz"), pickle.loads(pickle.dumps(change))):
        assert (read.values == values).all()
        assert (read.values.dtype, read.adds, read.blur) == (np.float16, False, 1.5)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_damaged_and_foreign_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "change.npz"
    with pytest.raises(ChangeError, match=r"change\.npz does not exist"):
        Change.load(path)
    constant(3).save(path)
    good = path.read_bytes()
    values = constant(3).values
    giant = np.broadcast_to(np.float16(0), (3, 8000, 8000))
    foreign: list[dict[str, Any]] = [
        {"values": giant, "adds": True, "blur": 0.0},
        {"values": values, "adds": True},
        {"values": np.array([Bomb()]), "adds": True, "blur": 0.0},
        {"values": values.astype(np.float32), "adds": True, "blur": 0.0},
        {"values": values[0], "adds": True, "blur": 0.0},
        {"values": values[:2], "adds": True, "blur": 0.0},
        {"values": values[:, :0], "adds": True, "blur": 0.0},
        {"values": values * np.nan, "adds": True, "blur": 0.0},
        {"values": values, "adds": True, "blur": np.nan},
        {"values": values, "adds": True, "blur": 1e9},
        {"values": values, "adds": [True, False], "blur": 0.0},
    ]
    contents = [b"", b"\x80\x04N.", good[:-30], good[: len(good) // 2], good[:200] + b"?" * 99]
    for arrays in foreign:
        np.savez_compressed(path, **arrays)
        contents.append(path.read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ChangeError, match=r"change\.npz is damaged or holds no change"):
            Change.load(path)
    assert not Path("exploded").exists()


def resnet(**settings: Any) -> ResnetGenerator:
    torch.manual_seed(0)
    network = ResnetGenerator(width=6, blocks=2, **settings)
    return initialise(network).eval()


@pytest.mark.parametrize("upsample", ["resize", "bilinear", "transpose"])
def test_a_generator_looks_no_further_than_it_says(upsample: Any) -> None:
    torch.manual_seed(0)
    network = initialise(ResnetGenerator(width=3, blocks=1, upsample=upsample)).eval()
    real = torch.rand(1, 3, 128, 128)
    network = calibrated(network, real)
    reaches = []
    for at in range(60, 64):
        probe = real.clone().requires_grad_()
        network(probe)[..., at, at].sum().backward()
        assert probe.grad is not None
        rows = probe.grad[0].abs().sum((0, 2)).nonzero().flatten()
        reaches.append(int((rows - at).abs().max()))
    assert network.reach is not None
    assert network.reach - 8 <= max(reaches) <= network.reach


@torch.inference_mode()
def test_a_calibrated_network_paints_its_picture_as_before() -> None:
    network = resnet()
    real, other = torch.rand(1, 3, 40, 52), torch.rand(1, 3, 64, 64)
    copy = calibrated(network, real)
    torch.testing.assert_close(run_padded(copy, real), run_padded(network, real))
    assert (run_padded(copy, other) - run_padded(network, other)).abs().max() > 0.01
    # The network itself is as it was, and nothing of it was copied that could be shared.
    assert all(not m.track_running_stats for m in network.modules() if hasattr(m, "running_mean"))
    assert {id(p) for p in copy.parameters()} == {id(p) for p in network.parameters()}


def uneven(size: tuple[int, int]) -> Image.Image:
    """A photo that is dark and even on the left, bright and mixed on the right."""
    ramp = np.linspace(0, 1, size[0])[None, :, None]
    waves = np.random.default_rng(0).normal(0, 60, (4, 6, 3)).astype(np.uint8)
    mixed = np.asarray(Image.fromarray(waves).resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(
        (30 + 180 * ramp + ramp * (mixed / 8 - 16)).clip(0, 255).astype(np.uint8)
    )


def stitch(network: Generator, real: Image.Image) -> np.ndarray:
    with torch.inference_mode():
        values, adds = run_tiled(network, real, 3, nullcontext())
    assert adds
    return values.astype(np.float32)


def step_at(values: np.ndarray, columns: list[int]) -> float:
    """How much values [C, h, w] change where these columns begin, against everywhere else.

    Columns are averaged by eight, since untrained networks paint patterns of four pixels.
    """
    means = np.lib.stride_tricks.sliding_window_view(values.mean(1), 8, axis=1).mean(-1)
    steps = np.abs(means[:, 8:] - means[:, :-8]).mean(0)
    at = np.arange(len(steps)) + 8
    edges = np.isin(at, columns)
    return float(steps[edges].mean() / steps[~edges & (at % 4 == 0)].mean())


SMOOTH = {"padding": "reflect"}


@pytest.mark.parametrize("settings", [SMOOTH, {}, {"upsample": "transpose"}])
@torch.inference_mode()
def test_tiles_show_no_step_at_their_borders(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, plain = uneven((402, 301)), resnet(**settings)
    small = to_tensor(real.resize((100, 75))).unsqueeze(0)
    network = calibrated(plain, small)
    whole = stitch(network, real)
    monkeypatch.setattr(tiles, "PIXELS", 160 * 160)
    boxes = list(tiles.tiles(real.size, network))
    borders = sorted({kept[0] for kept, _ in boxes} - {0})
    assert len(boxes) >= 12
    assert all((x[2] - x[0]) * (x[3] - x[1]) <= tiles.PIXELS for _, x in boxes)
    # Every pixel is kept exactly once.
    covered = np.zeros(real.size[::-1], int)
    for (left, top, right, bottom), _ in boxes:
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()

    tiled = stitch(network, real)
    assert np.abs(tiled - whole).max() < levels(0.2)
    assert step_at(tiled, borders) < 1.2

    # The same tiles with statistics of their own, and without overlap, do show.
    assert np.abs(stitch(plain, real) - whole).max() > levels(10)
    if settings == SMOOTH:
        assert step_at(stitch(plain, real), borders) > 1.5
    network.reach = 0
    assert np.abs(stitch(network, real) - whole).max() > levels(10)


def translator(network: Generator, short_sides: tuple[int, int], **settings: Any) -> Translator:
    config = WeightsConfig(1, "cyclegan", "dark", "bright", 32, settings, 0, short_sides)
    networks = {"generator_ab": network, "generator_ba": copy.deepcopy(network)}
    weights = Weights(config, CycleGANConfig(**settings), networks)
    return Translator(weights, Info("memory", "memory", None, {"a": "x", "b": "y"}, 32), "cpu")


def test_a_photo_in_full_detail_is_stitched_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    real = uneven((402, 301))
    painter = translator(resnet(), (64, 64))
    whole = array(painter.translate(real, detail=1))
    monkeypatch.setattr(tiles, "PIXELS", 160 * 160)
    assert np.abs(array(painter.translate(real, detail=1)) - whole).max() <= 1


class Seen(Generator):
    """Adds 40 levels, insists on its sizes, and remembers them, in its copies too."""

    multiple, minimum, reach = 4, 8, 0

    def __init__(self, sizes: list[tuple[int, int]]):
        super().__init__()
        self.sizes = sizes

    def __deepcopy__(self, memo: object) -> "Seen":
        return Seen(self.sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] % 4 == x.shape[-2] % 4 == 0
        assert x.shape[-1] * x.shape[-2] <= 1.1 * tiles.PIXELS
        self.sizes.append((x.shape[-1], x.shape[-2]))
        return x + levels(40)


@pytest.mark.parametrize(
    ("size", "detail", "at"),
    [
        ((800, 400), 0.0, (200, 100)),
        ((800, 400), 0.5, (400, 200)),
        ((800, 400), 1.0, (800, 400)),
        ((50, 25), 0.0, (100, 50)),  # smaller than what was trained on: detail changes nothing
        ((50, 25), 1.0, (100, 50)),
        ((90, 75), 1.0, (90, 75)),
    ],
)
def test_detail_leads_from_the_scale_of_training_to_the_photos_own(
    size: tuple[int, int], detail: float, at: tuple[int, int]
) -> None:
    real = noise(size)
    painter = translator(Seen([]), (50, 100))
    change = painter.change(real, "a2b", detail)
    assert change.values.shape == (3, at[1], at[0])
    for fake in (change.apply(real), painter.translate(real, detail=detail)):
        assert np.abs(array(fake) - array(real) - 40).max() <= 1
    fake, recovered = painter.recover(real, "a2b", detail)
    assert np.abs(array(recovered) - array(real) - 80).max() <= 2
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="it must be from 0 to 1"):
            painter.change(real, "a2b", wrong)


@pytest.mark.parametrize("size", [(30_000, 3), (1, 100_000), (200, 40_000)])
@pytest.mark.parametrize("detail", [0.0, 1.0])
def test_strips_cost_no_more_than_other_pictures(size: tuple[int, int], detail: float) -> None:
    real = Image.new("RGB", size, (50, 60, 70))
    seen: list[tuple[int, int]] = []
    fake = translator(Seen(seen), (100, 286)).translate(real, detail=detail)
    assert fake.size == size
    assert fake.getextrema() == ((90, 90), (100, 100), (110, 110))
    budget = 8192 * 286 if detail == 0 else 3 * max(8 * max(size), size[0] * size[1])
    assert sum(width * height for width, height in seen) <= 1.3 * budget


def test_a_network_that_looks_everywhere_gets_the_whole_picture_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "PIXELS", 128 * 128)
    network = initialise(UnetGenerator(width=2, image_size=32)).eval()
    painter = translator(network, (32, 36))
    for size in ((400, 300), (33, 47), (4000, 10)):
        change = painter.change(noise(size), "a2b", detail=1)
        height, width = change.values.shape[1:]
        assert width * height <= tiles.PIXELS
        assert change.apply(noise(size)).size == size
    assert fitting((400, 300), network) == (147, 111)


@pytest.mark.slow
def test_24_megapixels_stay_below_two_gigabytes(tmp_path: Path) -> None:
    """In a process of its own, with a generator as large as the paper's.

    Linux is asked for the peak of the process itself: what getrusage tells counts the peak of the
    process that started it as well.
    """
    painter = translator(ResnetGenerator(), (286, 286))
    painter.save(tmp_path / "weights")
    draw_photo("a", 0, (600, 400)).resize((6000, 4000)).save(tmp_path / "photo.jpg")
    code = (
        "import resource\n"
        "from pathlib import Path\n"
        "from cyclegan.translator import Translator\n"
        "fake = Translator.load('weights', 'cpu').translate('photo.jpg')\n"
        "assert fake.size == (6000, 4000)\n"
        "status = Path('/proc/self/status')\n"
        "own = status.read_text().split('VmHWM:')[1].split()[0] if status.exists() else 0\n"
        "print(own or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 2e9
