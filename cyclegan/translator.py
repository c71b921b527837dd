"""Inference: a picture in, a picture out."""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cyclegan import hub
from cyclegan.config import Direction
from cyclegan.images import load_image, to_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.networks import Generator
from cyclegan.weights import Weights, WeightsError, load_weights, save_weights

logger = logging.getLogger(__name__)

MAX_SIDE = 4096
"""Longest side of a result, in pixels; larger pictures are scaled down to it first."""

Device = Literal["auto", "cuda", "mps", "cpu"]


@dataclass(frozen=True)
class Info:
    """What a page or a command says about loaded weights.

    Attributes:
        source: the folder or Hub name that was loaded.
        name: the last part of it.
        revision: the commit on the Hub, or None for a folder.
        labels: what each domain shows, by "a" and "b".
        image_size: side of the training images.
    """

    source: str
    name: str
    revision: str | None
    labels: dict[str, str]
    image_size: int


class Translator:
    """Two generators behind one door. Safe to call from several threads.

    Use `Translator.load`; the constructor takes weights that are in memory already.
    """

    def __init__(self, weights: Weights, info: Info, device: Device = "auto"):
        self.weights = weights
        self.info = info
        self.device = torch.device(best_device() if device == "auto" else device)
        self._lock = threading.Lock()
        family = FAMILIES[weights.config.model]
        self._names = family.translators
        for network in weights.networks.values():
            network.to(self.device)
        self._channels = family.channels(weights.settings)
        config = weights.config
        # Weights from elsewhere do not say; CycleGANs are commonly trained on 1.12 image sizes.
        unknown = round(1.12 * config.image_size)
        self._short_sides = config.short_sides or (0, unknown)
        self._blur = config.change_blur
        if self._blur:
            # Imported while loading, which the page does in the background.
            _gaussian_blur()

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: Device = "auto",
        token: str | None = None,
    ) -> "Translator":
        """Load a weights folder or a Hub repository, USER/NAME[@REVISION].

        An existing folder wins over a Hub repository of the same name. From the Hub, files come
        from the cache when the network is gone, and a damaged cached file is fetched once more.

        Raises:
            WeightsError: the folder is no weights folder, or damaged.
            HubError: the repository cannot be had.
        """
        text = str(source)
        if Path(source).is_dir():
            folder = Path(source)
            weights = load_weights(folder)
            return cls(weights, _info(text, weights, None), device)
        if not hub.is_hub_name(text):
            raise WeightsError(f"{text} is neither a weights folder nor a Hub name (USER/NAME).")
        folder = hub.pull(text, token=token)
        try:
            weights = load_weights(folder)
        except WeightsError as error:
            # A download that was cut short stays in the cache and is noticed only here.
            logger.warning("%s Fetching it again.", error)
            folder = hub.pull(text, token=token, force=True)
            weights = load_weights(folder)
        return cls(weights, _info(text, weights, hub.pull_revision(folder)), device)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions in which these weights translate."""
        return tuple(self._names)

    def translate(
        self, image: str | Path | Image.Image, direction: Direction = "a2b"
    ) -> Image.Image:
        """Translate a picture: RGB in the input's size, at most `MAX_SIDE` pixels a side.

        Raises ImageError when the picture cannot be read, ValueError for an unknown direction.
        """
        return self._run(prepare(image), direction)

    def recover(
        self, image: str | Path | Image.Image, direction: Direction = "a2b"
    ) -> tuple[Image.Image, Image.Image]:
        """Translate there and back: (fake, recovered), both as `translate` returns them."""
        real = prepare(image)
        fake = self._run(real, direction)
        back: Direction = "b2a" if direction == "a2b" else "a2b"
        return fake, self._run(fake, back)

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, in full precision."""
        config, networks = self.weights.config, self.weights.networks
        save_weights(Path(folder), config, networks, torch.float32)

    @torch.inference_mode()
    def _run(self, image: Image.Image, direction: Direction) -> Image.Image:
        if direction not in self._names:
            known = " or ".join(self._names)
            raise ValueError(f"The direction is {direction!r}; these weights know {known}.")
        network = cast(Generator, self.weights.networks[self._names[direction]])
        real = to_tensor(image, self._channels[direction[0]]).unsqueeze(0)
        with self._lock:
            fake = run_scaled(network, real.to(self.device), self._short_sides, self._blur)
        return to_image(fake[0])


