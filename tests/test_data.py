"""Folders of photos as training batches: what is found, what is refused, what is drawn."""

import logging
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from conftest import PhotoFolder, draw_photo
from numbered import COLOUR, PLAIN, pairs, plain_files, refusal
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from cyclegan.cache import decode_photos
from cyclegan.config import DataConfig
from cyclegan.data import UnpairedDataset
from cyclegan.photos import folders, identity, list_images, readable_images, resolve


@pytest.fixture
def numbered(tmp_path: Path) -> UnpairedDataset:
    """Seven pictures 0 … 6 in A and four pictures 100 … 103 in B."""
    files_a = plain_files(tmp_path / "a", range(7))
    files_b = plain_files(tmp_path / "b", range(100, 104))
    return UnpairedDataset({"a": files_a, "b": files_b}, PLAIN, 5, COLOUR)


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
    dataset = UnpairedDataset({"a": files["b"], "b": files["a"]}, PLAIN, 0, COLOUR)
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
    same = UnpairedDataset(files, PLAIN, 5, COLOUR)
    other = UnpairedDataset(files, PLAIN, 6, COLOUR)
    assert pairs(same, range(14)) == pairs(numbered, range(14))
    assert pairs(other, range(14)) != pairs(numbered, range(14))


def test_a_position_gives_the_same_whatever_came_before(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=5)
    config = DataConfig(data=root, image_size=16, resize=1.2, zoom=1.5)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    dataset = UnpairedDataset(files, config, 1, COLOUR)
    alone = {k: dataset[k] for k in (9, 2, 7, 3, 8, 6)}
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_size=2, sampler=[2, 3, 6, 7, 8, 9], num_workers=workers)
        loaded = list(loader)
        for batch, (first, second) in zip(loaded, [(2, 3), (6, 7), (8, 9)], strict=True):
            for side in ("real_a", "real_b"):
                expected = torch.stack([alone[first][side], alone[second][side]])
                assert torch.equal(batch[side], expected)
    assert not torch.equal(alone[2]["real_a"], alone[3]["real_a"])


def test_workers_and_cache_change_no_bit(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=5)
    # Photos as they come: turned by their EXIF tag, transparent, grey, 16-bit.
    turned, transparent = draw_photo("a", 50), draw_photo("b", 51).convert("RGBA")
    turned.getexif()[0x0112] = 6
    turned.save(root / "trainA" / "turned.jpg", exif=turned.getexif())
    transparent.putalpha(90)
    transparent.save(root / "trainB" / "transparent.png")
    draw_photo("a", 52).convert("L").save(root / "trainA" / "grey.png")
    deep = np.linspace(0, 65535, 40 * 40, dtype=np.uint16).reshape(40, 40)
    Image.fromarray(deep).save(root / "trainB" / "deep.png")
    config = DataConfig(data=root, image_size=16, resize=1.2, zoom=1.5)
    files = {side: list_images(paths) for side, paths in folders(config).items()}

    def batches(cache: Any, workers: int) -> list[Tensor]:
        dataset = UnpairedDataset(files, replace(config, cache=cache), 1, {"a": 3, "b": 1})
        positions = range(3, 23)
        loader = DataLoader(dataset, batch_size=2, sampler=positions, num_workers=workers)
        return [batch[side] for batch in loader for side in ("real_a", "real_b")]

    expected = batches("none", 0)
    for cache, workers in (("none", 2), ("ram", 0), ("ram", 2)):
        for ours, theirs in zip(batches(cache, workers), expected, strict=True):
            assert torch.equal(ours, theirs), (cache, workers)


def test_channels_and_value_range(photo_folder: PhotoFolder) -> None:
    root = photo_folder(count=2)
    config = DataConfig(data=root, image_size=16)
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    item = UnpairedDataset(files, config, 0, {"a": 1, "b": 3})[0]
    assert item["real_a"].shape == (1, 16, 16)
    assert item["real_b"].shape == (3, 16, 16)
    assert item["real_b"].dtype == torch.float32
    assert item["real_b"].min() < 0 < item["real_b"].max()
    assert item["real_b"].abs().max() <= 1


# --- what is held in memory


def test_decoded_photos_are_what_is_trained_on_even_when_files_go(
    photo_folder: PhotoFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = photo_folder(count=3, size=(400, 300))
    config = DataConfig(data=root, image_size=16, cache="ram")
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    dataset = UnpairedDataset(files, config, 0, COLOUR)
    # Six photos of 400 by 300 pixels and three bytes each.
    assert "6 decoded photos in memory: 2 MB" in caplog.text
    before = dataset[0]
    shutil.rmtree(root)
    assert torch.equal(dataset[0]["real_a"], before["real_a"])


def test_a_broken_photo_is_left_out_of_memory_and_passed_over(
    numbered: UnpairedDataset, caplog: pytest.LogCaptureFixture
) -> None:
    numbered.files["a"][3].write_bytes(b"broken")
    files = numbered.files
    cached = UnpairedDataset(files, replace(PLAIN, cache="ram"), 5, COLOUR)
    assert pairs(cached, range(14)) == pairs(numbered, range(14))
    assert "3.png" in caplog.text


def test_photos_that_do_not_fit_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for index in range(4):
        files.append(tmp_path / f"{index}.png")
        Image.new("L", (1000, 500)).save(files[-1])
    # They take 6 MB, which is 80% of 7.5 MB.
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7_500_000))
    assert len(decode_photos(files)) == 4
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7_499_999))
    refusal(lambda: decode_photos(files), "--cache ram needs 6 MB for 4 photos", "80%", "7 MB")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=14_000_000))
    decode_photos(files)
    # Two processes on this machine each hold their own.
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    refusal(lambda: decode_photos(files), "needs 12 MB")


# --- how photos are known again


def test_identity_follows_names_sizes_and_order_but_not_the_place(tmp_path: Path) -> None:
    files = plain_files(tmp_path / "here", range(3))
    (tmp_path / "here" / "deep").mkdir()
    files.append(files[0].rename(tmp_path / "here" / "deep" / "0.png"))
    files = list_images([tmp_path / "here"])
    before = identity(files, [tmp_path / "here"])
    assert len(before) == 16 and int(before, 16) >= 0
    (tmp_path / "here").rename(tmp_path / "there")
    moved = list_images([tmp_path / "there"])
    assert identity(moved, [tmp_path / "there"]) == before

    def now() -> str:
        return identity(list_images([tmp_path / "there"]), [tmp_path / "there"])

    assert identity(moved[::-1], [tmp_path / "there"]) != before
    assert identity(moved[:-1], [tmp_path / "there"]) != before
    moved[1].write_bytes(moved[1].read_bytes() + b"\0")
    assert now() != before
    moved[1].write_bytes(moved[1].read_bytes()[:-1])
    assert now() == before
    moved[1].rename(moved[1].with_name("9.png"))
    assert now() != before


def test_identity_of_several_folders(tmp_path: Path) -> None:
    one = plain_files(tmp_path / "one", range(2))
    two = plain_files(tmp_path / "two", range(2))
    roots = [tmp_path / "one", tmp_path / "two"]
    assert identity([*one, *two], roots) == identity([*two, *one], roots[::-1])
    assert identity([*one, *two], roots) != identity(one, roots)
