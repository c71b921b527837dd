"""The quick layers against torch's own, and the training step against a plain loop."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.plain import PlainLoop, as_torch_has_them
from cyclegan.cli import parse_training
from cyclegan.config import ConfigError
from cyclegan.devices import make_accelerator
from cyclegan.learner import Learner
from cyclegan.models.base import together
from cyclegan.networks import PatchDiscriminator, ResnetGenerator, layers

LAYERS = {
    "1 pixel": layers.Conv2d(3, 5, 3, padding=1, padding_mode="reflect"),
    "3 pixels": layers.Conv2d(3, 5, 7, padding=3, padding_mode="reflect"),
    "stride": layers.Conv2d(3, 5, 4, stride=2, padding=1, padding_mode="reflect"),
    "zeros": layers.Conv2d(3, 5, 3, padding=1),
    "pad": layers.ReflectionPad2d(1),
    "uneven pad": layers.ReflectionPad2d((2, 1, 2, 1)),
    "norm": layers.InstanceNorm2d(3),
    "affine norm": layers.InstanceNorm2d(3, affine=True),
    "bilinear": layers.Upsample(scale_factor=2, mode="bilinear"),
    "nearest": layers.Upsample(scale_factor=2, mode="nearest"),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("size", [(4, 4), (6, 9)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_quick_layer_gives_the_values_and_gradients_of_torch(layer, size, order):
    (own,) = as_torch_has_them(nn.ModuleList([layer]))
    assert type(own).__module__.startswith("torch.nn") and isinstance(layer, type(own))
    found = []
    for module in (layer.train(), own.train()):
        torch.manual_seed(0)
        x = torch.randn(2, 3, *size, dtype=torch.double).to(memory_format=order).requires_grad_()
        module.double()
        made = module(x)
        inputs = (x, *module.parameters())
        # Squared, so that the second gradients, which R1 needs, are no constants.
        first = torch.autograd.grad((made**2).sum(), inputs, create_graph=True)
        second = torch.autograd.grad((first[0] ** 2).sum(), inputs)
        found.append((made, *first, *second))
    for quick, expected in zip(*found, strict=True):
        torch.testing.assert_close(quick, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_in_evaluation_mode_it_is_torchs_own_to_the_bit(layer):
    (own,) = as_torch_has_them(nn.ModuleList([layer]))
    x = torch.randn(2, 3, 6, 9)
    assert torch.equal(layer.float().eval()(x), own.float().eval()(x))


def test_what_is_computed_in_one_call_is_what_two_calls_give():
    batches = torch.rand(1, 3, 32, 32), torch.rand(2, 3, 32, 32)
    alone = {
        "instance": (ResnetGenerator(width=4, blocks=1), 1),
        "batch": (ResnetGenerator(width=4, blocks=1, norm="batch"), 2),
        "spectral": (PatchDiscriminator(width=4, norm="spectral"), 2),
    }
    for name, (network, calls) in alone.items():
        twin, made = copy.deepcopy(network), []
        network.register_forward_hook(lambda *_, made=made: made.append(1))
        for one, other in zip(together(network, *batches), map(twin, batches), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
        assert len(made) == calls, name
        # Running statistics and singular vectors have moved as far.
        torch.testing.assert_close(network.state_dict(), twin.state_dict())


STEPS = 20


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twenty_steps_are_those_of_the_plain_loop(tmp_path, seed):
    """Same weights, same images: same losses and weights, up to the order of additions.

    Adam divides a gradient by its own size and ReLUs have a kink, so what rounding changes grows by
    a factor a step, with the learning rate: two plain loops whose weights differ by 1e-7 of their
    values were up to 6e-5 of a loss and 2% of the way apart after these steps. Biases before an
    instance norm are left out: it takes them off again, so their gradients are rounding alone.
    """
    config = parse_training(
        "cyclegan --data x --image-size 32 --width 8 --blocks 1 --discriminator-width 8 "
        "--upsample bilinear --padding reflect --discriminator-padding reflect --pool-size 5 "
        f"--learning-rate 2e-6 --decay-from 1 --seed {seed} --device cpu --out {tmp_path}".split()
    )
    learner = Learner(config, make_accelerator(config.training))
    learner.total = STEPS
    plain = as_torch_has_them(learner.networks)
    start = copy.deepcopy(plain.state_dict())
    loop = PlainLoop(plain, learning_rate=2e-6, pool_size=5)
    for _ in range(STEPS):
        blobs = {f"real_{side}": torch.rand(1, 3, 8, 8) * 2 - 1 for side in "ab"}
        batch = {
            name: F.interpolate(x, scale_factor=4, mode="bilinear") for name, x in blobs.items()
        }
        quick = {name: loss.item() for name, loss in learner.step([batch]).items()}
        assert quick == pytest.approx(loop.step(batch), rel=1e-3)
    for name, end in plain.state_dict().items():
        if name.endswith("weight"):
            apart, way = learner.networks.state_dict()[name] - end, end - start[name]
            assert apart.norm() < 0.1 * way.norm(), name


def test_a_checkpoint_goes_on_the_same_whatever_order_its_numbers_lie_in(tmp_path):
    """Of four numbers a pixel or four pixels a number: a machine's choice, told from nothing."""
    words = "cyclegan --data x --image-size 32 --width 4 --blocks 1 --discriminator-width 4"
    config = parse_training(f"{words} --precision no --device cpu --out {tmp_path}".split())
    batches = [
        {f"real_{side}": torch.rand(1, 3, 32, 32) * 2 - 1 for side in "ab"} for _ in range(3)
    ]
    first, other = (Learner(config, make_accelerator(config.training)) for _ in range(2))
    other.model.to(memory_format=torch.channels_last)
    for batch in batches[:2]:
        first.step([batch])
    other.load_state(copy.deepcopy(first.state()))
    for learner in (first, other):
        learner.step(batches[2:])
    for name, weight in first.networks.state_dict().items():
        if name.endswith("weight"):
            # A moment beside the wrong weight would move it by the learning rate, 2e-4.
            torch.testing.assert_close(other.networks.state_dict()[name], weight, rtol=0, atol=4e-5)


