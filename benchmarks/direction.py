"""How often the domain of a photo is guessed right, and by what else it could be guessed.

    python -m benchmarks.direction WEIGHTS --train-a DIR… --train-b DIR…
        --held NAME DIR_A DIR_B …  --other NAME DIR …  --own NAME DIR_A DIR_B …
        [--checkpoint FILE] [--most N]

The guess is measured on every photo of the folders held back (`--held`) and on others that show
neither domain (`--other`); what else was thought of, on up to `--most` of each folder. Scores with
parameters are fitted to the training photos. `--checkpoint`, of the run that made the weights, has
the discriminators, which do not ship. Photos of nothing are drawn here: plain colours and noise.
`--own` asks how it goes elsewhere: calibrated on every other photo of its folders, measured on the
rest, as if weights had been trained on them.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from benchmarks.report import machine, publish, table
from cyclegan.domains import SHRINK, Guess, calibrate
from cyclegan.images import load_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.photos import list_images
from cyclegan.translator import Translator
from cyclegan.weights import Weights

DRAWS = 2000
"""Bootstrap samples behind an interval."""
Score = Callable[[Image.Image], float]
"""Above 0 for domain A."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How often the domain of a photo is guessed right."
    )
    parser.add_argument("weights")
    parser.add_argument("--train-a", nargs="+", type=Path, required=True)
    parser.add_argument("--train-b", nargs="+", type=Path, required=True)
    parser.add_argument("--held", nargs=3, action="append", metavar=("NAME", "A", "B"), default=[])
    parser.add_argument("--other", nargs=2, action="append", metavar=("NAME", "DIR"), default=[])
    parser.add_argument("--own", nargs=3, action="append", metavar=("NAME", "A", "B"), default=[])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--most", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)

    translator = Translator.load(options.weights, device="cpu")
    held = {name: (photos(a), photos(b)) for name, a, b in options.held}
    others: dict[str, Sequence[Path | Image.Image]] = {
        name: photos(folder) for name, folder in options.other
    }
    others |= {"plain colours": plain_colours(), "noise": noise()}
    train = [
        [load_image(file) for folder in folders for file in list_images([folder])]
        for folders in (options.train_a, options.train_b)
    ]
    text = [
        "## Which domain a photo is from",
        guesses(translator, held, others),
        elsewhere(translator, options.own),
        candidates(translator, train, held, options),
        cost(translator, held),
        "`python -m benchmarks.direction WEIGHTS --train-a … --train-b … --held NAME A B … "
        "--other NAME DIR … --own NAME A B … --checkpoint …`; WEIGHTS were calibrated by "
        "`python -m cyclegan calibrate` on their training photos. Intervals of 95 % by "
        f"{DRAWS} bootstrap samples; {machine()}.",
    ]
    publish("direction", "\n\n".join(text))


def photos(folder: str) -> list[Path]:
    """List the photos of a folder, which must have some."""
    files = list_images([Path(folder)])
    if not files:
        raise SystemExit(f"{folder} has no photos.")
    return files


def plain_colours() -> list[Image.Image]:
    """Draw pictures of one colour each."""
    random = np.random.default_rng(0)
    return [Image.new("RGB", (200, 200), tuple(random.integers(0, 256, 3))) for _ in range(100)]


def noise() -> list[Image.Image]:
    """Draw pictures in which every pixel is a colour by chance."""
    random = np.random.default_rng(1)
    return [
        Image.fromarray(random.integers(0, 256, (200, 150 + index, 3), dtype=np.uint8))
        for index in range(100)
    ]


# ---------------------------------------------------------------------- what the package guesses


