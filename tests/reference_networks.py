"""Networks of other code bases, written down here from what is known of them.

Only what their state dicts and outputs depend on: names, order, norms, padding. Widths are free,
so that tests are quick.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def randomised(network: nn.Module) -> nn.Module:
    """Draw everything at random, the statistics of norms too, so that outputs are not flat."""
    with torch.no_grad():
        for name, value in (*network.named_parameters(), *network.named_buffers()):
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith("num_batches_tracked"):
                value.fill_(7)
            elif not name.endswith(".filt"):
                fan = value[0].numel() if value.ndim == 4 else 1
                value.normal_(0.5 if value.ndim == 1 else 0.0, fan**-0.5 if fan > 1 else 0.3)
    return network.eval()


def normalisation(norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=norm == "affine")


# --- ResNets


class JunyanzBlock(nn.Module):
    def __init__(self, channels: int, norm: str, dropout: bool):
        super().__init__()
        bias = norm != "batch"
        layers = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(),
        ]
        if dropout:
            layers.append(nn.Dropout(0.5))
        layers += [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
        ]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class PytorchGanBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.block = JunyanzBlock(channels, "instance", False).conv_block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Binomial(nn.Module):
    """CUT's constant filters: 1 2 1 to halve, 1 3 3 1 to double, each with its own padding."""

    def __init__(self, channels: int, doubles: bool):
        super().__init__()
        self.doubles, self.channels = doubles, channels
        row = torch.tensor([1.0, 3.0, 3.0, 1.0] if doubles else [1.0, 2.0, 1.0])
        plane = row[:, None] * row[None, :]
        plane = plane / plane.sum() * (4 if doubles else 1)
        self.register_buffer("filt", plane.repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        filt = self.get_buffer("filt")
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate" if self.doubles else "reflect")
        if not self.doubles:
            return F.conv2d(padded, filt, stride=2, groups=self.channels)
        doubled = F.conv_transpose2d(padded, filt, stride=2, padding=2, groups=self.channels)
        return doubled[:, :, 1:-1, 1:-1]


class FlatResnet(nn.Module):
    """The ResNet of junyanz and, with other ways to resize, of PyTorch-GAN and of CUT."""

    def __init__(
        self,
        blocks: int,
        norm: str = "instance",
        dropout: bool = False,
        down: str = "stride",
        up: str = "transposed",
        ends: tuple[int, int] = (3, 3),
        width: int = 4,
    ):
        super().__init__()
        bias = norm != "batch"
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(ends[0], width, 7, bias=bias)]
        layers += [normalisation(norm, width), nn.ReLU()]
        for channels in (width, 2 * width):
            stride = 2 if down == "stride" else 1
            layers.append(nn.Conv2d(channels, 2 * channels, 3, stride, padding=1, bias=bias))
            layers += [normalisation(norm, 2 * channels), nn.ReLU()]
            if down == "binomial":
                layers.append(Binomial(2 * channels, doubles=False))
        for _ in range(blocks):
            named = up == "nearest"
            block = PytorchGanBlock(4 * width) if named else JunyanzBlock(4 * width, norm, dropout)
            layers.append(block)
        for channels in (4 * width, 2 * width):
            half = channels // 2
            if up == "transposed":
                layers.append(nn.ConvTranspose2d(channels, half, 3, 2, 1, 1, bias=bias))
            else:
                double = (
                    nn.Upsample(scale_factor=2) if up == "nearest" else Binomial(channels, True)
                )
                layers += [double, nn.Conv2d(channels, half, 3, padding=1, bias=bias)]
            layers += [normalisation(norm, half), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, ends[1], 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class DgaiConv(nn.Module):
    def __init__(self, convolution: nn.Module, channels: int, active: bool = True):
        super().__init__()
        last = nn.ReLU() if active else nn.Identity()
        self.conv = nn.Sequential(convolution, nn.InstanceNorm2d(channels), last)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class DgaiBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            *(DgaiConv(reflecting(channels, channels, 3), channels, half == 0) for half in (0, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class DgaiGenerator(nn.Module):
    def __init__(self, blocks: int = 9, width: int = 4):
        super().__init__()
        self.initial = nn.Sequential(reflecting(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU())
        self.down_blocks = nn.ModuleList(
            DgaiConv(reflecting(c, 2 * c, 3, 2), 2 * c) for c in (width, 2 * width)
        )
        self.res_blocks = nn.Sequential(*(DgaiBlock(4 * width) for _ in range(blocks)))
        self.up_blocks = nn.ModuleList(
            DgaiConv(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), c // 2)
            for c in (4 * width, 2 * width)
        )
        self.last = reflecting(width, 3, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.initial(x)
        for layer in self.down_blocks:
            x = layer(x)
        x = self.res_blocks(x)
        for layer in self.up_blocks:
            x = layer(x)
        return torch.tanh(self.last(x))


def reflecting(before: int, after: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, stride, padding=size // 2, padding_mode="reflect")


# --- DCGANs


class HugganDcgan(nn.Module):
    """huggan's, which is that of the PyTorch tutorial (`main`) and of DGAI (no name at all)."""

    def __init__(self, size: int, latent: int = 10, channels: int = 3, width: int = 4):
        super().__init__()
        before = width * size // 8
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, before, 4, bias=False)]
        while before > width:
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, before // 2, 4, 2, 1, bias=False))
            before //= 2
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.model(z[:, :, None, None])


class PytorchGanDcgan(nn.Module):
    """A linear layer, then doubling and convolving; the odd number is the norms' epsilon."""

    def __init__(self, size: int, latent: int = 10, channels: int = 1, width: int = 4):
        super().__init__()
        self.side, wide = size // 4, 2 * width
        self.l1 = nn.Sequential(nn.Linear(latent, wide * self.side**2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(wide),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(wide, wide, 3, padding=1),
            nn.BatchNorm2d(wide, 0.8),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(wide, width, 3, padding=1),
            nn.BatchNorm2d(width, 0.8),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.l1(z)
        return self.conv_blocks(x.view(len(z), -1, self.side, self.side))


def discriminator(width: int = 4) -> nn.Module:
    """junyanz's, of which only the names matter here."""
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for stride in (2, 2, 1):
        layers += [nn.Conv2d(width, 2 * width, 4, stride, 1), nn.InstanceNorm2d(2 * width)]
        layers.append(nn.LeakyReLU(0.2))
        width *= 2
    network = nn.Module()
    network.model = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))
    return network
