"""What a network changed about a picture, carried to the picture at any size.

A network runs at the scale that it was trained for, where an edge is a hundredth of the picture
wide; enlarged as it is, its change would spill over the edges of a photo of many megapixels. So
the change is described by the colours of the photo around (a guided filter, He et al. 2013), and
the photo at its own size says where it begins and ends.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cyclegan.errors import UserError
from cyclegan.files import write_atomically
from cyclegan.images import to_image, to_tensor

MAX_PIXELS = 24_000_000
"""How many pixels a result has at most; larger pictures are scaled down to it first."""

TILE = 1024
"""Side of the squares in which a change is applied, so that its memory is bounded."""

RADIUS = 5
"""How far the colours around reach that describe a change, in pixels of the network."""

CONTRAST, STRONG_CONTRAST = 0.07, 0.25
"""Below this contrast around it, in [-1, 1], a change hardly follows the photo: noise is no edge. A
smoothed change follows strong edges only, for networks that paint detail too weakly would take the
photo's own away."""

WIDEST, COARSEST = 16, 16
"""Greatest radius, and how many of the photo's pixels a pixel of the network counts for at most:
beyond that, the margins of the squares would grow without bounds."""


class ChangeError(UserError):
    """A file that holds no change, or a damaged one."""


@dataclass(frozen=True)
class Change:
    """What a network changed about a picture, at the scale at which the network ran.

    Attributes:
        values: float16 [C, h, w], in [-2, 2] where they are added, else in [-1, 1]; C is 3, or 1
            for networks that paint in grey.
        adds: whether they are to be added to the picture (in grey, where C is 1) or, of a network
            with other channels out than in, take its place.
        blur: 0, or by how many pixels (as a standard deviation) a change is smoothed that does not
            follow the picture; from 0 to 100.
    """

    values: np.ndarray
    adds: bool = True
    blur: float = 0.0

    def apply(self, image: Image.Image, strength: float = 1.0) -> Image.Image:
        """Change a picture of any size, such as a preview of the one that was translated.

        Strength 0 returns the picture as it is and 1 the translation; in between they are mixed.
        Raises ValueError for a strength outside of [0, 1].
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is {strength}; it must be from 0 to 1.")
        real = image if image.mode == "RGB" else image.convert("RGB")
        result = real.copy()
        if strength == 0:
            return result
        # In grey, what is added to is grey too.
        base = real.convert("L") if self.adds and len(self.values) == 1 else real
        scale = min(image.width / self.values.shape[2], image.height / self.values.shape[1])
        grid = min(max(1, int(scale)), COARSEST)
        radius = round(min(2 * self.blur or RADIUS, WIDEST) * min(1.0, scale))
        if not self.blur and scale < 1.5:
            # Next to the network's own scale there is nothing to follow.
            radius = 0
        # What does not follow the picture is smoothed away or, of an unsmoothed change, enlarged.
        rest = self.values if not radius else None if self.blur else self._rest(base)
        for box in _squares(image.size, TILE // grid * grid):
            change = torch.zeros(1) if rest is None else _resized(rest, image.size, box)
            if radius:
                contrast = STRONG_CONTRAST if self.blur else CONTRAST
                change = change + _follow(base, self.values, box, radius, grid, contrast)
            if self.adds:
                change = change + to_tensor(base.crop(box), len(base.getbands()))
            before = to_tensor(real.crop(box))
            after = before + strength * (change.clamp(-1, 1) - before)
            result.paste(to_image(after), box)
        return result

    def _rest(self, image: Image.Image) -> np.ndarray:
        """Compute what of the change does not follow the picture, at the network's scale."""
        rest = np.empty_like(self.values)
        small = image.resize(rest.shape[:0:-1], Image.Resampling.BICUBIC)
        for box in _squares(small.size, TILE):
            window = np.s_[:, box[1] : box[3], box[0] : box[2]]
            rest[window] = (
                self.values[window] - _follow(small, self.values, box, RADIUS, 1, CONTRAST).numpy()
            )
        return rest

    def save(self, path: str | Path) -> None:
        """Write an .npz file, atomically."""

        def write(temporary: Path) -> None:
            # To a name, savez would append .npz.
            with temporary.open("wb") as file:
                np.savez(file, values=self.values, adds=np.array(self.adds), blur=self.blur)

        write_atomically(Path(path), write)

    @classmethod
    def load(cls, path: str | Path) -> "Change":
        """Read what `save` wrote; no pickles, so nothing in the file is run.

        Raises ChangeError when the file is missing, damaged, or something else.
        """
        name = Path(path).name
        try:
            with np.load(path, allow_pickle=False) as file:
                # Before anything is unpacked: a small file can hold a large array of zeros.
                if sum(item.file_size for item in file.zip.infolist()) > 8 * MAX_PIXELS:
                    raise ValueError
                values, adds, blur = (file[key] for key in ("values", "adds", "blur"))
            if (
                (values.dtype, values.ndim, adds.dtype) != (np.float16, 3, np.bool_)
                or len(values) not in (1, 3)
                or not (np.abs(values).max() <= 2 and 0 <= blur.item() <= 100)
            ):
                raise ValueError
            return cls(values, adds.item(), blur.item())
        except FileNotFoundError:
            raise ChangeError(f"{name} does not exist; translate the photo again.") from None
        # Damaged archives raise nearly every built-in exception, and their own.
        except Exception:
            raise ChangeError(
                f"{name} is damaged or holds no change; translate the photo again."
            ) from None


