"""A stand-in for the Hugging Face Hub that speaks as much of its HTTP as the real client needs.

    with HubServer() as server:
        server.add_repo("tester/weights", {"config.json": b"{}"})
        ...  # the client, with HF_ENDPOINT=server.url, HF_TOKEN=TOKEN and HF_HUB_DISABLE_XET=1

As on the Hub, large files are kept by another host name, which refuses to be sent the token.
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import yaml

USER = "tester"
TOKEN = "hf_StandInToken"
READ_ONLY_TOKEN = "hf_StandInTokenThatOnlyReads"
_LARGE = (".safetensors", ".webp", ".bin", ".onnx")
# Data sets are repositories called "datasets/OWNER/NAME", and have a name of their own on the API.
_REPO = r"(?P<name>(?:datasets/)?[^/]+/[^/]+)"
_API = rf"/api/(?:models/)?{_REPO}"
_REVISION = r"(?P<revision>[^/]+)"
_ROUTES = [
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("POST", rf"{_API}/preupload/{_REVISION}", "preupload"),
    ("POST", rf"{_API}/commit/{_REVISION}", "commit"),
    ("GET", rf"{_API}/tree/{_REVISION}", "tree"),
    ("POST", rf"{_API}/paths-info/{_REVISION}", "paths_info"),
    ("GET", rf"{_API}(/revision/{_REVISION})?", "info"),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("POST", rf"/{_REPO}\.git/info/lfs/verify", "lfs_verify"),
    ("PUT", r"/storage/(?P<digest>\w+)", "store"),
    ("GET", r"/storage/(?P<digest>\w+)", "fetch"),
    ("HEAD|GET", rf"/{_REPO}/resolve/{_REVISION}/(?P<path>.+)", "resolve"),
]


class Request(NamedTuple):
    method: str
    path: str
    token: str | None


@dataclass
class Repo:
    """Commits by hash, each with all its files, and branches or tags by name."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(
        self, files: dict[str, bytes], message: str = "", deleted: Collection[str] = ()
    ) -> str:
        """Put `files` on top of main, without `deleted`, and return the hash of the new commit."""
        parent = self.refs.get("main", "")
        tree = {**self.commits.get(parent, {}), **files}
        tree = {path: content for path, content in tree.items() if path not in deleted}
        listing = [f"{git_hash(content)} {path}" for path, content in sorted(tree.items())]
        digest = git_hash("\n".join([parent, message, *listing]).encode())
        self.commits[digest] = tree
        self.refs["main"] = digest
        return digest


