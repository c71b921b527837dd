"""Frames of a film: a generator on small pictures, as quickly as this machine can."""

from contextlib import AbstractContextManager

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cyclegan.compiled import Compiled
from cyclegan.images import to_image, to_tensor
from cyclegan.networks import Generator
from cyclegan.precision import halves
from cyclegan.tiles import run_padded


def run_frame(
    network: Generator, image: Image.Image, channels: int, blur: float, turn: AbstractContextManager
) -> Image.Image:
    """Run a generator on a picture as it is, however small, and at once.

    `channels` are those that it takes; `blur` is by how many pixels its change is smoothed; `turn`
    is entered while it runs.
    """
    if isinstance(network, Compiled):
        network = network.quick
    device = next(iter(network.parameters()), torch.empty(0)).device
    real = to_tensor(image, channels).unsqueeze(0).to(device)
    with turn, torch.autocast(device.type, torch.bfloat16, enabled=halves(device)):
        fake = run_padded(network, real)
    fake = fake.float()
    if blur and fake.shape == real.shape:
        # Following the edges, as photos deserve, would take a quarter as long as the network.
        fake = real + _smoothed(fake - real, blur)
    return to_image(fake[0])


def _smoothed(change: Tensor, blur: float) -> Tensor:
    """Two running means, whose standard deviation together is `blur`."""
    reach = min(round(1.2 * blur), min(change.shape[-2:]) - 1)
    for _ in range(2):
        padded = F.pad(change, (reach,) * 4, mode="replicate")
        change = F.avg_pool2d(padded, 2 * reach + 1, stride=1)
    return change