def guesses(
    translator: Translator,
    held: Mapping[str, tuple[Sequence[Path], Sequence[Path]]],
    others: Mapping[str, Sequence[Path | Image.Image]],
) -> str:
    """Measure `Translator.domain` on everything and lay out the table."""
    rows = []
    for name, sides in held.items():
        found = [judge(translator, files) for files in sides]
        right = [
            np.array([guess.domain == side for guess in side_found])
            for side, side_found in zip("ab", found, strict=True)
        ]
        both = [guess for side_found in found for guess in side_found]
        sure = np.array([guess.confidence >= 0.9 for guess in both])
        sure_right = np.concatenate(right)[sure].mean()
        rows.append(
            [
                name,
                " + ".join(str(len(files)) for files in sides),
                interval(right),
                f"{percent(sure.mean())}, of which {percent(sure_right)} right",
                interval([np.array([guess.neither for guess in both])]),
            ]
        )
    for name, pictures in others.items():
        found = judge(translator, pictures)
        sure = np.mean([guess.confidence >= 0.9 for guess in found])
        neither = interval([np.array([guess.neither for guess in found])])
        rows.append([name, str(len(found)), "", percent(sure), neither])
    labels = translator.info.labels
    head = ["photos", "how many", "guessed right", "sure (0.9 and more)", "called neither"]
    return (
        f"Guessed right, as the mean over both domains ({labels['a']}, {labels['b']}), and how "
        "often a photo is called neither: a false alarm in the rows with a figure for right, a "
        "find in the others.\n\n" + table(head, rows)
    )


def judge(translator: Translator, pictures: Sequence[Path | Image.Image]) -> list[Guess]:
    found = [translator.domain(picture) for picture in pictures]
    return [guess for guess in found if guess is not None]


