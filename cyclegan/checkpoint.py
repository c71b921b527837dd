"""The full state of a run, written atomically, so that killing a run costs at most the steps since.

One file a checkpoint: `checkpoint/00001000.pt`. It is the trainer's own state and never shared, so
it is a torch archive; it is read with `weights_only=True`, which runs no code.
"""

import logging
from pathlib import Path
from typing import Any

import torch

from cyclegan.errors import UserError
from cyclegan.files import write_atomically

logger = logging.getLogger(__name__)


class CheckpointError(UserError):
    """No checkpoint of the run can be read."""


def list_checkpoints(folder: Path) -> list[Path]:
    """List checkpoints, oldest first; temporary and foreign files are passed over."""
    return sorted(path for path in folder.glob("*.pt") if path.stem.isdecimal())


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the state of `step` and then delete all but the newest `keep` checkpoints.

    Raises OSError when the disk is full; the older checkpoints are then still there.
    """
    path = folder / f"{step:08d}.pt"
    write_atomically(path, lambda temporary: torch.save(state, temporary))
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint that can be read, onto the CPU; None when there is none yet.

    A damaged one is named in a warning and the one before it is taken.

    Raises CheckpointError when there are some but none can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            # torch.load raises RuntimeError, EOFError, UnpicklingError and more on torn archives.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            logger.warning(
                "The checkpoint %s cannot be read (%s); trying an older one.", path, reason
            )
    if paths:
        raise CheckpointError(
            f"None of the {len(paths)} checkpoints in {folder} can be read; delete the folder to "
            "start anew."
        )
    return None
