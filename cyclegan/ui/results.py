"""What visitors have translated, kept for a day so that they can look at it and download it.

A result is a folder named by a token that nobody can guess: the visitor's own file, previews, and
what the networks changed. Its pixels in full size are made when somebody asks for them.
"""

import contextlib
import errno
import io
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image

from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.native import Change
from cyclegan.recipe import Recipe
from cyclegan.translator import Info, prepare
from cyclegan.ui.translation import Translation, View, previews_of

MAX_AGE = 24 * 3600.0
"""Seconds that a result is kept."""
MAX_BYTES = 2_000_000_000
"""Room for all results together; beyond it, the one unused for longest goes first."""
SWEEP = 600.0
"""Seconds between two looks for results that are too old."""
PREFIX = "results-"
ORIGINAL, CHANGE, BACK = "original", "change.npz", "back.npz"
QUALITY: dict[str, Any] = {"quality": 90, "method": 1}
"""Of the previews: no difference is seen, and they are there in a moment."""

Original = str | Path | io.BytesIO | None


class GoneError(UserError):
    """A result that is not here, or no longer."""


@dataclass(frozen=True)
class Result:
    """A kept translation, as it stood when it was asked for.

    Attributes:
        token: its name, 32 hexadecimal digits.
        folder: where its files are.
        name: of the visitor's file.
        model, direction, detail: how it was made.
        size: of the picture, (width, height) in pixels.
        preview: size of its previews.
        seconds: how long the network took for the way there.
        made: when, in Unix time.
        recovered: whether the way back is there.
        cycle_error: how far that missed, from 0 to 1.
        bytes: what it takes on the disk.
        turn: held by whoever adds the way back, so that nobody does so twice.
    """

    token: str
    folder: Path
    name: str
    model: Info
    direction: Direction
    detail: float
    size: tuple[int, int]
    preview: tuple[int, int]
    seconds: float
    made: float
    recovered: bool = False
    cycle_error: float | None = None
    bytes: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def two_ways(self) -> bool:
        """Whether its model knows a way back."""
        return len(self.model.directions) == 2

    def facts(self) -> dict[str, Any]:
        """What the page's client knows about it, as JSON."""
        return {
            "token": self.token,
            "name": self.name,
            "model": self.model.name,
            "revision": self.model.revision,
            "direction": self.direction,
            "labels": dict(self.model.labels),
            "two_ways": self.two_ways,
            "one_size": self.model.one_size,
            "width": self.size[0],
            "height": self.size[1],
            "preview": list(self.preview),
            "seconds": self.seconds,
            "recovered": self.recovered,
            "cycle_error": self.cycle_error,
            "detail": self.detail,
            "made": self.made,
        }

    def recipe(self, picture: str, strength: float) -> Recipe:
        """How a file of this result was made."""
        return Recipe.of(self.model, self.direction, picture, strength, self.detail)

    def view(self, which: View) -> Path:
        """The file of a preview. Raises GoneError."""
        path = self.folder / f"{which}.webp"
        if not path.is_file():
            raise _gone()
        return path

    def real(self) -> Image.Image:
        """The visitor's picture with all its pixels, at most 24 million. Raises GoneError."""
        try:
            return prepare(self.folder / ORIGINAL)
        except UserError as error:
            raise _gone() from error

    def change(self) -> Change:
        """What the way there changes about it. Raises GoneError."""
        return self._load(CHANGE)

    def back(self) -> Change:
        """What the way back changes about the fake. Raises GoneError, also when there is none."""
        return self._load(BACK)

    def there(self) -> Translation:
        """The translation without its way back. Raises GoneError."""
        real, change = self.real(), self.change()
        previews = previews_of(real, change)
        return Translation(
            self.model, self.direction, self.detail, real, change, self.seconds, previews
        )

    def _load(self, name: str) -> Change:
        try:
            return Change.load(self.folder / name)
        except UserError as error:
            raise _gone() from error


