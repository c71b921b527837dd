"""Networks averaged over training, which make better pictures than the last ones (Yazıcı 2019)."""

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def update_averages(averages: nn.ModuleDict, networks: nn.ModuleDict, decay: float, step: int):
    """Move every averaged network towards its model after `step` steps, in place.

    average ← d · average + (1 - d) · network, with d = min(decay, (1 + step) / (10 + step)): early
    on it follows faster, or it would remember the random start for long. Buffers are copied.
    """
    average = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))
    for name, network in averages.items():
        source = networks[name]
        average(list(network.parameters()), list(source.parameters()), None)
        for buffer, current in zip(network.buffers(), source.buffers(), strict=True):
            buffer.copy_(current)
