"""Weights that translate one way only, with known answers."""

from pathlib import Path

import torch
from page_server import ROOT
from torch import nn

from cyclegan.config import to_json
from cyclegan.models import FAMILIES
from cyclegan.models.pix2pix import Pix2PixConfig
from cyclegan.networks import UnetGenerator
from cyclegan.ui.entries import sources
from cyclegan.weights import WeightsConfig, read_config, save_weights

RED = (255, 0, 0)
SIDE = 16
# What ships is on every page, in the page's order.
SHIPPED = {
    Path(source).name: list(FAMILIES[read_config(Path(source)).model].translators)
    for source in sources([], ROOT / "weights")
}
TRANSLATING = [name for name, ways in SHIPPED.items() if ways]


def reddening(folder: Path, drawn: bool = False) -> Path:
    """A pix2pix from line art to emoji, whose U-Net of 16 pixels paints all red."""
    network = UnetGenerator(width=2, image_size=SIDE)
    nn.init.zeros_(network.get_parameter("up.0.1.weight"))
    network.get_parameter("up.0.1.bias").data = torch.tensor([20.0, -20.0, -20.0])
    settings = to_json(Pix2PixConfig(width=2))
    config = WeightsConfig(1, "pix2pix", "line art", "emoji", SIDE, settings, drawn=drawn)
    save_weights(folder, config, {"generator_ab": network})
    return folder
