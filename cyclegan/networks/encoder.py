"""The encoders of BicycleGAN (Zhu, Zhang, Pathak et al. 2017, appendix)."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Kind = Literal["resnet", "conv", "doubling"]


class LatentEncoder(nn.Module):
    """From an image to the mean and log-variance of the z that would make it.

    Args:
        channels: of the images, 3 for RGB.
        latent: length of z.
        width: channels of the first layer; grows to 4 × width.
        levels: how often it halves the image; 6 for 256 pixels, 5 for 128.
        kind: "resnet" (residual blocks), "conv" (strided convolutions of 1, 2, 3, 4, 4 × width
            channels), or "doubling" (the same with 1, 2, 4, 4, 4, as in the authors' code).

    Forward: [N, channels, H, W] in [-1, 1], H and W at least `minimum`, to two tensors
    [N, latent]: mean and log-variance.

    Raises ValueError when an argument makes no network.
    """

    def __init__(
        self,
        channels: int = 3,
        latent: int = 8,
        width: int = 64,
        levels: int = 6,
        kind: Kind = "resnet",
    ):
        super().__init__()
        if kind not in ("resnet", "conv", "doubling"):
            raise ValueError(f"LatentEncoder: kind is {kind!r}; choose resnet, conv or doubling.")
        for name, value in (("channels", channels), ("latent", latent), ("width", width)):
            if value < 1:
                raise ValueError(f"LatentEncoder: {name} is {value}; it must be at least 1.")
        if levels < 2:
            raise ValueError(f"LatentEncoder: levels is {levels}; it must be at least 2.")
        # The last norm needs more than one value.
        self.minimum = 2 ** (levels + 1)
        grown = [2**index if kind == "doubling" else index + 1 for index in range(levels)]
        widths = [width * min(factor, 4) for factor in grown]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
        for before, after in pairwise(widths):
            layers.append(_Residual(before, after) if kind == "resnet" else _strided(before, after))
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.2))
        self.mean = nn.Linear(widths[-1], latent)
        self.log_variance = nn.Linear(widths[-1], latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(x).mean((2, 3))
        return self.mean(features), self.log_variance(features)


class _Residual(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.InstanceNorm2d(before),
            nn.LeakyReLU(0.2),
            nn.Conv2d(before, before, 3, padding=1),
            nn.InstanceNorm2d(before),
            nn.LeakyReLU(0.2),
            nn.Conv2d(before, after, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.body(x), 2) + self.shortcut(F.avg_pool2d(x, 2))


def _strided(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.LeakyReLU(0.2),
        nn.Conv2d(before, after, 4, stride=2, padding=1),
        nn.InstanceNorm2d(after),
    )
