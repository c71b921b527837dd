"""The networks of DCGAN (Radford, Metz and Chintala 2016)."""

import torch
from torch import Tensor, nn

SIZES = (32, 64, 128)


class DcganGenerator(nn.Module):
    """From noise to an image by transposed convolutions alone.

    Args:
        latent: length of z; 100 in the paper.
        channels: of the images, 3 for RGB.
        width: channels before the last layer; doubles inwards. 64 here, 128 in the paper's LSUN
            network.
        image_size: 32, 64 or 128.

    Forward: z [N, latent] to [N, channels, image_size, image_size] in [-1, 1].

    Raises ValueError when an argument makes no network.
    """

    def __init__(self, latent: int = 100, channels: int = 3, width: int = 64, image_size: int = 64):
        super().__init__()
        _check("DcganGenerator", image_size, latent=latent, channels=channels, width=width)
        self.latent = latent
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
        return self.layers(z[:, :, None, None])


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
        _check("DcganDiscriminator", image_size, channels=channels, width=width)
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


def _check(network: str, image_size: int, **counts: int) -> None:
    if image_size not in SIZES:
        raise ValueError(f"{network}: image_size is {image_size}; choose 32, 64 or 128.")
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{network}: {name} is {value}; it must be at least 1.")
