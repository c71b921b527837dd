"""Training through its public doors: Trainer in the process, train.py as a killed process."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.checkpoint import list_checkpoints, load_checkpoint
from cyclegan.cli import parse_training, train
from cyclegan.config import ConfigError
from cyclegan.data import DataError
from cyclegan.monitoring import DivergenceError
from cyclegan.runs import list_samples, read_metrics, read_run
from cyclegan.training import Trainer
from cyclegan.translator import Translator

ROOT = Path(__file__).parent.parent
TINY = (
    "--image-size 32 --width 4 --blocks 1 --discriminator-width 4 --resize 1.1 --device cpu "
    "--log-every 1 --sample-every 2 --checkpoint-every 2 --seed 3"
).split()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains of six noisy pictures: reddish and bluish."""
    folder = tmp_path_factory.mktemp("photos") / "red2blue"
    random = np.random.default_rng(0)
    for side, colour in (("A", (200, 60, 40)), ("B", (40, 60, 200))):
        (folder / f"train{side}").mkdir(parents=True)
        for index in range(6):
            pixels = random.integers(-40, 40, (40, 48, 3)) + np.array(colour)
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / f"train{side}" / f"{index}.png")
    return folder


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


def test_two_and_two_steps_equal_four_bit_for_bit(photos, tmp_path):
    trainer(photos, tmp_path / "whole", "--steps", "4").run()

    # Stop after two, as Ctrl-C does, and let a new process's worth of objects go on.
    first = trainer(photos, tmp_path / "halves", "--steps", "4")
    step = first.step

    def step_and_stop(batches):
        losses = step(batches)
        if first.finished_steps == 2:
            first.stop_requested.set()
        return losses

    first.step = step_and_stop
    first.run()
    assert read_run(tmp_path / "halves").status["phase"] == "stopped"
    torch.manual_seed(99)  # Nothing may depend on what ran before in this process.
    second = trainer(photos, tmp_path / "halves", "--steps", "4")
    assert second.finished_steps == 2
    second.run()

    whole, halves = state_of(tmp_path / "whole"), state_of(tmp_path / "halves")
    assert differing({**whole, "seconds": 0}, {**halves, "seconds": 0}) == []
    losses = [[line["losses"] for line in read_metrics(tmp_path / n)] for n in ("whole", "halves")]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    for name in ("samples/00000004.webp", "weights/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halves" / name).read_bytes()


def test_each_phase_changes_only_the_networks_it_names(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "10")
    batch = next(run._batches())
    for phase in run.phases:
        before = {n: [p.clone() for p in m.parameters()] for n, m in run.networks.items()}
        # A phase needs what the ones before it left in the cache, so they all run; one steps.
        for name, optimizer in run.optimizers.items():
            optimizer.step = optimizer.optimizer.step if name == phase.name else lambda: None
        run.step([batch])
        for name, network in run.networks.items():
            changed = [
                not torch.equal(a, b)
                for a, b in zip(before[name], network.parameters(), strict=True)
            ]
            assert any(changed) == (name in phase.trains), (phase.name, name)


def test_frozen_networks_get_no_gradients(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "1")
    run.model.zero_grad(set_to_none=True)
    run.phases = run.phases[:1]
    run.step([next(run._batches())])
    for name, network in run.networks.items():
        expected = name in run.phases[0].trains
        assert all((p.grad is not None) == expected for p in network.parameters()), name


def test_what_a_run_leaves(photos, tmp_path):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "5", "--checkpoint-every", "2", "--keep-checkpoints", "1").run()
    run = read_run(out)
    assert run.status["phase"] == "finished"
    assert (run.status["step"], run.status["total"]) == (5, 5)
    assert [line["step"] for line in run.metrics] == [1, 2, 3, 4, 5]
    last = run.metrics[-1]
    assert last["images"] == 5 and last["epoch"] == pytest.approx(5 / 6)
    assert set(last["losses"]) == {
        "generators/adversarial",
        "generators/cycle",
        "generators/identity",
        "discriminators/adversarial",
    }
    assert [int(path.stem) for path in run.samples] == [0, 2, 4, 5]
    assert [path.name for path in list_checkpoints(out / "checkpoint")] == ["00000005.pt"]
    config = run.description["config"]
    assert (config["data"]["label_a"], config["data"]["label_b"]) == ("red", "blue")
    assert not [path for path in out.rglob("*") if path.suffix == ".tmp"]
    translator = Translator.load(out / "weights", device="cpu")
    assert translator.info.labels == {"a": "red", "b": "blue"}
    assert translator.translate(Image.new("RGB", (37, 51))).size == (37, 51)
    card = (out / "weights" / "README.md").read_text()
    assert "red" in card and str(tmp_path) not in card


