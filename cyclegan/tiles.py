"""Running a generator on pictures of any size in bounded memory, tile by tile, without seams.

Two things would show a seam. Instance norm takes its statistics from what it is given, so tiles
normalised by themselves differ in colour: all tiles share the statistics of one small pass over
the whole picture. And at its border a tile lacks its surroundings: tiles overlap by as far as the
network looks, and of each only the part is kept that has seen everything it looks at. What is kept
is then what the network makes of the whole picture at once, and there is nothing to blend.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.compiled import Compiled
from cyclegan.graphed import Halved
from cyclegan.images import to_tensor
from cyclegan.networks import Generator

PIXELS = 600_000
"""How many pixels a network is given at once; generators of the paper's size take 0.9 GB then."""

Size = tuple[int, int]
Box = tuple[int, int, int, int]


def run_padded(network: Generator, real: Tensor) -> Tensor:
    """Run a generator on [1, C, H, W] of any H and W: pad to what it can take, and crop back."""
    height, width = real.shape[-2:]
    return network(_padded(network, real))[..., :height, :width]


def _padded(network: Generator, real: Tensor) -> Tensor:
    """Continue a picture to the right and downwards to what a generator can take.

    By its mirror image or, where it is too small to be mirrored, by its border.
    """
    height, width = real.shape[-2:]
    right, below = (
        max(network.minimum, -(-length // network.multiple) * network.multiple) - length
        for length in (width, height)
    )
    mirrored = right < width and below < height
    return F.pad(real, (0, right, 0, below), mode="reflect" if mirrored else "replicate")


@torch.no_grad()
def calibrated(network: Generator, real: Tensor) -> Generator:
    """Copy a generator, sharing its parameters, and freeze the statistics of its instance norms.

    They are those of one picture, [1, C, H, W]; on that picture the copy paints what the generator
    does.
    """
    if isinstance(network, Compiled):
        return network.frozen(_padded(network, real))
    if isinstance(network, Halved):
        # Tiles are few sizes, but of every picture others; their statistics want all digits.
        network = network.original
    parameters = {id(parameter): parameter for parameter in network.parameters()}
    kept = copy.deepcopy(network, parameters)
    norms = [module for module in kept.modules() if isinstance(module, nn.InstanceNorm2d)]
    hooks = [norm.register_forward_pre_hook(_freeze) for norm in norms]
    run_padded(kept, real)
    for hook in hooks:
        hook.remove()
    return kept


def _freeze(norm: nn.InstanceNorm2d, inputs: tuple[Tensor]) -> None:
    norm.running_var, norm.running_mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
    norm.track_running_stats = True


def run_tiled(
    network: Generator, image: Image.Image, channels: int, turn: AbstractContextManager
) -> tuple[np.ndarray, bool]:
    """Run a generator on a whole picture, at most `PIXELS` at a time.

    `channels` are those that it takes, and `turn` is entered for every tile. More than one tile
    needs a network that looks no further than `network.reach` and that was `calibrated`.

    Returns float16 [C, h, w]: what it changed or, where it paints other channels than it takes,
    what it painted; and whether it is the change.
    """
    device = next(iter(network.parameters()), torch.empty(0)).device
    values, adds = np.empty(0), True
    for kept, seen in tiles(image.size, network):
        real = to_tensor(image.crop(seen), channels).unsqueeze(0)
        with turn:
            fake = run_padded(network, real.to(device)).float().cpu()
        adds = fake.shape == real.shape
        change = (fake - real if adds else fake)[0].numpy().astype(np.float16)
        if not values.size:
            values = np.empty((len(change), image.height, image.width), np.float16)
        left, top = kept[0] - seen[0], kept[1] - seen[1]
        right, bottom = kept[2] - seen[0], kept[3] - seen[1]
        values[:, kept[1] : kept[3], kept[0] : kept[2]] = change[:, top:bottom, left:right]
    return values, adds


def tiles(size: Size, network: Generator) -> Iterator[tuple[Box, Box]]:
    """Divide a picture into what is kept of each tile, and the tile that the network is given."""
    width, height = size
    high, wide = (max(length, network.minimum) for length in (height, width))
    if network.reach is None or wide * high <= PIXELS:
        yield (0, 0, width, height), (0, 0, width, height)
        return
    # As square as the picture allows.
    high = min(high, max(math.isqrt(PIXELS), PIXELS // wide))
    columns = _spans(width, PIXELS // high, network)
    for (top, bottom), (above, below) in _spans(height, high, network):
        for (left, right), (before, after) in columns:
            yield (left, top, right, bottom), (before, above, after, below)


def _spans(length: int, tile: int, network: Generator) -> list[tuple[Size, Size]]:
    """Divide one axis: from where to where tiles are kept, and from where to where they look."""
    if length <= tile:
        return [((0, length), (0, length))]
    # Tiles begin where the network's grid does; a network that looks too far is cut short.
    grid = network.multiple
    reach = min(-(-(network.reach or 0) // grid) * grid, tile // 4 // grid * grid)
    count = -(-length // (tile - 2 * reach))
    step = -(-length // (count * grid)) * grid
    return [
        (
            (start, min(start + step, length)),
            (max(0, start - reach), min(start + step + reach, length)),
        )
        for start in range(0, length, step)
    ]


def fitting(size: Size, network: Generator) -> Size:
    """Scale a size down to what a network can be given at once, padding included.

    Of what is much longer than wide, the long side gives way.
    """
    scale = min(1.0, math.sqrt(PIXELS / (size[0] * size[1])))
    width, height = (max(1, round(length * scale)) for length in size)
    longest = PIXELS // max(min(width, height), network.minimum)
    return min(width, longest), min(height, longest)
