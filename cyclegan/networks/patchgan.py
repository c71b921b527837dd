"""The patch discriminator of pix2pix and CycleGAN."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cyclegan.networks.layers import Conv2d, InstanceNorm2d, ReflectionPad2d

Padding = Literal["zeros", "reflect"]
Norm = Literal["instance", "spectral"]


class PatchDiscriminator(nn.Module):
    """C64-C128-C256-C512 and a last convolution to one logit a patch (Zhu et al. 2017, 7.2).

    Args:
        channels: channels of the images judged, 3 for RGB.
        width: channels of the first layer; 64 in the paper.
        downsamplings: how many of the four layers have stride 2. 3 judges patches of 70x70 pixels,
            the paper's; 2 judges 46x46, for small images; 4 is PyTorch-GAN's variant, which gives
            16x16 logits for 256 pixels.
        padding: "zeros" (the paper) or "reflect".
        norm: "instance" (the paper), or "spectral": convolutions whose weights are divided by their
            largest singular value (Miyato et al. 2018) and no instance norm.

    Forward: [N, channels, H, W] in [-1, 1] to logits [N, 1, h, w]; there is no sigmoid inside.
    H and W are at least `minimum`.

    Raises ValueError when an argument makes no network.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        downsamplings: int = 3,
        padding: Padding = "zeros",
        norm: Norm = "instance",
    ):
        super().__init__()
        if channels < 1 or width < 1:
            raise ValueError(
                f"PatchDiscriminator: channels is {channels} and width is {width}; "
                "both must be at least 1."
            )
        if downsamplings not in (2, 3, 4):
            raise ValueError(
                f"PatchDiscriminator: downsamplings is {downsamplings}; choose 2, 3 or 4."
            )
        if padding not in ("zeros", "reflect"):
            raise ValueError(
                f"PatchDiscriminator: padding is {padding!r}; choose zeros or reflect."
            )
        if norm not in ("instance", "spectral"):
            raise ValueError(f"PatchDiscriminator: norm is {norm!r}; choose instance or spectral.")
        # The last instance norm needs more than one value, and reflection more than it reflects.
        self.minimum = {2: 16, 3: 24, 4: 48}[downsamplings]

        layers: list[nn.Module] = []
        before = channels
        for index in range(4):
            after = width * 2**index
            stride = 2 if index < downsamplings else 1
            layers.append(Conv2d(before, after, 4, stride=stride, padding=1, padding_mode=padding))
            if index > 0 and norm == "instance":
                layers.append(InstanceNorm2d(after))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        # PyTorch-GAN pads the last layer unevenly so that it keeps the size.
        edges = (2, 1, 2, 1) if downsamplings == 4 else (1, 1, 1, 1)
        layers.append(nn.ZeroPad2d(edges) if padding == "zeros" else ReflectionPad2d(edges))
        layers.append(nn.Conv2d(before, 1, 4))
        if norm == "spectral":
            layers = [spectral_norm(x) if isinstance(x, nn.Conv2d) else x for x in layers]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
