"""CycleGAN: unpaired translation between two domains (Zhu, Park, Isola and Efros 2017)."""

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
    attention,
    discriminator_adversarial,
    generator_adversarial,
    luminance_correlation,
    r1_penalty,
    reconstruction,
)
from cyclegan.models.base import Batch, Cache, Model, Networks, Phase, together
from cyclegan.models.recipes import PRESETS
from cyclegan.networks import (
    PatchDiscriminator,
    ProjectedDiscriminator,
    ResnetGenerator,
    UnetGenerator,
    initialise,
)
from cyclegan.pretrained import load_features


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
    norm: Literal["instance", "affine", "batch"] = "instance"
    """Of the generators; "affine" learns a scale and a shift, "batch" wants larger batches."""
    downsample: Literal["stride", "blur"] = "stride"
    """The paper's strided convolutions, or convolution + blur, which aliases less."""
    attention: bool = False
    """Of residual generators: also say where to paint; elsewhere the photo stays as it is."""
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    discriminator_downsamplings: int = 3
    """Stride-2 layers of the discriminators: 3 judges 70x70 pixels, 2 judges 46x46."""
    discriminator_padding: Literal["zeros", "reflect"] = "zeros"
    """How the discriminators pad."""
    discriminator_norm: Literal["instance", "spectral"] = "instance"
    """What keeps the discriminators' layers in scale: the paper's norm, or that of the weights."""
    discriminator_rate: float = 1.0
    """Multiplies the learning rate for the discriminators: two time scales."""
    adversarial: Adversarial = "least_squares"
    """The adversarial loss."""
    lambda_cycle: float = 10.0
    """Weight of the cycle loss."""
    lambda_identity: float = 5.0
    """Weight of the identity loss; 0 also saves its two forward passes."""
    lambda_cycle_end: float | None = None
    """Where the weight of the cycle loss goes, linearly, until the end; by default it stays."""
    lambda_identity_end: float | None = None
    """Where the weight of the identity loss goes, linearly, until the end; by default it stays."""
    lambda_luminance: float = 0.0
    """Weight of a loss that keeps light light and dark dark, for runs that invert."""
    lambda_change: float = 0.0
    """Weight of the mean change, so that what need not change, such as a background, does not."""
    lambda_attention: float = 0.0
    """Weight of what attention should be by --masks, which it needs."""
    lambda_projected: float = 0.0
    """Weight of a second adversarial loss, of discriminators on features of ImageNet's photos."""
    lambda_r1: float = 0.0
    """Weight of the R1 penalty, which flattens discriminators at real images."""
    augment: tuple[Policy, ...] = ()
    """How discriminators see images changed, for data sets of a few hundred photos."""
    pool_size: int = 50
    """Generated images remembered for the discriminators; 0 shows them only the newest."""

    def __post_init__(self):
        if (
            self.lambda_identity or self.lambda_identity_end
        ) and self.channels_a != self.channels_b:
            raise ValueError(
                f"the identity loss needs as many channels in A ({self.channels_a}) as in B "
                f"({self.channels_b}); set lambda_identity to 0."
            )
        if self.attention and self.generator != "resnet":
            raise ValueError("attention is for residual generators; leave it out.")
        if self.lambda_attention and not self.attention:
            raise ValueError("lambda_attention teaches attention; set attention too.")
        for name in ("lambda_cycle", "lambda_identity", "lambda_cycle_end", "lambda_identity_end",
                     "lambda_luminance", "lambda_change", "lambda_attention", "lambda_projected",
                     "lambda_r1", "pool_size"):  # fmt: skip
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if self.discriminator_rate <= 0:
            raise ValueError(f"discriminator_rate is {self.discriminator_rate}; above 0.")


