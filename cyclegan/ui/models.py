"""The shelf: the models of a page, found in the background while the page is already up.

A model is known from the start, its files are brought here in the background, and its networks come
into memory when they are first used. Of those in memory, the one unused for longest makes room.
"""

import itertools
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from gradio.utils import is_zero_gpu_space

from cyclegan import guests, hub
from cyclegan.compiled import Backend
from cyclegan.generator import takes_z
from cyclegan.translator import Device, Translator
from cyclegan.ui.entries import (
    Entry,
    ModelError,
    StillLoading,
    failed,
    fetched,
    lacks_memory,
    loaded,
    make_translator,
    names,
    short_name,
    sources,
)
from cyclegan.weights import Weights

__all__ = ["Entry", "ModelError", "Shelf", "StillLoading", "make_translator", "sources"]

logger = logging.getLogger(__name__)

MAX_LOADED = 4
"""Models in memory unless somebody says otherwise. One of the paper's size takes 0.1 GB and less
than a second to load: more would hold memory that pictures need to save next to no time, fewer
would have visitors with different models wait for each other."""
MOST_ADDED = 8
"""Models that visitors added and that stay known; the one unused for longest is forgotten."""
NEWS = 300.0
"""Seconds before the Hub is asked again whether a model has a newer revision."""
PATIENCE = 10.0
"""Seconds that the answer may take."""


