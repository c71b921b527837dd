"""The history of generated images, followed by images that are all different numbers."""

import io
from collections import Counter

import pytest
import torch
from torch import Tensor

from cyclegan.image_pool import ImagePool


def picture(number: float) -> Tensor:
    return torch.full((1, 3, 2, 2), float(number))


def ask(pool: ImagePool, numbers: range) -> list[int]:
    return [int(pool(picture(number))[0, 0, 0, 0]) for number in numbers]


def test_size_zero_shows_the_newest() -> None:
    pool = ImagePool(0)
    assert ask(pool, range(100)) == list(range(100))


def test_it_fills_before_it_swaps() -> None:
    pool = ImagePool(50)
    assert ask(pool, range(50)) == list(range(50))
    assert ask(pool, range(50, 250)) != list(range(50, 250))


def test_half_are_swapped_for_stored_ones() -> None:
    pool = ImagePool(50, seed=3)
    ask(pool, range(50))
    given = range(50, 2050)
    returned = ask(pool, given)
    swapped = [(new, old) for new, old in zip(given, returned, strict=True) if new != old]
    # Six standard deviations of the number of heads in 2000 throws.
    assert abs(len(swapped) - 1000) < 6 * (2000 / 4) ** 0.5
    assert all(old < new for new, old in swapped)
    # What is shown has left the pool and what went in was not shown: nothing comes out twice.
    assert max(Counter(returned).values()) == 1
    # Every place is drawn: nothing is left of the first fifty after so many swaps.
    assert set(range(50)) <= set(returned)


def test_batches_mix_and_keep_shape_and_type() -> None:
    pool = ImagePool(4)
    pool(torch.zeros(4, 3, 2, 5, dtype=torch.bfloat16))
    batch = torch.ones(64, 3, 2, 5, dtype=torch.bfloat16, requires_grad=True)
    shown = pool(batch)
    assert shown.shape == batch.shape
    assert shown.dtype == torch.bfloat16
    assert (shown == 0).any()
    assert (shown == 1).any()


@pytest.mark.parametrize("size", [0, 4])
def test_no_gradient_gets_through(size: int) -> None:
    pool = ImagePool(size)
    assert not pool(torch.ones(8, 3, 2, 2, requires_grad=True)).requires_grad


def test_stored_images_are_copies() -> None:
    pool = ImagePool(1)
    first = picture(7)
    pool(first)
    first.zero_()
    shown = ask(pool, range(100, 120))
    assert 7 in shown
    assert 0 not in shown


def test_saved_and_loaded_it_goes_on_exactly() -> None:
    pool = ImagePool(8, seed=1)
    ask(pool, range(30))
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    again = ImagePool(8, seed=99)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert ask(again, range(30, 90)) == ask(pool, range(30, 90))


@pytest.mark.parametrize("seen", [3, 30])
def test_in_evaluation_mode_it_passes_everything_through_and_stays_as_it_is(seen: int) -> None:
    pool, twin = ImagePool(8, seed=1), ImagePool(8, seed=1)
    ask(pool, range(seen))
    ask(twin, range(seen))
    pool.eval()
    assert ask(pool, range(100, 160)) == list(range(100, 160))
    assert not pool(torch.ones(1, 3, 2, 2, requires_grad=True)).requires_grad
    pool.train()
    assert ask(pool, range(seen, 90)) == ask(twin, range(seen, 90))


@pytest.mark.parametrize(
    "other",
    [
        torch.empty((), dtype=torch.bfloat16),
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
        ),
    ],
    ids=["bfloat16", "cuda"],
)
def test_a_pool_filled_elsewhere_still_fits(other: Tensor | str) -> None:
    """A resumed run reads its pool to the CPU, and may have changed its precision."""
    pool = ImagePool(4)
    ask(pool, range(4))
    batch = torch.full((16, 3, 2, 2), 9.0).to(other)
    shown = pool(batch)
    assert (shown.dtype, shown.device) == (batch.dtype, batch.device)


def test_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size is -1"):
        ImagePool(-1)
