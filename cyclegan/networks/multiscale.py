"""Discriminators that judge an image at several scales."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks.patchgan import PatchDiscriminator


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of an image, of its half, and so on (BicycleGAN, section 4).

    Args:
        channels: of the images judged.
        width: channels of the first layer at the full scale; halves with the image, since a small
            image has less to tell.
        scales: how many; 2 in the paper.
        downsamplings, padding: as of PatchDiscriminator.

    Forward: [N, channels, H, W] in [-1, 1] to a list of logits [N, 1, h, w], the full scale first.
    H and W are at least `minimum`.

    Raises ValueError when an argument makes no network.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        scales: int = 2,
        downsamplings: int = 3,
        padding: Literal["zeros", "reflect"] = "zeros",
    ):
        super().__init__()
        if scales < 1:
            raise ValueError(f"MultiscaleDiscriminator: scales is {scales}; it must be at least 1.")
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, max(1, width // 2**scale), downsamplings, padding)
            for scale in range(scales)
        )
        first = self.scales[0]
        assert isinstance(first, PatchDiscriminator)
        self.minimum = first.minimum * 2 ** (scales - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        judged = []
        for index, judge in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(judge(x))
        return judged
