"""What pix2pix, BicycleGAN, DCGAN and CUT compute, with networks of known answers."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from cyclegan.losses import kl_divergence, patch_contrast
from cyclegan.models.bicyclegan import BicycleGAN, BicycleGANConfig
from cyclegan.models.cut import CUT, CUTConfig
from cyclegan.models.dcgan import DCGAN, DCGANConfig
from cyclegan.models.pix2pix import Pix2Pix, Pix2PixConfig
from cyclegan.networks import (
    DcganGenerator,
    LatentEncoder,
    MultiscaleDiscriminator,
    ResnetGenerator,
    UnetGenerator,
)


class Shift(nn.Module):
    def __init__(self, by: float):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x, z=None):
        return x + self.by


class Verdict(nn.Module):
    """Judges by the mean of what it is shown."""

    def forward(self, x):
        return x.mean(dim=(1, 2, 3))


# --- losses


def test_the_kl_divergence_is_that_of_gaussians():
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0
    # One unit of mean costs a half for each of three dimensions; a variance of e, (e - 2) / 2.
    assert kl_divergence(torch.ones(2, 3), torch.zeros(2, 3)).item() == pytest.approx(1.5)
    expected = 3 * (torch.e - 2) / 2
    assert kl_divergence(torch.zeros(2, 3), torch.ones(2, 3)).item() == pytest.approx(expected)


def test_patch_contrast_of_unit_vectors():
    axes = torch.eye(4)[None]
    right = patch_contrast(axes, axes, temperature=0.5).item()
    assert right == pytest.approx(-torch.log_softmax(torch.tensor([2.0, 0, 0, 0]), 0)[0].item())
    wrong = patch_contrast(axes, axes.roll(1, 1), temperature=0.5).item()
    assert wrong == pytest.approx(right + 2.0)
    # Places of other images are not compared.
    pair = torch.cat([axes, axes])
    assert patch_contrast(pair, pair, temperature=0.5).item() == pytest.approx(right)


# --- pix2pix


def pair_batch():
    return {"real_a": torch.zeros(2, 3, 32, 32), "real_b": torch.ones(2, 3, 32, 32)}


def test_pix2pix_judges_pairs():
    config = Pix2PixConfig(width=4, discriminator_width=4, adversarial="least_squares")
    model = Pix2Pix(config, 32)
    model.networks["generator_ab"] = Shift(0.5)
    model.networks["discriminator_b"] = Verdict()
    cache = {}
    losses = model.generator_losses(pair_batch(), cache)
    # Six channels, half of them at 0 and half at 0.5; 100 times half a unit off.
    assert losses["adversarial"].item() == pytest.approx((0.25 - 1) ** 2)
    assert losses["l1"].item() == pytest.approx(50)
    judged = model.discriminator_losses(pair_batch(), cache)["adversarial"].item()
    assert judged == pytest.approx(((0.5 - 1) ** 2 + 0.25**2) / 2)


def test_dropout_is_the_noise_of_pix2pix_and_only_while_training():
    torch.manual_seed(0)
    network = UnetGenerator(width=4, image_size=32, dropout=True)
    x = torch.rand(1, 3, 32, 32)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


# --- BicycleGAN


def tiny_bicycle(**settings):
    torch.manual_seed(1)
    config = BicycleGANConfig(
        width=4, encoder_width=4, discriminator_width=4, discriminator_downsamplings=2, latent=3,
        **settings,
    )  # fmt: skip
    return BicycleGAN(config, 32)


# Which networks learn from each term: the encoder, for one, not from the z that it found again.
LEARNS = {
    "adversarial_vae": {"generator_ab", "encoder_b"},
    "adversarial_latent": {"generator_ab"},
    "l1": {"generator_ab", "encoder_b"},
    "kl": {"encoder_b"},
    "latent": {"generator_ab"},
}


@pytest.mark.parametrize("term", LEARNS)
def test_exactly_the_right_networks_learn_from_a_term_of_bicyclegan(term):
    model = tiny_bicycle()
    for name, network in model.networks.items():
        network.requires_grad_(name in ("generator_ab", "encoder_b"))
    batch = {name: torch.rand(2, 3, 32, 32) for name in ("real_a", "real_b")}
    model.generator_losses(batch, {})[term].backward()
    learned = {
        name
        for name, network in model.networks.items()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    }
    assert learned == LEARNS[term]


@pytest.mark.parametrize("half", ["vae", "latent"])
def test_each_discriminator_of_bicyclegan_learns_from_its_half_alone(half):
    model, cache = tiny_bicycle(), {}
    batch = {name: torch.rand(2, 3, 32, 32) for name in ("real_a", "real_b")}
    model.generator_losses(batch, cache)
    model.zero_grad()
    model.discriminator_losses(batch, cache)[f"adversarial_{half}"].backward()
    learned = {
        name
        for name, n in model.networks.items()
        if any(p.grad is not None for p in n.parameters())
    }
    assert learned == {f"discriminator_{half}"}


def test_bicyclegan_terms_are_weighted():
    one, two = (tiny_bicycle(lambda_l1=l1, lambda_kl=kl, lambda_latent=la)
                for l1, kl, la in ((1.0, 1.0, 1.0), (10.0, 0.01, 0.5)))  # fmt: skip
    batch = {name: torch.rand(2, 3, 32, 32) for name in ("real_a", "real_b")}
    first, second = one.eval().generator_losses(batch, {}), two.eval().generator_losses(batch, {})
    for term, factor in (("l1", 10), ("kl", 0.01), ("latent", 0.5), ("adversarial_vae", 1)):
        assert second[term].item() == pytest.approx(factor * first[term].item(), rel=1e-5), term


def test_answers_differ_with_z_and_are_one_with_z_fixed():
    model = tiny_bicycle().eval()
    found = model.measure(model.networks, {"real_a": torch.rand(2, 3, 32, 32)})
    assert found["answers"] > 0
    assert found["answers_fixed"] == 0


def test_the_diversity_of_known_answers():
    class Painter(nn.Module):
        latent = 1

        def forward(self, x, z):
            return torch.zeros_like(x) + z[:, :, None, None].sign()

    painted = BicycleGAN.measure({"generator_ab": Painter()}, {"real_a": torch.zeros(1, 3, 4, 4)})
    # Black and white are the whole value range apart; count the unlike pairs of eight drawn signs.
    from cyclegan.models.base import fixed_noise

    signs = fixed_noise(8, 1, torch.zeros(1)).sign().flatten()
    unlike = sum(a != b for i, a in enumerate(signs) for b in signs[i + 1 :])
    assert painted["answers"] == pytest.approx(float(unlike) / 28)


@pytest.mark.parametrize("inject", ["all", "input"])
def test_z_reaches_the_output_wherever_it_is_injected(inject):
    network = UnetGenerator(width=4, image_size=32, latent=2, inject=inject)
    x, z = torch.rand(1, 3, 32, 32), torch.randn(1, 2, requires_grad=True)
    network(x, z).sum().backward()
    assert z.grad is not None and (z.grad != 0).all()
    assert torch.equal(network(x), network(x, torch.zeros(1, 2)))
    joined = [layers[-1 if i == 0 else 1].in_channels for i, layers in enumerate(network.down)]
    plain = UnetGenerator(width=4, image_size=32)
    before = [layers[-1 if i == 0 else 1].in_channels for i, layers in enumerate(plain.down)]
    added = [2] * len(before) if inject == "all" else [2, *[0] * (len(before) - 1)]
    assert [a - b for a, b in zip(joined, before, strict=True)] == added


@pytest.mark.parametrize("kind", ["resnet", "conv"])
@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_encoders_take_images_of_any_shape(kind, size):
    mean, log_variance = LatentEncoder(width=4, levels=4, kind=kind, latent=5)(
        torch.rand(2, 3, *size)
    )
    assert mean.shape == log_variance.shape == (2, 5)


def test_discriminators_judge_at_every_scale():
    judged = MultiscaleDiscriminator(width=4, scales=3, downsamplings=2)(torch.rand(1, 3, 64, 64))
    assert [pred.shape[-1] for pred in judged] == [13, 5, 1]


# --- DCGAN


@pytest.mark.parametrize("size", [32, 64, 128])
def test_dcgan_makes_images_of_its_size(size):
    model = DCGAN(DCGANConfig(width=2, discriminator_width=2, latent=7), size)
    made = model.networks["generator"](torch.randn(3, 7))
    assert made.shape == (3, 3, size, size)
    assert model.networks["discriminator"](made).shape == (3,)


def test_dcgan_refuses_other_sizes():
    with pytest.raises(ValueError, match="image_size is 48; choose 32, 64 or 128"):
        DCGAN(DCGANConfig(), 48)


def test_the_paper_s_generator_has_the_parameters_of_the_paper_s_table():
    # 100 → 1024 → 512 → 256 → 128 → 3 with kernels of 4: weights, norms, and the last bias.
    network = DcganGenerator(latent=100, width=128, image_size=64)
    widths = [100, 1024, 512, 256, 128, 3]
    weights = sum(16 * a * b for a, b in pairwise(widths))
    norms = 2 * sum(widths[1:-1])
    assert sum(p.numel() for p in network.parameters()) == weights + norms + 3


def test_dcgan_losses_are_those_of_the_first_paper():
    model = DCGAN(DCGANConfig(width=2, discriminator_width=2), 32)
    grey = nn.Linear(100, 3 * 32 * 32)
    nn.init.zeros_(grey.weight)
    nn.init.zeros_(grey.bias)
    model.networks["generator"] = nn.Sequential(grey, nn.Unflatten(1, (3, 32, 32)))
    model.networks["discriminator"] = Verdict()
    cache, batch = {}, {"real_a": torch.full((2, 3, 32, 32), 2.0)}
    losses = model.generator_losses(batch, cache), model.discriminator_losses(batch, cache)
    # Grey gets the logit 0, the real images 2.
    fooled, judged = (loss["adversarial"].item() for loss in losses)
    assert fooled == pytest.approx(math.log(2), rel=1e-5)
    assert judged == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2, rel=1e-5)


# --- CUT


def test_cut_compares_places_and_not_colours():
    torch.manual_seed(0)
    model = CUT(
        CUTConfig(width=4, blocks=2, discriminator_width=4, discriminator_downsamplings=2), 32
    )
    photo, other = torch.rand(2, 1, 3, 32, 32)
    same, unlike = (model.eval()._contrast(output, photo).item() for output in (photo, other))
    assert same < unlike


class Pixels(nn.Module):
    """A generator that changes nothing, whose features are the pixels; it remembers its inputs."""

    def __init__(self):
        super().__init__()
        self.given: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(x)
        return x

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]


@pytest.mark.parametrize("flips", [True, False])
def test_fastcut_compares_half_of_the_photos_mirrored_with_them_mirrored_back(flips):
    config = CUTConfig(
        **{"width": 4, "blocks": 1, "discriminator_width": 4, "discriminator_downsamplings": 2},
        **{"lambda_identity": 0.0, "patches": 32 * 32, "flip_equivariance": flips},
    )
    model = CUT(config, 32)
    model.networks["generator_ab"], model.networks["projections"] = Pixels(), nn.Identity()
    batch = {"real_a": torch.rand(1, 3, 32, 32), "real_b": torch.rand(1, 3, 32, 32)}
    losses = [model.generator_losses(batch, {})["contrast"].item() for _ in range(20)]
    assert max(losses) == pytest.approx(min(losses), rel=1e-4)
    photo, given = batch["real_a"], model.networks["generator_ab"].given
    assert all(torch.equal(x, photo) or torch.equal(x, photo.flip(3)) for x in given)
    assert (0 < sum(torch.equal(x, photo) for x in given) < 20) == flips
    # In evaluation mode nothing is left to chance.
    model.eval().generator_losses(batch, {})
    assert torch.equal(given[-1], photo)


def test_the_identity_of_cut_is_that_of_b():
    config = CUTConfig(width=4, blocks=1, discriminator_width=4, discriminator_downsamplings=2)
    model = CUT(config, 32).eval()
    batch = {"real_a": torch.rand(1, 3, 32, 32), "real_b": torch.rand(1, 3, 32, 32)}
    losses = model.generator_losses(batch, {})
    swapped = model.generator_losses({"real_a": batch["real_b"], "real_b": batch["real_b"]}, {})
    assert losses["identity"].item() == pytest.approx(swapped["contrast"].item())


def test_features_are_as_wide_as_they_say():
    for blocks in (1, 2, 6, 9):
        network = ResnetGenerator(width=4, blocks=blocks)
        found = network.features(torch.rand(1, 3, 32, 32))
        assert tuple(f.shape[1] for f in found) == ResnetGenerator.feature_channels(3, 4, blocks)
