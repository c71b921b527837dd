"""What a run leaves on disk: written by training, read by the page at any moment."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from cyclegan.checkpoint import load_averages, load_best
from cyclegan.config import ConfigError, DataConfig, RunConfig, TrainingConfig, from_json, to_json
from cyclegan.data import short_sides
from cyclegan.domains import Looks
from cyclegan.errors import UserError
from cyclegan.files import (
    CARD,
    SAMPLE_SHEET,
    read_object,
    remove_temporaries,
    write_json,
    write_text,
)
from cyclegan.images import grid, load_image, save_image, to_image, to_tensor
from cyclegan.model_card import CardInfo, model_card
from cyclegan.models import FAMILIES, Networks, family_of
from cyclegan.provenance import machine, settings, versions
from cyclegan.weights import Weights, WeightsConfig, assemble, save_weights

RUN, METRICS, STATUS, LOCK = "run.json", "metrics.jsonl", "status.json", ".lock"
PROBES, SAMPLES, CHECKPOINTS, WEIGHTS = "probes", "samples", "checkpoint", "weights"
LOCK_SECONDS = 15
"""Workers of a killed training hold its lock until they notice, within some seconds."""


class RunError(UserError):
    """A run folder that cannot be used now; the text says why."""


class RunWriter:
    """Writes a run folder; every file and every sample appears whole or not at all.

    metrics.jsonl grows by one line in one write, so that a reader sees at most its last line torn.
    One writer at a time: the constructor takes the folder's lock, which ends with the process.

    Raises RunError when another training writes there.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise RunError(
                f"Another training writes to {folder}; wait for its end, or use another --out."
            ) from None
        # A killed process leaves half a checkpoint behind each time, which would fill the disk.
        remove_temporaries(folder)

    def close(self) -> None:
        """Let others write here."""
        self._lock.release()

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write run.json: the config, versions, commit and seed of the run."""
        write_json(self.folder / RUN, description)

    def rewind(self, step: int, rollbacks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Drop metrics and samples from after `step`, which a resumed run will write again.

        Rollbacks are part of the state and not of what is trained again: exactly those given stay.
        """
        lines = [
            line
            for line in read_metrics(self.folder)
            if line["step"] <= step and line["kind"] != "rollback"
        ]
        lines = sorted([*lines, *rollbacks], key=lambda line: line["step"])
        write_text(self.folder / METRICS, "".join(json.dumps(line) + "\n" for line in lines))
        for sample in list_samples(self.folder):
            if sample > step:
                shutil.rmtree(_sample(self.folder, sample))

    def metrics(self, values: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; it needs an int "step" and a "kind"."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def probes(self, pictures: Mapping[str, Tensor]) -> None:
        """Keep the fixed inputs of all samples: by name, [N, C, H, W] in [-1, 1]."""
        with _appearing(self.folder / PROBES) as made:
            for name, batch in pictures.items():
                for index, picture in enumerate(batch):
                    to_image(picture).save(made / f"{name}.{index}.png")

    def sample(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Save what the model makes of the probes at a step: by name, [N, C, H, W] in [-1, 1]."""
        with _appearing(_sample(self.folder, step)) as made:
            for name, batch in pictures.items():
                for index, picture in enumerate(batch):
                    to_image(picture).save(made / f"{name}.{index}.webp", quality=92)

    def weights(
        self,
        config: RunConfig,
        images: Mapping[str, Sequence[Path]],
        networks: Networks,
        sampled: Mapping[str, Tensor],
        losses: Mapping[str, float],
        step: int,
        seconds: float,
        notes: str = "",
        looks: Looks | None = None,
        drawn: bool = False,
    ) -> None:
        """Renew the weights folder: networks, a sheet of what they make, and the model card.

        `looks` is what tells the domains of photos apart, and `drawn` whether domain A is line
        drawings, both for the weights' config.
        """
        folder, family = self.folder / WEIGHTS, family_of(config.model)
        data, training = config.data, config.training
        weights = _weights_config(family.family, config.model, data, training, step)
        save_weights(folder, replace(weights, looks=looks, drawn=drawn), networks)
        # The sheet leaves out the photos themselves, which may not be the trainer's to publish.
        made = [pictures for name, pictures in sampled.items() if not name.startswith("real")]
        if made:
            save_image(grid(made), folder / SAMPLE_SHEET)
        name = config.hub.push_to_hub
        card = CardInfo(
            name=name.split("/")[-1].split("@")[0] if name else self.folder.name,
            domain_a=data.label_a,
            domain_b=data.label_b,
            image_size=data.image_size,
            data=_data_line(config, images),
            license=data.license or None,
            family=family.family,
            directions=tuple(family.translators),
            takes_z=family.generator is not None or family.encoder is not None,
            settings=settings(config),
            losses=losses,
            steps=step,
            seconds=seconds,
            machine=machine(),
            versions=versions(),
            samples=bool(made),
            notes=" ".join(filter(None, (notes, data.notes))),
            hub_name=name,
        )
        write_text(folder / CARD, model_card(card))

    def status(self, phase: str, step: int, total: int, **more: Any) -> None:
        """Write status.json; phase is "running", "stopped", "finished" or "failed"."""
        values = {"phase": phase, "step": step, "total": total, "updated": time.time(), **more}
        write_json(self.folder / STATUS, values)


@dataclass(frozen=True)
class Run:
    """A run folder as it stood when it was read; parts that are not there yet are empty.

    Attributes:
        folder: where it is.
        description: run.json.
        status: status.json.
        metrics: the lines of metrics.jsonl, each with an int "step" and a str "kind".
        samples: the steps at which there is a sample, oldest first.
        best: metric, value and step of the best checkpoint, where one is kept.
    """

    folder: Path
    description: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)

    def tile(self, step: int, name: str, probe: int) -> Path:
        """Say where a picture of a sample is; photos ("real_a") are the same at every step."""
        if name.startswith("real"):
            return self.folder / PROBES / f"{name}.{probe}.png"
        return _sample(self.folder, step) / f"{name}.{probe}.webp"


def read_run(folder: Path) -> Run:
    """Read whatever a run folder holds so far; damaged parts count as missing."""
    return Run(
        folder,
        read_object(folder / RUN),
        read_object(folder / STATUS),
        read_metrics(folder),
        list_samples(folder),
        load_best(folder / CHECKPOINTS) or {},
    )


def list_runs(folder: Path) -> list[Path]:
    """List the run folders directly below `folder`, the most recently started or resumed first."""
    found = [path.parent for path in folder.glob(f"*/{RUN}")]
    if (folder / RUN).exists():
        found.append(folder)

    def started(path: Path) -> float:
        with suppress(OSError):
            return (path / RUN).stat().st_mtime
        return 0.0

    return sorted(found, key=lambda path: (started(path), path.name), reverse=True)


def read_probes(folder: Path, channels: Mapping[str, int]) -> dict[str, Tensor]:
    """Read the fixed inputs of a run's samples, exactly as they were kept; {} without any."""
    files = sorted((folder / PROBES).glob("*.png"), key=lambda file: int(file.stem.split(".")[1]))
    found: dict[str, list[Tensor]] = {}
    for file in files:
        name = file.stem.split(".")[0]
        found.setdefault(name, []).append(to_tensor(load_image(file), channels[name[-1]]))
    return {name: torch.stack(found[name]) for name in sorted(found)}


def list_samples(folder: Path) -> list[int]:
    """List the steps with a sample, oldest first; files of other names are passed over."""
    try:
        entries = list((folder / SAMPLES).iterdir())
    except OSError:
        return []
    return sorted(int(path.name) for path in entries if path.name.isdecimal() and path.is_dir())


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
            line = {"kind": "training", **value}
            if isinstance(line["kind"], str):
                lines.append(line)
    return lines


def checkpoint_weights(folder: Path, step: int | None = None) -> Weights:
    """Read the averaged networks of a kept checkpoint of a run; the newest when no step is given.

    Raises CheckpointError when it is not there or damaged, RunError when run.json does not tell
    how to build its networks.
    """
    run = read_object(folder / RUN)
    model, parts = run.get("model"), run.get("config")
    if model not in FAMILIES or not isinstance(parts, dict):
        raise RunError(f"{folder / RUN} does not say what was trained there.")
    at, tensors = load_averages(folder / CHECKPOINTS, step)
    kinds = {"model": FAMILIES[model].Config, "data": DataConfig, "training": TrainingConfig}
    try:
        settings, data, training = (
            from_json(kind, json.dumps(parts.get(part)), f"{folder / RUN}: {part}")
            for part, kind in kinds.items()
        )
    except ConfigError as error:
        raise RunError(str(error)) from None
    config = _weights_config(model, settings, data, training, at)
    return assemble(config, tensors, folder / CHECKPOINTS)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which then appears under its name at once."""
    # Not through write_atomically, which would flush every tile to the disk.
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        yield made
        made.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sample(folder: Path, step: int) -> Path:
    return folder / SAMPLES / f"{step:08d}"


def _weights_config(
    family: str, model: Any, data: DataConfig, training: TrainingConfig, step: int
) -> WeightsConfig:
    return WeightsConfig(
        format=1,
        model=family,
        label_a=data.label_a,
        label_b=data.label_b,
        image_size=data.image_size,
        settings=to_json(model),
        step=step,
        short_sides=short_sides(data),
        change_blur=training.change_blur,
    )


def _data_line(config: RunConfig, images: Mapping[str, Sequence[Path]]) -> str:
    counts = ", ".join(
        f"{len(files)} photos of {getattr(config.data, f'label_{side}')}"
        for side, files in images.items()
    )
    return f"{config.data.description} {counts}.".strip()
