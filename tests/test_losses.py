"""The losses against answers worked out by hand."""

from math import log
from typing import Any

import pytest
import torch
from torch import nn

from cyclegan.losses import (
    discriminator_adversarial,
    generator_adversarial,
    luminance_correlation,
    r1_penalty,
    reconstruction,
)

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


def test_r1_of_a_linear_discriminator_is_half_its_squared_weight() -> None:
    weight = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).requires_grad_()
    real = torch.randn(5, 2, 1, 1)
    penalty = r1_penalty(lambda x: (weight * x).sum((1, 2, 3)), real)
    assert penalty.item() == pytest.approx((9 + 16) / 2)
    penalty.backward()
    assert weight.grad is not None
    # d/dw of |w|² / 2 is w.
    torch.testing.assert_close(weight.grad, weight.detach())


def test_r1_depends_on_where_a_curved_discriminator_is() -> None:
    # D(x) = x², so D' = 2x, and the penalty is E[4x²] / 2.
    real = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert r1_penalty(lambda x: x.square().sum((1, 2, 3)), real).item() == pytest.approx(2 * 5.0)
    assert not real.requires_grad


@pytest.mark.parametrize("side", [4, 8, 32])
def test_r1_of_disjoint_patches_is_that_of_one(side: int) -> None:
    """Whatever the size of the image; a discriminator sees it as many small images."""
    patches = nn.Conv2d(3, 1, 4, stride=4)
    expected = patches.weight.square().sum() / 2
    torch.testing.assert_close(r1_penalty(patches, torch.randn(2, 3, side, side)), expected)


def test_r1_is_computed_in_float32_under_autocast() -> None:
    discriminator, real = nn.Conv2d(3, 1, 4), torch.randn(2, 3, 9, 9)
    full = r1_penalty(discriminator, real)
    with torch.autocast("cpu", torch.bfloat16):
        assert discriminator(real).dtype == torch.bfloat16
        low = r1_penalty(discriminator, real)
    assert low.dtype == torch.float32
    assert torch.equal(low, full)


@pytest.mark.parametrize("channels", [1, 3])
def test_luminance_correlation_of_a_picture_and_what_it_became(channels: int) -> None:
    photo = torch.rand(4, channels, 8, 8) * 2 - 1
    for other, answer in (
        (photo, 1.0),
        (photo * 0.5 - 0.3, 1.0),
        (-photo, -1.0),
        (torch.full_like(photo, 0.7), 0.0),
    ):
        correlation = luminance_correlation(photo, other)
        torch.testing.assert_close(correlation, torch.full((4,), answer), rtol=0, atol=1e-4)
    halves = torch.tensor([1.0, 1.0, -1.0, -1.0]).view(1, 1, 1, 4)
    stripes = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 1, 4)
    three = torch.tensor([1.0, 1.0, 1.0, -1.0]).view(1, 1, 1, 4)
    assert luminance_correlation(halves, stripes).item() == pytest.approx(0, abs=1e-6)
    # Means 0 and 1/2, deviations 1 and √3 / 2, covariance 1/2.
    assert luminance_correlation(halves, three).item() == pytest.approx(1 / 3**0.5, abs=1e-4)


def test_luminance_weighs_colours_as_rec_601_does() -> None:
    # From black to one primary: the luminance of each, seen beside a grey ramp of the same levels.
    levels = torch.tensor([0.299, 0.587, 0.114])
    colours = torch.eye(3).view(1, 3, 1, 3)
    grey = levels.view(1, 1, 1, 3)
    assert luminance_correlation(colours, grey).item() == pytest.approx(1, abs=1e-4)
    other = torch.tensor([0.299, 0.114, 0.587]).view(1, 1, 1, 3)
    assert luminance_correlation(colours, other).item() < 0.5


def test_luminance_of_flat_pictures_has_finite_gradients() -> None:
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    (1 - luminance_correlation(flat, torch.rand(1, 3, 4, 4))).mean().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert flat.grad.abs().max() > 0
