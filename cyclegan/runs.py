"""What a run leaves on disk: written by training, read by the page at any moment."""

import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cyclegan import __version__
from cyclegan.config import ConfigError, RunConfig, to_json
from cyclegan.data import short_sides
from cyclegan.files import CARD, SAMPLE_SHEET, write_json, write_text
from cyclegan.images import grid, save_image
from cyclegan.model_card import CardInfo, model_card
from cyclegan.models import Networks, family_of
from cyclegan.weights import WeightsConfig, save_weights

RUN, METRICS, STATUS = "run.json", "metrics.jsonl", "status.json"
SAMPLES, CHECKPOINTS, WEIGHTS = "samples", "checkpoint", "weights"


class RunWriter:
    """Writes a run folder; every file appears whole or not at all.

    metrics.jsonl grows by one line in one write, so that a reader sees at most its last line torn.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)

    def describe(self, description: dict[str, Any]) -> None:
        """Write run.json: the config, versions, commit and seed of the run."""
        write_json(self.folder / RUN, description)

    def rewind(self, step: int) -> None:
        """Drop metrics and samples from after `step`, which a resumed run will write again."""
        path = self.folder / METRICS
        if path.exists():
            kept = [line for line in read_metrics(self.folder) if line["step"] <= step]
            write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        for sample in list_samples(self.folder):
            if int(sample.stem) > step:
                sample.unlink()

    def metrics(self, values: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def sample(self, step: int, sheet: Image.Image) -> None:
        """Save the sample grid of a step."""
        save_image(sheet, self.folder / SAMPLES / f"{step:08d}.webp")

    def weights(
        self,
        config: RunConfig,
        images: Mapping[str, Sequence[Path]],
        networks: Networks,
        sampled: Mapping[str, Tensor],
        losses: Mapping[str, float],
        step: int,
        seconds: float,
    ) -> None:
        """Renew the weights folder: networks, a sheet of what they make, and the model card."""
        folder, family = self.folder / WEIGHTS, family_of(config.model)
        weights = WeightsConfig(
            format=1,
            model=family.family,
            label_a=config.data.label_a,
            label_b=config.data.label_b,
            image_size=config.data.image_size,
            settings=to_json(config.model),
            step=step,
            short_sides=short_sides(config.data),
            change_blur=config.training.change_blur,
        )
        save_weights(folder, weights, networks)
        # The sheet leaves out the photos themselves, which may not be the trainer's to publish.
        made = [pictures for name, pictures in sampled.items() if not name.startswith("real")]
        if made:
            save_image(grid(made), folder / SAMPLE_SHEET)
        name = config.hub.push_to_hub
        card = CardInfo(
            name=name.split("/")[-1].split("@")[0] if name else self.folder.name,
            domain_a=config.data.label_a,
            domain_b=config.data.label_b,
            image_size=config.data.image_size,
            data=_data_line(config, images),
            license=config.data.license or None,
            family=family.family,
            directions=tuple(family.translators),
            settings=_settings(config),
            losses=losses,
            steps=step,
            seconds=seconds,
            machine=machine(),
            versions=versions(),
            samples=bool(made),
            notes=config.data.notes,
            hub_name=name,
        )
        write_text(folder / CARD, model_card(card))

    def status(self, phase: str, step: int, total: int, **more: Any) -> None:
        """Write status.json; phase is "running", "stopped", "finished" or "failed"."""
        values = {"phase": phase, "step": step, "total": total, "updated": time.time(), **more}
        write_json(self.folder / STATUS, values)


def describe(
    config: RunConfig, images: Mapping[str, Sequence[Path]], device: str
) -> dict[str, Any]:
    """Make run.json: the config, what it ran on, and which code made it."""
    return {
        "format": 1,
        "model": family_of(config.model).family,
        "config": to_json(config),
        "images": {side: len(files) for side, files in images.items()},
        "seed": config.training.seed,
        "device": device,
        "machine": machine(),
        "versions": versions(),
        "commit": _commit(),
    }


def refuse_changes(folder: Path, config: RunConfig) -> None:
    """Refuse to continue a run with other networks or other photos.

    Loss weights and the way in which photos are cut may change on the way.

    Raises ConfigError naming the setting and both of its values.
    """
    before = _read_object(folder / RUN).get("config")
    if not isinstance(before, dict):
        return
    now = to_json(config)
    changeable = {"workers", "license", "description", "notes", "resize", "zoom", "crop", "flip"}
    for part in ("model", "data"):
        old = before.get(part)
        for key, value in now[part].items():
            if not isinstance(old, dict) or key in changeable or key.startswith("lambda_"):
                continue
            if key in old and old[key] != value:
                raise ConfigError(
                    f"The run in {folder} was started with {key} = {old[key]}, and this command "
                    f"says {value}: use the old value, or another --out for a new run."
                )


def _data_line(config: RunConfig, images: Mapping[str, Sequence[Path]]) -> str:
    counts = ", ".join(
        f"{len(files)} photos of {getattr(config.data, f'label_{side}')}"
        for side, files in images.items()
    )
    return f"{config.data.description} {counts}.".strip()


def _settings(config: RunConfig) -> dict[str, object]:
    """Pick the settings that shape the result; paths and intervals are nobody else's business."""
    data = ("image_size", "resize", "zoom", "crop", "flip")
    training = (
        "batch_size", "accumulate", "learning_rate", "beta1", "beta2", "decay_from", "ema", "seed",
        "precision", "change_blur",
    )  # fmt: skip
    return {
        **to_json(config.model),
        **{name: getattr(config.data, name) for name in data},
        **{name: getattr(config.training, name) for name in training},
    }


def machine() -> str:
    """Name the processor that trains, as a model card states it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"


def versions() -> dict[str, str]:
    """List the versions that shape a result."""
    return {
        "cyclegan": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _commit() -> str | None:
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


@dataclass(frozen=True)
class Run:
    """A run folder as it stood when it was read; parts that are not there yet are empty."""

    folder: Path
    description: dict[str, Any]
    status: dict[str, Any]
    metrics: list[dict[str, Any]]
    samples: list[Path]


def read_run(folder: Path) -> Run:
    """Read whatever a run folder holds so far; damaged parts count as missing."""
    return Run(
        folder,
        _read_object(folder / RUN),
        _read_object(folder / STATUS),
        read_metrics(folder),
        list_samples(folder),
    )


def list_runs(folder: Path) -> list[Path]:
    """List the run folders directly below `folder`, the most recently active first."""
    found = [path.parent for path in folder.glob(f"*/{RUN}")]
    if (folder / RUN).exists():
        found.append(folder)

    def active(path: Path) -> float:
        status = path / STATUS
        return status.stat().st_mtime if status.exists() else 0.0

    return sorted(found, key=active, reverse=True)


def list_samples(folder: Path) -> list[Path]:
    """List the sample grids, oldest first; files of other names are passed over."""
    return sorted(path for path in (folder / SAMPLES).glob("*.webp") if path.stem.isdecimal())


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl, passing over lines that are torn or foreign."""
    try:
        text = (folder / METRICS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("step"), int):
            lines.append(value)
    return lines


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
