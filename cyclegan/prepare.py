"""From data sets as they are published to the folders that training reads."""

import csv
import difflib
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclegan.errors import UserError
from cyclegan.files import appearing


class PreparationError(UserError):
    """A data set that is not what it is taken for."""


@dataclass(frozen=True)
class Split:
    """What came of sorting pictures into two domains.

    Attributes:
        counts: pictures in each folder, by its name (trainA, testB, …).
        both, neither: pictures left out since both attributes hold, or none.
        missing: pictures that the list names and the folder does not have.
    """

    counts: Mapping[str, int]
    both: int
    neither: int
    missing: int

    def __str__(self) -> str:
        folders = ", ".join(f"{name}: {count:,}" for name, count in self.counts.items())
        left = f"left out: {self.both:,} with both, {self.neither:,} with neither"
        if self.missing:
            left += f", {self.missing:,} that the list names and the folder does not have"
        return f"{folders}; {left}."


def split_celeba(
    images: Path, attributes: Path, a: str, b: str, out: Path, test: float = 0.1, seed: int = 0
) -> Split:
    """Sort the pictures of CelebA into trainA, trainB, testA and testB by their attributes.

    Args:
        images: the folder of the pictures, which are linked to, or copied where a file system
            knows no links; they stay where and as they are.
        attributes: list_attr_celeba, as .csv or as the original .txt.
        a, b: the attribute of each domain, such as "Black_Hair"; "!Eyeglasses" for its absence.
        out: a folder that is new or empty; it appears whole or not at all.
        test: the share of each domain that goes into testA and testB.
        seed: which pictures those are.

    Raises PreparationError, naming the attribute, the line or the folder.
    """
    if not images.is_dir():
        raise PreparationError(f"The folder {images} does not exist; give the one with the images.")
    check_share(test)
    names, rows = _read_attributes(attributes)
    columns = [_column(names, attribute) for attribute in (a, b)]
    wanted = [0 if attribute.startswith("!") else 1 for attribute in (a, b)]
    chosen: dict[str, list[Path]] = {"A": [], "B": []}
    both = neither = missing = 0
    for file, values in rows:
        holds = [values[column] == want for column, want in zip(columns, wanted, strict=True)]
        path = images / file
        if all(holds):
            both += 1
        elif not any(holds):
            neither += 1
        elif not path.is_file():
            missing += 1
        else:
            chosen["A" if holds[0] else "B"].append(path)
    for side, attribute in zip("AB", (a, b), strict=True):
        if not chosen[side]:
            raise PreparationError(
                f"No picture in {images} has {attribute} and not the other attribute."
                if not missing
                else f"None of the pictures with {attribute} is in {images}; check --images."
            )
    random = np.random.default_rng(seed)
    counts = {}
    with appearing(out) as made:
        for side, files in chosen.items():
            held = held_out(len(files), test, random)
            for split in ("train", "test"):
                folder = made / f"{split}{side}"
                folder.mkdir()
                part = [f for i, f in enumerate(files) if (i in held) == (split == "test")]
                for file in part:
                    link(file, folder / file.name)
                counts[folder.name] = len(part)
    return Split(counts, both, neither, missing)


def check_share(test: float) -> None:
    """Raise PreparationError for what is no share of test pictures."""
    if not 0 <= test < 1:
        raise PreparationError(f"--test is {test}; give a share from 0 to below 1.")


def held_out(count: int, test: float, random: np.random.Generator) -> set[int]:
    """Draw which of `count` pictures are test pictures."""
    return set(random.permutation(count)[: round(test * count)].tolist())


def link(source: Path, target: Path) -> None:
    """Have `target` show what `source` holds without a second copy of it, where that is possible.

    A hard link, which survives when the source is moved; across file systems a symbolic one.
    """
    for connect in (os.link, os.symlink):
        # Not every file system has links, and Windows gives symbolic ones to few.
        with suppress(OSError, NotImplementedError):
            connect(source.resolve(), target)
            return
    shutil.copyfile(source, target)


def _read_attributes(path: Path) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Read the names of the attributes, and of each picture the name and the values, 0 or 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PreparationError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PreparationError(f"{path} is no text; give list_attr_celeba.csv or .txt.") from None
    if path.suffix.lower() == ".csv":
        lines = list(csv.reader(text.splitlines()))
        head, start = (lines[0][1:] if lines else []), 1
    else:
        # A count, the names, then the pictures.
        lines = [line.split() for line in text.splitlines()]
        head, start = (lines[1] if len(lines) > 1 else []), 2
    if not head:
        raise PreparationError(f"{path} has no attributes; give list_attr_celeba.csv or .txt.")
    names = [name.strip() for name in head]
    rows = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line:
            continue
        file, values = line[0], [value.strip() for value in line[1:]]
        if len(values) != len(names) or not set(values) <= {"-1", "0", "1"}:
            raise PreparationError(
                f"Line {number} of {path} is torn: {len(names)} values of 1 and -1 are expected "
                f"after the file's name."
            )
        if Path(file).name != file:
            raise PreparationError(
                f"Line {number} of {path} names {file!r}, which is no file name."
            )
        rows.append((file, [int(value == "1") for value in values]))
    return names, rows


def _column(names: Sequence[str], attribute: str) -> int:
    wanted = attribute.removeprefix("!")
    if wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4) or names[:3]
        raise PreparationError(
            f"There is no attribute {wanted!r}; did you mean {', '.join(near)}? "
            f"The list has {len(names)}."
        )
    return names.index(wanted)
