"""A history of generated images (Shrivastava et al. 2017, section 2.3)."""

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Shows a discriminator older fakes half of the time, which damps oscillation.

    Args:
        size: how many images are remembered; 50 in CycleGAN, 0 switches the pool off.
        seed: of the pool's own random numbers, drawn on the CPU, so that asking never waits for
            the device.

    A module, though it has no parameters, so that a model's state_dict holds its images and its
    random state and a resumed run goes on exactly.
    """

    def __init__(self, size: int = 50, seed: int = 0):
        super().__init__()
        if size < 0:
            raise ValueError(f"ImagePool: size is {size}; it must be 0 (off) or more.")
        self.size = size
        self.images: list[Tensor] = []
        self._random = torch.Generator().manual_seed(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Take a batch [N, C, H, W] and return one of the same shape, type and device, detached.

        While the pool fills, images are stored and passed through. Then each image is, with
        probability one half, swapped for a random stored one, which it replaces. In evaluation mode
        the pool passes everything through and stays as it is.
        """
        images = images.detach()
        if self.size == 0 or not self.training:
            return images
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        # Stored images are copies: a view would keep the whole batch that it came from alive.
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.rand((), generator=self._random) < 0.5:
            return image
        index = int(torch.randint(self.size, (), generator=self._random))
        stored = self.images[index]
        self.images[index] = image.clone()
        # A pool read from a checkpoint is on the CPU, whatever trains now.
        return stored.to(image)

    def get_extra_state(self) -> dict[str, Any]:
        return {"images": self.images, "random": self._random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.images = list(state["images"])
        self._random.set_state(state["random"].cpu())
