"""From recognised networks to a weights folder: families, directions, labels, a model card."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cyclegan.config import Direction, to_json
from cyclegan.convert.found import Found
from cyclegan.convert.layouts import DGAI, recognise
from cyclegan.convert.reading import ConvertError, Tensors, read
from cyclegan.files import CARD, appearing, write_text
from cyclegan.model_card import CardInfo, model_card
from cyclegan.models import FAMILIES
from cyclegan.networks import DcganGenerator, LatentEncoder, ResnetGenerator, UnetGenerator
from cyclegan.weights import WeightsConfig, load_weights, save_weights

LOOKED_FOR = (
    "generators of pytorch-CycleGAN-and-pix2pix (ResNet, U-Net), DGAI, PyTorch-GAN and huggan "
    "(ResNet, U-Net, DCGAN), CUT (ResNet) and BicycleGAN (U-Net with z, encoder)"
)

Labels = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """A network out of a file: the file, its name in there, and what it was recognised as."""

    path: Path
    name: str
    found: Found


@dataclass(frozen=True)
class Plan:
    """What the networks become: a family, its settings, its networks, and what is to be said."""

    family: str
    settings: dict[str, Any]
    networks: dict[str, Found]
    labels: Labels
    said: list[str]


def convert(
    files: Sequence[Path],
    out: Path,
    domain_a: str = "",
    domain_b: str = "",
    image_size: int | None = None,
    image_statistics: bool = False,
    license: str = "unknown",
) -> list[str]:
    """Convert checkpoints of one model to the weights folder `out`, which is new or empty.

    Domains are guessed from names such as horse2zebra when they are not given, and the size of the
    training images, in pixels, where no network tells it. With `image_statistics`, batch norms
    normalise each image by itself. The folder appears whole or not at all.

    Returns what was found and what was assumed, a sentence each.

    Raises ConvertError for files that cannot be converted, FolderError when `out` is taken.
    """
    if not files:
        raise ConvertError("There is nothing to convert: name the files of one model.")
    if image_size is not None and (image_size < 8 or image_size % 4):
        raise ConvertError(f"--image-size is {image_size}; it must be a multiple of 4, from 8 on.")
    parts, said = _recognised(files)
    if image_statistics:
        if not any(part.found.options.get("norm") == "batch" for part in parts):
            raise ConvertError("--image-statistics is for networks with batch norm; this has none.")
        parts = [replace(part, found=part.found.by_image()) for part in parts]
        said.append("Batch norms normalise each image by itself.")
    plan = _plan(parts, _labels(files, domain_a, domain_b))
    said += plan.said
    told = max(part.found.options.get("image_size", 0) for part in parts)
    if told and image_size not in (None, told):
        raise ConvertError(f"--image-size is {image_size}, but the network is for {told} pixels.")
    size = told or image_size
    if not size:
        # The paper takes 6 blocks for 128 pixels and 9 for 256.
        size = 256 if plan.settings["blocks"] > 6 else 128
        said.append(f"Training images of {size} pixels are assumed; --image-size tells otherwise.")
    if plan.settings.get("norm") == "batch":
        said.append("Batch norms use their running statistics; see also --image-statistics.")
    settings = FAMILIES[plan.family].Config(**plan.settings)
    config = WeightsConfig(1, plan.family, *plan.labels, size, to_json(settings))
    with appearing(out) as folder:
        networks = {name: found.build() for name, found in plan.networks.items()}
        save_weights(folder, config, networks, torch.float32)
        write_text(folder / CARD, _card(out.name, config, files, license, said))
        load_weights(folder)
    one_way = ", which translates one way" if len(FAMILIES[plan.family].translators) == 1 else ""
    return [*said, f"Wrote {out}, of the family {plan.family}{one_way}."]


def _recognised(files: Sequence[Path]) -> tuple[list[Part], list[str]]:
    """The networks that are of use, in their order, and a sentence on each that is not."""
    states = [(path, name, tensors) for path in files for name, tensors in read(path)]
    # Encoders tell how long z is, which some generators do not.
    latent = next((len(t["fc.0.weight"]) for *_, t in states if "fc.0.weight" in t), None)
    parts: list[Part] = []
    unknown: list[tuple[Path, str, Tensors]] = []
    for path, name, tensors in states:
        found = recognise(tensors, latent)
        if found is None:
            unknown.append((path, name, tensors))
        else:
            parts.append(Part(path, name, found))
    said = []
    for path, name, tensors in unknown:
        if _helps_training(tensors):
            said.append(f"{name} is a network that only training needs; it is left out.")
        elif not any(part.path == path for part in parts):
            raise ConvertError(
                f"{path} is none of the checkpoints that are known here: {LOOKED_FOR}; it begins "
                f"with {next(iter(tensors))}."
            )
    if all(part.found.network is LatentEncoder for part in parts):
        raise ConvertError(f"{files[0]} is no generator; give the file of the generator.")
    return parts, said


def _helps_training(tensors: Tensors) -> bool:
    """Whether it is a discriminator, which gives one number a patch, or CUT's projections."""
    convolutions = [value for value in tensors.values() if value.ndim == 4]
    judges = any(len(value) == 1 and value.shape[-1] <= 4 for value in convolutions)
    return judges or all(key.startswith("mlp_") for key in tensors)


