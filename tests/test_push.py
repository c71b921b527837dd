"""train.py pushes while it trains, and what it pushed is pulled and used, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer
from PIL import Image

from cyclegan.translator import Translator

ROOT = Path(__file__).parent.parent
NAME = "tester/discs"
TINY = (
    "--image-size 32 --width 4 --blocks 1 --discriminator-width 4 --device cpu --steps 4 "
    "--log-every 2 --sample-every 2 --checkpoint-every 2 --license mit"
).split()


def environment(endpoint: str, cache: Path) -> dict[str, str]:
    """A process's environment in which only the stand-in Hub exists."""
    return {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_TOKEN": TOKEN,
        "HF_HUB_ETAG_TIMEOUT": "1",
        "NO_PROXY": "*",
    }


def files(folder: Path) -> dict[str, bytes]:
    """The files below a folder by their path in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
def test_what_training_pushed_is_pulled_and_translates(photo_folder, tmp_path):
    data = photo_folder(count=3)
    out = tmp_path / "run"
    train = ["train.py", "cyclegan", "--data", str(data), "--out", str(out), *TINY]
    push = ["--push-to-hub", NAME, "--push-every", "2"]
    with HubServer() as hub:
        result = run([*train, *push], environment(hub.url, tmp_path / "home"))
        assert result.returncode == 0, result.stderr
        pushed = hub.files(NAME)
        # The files as they are here, but for the paths in them.
        published = {path: content for path, content in pushed.items() if "/" not in path}
        assert published == files(out / "weights")
        assert {"config.json", "model.safetensors", "README.md", "samples.webp"} <= set(published)
        samples = files(out / "samples")
        assert {path.split("/")[0] for path in samples} == {"00000000", "00000002", "00000004"}
        assert {f"run/samples/{path}": samples[path] for path in samples} == {
            path: content for path, content in pushed.items() if "/samples/" in path
        }
        assert json.loads(pushed["run/status.json"])["phase"] == "finished"
        assert len(pushed["run/metrics.jsonl"].splitlines()) > 2
        assert not [path for path in pushed if "probes" in path or "checkpoint" in path]
        assert not [path for path in pushed if str(tmp_path).encode() in pushed[path]]
        card = pushed["README.md"].decode()
        assert "license: mit" in card and NAME in card

        photo, made = tmp_path / "photo.png", tmp_path / "made"
        Image.new("RGB", (50, 34), (200, 40, 30)).save(photo)
        translate = ["-m", "cyclegan", "translate", str(photo), "--weights", NAME]
        translate += ["--direction", "a2b", "--output", str(made)]
        env = environment(hub.url, tmp_path / "another home")
        result = run(translate, env)
        assert result.returncode == 0, result.stderr
    ours = Translator.load(out / "weights", device="cpu").translate(photo, "a2b")
    with Image.open(made / "photo.png") as theirs:
        assert theirs.size == (50, 34)
        assert theirs.tobytes() == ours.tobytes()

    # The Hub is gone now; the cache serves.
    (made / "photo.png").unlink()
    result = run(translate, env)
    assert result.returncode == 0, result.stderr
    assert (made / "photo.png").exists()


@pytest.mark.slow
def test_a_dead_network_costs_the_training_nothing(photo_folder, tmp_path):
    data, out = photo_folder(count=3), tmp_path / "run"
    train = ["train.py", "cyclegan", "--data", str(data), "--out", str(out), *TINY]
    hub = HubServer()
    hub.stop()
    env = environment(hub.url, tmp_path / "home")
    result = run([*train, "--push-to-hub", NAME, "--push-every", "2", "--private"], env)
    assert result.returncode == 1
    assert f"push {out / 'weights'} {NAME} --private" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert Translator.load(out / "weights", device="cpu").weights.config.step == 4

    # The command in the message, once the network is back.
    hub.start()
    with hub:
        result = run(["-m", "cyclegan", "push", str(out / "weights"), NAME, "--private"], env)
        assert result.returncode == 0, result.stderr
        assert hub.files(NAME)["config.json"] == (out / "weights" / "config.json").read_bytes()
        assert hub.repos[NAME].private
