"""What a network changed about a picture, carried to the picture at any size.

A network runs at the scale that it was trained for, where an edge is a hundredth of the picture
wide; enlarged as it is, its change would spill over the edges of a photo of many megapixels. So
the change is described by the colours of the photo around (a guided filter, He et al. 2013) at the
scale of the network, and the photo at its own size says where it begins and ends. The lines of a
drawing stay sharp where the network has painted them, and go where it has not.
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

TILE = 512
"""Side of the squares in which a change is applied, so that its memory is bounded."""

RADIUS = 5
"""How far the colours around reach that describe a change, in pixels of the network."""

CONTRAST, STRONG_CONTRAST = 0.07, 0.25
"""Below this contrast around it, in [-1, 1], a change hardly follows the photo: noise is no edge. A
smoothed change follows strong edges only, for networks that paint detail too weakly would take the
photo's own away."""

WIDEST = 16
"""Greatest radius: beyond that, the margins of the squares would grow without bounds."""


Size = tuple[int, int]
Box = tuple[int, int, int, int]
Source = tuple[float, float, float, float]


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
        # No finer than the picture, say a preview.
        values = self.values if scale >= 1 else _resized(self.values, image.size).numpy()
        # Next to the network's own scale there is nothing to follow.
        radius = 0 if scale < 1.5 else RADIUS
        if self.blur:
            radius = round(min(2 * self.blur, WIDEST) * min(1.0, scale))
        guide = base.resize(values.shape[:0:-1], Image.Resampling.BICUBIC)
        for box in _squares(image.size, TILE):
            if radius:
                colours = to_tensor(base.crop(box), len(base.getbands()))
                change = self._follow(guide, values, colours, image.size, box, radius)
            else:
                change = _resized(values, image.size, box)
            if self.adds:
                change = change + to_tensor(base.crop(box), len(base.getbands()))
            before = to_tensor(real.crop(box))
            after = before + strength * (change.clamp(-1, 1) - before)
            result.paste(to_image(after), box)
        return result

    def _follow(
        self,
        guide: Image.Image,
        values: np.ndarray,
        colours: Tensor,
        size: Size,
        box: Box,
        radius: int,
    ) -> Tensor:
        """The change in a box of a picture of `size`, by its `colours` there: [C, h, w].

        `guide` is the picture at the scale of `values`, where both are as blurred: what its colours
        explain of the change is found there.
        """
        # Two means over the window, one after the other.
        part, source = _behind(guide.size, size, box, 2 * radius)
        seen = to_tensor(guide.crop(part), len(guide.getbands()))
        change = _cut(values, part)
        slope, offset = _explained(seen, change, radius, STRONG_CONTRAST if self.blur else CONTRAST)
        if not self.blur:
            # What the colours do not explain is enlarged as it is.
            offset = change - (slope * seen).sum(1)
        planes = torch.cat([offset[:, None], slope], 1)
        large = _enlarged(planes.flatten(0, 1), source, box).unflatten(0, planes.shape[:2])
        return large[:, 0] + (large[:, 1:] * colours).sum(1)

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


def _squares(size: Size, side: int) -> Iterator[Box]:
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def _explained(
    guide: Tensor, change: Tensor, radius: int, contrast: float
) -> tuple[Tensor, Tensor]:
    """Describe a change [K, h, w] by the colours [C, h, w] around: slope · colours + offset.

    The coefficients of a guided filter: slope [K, C, h, w] and offset [K, h, w].
    """
    mean, mean_change = _mean(guide, radius), _mean(change, radius)
    own = _mean((guide[:, None] * guide).flatten(0, 1), radius).unflatten(0, (len(guide), -1))
    own = own - mean[:, None] * mean + contrast**2 * torch.eye(len(guide))[..., None, None]
    cross = _mean((guide[:, None] * change).flatten(0, 1), radius).unflatten(0, (len(guide), -1))
    cross = cross - mean[:, None] * mean_change
    solved = torch.linalg.solve(own.permute(2, 3, 0, 1), cross.permute(2, 3, 0, 1))
    slope = solved.permute(3, 2, 0, 1)
    offset = mean_change - (slope * mean).sum(1)
    return _mean(slope.flatten(0, 1), radius).view_as(slope), _mean(offset, radius)


def _mean(planes: Tensor, radius: int) -> Tensor:
    """The mean over the square around each pixel, of what lies in the picture: [N, h, w]."""
    for size, pad in (((2 * radius + 1, 1), (radius, 0)), ((1, 2 * radius + 1), (0, radius))):
        planes = F.avg_pool2d(planes, size, 1, pad, count_include_pad=False)
    return planes


def _resized(values: np.ndarray, size: Size, box: Box | None = None) -> Tensor:
    """Resize to `size`, or compute only what of that lies in a box: [C, h, w]."""
    box = box or (0, 0, *size)
    part, source = _behind((values.shape[2], values.shape[1]), size, box)
    return _enlarged(_cut(values, part), source, box)


def _behind(small: Size, size: Size, box: Box, margin: int = 0) -> tuple[Box, Source]:
    """Which pixels of the small picture lie behind a box of the one of `size`, with a margin.

    Also returns where among them the box is.
    """
    spans = []
    for axis in (0, 1):
        scale = small[axis] / size[axis]
        low, high = box[axis] * scale, box[axis + 2] * scale
        # As far as the filter reaches: Pillow looks beyond the box that it resizes.
        reach = margin + math.ceil(2 * max(1.0, scale)) + 1
        start = max(0, int(low) - reach)
        end = min(small[axis], math.ceil(high) + reach)
        spans.append((start, end, low - start, high - start))
    (left, right, *columns), (top, bottom, *rows) = spans
    return (left, top, right, bottom), (columns[0], rows[0], columns[1], rows[1])


def _cut(values: np.ndarray, part: Box) -> Tensor:
    left, top, right, bottom = part
    return torch.from_numpy(values[:, top:bottom, left:right].astype(np.float32))


def _enlarged(planes: Tensor, source: Source, box: Box) -> Tensor:
    """Resize what lies in `source` to the size of a box."""
    wanted = (box[2] - box[0], box[3] - box[1])
    made = [
        np.asarray(Image.fromarray(plane).resize(wanted, Image.Resampling.BICUBIC, box=source))
        for plane in planes.numpy()
    ]
    return torch.from_numpy(np.stack(made))
