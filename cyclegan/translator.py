"""Inference: a picture in, a picture out."""

import math
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from PIL import Image

from cyclegan import hub
from cyclegan.compiled import Backend, BackendError, compiled
from cyclegan.config import Direction
from cyclegan.domains import Guess, guess
from cyclegan.frames import run_frame
from cyclegan.graphed import graphed
from cyclegan.images import load_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.native import MAX_PIXELS, Change
from cyclegan.networks import Generator, UnetGenerator
from cyclegan.sources import open_weights
from cyclegan.tiles import Size, calibrated, fitting, run_tiled
from cyclegan.weights import Weights, WeightsConfig, WeightsError, save_weights

LONGEST = 8192
"""At the scale of training, no side is longer than this; a longer one is squeezed."""

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
        directions: in which they translate.
        drawn: whether pictures of domain A are line drawings, which anybody can make.
        one_size: whether the networks see every picture at one size, whatever the detail; known
            once they are loaded.
    """

    source: str
    name: str
    revision: str | None
    labels: dict[str, str]
    image_size: int
    directions: tuple[Direction, ...] = ("a2b", "b2a")
    drawn: bool = False
    one_size: bool = False


class Translator:
    """A generator for each direction behind one door. Safe to call from several threads.

    Use `Translator.load`; the constructor takes weights that are in memory already, and the folder
    in which quantised networks may lie beside them.

    Attributes:
        backend: what runs the networks, "torch" or "openvino".
    """

    def __init__(
        self,
        weights: Weights,
        info: Info,
        device: Device = "auto",
        backend: Backend = "torch",
        folder: Path | None = None,
    ):
        self.weights = weights
        unets = [isinstance(network, UnetGenerator) for network in weights.networks.values()]
        self.info = replace(info, one_size=any(unets))
        self.device = torch.device(best_device() if device == "auto" else device)
        self._lock = threading.Lock()
        family = FAMILIES[weights.config.model]
        self._names = family.translators
        self._channels = family.channels(weights.settings)
        for network in weights.networks.values():
            network.to(self.device)
        self._running = {
            name: cast(Generator, weights.networks[name]) for name in self._names.values()
        }
        found = self._compiled(backend, folder)
        self.backend: Literal["torch", "openvino"] = "openvino" if found else "torch"
        self._running |= found or self._graphed(backend)
        config = weights.config
        # Weights from elsewhere do not say; CycleGANs are commonly trained on 1.12 image sizes.
        unknown = round(1.12 * config.image_size)
        self._short_sides = config.short_sides or (0, unknown)
        self._blur = config.change_blur

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: Device = "auto",
        token: str | None = None,
        backend: Backend = "auto",
    ) -> "Translator":
        """Load a weights folder or a Hub repository, USER/NAME[@REVISION].

        On a CPU "auto" has OpenVINO run the networks if it is installed and makes the same of a
        picture as PyTorch: in 8-bit integers if such networks lie beside the weights, else in
        half precision on processors that are quicker so. The log says so.

        Raises WeightsError and HubError, see `open_weights`, and BackendError when "openvino" is
        asked for and is not to be had.
        """
        weights, folder = open_weights(source, token)
        info = describe(str(source), hub.pull_revision(folder), weights.config)
        return cls(weights, info, device, backend, folder)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions in which these weights translate."""
        return tuple(self._names)

    def _compiled(self, backend: Backend, folder: Path | None) -> dict[str, Generator]:
        """The networks as OpenVINO runs them; none unless it can run all."""
        if self.device.type != "cpu" and backend == "openvino":
            raise BackendError(
                f"--backend openvino is for CPUs, and this runs on {self.device.type}; add "
                "--device cpu."
            )
        found = {}
        for direction, name in self._names.items() if self.device.type == "cpu" else ():
            channels = self._channels[direction[0]]
            made = compiled(self.weights, name, channels, folder, backend)
            if made is None:
                return {}
            found[name] = made
        return found

    def _graphed(self, backend: Backend) -> dict[str, Generator]:
        """The networks as CUDA graphs; none unless this is a GPU that is here to stay."""
        if backend == "torch" or self.device.type != "cuda" or "SPACES_ZERO_GPU" in os.environ:
            return {}
        found = {}
        for direction, name in self._names.items():
            channels, size = self._channels[direction[0]], self.weights.config.image_size
            made = graphed(cast(Generator, self.weights.networks[name]), channels, size)
            if made is None:
                return {}
            found[name] = made
        return found

    @torch.inference_mode()
    def change(
        self,
        image: str | Path | Image.Image,
        direction: Direction = "a2b",
        detail: float = 0.0,
    ) -> Change:
        """Run the network: what it changes about a picture, to be applied to it at any size.

        Raises ImageError when the picture cannot be read, WeightsError when the weights make no
        picture of it, ValueError for an unknown direction or a detail outside of [0, 1].
        """
        network, channels = self._network(direction)
        if not 0 <= detail <= 1:
            raise ValueError(f"detail is {detail}; it must be from 0 to 1.")
        real = prepare(image)
        size = self.scaled(real.size, detail)
        # The network sees the whole picture at once, if need be smaller, for the statistics.
        whole = self.seen(real.size, direction)
        if self._only_side(direction):
            size = whole
        elif network.reach is None:
            size = fitting(size, network)
        if size != whole:
            small = to_tensor(_resize(real, whole), channels).unsqueeze(0)
            with self._lock:
                network = calibrated(network, small.to(self.device))
        values, adds = run_tiled(network, _resize(real, size), channels, self._lock)
        if not np.isfinite(values).all():
            raise WeightsError(
                f"{self.info.name} computes numbers that are not finite; train or pull it again."
            )
        return Change(values, adds, self._blur)

    def _network(self, direction: Direction) -> tuple[Generator, int]:
        """The generator for a direction, and how many channels it takes."""
        if direction not in self._names:
            known = " or ".join(self._names) or "none: they do not translate"
            raise ValueError(f"The direction is {direction!r}; these weights know {known}.")
        return self._running[self._names[direction]], self._channels[direction[0]]

    def _only_side(self, direction: Direction) -> int | None:
        """The side of the squares that a U-Net is made for; papers squeeze all pictures into them.

        It is as deep as they are wide: of any other size it would see no whole, and colours fade.
        """
        network = self.weights.networks[self._names[direction]]
        return network.multiple if isinstance(network, UnetGenerator) else None

    def seen(self, size: Size, direction: Direction) -> Size:
        """At what size the network sees a picture of that size, at detail 0."""
        if side := self._only_side(direction):
            return side, side
        return fitting(self.scaled(size), self._network(direction)[0])

    def scaled(self, size: Size, detail: float = 0.0) -> Size:
        """Compute the size at which a network runs, between training's and the picture's own.

        A network that saw whole photos with a short side of 286 pixels takes a 4000-pixel apple for
        texture, so detail 0 is the scale at which it was trained.
        """
        low, high = self._short_sides
        scale = min(max(min(size), low), high) / min(size)
        # Of a strip, which is not enlarged either, the long side gives way.
        scale = min(scale, max(1.0, LONGEST / max(size)))
        width, height = (min(scale, LONGEST / side) for side in size)
        # Geometrically in between; what is enlarged for the network has no more detail to offer.
        width, height = (x ** (1 - detail) if x < 1 else x for x in (width, height))
        return max(1, round(size[0] * width)), max(1, round(size[1] * height))

    def translate(
        self,
        image: str | Path | Image.Image,
        direction: Direction = "a2b",
        detail: float = 0.0,
        strength: float = 1.0,
    ) -> Image.Image:
        """Translate a picture: RGB in the input's size, at most `MAX_PIXELS` pixels.

        Detail 0 runs the network at the scale that it was trained for and 1 at the picture's own;
        strength 0 is the picture and 1 the translation. Raises as `change` does.
        """
        real = prepare(image)
        return self.change(real, direction, detail).apply(real, strength)

    def recover(
        self,
        image: str | Path | Image.Image,
        direction: Direction = "a2b",
        detail: float = 0.0,
    ) -> tuple[Image.Image, Image.Image]:
        """Translate there and back: (fake, recovered), both as `translate` returns them.

        Raises ValueError too where there is no way back.
        """
        back: Direction = "b2a" if direction == "a2b" else "a2b"
        self._network(back)
        fake = self.translate(image, direction, detail)
        return fake, self.translate(fake, back, detail)

    @torch.inference_mode()
    def frame(self, image: Image.Image, direction: Direction = "a2b") -> Image.Image:
        """Translate a frame of a film: RGB of its size, which is also what the network sees.

        At a smaller scale than in training a network sees less, but is quicker; a U-Net sees
        its own size. Raises ValueError for an unknown direction.
        """
        network, channels = self._network(direction)
        side = self._only_side(direction)
        seen = _resize(image, (side, side)) if side else image
        scale = min(1.0, min(seen.size) / max(1, self._short_sides[0]))
        made = run_frame(network, seen, channels, self._blur * scale, self._lock)
        return _resize(made, image.size)

    def domain(self, image: str | Path | Image.Image) -> Guess | None:
        """Guess which domain a photo is from; None for weights that translate one way only."""
        return guess(self.weights, prepare(image))

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, in full precision."""
        config, networks = self.weights.config, self.weights.networks
        save_weights(Path(folder), config, networks, torch.float32)


def best_device() -> str:
    """Name the best device at hand: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def prepare(image: str | Path | Image.Image) -> Image.Image:
    """Read a picture as `load_image` does and scale it down to `MAX_PIXELS` if need be."""
    loaded = load_image(image)
    scale = math.sqrt(MAX_PIXELS / (loaded.width * loaded.height))
    if scale >= 1:
        return loaded
    width = min(max(1, int(loaded.width * scale)), MAX_PIXELS)
    height = min(max(1, int(loaded.height * scale)), MAX_PIXELS // width)
    return loaded.resize((width, height), Image.Resampling.LANCZOS)


def _resize(image: Image.Image, size: Size) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def describe(source: str, revision: str | None, config: WeightsConfig, name: str = "") -> Info:
    """What there is to say about weights; they are called by the end of their source, or `name`."""
    return Info(
        source,
        name or source.split("@")[0].rstrip("/").rsplit("/", 1)[-1],
        revision,
        {"a": config.label_a, "b": config.label_b},
        config.image_size,
        tuple(FAMILIES[config.model].translators),
        config.drawn,
    )
