"""Photos on the device that trains: the same images, but for the filter."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from conftest import PhotoFolder, draw_photo
from numbered import refusal
from PIL import Image
from trainings import assert_equal_runs, stop_after, trainer

from cyclegan.config import DataConfig
from cyclegan.data import DATASETS, Photos
from cyclegan.photos import folders, list_images
from cyclegan.resident import hold_photos

CPU = torch.device("cpu")


def both(kind: type[Photos], config: DataConfig) -> tuple[Photos, Photos]:
    """A data set that reads files, and the same one with its photos held."""
    files = {side: list_images(paths) for side, paths in folders(config).items()}
    if kind is DATASETS["single"]:
        files = {"a": files["a"]}
    channels = dict.fromkeys(files, 3) | {"b": 1}
    plain, held = (kind(files, config, 5, channels) for _ in range(2))
    held.hold(CPU)
    return plain, held


def levels(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one - other).abs() * 127.5


@pytest.mark.parametrize("kind", DATASETS.values(), ids=DATASETS)
def test_photos_that_are_not_shrunk_are_cut_as_pillow_does(
    photo_folder: PhotoFolder, kind: type[Photos]
) -> None:
    config = DataConfig(data=photo_folder(size=(60, 44)), image_size=24, resize=1.2, zoom=1.6)
    plain, held = both(kind, config)
    for k in range(12):
        images, expected = held[k], plain[k]
        assert images.keys() == expected.keys()
        for name, image in images.items():
            assert image.shape == expected[name].shape
            # Pillow rounds after each of its two passes, and its weights to 22 bits.
            assert levels(image, expected[name]).max() <= 1.01


def test_shrunk_photos_differ_by_the_filter_alone(photo_folder: PhotoFolder) -> None:
    config = DataConfig(data=photo_folder(size=(400, 300)), image_size=32, zoom=1.5)
    plain, held = both(DATASETS["unpaired"], config)
    assert {photo.shape for photo in held.held["a"].values()} == {(3, 54, 72)}
    assert {photo.shape for photo in held.held["b"].values()} == {(1, 54, 72)}
    for k in range(12):
        apart = levels(held[k]["real_a"], plain[k]["real_a"])
        # Two filters one after the other are a little softer than one; another place or another
        # mirroring would be tens of levels away.
        assert apart.mean() < 2.5
        assert levels(held[k + 1]["real_a"], plain[k]["real_a"]).mean() > 10


def test_a_photo_that_could_not_be_read_is_passed_over(
    photo_folder: PhotoFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = photo_folder(count=3)
    (root / "trainA" / "1.png").write_bytes(b"broken")
    plain, held = both(DATASETS["unpaired"], DataConfig(data=root, image_size=16))
    for k in range(6):
        assert levels(held[k]["real_a"], plain[k]["real_a"]).mean() < 2.5
    assert "1.png could not be read at the start" in caplog.text


def test_pictures_that_hold_both_sides(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for index in range(2):
        pair = Image.new("RGB", (80, 40))
        for place, side in enumerate("ab"):
            pair.paste(draw_photo(side, index, (40, 40)), (40 * place, 0))
        pair.save(tmp_path / "train" / f"{index}.png")
    config = DataConfig(data=tmp_path, layout="ab", image_size=32)
    files = list_images([tmp_path / "train"])
    plain, held = (
        DATASETS["paired"]({"a": files, "b": files}, config, 0, {"a": 3, "b": 3}) for _ in range(2)
    )
    held.hold(CPU)
    assert levels(held[0]["real_b"], plain[0]["real_b"]).mean() < 2.5
    assert levels(held[0]["real_a"], plain[0]["real_b"]).mean() > 10


def test_what_does_not_fit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (1000, 500)).save(tmp_path / "0.png")

    def read(file: Path) -> Image.Image:
        raise AssertionError("decoded")

    # 400 by 200 pixels of three bytes are 240 kB, which is 80% of 300 kB.
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=299_000))
    refusal(
        lambda: hold_photos([tmp_path / "0.png"], read, 200, 3, CPU),
        "--cache device needs 0 MB for 1 photos",
        "80%",
    )


def test_two_and_two_steps_equal_four_and_workers_are_not_needed(photos, tmp_path) -> None:
    def run(out: Path):
        return trainer(photos, out, "--steps", "4", "--cache", "device", "--workers", "2")

    run(tmp_path / "whole").run()
    stop_after(run(tmp_path / "halves"), 2)
    torch.manual_seed(99)
    run(tmp_path / "halves").run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")


def test_files_may_go_once_photos_are_held(photo_folder: PhotoFolder) -> None:
    config = DataConfig(data=photo_folder(), image_size=16)
    _, held = both(DATASETS["unpaired"], config)
    before = held[0]["real_a"]
    for file in held.files["a"]:
        file.unlink()
    assert torch.equal(held[0]["real_a"], before)
