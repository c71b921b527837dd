"""The README.md of a weights folder, which the Hub shows as the model's page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import ModelCardData

# https://huggingface.co/docs/hub/repositories-licenses, without those of other models' weights.
_LICENSES = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0 isc
    lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail
    openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""
HUB_LICENSES = frozenset(_LICENSES.split())


@dataclass(frozen=True)
class CardInfo:
    """What a model card tells.

    Attributes:
        name: of the model, for the heading.
        domain_a, domain_b: what the two domains show, e.g. "horse" and "zebra".
        image_size: side of the training images, in pixels.
        data: where the training images come from and under which terms, in Markdown.
        license: the licence of the weights as a Hub id ("mit", "cc-by-sa-4.0"), or None; any other
            text becomes the name of a licence that the Hub lists as "other".
        family: the kind of model.
        directions: those the model translates in; the first one is shown in the examples.
        takes_z: whether z chooses what it makes.
        settings: how it was trained: flags and their values.
        losses: the last value of every loss.
        steps, seconds, machine: how long it was trained, and on what; 0 steps for "unknown".
        versions: packages and their versions.
        samples: whether samples.webp lies beside the card.
        notes: limits and whatever else there is to say, in Markdown.
        hub_name: USER/NAME, when the weights are on the Hub.
    """

    name: str
    domain_a: str
    domain_b: str
    image_size: int
    data: str
    license: str | None = None
    family: str = "cyclegan"
    directions: tuple[str, ...] = ("a2b", "b2a")
    takes_z: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    samples: bool = False
    notes: str = ""
    hub_name: str | None = None


def model_card(info: CardInfo) -> str:
    """The text of README.md: front matter that the Hub accepts, then sections in Markdown."""
    sections = [f"# {info.name}\n\n{_summary(info)}", _usage(info), _data(info)]
    if info.steps:
        sections.append(_training(info))
    if info.losses:
        losses = {name: f"{value:.4g}" for name, value in info.losses.items()}
        sections.append(f"## Losses\n\nAt the last step.\n\n{_table('loss', losses)}")
    sections.append(f"## Limits\n\n{_limits(info)}")
    return f"---\n{_front_matter(info)}\n---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(info: CardInfo) -> str:
    license = info.license or None
    name = None
    if license == "other" or (license and license not in HUB_LICENSES):
        # The Hub refuses a card whose licence is neither on its list nor "other" with a name.
        license, name = "other", re.sub(r"[^a-z0-9.]+", "-", license.lower()).strip("-")
    data = ModelCardData(
        license=license,
        license_name=name,
        library_name="cyclegan",
        pipeline_tag="image-to-image" if info.directions else "unconditional-image-generation",
        tags=[
            info.family,
            "image-translation" if info.directions else "image-generation",
            "gan",
            "pytorch",
        ],
    )
    return data.to_yaml()


def _summary(info: CardInfo) -> str:
    a, b = info.domain_a, info.domain_b
    ways = {"a2b": f"{a} → {b} (`a2b`)", "b2a": f"{b} → {a} (`b2a`)"}
    directions = " and ".join(ways[direction] for direction in info.directions)
    does = f"Translates images: {directions}" if directions else f"Makes images: {a}"
    text = f"{does}. A {info.family} model, trained on images of "
    text += f"{info.image_size} × {info.image_size} pixels."
    if info.samples:
        text += "\n\n![What it makes](samples.webp)"
    return text


def _usage(info: CardInfo) -> str:
    weights = info.hub_name or f"weights/{info.name}"
    commands, lines = [], []
    if info.directions:
        direction = info.directions[0]
        flags = f"--weights {weights} --direction {direction} --output made"
        commands.append(f"python -m cyclegan translate photo.jpg {flags}")
        lines.append(f"""from PIL import Image

from cyclegan.translator import Translator

translator = Translator.load("{weights}")
translator.translate(Image.open("photo.jpg"), "{direction}").save("translated.png")""")
    if info.takes_z:
        photo = "--photo photo.jpg " if info.directions else ""
        drawn = "generator.draw(16, seed=0)"
        made = f"generator.generate({drawn})"
        if info.directions:
            made = f'[generator.translate("photo.jpg", z) for z in {drawn}]'
        commands.append(f"python -m cyclegan generate {weights} {photo}--output made")
        lines.append(f"""from cyclegan.generator import Generator

generator = Generator.load("{weights}")
pictures = {made}""")
    commands.append(f"python app.py --weights {weights}")
    shell, python = "\n".join(commands), "\n\n".join(lines)
    return f"## Use\n\n```bash\n{shell}\n```\n\n```python\n{python}\n```"


def _data(info: CardInfo) -> str:
    terms = "No licence is given for the weights: ask before using them."
    if info.license:
        terms = f"Licence of the weights: {info.license}."
    return f"## Data and licence\n\n{info.data.strip()}\n\n{terms}"


def _training(info: CardInfo) -> str:
    text = f"## Training\n\n{info.steps:,} steps in {_duration(info.seconds)}"
    if info.machine:
        text += f" on {info.machine}"
    if info.versions:
        text += ", with " + ", ".join(f"{name} {v}" for name, v in info.versions.items())
    return f"{text}.\n\n{_table('setting', info.settings)}".rstrip()


def _limits(info: CardInfo) -> str:
    domains = " and ".join(filter(None, (info.domain_a, info.domain_b)))
    known = f"It knows {domains} as its training images show them"
    if not info.directions:
        return f"{known}.\n\n{info.notes.strip()}".rstrip()
    known += (
        "; on anything else, expect odd colours, leftovers of the original, or no change at all."
    )
    return f"{known}\n\n{info.notes.strip()}".rstrip()


def _table(heading: str, rows: Mapping[str, object]) -> str:
    if not rows:
        return ""
    lines = [f"| {heading} | value |", "| --- | --- |"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    # A bar or a line break would end the cell.
    return " ".join(str(value).split()).replace("|", "\\|")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
