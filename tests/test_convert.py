"""Converted checkpoints compute what the networks of their code bases do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from reference_networks import DgaiGenerator, FlatResnet, HugganDcgan, PytorchGanDcgan, randomised
from reference_networks_unet import ChoosingUnet, Encoder, NestedUnet, PytorchGanUnet
from safetensors.torch import save_file
from torch import Tensor, nn

from cyclegan.commands import main
from cyclegan.convert.layouts import recognise
from cyclegan.translator import Translator
from cyclegan.weights import Weights, load_weights

Convert = Callable[..., Weights]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Save state dicts under names, run the command, load what it wrote."""

    def run(states: Mapping[str, Any], *flags: str) -> Weights:
        paths = [tmp_path / name for name in states]
        for path, state in zip(paths, states.values(), strict=True):
            if path.suffix == ".safetensors":
                save_file({key: value.contiguous() for key, value in state.items()}, path)
            else:
                torch.save(state, path)
        out = tmp_path / "weights"
        assert main(["convert", *map(str, paths), "--out", str(out), *flags]) == 0
        return load_weights(out)

    return run


def pictures(side: int, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, side, side) * 2 - 1


@torch.no_grad()
def assert_same(ours: nn.Module, theirs: nn.Module, *inputs: Tensor) -> None:
    made, expected = ours(*inputs), theirs(*inputs)
    assert all(part.std() > 0.01 for part in expected)  # what is flat would prove nothing
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


RESNETS = {
    "9 blocks": {"blocks": 9},
    "6 blocks": {"blocks": 6},
    "dropout": {"blocks": 6, "dropout": True},
    "batch norm": {"blocks": 6, "norm": "batch"},
    "batch norm, dropout": {"blocks": 6, "norm": "batch", "dropout": True},
    "affine instance norm": {"blocks": 6, "norm": "affine"},
    "pytorch-gan": {"blocks": 6, "up": "nearest"},
    "cut": {"blocks": 6, "down": "binomial", "up": "binomial"},
    "cut, down only": {"blocks": 6, "down": "binomial"},
    "cut, up only": {"blocks": 6, "up": "binomial"},
}


@pytest.mark.parametrize("options", RESNETS.values(), ids=RESNETS)
def test_both_resnets(convert: Convert, options: dict[str, Any]) -> None:
    there, back = (randomised(FlatResnet(**options)) for _ in range(2))
    weights = convert(
        {"latest_net_G_A.pth": there.state_dict(), "8_net_G_B.pth": back.state_dict()}
    )
    assert weights.config.model == "cyclegan"
    assert weights.config.image_size == (256 if options["blocks"] == 9 else 128)
    assert_same(weights.networks["generator_ab"], there, pictures(64))
    assert_same(weights.networks["generator_ba"], back, pictures(64))


@pytest.mark.parametrize("options", RESNETS.values(), ids=RESNETS)
def test_one_resnet(convert: Convert, options: dict[str, Any]) -> None:
    network = randomised(FlatResnet(**options))
    weights = convert({"latest_net_G.pth": network.state_dict()})
    assert weights.config.model == "cut"
    assert_same(weights.networks["generator_ab"], network, pictures(64))


def test_resnets_between_colour_and_grey(convert: Convert) -> None:
    there, back = (randomised(FlatResnet(6, ends=ends)) for ends in ((3, 1), (1, 3)))
    weights = convert({"net_G_A.pth": there.state_dict(), "net_G_B.pth": back.state_dict()})
    assert_same(weights.networks["generator_ab"], there, pictures(64))
    assert_same(weights.networks["generator_ba"], back, pictures(64, 1))


def test_one_resnet_between_colour_and_grey(convert: Convert) -> None:
    network = randomised(FlatResnet(6, down="binomial", up="binomial", ends=(1, 3)))
    weights = convert({"G.pth": network.state_dict()})
    assert weights.config.model == "pix2pix"
    assert_same(weights.networks["generator_ab"], network, pictures(64, 1))


def test_dgai(convert: Convert) -> None:
    black, blond = (randomised(DgaiGenerator()) for _ in range(2))
    states = {"gen_black.pth": black.state_dict(), "gen_blond.pth": blond.state_dict()}
    weights = convert(states)
    assert (weights.config.label_a, weights.config.label_b) == ("black hair", "blond hair")
    assert_same(weights.networks["generator_ba"], black, pictures(64))
    assert_same(weights.networks["generator_ab"], blond, pictures(64))


