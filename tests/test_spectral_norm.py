"""The discriminator whose weights are divided by their largest singular value."""

import pytest
import torch
from torch import nn

from cyclegan.networks import PatchDiscriminator, initialise


def largest_singular_values(network: nn.Module) -> list[float]:
    with torch.no_grad():
        weights = [
            layer.weight.flatten(1) for layer in network.modules() if isinstance(layer, nn.Conv2d)
        ]
        return [float(torch.linalg.matrix_norm(weight, 2)) for weight in weights]


@pytest.mark.parametrize("downsamplings", [2, 3, 4])
def test_spectral_norm_holds_every_layer_at_one(downsamplings: int) -> None:
    network = initialise(PatchDiscriminator(3, 8, downsamplings, norm="spectral"))
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in network.modules())
    x = torch.rand(1, 3, 48, 48)
    for scale in (1.0, 30.0):
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("original"):
                    parameter.mul_(scale)
            for _ in range(100):
                network(x)
        # Power iteration comes from below, so what is left is a little above 1.
        assert largest_singular_values(network) == pytest.approx([1.0] * 5, abs=0.01)
    assert network(x).shape == PatchDiscriminator(3, 8, downsamplings)(x).shape


def test_spectral_norm_starts_from_the_initialisation_and_near_its_norm() -> None:
    network = PatchDiscriminator(width=8, norm="spectral")
    before = {name: p.clone() for name, p in network.named_parameters()}
    initialise(network)
    originals = {n: p for n, p in network.named_parameters() if n.endswith("original")}
    assert len(originals) == 5
    for name, parameter in originals.items():
        assert not torch.equal(parameter, before[name])
        tolerance = 0.02 * 6 / (2 * parameter.numel()) ** 0.5
        assert abs(parameter.std() - 0.02) < tolerance
    assert all(p.abs().max() == 0 for n, p in network.named_parameters() if n.endswith("bias"))
    # Without new singular vectors the first steps would see weights several times too large.
    assert largest_singular_values(network) == pytest.approx([1.0] * 5, abs=0.15)


def test_spectral_norm_is_saved_and_loaded() -> None:
    network = initialise(PatchDiscriminator(width=4, norm="spectral"))
    x = torch.rand(1, 3, 32, 32)
    network(x)
    again = PatchDiscriminator(width=4, norm="spectral")
    again.load_state_dict(network.state_dict())
    saved = {key: value.clone() for key, value in network.state_dict().items()}
    assert torch.equal(again.eval()(x), network.eval()(x))
    assert all(torch.equal(value, saved[key]) for key, value in again.state_dict().items())
    # In training mode the power iteration goes on, from the same vectors.
    assert torch.equal(again.train()(x), network.train()(x))
    assert torch.equal(again(x), network(x))


def test_the_default_discriminator_keeps_the_names_of_its_weights() -> None:
    expected = [f"layers.{i}.{part}" for i in (0, 2, 5, 8, 12) for part in ("weight", "bias")]
    assert list(PatchDiscriminator().state_dict()) == expected
