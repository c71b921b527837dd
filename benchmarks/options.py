"""Which options make better pictures: `python -m benchmarks.options --data DIR --out DIR`.

Trains small CycleGANs with one option each, on one thread, and judges them on test photos. A
folder with trainA, trainB, testA and testB is needed. Stopped, it goes on where it was; finished
trainings are lines of OUT/results.jsonl. The table that it prints is in docs/training.md.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.cli import parse_training
from cyclegan.data import UnpairedDataset, ValidationDataset
from cyclegan.losses import luminance_correlation
from cyclegan.photos import SIDES, folders, list_images, readable_images
from cyclegan.training import Trainer
from cyclegan.weights import load_weights

# The rate is twice the default and the average shorter, since the runs are.
BASE = """--image-size 64 --width 16 --blocks 4 --discriminator-width 16 --learning-rate 4e-4
--ema 0.995 --precision bf16 --device cpu --cache ram --log-every 100 --validation-images 0
""".split()

OPTIONS = {
    "none": "",
    "DiffAugment": "--augment color translation cutout",
    "DiffAugment without colour": "--augment translation cutout",
    "R1": "--lambda-r1 0.1",
    "spectral norm": "--discriminator-norm spectral",
    "two time scales": "--discriminator-rate 2",
    "cycle decay": "--lambda-cycle-end 1",
    "identity decay": "--lambda-identity-end 0",
    "luminance": "--lambda-luminance 1",
}
COLOUR = {"a": 3, "b": 3}
JUDGE_STEPS, JUDGE_BATCH = 400, 16


class Judge(nn.Module):
    """Tells the domains apart; what it looks at is what fakes are compared in."""

    def __init__(self):
        super().__init__()
        widths = (3, 16, 32, 64, 64)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
                for before, after in pairwise(widths)
            )
        )
        self.verdict = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] in [-1, 1] to logits [N], above 0 for domain B."""
        return self.verdict(self.layers(images).mean((2, 3))).squeeze(1)

    def features(self, images: Tensor) -> Tensor:
        """Mean and deviation of every channel of every layer: colour, texture and form, [N, D]."""
        found = []
        for layer in self.layers:
            images = layer(images)
            found += [images.mean((2, 3)), images.std((2, 3))]
        return torch.cat(found, 1)


def train_judge(config: Any, path: Path) -> Judge:
    """Train on the training photos, cut as for the networks, or take the one trained before."""
    judge = Judge()
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
        return judge.eval()
    torch.manual_seed(0)
    files = {side: readable_images(paths, side) for side, paths in folders(config).items()}
    photos = UnpairedDataset(files, config, 0, COLOUR)
    optimizer = torch.optim.Adam(judge.parameters(), 1e-3)
    is_b = torch.tensor([0.0, 1.0]).repeat(JUDGE_BATCH)
    for step in range(JUDGE_STEPS):
        pairs = [photos[step * JUDGE_BATCH + k] for k in range(JUDGE_BATCH)]
        images = torch.stack([pair[f"real_{side}"] for pair in pairs for side in SIDES])
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(judge(images), is_b).backward()
        optimizer.step()
    torch.save(judge.state_dict(), path)
    return judge.eval()


