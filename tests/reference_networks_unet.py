"""U-Nets and encoders of other code bases, written down as in reference_networks."""

from collections.abc import Sequence

import torch
from reference_networks import normalisation
from torch import Tensor, nn


def unet_widths(levels: int, width: int) -> list[int]:
    return [width * min(2**level, 8) for level in range(levels)]


class NestedLevel(nn.Module):
    """A level of junyanz's U-Net; of BicycleGAN's, where what skips is joined behind."""

    def __init__(
        self,
        widths: Sequence[int],
        ends: tuple[int, int],
        norm: str,
        behind: bool,
        bias: bool,
        level: int = 0,
    ):
        super().__init__()
        self.outermost, self.behind = level == 0, behind
        innermost = level == len(widths) - 1
        before, after = ends if level == 0 else (widths[level - 1],) * 2
        channels = widths[level]
        layers: list[nn.Module] = [] if self.outermost else [nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(before, channels, 4, 2, 1, bias=bias))
        if not self.outermost and not innermost:
            layers.append(normalisation(norm, channels))
        if not innermost:
            layers.append(NestedLevel(widths, ends, norm, behind, bias, level + 1))
        layers.append(nn.ReLU())
        inside = channels if innermost else 2 * channels
        layers.append(nn.ConvTranspose2d(inside, after, 4, 2, 1, bias=bias or self.outermost))
        layers.append(nn.Tanh() if self.outermost else normalisation(norm, after))
        if 4 <= level < len(widths) - 1:
            layers.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        made = self.model(x)
        if self.outermost:
            return made
        return torch.cat([made, x] if self.behind else [x, made], 1)


class NestedUnet(nn.Module):
    """junyanz's U-Net; with a z, BicycleGAN's that takes it beside the image."""

    def __init__(
        self,
        levels: int,
        norm: str = "batch",
        latent: int = 0,
        ends: tuple[int, int] = (3, 3),
        width: int = 4,
    ):
        super().__init__()
        bias = norm != "batch"
        ends = (ends[0] + latent, ends[1])
        self.model = NestedLevel(unet_widths(levels, width), ends, norm, latent > 0, bias)

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        return self.model(x if z is None else beside(x, z))


def beside(x: Tensor, z: Tensor) -> Tensor:
    return torch.cat([x, z[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)


class ChoosingLevel(nn.Module):
    """A level of BicycleGAN's U-Net that takes z at every level."""

    def __init__(self, widths: Sequence[int], ends: tuple[int, int], latent: int, level: int = 0):
        super().__init__()
        self.outermost = level == 0
        innermost = level == len(widths) - 1
        before, after = ends if level == 0 else (widths[level - 1],) * 2
        channels = widths[level]
        down: list[nn.Module] = [] if self.outermost else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(before + latent, channels, 4, 2, 1))
        if not self.outermost and not innermost:
            down.append(nn.InstanceNorm2d(channels))
        inside = channels if innermost else 2 * channels
        up = [nn.ReLU(), nn.ConvTranspose2d(inside, after, 4, 2, 1)]
        up.append(nn.Tanh() if self.outermost else nn.InstanceNorm2d(after))
        self.down = nn.Sequential(*down)
        self.submodule = None if innermost else ChoosingLevel(widths, ends, latent, level + 1)
        self.up = nn.Sequential(*up)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        inner = self.down(beside(x, z))
        made = self.up(inner if self.submodule is None else self.submodule(inner, z))
        return made if self.outermost else torch.cat([made, x], 1)


class ChoosingUnet(nn.Module):
    def __init__(
        self, levels: int, latent: int = 8, ends: tuple[int, int] = (3, 3), width: int = 4
    ):
        super().__init__()
        self.model = ChoosingLevel(unet_widths(levels, width), ends, latent)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.model(x, z)


class PytorchGanStep(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PytorchGanUnet(nn.Module):
    """The U-Net of PyTorch-GAN and huggan: activations come last in every step."""

    def __init__(self, levels: int = 8, ends: tuple[int, int] = (3, 3), width: int = 4):
        super().__init__()
        widths, self.levels = unet_widths(levels, width), levels
        for level, channels in enumerate(widths):
            before = ends[0] if level == 0 else widths[level - 1]
            down: list[nn.Module] = [nn.Conv2d(before, channels, 4, 2, 1, bias=False)]
            if 0 < level < levels - 1:
                down.append(nn.InstanceNorm2d(channels))
            down += [nn.LeakyReLU(0.2), nn.Dropout(0.5)]
            self.add_module(f"down{level + 1}", PytorchGanStep(*down))
        for step in range(1, levels):
            level = levels - step
            inside = widths[level] * (1 if step == 1 else 2)
            after = widths[level - 1]
            convolution = nn.ConvTranspose2d(inside, after, 4, 2, 1, bias=False)
            up = PytorchGanStep(convolution, nn.InstanceNorm2d(after), nn.ReLU(), nn.Dropout(0.5))
            self.add_module(f"up{step}", up)
        self.final = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(2 * width, ends[1], 4, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in range(self.levels):
            x = self.get_submodule(f"down{level + 1}")(x)
            skips.append(x)
        for step in range(1, self.levels):
            x = torch.cat((self.get_submodule(f"up{step}")(x), skips[-1 - step]), 1)
        return self.final(x)


# --- encoders of BicycleGAN


class EncoderBlock(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        pooled = nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.AvgPool2d(2))
        self.conv = nn.Sequential(
            nn.InstanceNorm2d(before),
            nn.LeakyReLU(0.2),
            nn.Conv2d(before, before, 3, padding=1),
            nn.InstanceNorm2d(before),
            nn.LeakyReLU(0.2),
            pooled,
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shortcut(x)


class Encoder(nn.Module):
    """For images of 8 · 2^levels pixels: the last layer averages over 8 × 8."""

    def __init__(self, levels: int, residual: bool, latent: int = 8, width: int = 4):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1)]
        if not residual:
            layers.append(nn.LeakyReLU(0.2))
        for level in range(1, levels):
            if residual:
                ends = width * min(4, level), width * min(4, level + 1)
                layers.append(EncoderBlock(*ends))
            else:
                ends = width * min(4, 2 ** (level - 1)), width * min(4, 2**level)
                layers += [nn.Conv2d(*ends, 4, 2, 1), nn.InstanceNorm2d(ends[1])]
                layers.append(nn.LeakyReLU(0.2))
        if residual:
            layers.append(nn.LeakyReLU(0.2))
        self.conv = nn.Sequential(*layers, nn.AvgPool2d(8))
        self.fc = nn.Sequential(nn.Linear(4 * width, latent))
        self.fcVar = nn.Sequential(nn.Linear(4 * width, latent))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(x).flatten(1)
        return self.fc(features), self.fcVar(features)
