"""What samples show and what validation losses are taken on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numbered import COLOUR, PLAIN, number_of, pairs, plain_files, refusal
from PIL import Image

from cyclegan.config import DataConfig
from cyclegan.data import UnpairedDataset, ValidationDataset, training_image
from cyclegan.photos import folders, list_images
from cyclegan.probes import load_probes


def dataset_of(root: Path, seed: int = 0) -> UnpairedDataset:
    config = replace(PLAIN, data=root)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    return UnpairedDataset(files, config, seed, COLOUR)


@pytest.fixture
def train_and_test(tmp_path: Path) -> Path:
    for side, start in (("A", 0), ("B", 100)):
        plain_files(tmp_path / f"train{side}", range(start, start + 6))
        plain_files(tmp_path / f"test{side}", range(start + 50, start + 53))
    return tmp_path


def test_probes_come_from_the_test_folders(train_and_test: Path) -> None:
    probes = load_probes(dataset_of(train_and_test), 3)
    assert probes["real_a"].shape == (3, 3, 8, 8)
    assert sorted(map(number_of, probes["real_a"])) == [50, 51, 52]
    assert sorted(map(number_of, probes["real_b"])) == [150, 151, 152]


def test_probes_come_from_training_photos_elsewhere(train_and_test: Path) -> None:
    for name in ("testA", "testB"):
        (train_and_test / name).rename(train_and_test / f"unused {name}")
    probes = load_probes(dataset_of(train_and_test), 4)
    chosen = [number_of(image) for image in probes["real_a"]]
    assert len(set(chosen)) == 4
    assert set(chosen) <= set(range(6))
    assert probes["real_b"].shape == (4, 3, 8, 8)


def test_probes_are_the_same_every_time_and_depend_on_the_seed(train_and_test: Path) -> None:
    first, again = (load_probes(dataset_of(train_and_test), 2) for _ in range(2))
    assert torch.equal(first["real_a"], again["real_a"])
    others = [load_probes(dataset_of(train_and_test, seed), 2)["real_a"] for seed in range(1, 6)]
    assert not all(torch.equal(first["real_a"], other) for other in others)


def test_probes_survive_unreadable_test_photos(train_and_test: Path) -> None:
    for file in (train_and_test / "testA").iterdir():
        file.write_bytes(b"broken")
    probes = load_probes(dataset_of(train_and_test), 3)
    assert len(probes["real_a"]) == len(probes["real_b"]) == 3


def test_both_sides_have_as_many_probes(train_and_test: Path) -> None:
    probes = load_probes(dataset_of(train_and_test), 1000)
    assert len(probes["real_a"]) == len(probes["real_b"]) >= 3


@pytest.fixture
def own_probes(train_and_test: Path) -> Path:
    for side, start in (("A", 200), ("B", 230)):
        plain_files(train_and_test / "probes" / side, range(start, start + 3))
    (train_and_test / "probes" / "B" / "232.png").unlink()
    return train_and_test


def with_probes(root: Path) -> UnpairedDataset:
    dataset = dataset_of(root)
    dataset.config = replace(dataset.config, probes=root / "probes")
    return dataset


def test_probes_of_a_folder_come_in_the_order_of_their_names(own_probes: Path) -> None:
    (own_probes / "probes" / "A" / "000.png").write_bytes(b"broken")
    probes = load_probes(with_probes(own_probes), 1)
    assert [number_of(image) for image in probes["real_a"]] == [200, 201]
    assert [number_of(image) for image in probes["real_b"]] == [230, 231]


def test_no_more_than_sixteen_probes_of_a_folder(train_and_test: Path) -> None:
    for side in "AB":
        plain_files(train_and_test / "probes" / side, range(100, 120))
    probes = load_probes(with_probes(train_and_test), 4)
    assert [number_of(image) for image in probes["real_b"]] == list(range(100, 116))


def test_folders_of_probes_that_are_missing_or_empty_are_named(own_probes: Path) -> None:
    dataset = with_probes(own_probes)
    for file in (own_probes / "probes" / "B").iterdir():
        file.write_bytes(b"broken")
    refusal(lambda: load_probes(dataset, 4), str(own_probes / "probes" / "B"), "domain B")
    shutil.rmtree(own_probes / "probes" / "A")
    refusal(lambda: load_probes(dataset, 4), str(own_probes / "probes" / "A"), "domain A")


def validation(root: Path, count: int, seed: int = 0) -> list[tuple[int, int]]:
    config = replace(PLAIN, data=root, crop="random", zoom=2.0, flip=True)
    dataset = ValidationDataset(config, seed, COLOUR, count)
    return pairs(dataset, range(len(dataset)))


def test_validation_pairs_are_test_photos_and_always_the_same(train_and_test: Path) -> None:
    found = validation(train_and_test, 10)
    assert sorted(a for a, _ in found) == [50, 51, 52]
    assert sorted(b for _, b in found) == [150, 151, 152]
    assert validation(train_and_test, 10) == found
    assert validation(train_and_test, 2) == found[:2]
    assert any(validation(train_and_test, 10, seed) != found for seed in range(1, 6))
    assert validation(train_and_test, 0) == []


def test_validation_photos_are_cut_from_the_middle(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for name in ("testA", "testB"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "photo.png")
    config = DataConfig(data=tmp_path, image_size=20, resize=1.0, zoom=2.0)
    item = ValidationDataset(config, 0, {"a": 3, "b": 1}, 1)[0]
    centred = replace(config, crop="centre", zoom=1.0, flip=False)
    expected = training_image(tmp_path / "testA" / "photo.png", centred, np.random.default_rng(0))
    assert torch.equal(item["real_a"], expected)
    assert item["real_b"].shape == (1, 20, 20)


def test_without_readable_test_photos_of_both_sides_nothing_is_validated(
    train_and_test: Path,
) -> None:
    for file in (train_and_test / "testA").iterdir():
        file.write_bytes(b"broken")
    assert validation(train_and_test, 10) == []
    shutil.rmtree(train_and_test / "testA")
    assert validation(train_and_test, 10) == []
    assert (
        len(
            ValidationDataset(
                DataConfig(
                    domain_a=(train_and_test / "trainA",), domain_b=(train_and_test / "trainB",)
                ),
                0,
                COLOUR,
                4,
            )
        )
        == 0
    )


def test_a_test_photo_that_cannot_be_read_is_not_chosen(train_and_test: Path) -> None:
    (train_and_test / "testB" / "151.png").write_bytes(b"broken")
    found = validation(train_and_test, 10)
    assert sorted(b for _, b in found) == [150, 152]
    assert len({a for a, _ in found}) == 2
