"""The networks against the published ones: sizes, shapes, and outputs from the same weights."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.networks import (
    Generator,
    PatchDiscriminator,
    ResnetGenerator,
    UnetGenerator,
    initialise,
)
from cyclegan.tiles import run_padded

# --- the published networks, written down here independently, as their authors' code builds them


def same_norm_relu(channels: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(channels), nn.ReLU()]


class ReferenceBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *same_norm_relu(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def reference_generator(width: int, blocks: int, transposed: bool, reflect: bool) -> nn.Sequential:
    """Johnson's generator as in three code bases.

    junyanz: transposed, not reflect. DGAI: transposed and reflect. PyTorch-GAN and huggan: neither.
    """
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7)]
    layers += same_norm_relu(width)
    for channels in (width, 2 * width):
        if reflect:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, 2 * channels, 3, stride=2)]
        else:
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)]
        layers += same_norm_relu(2 * channels)
    layers += [ReferenceBlock(4 * width) for _ in range(blocks)]
    for channels in (4 * width, 2 * width):
        half = channels // 2
        if transposed:
            layers += [nn.ConvTranspose2d(channels, half, 3, 2, padding=1, output_padding=1)]
        else:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(channels, half, 3, padding=1)]
        layers += same_norm_relu(half)
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers)


def reference_discriminator_junyanz(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.InstanceNorm2d(2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
        nn.InstanceNorm2d(4 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 8 * width, 4, 1, 1),
        nn.InstanceNorm2d(8 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8 * width, 1, 4, 1, 1),
    )


def reference_discriminator_pytorch_gan(width: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for channels in (width, 2 * width, 4 * width):
        layers.append(nn.Conv2d(channels, 2 * channels, 4, 2, 1))
        layers += [nn.InstanceNorm2d(2 * channels), nn.LeakyReLU(0.2)]
    layers += [nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(8 * width, 1, 4, padding=1)]
    return nn.Sequential(*layers)


class ReferenceUnet(nn.Module):
    """junyanz's U-Net with batch norm: each level holds the next deeper one."""

    def __init__(self, widths: list[int], level: int = 0):
        super().__init__()
        self.outermost, innermost = level == 0, level == len(widths) - 1
        before = 3 if level == 0 else widths[level - 1]
        after = widths[level]
        down: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
        if not self.outermost and not innermost:
            down.append(nn.BatchNorm2d(after))
        child = [] if innermost else [ReferenceUnet(widths, level + 1)]
        inside = after if innermost else 2 * after
        up: list[nn.Module] = [nn.ReLU()]
        up.append(nn.ConvTranspose2d(inside, before, 4, 2, 1, bias=self.outermost))
        up.append(nn.Tanh() if self.outermost else nn.BatchNorm2d(before))
        self.model = nn.Sequential(*down, *child, *up)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def leaves(*networks: nn.Module) -> list[nn.Module]:
    """Everything with weights, in the order of computation."""
    return [
        module
        for network in networks
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d)
    ]


def copy_weights(source: list[nn.Module], target: list[nn.Module]) -> None:
    for ours, theirs in zip(target, source, strict=True):
        assert isinstance(ours, type(theirs))
        ours.load_state_dict(theirs.state_dict())


@torch.no_grad()
def assert_same(network: nn.Module, reference: nn.Module, side: int = 32) -> None:
    x = torch.rand(2, 3, side, side) * 2 - 1
    ours, theirs = network(x), reference(x)
    assert theirs.std() > 0.01  # a reference that is flat would prove nothing
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def count(network: nn.Module) -> tuple[int, int]:
    return sum(p.numel() for p in network.parameters()), len(list(network.parameters()))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("upsample", ["resize", "bilinear", "transpose"])
def test_resnet_has_the_published_size(upsample: Any, padding: Any) -> None:
    with torch.device("meta"):
        nine = ResnetGenerator(upsample=upsample, padding=padding)
        six = ResnetGenerator(blocks=6, upsample=upsample, padding=padding)
    assert (count(nine), len(nine.state_dict())) == ((11_378_179, 48), 48)
    assert count(six) == (7_837_699, 36)


def test_unet_has_the_published_size() -> None:
    with torch.device("meta"):
        network = UnetGenerator(norm="batch")
    assert count(network)[0] == 54_413_955
    assert len(network.state_dict()) == 82


