"""Folders of photos as training batches: what is found, what is refused, what is drawn."""

import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PhotoFolder, draw_photo
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from cyclegan.config import DataConfig
from cyclegan.data import (
    DataError,
    UnpairedDataset,
    folders,
    list_images,
    load_probes,
    readable_images,
    resolve,
    short_sides,
    training_image,
)

PLAIN = DataConfig(image_size=8, resize=1.0, crop="centre", flip=False)
COLOUR = {"a": 3, "b": 3}


def plain_files(folder: Path, numbers: range) -> list[Path]:
    """Pictures of one grey level each, by which they can be told apart later."""
    folder.mkdir()
    files = [folder / f"{number}.png" for number in numbers]
    for number, file in zip(numbers, files, strict=True):
        Image.new("RGB", (9, 8), (number,) * 3).save(file)
    return files


def number_of(image: Tensor) -> int:
    return round((float(image.mean()) + 1) * 127.5)


@pytest.fixture
def numbered(tmp_path: Path) -> UnpairedDataset:
    """Seven pictures 0 … 6 in A and four pictures 100 … 103 in B."""
    files_a = plain_files(tmp_path / "a", range(7))
    files_b = plain_files(tmp_path / "b", range(100, 104))
    return UnpairedDataset(files_a, files_b, PLAIN, 5, COLOUR)


def pairs(dataset: UnpairedDataset, positions: range) -> list[tuple[int, int]]:
    items = [dataset[k] for k in positions]
    return [(number_of(item["real_a"]), number_of(item["real_b"])) for item in items]


# --- what is found


def test_folders_of_one_directory(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=3, test=1)
    config = DataConfig(data=root)
    assert folders(config) == {"a": [root / "trainA"], "b": [root / "trainB"]}
    assert folders(config, "test") == {"a": [root / "testA"], "b": [root / "testB"]}


def test_several_folders_a_side(tmp_path: Path) -> None:
    for number, name in enumerate(("red", "dark red", "blue")):
        plain_files(tmp_path / name, range(10 * number, 10 * number + 2))
    config = DataConfig(
        domain_a=(tmp_path / "red", tmp_path / "dark red"), domain_b=(tmp_path / "blue",)
    )
    found = folders(config)
    assert [file.name for file in readable_images(found["a"], "a")] == [
        "0.png",
        "1.png",
        "10.png",
        "11.png",
    ]
    assert len(readable_images(found["b"], "b")) == 2
    assert folders(config, "test") == {"a": [], "b": []}


def test_pictures_are_found_by_extension_in_subfolders(tmp_path: Path) -> None:
    wanted = ["deep/er/x.JPG", "deep/y.webp", "z.tiff"]
    for name in [*wanted, "notes.txt", ".hidden.png", "folder.png/inside.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [file.relative_to(tmp_path).as_posix() for file in list_images([tmp_path])] == wanted


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        (DataConfig(data=Path("sets/horse2zebra")), ("horse", "zebra")),
        (DataConfig(data=Path("sets/horse2zebra"), label_b="striped"), ("horse", "striped")),
        (DataConfig(data=Path("sets/fruit")), ("A", "B")),
        (DataConfig(domain_a=(Path("x/cats"), Path("y")), domain_b=(Path("d"),)), ("cats", "d")),
    ],
)
def test_labels_are_guessed_from_folder_names(config: DataConfig, labels: tuple[str, str]) -> None:
    resolved = resolve(config)
    assert (resolved.label_a, resolved.label_b) == labels
    assert replace(resolved, label_a=config.label_a, label_b=config.label_b) == config


# --- what is refused


