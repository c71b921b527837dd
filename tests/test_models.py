"""What every family promises, and what CycleGAN computes with generators of known answers."""

import pytest
import torch
from torch import nn

from cyclegan.models import FAMILIES, CycleGAN
from cyclegan.models.cyclegan import CycleGANConfig

TINY = CycleGANConfig(width=4, blocks=1, discriminator_width=4)


class Shift(nn.Module):
    """A generator that adds a constant: between domains at 0 and 1 its answers are exact."""

    def __init__(self, by: float):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.by


class Verdict(nn.Module):
    """A discriminator that gives every image its own mean as its logit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return {"real_a": torch.zeros(2, 3, 32, 32), "real_b": torch.ones(2, 3, 32, 32)}


def shifting_model(**settings: object) -> CycleGAN:
    """A CycleGAN whose A is at 0 and B at 1, with perfect generators and readable verdicts."""
    config = CycleGANConfig(width=4, blocks=1, discriminator_width=4, **settings)  # type: ignore[arg-type]
    model = CycleGAN(config, image_size=32)
    model.networks["generator_ab"] = Shift(1.0)
    model.networks["generator_ba"] = Shift(-1.0)
    model.networks["discriminator_a"] = Verdict()
    model.networks["discriminator_b"] = Verdict()
    return model


def test_directions_are_not_swapped(batch):
    model = shifting_model()
    sample = model.sample(model.networks, batch)
    means = {name: images.mean().item() for name, images in sample.items()}
    assert means == {
        "real_a": 0.0,
        "fake_b": 1.0,
        "recovered_a": 0.0,
        "real_b": 1.0,
        "fake_a": 0.0,
        "recovered_b": 1.0,
    }
    assert CycleGAN.translators == {"a2b": "generator_ab", "b2a": "generator_ba"}


def test_generator_losses_are_analytic(batch):
    model = shifting_model(lambda_cycle=10.0, lambda_identity=5.0)
    losses = model.generator_losses(batch, {})
    # Least squares against 1: fake_a has verdict 0, fake_b has verdict 1.
    assert losses["adversarial"].item() == pytest.approx(1.0)
    assert losses["cycle"].item() == pytest.approx(0.0)
    # The generator of A moves a real A from 0 to -1, that of B a real B from 1 to 2.
    assert losses["identity"].item() == pytest.approx(5.0 * 2)

    model.networks["generator_ba"] = Shift(-0.5)
    losses = model.generator_losses(batch, {})
    # 0 → 1 → 0.5 and 1 → 0.5 → 1.5: half a unit off, both ways.
    assert losses["cycle"].item() == pytest.approx(10.0 * (0.5 + 0.5))


def test_discriminator_losses_are_analytic(batch):
    model = shifting_model(pool_size=0)
    cache = {"fake_a": torch.full_like(batch["real_a"], 3.0), "fake_b": batch["real_b"] * 0.5}
    loss = model.discriminator_losses(batch, cache)["adversarial"]
    loss_a = ((0.0 - 1.0) ** 2 + 3.0**2) / 2
    loss_b = ((1.0 - 1.0) ** 2 + 0.5**2) / 2
    assert loss.item() == pytest.approx(loss_a + loss_b)


def test_discriminators_are_shown_older_fakes(batch):
    model = shifting_model(pool_size=1)
    old, new = torch.full_like(batch["real_a"], 7.0), torch.full_like(batch["real_a"], 2.0)
    model.discriminator_losses(batch, {"fake_a": old[:1], "fake_b": old[:1]})
    seen = {
        model.discriminator_losses(batch, {"fake_a": new[:1], "fake_b": new[:1]})["adversarial"]
        .round()
        .item()
        for _ in range(20)
    }
    # With a 7 from the history somewhere, or with 2 and 2 only.
    assert len(seen) > 1


@pytest.mark.parametrize(("weight", "passes"), [(5.0, 3), (0.0, 2)])
def test_without_identity_its_forward_passes_are_saved(batch, weight, passes):
    model = shifting_model(lambda_identity=weight)
    calls = {"generator_ab": 0, "generator_ba": 0}
    for name in calls:

        def count(module, args, name=name):
            calls[name] += 1

        model.networks[name].register_forward_pre_hook(count)
    losses = model.generator_losses(batch, {})
    assert calls == {"generator_ab": passes, "generator_ba": passes}
    assert ("identity" in losses) == (weight > 0)


def test_fakes_reach_the_discriminators_without_a_graph(batch):
    model = CycleGAN(TINY, image_size=32)
    cache: dict[str, torch.Tensor] = {}
    model.generator_losses(batch, cache)
    assert cache and not any(tensor.requires_grad for tensor in cache.values())


@pytest.mark.parametrize(
    ("settings", "image_size", "words"),
    [
        ({}, 30, "image_size is 30"),
        ({"generator": "unet"}, 48, "image_size is 48"),
        ({"discriminator_downsamplings": 4}, 32, "4 downsamplings needs at least 48"),
        ({"discriminator_downsamplings": 5}, 64, "downsamplings is 5"),
        ({"blocks": 0}, 32, "blocks is 0"),
        ({"channels_a": 1}, 32, "identity loss needs as many channels"),
        ({"pool_size": -1}, 32, "pool_size is -1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(settings, image_size, words):
    with pytest.raises(ValueError, match=words):
        CycleGAN(CycleGANConfig(**{"width": 4, **settings}), image_size)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
class TestFamily:
    """The base tester: a new family in the registry is tested without a new line here."""

    def build(self, family):
        small = {"width": 4, "blocks": 1, "discriminator_width": 4}
        return family(family.Config(**small), image_size=32)

    def test_declares_networks_that_exist(self, family):
        model = self.build(family)
        names = set(model.networks)
        assert set(family.ships) <= names
        assert set(family.translators.values()) <= set(family.ships)
        assert {name for phase in model.phases() for name in phase.trains} == names

    def test_every_phase_gives_finite_losses_with_gradients_for_what_it_trains(self, family):
        model, cache = self.build(family), {}
        batch = {f"real_{side}": torch.rand(1, 3, 32, 32) for side in "ab"}
        for phase in model.phases():
            model.zero_grad()
            sum(phase.losses(batch, cache).values()).backward()
            for name in phase.trains:
                parameters = list(model.networks[name].parameters())
                assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)

    def test_samples_have_the_size_of_the_batch(self, family):
        model = self.build(family)
        batch = {f"real_{side}": torch.rand(2, 3, 36, 44) for side in "ab"}
        for name, images in model.sample(model.networks, batch).items():
            assert images.shape == (2, 3, 36, 44), name
            assert images.abs().max() <= 1

    def test_presets_change_settings_that_exist(self, family):
        from cyclegan.cli import parse_training

        for preset, parts in family.presets.items():
            config = parse_training([family.family, "--preset", preset, "--data", "x"])
            for part, values in parts.items():
                for key, value in values.items():
                    assert getattr(getattr(config, part), key) == value, (preset, key)
