"""`python -m cyclegan translate`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cyclegan.commands.errors import CommandError
from cyclegan.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from cyclegan.config import Direction
    from cyclegan.translator import Translator

KEPT_FORMATS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Job:
    """One photo and where its results go; `recovered` is None when it is not asked for."""

    photo: Path
    fake: Path
    recovered: Path | None


@dataclass(frozen=True)
class Translate:
    """Translate photos, and folders of photos with all their subfolders, into --output.

    Results keep the photos' names and sizes, at most 24 megapixels (larger ones come out scaled
    down to that), and what is in a folder keeps its place in it. JPEG, PNG, WebP, BMP and
    TIFF stay what they are; other formats become PNG. Results of an earlier run are replaced;
    a photo never is: the command refuses to start where that would happen. Where two photos would
    get the same name, the second is numbered (name-2.jpg), and the command says so. An --output
    inside a folder of photos is left out of it.

    A photo that cannot be read is named and passed over, and the others are translated. The exit
    code is 0 if every photo was translated, else 2.
    """

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO…")]
    """Photos, and folders with photos."""
    weights: Annotated[str, tyro.conf.arg(metavar="FOLDER|USER/NAME[@REVISION]")]
    """A weights folder, or a repository on the Hugging Face Hub."""
    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder for the results; made when it does not exist."""
    direction: Annotated[str, tyro.conf.arg(metavar="{a2b,b2a,auto}")] = "a2b"
    """From domain A to domain B, or back, or from whichever domain each photo seems to be."""
    detail: float = 0.0
    """From 0, the scale that the model was trained for, to 1, the photo's own: for large photos of
    things that are small in them. Up to minutes a photo."""
    strength: float = 1.0
    """From 0, the photo as it is, to 1, the whole translation."""
    recovered: bool = False
    """Also translate back, and write NAME.recovered.EXT beside each result."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    """Where to compute; "auto" takes CUDA, then MPS, then the CPU."""
    backend: Literal["auto", "torch", "openvino"] = "auto"
    """What computes on a CPU; "auto" takes OpenVINO if it is installed and computes what PyTorch
    does."""

    def run(self) -> int:
        # Whatever can be refused without torch is refused before it is imported.
        if self.direction not in ("a2b", "b2a", "auto"):
            raise CommandError(f"The direction is {self.direction!r}; choose auto, a2b or b2a.")
        for name, value in (("detail", self.detail), ("strength", self.strength)):
            if not 0 <= value <= 1:
                raise CommandError(f"--{name} is {value}; it must be from 0 to 1.")
        if not self.photos:
            raise CommandError("There is nothing to translate: name photos or folders of them.")
        for path in self.photos:
            if not path.exists():
                raise CommandError(f"{path} does not exist; check the path.")
        if any(path.exists() and not path.is_dir() for path in (self.output, *self.output.parents)):
            raise CommandError(f"--output {self.output} is no folder; choose another one.")
        jobs, renamed = plan(self.photos, self.output, self.recovered)
        for line in renamed:
            print(line, file=sys.stderr)
        return self._translate(jobs, self._load())

    def _load(self) -> "Translator":
        import torch

        from cyclegan.translator import Translator

        available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
        if self.device in available and not available[self.device]():
            raise CommandError(f"There is no {self.device} device here; use --device auto.")
        translator = Translator.load(self.weights, self.device, backend=self.backend)
        ways = translator.directions
        if not ways:
            raise CommandError(f"{self.weights} makes pictures from noise and translates none.")
        if self.direction not in (*ways, "auto"):
            raise CommandError(
                f"{self.weights} does not translate {self.direction}, only {ways[0]}."
            )
        if self.recovered and len(ways) == 1:
            raise CommandError(f"{self.weights} translates {ways[0]} only; leave --recovered out.")
        if self.direction == "auto" and len(ways) == 1:
            print(f"{self.weights} translates one way only, {ways[0]}.", file=sys.stderr)
        return translator

    def _translate(self, jobs: Sequence[Job], translator: "Translator") -> int:
        from torch import OutOfMemoryError
        from tqdm import tqdm

        from cyclegan.native import MAX_PIXELS

        failed = shrunk = 0
        # No bar for a single photo, nor where nobody watches it.
        hidden = True if len(jobs) == 1 else None
        for job in tqdm(jobs, desc="Translating", unit="photo", disable=hidden):
            try:
                shrunk += self._translate_one(job, translator)
            except (UserError, OSError, MemoryError, OutOfMemoryError) as error:
                failed += 1
                tqdm.write(_sentence(error, job), file=sys.stderr)
        if shrunk:
            print(
                f"{_count(shrunk)} had over {MAX_PIXELS // 1_000_000} megapixels and came out "
                "smaller.",
                file=sys.stderr,
            )
        if failed < len(jobs):
            print(f"Translated {_count(len(jobs) - failed)} into {self.output}")
        if failed and len(jobs) > 1:
            print(f"{failed} of {len(jobs)} photos could not be translated.", file=sys.stderr)
        return 2 if failed else 0

    def _translate_one(self, job: Job, translator: "Translator") -> bool:
        """Translate and write; tells whether the photo had to be made smaller."""
        from cyclegan.images import load_image, save_image

        # Loaded here, since among many folders a file's bare name would not say which it is.
        real = load_image(job.photo, name=str(job.photo))
        direction = self._direction(job, real, translator)
        fake = translator.translate(real, direction, self.detail, self.strength)
        if job.recovered is not None:
            back = "b2a" if direction == "a2b" else "a2b"
            save_image(translator.translate(fake, back, self.detail, self.strength), job.recovered)
        save_image(fake, job.fake)
        return fake.size != real.size

    def _direction(self, job: Job, real: "Image", translator: "Translator") -> "Direction":
        from tqdm import tqdm

        if self.direction != "auto":
            return "a2b" if self.direction == "a2b" else "b2a"
        if len(translator.directions) == 1:
            return translator.directions[0]
        guess = translator.domain(real)
        if guess is None:
            raise CommandError(f"{self.weights} cannot tell its domains apart; give --direction.")
        seen = translator.info.labels[guess.domain]
        doubt = f", though it looks like neither {' nor '.join(translator.info.labels.values())}"
        text = f"{job.photo} is taken for {seen}{doubt if guess.neither else ''}."
        tqdm.write(text, file=sys.stderr)
        return guess.direction


def plan(photos: Sequence[Path], output: Path, recovered: bool) -> tuple[list[Job], list[str]]:
    """Decide where the results of each photo go, before any work is done.

    Returns the jobs, and a line for every photo whose result could not get the photo's name.
    Raises CommandError when there are no photos, or a result would replace one of them.
    """
    places: dict[Path, tuple[Path, Path]] = {}
    for path in photos:
        for photo, place in _walk(path, output) if path.is_dir() else [(path, Path(path.name))]:
            # What is named twice, say by itself and by its folder, is translated once.
            places.setdefault(photo.resolve(), (photo, place))
    listed = list(places.values())

    jobs: dict[Path, Job] = {}
    renamed: list[str] = []
    taken: set[str] = set()
    # Photos that keep their format choose first, so that a.gif gives way to a.png.
    for photo, place in sorted(listed, key=lambda item: _kept(item[1]) != item[1]):
        wanted = _kept(place)
        name, number = wanted, 1
        while taken & set(_names(name, recovered)):
            number += 1
            name = wanted.with_stem(f"{wanted.stem}-{number}")
        taken.update(_names(name, recovered))
        jobs[photo] = Job(photo, output / name, output / _recovered(name) if recovered else None)
        if name != wanted:
            renamed.append(f"{photo} becomes {name}, since another photo becomes {wanted}.")
    _refuse_replacing(list(jobs.values()))
    return [jobs[photo] for photo, _ in listed], renamed


def _walk(folder: Path, output: Path) -> list[tuple[Path, Path]]:
    """List the photos below a folder, each with its place in there."""
    from cyclegan.photos import list_images

    files = list_images([folder])
    if folder.resolve() in output.resolve().parents:
        files = [file for file in files if output.resolve() not in file.resolve().parents]
    if not files:
        raise CommandError(f"The folder {folder} has no pictures in it.")
    return [(file, file.relative_to(folder)) for file in files]


def _kept(place: Path) -> Path:
    return place if place.suffix.lower() in KEPT_FORMATS else place.with_suffix(".png")


def _recovered(place: Path) -> Path:
    return place.with_suffix(f".recovered{place.suffix}")


def _names(place: Path, recovered: bool) -> list[str]:
    """Everything written for one photo, as the file system compares it."""
    paths = [place, _recovered(place)] if recovered else [place]
    return [os.path.normcase(path) for path in paths]


def _refuse_replacing(jobs: Sequence[Job]) -> None:
    # By identity, not by name: links, and file systems that ignore case, give a file many names.
    photos = {_identity(job.photo) for job in jobs}
    for job in jobs:
        for result in (job.fake, job.recovered):
            if result is not None and result.exists() and _identity(result) in photos:
                raise CommandError(
                    f"{result} is itself a photo to translate and would be replaced; choose "
                    "another --output."
                )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _sentence(error: BaseException, job: Job) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return f"{job.fake} cannot be written: {error.strerror or error}."
    return f"{job.photo} needs more memory than there is; make it smaller first."


def _count(photos: int) -> str:
    return "1 photo" if photos == 1 else f"{photos} photos"
