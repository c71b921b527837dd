"""What weights are worth: translations of photos that no training saw, in numbers.

Photos go through the same door as everywhere, `Translator`, whole, at the size at which the network
sees them there. Where pictures are classified or compared as sets, it is by their middle square.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan.classifier import Classifier, train_classifier
from cyclegan.config import DataConfig, Direction
from cyclegan.evaluate import distances
from cyclegan.extractor import DownloadError, EvaluationError, Extractor, load_extractor
from cyclegan.masked import BLACK, SEEN, WHITE, exchanged, load_mask, masked_photos
from cyclegan.measures import (
    Mean,
    error,
    luminance_correlation,
    mean,
    psnr,
    similarity,
)
from cyclegan.models import FAMILIES
from cyclegan.photos import folders, list_images, pairs, readable_images
from cyclegan.pretrained import load_classes
from cyclegan.squares import middles, sized, units
from cyclegan.translator import Translator, prepare

logger = logging.getLogger(__name__)

BATCH = 16
NAMED_AT = 224
"""Pixels a side at which EfficientNet-Lite0 was trained."""
NAMING = (
    f"Named by EfficientNet-Lite0, as trained on ImageNet, at {NAMED_AT}×{NAMED_AT} pixels: its "
    "first of a thousand classes. "
)
MASKING = (
    f"Change is compared in photos whose mask is white on {SEEN:.0%} or more. "
    "Real objects were cut out by masks and put in the place of those of test photos, which were "
    "painted over by OpenCV. "
)
REAL_OBJECTS = ", real objects"
"""Of photos whose own objects gave way to real ones of the target: about what a translation can
have that leaves the rest as it is."""
KNOWN = 1000
"""Training photos of a domain at most, from which its classifier learns."""
DOMAIN_STEPS = 3
"""How much longer that classifier is trained than one of a two-sample test, which sees fewer."""
HELD_BACK = 5
"""Where there are no test photos, one in so many training photos is held back for them."""


@dataclass(frozen=True)
class Judgement:
    """What was measured of one set of weights.

    Attributes:
        name: of the weights.
        measures: by direction, then by name; a mean over pictures with its interval, or a number.
        protocol: sentences from which the measurement can be repeated.
    """

    name: str
    measures: Mapping[Direction, Mapping[str, Mean | float]]
    protocol: str

    def to_json(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass
class Judge:
    """Measures weights on the photos of a data folder; what does not depend on them is kept.

    Args:
        data: the folder, as for training, with testA and testB or without.
        most: test photos of each domain at most, drawn by the seed.
        extractor: a file for FID and KID, see `load_extractor`; None for Inception, or, where that
            cannot be downloaded, the features of the classifier.
        steps: of training the classifier of a two-sample test, see also `DOMAIN_STEPS`.
        seed: of what is drawn, of the classifiers, of bootstrap samples and of KID's subsets.
        device: for networks.
        masked: a folder with testA, testB, maskA and maskB, where masks have their photo's name
            and are white where something is to change, black where nothing is.
        classes: by domain, numbers of ImageNet's classes that its objects have.

    Raises DataError or EvaluationError when photos or masks are missing or too few, and
    EvaluationError when there are classes and no package with the network that knows them.
    """

    data: DataConfig
    most: int = 500
    extractor: Path | None = None
    steps: int = 400
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    masked: Path | None = None
    classes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self):
        self._classifiers: dict[object, Classifier] = {}
        try:
            self._namer = load_classes().to(self.device) if self.classes else None
        except ValueError as error:
            raise EvaluationError(str(error)) from None

    def judge(self, translator: Translator) -> Judgement:
        """Measure one set of weights in all its directions."""
        family = FAMILIES[translator.weights.config.model]
        paired = family.data == "paired"
        tests, trained = self._files(paired)
        size = translator.info.image_size
        photos = {side: [sized(file, translator) for file in tests[side]] for side in "ab"}
        real = {side: middles(photos[side], size) for side in "ab"}
        domains = self._domains(trained, translator)
        grey = self._told_apart(_grey(real["b"]), _grey(real["a"]))
        extractor = self._extractor(domains, size)
        measures: dict[Direction, dict[str, Mean | float]] = {}
        for way in translator.directions:
            measures[way] = found = {}
            source, target = photos[way[0]], photos[way[2]]
            fakes = [translator.translate(photo, way) for photo in source]
            fake = middles(fakes, size)
            seen = {**photos, "fake": fakes}
            if self.masked is not None and (made := self._exchanged(self.masked, translator, way)):
                seen["exchanged"] = made
            found |= self._taken(domains, way, {of: middles(seen[of], size) for of in seen})
            if self._namer is not None:
                found |= self._named(self._namer, way, seen)
            found["two-sample accuracy"] = self._told_apart(real[way[2]], fake)
            found["two-sample accuracy, untranslated, grey"] = grey
            found |= self._distances(extractor, fake, real[way[2]])
            found["luminance correlation"] = self._mean(
                map(luminance_correlation, units(source), units(fakes))
            )
            found["change"] = self._mean(map(error, units(source), units(fakes)))
            same = (translator.translate(photo, way) for photo in target)
            found["identity error"] = self._mean(map(error, units(target), units(same)))
            if paired:
                found["error"] = self._mean(map(error, units(target), units(fakes)))
                found["PSNR, dB"] = self._mean(map(psnr, units(target), units(fakes)))
            found |= self._of_family(translator, photos)
            if self.masked is not None:
                found |= self._kept(self.masked, translator, way)
            back: Direction = "b2a" if way == "a2b" else "a2b"
            if back in translator.directions:
                recovered = [translator.translate(made, back) for made in fakes]
                for name, compare in (
                    ("cycle error", error),
                    ("cycle PSNR, dB", psnr),
                    ("cycle SSIM", similarity),
                ):
                    found[name] = self._mean(map(compare, units(source), units(recovered)))
        labels = translator.info.labels
        naming = "" if self._namer is None else NAMING
        masking = "" if self.masked is None else MASKING
        shorter = sorted(min(photo.size) for side in "ab" for photo in photos[side])
        sides = " to ".join(map(str, dict.fromkeys((shorter[0], shorter[-1]))))
        protocol = (
            f"{len(photos['a'])} test photos of {labels['a']} and {len(photos['b'])} of "
            f"{labels['b']}, whole, their short side {sides} pixels, as "
            "the network sees them on the page, through Translator.translate; "
            f"sets are compared by the middle square at {size}×{size} pixels. Classifiers: "
            f"ShuffleNet V2 ×0.5 from scratch; that of the domains in {DOMAIN_STEPS * self.steps} "
            f"steps on {len(trained['a'])} and {len(trained['b'])} training photos, that of the "
            f"two-sample test in {self.steps} steps on half of the real photos against half of the "
            "fakes, judged on the other halves (50% is perfect); untranslated and grey, it shows "
            f"what colours cannot hide. {naming}{masking}{extractor.protocol}. Seed {self.seed}; "
            "intervals hold the middle 95% of 1000 bootstrap samples."
        )
        return Judgement(translator.info.name, measures, protocol)

    def _files(self, paired: bool) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
        """Test and training photos of each side, which share none."""
        roots, test_roots = folders(self.data), folders(self.data, "test")
        trained = {side: readable_images(roots[side], side) for side in "ab"}
        tests = {side: list_images(test_roots[side]) for side in "ab"}
        if all(tests.values()):
            tests = {side: readable_images(test_roots[side], side) for side in "ab"}
        else:
            logger.warning("There are no test photos; every fifth training photo is held back.")
            tests = {side: trained[side][::HELD_BACK] for side in "ab"}
            kept = {side: set(tests[side]) for side in "ab"}
            trained = {side: [f for f in trained[side] if f not in kept[side]] for side in "ab"}
        if paired:
            tests = pairs(tests, test_roots if all(test_roots.values()) else roots)
        random = np.random.default_rng(self.seed)
        order = random.permutation(max(map(len, tests.values())))
        for side in "ab":
            # Of pairs, the same ones on either side.
            tests[side] = [tests[side][i] for i in order if i < len(tests[side])][: self.most]
            drawn = random.permutation(len(trained[side]))[:KNOWN]
            trained[side] = [trained[side][i] for i in drawn]
            for files in (tests[side], trained[side]):
                if len(files) < 2:
                    raise EvaluationError(
                        f"Domain {side.upper()} has {len(files)} photos where 2 are needed; add "
                        "some to --data."
                    )
        return tests, trained

    def _domains(self, trained: Mapping[str, Sequence[Path]], translator: Translator) -> Classifier:
        """The classifier of training photos, the same for all weights that see them as large."""
        size = translator.info.image_size
        seen = size, translator.weights.config.short_sides
        if seen not in self._classifiers:
            first, second = (
                middles([sized(file, translator) for file in trained[side]], size) for side in "ab"
            )
            steps = DOMAIN_STEPS * self.steps
            classifier = train_classifier(first, second, steps, self.seed, self.device)
            self._classifiers[seen] = classifier
        return self._classifiers[seen]

    def _extractor(self, domains: Classifier, size: int) -> Extractor:
        try:
            return load_extractor(self.extractor, size, self.device)
        except DownloadError as reason:
            logger.warning("%s Comparing the classifier's features instead.", reason)
        return Extractor(
            "classifier",
            "the classifier of the domains",
            "Features for distances: those of the classifier of the domains",
            lambda pixels: domains.features(pixels.to(self.device) / 127.5 - 1),
        )

    def _taken(
        self, domains: Classifier, way: Direction, squares: Mapping[str, Tensor]
    ) -> dict[str, Mean | float]:
        """How often fakes are taken for the target, and what that is worth."""
        target = way[2] == "b"
        taken = {
            of: (domains.is_second(images.to(self.device)) == target).float()
            for of, images in squares.items()
        }
        on_real = torch.cat([1 - taken[way[0]], taken[way[2]]])
        found = self._rates("target rate", way, taken)
        return {**found, "classifier on real": mean(on_real, self.seed)}

    def _named(
        self, namer: nn.Module, way: Direction, pictures: Mapping[str, Sequence[Image.Image]]
    ) -> dict[str, Mean | float]:
        """How often a network that knows ImageNet names the target first."""
        target = torch.tensor(self.classes[way[2]])

        @torch.no_grad()
        def named(images: Sequence[Image.Image]) -> Tensor:
            squares = middles(images, NAMED_AT).split(BATCH)
            logits = [namer(batch.to(self.device)).mean((2, 3)) for batch in squares]
            return torch.isin(torch.cat(logits).argmax(1).cpu(), target).float()

        hits = {of: named(images) for of, images in pictures.items()}
        return self._rates("named as the target", way, hits)

    def _rates(
        self, title: str, way: Direction, hits: Mapping[str, Tensor]
    ) -> dict[str, Mean | float]:
        kinds = {"": "fake", ", untranslated": way[0], ", real": way[2], REAL_OBJECTS: "exchanged"}
        return {
            f"{title}{kind}": mean(hits[of], self.seed) for kind, of in kinds.items() if of in hits
        }

    def _exchanged(self, masked: Path, translator: Translator, way: Direction) -> list[Image.Image]:
        """Photos with real objects of the target in them."""
        places, objects = (
            [
                (photo := prepare(file), load_mask(mask, photo.size))
                for file, mask in masked_photos(masked, side, self.most)
            ]
            for side in (way[0], way[2])
        )
        return [sized(made, translator) for made in exchanged(places, objects, self.seed)]

    def _told_apart(self, real: Tensor, fake: Tensor) -> Mean:
        count = min(len(real), len(fake)) // 2 * 2
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
        shown, asked = order.chunk(2)
        judge = train_classifier(real[shown], fake[shown], self.steps, self.seed, self.device)
        wrong = judge.is_second(real[asked].to(self.device))
        right = judge.is_second(fake[asked].to(self.device))
        return mean(torch.cat([~wrong, right]).float(), self.seed)

    def _distances(self, extractor: Extractor, fake: Tensor, real: Tensor) -> dict[str, float]:
        features = [
            torch.cat([extractor(batch.to(self.device)) for batch in images.split(32)])
            for images in (fake, real)
        ]
        found = distances(features[0], features[1], self.seed)
        fid = "FID" if extractor.name.startswith("inception") else "Fréchet distance"
        where = "" if fid == "FID" else f" ({extractor.name})"
        return {f"{fid}{where}": found.fid, f"KID{where}": found.kid}

    def _kept(
        self, masked: Path, translator: Translator, way: Direction
    ) -> dict[str, Mean | float]:
        """What changes where nothing should, of photos with masks."""
        outside, shares = [], []
        for file, masking in masked_photos(masked, way[0], self.most):
            photo = sized(file, translator)
            made = translator.translate(photo, way)
            mask = torch.from_numpy(load_mask(masking, photo.size))
            inside, without = mask > WHITE, mask <= BLACK
            real, fake = units([photo, made])
            change = (fake - real).abs().mean(0)
            if inside.float().mean() >= SEEN and without.any():
                outside.append(float(change[without].mean()))
                shares.append(outside[-1] / max(float(change[inside].mean()), 1e-6))
        if not shares:
            folder = masked / f"mask{way[0].upper()}"
            raise EvaluationError(f"{folder} has no mask that is white on {SEEN:.0%} or more.")
        return {
            "change, outside masks": mean(outside, self.seed),
            "change, outside against inside": mean(shares, self.seed),
        }

    def _of_family(
        self, translator: Translator, photos: Mapping[str, Sequence[Image.Image]]
    ) -> dict[str, float]:
        """What the family alone can tell, such as how far the answers to one picture are apart."""
        weights = translator.weights
        family, size = FAMILIES[weights.config.model], weights.config.image_size
        sums: dict[str, float] = {}
        count = min(map(len, photos.values()))
        for start in range(0, count, BATCH):
            batch = {
                f"real_{side}": middles(
                    photos[side][start : min(start + BATCH, count)], size, channels
                ).to(translator.device)
                for side, channels in family.channels(weights.settings).items()
            }
            for name, value in family.measure(weights.networks, batch).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch["real_a"])
        return {name.replace("_", ", "): total / count for name, total in sums.items()}

    def _mean(self, values: Iterator[float]) -> Mean:
        return mean(list(values), self.seed)


def _grey(images: Tensor) -> Tensor:
    return images.mean(1, keepdim=True).expand_as(images)
