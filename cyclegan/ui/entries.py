"""A place on the shelf of models: where its files come from, how it is loaded, why that fails."""

import logging
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cyclegan import guests, hub
from cyclegan.compiled import Backend
from cyclegan.config import Direction
from cyclegan.errors import UserError
from cyclegan.generator import takes_z
from cyclegan.translator import Device, Info, Translator, describe
from cyclegan.weights import CONFIG, Weights, WeightsError, read_config

logger = logging.getLogger(__name__)

FIRST = "apples-oranges"
"""The model that a page opens with: free to use, and what the examples are of."""


class ModelError(UserError):
    """A model that this page does not have, or not yet."""


class StillLoading(ModelError):
    """A model that will be there in a moment."""


@dataclass(frozen=True)
class Entry:
    """A place on the shelf.

    Attributes:
        source: the folder or Hub name, as it was given.
        name: how the page and the API call it; no two entries share one.
        state: "loading" while its files or its networks are still coming, "waiting" for its first
            use, "ready" in memory, or "failed".
        translator: the loaded model while it is ready.
        reason: why it failed, one sentence without paths of this machine.
        info: what is known without loading it; None before its files are here.
        directions: in which it translates.
        generates: whether it makes pictures from z, on the Generate tab.
        folder: where its files are; None for a checkpoint, which is only in memory.
        added: whether it came after the start: a visitor's, or a checkpoint tried out.
    """

    source: str
    name: str
    state: Literal["loading", "waiting", "ready", "failed"] = "loading"
    translator: Translator | None = None
    reason: str = ""
    info: Info | None = None
    directions: tuple[Direction, ...] = ()
    generates: bool = False
    folder: Path | None = None
    added: bool = False


def fetched(entry: Entry, home: Path) -> Entry:
    """The entry with its files here, not in memory; what visitors added is fetched below `home`.

    Raises UserError, and whatever nobody foresaw.
    """
    source, path, revision = entry.source, Path(entry.source), None
    # What a visitor typed is never a path relative to where the page was started.
    if path.is_dir() and (path.is_absolute() or not entry.added):
        folder = path
    elif entry.added:
        folder = Path(tempfile.mkdtemp(dir=home))
        try:
            revision = guests.fetch(source, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    elif hub.is_hub_name(source):
        folder = hub.pull(source)
        revision = hub.pull_revision(folder)
    else:
        raise WeightsError(f"{source} is neither a weights folder nor a Hub name (USER/NAME).")
    try:
        config = read_config(folder)
    except WeightsError as error:
        if not revision or entry.added:
            raise WeightsError(pathless(str(error), folder, entry.name)) from error
        # A download that was cut short stays in the cache.
        folder = hub.pull(source, force=True)
        config = read_config(folder)
    info = describe(source, revision, config, entry.name)
    return Entry(
        source,
        entry.name,
        "waiting",
        info=info,
        directions=info.directions,
        generates=takes_z(config),
        folder=folder,
        added=entry.added,
    )


def loaded(entry: Entry, device: Device, backend: Backend) -> Translator:
    """Bring a fetched model into memory. Raises as `fetched`, and BackendError."""
    assert entry.info and entry.folder
    source = str(entry.folder)
    if entry.info.revision and not entry.added:
        # Out of the cache without asking the Hub, unless what is there turns out damaged.
        source = f"{hub.parse_name(entry.source).repo_id}@{entry.info.revision}"
    translator = Translator.load(source, device, backend=backend)
    # What is said about a model calls it what the chooser calls it.
    translator.info = replace(entry.info, one_size=translator.info.one_size)
    return translator


def make_translator(name: str, weights: Weights, device: Device) -> Translator:
    """Make a translator of weights that are in memory, and give it a name."""
    return Translator(weights, describe(name, None, weights.config, name), device)


def failed(entry: Entry, error: Exception) -> Entry:
    """The entry with the reason why it failed; what nobody foresaw goes into the log as well."""
    if lacks_memory(error):
        reason = f"There is too little memory for {entry.name} now; try again later."
    elif isinstance(error, UserError):
        logger.warning("%s", error)
        reason = pathless(str(error), entry.folder or Path(entry.source), entry.name)
    else:
        # The traceback belongs into the log; the page goes on.
        logger.error("Loading %s failed", entry.source, exc_info=error)
        reason = f"{entry.name} cannot be loaded; the server's log says why."
    return replace(entry, state="failed", translator=None, reason=reason)


def lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def pathless(text: str, folder: Path, name: str) -> str:
    """A sentence without where things lie on this machine, which is no visitor's business."""
    if folder.is_absolute():
        text = text.replace(str(folder), name)
    return re.sub(r"(?<![\w:/])/(?:[^\s/:]+/)+", "", text)


def sources(named: Sequence[str], shipped: Path) -> list[str]:
    """What the page offers: the named weights, then what lies in the folder `shipped`.

    Of the latter `FIRST` comes first, then the others by name.
    """
    folders = [path.parent for path in shipped.glob(f"*/{CONFIG}")]
    folders.sort(key=lambda folder: (folder.name != FIRST, folder.name))
    found = [*named, *map(str, folders)]
    seen: dict[str, str] = {}
    for source in found:
        # A shipped folder that is also named keeps the place it was named in.
        key = os.path.realpath(source) if os.path.isdir(source) else source
        seen.setdefault(key, source)
    return list(seen.values())


def names(sources: Sequence[str]) -> list[str]:
    """How to call sources: by their last part; where two share it, Hub names in full.

    Folders are numbered instead, since where they lie is nobody's business.
    """
    short = [short_name(source) for source in sources]
    counts, seen = Counter(short), Counter[str]()
    result = []
    for name, source in zip(short, sources, strict=True):
        folder = Path(source).is_dir()
        seen[name] += folder
        shared = f"{name} ({seen[name]})" if folder else source
        result.append(name if counts[name] == 1 else shared)
    return result


def short_name(source: str) -> str:
    """The last part of a Hub name, or of a folder; of RUN/weights, the name of the run."""
    path = Path(source)
    if path.is_dir():
        path = path.resolve()
        return path.parent.name if path.name == "weights" else path.name
    return source.split("@")[0].rstrip("/").rsplit("/", 1)[-1]