Box = tuple[int, int, int, int]


def _squares(size: tuple[int, int], side: int) -> Iterator[Box]:
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def _follow(
    image: Image.Image, values: np.ndarray, box: Box, radius: int, grid: int, contrast: float
) -> Tensor:
    """Describe the change inside a box of the picture by the colours of the picture: [C, h, w].

    `radius` counts in steps of `grid` pixels, of which the box's left and top are multiples.
    """
    # Imported when the first picture is changed, since it takes a while.
    from kornia.filters import guided_blur

    # Two means over the window one after the other, and a step between points of the grid.
    margin = (2 * radius + 2) * grid
    outer = (
        max(0, box[0] - margin),
        max(0, box[1] - margin),
        min(image.width, box[2] + margin),
        min(image.height, box[3] + margin),
    )
    guide = to_tensor(image.crop(outer), len(image.getbands()))
    change = _resized(values, image.size, outer)
    height, width = guide.shape[1:]
    # Whole steps of the grid, whatever the picture measures.
    pads = (0, -width % grid, 0, -height % grid)
    guide, change = (F.pad(x[None], pads, mode="replicate") for x in (guide, change))
    window = 2 * radius * grid + 1
    found = guided_blur(guide, change, window, contrast**2, "replicate", grid)[0]
    left, top = box[0] - outer[0], box[1] - outer[1]
    return found[:, top : top + box[3] - box[1], left : left + box[2] - box[0]]


def _resized(values: np.ndarray, size: tuple[int, int], box: Box) -> Tensor:
    """Resize to `size` and cut out `box`, without computing the rest: [C, h, w]."""
    spans = []
    for axis, length in enumerate((values.shape[2], values.shape[1])):
        scale = length / size[axis]
        low, high = box[axis] * scale, box[axis + 2] * scale
        # As far as the filter reaches: Pillow looks beyond the box that it resizes.
        reach = math.ceil(2 * max(1.0, scale)) + 1
        start = max(0, int(low) - reach)
        spans.append((start, math.ceil(high) + reach, low - start, high - start))
    (x, right, *columns), (y, below, *rows) = spans
    part = values[:, y:below, x:right].astype(np.float32)
    source = (columns[0], rows[0], columns[1], rows[1])
    wanted = (box[2] - box[0], box[3] - box[1])
    planes = [
        np.asarray(Image.fromarray(plane).resize(wanted, Image.Resampling.BICUBIC, box=source))
        for plane in part
    ]
    return torch.from_numpy(np.stack(planes))
