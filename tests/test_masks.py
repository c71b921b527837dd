"""Masks of objects: which photo has one, what is cut from it, and what the loss asks for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainings import assert_equal_runs, stop_after, trainer

from cyclegan.errors import UserError
from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.runs import read_metrics


@pytest.fixture
def masked(tmp_path: Path, photos: Path) -> Path:
    """Photos, and masks for two of each side; the masked photos are pictures of their own masks."""
    folder = Path(shutil.copytree(photos, tmp_path / "red2blue"))
    random = np.random.default_rng(1)
    for side in "AB":
        (folder / f"mask{side}").mkdir()
        for name in ("1", "4"):
            # Blobs of several pixels in a photo that is not square.
            blobs = np.kron(random.random((8, 12)) < 0.5, np.ones((6, 6), bool))
            mask = Image.fromarray(blobs.astype(np.uint8) * 255)
            mask.save(folder / f"mask{side}" / f"{name}.png")
            mask.convert("RGB").save(folder / f"train{side}" / f"{name}.png")
    return folder


def flags(folder: Path, *more: str) -> tuple[str, ...]:
    return ("--masks", str(folder), "--lambda-background", "3", *more)


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
def test_a_mask_is_cut_and_mirrored_as_its_photo(masked: Path, tmp_path: Path, cache: str) -> None:
    run = trainer(
        masked, tmp_path / "run", *flags(masked, "--zoom", "1.7", "--steps", "1", "--cache", cache)
    )
    own, whole = 0, 0
    for k in range(30):
        images = run.dataset[k]
        assert set(images) == {"real_a", "mask_a", "real_b", "mask_b"}
        for side in "ab":
            real, mask = images[f"real_{side}"], images[f"mask_{side}"]
            assert mask.shape == (1, 32, 32)
            if torch.equal(mask, torch.ones_like(mask)):
                whole += 1
            else:
                own += 1
                assert torch.equal(real, (2 * mask - 1).expand_as(real))
    # Two of six photos have one.
    assert own > 10 and whole > 20


def test_photos_are_cut_alike_with_masks_and_without(masked: Path, tmp_path: Path) -> None:
    plain = trainer(masked, tmp_path / "plain", "--steps", "1").dataset
    with_masks = trainer(masked, tmp_path / "run", *flags(masked, "--steps", "1")).dataset
    for k in range(12):
        for name, image in plain[k].items():
            assert torch.equal(image, with_masks[k][name])


def test_the_loss_is_the_mean_change_outside_of_the_mask() -> None:
    torch.manual_seed(0)
    shape = {"width": 4, "blocks": 1, "discriminator_width": 4}
    model = CycleGAN(CycleGANConfig(lambda_background=3.0, **shape), 32)
    batch = {f"real_{side}": torch.rand(2, 3, 32, 32) * 2 - 1 for side in "ab"}
    left = torch.zeros(2, 1, 32, 32)
    left[..., :8] = 1
    cache: dict[str, torch.Tensor] = {}
    losses = model.generator_losses({**batch, "mask_a": left, "mask_b": 1 - left}, cache)
    # Of B, the left quarter is beside the object.
    change = {
        "a": (cache["fake_b"] - batch["real_a"]).abs()[..., 8:].sum(),
        "b": (cache["fake_a"] - batch["real_b"]).abs()[..., :8].sum(),
    }
    expected = 3 * (change["a"] + change["b"]) / (2 * 3 * 32 * 32)
    torch.testing.assert_close(losses["background"], expected)
    # Test photos have no masks.
    assert "background" not in model.eval().generator_losses(batch, {})


def test_a_resumed_run_is_the_same_to_the_bit(masked: Path, tmp_path: Path) -> None:
    trainer(masked, tmp_path / "whole", *flags(masked, "--steps", "6")).run()
    stop_after(trainer(masked, tmp_path / "halved", *flags(masked, "--steps", "6")), 4)
    trainer(masked, tmp_path / "halved", *flags(masked, "--steps", "6")).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halved")
    logged = [line for line in read_metrics(tmp_path / "whole") if line["kind"] == "training"]
    assert all("generators/background" in line["losses"] for line in logged)


def test_backgrounds_stay_where_masks_ask_for_it(masked: Path, tmp_path: Path) -> None:
    trained = trainer(masked, tmp_path / "masks", *flags(masked, "--steps", "1"))

    def outside(name: str, *more: str) -> float:
        rare = "--learning-rate 2e-3 --sample-every 60 --checkpoint-every 60".split()
        run = trainer(masked, tmp_path / name, "--steps", "60", *rare, *more)
        run.run()
        changes = []
        for k in range(30):
            images = trained.dataset[k]
            beside = 1 - images["mask_a"]
            if beside.any():
                with torch.no_grad():
                    fake = run.learner.networks["generator_ab"](images["real_a"][None])[0]
                change = (fake - images["real_a"]).abs().mean(0)
                changes.append(float((change * beside).sum() / beside.sum()))
        return sum(changes) / len(changes)

    held = outside("held", "--masks", str(masked), "--lambda-background", "100")
    assert held < 0.7 * outside("free")


@pytest.mark.parametrize("half", [("--masks", "."), ("--lambda-background", "3")])
def test_masks_and_their_weight_need_each_other(
    masked: Path, tmp_path: Path, half: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        trainer(masked, tmp_path / "run", *half)
    assert caught.value.code == 2
    assert "--lambda-background above 0 need" in capsys.readouterr().err


def test_masks_that_cannot_be_used_are_refused_in_a_sentence(masked: Path, tmp_path: Path) -> None:
    def refused(sentence: str, *more: str) -> None:
        with pytest.raises(UserError) as caught:
            trainer(masked, tmp_path / "run", *more)
        assert sentence in str(caught.value)

    refused(f"{tmp_path / 'maskA'} has no mask named like a photo", *flags(tmp_path))
    Image.new("L", (48, 48)).save(masked / "maskB" / "1.png")
    refused("pairs need the same proportions", *flags(masked))
    assert not (tmp_path / "run").exists()
