"""Where a training or a translation runs."""

import logging
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    InitProcessGroupKwargs,
    is_tensorboard_available,
    is_wandb_available,
)

from cyclegan.config import ConfigError, TrainingConfig

logger = logging.getLogger(__name__)


def make_accelerator(settings: TrainingConfig) -> Accelerator:
    """Make the Accelerate object that knows the device, the precision and the processes.

    fp16 without a GPU becomes float32, with a warning.

    Raises ConfigError when the package of a tracker is not installed.
    """
    tracker = settings.tracker
    missing = (tracker == "tensorboard" and not is_tensorboard_available()) or (
        tracker == "wandb" and not is_wandb_available()
    )
    if missing:
        raise ConfigError(f"--tracker {tracker} needs a package: pip install {tracker}.")
    on_cpu = settings.device == "cpu" or not (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )
    precision = settings.precision
    if precision == "fp16" and on_cpu:
        logger.warning("fp16 needs a GPU; this CPU trains in float32. Try --precision bf16.")
        precision = "no"
    # Accelerate allows one precision a process; a notebook may train twice with different ones.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=on_cpu,
        gradient_accumulation_steps=settings.accumulate,
        log_with=None if tracker == "none" else tracker,
        project_dir=settings.out,
        # The first process samples and measures while the others wait; a dead one is noticed by
        # its closed connection, long before this.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(minutes=30))],
    )
    if tracker != "none":
        accelerator.init_trackers("cyclegan")
    return accelerator
