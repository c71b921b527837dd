"""DCGAN: images from noise (Radford, Metz and Chintala 2016)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from cyclegan.augment import Policy, augment
from cyclegan.config import Strict
from cyclegan.losses import Adversarial, discriminator_adversarial, generator_adversarial
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase, fixed_noise
from cyclegan.networks import DcganDiscriminator, DcganGenerator, initialise


@dataclass(frozen=True)
class DCGANConfig(Strict):
    """The networks and the loss."""

    channels: int = 3
    """Channels of the images: 3 for colour, 1 for grey."""
    latent: int = 100
    """Length of z."""
    width: int = 64
    """Channels of the generator before its last layer."""
    upsample: Literal["transpose", "resize"] = "transpose"
    """The paper's transposed convolutions, or PyTorch-GAN's small network."""
    discriminator_width: int = 64
    """Channels of the discriminator after its first layer."""
    adversarial: Adversarial = "bce"
    """The adversarial loss."""
    augment: tuple[Policy, ...] = ()
    """How the discriminator sees images changed, for data sets of a few hundred pictures."""


@final
class DCGAN(Model):
    """A generator that was never shown an image, and a discriminator that was."""

    family = "dcgan"
    Config = DCGANConfig
    data = "single"
    generator = "generator"
    ships = ("generator",)
    rows = (("fake_a",),)
    probes = 16
    # The paper's recipe; batch norm needs batches.
    defaults = {
        "data": {"image_size": 64, "resize": 1.0},
        "training": {"batch_size": 64, "decay_from": 1.0, "epochs": 100},
    }
    presets = {
        "paper": {"training": {"batch_size": 128}},
        # What a CPU can do in an hour.
        "tiny": {
            "model": {"width": 32, "discriminator_width": 32},
            "data": {"image_size": 64},
            "training": {"batch_size": 32, "epochs": 60},
        },
    }

    @staticmethod
    def builders(config: DCGANConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        return {
            "generator": lambda: initialise(
                DcganGenerator(
                    config.latent, config.channels, config.width, image_size, config.upsample
                )
            ),
            "discriminator": lambda: initialise(
                DcganDiscriminator(config.channels, config.discriminator_width, image_size)
            ),
        }

    @staticmethod
    def channels(config: DCGANConfig) -> dict[str, int]:
        return {"a": config.channels}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generator", ("generator",), self.generator_losses),
            Phase("discriminator", ("discriminator",), self.discriminator_losses),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """The non-saturating loss on as many fakes as the batch has images."""
        real = batch["real_a"]
        fake = self.networks["generator"](self.noise(len(real), self.config.latent, real))
        cache["fake_a"] = fake.detach()
        judged = self.networks["discriminator"](self._shown(fake))
        return {"adversarial": generator_adversarial(judged, self.config.adversarial)}

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Real images and the fakes of this step, as two batches: batch norm tells them apart."""
        judge = self.networks["discriminator"]
        real, fake = self._shown(batch["real_a"]), self._shown(cache["fake_a"])
        loss = discriminator_adversarial(judge(real), judge(fake), self.config.adversarial)
        return {"adversarial": loss}

    def _shown(self, images: Tensor) -> Tensor:
        return augment(images, self.config.augment) if self.training else images

    @staticmethod
    def sample(networks: Networks, batch: Batch) -> dict[str, Tensor]:
        generator, real = networks["generator"], batch["real_a"]
        assert isinstance(generator, DcganGenerator)
        return {"fake_a": generator(fixed_noise(len(real), generator.latent, real))}