@dataclass(eq=False)
class _Slot:
    """An entry as it changes. Whoever loads the model or replaces its files holds `lock`."""

    entry: Entry
    used: int = 0  # the larger, the more recently
    late: bool = False  # new or changed since the start
    asked: float = float("-inf")  # when the Hub was, for the newest revision
    newest: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shelf:
    """Keeps the models of a page in the order in which they were named, then those added later.

    Safe to call from several threads. A translator stays usable for whoever holds it, whatever
    happens to its place here.

    Args:
        from_sources: folders and Hub names.
        device, backend: what the models run on; checkpoints that are tried out run on PyTorch.
        max_loaded: how many stay in memory, `MAX_LOADED` by default. On a ZeroGPU Space, where all
            that runs on the GPU has to be there before, it counts models that came later only.
        local: whether visitors may name folders of this machine.
    """

    def __init__(
        self,
        from_sources: Sequence[str],
        device: Device = "auto",
        max_loaded: int | None = None,
        local: bool = False,
        backend: Backend = "auto",
    ):
        self.backend: Backend = backend
        self.device: Device = device
        self.local = local
        self._most = max_loaded or MAX_LOADED
        named = zip(from_sources, names(from_sources), strict=True)
        self._slots = {name: _Slot(Entry(source, name)) for source, name in named}
        self._lock = threading.RLock()
        self._fetching = threading.RLock()
        self._clock = itertools.count(1)
        # Not the Hub's cache: what strangers add goes again, and what the host's token has brought
        # there is out of their reach.
        self._home = tempfile.TemporaryDirectory(prefix="cyclegan-models-")

    def start(self) -> threading.Thread:
        """Bring all files here and load the first model in a thread, which is returned."""
        # A daemon: a pull that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._start, name="models", daemon=True)
        thread.start()
        return thread

    def entries(self) -> list[Entry]:
        """The entries as they stand now."""
        with self._lock:
            return [slot.entry for slot in self._slots.values()]

    def ready(self) -> list[Entry]:
        """The entries that can be used, in memory or not."""
        return [entry for entry in self.entries() if entry.info and entry.state != "failed"]

    def translating(self) -> list[Entry]:
        """Those of them that translate."""
        return [entry for entry in self.ready() if entry.directions]

    @property
    def loading(self) -> bool:
        """Whether the files of some entry are still to come."""
        return any(entry.state == "loading" and not entry.info for entry in self.entries())

    def get(self, name: str | None) -> Translator:
        """The model of that name or source, loaded if need be; "" is the first that translates.

        Raises ModelError, one sentence, when it is unknown or fails; StillLoading when it comes.
        """
        slot = self._find(name)
        # Two who want the same model load it once.
        with slot.lock:
            translator = slot.entry.translator or self._load(slot)
            slot.used = next(self._clock)
        return translator

    def add(self, name: str, weights: Weights) -> None:
        """Let weights be tried out under a name, in place of any that were tried under it before.

        They are gone when they have to leave memory.
        """
        translator = make_translator(name, weights, self._device(late=True))
        info, directions = translator.info, translator.directions
        generates = takes_z(weights.config)
        entry = Entry(name, name, "ready", translator, "", info, directions, generates, added=True)
        with self._lock:
            self._slots.pop(name, None)
            self._slots[name] = _Slot(entry, next(self._clock), late=True)
            self._trim(self._most)

    def tried(self, name: str) -> bool:
        """Whether a model came after the start, so that a process forked then does not know it.

        Asking counts as using it.
        """
        with self._lock:
            slot = self._slots.get(name)
            if slot:
                slot.used = next(self._clock)
            return slot is not None and slot.late

    def use(self, source: str) -> str:
        """Add what a visitor names, for all visitors, and load it; returns the entry's name.

        A Hub name, for which the host's token is not used, or a folder if the shelf is `local`.
        One visitor at a time. Raises UserError, one sentence, when it is not to be had.
        """
        source = guests.clean(source)
        if self.local and Path(source).expanduser().is_dir():
            source = str(Path(source).expanduser().resolve())
        elif source not in [entry.name for entry in self.entries()]:
            # Nothing else gets through: a Hub name is never taken for a path.
            hub.parse_name(source)
        with self._fetching:
            known = self._known(source)
            name = known or self._added(source)
        try:
            self.get(name)
        except ModelError:
            # What never worked is not worth a place.
            if known is None:
                self._forget(name)
            raise
        return name

    def reload(self, name: str) -> None:
        """Bring the newest files of a model here; it loads on its next use.

        Until they are here the model goes on as it is. Raises ModelError when that fails.
        """
        slot = self._find(name)
        before = slot.entry
        if before.state == "loading" and before.info is None:
            raise StillLoading(f"The model {name} is still loading; try again in a moment.")
        if before.folder is None and before.info:
            raise ModelError(f"{name} is a checkpoint; try it out again on the Training tab.")
        with self._fetching:
            if before.state == "failed":
                self._put(slot, replace(before, state="loading", info=None))
            try:
                after = fetched(before, Path(self._home.name))
            except Exception as error:
                gone = failed(before, error)
                if before.state == "failed":
                    self._put(slot, gone)
                raise ModelError(gone.reason) from error
            with slot.lock:
                slot.late, slot.newest = True, None
                self._put(slot, after)
        self._delete(before.folder)

    def newer(self, name: str) -> str | None:
        """The revision that the Hub has and this page has not, as far as is known by now.

        Never waits: the Hub is asked in the background, once in `NEWS` seconds.
        """
        with self._lock:
            slot = self._slots.get(name)
            if slot is None or slot.entry.info is None or not slot.entry.info.revision:
                return None
            target, revision = hub.parse_name(slot.entry.source), slot.entry.info.revision
            if target.revision == revision:
                # Pinned to a commit, which never changes.
                return None
            if time.monotonic() - slot.asked > NEWS:
                slot.asked = time.monotonic()
                threading.Thread(target=self._ask, args=(slot, target), daemon=True).start()
            return slot.newest if slot.newest != revision else None

    def _ask(self, slot: _Slot, target: hub.HubName) -> None:
        try:
            token = False if slot.entry.added else None
            slot.newest = hub.head_commit(target, PATIENCE, token)
        except Exception as error:
            # No news is what the page has anyway.
            logger.debug("No news of %s: %s", target.repo_id, error)

    def _find(self, name: str | None) -> _Slot:
        with self._lock:
            slots = list(self._slots.values())
        if not name:
            able = (s for s in slots if s.entry.directions and s.entry.state != "failed")
            if found := next(able, None):
                return found
            if self.loading:
                raise StillLoading("The model is still loading; try again in a moment.")
            raise ModelError(
                "This page has no model to translate with; start it with --weights "
                "FOLDER_OR_HUB_NAME."
            )
        for slot in slots:
            if name in (slot.entry.name, slot.entry.source):
                return slot
        known = ", ".join(slot.entry.name for slot in slots) or "none"
        raise ModelError(f"There are no weights called {name!r} on this page; it has: {known}.")

    def _start(self) -> None:
        # Folders first: what is here already should not wait for what has to be fetched.
        for slot in sorted(self._slots.values(), key=lambda s: not Path(s.entry.source).is_dir()):
            try:
                self._put(slot, fetched(slot.entry, Path(self._home.name)))
            except Exception as error:
                self._put(slot, failed(slot.entry, error))
                continue
            # The first one is what most visitors will use.
            with suppress(ModelError):
                if is_zero_gpu_space() or self._find(None) is slot:
                    self.get(slot.entry.name)

    def _known(self, source: str) -> str | None:
        """The name of what is on the shelf already, made good if it had failed."""
        for entry in self.entries():
            if source in (entry.name, entry.source):
                if entry.state == "failed":
                    self.reload(entry.name)
                return entry.name
        return None

    def _added(self, source: str) -> str:
        """Put a visitor's model on the shelf and make room for it; `_fetching` is held."""
        folder = Path(source).is_absolute()
        short = short_name(source) if folder else hub.parse_name(source).repo_id.split("/")[1]
        others = (f"{short} ({number})" for number in itertools.count(2))
        wanted = itertools.chain((short,), () if folder else (source,), others)
        name = next(name for name in wanted if name not in self._slots)
        entry = fetched(Entry(source, name, added=True), Path(self._home.name))
        with self._lock:
            self._slots[name] = _Slot(entry, next(self._clock), late=True)
            added = [slot for slot in self._slots.values() if slot.entry.added]
            added = sorted((s for s in added if s.entry.folder), key=lambda s: s.used)
            for slot in added[: max(0, len(added) - MOST_ADDED)]:
                self._forget(slot.entry.name)
        return name

    def _load(self, slot: _Slot) -> Translator:
        """Bring a model into memory; `slot.lock` is held."""
        entry, start = slot.entry, perf_counter()
        if entry.state == "failed":
            raise ModelError(entry.reason)
        if entry.info is None:
            raise StillLoading(f"The model {entry.name} is still loading; try again in a moment.")
        self._trim(self._most - 1)
        self._put(slot, replace(entry, state="loading"))
        try:
            translator = loaded(entry, self._device(slot.late), self.backend)
        except Exception as error:
            gone = failed(entry, error)
            # Memory may be had again in a moment; bad weights stay bad until they are fetched anew.
            self._put(slot, entry if lacks_memory(error) else gone)
            raise ModelError(gone.reason) from error
        slot.used = next(self._clock)
        self._put(slot, replace(entry, state="ready", translator=translator))
        # Once more: others may have loaded meanwhile.
        self._trim(self._most)
        seconds = perf_counter() - start
        where, by = translator.device, translator.backend
        logger.info("Loaded %s in %.1f s on %s, by %s", entry.name, seconds, where, by)
        return translator

    def _device(self, late: bool) -> Device:
        # On a ZeroGPU Space only what was there from the start may live on the GPU.
        return "cpu" if late and is_zero_gpu_space() else self.device

    def _put(self, slot: _Slot, entry: Entry) -> None:
        # Not between the moment at which `_trim` reads an entry and that at which it replaces it.
        with self._lock:
            slot.entry = entry

    def _trim(self, most: int) -> None:
        """Have the models unused for longest leave memory until `most` are there."""
        stays = is_zero_gpu_space()
        with self._lock:
            held = [slot for slot in self._slots.values() if slot.entry.translator]
            held = sorted((s for s in held if s.late or not stays), key=lambda s: s.used)
            for slot in held[: max(0, len(held) - most)]:
                if slot.entry.folder is None:
                    self._forget(slot.entry.name)
                else:
                    slot.entry = replace(slot.entry, state="waiting", translator=None)

    def _forget(self, name: str) -> None:
        with self._lock:
            slot = self._slots.pop(name, None)
        if slot:
            self._delete(slot.entry.folder)

    def _delete(self, folder: Path | None) -> None:
        # Only what was fetched for visitors; everything else is somebody's.
        if folder and folder.parent == Path(self._home.name):
            shutil.rmtree(folder, ignore_errors=True)
