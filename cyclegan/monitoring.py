"""What watches over a training: its losses, and the signals that end it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.models import Networks

_ADVICE = (
    "the last good checkpoint is kept: lower --learning-rate or use --precision no, "
    "and run the command again."
)


class DivergenceError(UserError):
    """A loss stopped being a finite number; the last good checkpoint is kept."""

    exit_code = 1


class LossLog:
    """Sums losses on their device and remembers the first step at which one was not finite.

    Nothing here waits for the device but `check` and `read`.
    """

    def __init__(self):
        self._names: list[str] = []
        self._sum: Tensor | None = None
        self._count = 0
        self._bad_step: Tensor | None = None

    def add(self, losses: dict[str, Tensor], step: int) -> None:
        """Take in the losses of a step."""
        self._names = list(losses)
        values = torch.stack([loss.float() for loss in losses.values()])
        if self._sum is None or self._bad_step is None:
            self._sum = torch.zeros_like(values)
            self._bad_step = torch.zeros_like(values, dtype=torch.long)
        first = (self._bad_step == 0) & ~torch.isfinite(values)
        self._bad_step = torch.where(first, step, self._bad_step)
        self._sum = self._sum + values
        self._count += 1

    def check(self) -> None:
        """Raise DivergenceError, naming the loss and its step, if one was not finite."""
        if self._bad_step is None:
            return
        steps = self._bad_step.tolist()
        bad = [(step, name) for step, name in zip(steps, self._names, strict=True) if step]
        if bad:
            step, name = min(bad)
            raise DivergenceError(f"The loss {name} is not finite at step {step}; {_ADVICE}")

    def read(self) -> dict[str, float]:
        """Return the means since the last reading and start over. Raises as `check` does."""
        self.check()
        assert self._sum is not None
        means = (self._sum / self._count).tolist()
        self._sum, self._count = torch.zeros_like(self._sum), 0
        return dict(zip(self._names, means, strict=True))


def refuse_non_finite(networks: Networks, step: int) -> None:
    """Raise DivergenceError, naming the network, when a parameter is not a finite number."""
    for name, network in networks.items():
        if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
            raise DivergenceError(
                f"The weights of {name} are not finite after step {step}; {_ADVICE}"
            )


@contextmanager
def stopping_signals(stop_requested: threading.Event) -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into a clean stop after the current step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if stop_requested.is_set():
            raise KeyboardInterrupt
        stop_requested.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
