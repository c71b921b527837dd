"""Networks, and nothing else: every one an nn.Module that knows its own shapes."""

from cyclegan.networks.generator import Generator
from cyclegan.networks.initialisation import initialise
from cyclegan.networks.patchgan import PatchDiscriminator
from cyclegan.networks.resnet import ResnetGenerator
from cyclegan.networks.unet import UnetGenerator

__all__ = ["Generator", "PatchDiscriminator", "ResnetGenerator", "UnetGenerator", "initialise"]
