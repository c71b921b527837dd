"""Networks as OpenVINO runs them: what they make is what PyTorch makes, or PyTorch makes it."""

import logging
import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_photo
from PIL import Image
from reference_networks import randomised
from torch import nn

from cyclegan.commands import main
from cyclegan.compiled import BackendError, Compiled, compiled, psnr
from cyclegan.config import to_json
from cyclegan.files import TENSORS
from cyclegan.folding import Doubled, FourPixels
from cyclegan.models import FAMILIES
from cyclegan.precision import halves
from cyclegan.quantise import QuantisationError, quantise
from cyclegan.tiles import calibrated, run_padded
from cyclegan.translator import Translator
from cyclegan.weights import Weights, WeightsConfig, load_weights, save_weights

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "weights" / "apples-oranges"
MODELS = {
    "resize": ("cyclegan", {"upsample": "resize"}),
    "bilinear and reflection": ("cyclegan", {"upsample": "bilinear", "padding": "reflect"}),
    "transpose": ("cyclegan", {"upsample": "transpose", "channels_b": 1, "lambda_identity": 0.0}),
    "blur and batch norm": ("cyclegan", {"downsample": "blur", "norm": "batch"}),
    "attention": ("cyclegan", {"attention": True}),
    "affine instance norm": ("cut", {"norm": "affine"}),
    "u-net": ("pix2pix", {"dropout": True}),
    "z": ("bicyclegan", {}),
}