class HubServer:
    """The server runs from the start; `stop` refuses connections until `start`, on the same port.

    Attributes:
        url: what HF_ENDPOINT must say.
        repos: the repositories by name.
        requests: everything that was asked so far.
        fail_with: when set, the status with which every request is answered ...
        fail_on: ... whose path contains this text.
        delay: seconds that every request has to wait for its answer.
        drop: whether connections are closed without an answer.
        lose_answer: when set, the next request whose path contains this text is heeded, but the
            connection is closed without an answer.
        page_size: how many entries a listing of files has at once.
        pushed: the paths of every commit that was pushed, deleted ones with a "-" before them.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.fail_with: int | None = None
        self.fail_on = ""
        self.delay = 0.0
        self.page_size = 1000
        self.drop = False
        self.lose_answer = ""
        self.pushed: list[set[str]] = []
        self._open = threading.Event()
        self._open.set()
        self._held = threading.Event()
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.storage = f"http://localhost:{self.port}/storage"

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._listener = _Listener(("127.0.0.1", self.port), handler)
        self.port = self._listener.server_port
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @contextmanager
    def hanging(self) -> Iterator[threading.Event]:
        """Leave requests without an answer meanwhile; the event is set once there is one."""
        self._held.clear()
        self._open.clear()
        try:
            yield self._held
        finally:
            self._open.set()

    def wait(self) -> None:
        """Hold up a request as long as its answer has to wait."""
        if not self._open.is_set():
            self._held.set()
            self._open.wait()
        time.sleep(self.delay)

    def __enter__(self) -> "HubServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def add_repo(self, name: str, files: dict[str, bytes], private: bool = False) -> str:
        """Commit `files` to the repository, a new one if need be, and return the commit."""
        self.blobs |= {sha256(content): content for content in files.values()}
        return self.repos.setdefault(name, Repo(private)).commit(files)

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """The files of a repository at a branch, a tag or a commit."""
        repo = self.repos[name]
        return dict(repo.commits[repo.refs.get(revision, revision)])


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def describe(path: str, content: bytes) -> dict[str, Any]:
    size = len(content)
    entry = {"type": "file", "path": path, "oid": git_hash(content), "size": size}
    if path.endswith(_LARGE):
        entry["lfs"] = {"oid": sha256(content), "size": size, "pointerSize": 130}
    return entry


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that did not wait for an answer; others show in the tests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Refusal(Exception):
    """Raised to end a request with an error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        path = urlsplit(self.path).path
        self.hub.requests.append(Request(self.command, path, self.token))
        self.hub.wait()
        if self.hub.drop:
            self.close_connection = True
            return
        try:
            if self.hub.fail_with and self.hub.fail_on in path:
                raise _Refusal(self.hub.fail_with, "The stand-in was told to fail")
            if self.token not in (None, TOKEN, READ_ONLY_TOKEN):
                raise _Refusal(401, "Invalid credentials in Authorization header")
            self.route(path)
        except _Refusal as refusal:
            headers = {"X-Error-Message": refusal.message, "X-Error-Code": refusal.code}
            self.reply({"error": refusal.message}, refusal.status, headers)

    do_HEAD = do_POST = do_PUT = do_GET

    def route(self, path: str) -> None:
        for methods, pattern, action in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split("|"):
                found = {key: unquote(text) for key, text in match.groupdict().items() if text}
                return getattr(self, action)(**found)
        raise _Refusal(404, f"The stand-in has no {self.command} {path}")

    def reply(self, value: object, status: int = 200, headers: Any = None) -> None:
        if self.hub.lose_answer and self.hub.lose_answer in self.path:
            self.hub.lose_answer = ""
            self.close_connection = True
            return
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet; `HubServer.requests` is the log."""

    def repo(self, name: str, write: bool = False) -> Repo:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self.token is None):
            if self.token is None:  # The Hub does not tell strangers which names exist.
                raise _Refusal(401, "Invalid username or password.")
            raise _Refusal(404, "Repository not found", "RepoNotFound")
        if write:
            self.check_may_write(name)
        return repo

    def check_may_write(self, name: str) -> None:
        if self.token is None:
            raise _Refusal(401, "Invalid username or password.")
        if self.token == READ_ONLY_TOKEN or name.split("/")[0] != USER:
            raise _Refusal(403, f"You don't have the rights to write to {name}")

    def commit_of(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]]:
        digest = repo.refs.get(revision, revision)
        if digest not in repo.commits:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return digest, repo.commits[digest]

    def whoami(self) -> None:
        if self.token is None:
            raise _Refusal(401, "Invalid username or password.")
        role = {TOKEN: "write", READ_ONLY_TOKEN: "read"}[self.token]
        self.reply({"type": "user", "name": USER, "auth": {"accessToken": {"role": role}}})

    def create(self) -> None:
        wish = json.loads(self.body)
        name = f"{wish.get('organization') or USER}/{wish['name']}"
        self.check_may_write(name)
        status = 409 if name in self.hub.repos else 200
        if status == 200:
            self.hub.repos[name] = Repo(private=wish.get("visibility") == "private")
            self.hub.repos[name].commit({}, "initial commit")
        self.reply({"url": f"{self.hub.url}/{name}"}, status)

    def validate_yaml(self) -> None:
        match = re.match(r"---\n(.*?)\n---\n", json.loads(self.body)["content"], re.DOTALL)
        try:
            valid = match is None or isinstance(yaml.safe_load(match[1]), dict)
        except yaml.YAMLError:
            valid = False
        errors = [] if valid else [{"message": "The front matter is not a YAML mapping"}]
        self.reply({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, name: str, revision: str) -> None:
        present = self.commit_of(self.repo(name, write=True), revision)[1]
        files: list[dict[str, Any]] = []
        for wish in json.loads(self.body)["files"]:
            path = wish["path"]
            mode, hashed = ("lfs", sha256) if path.endswith(_LARGE) else ("regular", git_hash)
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False})
            if path in present:
                files[-1]["oid"] = hashed(present[path])
        self.reply({"files": files})

    def lfs_batch(self, name: str) -> None:
        self.repo(name, write=True)
        objects = [{"oid": w["oid"], "size": w["size"]} for w in json.loads(self.body)["objects"]]
        for wish in objects:
            if wish["oid"] not in self.hub.blobs:
                verify = {"href": f"{self.hub.url}/{name}.git/info/lfs/verify"}
                upload = {"href": f"{self.hub.storage}/{wish['oid']}"}
                wish["actions"] = {"upload": upload, "verify": verify}
        self.reply({"transfer": "basic", "objects": objects})

    def lfs_verify(self, name: str) -> None:
        wish = json.loads(self.body)
        if len(self.hub.blobs.get(wish["oid"], b"")) != wish["size"]:
            raise _Refusal(404, "The object was not uploaded")
        self.reply({})

    def store(self, digest: str) -> None:
        if self.token or sha256(self.body) != digest:
            raise _Refusal(400, "A token came along, or the content does not match the hash")
        self.hub.blobs[digest] = self.body
        self.reply(b"")

    def fetch(self, digest: str) -> None:
        if self.token or digest not in self.hub.blobs:
            raise _Refusal(400, "A token came along, or there is no such object")
        self.reply(self.hub.blobs[digest])

    def commit(self, name: str, revision: str) -> None:
        repo = self.repo(name, write=True)
        header, *items = [json.loads(line) for line in self.body.splitlines()]
        files, deleted = {}, set()
        for item in items:
            file = item["value"]
            if item["key"] == "deletedFile":
                deleted.add(file["path"])
            elif item["key"] == "lfsFile":
                files[file["path"]] = self.hub.blobs[file["oid"]]
            else:
                files[file["path"]] = base64.b64decode(file["content"])
        if revision != "main":
            raise _Refusal(400, "The stand-in only commits to main")
        if deleted - self.commit_of(repo, "main")[1].keys():
            raise _Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        digest = repo.commit(files, header["value"]["summary"], deleted)
        self.hub.pushed.append(files.keys() | {f"-{path}" for path in deleted})
        self.reply({"commitOid": digest, "commitUrl": f"{self.hub.url}/{name}/commit/{digest}"})

    def info(self, name: str, revision: str = "main") -> None:
        repo = self.repo(name)
        digest, files = self.commit_of(repo, revision)
        card = re.match(rb"---\n(.*?)\n---\n", files.get("README.md", b""), re.DOTALL)
        answer = {"id": name, "sha": digest, "private": repo.private}
        answer["siblings"] = [{"rfilename": path} for path in files]
        self.reply({**answer, "cardData": yaml.safe_load(card[1]) if card else {}})

    def tree(self, name: str, revision: str) -> None:
        files = self.commit_of(self.repo(name), revision)[1]
        parents = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": path, "oid": git_hash(path.encode()), "size": 0}
            for path in sorted(parents)
        ]
        entries += [describe(path, content) for path, content in files.items()]
        query = dict(parse_qsl(urlsplit(self.path).query))
        start = int(query.get("cursor", 0))
        end = start + self.hub.page_size
        link = f"{self.hub.url}{urlsplit(self.path).path}?recursive=true&cursor={end}"
        headers = {"Link": f'<{link}>; rel="next"'} if end < len(entries) else {}
        self.reply(entries[start:end], 200, headers)

    def paths_info(self, name: str, revision: str) -> None:
        files = self.commit_of(self.repo(name), revision)[1]
        wanted = parse_qs(self.body.decode())["paths"]
        self.reply([describe(path, files[path]) for path in wanted if path in files])

    def resolve(self, name: str, revision: str, path: str) -> None:
        digest, files = self.commit_of(self.repo(name), revision)
        if path not in files:
            raise _Refusal(404, "Entry not found", "EntryNotFound")
        content = files[path]
        headers = {"X-Repo-Commit": digest, "ETag": f'"{git_hash(content)}"'}
        if not path.endswith(_LARGE):
            return self.reply(content, 200, headers)
        headers |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        self.reply(b"", 302, {**headers, "Location": f"{self.hub.storage}/{sha256(content)}"})