@pytest.mark.parametrize("downsamplings", [3, 4])
def test_discriminator_has_the_published_size(downsamplings: int) -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator(downsamplings=downsamplings)) == (2_764_737, 10)


@pytest.mark.parametrize(
    ("options", "transposed", "reflect"),
    [
        ({"upsample": "transpose"}, True, False),
        ({"upsample": "transpose", "padding": "reflect"}, True, True),
        ({"upsample": "resize"}, False, False),
    ],
    ids=["junyanz", "dgai", "pytorch-gan"],
)
def test_resnet_computes_what_the_published_one_does(
    options: dict[str, Any], transposed: bool, reflect: bool
) -> None:
    network = ResnetGenerator(width=6, blocks=2, **options)
    reference = reference_generator(6, 2, transposed, reflect)
    copy_weights(leaves(reference), leaves(network))
    assert_same(network, reference)


def test_unet_computes_what_the_published_one_does() -> None:
    network = UnetGenerator(width=4, image_size=32, norm="batch")
    reference = ReferenceUnet([4, 8, 16, 32, 32])
    copy_weights(leaves(reference), leaves(network.down, *reversed(network.up)))
    assert_same(network, reference)
    assert_same(network.eval(), reference.eval())


@pytest.mark.parametrize(
    ("downsamplings", "reference"),
    [(3, reference_discriminator_junyanz(4)), (4, reference_discriminator_pytorch_gan(4))],
    ids=["junyanz", "pytorch-gan"],
)
def test_discriminator_computes_what_the_published_one_does(
    downsamplings: int, reference: nn.Module
) -> None:
    network = PatchDiscriminator(width=4, downsamplings=downsamplings)
    copy_weights(leaves(reference), leaves(network))
    assert_same(network, reference, side=64)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize(("downsamplings", "side"), [(2, 61), (3, 30), (4, 16)])
def test_patches_of_256_pixels(downsamplings: int, side: int, padding: Any) -> None:
    network = PatchDiscriminator(1, 2, downsamplings, padding)
    assert network(torch.zeros(1, 1, 256, 256)).shape == (1, 1, side, side)


@pytest.mark.parametrize(("downsamplings", "field"), [(2, 46), (3, 70)])
def test_receptive_field(downsamplings: int, field: int) -> None:
    network = PatchDiscriminator(1, 2, downsamplings)
    # Instance norms see the whole picture; the field is that of the convolutions.
    for index, layer in enumerate(network.layers):
        if isinstance(layer, nn.InstanceNorm2d):
            network.layers[index] = nn.Identity()
    x = torch.rand(1, 1, 160, 160, requires_grad=True)
    logits = network(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    seen = x.grad[0, 0] != 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == field


@pytest.mark.parametrize("downsample", ["stride", "blur"])
@pytest.mark.parametrize("upsample", ["resize", "bilinear", "transpose"])
def test_resnets_look_as_far_as_they_say(upsample: Any, downsample: Any) -> None:
    network = ResnetGenerator(3, 3, 2, 1, upsample, downsample=downsample, attention=True)
    for module in network.modules():
        for name, child in module.named_children():
            # Instance norms see the whole picture, and a ReLU may be blind by chance.
            if isinstance(child, nn.InstanceNorm2d | nn.ReLU):
                setattr(module, name, nn.Identity())
    x = torch.rand(1, 3, 96, 96, requires_grad=True)
    for middle in (46, 47, 48, 49):
        x.grad = None
        network(x)[0, 0, middle, middle].backward()
        assert x.grad is not None
        seen = x.grad[0].abs().sum(0).nonzero()
        assert int((seen - middle).abs().max()) <= network.reach


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("downsamplings", [2, 3, 4])
def test_discriminator_takes_what_it_says_it_takes(downsamplings: int, padding: Any) -> None:
    network = PatchDiscriminator(3, 2, downsamplings, padding)
    logits = network(torch.rand(1, 3, network.minimum, network.minimum + 5))
    assert logits.numel() >= 1
    assert logits.isfinite().all()


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("upsample", ["resize", "bilinear", "transpose"])
def test_resnet_takes_what_it_says_it_takes(upsample: Any, padding: Any) -> None:
    network = ResnetGenerator(1, 3, 2, 1, upsample, padding)
    low, step = network.minimum, network.multiple
    for height, width in ((low, low), (low, low + step), (low + 3 * step, low)):
        assert network(torch.rand(1, 1, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("image_size", [8, 32])
def test_unet_takes_what_it_says_it_takes(image_size: int, norm: Any) -> None:
    network = UnetGenerator(3, 1, 2, image_size, norm, dropout=True)
    for height, width in ((image_size, image_size), (2 * image_size, image_size)):
        assert network(torch.rand(2, 3, height, width)).shape == (2, 1, height, width)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 13), (33, 50)])
