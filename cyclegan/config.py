"""Settings: frozen dataclasses from which the command line is made and which JSON must match.

A family's own settings (networks, loss weights) stand in its file under models/; here is what
every family shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cyclegan.errors import UserError

Direction = Literal["a2b", "b2a"]
Precision = Literal["auto", "no", "bf16", "fp16"]


class ConfigError(UserError):
    """A setting that is unknown, of the wrong type, or out of range."""


class Strict:
    """Marks a dataclass whose JSON form may hold no unknown key and no value of another type."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class DataConfig(Strict):
    """Where the photos are and how they become training images."""

    data: Path | None = None
    """Folder with trainA and trainB, and testA and testB if there are any; or hf://OWNER/NAME, a
    data set on the Hugging Face Hub."""
    domain_a: tuple[Path, ...] = ()
    """Instead of --data: one or more folders with the photos of domain A."""
    domain_b: tuple[Path, ...] = ()
    """Instead of --data: one or more folders with the photos of domain B."""
    layout: Literal["ab", "ba"] | None = None
    """For pairs that are one picture each, in --data DIR or DIR/train: A on the left and B on the
    right ("ab"), or the other way round. By default pairs are files of equal names in trainA and
    trainB."""
    masks: Path | None = None
    """Folder with maskA and maskB: pictures named like photos, white where the object is, black
    where nothing should change, grey where it is not known, for --lambda-attention. Not every photo
    needs one."""
    label_a: str = ""
    """What domain A shows, e.g. "horse"; guessed from folder names such as horse2zebra."""
    label_b: str = ""
    """What domain B shows, e.g. "zebra"."""
    license: str = ""
    """Licence of the photos, as the Hub names it (mit, cc-by-4.0, other), for the model card."""
    description: str = ""
    """One sentence on the photos for the model card."""
    notes: str = ""
    """What else the model card should say, such as what fails."""
    image_size: int = 256
    """Side of the square training images, in pixels."""
    resize: float = 1.12
    """The short side is resized to this many image sizes before a square is cropped from it."""
    zoom: float = 1.0
    """Above 1: the resize is drawn at random from [resize, resize * zoom] for every image."""
    crop: Literal["random", "centre"] = "random"
    """Where the square is cut."""
    flip: bool = True
    """Mirror half of the images."""
    workers: int | None = None
    """Processes that read images; by default none on a CPU and four beside an accelerator."""
    cache: Literal["none", "ram", "device"] = "none"
    """"ram" decodes every photo once and keeps it in memory; the images are the same. "device"
    keeps it beside the networks, no larger than training needs, and cuts images there."""
    probes: Path | None = None
    """Folder with A and B, whose pictures samples show; by default a few test photos, chosen once
    at random and kept in the run."""

    def __post_init__(self):
        _check(self.image_size >= 8, f"image_size is {self.image_size}; it must be at least 8.")
        _check(self.resize >= 1, f"resize is {self.resize}; it must be at least 1.")
        _check(self.zoom >= 1, f"zoom is {self.zoom}; it must be at least 1.")
        _check(self.workers is None or self.workers >= 0, "workers must not be negative.")


