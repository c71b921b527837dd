"""The U-Net generator of pix2pix (Isola et al. 2017, appendix 6.1)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks.generator import Generator
from cyclegan.networks.norms import Norm, make_norm

Inject = Literal["input", "all"]
Variant = Literal["paper", "pytorch-gan"]


class UnetGenerator(Generator):
    """An encoder-decoder down to 1x1 with a skip connection at every level.

    Args:
        channels_in, channels_out: channels of the images, 3 for RGB.
        width: channels of the outermost level; doubles inwards up to 8 × width. 64 in the paper.
        image_size: the side for which the innermost level is 1x1: a power of two from 8 on.
        norm: "instance", "affine" (the same with a learned scale and shift) or "batch".
        dropout: 0.5 in the three levels next to the innermost ones, pix2pix's only noise.
        latent: length of a z that chooses among outputs (BicycleGAN); 0 for none.
        inject: where z joins, repeated over the image: at the "input", or at "all" levels down.
        variant: "paper", or "pytorch-gan", where what skips is also activated as on the way down
            and the last layer doubles by nearest neighbour and convolves.

    Forward: [N, channels_in, H, W] in [-1, 1], and z [N, latent], zeros by default, to
    [N, channels_out, H, W] in [-1, 1]; H and W are multiples of `multiple`, which is `image_size`.

    Raises ValueError when an argument makes no network.
    """

    def __init__(
        self,
        channels_in: int = 3,
        channels_out: int = 3,
        width: int = 64,
        image_size: int = 256,
        norm: Norm = "instance",
        dropout: bool = False,
        latent: int = 0,
        inject: Inject = "all",
        variant: Variant = "paper",
    ):
        super().__init__()
        levels = image_size.bit_length() - 1
        if image_size < 8 or image_size != 1 << levels:
            raise ValueError(
                f"UnetGenerator: image_size is {image_size}; it must be a power of two, "
                "8 or more (128, 256, 512)."
            )
        if norm not in ("instance", "affine", "batch"):
            raise ValueError(f"UnetGenerator: norm is {norm!r}; choose instance, affine or batch.")
        if inject not in ("input", "all"):
            raise ValueError(f"UnetGenerator: inject is {inject!r}; choose input or all.")
        if variant not in ("paper", "pytorch-gan"):
            raise ValueError(f"UnetGenerator: variant is {variant!r}; choose paper or pytorch-gan.")
        if latent < 0:
            raise ValueError(f"UnetGenerator: latent is {latent}; it must not be negative.")
        for name, value in (
            ("channels_in", channels_in),
            ("channels_out", channels_out),
            ("width", width),
        ):
            if value < 1:
                raise ValueError(f"UnetGenerator: {name} is {value}; it must be at least 1.")
        self.multiple = self.minimum = image_size
        self.latent, self.inject, self.variant = latent, inject, variant

        widths = [width * min(2**level, 8) for level in range(levels)]
        bias = norm != "batch"
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, channels in enumerate(widths):
            before = channels_in if level == 0 else widths[level - 1]
            outermost, innermost = level == 0, level == levels - 1

            encode: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
            joined = before + latent if level == 0 or inject == "all" else before
            encode.append(nn.Conv2d(joined, channels, 4, stride=2, padding=1, bias=bias))
            # A norm over the single value of the innermost level would erase it.
            if not (outermost or innermost):
                encode.append(make_norm(norm, channels))
            self.down.append(nn.Sequential(*encode))

            # All but the innermost level also receive the skip of their own depth.
            inside = channels if innermost else 2 * channels
            after = channels_out if outermost else before
            decode: list[nn.Module] = [nn.ReLU() if variant == "paper" else nn.Identity()]
            if outermost and variant == "pytorch-gan":
                decode += [nn.Upsample(scale_factor=2), nn.ZeroPad2d((2, 1, 2, 1))]
                decode.append(nn.Conv2d(inside, after, 4))
            else:
                decode.append(
                    nn.ConvTranspose2d(
                        inside, after, 4, stride=2, padding=1, bias=outermost or bias
                    )
                )
            decode.append(nn.Tanh() if outermost else make_norm(norm, after))
            if dropout and levels - 4 <= level < levels - 1 and level > 0:
                decode.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*decode))

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        if self.latent and z is None:
            z = x.new_zeros(len(x), self.latent)
        skips = []
        for level, encode in enumerate(self.down):
            if z is not None and (level == 0 or self.inject == "all"):
                spread = z.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
                x = torch.cat([x, spread], dim=1)
            x = self.run_stage(encode, x)
            skips.append(x)
        if self.variant == "pytorch-gan":
            skips = [F.leaky_relu(skip, 0.2) for skip in skips]
        x = self.run_stage(self.up[-1], skips[-1])
        for decode, skip in zip(list(self.up)[-2::-1], skips[-2::-1], strict=True):
            joined = torch.cat([skip, x if self.variant == "paper" else F.relu(x)], dim=1)
            x = self.run_stage(decode, joined)
        return x
