"""The run around the training steps: data in, checkpoints and everything else out.

Read `learner.Learner.step` first: it is the whole algorithm.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from cyclegan import photos, processes
from cyclegan.checkpoint import load_checkpoint, save_checkpoint
from cyclegan.config import RunConfig
from cyclegan.data import DATASETS
from cyclegan.devices import make_accelerator
from cyclegan.files import read_object
from cyclegan.hub_data import fetched
from cyclegan.learner import LOWER, Learner
from cyclegan.loading import batches
from cyclegan.models import Batch, family_of
from cyclegan.monitoring import (
    DivergenceError,
    LossLog,
    memory_explained,
    refuse_non_finite,
    stopping_signals,
)
from cyclegan.provenance import describe, refuse_changes
from cyclegan.pusher import Pusher
from cyclegan.recording import Recorder
from cyclegan.runs import CHECKPOINTS, RUN
from cyclegan.sources import open_weights

logger = logging.getLogger(__name__)

ROLLBACKS = 3
"""How often a run goes back to its last good checkpoint before it gives up."""
ASK_EVERY = 10
"""Steps after which several processes ask each other whether to stop; asking makes them wait."""


class Trainer:
    """One run, from its config to its finished folder.

    Building it reads every picture, builds the networks and, when the run folder holds a
    checkpoint, goes back to it; `run` does the rest.

    Raises UserError (DataError, ConfigError, CheckpointError, RunError, OutOfMemoryError) with one
    sentence on anything that the user can mend.
    """

    def __init__(self, config: RunConfig):
        settings = config.training
        family = family_of(config.model)
        channels = family.channels(config.model)

        kind, sides = DATASETS[family.data], tuple(channels)
        data = fetched(config.data, sides)
        folders = photos.folders(data, sides=sides)
        self.accelerator = make_accelerator(settings)
        self.device = self.accelerator.device
        # From here on, also in the run's description, it is what "auto" came out as.
        settings = replace(settings, precision=self.accelerator.mixed_precision)
        self.images = photos.training_photos(data, kind.paired, sides, needed=settings.batch_size)
        self.config = config = RunConfig(
            config.model, photos.resolve(data, sides), settings, config.hub
        )
        masks = photos.object_masks(config.data, self.images)
        self.dataset = kind(self.images, config.data, settings.seed, channels, masks)
        if config.data.cache == "device":
            self.dataset.hold(self.device)

        self.learner = Learner(config, self.accelerator)
        self.images_per_step = (
            settings.batch_size * settings.accumulate * self.accelerator.num_processes
        )
        epoch_steps = len(self.dataset) / self.images_per_step
        self.total = settings.steps or math.ceil((settings.epochs or 200) * epoch_steps)
        self.learner.total = self.total
        self.images_seen = 0
        self.seconds = 0.0
        self.losses: dict[str, float] = {}
        self.log = LossLog(partial(processes.gather, self.accelerator))
        self.logged: tuple[int, float] = (0, 0.0)
        self.attempts = 0
        self.rollbacks: list[dict[str, Any]] = []
        self.stopped = False
        self._clock = time.perf_counter()
        self.stop_requested = threading.Event()

        digests = {
            side: photos.identity(files, folders[side]) for side, files in self.images.items()
        }
        description = describe(
            config,
            self.images,
            digests,
            self.device.type if self.device.type == "cpu" else str(self.device),
            self.accelerator.num_processes,
        )
        refuse_changes(read_object(settings.out / RUN), description, settings.out)
        self.recorder: Recorder | None = None
        if self.accelerator.is_main_process:
            self.recorder = Recorder(
                config,
                self.images,
                self.dataset,
                self.learner.model,
                self.learner.averages,
                self.accelerator,
                description,
            )
        state = load_checkpoint(settings.out / CHECKPOINTS)
        self.fresh = state is None
        if state is not None:
            self.load_state(state)
            logger.info("Resuming at step %d of %d.", self.finished_steps, self.total)
        elif settings.start_from is not None:
            weights, _ = open_weights(settings.start_from)
            self.learner.start_from(weights, settings.start_from)
            logger.info("Starting from %s.", settings.start_from)

    @property
    def finished_steps(self) -> int:
        """How many steps were taken."""
        return self.learner.finished_steps

    def run(self) -> str | None:
        """Train to the end, or until Ctrl-C or SIGTERM, which save first.

        Returns None, or one sentence when the weights could not be pushed to the Hub.

        Raises DivergenceError when losses stop being finite again and again, UnwrittenError when
        the disk is full, OutOfMemoryError, and ProcessError when another process is gone.
        """
        recorder, pusher = self.recorder, None
        hub, out = self.config.hub, self.config.training.out
        processes.refuse_different_steps(self.accelerator, self.finished_steps)
        if recorder is not None and hub.push_to_hub:
            pusher = Pusher(hub.push_to_hub, private=hub.private, photos=hub.push_photos)
        try:
            with (
                memory_explained(self.config, self.device),
                stopping_signals(self.stop_requested),
                self._progress() as bar,
            ):
                if recorder is not None:
                    kept = -1 if self.fresh else self.finished_steps
                    recorder.start(kept, self.total, self.rollbacks)
                if self.fresh:
                    self._checkpoint(self._observe())
                while not self._ended() and not self.stopped:
                    try:
                        self._train(bar, pusher)
                    except DivergenceError as error:
                        self._roll_back(error)
                        bar.n = self.finished_steps
        except BaseException as error:
            if recorder is not None:
                recorder.failed(self.finished_steps, str(error) or repr(error))
                if pusher is not None:
                    # Or the Hub would show a training that goes on for ever.
                    pusher.submit(out)
                    pusher.close(timeout=30)
            raise
        failure = None
        if recorder is not None:
            recorder.status("finished" if self._ended() else "stopped", self.finished_steps)
            if pusher is not None:
                pusher.submit(out)
                failure = pusher.close()
            recorder.writer.close()
        self.accelerator.end_training()
        return failure

    def _train(self, bar: Any, pusher: Pusher | None) -> None:
        """Train until the end or a request to stop, and write down what is due."""
        settings, hub = self.config.training, self.config.hub
        loaded = self._batches()
        self._clock = time.perf_counter()
        ended = False
        while not ended and not self.stopped:
            losses = self.learner.step([next(loaded) for _ in range(settings.accumulate)])
            self.images_seen += self.images_per_step
            self.log.add(losses, self.finished_steps)
            bar.update()
            # Asked once: a signal between two of the questions below would answer them differently.
            step, ended, self.stopped = self.finished_steps, self._ended(), self._stopping()

            def due(every: int | None, step: int = step, ended: bool = ended) -> bool:
                return every is not None and (ended or step % every == 0)

            if due(settings.log_every):
                self._log(bar)
            best = False
            if due(settings.sample_every) or due(settings.evaluate_every):
                best = self._observe(due(settings.sample_every), due(settings.evaluate_every))
            if best or self.stopped or due(settings.checkpoint_every):
                self._checkpoint(best)
            # The last push is made once, by `run`.
            if pusher is not None and hub.push_every and step % hub.push_every == 0:
                pusher.submit(settings.out)

    def _ended(self) -> bool:
        return self.finished_steps >= self.total

    def _stopping(self) -> bool:
        if self.accelerator.num_processes > 1 and self.finished_steps % ASK_EVERY:
            return False
        return processes.any_process(self.accelerator, self.stop_requested.is_set())

    def _roll_back(self, error: DivergenceError) -> None:
        """Go back to the last good checkpoint and on from there at a lower rate."""
        noticed = self.finished_steps
        if self.attempts == ROLLBACKS:
            raise DivergenceError(
                f"{error}, after {ROLLBACKS} rollbacks that each halved the learning rate; the "
                "last good checkpoint is kept: lower --learning-rate or use --precision no, and "
                "run the command again."
            ) from None
        self.attempts += 1
        state = load_checkpoint(self.config.training.out / CHECKPOINTS)
        assert state is not None, "a run begins with a checkpoint"
        self.load_state(state)
        self.learner.lowered += 1
        rate = LOWER**self.learner.lowered
        self.rollbacks.append(
            {
                "step": self.finished_steps,
                "kind": "rollback",
                "from": noticed,
                "reason": f"{error}.",
                "rate": rate,
            }
        )
        logger.warning(
            "%s: back to step %d, and on at %g of the learning rate.",
            error, self.finished_steps, rate,
        )  # fmt: skip
        # At once, so that a run that is killed now does not try the same rate again.
        self._save()
        if self.recorder is not None:
            self.recorder.start(self.finished_steps, self.total, self.rollbacks)

    def _batches(self) -> Iterator[Batch]:
        """Load this process's share of every step, from where the run stands to its end."""
        images = (self.total - self.finished_steps) * self.images_per_step
        return batches(
            self.dataset,
            range(self.images_seen, self.images_seen + images),
            self.config.training.batch_size,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            self.config.data.workers,
            self.device,
        )

    def _progress(self) -> Any:
        return tqdm(
            disable=not self.accelerator.is_main_process,
            total=self.total,
            initial=self.finished_steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
        )

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now

    def _log(self, bar: Any) -> None:
        self.losses = self.log.read()
        self._tick()
        images, seconds = self.images_seen - self.logged[0], self.seconds - self.logged[1]
        self.logged = (self.images_seen, self.seconds)
        per_second = images / max(seconds, 1e-9)
        short = {name.replace("/", " "): f"{loss:.3f}" for name, loss in self.losses.items()}
        bar.set_postfix({**short, "images/s": f"{per_second:.1f}"}, refresh=False)
        rate = self.learner.learning_rate(self.finished_steps - 1)
        if self.recorder is not None:
            line = {
                "epoch": self.images_seen / len(self.dataset),
                "seconds": round(self.seconds, 3),
                "images": self.images_seen,
                "images_per_second": round(per_second, 3),
                "learning_rates": {phase.name: rate * phase.rate for phase in self.learner.phases},
                "losses": self.losses,
            }
            left = (self.total - self.finished_steps) * self.images_per_step / per_second
            self.recorder.write(self.finished_steps, "training", line)
            self.recorder.status("running", self.finished_steps, eta_seconds=round(left, 1))
        if self.config.training.tracker != "none":
            self.accelerator.log({**self.losses, "learning_rate": rate}, step=self.finished_steps)

    def _observe(self, sample: bool = True, evaluate: bool = False) -> bool:
        """Sample, validate and evaluate; returns whether this state is the best so far."""
        best = False
        if self.recorder is not None:
            best = self.recorder.observe(self.finished_steps, sample, evaluate)
        return processes.any_process(self.accelerator, best)

    # ------------------------------------------------------------------ checkpoints

    def _checkpoint(self, best: bool) -> None:
        self.log.check()
        # A finite loss can have gradients that are not; such weights must never become the newest.
        refuse_non_finite(self.learner.networks, self.finished_steps)
        self._tick()
        self._save()
        if self.recorder is not None:
            self.recorder.ship(self.finished_steps, self.seconds, self.losses, best)

    def _save(self) -> None:
        settings, state = self.config.training, self.state()
        if self.recorder is not None:
            folder = settings.out / CHECKPOINTS
            keep, every = settings.keep_checkpoints, settings.checkpoint_every
            save_checkpoint(folder, self.finished_steps, state, keep, every)
            self.recorder.name_best()
        self.accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        """Collect everything that the rest of the run depends on."""
        return {
            "learner": self.learner.state(),
            "images": self.images_seen,
            "seconds": self.seconds,
            "logged": self.logged,
            "losses": self.losses,
            "log": processes.gather_states(self.accelerator, self.log.state()),
            "rollbacks": self.rollbacks,
            "recorder": self.recorder.state() if self.recorder is not None else {},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a collected state."""
        self.learner.load_state(state["learner"])
        self.images_seen, self.seconds = state["images"], state["seconds"]
        self.logged, self.losses = tuple(state["logged"]), state["losses"]
        self.log.load_state(processes.own_share(self.accelerator, state["log"]))
        self.rollbacks = list(state["rollbacks"])
        if self.recorder is not None:
            self.recorder.load_state(state["recorder"])
