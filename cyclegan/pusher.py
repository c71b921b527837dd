"""Publish a training while it goes on: its weights, and the run folder for others to follow.

In the repository the files of the weights folder lie at the root, and those of the run under run/:
run.json, status.json, metrics.jsonl, checkpoint/best.json and samples/, without the paths of this
machine; probes/, which holds photos, only on request.
"""

import json
import logging
import os
import shlex
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

import huggingface_hub as hf
from huggingface_hub import utils

from cyclegan.checkpoint import BEST
from cyclegan.config import DataConfig, TrainingConfig
from cyclegan.hub import (
    HubError,
    commit,
    content_ids,
    explained,
    list_files,
    open_repository,
    push_target,
    read_weights,
)
from cyclegan.runs import CHECKPOINTS, METRICS, PROBES, RUN, SAMPLES, STATUS, WEIGHTS, list_samples

FOLDER = "run"
"""Where the run lies in the repository."""
RUN_FILES = (RUN, STATUS, METRICS, f"{CHECKPOINTS}/{BEST}")

_SECONDS = 60.0
"""Least time between two commits; the Hub allows 128 an hour."""
_MOST_PICTURES = 500
"""In one commit, give or take a sample."""
_PATHS = [
    (part, field.name)
    for part, kind in (("data", DataConfig), ("training", TrainingConfig))
    for field in fields(kind)
    if "Path" in str(field.type)
]
"""The settings that are paths."""

logger = logging.getLogger(__name__)


class _Pictures(NamedTuple):
    """A folder of pictures, and when it changed last."""

    folder: Path
    changed: int


class _Snapshot(NamedTuple):
    """What to push, by path in the repository."""

    run: Path
    files: dict[str, bytes]
    pictures: dict[str, _Pictures]


