"""Generators as OpenVINO runs them: several times as fast on a CPU as PyTorch does.

OpenVINO is Apache-2.0 and optional at run time; whatever of it is missing or computes something
else than the network, PyTorch does the work. Quantised networks (8-bit integers; made by
quantise.py) lie beside the weights that they were made from.
"""

import hashlib
import logging
import sys
import warnings
from collections import OrderedDict
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cyclegan.errors import UserError
from cyclegan.files import QUANTISED
from cyclegan.folding import folded
from cyclegan.networks import Generator, UnetGenerator
from cyclegan.precision import halves
from cyclegan.weights import Weights

logger = logging.getLogger(__name__)

Backend = Literal["auto", "torch", "openvino"]
Precision = Literal["f32", "bf16"]

LEAST = 25.0
"""PSNR, in dB, under which a compiled network is not taken for the network. It is told on noise,
which networks in 8 bits were not made for; on photos they are some 10 dB nearer."""
LEAST_IN_HALF = 40.0
"""PSNR, in dB, under which half precision is not taken; trained networks have over 60."""
OWN_SIZES = 4
"""For how many sizes that came again a network is compiled anew, which frames of a film are worth:
it takes 0.2 s, and up to a tenth of the time of a frame goes."""
DIGEST = ("cyclegan", "weights")
"""Where a quantised file says which weights it was made from."""


MISSING = "--backend openvino needs a package: pip install openvino."


class BackendError(UserError):
    """A backend that this machine does not have."""


class Compiled(Generator):
    """A generator in OpenVINO's hands: [N, C, H, W] in [-1, 1], float32 on the CPU, in and out.

    It has no parameters. One call at a time; whoever shares it takes turns.

    Args:
        model: an `openvino.Model` for images of any number and size.
        like: the generator that it computes.
        precision: of what is computed in floating point.
        own_sizes: for how many sizes at most the model is compiled anew.
    """

    def __init__(
        self,
        model: Any,
        like: Generator,
        precision: Precision = "f32",
        own_sizes: int = OWN_SIZES,
    ):
        super().__init__()
        self.multiple, self.minimum, self.reach = like.multiple, like.minimum, like.reach
        self._model, self._own_sizes = model, own_sizes
        self._precision: Precision = precision
        self._any_size = self._request(model, precision)
        self._sizes: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def forward(self, real: Tensor) -> Tensor:
        images = np.ascontiguousarray(real.detach().cpu().float().numpy())
        made = self._for(images.shape).infer({0: images}, share_inputs=True)
        return torch.from_numpy(made[0])

    @cached_property
    def quick(self) -> "Compiled":
        """The same network, what is in floating point in half precision where that is quicker."""
        if self._precision == "bf16" or not halves(torch.device("cpu")):
            return self
        return Compiled(self._model, self, "bf16")

    def frozen(self, real: Tensor) -> "Compiled":
        """The same network with the statistics that its instance norms have of [1, C, H, W]."""
        ov = _openvino()
        norms = _norms(self._model)
        seen = ov.Model([node for norm in norms for node in _statistics(norm)],
                        self._model.get_parameters())  # fmt: skip
        statistics = self._request(seen, "f32").infer({0: real.cpu().float().numpy()})
        found = list(statistics.values())
        copy = self._model.clone()
        for norm, mean, variance in zip(_norms(copy), found[::2], found[1::2], strict=True):
            _freeze(norm, mean, variance)
        # For the tiles of one picture: what a size of its own gains, it costs to compile, and each
        # would hold the memory of another tile.
        return Compiled(copy, self, self._precision, own_sizes=0)

    def _for(self, shape: tuple[int, ...]) -> Any:
        """The compiled network for a size; one of its own when a size comes again."""
        if shape not in self._sizes:
            self._sizes[shape] = None
            if len(self._sizes) > self._own_sizes:
                self._sizes.popitem(last=False)
            return self._any_size
        self._sizes.move_to_end(shape)
        if self._sizes[shape] is None:
            fixed = self._model.clone()
            fixed.reshape(list(shape))
            self._sizes[shape] = self._request(fixed, self._precision)
        return self._sizes[shape]

    def _request(self, model: Any, precision: Precision) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": precision,
            # Several processes would sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        return _core().compile_model(model, "CPU", settings).create_infer_request()


