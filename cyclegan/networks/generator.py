"""What every generator tells about the images that it can take."""

from torch import nn


class Generator(nn.Module):
    """The interface of generators: images in, images of the same height and width out.

    Attributes:
        multiple: height and width must be multiples of it.
        minimum: and at least this many pixels.
        reach: how far away, in pixels, a pixel of the input can change the output when the
            statistics of norms are fixed; None where it can everywhere.
    """

    multiple: int
    minimum: int
    reach: int | None = None
