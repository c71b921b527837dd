"""What several processes that train together say to each other, on top of Accelerate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from cyclegan.errors import UserError


class ProcessError(UserError):
    """Another process of the same training is gone, or sees something else."""

    exit_code = 1


def average_gradients(accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> None:
    """Replace the gradients of an optimiser's parameters by their means over all processes.

    By hand, since DistributedDataParallel allows neither frozen phases nor several forwards.

    Raises ProcessError when a process is gone.
    """
    if accelerator.num_processes == 1:
        return
    gradients = [
        p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
    ]
    own = torch.cat([gradient.flatten() for gradient in gradients])
    with _together():
        mean = cast(Tensor, accelerator.reduce(own, "mean"))
    parts = mean.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def gather(accelerator: Accelerator, tensor: Tensor) -> Tensor:
    """Stack a tensor [1, …] of every process to [processes, …]; raises ProcessError."""
    with _together():
        return cast(Tensor, accelerator.gather(tensor))


def gather_states(accelerator: Accelerator, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring a state of every process to every process, in their order; raises ProcessError."""
    if accelerator.num_processes == 1:
        return [state]
    with _together():
        return gather_object([state])


def own_share(accelerator: Accelerator, states: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose this process's state of those gathered; if there are more now, they share in turn."""
    return states[accelerator.process_index % len(states)]


def any_process(accelerator: Accelerator, flag: bool) -> bool:
    """Whether `flag` is set in any process; raises ProcessError."""
    if accelerator.num_processes == 1:
        return flag
    flags = gather(accelerator, torch.tensor([flag], device=accelerator.device, dtype=torch.uint8))
    return bool(flags.any())


def refuse_different_steps(accelerator: Accelerator, step: int) -> None:
    """Raise ProcessError when processes found different checkpoints to go on from."""
    own = torch.tensor([step], device=accelerator.device)
    steps = gather(accelerator, own).tolist()
    if len(set(steps)) > 1:
        raise ProcessError(
            f"The processes see different checkpoints (steps {steps}); put --out on a file system "
            "that all machines share."
        )


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # Both gloo and NCCL report a lost peer so, in words that depend on the transport.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ProcessError(
            f"Another process of this training is gone ({reason}); run the same command again to "
            "go on from the last checkpoint."
        ) from error