def best_device() -> str:
    """Name the best device at hand: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def prepare(image: str | Path | Image.Image) -> Image.Image:
    """Read a picture as `load_image` does and scale it down to `MAX_SIDE` if need be."""
    loaded = load_image(image)
    scale = MAX_SIDE / max(loaded.size)
    if scale >= 1:
        return loaded
    size = (max(1, round(loaded.width * scale)), max(1, round(loaded.height * scale)))
    return loaded.resize(size, Image.Resampling.LANCZOS)


def run_scaled(
    network: Generator, real: Tensor, short_sides: tuple[int, int], blur: float = 0.0
) -> Tensor:
    """Run a generator on [1, C, H, W] at a scale that it was trained for; the size stays.

    A network that saw whole photos with a short side of 286 pixels takes a 4000-pixel apple for
    texture. So a picture is resized before the network, and what the network changed is resized
    back and added to the picture, whose own fine detail stays. With other channels out than in
    there is nothing to add to: the result itself is resized.

    `short_sides` is the range of short sides that the network was trained for, in pixels; `blur`
    the standard deviation, in pixels of that scale, by which the change is blurred.
    """
    height, width = real.shape[-2:]
    short = min(height, width)
    wanted = min(max(short, short_sides[0]), short_sides[1])
    # A strip is not enlarged beyond what a picture may measure.
    scale = min(wanted / short, max(1.0, MAX_SIDE / max(height, width)))
    if scale == 1 and not blur:
        return run_padded(network, real)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    resized = _resize(real, size).clamp(-1, 1)
    fake = run_padded(network, resized)
    if fake.shape != resized.shape:
        return _resize(fake, (height, width)).clamp(-1, 1)
    change = fake - resized
    if blur:
        # Three standard deviations, but a picture cannot be mirrored beyond its own size.
        reach = [min(math.ceil(3 * blur), side - 1) for side in (size[1], size[0])]
        change = _gaussian_blur()(change, [2 * r + 1 for r in reach], [blur, blur])
    return (real + _resize(change, (height, width))).clamp(-1, 1)


def _gaussian_blur() -> Callable[..., Tensor]:
    # torchvision takes seconds to import, and few weights need it.
    from torchvision.transforms.v2.functional import gaussian_blur

    return gaussian_blur


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bicubic", antialias=True)


def run_padded(network: Generator, real: Tensor) -> Tensor:
    """Run a generator on [1, C, H, W] of any H and W: pad to what it can take, and crop back.

    The picture is centred; it is continued by its mirror image, or by its border where it is too
    small to be mirrored.
    """
    height, width = real.shape[-2:]
    multiple, minimum = network.multiple, network.minimum
    sides = []
    for length in (width, height):
        total = max(minimum, -(-length // multiple) * multiple)
        sides.append((total - length) // 2)
        sides.append(total - length - sides[-1])
    mirrored = max(sides[:2]) < width and max(sides[2:]) < height
    padded = F.pad(real, sides, mode="reflect" if mirrored else "replicate")
    fake = network(padded)
    top, left = sides[2], sides[0]
    return fake[..., top : top + height, left : left + width]


def _info(source: str, weights: Weights, revision: str | None) -> Info:
    config = weights.config
    labels = {"a": config.label_a, "b": config.label_b}
    name = source.split("@")[0].rstrip("/").rsplit("/", 1)[-1]
    return Info(source, name, revision, labels, config.image_size)
