"""Train for so many minutes, in calls of so many, on a machine that is lent by the hour.

    python -m docs.timed_training --out RUN --minutes 25 --call 9 -- cyclegan --data DIR

Measures how long a step takes, and sets the steps of the run so that it, with its decaying rate,
ends within MINUTES; the plan is RUN.plan.json, which every later call keeps to. A call trains for
CALL minutes at most, stops cleanly, and the same command goes on. When the run has finished, what
is to be brought home is in RUN.export: weights (half precision, in parts below 16 MB), card, sample
sheet and metrics. `cat model.safetensors.* > model.safetensors` puts the parts together.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cyclegan.files import TENSORS, write_json
from cyclegan.runs import read_metrics

TRAIN = Path(__file__).resolve().parent.parent / "train.py"
WARM, MEASURED = 10, 30
SPARE = 0.92
"""Share of the time that steps may take; the rest is for samples, checkpoints and starting."""
PART = 15 * 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="run folder, as for train.py")
    parser.add_argument("--minutes", type=float, required=True, help="of the whole training")
    parser.add_argument("--call", type=float, help="minutes of this call at most; default: all")
    parser.add_argument("flags", nargs="+", help="family and flags of train.py, behind --")
    options = parser.parse_args()
    if options.minutes <= 0 or (options.call is not None and options.call <= 0):
        parser.error("--minutes and --call must be above 0.")
    for flag in ("--out", "--steps", "--epochs"):
        if flag in options.flags:
            parser.error(f"{flag} is set here; leave it out behind --.")
    asked = {"minutes": options.minutes, "flags": options.flags}
    plan_file = options.out.with_name(f"{options.out.name}.plan.json")
    if plan_file.exists():
        plan = json.loads(plan_file.read_text())
        if {key: plan[key] for key in asked} != asked:
            parser.error(f"{plan_file} was made for other minutes or flags; take another --out.")
    else:
        seconds = seconds_a_step(options.flags)
        steps = max(1, int(options.minutes * 60 * SPARE / seconds))
        plan = {**asked, "seconds_a_step": round(seconds, 4), "steps": steps}
        write_json(plan_file, plan)
    print(f"{plan['steps']} steps of {plan['seconds_a_step']} s.", flush=True)
    code = train(options.flags, options.out, plan["steps"], options.call)
    status = options.out / "status.json"
    if code or not status.exists() or json.loads(status.read_text())["phase"] != "finished":
        print("Not finished; the same command goes on.")
        return code
    bring_home(options.out, options.out.with_name(f"{options.out.name}.export"))
    return 0


def seconds_a_step(flags: Sequence[str]) -> float:
    """Train a few steps in a folder that vanishes, and measure those after the first."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if train([*flags, "--log-every", str(WARM)], out, WARM + MEASURED):
            sys.exit(2)
        lines = [line for line in read_metrics(out) if line["kind"] == "training"]
    first, last = lines[0], lines[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def train(flags: Sequence[str], out: Path, steps: int, minutes: float | None = None) -> int:
    """Run train.py, asked to stop after `minutes`; returns its exit code."""
    command = [sys.executable, str(TRAIN), *flags, "--out", str(out), "--steps", str(steps)]
    with subprocess.Popen(command) as process:
        try:
            return process.wait(minutes and minutes * 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
            # Asked before it had begun to listen, it dies of it; nothing is lost.
            return 0 if code == -signal.SIGTERM else code


def bring_home(run: Path, export: Path) -> None:
    """Copy a finished run's weights folder and metrics, the weights in parts."""
    shutil.rmtree(export, ignore_errors=True)
    shutil.copytree(run / "weights", export)
    shutil.copy(run / "metrics.jsonl", export)
    tensors = (export / TENSORS).read_bytes()
    (export / TENSORS).unlink()
    for index, start in enumerate(range(0, len(tensors), PART)):
        (export / f"{TENSORS}.{index:03}").write_bytes(tensors[start : start + PART])
    print(f"{export} holds what is to be brought home.")


if __name__ == "__main__":
    sys.exit(main())