def interval(sides: Sequence[np.ndarray]) -> str:
    """Write the mean over sides of a share of photos, with its bootstrap interval."""
    random = np.random.default_rng(0)
    means = [
        np.mean([side[random.integers(len(side), size=len(side))].mean() for side in sides])
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{percent(np.mean([side.mean() for side in sides]))} ({100 * low:.1f}–{100 * high:.1f})"


def percent(share: float | np.floating) -> str:
    return f"{100 * share:.1f} %"


def elsewhere(translator: Translator, pairs: Sequence[tuple[str, str, str]]) -> str:
    """Measure guesses of weights that were calibrated on one half of a folder, on the other."""
    rows = []
    for name, *folders in pairs:
        sides = {side: photos(folder) for side, folder in zip("ab", folders, strict=True)}
        looks = calibrate({side: files[::2] for side, files in sides.items()})
        config = replace(translator.weights.config, looks=looks)
        model = Translator(replace(translator.weights, config=config), translator.info, "cpu")
        found = {side: judge(model, files[1::2]) for side, files in sides.items()}
        right = [np.array([guess.domain == side for guess in found[side]]) for side in "ab"]
        neither = np.array([guess.neither for side in "ab" for guess in found[side]])
        count = " + ".join(str(len(side)) for side in right)
        rows.append([name, count, interval(right), interval([neither])])
    head = ["photos", "how many", "guessed right", "called neither"]
    return "For weights that were calibrated on photos of the same kind, other ones:\n\n" + table(
        head, rows
    )


# ---------------------------------------------------------------------- what else it could be


def candidates(
    translator: Translator,
    train: Sequence[Sequence[Image.Image]],
    held: Mapping[str, tuple[Sequence[Path], Sequence[Path]]],
    options: argparse.Namespace,
) -> str:
    """Measure the other scores on some photos of each folder and lay out the table."""
    weights = translator.weights
    networks = weights.networks

    def guessed(image: Image.Image) -> float:
        guess = translator.domain(image)
        return 0.0 if guess is None else 0.5 - (guess.domain == "b")

    scores: dict[str, Score] = {
        "eleven numbers of the photo (used)": guessed,
        "what the networks change, 64 px": lambda image: identity(networks, image, 64),
        "what the networks change, 128 px": lambda image: identity(networks, image, 128),
        "what does not come back (cycle), 128 px": lambda image: cycle(networks, image, 128),
        "statistics of the generators' first two layers, 64 px": encoder(networks, train),
    }
    if options.checkpoint:
        judges = discriminators(weights, options.checkpoint)
        scores["discriminators, 128 px"] = lambda image: verdict(judges, image, 128)
    some = {
        name: [
            [load_image(file) for file in files[:: -(-len(files) // options.most)]]
            for files in sides
        ]
        for name, sides in held.items()
    }
    rows = []
    for title, score in scores.items():
        cells = []
        for a, b in some.values():
            right = [
                np.array([score(image) > 0 for image in a]),
                np.array([score(image) <= 0 for image in b]),
            ]
            cells.append(interval(right))
        rows.append([title, *cells])
    counts = [f"{name} ({len(a)} + {len(b)})" for name, (a, b) in some.items()]
    return "What else a guess could go by, on some of these photos:\n\n" + table(
        ["score", *counts], rows
    )


def square(image: Image.Image, side: int) -> Tensor:
    return to_tensor(ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC))[None]


@torch.inference_mode()
def identity(networks: Mapping[str, nn.Module], image: Image.Image, side: int) -> float:
    real = square(image, side)
    changes = {
        name: float((network(real) - real).abs().mean()) for name, network in networks.items()
    }
    return changes["generator_ab"] - changes["generator_ba"]


@torch.inference_mode()
def cycle(networks: Mapping[str, nn.Module], image: Image.Image, side: int) -> float:
    real, (there, back) = square(image, side), networks.values()
    lost_b = (there(back(real)) - real).abs().mean()
    return float(lost_b - (back(there(real)) - real).abs().mean())


def discriminators(weights: Weights, checkpoint: Path) -> list[nn.Module]:
    """Build those of a checkpoint, that of domain A first."""
    builders = FAMILIES[weights.config.model].builders(weights.settings, weights.config.image_size)
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    built = []
    for side in "ab":
        network, prefix = builders[f"discriminator_{side}"](), f"networks.discriminator_{side}."
        network.load_state_dict(
            {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
        )
        built.append(network.eval())
    return built


@torch.inference_mode()
def verdict(judges: Sequence[nn.Module], image: Image.Image, side: int) -> float:
    real = square(image, side)
    return float(judges[0](real).mean() - judges[1](real).mean())


def encoder(networks: Mapping[str, nn.Module], train: Sequence[Sequence[Image.Image]]) -> Score:
    """Separate, linearly, what the first two instance norms of either generator take away."""
    seen: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.extend((inputs[0].mean(dim=(0, 2, 3)), inputs[0].std(dim=(0, 2, 3))))

    @torch.inference_mode()
    def features(image: Image.Image) -> np.ndarray:
        seen.clear()
        norms = [
            [part for part in network.modules() if isinstance(part, nn.InstanceNorm2d)][:2]
            for network in networks.values()
        ]
        hooks = [norm.register_forward_pre_hook(note) for pair in norms for norm in pair]
        for network in networks.values():
            network(square(image, 64))
        for hook in hooks:
            hook.remove()
        return torch.cat(seen).double().numpy()

    a, b = (np.array([features(image) for image in images]) for images in train)
    covariance = (np.cov(a.T) + np.cov(b.T)) / 2
    diagonal = np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance))
    weight = np.linalg.solve(
        (1 - SHRINK) * covariance + SHRINK * diagonal, a.mean(axis=0) - b.mean(axis=0)
    )
    middle = weight @ (a.mean(axis=0) + b.mean(axis=0)) / 2
    return lambda image: float(weight @ features(image) - middle)


def cost(translator: Translator, held: Mapping[str, tuple[Sequence[Path], Sequence[Path]]]) -> str:
    """Compare the time of a guess with that of a translation."""
    photo = load_image(next(iter(held.values()))[0][0])
    large = photo.resize((4000, 3000))
    shares = []
    for image in (photo, large):
        guess, translation = (
            median(seconds(lambda call=call, image=image: call(image)) for _ in range(7))
            for call in (translator.domain, translator.translate)
        )
        shares.append(f"{percent(guess / translation)} for {image.width}×{image.height} pixels")
    return f"A guess takes, of the time of one translation, {' and '.join(shares)}."


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
