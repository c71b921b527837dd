"""What is trained and how: networks, optimisers, and one training step.

Read `Learner.step` first: it is the whole algorithm.
"""

import copy
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from cyclegan import processes
from cyclegan.averaging import update_averages
from cyclegan.config import ConfigError, RunConfig
from cyclegan.models import Batch, Cache, family_of
from cyclegan.monitoring import memory_explained
from cyclegan.networks import Generator
from cyclegan.weights import Weights

LOWER = 0.5
"""By what the learning rate is multiplied each time that a run goes back to a checkpoint."""


class Learner:
    """A model with its optimisers and averages. It knows phases and nothing of families.

    Args:
        config: of the run.
        accelerator: device, precision and processes.

    Attributes:
        total: steps of the whole run, which the schedules need; the loop sets it.
        finished_steps: how many were taken.
        lowered: how often the rate was lowered.

    Raises ConfigError when the settings make no network, OutOfMemoryError when they make too large
    a one.
    """

    def __init__(self, config: RunConfig, accelerator: Accelerator):
        settings, family = config.training, family_of(config.model)
        self.settings = settings
        self.accelerator = accelerator
        # Every process starts from the same weights.
        set_seed(settings.seed)
        try:
            with memory_explained(config, accelerator.device):
                model = family(config.model, config.data.image_size)
                self.model = model.to(accelerator.device)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16":
            # Convolutions in bf16 want pixels whose channels lie together, and turn all others
            # round, there and back.
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # From here on, dropout and augmentation differ from process to process.
        set_seed(settings.seed + accelerator.process_index)
        self.networks = self.model.networks
        shipped = nn.ModuleDict({name: self.networks[name] for name in family.ships})
        self.averages = (
            copy.deepcopy(shipped).requires_grad_(False).eval() if settings.ema else shipped
        )
        if settings.checkpoint_activations:
            self._checkpoint_activations()
        if settings.compile:
            for network in self.networks.values():
                # In place: names in checkpoints stay. Sizes are few, and a step at one is the same
                # in a resumed run only if it was compiled for that size.
                network.compile(dynamic=False)
        self.phases = self.model.phases()
        self.optimizers = {
            phase.name: accelerator.prepare(
                torch.optim.Adam(
                    [p for name in phase.trains for p in self.networks[name].parameters()],
                    lr=settings.learning_rate * phase.rate,
                    betas=(settings.beta1, settings.beta2),
                    # One pass over all weights; Apple's chips are left to torch's choice.
                    fused=accelerator.device.type in ("cpu", "cuda") or None,
                )
            )
            for phase in self.phases
        }
        self.total = 1
        self.finished_steps = 0
        self.lowered = 0

    def start_from(self, weights: Weights, source: str) -> None:
        """Take over trained networks; `source` is what messages call them.

        Raises ConfigError when they are of another family, or their layers have other shapes.
        """
        ours = family_of(self.model.config).family
        if weights.config.model != ours:
            raise ConfigError(
                f"{source} holds a {weights.config.model} and this trains a {ours}; start from "
                "weights of the same family."
            )
        for name, network in weights.networks.items():
            state = network.state_dict()
            # Attention may be new, and begins by changing little.
            own = {k: v for k, v in self.networks[name].state_dict().items() if "attention" in k}
            try:
                self.networks[name].load_state_dict(own | state)
            except RuntimeError:
                raise ConfigError(
                    f"The {name} of {source} has other layers than these settings make; its own "
                    "are in its config.json."
                ) from None
            self.averages[name].load_state_dict(own | state)

    def _checkpoint_activations(self) -> None:
        generators = [net for net in self.networks.values() if isinstance(net, Generator)]
        if not generators:
            raise ConfigError("--checkpoint-activations is for families that translate.")
        for generator in generators:
            if any(isinstance(layer, nn.BatchNorm2d) for layer in generator.modules()):
                raise ConfigError(
                    "--checkpoint-activations computes a batch twice, which batch norm would count "
                    "twice; use another --norm or leave it out."
                )
            generator.checkpoints = True

    def step(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Take one training step: every phase once, over the batches to accumulate.

        Returns every loss, detached and still on the device, under "phase/loss".
        """
        self.model.progress = self.finished_steps / self.total
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
            processes.average_gradients(self.accelerator, optimizer)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(self.finished_steps) * phase.rate
            optimizer.step()
        self.finished_steps += 1
        if self.settings.ema:
            update_averages(self.averages, self.networks, self.settings.ema, self.finished_steps)
        return logged

    def learning_rate(self, step: int) -> float:
        """Give the rate of a step: constant, then linear to zero (Zhu et al. 2017, section 4).

        Every rollback has halved it.
        """
        start = self.settings.decay_from * self.total
        left = (self.total - step) / max(1.0, self.total - start)
        return self.settings.learning_rate * LOWER**self.lowered * min(1.0, left)

    def state(self) -> dict[str, Any]:
        """Collect what the next step depends on, from all processes."""
        scaler = self.accelerator.scaler
        model = self.model.state_dict()
        own = {
            # Pools of images, which differ from process to process; weights do not.
            "extra": {key: model.pop(key) for key in list(model) if key.endswith("_extra_state")},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return {
            "step": self.finished_steps,
            "learning_rate": self.settings.learning_rate,
            "lowered": self.lowered,
            "model": model,
            "ema": self.averages.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scaler": scaler.state_dict() if scaler is not None else {},
            "processes": processes.gather_states(self.accelerator, own),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a collected state.

        With more processes than it came from, pools and random numbers are shared out in turn.
        """
        self.finished_steps = state["step"]
        # A rate that was changed by hand counts as it stands.
        same = state["learning_rate"] == self.settings.learning_rate
        self.lowered = state["lowered"] if same else 0
        own = processes.own_share(self.accelerator, state["processes"])
        self.model.load_state_dict({**state["model"], **own["extra"]})
        self.averages.load_state_dict(state["ema"])
        for name, optimizer in self.optimizers.items():
            saved, fused = state["optimizers"][name], optimizer.param_groups[0]["fused"]
            # How a step is computed is this machine's business, not the checkpoint's.
            groups = [{**group, "fused": fused} for group in saved["param_groups"]]
            optimizer.load_state_dict({**saved, "param_groups": groups})
            # A fused step pairs numbers by where they lie, which the checkpoint's machine may have
            # chosen otherwise.
            for parameter, moments in optimizer.state.items():
                for key, moment in moments.items():
                    if moment.shape == parameter.shape:
                        moments[key] = torch.empty_like(parameter).copy_(moment)
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(own["random"])
        if own["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(own["random_cuda"])
