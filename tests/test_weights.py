"""Weights on disk: what was saved comes back, and whatever is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cyclegan.config import to_json
from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.weights import WeightsConfig, WeightsError, load_weights, read_config, save_weights

SETTINGS = CycleGANConfig(width=8, blocks=2)
CONFIG = WeightsConfig(1, "cyclegan", "horse", "zebra", 32, to_json(SETTINGS), 7, (36, 54))


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    builders = CycleGAN.builders(SETTINGS, 32)
    return {name: builders[name]() for name in CycleGAN.ships}


@pytest.fixture
def folder(networks: dict[str, nn.Module], tmp_path: Path) -> Path:
    save_weights(tmp_path / "horse2zebra", CONFIG, networks, torch.float32)
    return tmp_path / "horse2zebra"


@torch.no_grad()
def largest_difference(a: nn.Module, b: nn.Module) -> float:
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    return float((a.eval()(x) - b.eval()(x)).abs().max())


def test_float32_comes_back_to_the_bit(networks: dict[str, nn.Module], folder: Path) -> None:
    loaded = load_weights(folder)
    assert loaded.config == CONFIG
    assert loaded.settings == SETTINGS
    assert list(loaded.networks) == ["generator_ab", "generator_ba"]
    for name, network in loaded.networks.items():
        assert largest_difference(network, networks[name]) == 0
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
    a, b = loaded.networks.values()
    assert largest_difference(a, b) > 0


def test_float16_is_half_as_large_and_within_a_level(
    networks: dict[str, nn.Module], folder: Path, tmp_path: Path
) -> None:
    save_weights(tmp_path / "half", CONFIG, networks)
    sizes = [(path / "model.safetensors").stat().st_size for path in (tmp_path / "half", folder)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = load_weights(tmp_path / "half")
    for name, network in loaded.networks.items():
        assert next(network.parameters()).dtype == torch.float32
        assert largest_difference(network, networks[name]) < 2 / 255


def test_saving_writes_two_files_and_replaces_them(
    networks: dict[str, nn.Module], folder: Path
) -> None:
    save_weights(folder, CONFIG, networks)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_the_tensors_repeat_the_config(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
        names = {key.split(".")[0] for key in file.keys()}  # noqa: SIM118
    assert json.loads(metadata["config"]) == json.loads((folder / "config.json").read_text())
    assert names == {"generator_ab", "generator_ba"}


def test_equal_weights_are_equal_files(networks: dict[str, nn.Module], tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_weights(tmp_path / name, CONFIG, networks)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def refusal(folder: Path, file: str, *words: str) -> None:
    """Loading must fail with one sentence that names the file and holds all the words."""
    with pytest.raises(WeightsError) as caught:
        load_weights(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder / file) in text
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, ["colour", "not a known key"]),
        ({"format": 2}, ["format", "1"]),
        ({"format": "1"}, ["format"]),
        ({"image_size": "32"}, ["image_size", "integer"]),
        ({"image_size": 33}, ["image_size is 33"]),
        ({"label_a": 5}, ["label_a", "string"]),
        ({"step": 1.5}, ["step", "integer"]),
        ({"short_sides": [36]}, ["short_sides"]),
        ({"model": "cyclops"}, ["cyclops", "cyclegan"]),
        ({"settings": []}, ["settings"]),
        ({"settings": {"depth": 3}}, ["settings", "depth", "not a known key"]),
        ({"settings": {"width": "8"}}, ["settings", "width", "integer"]),
        ({"settings": {"width": 0}}, ["settings", "width is 0"]),
        ({"settings": {"upsample": "cubic"}}, ["settings", "upsample"]),
        ({"settings": {"pool_size": -1}}, ["settings", "pool_size"]),
        ({"settings": {"generator": "unet", "width": 8}}, ["tensor"]),
    ],
)
def test_config_is_read_strictly(folder: Path, change: dict[str, Any], words: list[str]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    refusal(folder, "model.safetensors" if words == ["tensor"] else "config.json", *words)


@pytest.mark.parametrize("key", ["format", "model", "label_a", "image_size", "settings"])
def test_config_must_be_complete(folder: Path, key: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    refusal(folder, "config.json", key)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b'{"format": 1}x'])
def test_config_must_be_json(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    refusal(folder, "config.json")


Change = Callable[[dict[str, Tensor]], None]


def remove(tensors: dict[str, Tensor]) -> None:
    del tensors["generator_ab.head.0.bias"]


def reshape(tensors: dict[str, Tensor]) -> None:
    tensors["generator_ba.head.0.bias"] = torch.zeros(4)


def add(tensors: dict[str, Tensor]) -> None:
    tensors["discriminator_a.layers.0.bias"] = torch.zeros(4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove, ["generator_ab.head.0.bias is missing"]),
        (reshape, ["generator_ba.head.0.bias has shape [4]", "[3]"]),
        (add, ["discriminator_a.layers.0.bias is unknown"]),
    ],
)
def test_tensors_must_fit_the_config(folder: Path, change: Change, words: list[str]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    refusal(folder, "model.safetensors", *words)


@pytest.mark.parametrize("share", [0, 0.00001, 0.001, 0.05, 0.5, 0.99])
def test_tensors_cut_short(folder: Path, share: float) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refusal(folder, "model.safetensors", "damaged or cut short")


def test_other_files_under_that_name(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n" * 4)
    refusal(folder, "model.safetensors", "damaged")
    path.unlink()
    path.mkdir()
    refusal(folder, "model.safetensors")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refusal(folder, name, "does not exist")


def test_missing_folder(tmp_path: Path) -> None:
    refusal(tmp_path / "gone", "config.json", "does not exist")
    (tmp_path / "file").touch()
    refusal(tmp_path / "file", "config.json")


def test_the_config_alone_can_be_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert read_config(folder) == CONFIG
