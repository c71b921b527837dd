"""Where a training or a translation runs."""

import logging
import os
import shutil
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
from cyclegan.precision import halves

logger = logging.getLogger(__name__)

COMPILERS = (os.environ.get("CXX") or "g++", "g++", "clang++", "cl")
"""What torch.compile looks for."""


def make_accelerator(settings: TrainingConfig) -> Accelerator:
    """Make the Accelerate object that knows the device, the precision and the processes.

    fp16 without a GPU becomes float32, with a warning; `mixed_precision` says what "auto" became.

    Raises ConfigError when the package of a tracker or the compiler is not installed.
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
    if settings.compile and not any(map(shutil.which, COMPILERS)):
        raise ConfigError(
            "--compile needs a C++ compiler, and this machine has none; install g++ or leave "
            "--compile out."
        )
    precision = settings.precision
    if precision == "auto":
        kind = "cpu" if on_cpu else "cuda" if torch.cuda.is_available() else "mps"
        precision = "bf16" if halves(torch.device(kind)) else "no"
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
