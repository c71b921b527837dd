"""What CycleGAN computes, with generators of known answers."""

import pytest
import torch
from torch import nn
from trainings import assert_equal_runs, stop_after, trainer

from cyclegan.models import CycleGAN
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
            calls[name] += len(args[0]) // len(batch["real_a"])

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
        ({"lambda_r1": -1.0}, 32, "lambda_r1 is -1"),
        ({"lambda_luminance": -1.0}, 32, "lambda_luminance is -1"),
        ({"lambda_cycle_end": -1.0}, 32, "lambda_cycle_end is -1"),
        ({"discriminator_rate": 0.0}, 32, "discriminator_rate is 0"),
        ({"channels_a": 1, "lambda_identity": 0, "lambda_identity_end": 1.0}, 32, "identity loss"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(settings, image_size, words):
    with pytest.raises(ValueError, match=words):
        CycleGAN(CycleGANConfig(**{"width": 4, **settings}), image_size)


def test_weights_change_linearly_over_the_run(batch):
    model = shifting_model(
        lambda_cycle=10.0, lambda_cycle_end=2.0, lambda_identity=0.0, lambda_identity_end=4.0
    )
    model.networks["generator_ba"] = Shift(-0.5)
    # Recovered half a unit off both ways; the identities are 0 → -0.5 and 1 → 2.
    for progress, cycle, identity in ((0.0, 10, 0), (0.25, 8, 1), (0.5, 6, 2), (1.0, 2, 4)):
        model.progress = progress
        losses = model.generator_losses(batch, {})
        assert losses["cycle"].item() == pytest.approx(cycle * (0.5 + 0.5))
        assert losses["identity"].item() == pytest.approx(identity * (0.5 + 1.0))
    # Validation keeps the first weights: else its losses would fall with them.
    assert model.eval().generator_losses(batch, {})["cycle"].item() == pytest.approx(10.0)


def test_without_an_end_weights_stay(batch):
    model = shifting_model()
    before = {name: loss.item() for name, loss in model.generator_losses(batch, {}).items()}
    model.progress = 0.7
    after = {name: loss.item() for name, loss in model.generator_losses(batch, {}).items()}
    assert after == before


class Negative(nn.Module):
    """A generator that inverts, which its twin undoes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x


def test_an_inversion_that_the_way_back_undoes_is_seen_by_the_luminance_loss_alone():
    model = shifting_model(lambda_luminance=3.0)
    photos = {f"real_{side}": torch.rand(2, 3, 32, 32) * 2 - 1 for side in "ab"}
    for way, answer in ((Negative(), 3.0 * 2 * 2), (Shift(0.1), 0.0)):
        model.networks["generator_ab"] = model.networks["generator_ba"] = way
        losses = model.generator_losses(photos, {})
        assert losses["luminance"].item() == pytest.approx(answer, abs=1e-3)
    model.networks["generator_ab"] = model.networks["generator_ba"] = Negative()
    assert model.generator_losses(photos, {})["cycle"].item() == 0
    assert "luminance" not in shifting_model().generator_losses(photos, {})


def test_the_r1_penalty_is_logged_beside_what_it_is_added_to(batch):
    model = shifting_model(lambda_r1=10.0, pool_size=0)
    cache = {"fake_a": batch["real_a"], "fake_b": batch["real_b"]}
    losses = model.discriminator_losses(batch, cache)
    # Verdict is the mean of 3 · 32 · 32 values: its slope there is 1 / 3072 everywhere.
    assert losses["r1"].item() == pytest.approx(2 * 10.0 / 2 / 3072)
    plain = shifting_model(pool_size=0).discriminator_losses(batch, cache)
    assert losses["adversarial"].item() == plain["adversarial"].item()
    assert set(plain) == {"adversarial"}


def test_the_rate_of_the_discriminators():
    rates = {phase.name: phase.rate for phase in shifting_model(discriminator_rate=2.5).phases()}
    assert rates == {"generators": 1.0, "discriminators": 2.5}


class Recorder(Verdict):
    """A discriminator that remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(x.detach())
        return super().forward(x)


def test_discriminators_see_reals_and_fakes_changed_in_both_phases_only_while_training(batch):
    model = shifting_model(augment=("color",), pool_size=0)
    photos = {name: torch.rand_like(images) for name, images in batch.items()}
    for training in (True, False):
        model.train(training)
        judges = [Recorder(), Recorder()]
        model.networks["discriminator_a"], model.networks["discriminator_b"] = judges
        cache: dict[str, torch.Tensor] = {}
        before = torch.get_rng_state()
        for phase in model.phases():
            phase.losses(photos, cache)
        for side, judge in zip("ab", judges, strict=True):
            plain = [cache[f"fake_{side}"], photos[f"real_{side}"], cache[f"fake_{side}"]]
            # In the second phase, real images and fakes are judged in one call.
            seen = torch.cat(judge.shown).split(len(plain[0]))
            for shown, image in zip(seen, plain, strict=True):
                assert torch.equal(shown, image) != training
        assert torch.equal(before, torch.get_rng_state()) != training
        # What a generator made is what the next phase, the pool and the cycle get: unchanged.
        assert torch.equal(cache["fake_b"], photos["real_a"] + 1)


def test_generators_learn_through_the_augmentation(batch):
    model = shifting_model(augment=("color", "translation", "cutout"))
    model.generator_losses(batch, {})["adversarial"].backward()
    for name in ("generator_ab", "generator_ba"):
        gradient = model.networks[name].by.grad
        assert gradient is not None and gradient.isfinite() and gradient != 0


EVERY_OPTION = (
    "--augment color translation cutout --lambda-r1 0.1 --discriminator-norm spectral "
    "--discriminator-rate 2 --lambda-cycle-end 1 --lambda-identity-end 0 --lambda-luminance 1 "
    "--cache ram"
).split()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_with_every_option_two_and_two_steps_equal_four(photos, tmp_path, precision):
    def run(out):
        return trainer(photos, out, "--steps", "4", "--precision", precision, *EVERY_OPTION)

    run(tmp_path / "whole").run()
    stop_after(run(tmp_path / "halves"), 2)
    torch.manual_seed(99)
    run(tmp_path / "halves").run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")
