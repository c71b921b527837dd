"""How networks start."""

from typing import TypeVar

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

Network = TypeVar("Network", bound=nn.Module)


def initialise(network: Network, std: float = 0.02) -> Network:
    """Draw every convolution's weights from N(0, std²) and set its bias to zero, in place.

    Batch-norm scales are drawn from N(1, std²). This is the DCGAN initialisation (Radford et al.
    2016, section 4) that pix2pix and CycleGAN took over. Returns `network`.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if is_parametrized(module, "weight"):
                # What spectral norm shows as the weight is made anew at every look, and each look
                # is a step of the power iteration that finds the norm; PyTorch starts with 15.
                module.weight = nn.init.normal_(module.weight.detach().clone(), 0.0, std)
                for _ in range(15):
                    _ = module.weight
            else:
                nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
    return network