@dataclass(frozen=True)
class TrainingConfig(Strict):
    """How long, how fast and on what to train, and what to write down meanwhile."""

    out: Path = Path("runs/run")
    """The run folder; rerunning the same command continues what is there."""
    start_from: str | None = None
    """Weights to begin with instead of chance: a weights folder, or USER/NAME on the Hub. Networks
    that do not ship, such as discriminators, begin afresh."""
    steps: int | None = None
    """How many optimiser steps to train."""
    epochs: float | None = None
    """Instead of --steps: passes over the larger domain; 200 when neither is given."""
    batch_size: int = 1
    """Images of each domain a step and process. CycleGANs are trained with 1."""
    accumulate: int = 1
    """Batches whose gradients are averaged before a step."""
    learning_rate: float = 2e-4
    """Adam's rate, for all networks."""
    beta1: float = 0.5
    """Adam's first-moment decay; 0.5 keeps adversarial training from swinging."""
    beta2: float = 0.999
    """Adam's second-moment decay."""
    decay_from: float = 0.5
    """Share of the run after which the rate falls linearly to zero; 1 keeps it constant."""
    ema: float = 0.999
    """Decay of the averaged generators, which are what ships; 0 ships the last ones instead."""
    seed: int = 0
    """Seed of everything random."""
    precision: Precision = "no"
    """Mixed precision; "auto" takes bf16 where the device is quicker with it."""
    compile: bool = False
    """Compile the networks with torch.compile: minutes at the start for quicker steps."""
    checkpoint_activations: bool = False
    """Compute the generators' stages again in the backward pass instead of keeping what they made:
    a third of the memory for a third more arithmetic."""
    device: Literal["auto", "cpu"] = "auto"
    """"auto" takes CUDA, then MPS, then the CPU."""
    log_every: int = 50
    """Steps between lines in metrics.jsonl, where the losses are brought to the CPU."""
    sample_every: int = 500
    """Steps between samples and validation losses."""
    checkpoint_every: int = 500
    """Steps between checkpoints; the weights folder is renewed with them."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay on the disk."""
    keep_best: str | None = None
    """Also keep the checkpoint with the lowest value of this, and ship its weights: kid or fid
    (with --evaluate-every), kid_a2b and so on, or a validation loss such as generators/cycle."""
    validation_images: int = 32
    """Test photos of each domain for validation losses; 0 for none."""
    evaluate_every: int | None = None
    """Steps between FID and KID, which need torch-fidelity; by default never."""
    feature_extractor: Path | None = None
    """A file to use for FID and KID instead of the Inception weights that torch-fidelity
    downloads: those weights, or any network as TorchScript."""
    change_blur: float = 0.0
    """For the weights: blur what the networks change by so many pixels before it is added to a
    photo. Short trainings paint colours well and detail badly; the photo then keeps its own. 0 for
    translations that are textures, such as stripes."""
    tracker: Literal["none", "tensorboard", "wandb"] = "none"
    """Also log to TensorBoard or Weights & Biases, which must be installed."""

    def __post_init__(self):
        for name in ("batch_size", "accumulate", "log_every", "sample_every", "checkpoint_every",
                     "keep_checkpoints"):  # fmt: skip
            value = getattr(self, name)
            _check(value >= 1, f"{name} is {value}; it must be at least 1.")
        _check(self.steps is None or self.steps >= 1, f"steps is {self.steps}; at least 1.")
        _check(self.epochs is None or self.epochs > 0, f"epochs is {self.epochs}; above 0.")
        _check(
            self.steps is None or self.epochs is None,
            "steps and epochs are both given; choose one.",
        )
        _check(
            self.evaluate_every is None or self.evaluate_every >= 1,
            f"evaluate_every is {self.evaluate_every}; it must be at least 1.",
        )
        _check(
            self.evaluate_every is not None
            or not (self.keep_best or "").startswith(("fid", "kid")),
            f"keep_best is {self.keep_best}, which is only measured with --evaluate-every.",
        )
        _check(self.validation_images >= 0, "validation_images must not be negative.")
        _check(self.learning_rate > 0, f"learning_rate is {self.learning_rate}; above 0.")
        _check(0 <= self.decay_from <= 1, f"decay_from is {self.decay_from}; from 0 to 1.")
        _check(0 <= self.change_blur <= 100, "change_blur must be from 0 to 100.")
        _check(0 <= self.ema < 1, f"ema is {self.ema}; it must be in [0, 1).")


@dataclass(frozen=True)
class HubConfig(Strict):
    """Where the weights are pushed."""

    push_to_hub: str | None = None
    """USER/NAME on the Hugging Face Hub; created when it does not exist."""
    push_every: int | None = None
    """Steps between pushes of weights, samples and metrics while training, which go out at most
    once a minute; by default only at the end."""
    push_photos: bool = False
    """Also push the photos that the samples start from; you need the right to publish them."""
    private: bool = False
    """Create the repository as a private one."""


Family = TypeVar("Family")


@dataclass(frozen=True)
class RunConfig(Strict, Generic[Family]):
    """Everything that a training was asked to do."""

    model: Family
    data: DataConfig
    training: TrainingConfig
    hub: HubConfig

    def __post_init__(self):
        weight = getattr(self.model, "lambda_attention", 0.0)
        _check(
            (self.data.masks is not None) == bool(weight),
            "--masks DIR and --lambda-attention above 0 need each other, and a family that has the "
            "latter; give both or neither.",
        )


def with_overrides(config: Any, overrides: Mapping[str, Mapping[str, Any]]) -> Any:
    """Replace fields of a config's parts: {"data": {"resize": 1.0}} and so on."""
    parts = {part: replace(getattr(config, part), **values) for part, values in overrides.items()}
    return replace(config, **parts)


def to_json(config: Any) -> Any:
    """Turn a config into plain JSON values."""
    if is_dataclass(config):
        return {field.name: to_json(getattr(config, field.name)) for field in fields(config)}
    if isinstance(config, Path):
        return config.as_posix()
    if isinstance(config, tuple | list):
        return [to_json(value) for value in config]
    if isinstance(config, Mapping):
        return {key: to_json(value) for key, value in config.items()}
    return config


def from_json(kind: Any, text: str | bytes, where: str) -> Any:
    """Read `kind` strictly from JSON.

    Raises ConfigError: one sentence naming `where` and the first thing wrong with it.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            message = "is not a known key"
        raise ConfigError(f"{where}: {place}: {message}") from None


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
