"""The families of models. Adding one is a new file here and one line in `FAMILIES`."""

from cyclegan.models.base import Batch, Cache, Model, Networks, Phase
from cyclegan.models.cyclegan import CycleGAN

FAMILIES: dict[str, type[Model]] = {family.family: family for family in (CycleGAN,)}


def family_of(config: object) -> type[Model]:
    """Find the family whose settings `config` holds."""
    return next(family for family in FAMILIES.values() if isinstance(config, family.Config))


__all__ = ["FAMILIES", "Batch", "Cache", "CycleGAN", "Model", "Networks", "Phase", "family_of"]
