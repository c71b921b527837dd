"""Generators in 8-bit integers for OpenVINO, by NNCF's post-training quantisation.

NNCF is Apache-2.0 and only needed here. Weights get a scale a channel; what goes into convolutions
gets one a layer, found on photos. NNCF by itself would also put one scale on what instance norms
are given, whose channels are not yet in scale, and lose much by it (benchmarks/translation.py). Its
bias correction has nothing to do: instance norm takes away the bias of what comes before it.
"""

import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan.compiled import DIGEST, Compiled, converted, digest, psnr
from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.files import QUANTISED, write_atomically
from cyclegan.images import ImageError, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.networks import Generator
from cyclegan.photos import list_images
from cyclegan.translator import Translator, prepare

PHOTOS = 64
"""How many photos are looked at; of more than these the scales hardly change."""
FLOATING = ["MVN", "Interpolate"]
"""Instance norm and upsampling, as OpenVINO calls them."""
LEAST = 30.0
"""PSNR, in dB, on photos under which a network is not kept: shades are off by eight of 256, which
shows."""
HELD = 4
"""Every how manieth of them is kept out, to compare the networks on."""

logger = logging.getLogger(__name__)


class QuantisationError(UserError):
    """Networks that cannot be quantised, or came out too different."""


@dataclass(frozen=True)
class Quantised:
    """A network that was quantised: its file, on how many photos, and how it compares in dB."""

    file: str
    photos: int
    held: int
    psnr: float
    least: float

    def __str__(self) -> str:
        return (
            f"{self.file}: scales from {self.photos} photos; on {self.held} others "
            f"{self.psnr:.1f} dB from the network, {self.least:.1f} dB at the least"
        )


def quantise(translator: Translator, photos: Path, output: Path) -> list[Quantised]:
    """Write every translating network of a translator in 8-bit integers into a folder.

    Args:
        translator: on the CPU, run by PyTorch.
        photos: a folder of photos of both domains, in any folders below it; each is seen at the
            scale at which the translator would see it.
        output: the folder, where older files of the same networks are replaced.

    Raises:
        QuantisationError: a package or photos are missing, or the networks lose too much.
    """
    _nncf()
    weights, images, made = translator.weights, _images(photos), []
    family = FAMILIES[weights.config.model]
    if not family.translators:
        raise QuantisationError(
            f"{translator.info.name} makes pictures from noise and does not translate; quantising "
            "is for weights that do."
        )
    for direction, name in family.translators.items():
        network = cast(Generator, weights.networks[name])
        channels = family.channels(weights.settings)[direction[0]]
        seen = [_seen(image, translator, direction, channels, network.multiple) for image in images]
        held, shown = seen[::HELD], [x for i, x in enumerate(seen) if i % HELD]
        model = in_8_bits(network, channels, weights.config.image_size, shown)
        model.set_rt_info(digest(weights, name), list(DIGEST))
        quantised = Compiled(model, network)
        with torch.no_grad():
            pairs = [(quantised(x).flatten(), network(x).flatten()) for x in held]
        together = psnr(*(torch.cat(side) for side in zip(*pairs, strict=True)))
        least = min(psnr(*pair) for pair in pairs)
        if not together >= LEAST:
            raise QuantisationError(
                f"In 8 bits {name} is {together:.1f} dB from the network, where {LEAST:g} are "
                "needed; nothing was written."
            )
        file = QUANTISED.format(name)
        made.append((model, Quantised(file, len(shown), len(held), together, least)))
    for model, written in made:
        _write(model, output / written.file)
    return [written for _, written in made]


def in_8_bits(network: Generator, channels: int, size: int, shown: Sequence[Tensor]) -> Any:
    """Quantise a generator: an `openvino.Model` for images of any size.

    Args:
        network: in evaluation mode, on the CPU.
        channels, size: of the images that it was trained on.
        shown: images [1, C, H, W] of any sizes, on which scales are found.

    Raises QuantisationError when a package is missing.
    """
    nncf = _nncf()
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    model = converted(network, channels, size)
    return nncf.quantize(
        model,
        nncf.Dataset([images.numpy() for images in shown]),
        subset_size=len(shown),
        ignored_scope=nncf.IgnoredScope(_exact(model), types=FLOATING, validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # NNCF's default is the mean of the photos' extremes, which cuts off the brightest.
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            disable_bias_correction=True,
        ),
    )


def _exact(model: Any) -> list[str]:
    """The names of what stays in floating point, since its errors are seen as they are.

    The last convolution of a ResNet generator, and what mixes two pictures: residual blocks and
    attention. A bias, which is added too, is a constant.
    """
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if (node.get_type_name() == "Convolution" and ".head." in node.get_friendly_name())
        or (
            node.get_type_name() in ("Add", "Subtract", "Multiply")
            and all(value.get_node().get_type_name() != "Constant" for value in node.input_values())
        )
    ]


def _nncf() -> Any:
    # As in compiled.py: without it NNCF reports nothing over the network.
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    try:
        import nncf
        import openvino  # noqa: F401
    except ImportError:
        raise QuantisationError("8 bits need two packages: pip install openvino nncf.") from None
    # Not nncf.set_log_level, which sets the levels of everybody's handlers.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def _write(model: Any, path: Path) -> None:
    """Write the two files of a model; that with the numbers first, without which one is nothing."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.xml"
        openvino.save_model(model, written, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            content = written.with_suffix(suffix).read_bytes()
            write_atomically(path.with_suffix(suffix), lambda new, it=content: new.write_bytes(it))


def _images(folder: Path) -> list[Image.Image]:
    """Photos from all folders below one, which take turns."""
    files: dict[Path, list[Path]] = {}
    for file in list_images([folder]):
        files.setdefault(file.parent, []).append(file)
    random = np.random.default_rng(0)
    drawn = [[listed[i] for i in random.permutation(len(listed))] for listed in files.values()]
    found: list[Image.Image] = []
    for file in (file for turn in zip_longest(*drawn) for file in turn if file):
        if len(found) == PHOTOS:
            break
        try:
            found.append(prepare(file))
        except ImageError as error:
            logger.warning("Skipped %s: %s", file, error)
    if len(found) < 2 * HELD:
        raise QuantisationError(
            f"{folder} has {len(found)} pictures that can be read; quantising needs {2 * HELD} at "
            f"least, better {PHOTOS}, of all domains."
        )
    return found


def _seen(
    image: Image.Image, translator: Translator, direction: Direction, channels: int, step: int
) -> Tensor:
    """A photo as the network sees it, but for what is padded: [1, C, H, W]."""
    width, height = translator.seen(image.size, direction)
    size = max(step, width // step * step), max(step, height // step * step)
    return to_tensor(image.resize(size, Image.Resampling.BICUBIC), channels).unsqueeze(0)
