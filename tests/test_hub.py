"""The Hub client against a stand-in server: what is pushed and pulled, and how failures read."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from hub_client import log_in
from hub_server import READ_ONLY_TOKEN, TOKEN, HubServer
from huggingface_hub import ModelCard, constants

from cyclegan import hub
from cyclegan.hub import HubError, parse_name, pull, pull_revision, push
from cyclegan.model_card import HUB_LICENSES, CardInfo, model_card

Patch = pytest.MonkeyPatch
Log = pytest.LogCaptureFixture

NAME = "tester/apples"
FRUIT = CardInfo("fruit", "apple", "orange", 64, "Photos of fruit, MIT.", license="mit")
CARD = replace(FRUIT, hub_name=NAME, samples=True, notes="Faces were never tried.")
CARD = replace(CARD, steps=1200, seconds=5400, machine="2 cores", versions={"torch": "2.12.1"})
CARD = replace(CARD, losses={"cycle_a": 0.25}, settings={"schedule": "linear | constant"})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: Patch) -> Iterator[HubServer]:
    """A stand-in Hub that the client of this process talks to, with an empty cache and a login."""
    with HubServer() as hub_server:
        log_in(hub_server, tmp_path, monkeypatch)
        yield hub_server


def write_weights(folder: Path, version: str = "1") -> dict[str, bytes]:
    """Fill a weights folder, and return its files."""
    files = {
        "config.json": json.dumps({"version": version}).encode(),
        "model.safetensors": version.encode() * 3000,
        "README.md": model_card(CARD).encode(),
        "samples.webp": b"sheet " + version.encode(),
        "photos.webp": b"of photos " + version.encode(),
    }
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(call: Callable[[], object], *words: str) -> None:
    """Check that `call` raises a HubError: one sentence with all the `words`."""
    with pytest.raises(HubError) as caught:
        call()
    text = str(caught.value)
    assert re.fullmatch(r"(?!.*hf_).*\.", text)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("name", ["a/b", "A-1/b_2.c", "a/b@main", "a/b@refs/pr/1", "a/b@v1.0"])
def test_names(name: str) -> None:
    repo_id, _, revision = name.partition("@")
    assert parse_name(name) == (repo_id, revision or None)
    assert hub.is_hub_name(name)


@pytest.mark.parametrize("name", ",a,a/b/c,./a,/a/b,a/b@,a/..,a/b@../../x,a/b c,a--b/c".split(","))
def test_what_is_no_name(name: str) -> None:
    assert not hub.is_hub_name(name)
    with pytest.raises(HubError, match=r"USER/NAME\[@REVISION\]"):
        parse_name(name)


def test_pull_gives_what_push_took(server: HubServer, tmp_path: Path) -> None:
    files = write_weights(tmp_path / "weights")
    (tmp_path / "weights" / ".config.json.tmp").write_bytes(b"half written")
    address = push(tmp_path / "weights", NAME, message="first")
    assert server.files(NAME) == files
    folder = pull(NAME)
    assert read(folder) == files
    assert address == f"{server.url}/{NAME}/commit/{pull_revision(folder)}"
    assert pull_revision(tmp_path / "weights") is None
    # The storage host refuses a request that carries the token; the Hub itself must get it.
    assert {r.token for r in server.requests if "/storage/" in r.path} == {None}
    assert {r.token for r in server.requests if "/api/" in r.path} == {TOKEN}
    assert push(tmp_path / "weights", NAME) == address
    assert len(server.repos[NAME].commits) == 2
    server.add_repo(NAME, {"pytorch_model.bin": b"a pickle, which must stay there"})
    assert read(pull(NAME)) == files


def test_older_revisions(server: HubServer, tmp_path: Path) -> None:
    old = write_weights(tmp_path, "old")
    first = push(tmp_path, NAME).rpartition("/")[2]
    server.repos[NAME].refs["v1"] = first
    new = write_weights(tmp_path, "new")
    push(tmp_path, NAME)
    assert pull(NAME).joinpath("model.safetensors").read_bytes() == new["model.safetensors"]
    by_tag = pull(f"{NAME}@v1")
    assert read(by_tag) == old
    server.requests.clear()
    assert pull(f"{NAME}@{first}") == by_tag
    assert server.requests == []
    refusal(lambda: push(tmp_path, f"{NAME}@v1"), NAME, "@REVISION")


def test_private_repositories(server: HubServer, tmp_path: Path, monkeypatch: Patch) -> None:
    files = write_weights(tmp_path / "weights")
    push(tmp_path / "weights", NAME, private=True)
    monkeypatch.delenv("HF_TOKEN")
    refusal(lambda: pull(NAME), server.url, "or it is private", "set HF_TOKEN or run hf auth login")
    assert read(pull(NAME, token=f"{TOKEN}\n")) == files
    refusal(lambda: push(tmp_path / "weights", NAME), "no token", "hf auth login")
    server.repos[NAME].private = False
    refusal(lambda: push(tmp_path / "weights", NAME, private=True, token=TOKEN), "it is public")


def test_what_is_missing_is_named(server: HubServer, tmp_path: Path) -> None:
    files = write_weights(tmp_path)
    refusal(lambda: pull(NAME), NAME, "no such repository, or it is private", "hf auth login")
    server.add_repo(NAME, {"config.json": b"{}"})
    refusal(lambda: pull(NAME), NAME, "model.safetensors")
    refusal(lambda: pull(f"{NAME}@v9"), f"{NAME}@v9", "no revision 'v9'")
    commit = server.add_repo(NAME, files)
    pull(NAME)
    del server.repos[NAME].commits[commit]["samples.webp"]
    refusal(lambda: pull(NAME, force=True), NAME, "samples.webp is missing")
    del server.repos[NAME]
    # An answer counts, whatever the cache holds.
    refusal(lambda: pull(NAME), NAME, "no such repository")
    (tmp_path / "config.json").unlink()
    refusal(lambda: push(tmp_path, NAME), str(tmp_path), "config.json")


@pytest.mark.parametrize(
    ("status", "where", "words"),
    [
        (403, "/create", "write access"),
        (403, "/storage/", "write access"),
        (409, "/commit/", "another change came in between"),
        (500, "/create", "500: it is out of order"),
        (400, "/validate-yaml", "README.md is not valid"),
        (418, "/commit/", "told to fail"),
    ],
)
def test_refusals(server: HubServer, tmp_path: Path, status: int, where: str, words: str) -> None:
    write_weights(tmp_path)
    server.fail_with, server.fail_on = status, where
    refusal(lambda: push(tmp_path, NAME), f"Cannot push to {NAME}", words)


def test_bad_tokens(server: HubServer, tmp_path: Path) -> None:
    write_weights(tmp_path)
    refusal(lambda: push(tmp_path, NAME, token="hf_Expired"), "rejects the token", "HF_TOKEN")
    refusal(lambda: pull(NAME, token="hf_Expired"), "rejects the token")
    refusal(lambda: push(tmp_path, NAME, token=READ_ONLY_TOKEN), "write access")
    refusal(lambda: push(tmp_path, "somebody/else"), "write access")
    # The HTTP library would quote this one in its complaint.
    refusal(lambda: pull(NAME, token="hf_broken\nX: y"), "characters")


def test_without_a_network(
    server: HubServer,
    tmp_path: Path,
    caplog: Log,
    monkeypatch: Patch,
) -> None:
    server.add_repo(NAME, write_weights(tmp_path / "weights"))
    folder = pull(NAME)
    server.fail_with = 503
    assert pull(NAME) == folder
    server.fail_with, server.delay = None, 2.5
    assert pull(NAME) == folder
    server.delay = 0
    server.stop()
    assert pull(NAME) == folder
    reasons = [record.getMessage() for record in caplog.records if record.name == "cyclegan.hub"]
    for reason, words in zip(reasons, ("503", "does not answer", "no connection"), strict=True):
        assert words in reason
    refusal(lambda: pull("tester/cold"), "tester/cold", "no connection to " + server.url)
    refusal(lambda: pull(NAME, force=True), "no connection")
    refusal(lambda: push(tmp_path / "weights", NAME), "no connection")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pull(NAME) == folder
    refusal(lambda: pull("tester/cold"), "HF_HUB_OFFLINE")


def test_no_session_waits_for_ever(server: HubServer) -> None:
    for _ in range(2):
        timeout = huggingface_hub.get_session().timeout
        assert timeout.connect and timeout.read and timeout.write
        # As the client does by itself when a connection is lost.
        huggingface_hub.close_session()


def test_force_mends_a_truncated_file(server: HubServer, tmp_path: Path) -> None:
    files = write_weights(tmp_path / "weights")
    server.add_repo(NAME, files)
    damaged = pull(NAME) / "model.safetensors"
    damaged.write_bytes(files["model.safetensors"][:100])
    assert pull(NAME).joinpath("model.safetensors").stat().st_size == 100
    assert read(pull(NAME, force=True)) == files


def test_environment_is_all_that_a_process_needs(server: HubServer, tmp_path: Path) -> None:
    """As a user runs it: HF_ENDPOINT names the server, and hf_xet, if installed, stays unused."""
    files = write_weights(tmp_path / "weights")
    script = (
        "import sys; from cyclegan import hub, model_card; assert 'torch' not in sys.modules; "
        f"hub.push(sys.argv[1], '{NAME}'); print(hub.pull('{NAME}'))"
    )
    unset = ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", script, str(tmp_path / "weights")]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert read(Path(run.stdout.strip())) == files == server.files(NAME)
    assert not [r for r in server.requests if "xet" in r.path or "telemetry" in r.path]


def validated(card: str) -> dict[str, object]:
    """The front matter of a model card, checked as the Hub checks it."""
    assert card.startswith("---\n")
    data = yaml.safe_load(card.split("---\n")[1])
    assert set(data) <= {"license", "license_name", "library_name", "pipeline_tag", "tags"}
    assert all(isinstance(text, str) for text in [*data.pop("tags"), *data.values()])
    assert data["pipeline_tag"] in ("image-to-image", "unconditional-image-generation")
    assert data.get("license", "mit") in HUB_LICENSES
    assert ("license_name" in data) == (data.get("license") == "other")
    return ModelCard(card).data.to_dict()


def test_model_card() -> None:
    card = model_card(CARD)
    assert validated(card)["license"] == "mit"
    for text in (
        f"translate photo.jpg --weights {NAME} --direction a2b --output made\n",
        f'Translator.load("{NAME}")',
        f"app.py --weights {NAME}",
        "![What it makes](samples.webp)",
        "1,200 steps in 1 h 30 min on 2 cores, with torch 2.12.1.",
        "| schedule | linear \\| constant |",
        "| cycle_a | 0.25 |",
        "Faces were never tried.",
    ):
        assert text in card


def test_model_card_of_images_from_noise() -> None:
    card = model_card(replace(FRUIT, directions=(), takes_z=True, domain_b=""))
    assert validated(card)["pipeline_tag"] == "unconditional-image-generation"
    assert "Makes images: apple." in card
    assert "cyclegan generate weights/fruit --output made\n" in card
    assert "translate" not in card


def test_model_card_of_little_knowledge() -> None:
    data = validated(model_card(replace(FRUIT, license="ImageNet: research only")))
    assert (data["license"], data["license_name"]) == ("other", "imagenet-research-only")
    card = model_card(replace(FRUIT, license=None, directions=("b2a",)))
    assert "license" not in validated(card)
    assert all(text in card for text in ("No licence", "--direction b2a", "weights/fruit"))
    assert not any(text in card for text in ("samples.webp", "## Training", "(`a2b`)"))
