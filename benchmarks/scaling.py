"""How the rate of training grows with the batch and with the number of processes.

    python -m benchmarks.scaling [--steps N] [--size S] [--width W]

Every row is a training of its own, started as a user starts it; several processes by
`accelerate launch`. Where there are GPUs, a process has one; otherwise they share the CPU's cores
evenly. Drawn photos, so that anybody can repeat it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.overhead import draw_photos
from benchmarks.report import machine, publish, table
from cyclegan import learner, processes
from cyclegan.cli import parse_training
from cyclegan.training import Trainer

RESULT = "result: "
WARM_UP = 4
CORES = os.cpu_count() or 1


def work(steps: int, arguments: list[str]) -> None:
    """Train in this process, one of `WORLD_SIZE`, and print how fast and what waiting took."""
    trainer = Trainer(parse_training([*arguments, "--steps", str(steps + WARM_UP)]))
    gpu = trainer.device.type == "cuda"
    spent = {"averaging": 0.0, "loading": 0.0}
    average = processes.average_gradients

    def timed(*arguments: Any) -> None:
        # Waiting for the others' slower steps counts: it is time that they do not train.
        begun = now()
        average(*arguments)
        spent["averaging"] += now() - begun

    def now() -> float:
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    learner.processes.average_gradients = timed
    batches = trainer._batches()
    begun = 0.0
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            spent = dict.fromkeys(spent, 0.0)
            begun = now()
        start = now()
        loaded = [next(batches) for _ in range(trainer.config.training.accumulate)]
        spent["loading"] += now() - start
        trainer.learner.step(loaded)
    seconds = now() - begun
    if trainer.accelerator.is_main_process:
        values = {
            "images_per_second": steps * trainer.images_per_step / seconds,
            **{name: value / seconds for name, value in spent.items()},
        }
        print(RESULT + json.dumps(values), flush=True)
    trainer.accelerator.end_training()


def measure(count: int, threads: int, batch: int, options: argparse.Namespace) -> dict[str, float]:
    """Run one row and return what its first process printed."""
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "photos")
        program = ["-m", "benchmarks.scaling", "--worker", "--steps", str(options.steps)]
        training = [
            "--", "cyclegan", "--data", f"{folder}/photos", "--out", f"{folder}/run",
            "--image-size", str(options.size), "--width", str(options.width),
            "--discriminator-width", str(options.width), "--batch-size", str(batch),
        ]  # fmt: skip
        start = [sys.executable]
        if count > 1:
            start += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes",
                      str(count), "--main_process_port", "0"]  # fmt: skip
        command = [*start, *program, *training]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if not lines:
        raise SystemExit(done.stderr)
    return json.loads(lines[0].removeprefix(RESULT))


def main() -> None:
    """Measure every row and publish the table, or work as a process of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("training", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.steps, options.training)
        return
    gpus = torch.cuda.device_count()
    most = gpus or CORES
    counts = [1] + ([most] if most > 1 else [])
    # (processes, threads of each, batch of each)
    rows = [(n, 1 if gpus else CORES // n, batch) for n in counts for batch in (1, 2, 4)]
    cells, base = [], 0.0
    for count, threads, batch in rows:
        found = measure(count, threads, batch, options)
        rate = found["images_per_second"]
        base = base or rate
        cells.append(
            [f"{count} × {threads}", str(batch), f"{rate / base:.2f}×"]
            + [f"{found[name]:.1%}" for name in ("loading", "averaging")]
        )
    head = ["processes × threads", "batch of each", "images a second", "waiting for photos",
            "averaging gradients"]  # fmt: skip
    publish(
        "scaling",
        "## Batch and processes\n\n"
        f"Images a second against one process with a batch of one; {options.size} pixels, width "
        f"{options.width}, 9 blocks, {options.steps} steps after {WARM_UP} to warm up. The last "
        "columns are shares of the first process's time; averaging includes waiting for the "
        f"slowest process.\n\n{table(head, cells)}\n\n"
        f"`python -m benchmarks.scaling --steps {options.steps} --size {options.size} --width "
        f"{options.width}`; {machine()}. Not measured: GPUs, several machines.",
    )


if __name__ == "__main__":
    main()
