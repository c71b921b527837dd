"""File names, and writing files so that a reader sees each one whole or not at all."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cyclegan.errors import UserError

# What a weights folder holds; here, since the Hub's side of it works without torch.
CONFIG, TENSORS, CARD, SAMPLE_SHEET, PHOTO_SHEET = (
    "config.json",
    "model.safetensors",
    "README.md",
    "samples.webp",
    "photos.webp",
)
QUANTISED = "{}.int8.xml"
"""A network in 8-bit integers, by its name; its numbers lie in a .bin beside it."""
WEIGHTS_FILES: tuple[str, ...] = (
    *(CONFIG, TENSORS, CARD, SAMPLE_SHEET, PHOTO_SHEET),
    *(f"generator_{way}.int8.{kind}" for way in ("ab", "ba") for kind in ("xml", "bin")),
)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file beside `path`, flush it to the disk and rename it.

    A process killed at any moment leaves either the old file or the new one under `path`; what it
    leaves besides starts with "." and ends in ".tmp", which no reader of this package opens.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # Without the flush a power cut can leave a renamed but empty file.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; these are meant to be shared like any other.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class FolderError(UserError):
    """A folder for results that holds something else."""


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes `folder` if that goes well, and vanishes otherwise.

    Raises FolderError when `folder` is there already and not empty, or cannot be one.
    """
    if any(path.exists() and not path.is_dir() for path in (folder, *folder.parents)):
        raise FolderError(f"{folder} is no folder; choose another one.")
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(f"{folder} is there already and not empty; choose a new folder.")
    # On the same file system, and without parents that would stay when it goes wrong.
    near = next(path for path in folder.absolute().parents if path.is_dir())
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=near))
    try:
        yield made
        made.chmod(0o755)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what killed processes left below `folder`; nobody may be writing there."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is missing, torn or something else counts as empty."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; lists of numbers stand on one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # No text can match: it holds no line break as JSON.
    text = re.sub(r'\[\n[^][{}"]*\]', lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)
    write_text(path, text + "\n")
