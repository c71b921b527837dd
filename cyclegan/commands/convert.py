"""`python -m cyclegan convert`: checkpoints of other code bases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Convert:
    """Convert checkpoints of other code bases to a weights folder.

    Recognised by their tensors: pytorch-CycleGAN-and-pix2pix, DGAI, PyTorch-GAN, huggan, CUT and
    BicycleGAN. Give both generators of a CycleGAN, or a generator and its encoder, at once. Which
    way a generator translates is told by its name (G_A, G_AB, horse2zebra), else by the order of
    the files, A to B first; what was assumed is printed. Files that want to run code are refused.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE…")]
    """State dicts: .pth, .pt, .bin or .safetensors."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is new or empty; it appears whole or not at all."""
    domain_a: Annotated[str, tyro.conf.arg(metavar="LABEL")] = ""
    """What domain A shows, e.g. "horse"; guessed from names such as horse2zebra."""
    domain_b: Annotated[str, tyro.conf.arg(metavar="LABEL")] = ""
    """What domain B shows."""
    image_size: int | None = None
    """Side of the training images, in pixels, where the networks do not tell it."""
    image_statistics: bool = False
    """Have batch norms normalise each image by itself, as pytorch-CycleGAN-and-pix2pix does without
    its --eval; by default they use the statistics of the training."""
    license: str = "unknown"
    """Licence of the weights, as the Hub names it, for the model card."""

    def run(self) -> int:
        from cyclegan.convert import convert

        said = convert(
            self.files,
            self.out,
            self.domain_a,
            self.domain_b,
            self.image_size,
            self.image_statistics,
            self.license,
        )
        print("\n".join(said))
        return 0