def test_the_average_ships(photos, tmp_path):
    averaged = trainer(photos, tmp_path / "ema", "--steps", "3", "--ema", "0.9")
    averaged.run()
    last = trainer(photos, tmp_path / "last", "--steps", "3", "--ema", "0")
    last.run()
    shipped = Translator.load(tmp_path / "ema" / "weights", device="cpu").weights.networks
    trained, average = averaged.networks["generator_ab"], averaged.ema["generator_ab"]
    shipped_weight = next(shipped["generator_ab"].parameters())
    # Stored in half precision, so equal to what half precision makes of them.
    assert torch.equal(shipped_weight, next(average.parameters()).half().float())
    assert not torch.allclose(next(trained.parameters()), next(average.parameters()), atol=1e-5)
    plain = Translator.load(tmp_path / "last" / "weights", device="cpu").weights.networks
    assert torch.equal(
        next(plain["generator_ab"].parameters()),
        next(last.networks["generator_ab"].parameters()).half().float(),
    )


def test_average_follows_its_equation(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "2", "--ema", "0.999")
    start = [p.clone() for p in run.ema["generator_ab"].parameters()]
    run.step([next(run._batches())])
    # Step 1: decay (1 + 1) / (10 + 1).
    for old, now, average in zip(
        start,
        run.networks["generator_ab"].parameters(),
        run.ema["generator_ab"].parameters(),
        strict=True,
    ):
        assert torch.allclose(average, old * 2 / 11 + now * 9 / 11, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "decay_from", "expected"),
    [(0, 0.5, 1.0), (5, 0.5, 1.0), (6, 0.5, 0.8), (9, 0.5, 0.2), (9, 1.0, 1.0), (5, 0.0, 0.5)],
)
def test_learning_rate_is_constant_then_linear(photos, tmp_path, step, decay_from, expected):
    run = trainer(photos, tmp_path / "r", "--steps", "10", "--decay-from", str(decay_from))
    assert run.learning_rate(step) == pytest.approx(2e-4 * expected)


def test_epochs_count_the_larger_domain(photos, tmp_path):
    assert trainer(photos, tmp_path / "r", "--epochs", "1.5", "--batch-size", "2").total == 5


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    photos, tmp_path
):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "2").run()
    good = list_checkpoints(out / "checkpoint")
    bad = trainer(photos, out, "--steps", "9", "--learning-rate", "1e38", "--log-every", "4")
    with pytest.raises(DivergenceError, match=r"(loss|weights of) \S+ .*not finite .*step \d"):
        bad.run()
    assert list_checkpoints(out / "checkpoint") == good
    assert all(torch.isfinite(t).all() for t in state_of(out)["ema"].values())
    status = read_run(out).status
    assert status["phase"] == "failed" and "not finite" in status["error"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(photos, tmp_path, caplog):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "4").run()
    newest = list_checkpoints(out / "checkpoint")[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    (out / "checkpoint" / ".00000009.pt.x.tmp").write_bytes(b"half")
    again = trainer(photos, out, "--steps", "4")
    assert again.finished_steps == 2
    assert newest.name in caplog.text
    again.run()
    assert state_of(out)["step"] == 4


def test_a_run_is_not_continued_with_other_networks(photos, tmp_path):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "2").run()
    with pytest.raises(ConfigError, match=r"width = 4.*says 8"):
        trainer(photos, out, "--steps", "4", "--width", "8")
    trainer(photos, out, "--steps", "3", "--lambda-identity", "1").run()
    assert state_of(out)["step"] == 3


