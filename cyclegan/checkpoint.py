"""The full state of a run, written atomically, so that killing a run costs at most the steps since.

One file a checkpoint: `checkpoint/00001000.pt`. It is the trainer's own state and never shared, so
it is a torch archive; it is read with `weights_only=True`, which runs no code.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.files import read_object, write_atomically, write_json

logger = logging.getLogger(__name__)

BEST = "best.json"


class CheckpointError(UserError):
    """A checkpoint that cannot be read or written."""


class UnwrittenError(CheckpointError):
    """A checkpoint that could not be written; those before it are whole."""

    exit_code = 1


def list_checkpoints(folder: Path) -> list[Path]:
    """List checkpoints, oldest first; temporary and foreign files are passed over."""
    return sorted(path for path in folder.glob("*.pt") if path.stem.isdecimal())


def save_checkpoint(
    folder: Path, step: int, state: dict[str, Any], keep: int, every: int = 1
) -> Path:
    """Write the state of `step`, then delete all but the newest `keep` checkpoints and the best.

    Those between the multiples of `every`, written at a stop or as the best of their time, go as
    soon as there is a newer one.

    Raises UnwrittenError when the disk is full; the older checkpoints are then still there.
    """
    path = _path(folder, step)

    def write(temporary: Path) -> None:
        # Through a file of Python's, which names what goes wrong; torch's own does not.
        with temporary.open("wb") as file:
            torch.save(state, file)

    try:
        write_atomically(path, write)
    except (OSError, RuntimeError) as error:
        raise UnwrittenError(
            f"The checkpoint {path} cannot be written ({_reason(error)}); the ones before it are "
            "whole: make room on the disk and run the command again."
        ) from error
    best = (load_best(folder) or {}).get("step")
    regular = [old for old in list_checkpoints(folder) if old == path or int(old.stem) % every == 0]
    for old in list_checkpoints(folder):
        if old not in regular[-keep:] and int(old.stem) != best:
            old.unlink()
    return path


def save_best(folder: Path, metric: str, value: float, step: int) -> None:
    """Name the best checkpoint, which `save_checkpoint` then never deletes."""
    write_json(folder / BEST, {"metric": metric, "value": value, "step": step})


def load_best(folder: Path) -> dict[str, Any] | None:
    """Read which checkpoint is the best: its metric, value and step; None when none is named."""
    best = read_object(folder / BEST)
    return best if isinstance(best.get("step"), int) else None


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint that can be read, onto the CPU; None when there is none yet.

    A damaged one is named in a warning and the one before it is taken.

    Raises CheckpointError when there are some but none can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        try:
            return _load(path)
        except CheckpointError as error:
            logger.warning("%s Trying an older one.", error)
    if paths:
        raise CheckpointError(
            f"None of the {len(paths)} checkpoints in {folder} can be read; delete the folder to "
            "start anew."
        )
    return None


def load_averages(folder: Path, step: int | None = None) -> tuple[int, dict[str, Tensor]]:
    """Read only the averaged networks of a checkpoint, the newest when no step is given.

    Returns its step and the tensors, keyed by network and parameter.

    Raises CheckpointError when it is not there or damaged.
    """
    paths = list_checkpoints(folder) if step is None else [_path(folder, step)]
    if not paths or not paths[-1].is_file():
        wanted = "a checkpoint" if step is None else f"the checkpoint of step {step}"
        raise CheckpointError(
            f"The run {folder.parent.name} does not hold {wanted} any more, or not yet."
        )
    # Mapped into memory, so that the optimisers' states, most of the file, are never read.
    state = _load(paths[-1], mmap=True)["learner"]
    return state["step"], {name: tensor.clone() for name, tensor in state["ema"].items()}


def _reason(error: BaseException) -> str:
    """Find what the operating system said; torch raises its own complaint on top of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return (str(error) or type(error).__name__).splitlines()[0]


def _path(folder: Path, step: int) -> Path:
    return folder / f"{step:08d}.pt"


def _load(path: Path, mmap: bool = False) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        if not {"step", "ema"} <= state["learner"].keys():
            raise ValueError("it holds something else")
        return state
    except Exception as error:
        # torch.load raises RuntimeError, EOFError, UnpicklingError and more on torn archives.
        raise CheckpointError(
            f"The checkpoint {path} cannot be read ({_reason(error)})."
        ) from error
