"""Trained networks on disk: config.json, model.safetensors and a model card, read strictly."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cyclegan.config import ConfigError, Strict, from_json, to_json
from cyclegan.domains import Looks
from cyclegan.errors import UserError
from cyclegan.files import CONFIG, TENSORS, write_atomically, write_json
from cyclegan.models import FAMILIES, Networks

FORMAT = 1
HEADER = 1_000_000
"""Bytes that the list of tensors may take; that of the paper's networks takes 10,000."""


class WeightsError(UserError):
    """A weights folder that cannot be used; the text names the file and the cause."""


@dataclass(frozen=True)
class WeightsConfig(Strict):
    """What config.json holds.

    Attributes:
        format: of the folder; this package reads 1.
        model: the family, a key of models.FAMILIES.
        label_a, label_b: what the domains show, e.g. "horse" and "zebra".
        image_size: side of the training images, in pixels.
        settings: the family's own config, as JSON; checked against the family's dataclass.
        step: optimiser steps behind these weights.
        short_sides: the range in which the short side of a whole photo lay while training, in
            pixels, or that part of it which measured best; None when unknown. Outside of it the
            networks see things at a size that is new to them.
        change_blur: by how many pixels (a standard deviation, at the scale of training) to blur
            what the networks change before it is added to the picture, which keeps its own fine
            detail; 0 takes the change as it is.
        looks: by what to tell the domain of a photo; None when unknown.
        drawn: whether domain A is line drawings, dark on white, so that people can draw their own.
    """

    format: Literal[1]
    model: str
    label_a: str
    label_b: str
    image_size: int
    settings: dict[str, Any]
    step: int = 0
    short_sides: tuple[int, int] | None = None
    change_blur: float = 0.0
    looks: Looks | None = None
    drawn: bool = False

    def __post_init__(self):
        if not 0 <= self.change_blur <= 100:
            raise ValueError(f"change_blur is {self.change_blur}; it must be from 0 to 100.")


@dataclass(frozen=True)
class Weights:
    """A weights folder in memory: its config, the family's settings in it, and its networks.

    The networks are in evaluation mode and need no gradients.
    """

    config: WeightsConfig
    settings: Any
    networks: dict[str, nn.Module]


def save_weights(
    folder: Path,
    config: WeightsConfig,
    networks: Networks,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write config.json and model.safetensors, each atomically.

    Half precision halves the download and changes an 8-bit picture by less than one level;
    networks are loaded as float32 whatever is stored.
    """
    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            stored = value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype)
            tensors[f"{name}.{key}"] = stored.contiguous()
    _write(folder, config, tensors)


def replace_config(folder: Path, config: WeightsConfig) -> None:
    """Give a weights folder another config, leaving every tensor as it is stored.

    Raises WeightsError when there are no tensors, or damaged ones.
    """
    _write(folder, config, _read_tensors(folder / TENSORS))


def _write(folder: Path, config: WeightsConfig, tensors: dict[str, Tensor]) -> None:
    settings = to_json(config)
    # One key only: safetensors writes several in random order, and equal weights are equal files.
    metadata = {"config": json.dumps(settings)}
    write_json(folder / CONFIG, settings)
    # Not save_file, whose own temporary file a killed process would leave behind for good.
    content = save(tensors, metadata)
    write_atomically(folder / TENSORS, lambda path: path.write_bytes(content))


def read_config(folder: Path) -> WeightsConfig:
    """Read config.json alone, which is cheap. Raises WeightsError."""
    path = folder / CONFIG
    try:
        config = from_json(WeightsConfig, path.read_bytes(), str(path))
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; {folder} is no weights folder.") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from None
    except ConfigError as error:
        raise WeightsError(str(error)) from None
    if config.model not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise WeightsError(f"{path}: model is {config.model!r}; this version knows {known}.")
    return config


def load_weights(folder: str | Path) -> Weights:
    """Read a weights folder into freshly built networks on the CPU.

    Raises WeightsError when anything is missing, unknown, misshapen or cut short.
    """
    folder = Path(folder)
    config = read_config(folder)
    return assemble(config, _read_tensors(folder / TENSORS), folder / TENSORS)


def tensor_shapes(path: Path) -> dict[str, torch.Size]:
    """The shapes of a safetensors file's tensors, of which none is read. Raises WeightsError."""
    with _opened(path) as file:
        return {key: torch.Size(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


def assemble(config: WeightsConfig, tensors: Mapping[str, Tensor], path: Path) -> Weights:
    """Build the networks of a config and fill them with tensors, keyed by network and parameter.

    `path` is where the tensors came from, for messages.

    Raises WeightsError when the settings make no network or a tensor is missing or misshapen.
    """
    family = FAMILIES[config.model]
    where = f"{path.parent / CONFIG}: settings"
    try:
        settings = from_json(family.Config, json.dumps(config.settings), where)
        builders = family.builders(settings, config.image_size)
        # Without memory behind them until the tensors turn out to be as large as the config says.
        with torch.device("meta"):
            networks = {name: builders[name]() for name in family.ships if name in builders}
    except ConfigError as error:
        raise WeightsError(str(error)) from None
    except ValueError as error:
        raise WeightsError(f"{where}: {error}") from None
    expected = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    _compare(tensors, expected, path)
    for name, network in networks.items():
        prefix = f"{name}."
        network.to_empty(device="cpu")
        network.load_state_dict(
            {key.removeprefix(prefix): tensors[key] for key in expected if key.startswith(prefix)}
        )
        network.eval().requires_grad_(False)
    return Weights(config, settings, networks)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            # The header, which the library reads whole; its length stands before it.
            length = int.from_bytes(file.read(8), "little")
        if length > HEADER:
            raise SafetensorError(f"a header of {length:,} bytes")
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; the weights are incomplete.") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}); fetch it again.") from None


def _compare(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    missing = [key for key in expected if key not in tensors]
    unknown = [key for key in tensors if key not in expected]
    if missing:
        raise WeightsError(f"{path}: the tensor {missing[0]} is missing ({len(missing)} in all).")
    if unknown:
        raise WeightsError(f"{path}: the tensor {unknown[0]} is unknown ({len(unknown)} in all).")
    for key, value in expected.items():
        if tensors[key].shape != value.shape:
            raise WeightsError(
                f"{path}: the tensor {key} has shape {list(tensors[key].shape)}; "
                f"{CONFIG} asks for {list(value.shape)}."
            )
