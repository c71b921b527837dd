"""Networks in half the precision, and as CUDA graphs where there is a GPU."""

import pytest
import torch
from reference_networks import randomised

from cyclegan.compiled import psnr
from cyclegan.graphed import Graphed, Halved, graphed
from cyclegan.networks import Generator, ResnetGenerator
from cyclegan.tiles import calibrated, run_padded


@pytest.fixture
def network() -> Generator:
    return randomised(ResnetGenerator(width=8, blocks=2)).eval().requires_grad_(False)


def test_half_the_precision_makes_nearly_the_same_pictures(network: Generator) -> None:
    real = torch.rand(2, 3, 32, 48) * 2 - 1
    halved = Halved(network)
    assert (halved.multiple, halved.minimum, halved.reach) == (4, 8, network.reach)
    made = halved(real)
    assert made.dtype == torch.float32 and made.shape == real.shape
    assert 30 < psnr(made, network(real)) < 90
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(halved(real), made)


def test_tiles_are_made_in_full_precision(network: Generator) -> None:
    whole = torch.rand(1, 3, 32, 40) * 2 - 1
    made = run_padded(calibrated(Halved(network), whole), whole)
    torch.testing.assert_close(made, run_padded(calibrated(network, whole), whole))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_where_there_is_no_gpu_the_log_says_why_there_are_no_graphs(
    network: Generator, caplog: pytest.LogCaptureFixture
) -> None:
    assert graphed(network, 3, 32) is None
    assert "CUDA graphs are not used: " in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_replays_what_the_network_makes(network: Generator) -> None:
    network = network.cuda()
    made = Graphed(network)
    for _ in range(4):
        for shape in ((1, 3, 32, 32), (1, 3, 32, 48), (2, 3, 64, 32)):
            real = torch.rand(shape, device="cuda") * 2 - 1
            assert psnr(made(real), network(real)) > 30