def kid(one: Tensor, other: Tensor) -> float:
    """Unbiased squared MMD of features [N, D] and [M, D] under (x·y / D + 1)³."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return float(within(one) + within(other) - 2 * kernel(one, other).mean())


def two_sample(one: Tensor, other: Tensor) -> float:
    """How often the nearest other feature is of the same set: 0.5 when they cannot be told."""
    both = torch.cat([one, other])
    of = torch.arange(len(both)) < len(one)
    nearest = torch.cdist(both, both).fill_diagonal_(torch.inf).argmin(1)
    return float((of == of[nearest]).float().mean())


@torch.no_grad()
def judged(judge: Judge, fakes: Tensor, side: str, tests: Mapping[str, Tensor]) -> dict[str, float]:
    """Compare pictures that should be of domain `side` with the test photos of it."""
    reals = {name: judge.features(images) for name, images in tests.items()}
    both = torch.cat(list(reals.values()))
    centre, scale = both.mean(0), both.std(0) + 1e-3
    fake, real = ((x - centre) / scale for x in (judge.features(fakes), reals[side]))
    verdicts = judge(fakes) > 0
    return {
        "rate": float((verdicts if side == "b" else ~verdicts).float().mean()),
        "kid": kid(fake, real),
        "two_sample": two_sample(fake, real),
    }


@torch.no_grad()
def evaluate(networks: Mapping[str, nn.Module], judge: Judge, tests: Any) -> dict[str, float]:
    """Translate all test photos both ways; every figure is the mean of the two directions."""
    scores: dict[str, list[float]] = {}
    for source, target in (("a", "b"), ("b", "a")):
        there, back = (
            networks[f"generator_{source}{target}"],
            networks[f"generator_{target}{source}"],
        )
        fakes = there(tests[source])
        error = (back(fakes) - tests[source]).square().mean((1, 2, 3)) / 4
        own = judged(judge, fakes, target, tests) | {
            "cycle_psnr": float((-10 * error.log10()).mean()),
            "luminance": float(luminance_correlation(fakes, tests[source]).mean()),
        }
        for name, value in own.items():
            scores.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def table(results: Sequence[Mapping[str, Any]], references: Mapping[str, Any]) -> str:
    """Lay the results out as Markdown: the mean over seeds, and in brackets their range."""
    columns = {
        "rate": ("target rate", "{:.0%}"),
        "kid": ("KID", "{:.2f}"),
        "two_sample": ("two-sample", "{:.0%}"),
        "cycle_psnr": ("cycle PSNR", "{:.1f}"),
        "luminance": ("luminance", "{:.2f}"),
        "step_ms": ("ms a step", "{:.0f}"),
    }
    lines = [
        "| option | seeds | " + " | ".join(title for title, _ in columns.values()) + " |",
        "| --- |" + " ---: |" * (1 + len(columns)),
    ]
    for name in [*references, *OPTIONS]:
        rows = [references[name]] if name in references else []
        rows += [result for result in results if result["option"] == name]
        cells = []
        for key, (_, form) in columns.items():
            values = [row[key] for row in rows if key in row]
            cell = form.format(sum(values) / len(values)) if values else ""
            if len(values) > 1:
                cell += f" [{form.format(min(values))}, {form.format(max(values))}]"
            cells.append(cell)
        if rows:
            seeds = "" if name in references else str(len(rows))
            lines.append(f"| {name} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def few(data: Path, out: Path, count: int) -> Path:
    """Link to `count` training photos a side, evenly spread, and to all test photos."""
    for folder in ("trainA", "trainB", "testA", "testB"):
        files = list_images([data / folder])
        kept = len(files) if folder.startswith("test") else count
        (out / folder).mkdir(parents=True, exist_ok=True)
        for file in (files[k * len(files) // kept] for k in range(kept)):
            link = out / folder / file.name
            if not link.is_symlink():
                link.symlink_to(file.resolve())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with trainA, trainB, testA, testB"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/options"))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--photos", type=int, help="train on only so many of each domain")
    parser.add_argument("--only", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)

    def config(folder: Path, out: Path, seed: int, flags: str) -> Any:
        common = f"--data {folder} --out {out} --steps {options.steps} --seed {seed}"
        every = f"--sample-every {options.steps} --checkpoint-every {options.steps // 3}"
        return parse_training(["cyclegan", *BASE, *common.split(), *every.split(), *flags.split()])

    data = config(options.data, options.out, 0, "").data
    judge = train_judge(data, options.out / "judge.pt")
    photos = ValidationDataset(data, 0, COLOUR, count=10**6)
    pairs = [photos[k] for k in range(len(photos))]
    tests = {side: torch.stack([pair[f"real_{side}"] for pair in pairs]) for side in SIDES}
    with torch.no_grad():
        right = {"a": judge(tests["a"]) <= 0, "b": judge(tests["b"]) > 0}
    share = {side: float(values.float().mean()) for side, values in right.items()}
    print(f"{len(pairs)} test photos a side; the judge is right on {share['a']:.0%} of A", end="")
    print(f" and {share['b']:.0%} of B.")

    # What no translation at all scores, and what other photos of the target do.
    unchanged = {f"generator_{way}": nn.Identity() for way in ("ab", "ba")}
    untouched = evaluate(unchanged, judge, tests)
    del untouched["cycle_psnr"]  # infinite
    halves = [
        judged(judge, tests[side][::2], side, {**tests, side: tests[side][1::2]}) for side in SIDES
    ]
    references = {
        "(photos as they are)": untouched,
        "(photos of the target)": {
            name: sum(half[name] for half in halves) / len(halves) for name in halves[0]
        },
    }
    file = options.out / "results.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    results = [json.loads(line) for line in lines]
    same = {"steps": options.steps, "photos": options.photos}
    folder = options.data
    if options.photos is not None:
        folder = few(options.data, options.out / f"photos-{options.photos}", options.photos)
    for seed in options.seeds:
        for option in options.only:
            key = {"option": option, "flags": OPTIONS[option], "seed": seed, **same}
            if any(key.items() <= result.items() for result in results):
                continue
            name = f"{option}-{seed}-{options.steps}-{options.photos or 'all'}"
            out = options.out / name.replace(" ", "-").lower()
            trainer = Trainer(config(folder, out, seed, OPTIONS[option]))
            # Processor time, which other programs on the machine change less than the clock's.
            first, clock = trainer.finished_steps, time.process_time()
            trainer.run()
            if trainer.finished_steps < options.steps:
                return  # Ctrl-C; the same command goes on
            step_ms = 1000 * (time.process_time() - clock) / max(1, trainer.finished_steps - first)
            scores = evaluate(load_weights(out / "weights").networks, judge, tests)
            results.append({**key, **scores, "step_ms": step_ms})
            with file.open("a") as stream:
                stream.write(json.dumps(results[-1]) + "\n")
    shown = [result for result in results if same.items() <= result.items()]
    print("\n" + table(shown, references))


if __name__ == "__main__":
    main()
