"""CUT: one-sided unpaired translation by contrast (Park, Efros, Zhang and Zhu 2020)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from cyclegan.augment import Policy, augment
from cyclegan.config import Strict
from cyclegan.image_pool import ImagePool
from cyclegan.losses import (
    Adversarial,
    discriminator_adversarial,
    generator_adversarial,
    patch_contrast,
)
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase, together
from cyclegan.networks import PatchDiscriminator, Projections, ResnetGenerator, initialise


@dataclass(frozen=True)
class CUTConfig(Strict):
    """The networks and the loss weights."""

    channels: int = 3
    """Channels of the images in both domains: 3 for colour, 1 for grey."""
    width: int = 64
    """Channels of the generator's first layer."""
    blocks: int = 9
    """Residual blocks."""
    upsample: Literal["resize", "bilinear", "transpose"] = "bilinear"
    """Nearest neighbour or bilinear + convolution, or transposed convolution."""
    padding: Literal["zeros", "reflect"] = "reflect"
    """How the generator's down- and upsampling convolutions pad."""
    norm: Literal["instance", "affine", "batch"] = "instance"
    """Of the generator; "affine" learns a scale and a shift, "batch" wants larger batches."""
    downsample: Literal["stride", "blur"] = "stride"
    """Strided convolutions, or convolution + blur, which aliases less."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_downsamplings: int = 3
    """Stride-2 layers of the discriminator: 3 judges 70x70 pixels, 2 judges 46x46."""
    adversarial: Adversarial = "least_squares"
    """The adversarial loss."""
    lambda_contrast: float = 1.0
    """Weight of the contrast between places of a photo and of its translation."""
    lambda_identity: float = 1.0
    """Weight of the same contrast for photos of B, which shall stay; 0 also saves its pass."""
    flip_equivariance: bool = False
    """Half of the time, translate the photo mirrored and compare with it mirrored back."""
    patches: int = 256
    """Places compared in an image."""
    projection: int = 256
    """Length of the vectors that are compared."""
    temperature: float = 0.07
    """Of the contrast; lower is stricter."""
    pool_size: int = 0
    """Generated images remembered for the discriminator; 0 shows it only the newest."""
    augment: tuple[Policy, ...] = ()
    """How the discriminator sees images changed, for data sets of a few hundred photos."""

    def __post_init__(self):
        for name in ("lambda_contrast", "lambda_identity", "pool_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if self.patches < 2:
            raise ValueError(f"patches is {self.patches}; a contrast needs at least 2.")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}; above 0.")


@final
class CUT(Model):
    """One generator, whose encoder has to recognise each place of a photo in the translation."""

    family = "cut"
    Config = CUTConfig
    data = "unpaired"
    translators = {"a2b": "generator_ab"}
    ships = ("generator_ab",)
    rows = (("real_a", "fake_b"),)
    alarms = ("inversion", "collapse", "identity")
    presets = {
        "paper": {"data": {"resize": 286 / 256}, "training": {"epochs": 400}},
        # No identity, ten times the contrast: half the memory, less care.
        "fastcut": {
            "model": {
                "lambda_contrast": 10.0,
                "lambda_identity": 0.0,
                "flip_equivariance": True,
            },
            "training": {"epochs": 200, "decay_from": 0.75},
        },
        # What a CPU can do in an evening.
        "tiny": {
            "model": {"width": 32, "blocks": 6, "discriminator_width": 32},
            "data": {"image_size": 128, "zoom": 1.5},
            "training": {"epochs": 40, "precision": "auto"},
        },
    }

    def __init__(self, config: CUTConfig, image_size: int):
        super().__init__(config, image_size)
        self.pool_b = ImagePool(config.pool_size, seed=2)

    @staticmethod
    def builders(config: CUTConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        def generator() -> ResnetGenerator:
            return ResnetGenerator(
                config.channels,
                config.channels,
                config.width,
                config.blocks,
                config.upsample,
                config.padding,
                config.norm,
                config.downsample,
            )

        def discriminator() -> nn.Module:
            network = PatchDiscriminator(
                config.channels, config.discriminator_width, config.discriminator_downsamplings
            )
            if image_size < network.minimum or image_size % ResnetGenerator.multiple:
                raise ValueError(
                    f"image_size is {image_size}; it must be a multiple of "
                    f"{ResnetGenerator.multiple}, at least {network.minimum}."
                )
            return initialise(network)

        return {
            "generator_ab": lambda: initialise(generator()),
            "discriminator_b": discriminator,
            "projections": lambda: initialise(
                Projections(
                    ResnetGenerator.feature_channels(config.channels, config.width, config.blocks),
                    config.projection,
                )
            ),
        }

    @staticmethod
    def channels(config: CUTConfig) -> dict[str, int]:
        return {"a": config.channels, "b": config.channels}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generator", ("generator_ab", "projections"), self.generator_losses),
            Phase("discriminator", ("discriminator_b",), self.discriminator_losses),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Adversarial (eq. 1), and contrast of A with its fake and of B with itself (eq. 5)."""
        config, networks = self.config, self.networks
        real_a, real_b = batch["real_a"], batch["real_b"]
        mirrored = config.flip_equivariance and self.training and bool(torch.rand(()) < 0.5)
        shown_a = real_a.flip(3) if mirrored else real_a
        if config.lambda_identity:
            fake_b, identity_b = together(networks["generator_ab"], shown_a, real_b)
        else:
            fake_b = networks["generator_ab"](shown_a)
        cache["fake_b"] = fake_b.detach()
        judged = networks["discriminator_b"](self._shown(fake_b))
        losses = {
            "adversarial": generator_adversarial(judged, config.adversarial),
            "contrast": config.lambda_contrast * self._contrast(fake_b, real_a, mirrored),
        }
        if config.lambda_identity:
            losses["identity"] = config.lambda_identity * self._contrast(identity_b, real_b)
        return losses

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """The discriminator on real images of B and on fakes."""
        real = self._shown(batch["real_b"])
        fake = self._shown(self.pool_b(cache["fake_b"]))
        on_real, on_fake = together(self.networks["discriminator_b"], real, fake)
        loss = discriminator_adversarial(on_real, on_fake, self.config.adversarial)
        return {"adversarial": loss}

    def _contrast(self, output: Tensor, source: Tensor, mirrored: bool = False) -> Tensor:
        """PatchNCE (eq. 3 and 4), the mean over layers; of a mirrored output, mirrored back."""
        generator = cast(ResnetGenerator, self.networks["generator_ab"])
        made, given = generator.features(output), generator.features(source)
        if mirrored:
            made = [layer.flip(3) for layer in made]
        places = [self._places(layer) for layer in given]
        queries, keys = (
            self.networks["projections"](
                [layer.flatten(2)[:, :, at].mT for layer, at in zip(layers, places, strict=True)]
            )
            for layers in (made, given)
        )
        terms = [
            patch_contrast(query, key.detach(), self.config.temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(terms).mean()

    def _places(self, layer: Tensor) -> Tensor:
        """Draw where a layer is looked at; evenly spread, and always there, in evaluation mode."""
        count = layer.shape[2] * layer.shape[3]
        patches = min(self.config.patches, count)
        if self.training:
            return torch.randperm(count)[:patches].to(layer.device)
        return torch.linspace(0, count - 1, patches).long().to(layer.device)

    def _shown(self, images: Tensor) -> Tensor:
        return augment(images, self.config.augment) if self.training else images

    @staticmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        real_a = batch["real_a"]
        return {"real_a": real_a, "fake_b": networks["generator_ab"](real_a)}