def _plan(parts: Sequence[Part], labels: Labels) -> Plan:
    encoders = [part for part in parts if part.found.network is LatentEncoder]
    generators = [part for part in parts if part not in encoders]
    found = generators[0].found
    chooses = found.network is UnetGenerator and found.options["latent"] > 0
    most = 1 if chooses or found.network is DcganGenerator else 2
    if len(generators) > most or len(encoders) > int(chooses):
        names = ", ".join(part.name for part in parts)
        raise ConvertError(f"{names} are not of one model; convert them one by one.")
    if chooses:
        return _bicyclegan(generators[0], encoders, labels)
    if found.network is DcganGenerator:
        settings = {key: value for key, value in found.options.items() if key != "image_size"}
        count = settings["latent"]
        said = f"{generators[0].name}: generator as in {found.source}, from {count} numbers."
        return Plan("dcgan", settings, {"generator": found}, (labels[0], ""), [said])
    if len(generators) == 2:
        return _both_ways(generators[0], generators[1], labels)
    return _one_way(generators[0], labels)


def _both_ways(first: Part, second: Part, labels: Labels) -> Plan:
    told = [_direction(part, labels) for part in (first, second)]
    if told[0] and told[0] == told[1]:
        raise ConvertError(
            f"{first.path} and {second.path} both translate {_way(told[0], labels)} by their "
            "names; give one of each direction."
        )
    backwards = told[0] == "b2a" or told[1] == "a2b"
    why = "by their names" if any(told) else "assumed from the order of the files"
    there, back = (second, first) if backwards else (first, second)
    said = [
        f"{part.name}: {_described(part.found)}, {_way(way, labels)}, {why}."
        for part, way in ((there, "a2b"), (back, "b2a"))
    ]
    options, others = there.found.options, dict(back.found.options)
    # Only the channels may differ, and those as the directions do.
    ends = others["channels_out"], others["channels_in"]
    others["channels_in"], others["channels_out"] = ends
    same = there.found.network is back.found.network and options == others
    if not same or options.get("variant", "paper") != "paper":
        raise ConvertError(
            f"{first.path} and {second.path} make no CycleGAN together; convert them one by one."
        )
    settings = _settings(there.found)
    if ends[0] != ends[1]:
        settings["lambda_identity"] = 0.0
    networks = {"generator_ab": there.found, "generator_ba": back.found}
    return Plan("cyclegan", settings, networks, labels, said)


def _one_way(part: Part, labels: Labels) -> Plan:
    found, told = part.found, _direction(part, labels)
    why = "by its name" if told else "assumed, since no name tells"
    said = [f"{part.name}: {_described(found)}, {_way(told or 'a2b', labels)}, {why}."]
    if told == "b2a":
        labels = labels[1], labels[0]
        said.append(f"One generator translates from A to B: here A is {labels[0]}, B {labels[1]}.")
    settings = _settings(found)
    if found.network is UnetGenerator:
        settings["unet"] = found.options["variant"]
    elif settings["channels_a"] == settings["channels_b"]:
        # Unpaired and one way, which is what half of a CycleGAN comes to.
        settings["channels"] = settings.pop("channels_a")
        del settings["channels_b"], settings["generator"]
        return Plan("cut", settings, {"generator_ab": found}, labels, said)
    return Plan("pix2pix", settings, {"generator_ab": found}, labels, said)


