"""`python -m cyclegan export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Export:
    """Write weights for other programs: every network that they hold, for any number of pictures.

    Prints each file, what it takes, and by how much it differs from the network at three sizes;
    one that differs visibly is not kept. Pictures go in and come out with values from -1 to 1.
    """

    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|USER/NAME")]
    """A weights folder, or a repository on the Hugging Face Hub."""
    format: Literal["onnx", "torchscript", "pytorch-cyclegan"]
    """For ONNX Runtime and the like (needs onnx and onnxruntime), for PyTorch without this package,
    or for junyanz/pytorch-CycleGAN-and-pix2pix."""
    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is new or empty; it appears whole or not at all."""

    def run(self) -> int:
        from cyclegan.export import export
        from cyclegan.translator import Translator

        for file in export(Translator.load(self.weights, "cpu").weights, self.format, self.output):
            print(file)
        return 0
