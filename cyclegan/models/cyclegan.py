"""CycleGAN: unpaired translation between two domains (Zhu, Park, Isola and Efros 2017)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from cyclegan.config import Strict
from cyclegan.image_pool import ImagePool
from cyclegan.losses import (
    Adversarial,
    discriminator_adversarial,
    generator_adversarial,
    reconstruction,
)
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase
from cyclegan.networks import PatchDiscriminator, ResnetGenerator, UnetGenerator, initialise


@dataclass(frozen=True)
class CycleGANConfig(Strict):
    """The networks and the loss weights."""

    generator: Literal["resnet", "unet"] = "resnet"
    """Architecture of the generators."""
    channels_a: int = 3
    """Channels of domain A: 3 for colour, 1 for grey."""
    channels_b: int = 3
    """Channels of domain B."""
    width: int = 64
    """Channels of the generators' first layer; 64 in the paper."""
    blocks: int = 9
    """Residual blocks; the paper takes 6 for 128 pixels and 9 for 256."""
    upsample: Literal["resize", "bilinear", "transpose"] = "resize"
    """Nearest neighbour or bilinear + convolution, or the paper's transposed convolution."""
    padding: Literal["zeros", "reflect"] = "zeros"
    """How the generators' down- and upsampling convolutions pad."""
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    discriminator_downsamplings: int = 3
    """Stride-2 layers of the discriminators: 3 judges 70x70 pixels, 2 judges 46x46."""
    discriminator_padding: Literal["zeros", "reflect"] = "zeros"
    """How the discriminators pad."""
    adversarial: Adversarial = "least_squares"
    """The adversarial loss."""
    lambda_cycle: float = 10.0
    """Weight of the cycle loss."""
    lambda_identity: float = 5.0
    """Weight of the identity loss; 0 also saves its two forward passes."""
    pool_size: int = 50
    """Generated images remembered for the discriminators; 0 shows them only the newest."""

    def __post_init__(self):
        if self.lambda_identity and self.channels_a != self.channels_b:
            raise ValueError(
                f"the identity loss needs as many channels in A ({self.channels_a}) as in B "
                f"({self.channels_b}); set lambda_identity to 0."
            )
        for name in ("lambda_cycle", "lambda_identity", "pool_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative.")


