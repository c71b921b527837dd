"""A classifier of two sets of pictures, trained on the spot: what it can tell apart, differs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import shufflenet_v2_x0_5

from cyclegan.augment import augment

BATCH = 32
RATE = 2e-3


@dataclass(frozen=True)
class Classifier:
    """A small ShuffleNet V2 (Ma et al. 2018) with two answers, in evaluation mode."""

    network: nn.Module

    @torch.inference_mode()
    def is_second(self, images: Tensor) -> Tensor:
        """Tell of [N, 3, H, W] in [-1, 1] which are rather of the second set: bool [N]."""
        answers = [self.network(batch).argmax(1) for batch in images.split(BATCH)]
        return torch.cat(answers).bool().cpu()

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """What the answers are made from: [N, 1024] of [N, 3, H, W] in [-1, 1]."""
        # All but the last layer, as the network's own forward has it.
        x = images
        for layer in list(self.network.children())[:-1]:
            x = layer(x)
        return x.mean([2, 3])


def train_classifier(
    first: Tensor, second: Tensor, steps: int, seed: int, device: torch.device
) -> Classifier:
    """Train on two sets of images [N, 3, H, W] in [-1, 1], as often on one as on the other.

    They are seen mirrored and moved. The random state of torch stays as it was; the result is the
    same every time on one machine.
    """
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=forked):
        torch.manual_seed(seed)
        network = shufflenet_v2_x0_5(num_classes=2).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        truth = torch.arange(2).repeat_interleave(BATCH // 2).to(device)
        for _ in range(steps):
            drawn = [group[torch.randint(len(group), (BATCH // 2,))] for group in (first, second)]
            images = torch.cat(drawn).to(device)
            mirrored = torch.rand(BATCH, 1, 1, 1, device=device) < 0.5
            images = augment(torch.where(mirrored, images.flip(3), images), ["translation"])
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(network(images), truth).backward()
            optimizer.step()
            schedule.step()
    return Classifier(network.eval().requires_grad_(False))