def refusal(call: Any, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert [word for word in words if word not in text] == []


def test_missing_sides(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    root = photo_folder()
    (root / "trainB").rename(root / "elsewhere")
    refusal(lambda: folders(DataConfig(data=root)), str(root / "trainB"), "domain B")
    refusal(lambda: folders(DataConfig()), "--data", "--domain-a")
    refusal(lambda: folders(DataConfig(domain_a=(root / "trainA",))), "--domain-b")
    gone = DataConfig(domain_a=(root / "trainA", tmp_path / "gone"), domain_b=(root / "elsewhere",))
    refusal(lambda: folders(gone), str(tmp_path / "gone"), "domain A")


def test_both_ways_of_naming_data(photo_folder: PhotoFolder) -> None:
    root = photo_folder()
    both = DataConfig(data=root, domain_a=(root / "trainA",), domain_b=(root / "trainB",))
    refusal(lambda: folders(both), "--data and --domain-a/--domain-b are both given")
    refusal(lambda: folders(DataConfig(data=root, domain_b=(root / "trainB",))), "both given")


def test_empty_side(tmp_path: Path) -> None:
    refusal(lambda: readable_images([tmp_path], "b"), "Domain B", str(tmp_path))


def test_fewer_pictures_than_a_batch(tmp_path: Path) -> None:
    plain_files(tmp_path / "a", range(3))
    assert len(readable_images([tmp_path / "a"], "a", needed=3)) == 3
    refusal(
        lambda: readable_images([tmp_path / "a"], "a", needed=4),
        "Domain A has 3 readable",
        "batch of 4",
    )


def test_unreadable_files_are_named_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = plain_files(tmp_path / "a", range(2))
    photo = tmp_path / "whole.jpg"
    draw_photo("a", 0, (300, 200)).save(photo)
    whole = photo.read_bytes()
    photo.rename(tmp_path / "a" / "whole.jpg")
    bad = {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.webp": b"no picture",
        # Pillow could read it, but training could not: the scan must apply the same rules.
        "bitmap.png": b"P6 2 2 255 " + b"\0" * 12,
    }
    for name, content in bad.items():
        (tmp_path / "a" / name).write_bytes(content)
    caplog.set_level(logging.WARNING)
    files = readable_images([tmp_path / "a"], "a")
    assert sorted(files) == sorted([*good, tmp_path / "a" / "whole.jpg"])
    for name in bad:
        assert sum(str(tmp_path / "a" / name) in line for line in caplog.messages) == 1
    assert "4 of 7 files" in caplog.messages[-1]


def test_a_photo_too_large_to_train_on_is_found_out_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain_files(tmp_path / "a", range(1))
    Image.new("L", (8100, 8000)).save(tmp_path / "a" / "poster.jpg")
    assert [file.name for file in readable_images([tmp_path / "a"], "a")] == ["0.png"]
    assert "megapixels" in caplog.text


def test_a_file_that_breaks_while_training_is_passed_over(
    numbered: UnpairedDataset, caplog: pytest.LogCaptureFixture
) -> None:
    numbered.files["a"][3].write_bytes(b"gone")
    shown = {a for a, _ in pairs(numbered, range(7))}
    assert shown == {0, 1, 2, 4, 5, 6}
    assert "3.png" in caplog.text
    for file in numbered.files["b"]:
        file.unlink()
    refusal(lambda: numbered[0], "domain B")


# --- what is drawn


def test_an_epoch_shows_every_image_of_the_larger_domain_once(numbered: UnpairedDataset) -> None:
    assert len(numbered) == 7
    epochs = [[a for a, _ in pairs(numbered, range(7 * e, 7 * e + 7))] for e in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_larger_domain_may_be_b(numbered: UnpairedDataset) -> None:
    files = numbered.files
    dataset = UnpairedDataset(files["b"], files["a"], PLAIN, 0, COLOUR)
    drawn = pairs(dataset, range(7))
    assert sorted(b for _, b in drawn) == list(range(7))
    assert all(a >= 100 for a, _ in drawn)


def test_partners_are_drawn_at_random(numbered: UnpairedDataset) -> None:
    by_picture, by_position = defaultdict(list), defaultdict(list)
    for k, (a, b) in enumerate(pairs(numbered, range(7 * 40))):
        by_picture[a].append(b)
        by_position[k % 7].append(b)
    for drawn in (*by_picture.values(), *by_position.values()):
        # 40 draws from four pictures: ten each, with a standard deviation of 2.7.
        counts = [drawn.count(b) for b in range(100, 104)]
        assert sum(counts) == 40
        assert min(counts) >= 1
        assert max(counts) <= 25


def test_the_seed_decides(numbered: UnpairedDataset) -> None:
    files = numbered.files
    same = UnpairedDataset(files["a"], files["b"], PLAIN, 5, COLOUR)
    other = UnpairedDataset(files["a"], files["b"], PLAIN, 6, COLOUR)
    assert pairs(same, range(14)) == pairs(numbered, range(14))
    assert pairs(other, range(14)) != pairs(numbered, range(14))


def test_a_position_gives_the_same_whatever_came_before(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=5)
    config = DataConfig(data=root, image_size=16, resize=1.2, zoom=1.5)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    dataset = UnpairedDataset(files["a"], files["b"], config, 1, COLOUR)
    alone = {k: dataset[k] for k in (9, 2, 7, 3, 8, 6)}
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_size=2, sampler=[2, 3, 6, 7, 8, 9], num_workers=workers)
        loaded = list(loader)
        for batch, (first, second) in zip(loaded, [(2, 3), (6, 7), (8, 9)], strict=True):
            for side in ("real_a", "real_b"):
                expected = torch.stack([alone[first][side], alone[second][side]])
                assert torch.equal(batch[side], expected)
    assert not torch.equal(alone[2]["real_a"], alone[3]["real_a"])


def test_channels_and_value_range(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=2)
    config = DataConfig(data=root, image_size=16)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    item = UnpairedDataset(files["a"], files["b"], config, 0, {"a": 1, "b": 3})[0]
    assert item["real_a"].shape == (1, 16, 16)
    assert item["real_b"].shape == (3, 16, 16)
    assert item["real_b"].dtype == torch.float32
    assert item["real_b"].min() < 0 < item["real_b"].max()
    assert item["real_b"].abs().max() <= 1


# --- resizing, cropping, flipping: on a picture whose colours say where a pixel comes from

WIDE, HIGH = 60, 40


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """Red is four times the column, green four times the row."""
    pixels = np.zeros((HIGH, WIDE, 3), np.uint8)
    pixels[..., 0] = 4 * np.arange(WIDE)
    pixels[..., 1] = 4 * np.arange(HIGH)[:, None]
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    return tmp_path / "ramp.png"


def where(path: Path, config: DataConfig, seed: int) -> tuple[float, float, float, float]:
    """Find the crop in the ramp: left, top, width and height; a flipped one has negative width."""
    image = training_image(path, config, np.random.default_rng(seed))
    size = config.image_size
    levels = (image.double() + 1) * 127.5 / 4
    # Away from the edges, where a filter has fewer neighbours, a ramp stays a ramp when resized.
    near, far = 3, size - 4
    places = []
    for line in (levels[0].mean(0), levels[1].mean(1)):
        step = float(line[far] - line[near]) / (far - near)
        places.append((float(line[near]) + 0.5 - (near + 0.5) * step, size * step))
    (left, width), (top, height) = places
    return left, top, width, height


def test_centre_crop(ramp: Path) -> None:
    config = DataConfig(image_size=16, resize=1.25, crop="centre", flip=False)
    # The short side of 40 pixels becomes 20, of which 16 are cut: 32 pixels of the original.
    assert where(ramp, config, 0) == pytest.approx((14, 4, 32, 32), abs=0.15)
    assert short_sides(config) == (20, 20)


def test_without_resize_the_whole_short_side_is_seen(ramp: Path) -> None:
    config = DataConfig(image_size=20, resize=1.0, flip=False)
    for seed in range(10):
        _, top, width, height = where(ramp, config, seed)
        assert (top, width, height) == pytest.approx((0, 40, 40), abs=0.15)


def test_random_crops_lie_inside_and_everywhere(ramp: Path) -> None:
    config = DataConfig(image_size=16, resize=1.25, flip=False)
    places = np.array([where(ramp, config, seed) for seed in range(60)])
    assert places[:, 2:] == pytest.approx(32, abs=0.3)
    assert places[:, :2].min() > -0.2
    assert places[:, 0].max() < 28.2
    assert places[:, 1].max() < 8.2
    assert places[:, 0].min() < 4
    assert places[:, 0].max() > 24
    assert places[:, 1].max() - places[:, 1].min() > 6
    assert abs(np.corrcoef(places[:, 0], places[:, 1])[0, 1]) < 0.5


def test_zoom_draws_the_size_and_keeps_the_aspect_ratio(ramp: Path) -> None:
    config = DataConfig(image_size=16, resize=1.0, zoom=2.0, flip=False)
    places = np.array([where(ramp, config, seed) for seed in range(60)])
    widths, heights = places[:, 2], places[:, 3]
    assert widths == pytest.approx(heights, abs=0.5)
    assert (20 - 0.3 < widths.min() < 22, 37 < widths.max() < 40 + 0.3) == (True, True)
    assert short_sides(config) == (16, 32)


def test_flip_mirrors_half(ramp: Path) -> None:
    config = DataConfig(image_size=16, resize=1.0, crop="centre", flip=True)
    widths = [where(ramp, config, seed)[2] for seed in range(100)]
    assert np.abs(widths) == pytest.approx(40, abs=0.3)
    assert 30 <= sum(width < 0 for width in widths) <= 70


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (5, 5)])
def test_photos_smaller_than_the_training_size(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "small.png")
    image = training_image(
        tmp_path / "small.png", DataConfig(image_size=16), np.random.default_rng(0)
    )
    assert image.shape == (3, 16, 16)
    assert torch.equal(image[0], torch.ones(16, 16))


# --- what the sample grids show


def dataset_of(root: Path, seed: int = 0) -> UnpairedDataset:
    config = replace(PLAIN, data=root)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    return UnpairedDataset(files["a"], files["b"], config, seed, COLOUR)


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
