"""Several processes that train together, started as people start them: accelerate launch, gloo."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trainings import ROOT, TINY, state_of, trainer, wait_for

from cyclegan.checkpoint import list_checkpoints
from cyclegan.runs import list_samples, read_metrics, read_run

TOGETHER = ("--pool-size", "0", "--checkpoint-every", "1", "--keep-checkpoints", "9")


def launch(photos: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """Start two processes; --multi_gpu is the launcher's word for several, with a GPU or without.

    The rendezvous takes a free port.
    """
    program = shutil.which("accelerate", path=str(Path(sys.executable).parent))
    assert program
    command = [program, "launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    training = ["cyclegan", "--data", str(photos), "--out", str(out), *TINY, *flags]
    return subprocess.Popen(
        [*command, str(ROOT / "train.py"), *training],
        stderr=subprocess.PIPE,
        text=True,
    )


def ranks(launcher: subprocess.Popen[str]) -> list[int]:
    """Find the processes that train, the first one first."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (folder / "environ").read_text().split("\0")
        except (OSError, ValueError):
            continue
        if parent == launcher.pid:
            found |= {int(e[5:]): int(folder.name) for e in environment if e.startswith("RANK=")}
    return [found[rank] for rank in sorted(found)]


def lines(out: Path, kind: str) -> list[dict]:
    return [line for line in read_metrics(out) if line["kind"] == kind]


def gradients(out: Path, step: int) -> dict[str, torch.Tensor]:
    """The first moments of both optimisers, which after one step are gradients times 1 - beta1."""
    state = torch.load(out / "checkpoint" / f"{step:08d}.pt", weights_only=True)
    return {
        f"{name} {index}": moments["exp_avg"]
        for name, optimizer in state["learner"]["optimizers"].items()
        for index, moments in optimizer["state"].items()
    }


def assert_same_training(a: Path, b: Path) -> None:
    """Assert equal gradients, and equal losses as long as rounding has not grown."""
    one, other = gradients(a, 1), gradients(b, 1)
    assert one.keys() == other.keys() and len(one) > 20
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name], rtol=1e-4, atol=3e-5, msg=name)
    losses = [[line["losses"] for line in lines(out, "training")] for out in (a, b)]
    assert len(losses[0]) == len(losses[1]) == 3
    for left, right in zip(*losses, strict=True):
        assert left == pytest.approx(right, rel=1e-4)
    assert [line["images"] for line in lines(a, "training")] == [2, 4, 6]
    assert [line["images"] for line in lines(b, "training")] == [2, 4, 6]


def test_accumulating_two_batches_equals_one_of_twice_the_size(photos, tmp_path):
    flags = ("--steps", "3", "--checkpoint-every", "1", "--keep-checkpoints", "9")
    trainer(photos, tmp_path / "large", "--batch-size", "2", *flags).run()
    trainer(photos, tmp_path / "small", "--accumulate", "2", *flags).run()
    assert_same_training(tmp_path / "large", tmp_path / "small")


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(photos, tmp_path):
    trainer(photos, tmp_path / "one", "--batch-size", "2", "--steps", "3", *TOGETHER).run()
    two = launch(photos, tmp_path / "two", "--steps", "3", *TOGETHER)
    _, errors = two.communicate(timeout=200)
    assert two.returncode == 0, errors
    assert_same_training(tmp_path / "one", tmp_path / "two")
    assert read_run(tmp_path / "two").description["processes"] == 2
    # Written once: as many lines and samples as one process writes.
    for kind in ("training", "probes", "validation"):
        assert [line["step"] for line in lines(tmp_path / "two", kind)] == [
            line["step"] for line in lines(tmp_path / "one", kind)
        ]
    assert list_samples(tmp_path / "two") == list_samples(tmp_path / "one") == [0, 2, 3]
    assert errors.count("Resuming") == 0

    # Any number of processes goes on with what any other left: here one, at twice the batch.
    run = trainer(photos, tmp_path / "two", "--batch-size", "2", "--steps", "4", *TOGETHER)
    assert (run.finished_steps, run.images_seen) == (3, 6)
    run.run()
    assert lines(tmp_path / "two", "training")[-1]["images"] == 8


@pytest.mark.slow
def test_a_process_that_dies_takes_the_run_down_and_rerunning_resumes(photos, tmp_path):
    out = tmp_path / "run"
    flags = ("--steps", "100000", "--checkpoint-every", "5", "--workers", "0")
    run = launch(photos, out, *flags)
    wait_for(lambda: len(list_checkpoints(out / "checkpoint")) > 1, run)
    os.kill(ranks(run)[1], signal.SIGKILL)
    _, errors = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Another process of this training is gone" in errors
    assert "run the same command again" in read_run(out).status["error"]
    step = state_of(out)["learner"]["step"]
    assert step >= 5

    again = launch(photos, out, *flags)
    wait_for(lambda: state_of(out)["learner"]["step"] >= step + 20, again)
    # Only one is asked to stop; they agree on the step to stop after.
    os.kill(ranks(again)[1], signal.SIGTERM)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert f"Resuming at step {step} of 100000" in errors
    assert read_run(out).status["phase"] == "stopped", errors
    assert state_of(out)["learner"]["step"] == read_run(out).status["step"]
    assert len(state_of(out)["learner"]["processes"]) == 2
