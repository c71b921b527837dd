"""The projection heads of contrastive unpaired translation (Park et al. 2020)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Projections(nn.Module):
    """For each layer of an encoder, two linear layers into the space where patches are compared.

    Args:
        channels: of each layer's features, in order.
        size: of the space; 256 in the paper.

    Forward: features [N, P, channels[i]] of P patches for each layer to unit vectors [N, P, size].
    """

    def __init__(self, channels: Sequence[int], size: int = 256):
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, size), nn.ReLU(inplace=True), nn.Linear(size, size))
            for count in channels
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [
            F.normalize(head(layer).float(), dim=-1)
            for head, layer in zip(self.heads, features, strict=True)
        ]