@pytest.mark.parametrize("norm", ["batch", "instance", "affine"])
@pytest.mark.parametrize("levels", [7, 8])
def test_unet(convert: Convert, levels: int, norm: str) -> None:
    network = randomised(NestedUnet(levels, norm))
    weights = convert({"latest_net_G.pth": network.state_dict()})
    assert (weights.config.model, weights.config.image_size) == ("pix2pix", 2**levels)
    assert_same(weights.networks["generator_ab"], network, pictures(2**levels))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_both_unets(convert: Convert, norm: str) -> None:
    there, back = (randomised(NestedUnet(7, norm)) for _ in range(2))
    weights = convert({"a_G_A.pth": there.state_dict(), "a_G_B.pth": back.state_dict()})
    assert weights.config.model == "cyclegan"
    assert_same(weights.networks["generator_ab"], there, pictures(128))
    assert_same(weights.networks["generator_ba"], back, pictures(128))


def test_unet_from_one_to_three_channels(convert: Convert) -> None:
    network = randomised(NestedUnet(7, ends=(1, 3)))
    weights = convert({"latest_net_G.pth": network.state_dict()})
    assert_same(weights.networks["generator_ab"], network, pictures(128, 1))


@pytest.mark.parametrize("levels", [7, 8])
def test_unet_of_pytorch_gan(convert: Convert, levels: int) -> None:
    network = randomised(PytorchGanUnet(levels))
    weights = convert({"pytorch_model.bin": network.state_dict()})
    assert (weights.config.model, weights.config.image_size) == ("pix2pix", 2**levels)
    assert_same(weights.networks["generator_ab"], network, pictures(2**levels))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("levels", [7, 8])
@pytest.mark.parametrize("everywhere", [True, False])
def test_bicyclegan(convert: Convert, levels: int, residual: bool, everywhere: bool) -> None:
    kind = ChoosingUnet(levels, 5) if everywhere else NestedUnet(levels, "instance", 5)
    generator, encoder = randomised(kind), randomised(Encoder(levels - 3, residual, 5))
    # In the order of the alphabet, as from a wildcard.
    states = {"latest_net_E.pth": encoder.state_dict(), "latest_net_G.pth": generator.state_dict()}
    weights = convert(states)
    assert (weights.config.model, weights.settings.latent) == ("bicyclegan", 5)
    images = pictures(2**levels)
    assert_same(weights.networks["generator_ab"], generator, images, torch.randn(2, 5))
    assert_same(weights.networks["encoder_b"], encoder, images)


