"""The training loop. It knows phases and nothing of families.

Read `Trainer.step` first: it is the whole algorithm.
"""

import copy
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import torch
from accelerate.utils import set_seed, tqdm
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from cyclegan import data
from cyclegan.checkpoint import load_checkpoint, save_checkpoint
from cyclegan.config import ConfigError, RunConfig
from cyclegan.devices import make_accelerator
from cyclegan.hub import Pusher
from cyclegan.images import grid
from cyclegan.models import Batch, Cache, family_of
from cyclegan.monitoring import LossLog, refuse_non_finite, stopping_signals
from cyclegan.runs import CHECKPOINTS, WEIGHTS, RunWriter, describe, refuse_changes

logger = logging.getLogger(__name__)

PROBES = 4


class Trainer:
    """One run, from its config to its finished folder.

    Building it reads every picture, builds the networks and, when the run folder holds a
    checkpoint, goes back to it; `run` does the rest.

    Raises UserError (DataError, ConfigError, CheckpointError) with one sentence on anything that
    the user can mend.
    """

    def __init__(self, config: RunConfig):
        settings = config.training
        family = family_of(config.model)
        channels = family.channels(config.model)

        folders = data.folders(config.data)
        self.images = {
            side: data.readable_images(folders[side], side, needed=settings.batch_size)
            for side in data.SIDES
        }
        self.config = config = RunConfig(
            config.model, data.resolve(config.data), settings, config.hub
        )
        self.dataset = data.DATASETS[family.data](
            self.images["a"], self.images["b"], config.data, settings.seed, channels
        )

        self.accelerator = make_accelerator(config.training)
        self.device = self.accelerator.device
        # Every process starts from the same weights; later only dropout depends on this seed.
        set_seed(settings.seed)
        try:
            self.model = family(config.model, config.data.image_size).to(self.device)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self.networks = self.model.networks
        shipped = nn.ModuleDict({name: self.networks[name] for name in family.ships})
        self.ema = copy.deepcopy(shipped).requires_grad_(False).eval() if settings.ema else shipped
        self.phases = self.model.phases()
        self.optimizers = {
            phase.name: self.accelerator.prepare(
                torch.optim.Adam(
                    [p for name in phase.trains for p in self.networks[name].parameters()],
                    lr=settings.learning_rate,
                    betas=(settings.beta1, settings.beta2),
                )
            )
            for phase in self.phases
        }

        self.images_per_step = (
            settings.batch_size * settings.accumulate * self.accelerator.num_processes
        )
        epoch_steps = len(self.dataset) / self.images_per_step
        self.total = settings.steps or math.ceil((settings.epochs or 200) * epoch_steps)
        self.finished_steps = 0
        self.seconds = 0.0
        self.losses: dict[str, float] = {}
        self.probes: dict[str, Tensor] = {}
        self.sampled: dict[str, Tensor] = {}
        self.stop_requested = threading.Event()

        refuse_changes(settings.out, config)
        state = load_checkpoint(settings.out / CHECKPOINTS)
        if state is not None:
            self.load_state(state)
            logger.info("Resuming at step %d of %d.", self.finished_steps, self.total)
        self.writer = RunWriter(settings.out)

    # ------------------------------------------------------------------ the algorithm

    def step(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Take one training step: every phase once, over the batches to accumulate.

        Returns every loss, detached and still on the device, under "phase/loss".
        """
        caches: list[Cache] = [{} for _ in batches]
        logged: dict[str, Tensor] = {}
        for phase in self.phases:
            # Frozen networks still pass gradients through, but none is computed for their weights.
            for name, network in self.networks.items():
                network.requires_grad_(name in phase.trains)
            optimizer = self.optimizers[phase.name]
            optimizer.zero_grad(set_to_none=True)
            for batch, cache in zip(batches, caches, strict=True):
                with self.accelerator.autocast():
                    losses = phase.losses(batch, cache)
                # Accelerate divides by the number of accumulated batches.
                self.accelerator.backward(torch.stack(list(losses.values())).sum())
                for name, loss in losses.items():
                    key = f"{phase.name}/{name}"
                    logged[key] = logged.get(key, 0.0) + loss.detach() / len(batches)
            self._average_gradients(optimizer)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(self.finished_steps)
            optimizer.step()
        self.finished_steps += 1
        self._update_ema()
        return logged

    def learning_rate(self, step: int) -> float:
        """Give the rate of a step: constant, then linear to zero (Zhu et al. 2017, section 4)."""
        settings = self.config.training
        start = settings.decay_from * self.total
        left = (self.total - step) / max(1.0, self.total - start)
        return settings.learning_rate * min(1.0, left)

    @torch.no_grad()
    def _update_ema(self) -> None:
        if not self.config.training.ema:
            return
        # Early on the average follows faster, or it would remember the random start for long.
        step = self.finished_steps
        decay = min(self.config.training.ema, (1 + step) / (10 + step))
        average = get_ema_multi_avg_fn(decay)
        for name, network in self.ema.items():
            average(list(network.parameters()), list(self.networks[name].parameters()), None)
            for buffer, source in zip(
                network.buffers(), self.networks[name].buffers(), strict=True
            ):
                buffer.copy_(source)

    def _average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        # By hand, since DistributedDataParallel allows neither frozen phases nor several forwards.
        if self.accelerator.num_processes == 1:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        own = torch.cat([gradient.flatten() for gradient in gradients])
        mean = cast(Tensor, self.accelerator.reduce(own, "mean"))
        parts = mean.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    # ------------------------------------------------------------------ the run around it

    def run(self) -> str | None:
        """Train to the end, or until Ctrl-C or SIGTERM, which save first.

        Returns None, or one sentence when the weights could not be pushed to the Hub.
        Raises DivergenceError when a loss is not finite.
        """
        settings, hub = self.config.training, self.config.hub
        main = self.accelerator.is_main_process
        pusher = None
        if main and hub.push_to_hub:
            pusher = Pusher(hub.push_to_hub, private=hub.private)
        if main:
            self.writer.rewind(self.finished_steps)
            self.writer.describe(describe(self.config, self.images, str(self.device)))
            self._status("running")
            if self.finished_steps == 0:
                self._sample()
        try:
            with stopping_signals(self.stop_requested), self._progress() as bar:
                self._loop(bar, pusher)
        except BaseException as error:
            if main:
                self._status("failed", error=str(error) or type(error).__name__)
            raise
        failure = None
        if main:
            finished = self.finished_steps >= self.total
            self._status("finished" if finished else "stopped")
            if pusher is not None:
                pusher.submit(settings.out / WEIGHTS)
                failure = pusher.close()
        if settings.tracker != "none":
            self.accelerator.end_training()
        return failure

    def _loop(self, bar: Any, pusher: Pusher | None) -> None:
        settings, hub = self.config.training, self.config.hub
        batches = self._batches()
        log = LossLog()
        clock, logged_at = time.perf_counter(), self.finished_steps
        ended = self.finished_steps >= self.total
        while not ended:
            losses = self.step([next(batches) for _ in range(settings.accumulate)])
            log.add(losses, self.finished_steps)
            bar.update()
            # Asked once: a signal between two of the questions below would answer them differently.
            ended = self.finished_steps == self.total or self.stop_requested.is_set()

            def due(every: int, step: int = self.finished_steps, ended: bool = ended) -> bool:
                return ended or step % every == 0

            if due(settings.log_every):
                self.losses = log.read()
                elapsed = time.perf_counter() - clock
                clock += elapsed
                self.seconds += elapsed
                self._log(bar, (self.finished_steps - logged_at) / elapsed)
                logged_at = self.finished_steps
            if self.accelerator.is_main_process and due(settings.sample_every):
                self._sample()
            if due(settings.checkpoint_every):
                log.check()
                self._checkpoint()
            # The last push is made once, by `run`.
            if pusher is not None and hub.push_every and self.finished_steps % hub.push_every == 0:
                pusher.submit(settings.out / WEIGHTS)

    def _batches(self) -> Iterator[Batch]:
        settings = self.config.training
        workers = self.config.data.workers
        if workers is None:
            workers = 0 if self.device.type == "cpu" else 4
        positions = range(
            self.finished_steps * self.images_per_step, self.total * self.images_per_step
        )
        loader = DataLoader(
            self.dataset,
            batch_size=settings.batch_size,
            sampler=positions,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            # Its own generator: starting workers draws a number, which a resumed run draws again.
            generator=torch.Generator().manual_seed(settings.seed),
        )
        return iter(self.accelerator.prepare(loader))

    def _progress(self) -> Any:
        return tqdm(
            main_process_only=True,
            total=self.total,
            initial=self.finished_steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
        )

    def _log(self, bar: Any, steps_per_second: float) -> None:
        rate = self.learning_rate(self.finished_steps - 1)
        images = self.finished_steps * self.images_per_step
        values = {
            "step": self.finished_steps,
            "epoch": images / len(self.dataset),
            "seconds": round(self.seconds, 3),
            "images": images,
            "images_per_second": round(steps_per_second * self.images_per_step, 3),
            "learning_rates": {phase.name: rate for phase in self.phases},
            "losses": self.losses,
        }
        short = {name.replace("/", " "): f"{loss:.3f}" for name, loss in self.losses.items()}
        bar.set_postfix({**short, "images/s": f"{values['images_per_second']:.1f}"}, refresh=False)
        if self.accelerator.is_main_process:
            self.writer.metrics(values)
            eta = (self.total - self.finished_steps) / max(steps_per_second, 1e-9)
            self._status("running", eta_seconds=round(eta, 1))
        if self.config.training.tracker != "none":
            self.accelerator.log({**self.losses, "learning_rate": rate}, step=self.finished_steps)

    def _status(self, phase: str, **more: Any) -> None:
        self.writer.status(phase, self.finished_steps, self.total, device=str(self.device), **more)

    @torch.no_grad()
    def _sample(self) -> None:
        if not self.probes:
            self.probes = data.load_probes(self.dataset, PROBES)
        batch = {name: images.to(self.device) for name, images in self.probes.items()}
        with self.accelerator.autocast():
            self.sampled = self.model.sample(self.ema, batch)
        self.writer.sample(self.finished_steps, grid(list(self.sampled.values())))

    def _checkpoint(self) -> None:
        # A finite loss can have gradients that are not; such weights must never become the newest.
        refuse_non_finite(self.networks, self.finished_steps)
        if self.accelerator.is_main_process:
            settings = self.config.training
            folder = settings.out / CHECKPOINTS
            save_checkpoint(folder, self.finished_steps, self.state(), settings.keep_checkpoints)
            self.writer.weights(
                self.config,
                self.images,
                self.ema,
                self.sampled,
                self.losses,
                self.finished_steps,
                self.seconds,
            )
        self.accelerator.wait_for_everyone()

    # ------------------------------------------------------------------ what a checkpoint holds

    def state(self) -> dict[str, Any]:
        """Collect everything that the rest of the run depends on."""
        scaler = self.accelerator.scaler
        return {
            "step": self.finished_steps,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scaler": scaler.state_dict() if scaler is not None else {},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a collected state."""
        self.finished_steps = state["step"]
        self.seconds = state["seconds"]
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_cuda"])