def _bicyclegan(part: Part, encoders: Sequence[Part], labels: Labels) -> Plan:
    found, options = part.found, part.found.options
    said = [f"{part.name}: {_described(found)}, {_way('a2b', labels)}, by z."]
    if found.assumed:
        said.append(found.assumed)
    settings = {name: _settings(found)[name] for name in ("channels_a", "channels_b", "width")}
    settings |= {"latent": options["latent"], "inject": options["inject"], "encoder": "none"}
    networks = {"generator_ab": found}
    if not encoders:
        said.append("Without its encoder, it takes no style from a reference.")
    for encoder in encoders:
        theirs = encoder.found.options
        if (theirs["latent"], theirs["channels"]) != (settings["latent"], settings["channels_b"]):
            raise ConvertError(f"{part.path} and {encoder.path} are not of one model.")
        settings["encoder"], settings["encoder_width"] = theirs["kind"], theirs["width"]
        settings["encoder_levels"] = theirs["levels"]
        networks["encoder_b"] = encoder.found
    return Plan("bicyclegan", settings, networks, labels, said)


def _settings(found: Found) -> dict[str, Any]:
    """What families that translate call the options of a network."""
    options = found.options
    settings = {"channels_a": options["channels_in"], "channels_b": options["channels_out"]}
    resnet = found.network is ResnetGenerator
    names = ("blocks", "upsample", "padding", "downsample") if resnet else ()
    settings |= {name: options[name] for name in ("width", "norm", *names)}
    return settings | {"generator": "resnet" if resnet else "unet"}


def _described(found: Found) -> str:
    options = found.options
    kind = f"U-Net for {options.get('image_size')} pixels"
    if "blocks" in options:
        kind = f"ResNet of {options['blocks']} blocks"
    return f"generator as in {found.source}, {kind} with {options['norm']} norm"


def _way(direction: str, labels: Labels) -> str:
    text = " to ".join(direction.upper().split("2"))
    named = labels if direction == "a2b" else labels[::-1]
    return text if labels == ("A", "B") else f"{text} ({' to '.join(named)})"


def _direction(part: Part, labels: Labels) -> Direction | None:
    """Which way a generator translates, by its name, else by its folder's."""
    name = _named(part.name, part.found.source, labels)
    return name or _named(part.path.absolute().parent.name, part.found.source, labels)


def _named(name: str, source: str, labels: Labels) -> Direction | None:
    ways = (("a", "b"), tuple(label.lower() for label in labels))
    for pair in re.findall(r"([a-z]+)(?:2|to)([a-z]+)", name.lower()):
        if pair in ways:
            return "a2b"
        if pair[::-1] in ways:
            return "b2a"
    if source == DGAI:
        # Named after what it makes: gen_A, or gen_black where A is black hair.
        made = re.search(r"gen_?([a-z]+)", name.lower())
        word = made[1] if made else ""
        directions: tuple[Direction, Direction] = ("b2a", "a2b")
        for side, label, direction in zip("ab", labels, directions, strict=True):
            if word == side or word in label.lower().split():
                return direction
        known: dict[str, Direction] = {"black": "b2a", "blond": "a2b"}
        return known.get(word)
    match = re.search(r"(?<![a-z])(?:net)?(?:g|generator)_?(ab|ba|a|b)(?![a-z])", name.lower())
    if match is None:
        return None
    return "a2b" if match[1].startswith("a") else "b2a"


def _labels(files: Sequence[Path], domain_a: str, domain_b: str) -> Labels:
    names = [path.stem for path in files] + [path.absolute().parent.name for path in files]
    guessed = ("A", "B")
    if "gen_black" in names or "gen_blond" in names:
        guessed = ("black hair", "blond hair")
    for name in names:
        match = re.search(r"(?<![A-Za-z])([A-Za-z]{2,})2([A-Za-z]{2,})", name)
        if match:
            guessed = (match[1], match[2])
            break
    return domain_a or guessed[0], domain_b or guessed[1]


def _card(
    name: str, config: WeightsConfig, files: Sequence[Path], license: str, said: Sequence[str]
) -> str:
    origins = [
        f"- `{path.name}`, SHA-256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`"
        for path in files
    ]
    return model_card(
        CardInfo(
            name=name,
            domain_a=config.label_a,
            domain_b=config.label_b,
            image_size=config.image_size,
            data="Converted by `python -m cyclegan convert` from the files below; its networks "
            "compute what the original ones do. What they were trained on is not known here.\n\n"
            + "\n".join(origins),
            license=license,
            family=config.model,
            directions=tuple(FAMILIES[config.model].translators),
            notes="What the conversion found:\n\n" + "\n".join(f"- {line}" for line in said),
        )
    )
