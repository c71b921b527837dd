"""The files that may serve as feature extractor, and those that may not."""

import hashlib
import io
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torch_fidelity.feature_extractor_inceptionv3 as inception
from torch import Tensor, nn

from cyclegan.evaluate import title
from cyclegan.extractor import INCEPTION, DownloadError, EvaluationError, load_extractor

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore:Detected pickle protocol"
)

CPU = torch.device("cpu")


class MeanColour(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


class NvidiaStyle(nn.Module):
    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        features = images.float().mean((2, 3))
        return features if return_features else features.softmax(1)


class TakesFloats(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images).mean((2, 3))


class GivesMaps(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float()


class GivesInfinity(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3)) / 0


@pytest.fixture
def script(tmp_path: Path) -> Callable[[nn.Module], Path]:
    def save(network: nn.Module) -> Path:
        path = tmp_path / "tiny.pt"
        torch.jit.script(network).save(path)
        return path

    return save


@pytest.fixture
def tiny(script) -> Path:
    return script(MeanColour())


class Hostile:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


class TestExtractorFile:
    def test_nvidias_convention_is_followed(self, script):
        images = torch.zeros(1, 3, 4, 4) + torch.tensor([-1, 0.2, 1]).view(3, 1, 1)
        features = load_extractor(script(NvidiaStyle()), 16, CPU)(images)
        assert features.tolist() == [[0, 153, 255]]

    def test_a_file_cannot_call_itself_inception(self, tiny):
        extractor = load_extractor(tiny.rename(tiny.with_stem(INCEPTION)), 16, CPU)
        assert title("fid", extractor.name).startswith("Fréchet distance")

    @pytest.mark.parametrize(
        ("network", "words"),
        [
            (TakesFloats(), "does not take images of 16 pixels"),
            (GivesMaps(), r"gives \[2, 3, 16, 16\]"),
            (GivesInfinity(), "infinite"),
        ],
    )
    def test_a_network_of_another_kind_is_refused_before_training(self, script, network, words):
        path = script(network)
        with pytest.raises(EvaluationError, match=f"{path}.*{words}"):
            load_extractor(path, 16, CPU)

    def test_other_files_are_refused_and_run_nothing(self, tmp_path, tiny):
        marker = tmp_path / "executed"
        plain, archive, script = io.BytesIO(), io.BytesIO(), io.BytesIO()
        pickle.dump(Hostile(marker), plain)
        torch.save(Hostile(marker), archive)
        with zipfile.ZipFile(script, "w") as file:
            for name in ("data.pkl", "constants.pkl"):
                file.writestr(f"x/{name}", plain.getvalue())
            file.writestr("x/version", "3")
        weights = io.BytesIO()
        torch.save({"layer.weight": torch.zeros(3)}, weights)
        contents = {
            "text": b"These are no weights.",
            "empty": b"",
            "cut short": tiny.read_bytes()[:-200],
            "pickle": plain.getvalue(),
            "torch archive": archive.getvalue(),
            "script archive": script.getvalue(),
            "other weights": weights.getvalue(),
        }
        for name, content in contents.items():
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(EvaluationError, match=f"extractor {path} is neither") as caught:
                load_extractor(path, 16, CPU)
            assert "\n" not in str(caught.value)
        assert not marker.exists()
        for path in (tmp_path, tmp_path / "missing"):
            with pytest.raises(EvaluationError, match=f"extractor {path} cannot be read"):
                load_extractor(path, 16, CPU)


class TestInception:
    def test_without_a_network_it_is_said(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr(inception, "URL_INCEPTION_V3", "http://127.0.0.1:9/weights.pth")
        with pytest.raises(DownloadError, match=r"127.0.0.1:9.*refused.*--feature-extractor"):
            load_extractor(None, 16, CPU)

    @pytest.mark.slow
    def test_it_is_downloaded_once_checked_or_taken_from_a_file(self, monkeypatch, tmp_path):
        with monkeypatch.context() as patch:
            patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
            empty = io.BytesIO()
            torch.save({}, empty)
            empty.seek(0)
            theirs = inception.FeatureExtractorInceptionV3(
                "untrained", ["2048"], feature_extractor_weights_path=empty
            )
        path = tmp_path / "served" / f"weights-{'0' * 8}.pth"
        path.parent.mkdir()
        torch.save(theirs.state_dict(), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        path.with_stem(f"weights-{digest}").hardlink_to(path)
        images = torch.rand(2, 3, 16, 16) * 2 - 1
        expected = theirs(((images + 1) * 127.5).round().to(torch.uint8))[0]

        local = load_extractor(path, 16, CPU)
        assert local.name == INCEPTION
        assert local.protocol.endswith(f"from {path.name} (SHA-256 {digest}…)")
        torch.testing.assert_close(local(images), expected)

        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
        handler = partial(SimpleHTTPRequestHandler, directory=path.parent)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever).start()
            url = f"http://127.0.0.1:{server.server_port}/weights-"
            monkeypatch.setattr(inception, "URL_INCEPTION_V3", f"{url}{'0' * 8}.pth")
            with pytest.raises(DownloadError, match="hash"):
                load_extractor(None, 16, CPU)
            monkeypatch.setattr(inception, "URL_INCEPTION_V3", f"{url}{digest}.pth")
            torch.testing.assert_close(load_extractor(None, 16, CPU)(images), expected)
            server.shutdown()
        torch.testing.assert_close(load_extractor(None, 16, CPU)(images), expected)

    def test_the_package_is_asked_for_only_when_it_is_needed(self, tiny):
        program = (
            "import sys; sys.modules['torch_fidelity'] = None\n"
            "import torch; from pathlib import Path\n"
            "from cyclegan.extractor import EvaluationError, load_extractor\n"
            "import cyclegan.evaluate\n"
            "try:\n"
            f"    load_extractor(Path({str(tiny)!r}), 16, torch.device('cpu'))\n"
            "except EvaluationError as error:\n"
            "    print(error)\n"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert result.stdout == (
            "FID and KID need a package: pip install 'torch-fidelity>=0.4,<0.5'.\n"
        ), result.stderr
