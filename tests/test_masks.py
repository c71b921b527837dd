"""Masks of objects and attention: what is cut, what is taught, and what is then left alone."""

import shutil
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from trainings import assert_equal_runs, stop_after, trainer

from cyclegan.errors import UserError
from cyclegan.losses import attention
from cyclegan.models.cyclegan import CycleGAN, CycleGANConfig
from cyclegan.networks import ResnetGenerator
from cyclegan.runs import read_metrics
from cyclegan.weights import load_weights


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
    return ("--masks", str(folder), "--attention", "--lambda-attention", "3", *more)


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
def test_a_mask_is_cut_and_mirrored_as_its_photo(masked: Path, tmp_path: Path, cache: str) -> None:
    run = trainer(
        masked, tmp_path / "run", *flags(masked, "--zoom", "1.7", "--steps", "1", "--cache", cache)
    )
    own, none = 0, 0
    for k in range(30):
        images = run.dataset[k]
        assert set(images) == {"real_a", "mask_a", "real_b", "mask_b"}
        for side in "ab":
            real, mask = images[f"real_{side}"], images[f"mask_{side}"]
            assert mask.shape == (1, 32, 32)
            if mask.any():
                own += 1
                assert torch.equal(real, mask.expand_as(real))
            else:
                none += 1
    # Two of six photos have one.
    assert own > 10 and none > 20


def test_photos_are_cut_alike_with_masks_and_without(masked: Path, tmp_path: Path) -> None:
    plain = trainer(masked, tmp_path / "plain", "--steps", "1").dataset
    with_masks = trainer(masked, tmp_path / "run", *flags(masked, "--steps", "1")).dataset
    for k in range(12):
        for name, image in plain[k].items():
            assert torch.equal(image, with_masks[k][name])


def test_the_loss_is_cross_entropy_weighted_by_how_sure_a_mask_is() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 5.0]]]])
    mask = torch.tensor([[[[1.0, -0.5], [0.25, 0.0]]]])
    expected = log(2) + 0.5 * log(1 + exp(2)) + 0.25 * log(1 + exp(1))
    assert float(attention(logits, mask)) == pytest.approx(expected / 4)


def small(**settings: Any) -> CycleGAN:
    torch.manual_seed(0)
    shape = {"width": 4, "blocks": 1, "discriminator_width": 4, "attention": True}
    return CycleGAN(CycleGANConfig(**shape, **settings), 32)


def random_batch() -> dict[str, Tensor]:
    return {f"real_{side}": torch.rand(2, 3, 32, 32) * 2 - 1 for side in "ab"}


def test_both_generators_are_taught_by_the_mask_of_their_photo() -> None:
    model = small(lambda_attention=3.0)
    left = -torch.ones(2, 1, 32, 32)
    left[..., :8] = 1
    batch = {**random_batch(), "mask_a": left, "mask_b": -left}
    found = model.generator_losses(batch, {})["attention"]
    logits = {
        side: model.networks[name].attend(batch[f"real_{side}"])[1]
        for side, name in (("a", "generator_ab"), ("b", "generator_ba"))
    }
    expected = sum(
        F.binary_cross_entropy_with_logits(logits[side], (batch[f"mask_{side}"] + 1) / 2)
        for side in "ab"
    )
    torch.testing.assert_close(found, 3 * expected)
    # Test photos have no masks.
    assert "attention" not in model.eval().generator_losses(random_batch(), {})


def test_discriminators_do_not_see_what_may_not_change() -> None:
    model = small(lambda_attention=1.0, pool_size=0)
    left = -torch.ones(2, 1, 32, 32)
    left[..., :16] = 1
    batch = {**random_batch(), "mask_a": left, "mask_b": left}
    cache = {"fake_a": torch.zeros(2, 3, 32, 32), "fake_b": torch.zeros(2, 3, 32, 32)}

    def loss(batch: dict[str, Tensor]) -> Tensor:
        return model.discriminator_losses(batch, cache)["adversarial"]

    beside, inside = dict(batch), dict(batch)
    for side in "ab":
        beside[f"real_{side}"] = torch.where(left < 0, 0.9, batch[f"real_{side}"])
        inside[f"real_{side}"] = torch.where(left > 0, 0.9, batch[f"real_{side}"])
    assert torch.equal(loss(beside), loss(batch))
    assert not torch.equal(loss(inside), loss(batch))


