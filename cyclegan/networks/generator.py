"""What every generator tells about the images that it can take."""

from torch import nn


class Generator(nn.Module):
    """The interface of generators: images in, images of the same height and width out.

    Attributes:
        multiple: height and width must be multiples of it.
        minimum: and at least this many pixels.
    """

    multiple: int
    minimum: int
