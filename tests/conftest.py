"""What the tests share. Importing it takes the network and the other cores away."""

import os

# Before torch, gradio and huggingface_hub are imported, which read these once. Nothing listens on
# port 9: a test that forgets its stand-in server fails at once instead of asking the real Hub.
os.environ |= {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "WANDB_MODE": "disabled",
}
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name in ("HF_TOKEN", "CYCLEGAN_WEIGHTS", "CYCLEGAN_RUNS"):
    os.environ.pop(_name, None)

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cyclegan.config import to_json
from cyclegan.models.cyclegan import CycleGANConfig
from cyclegan.networks import ResnetGenerator
from cyclegan.weights import WeightsConfig, save_weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser

torch.set_num_threads(1)

PhotoFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same random numbers, in whatever order tests run."""
    torch.manual_seed(0)


def draw_photo(side: str, index: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Draw a still life: red discs for domain "a", blue squares for domain "b"."""
    random = np.random.default_rng((ord(side), index))
    shade = np.linspace(90, 220, size[1])[:, None, None] * np.ones((1, size[0], 3))
    noise = random.normal(0, 6, shade.shape)
    photo = Image.fromarray((shade + noise).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(photo)
    for _ in range(3):
        x, y = int(random.integers(size[0])), int(random.integers(size[1]))
        radius = 3 + int(random.integers(max(2, min(size) // 4)))
        box = (x - radius, y - radius, x + radius, y + radius)
        if side == "a":
            draw.ellipse(box, fill=(200, 40, 30))
        else:
            draw.rectangle(box, fill=(40, 60, 200))
    return photo


@pytest.fixture
def photo_folder(tmp_path: Path) -> PhotoFolder:
    """Make a data folder: `photo_folder(count=4, size=(48, 40), name="disc2square", test=0)`."""

    def make(
        count: int = 4,
        size: tuple[int, int] = (48, 40),
        name: str = "disc2square",
        test: int = 0,
    ) -> Path:
        for split, number in (("train", count), ("test", test)):
            for side in "ab" if number else "":
                folder = tmp_path / name / f"{split}{side.upper()}"
                folder.mkdir(parents=True)
                for index in range(number):
                    photo = draw_photo(side, index + 1000 * (split == "test"), size)
                    photo.save(folder / f"{index}.png")
        return tmp_path / name

    return make


@pytest.fixture(scope="session")
def constant_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of real networks with known answers: a2b paints all white, b2a all black."""
    networks = {}
    for name, bias in (("generator_ab", 20.0), ("generator_ba", -20.0)):
        network = ResnetGenerator(width=2, blocks=1)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        torch.nn.init.zeros_(last.weight)
        assert last.bias is not None
        torch.nn.init.constant_(last.bias, bias)
        networks[name] = network
    folder = tmp_path_factory.mktemp("weights") / "black2white"
    settings = to_json(CycleGANConfig(width=2, blocks=1))
    save_weights(
        folder, WeightsConfig(1, "cyclegan", "black", "white", 16, settings, 0, (1, 4096)), networks
    )
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains of six noisy pictures to train on and three to test on: reddish and bluish."""
    folder = tmp_path_factory.mktemp("photos") / "red2blue"
    random = np.random.default_rng(0)
    for side, colour in (("A", (200, 60, 40)), ("B", (40, 60, 200))):
        for split, count in (("train", 6), ("test", 3)):
            (folder / f"{split}{side}").mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(-40, 40, (40, 48, 3)) + np.array(colour)
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(folder / f"{split}{side}" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> "Iterator[Browser]":
    """A Chromium that asks nobody for anything; see page_server.watched_page.

    A test module may give it more flags in `CHROMIUM`.
    """
    from playwright.sync_api import sync_playwright

    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update "
    ) + getattr(request.module, "CHROMIUM", "")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "These tests drive the page in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags.split())
        yield browser
        browser.close()
