"""Losses: small pure functions of predictions.

Predictions are raw logits of any shape; every loss is a scalar mean. Expectations over patches and
over the batch are one mean, as in the reference implementation. All are computed in float32, also
where mixed precision hands in less.
"""

from collections.abc import Callable
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


def attention(logits: Tensor, mask: Tensor) -> Tensor:
    """What a map of attention pays where it differs from a mask: weighted binary cross-entropy.

    Logits and mask are [N, 1, H, W]; the mask goes from -1 (closed) to 1 (open), and how far it is
    from 0, where either is right, is a pixel's weight: E[|mask| · -log σ(sign(mask) · logit)].
    """
    mask = mask.float()
    return (mask.abs() * F.softplus(-mask.sign() * logits.float())).mean()


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Distance of N(mean, exp(log_variance)) from N(0, 1): summed over z, mean over the batch.

    [N, latent] each (Kingma and Welling 2014, appendix B).
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()


def patch_contrast(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """What it costs to take another place of the image for the right one (Park et al. 2020, eq. 3).

    Cross-entropy of every query [N, P, C] against the keys [N, P, C] of its image, of which the one
    at its own place is right. Unit vectors.
    """
    similarity = torch.bmm(queries.float(), keys.float().mT) / temperature
    right = torch.arange(similarity.shape[1], device=similarity.device)
    return F.cross_entropy(similarity.flatten(0, 1), right.repeat(len(similarity)))


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the squared slope of a discriminator at real images (Mescheder et al. 2018, eq. 9).

    E‖∇D(real)‖² / 2, summed over pixels and channels, where D has one logit an image. Of N patches
    it is ‖∇ΣD(real)‖² / 2N: for patches that do not overlap the mean of their penalties, whatever
    the size of the image. Needs gradients of gradients, so it switches autocast off.
    """
    with torch.autocast(real.device.type, enabled=False):
        real = real.detach().float().requires_grad_()
        pred = discriminator(real)
        (slope,) = torch.autograd.grad(pred.sum(), real, create_graph=True)
        return slope.square().sum() / (2 * pred.numel())


def luminance_correlation(images: Tensor, others: Tensor) -> Tensor:
    """Pearson's correlation of light and dark in pairs of images: [N], from -1 to 1.

    1 when one is the other brightened or dimmed, -1 when it is its negative, 0 when either is flat.
    Both are [N, C, H, W], C being 3 (RGB) or 1 (grey) in either.
    """
    light, other = (_luminance(batch) for batch in (images, others))
    # A thousandth of the range keeps flat images, which correlate with nothing, finite.
    norms = (light.square().mean(1) + 1e-6).sqrt() * (other.square().mean(1) + 1e-6).sqrt()
    return (light * other).mean(1) / norms


def _luminance(images: Tensor) -> Tensor:
    """Luma of Rec. 601 less its mean, flattened to [N, H * W]."""
    images = images.float()
    if images.shape[1] == 3:
        red, green, blue = images.unbind(1)
        images = 0.299 * red + 0.587 * green + 0.114 * blue
    light = images.flatten(1)
    return light - light.mean(1, keepdim=True)


def _towards(pred: Tensor, target: float, kind: Adversarial) -> Tensor:
    pred = pred.float()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(pred, torch.full_like(pred, target))
    if kind == "sigmoid_least_squares":
        pred = torch.sigmoid(pred)
    return (pred - target).square().mean()
