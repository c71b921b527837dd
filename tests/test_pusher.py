"""Pusher against the stand-in Hub: what it pushes when, and what it survives."""

import json
import logging
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_client import log_in, wait_for
from hub_server import TOKEN, HubServer

from cyclegan import pusher as pusher_module
from cyclegan.hub import HubError
from cyclegan.pusher import Pusher
from cyclegan.runs import RunWriter

Log = pytest.LogCaptureFixture

NAME = "tester/discs"
RECORDS = {"run/run.json", "run/status.json", "run/metrics.jsonl"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as hub_server:
        log_in(hub_server, tmp_path, monkeypatch)
        yield hub_server


class Training:
    """A run folder that grows as that of a training does."""

    def __init__(self, folder: Path):
        self.writer = RunWriter(folder)
        self.folder = folder
        self.writer.describe({"probes": 1})
        self.writer.probes({"real_a": torch.zeros(1, 3, 8, 8)})

    def advance(self, step: int, shade: float = 0.0) -> dict[str, bytes]:
        """Go on to `step`, and return the weights that are then there."""
        self.writer.metrics({"step": step, "kind": "training"})
        made = torch.full((1, 3, 8, 8), shade + step / 1000)
        self.writer.sample(step, {"fake_b": made, "fake_a": made - 1})
        self.writer.status("running", step, 1000)
        files = {
            "config.json": json.dumps({"step": step}).encode(),
            "model.safetensors": b"%d " % step * 3000,
            "README.md": b"---\nlicense: mit\n---\n",
        }
        for name, content in files.items():
            path = self.folder / "weights" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return files

    def pushed(self) -> dict[str, bytes]:
        """What must be in the repository when everything was pushed."""
        paths = [self.folder / name for name in ("run.json", "status.json", "metrics.jsonl")]
        paths += self.folder.glob("samples/*/*.webp")
        files = {f"run/{path.relative_to(self.folder).as_posix()}": path for path in paths}
        files |= {path.name: path for path in (self.folder / "weights").iterdir()}
        return {name: path.read_bytes() for name, path in files.items() if path.is_file()}


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    training = Training(tmp_path / "discs")
    yield training
    training.writer.close()


def sample(step: int) -> set[str]:
    return {f"run/samples/{step:08d}/fake_{side}.0.webp" for side in "ab"}


def uploads(server: HubServer) -> int:
    return sum(request.method == "PUT" for request in server.requests)


def test_a_push_holds_what_is_new(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME, every=0)
    for step in (0, 100, 200):
        training.advance(step)
        server.requests.clear()
        pusher.submit(training.folder)
        wait_for(lambda step=step: len(server.pushed) == step // 100 + 1)
        new = {"config.json", "model.safetensors", "run/status.json", "run/metrics.jsonl"}
        assert server.pushed[-1] - {"README.md", "run/run.json"} == new | sample(step)
        # The model and two tiles.
        assert uploads(server) == 3
    listings = [request for request in server.requests if "/tree/" in request.path]
    assert not listings
    training.writer.status("finished", 200, 200)
    pusher.submit(training.folder)
    assert pusher.close() is None
    assert server.pushed[-1] == {"run/status.json"}
    assert server.files(NAME) == training.pushed()


def test_pushed_samples_are_not_even_read(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME, every=0)
    training.advance(0)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    # Training replaces whole samples; a file that somebody else changed goes unnoticed.
    (training.folder / "samples" / "00000000" / "fake_a.0.webp").write_bytes(b"changed in place")
    training.advance(100)
    pusher.submit(training.folder)
    assert pusher.close() is None
    assert sample(100) < server.pushed[-1] and not sample(0) & server.pushed[-1]


def test_a_restart_pushes_only_what_the_hub_lacks(server: HubServer, training: Training) -> None:
    server.page_size = 2
    for step in (0, 100, 200, 300):
        training.advance(step)
    push(training)
    # The training goes back, and makes one sample anew, another one as it was.
    training.writer.rewind(0)
    training.advance(100, shade=0.5)
    training.advance(200)
    push(training)
    gone = {f"-{path}" for path in sample(300)}
    changed = {"config.json", "model.safetensors", "run/status.json", "run/metrics.jsonl"}
    assert server.pushed[-1] == changed | sample(100) | gone
    assert server.files(NAME) == training.pushed()


def test_what_the_training_takes_back_leaves_the_hub(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME, every=0)
    for step in (0, 100, 200):
        training.advance(step)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    training.writer.rewind(0)
    pusher.submit(training.folder)
    wait_for(lambda: len(server.pushed) == 2)
    assert server.files(NAME) == training.pushed()
    training.advance(100, shade=0.5)
    pusher.submit(training.folder)
    assert pusher.close() is None
    assert server.files(NAME) == training.pushed()


def push(training: Training, **options: bool) -> None:
    pusher = Pusher(NAME, **options)
    pusher.submit(training.folder)
    assert pusher.close() is None


def test_photos_stay_at_home_unless_asked_for(server: HubServer, training: Training) -> None:
    training.advance(0)
    push(training)
    assert not [path for path in server.files(NAME) if "real" in path or "probes" in path]
    push(training, photos=True)
    assert server.pushed[-1] == {"run/probes/real_a.0.png"}
    push(training)
    assert server.pushed[-1] == {"-run/probes/real_a.0.png"}


def test_no_path_of_this_machine_is_pushed(
    server: HubServer, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training.advance(0)
    home = str(Path.home())
    places = [tmp_path / "my photos" / "Äpfel", tmp_path / "my photos" / "Äpfel" / "more"]
    data = {"data": None, "domain_a": [str(place) for place in places], "domain_b": ["b"]}
    data |= {"probes": "../elsewhere/probes", "label_a": "apple"}
    more = {"out": training.folder.name, "feature_extractor": f"{home}/.cache/inception.pth"}
    training.writer.describe({"config": {"data": data, "training": more}})
    error = f"[Errno 5] '{places[0]}/1.png' and {training.folder}/x, {home}/y, 3/4 images/s, ./z"
    training.writer.status("failed", 0, 10, error=error)
    training.writer.metrics({"step": 0, "kind": "rollback", "reason": f"{places[1]} is odd"})
    pusher = Pusher(NAME)
    pusher.submit(training.folder.name)
    assert pusher.close() is None
    files = server.files(NAME)
    for content in files.values():
        for text in (str(tmp_path), "my photos", "elsewhere", f"{home}/"):
            assert text.encode() not in content
    config = json.loads(files["run/run.json"])["config"]
    assert config["data"] == {
        "data": None,
        "domain_a": ["Äpfel", "more"],
        "domain_b": ["b"],
        "probes": "probes",
        "label_a": "apple",
    }
    assert config["training"] == {"out": "discs", "feature_extractor": "inception.pth"}
    status = json.loads(files["run/status.json"])
    assert status["error"] == "[Errno 5] 'Äpfel/1.png' and discs/x, ~/y, 3/4 images/s, ./z"
    assert json.loads(files["run/metrics.jsonl"].splitlines()[-1])["reason"] == "more is odd"


def test_a_training_goes_on_while_the_hub_hangs(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME)
    with server.hanging() as held:
        training.advance(0)
        pusher.submit(training.folder)
        assert held.wait(30)
        for step in (100, 200, 300):
            files = training.advance(step)
            pusher.submit(training.folder)
        # What is gone by the time of the push is left out, and the rest is pushed.
        (training.folder / "samples" / "00000000" / "fake_a.0.webp").unlink()
        shutil.rmtree(training.folder / "samples" / "00000100")
        (training.folder / "samples" / "00000200" / "nowhere.0.webp").symlink_to("nowhere")
        text = pusher.close(timeout=0.01) or ""
        assert "it was not done after" in text
        assert text.endswith(f"push {training.folder / 'weights'} {NAME}")
    assert pusher.close() is None
    assert server.files(NAME) == training.pushed()
    assert server.files(NAME)["model.safetensors"] == files["model.safetensors"]
    # First the one that was on its way, then the newest.
    versions = [json.loads(commit["config.json"]) for commit in commits(server)]
    assert versions == [{"step": 0}, {"step": 300}]


def commits(server: HubServer) -> list[dict[str, bytes]]:
    return [files for files in server.repos[NAME].commits.values() if files]


def test_commits_keep_their_distance(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME, every=3600)
    training.advance(0)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    for step in range(100, 1000, 100):
        training.advance(step)
        pusher.submit(training.folder)
    assert pusher.close() is None
    assert len(server.pushed) == 2
    assert server.files(NAME) == training.pushed()


def test_many_samples_take_several_commits(
    server: HubServer, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher_module, "_MOST_PICTURES", 3)
    for step in range(0, 500, 100):
        training.advance(step)
    push(training)
    tiles = [{path for path in paths if "samples" in path} for paths in server.pushed]
    # Newest first; a sample is never torn.
    assert tiles == [sample(400) | sample(300), sample(200) | sample(100), sample(0)]
    assert server.files(NAME) == training.pushed()
    # What the Hub has already does not count.
    server.requests.clear()
    training.advance(500)
    push(training)
    assert sum("/preupload/" in request.path for request in server.requests) == 1
    assert server.files(NAME) == training.pushed()


def test_pushes_once_it_can(server: HubServer, training: Training, caplog: Log) -> None:
    training.advance(0)
    server.stop()
    pusher = Pusher(NAME, retry=0.01)
    pusher.submit(training.folder)
    wait_for(lambda: "no connection" in caplog.text)
    # The training goes on; what was submitted is what must arrive.
    submitted = training.pushed()
    training.writer.status("running", 50, 1000)
    server.start()
    wait_for(lambda: server.pushed)
    assert server.files(NAME) == submitted
    assert pusher.close() is None


def test_nothing_is_lost_when_the_hub_dies(
    server: HubServer, training: Training, caplog: Log
) -> None:
    training.advance(0)
    pusher = Pusher(NAME, every=0, retry=0.01)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    server.fail_with, server.fail_on = 409, "/commit/"
    training.advance(100)
    pusher.submit(training.folder)
    wait_for(lambda: "another change came in between" in caplog.text)
    assert len(server.pushed) == 1
    server.fail_on = ""
    training.writer.rewind(0)
    training.advance(200)
    pusher.submit(training.folder)
    caplog.clear()
    wait_for(lambda: len(caplog.messages) > 1)
    server.stop()
    wait_for(lambda: "no connection" in caplog.text)
    training.advance(300)
    pusher.submit(training.folder)
    server.fail_with = None
    server.start()
    assert pusher.close() is None
    assert server.files(NAME) == training.pushed()


def test_a_commit_whose_answer_was_lost(server: HubServer, training: Training) -> None:
    pusher = Pusher(NAME, every=0, retry=0.01)
    for step in (0, 100):
        training.advance(step)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    # The client asks again, for the deletion of what is deleted already.
    server.lose_answer = "/commit/"
    training.writer.rewind(0)
    pusher.submit(training.folder)
    wait_for(lambda: len(server.pushed) > 1)
    training.advance(200)
    pusher.submit(training.folder)
    assert pusher.close() is None
    assert server.files(NAME) == training.pushed()


def test_a_run_is_pushed_before_it_has_weights(
    server: HubServer, training: Training, caplog: Log
) -> None:
    training.advance(0)
    shutil.rmtree(training.folder / "weights")
    pusher = Pusher(NAME)
    pusher.submit(training.folder)
    wait_for(lambda: server.pushed)
    assert server.pushed == [RECORDS | sample(0)]
    assert not caplog.messages
    (training.folder / "weights").mkdir()
    pusher.submit(training.folder)
    assert "config.json" in caplog.text
    assert "config.json" in (pusher.close() or "")


def test_it_says_what_to_do(server: HubServer, tmp_path: Path, caplog: Log) -> None:
    caplog.set_level(logging.DEBUG)
    assert Pusher(NAME).close() is None
    for name in ("not a name", "tester/discs@v1"):
        with pytest.raises(HubError):
            Pusher(name)
    server.stop()
    training = Training(tmp_path / "my discs")
    training.advance(0)
    pusher = Pusher(NAME, private=True, token=TOKEN)
    pusher.submit(training.folder)
    text = pusher.close() or ""
    weights = str(training.folder / "weights")
    command = shlex.join(["python", "-m", "cyclegan", "push", weights, NAME, "--private"])
    assert text.endswith(f"check the network; to push again: {command}")
    pusher = Pusher(NAME)
    pusher.submit(tmp_path / "nothing here")
    assert "config.json" in (pusher.close() or "")
    assert TOKEN not in caplog.text
