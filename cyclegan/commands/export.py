"""`python -m cyclegan export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cyclegan.commands.errors import CommandError

if TYPE_CHECKING:
    from cyclegan.translator import Translator


@dataclass(frozen=True)
class Export:
    """Write weights for other programs, or in 8-bit integers for fast translation on CPUs.

    Prints each file, what it takes, and by how much it differs from the network; one that differs
    visibly is not kept. Pictures go in and come out with values from -1 to 1.
    """

    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|USER/NAME")]
    """A weights folder, or a repository on the Hugging Face Hub."""
    format: Literal["onnx", "torchscript", "pytorch-cyclegan", "openvino-int8"]
    """For ONNX Runtime and the like (needs onnx and onnxruntime), for PyTorch without this package,
    for junyanz/pytorch-CycleGAN-and-pix2pix, or for OpenVINO in 8-bit integers (needs openvino and
    nncf, and --calibrate)."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder that is new or empty; it appears whole or not at all. Without it openvino-int8
    writes into the weights folder, from where page and commands take it."""
    calibrate: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """For openvino-int8: photos of both domains, in any folders below this one."""

    def run(self) -> int:
        quantised = self.format == "openvino-int8"
        if quantised and self.calibrate is None:
            raise CommandError("--format openvino-int8 needs photos: --calibrate DIR.")
        if self.calibrate is not None and not quantised:
            raise CommandError("--calibrate is for --format openvino-int8 only; leave it out.")
        if self.calibrate is not None and not self.calibrate.is_dir():
            raise CommandError(f"--calibrate {self.calibrate} is no folder; check the path.")
        if self.output is None and not (quantised and Path(self.weights).is_dir()):
            raise CommandError("Say where to write: --output DIR.")

        from cyclegan.translator import Translator

        translator = Translator.load(self.weights, "cpu", backend="torch")
        for file in self._written(translator):
            print(file)
        return 0

    def _written(self, translator: "Translator") -> list:
        from cyclegan.export import export
        from cyclegan.files import appearing
        from cyclegan.quantise import quantise

        if self.format != "openvino-int8":
            assert self.output
            return export(translator.weights, self.format, self.output)
        assert self.calibrate
        if self.output is None:
            return quantise(translator, self.calibrate, Path(self.weights))
        with appearing(self.output) as made:
            return quantise(translator, self.calibrate, made)
