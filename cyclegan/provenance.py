"""What a run was asked to do and what it ran on, and whether it may be continued so."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cyclegan import __version__
from cyclegan.config import ConfigError, RunConfig, to_json
from cyclegan.models import family_of

CHANGEABLE = frozenset(
    "workers cache license description notes resize zoom crop flip augment "
    "discriminator_rate".split()
)
"""Settings of model and data that a run may change on its way, besides loss weights.

Paths may change too: what counts is which photos they lead to.
"""
PATHS = frozenset(("data", "domain_a", "domain_b", "masks", "probes"))


def describe(
    config: RunConfig,
    images: Mapping[str, Sequence[Path]],
    photos: Mapping[str, str],
    device: str,
    processes: int,
) -> dict[str, Any]:
    """Make run.json: the config, what it ran on, and which code made it.

    Args:
        config: with its labels resolved.
        images: the training photos of each domain.
        photos: a digest of each domain's photos (data.identity).
        device: such as "cuda:0".
        processes: how many train together.
    """
    family = family_of(config.model)
    return {
        "format": 1,
        "model": family.family,
        "config": to_json(config),
        "images": {side: len(files) for side, files in images.items()},
        "photos": dict(photos),
        "labels": {"a": config.data.label_a, "b": config.data.label_b},
        "rows": to_json(family.rows),
        "directions": list(family.translators),
        "seed": config.training.seed,
        "device": device,
        "processes": processes,
        "machine": machine(),
        "versions": versions(),
        "commit": _commit(),
    }


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to continue a run with other networks, other photos or another seed.

    Loss weights, rates, intervals, the length of the run and the way in which photos are cut may
    change on the way.

    Args:
        before: run.json as it was left; empty when the run is new.
        now: what `describe` makes of the present command.
        folder: of the run, for the message.

    Raises ConfigError naming the setting and both of its values.
    """

    def refuse(what: str, old: Any, new: Any) -> None:
        raise ConfigError(
            f"The run in {folder} was started with {what} = {old}, and this command says {new}: "
            "use the old value, or another --out for a new run."
        )

    if before.get("model", now["model"]) != now["model"]:
        refuse("the family", before["model"], now["model"])
    if before.get("seed", now["seed"]) != now["seed"]:
        refuse("seed", before["seed"], now["seed"])
    for part in ("model", "data"):
        old = before.get("config", {}).get(part, {})
        for key, value in now["config"][part].items():
            if key in CHANGEABLE | PATHS or key.startswith("lambda_"):
                continue
            if key in old and old[key] != value:
                refuse(key, old[key], value)
    for side, digest in now["photos"].items():
        old = before.get("photos", {}).get(side, digest)
        if old != digest:
            counts = before.get("images", {}).get(side), now["images"][side]
            refuse(
                f"the photos of {now['labels'][side]}",
                f"{counts[0]} files ({old})",
                f"{counts[1]} files ({digest})",
            )


def settings(config: RunConfig) -> dict[str, object]:
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
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' * (threads > 1)} ({platform.machine()})"


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
