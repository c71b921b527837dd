"""Pictures from noise: a vector z in, a picture out; for BicycleGAN, a picture and a z."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from cyclegan import networks
from cyclegan.errors import UserError
from cyclegan.images import to_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.models.base import fixed_noise
from cyclegan.networks import DcganGenerator, LatentEncoder, UnetGenerator
from cyclegan.tiles import fitting, run_padded
from cyclegan.translator import Device, Info, Translator, best_device, prepare
from cyclegan.weights import Weights, WeightsConfig, WeightsError

LARGEST_SEED = 2**32 - 1
FEW = 16
"""Numbers of a z that can be told one by one; of a longer one, only directions are shown."""
NO_PICTURE = "{name} makes pictures from noise alone; give it no picture."
NOT_FINITE = "z has numbers that are not finite; give finite ones."


class GeneratorError(UserError):
    """A seed, a z or a picture that no picture can be made from."""


class Generator:
    """A network that makes pictures from z behind one door. Safe to call from several threads.

    Use `Generator.load`; the constructor takes weights that are in memory already. Every picture is
    made by itself, so that it is the same whichever others are asked for beside it.

    Attributes:
        latent: length of z.
        takes_picture: whether z chooses among translations of a picture (BicycleGAN) instead of
            making one from nothing (DCGAN).
        encodes: whether it finds the z of a picture.
    """

    def __init__(self, weights: Weights, info: Info, device: Device | torch.device = "auto"):
        self.weights = weights
        self.info = info
        self.device = torch.device(best_device() if device == "auto" else device)
        if not takes_z(weights.config):
            raise GeneratorError(
                f"{info.name} makes no pictures from noise; a DCGAN or a BicycleGAN does."
            )
        for network in weights.networks.values():
            network.to(self.device)
        family = FAMILIES[weights.config.model]
        self.takes_picture = family.generator is None
        name = family.generator or family.translators["a2b"]
        self._network = cast(DcganGenerator | UnetGenerator, weights.networks[name])
        self._encoder = weights.networks.get(family.encoder or "")
        self.encodes = self._encoder is not None
        self._channels = family.channels(weights.settings)
        self.latent = self._network.latent

    @classmethod
    def load(
        cls, source: str | Path, device: Device = "auto", token: str | None = None
    ) -> "Generator":
        """Load a weights folder or a Hub repository, as `Translator.load` does; raises like it.

        Raises GeneratorError when its family takes no z.
        """
        loaded = Translator.load(source, device, token, backend="torch")
        return cls(loaded.weights, loaded.info, loaded.device)

    def draw(self, count: int, seed: int = 0) -> Tensor:
        """Draw z: [count, latent] from N(0, 1), on the CPU; row k is what seed + k draws first."""
        return fixed_noise(count, self.latent, torch.empty(0), seed)

    def generate(self, z: Tensor) -> list[Image.Image]:
        """Make pictures, RGB, from z [N, latent].

        Raises GeneratorError when z is of another shape or not finite, or a picture is needed too.
        """
        if self.takes_picture:
            raise GeneratorError(f"{self.info.name} needs a picture to start from; give one.")
        return [self._made(row) for row in self._checked(z)]

    def translate(self, image: str | Path | Image.Image, z: Tensor) -> Image.Image:
        """Translate a picture to the answer that z [latent] or [1, latent] chooses: RGB.

        The result has the picture's shape, at the size that the network was trained for. Raises
        ImageError when the picture cannot be read, GeneratorError as `generate`.
        """
        if not self.takes_picture:
            raise GeneratorError(NO_PICTURE.format(name=self.info.name))
        (row,) = self._checked(z.reshape(1, -1))
        return self._made(row, self.seen(image))

    def seen(self, image: str | Path | Image.Image) -> Image.Image:
        """The picture as the network is given it: its short side is that of training images."""
        real = prepare(image)
        scale = self.weights.config.image_size / min(real.size)
        size = round(scale * real.width), round(scale * real.height)
        size = fitting(size, cast(UnetGenerator, self._network))
        return real.resize(size, Image.Resampling.LANCZOS)

    @torch.inference_mode()
    def encode(self, image: str | Path | Image.Image) -> Tensor:
        """Find the z, [latent] on the CPU, of a picture of domain B: its style.

        Raises ImageError when the picture cannot be read, GeneratorError without an encoder.
        """
        if self._encoder is None:
            raise GeneratorError(f"{self.info.name} has no encoder, so it takes no reference.")
        encoder = cast(LatentEncoder, self._encoder)
        real = to_tensor(self.seen(image), self._channels["b"])[None].to(self.device)
        mean, _ = encoder(real)
        return mean[0].float().cpu().clone()

    @torch.inference_mode()
    def directions(self, count: int = 8) -> Tensor:
        """Directions in which z changes most about a picture: orthonormal, [count, latent].

        A short z is told entry by entry, all of it. Of a long one they are the principal directions
        of the first layer (SeFa, Shen and Zhou 2021), strongest first.
        """
        if self.latent <= FEW:
            return torch.eye(self.latent)
        entrance = _entrance(self._network).double().cpu()
        _, vectors = torch.linalg.eigh(entrance @ entrance.T)
        strongest = vectors.T.flip(0)[:count].float()
        # Eigenvectors have no sign of their own: the largest entry is made positive.
        largest = strongest.gather(1, strongest.abs().argmax(1, keepdim=True))
        return strongest * largest.sign()

    @torch.inference_mode()
    def _made(self, z: Tensor, image: Image.Image | None = None) -> Image.Image:
        row = z[None].to(self.device)
        if image is None:
            made = self._network(row)
        else:
            real = to_tensor(image, self._channels["a"])[None].to(self.device)
            made = run_padded(_Answer(cast(UnetGenerator, self._network), row), real)
        if not made.isfinite().all():
            raise WeightsError(
                f"{self.info.name} computes numbers that are not finite; train or pull it again."
            )
        return to_image(made[0].float())

    def _checked(self, z: Tensor) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise GeneratorError(
                f"z has {z.shape[-1] if z.ndim else 0} numbers; this model takes {self.latent}."
            )
        if not z.isfinite().all():
            raise GeneratorError(NOT_FINITE)
        return z.float()


class _Answer(networks.Generator):
    """A generator that gives one of its answers, as those without a z do."""

    def __init__(self, network: UnetGenerator, z: Tensor):
        super().__init__()
        self.network, self.z = network, z
        self.multiple, self.minimum, self.reach = network.multiple, network.minimum, network.reach

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, self.z)


def takes_z(config: WeightsConfig) -> bool:
    """Whether weights make pictures from z."""
    family = FAMILIES[config.model]
    return family.generator is not None or family.encoder is not None


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Go from one z to another on the arc between them, where N(0, 1) has its mass: [latent].

    Share 0 is the start and 1 the end. Where there is no arc, between opposites or from zero, the
    way is straight.
    """
    lengths = start.norm() * end.norm()
    angle = math.acos(float((start @ end / lengths).clamp(-1, 1))) if lengths > 0 else 0.0
    if math.sin(angle) < 1e-4:
        return torch.lerp(start, end, share)
    first, last = math.sin((1 - share) * angle), math.sin(share * angle)
    return (first * start + last * end) / math.sin(angle)


