"""A run that is trained elsewhere, followed through the repository that it is pushed to."""

import os
import re
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cyclegan.errors import UserError
from cyclegan.files import write_atomically
from cyclegan.hub import HubError, explained, fetch_file, head_commit, list_files, parse_name
from cyclegan.pusher import FOLDER, RUN_FILES
from cyclegan.runs import PROBES, RUN, SAMPLES, Run, read_run
from cyclegan.translator import Translator
from cyclegan.weights import Weights

_TILE = re.compile(rf"{FOLDER}/(?:{SAMPLES}/(\d+)|{PROBES})/\w+\.\d+\.(?:webp|png)", re.ASCII)
_MOST_TILES = 5000
"""How many pictures stay on the disk."""


class _Seen(NamedTuple):
    """A commit as it was seen: the run in it, and what files it holds, each with its hash."""

    commit: str
    run: Run | None
    files: dict[str, str]


class HubRuns:
    """The run that a training pushes to USER/NAME[@REVISION], as a `RunSource`.

    A thread asks for news while somebody looks: it starts with the first question and ends when
    there was none for a while. What it saw last stays, whatever happens to the network; `problem`
    tells. Pictures are fetched when they are asked for.

    Args:
        where: the repository, perhaps with a branch or commit.
        every: seconds between two looks at the repository.
        quiet: seconds without a question after which to look no more.
        timeout: seconds to wait for the Hub's answer.
    """

    local = False

    def __init__(
        self, where: str, *, every: float = 15.0, quiet: float = 60.0, timeout: float = 10.0
    ):
        self.where, self._target = where, parse_name(where)
        self.problem = f"{where} is still to come from the Hub."
        self._every, self._quiet, self._timeout = every, quiet, timeout
        self._name = self._target.repo_id.partition("/")[2]
        self._temporary = tempfile.TemporaryDirectory(prefix="cyclegan-")
        self._folder = Path(self._temporary.name) / self._name
        self._tiles = Path(self._temporary.name) / ".tiles"
        self._tiles.mkdir()
        self._kept: dict[Path, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = 0.0
        self._seen = _Seen("", None, {})

    def names(self) -> list[str]:
        return [self._name] if self._look().run else []

    def read(self, name: str) -> Run:
        return self._find(name)[1]

    def tile(self, name: str, step: int, tile: str, probe: int) -> Path | None:
        seen, run = self._find(name)
        place = os.path.relpath(run.tile(step, tile, probe), run.folder)
        place = f"{FOLDER}/{place}".replace(os.sep, "/")
        identity = seen.files.get(place)
        if identity is None or not _TILE.fullmatch(place):
            return None
        # By its hash: a sample may be made anew under the same name.
        path = self._tiles / f"{identity}{Path(place).suffix}"
        if not path.exists():
            with explained(f"fetch {place} of {self.where}", self._target):
                _write(path, self._fetch(seen.commit, place, identity))
        with self._lock:
            # Used last, kept longest.
            self._kept.pop(path, None)
            self._kept[path] = None
            if len(self._kept) > _MOST_TILES:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
                oldest.unlink(missing_ok=True)
        return path

    def checkpoints(self, name: str) -> list[int]:
        self._find(name)
        return []

    def weights(self, name: str, step: int | None) -> Weights:
        seen, _ = self._find(name)
        if step is not None:
            raise UserError(f"The checkpoints of {self.where} stay where it is trained.")
        return Translator.load(f"{self._target.repo_id}@{seen.commit}", device="cpu").weights

    def _find(self, name: str) -> tuple[_Seen, Run]:
        seen = self._look()
        if seen.run is None or name != self._name:
            raise UserError(f"There is no run {name!r} in {self.where}.")
        return seen, seen.run

    def _look(self) -> _Seen:
        """What was seen last; somebody is looking."""
        with self._lock:
            self._asked = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name=f"follow {self.where}", daemon=True
                )
                self._thread.start()
        return self._seen

    def _follow(self) -> None:
        since = ""
        while True:
            try:
                self._refresh()
            except HubError as error:
                since = since or time.strftime("%H:%M UTC", time.gmtime())
                self.problem = f"{str(error).removesuffix('.')} (since {since})."
            else:
                since = ""
            time.sleep(self._every)
            with self._lock:
                if time.monotonic() - self._asked > self._quiet:
                    self._thread = None
                    return

    def _refresh(self) -> None:
        with explained(f"follow {self.where}", self._target):
            commit = head_commit(self._target, self._timeout)
            if commit != self._seen.commit:
                files = list_files(self._target, commit, self._timeout)
                self._seen = _Seen(commit, self._mirror(commit, files), files)
        missing = f"{self.where} holds no run; a training brings one with --push-to-hub."
        self.problem = "" if self._seen.run else missing

    def _mirror(self, commit: str, files: dict[str, str]) -> Run | None:
        """Bring the run of a commit here, of which only changed files are fetched."""
        if f"{FOLDER}/{RUN}" not in files:
            return None
        known = self._seen.files if self._seen.run else {}
        fetched: dict[str, bytes] = {}
        for name in RUN_FILES:
            place = f"{FOLDER}/{name}"
            if place in files and files[place] != known.get(place):
                fetched[name] = self._fetch(commit, place, files[place])
        for name in RUN_FILES:
            if name in fetched:
                _write(self._folder / name, fetched[name])
            elif f"{FOLDER}/{name}" not in files:
                (self._folder / name).unlink(missing_ok=True)
        steps = {int(match[1]) for match in map(_TILE.fullmatch, files) if match and match[1]}
        return replace(read_run(self._folder), samples=sorted(steps))

    def _fetch(self, commit: str, place: str, identity: str) -> bytes:
        return fetch_file(self._target, place, commit, identity, self._timeout)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
