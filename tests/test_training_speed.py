"""What makes a training quicker, through its flags: precision, compilation."""

import shutil

import pytest
import torch
from trainings import assert_equal_runs, state_of, stop_after, trainer

from cyclegan.config import ConfigError
from cyclegan.devices import COMPILERS
from cyclegan.precision import halves
from cyclegan.runs import read_metrics, read_run


def test_precision_auto_is_recorded_as_what_it_came_out_as(photos, tmp_path):
    flags = ("--steps", "1", "--precision", "auto")
    run = trainer(photos, tmp_path / "r", *flags)
    run.run()
    expected = "bf16" if halves(torch.device("cpu")) else "no"
    assert run.accelerator.mixed_precision == expected
    assert read_run(tmp_path / "r").description["config"]["training"]["precision"] == expected


def test_compiling_without_a_compiler_is_refused_in_one_sentence(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        trainer(photos, tmp_path / "r", "--steps", "1", "--compile")
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
def test_compiled_networks_take_the_same_steps_and_resume(photos, tmp_path):
    def run(name, *flags):
        slow = "--steps 4 --lambda-r1 0.1 --upsample bilinear --padding reflect".split()
        return trainer(photos, tmp_path / name, *slow, *flags)

    run("plain").run()
    run("whole", "--compile").run()
    stop_after(run("halves", "--compile"), 2)
    torch.manual_seed(99)
    run("halves", "--compile").run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")
    lines = [
        [line["losses"] for line in read_metrics(tmp_path / name) if line["kind"] == "training"]
        for name in ("plain", "whole")
    ]
    # What rounding changes grows with every step.
    assert lines[1][0] == pytest.approx(lines[0][0], rel=1e-4)
    assert lines[1][1] == pytest.approx(lines[0][1], rel=1e-2)
    # Names in checkpoints are those of the networks, compiled or not.
    keys = [state_of(tmp_path / name)["learner"]["model"].keys() for name in ("plain", "whole")]
    assert keys[0] == keys[1]
