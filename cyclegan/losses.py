"""Losses: small pure functions of predictions.

Predictions are raw logits of any shape; every loss is a scalar mean. Expectations over patches and
over the batch are one mean, as in the reference implementation. All are computed in float32, also
where mixed precision hands in less.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Adversarial = Literal["least_squares", "bce", "hinge", "sigmoid_least_squares"]


def generator_adversarial(fake_pred: Tensor, kind: Adversarial = "least_squares") -> Tensor:
    """What a generator pays when the discriminator recognises its images.

    least_squares: E[(D(fake) - 1)²] (Mao et al. 2017); bce: E[-log σ(D(fake))], the non-saturating
    loss (Goodfellow et al. 2014); hinge: -E[D(fake)] (Lim and Ye 2017); sigmoid_least_squares:
    least squares on σ(D(fake)), as some tutorials train it.
    """
    if kind == "hinge":
        return -fake_pred.float().mean()
    return _towards(fake_pred, 1.0, kind)


def discriminator_adversarial(
    real_pred: Tensor, fake_pred: Tensor, kind: Adversarial = "least_squares"
) -> Tensor:
    """What a discriminator pays for its mistakes: the mean of its losses on real and on fake.

    The half slows the discriminator relative to the generator (Zhu et al. 2017, section 4). For
    hinge: (E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))]) / 2.
    """
    if kind == "hinge":
        real_pred, fake_pred = real_pred.float(), fake_pred.float()
        return (F.relu(1.0 - real_pred).mean() + F.relu(1.0 + fake_pred).mean()) / 2
    return (_towards(real_pred, 1.0, kind) + _towards(fake_pred, 0.0, kind)) / 2


def reconstruction(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference: the cycle loss and the identity loss (Zhu et al. 2017, eq. 2)."""
    return F.l1_loss(output.float(), target.float())


def _towards(pred: Tensor, target: float, kind: Adversarial) -> Tensor:
    pred = pred.float()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(pred, torch.full_like(pred, target))
    if kind == "sigmoid_least_squares":
        pred = torch.sigmoid(pred)
    return (pred - target).square().mean()
