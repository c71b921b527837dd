"""The shelf: the models of a page, loaded in the background while the page is already up."""

import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

from gradio.utils import is_zero_gpu_space

from cyclegan.errors import UserError
from cyclegan.translator import Device, Info, Translator
from cyclegan.weights import CONFIG, Weights

logger = logging.getLogger(__name__)

TRIED = 3
"""Models that visitors try out and that stay loaded; the one unused for longest makes room."""


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
        state: whether it is still coming, at hand, or not to be had.
        translator: the loaded model once it is ready.
        reason: why it failed, one sentence.
    """

    source: str
    name: str
    state: Literal["loading", "ready", "failed"] = "loading"
    translator: Translator | None = None
    reason: str = ""


class Shelf:
    """Keeps the models of a page, in the order in which they were named, then those tried out.

    Safe to call from several threads.
    """

    def __init__(self, sources: Sequence[str], device: Device = "auto"):
        self.device: Device = device
        self._entries = [
            Entry(source, name) for source, name in zip(sources, _names(sources), strict=True)
        ]
        # By name, the most recently used last.
        self._tried: OrderedDict[str, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def start(self) -> threading.Thread:
        """Load the models one after the other in a thread, which is returned."""
        # A daemon: a pull that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._load, name="models", daemon=True)
        thread.start()
        return thread

    def entries(self) -> list[Entry]:
        """The entries as they stand now."""
        with self._lock:
            return [*self._entries, *self._tried.values()]

    def ready(self) -> list[Entry]:
        """The entries that can translate."""
        return [entry for entry in self.entries() if entry.state == "ready"]

    @property
    def loading(self) -> bool:
        """Whether some entry is still to come."""
        return any(entry.state == "loading" for entry in self.entries())

    def add(self, name: str, weights: Weights) -> None:
        """Let weights be tried out under a name, in place of any that were tried under it before.

        At most `TRIED` stay loaded.
        """
        # On a ZeroGPU Space only what was there from the start may live on the GPU.
        translator = make_translator(name, weights, "cpu" if is_zero_gpu_space() else self.device)
        with self._lock:
            self._tried[name] = Entry(name, name, "ready", translator)
            self._tried.move_to_end(name)
            while len(self._tried) > TRIED:
                self._tried.popitem(last=False)

    def tried(self, name: str) -> bool:
        """Whether a model was added after the start, which counts as using it."""
        with self._lock:
            if name in self._tried:
                self._tried.move_to_end(name)
            return name in self._tried

    def get(self, name: str | None) -> Translator:
        """The model of that name or source; the first at hand when there is no name.

        Raises ModelError, one sentence, when it is unknown or failed; StillLoading when it comes.
        """
        entries = self.entries()
        if not name:
            ready = self.ready()
            if ready and ready[0].translator:
                return ready[0].translator
            if self.loading:
                raise StillLoading("The model is still loading; try again in a moment.")
            raise ModelError("This page has no model; start it with --weights FOLDER_OR_HUB_NAME.")
        for entry in entries:
            if name in (entry.name, entry.source):
                if entry.translator:
                    return entry.translator
                if entry.state == "failed":
                    raise ModelError(entry.reason)
                raise StillLoading(f"The model {name} is still loading; try again in a moment.")
        known = ", ".join(entry.name for entry in entries) or "none"
        raise ModelError(f"There are no weights called {name!r} on this page; it has: {known}.")

    def _local(self, index: int) -> bool:
        return Path(self._entries[index].source).is_dir()

    def _load(self) -> None:
        # Folders first: what is here already should not wait for what has to be fetched.
        order = sorted(range(len(self._entries)), key=lambda i: not self._local(i))
        for index in order:
            entry = self._entries[index]
            start = perf_counter()
            try:
                translator = Translator.load(entry.source, self.device)
            except Exception as error:
                reason = str(error)
                if not isinstance(error, UserError):
                    # Nobody foresaw this one, so the log gets the traceback; the page goes on.
                    logger.exception("Loading %s failed", entry.source)
                    reason = f"{entry.source} cannot be loaded: {type(error).__name__}: {error}"
                else:
                    logger.warning("%s", reason)
                # Replaced whole, so that a reader in another thread never sees half of a change.
                self._entries[index] = replace(entry, state="failed", reason=reason)
                continue
            # What is said about a model calls it what the chooser calls it.
            translator.info = replace(translator.info, name=entry.name)
            self._entries[index] = replace(entry, state="ready", translator=translator)
            seconds = perf_counter() - start
            logger.info("Loaded %s in %.1f s on %s", entry.source, seconds, translator.device)


def make_translator(name: str, weights: Weights, device: Device) -> Translator:
    """Make a translator of weights that are in memory, and give it a name."""
    config = weights.config
    labels = {"a": config.label_a, "b": config.label_b}
    return Translator(weights, Info(name, name, None, labels, config.image_size), device)


def sources(named: Sequence[str], shipped: Path) -> list[str]:
    """What the page offers: the named weights, then what lies in the folder `shipped`."""
    found = [*named, *(str(path.parent) for path in sorted(shipped.glob(f"*/{CONFIG}")))]
    seen: dict[str, str] = {}
    for source in found:
        # A shipped folder that is also named keeps the place it was named in.
        key = os.path.realpath(source) if os.path.isdir(source) else source
        seen.setdefault(key, source)
    return list(seen.values())


def _names(sources: Sequence[str]) -> list[str]:
    short = [_short_name(source) for source in sources]
    counts = Counter(short)
    return [
        name if counts[name] == 1 else source for name, source in zip(short, sources, strict=True)
    ]


def _short_name(source: str) -> str:
    path = Path(source)
    if path.is_dir():
        path = path.resolve()
        # A run keeps its weights in RUN/weights; the run's name says more.
        return path.parent.name if path.name == "weights" else path.name
    return source.split("@")[0].rstrip("/").rsplit("/", 1)[-1]