def test_presets_are_overridden_by_flags():
    config = parse_training("cyclegan --preset dgai --steps 7 --lambda-cycle 3 --data x".split())
    assert config.training.steps == 7 and config.training.epochs is None
    assert config.model.lambda_cycle == 3
    assert config.model.adversarial == "sigmoid_least_squares"
    assert config.training.learning_rate == 1e-5
    assert config.data.resize == 1.0 and config.training.sample_every == 100


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nosuch --data x", "no family"),
        ("cyclegan --preset nosuch --data x", "--preset nosuch"),
        ("cyclegan", "no training data"),
        ("cyclegan --data missing", "missing"),
        ("cyclegan --data PHOTOS --batch-size 7", "6 readable pictures"),
        ("cyclegan --data PHOTOS --image-size 30", "image_size is 30"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(photos, tmp_path, capsys, command, words):
    arguments = command.replace("PHOTOS", str(photos)).split()
    if len(arguments) > 1:
        arguments += ["--out", str(tmp_path / "run")]
    assert train(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert message.startswith("train.py: ") and "\n" not in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--steps 0", "steps is 0"),
        ("--steps 1 --epochs 1", "choose one"),
        ("--image-size 0", "image_size is 0"),
        ("--steps many", "many"),
        ("--no-such-flag", "--no-such-flag"),
    ],
)
def test_a_bad_flag_is_named_with_exit_code_2(tmp_path, capsys, flags, words):
    with pytest.raises(SystemExit) as exit:
        train(["cyclegan", "--data", "x", "--out", str(tmp_path / "run"), *flags.split()])
    assert exit.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_empty_side_is_refused_before_any_network_is_built(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "data")
    for file in (tmp_path / "data" / "trainB").iterdir():
        file.write_text("no picture")
    with pytest.raises(DataError, match=r"Domain B has no readable pictures in .*trainB"):
        trainer(tmp_path / "data", tmp_path / "run")


def test_tensorboard_is_written_when_asked_for(photos, tmp_path):
    trainer(photos, tmp_path / "run", "--steps", "2", "--tracker", "tensorboard").run()
    assert list((tmp_path / "run").rglob("events.out.tfevents.*"))


def test_bf16_and_accumulation_train(photos, tmp_path):
    run = trainer(
        photos, tmp_path / "r", "--steps", "2", "--precision", "bf16", "--accumulate", "2"
    )
    run.run()
    assert read_metrics(tmp_path / "r")[-1]["images"] == 4


@pytest.fixture
def command(photos, tmp_path) -> list[str]:
    return [
        sys.executable, str(ROOT / "train.py"), "cyclegan", "--data", str(photos),
        "--out", str(tmp_path / "run"), *TINY,
    ]  # fmt: skip


def wait_for(holds, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "train.py ended early"
        assert time.monotonic() < deadline, "train.py does not come along"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_and_terminated_runs_go_on_to_the_same_end(photos, tmp_path, command):
    steps = "40"
    trainer(photos, tmp_path / "whole", "--steps", steps).run()
    out = tmp_path / "run"

    process = subprocess.Popen([*command, "--steps", steps], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list_checkpoints(out / "checkpoint")) > 0, process)
    process.kill()
    process.wait()
    assert 0 < state_of(out)["step"] < 40

    process = subprocess.Popen([*command, "--steps", steps], stderr=subprocess.PIPE, text=True)
    resumed_at = state_of(out)["step"]
    wait_for(lambda: max([0, *(m["step"] for m in read_metrics(out))]) > resumed_at, process)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 0
    if read_run(out).status["phase"] == "stopped":
        assert "the same command goes on" in message

    subprocess.run([*command, "--steps", steps], check=True, stderr=subprocess.DEVNULL)
    whole, killed = state_of(tmp_path / "whole"), state_of(out)
    assert differing({**whole, "seconds": 0}, {**killed, "seconds": 0}) == []
    assert [m["losses"] for m in read_metrics(out)] == [
        m["losses"] for m in read_metrics(tmp_path / "whole")
    ]
    assert json.loads((out / "status.json").read_text())["phase"] == "finished"
    assert list_samples(out)[-1].stem == "00000040"
