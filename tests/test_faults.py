"""Runs that survive: kills at any moment, full disks, losses that are no numbers, little memory."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from trainings import ROOT, TINY, assert_equal_runs, state_of, trainer

from cyclegan.checkpoint import list_checkpoints, load_checkpoint
from cyclegan.cli import train
from cyclegan.runs import RunError, RunWriter, list_samples, read_metrics, read_run

KILLS = 25
# Intervals that share no step, so that every checkpoint holds half-summed losses; everything that
# keeps a state of its own is on.
FLAGS = (
    "--steps 120 --log-every 4 --sample-every 5 --checkpoint-every 3 --keep-best generators/cycle "
    "--augment color translation cutout --accumulate 2"
).split()
# A process that has imported everything and makes a training of every line it reads.
ZYGOTE = """
import os, sys
from cyclegan.cli import train
import cyclegan.training
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os._exit(train(line.split()))
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def command(photos: Path, out: Path, *flags: str) -> list[str]:
    return ["cyclegan", "--data", str(photos), "--out", str(out), *TINY, *flags]


@contextmanager
def trainings(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start processes faster than python starts: write a command, read its pid and its end."""
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
        )
        yield process
        process.communicate()


def half_written(folder: Path) -> set[Path]:
    """The checkpoints and samples that are half-way to the disk, now or when a process died."""
    parts = ("checkpoint", "samples")
    return {path for part in parts for path in (folder / part).glob(".*.tmp")}


@pytest.mark.slow
def test_twenty_five_kills_at_random_moments_change_nothing(photos, tmp_path):
    chance, out = random.Random(7), tmp_path / "run"
    kills = hits = attempts = 0
    with trainings(tmp_path) as zygote:

        def start() -> int:
            assert zygote.stdin and zygote.stdout
            zygote.stdin.write(" ".join(command(photos, out, *FLAGS)) + "\n")
            return int(zygote.stdout.readline())

        def ended() -> int:
            assert zygote.stdout
            return int(zygote.stdout.readline())

        while kills < KILLS:
            attempts += 1
            old = half_written(out)
            pid = start()
            # Every other kill aims at a write; both kinds come at any time from start-up on.
            wait, aim = chance.uniform(0, 1.2), attempts % 2
            begun = time.monotonic()
            while time.monotonic() - begun < wait or (aim and not half_written(out) - old):
                if time.monotonic() - begun > 60 or not Path(f"/proc/{pid}/stat").exists():
                    break
                time.sleep(0.0005)
            os.kill(pid, signal.SIGKILL)
            status = ended()
            hits += bool(half_written(out) - old)
            if os.WIFSIGNALED(status):
                kills += 1
            else:
                # It came to its end before the kill; the next one begins anew.
                assert status == 0
                break
            checkpoints = list_checkpoints(out / "checkpoint")
            for path in checkpoints:
                torch.load(path, weights_only=True)
            for step in list_samples(out):
                names = {
                    path.name.split(".")[0]
                    for path in read_run(out).folder.glob(f"samples/{step:08d}/*")
                }
                assert names == {"fake_a", "fake_b", "recovered_a", "recovered_b"}
        start()
        assert ended() == 0
    print(f"{kills} kills, {hits} of them within a write")
    trainer(photos, tmp_path / "whole", *FLAGS).run()
    assert_equal_runs(tmp_path / "whole", out)
    assert kills == KILLS
    assert hits > 3
    assert [path for path in out.rglob(".*.tmp")] == []


def test_a_full_disk_ends_a_run_with_a_sentence_and_costs_nothing(photos, tmp_path):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "4").run()
    good = list_checkpoints(out / "checkpoint")
    # Checkpoints grow while the pools of images fill, so the next one is too large.
    limit = good[-1].stat().st_size + 1000
    full = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *command(photos, out, "--steps", "8")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert full.returncode == 1
    message = full.stderr.strip().splitlines()[-1]
    assert message.startswith("train.py: The checkpoint ") and "00000006.pt" in message
    assert "cannot be written (File too large)" in message and "run the command again" in message
    assert "Traceback" not in full.stderr
    assert list_checkpoints(out / "checkpoint") == good
    state = load_checkpoint(out / "checkpoint")
    assert state is not None and state["learner"]["step"] == 4
    assert [path for path in out.rglob("*.tmp")] == []
    assert read_run(out).status["phase"] == "failed"
    assert "File too large" in read_run(out).status["error"]

    trainer(photos, out, "--steps", "8").run()
    assert read_run(out).status["phase"] == "finished"
    assert "error" not in read_run(out).status


def test_what_a_kill_leaves_is_cleared_away_and_taken_for_nothing(photos, tmp_path):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "2").run()
    (out / "checkpoint" / ".00000009.pt.x.tmp").write_bytes(b"half")
    (out / "samples" / ".00000009.x.tmp").mkdir()
    (out / "samples" / ".00000009.x.tmp" / "fake_a.0.webp").write_bytes(b"half")
    assert read_run(out).samples == [0, 2]
    again = trainer(photos, out, "--steps", "4")
    assert again.finished_steps == 2
    again.run()
    assert [path for path in out.rglob("*.tmp")] == []


def test_two_trainings_never_write_to_one_folder(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cyclegan.runs.LOCK_SECONDS", 0.1)
    writer = RunWriter(tmp_path / "run")
    assert train(command(photos, tmp_path / "run", "--steps", "1")) == 2
    assert "Another training writes to" in capsys.readouterr().err
    with pytest.raises(RunError):
        RunWriter(tmp_path / "run")
    writer.close()
    assert train(command(photos, tmp_path / "run", "--steps", "1")) == 0


def poison(run, step: int, times: int) -> None:
    """Have a parameter turn into nan after a step, as a flipped bit or an overflow does."""
    take, left = run.learner.step, [times]

    def poisoned(batches):
        losses = take(batches)
        if run.finished_steps == step and left[0]:
            left[0] -= 1
            next(run.learner.networks["generator_ab"].parameters()).data.fill_(torch.nan)
        return losses

    run.learner.step = poisoned


def test_a_run_that_diverges_goes_back_and_on_at_half_the_rate(photos, tmp_path, caplog):
    out = tmp_path / "run"
    flags = ("--steps", "8", "--decay-from", "1", "--log-every", "1")
    run = trainer(photos, out, *flags)
    poison(run, step=5, times=1)
    run.run()
    lines = read_metrics(out)
    (rollback,) = [line for line in lines if line["kind"] == "rollback"]
    assert (rollback["step"], rollback["from"], rollback["rate"]) == (4, 6, 0.5)
    assert "The loss generators/" in rollback["reason"] and "step 6" in rollback["reason"]
    assert "back to step 4, and on at 0.5 of the learning rate" in caplog.text
    training = [line for line in lines if line["kind"] == "training"]
    assert [line["step"] for line in training] == list(range(1, 9))
    rates = [line["learning_rates"]["generators"] for line in training]
    assert rates == pytest.approx([2e-4] * 4 + [1e-4] * 4)
    assert read_run(out).status["phase"] == "finished"
    for tensor in state_of(out)["learner"]["ema"].values():
        assert torch.isfinite(tensor).all()

    # The same, killed in between, goes on at the lowered rate; another --learning-rate counts.
    assert trainer(photos, out, *flags).learner.learning_rate(0) == pytest.approx(1e-4)
    faster = trainer(photos, out, *flags, "--learning-rate", "3e-4")
    assert faster.learner.learning_rate(0) == pytest.approx(3e-4)


def test_a_run_gives_up_after_three_rollbacks(photos, tmp_path, capsys):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "2").run()
    assert train(command(photos, out, "--steps", "9", "--learning-rate", "1e38")) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "not finite" in message and "after 3 rollbacks" in message
    assert "lower --learning-rate" in message
    rollbacks = [line for line in read_metrics(out) if line["kind"] == "rollback"]
    assert [line["rate"] for line in rollbacks] == [0.5, 0.25, 0.125]
    status = read_run(out).status
    assert status["phase"] == "failed" and "not finite" in status["error"]
    for tensor in state_of(out)["learner"]["ema"].values():
        assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("flags", ["--width 16000", "--batch-size 6 --image-size 2048 --width 64"])
def test_too_little_memory_is_one_sentence_with_what_to_lower(photos, tmp_path, flags):
    limit = 6 * 2**30
    result = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train.py"),
            *command(photos, tmp_path / "run", "--steps", "1", "--precision", "bf16"),
            *flags.split(),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == 1, result.stderr
    message = result.stderr.strip().splitlines()[-1]
    size, batch = ("2048", "6") if "2048" in flags else ("32", "1")
    assert message.startswith("train.py: cpu ran out of memory at --batch-size " + batch)
    assert f"--image-size {size}" in message and "--precision bf16" in message
    assert "lower the batch size" in message
    assert "Traceback" not in result.stderr
