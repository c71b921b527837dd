"""What every generator tells about the images that it can take."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Generator(nn.Module):
    """The interface of generators: images in, images of the same height and width out.

    Attributes:
        multiple: height and width must be multiples of it.
        minimum: and at least this many pixels.
        reach: how far away, in pixels, a pixel of the input can change the output when the
            statistics of norms are fixed; None where it can everywhere.
        checkpoints: whether training keeps only what goes into each stage and computes the stage
            again in the backward pass, which saves memory for a third more arithmetic.
    """

    multiple: int
    minimum: int
    reach: int | None = None
    checkpoints: bool = False

    def run_stage(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Run a part of the network, keeping what is in it or not, as `checkpoints` says."""
        if self.checkpoints and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(stage, x, use_reentrant=False))
        return stage(x)
