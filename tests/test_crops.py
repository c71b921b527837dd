"""Resizing, cropping, flipping: on a picture whose colours say where a pixel comes from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.config import DataConfig
from cyclegan.data import short_sides, training_image

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
