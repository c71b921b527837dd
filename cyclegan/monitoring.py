"""What ends or turns back a training: losses that are no numbers, signals, too little memory."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cyclegan.config import RunConfig
from cyclegan.errors import UserError
from cyclegan.models import Networks


class DivergenceError(UserError):
    """A loss or a parameter stopped being a finite number."""

    exit_code = 1


class OutOfMemoryError(UserError):
    """The networks and images do not fit into memory."""

    exit_code = 1


class LossLog:
    """Sums losses on their device and remembers the first step at which one was not finite.

    Nothing here waits for the device but `check` and `read`.

    Args:
        gather: stacks a tensor of every process; with it, all processes judge and report the same.
    """

    def __init__(self, gather: Callable[[Tensor], Tensor]):
        self._gather = gather
        self._names: list[str] = []
        self._sum: Tensor | None = None
        self._count = 0
        self._bad_step: Tensor | None = None

    def add(self, losses: dict[str, Tensor], step: int) -> None:
        """Take in the losses of a step."""
        values = torch.stack([loss.float() for loss in losses.values()])
        if self._sum is None or self._bad_step is None or self._names != list(losses):
            # At the start, and where a run goes on with a weight that makes or ends a loss.
            self._names, self._count = list(losses), 0
            self._sum = torch.zeros_like(values)
            self._bad_step = torch.zeros_like(values, dtype=torch.long)
        # Sums read from a checkpoint are on the CPU, whatever trains now.
        self._sum, self._bad_step = self._sum.to(values.device), self._bad_step.to(values.device)
        first = (self._bad_step == 0) & ~torch.isfinite(values)
        self._bad_step = torch.where(first, step, self._bad_step)
        self._sum = self._sum + values
        self._count += 1

    def check(self) -> None:
        """Raise DivergenceError, naming the loss and its step, if one was not finite anywhere."""
        if self._bad_step is None:
            return
        steps = self._gather(self._bad_step[None]).tolist()
        bad = [(step, place) for process in steps for place, step in enumerate(process) if step > 0]
        if bad:
            # The one that was added up first is the nearest to the cause.
            step, place = min(bad)
            raise DivergenceError(f"The loss {self._names[place]} is not finite at step {step}")

    def read(self) -> dict[str, float]:
        """Return the means over steps and processes since the last reading, and start over.

        Raises as `check` does.
        """
        self.check()
        assert self._sum is not None
        means = (self._gather(self._sum[None]).mean(0) / self._count).tolist()
        self._sum, self._count = torch.zeros_like(self._sum), 0
        return dict(zip(self._names, means, strict=True))

    def state(self) -> dict[str, Any]:
        """Collect the sums since the last reading."""
        return {
            "names": self._names,
            "sum": self._sum,
            "count": self._count,
            "bad_step": self._bad_step,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to collected sums."""
        self._names, self._count = list(state["names"]), state["count"]
        self._sum, self._bad_step = state["sum"], state["bad_step"]


def refuse_non_finite(networks: Networks, step: int) -> None:
    """Raise DivergenceError, naming the network, when a parameter is not a finite number."""
    for name, network in networks.items():
        if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
            raise DivergenceError(f"The weights of {name} are not finite after step {step}")


@contextmanager
def memory_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn any kind of running out of memory into an OutOfMemoryError that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        words = ("out of memory", "can't allocate memory", "not enough memory")
        if not isinstance(error, MemoryError) and not any(word in text for word in words):
            raise
        training, size = config.training, config.data.image_size
        raise OutOfMemoryError(
            f"{device} ran out of memory at --batch-size {training.batch_size}, --image-size "
            f"{size} and --precision {training.precision}: lower the batch size (--accumulate "
            "makes up for it), the image size or --width, or use --precision bf16."
        ) from error


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
