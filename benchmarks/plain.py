"""The reference: CycleGAN's training step as the known code bases share it, and nothing faster.

Eager, float32, NCHW, batch 1; every network is called by itself on every image; Adam as it comes;
every loss is read in every step. What benchmarks and the parity test compare `Learner.step` with.
Discriminators are frozen while generators step, as pytorch-CycleGAN-and-pix2pix does and
PyTorch-GAN does not: the quicker of the two.
"""

import copy
from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor, nn

from cyclegan.image_pool import ImagePool
from cyclegan.networks import layers


class PlainLoop:
    """Two generators, two discriminators, two optimisers.

    Args:
        networks: `generator_ab`, `generator_ba`, `discriminator_a`, `discriminator_b`, which it
            trains in place. Copies of a model's networks start from the same weights.
        learning_rate, beta1, beta2: of Adam.
        lambda_cycle, lambda_identity: weights of the losses.
        pool_size: generated images remembered for each discriminator.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module] | nn.ModuleDict,
        learning_rate: float = 2e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        lambda_cycle: float = 10.0,
        lambda_identity: float = 5.0,
        pool_size: int = 50,
    ):
        self.generator_ab, self.generator_ba = networks["generator_ab"], networks["generator_ba"]
        self.discriminator_a = networks["discriminator_a"]
        self.discriminator_b = networks["discriminator_b"]
        self.lambda_cycle, self.lambda_identity = lambda_cycle, lambda_identity
        self.pool_a, self.pool_b = ImagePool(pool_size, seed=1), ImagePool(pool_size, seed=2)
        self.mse, self.l1 = nn.MSELoss(), nn.L1Loss()

        def adam(*trained: nn.Module) -> torch.optim.Adam:
            parameters = chain(*(network.parameters() for network in trained))
            return torch.optim.Adam(
                parameters, lr=learning_rate, betas=(beta1, beta2), foreach=False, fused=False
            )

        self.generators = adam(self.generator_ab, self.generator_ba)
        self.discriminators = adam(self.discriminator_a, self.discriminator_b)

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Take one step on `real_a` and `real_b`; returns the losses by `Learner.step`'s names."""
        real_a, real_b = batch["real_a"], batch["real_b"]

        self._freeze_discriminators(True)
        self.generators.zero_grad()
        fake_b = self.generator_ab(real_a)
        recovered_a = self.generator_ba(fake_b)
        fake_a = self.generator_ba(real_b)
        recovered_b = self.generator_ab(fake_a)
        adversarial = self._judged(self.discriminator_a, fake_a, 1.0) + self._judged(
            self.discriminator_b, fake_b, 1.0
        )
        cycle = self.lambda_cycle * (self.l1(recovered_a, real_a) + self.l1(recovered_b, real_b))
        identity = self.lambda_identity * (
            self.l1(self.generator_ba(real_a), real_a) + self.l1(self.generator_ab(real_b), real_b)
        )
        (adversarial + cycle + identity).backward()
        self.generators.step()

        self._freeze_discriminators(False)
        self.discriminators.zero_grad()
        judged = []
        for discriminator, pool, real, fake in (
            (self.discriminator_a, self.pool_a, real_a, fake_a),
            (self.discriminator_b, self.pool_b, real_b, fake_b),
        ):
            on_real = self._judged(discriminator, real, 1.0)
            on_fake = self._judged(discriminator, pool(fake.detach()), 0.0)
            loss = (on_real + on_fake) * 0.5
            loss.backward()
            judged.append(loss)
        self.discriminators.step()

        return {
            "generators/adversarial": adversarial.item(),
            "generators/cycle": cycle.item(),
            "generators/identity": identity.item(),
            "discriminators/adversarial": judged[0].item() + judged[1].item(),
        }

    def _judged(self, discriminator: nn.Module, images: Tensor, target: float) -> Tensor:
        judged = discriminator(images)
        return self.mse(judged, torch.full_like(judged, target))

    def _freeze_discriminators(self, frozen: bool) -> None:
        for network in (self.discriminator_a, self.discriminator_b):
            network.requires_grad_(not frozen)


def as_torch_has_them(networks: nn.ModuleDict) -> nn.ModuleDict:
    """Copy networks, with torch's own layers where this package has quicker ones."""
    networks = copy.deepcopy(networks)
    for module in networks.modules():
        if type(module).__module__ == layers.__name__:
            # They add nothing to what they inherit but another `forward`.
            module.__class__ = type(module).__base__
    return networks