@final
class CycleGAN(Model):
    """Two generators, two discriminators, and the promise that A→B→A leads back."""

    family = "cyclegan"
    Config = CycleGANConfig
    data = "unpaired"
    translators = {"a2b": "generator_ab", "b2a": "generator_ba"}
    ships = ("generator_ab", "generator_ba")
    presets = {
        # junyanz/pytorch-CycleGAN-and-pix2pix with its defaults: the paper.
        "paper": {
            "model": {"upsample": "transpose", "blocks": 9, "lambda_identity": 5.0},
            "data": {"resize": 286 / 256},
            "training": {"epochs": 200, "decay_from": 0.5},
        },
        # eriklindernoren/PyTorch-GAN; its discriminator halves four times.
        "pytorch-gan": {
            "model": {"upsample": "resize", "discriminator_downsamplings": 4},
            "data": {"resize": 1.12},
            "training": {"epochs": 200, "decay_from": 0.5},
        },
        # A common apples-and-oranges recipe: strong crops, a short run at a constant rate.
        "apples-oranges": {
            "model": {"upsample": "resize", "pool_size": 0},
            "data": {"resize": 1.33},
            "training": {"epochs": 50, "decay_from": 1.0},
        },
        # markhliu/DGAI, chapter 6.
        "dgai": {
            "model": {
                "upsample": "transpose",
                "padding": "reflect",
                "discriminator_padding": "reflect",
                "adversarial": "sigmoid_least_squares",
                "lambda_identity": 0.0,
                "pool_size": 0,
            },
            "data": {"resize": 1.0, "crop": "centre"},
            "training": {
                "epochs": 1,
                "decay_from": 1.0,
                "learning_rate": 1e-5,
                "precision": "fp16",
                "sample_every": 100,
            },
        },
        # Today's advice for one GPU: no checkerboard, no border artefacts, half the precision.
        "fast": {
            "model": {
                "upsample": "bilinear",
                "padding": "reflect",
                "discriminator_padding": "reflect",
            },
            "data": {"zoom": 1.5},
            "training": {"epochs": 100, "precision": "bf16"},
        },
        # What a CPU can do in an evening.
        "tiny": {
            "model": {
                "width": 32,
                "blocks": 6,
                "upsample": "bilinear",
                "padding": "reflect",
                "discriminator_width": 32,
                "discriminator_padding": "reflect",
            },
            "data": {"image_size": 128, "zoom": 1.5},
            "training": {"epochs": 40},
        },
    }

    def __init__(self, config: CycleGANConfig, image_size: int):
        super().__init__(config, image_size)
        self.pool_a = ImagePool(config.pool_size, seed=1)
        self.pool_b = ImagePool(config.pool_size, seed=2)

    @staticmethod
    def builders(config: CycleGANConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        def generator(channels_in: int, channels_out: int) -> nn.Module:
            if config.generator == "unet":
                network = UnetGenerator(channels_in, channels_out, config.width, image_size)
            else:
                network = ResnetGenerator(
                    channels_in,
                    channels_out,
                    config.width,
                    config.blocks,
                    config.upsample,
                    config.padding,
                )
            if image_size % network.multiple or image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; the {config.generator} generator needs a "
                    f"multiple of {network.multiple}, at least {network.minimum}."
                )
            return initialise(network)

        def discriminator(channels: int) -> nn.Module:
            network = PatchDiscriminator(
                channels,
                config.discriminator_width,
                config.discriminator_downsamplings,
                config.discriminator_padding,
            )
            if image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; a discriminator with "
                    f"{config.discriminator_downsamplings} downsamplings needs at least "
                    f"{network.minimum}."
                )
            return initialise(network)

        return {
            "generator_ab": lambda: generator(config.channels_a, config.channels_b),
            "generator_ba": lambda: generator(config.channels_b, config.channels_a),
            "discriminator_a": lambda: discriminator(config.channels_a),
            "discriminator_b": lambda: discriminator(config.channels_b),
        }

    @staticmethod
    def channels(config: CycleGANConfig) -> dict[str, int]:
        return {"a": config.channels_a, "b": config.channels_b}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generators", ("generator_ab", "generator_ba"), self.generator_losses),
            Phase(
                "discriminators", ("discriminator_a", "discriminator_b"), self.discriminator_losses
            ),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Adversarial (eq. 1), cycle (eq. 2) and identity (section 5.2) losses, each A plus B."""
        config, networks = self.config, self.networks
        real_a, real_b = batch["real_a"], batch["real_b"]
        fake_b = networks["generator_ab"](real_a)
        fake_a = networks["generator_ba"](real_b)
        recovered_a = networks["generator_ba"](fake_b)
        recovered_b = networks["generator_ab"](fake_a)
        cache["fake_a"], cache["fake_b"] = fake_a.detach(), fake_b.detach()

        losses = {
            "adversarial": (
                generator_adversarial(networks["discriminator_a"](fake_a), config.adversarial)
                + generator_adversarial(networks["discriminator_b"](fake_b), config.adversarial)
            ),
            "cycle": config.lambda_cycle
            * (reconstruction(recovered_a, real_a) + reconstruction(recovered_b, real_b)),
        }
        if config.lambda_identity:
            identity_a = networks["generator_ba"](real_a)
            identity_b = networks["generator_ab"](real_b)
            losses["identity"] = config.lambda_identity * (
                reconstruction(identity_a, real_a) + reconstruction(identity_b, real_b)
            )
        return losses

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Both discriminators on real images and on fakes from the history of the pools."""
        networks, kind = self.networks, self.config.adversarial
        fake_a, fake_b = self.pool_a(cache["fake_a"]), self.pool_b(cache["fake_b"])
        judge_a, judge_b = networks["discriminator_a"], networks["discriminator_b"]
        loss_a = discriminator_adversarial(judge_a(batch["real_a"]), judge_a(fake_a), kind)
        loss_b = discriminator_adversarial(judge_b(batch["real_b"]), judge_b(fake_b), kind)
        return {"adversarial": loss_a + loss_b}

    @staticmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        real_a, real_b = batch["real_a"], batch["real_b"]
        fake_b = networks["generator_ab"](real_a)
        fake_a = networks["generator_ba"](real_b)
        return {
            "real_a": real_a,
            "fake_b": fake_b,
            "recovered_a": networks["generator_ba"](fake_b),
            "real_b": real_b,
            "fake_a": fake_a,
            "recovered_b": networks["generator_ab"](fake_a),
        }
