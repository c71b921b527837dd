"""Push weights to the Hugging Face Hub, and pull them from it.

Every failure surfaces as a `HubError`, one sentence to show as it is. `pull` and `push` block;
`Pusher` pushes from a thread of its own, for a training that must not wait.
"""

import json
import logging
import os
import re
import shlex
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import huggingface_hub as hf
from huggingface_hub import constants, errors, utils

from cyclegan.errors import UserError
from cyclegan.files import CONFIG, TENSORS, WEIGHTS_FILES

_REQUIRED = (CONFIG, TENSORS)

# A revision becomes part of a path in the cache, so ".." must not get through.
_NAME = re.compile(r"(?!.*\.\.|[^@]*--)(\w[\w.-]*/\w[\w.-]*(?<![.-]))(?:@(\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Without these, requests to the Hub wait for ever: the client sets no timeouts of its own.
_TIMEOUTS = httpx2.Timeout(60, connect=10)
_LOGIN = "set HF_TOKEN or run hf auth login"

# Xet, the client's default transfer, retries an unreachable storage server for minutes, and its
# gain, sending only what changed, is none here: training changes every byte. Plain HTTP gives up
# within seconds. The constants are set, not the environment, since importing gradio has already
# read that; either variable, when set, has the last word (HF_HUB_DISABLE_XET=0 brings Xet back).
for _variable in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
    if _variable not in os.environ:
        setattr(constants, _variable, True)

_OUTAGES: dict[type[BaseException], str] = {
    errors.OfflineModeIsEnabled: "offline mode is on; unset HF_HUB_OFFLINE",
    httpx2.TimeoutException: "{hub} does not answer; check the network, or try again later",
    httpx2.TransportError: "no connection to {hub}; check the network",
    # A captive portal, or a proxy, answers in place of the Hub.
    json.JSONDecodeError: "what answers at {hub} is not the Hub; check the network and HF_ENDPOINT",
}
_ADVICE = {
    403: "the token does not permit it; use one with write access to this repository",
    409: "another change came in between; try again",
    429: "too many requests; try again in a few minutes",
}

logger = logging.getLogger(__name__)


class HubError(UserError):
    """The Hub, or the way to it, failed; the text says what, where, and what to do."""


class HubName(NamedTuple):
    """A model repository on the Hub, and optionally a branch, tag or commit of it."""

    repo_id: str
    revision: str | None


def parse_name(name: str) -> HubName:
    """Split "USER/NAME" or "USER/NAME@REVISION". Raises HubError if `name` has neither form."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise HubError(f"{name!r} is not the name of a Hub repository; write USER/NAME[@REVISION].")
    return HubName(match[1], match[2])


def is_hub_name(text: str) -> bool:
    """Whether `text` reads USER/NAME[@REVISION]; a relative path "weights/horse2zebra" does too."""
    return _NAME.fullmatch(text) is not None


def pull(name: str, *, token: str | None = None, force: bool = False) -> Path:
    """Fetch the weights of a Hub repository into the cache, and return their folder.

    Without a network, or while the Hub is out of order, a cached copy is returned at once and a
    warning is logged. A clear refusal (no such repository, no permission) is an error all the same.

    Args:
        name: USER/NAME[@REVISION]; the revision is a branch, a tag or a commit.
        token: the token to use instead of HF_TOKEN or the one that `hf auth login` stored.
        force: download again what is cached, for a file that turned out damaged.

    Raises:
        HubError: the weights are neither to be had from the Hub nor in the cache.
    """
    target, token = parse_name(name), _clean_token(token)
    # A commit never changes, so a cached one needs no question to the Hub.
    if not force and _COMMIT.fullmatch(target.revision or "") and (folder := _cached(target)):
        return folder
    try:
        hf.get_session().timeout = _TIMEOUTS
        # The download asks the same question, but without a timeout.
        timeout, revision = constants.HF_HUB_ETAG_TIMEOUT, target.revision
        hf.HfApi(token=token).model_info(target.repo_id, revision=revision, timeout=timeout)
        folder = _snapshot(target, token=token, force_download=force)
    except Exception as error:
        failure = _explain(error, f"pull {name}", target)
        folder = _cached(target) if _is_outage(error) and not force else None
        if folder is None:
            raise failure from error
        logger.warning("%s Meanwhile the cached commit %s serves.", failure, folder.name[:7])
    missing = _missing_file(folder)
    if missing:
        raise HubError(f"Cannot pull {name}: it has no {missing}, so it holds no weights.")
    return folder


def pull_revision(path: str | Path) -> str | None:
    """The commit that a folder returned by `pull` holds; None for any other folder."""
    path = Path(path)
    return path.name if path.parent.name == "snapshots" and _COMMIT.fullmatch(path.name) else None


def push(
    folder: str | Path,
    name: str,
    *,
    private: bool = False,
    token: str | None = None,
    message: str = "Push weights",
) -> str:
    """Push a weights folder to USER/NAME, created when missing; returns the commit's address.

    Args:
        folder: goes in one commit; its subfolders and hidden files stay behind.
        private: create the repository as private, and refuse one that is public.
        token: the token to use instead of HF_TOKEN or the one that `hf auth login` stored.
        message: the commit message.

    Raises:
        HubError: the folder is no weights folder, or the Hub did not take it.
    """
    return _push(_read(folder), _push_target(name), private, token, message)


class Pusher:
    """Pushes weights folders from a thread of its own, so that nothing delays or breaks a training.

    A push that fails is tried again after `interval` seconds, then after twice that, up to five
    minutes, and whenever `submit` brings newer weights. Two sets of weights at most are in memory:
    one on its way, one waiting. Only the constructor raises: HubError, if `name` is not USER/NAME.

    Args:
        name, private, token: as for `push`.
        interval: seconds before the first new attempt.
    """

    def __init__(
        self, name: str, *, private: bool = False, token: str | None = None, interval: float = 10.0
    ) -> None:
        self._target, self._private, self._token = _push_target(name), private, token
        self._changed = threading.Condition()
        self._waiting: dict[str, bytes] | None = None
        self._closing = False
        self._folder: str | Path = ""
        self._unread: str | None = None
        self._failure: str | None = None
        # Bars drawn from the thread would tear the lines that the training prints.
        utils.disable_progress_bars()
        # A daemon: an upload that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, args=(interval,), daemon=True)
        self._thread.start()

    def submit(self, folder: str | Path) -> None:
        """Read the files of `folder` and leave them to be pushed; weights still waiting give way.

        The folder may change as soon as this returns. If it cannot be read, that is logged now and
        reported by `close`.
        """
        self._folder, self._unread = folder, None
        try:
            files = _read(folder)
        except HubError as error:
            logger.warning("%s", error)
            self._unread = str(error)
            return
        with self._changed:
            self._waiting = files
            self._changed.notify_all()

    def close(self, timeout: float = 300.0) -> str | None:
        """Wait for the last push; if it fails, or failed before, try once more without a pause.

        Returns None if the last submitted weights are on the Hub (or none were submitted), else
        one sentence that says why not and ends with the command that pushes them.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        failure = self._unread or self._failure
        if self._thread.is_alive():
            failure = f"Cannot push {self._folder}: it was not done after {timeout:g} s of waiting."
        if failure is None:
            return None
        command = ["python", "-m", "cyclegan", "push", str(self._folder), self._target.repo_id]
        again = shlex.join(command + ["--private"] * self._private)
        return f"{failure.removesuffix('.')}; to push again: {again}"

    def _run(self, interval: float) -> None:
        failed: dict[str, bytes] | None = None
        pause = interval
        while True:
            with self._changed:
                # Weights stay in `_waiting` until they are pushed or newer ones come.
                self._changed.wait_for(
                    lambda failed=failed: self._waiting is not failed or self._closing,
                    pause if failed else None,
                )
                files, last = self._waiting, self._closing
            if files is None:
                return
            try:
                url = _push(files, self._target, self._private, self._token, "Push new weights")
            except HubError as error:
                logger.warning("%s", error)
                self._failure = str(error)
                if last:
                    return
                pause = min(2 * pause, 300) if failed else interval
                failed = files
                continue
            logger.info("Pushed weights to %s", url)
            self._failure = failed = None
            with self._changed:
                if self._waiting is files:
                    self._waiting = None


def _push(
    files: dict[str, bytes], target: HubName, private: bool, token: str | None, message: str
) -> str:
    repo_id, action = target.repo_id, f"push to {target.repo_id}"
    try:
        token = _clean_token(token)
        if token is None and hf.get_token() is None:
            raise HubError(f"Cannot {action}: there is no token; {_LOGIN}.")
        hf.get_session().timeout = _TIMEOUTS
        api = hf.HfApi(token=token)
        # None leaves the choice to the organisation, whose default may be private.
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id, timeout=60).private:
            raise HubError(f"Cannot {action}: it is public; make it private or drop --private.")
        # Not upload_folder, which may split a folder into several commits.
        additions = [hf.CommitOperationAdd(path, content) for path, content in files.items()]
        return api.create_commit(repo_id, additions, commit_message=message).commit_url
    except Exception as error:
        raise _explain(error, action, target) from error


