"""Pictures out of a zip that a stranger has packed: read one at a time, into memory, and counted.

Nothing that a zip says about itself is believed. Its names are for people and for the names of
results, never for files of this machine; bytes are counted while they come out, since headers lie
about sizes and entries may overlap; what is no ordinary file is not opened at all.
"""

import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cyclegan.errors import UserError
from cyclegan.images import EXTENSIONS

MAX_DIRECTORY = 1 << 20
"""Bytes of a zip's table of contents, which Python reads at once: enough for 7,000 photos."""
MAX_RATIO = 100
"""How many times its own size a zip may unpack to, all in all; photos hardly shrink in a zip."""
NAME, DEPTH = 80, 8
"""Characters of a name, and folders above it; file systems take 255 bytes."""
CHUNK = 1 << 16
# What Python unpacks piece by piece. A piece of bzip2 may be gigabytes.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1 | 0x40
UTF8 = 0x800
# What systems put beside photos without being asked.
QUIET = re.compile(
    r"(^|.*/)(__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)", re.I | re.DOTALL
)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.I)


class ArchiveError(UserError):
    """A zip, or an entry of one, that is not read; the text says why."""


@dataclass
class Allowance:
    """How many bytes may still be read; taking more raises ArchiveError, which says `why`."""

    left: int
    why: str

    def take(self, count: int) -> None:
        """Count bytes that were read."""
        self.left -= count
        if self.left < 0:
            self.left = 0
            raise ArchiveError(self.why)


@dataclass(frozen=True)
class Entry:
    """A file in a zip.

    Attributes:
        name: its name and folders, fit for any file system: relative, without "..", with "/".
        problem: why it cannot be read, one sentence; "" when it can be tried.
        info: what the zip says about it.
    """

    name: str
    problem: str
    info: zipfile.ZipInfo


class Archive:
    """A zip. Use it as a context manager, which closes it.

    Raises ArchiveError when the file is no zip, is damaged, or lists too much.
    """

    def __init__(self, path: Path, name: str, most: int, allowance: Allowance):
        """Open a zip and read its table of contents.

        Args:
            path: the file.
            name: how sentences call it.
            most: bytes of one picture.
            allowance: for everything that is read out of it, and perhaps out of other zips.
        """
        self._most = most
        self._allowance = allowance
        # A bomb is noticed early, whatever it does: overlapping entries and false sizes included.
        ratio = f"{name} unpacks to more than {MAX_RATIO} times its size, which photos do not."
        self._share = Allowance(max(1 << 20, path.stat().st_size) * MAX_RATIO, ratio)
        file = _Bounded(path)
        try:
            self._zip = zipfile.ZipFile(file)
        except ArchiveError:
            file.close()
            raise ArchiveError(f"{name} lists too many files; send a smaller zip.") from None
        except Exception as error:
            # Python raises nearly every built-in exception on a table that somebody has forged.
            file.close()
            raise ArchiveError(f"{name} is no zip, or a damaged one; pack it again.") from error
        self._file = file
        self.entries = list(_entries(self._zip))

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()

    def read(self, entry: Entry) -> BinaryIO:
        """The content of an entry. Raises ArchiveError, one sentence, when it is not to be had."""
        if entry.problem:
            raise ArchiveError(entry.problem)
        content = io.BytesIO()
        try:
            with self._zip.open(entry.info) as packed:
                while chunk := packed.read(CHUNK):
                    self._share.take(len(chunk))
                    self._allowance.take(len(chunk))
                    if content.tell() + len(chunk) > self._most:
                        megabytes = self._most // 1_000_000
                        raise ArchiveError(
                            f"{entry.name} has more than {megabytes} MB; make it smaller first."
                        )
                    content.write(chunk)
        except ArchiveError:
            raise
        except Exception as error:
            raise ArchiveError(f"{entry.name} is damaged in the zip; pack it again.") from error
        content.seek(0)
        return content


class _Bounded(io.FileIO):
    """A file that is read in small pieces only."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = MAX_DIRECTORY + 1
        content = super().read(most if size is None or size < 0 else min(size, most)) or b""
        if len(content) == most:
            raise ArchiveError("")
        return content


def safe_name(name: str) -> str:
    """A relative path that means the same file on every system, made of whatever name was given.

    Drives, roots and ".." are left out; characters that a system refuses, and those that nobody
    sees or that turn the text around, become "_". Long names are cut, and keep their extension.
    """
    parts = []
    for part in re.split(r"[/\\]", re.sub(r"^[a-zA-Z]:", "", name)):
        seen = "".join("_" if unicodedata.category(char)[0] == "C" else char for char in part)
        clean = re.sub(r'[<>:"|?*]', "_", seen).strip().rstrip(". ")
        # Also "..", of which nothing is left.
        if clean:
            stem, dot, ending = clean.rpartition(".")
            if len(clean) > NAME:
                clean = f"{stem[: NAME - 10]}{dot}{ending[:9]}" if dot else clean[:NAME]
            parts.append(f"_{clean}" if RESERVED.match(clean) else clean)
    return "/".join(parts[-DEPTH - 1 :]) or "picture"


def _entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        raw = _decoded(info)
        if raw.endswith(("/", "\\")) or QUIET.fullmatch(raw.replace("\\", "/")):
            continue
        name = safe_name(raw)
        yield Entry(name, _problem(name, info), info)


def _problem(name: str, info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return f"{name} is a link or a device, not a file."
    if name.lower().endswith(".zip"):
        return f"{name} is a zip inside a zip; send it by itself."
    if not name.lower().endswith(EXTENSIONS):
        return f"{name} is no picture."
    if info.flag_bits & ENCRYPTED:
        return f"{name} is encrypted; pack it without a password."
    if info.compress_type not in METHODS:
        return f"{name} is packed in an unusual way; make an ordinary zip."
    return ""


def _decoded(info: zipfile.ZipInfo) -> str:
    """The name as its writer meant it: a zip seldom says in which encoding."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        # Newer Pythons read the field in which some zips repeat the name in UTF-8.
        return info.filename
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    chinese = raw.decode("gb18030", errors="replace")
    # Nearly any bytes are some rare Chinese character; a name of them has common ones as well.
    common = chinese.encode("gb2312", errors="ignore").decode("gb2312")
    return chinese if "\ufffd" not in chinese and not common.isascii() else info.filename