def test_bicyclegan_without_its_encoder(convert: Convert) -> None:
    generator = randomised(ChoosingUnet(7))
    weights = convert({"latest_net_G.pth": generator.state_dict()})
    assert list(weights.networks) == ["generator_ab"]
    assert_same(weights.networks["generator_ab"], generator, pictures(128), torch.randn(2, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_where_z_begins_is_assumed(
    convert: Convert, channels: int, capsys: pytest.CaptureFixture
) -> None:
    generator = randomised(NestedUnet(7, "instance", 8, (channels, 3)))
    weights = convert({"latest_net_G.pth": generator.state_dict()})
    assert f"8 numbers and the image {channels} channels" in capsys.readouterr().out
    z = torch.randn(2, 8)
    assert_same(weights.networks["generator_ab"], generator, pictures(128, channels), z)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("prefix", ["model.", "main.", ""])
def test_dcgan(convert: Convert, size: int, prefix: str) -> None:
    network = randomised(HugganDcgan(size))
    state = {key.replace("model.", prefix): value for key, value in network.state_dict().items()}
    weights = convert({"pytorch_model.bin": state}, "--domain-a", "faces")
    config = weights.config
    assert (config.model, config.label_a, config.image_size) == ("dcgan", "faces", size)
    assert_same(weights.networks["generator"], network, torch.randn(3, 10))


@pytest.mark.parametrize("size", [28, 32, 64])
def test_dcgan_of_pytorch_gan(convert: Convert, size: int) -> None:
    network = randomised(PytorchGanDcgan(size))
    weights = convert({"generator.pth": network.state_dict()})
    assert (weights.config.model, weights.config.image_size) == ("dcgan", size)
    assert_same(weights.networks["generator"], network, torch.randn(3, 10))


@pytest.mark.parametrize("network", [FlatResnet(6, norm="batch"), NestedUnet(7, "batch")])
def test_batch_norms_by_image(convert: Convert, network: nn.Module) -> None:
    randomised(network)
    weights = convert({"latest_net_G.pth": network.state_dict()}, "--image-statistics")
    # As in training, but without the dropout.
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    assert_same(weights.networks["generator_ab"], network, pictures(128)[:1])


# --- the forms in which a state dict comes


def test_a_state_dict_of_data_parallel(convert: Convert) -> None:
    network = randomised(FlatResnet(6))
    weights = convert({"G.pth": nn.DataParallel(network).state_dict()})
    assert_same(weights.networks["generator_ab"], network, pictures(64))


def with_statistics(network: nn.Module) -> dict[str, Tensor]:
    """What PyTorch 0.3 wrote for instance norms."""
    state = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            state[f"{name}.running_mean"] = torch.randn(module.num_features)
            state[f"{name}.running_var"] = torch.rand(module.num_features)
    return state


@pytest.mark.parametrize("network", [FlatResnet(6), NestedUnet(7, "instance")])
def test_running_statistics_of_instance_norms(convert: Convert, network: nn.Module) -> None:
    state = with_statistics(randomised(network))
    assert len(state) > len(network.state_dict())
    weights = convert({"latest_net_G.pth": state})
    assert_same(weights.networks["generator_ab"], network, pictures(128))


def test_batch_norms_that_do_not_count(convert: Convert) -> None:
    network = randomised(NestedUnet(7, "batch"))
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    weights = convert({"latest_net_G.pth": state})
    assert_same(weights.networks["generator_ab"], network, pictures(128))


def test_safetensors(convert: Convert) -> None:
    there, back = (randomised(FlatResnet(6)) for _ in range(2))
    states = {"G_AB.safetensors": there.state_dict(), "G_BA.safetensors": back.state_dict()}
    weights = convert(states)
    assert_same(weights.networks["generator_ab"], there, pictures(64))
    assert_same(weights.networks["generator_ba"], back, pictures(64))


def test_both_generators_in_one_file(convert: Convert) -> None:
    there, back = (randomised(FlatResnet(6)) for _ in range(2))
    optimiser = torch.optim.Adam(there.parameters())
    there(pictures(16)).sum().backward()
    optimiser.step()
    checkpoint = {
        "epoch": 3,
        "optimizer": optimiser.state_dict(),
        "netG_B2A": back.state_dict(),
        "netG_A2B": there.state_dict(),
    }
    weights = convert({"checkpoint.pt": checkpoint})
    assert_same(weights.networks["generator_ab"], there, pictures(64))
    assert_same(weights.networks["generator_ba"], back, pictures(64))


def test_half_precision(convert: Convert) -> None:
    network = randomised(FlatResnet(6)).half()
    weights = convert({"G.pth": network.state_dict()})
    assert_same(weights.networks["generator_ab"], network.float(), pictures(64))


def test_a_picture_through_the_translator(convert: Convert, tmp_path: Path) -> None:
    network = randomised(FlatResnet(6, down="binomial", up="binomial"))
    convert({"latest_net_G.pth": network.state_dict()})
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    fake = Translator.load(tmp_path / "weights", backend="torch").translate(photo, "a2b")
    real = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = (network(real)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    # What it changed is kept in half precision.
    assert np.abs(np.array(fake, np.float32) - expected).max() < 1


# --- the published sizes, without memory behind them


@pytest.mark.parametrize(
    ("build", "parameters", "tensors"),
    [
        (lambda: FlatResnet(9, width=64), 11_378_179, 48),
        (lambda: FlatResnet(6, width=64), 7_837_699, 36),
        (lambda: FlatResnet(9, up="nearest", width=64), 11_378_179, 48),
        (lambda: FlatResnet(9, down="binomial", up="binomial", width=64), 11_378_179, 52),
        (lambda: DgaiGenerator(width=64), 11_378_179, 48),
        (lambda: NestedUnet(8, width=64), 54_413_955, 82),
        (lambda: ChoosingUnet(8, width=64), 54_794_627, 32),
        (lambda: Encoder(5, True, width=64), 2_590_032, 30),
    ],
    ids="resnet-9 resnet-6 pytorch-gan cut dgai unet bicyclegan encoder".split(),
)
def test_the_published_networks_are_recognised(
    build: Callable[[], nn.Module], parameters: int, tensors: int
) -> None:
    with torch.device("meta"):
        network = build()
    state = network.state_dict()
    assert (sum(p.numel() for p in network.parameters()), len(state)) == (parameters, tensors)
    found = recognise(state)
    assert found is not None
    assert sum(p.numel() for p in found.build().parameters()) == parameters
