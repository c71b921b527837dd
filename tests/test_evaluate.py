"""FID and KID of real photos on disk, in features whose statistics are known."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Subset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from trainings import differing, state_of, trainer

from cyclegan.config import DataConfig
from cyclegan.evaluate import Evaluation, Evaluator, title
from cyclegan.extractor import INCEPTION, EvaluationError
from cyclegan.models import CycleGAN
from cyclegan.models.base import fixed_noise
from cyclegan.models.bicyclegan import BicycleGAN
from cyclegan.models.dcgan import DCGAN
from cyclegan.models.pix2pix import Pix2Pix
from cyclegan.runs import read_metrics

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CPU = torch.device("cpu")

COLOURS = np.random.default_rng(0).integers(105, 150, (6, 3))
"""Of plain photos, so that the mean colour, which is the feature here, is known exactly."""


class MeanColour(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


class Drawing(nn.Module):
    """Draws random numbers, which a training must not notice."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3)) + 0 * torch.rand(3)


class Affine(nn.Module):
    """A generator that maps a value c of 0..255 to factor * c + shift."""

    def __init__(self, factor: float, shift: float):
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * (images + 1) - 1 + self.shift / 127.5


class Plain(nn.Module):
    """A generator of one plain grey."""

    latent = 2

    def __init__(self, value: int):
        super().__init__()
        self.value = value

    def forward(self, z: Tensor) -> Tensor:
        return torch.full((len(z), 3, 16, 16), self.value / 127.5 - 1)


class Sign(nn.Module):
    """A generator that paints white or black as its z is positive or negative."""

    latent = 1

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        return torch.ones_like(images) * z.sign()[:, :, None, None]