@pytest.mark.parametrize("open", [True, False])
def test_attention_mixes_what_is_painted_into_the_photo(open: bool) -> None:
    network = small().networks["generator_ab"].eval()
    plain = ResnetGenerator(width=4, blocks=1, upsample="resize").eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if "attention" not in k})
    network.attention.bias.data.fill_(1e3 if open else -1e3)
    photo = random_batch()["real_a"]
    with torch.no_grad():
        assert torch.allclose(network(photo), plain(photo) if open else photo, atol=1e-6)


def test_attention_needs_as_many_channels_out_as_in() -> None:
    with pytest.raises(ValueError, match="as many channels, not 1 and 3"):
        ResnetGenerator(1, 3, 4, 1, attention=True)
    with pytest.raises(ValueError, match="lambda_attention teaches attention"):
        CycleGANConfig(lambda_attention=1.0)
    with pytest.raises(ValueError, match="attention is for residual generators"):
        CycleGANConfig(generator="unet", attention=True)


def test_a_run_with_attention_starts_from_weights_without(masked: Path, tmp_path: Path) -> None:
    trainer(masked, tmp_path / "plain", "--steps", "2").run()
    weights = tmp_path / "plain" / "weights"
    run = trainer(
        masked, tmp_path / "run", *flags(masked, "--steps", "1", "--start-from", str(weights))
    )
    photo = random_batch()["real_a"]
    before, after = load_weights(weights).networks, run.learner.averages
    for name in ("generator_ab", "generator_ba"):
        with torch.no_grad():
            painted, mixed = before[name](photo), after[name](photo)
        opened = ((mixed - photo) / (painted - photo)).median()
        assert 0.9 < opened < 1.0


def test_a_resumed_run_is_the_same_to_the_bit(masked: Path, tmp_path: Path) -> None:
    trainer(masked, tmp_path / "whole", *flags(masked, "--steps", "6")).run()
    stop_after(trainer(masked, tmp_path / "halved", *flags(masked, "--steps", "6")), 4)
    trainer(masked, tmp_path / "halved", *flags(masked, "--steps", "6")).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "halved")
    logged = [line for line in read_metrics(tmp_path / "whole") if line["kind"] == "training"]
    assert all("generators/attention" in line["losses"] for line in logged)


def test_backgrounds_stay_where_masks_ask_for_it(masked: Path, tmp_path: Path) -> None:
    trained = trainer(masked, tmp_path / "masks", *flags(masked, "--steps", "1"))

    def outside(name: str, *more: str) -> float:
        rare = "--learning-rate 2e-3 --sample-every 60 --checkpoint-every 60".split()
        run = trainer(masked, tmp_path / name, "--steps", "60", *rare, *more)
        run.run()
        changes = []
        for k in range(30):
            images = trained.dataset[k]
            beside = (images["mask_a"] < 0).float()
            if beside.any():
                with torch.no_grad():
                    fake = run.learner.networks["generator_ab"](images["real_a"][None])[0]
                change = (fake - images["real_a"]).abs().mean(0)
                changes.append(float((change * beside).sum() / beside.sum()))
        return sum(changes) / len(changes)

    held = outside("held", *flags(masked))
    assert held < 0.5 * outside("free")


@pytest.mark.parametrize("half", [("--masks", "."), ("--attention", "--lambda-attention", "3")])
def test_masks_and_their_weight_need_each_other(
    masked: Path, tmp_path: Path, half: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        trainer(masked, tmp_path / "run", *half)
    assert caught.value.code == 2
    assert "--lambda-attention above 0 need" in capsys.readouterr().err


def test_masks_that_cannot_be_used_are_refused_in_a_sentence(masked: Path, tmp_path: Path) -> None:
    def refused(sentence: str, *more: str) -> None:
        with pytest.raises(UserError) as caught:
            trainer(masked, tmp_path / "run", *more)
        assert sentence in str(caught.value)

    refused(f"{tmp_path / 'maskA'} has no mask named like a photo", *flags(tmp_path))
    Image.new("L", (48, 48)).save(masked / "maskB" / "1.png")
    refused("pairs need the same proportions", *flags(masked))
    assert not (tmp_path / "run").exists()
