"""What a training writes down on its way: samples, measures, alarms, weights, and where it stands.

Nothing here changes what is trained, and only the first process of several does any of it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from cyclegan.checkpoint import save_best
from cyclegan.config import ConfigError, RunConfig
from cyclegan.data import Photos, ValidationDataset
from cyclegan.domains import Looks, calibrate
from cyclegan.drawings import are_drawings
from cyclegan.errors import UserError
from cyclegan.models import Model, family_of
from cyclegan.probes import load_probes
from cyclegan.runs import CHECKPOINTS, RunWriter, read_probes
from cyclegan.watching import Watch, measure

if TYPE_CHECKING:
    from cyclegan.evaluate import Evaluator

logger = logging.getLogger(__name__)


class Recorder:
    """Writes the run folder of a training.

    Args:
        config: with its labels resolved.
        images: the training photos of each domain.
        dataset: what is trained on.
        model: what is trained.
        averages: the networks that ship.
        accelerator: device and precision.
        description: what becomes run.json.

    Probes that the run folder holds already stay the same.

    Raises ConfigError, DataError or EvaluationError on settings for which nothing can be written,
    and RunError when another training writes to the folder.
    """

    def __init__(
        self,
        config: RunConfig,
        images: Mapping[str, Sequence[Path]],
        dataset: Photos,
        model: Model,
        averages: nn.ModuleDict,
        accelerator: Accelerator,
        description: Mapping[str, Any],
    ):
        settings = config.training
        self.config, self.images = config, images
        self.model, self.averages = model, averages
        self.accelerator, self.device = accelerator, accelerator.device
        self.family = family_of(config.model)
        self.total = 0
        self.watch = Watch({"a": config.data.label_a, "b": config.data.label_b}, self.family.alarms)
        self.best: dict[str, Any] | None = None
        self._newest: tuple[int, dict[str, Tensor]] = (-1, {})
        self.channels = self.family.channels(config.model)
        kept = read_probes(settings.out, self.channels)
        self.probes = kept or load_probes(dataset, self.family.probes)
        self.description = {**description, "probes": min(map(len, self.probes.values()))}
        self.validation = ValidationDataset(
            config.data,
            settings.seed,
            self.channels,
            settings.validation_images,
            dataset.paired,
        )
        if settings.keep_best and not settings.evaluate_every and not len(self.validation):
            raise ConfigError(
                f"--keep-best {settings.keep_best} needs test photos: --data with testA and testB, "
                "and --validation-images above 0."
            )
        self.evaluator = self._evaluator() if settings.evaluate_every else None
        self.writer = RunWriter(settings.out)
        if not kept:
            self.writer.probes(self.probes)

    def start(self, step: int, total: int, rollbacks: Sequence[Mapping[str, Any]]) -> None:
        """Bring the folder to how it was after `step`, -1 for empty; training goes on there."""
        self.total = total
        self.writer.rewind(step, rollbacks)
        self.writer.describe(self.description)
        self.name_best()
        self.status("running", max(0, step))

    def status(self, phase: str, step: int, **more: Any) -> None:
        """Write status.json."""
        more = {
            "device": self.device.type if self.device.type == "cpu" else str(self.device),
            "alarms": self.watch.alarms,
            **more,
        }
        self.writer.status(phase, step, self.total, **more)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        self.writer.metrics({"step": step, "kind": kind, **values})

    def failed(self, step: int, error: str) -> None:
        """Say in status.json why the training ended, and let go of the folder."""
        # When the disk is full, the error on its way says so better than another one.
        with suppress(OSError):
            self.status("failed", step, error=error)
        self.writer.close()

    # ------------------------------------------------------------------ pictures and measures

    def observe(self, step: int, sample: bool, evaluate: bool) -> bool:
        """Sample and validate, or evaluate, or both; returns whether --keep-best wants this state.

        Raises ConfigError when what --keep-best names is never measured.
        """
        measured: dict[str, float] = {}
        if sample:
            self.sample(step)
            measured |= self.validate(step)
        if evaluate:
            measured |= self.evaluate(step)
        return self._is_best(step, measured)

    def sample(self, step: int) -> None:
        """Save what the averaged networks make of the probes, and what that tells."""
        self._newest = step, self.pictures()
        pictures = self._newest[1]
        self.writer.sample(
            step, {name: made for name, made in pictures.items() if name not in self.probes}
        )
        if self.family.translators:
            measures = measure(pictures, tuple(self.family.translators))
            if found := self.measured():
                measures["measured"] = found
            self.write(step, "probes", measures)
            for line in self.watch.update(measures, step):
                self.write(step, "alarm", line)
                if line["active"]:
                    logger.warning("%s", line["message"])

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """Measure what the family alone can tell of the probes."""
        batch = {name: images.to(self.device) for name, images in self.probes.items()}
        with evaluating(self.averages), self.accelerator.autocast():
            return self.family.measure(self.averages, batch)

    @torch.no_grad()
    def pictures(self) -> dict[str, Tensor]:
        """Make what a sample shows, by name, on the device."""
        batch = {name: images.to(self.device) for name, images in self.probes.items()}
        with evaluating(self.averages), self.accelerator.autocast():
            return self.family.sample(self.averages, batch)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Average the losses over test photos and write them down; nothing without any."""
        sums: dict[str, Tensor] = {}
        with evaluating(self.model), self.accelerator.autocast():
            for index in range(len(self.validation)):
                pair = self.validation[index]
                batch = {name: image[None].to(self.device) for name, image in pair.items()}
                cache: dict[str, Tensor] = {}
                for phase in self.model.phases():
                    for name, loss in phase.losses(batch, cache).items():
                        key = f"{phase.name}/{name}"
                        sums[key] = sums.get(key, torch.zeros_like(loss)) + loss
        losses = {name: float(total) / len(self.validation) for name, total in sums.items()}
        if losses:
            self.write(step, "validation", {"images": len(self.validation), "losses": losses})
        return losses

    def evaluate(self, step: int) -> dict[str, float]:
        """Measure FID and KID and write them down; nothing when there is nothing to do it with."""
        if self.evaluator is None:
            return {}
        try:
            found = self.evaluator.evaluate(self.averages)
        except UserError as error:
            logger.warning("%s The training goes on.", error)
            return {}
        logger.info("Step %d: %s", step, found)
        line = {"scores": found.scores, "extractor": found.extractor, "protocol": found.protocol}
        self.write(step, "evaluation", line)
        return dict(found.scores)

    def _evaluator(self) -> "Evaluator | None":
        # The package behind it is optional and slow to import.
        from cyclegan.evaluate import Evaluator
        from cyclegan.extractor import DownloadError

        settings = self.config.training
        try:
            return Evaluator(
                self.family,
                self.config.data,
                self.channels,
                self.device,
                settings.feature_extractor,
                settings.seed,
            )
        except DownloadError as error:
            if settings.keep_best:
                raise
            logger.warning("%s The training goes on without FID and KID.", error)
            return None

    def _is_best(self, step: int, measured: Mapping[str, float]) -> bool:
        metric = self.config.training.keep_best
        if metric is None or not measured:
            return False
        if metric not in measured:
            # FID and KID come less often than validation losses.
            if metric.startswith(("fid", "kid")):
                return False
            raise ConfigError(
                f"--keep-best {metric} is not measured; there are: {', '.join(sorted(measured))}."
            )
        if self.best is not None and self.best["value"] <= measured[metric]:
            return False
        self.best = {"metric": metric, "value": measured[metric], "step": step}
        return True

    # ------------------------------------------------------------------ what ships

    def name_best(self) -> None:
        """Note which checkpoint is the best, so that it is never deleted."""
        if self.best is not None:
            save_best(self.writer.folder / CHECKPOINTS, **self.best)

    def ship(self, step: int, seconds: float, losses: Mapping[str, float], best: bool) -> None:
        """Renew the weights folder; with --keep-best, only when this state is the best."""
        if self.config.training.keep_best and not best:
            return
        notes = ""
        if self.best is not None:
            notes = (
                f"Of this run, the checkpoint with the lowest {self.best['metric']}: "
                f"{self.best['value']:.4g} at step {step:,}."
            )
        made, pictures = self._newest
        if made != step:
            pictures = self.pictures()
        self.writer.weights(
            self.config,
            self.images,
            self.averages,
            pictures,
            losses,
            step,
            seconds,
            notes,
            self.looks,
            self.drawn,
        )

    @cached_property
    def looks(self) -> Looks | None:
        """How the training photos look; no network has to do with it, so once is enough.

        Only a family that translates both ways ever asks where a photo comes from.
        """
        return calibrate(self.images) if len(self.family.translators) == 2 else None

    @cached_property
    def drawn(self) -> bool:
        """Whether it translates line drawings, of which people can then make their own."""
        translates = "a2b" in self.family.translators
        return translates and are_drawings(self.images["a"], self.config.data.layout)

    # ------------------------------------------------------------------ what a checkpoint holds

    def state(self) -> dict[str, Any]:
        """Collect what the next samples depend on."""
        return {"watch": self.watch.state(), "best": self.best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a collected state."""
        self.watch.load_state(state["watch"])
        self.best = state["best"]


@contextmanager
def evaluating(networks: nn.Module) -> Iterator[None]:
    """Put networks into evaluation mode for a while: no dropout, no pool, no augmentation."""
    before = networks.training
    networks.eval()
    try:
        yield
    finally:
        networks.train(before)