def _push_target(name: str) -> HubName:
    target = parse_name(name)
    if target.revision is not None:
        raise HubError(f"Cannot push to {name}: weights go to the main branch; drop @REVISION.")
    return target


def _read(folder: str | Path) -> dict[str, bytes]:
    """The files of a weights folder by name."""
    missing = _missing_file(Path(folder))
    if missing:
        raise HubError(f"Cannot push {folder}: it has no {missing}, so it is no weights folder.")
    try:
        paths = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
        return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}
    except OSError as error:
        raise HubError(f"Cannot push {folder}: {error.filename}: {error.strerror}.") from error


def _missing_file(folder: Path) -> str | None:
    return next((name for name in _REQUIRED if not (folder / name).is_file()), None)


def _snapshot(target: HubName, **options: Any) -> Path:
    wanted, revision = list(WEIGHTS_FILES), target.revision
    return Path(
        hf.snapshot_download(target.repo_id, revision=revision, allow_patterns=wanted, **options)
    )


def _cached(target: HubName) -> Path | None:
    """The cached snapshot of `target` if it is complete; never touches the network."""
    with suppress(errors.LocalEntryNotFoundError):
        folder = _snapshot(target, local_files_only=True)
        if not _missing_file(folder):
            return folder
    return None


def _clean_token(token: str | None) -> str | None:
    # The HTTP library quotes a header it cannot send, and the header holds the token.
    if token and not re.fullmatch(r"[!-~]+", token.strip()):
        raise HubError("The Hub token has characters that no token has; copy it again.")
    return token.strip() if token else None


