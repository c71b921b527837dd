"""Pictures that can be told apart by their grey level, for the tests of what is drawn."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from cyclegan.cache import CacheError
from cyclegan.config import DataConfig
from cyclegan.data import Photos
from cyclegan.photos import DataError

PLAIN = DataConfig(image_size=8, resize=1.0, crop="centre", flip=False)
COLOUR = {"a": 3, "b": 3}


def plain_files(folder: Path, numbers: range) -> list[Path]:
    """Pictures of one grey level each, by which they can be told apart later."""
    folder.mkdir(parents=True)
    files = [folder / f"{number}.png" for number in numbers]
    for number, file in zip(numbers, files, strict=True):
        Image.new("RGB", (9, 8), (number,) * 3).save(file)
    return files


def number_of(image: Tensor) -> int:
    return round((float(image.mean()) + 1) * 127.5)


def pairs(dataset: Photos, positions: range) -> list[tuple[int, int]]:
    items = [dataset[k] for k in positions]
    return [(number_of(item["real_a"]), number_of(item["real_b"])) for item in items]


def refusal(call: Any, *words: str) -> None:
    with pytest.raises((DataError, CacheError)) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert [word for word in words if word not in text] == []
