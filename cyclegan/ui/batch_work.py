"""A batch: photos and zips in, one zip out, photo by photo.

A photo at a time is in memory; the zip grows on the disk, in a folder whose name nobody can guess,
and goes after a day, at once when the visitor leaves, or earlier when room is needed.
"""

import base64
import csv
import errno
import io
import shutil
import threading
import time
import unicodedata
import zipfile
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from gradio.utils import sanitize_value_for_csv
from PIL import Image

from cyclegan.archive import safe_name
from cyclegan.images import load_image
from cyclegan.recipe import Recipe
from cyclegan.translator import prepare
from cyclegan.ui.batch_files import BatchError, Given, Item, gathered, new_folder
from cyclegan.ui.models import Shelf
from cyclegan.ui.translation import Step, arrow, failure, known_direction, shrink, translations
from cyclegan.ui.words import Language, reword, say

MAX_RESULT = 1_000_000_000
"""Bytes of a zip of results."""
REPORT = "report.csv"
THUMBNAILS, HEIGHT = 12, 128
"""How many of the first results are shown on the page, and how high, in pixels."""
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""What results are written as; of photos in other formats, PNG."""

# Whoever has a batch has a photo translated, then it is another's turn: a single translation never
# waits for more than one photo, and only one photo of all batches is in memory.
_turn = threading.Lock()


@dataclass(frozen=True)
class Wish:
    """What is asked for: the name of a model ("" for the first), "a2b", "b2a" or "auto"."""

    weights: str = ""
    direction: str = "auto"
    recovered: bool = False


@dataclass(frozen=True)
class Row:
    """What has become of a picture.

    Attributes:
        name: of the picture.
        result, recovered: names in the zip; "" where there is none.
        direction, domains: in which it was translated, as in "a2b", and "apple → orange".
        width, height: of the result.
        note: one sentence about what went wrong, or what is odd about it.
    """

    name: str
    result: str = ""
    recovered: str = ""
    direction: str = ""
    domains: str = ""
    width: int = 0
    height: int = 0
    note: str = ""


@dataclass
class Batch:
    """How far a batch has come.

    Attributes:
        total, done: pictures there are, and are through.
        current: the name of the one that is next.
        seconds: how long the batch has taken.
        rows: one for each picture that is through, and for what is none.
        thumbnails: photo and result side by side, as addresses of WebP data, of the first results.
        archive: the zip of results, once the batch is through and has any.
        stopped: set it to have the batch end early, with what it has.
    """

    total: int = 0
    done: int = 0
    current: str = ""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    thumbnails: list[tuple[str, str]] = field(default_factory=list)
    archive: Path | None = None
    stopped: bool = False

    @property
    def translated(self) -> int:
        """How many pictures have a result."""
        return sum(bool(row.result) for row in self.rows)

    def report(self) -> dict[str, Any]:
        """What has become of each picture, for programs."""
        return {
            "total": self.total,
            "translated": self.translated,
            "failed": len(self.rows) - self.translated,
            "files": [asdict(row) for row in self.rows],
        }


def work(
    batch: Batch, files: Sequence[Given], wish: Wish, shelf: Shelf, step: Step, language: Language
) -> Generator[None, None, None]:
    """Translate a batch; whenever this yields, `batch` says how far it has come.

    Closed early, it leaves nothing behind. Raises UserError when nothing can be done at all.
    """
    model = shelf.get(wish.weights)
    if wish.direction != "auto" or not model.directions:
        # Says which there are.
        known_direction(model, Image.new("RGB", (1, 1)), wish.direction)
    folder = new_folder()
    start = time.monotonic()
    try:
        path = folder / f"{Path(safe_name(model.info.name)).name}.zip"
        with gathered(files) as (items, refused), zipfile.ZipFile(path, "w") as out:
            if not items and not refused:
                raise BatchError("There is no picture in this; send photos, or a zip of them.")
            batch.rows += [Row(name, note=reword(why, language)) for name, why in refused]
            results = _Results(out, wish, shelf, step, language)
            batch.total = len(items)
            for item in items:
                batch.current = item.name
                yield
                # Now and then somebody has to see whether the visitor is still there.
                while not batch.stopped and not _turn.acquire(timeout=1):
                    yield
                if batch.stopped:
                    break
                try:
                    results.add(batch, item)
                finally:
                    _turn.release()
                batch.done += 1
                batch.seconds = time.monotonic() - start
            out.writestr(REPORT, _report(batch, language), zipfile.ZIP_DEFLATED)
        batch.current = ""
        if batch.translated:
            batch.archive = path
        else:
            shutil.rmtree(folder)
        yield
    except BaseException:
        # A visitor who has left included.
        shutil.rmtree(folder, ignore_errors=True)
        raise


class _Results:
    """The zip of results as it grows."""

    def __init__(
        self, out: zipfile.ZipFile, wish: Wish, shelf: Shelf, step: Step, language: Language
    ):
        self._out, self._wish, self._shelf, self._step = out, wish, shelf, step
        self._language: Language = language
        self._taken: set[str] = set()
        self._left = MAX_RESULT

    def add(self, batch: Batch, item: Item) -> None:
        """Translate a picture, or note in a sentence why that is not possible."""
        try:
            row, thumbnail = self._translated(item)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BatchError("There is no room left on this server's disk.") from error
            row, thumbnail = Row(item.name, note=reword(failure(error), self._language)), None
        batch.rows.append(row)
        if thumbnail and len(batch.thumbnails) < THUMBNAILS:
            batch.thumbnails.append((item.name, _address(*thumbnail)))

    def _translated(self, item: Item) -> tuple[Row, tuple[Image.Image, Image.Image]]:
        if self._left <= 0:
            raise BatchError("The zip of results is full; send fewer photos at a time.")
        model = self._shelf.get(self._wish.weights)
        real = prepare(load_image(item.open(), item.name))
        guess = model.domain(real) if self._wish.direction == "auto" else None
        asked = guess.direction if guess else self._wish.direction
        made = translations(self._step, self._shelf, self._wish.weights, real, asked)
        there = next(made)
        fake = there.change.apply(real)
        info, domains = there.model, arrow(there.model.labels, there.direction)
        # Without the paths of this machine.
        source = info.source.split("@")[0] if info.revision else Path(info.name).name
        recipe = partial(Recipe, source, info.revision, there.direction, domains)
        name, again = self._names(item.name)
        self._save(fake, name, recipe("fake"))
        back = next(made, None) if self._wish.recovered else None
        if back and back.back:
            self._save(back.back.apply(fake), again, recipe("recovered"))
        note = ""
        if guess and guess.neither:
            note = say(self._language, "batch.neither", **model.info.labels)
        elif self._wish.recovered and not (back and back.back):
            note = say(self._language, "batch.one_way")
        recovered = again if back and back.back else ""
        row = Row(item.name, name, recovered, there.direction, domains, *fake.size, note)
        return row, (real, fake)

    def _names(self, name: str) -> tuple[str, str]:
        """Names for a result and its way back that no other file in the zip has, on any system."""
        path = PurePosixPath(name)
        if path.suffix.lower() not in FORMATS:
            path = path.with_suffix(".png")
        wanted, number = path, 1
        while True:
            pair = str(path), str(path.with_suffix(f".recovered{path.suffix}"))
            keys = {unicodedata.normalize("NFC", name).casefold() for name in pair}
            if not keys & self._taken:
                self._taken |= keys
                return pair
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")

    def _save(self, image: Image.Image, name: str, recipe: Recipe) -> None:
        format = FORMATS[PurePosixPath(name).suffix.lower()]
        with io.BytesIO() as buffer:
            image.save(buffer, format, quality=92, **recipe.options(format))
            # Pictures do not shrink any further.
            self._out.writestr(zipfile.ZipInfo(name, time.localtime()[:6]), buffer.getbuffer())
            self._left -= buffer.tell()


def _report(batch: Batch, language: Language) -> bytes:
    columns = ("file", "result", "recovered", "domains", "width", "height", "note")
    with io.StringIO(newline="") as text:
        table = csv.writer(text)
        table.writerow([say(language, f"batch.column_{column}") for column in columns])
        for row in batch.rows:
            size = (row.width or "", row.height or "")
            cells = (row.name, row.result, row.recovered, row.domains, *size, row.note)
            # A name such as =1+1.jpg must not become a formula.
            table.writerow([sanitize_value_for_csv(cell) for cell in cells])
        # The mark tells Excel that this is UTF-8.
        return text.getvalue().encode("utf-8-sig")


def _address(real: Image.Image, fake: Image.Image) -> str:
    """Both halves of a thumbnail, photo and result, as a data URL."""
    halves = [shrink(image, 2 * HEIGHT) for image in (real, fake)]
    width, height = halves[0].size
    pair = Image.new("RGB", (2 * width, height))
    for index, half in enumerate(halves):
        pair.paste(half, (index * width, 0))
    with io.BytesIO() as buffer:
        pair.save(buffer, "WEBP", quality=75, method=2)
        return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
