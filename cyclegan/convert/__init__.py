"""Checkpoints of other code bases, turned into weights folders."""

from cyclegan.convert.conversion import convert
from cyclegan.convert.reading import ConvertError

__all__ = ["ConvertError", "convert"]