@final
class CycleGAN(Model):
    """Two generators, two discriminators, and the promise that A→B→A leads back."""

    family = "cyclegan"
    Config = CycleGANConfig
    data = "unpaired"
    translators = {"a2b": "generator_ab", "b2a": "generator_ba"}
    ships = ("generator_ab", "generator_ba")
    rows = (("real_a", "fake_b", "recovered_a"), ("real_b", "fake_a", "recovered_b"))
    alarms = ("inversion", "collapse", "identity")
    presets = PRESETS

    def __init__(self, config: CycleGANConfig, image_size: int):
        super().__init__(config, image_size)
        self.pool_a = ImagePool(config.pool_size, seed=1)
        self.pool_b = ImagePool(config.pool_size, seed=2)

    @staticmethod
    def builders(config: CycleGANConfig, image_size: int) -> dict[str, Callable[[], nn.Module]]:
        def generator(channels_in: int, channels_out: int) -> nn.Module:
            if config.generator == "unet":
                network = UnetGenerator(
                    channels_in, channels_out, config.width, image_size, config.norm
                )
            else:
                network = ResnetGenerator(
                    channels_in,
                    channels_out,
                    config.width,
                    config.blocks,
                    config.upsample,
                    config.padding,
                    config.norm,
                    config.downsample,
                    config.attention,
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
                config.discriminator_norm,
            )
            if image_size < network.minimum:
                raise ValueError(
                    f"image_size is {image_size}; a discriminator with "
                    f"{config.discriminator_downsamplings} downsamplings needs at least "
                    f"{network.minimum}."
                )
            return initialise(network)

        def projected(channels: int) -> nn.Module:
            if image_size < ProjectedDiscriminator.minimum:
                raise ValueError(
                    f"image_size is {image_size}; discriminators with lambda_projected need at "
                    f"least {ProjectedDiscriminator.minimum}."
                )
            return initialise(ProjectedDiscriminator(load_features(), channels))

        build: dict[str, Callable[[], nn.Module]] = {
            "generator_ab": lambda: generator(config.channels_a, config.channels_b),
            "generator_ba": lambda: generator(config.channels_b, config.channels_a),
            "discriminator_a": lambda: discriminator(config.channels_a),
            "discriminator_b": lambda: discriminator(config.channels_b),
        }
        if config.lambda_projected:
            build["projected_a"] = lambda: projected(config.channels_a)
            build["projected_b"] = lambda: projected(config.channels_b)
        return build

    @staticmethod
    def channels(config: CycleGANConfig) -> dict[str, int]:
        return {"a": config.channels_a, "b": config.channels_b}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generators", ("generator_ab", "generator_ba"), self.generator_losses),
            Phase(
                "discriminators",
                tuple(name for name in self.networks if not name.startswith("generator")),
                self.discriminator_losses,
                rate=self.config.discriminator_rate,
            ),
        )

    def generator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Adversarial (eq. 1), cycle (eq. 2) and identity (section 5.2) losses, each A plus B."""
        config, networks = self.config, self.networks
        real_a, real_b = batch["real_a"], batch["real_b"]
        fake_b, identity_b, focus_a = self._translated("generator_ab", real_a, real_b)
        fake_a, identity_a, focus_b = self._translated("generator_ba", real_b, real_a)
        recovered_a = networks["generator_ba"](fake_b)
        recovered_b = networks["generator_ab"](fake_a)
        # A fake is laid out as the photo that it was made from, and has that one's mask.
        seen_a, seen_b = _object(fake_a, batch.get("mask_b")), _object(fake_b, batch.get("mask_a"))
        cache["fake_a"], cache["fake_b"] = seen_a.detach(), seen_b.detach()

        judged_a = networks["discriminator_a"](self._shown(seen_a))
        judged_b = networks["discriminator_b"](self._shown(seen_b))
        losses = {
            "adversarial": (
                generator_adversarial(judged_a, config.adversarial)
                + generator_adversarial(judged_b, config.adversarial)
            ),
            "cycle": self._now(config.lambda_cycle, config.lambda_cycle_end)
            * (reconstruction(recovered_a, real_a) + reconstruction(recovered_b, real_b)),
        }
        if identity_a is not None and identity_b is not None:
            losses["identity"] = self._now(config.lambda_identity, config.lambda_identity_end) * (
                reconstruction(identity_a, real_a) + reconstruction(identity_b, real_b)
            )
        if config.lambda_projected:
            losses["projected"] = config.lambda_projected * (
                self._fooled("projected_a", seen_a) + self._fooled("projected_b", seen_b)
            )
        if config.lambda_change:
            losses["change"] = config.lambda_change * (
                reconstruction(fake_b, real_a) + reconstruction(fake_a, real_b)
            )
        if focus_a is not None and focus_b is not None:
            losses["attention"] = config.lambda_attention * (
                attention(focus_a, batch["mask_a"]) + attention(focus_b, batch["mask_b"])
            )
        if config.lambda_luminance:
            # The cycle loss cannot see an inversion which the way back undoes; this one can.
            losses["luminance"] = config.lambda_luminance * (
                (1 - luminance_correlation(fake_b, real_a)).mean()
                + (1 - luminance_correlation(fake_a, real_b)).mean()
            )
        return losses

    def discriminator_losses(self, batch: Batch, cache: Cache) -> dict[str, Tensor]:
        """Both discriminators on real images and on fakes from the history of the pools.

        While training also the R1 penalty, at the real images as they are shown.
        """
        config, losses = self.config, {}
        for side, pool in (("a", self.pool_a), ("b", self.pool_b)):
            judge = self.networks[f"discriminator_{side}"]
            real = self._shown(_object(batch[f"real_{side}"], batch.get(f"mask_{side}")))
            fake = self._shown(pool(cache[f"fake_{side}"]))
            on_real, on_fake = together(judge, real, fake)
            loss = {"adversarial": discriminator_adversarial(on_real, on_fake, config.adversarial)}
            if config.lambda_r1 and self.training:
                # Compiled networks have no gradients of gradients; `forward` is the plain one.
                loss["r1"] = config.lambda_r1 * r1_penalty(judge.forward, real)
            if config.lambda_projected:
                judge = self.networks[f"projected_{side}"]
                pairs = zip(judge(real), judge(fake), strict=True)
                loss["projected"] = torch.stack(
                    [discriminator_adversarial(*pair, kind="hinge") for pair in pairs]
                ).mean()
            losses = {name: losses.get(name, 0.0) + value for name, value in loss.items()}
        return losses

    def _translated(
        self, name: str, real: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Translate `real`, and for the identity loss what is of that domain already.

        Returns both, and the logits of attention on `real`, those that are needed.
        """
        config, network = self.config, cast(ResnetGenerator, self.networks[name])
        identity = bool(config.lambda_identity or config.lambda_identity_end)
        if config.lambda_attention and self.training:
            fake, focus = network.attend(real)
            return fake, network(there) if identity else None, focus
        if identity:
            fake, same = together(network, real, there)
            return fake, same, None
        return network(real), None, None

    def _fooled(self, judge: str, fake: Tensor) -> Tensor:
        """What a generator pays to discriminators on features, in the mean over their scales."""
        judged = self.networks[judge](self._shown(fake))
        return torch.stack([generator_adversarial(pred, "hinge") for pred in judged]).mean()

    def _shown(self, images: Tensor) -> Tensor:
        return augment(images, self.config.augment) if self.training else images

    def _now(self, start: float, end: float | None) -> float:
        """Give a weight that changes over the run; validation keeps the first, to be comparable."""
        if end is None or not self.training:
            return start
        return start + (end - start) * self.progress

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


def _object(images: Tensor, mask: Tensor | None) -> Tensor:
    """What discriminators see: grey where a mask (-1 to 1) says that nothing should change.

    Else they would learn to tell savannas from meadows, which no generator may mend.
    """
    return images if mask is None else images * (mask + 1).clamp(max=1)