@pytest.mark.parametrize(
    "network", [ResnetGenerator(width=2, blocks=1), UnetGenerator(width=2, image_size=16)]
)
def test_odd_sizes_are_kept(network: Generator, size: tuple[int, int]) -> None:
    fake = run_padded(network, torch.rand(1, 3, *size))
    assert fake.shape == (1, 3, *size)
    assert fake.isfinite().all()


@pytest.mark.parametrize(
    "network", [ResnetGenerator(width=2, blocks=1), UnetGenerator(width=2, image_size=16)]
)
def test_outputs_fill_the_value_range_and_do_not_leave_it(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(50)
        fake = network(torch.rand(1, 3, 16, 16) * 2 - 1)
    assert fake.abs().max() <= 1
    assert fake.min() < -0.99
    assert fake.max() > 0.99


@pytest.mark.parametrize(
    ("network", "argument", "value"),
    [
        (ResnetGenerator, "channels_in", 0),
        (ResnetGenerator, "channels_out", -1),
        (ResnetGenerator, "width", 0),
        (ResnetGenerator, "blocks", 0),
        (ResnetGenerator, "upsample", "nearest"),
        (ResnetGenerator, "padding", "replicate"),
        (ResnetGenerator, "norm", "layer"),
        (ResnetGenerator, "downsample", "pool"),
        (UnetGenerator, "channels_in", 0),
        (UnetGenerator, "channels_out", 0),
        (UnetGenerator, "width", -3),
        (UnetGenerator, "image_size", 0),
        (UnetGenerator, "image_size", 4),
        (UnetGenerator, "image_size", 100),
        (UnetGenerator, "image_size", -256),
        (UnetGenerator, "norm", "layer"),
        (UnetGenerator, "variant", "odd"),
        (PatchDiscriminator, "channels", 0),
        (PatchDiscriminator, "width", 0),
        (PatchDiscriminator, "downsamplings", 1),
        (PatchDiscriminator, "downsamplings", 5),
        (PatchDiscriminator, "padding", "same"),
        (PatchDiscriminator, "norm", "batch"),
    ],
)
def test_illegal_arguments_are_refused_by_name(
    network: type[nn.Module], argument: str, value: Any
) -> None:
    said = rf"^{network.__name__}: .*\b{argument} is {re.escape(repr(value))}"
    with pytest.raises(ValueError, match=said):
        network(**{argument: value})


def assert_drawn_from_normal(network: nn.Module) -> None:
    for module in leaves(network):
        weight, bias = module.weight, module.bias
        assert isinstance(weight, nn.Parameter)
        weight = weight.detach()
        # Six standard errors of a standard deviation. PyTorch's own numbers are uniform, which
        # never lie more than 1.74 standard deviations out.
        tolerance = 0.02 * 6 / (2 * weight.numel()) ** 0.5
        if isinstance(module, nn.BatchNorm2d):
            assert abs(weight.mean() - 1) < 0.02
            assert 0 < weight.std() < 0.04
        else:
            assert abs(weight.std() - 0.02) < tolerance
            assert weight.abs().max() > 2 * 0.02
        if bias is not None:
            assert isinstance(bias, Tensor)
            assert bias.abs().max() == 0


@pytest.mark.parametrize(
    "network",
    [
        ResnetGenerator(width=8, blocks=1, upsample="transpose"),
        UnetGenerator(width=8, image_size=16, norm="batch"),
        PatchDiscriminator(width=8),
    ],
)
def test_initialisation_changes_the_weights(network: nn.Module) -> None:
    before = {key: value.clone() for key, value in network.named_parameters()}
    assert initialise(network) is network
    assert_drawn_from_normal(network)
    same = [key for key, value in network.named_parameters() if torch.equal(value, before[key])]
    assert not [key for key in same if key.endswith("weight")]


@pytest.mark.parametrize("generator", ["resnet", "unet"])
def test_models_start_from_it(generator: Any) -> None:
    config = CycleGANConfig(generator, width=8, blocks=1, discriminator_width=8)
    for build in CycleGAN.builders(config, 32).values():
        assert_drawn_from_normal(build())