class Registered(FeatureExtractorBase):
    """MeanColour as torch-fidelity knows its own."""

    def __init__(self, name: str, features_list: list[str], **_: object):
        super().__init__(name, features_list)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.float().mean((2, 3)),)

    @staticmethod
    def get_provided_features_list():
        return ("colour",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "colour"


PlainPhotos = Callable[..., Path]


@pytest.fixture
def plain_photos(tmp_path: Path) -> PlainPhotos:
    """Make a data folder from the colours of the photos in each of its folders."""

    def make(**folders: np.ndarray) -> Path:
        for name, colours in folders.items():
            (tmp_path / "data" / name).mkdir(parents=True)
            for index, (r, g, b) in enumerate(colours.tolist()):
                photo = Image.new("RGB", (24, 20), (r, g, b))
                photo.save(tmp_path / "data" / name / f"{index:02d}.png")
        return tmp_path / "data"

    return make


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


def evaluate(
    data: Path,
    extractor: Path,
    ab: nn.Module | None = None,
    ba: nn.Module | None = None,
    channels: int = 3,
    **more: int,
) -> Evaluation:
    config = DataConfig(data=data, image_size=16)
    networks = {"generator_ab": ab or nn.Identity(), "generator_ba": ba or nn.Identity()}
    both = {"a": channels, "b": channels}
    return Evaluator(CycleGAN, config, both, CPU, extractor, **more).evaluate(networks)


class TestScores:
    def test_identical_sets_have_no_distance(self, plain_photos, tiny):
        scores = evaluate(plain_photos(trainA=COLOURS, trainB=COLOURS), tiny).scores
        assert scores["fid"] == pytest.approx(0, abs=1e-3)
        # An estimate without bias falls on either side of 0; that of a set and itself falls below.
        assert scores["kid"] <= 0
        assert set(scores) == {
            *("fid", "fid_a2b", "fid_b2a"),
            *("kid", "kid_a2b", "kid_b2a", "kid_a2b_std", "kid_b2a_std"),
        }

    def test_a_shift_of_means_costs_its_square(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS + np.array([10, 20, 0]))
        scores = evaluate(data, tiny, ab=Affine(1, 10)).scores
        assert scores["fid_a2b"] == pytest.approx(0**2 + 10**2 + 10**2, abs=0.01)
        assert scores["fid_b2a"] == pytest.approx(10**2 + 20**2 + 0**2, abs=0.01)
        assert scores["fid"] == pytest.approx((200 + 500) / 2, abs=0.01)

    def test_another_spread_costs_the_difference_of_deviations(self, plain_photos, tiny):
        doubled = 2 * COLOURS - 127
        data = plain_photos(trainA=COLOURS, trainB=doubled)
        shift = COLOURS.mean(0) - doubled.mean(0)
        # tr(S + 4S - 2 (S 4S)^½) = tr(S)
        distance = shift @ shift + np.trace(np.cov(COLOURS, rowvar=False))
        assert evaluate(data, tiny).scores["fid_a2b"] == pytest.approx(distance, rel=1e-4)
        perfect = evaluate(data, tiny, ab=Affine(2, -127), ba=Affine(0.5, 63.5)).scores
        assert perfect["fid"] == pytest.approx(0, abs=0.01)

    def test_the_nearer_translation_scores_lower(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS + 40)
        kids = [evaluate(data, tiny, ab=Affine(1, by)).scores["kid_a2b"] for by in (40, 30, 0)]
        assert kids == sorted(kids)
        assert kids[0] < kids[1] < kids[2]

    def test_they_are_what_torch_fidelity_gives_for_the_same_pictures(self, plain_photos, tiny):
        draw = np.random.default_rng(1)
        a, b = draw.integers(0, 256, (9, 3)), draw.integers(0, 256, (12, 3))
        ours = evaluate(plain_photos(testA=a, testB=b, trainA=b, trainB=a), tiny, seed=3).scores
        torch_fidelity.register_feature_extractor("mean-colour", Registered)
        pictures = [
            [torch.tensor(c, dtype=torch.uint8).view(3, 1, 1).expand(3, 16, 16) for c in colours]
            for colours in (a, b)
        ]
        theirs = torch_fidelity.calculate_metrics(
            **{f"input{i}": Subset(p, range(len(p))) for i, p in enumerate(pictures, start=1)},
            **{"feature_extractor": "mean-colour", "fid": True, "kid": True},
            **{"kid_subset_size": 9, "rng_seed": 3},
            **{"cuda": False, "save_cpu_ram": True, "verbose": False},
        )
        names = {
            "fid_a2b": "frechet_inception_distance",
            "kid_a2b": "kernel_inception_distance_mean",
            "kid_a2b_std": "kernel_inception_distance_std",
        }
        for key, name in names.items():
            assert ours[key] == pytest.approx(theirs[name], rel=1e-6)

    def test_grey_domains_are_compared_too(self, plain_photos, tiny):
        grey = COLOURS[:, :1].repeat(3, axis=1)
        data = plain_photos(trainA=grey, trainB=grey + 10)
        assert evaluate(data, tiny, channels=1).scores["fid"] == pytest.approx(300, abs=0.01)

    def test_images_from_noise_are_compared_with_real_ones(self, plain_photos, tiny):
        data = plain_photos(train=COLOURS)
        config = DataConfig(data=data, image_size=16)
        found = Evaluator(DCGAN, config, {"a": 3}, CPU, tiny).evaluate({"generator": Plain(100)})
        gap = COLOURS.mean(0) - 100
        spread = np.trace(np.cov(COLOURS, rowvar=False))
        assert found.scores["fid"] == pytest.approx(gap @ gap + spread, rel=1e-4)
        assert found.scores["fid_z2a"] == found.scores["fid"]
        assert "z2a: 6 fakes from noise against 6 training photos of A" in found.protocol

    def test_where_z_chooses_answers_their_distance_is_measured(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS)
        config = DataConfig(data=data, image_size=16)
        networks = {"generator_ab": Sign(), "encoder_b": nn.Identity()}
        both = {"a": 3, "b": 3}
        scores = Evaluator(BicycleGAN, config, both, CPU, tiny).evaluate(networks).scores
        # Black for a negative z, white for a positive one: of 8 fixed z, so many pairs differ.
        positive = (fixed_noise(8, 1, torch.zeros(1)) > 0).sum().item()
        assert scores["answers"] == pytest.approx(positive * (8 - positive) / 28)
        assert scores["answers"] > 0
        assert scores["answers_fixed"] == 0

    def test_halves_of_pictures_are_sides(self, tmp_path, tiny):
        (tmp_path / "train").mkdir()
        for index, (a, b) in enumerate(zip(COLOURS.tolist(), COLOURS[::-1].tolist(), strict=True)):
            picture = Image.new("RGB", (48, 20), tuple(a))
            picture.paste(tuple(b), (24, 0, 48, 20))
            picture.save(tmp_path / "train" / f"{index}.png")
        config = DataConfig(data=tmp_path, image_size=16, layout="ab")
        measuring = Evaluator(Pix2Pix, config, {"a": 3, "b": 3}, CPU, tiny)
        # The same colours in another order.
        found = measuring.evaluate({"generator_ab": nn.Identity()})
        assert found.scores["fid_a2b"] == pytest.approx(0, abs=1e-3)
        found = measuring.evaluate({"generator_ab": Affine(1, 10)})
        assert found.scores["fid_a2b"] == pytest.approx(300, abs=0.01)


class TestProtocol:
    def test_it_says_what_was_compared_and_how(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS, testA=COLOURS[:4], testB=COLOURS[:3])
        (data / "testA" / "broken.png").write_bytes(b"no picture")
        evaluation = evaluate(data, tiny, seed=7, kid_subsets=5)
        digest = hashlib.sha256(tiny.read_bytes()).hexdigest()[:8]
        assert evaluation.extractor == "tiny"
        assert evaluation.protocol == (
            "a2b: 4 fakes from test photos of A against 3 test photos of B; "
            "b2a: 3 fakes from test photos of B against 4 test photos of A; "
            "from the middle of each photo a square of 1/1.12 of its short side, resized to 16×16 "
            "pixels (bicubic, 8 bits); features of a TorchScript network fed at that size, from "
            f"tiny.pt (SHA-256 {digest}…); KID as the mean over 5 subsets of 3, seed 7; "
            f"torch-fidelity {torch_fidelity.__version__}."
        )

    def test_training_photos_stand_in_where_there_are_no_test_photos(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS, testB=COLOURS[:5])
        protocol = evaluate(data, tiny).protocol
        assert "6 fakes from training photos of A against 5 test photos of B" in protocol

    def test_one_photo_is_refused(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS[:1])
        with pytest.raises(EvaluationError, match="two training photos of domain B"):
            evaluate(data, tiny)

    def test_photos_that_vanish_are_left_out_until_none_are_left(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS)
        config = DataConfig(data=data, image_size=16)
        measuring = Evaluator(CycleGAN, config, {"a": 3, "b": 3}, CPU, tiny)
        networks = {"generator_ab": nn.Identity(), "generator_ba": nn.Identity()}
        (data / "trainA" / "00.png").unlink()
        assert "a2b: 5 fakes" in measuring.evaluate(networks).protocol
        for file in (data / "trainA").iterdir():
            file.unlink()
        with pytest.raises(EvaluationError, match="domain A cannot be read any more"):
            measuring.evaluate(networks)

    def test_only_inception_is_called_fid(self):
        assert title("fid", INCEPTION) == "FID"
        assert title("kid_b2a", INCEPTION) == "KID B→A"
        assert title("fid", "tiny") == "Fréchet distance (tiny)"
        assert title("kid_a2b_std", "tiny") == "KID A→B deviation (tiny)"
        assert title("fid_z2a", INCEPTION) == "FID z→A"
        assert title("answers_fixed", INCEPTION) == "answers fixed"


class TestTrainingIsNotDisturbed:
    def test_random_states_and_modes_stay(self, plain_photos, script):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS)
        network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()).eval())
        before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
        scores = evaluate(data, script(Drawing()), ab=network).scores
        after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
        assert torch.equal(before[0], after[0])
        assert before[1:] == after[1:]
        assert [part.training for part in network.modules()] == [True, True, False, False]
        # In evaluation mode dropout does nothing.
        assert scores["fid_a2b"] == pytest.approx(0, abs=1e-3)

    def test_precision_of_training_changes_nothing(self, plain_photos, tiny):
        data = plain_photos(trainA=COLOURS, trainB=COLOURS + 10)
        network = nn.Conv2d(3, 3, 1)
        plain = evaluate(data, tiny, ab=network)
        with torch.autocast("cpu", torch.bfloat16):
            assert evaluate(data, tiny, ab=network) == plain
        assert network.weight.grad is None

    def test_a_training_ends_in_the_same_weights_with_and_without(self, photos, tmp_path, tiny):
        out, flags = tmp_path / "run", ("--steps", "4", "--ema", "0")
        measuring = ("--evaluate-every", "2", "--feature-extractor", str(tiny))
        trainer(photos, out, *flags, *measuring, "--keep-best", "kid_a2b").run()
        lines = [line for line in read_metrics(out) if line["kind"] == "evaluation"]
        assert [line["step"] for line in lines] == [2, 4]
        assert all(line["extractor"] == "tiny" and line["protocol"] for line in lines)
        best = min(lines, key=lambda line: line["scores"]["kid_a2b"])
        assert json.loads((out / "checkpoint" / "best.json").read_text())["step"] == best["step"]

        trainer(photos, tmp_path / "plain", *flags).run()
        learners = [state_of(folder)["learner"] for folder in (out, tmp_path / "plain")]
        assert differing(*learners) == []
