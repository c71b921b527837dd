"""Weights for other programs: what these compute is what the networks compute."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import draw_photo
from PIL import Image
from reference_networks import FlatResnet, randomised
from reference_networks_unet import NestedUnet

from cyclegan.commands import main
from cyclegan.config import to_json
from cyclegan.export import ExportError, export
from cyclegan.files import FolderError
from cyclegan.images import load_image, to_image, to_tensor
from cyclegan.models import FAMILIES
from cyclegan.pytorch_cyclegan import CounterpartError
from cyclegan.weights import Weights, WeightsConfig, save_weights

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

ROOT = Path(__file__).parent.parent
SMALL = {"width": 4, "discriminator_width": 4, "encoder_width": 4, "blocks": 2, "latent": 5}
# Every way in which a network can be built that a tracer might take for a constant.
MODELS = {
    "resize": ("cyclegan", {"upsample": "resize"}),
    "bilinear and reflection": ("cyclegan", {"upsample": "bilinear", "padding": "reflect"}),
    "transpose": ("cyclegan", {"upsample": "transpose", "channels_b": 1, "lambda_identity": 0.0}),
    "blur and batch norm": ("cyclegan", {"downsample": "blur", "norm": "batch"}),
    "attention": ("cyclegan", {"attention": True}),
    "affine instance norm": ("cut", {"norm": "affine"}),
    "u-net": ("pix2pix", {"dropout": True}),
    "u-net of batch norm": ("pix2pix", {"norm": "batch", "channels_a": 1}),
    "pytorch-gan's u-net": ("pix2pix", {"unet": "pytorch-gan"}),
    "z everywhere": ("bicyclegan", {}),
    "z at the input": ("bicyclegan", {"inject": "input", "encoder": "conv"}),
    "dcgan": ("dcgan", {}),
    "dcgan that resizes": ("dcgan", {"upsample": "resize"}),
}


def weights(family: str, image_size: int = 32, **settings) -> Weights:
    kind = FAMILIES[family]
    known = kind.Config.__dataclass_fields__
    small = {name: value for name, value in SMALL.items() if name in known}
    config = kind.Config(**{**small, **settings})
    build = kind.builders(config, image_size)
    networks = {name: build[name]() for name in kind.ships}
    for network in networks.values():
        randomised(network).requires_grad_(False)
    return Weights(
        WeightsConfig(1, family, "a", "b", image_size, to_json(config)), config, networks
    )


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest) -> Weights:
    family, settings = request.param
    return weights(family, **settings)


def inputs(model: Weights, name: str, count: int, factors: tuple[int, int]) -> dict:
    """Random inputs of the size `factors` times the smallest that the network takes."""
    network, kind, given = model.networks[name], FAMILIES[model.config.model], {}
    if name != "generator":
        side = "b" if name in ("generator_ba", "encoder_b") else "a"
        least = max(network.minimum, getattr(network, "multiple", 1))
        size = [factor * least for factor in factors]
        given["image"] = torch.rand(count, kind.channels(model.settings)[side], *size) * 2 - 1
    if name in ("generator", "generator_ab") and hasattr(model.settings, "latent"):
        given["z"] = torch.randn(count, model.settings.latent)
    return given


def made(network: torch.nn.Module, given: dict) -> list[np.ndarray]:
    with torch.no_grad():
        answer = network(*given.values())
    return [value.numpy() for value in (answer if isinstance(answer, tuple) else (answer,))]


SIZES = [(1, (1, 1)), (2, (3, 1)), (3, (1, 2))]


def test_onnx_computes_what_the_network_does_at_any_size(model: Weights, tmp_path: Path) -> None:
    found = export(model, "onnx", tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {file.file for file in found}
    assert [file.file for file in found] == [f"{name}.onnx" for name in model.networks]
    for name, network in model.networks.items():
        session = onnxruntime.InferenceSession(tmp_path / "out" / f"{name}.onnx")
        for count, factors in SIZES:
            given = inputs(model, name, count, factors)
            answers = session.run(None, {key: value.numpy() for key, value in given.items()})
            for answer, expected in zip(answers, made(network, given), strict=True):
                assert answer.shape == expected.shape
                assert np.abs(answer - expected).max() < 2e-5


def test_torchscript_computes_what_the_network_does_at_any_size(
    model: Weights, tmp_path: Path
) -> None:
    export(model, "torchscript", tmp_path / "out")
    for name, network in model.networks.items():
        script = torch.jit.load(tmp_path / "out" / f"{name}.pt")
        for count, factors in SIZES:
            given = inputs(model, name, count, factors)
            for answer, expected in zip(made(script, given), made(network, given), strict=True):
                assert answer.shape == expected.shape
                assert np.abs(answer - expected).max() < 2e-5


def test_an_export_says_what_it_takes(tmp_path: Path) -> None:
    (generator, encoder) = export(weights("bicyclegan"), "onnx", tmp_path / "out")
    assert generator.about == (
        "image [batch, 3, height, width] and z [batch, 5] to made, height and width at least 32, "
        "multiples of 32"
    )
    assert encoder.about.startswith("image [batch, 3, height, width] to mean and log_variance")
    file = onnx.load(tmp_path / "out" / "generator_ab.onnx")
    assert generator.about in file.doc_string and "[-1, 1]" in file.doc_string
    dimensions = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*file.graph.input, *file.graph.output)
    ]
    image = ["batch", 3, "height", "width"]
    assert dimensions == [image, ["batch", 5], image]
    script = {"about.txt": ""}
    export(weights("dcgan"), "torchscript", tmp_path / "script")
    torch.jit.load(tmp_path / "script" / "generator.pt", _extra_files=script)
    assert b"z [batch, 5] to made" in script["about.txt"]


def test_torchscript_runs_without_this_package(tmp_path: Path) -> None:
    export(weights("cyclegan"), "torchscript", tmp_path / "out")
    code = """
