"""Weights for other programs, every file checked against the network that it was made from."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from cyclegan.convert.layouts import recognise
from cyclegan.errors import UserError
from cyclegan.files import appearing
from cyclegan.models import FAMILIES
from cyclegan.networks import LatentEncoder
from cyclegan.pytorch_cyclegan import write_checkpoints
from cyclegan.weights import Weights

Format = Literal["onnx", "torchscript", "pytorch-cyclegan"]
Inputs = dict[str, Tensor]
Run = Callable[[Inputs], list[Tensor]]

TOLERANCE = 1e-3
"""By how much an exported network may be off: an eighth of a step between 256 shades."""
OPSET = 17
"""Of ONNX, which ONNX Runtime reads from 1.12 on."""


class ExportError(UserError):
    """Networks that cannot be exported, or that came out as something else."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        file: its name.
        about: what goes in and out, or how it is read.
        differences: by the size of the first input, the largest difference from the network.
    """

    file: str
    about: str
    differences: Mapping[str, float]

    def __str__(self) -> str:
        found = ", ".join(f"{value:.1e} ({size})" for size, value in self.differences.items())
        return f"{self.file}: {self.about}; largest difference {found}"


@torch.no_grad()
def export(weights: Weights, format: Format, output: Path) -> list[Exported]:
    """Write every network of `weights`, on the CPU, into a folder: new or empty, and whole or not.

    "onnx" and "torchscript" take as many images at once, and as large ones, as the network does,
    with values in [-1, 1]; at three such sizes they are compared with it. "pytorch-cyclegan" is
    what junyanz/pytorch-CycleGAN-and-pix2pix saves.

    Raises:
        ExportError: a file computes something else than its network, or a package is missing.
        CounterpartError: the other code base has no such network.
        FolderError: `output` is no new folder.
    """
    if format == "onnx":
        _need_onnx()
    with appearing(output) as made, warnings.catch_warnings():
        # Of tracing: that it may have taken a size for a constant, which is tried out here, and
        # that there are younger ways. That of torch.export came out as exact, slower, and with
        # sizes that have no names.
        warnings.simplefilter("ignore")
        if format == "pytorch-cyclegan":
            written = write_checkpoints(weights, made)
        else:
            written = {name: _write(weights, name, format, made) for name in weights.networks}
        return [
            Exported(path.name, about, _differences(weights, name, _READERS[format](path)))
            for name, (path, about) in written.items()
        ]


def _write(weights: Weights, name: str, format: Format, folder: Path) -> tuple[Path, str]:
    """Write one network; returns the file, and what goes in and out."""
    network, size = weights.networks[name], weights.config.image_size
    example = _inputs(weights, name, 1, size, size)
    outputs = ("mean", "log_variance") if isinstance(network, LatentEncoder) else ("made",)
    about = f"{' and '.join(_shape(*item) for item in example.items())} to {' and '.join(outputs)}"
    if "image" in example:
        step, least = _sizes(network)
        about += f", height and width at least {least}"
        about += f", multiples of {step}" if step > 1 else ""
    write = _write_onnx if format == "onnx" else _write_script
    path = write(network, example, outputs, folder / name, f"Images in [-1, 1]: {about}.")
    return path, about


def _differences(weights: Weights, name: str, run: Run) -> dict[str, float]:
    """Compare what was read back with the network, at three sizes and for one to three images."""
    network, size = weights.networks[name], weights.config.image_size
    step, least = _sizes(network)
    found = {}
    for shape in ((1, size, size), (2, size, size + step), (3, least + step, least)):
        inputs = _inputs(weights, name, *shape)
        place = "×".join(map(str, next(iter(inputs.values())).shape))
        pairs = zip(run(inputs), _tuple(network(*inputs.values())), strict=True)
        # Not Python's max, which passes over what is not a number.
        off = torch.stack([(exported - made).abs().max() for exported, made in pairs]).max()
        found[place] = float(off)
        if not off <= TOLERANCE:
            raise ExportError(
                f"{name} came out wrong, by {off:.2g} for an input of {place} where {TOLERANCE:g} "
                "is allowed, so nothing was kept; try another --format."
            )
    return found


def _sizes(network: nn.Module) -> tuple[int, int]:
    """Of what height and width must be multiples, and the smallest one."""
    step: int = getattr(network, "multiple", 1)
    return step, -(-getattr(network, "minimum", 1) // step) * step


def _inputs(weights: Weights, name: str, count: int, height: int, width: int) -> Inputs:
    """Draw what a network takes, by name and in order: an image, a z, or both."""
    family, inputs = FAMILIES[weights.config.model], {}
    if name != family.generator:
        # generator_ab starts from domain A, and encoder_b looks at B.
        side = name.rpartition("_")[2][0]
        channels = family.channels(weights.settings)[side]
        inputs["image"] = torch.rand(count, channels, height, width) * 2 - 1
    if latent := getattr(weights.networks[name], "latent", 0):
        inputs["z"] = torch.randn(count, latent)
    return inputs


def _shape(name: str, value: Tensor) -> str:
    sizes = ("height", "width") if value.dim() == 4 else ()
    return f"{name} [{', '.join(('batch', str(value.shape[1]), *sizes))}]"


def _tuple(made: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return made if isinstance(made, tuple) else (made,)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        raise ExportError("ONNX needs two packages: pip install onnx onnxruntime.") from None


def _write_onnx(
    network: nn.Module, example: Inputs, outputs: Sequence[str], path: Path, about: str
) -> Path:
    import onnx

    path = path.with_suffix(".onnx")
    sizes = {0: "batch", 2: "height", 3: "width"}
    sized = ("image", "made") if "image" in example else ()
    names = (*example, *outputs)
    axes = {name: sizes if name in sized else {0: "batch"} for name in names}
    torch.onnx.export(
        network, tuple(example.values()), str(path), input_names=list(example),
        output_names=list(outputs), dynamic_axes=axes, opset_version=OPSET, dynamo=False,
    )  # fmt: skip
    model = onnx.load(path)
    model.doc_string = about
    onnx.save(model, path)
    return path


def _read_onnx(path: Path) -> Run:
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> list[Tensor]:
        made = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return [torch.from_numpy(value) for value in made]

    return run


def _write_script(
    network: nn.Module, example: Inputs, outputs: Sequence[str], path: Path, about: str
) -> Path:
    path = path.with_suffix(".pt")
    traced = torch.jit.trace(network, tuple(example.values()), check_trace=False)
    torch.jit.save(traced, path, _extra_files={"about.txt": about})
    return path


def _read_script(path: Path) -> Run:
    traced = torch.jit.load(path)
    return lambda inputs: list(_tuple(traced(*inputs.values())))


def _read_checkpoint(path: Path) -> Run:
    # The converter has its own table of their names, so this is not the way back of the way out.
    found = recognise(dict(torch.load(path, weights_only=True)))
    if found is None:
        raise ExportError(f"{path.name} is not recognised as what it is meant to be.")
    network = found.build()
    return lambda inputs: [network(*inputs.values())]


_READERS: dict[Format, Callable[[Path], Run]] = {
    "onnx": _read_onnx,
    "torchscript": _read_script,
    "pytorch-cyclegan": _read_checkpoint,
}
