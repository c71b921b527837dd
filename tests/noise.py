"""Generators with known answers: DCGAN and BicycleGAN whose z is a colour."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cyclegan.config import to_json
from cyclegan.models.bicyclegan import BicycleGAN, BicycleGANConfig
from cyclegan.models.dcgan import DCGAN, DCGANConfig
from cyclegan.weights import WeightsConfig, save_weights

STYLE = (0.5, -1.0, 1.5)
"""What the encoder of `tints` finds in every picture."""


def shade(value: float) -> float:
    """What becomes of a number in [-1, 1] after tanh, from 0 to 255."""
    return float(127.5 * (np.tanh(value) + 1))


def colours(folder: Path, latent: int = 3) -> Path:
    """A DCGAN of 32 pixels: all of a picture is tanh of z's first three numbers, as RGB."""
    settings = DCGANConfig(width=6, latent=latent)
    network = DCGAN.builders(settings, 32)["generator"]()
    first, *_, last = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            # Each pixel becomes four: of what a doubled pixel could see, the nearest.
            nn.init.zeros_(module.weight)
            for channel in range(min(6, *module.weight.shape[:2])):
                module.weight.data[channel, channel, 1:3, 1:3] = 1
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.fill_(1)
            module.bias.data.fill_(0)
    for weight in (first.weight.data, last.weight.data):
        weight.fill_(0)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    for colour in range(3):
        # Past a ReLU only what is positive gets, hence twice.
        for sign, channel in ((1, 2 * colour), (-1, 2 * colour + 1)):
            first.weight.data[colour, channel] = sign
            last.weight.data[channel, colour, 1:3, 1:3] = sign
    config = WeightsConfig(1, "dcgan", "colour", "", 32, to_json(settings))
    save_weights(folder, config, {"generator": network}, torch.float32)
    return folder


def tints(folder: Path, encoder: bool = True) -> Path:
    """A BicycleGAN of 16 pixels: of a picture in one colour, all becomes tanh(colour + z)."""
    settings = BicycleGANConfig(
        width=6, latent=3, encoder_width=2, encoder="conv" if encoder else "none"
    )
    build = BicycleGAN.builders(settings, 16)
    network = build["generator_ab"]()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    down, up = network.get_parameter("down.0.0.weight"), network.get_parameter("up.0.1.weight")
    for colour in range(3):
        for sign, channel in ((1, 2 * colour), (-1, 2 * colour + 1)):
            # A pixel of four on the way down, with z beside it; all four again on the way up.
            down.data[channel, (colour, 3 + colour), 1, 1] = sign
            up.data[channel, colour, 1:3, 1:3] = sign
    networks = {"generator_ab": network}
    if encoder:
        networks["encoder_b"] = build["encoder_b"]()
        for parameter in networks["encoder_b"].parameters():
            nn.init.zeros_(parameter)
        networks["encoder_b"].get_parameter("mean.bias").data[:] = Tensor(STYLE)
    config = WeightsConfig(1, "bicyclegan", "sketch", "paint", 16, to_json(settings))
    save_weights(folder, config, networks, torch.float32)
    return folder
