"""Whether quick training makes pictures as good as the plain loop's.

    python -m benchmarks.same_pictures --data DIR --out DIR [--size S] [--images N] [--seeds 0 1]

The plain loop (float32, every network called by itself) and the training of this package (bf16,
batches together) see the same images in the same order from the same weights, at the same constant
rate, without averaging; a folder with trainA, trainB, testA and testB is needed. Finished trainings
stay in OUT and are not repeated. Prints medians over seeds, with the least and the greatest.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plain import PlainLoop, as_torch_has_them
from benchmarks.report import machine, spread, table
from cyclegan.cli import parse_training
from cyclegan.config import DataConfig
from cyclegan.judge import Judge
from cyclegan.training import Trainer
from cyclegan.translator import Translator

LOOPS = {"plain, float32": "no", "quick, bf16": "bf16"}
MEASURES = ("target rate", "KID", "two-sample accuracy", "cycle error")


def train(loop: str, out: Path, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train one of the two and write its weights; returns what the steps took."""
    # The plain loop has a batch of one; the quick one may have more, on as many images.
    batch = 1 if loop.startswith("plain") else options.batch
    words = f"""cyclegan --data {options.data} --out {out} --image-size {options.size} --seed {seed}
    --width {options.width} --blocks 6 --discriminator-width {options.width} --upsample bilinear
    --padding reflect --discriminator-padding reflect --zoom 1.5 --ema 0 --decay-from 1
    --batch-size {batch} --steps {options.images // batch} --precision {LOOPS[loop]} --cache ram
    --device cpu --validation-images 0 --sample-every {options.images}
    --checkpoint-every {options.images}""".split()
    trainer = Trainer(parse_training(words))
    settings = trainer.config.training
    begun, used = time.perf_counter(), time.process_time()
    if batch == 1 and loop.startswith("plain"):
        own = as_torch_has_them(trainer.learner.networks)
        plain = PlainLoop(own, settings.learning_rate, settings.beta1, settings.beta2)
        for images in trainer._batches():
            plain.step(images)
        trainer.learner.networks.load_state_dict(own.state_dict())
        assert trainer.recorder is not None
        trainer.recorder.ship(options.images, 0.0, {}, best=False)
    else:
        trainer.run()
    return {
        "minutes": (time.perf_counter() - begun) / 60,
        "processor minutes": (time.process_time() - used) / 60,
    }


def measured(judge: Judge, out: Path) -> dict[str, float]:
    """Judge weights; every figure is the mean of the two directions."""
    found: dict[str, list[float]] = {}
    for measures in judge.judge(Translator.load(out / "weights", "cpu")).measures.values():
        for name, value in measures.items():
            for wanted in MEASURES:
                if name == wanted or name.startswith(f"{wanted} ("):
                    number = value if isinstance(value, float) else value.value
                    found.setdefault(wanted, []).append(number)
    return {name: sum(values) / len(values) for name, values in found.items()}


def report(results: Mapping[str, Sequence[Mapping[str, float]]], options: Any) -> str:
    """Make the table."""
    names = [*MEASURES, "processor minutes"]
    rows = [
        [loop, *(spread([run[name] for run in runs], "", 3) for name in names)]
        for loop, runs in results.items()
    ]
    return (
        f"{table(['loop', *names], rows)}\n\n{options.images} image pairs at {options.size} "
        f"pixels, width {options.width}, seeds {', '.join(map(str, options.seeds))}; {machine()}."
    )


def main() -> None:
    """Train both, judge both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--most", type=int, default=150, help="photos of a side that judge")
    options = parser.parse_args()
    judge = Judge(DataConfig(data=options.data), most=options.most)
    results: dict[str, list[dict[str, float]]] = {loop: [] for loop in LOOPS}
    for seed in options.seeds:
        for loop, found in results.items():
            out = options.out / f"{loop.split(',')[0]}-{seed}"
            done = out / "result.json"
            if not done.exists():
                result = train(loop, out, seed, options) | measured(judge, out)
                done.write_text(json.dumps(result), encoding="utf-8")
                print(f"{loop}, seed {seed}: {result}", flush=True)
            found.append(json.loads(done.read_text(encoding="utf-8")))
    print(report(results, options))


if __name__ == "__main__":
    main()
