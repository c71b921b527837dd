"""Where the page finds runs: a folder on this machine, or a repository on the Hub."""

import os
import re
from pathlib import Path
from typing import Protocol

from cyclegan.checkpoint import list_checkpoints
from cyclegan.errors import UserError
from cyclegan.hub import is_hub_name
from cyclegan.hub_runs import HubRuns
from cyclegan.runs import (
    CHECKPOINTS,
    PROBES,
    RUN,
    SAMPLES,
    Run,
    checkpoint_weights,
    list_runs,
    read_run,
)
from cyclegan.weights import Weights


class RunSource(Protocol):
    """Runs by name. Safe to call from several threads.

    Every name is one segment of a URL's path as it stands. Where a method takes one that `names`
    does not list, it raises UserError.

    Attributes:
        where: the folder or the Hub name, as the user gave it.
        local: whether checkpoints are at hand, or only what training published.
        problem: one sentence on why `names` and `read` may be out of date; "" when they are not.
    """

    where: str
    local: bool

    @property
    def problem(self) -> str: ...

    def names(self) -> list[str]:
        """The runs, the most recently active first; cheap and never blocking."""
        ...

    def read(self, name: str) -> Run:
        """What is there of a run; never blocking."""
        ...

    def tile(self, name: str, step: int, tile: str, probe: int) -> Path | None:
        """The picture `tile` ("fake_b", "real_a") of a probe at a step, or None if there is none.

        It may have to be fetched first; UserError if that fails.
        """
        ...

    def checkpoints(self, name: str) -> list[int]:
        """The steps of the kept checkpoints, oldest first."""
        ...

    def weights(self, name: str, step: int | None) -> Weights:
        """The averaged networks of a kept checkpoint, or with None the newest there are.

        On the CPU, in evaluation mode. Blocks; UserError when they cannot be had.
        """
        ...


def open_runs(where: str | Path) -> RunSource:
    """The runs in a folder, or on the Hub if `where` is no folder and reads USER/NAME.

    A folder that does not exist yet has no runs yet.
    """
    text = str(where)
    return HubRuns(text) if not Path(text).is_dir() and is_hub_name(text) else LocalRuns(text)


class LocalRuns:
    """The runs directly below a folder, and the folder itself if it is one, as a `RunSource`."""

    local = True
    problem = ""

    def __init__(self, where: str | Path):
        self.where = str(where)
        self._folders: dict[str, Path] = {}

    def names(self) -> list[str]:
        # Newest first: of a run and one inside it with the same name, the newer one counts.
        folders: dict[str, Path] = {}
        for folder in list_runs(Path(self.where)):
            folders.setdefault(_name(folder), folder)
        self._folders = folders
        return list(folders)

    def read(self, name: str) -> Run:
        return read_run(self._folder(name))

    def tile(self, name: str, step: int, tile: str, probe: int) -> Path | None:
        folder = self._folder(name)
        # Not `read`, which would read all metrics for every tile.
        path = Run(folder).tile(step, tile, probe)
        try:
            # Wherever the name or a link leads: what is shown lies in one of these two.
            allowed = [(folder / part).resolve() for part in (SAMPLES, PROBES)]
            real = path.resolve()
            return path if real.is_file() and any(map(real.is_relative_to, allowed)) else None
        except (OSError, ValueError):
            # A name that no file can have.
            return None

    def checkpoints(self, name: str) -> list[int]:
        return [int(path.stem) for path in list_checkpoints(self._folder(name) / CHECKPOINTS)]

    def weights(self, name: str, step: int | None) -> Weights:
        folder = self._folder(name)
        try:
            return checkpoint_weights(folder, step)
        except UserError as error:
            # Shown on a page, where it is nobody's business where things lie on this machine.
            raise UserError(str(error).replace(str(folder), name)) from error

    def _folder(self, name: str) -> Path:
        folder = self._folders.get(name)
        if folder is None or not (folder / RUN).exists():
            self.names()
            folder = self._folders.get(name)
        if folder is None:
            raise UserError(f"There is no run {name!r} in {self.where}.")
        return folder


def _name(folder: Path) -> str:
    """The folder's own name, with "~" and two hexadecimal digits for every byte special in URLs."""
    name = os.path.basename(os.path.abspath(folder)) or "run"

    def escape(match: re.Match[str]) -> str:
        return "".join(f"~{byte:02X}" for byte in os.fsencode(match[0]))

    return re.sub(r"[^\w.-]", escape, name)