def path(start: Tensor, end: Tensor, count: int) -> Tensor:
    """The way from one z to another in steps, slow at both ends: [count, latent]."""
    shares = [(1 - math.cos(math.pi * step / max(1, count - 1))) / 2 for step in range(count)]
    return torch.stack([slerp(start, end, share) for share in shares])


def read_seed(value: Any) -> int:
    """Read a seed from what somebody typed or sent. Raises GeneratorError."""
    text = str(value).strip()
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()):
        raise GeneratorError(f"The seed is {_short(value)}; it must be a whole number from 0 on.")
    if len(text) > 12 or int(text) > LARGEST_SEED:
        raise GeneratorError(f"The seed is {_short(value)}; {LARGEST_SEED} is the largest.")
    return int(text)


def read_z(value: Any, latent: int) -> Tensor:
    """Read a z of that length, [latent], from a list of numbers. Raises GeneratorError."""
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else None
    if numbers is None or not all(type(number) in (int, float) for number in numbers):
        raise GeneratorError(f"z is {_short(value)}; it must be a list of {latent} numbers.")
    if len(numbers) != latent:
        raise GeneratorError(f"z has {len(numbers)} numbers; this model takes {latent}.")
    try:
        z = torch.tensor([float(number) for number in numbers])
    except OverflowError:
        z = torch.tensor([math.inf])
    if not z.isfinite().all():
        raise GeneratorError(NOT_FINITE)
    return z


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _entrance(network: DcganGenerator | UnetGenerator) -> Tensor:
    """What the first layer makes of each entry of z: [latent, features]."""
    if isinstance(network, UnetGenerator):
        weight = next(network.down[0].parameters())
        return weight[:, -network.latent :].transpose(0, 1).flatten(1)
    # Convolution and batch norm, or their like: affine, so the units say all about them.
    z = torch.cat([torch.eye(network.latent), torch.zeros(1, network.latent)])
    z = z.to(next(network.parameters()))
    made = network.layers[:2](z if network.upsample == "resize" else z[:, :, None, None])
    return (made[:-1] - made[-1]).flatten(1)
