"""Training through its public doors: Trainer in the process, train.py as a killed process."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from trainings import (
    ROOT,
    TINY,
    assert_equal_runs,
    differing,
    state_of,
    stop_after,
    trainer,
    wait_for,
)

from cyclegan.checkpoint import (
    CheckpointError,
    list_checkpoints,
    save_best,
    save_checkpoint,
)
from cyclegan.cli import parse_training, train
from cyclegan.config import ConfigError
from cyclegan.monitoring import DivergenceError
from cyclegan.photos import DataError
from cyclegan.runs import checkpoint_weights, list_samples, read_metrics, read_run
from cyclegan.translator import Translator
from cyclegan.weights import load_weights


def test_two_and_two_steps_equal_four_bit_for_bit(photos, tmp_path):
    trainer(photos, tmp_path / "whole", "--steps", "4").run()

    # Stop after two, as Ctrl-C does, and let a new process's worth of objects go on.
    first = trainer(photos, tmp_path / "halves", "--steps", "4")
    stop_after(first, 2)
    assert read_run(tmp_path / "halves").status["phase"] == "stopped"
    torch.manual_seed(99)  # Nothing may depend on what ran before in this process.
    second = trainer(photos, tmp_path / "halves", "--steps", "4")
    assert second.finished_steps == 2
    second.run()

    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")
    kinds = [line["kind"] for line in read_metrics(tmp_path / "whole")]
    assert kinds.count("training") == 4 and kinds.count("probes") == 3


def test_each_phase_changes_only_the_networks_it_names(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "10")
    batch = next(run._batches())
    learner = run.learner
    for phase in learner.phases:
        before = {n: [p.clone() for p in m.parameters()] for n, m in learner.networks.items()}
        # A phase needs what the ones before it left in the cache, so they all run; one steps.
        for name, optimizer in learner.optimizers.items():
            optimizer.step = optimizer.optimizer.step if name == phase.name else lambda: None
        learner.step([batch])
        for name, network in learner.networks.items():
            changed = [
                not torch.equal(a, b)
                for a, b in zip(before[name], network.parameters(), strict=True)
            ]
            assert any(changed) == (name in phase.trains), (phase.name, name)


def test_frozen_networks_get_no_gradients(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "1")
    learner = run.learner
    learner.model.zero_grad(set_to_none=True)
    learner.phases = learner.phases[:1]
    learner.step([next(run._batches())])
    for name, network in learner.networks.items():
        expected = name in learner.phases[0].trains
        assert all((p.grad is not None) == expected for p in network.parameters()), name


def test_what_a_run_leaves(photos, tmp_path):
    out = tmp_path / "run"
    trainer(photos, out, "--steps", "5", "--checkpoint-every", "2", "--keep-checkpoints", "1").run()
    run = read_run(out)
    assert run.status["phase"] == "finished"
    assert (run.status["step"], run.status["total"]) == (5, 5)
    lines = [line for line in run.metrics if line["kind"] == "training"]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    last = lines[-1]
    assert last["images"] == 5 and last["epoch"] == pytest.approx(5 / 6)
    assert set(last["losses"]) == {
        "generators/adversarial",
        "generators/cycle",
        "generators/identity",
        "discriminators/adversarial",
    }
    assert run.samples == [0, 2, 4, 5]
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
    trained, average = (
        averaged.learner.networks["generator_ab"],
        averaged.learner.averages["generator_ab"],
    )
    shipped_weight = next(shipped["generator_ab"].parameters())
    # Stored in half precision, so equal to what half precision makes of them.
    assert torch.equal(shipped_weight, next(average.parameters()).half().float())
    assert not torch.allclose(next(trained.parameters()), next(average.parameters()), atol=1e-5)
    plain = Translator.load(tmp_path / "last" / "weights", device="cpu").weights.networks
    assert torch.equal(
        next(plain["generator_ab"].parameters()),
        next(last.learner.networks["generator_ab"].parameters()).half().float(),
    )


def test_average_follows_its_equation(photos, tmp_path):
    run = trainer(photos, tmp_path / "run", "--steps", "2", "--ema", "0.999")
    learner = run.learner
    start = [p.clone() for p in learner.averages["generator_ab"].parameters()]
    learner.step([next(run._batches())])
    # Step 1: decay (1 + 1) / (10 + 1).
    for old, now, average in zip(
        start,
        learner.networks["generator_ab"].parameters(),
        learner.averages["generator_ab"].parameters(),
        strict=True,
    ):
        assert torch.allclose(average, old * 2 / 11 + now * 9 / 11, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "decay_from", "expected"),
    [(0, 0.5, 1.0), (5, 0.5, 1.0), (6, 0.5, 0.8), (9, 0.5, 0.2), (9, 1.0, 1.0), (5, 0.0, 0.5)],
)
def test_learning_rate_is_constant_then_linear(photos, tmp_path, step, decay_from, expected):
    run = trainer(photos, tmp_path / "r", "--steps", "10", "--decay-from", str(decay_from))
    assert run.learner.learning_rate(step) == pytest.approx(2e-4 * expected)


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
    assert all(torch.isfinite(t).all() for t in state_of(out)["learner"]["ema"].values())
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
    assert state_of(out)["learner"]["step"] == 4


def test_what_may_change_is_taken_and_what_may_not_is_refused_with_both_values(photos, tmp_path):
    data, out = tmp_path / "red2blue", tmp_path / "run"
    shutil.copytree(photos, data)
    trainer(data, out, "--steps", "2").run()
    for flags, words in (
        ("--width 8", r"width = 4.*says 8"),
        ("--generator unet", r"generator = resnet.*says unet"),
        ("--image-size 64", r"image_size = 32.*says 64"),
        ("--seed 4", r"seed = 3.*says 4"),
        ("--label-a rot", r"label_a = red.*says rot"),
    ):
        with pytest.raises(ConfigError, match=words):
            trainer(data, out, "--steps", "4", *flags.split())
    assert state_of(out)["learner"]["step"] == 2

    # The photos count, not the folder that they are in.
    moved = data.rename(tmp_path / "moved2blue")
    flags = "--steps 3 --lambda-identity 1 --learning-rate 1e-4 --log-every 3 --batch-size 2"
    run = trainer(moved, out, *flags.split(), "--label-a", "red")
    assert run.learner.learning_rate(0) == pytest.approx(1e-4)
    run.run()
    assert state_of(out)["learner"]["step"] == 3
    (moved / "trainA" / "0.png").unlink()
    with pytest.raises(ConfigError, match=r"photos of red = 6 files \(\w+\).*says 5 files \(\w+\)"):
        trainer(moved, out, "--steps", "4", "--label-a", "red")


def test_half_summed_losses_outlive_a_stop(photos, tmp_path):
    flags = ("--steps", "6", "--log-every", "4", "--sample-every", "5", "--checkpoint-every", "3")
    trainer(photos, tmp_path / "whole", *flags).run()
    run = trainer(photos, tmp_path / "halves", *flags)
    stop_after(run, 1)
    assert run.finished_steps == 1
    trainer(photos, tmp_path / "halves", *flags).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")


def test_a_run_goes_on_with_losses_that_it_did_not_have(photos, tmp_path):
    out, often = tmp_path / "run", ("--log-every", "4", "--steps", "8")
    # Between two lines of the log, when losses are half summed.
    stop_after(trainer(photos, out, *often), 2)
    trainer(photos, out, *often, "--lambda-luminance", "1").run()
    names = [set(line["losses"]) for line in read_metrics(out) if line["kind"] == "training"]
    assert len(names) == 2
    for logged in names:
        assert {"generators/luminance", "generators/identity"} <= logged


def test_the_newest_checkpoints_and_the_best_are_kept_and_the_best_ships(photos, tmp_path):
    out = tmp_path / "run"
    flags = ("--steps", "12", "--keep-checkpoints", "2", "--keep-best", "generators/adversarial")
    # At this rate discriminators are fooled first and learn later.
    trainer(photos, out, *flags, "--learning-rate", "0.002").run()
    measured = {
        line["step"]: line["losses"]["generators/adversarial"]
        for line in read_metrics(out)
        if line["kind"] == "validation"
    }
    assert list(measured) == [0, 2, 4, 6, 8, 10, 12]
    step = min(measured, key=lambda step: measured[step])
    assert step < 10, "the example shows nothing if the newest is the best"
    best = {"metric": "generators/adversarial", "value": measured[step], "step": step}
    assert read_run(out).best == best
    kept = [int(path.stem) for path in list_checkpoints(out / "checkpoint")]
    assert kept == [step, 10, 12]
    shipped = Translator.load(out / "weights", device="cpu").weights
    assert shipped.config.step == step
    expected = checkpoint_weights(out, step).networks["generator_ab"].state_dict()
    for name, tensor in shipped.networks["generator_ab"].state_dict().items():
        assert torch.equal(tensor, expected[name].half().float())
    card = (out / "weights" / "README.md").read_text()
    assert f"lowest generators/adversarial: {measured[step]:.4g} at step {step}" in card
    assert checkpoint_weights(out).config.step == 12
    with pytest.raises(CheckpointError, match="step 6 any more"):
        checkpoint_weights(out, 6)


def test_checkpoints_between_the_regular_ones_do_not_crowd_them_out(tmp_path):
    for step in (4, 8, 9, 10, 12, 13):
        save_checkpoint(tmp_path, step, {"learner": {"step": step, "ema": {}}}, keep=2, every=4)
        if step == 9:
            save_best(tmp_path, "kid", 0.1, 9)
    # 13 is the newest, 12 the newest regular one, 9 the best; 10 was written at a stop.
    assert [int(path.stem) for path in list_checkpoints(tmp_path)] == [9, 12, 13]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--keep-best generators/nosuch", "generators/nosuch is not measured; there are: disc"),
        ("--keep-best generators/cycle --validation-images 0", "needs test photos"),
        ("--probes nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(photos, tmp_path, flags, words, capsys):
    out = tmp_path / "run"
    command = ["cyclegan", "--data", str(photos), "--out", str(out), *TINY, "--steps", "9"]
    assert train([*command, *flags.split()]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list_checkpoints(out / "checkpoint")


def test_probes_are_chosen_once_and_never_change(photos, tmp_path):
    data, out = tmp_path / "red2blue", tmp_path / "run"
    shutil.copytree(photos, data)
    trainer(data, out, "--steps", "2").run()
    probes = {path.name: path.read_bytes() for path in (out / "probes").iterdir()}
    assert sorted(probes) == [f"real_{s}.{i}.png" for s in "ab" for i in range(4)]
    kept = {name: tensor for name, tensor in trainer(data, out).recorder.probes.items()}
    shutil.rmtree(data / "testA")
    again = trainer(data, out, "--steps", "4")
    assert differing(kept, again.recorder.probes) == []
    again.run()
    assert {path.name: path.read_bytes() for path in (out / "probes").iterdir()} == probes
    run = read_run(out)
    for side, rows in zip("ab", run.description["rows"], strict=True):
        tiles = [Image.open(run.tile(4, name, 3)) for name in rows]
        assert [tile.size for tile in tiles] == [(32, 32)] * 3
        errors = [line for line in run.metrics if line["kind"] == "probes"][-1]["cycle_error"][side]
        # The tiles are lossy, the measured error is not.
        apart = [
            np.abs(np.asarray(run_image(run, 4, rows[0], i)) - run_image(run, 4, rows[2], i)).mean()
            for i in range(4)
        ]
        assert errors == pytest.approx([value / 255 for value in apart], abs=0.02)


def run_image(run, step: int, name: str, probe: int) -> np.ndarray:
    with Image.open(run.tile(step, name, probe)) as tile:
        return np.asarray(tile.convert("RGB"), dtype=np.float32)


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
    lines = [line for line in read_metrics(tmp_path / "r") if line["kind"] == "training"]
    assert lines[-1]["images"] == 4


@pytest.fixture
def command(photos, tmp_path) -> list[str]:
    return [
        sys.executable, str(ROOT / "train.py"), "cyclegan", "--data", str(photos),
        "--out", str(tmp_path / "run"), *TINY,
    ]  # fmt: skip


@pytest.mark.slow
def test_killed_and_terminated_runs_go_on_to_the_same_end(photos, tmp_path, command):
    steps = "40"
    trainer(photos, tmp_path / "whole", "--steps", steps).run()
    out = tmp_path / "run"

    process = subprocess.Popen([*command, "--steps", steps], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list_checkpoints(out / "checkpoint")) > 1, process)
    process.kill()
    process.wait()
    assert 0 < state_of(out)["learner"]["step"] < 40

    process = subprocess.Popen([*command, "--steps", steps], stderr=subprocess.PIPE, text=True)
    resumed_at = state_of(out)["learner"]["step"]
    wait_for(lambda: max([0, *(m["step"] for m in read_metrics(out))]) > resumed_at, process)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 0
    if read_run(out).status["phase"] == "stopped":
        assert "the same command goes on" in message

    subprocess.run([*command, "--steps", steps], check=True, stderr=subprocess.DEVNULL)
    assert_equal_runs(tmp_path / "whole", out)
    assert json.loads((out / "status.json").read_text())["phase"] == "finished"
    assert list_samples(out)[-1] == 40


def test_a_run_starts_from_trained_weights(photos, tmp_path):
    trainer(photos, tmp_path / "old", "--steps", "2").run()
    weights = str(tmp_path / "old" / "weights")
    old = load_weights(weights).networks

    run = trainer(photos, tmp_path / "new", "--steps", "2", "--start-from", weights)
    for name, network in old.items():
        for key, value in network.state_dict().items():
            assert torch.equal(run.learner.networks[name].state_dict()[key], value)
            assert torch.equal(run.learner.averages[name].state_dict()[key], value)
    afresh = trainer(photos, tmp_path / "afresh", "--steps", "2")
    judges = (r.learner.networks["discriminator_a"].state_dict() for r in (run, afresh))
    assert differing(*map(dict, judges)) == []

    # A run that has begun goes on from its own checkpoint, wherever it started from.
    run.run()
    shutil.rmtree(weights)
    again = trainer(photos, tmp_path / "new", "--steps", "2", "--start-from", weights)
    assert again.finished_steps == 2


@pytest.mark.parametrize(
    ("family", "flags", "words"),
    [
        ("cyclegan", ["--width", "6"], ["generator_ab", "other layers"]),
        ("cut", [], ["cyclegan", "cut", "same family"]),
        ("cyclegan", ["--start-from", "nowhere"], ["nowhere", "neither a weights folder"]),
    ],
)
def test_weights_that_do_not_fit_are_refused(photos, tmp_path, capsys, family, flags, words):
    trainer(photos, tmp_path / "old", "--steps", "1").run()
    weights = str(tmp_path / "old" / "weights")
    capsys.readouterr()
    command = [family, "--data", str(photos), "--out", str(tmp_path / "new"), "--steps", "1"]
    assert train([*command, *TINY, "--start-from", weights, *flags]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words) and said.count("\n") == 1
