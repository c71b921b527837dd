"""Training against the clock, as on a machine that is lent: plan, calls, and what comes home."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from cyclegan.weights import load_weights

ROOT = Path(__file__).parent.parent
FLAGS = (
    "--image-size 32 --width 4 --blocks 1 --discriminator-width 4 --device cpu --workers 0 "
    "--sample-every 1000 --validation-images 0"
).split()


def timed(out: Path, photos: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "docs.timed_training", "--out", str(out), *flags]
    command += ["--", "cyclegan", "--data", str(photos), *FLAGS]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)


def test_it_stops_in_time_goes_on_and_leaves_parts_that_make_the_weights(photos, tmp_path):
    out = tmp_path / "run"
    # 22 seconds of steps do not fit into a call of 10, which also has to start.
    first = timed(out, photos, "--minutes", "0.4", "--call", "0.16")
    assert first.returncode == 0, first.stderr
    assert "Not finished; the same command goes on." in first.stdout
    plan = json.loads((tmp_path / "run.plan.json").read_text())
    assert plan["steps"] * plan["seconds_a_step"] <= 0.4 * 60
    assert not (tmp_path / "run.export").exists()

    last = timed(out, photos, "--minutes", "0.4")
    assert last.returncode == 0, last.stderr
    export = tmp_path / "run.export"
    assert {path.name for path in export.iterdir()} >= {
        "config.json", "README.md", "samples.webp", "metrics.jsonl", "model.safetensors.000",
    }  # fmt: skip
    parts = sorted(export.glob("model.safetensors.*"))
    assert all(part.stat().st_size < 16 * 10**6 for part in parts)
    home = Path(shutil.copytree(export, tmp_path / "home"))
    (home / "model.safetensors").write_bytes(b"".join(part.read_bytes() for part in parts))
    got, kept = load_weights(home), load_weights(out / "weights")
    assert got.config.step == plan["steps"]
    for name, network in kept.networks.items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(got.networks[name].state_dict()[key], tensor)

    other = timed(out, photos, "--minutes", "0.5")
    assert other.returncode == 2
    assert "was made for other minutes or flags" in other.stderr


def test_flags_that_it_sets_itself_are_refused(photos, tmp_path):
    command = [sys.executable, "-m", "docs.timed_training", "--out", str(tmp_path / "run")]
    command += ["--minutes", "1", "--", "cyclegan", "--data", str(photos), "--steps", "5"]
    got = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert got.returncode == 2
    assert "--steps is set here" in got.stderr
    assert not list(tmp_path.iterdir())