class ResultStore:
    """Keeps results, each for `max_age` seconds and all within `max_bytes`. Safe under threads.

    It has a folder of its own among gradio's temporary files, readable by this user alone, which
    goes when this process ends.
    """

    def __init__(self, max_age: float = MAX_AGE, max_bytes: int = MAX_BYTES):
        above = Path(get_upload_folder())
        above.mkdir(parents=True, exist_ok=True)
        _clear_away(above, max_age)
        self._place = tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=above, ignore_cleanup_errors=True
        )
        self.folder = Path(self._place.name)
        self._max_age, self._max_bytes = max_age, max_bytes
        # The most recently used last.
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look for results that are too old every now and then, in a thread."""

        def run() -> None:
            while True:
                time.sleep(SWEEP)
                self.sweep()

        threading.Thread(target=run, name="results", daemon=True).start()

    def keep(self, made: Translation, name: str = "", original: Original = None) -> Result:
        """Keep a translation as far as it has come; `add_recovered` takes the rest.

        Args:
            made: the translation.
            name: what the visitor's file is called.
            original: that file, a path or its content. Without it, the picture is written once
                more, which takes longer.

        Raises UserError when there is no room on the disk.
        """
        token = secrets.token_hex(16)
        folder = self.folder / token
        # Nobody knows the token before the files are all there.
        try:
            with room():
                folder.mkdir(mode=0o700)
                _write_original(folder / ORIGINAL, made.real, original)
                _write_previews(folder, made, ("real", "fake"))
                made.change.save(folder / CHANGE)
                _write_way_back(folder, made)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        result = Result(
            token=token,
            folder=folder,
            name=_file_name(name),
            model=made.model,
            direction=made.direction,
            detail=made.detail,
            size=made.real.size,
            preview=made.previews["real"].size,
            seconds=made.seconds,
            made=time.time(),
            recovered=made.back is not None,
            cycle_error=made.cycle_error,
            bytes=_size(folder),
        )
        with self._lock:
            self._results[token] = result
        self.sweep()
        return result

    def add_recovered(self, token: str, made: Translation) -> Result:
        """Add the way back to a result. Raises UserError when it is gone, or there is no room."""
        result = self.open(token)
        with contextlib.suppress(FileNotFoundError), room():
            _write_way_back(result.folder, made)
            result = replace(
                result,
                recovered=made.back is not None,
                cycle_error=made.cycle_error,
                bytes=_size(result.folder),
            )
        with self._lock:
            there = token in self._results
            if there:
                self._results[token] = result
        if not there:
            # It had to make room meanwhile, and writing may have brought its folder back.
            shutil.rmtree(result.folder, ignore_errors=True)
            raise _gone()
        self.sweep()
        return result

    def open(self, token: str) -> Result:
        """The result of that token, which counts as using it. Raises GoneError."""
        with self._lock:
            result = self._results.get(token)
            if result is None or time.time() - result.made > self._max_age:
                raise _gone()
            self._results.move_to_end(token)
            return result

    def sweep(self) -> None:
        """Delete what is too old, and what there is no room for."""
        with self._lock:
            oldest = time.time() - self._max_age
            gone = [token for token, result in self._results.items() if result.made < oldest]
            folders = [self._results.pop(token).folder for token in gone]
            total = sum(result.bytes for result in self._results.values())
            # The newest stays in any case.
            while total > self._max_bytes and len(self._results) > 1:
                _, result = self._results.popitem(last=False)
                total -= result.bytes
                folders.append(result.folder)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        # Other processes delete what nobody has touched for long.
        with contextlib.suppress(OSError):
            os.utime(self.folder)


def _gone() -> GoneError:
    return GoneError("This result is no longer here; translate the picture again.")


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Turn a full disk into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError("There is no room left on this server's disk; try again later.") from error


def _clear_away(above: Path, max_age: float) -> None:
    """Delete what processes left behind that were killed."""
    for folder in above.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > max_age:
                shutil.rmtree(folder, ignore_errors=True)


def _file_name(name: str) -> str:
    """The last part of a path of any system, at a length that any system takes."""
    return name.replace("\\", "/").rsplit("/", 1)[-1][-100:]


def _write_original(path: Path, real: Image.Image, original: Original) -> None:
    if isinstance(original, io.BytesIO):
        path.write_bytes(original.getvalue())
    elif original is not None:
        shutil.copyfile(original, path)
    else:
        real.save(path, "PNG", compress_level=1)


def _write_previews(folder: Path, made: Translation, views: Sequence[View]) -> None:
    for view in views:
        made.previews[view].save(folder / f"{view}.webp", **QUALITY)


def _write_way_back(folder: Path, made: Translation) -> None:
    if made.back:
        _write_previews(folder, made, ("recovered",))
        made.back.save(folder / BACK)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