def test_half_precision_on_a_cpu_keeps_the_channels_of_a_pixel_together(tmp_path):
    words = "cyclegan --data x --image-size 32 --width 4 --blocks 1 --discriminator-width 4"
    config = parse_training(f"{words} --precision bf16 --device cpu --out {tmp_path}".split())
    learner = Learner(config, make_accelerator(config.training))
    orders: dict[str, bool] = {}
    for name, layer in learner.networks.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda layer, given, made, name=name: orders.update(
                    {name: made.is_contiguous(memory_format=torch.channels_last)}
                )
            )
    learner.step([{f"real_{side}": torch.rand(2, 3, 32, 32) for side in "ab"}])
    assert len(orders) == 26 and all(orders.values())


def test_checkpointed_activations_give_the_same_gradients_and_are_forgotten(tmp_path):
    batch = {f"real_{side}": torch.rand(2, 3, 32, 32) * 2 - 1 for side in "ab"}
    command = "cyclegan --data x --image-size 32 --width 4 --blocks 3 --discriminator-width 4"
    for options in ("", " --generator unet", " --downsample blur"):
        gradients, kept = [], []
        for flags in ("", " --checkpoint-activations"):
            words = f"{command}{options}{flags} --seed 3 --device cpu --out {tmp_path}".split()
            config = parse_training(words)
            learner = Learner(config, make_accelerator(config.training))
            sizes: list[int] = []

            def pack(tensor, sizes=sizes):
                sizes.append(tensor.numel())
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                losses = learner.phases[0].losses(batch, {})
            sum(losses.values()).backward()
            gradients.append([p.grad for p in learner.networks["generator_ab"].parameters()])
            kept.append(sum(sizes))
        assert kept[1] < 0.7 * kept[0], options
        torch.testing.assert_close(*gradients)


def test_what_cannot_be_computed_twice_is_refused(tmp_path):
    for words in ("cyclegan --norm batch", "dcgan"):
        flags = f"--data x --device cpu --image-size 32 --width 4 --out {tmp_path}"
        config = parse_training(f"{words} {flags} --checkpoint-activations".split())
        with pytest.raises(ConfigError, match="checkpoint-activations"):
            Learner(config, make_accelerator(config.training))