class Pusher:
    """Pushes from a thread of its own, so that nothing delays or breaks a training.

    Commits are a minute apart, those of `close` excepted, and hold only what is new; pictures that
    the run took back are deleted. A push that fails is tried again after `retry` seconds, then
    after twice that, up to five minutes, with the newest that was submitted by then. Only the
    constructor raises: HubError, if `name` is not USER/NAME.

    Args:
        name, private, token: as for `hub.push`.
        photos: also push the photos that samples start from.
        every: seconds between two commits.
        retry: seconds before the first new attempt.
    """

    def __init__(
        self,
        name: str,
        *,
        private: bool = False,
        photos: bool = False,
        token: str | None = None,
        every: float = _SECONDS,
        retry: float = 10.0,
    ) -> None:
        self._target, self._private, self._token = push_target(name), private, token
        self._photos, self._every, self._retry = photos, every, retry
        self._changed = threading.Condition()
        self._waiting: _Snapshot | None = None
        self._closing = False
        self._commits = 0
        self._weights = Path()
        self._unread: str | None = None
        self._failure: str | None = None
        self._forget()
        # Bars drawn from the thread would tear the lines that the training prints.
        utils.disable_progress_bars()
        # A daemon: an upload that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="pusher", daemon=True)
        self._thread.start()

    def submit(self, run: str | Path) -> None:
        """Leave a run folder to be pushed, and the weights in it, if it has any yet.

        Weights and other files are read now, so that they fit together. The pictures of samples
        are only listed, and one that is gone by the time of the push is left out. What is submitted
        next takes the place of what is still waiting. Weights that cannot be read stay behind, and
        `close` says so.
        """
        run = Path(run)
        self._weights, self._unread = run / WEIGHTS, None
        files: dict[str, bytes] = {}
        try:
            files |= read_weights(self._weights)
        except HubError as error:
            self._unread = str(error)
            if self._weights.exists():
                logger.warning("%s", error)
        for name in RUN_FILES:
            with suppress(OSError):
                files[f"{FOLDER}/{name}"] = (run / name).read_bytes()
        if files:
            with self._changed:
                self._waiting = _Snapshot(run, files, _list_pictures(run, self._photos))
                self._changed.notify_all()

    def close(self, timeout: float = 300.0) -> str | None:
        """Wait for the last push; if it fails, or failed before, try once more without a pause.

        Returns None if what was submitted last is on the Hub (or nothing was submitted), else one
        sentence that says why not and ends with the command that pushes the weights.

        Args:
            timeout: seconds without any commit after which to give up.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        before = -1
        # Many pictures take several commits.
        while self._thread.is_alive() and self._commits != before:
            before = self._commits
            self._thread.join(timeout)
        failure = self._unread or self._failure
        if self._thread.is_alive():
            failure = (
                f"Cannot push {self._weights}: it was not done after {timeout:g} s of waiting."
            )
        if failure is None:
            return None
        command = ["python", "-m", "cyclegan", "push", str(self._weights), self._target.repo_id]
        again = shlex.join(command + ["--private"] * self._private)
        return f"{failure.removesuffix('.')}; to push again: {again}"

    def _work(self) -> None:
        due, pause = 0.0, self._retry
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._closing, max(0.0, due - time.monotonic()))
                # It stays in `_waiting` until it is pushed or a newer one comes.
                snapshot, last = self._waiting, self._closing
            if snapshot is None:
                return
            try:
                url, complete = self._push(snapshot)
            except HubError as error:
                logger.warning("%s", error)
                self._failure = str(error)
                # The Hub may have taken it all the same.
                self._forget()
                if last:
                    return
                due = time.monotonic() + pause
                pause = min(2 * pause, 300)
                continue
            logger.info("Pushed to %s", url)
            self._commits += 1
            self._failure = None
            due, pause = time.monotonic() + self._every, self._retry
            with self._changed:
                if complete and self._waiting is snapshot:
                    self._waiting = None

    def _forget(self) -> None:
        self._api: hf.HfApi | None = None
        # Files of the run in the repository: their hashes by path.
        self._held: dict[str, str] = {}
        # Folders whose pictures are all there: when they had changed last.
        self._pushed: dict[str, int] = {}

    def _push(self, snapshot: _Snapshot) -> tuple[str, bool]:
        """Commit what is new, and delete what the run does not hold any more.

        Returns the commit's address, and whether that was all or pictures are left for the next.
        """
        with explained(f"push to {self._target.repo_id}", self._target):
            if self._api is None:
                api = open_repository(self._target, self._private, self._token)
                files = list_files(self._target, "main", timeout=60, token=api.token)
                # What else somebody put beside it is not touched.
                ours = tuple(
                    f"{FOLDER}/{name}" for name in (*RUN_FILES, f"{SAMPLES}/", f"{PROBES}/")
                )
                self._held = {path: files[path] for path in files if path.startswith(ours)}
                self._api = api
            changed = {
                path: pictures
                for path, pictures in snapshot.pictures.items()
                if self._pushed.get(path) != pictures.changed
            }
            new: dict[str, bytes] = {}
            read: dict[str, str] = {}
            pushed: dict[str, int] = {}
            for path, pictures in changed.items():
                if len(new) >= _MOST_PICTURES:
                    break
                for name, content in _read_pictures(pictures.folder).items():
                    place, ids = f"{path}/{name}", content_ids(content)
                    read[place] = ids[0]
                    if self._held.get(place) not in ids:
                        new[place] = content
                pushed[path] = pictures.changed
            others = snapshot.pictures.keys() - pushed.keys()
            kept = {
                place: identity
                for place, identity in self._held.items()
                if str(PurePosixPath(place).parent) in others
            }
            files = _without_paths(snapshot.files, snapshot.run)
            gone = sorted(self._held.keys() - kept.keys() - read.keys() - files.keys())
            url = commit(self._api, self._target, files | new, gone, "Push the training so far")
            self._held = kept | read
            self._pushed |= pushed
            return url, len(pushed) == len(changed)


def _list_pictures(run: Path, photos: bool) -> dict[str, _Pictures]:
    """The folders of pictures to push, the newest samples first."""
    names = [PROBES] if photos else []
    names += [f"{SAMPLES}/{step:08d}" for step in reversed(list_samples(run))]
    found: dict[str, _Pictures] = {}
    for name in names:
        with suppress(OSError):
            # A sample is never changed but replaced, which changes the time of its folder too.
            found[f"{FOLDER}/{name}"] = _Pictures(run / name, (run / name).stat().st_mtime_ns)
    return found


def _read_pictures(folder: Path) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix in (".png", ".webp") and not path.name.startswith("."):
                with suppress(OSError):
                    pictures[path.name] = path.read_bytes()
    return pictures


def _without_paths(files: dict[str, bytes], run: Path) -> dict[str, bytes]:
    """Shorten the paths of this machine in the files of the run to their last parts.

    They stand in settings and in messages of errors, and are nobody else's business.
    """
    config = json.loads(files.get(f"{FOLDER}/{RUN}", b"{}")).get("config", {})
    paths = [str(run)]
    for part, name in _PATHS:
        value = config.get(part, {}).get(name)
        paths += value if isinstance(value, list) else [value] if value else []
    names = {os.path.expanduser("~"): "~"}
    for path in paths:
        whole = os.path.abspath(path)
        for form in (path, whole, os.path.realpath(path)):
            names[form] = os.path.basename(whole)
    # A single part ("data") tells nothing; the longest first, since one may begin with another.
    long = sorted((path for path in names if len(PurePath(path).parts) > 1), key=len, reverse=True)
    return {
        name: _replace(content, ((path, names[path]) for path in long))
        if name.startswith(f"{FOLDER}/")
        else content
        for name, content in files.items()
    }


def _replace(content: bytes, pairs: Iterable[tuple[str, str]]) -> bytes:
    for old, new in pairs:
        # As strings are written in JSON, with and without escapes for what is not ASCII.
        for ascii in (True, False):
            before, after = (json.dumps(text, ensure_ascii=ascii)[1:-1] for text in (old, new))
            content = content.replace(before.encode(), after.encode())
    return content