def weights_of(family: str, settings: dict, width: int = 8) -> Weights:
    kind = FAMILIES[family]
    known = kind.Config.__dataclass_fields__
    small = {"width": width, "discriminator_width": 4, "encoder_width": 4, "blocks": 2, "latent": 5}
    given = {name: value for name, value in small.items() if name in known}
    config = kind.Config(**{**given, **settings})
    build = kind.builders(config, 32)
    torch.manual_seed(1)
    networks = {name: build[name]() for name in kind.ships}
    for network in networks.values():
        randomised(network).eval().requires_grad_(False)
    return Weights(WeightsConfig(1, family, "a", "b", 32, to_json(config)), config, networks)


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def weights(request: pytest.FixtureRequest) -> Weights:
    return weights_of(*request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder of a small CycleGAN."""
    made = weights_of("cyclegan", {"upsample": "bilinear", "padding": "reflect"})
    save_weights(tmp_path / "weights", made.config, made.networks)
    return tmp_path / "weights"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for side in "ab":
        (tmp_path / "photos" / side).mkdir(parents=True)
        for number in range(8):
            photo = draw_photo(side, number, (48 + number, 40))
            photo.save(tmp_path / "photos" / side / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def whole_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors that are no quicker in half of it."""
    monkeypatch.setattr("cyclegan.compiled.halves", lambda device: False)


def shades(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


# ------------------------------------------------------------------ what it computes


@pytest.mark.usefixtures("whole_precision")
def test_openvino_makes_what_pytorch_makes_at_any_size_and_number(weights: Weights) -> None:
    kind = FAMILIES[weights.config.model]
    for direction, name in kind.translators.items():
        channels = kind.channels(weights.settings)[direction[0]]
        made = compiled(weights, name, channels, None, "openvino")
        assert made is not None
        network = weights.networks[name]
        # A z is drawn for one picture at a time.
        several = 1 if hasattr(network, "latent") else 2
        shapes = [(1, 32, 32), (several, 64, 32), (1, 32, 64)]
        # The same size again and again gets a network of its own.
        for number, height, width in [*shapes, *shapes, *shapes]:
            real = torch.rand(number, channels, height, width) * 2 - 1
            with torch.no_grad():
                assert psnr(made(real), network(real)) > 80


@pytest.mark.usefixtures("whole_precision")
def test_frozen_statistics_are_those_of_the_picture_they_came_from() -> None:
    weights = weights_of("cyclegan", {"upsample": "bilinear", "padding": "reflect"})
    network = weights.networks["generator_ab"]
    made = compiled(weights, "generator_ab", 3, None, "openvino")
    assert made is not None
    whole, part = (torch.rand(1, 3, *size) * scale - 0.5 for size, scale in
                   (((33, 50), 1.0), ((24, 30), 0.3)))  # fmt: skip
    frozen, expected = calibrated(made, whole), calibrated(network, whole)
    with torch.no_grad():
        for picture in (whole, part):
            assert psnr(run_padded(frozen, picture), run_padded(expected, picture)) > 80
        assert psnr(run_padded(frozen, whole), run_padded(network, whole)) > 80
        # Which are not those of the part itself.
        assert psnr(run_padded(frozen, part), run_padded(network, part)) < 30


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("detail", [0.0, 0.6, 1.0])
def test_a_translator_makes_the_same_pictures_with_either(
    folder: Path, detail: float, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclegan.compiled.halves", lambda device: half)
    photo = draw_photo("a", 3, (1300, 900))
    by = {kind: Translator.load(folder, "cpu", backend=kind) for kind in ("torch", "openvino")}
    assert [made.backend for made in by.values()] == ["torch", "openvino"]
    pair = [shades(made.translate(photo, "a2b", detail)) for made in by.values()]
    off = np.abs(pair[0] - pair[1])
    # In half precision, of a network of chance, a shade or two.
    assert off.mean() < 1.5 if half else off.max() <= 1
    frames = [shades(made.frame(photo.resize((64, 48)), "b2a")) for made in by.values()]
    assert np.abs(frames[0] - frames[1]).mean() < 1.5


def test_photos_and_frames_share_a_network_in_half_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = weights_of("cyclegan", {"upsample": "bilinear", "padding": "reflect"})
    made = {}
    for half in (False, True):
        monkeypatch.setattr("cyclegan.compiled.halves", lambda device, half=half: half)
        made[half] = compiled(weights, "generator_ab", 3, None, "auto")
    whole, half = made[False], made[True]
    assert whole is not None and half is not None and half.quick is half
    real = torch.rand(1, 3, 64, 64) * 2 - 1
    # Somewhat off where the processor has it, which is how one tells that it is used.
    most = 80 if halves(torch.device("cpu")) else math.inf
    assert 30 < psnr(half(real), whole(real)) <= most
    # Networks that half precision does not suit are computed in all of it.
    monkeypatch.setattr("cyclegan.compiled.LEAST_IN_HALF", math.inf)
    again = compiled(weights, "generator_ab", 3, None, "auto")
    assert again is not None and psnr(again(real), whole(real)) > 80


def test_the_log_goes_on_while_networks_are_converted(caplog: pytest.LogCaptureFixture) -> None:
    weights = weights_of("cyclegan", {"upsample": "bilinear", "padding": "reflect"})
    stop, log = threading.Event(), logging.getLogger("cyclegan.somebody")
    levels = []

    def watch() -> None:
        while not stop.is_set():
            levels.append((log.isEnabledFor(logging.WARNING), tuple(logging.root.handlers)))
            time.sleep(0.0005)

    before = tuple(logging.root.handlers)
    thread = threading.Thread(target=watch)
    thread.start()
    assert compiled(weights, "generator_ab", 3, None, "openvino")
    stop.set()
    thread.join()
    assert set(levels) == {(True, before)}


# ------------------------------------------------------------------ 8 bits


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("side", [3, 7])
def test_four_pixels_at_a_time_are_the_same_pixels(padding: str, side: int) -> None:
    convolution = nn.Conv2d(4, 3, side, padding=side // 2, padding_mode=padding)
    pictures = torch.rand(2, 4, 12, 16)
    torch.testing.assert_close(FourPixels(convolution)(pictures), convolution(pictures))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_doubled_and_convolved_at_once(padding: str) -> None:
    torch.manual_seed(1)
    convolution = nn.Conv2d(5, 4, 3, padding=1, padding_mode=padding)
    pictures = torch.rand(2, 5, 9, 12)
    expected = convolution(nn.functional.interpolate(pictures, scale_factor=2.0))
    torch.testing.assert_close(Doubled(convolution)(pictures), expected)


@pytest.mark.slow
def test_8_bits_are_made_beside_the_weights_and_taken_from_there(
    folder: Path, photos: Path, caplog: pytest.LogCaptureFixture, capsys
) -> None:
    command = ["export", str(folder), "--format", "openvino-int8", "--calibrate", str(photos)]
    assert main(command) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "dB" in line]
    assert [line.split(".int8.xml: scales from 12 photos")[0] for line in said] == [
        "generator_ab",
        "generator_ba",
    ]
    names = {f"generator_{way}.int8.{kind}" for way in ("ab", "ba") for kind in ("xml", "bin")}
    assert names <= {path.name for path in folder.iterdir()}
    # A byte for each number of the kernels, where the weights have two.
    kernels = sum(p.numel() for p in load_weights(folder).networks["generator_ab"].parameters())
    assert (folder / "generator_ab.int8.bin").stat().st_size < 1.6 * kernels

    by = {kind: Translator.load(folder, "cpu", backend=kind) for kind in ("torch", "auto")}
    assert by["auto"].backend == "openvino"
    photo = draw_photo("a", 20, (60, 52))
    pair = [shades(made.translate(photo, "a2b")) for made in by.values()]
    assert 0 < np.abs(pair[0] - pair[1]).mean() < 4

    # Of other weights they are no use, however alike.
    other = weights_of("cyclegan", {"upsample": "bilinear", "padding": "reflect"})
    with torch.no_grad():
        next(other.networks["generator_ba"].parameters()).mul_(1.002)
    save_weights(folder, other.config, other.networks)
    with caplog.at_level(logging.WARNING):
        assert Translator.load(folder, "cpu").backend == "torch"
    assert "generator_ba is run by PyTorch, not by OpenVINO: " in caplog.text
    assert "generator_ba.int8.xml was made from other weights" in caplog.text


@pytest.mark.slow
def test_what_is_lost_in_8_bits_is_found_out(folder: Path, photos: Path, tmp_path: Path) -> None:
    translator = Translator.load(folder, "cpu", backend="torch")
    found = quantise(translator, photos, tmp_path)
    for file, name in zip(found, ("generator_ab", "generator_ba"), strict=True):
        assert file.file == f"{name}.int8.xml" and (file.photos, file.held) == (12, 4)
        assert 30 < file.least <= file.psnr < 70


def test_the_shipped_networks_run_in_8_bits() -> None:
    by = {kind: Translator.load(SHIPPED, "cpu", backend=kind) for kind in ("torch", "auto")}
    assert by["auto"].backend == "openvino"
    for side, direction in (("apples", "a2b"), ("oranges", "b2a")):
        for number in (1, 2):
            with Image.open(ROOT / f"cyclegan/ui/examples/{side}-{number}.jpg") as image:
                photo = image.convert("RGB").resize((256, 256))
            name = FAMILIES["cyclegan"].translators[direction]
            pixels = torch.from_numpy(shades(photo).transpose(2, 0, 1)[None] / 127.5 - 1).float()
            exact = by["torch"].weights.networks[name](pixels)
            quantised = compiled(by["torch"].weights, name, 3, SHIPPED, "auto")
            assert isinstance(quantised, Compiled) and psnr(quantised(pixels), exact) > 35
            pair = [shades(made.translate(photo, direction)) for made in by.values()]
            assert 10 * np.log10(255**2 / np.square(pair[0] - pair[1]).mean()) > 40


# ------------------------------------------------------------------ when it cannot


def broken(folder: Path, what: str) -> None:
    """Make the quantised networks of a folder useless, in one of several ways."""
    for way in ("ab", "ba"):
        xml, numbers = (folder / f"generator_{way}.int8.{kind}" for kind in ("xml", "bin"))
        if what == "cut short":
            xml.write_bytes(xml.read_bytes()[: xml.stat().st_size // 2])
        elif what == "no model":
            xml.write_bytes(b"<net/>")
        elif what == "without numbers":
            numbers.unlink()
        elif what == "other numbers":
            numbers.write_bytes(bytes(reversed(numbers.read_bytes())))


@pytest.mark.parametrize("what", ["cut short", "no model", "without numbers", "other numbers"])
def test_damaged_files_leave_the_work_to_pytorch(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    for file in SHIPPED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    broken(tmp_path, what)
    with caplog.at_level(logging.WARNING):
        translator = Translator.load(tmp_path, "cpu")
    assert translator.backend == "torch"
    assert "generator_ab is run by PyTorch, not by OpenVINO: " in caplog.text
    photo = draw_photo("a", 1, (40, 40))
    expected = Translator.load(SHIPPED, "cpu", backend="torch").translate(photo)
    assert np.array_equal(shades(translator.translate(photo)), shades(expected))


WITHOUT = """
import sys
sys.modules["openvino"] = None
from cyclegan.compiled import BackendError
from cyclegan.translator import Translator
print(Translator.load(sys.argv[1], "cpu").backend)
try:
    Translator.load(sys.argv[1], "cpu", backend="openvino")
except BackendError as error:
    print(error)
"""


def test_without_openvino_pytorch_does_it(folder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "torch",
        "--backend openvino needs a package: pip install openvino.",
    ]


HOME = """
import sys
from cyclegan.translator import Translator
print(Translator.load(sys.argv[1], "cpu").backend)
"""


def test_nothing_is_told_to_anybody(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # Where the package that reports to its makers is at work, it keeps a number of the user there.
    environment = {"HOME": str(home), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", HOME, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "openvino", done.stderr
    assert list(home.rglob("*ga*")) == [] and not (home / "intel").exists()


SIGNALLED = """
import signal, sys, threading
from cyclegan.translator import Translator
loaded = [Translator.load(sys.argv[1], "cpu", backend="openvino")]
leaving = threading.Thread(target=loaded.clear)
leaving.start()
leaving.join()
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
signal.raise_signal(signal.SIGINT)
"""


def test_signals_arrive_after_a_thread_dropped_the_last_model(folder: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "interrupted"), done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--format", "openvino-int8"], "--calibrate DIR"),
        (["--format", "onnx", "--calibrate", "{photos}", "--output", "x"], "leave it out"),
        (["--format", "openvino-int8", "--calibrate", "nowhere"], "nowhere is no folder"),
        (["--format", "openvino-int8", "--calibrate", "{empty}"], "has 0 pictures"),
        (["--format", "onnx"], "--output DIR"),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, photos: Path, tmp_path: Path, capsys, flags: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"photos": photos, "empty": tmp_path / "empty"}
    command = ["export", str(folder), *(flag.format(**places) for flag in flags)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == {"config.json", TENSORS}


def test_what_does_not_translate_is_not_quantised(photos: Path, tmp_path: Path) -> None:
    made = weights_of("dcgan", {})
    save_weights(tmp_path / "noise", made.config, made.networks)
    translator = Translator.load(tmp_path / "noise", "cpu")
    with pytest.raises(QuantisationError, match="makes pictures from noise"):
        quantise(translator, photos, tmp_path)


def test_a_backend_for_cpus_is_refused_elsewhere(folder: Path) -> None:
    with pytest.raises(BackendError, match="add --device cpu"):
        Translator.load(folder, "meta", backend="openvino")  # type: ignore[arg-type]
