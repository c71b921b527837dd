"""The losses against answers worked out by hand."""

from math import log
from typing import Any

import pytest
import torch

from cyclegan.losses import discriminator_adversarial, generator_adversarial, reconstruction

KINDS = ["least_squares", "bce", "hinge", "sigmoid_least_squares"]
L3 = log(3)  # sigmoid(log 3) is 3/4, sigmoid(-log 3) is 1/4


def patches(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("kind", "fake", "answer"),
    [
        ("least_squares", [0.0, 2.0, -1.0, 3.0], (1 + 1 + 4 + 4) / 4),
        ("least_squares", [1.0], 0.0),
        ("bce", [0.0], log(2)),
        ("bce", [L3, -L3], (log(4 / 3) + log(4)) / 2),
        ("hinge", [0.5, 3.0, -1.0], -2.5 / 3),
        ("sigmoid_least_squares", [0.0], 1 / 4),
        ("sigmoid_least_squares", [L3, -L3], (1 / 16 + 9 / 16) / 2),
    ],
)
def test_generator(kind: Any, fake: list[float], answer: float) -> None:
    assert generator_adversarial(patches(fake), kind).item() == pytest.approx(answer, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "real", "fake", "answer"),
    [
        ("least_squares", [3.0, -1.0], [2.0, 0.0], (4 + 2) / 2),
        ("least_squares", [1.0], [0.0], 0.0),
        ("bce", [L3], [L3], (log(4 / 3) + log(4)) / 2),
        ("bce", [L3], [-L3], log(4 / 3)),
        ("hinge", [3.0, -1.0], [2.0, -3.0], (1 + 1.5) / 2),
        ("hinge", [1.0], [-1.0], 0.0),
        ("sigmoid_least_squares", [L3], [-L3], 1 / 16),
        ("sigmoid_least_squares", [L3], [L3], (1 / 16 + 9 / 16) / 2),
    ],
)
def test_discriminator(kind: Any, real: list[float], fake: list[float], answer: float) -> None:
    loss = discriminator_adversarial(patches(real), patches(fake), kind)
    assert loss.item() == pytest.approx(answer, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sides_pull_apart(kind: Any) -> None:
    """The discriminator raises its logits on real and lowers them on fake; the generator raises."""
    real, fake = patches([0.2]).requires_grad_(), patches([0.2]).requires_grad_()
    discriminator_adversarial(real, fake, kind).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.item() < 0 < fake.grad.item()
    fooled = patches([0.2]).requires_grad_()
    generator_adversarial(fooled, kind).backward()
    assert fooled.grad is not None
    assert fooled.grad.item() < 0


def test_least_squares_is_the_default() -> None:
    assert generator_adversarial(patches([3.0])).item() == 4
    assert discriminator_adversarial(patches([3.0]), patches([2.0])).item() == 4


def test_reconstruction() -> None:
    output = torch.tensor([1.0, -1.0, 0.5, 0.5])
    target = torch.tensor([0.0, 1.0, 0.5, -0.5])
    assert reconstruction(output, target).item() == 1.0
    assert reconstruction(target, output).item() == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_computed_in_float32(kind: Any) -> None:
    real, fake = (torch.randn(2, 1, 30, 30).bfloat16() for _ in range(2))
    for low, full in (
        (generator_adversarial(fake, kind), generator_adversarial(fake.float(), kind)),
        (
            discriminator_adversarial(real, fake, kind),
            discriminator_adversarial(real.float(), fake.float(), kind),
        ),
        (reconstruction(fake, real), reconstruction(fake.float(), real.float())),
    ):
        assert low.dtype == torch.float32
        assert torch.equal(low, full)


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_stay_finite(kind: Any) -> None:
    extreme = patches([1e4, -1e4])
    assert generator_adversarial(extreme, kind).isfinite()
    assert discriminator_adversarial(extreme, -extreme, kind).isfinite()
