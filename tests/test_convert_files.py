"""Files that cannot be converted, directions, labels, and what is written."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_networks import DgaiGenerator, FlatResnet, HugganDcgan, discriminator, randomised
from reference_networks_unet import ChoosingUnet, Encoder, NestedUnet, PytorchGanUnet
from torch import nn

from cyclegan.commands import main
from cyclegan.convert import conversion
from cyclegan.models.bicyclegan import BicycleGAN, BicycleGANConfig
from cyclegan.weights import load_weights

Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture) -> Refusal:
    """Run the command, which must refuse in one sentence and leave nothing behind."""

    def run(*arguments: Any) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main(["convert", *map(str, arguments), "--out", str(tmp_path / "weights")]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        said = capsys.readouterr()
        assert said.out == ""
        assert re.fullmatch(r"cyclegan: [^\n]+\.\n", said.err), said.err
        return said.err

    return run


def save(path: Path, network: nn.Module) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def small(ends: tuple[int, int] = (3, 3)) -> nn.Module:
    return randomised(FlatResnet(1, width=2, ends=ends))


# --- files that are not what they should be


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["zip", "legacy", "beside tensors"])
def test_a_pickle_that_wants_to_run_code_is_refused(
    tmp_path: Path, refusal: Refusal, form: str
) -> None:
    hostile, file = Hostile(tmp_path / "marker"), tmp_path / "latest_net_G.pth"
    content = {**small().state_dict(), "epoch": hostile} if form == "beside tensors" else hostile
    torch.save(content, file, _use_new_zipfile_serialization=form != "legacy")
    assert "would run code" in refusal(file)
    assert not (tmp_path / "marker").exists()
    # The test could fail: read without care, the file does what it wants.
    torch.load(file, weights_only=False)
    assert (tmp_path / "marker").exists()


def test_networks_saved_whole_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    torch.save(small(), tmp_path / "whole.pth")
    assert "torch.save(model.state_dict(), …)" in refusal(tmp_path / "whole.pth")
    torch.jit.script(nn.Conv2d(1, 1, 1)).save(tmp_path / "script.pt")
    assert "would run code" in refusal(tmp_path / "script.pt")


@pytest.mark.parametrize("name", ["G.pth", "G.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world", b"\x80\x02}q\x00.", b"PK\x03\x04" * 9])
def test_files_that_are_no_checkpoints(
    tmp_path: Path, refusal: Refusal, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    said = refusal(tmp_path / name)
    assert str(tmp_path / name) in said
    assert "damaged" in said or "holds no tensors" in said


@pytest.mark.parametrize("legacy", [True, False])
def test_files_that_were_cut_short_or_altered(
    tmp_path: Path, refusal: Refusal, legacy: bool
) -> None:
    file = tmp_path / "G.pth"
    torch.save(small().state_dict(), file, _use_new_zipfile_serialization=not legacy)
    content = file.read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        file.write_bytes(content[: int(share * len(content))])
        refusal(file)
    for place in range(0, min(len(content), 900), 30):
        file.write_bytes(content[:place] + b"\xff\x00" + content[place + 2 :])
        if main(["convert", str(file), "--out", str(tmp_path / "made" / str(place))]) == 2:
            assert not (tmp_path / "made" / str(place)).exists()


def test_paths_that_are_no_files(tmp_path: Path, refusal: Refusal) -> None:
    assert "does not exist" in refusal(tmp_path / "gone.pth")
    (tmp_path / "folder").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder")


def test_an_unknown_network_is_told_what_was_looked_for(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(save(tmp_path / "vgg.pth", nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))))
    for name in ("pytorch-CycleGAN-and-pix2pix", "DGAI", "PyTorch-GAN", "huggan", "CUT",
                 "BicycleGAN", "0.weight"):  # fmt: skip
        assert name in said


@pytest.mark.parametrize(
    ("network", "key"),
    [
        (FlatResnet(6), "model.12.conv_block.5.weight"),
        (FlatResnet(6), "model.26.bias"),
        (FlatResnet(6, norm="batch"), "model.5.running_var"),
        (FlatResnet(6, down="binomial", up="binomial"), "model.11.filt"),
        (DgaiGenerator(), "last.weight"),
        (NestedUnet(7), "model.model.1.model.3.model.5.weight"),
        (PytorchGanUnet(7), "up3.model.0.weight"),
        (ChoosingUnet(7), "model.submodule.up.1.weight"),
        (HugganDcgan(32), "model.4.running_mean"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_tensor_less_or_more_or_of_another_shape_is_no_match(
    tmp_path: Path, refusal: Refusal, network: nn.Module, key: str
) -> None:
    file, state = tmp_path / "G.pth", network.state_dict()
    if key == "model.26.bias":
        state["model.27.bias"] = state["model.23.bias"]
    elif key.endswith("weight"):
        state[key] = state[key][..., :-1]
    else:
        del state[key]
    torch.save(state, file)
    assert "none of the checkpoints" in refusal(file)


def test_a_resnet_without_norms_is_no_match(tmp_path: Path, refusal: Refusal) -> None:
    state = {k: v for k, v in small().state_dict().items() if not k.endswith("bias")}
    torch.save(state, tmp_path / "G.pth")
    assert "none of the checkpoints" in refusal(tmp_path / "G.pth")


def test_numbers_that_are_not_finite(tmp_path: Path, refusal: Refusal) -> None:
    network = small()
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] = torch.nan
    assert "not finite" in refusal(save(tmp_path / "G.pth", network))


def test_a_dictionary_that_holds_itself(tmp_path: Path, refusal: Refusal) -> None:
    content: dict[str, Any] = {"epoch": 1}
    content["again"] = content
    torch.save(content, tmp_path / "G.pth")
    assert "holds no tensors" in refusal(tmp_path / "G.pth")


def test_grey_networks_of_pytorch_gan_are_refused_by_reason(
    tmp_path: Path, refusal: Refusal
) -> None:
    network = FlatResnet(2, up="nearest", width=2, ends=(1, 1))
    assert "3 channels" in refusal(save(tmp_path / "G_AB.pth", network))


# --- networks that do not belong together


def test_networks_of_several_models(tmp_path: Path, refusal: Refusal) -> None:
    first, second = (save(tmp_path / f"{name}.pth", small()) for name in "pq")
    third = save(tmp_path / "r.pth", FlatResnet(2, width=2))
    encoder = save(tmp_path / "latest_net_E.pth", Encoder(4, True))
    dcgan = save(tmp_path / "dcgan.pth", HugganDcgan(32))
    unet = save(tmp_path / "unet.pth", PytorchGanUnet(5))
    assert "p, q, r are not of one model" in refusal(first, second, third)
    assert "make no CycleGAN together" in refusal(first, third)
    assert "make no CycleGAN together" in refusal(unet, unet)
    assert "not of one model" in refusal(dcgan, dcgan)
    assert "not of one model" in refusal(first, encoder)
    assert "is no generator" in refusal(encoder)
    choosing = save(tmp_path / "latest_net_G.pth", ChoosingUnet(7, 3))
    assert "not of one model" in refusal(choosing, encoder)
    assert "nothing to convert" in refusal()


def test_discriminators_are_left_out(
    tmp_path: Path, refusal: Refusal, capsys: pytest.CaptureFixture
) -> None:
    judge = save(tmp_path / "latest_net_D.pth", discriminator())
    assert "is no generator" in refusal(judge)
    generator = save(tmp_path / "latest_net_G.pth", small())
    assert main(["convert", str(judge), str(generator), "--out", str(tmp_path / "made")]) == 0
    assert "latest_net_D is a network that only training needs" in capsys.readouterr().out


# --- directions: which of two files translates A to B


@pytest.mark.parametrize(
    ("there", "back", "words"),
    [
        ("latest_net_G_A", "latest_net_G_B", "by their names"),
        ("G_AB_10", "G_BA_10", "by their names"),
        ("netG_A2B", "netG_B2A", "by their names"),
        ("horse2zebra", "zebra2horse", "by their names"),
        ("horse2zebra/latest_net_G", "zebra2horse/latest_net_G", "by their names"),
        ("generator_ab", "generator_ba", "by their names"),
        ("latest_net_G_A", "other", "by their names"),
        ("other", "latest_net_G_B", "by their names"),
    ],
)
def test_names_tell_the_direction_whatever_the_order(
    tmp_path: Path, capsys: pytest.CaptureFixture, there: str, back: str, words: str
) -> None:
    first, second = small(), small()
    files = [save(tmp_path / f"{there}.pth", first), save(tmp_path / f"{back}.pth", second)]
    labels = ("--domain-a", "horse", "--domain-b", "zebra")
    for number, order in enumerate((files, files[::-1])):
        out = tmp_path / f"made{number}"
        assert main(["convert", *map(str, order), "--out", str(out), *labels]) == 0
        networks = load_weights(out).networks
        assert torch.equal(networks["generator_ab"].head[0].bias, first.model[-2].bias)
        assert torch.equal(networks["generator_ba"].head[0].bias, second.model[-2].bias)
        said = capsys.readouterr().out
        assert words in said
        assert "A to B (horse to zebra)" in said


def test_the_order_tells_where_names_do_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    networks = [small(), small()]
    files = [
        save(tmp_path / f"{n}.pth", network) for n, network in zip("yx", networks, strict=True)
    ]
    assert main(["convert", *map(str, files), "--out", str(tmp_path / "made")]) == 0
    assert "assumed from the order of the files" in capsys.readouterr().out
    made = load_weights(tmp_path / "made").networks
    assert torch.equal(made["generator_ab"].head[0].bias, networks[0].model[-2].bias)


def test_two_of_one_direction_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    files = [save(tmp_path / f"{n}_net_G_A.pth", small()) for n in (1, 2)]
    assert "both translate A to B" in refusal(*files)


@pytest.mark.parametrize(
    ("names", "labels", "makes_a"),
    [
        (("gen_A", "gen_B"), ("", ""), 0),
        (("gen_B", "gen_A"), ("", ""), 1),
        (("gen_black", "gen_blond"), ("", ""), 0),
        (("gen_blond", "gen_black"), ("brunette", "blonde"), 1),
        (("gen_black", "gen_blond"), ("blond hair", "black hair"), 1),
        (("genh", "genz"), ("", ""), 1),
    ],
)
def test_generators_of_dgai_are_named_after_what_they_make(
    tmp_path: Path, names: tuple[str, str], labels: tuple[str, str], makes_a: int
) -> None:
    networks = [randomised(DgaiGenerator(1, 2)) for _ in names]
    files = [save(tmp_path / f"{n}.pth", x) for n, x in zip(names, networks, strict=True)]
    flags = ["--domain-a", labels[0], "--domain-b", labels[1]] if labels[0] else []
    assert main(["convert", *map(str, files), "--out", str(tmp_path / "made"), *flags]) == 0
    made = load_weights(tmp_path / "made").networks
    assert torch.equal(made["generator_ba"].head[0].bias, networks[makes_a].last.bias)
    assert torch.equal(made["generator_ab"].head[0].bias, networks[1 - makes_a].last.bias)


@pytest.mark.parametrize(
    ("file", "labels", "words"),
    [
        ("latest_net_G.pth", ("A", "B"), "A to B, assumed, since no name tells"),
        ("latest_net_G_A.pth", ("A", "B"), "A to B, by its name"),
        ("latest_net_G_B.pth", ("B", "A"), "here A is B, B A"),
        ("horse2zebra/latest_net_G.pth", ("horse", "zebra"), "A to B (horse to zebra), by its"),
        ("horse2zebra_pretrained/latest_net_G_B.pth", ("zebra", "horse"), "here A is zebra"),
    ],
)
def test_one_generator_translates_from_a_to_b(
    tmp_path: Path, capsys: pytest.CaptureFixture, file: str, labels: tuple[str, str], words: str
) -> None:
    path = save(tmp_path / file, small())
    assert main(["convert", str(path), "--out", str(tmp_path / "made")]) == 0
    config = load_weights(tmp_path / "made").config
    assert (config.label_a, config.label_b) == labels
    assert words in capsys.readouterr().out


# --- what is written


def test_the_card_tells_the_origin(tmp_path: Path) -> None:
    path, out = save(tmp_path / "latest_net_G.pth", small()), tmp_path / "horses"
    assert main(["convert", str(path), "--out", str(out)]) == 0
    card = (out / "README.md").read_text()
    assert "license: unknown" in card
    assert "Licence of the weights: unknown." in card
    assert "`latest_net_G.pth`, SHA-256 `" in card
    assert "assumed, since no name tells" in card
    again = tmp_path / "again"
    assert main(["convert", str(path), "--out", str(again), "--license", "cc-by-4.0"]) == 0
    assert "license: cc-by-4.0" in (again / "README.md").read_text()
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip


def test_the_size_of_the_training_images(
    tmp_path: Path, refusal: Refusal, capsys: pytest.CaptureFixture
) -> None:
    path = save(tmp_path / "G.pth", small())
    flags = ("--image-size", "96")
    assert main(["convert", str(path), "--out", str(tmp_path / "made"), *flags]) == 0
    assert load_weights(tmp_path / "made").config.image_size == 96
    assert "assumed; --image-size" not in capsys.readouterr().out
    unet = save(tmp_path / "unet.pth", PytorchGanUnet(5))
    assert "the network is for 32 pixels" in refusal(unet, *flags)
    assert "--image-size is 2; it must" in refusal(path, "--image-size", "2")
    assert "--image-size is 97; it must" in refusal(path, "--image-size", "97")


def test_statistics_of_each_image_are_for_batch_norms(tmp_path: Path, refusal: Refusal) -> None:
    path = save(tmp_path / "G.pth", small())
    assert "this has none" in refusal(path, "--image-statistics")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, refusal: Refusal) -> None:
    path = save(tmp_path / "G.pth", small())
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "letter.txt").write_text("dear")
    assert "not empty" in refusal(path)


def test_nothing_is_left_of_what_goes_wrong_at_the_end(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "G.pth", small())

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device", "README.md")

    monkeypatch.setattr(conversion, "write_text", full)
    assert "No space left" in refusal(path)


def test_settings_of_old_weights_mean_what_they_did(tmp_path: Path) -> None:
    """What this version added to config.json may be missing there."""
    path = save(tmp_path / "G.pth", small())
    assert main(["convert", str(path), "--out", str(tmp_path / "made")]) == 0
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert config["settings"].pop("norm") == "instance"
    assert config["settings"].pop("downsample") == "stride"
    (tmp_path / "made" / "config.json").write_text(json.dumps(config))
    assert load_weights(tmp_path / "made").settings.blocks == 1


def test_what_came_without_an_encoder_is_not_trained() -> None:
    with pytest.raises(ValueError, match="encoder is none; to train, choose"):
        BicycleGAN(BicycleGANConfig(width=4, encoder="none"), 32)
