"""The families of models. Adding one is a new file here and one line in `FAMILIES`."""

from cyclegan.models.base import Batch, Cache, Model, Networks, Phase
from cyclegan.models.bicyclegan import BicycleGAN
from cyclegan.models.cut import CUT
from cyclegan.models.cyclegan import CycleGAN
from cyclegan.models.dcgan import DCGAN
from cyclegan.models.pix2pix import Pix2Pix

FAMILIES: dict[str, type[Model]] = {
    family.family: family for family in (CycleGAN, CUT, Pix2Pix, BicycleGAN, DCGAN)
}


def family_of(config: object) -> type[Model]:
    """Find the family whose settings `config` holds."""
    return next(family for family in FAMILIES.values() if isinstance(config, family.Config))


__all__ = ["FAMILIES", "Batch", "Cache", "CycleGAN", "Model", "Networks", "Phase", "family_of"]
