"""`python -m cyclegan generate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cyclegan.commands.errors import CommandError


@dataclass(frozen=True)
class Generate:
    """Make pictures from noise, or many translations of one photo (BicycleGAN).

    Each becomes SEED.png in --output, and that seed alone makes it again. Files of the same names
    are replaced, but never the photo or the reference.
    """

    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|USER/NAME")]
    """A weights folder, or a repository on the Hugging Face Hub, of a dcgan or a bicyclegan."""
    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Where the pictures go."""
    count: int = 16
    """How many."""
    seed: int = 0
    """Of the first picture; the next has the next."""
    photo: Annotated[Path | None, tyro.conf.arg(metavar="PHOTO")] = None
    """What to translate, for weights that start from a photo."""
    reference: Annotated[Path | None, tyro.conf.arg(metavar="PICTURE")] = None
    """Also translate the photo as this picture of the other domain looks, to reference.png."""

    def run(self) -> int:
        from tqdm import trange

        from cyclegan.generator import Generator, read_seed
        from cyclegan.images import save_image

        if self.count < 1:
            raise CommandError(f"--count is {self.count}; it must be at least 1.")
        for seed in (self.seed, self.seed + self.count - 1):
            read_seed(seed)
        named = {self.output / f"{self.seed + index}.png" for index in range(self.count)}
        if self.reference is not None:
            named.add(self.output / "reference.png")
        given = {path.resolve() for path in (self.photo, self.reference) if path is not None}
        for path in named:
            if path.resolve() in given:
                raise CommandError(f"{path} would be replaced; choose another --output.")
        generator = Generator.load(self.weights)
        if self.reference is not None and self.photo is None:
            raise CommandError("--reference says how to translate a photo; give --photo too.")
        if generator.takes_picture and self.photo is None:
            raise CommandError(f"{self.weights} starts from a photo; give --photo.")
        for index in trange(self.count, desc="Making", unit="picture", disable=None):
            z = generator.draw(1, self.seed + index)
            if self.photo is None:
                (made,) = generator.generate(z)
            else:
                made = generator.translate(self.photo, z)
            save_image(made, self.output / f"{self.seed + index}.png")
        if self.photo is not None and self.reference is not None:
            made = generator.translate(self.photo, generator.encode(self.reference))
            save_image(made, self.output / "reference.png")
        print(f"Made {len(named)} pictures in {self.output}")
        return 0
