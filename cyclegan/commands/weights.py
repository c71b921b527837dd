"""`python -m cyclegan calibrate`, `push` and `pull`: what is done to weights folders."""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from cyclegan.commands.errors import CommandError
from cyclegan.files import CONFIG, TENSORS, WEIGHTS_FILES, write_atomically


@dataclass(frozen=True)
class Calibrate:
    """Teach weights to tell which of their domains a photo is from, as training does by itself.

    What they learn is how the photos of either domain look; the networks stay as they are.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """A weights folder, whose config is renewed."""
    domain_a: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR…")]
    """Folders with photos of domain A, best those of the training."""
    domain_b: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR…")]
    """Folders with photos of domain B."""

    def run(self) -> int:
        from cyclegan.domains import FEWEST, calibrate
        from cyclegan.photos import list_images
        from cyclegan.weights import read_config, replace_config

        config = read_config(self.folder)
        looks = calibrate({"a": list_images(self.domain_a), "b": list_images(self.domain_b)})
        if looks is None:
            raise CommandError(f"Each domain needs {FEWEST} photos that can be read, or more.")
        replace_config(self.folder, replace(config, looks=looks))
        return 0


@dataclass(frozen=True)
class Push:
    """Push a weights folder to the Hugging Face Hub and print the address of the commit.

    The repository is created when it does not exist. Needs a token with write access, in HF_TOKEN
    or stored by `hf auth login`.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """A weights folder, such as RUN/weights."""
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="USER/NAME")]
    """The repository."""
    private: bool = False
    """Create it as a private one; refuses one that is public."""

    def run(self) -> int:
        from cyclegan import hub

        print(hub.push(self.folder, self.name, private=self.private))
        return 0


@dataclass(frozen=True)
class Pull:
    """Pull weights from the Hugging Face Hub and print the folder that they are in."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="USER/NAME[@REVISION]")]
    """The repository, and optionally a branch, a tag or a commit of it."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Copy them to this folder, which is new or empty or holds weights to be replaced; by default
    they stay in the Hub's cache, where --weights USER/NAME finds them."""

    def run(self) -> int:
        from cyclegan import hub

        if self.output is None:
            print(hub.pull(self.name))
            return 0
        if not _may_hold_weights(self.output):
            raise CommandError(
                f"--output {self.output} holds something other than weights; choose a new folder."
            )
        _copy_weights(hub.pull(self.name), self.output)
        print(self.output)
        return 0


def _may_hold_weights(folder: Path) -> bool:
    """Whether weights can be copied there without touching anybody's other files."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or {CONFIG, TENSORS} <= names


def _copy_weights(source: Path, target: Path) -> None:
    for name in WEIGHTS_FILES:
        if (source / name).is_file():
            write_atomically(target / name, partial(shutil.copyfile, source / name))
        else:
            # Such as the sample sheet of the weights that were there before.
            (target / name).unlink(missing_ok=True)
