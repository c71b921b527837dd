"""Tensors out of checkpoint files, without running what else may be in them."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from cyclegan.errors import UserError

Tensors = dict[str, Tensor]


class ConvertError(UserError):
    """A checkpoint that cannot be converted; the text names the file and the cause."""


def read(path: Path) -> list[tuple[str, Tensors]]:
    """Read the state dicts in a file, each with a name: the file's, and its key in there.

    Prefixes of wrappers are gone, and so are the running statistics that old versions of PyTorch
    wrote for instance norms, which their own code bases drop. Raises ConvertError.
    """
    if not path.is_file():
        wrong = "is a folder; name the files in it" if path.is_dir() else "does not exist"
        raise ConvertError(f"{path} {wrong}.")
    found = [(name, _cleaned(tensors)) for name, tensors in _walk(_load(path), path.stem)]
    if not found:
        raise ConvertError(f"{path} holds no tensors by name, so it is no state dict of a network.")
    for name, tensors in found:
        if not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise ConvertError(f"{path}: {name} holds numbers that are not finite.")
    return found


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # About protocols and archives, of which the answer below says what matters.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    # In a damaged file, the library's reader may stumble over anything at all.
    except Exception as error:
        if not any(word in str(error) for word in ("GLOBAL", "TorchScript")):
            raise ConvertError(f"{path} is no checkpoint, or damaged; fetch it again.") from None
        raise ConvertError(
            f"{path} holds more than tensors and would run code when opened, so it was not opened; "
            "save the state dict of the network instead: torch.save(model.state_dict(), …)."
        ) from None


def _walk(content: Any, name: str) -> Iterator[tuple[str, Tensors]]:
    """Find the mappings of tensors in what a file holds, however deep."""
    waiting, seen = [(name, content)], set()
    for name, value in waiting:
        # A mapping may hold itself.
        if not isinstance(value, Mapping) or id(value) in seen:
            continue
        seen.add(id(value))
        tensors = {str(key): item for key, item in value.items() if isinstance(item, Tensor)}
        if tensors:
            yield name, tensors
        waiting += [(f"{name}/{key}", item) for key, item in value.items()]


def _cleaned(tensors: Tensors) -> Tensors:
    for prefix in ("module.", "_orig_mod."):
        if all(key.startswith(prefix) for key in tensors):
            return _cleaned({key.removeprefix(prefix): value for key, value in tensors.items()})
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {
        key: value.long() if key.endswith("num_batches_tracked") else value.float()
        for key, value in tensors.items()
        if not key.endswith(statistics) or f"{key.rpartition('.')[0]}.weight" in tensors
    }
