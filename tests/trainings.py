"""Small trainings for tests: how they are started, awaited and compared."""

import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from cyclegan.checkpoint import load_checkpoint
from cyclegan.cli import parse_training
from cyclegan.runs import read_metrics
from cyclegan.training import Trainer

ROOT = Path(__file__).parent.parent
TINY = (
    "--image-size 32 --width 4 --blocks 1 --discriminator-width 4 --resize 1.1 --device cpu "
    "--log-every 1 --sample-every 2 --checkpoint-every 2 --seed 3"
).split()


def trainer(photos: Path, out: Path, *flags: str) -> Trainer:
    command = ["cyclegan", "--data", str(photos), "--out", str(out), *TINY, *flags]
    return Trainer(parse_training(command))


def state_of(out: Path) -> dict[str, Any]:
    state = load_checkpoint(out / "checkpoint")
    assert state is not None
    return state


def differing(a: Any, b: Any, path: str = "") -> list[str]:
    """Name every leaf in which two nested states differ by a single bit."""
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        return [name for key in a for name in differing(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple):
        assert len(a) == len(b), path
        pairs = enumerate(zip(a, b, strict=True))
        return [name for i, (x, y) in pairs for name in differing(x, y, f"{path}/{i}")]
    return [] if a == b else [path]


def assert_equal_runs(a: Path, b: Path) -> None:
    """Assert that two runs left the same, to the last bit, but for the time that they took."""
    timing = {"seconds": 0, "logged": 0}
    assert differing({**state_of(a), **timing}, {**state_of(b), **timing}) == []
    clocks = ("seconds", "images_per_second")
    lines = [
        [{k: v for k, v in line.items() if k not in clocks} for line in read_metrics(folder)]
        for folder in (a, b)
    ]
    assert lines[0] == lines[1]
    files = [
        {
            path.relative_to(folder): path.read_bytes()
            for part in ("samples", "probes", "weights")
            for path in (folder / part).rglob("*")
            if path.is_file() and path.name != "README.md"
        }
        for folder in (a, b)
    ]
    assert files[0].keys() == files[1].keys()
    assert [name for name in files[0] if files[0][name] != files[1][name]] == []


def wait_for(holds, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "train.py ended early"
        assert time.monotonic() < deadline, "train.py does not come along"
        time.sleep(0.02)


def stop_after(run: Trainer, step: int) -> None:
    """Have a run stop after a step, as Ctrl-C does, and run it."""
    take = run.learner.step

    def step_and_stop(batches):
        losses = take(batches)
        if run.finished_steps == step:
            run.stop_requested.set()
        return losses

    run.learner.step = step_and_stop
    run.run()