import sys, torch
sys.modules["cyclegan"] = None
made = torch.jit.load(sys.argv[1])(torch.zeros(2, 3, 20, 44))
print(tuple(made.shape))
"""
    file = tmp_path / "out" / "generator_ab.pt"
    answer = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert answer.stdout.strip() == "(2, 3, 20, 44)", answer.stderr


def test_the_document_s_example_paints_what_the_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = weights("cyclegan")
    export(model, "onnx", tmp_path / "exported")
    draw_photo("a", 0, (300, 256)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    document = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    exec(example, {})
    real = to_tensor(load_image(tmp_path / "photo.jpg").resize((256, 256)))[None]
    expected = to_image(
        torch.from_numpy(made(model.networks["generator_ab"], {"image": real})[0][0])
    )
    shades = np.asarray(Image.open("made.png")).astype(int) - np.asarray(expected)
    assert np.abs(shades).max() <= 1


# --- checkpoints of pytorch-CycleGAN-and-pix2pix


def loaded(reference: torch.nn.Module, path: Path) -> torch.nn.Module:
    reference.load_state_dict(torch.load(path, weights_only=True))
    return reference.eval()


@pytest.mark.parametrize("blocks", [6, 9])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_resnet_loads_in_pytorch_cyclegan(blocks: int, norm: str, tmp_path: Path) -> None:
    ends = {"channels_a": 3, "channels_b": 1, "lambda_identity": 0.0}
    model = weights("cyclegan", blocks=blocks, norm=norm, upsample="transpose", **ends)
    files = export(model, "pytorch-cyclegan", tmp_path / "out")
    assert [file.file for file in files] == ["latest_net_G_A.pth", "latest_net_G_B.pth"]
    eval_flag = " --eval" if norm == "batch" else ""
    assert files[0].about == (
        f"--netG resnet_{blocks}blocks --norm {norm}{eval_flag} --ngf 4 --no_dropout --input_nc 3 "
        "--output_nc 1"
    )
    # Over there G_A maps A to B.
    for file, name, (first, last) in (("A", "generator_ab", (3, 1)), ("B", "generator_ba", (1, 3))):
        path = tmp_path / "out" / f"latest_net_G_{file}.pth"
        reference = loaded(FlatResnet(blocks, norm, ends=(first, last)), path)
        given = {"image": torch.rand(2, first, 20, 28) * 2 - 1}
        apart = made(reference, given)[0] - made(model.networks[name], given)[0]
        assert np.abs(apart).max() < 1e-5


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_unet_loads_in_pytorch_cyclegan(size: int, norm: str, tmp_path: Path) -> None:
    model = weights("pix2pix", size, width=2, norm=norm)
    (file,) = export(model, "pytorch-cyclegan", tmp_path / "out")
    assert file.file == "latest_net_G.pth" and f"--netG unet_{size} --norm {norm}" in file.about
    path = tmp_path / "out" / file.file
    reference = loaded(NestedUnet(size.bit_length() - 1, norm, width=2), path)
    given = {"image": torch.rand(2, 3, size, size) * 2 - 1}
    apart = made(reference, given)[0] - made(model.networks["generator_ab"], given)[0]
    assert np.abs(apart).max() < 1e-5


@pytest.mark.parametrize(
    ("family", "size", "settings", "words"),
    [
        ("cyclegan", 32, {"upsample": "resize", "blocks": 9}, "upsample is resize"),
        ("cyclegan", 32, {"upsample": "bilinear", "blocks": 9}, "upsample is bilinear"),
        (
            "cyclegan",
            32,
            {"upsample": "transpose", "blocks": 9, "padding": "reflect"},
            "padding is reflect",
        ),
        (
            "cyclegan",
            32,
            {"upsample": "transpose", "blocks": 9, "downsample": "blur"},
            "downsample is blur",
        ),
        ("cyclegan", 32, {"upsample": "transpose", "blocks": 4}, "blocks is 4"),
        ("cyclegan", 32, {"blocks": 6, "attention": True}, "it has attention"),
        ("pix2pix", 128, {"norm": "affine"}, "norm is affine"),
        ("pix2pix", 64, {}, "image_size is 64"),
        ("pix2pix", 128, {"unet": "pytorch-gan"}, "unet is pytorch-gan"),
        ("bicyclegan", 128, {}, "latent is 5"),
        ("dcgan", 32, {}, "DcganGenerator"),
    ],
)
def test_what_pytorch_cyclegan_does_not_have(
    family: str, size: int, settings: dict, words: str, tmp_path: Path
) -> None:
    with pytest.raises(CounterpartError, match=words) as refusal:
        export(weights(family, size, **settings), "pytorch-cyclegan", tmp_path / "out")
    assert "--format onnx" in str(refusal.value) and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


# --- what goes wrong


class Wrong(torch.nn.Module):
    """Alike for squares, as a network whose size a tracer took for a constant."""

    def forward(self, x):
        return x if x.shape[2] == x.shape[3] else x + torch.nan


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_file_that_computes_something_else_is_not_kept(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = weights("cyclegan")
    monkeypatch.setitem(model.networks, "generator_ba", Wrong())
    wrong = r"generator_ba came out wrong, by nan .* 2×3×32×3"
    with pytest.raises(ExportError, match=wrong) as said:
        export(model, format, tmp_path / "deep" / "out")
    assert "\n" not in str(said.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match="pip install onnx onnxruntime"):
        export(weights("dcgan"), "onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FolderError, match="not empty"):
        export(weights("dcgan"), "torchscript", tmp_path)
    with pytest.raises(FolderError, match="no folder"):
        export(weights("dcgan"), "torchscript", tmp_path / "thesis.txt" / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = weights("cyclegan", blocks=6, upsample="transpose")
    save_weights(tmp_path / "w", model.config, model.networks)

    def run(format: str, output: str = "out") -> int:
        return main(
            ["export", str(tmp_path / "w"), "--format", format, "--output", str(tmp_path / output)]
        )

    for format in ("onnx", "torchscript", "pytorch-cyclegan"):
        assert run(format, format) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 and all("largest difference" in line for line in lines)
        assert "(1×3×32×32)" in lines[0] and "(2×3×32×36)" in lines[0] and "(3×3×12×8)" in lines[0]
    assert run("onnx", "onnx") == 2
    assert "not empty" in capsys.readouterr().err
    (tmp_path / "w" / "model.safetensors").write_bytes(b"torn")
    assert run("onnx") == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()
