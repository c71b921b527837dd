"""The residual generator of Johnson et al. (2016), as CycleGAN uses it."""

from typing import Literal

import torch
from torch import Tensor, nn

from cyclegan.networks import layers
from cyclegan.networks.generator import Generator
from cyclegan.networks.norms import Norm, make_norm

Upsample = Literal["resize", "bilinear", "transpose"]
Downsample = Literal["stride", "blur"]
Padding = Literal["zeros", "reflect"]

OPEN = 3.0
"""Added to the logits of attention, so that it begins near 1: starting closed, a generator is the
identity, which the cycle loss likes too well to let it go."""


class ResidualBlock(nn.Module):
    """x + f(x), f being two reflection-padded 3x3 convolutions; the shape stays."""

    def __init__(self, channels: int, norm: Norm = "instance"):
        super().__init__()
        bias = norm != "batch"
        self.body = nn.Sequential(
            layers.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=bias),
            make_norm(norm, channels),
            nn.ReLU(inplace=True),
            layers.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=bias),
            make_norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResnetGenerator(Generator):
    """c7s1-w, d2w, d4w, R4w × blocks, u2w, uw, c7s1-out (Zhu et al. 2017, appendix 7.2).

    Args:
        channels_in, channels_out: channels of the images, 3 for RGB.
        width: channels after the first layer; 64 in the paper.
        blocks: residual blocks; the paper takes 6 for 128 and 9 for 256 pixels.
        upsample: "transpose" is the paper's stride-2 transposed convolution; "resize" doubles by
            nearest neighbour and convolves, which draws no checkerboard (Odena et al. 2016);
            "bilinear" doubles smoothly and convolves, which leaves no 2-pixel grid either.
        padding: how the down- and upsampling convolutions pad ("zeros" in the paper).
        norm: "instance" (the paper), "affine" (the same with a learned scale and shift) or "batch".
        downsample: "stride" (the paper), or "blur": convolve at full size and halve by a binomial
            filter, which aliases less (Zhang 2019; what CUT does).
        attention: also say where to paint: m · painted + (1 − m) · x, m being a map from 0 to 1
            that is made from the same features (Mejjati et al. 2018, eq. 1).

    Forward: [N, channels_in, H, W] in [-1, 1] to [N, channels_out, H, W] in [-1, 1]; H and W are
    multiples of `multiple` and at least `minimum`.

    Raises ValueError when an argument makes no network.
    """

    multiple = 4
    minimum = 8

    def __init__(
        self,
        channels_in: int = 3,
        channels_out: int = 3,
        width: int = 64,
        blocks: int = 9,
        upsample: Upsample = "resize",
        padding: Padding = "zeros",
        norm: Norm = "instance",
        downsample: Downsample = "stride",
        attention: bool = False,
    ):
        super().__init__()
        for name, value in (
            ("channels_in", channels_in),
            ("channels_out", channels_out),
            ("width", width),
            ("blocks", blocks),
        ):
            if value < 1:
                raise ValueError(f"ResnetGenerator: {name} is {value}; it must be at least 1.")
        if upsample not in ("resize", "bilinear", "transpose"):
            raise ValueError(
                f"ResnetGenerator: upsample is {upsample!r}; choose resize, bilinear or transpose."
            )
        if padding not in ("zeros", "reflect"):
            raise ValueError(f"ResnetGenerator: padding is {padding!r}; choose zeros or reflect.")
        if norm not in ("instance", "affine", "batch"):
            raise ValueError(
                f"ResnetGenerator: norm is {norm!r}; choose instance, affine or batch."
            )
        if downsample not in ("stride", "blur"):
            raise ValueError(
                f"ResnetGenerator: downsample is {downsample!r}; choose stride or blur."
            )
        if attention and channels_in != channels_out:
            raise ValueError(
                f"ResnetGenerator: attention mixes photo and translation, which need as many "
                f"channels, not {channels_in} and {channels_out}."
            )

        # The blocks, whose pixels are four of the picture's, and the layers around them.
        self.reach = 8 * blocks + (20 if downsample == "stride" else 24)

        self.stem = nn.Sequential(
            layers.Conv2d(
                channels_in, width, 7, padding=3, padding_mode="reflect", bias=norm != "batch"
            ),
            make_norm(norm, width),
            nn.ReLU(inplace=True),
        )
        self.down = nn.Sequential(
            _downsampling(width, 2 * width, downsample, padding, norm),
            _downsampling(2 * width, 4 * width, downsample, padding, norm),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width, norm) for _ in range(blocks)))
        self.up = nn.Sequential(
            _upsampling(4 * width, 2 * width, upsample, padding, norm),
            _upsampling(2 * width, width, upsample, padding, norm),
        )
        self.head = nn.Sequential(
            layers.Conv2d(width, channels_out, 7, padding=3, padding_mode="reflect"), nn.Tanh()
        )
        self.attention: nn.Module | None = (
            layers.Conv2d(width, 1, 7, padding=3, padding_mode="reflect") if attention else None
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Translate, and say where: the logits of attention, [N, 1, H, W], if there is any."""
        features = self.stem(x)
        for stage in (*self.down, *self.blocks, *self.up):
            features = self.run_stage(stage, features)
        painted = self.head(features)
        if self.attention is None:
            return painted, None
        logits = self.attention(features) + OPEN
        return x + torch.sigmoid(logits) * (painted - x), logits

    def features(self, x: Tensor) -> list[Tensor]:
        """What the first half sees of a batch, from fine to coarse: what CUT compares.

        The pixels, both downsamplings, the first and the middle block: [N, c, h, w] each, with as
        many channels as `feature_channels` says.
        """
        found = [x]
        x = self.stem(x)
        for layer in self.down:
            x = self.run_stage(layer, x)
            found.append(x)
        for index, block in enumerate(list(self.blocks)[: len(self.blocks) // 2 + 1]):
            x = self.run_stage(block, x)
            if index in (0, len(self.blocks) // 2):
                found.append(x)
        return found

    @staticmethod
    def feature_channels(channels_in: int, width: int, blocks: int) -> tuple[int, ...]:
        """How many channels each of `features` has."""
        return (channels_in, 2 * width, 4 * width, *[4 * width] * min(2, blocks))


def _downsampling(
    channels_in: int, channels_out: int, downsample: Downsample, padding: Padding, norm: Norm
) -> nn.Sequential:
    convolution = layers.Conv2d(
        channels_in,
        channels_out,
        3,
        stride=2 if downsample == "stride" else 1,
        padding=1,
        padding_mode=padding,
        bias=norm != "batch",
    )
    stages: list[nn.Module] = [convolution, make_norm(norm, channels_out), nn.ReLU(inplace=True)]
    if downsample == "blur":
        # Two means of two pixels are the filter 1, 2, 1.
        stages += [layers.ReflectionPad2d(1), nn.AvgPool2d(2, stride=1), nn.AvgPool2d(2)]
    return nn.Sequential(*stages)


def _upsampling(
    channels_in: int, channels_out: int, upsample: Upsample, padding: Padding, norm: Norm
) -> nn.Sequential:
    bias = norm != "batch"
    if upsample == "transpose":
        stages: list[nn.Module] = [
            nn.ConvTranspose2d(
                channels_in, channels_out, 3, stride=2, padding=1, output_padding=1, bias=bias
            )
        ]
    else:
        mode = "nearest" if upsample == "resize" else "bilinear"
        stages = [
            layers.Upsample(scale_factor=2, mode=mode),
            layers.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode=padding, bias=bias),
        ]
    return nn.Sequential(*stages, make_norm(norm, channels_out), nn.ReLU(inplace=True))
