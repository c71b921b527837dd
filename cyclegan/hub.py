"""Push weights to the Hugging Face Hub, pull them from it, and read single files there.

Every failure surfaces as a `HubError`, one sentence to show as it is. Everything here blocks;
pusher.py pushes from a thread of its own, hub_runs.py reads from one.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import huggingface_hub as hf
from huggingface_hub import constants, errors, utils
from huggingface_hub.utils import _http

from cyclegan.errors import UserError
from cyclegan.files import CONFIG, TENSORS, WEIGHTS_FILES

_REQUIRED = (CONFIG, TENSORS)

# A revision becomes part of a path in the cache, so ".." must not get through.
_NAME = re.compile(r"(?!.*\.\.|[^@]*--)(\w[\w.-]*/\w[\w.-]*(?<![.-]))(?:@(\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
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


def _client() -> httpx2.Client:
    # Without these, requests to the Hub wait for ever: the client sets no timeouts of its own.
    client = _http.default_client_factory()
    client.timeout = httpx2.Timeout(60, connect=10)
    return client


# Not set once on the session at hand, since the client makes new ones after lost connections.
hf.set_client_factory(_client)


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
        # The download asks the same question, but without a timeout.
        timeout, revision = constants.HF_HUB_ETAG_TIMEOUT, target.revision
        hf.HfApi(token=token).model_info(target.repo_id, revision=revision, timeout=timeout)
        folder = _snapshot(target, token=token, force_download=force)
    except Exception as error:
        failure = _explain(error, f"pull {name}", target)
        folder = _cached(target) if is_outage(error) and not force else None
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
    files, target = read_weights(folder), push_target(name)
    with explained(f"push to {name}", target):
        api = open_repository(target, private, token)
        return commit(api, target, files, (), message)


def push_target(name: str) -> HubName:
    """The repository that "USER/NAME" names. Raises HubError for anything else."""
    target = parse_name(name)
    if target.revision is not None:
        raise HubError(f"Cannot push to {name}: weights go to the main branch; drop @REVISION.")
    return target


def open_repository(target: HubName, private: bool, token: str | None) -> hf.HfApi:
    """Create a repository if it is missing, and return the client to push to it with."""
    action, token = f"push to {target.repo_id}", _clean_token(token)
    if token is None and hf.get_token() is None:
        raise HubError(f"Cannot {action}: there is no token; {_LOGIN}.")
    api = hf.HfApi(token=token)
    # None leaves the choice to the organisation, whose default may be private.
    api.create_repo(target.repo_id, private=private or None, exist_ok=True)
    if private and not api.model_info(target.repo_id, timeout=60).private:
        raise HubError(f"Cannot {action}: it is public; make it private or drop --private.")
    return api


def commit(
    api: hf.HfApi, target: HubName, files: Mapping[str, bytes], gone: Iterable[str], message: str
) -> str:
    """Write `files` and delete `gone`, both by path, in one commit; returns its address."""
    # Not upload_folder, which may split a folder into several commits.
    operations = [hf.CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [hf.CommitOperationDelete(path, is_folder=False) for path in gone]
    return api.create_commit(target.repo_id, operations, commit_message=message).commit_url


def head_commit(target: HubName, timeout: float, token: str | bool | None = None) -> str:
    """The commit that a branch points to now; a small answer, however large the repository."""
    api, revision = hf.HfApi(token=token), target.revision
    info = api.model_info(target.repo_id, revision=revision, expand=["sha"], timeout=timeout)
    return str(info.sha)


def list_files(
    target: HubName, revision: str, timeout: float, token: str | bool | None = None
) -> dict[str, str]:
    """All files of a revision by path, each with the hash that is one of its `content_ids`."""
    # Not list_repo_tree, which waits for ever for a server that hangs.
    url: str | None = f"{constants.ENDPOINT}/api/models/{target.repo_id}/tree/{revision}"
    url, files = f"{url}?recursive=true", {}
    while url:
        response = _get(url, timeout, token)
        for entry in response.json():
            if entry["type"] == "file":
                files[entry["path"]] = entry.get("lfs", entry)["oid"]
        url = response.links.get("next", {}).get("url")
    return files


def content_ids(content: bytes) -> tuple[str, str]:
    """The hashes by which the Hub knows a file: as a large file (SHA-256), and as git's own."""
    git = hashlib.sha1(b"blob %d\0" % len(content) + content)
    return hashlib.sha256(content).hexdigest(), git.hexdigest()


def fetch_file(target: HubName, path: str, revision: str, identity: str, timeout: float) -> bytes:
    """The content of a file whose hash `list_files` told. Raises HubError if it is another."""
    content = _get(hf.hf_hub_url(target.repo_id, path, revision=revision), timeout).content
    if identity not in content_ids(content):
        raise HubError(f"Cannot fetch {path} of {target.repo_id}: it arrived damaged; try again.")
    return content


def _get(url: str, timeout: float, token: str | bool | None = None) -> httpx2.Response:
    headers = utils.build_hf_headers(token=token)
    response = hf.get_session().get(url, headers=headers, timeout=timeout)
    utils.hf_raise_for_status(response)
    return response


def read_weights(folder: str | Path) -> dict[str, bytes]:
    """The files of a weights folder by name. Raises HubError if it is none."""
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


def is_outage(error: BaseException) -> bool:
    """Whether the Hub gave no answer at all, or none that means anything."""
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, tuple(_OUTAGES))


@contextmanager
def explained(action: str, target: HubName) -> Iterator[None]:
    """Turn whatever the client raises into a HubError: "Cannot <action>: ..."."""
    try:
        yield
    except Exception as error:
        raise _explain(error, action, target) from error


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
