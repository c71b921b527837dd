"""In which precision networks run."""

import time
from functools import cache

import torch
from torch.nn import functional as F


def halves(device: torch.device) -> bool:
    """Whether bfloat16 is quicker than float32; what it rounds off, an eye does not see."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and _halves_on_cpu()


@cache
def _halves_on_cpu() -> bool:
    # Processors with instructions for it take two thirds of the time, others several times as
    # long, and torch has no public way to ask which it is.
    least = {}
    for precision in (torch.float32, torch.bfloat16):
        picture = torch.zeros(1, 64, 48, 48, dtype=precision)
        kernel = torch.zeros(64, 64, 3, 3, dtype=precision)
        times = []
        for _ in range(10):
            start = time.perf_counter()
            F.conv2d(picture, kernel)
            times.append(time.perf_counter() - start)
        least[precision] = min(times)
    return least[torch.bfloat16] < least[torch.float32]
