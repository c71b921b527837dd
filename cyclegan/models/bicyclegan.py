"""BicycleGAN: paired translation with many answers (Zhu, Zhang, Pathak et al. 2017)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cyclegan.config import Strict
from cyclegan.losses import (
    Adversarial,
    discriminator_adversarial,
    generator_adversarial,
    kl_divergence,
    reconstruction,
)
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase, fixed_noise
from cyclegan.networks import (
    LatentEncoder,
    MultiscaleDiscriminator,
    UnetGenerator,
    initialise,
)


@dataclass(frozen=True)
class BicycleGANConfig(Strict):
    """The networks and the loss weights."""

    channels_a: int = 3
    """Channels of domain A: 3 for colour, 1 for grey."""
    channels_b: int = 3
    """Channels of domain B."""
    latent: int = 8
    """Length of z, which chooses among the answers."""
    inject: Literal["all", "input"] = "all"
    """Where z joins the generator: at every level on the way down, or with the image only."""
    encoder: Literal["resnet", "conv", "doubling", "none"] = "resnet"
    """Architecture of the encoder, which finds the z of an image; "none" is for generators that
    came without one, and cannot be trained."""
    encoder_levels: int | None = None
    """How often the encoder halves the image; by default until 4 pixels are left of a side."""
    width: int = 64
    """Channels of the generator's first layer."""
    encoder_width: int = 64
    """Channels of the encoder's first layer."""
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    discriminator_downsamplings: int = 3
    """Stride-2 layers of the discriminators: 3 judges 70x70 pixels, 2 judges 46x46."""
    scales: int = 2
    """At how many scales each discriminator judges."""
    adversarial: Adversarial = "least_squares"
    """The adversarial loss."""
    lambda_l1: float = 10.0
    """Weight of the difference between an image and what its own z makes."""
    lambda_kl: float = 0.01
    """Weight of the distance of the encoder's z from N(0, 1)."""
    lambda_latent: float = 0.5
    """Weight of finding a drawn z again in what it made."""

    def __post_init__(self):
        for name in ("lambda_l1", "lambda_kl", "lambda_latent"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if self.latent < 1:
            raise ValueError(f"latent is {self.latent}; it must be at least 1.")


@final
class BicycleGAN(Model):
    """B → z → B (a variational autoencoder) and z → B → z (a latent regressor), as one."""

    family = "bicyclegan"
    Config = BicycleGANConfig
    data = "paired"
    translators = {"a2b": "generator_ab"}
    encoder = "encoder_b"
    ships = ("generator_ab", "encoder_b")
    rows = (("real_a", "real_b", "encoded_b", "random_b", "other_b", "third_b"),)
    alarms = ("collapse",)
    defaults = {"data": {"resize": 286 / 256}, "training": {"epochs": 60}}
    presets = {
        "paper": {},
        # What a CPU can do in an evening.
        "tiny": {
            "model": {
                "width": 32,
                "encoder_width": 32,
                "discriminator_width": 32,
                "discriminator_downsamplings": 2,
            },
            "data": {"image_size": 64},
            "training": {"epochs": 40, "batch_size": 4},
        },
    }

    def __init__(self, config: BicycleGANConfig, image_size: int):
        if config.encoder == "none":
            raise ValueError("encoder is none; to train, choose resnet, conv or doubling.")
        super().__init__(config, image_size)

    @staticmethod
    def builders(config: BicycleGANConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        def generator() -> nn.Module:
            ends = config.channels_a, config.channels_b, config.width
            network = UnetGenerator(*ends, image_size, latent=config.latent, inject=config.inject)
            return initialise(network)

        def encoder() -> nn.Module:
            assert config.encoder != "none"
            levels = config.encoder_levels or max(2, image_size.bit_length() - 3)
            return initialise(
                LatentEncoder(
                    config.channels_b, config.latent, config.encoder_width, levels, config.encoder
                )
            )

        def discriminator() -> nn.Module:
            network = MultiscaleDiscriminator(
                config.channels_b,
                config.discriminator_width,
                config.scales,
                config.discriminator_downsamplings,
            )
            if image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; discriminators with {config.scales} scales and "
                    f"{config.discriminator_downsamplings} downsamplings need at least "
                    f"{network.minimum}."
                )
            return initialise(network)

        build = {
            "generator_ab": generator,
            "encoder_b": encoder,
            "discriminator_vae": discriminator,
            "discriminator_latent": discriminator,
        }
        if config.encoder == "none":
            del build["encoder_b"]
        return build

    @staticmethod
    def channels(config: BicycleGANConfig) -> dict[str, int]:
        return {"a": config.channels_a, "b": config.channels_b}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generator", ("generator_ab", "encoder_b"), self.generator_losses),
            Phase(
                "discriminators",
                ("discriminator_vae", "discriminator_latent"),
                self.discriminator_losses,
            ),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Adversarial of both halves, L1, KL and latent L1 (eq. 2 to 8)."""
        config, networks = self.config, self.networks
        real_a, real_b = batch["real_a"], batch["real_b"]
        generator, encoder = networks["generator_ab"], networks["encoder_b"]

        mean, log_variance = encoder(real_b)
        noise = self.noise(2 * len(real_a), config.latent, real_a)
        drawn, random_z = noise.chunk(2)
        # The reparameterisation of Kingma and Welling (2014).
        encoded_b = generator(real_a, mean + drawn * (log_variance / 2).exp())
        random_b = generator(real_a, random_z)
        cache["encoded_b"], cache["random_b"] = encoded_b.detach(), random_b.detach()

        # Fixed, or encoder and generator would hide z in the image (section 3.4 of the paper).
        fixed = {name: value.detach() for name, value in encoder.named_parameters()}
        found_z, _ = functional_call(encoder, fixed, (random_b,))
        return {
            "adversarial_vae": self._fooled("discriminator_vae", encoded_b),
            "adversarial_latent": self._fooled("discriminator_latent", random_b),
            "l1": config.lambda_l1 * reconstruction(encoded_b, real_b),
            "kl": config.lambda_kl * kl_divergence(mean, log_variance),
            "latent": config.lambda_latent * reconstruction(found_z, random_z),
        }

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Each discriminator on real images and on the fakes of its half."""
        losses = {}
        for half, fake in (("vae", cache["encoded_b"]), ("latent", cache["random_b"])):
            judge = self.networks[f"discriminator_{half}"]
            pairs = zip(judge(batch["real_b"]), judge(fake), strict=True)
            losses[f"adversarial_{half}"] = torch.stack(
                [discriminator_adversarial(*pair, self.config.adversarial) for pair in pairs]
            ).sum()
        return losses

    def _fooled(self, judge: str, fake: Tensor) -> Tensor:
        kind = self.config.adversarial
        judged = self.networks[judge](fake)
        return torch.stack([generator_adversarial(pred, kind) for pred in judged]).sum()

    @staticmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        real_a, real_b = batch["real_a"], batch["real_b"]
        generator = cast(UnetGenerator, networks["generator_ab"])
        drawn = [fixed_noise(1, generator.latent, real_a, seed) for seed in range(3)]
        answers = [generator(real_a, z.expand(len(real_a), -1)) for z in drawn]
        mean, _ = networks["encoder_b"](real_b)
        return {
            "real_a": real_a,
            "real_b": real_b,
            "encoded_b": generator(real_a, mean),
            "random_b": answers[0],
            "other_b": answers[1],
            "third_b": answers[2],
        }

    @staticmethod
    @torch.no_grad()
    def measure(networks: Networks, batch: Batch) -> dict[str, float]:
        """How far apart the answers to one image are: as a share of the value range.

        `answers` is the mean absolute difference over all pairs of 8 drawn z, averaged over the
        batch; `answers_fixed` the same for one z given 8 times, which has to be 0.
        """
        generator, real_a = cast(UnetGenerator, networks["generator_ab"]), batch["real_a"]
        drawn = fixed_noise(8, generator.latent, real_a)
        found = {}
        for name, codes in (("answers", drawn), ("answers_fixed", drawn[:1].expand(8, -1))):
            made = torch.stack([generator(real_a, z.expand(len(real_a), -1)) for z in codes])
            first, second = torch.combinations(torch.arange(len(codes))).unbind(1)
            found[name] = float((made[first] - made[second]).abs().mean() / 2)
        return found