def compiled(
    weights: Weights, name: str, channels: int, folder: Path | None, backend: Backend
) -> Compiled | None:
    """Have OpenVINO run one of the networks, if it can; the log says so when it cannot.

    Args:
        weights, name, channels: the network, and how many channels its images have.
        folder: where a quantised network may lie beside the weights; without one the network is
            converted as it is. What is left in floating point is run in half precision where that
            is quicker and, of a network that is not quantised, near enough.
        backend: "torch" for none.

    Raises BackendError when "openvino" is asked for and not installed.
    """
    network = cast(Generator, weights.networks[name])
    file = None if folder is None else folder / QUANTISED.format(name)
    if backend == "torch":
        return None
    try:
        _openvino()
    except ImportError as error:
        if backend == "openvino":
            raise BackendError(MISSING) from error
        return None
    precision: Precision = "bf16" if halves(torch.device("cpu")) else "f32"
    quantised = file is not None and file.is_file()
    try:
        if file is not None and quantised:
            model = _core().read_model(file)
            made_from = model.get_rt_info(list(DIGEST)).astype(str)
            if made_from != digest(weights, name):
                raise ValueError(f"{file.name} was made from other weights")
        else:
            model = converted(network, channels, weights.config.image_size)
        made = Compiled(model, network, precision)
        found = parity(made, network, channels, weights.config.image_size)
        if precision == "bf16" and not (quantised or found >= LEAST_IN_HALF):
            made = Compiled(model, network)
            found = parity(made, network, channels, weights.config.image_size)
        if not found >= LEAST:
            raise ValueError(f"its pictures are only {found:.1f} dB alike")
    # OpenVINO raises RuntimeError for nearly everything, and torch's tracer what it likes.
    except Exception as error:
        reason = " ".join(str(error).split())
        logger.warning("%s is run by PyTorch, not by OpenVINO: %s.", name, reason.rstrip("."))
        return None
    logger.info("%s is run by OpenVINO, %.1f dB from PyTorch.", name, found)
    return made


@torch.no_grad()
def converted(network: Generator, channels: int, size: int) -> Any:
    """Convert a generator to an `openvino.Model` for images of any number, height and width."""
    _openvino()
    # What openvino.convert_model does, which meanwhile silences all loggers of the process.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, channels, size, size)
    with warnings.catch_warnings():
        # Of tracing, that it may have taken a size for a constant, which `parity` would not pass.
        warnings.simplefilter("ignore")
        traced = TorchScriptPythonDecoder(folded(network), example_input=example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(traced))


@torch.no_grad()
def parity(made: Generator, network: Generator, channels: int, size: int) -> float:
    """How alike what two networks make of a picture is: PSNR in dB.

    The picture is coarse and fine noise in all colours, the same every time, and no square: a
    network that was traced for one size only would be found out.
    """
    random = torch.Generator().manual_seed(0)
    wide = size + network.multiple * (not isinstance(network, UnetGenerator))
    real = torch.zeros(1, channels, size, wide)
    for cells in (2, 4, 8, 16, 32):
        noise = torch.randn(1, channels, cells, cells, generator=random)
        real += F.interpolate(noise, (size, wide), mode="bicubic") / cells**0.5
    device = next(iter(network.parameters()), real).device
    real = (real / 2).clamp(-1, 1).to(device)
    return psnr(made(real), network(real))


def psnr(images: Tensor, others: Tensor) -> float:
    """Peak signal-to-noise ratio of images in [-1, 1], in dB; infinite when they are equal."""
    return float(10 * torch.log10(4 / (images.float() - others.float()).square().mean()))


def digest(weights: Weights, name: str) -> str:
    """Name a network by its numbers: 64 hexadecimal digits."""
    found = hashlib.sha256()
    for key, value in sorted(weights.networks[name].state_dict().items()):
        found.update(key.encode())
        # As they are stored: what was trained in full precision ships in half of it.
        found.update(value.detach().cpu().half().numpy().tobytes())
    return found.hexdigest()


def _openvino() -> Any:
    # Importing openvino would tell its makers so over the network, and leave files in the home
    # folder; without that package of theirs it does neither.
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino

    return openvino


@cache
def _core() -> Any:
    # One for good. With the last of them goes OpenVINO's own stack for signals, which the thread
    # that first loaded a network would go on using: the next Ctrl-C would be a segmentation fault.
    return _openvino().Core()


def _norms(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "MVN"]


def _statistics(norm: Any) -> tuple[Any, Any]:
    """Nodes for mean and variance of what goes into an instance norm, [1, C, 1, 1]."""
    from openvino import opset13 as ops

    seen, axes = norm.input_value(0), np.array([2, 3])
    mean = ops.reduce_mean(seen, axes, keep_dims=True)
    off = ops.subtract(seen, mean)
    return mean, ops.reduce_mean(ops.multiply(off, off), axes, keep_dims=True)


def _freeze(norm: Any, mean: np.ndarray, variance: np.ndarray) -> None:
    """Put a subtraction and a multiplication in the place of an instance norm."""
    from openvino import opset13 as ops

    scale = 1 / np.sqrt(variance + norm.get_attributes()["eps"])
    centred = ops.subtract(norm.input_value(0), ops.constant(mean))
    norm.output(0).replace(ops.multiply(centred, ops.constant(scale.astype(np.float32))).output(0))
