"""The files of a batch: what a visitor has sent, and where the results go."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from gradio.utils import get_upload_folder

from cyclegan.archive import Allowance, Archive, safe_name
from cyclegan.errors import UserError

MAX_PICTURES = 200
MAX_BYTES = 200_000_000
"""Of everything that is sent together, and of everything that the zips in it unpack to."""
MAX_PICTURE = 50_000_000
"""Bytes of a picture in a zip."""
MAX_KEPT, MAX_AGE = 4_000_000_000, 24 * 3600.0
"""Bytes of all finished zips on this server, and seconds that one is kept."""
FOLDER = "batches"


class BatchError(UserError):
    """A batch that is not begun, or that cannot go on."""


@dataclass(frozen=True)
class Given:
    """A file that a visitor has sent: where it is, and what they call it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Item:
    """A picture of a batch; `open` gives its content, or raises UserError."""

    name: str
    open: Callable[[], Path | BinaryIO]


Refused = tuple[str, str]
"""The name of a file that is not even tried, and why, one sentence."""


@contextmanager
def gathered(files: Sequence[Given]) -> Iterator[tuple[list[Item], list[Refused]]]:
    """The pictures in what was sent, to be opened one by one meanwhile, and what is none.

    Raises BatchError when it is too much.
    """
    megabytes = MAX_BYTES // 1_000_000
    if sum(file.path.stat().st_size for file in files) > MAX_BYTES:
        raise BatchError(f"This is more than {megabytes} MB together; send fewer photos at a time.")
    allowance = Allowance(
        MAX_BYTES, f"The zips unpack to more than {megabytes} MB; send fewer photos at a time."
    )
    items: list[Item] = []
    refused: list[Refused] = []
    with ExitStack() as stack:
        for file in files:
            name = safe_name(file.name)
            if not _is_zip(file):
                items.append(Item(name, partial(Path, file.path)))
                continue
            try:
                archive = stack.enter_context(Archive(file.path, name, MAX_PICTURE, allowance))
            except UserError as error:
                refused.append((name, str(error)))
                continue
            for entry in archive.entries:
                if entry.problem:
                    refused.append((entry.name, entry.problem))
                else:
                    items.append(Item(entry.name, partial(archive.read, entry)))
        if len(items) > MAX_PICTURES:
            raise BatchError(
                f"These are {len(items):,} pictures; send at most {MAX_PICTURES} at a time."
            )
        yield items, refused


def _is_zip(file: Given) -> bool:
    with file.path.open("rb") as opened:
        return file.name.lower().endswith(".zip") or opened.read(4) == b"PK\3\4"


def new_folder() -> Path:
    """A new folder for a zip of results; what is too old, or has no room, makes way."""
    above = Path(get_upload_folder(), FOLDER)
    above.mkdir(parents=True, exist_ok=True)
    kept = 0
    for folder in sorted(above.iterdir(), key=_age):
        with suppress(OSError):
            kept += sum(path.stat().st_size for path in folder.iterdir())
            if kept > MAX_KEPT or _age(folder) > MAX_AGE:
                shutil.rmtree(folder)
    made = above / secrets.token_hex(16)
    made.mkdir(mode=0o700)
    return made


def _age(folder: Path) -> float:
    """Seconds since something was last written there; a zip that grows is young."""
    try:
        newest = max((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
        return time.time() - max(newest, folder.stat().st_mtime)
    except OSError:
        return 0.0