def _is_outage(error: BaseException) -> bool:
    """Whether the Hub gave no answer at all, or none that means anything."""
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, tuple(_OUTAGES))


def _explain(error: BaseException, action: str, target: HubName) -> HubError:
    """Whatever the client raised, in one sentence."""
    # The client wraps what happened ("Error while uploading ..."); the first known cause counts.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HubError):
            return cause
        if isinstance(cause, errors.HfHubHTTPError):
            return HubError(f"Cannot {action}: {_explain_answer(cause, target)}.")
        for kind, text in _OUTAGES.items():
            if isinstance(cause, kind):
                return HubError(f"Cannot {action}: {text.format(hub=constants.ENDPOINT)}.")
        if isinstance(cause, OSError) and cause.strerror:
            return HubError(f"Cannot {action}: {cause.filename}: {cause.strerror}.")
        cause = cause.__cause__
    text = " ".join(str(error).split()).rstrip(".")
    return HubError(f"Cannot {action}: {type(error).__name__}: {text}.")


def _explain_answer(error: errors.HfHubHTTPError, target: HubName) -> str:
    hub, status, path = constants.ENDPOINT, error.response.status_code, error.response.url.path
    said = " ".join((error.server_message or "").split())[:200]
    if status == 401 and re.search("credential|token", said, re.IGNORECASE):
        return f"{hub} rejects the token; take a valid one, and {_LOGIN}"
    if isinstance(error, errors.GatedRepoError):
        return f"it is gated; ask for access at {hub}/{target.repo_id}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {target.revision!r}; name a branch, a tag or a full commit"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"its {path.rpartition('/')[2]} is missing; push the weights again"
    if path.endswith("/validate-yaml"):
        return f"the front matter of README.md is not valid; mend it ({said})"
    if status in (401, 404):
        return f"{hub} has no such repository, or it is private; check the name, or {_LOGIN}"
    advice = "it is out of order; try again later" if status >= 500 else _ADVICE.get(status, said)
    return f"{hub} answered {status}: {advice}"
