"""Networks, and nothing else: every one an nn.Module that knows its own shapes."""

from cyclegan.networks.dcgan import DcganDiscriminator, DcganGenerator
from cyclegan.networks.efficientnet import EfficientNetLite, EfficientNetLiteClasses
from cyclegan.networks.encoder import LatentEncoder
from cyclegan.networks.generator import Generator
from cyclegan.networks.initialisation import initialise
from cyclegan.networks.multiscale import MultiscaleDiscriminator
from cyclegan.networks.patchgan import PatchDiscriminator
from cyclegan.networks.projected import ProjectedDiscriminator
from cyclegan.networks.projection import Projections
from cyclegan.networks.resnet import ResnetGenerator
from cyclegan.networks.unet import UnetGenerator

__all__ = [
    "DcganDiscriminator",
    "DcganGenerator",
    "EfficientNetLite",
    "EfficientNetLiteClasses",
    "Generator",
    "LatentEncoder",
    "MultiscaleDiscriminator",
    "PatchDiscriminator",
    "ProjectedDiscriminator",
    "Projections",
    "ResnetGenerator",
    "UnetGenerator",
    "initialise",
]
