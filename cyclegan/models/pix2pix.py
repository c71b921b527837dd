"""pix2pix: paired translation (Isola, Zhu, Zhou and Efros 2017)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from cyclegan.augment import Policy, augment
from cyclegan.config import Strict
from cyclegan.losses import (
    Adversarial,
    discriminator_adversarial,
    generator_adversarial,
    reconstruction,
)
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase, together
from cyclegan.networks import PatchDiscriminator, ResnetGenerator, UnetGenerator, initialise


@dataclass(frozen=True)
class Pix2PixConfig(Strict):
    """The networks and the loss weights."""

    generator: Literal["unet", "resnet"] = "unet"
    """Architecture of the generator."""
    channels_a: int = 3
    """Channels of domain A: 3 for colour, 1 for grey."""
    channels_b: int = 3
    """Channels of domain B."""
    width: int = 64
    """Channels of the generator's first layer."""
    blocks: int = 9
    """Residual blocks of a resnet generator."""
    upsample: Literal["resize", "bilinear", "transpose"] = "resize"
    """Of a resnet: nearest neighbour or bilinear + convolution, or transposed convolution."""
    padding: Literal["zeros", "reflect"] = "zeros"
    """How a resnet's down- and upsampling convolutions pad."""
    downsample: Literal["stride", "blur"] = "stride"
    """Of a resnet: strided convolutions, or convolution + blur, which aliases less."""
    unet: Literal["paper", "pytorch-gan"] = "paper"
    """Details of the U-Net: the paper's, or those of PyTorch-GAN."""
    norm: Literal["instance", "affine", "batch"] = "instance"
    """Of the generator; "affine" learns a scale and a shift. With batches of one the paper's batch
    norm is an instance norm while training, and another function afterwards; "batch" wants larger
    batches."""
    dropout: bool = True
    """Of the U-Net while training: the only noise of pix2pix."""
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_downsamplings: int = 3
    """Stride-2 layers of the discriminator: 3 judges 70x70 pixels, 2 judges 46x46."""
    adversarial: Adversarial = "bce"
    """The adversarial loss."""
    lambda_l1: float = 100.0
    """Weight of the difference from what belongs there."""
    augment: tuple[Policy, ...] = ()
    """How the discriminator sees pairs changed, for data sets of a few hundred."""

    def __post_init__(self):
        if self.lambda_l1 < 0:
            raise ValueError(f"lambda_l1 is {self.lambda_l1}; it must not be negative.")


@final
class Pix2Pix(Model):
    """A generator, and a discriminator that sees what the image was made from."""

    family = "pix2pix"
    Config = Pix2PixConfig
    data = "paired"
    translators = {"a2b": "generator_ab"}
    ships = ("generator_ab",)
    rows = (("real_a", "fake_b", "real_b"),)
    alarms = ("collapse",)
    defaults = {"data": {"resize": 286 / 256}, "training": {"epochs": 200}}
    presets = {
        "paper": {"model": {"norm": "batch"}},
        # What a CPU can do in an evening.
        "tiny": {
            "model": {"width": 32, "discriminator_width": 32, "discriminator_downsamplings": 2},
            "data": {"image_size": 128},
            "training": {"epochs": 40, "batch_size": 4, "precision": "auto"},
        },
    }

    @staticmethod
    def builders(config: Pix2PixConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        def generator() -> nn.Module:
            ends = config.channels_a, config.channels_b, config.width
            if config.generator == "unet":
                network = UnetGenerator(
                    *ends, image_size, config.norm, config.dropout, variant=config.unet
                )
            else:
                network = ResnetGenerator(
                    *ends,
                    config.blocks,
                    config.upsample,
                    config.padding,
                    config.norm,
                    config.downsample,
                )
            if image_size % network.multiple or image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; the {config.generator} generator needs a "
                    f"multiple of {network.multiple}, at least {network.minimum}."
                )
            return initialise(network)

        def discriminator() -> nn.Module:
            network = PatchDiscriminator(
                config.channels_a + config.channels_b,
                config.discriminator_width,
                config.discriminator_downsamplings,
            )
            if image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; a discriminator with "
                    f"{config.discriminator_downsamplings} downsamplings needs at least "
                    f"{network.minimum}."
                )
            return initialise(network)

        return {"generator_ab": generator, "discriminator_b": discriminator}

    @staticmethod
    def channels(config: Pix2PixConfig) -> dict[str, int]:
        return {"a": config.channels_a, "b": config.channels_b}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generator", ("generator_ab",), self.generator_losses),
            Phase("discriminator", ("discriminator_b",), self.discriminator_losses),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Conditional adversarial loss (eq. 1) and L1 (eq. 3)."""
        config, real_a, real_b = self.config, batch["real_a"], batch["real_b"]
        fake_b = self.networks["generator_ab"](real_a)
        cache["fake_b"] = fake_b.detach()
        judged = self.networks["discriminator_b"](self._pair(real_a, fake_b))
        return {
            "adversarial": generator_adversarial(judged, config.adversarial),
            "l1": config.lambda_l1 * reconstruction(fake_b, real_b),
        }

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """The real pair and the pair with the fake of this step."""
        real_a = batch["real_a"]
        on_real, on_fake = together(
            self.networks["discriminator_b"],
            self._pair(real_a, batch["real_b"]),
            self._pair(real_a, cache["fake_b"]),
        )
        loss = discriminator_adversarial(on_real, on_fake, self.config.adversarial)
        return {"adversarial": loss}

    def _pair(self, a: Tensor, b: Tensor) -> Tensor:
        # Changed as one, or a pair would fall apart.
        pair = torch.cat([a, b], dim=1)
        return augment(pair, self.config.augment) if self.training else pair

    @staticmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        real_a = batch["real_a"]
        return {
            "real_a": real_a,
            "fake_b": networks["generator_ab"](real_a),
            "real_b": batch["real_b"],
        }
