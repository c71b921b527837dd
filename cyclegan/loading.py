"""From a data set to the batches of one process."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cyclegan.data import Photos


def batches(
    dataset: Photos,
    positions: range,
    size: int,
    process: int,
    processes: int,
    workers: int | None,
    device: torch.device,
) -> Iterator[dict[str, Tensor]]:
    """Load the images at `positions`, in order, in batches on `device`.

    Args:
        dataset: whose image k is a function of k alone.
        positions: those of all processes together.
        size: images of a batch.
        process, processes: which of how many this is. They take turns batch by batch, so that
            two with batches of one see in a step what one with a batch of two sees.
        workers: processes that read images; None for none on a CPU and four beside an accelerator.
            None are needed where the data set holds its photos on the device.
        device: where the batches go.
    """
    if dataset.held:
        workers = 0
    elif workers is None:
        workers = 0 if device.type == "cpu" else 4
    own: Any = (
        range(start, start + size) for start in positions[process * size :: processes * size]
    )
    # One loader for the whole run: its workers stay, and need no seed, since image k needs none.
    loader = DataLoader(
        dataset,
        batch_sampler=own,
        num_workers=workers,
        pin_memory=device.type == "cuda" and not dataset.held,
        # Its own generator: starting workers draws a number, which a resumed run draws again.
        generator=torch.Generator().manual_seed(0),
    )
    for batch in loader:
        yield {name: images.to(device, non_blocking=True) for name, images in batch.items()}
