"""The networks of DCGAN (Radford, Metz and Chintala 2016)."""

from typing import Literal

import torch
from torch import Tensor, nn

SIZES = (32, 64, 128)

Upsample = Literal["transpose", "resize"]


class DcganGenerator(nn.Module):
    """From noise to an image by transposed convolutions alone, or as PyTorch-GAN does.

    Args:
        latent: length of z; 100 in the paper.
        channels: of the images, 3 for RGB.
        width: channels before the last layer; doubles inwards. 64 here, 128 in the paper's LSUN
            network.
        image_size: 32, 64 or 128; with "resize", any multiple of 4 from 8 on.
        upsample: "transpose" (the paper), or "resize", PyTorch-GAN's small network: a linear layer
            to a quarter of the size, doubled twice by nearest neighbour and convolved.

    Forward: z [N, latent] to [N, channels, image_size, image_size] in [-1, 1].

    Raises ValueError when an argument makes no network.
    """

    def __init__(
        self,
        latent: int = 100,
        channels: int = 3,
        width: int = 64,
        image_size: int = 64,
        upsample: Upsample = "transpose",
    ):
        super().__init__()
        if upsample not in ("transpose", "resize"):
            raise ValueError(
                f"DcganGenerator: upsample is {upsample!r}; choose transpose or resize."
            )
        if upsample == "transpose":
            _check_size("DcganGenerator", image_size)
        elif image_size < 8 or image_size % 4:
            raise ValueError(
                f"DcganGenerator: image_size is {image_size}; it must be a multiple of 4 from 8 on."
            )
        _check("DcganGenerator", latent=latent, channels=channels, width=width)
        self.latent, self.upsample = latent, upsample
        if upsample == "resize":
            self.layers = _resizing(latent, channels, width, image_size // 4)
            return
        levels = image_size.bit_length() - 3
        before = width * 2 ** (levels - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, before, 4, bias=False),
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
        ]
        for _ in range(levels - 1):
            layers += [
                nn.ConvTranspose2d(before, before // 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(before // 2),
                nn.ReLU(inplace=True),
            ]
            before //= 2
        layers += [nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z if self.upsample == "resize" else z[:, :, None, None])


def _resizing(latent: int, channels: int, width: int, side: int) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Sequential(
            nn.Linear(latent, 2 * width * side**2), nn.Unflatten(1, (2 * width, side, side))
        ),
        nn.BatchNorm2d(2 * width),
    ]
    for after in (2 * width, width):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, after, 3, padding=1),
            # Odd, but the epsilon over there, and weights depend on it.
            nn.BatchNorm2d(after, eps=0.8),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())


class DcganDiscriminator(nn.Module):
    """Strided convolutions down to one logit an image.

    Args:
        channels: of the images judged.
        width: channels of the first layer; doubles inwards.
        image_size: 32, 64 or 128.

    Forward: [N, channels, image_size, image_size] in [-1, 1] to logits [N]; no sigmoid inside.

    Raises ValueError when an argument makes no network.
    """

    def __init__(self, channels: int = 3, width: int = 64, image_size: int = 64):
        super().__init__()
        _check_size("DcganDiscriminator", image_size)
        _check("DcganDiscriminator", channels=channels, width=width)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for _ in range(image_size.bit_length() - 4):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width *= 2
        layers.append(nn.Conv2d(width, 1, 4))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.layers(x))


def _check_size(network: str, image_size: int) -> None:
    if image_size not in SIZES:
        raise ValueError(f"{network}: image_size is {image_size}; choose 32, 64 or 128.")


def _check(network: str, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{network}: {name} is {value}; it must be at least 1.")
