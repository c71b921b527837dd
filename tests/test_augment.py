"""Augmentation against what its draws say, on pictures whose pixels tell where they come from."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from cyclegan.augment import Policy, augment
from cyclegan.cli import parse_training

EVERYTHING: tuple[Policy, ...] = ("color", "translation", "cutout")


def test_no_policy_changes_nothing_and_draws_nothing() -> None:
    images, before = torch.rand(2, 3, 8, 8), torch.get_rng_state()
    assert augment(images, ()) is images
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",), EVERYTHING])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 20, 33), (3, 3, 7, 1)])
def test_shape_and_type_stay_and_gradients_come_through(
    policy: Sequence[Policy], shape: tuple[int, ...]
) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        images = (torch.rand(shape) * 2 - 1).to(dtype).requires_grad_()
        shown = augment(images, policy)
        assert (shown.shape, shown.dtype) == (images.shape, dtype)
        shown.float().square().sum().backward()
        assert images.grad is not None
        assert images.grad.isfinite().all()
        # Somewhere in every image; a cutout and a shift may take parts away, not all.
        assert (images.grad.flatten(1).abs().sum(1) > 0).all() or shape[-1] == 1


def test_color_is_brightness_saturation_and_contrast() -> None:
    images = torch.rand(1, 3, 12, 12, dtype=torch.float64) * 2 - 1
    torch.manual_seed(5)
    shown = augment(images, ["color"])
    torch.manual_seed(5)
    brightness, saturation, contrast = (torch.rand(3) - torch.tensor([0.5, 0.0, -0.5])).tolist()
    assert shown.mean().item() == pytest.approx(images.mean().item() + brightness)

    def light(x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True) - x.mean()

    def hue(x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True)

    torch.testing.assert_close(light(shown), contrast * light(images))
    torch.testing.assert_close(hue(shown), 2 * saturation * contrast * hue(images))


def test_color_draws_the_whole_range() -> None:
    grey = torch.zeros(400, 3, 2, 2)
    shifts = augment(grey, ["color"])[:, 0, 0, 0]
    assert -0.5 <= shifts.min() < -0.48
    assert 0.48 < shifts.max() <= 0.5
    step = torch.tensor([-0.5, 0.5]).expand(400, 3, 2, 2)
    shown = augment(step, ["color"])
    contrasts = (shown[..., 1] - shown[..., 0])[:, 0, 0]
    assert 0.5 <= contrasts.min() < 0.52
    assert 1.48 < contrasts.max() <= 1.5
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(400, 3, 2, 2)
    chroma = augment(red, ["color"])
    # With the draws of a constant picture, contrast does nothing but to colour.
    ratios = chroma[:, 0, 0, 0] - chroma[:, 1, 0, 0]
    assert 0 <= ratios.min() < 0.1
    assert 2 < ratios.max() <= 3


def test_translation_shifts_by_up_to_an_eighth_and_uncovers_grey() -> None:
    # Every pixel of a picture of 16 by 24 has a value of its own, none of them 0.
    image = torch.arange(1.0, 16 * 24 + 1).view(1, 1, 16, 24)
    shifts = set()
    for shown in augment(image.expand(600, 1, 16, 24), ["translation"])[:, 0]:
        row, column = (int(i) for i in (shown != 0).nonzero()[0])
        source = int(shown[row, column]) - 1
        down, right = row - source // 24, column - source % 24
        expected = torch.zeros(16, 24)
        expected[max(0, down) : 16 + min(0, down), max(0, right) : 24 + min(0, right)] = image[
            0, 0, max(0, -down) : 16 - max(0, down), max(0, -right) : 24 - max(0, right)
        ]
        assert torch.equal(shown, expected)
        shifts.add((down, right))
    assert shifts == {(down, right) for down in range(-2, 3) for right in range(-3, 4)}


def test_cutout_greys_a_square_of_half_the_side_anywhere() -> None:
    shown = augment(torch.ones(600, 2, 16, 24), ["cutout"])
    corners = set()
    for image in shown:
        assert torch.equal(image[0], image[1])
        rows, columns = ((image[0] == 0).any(axis).nonzero().flatten() for axis in (1, 0))
        box = image[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == 0).all() and (image[0] == 0).sum() == box.numel()
        assert len(rows) <= 8 and len(columns) <= 12
        corners.add((int(rows[0]), int(rows[-1])))
    # Its centre is any of the 17 rows between and beside pixels; at the edges half sticks out.
    assert corners == {(max(0, c - 4), min(15, c + 3)) for c in range(17)}


def test_every_image_is_changed_in_its_own_way_and_the_generator_decides() -> None:
    image = torch.rand(1, 3, 16, 16).expand(8, 3, 16, 16)
    torch.manual_seed(1)
    first = augment(image, EVERYTHING)
    torch.manual_seed(1)
    again, then = augment(image, EVERYTHING), augment(image, EVERYTHING)
    assert torch.equal(first, again)
    assert not torch.equal(first, then)
    assert all(not torch.equal(a, b) for i, a in enumerate(first) for b in first[:i])


def test_the_flag_takes_any_of_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    def policy(*flags: str) -> tuple[str, ...]:
        return parse_training(["cyclegan", "--data", "x", *flags]).model.augment

    assert policy() == ()
    assert policy("--augment") == ()
    assert policy("--augment", "color", "translation", "cutout") == EVERYTHING
    assert policy("--augment", "cutout", "--steps", "5") == ("cutout",)
    with pytest.raises(SystemExit):
        policy("--augment", "colour")
    assert "translation" in capsys.readouterr().err
