"""Discriminators that look at the features of a frozen network (Sauer et al. 2021)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from cyclegan.networks.efficientnet import CHANNELS, EfficientNetLite

SPREADS = (8.5, 7.2, 6.2, 2.7)
"""The standard deviations of the features on photos, by which they are divided."""


class ProjectedDiscriminator(nn.Module):
    """Four small discriminators on the features of ImageNet's photos, from fine to coarse.

    The features are mixed by random convolutions that never train, across channels and from coarse
    scales into finer ones, so that none can be ignored (Sauer et al. 2021, section 3.2).

    Args:
        features: frozen; discriminators may share one.
        channels: of the images judged, 3 or 1.
        width: channels after the mixing.

    Forward: [N, channels, H, W] in [-1, 1] to four logits [N, 1, h, w], whose patches are of 8, 16,
    32 and 64 pixels and see far more. H and W are at least `minimum`.
    """

    minimum = 64

    def __init__(self, features: EfficientNetLite, channels: int = 3, width: int = 32):
        super().__init__()
        self.features = features
        self.channels = channels
        random = torch.Generator().manual_seed(0)
        for index, count in enumerate(CHANNELS):
            across = torch.randn(width, count, 1, 1, generator=random) / count**0.5
            down = torch.randn(width, width, 3, 3, generator=random) / (9 * width) ** 0.5
            self.register_buffer(f"across_{index}", across)
            self.register_buffer(f"down_{index}", down)
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2, inplace=True),
                spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
                nn.LeakyReLU(0.2, inplace=True),
                spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1)),
            )
            for _ in CHANNELS
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        # On a CPU half precision makes convolutions of single channels slower.
        half = x.device.type != "cpu" and torch.is_autocast_enabled(x.device.type)
        with torch.autocast(x.device.type, enabled=half):
            return self._judge(x if half else x.float())

    def _judge(self, x: Tensor) -> list[Tensor]:
        if self.channels == 1:
            x = x.expand(-1, 3, -1, -1)
        # Features see patterns of two pixels that nobody else sees, and ask for them; what fine
        # detail looks like is for patch discriminators to judge.
        x = F.avg_pool2d(F.avg_pool2d(F.pad(x, (1,) * 4, mode="replicate"), 2, 1), 2, 1)
        found = self.features(x)
        mixed: Tensor | None = None
        judged = []
        for index in reversed(range(len(found))):
            here = F.conv2d(found[index] / SPREADS[index], self.get_buffer(f"across_{index}"))
            if mixed is not None:
                coarse = F.interpolate(mixed, size=here.shape[2:], mode="bilinear")
                here = (here + coarse) / 2**0.5
            mixed = F.conv2d(here, self.get_buffer(f"down_{index}"), padding=1)
            judged.append(self.heads[index](mixed))
        return judged[::-1]
