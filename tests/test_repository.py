"""What a stranger and the Hub see of the repository itself."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from huggingface_hub import SpaceHardware
from PIL import Image
from pydantic import TypeAdapter

from cyclegan.cli import parse_training
from cyclegan.weights import load_weights

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def front_matter(text: str) -> dict:
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match, "the front matter is missing"
    return TypeAdapter(dict[str, str | list[str]]).validate_python(yaml.safe_load(match[1]))


def test_readme_is_a_valid_space():
    space = front_matter(README)
    assert set(space) <= {
        "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version",
        "app_file", "short_description", "models", "license", "suggested_hardware",
        "preload_from_hub",
    }  # fmt: skip
    assert space["sdk"] == "gradio"
    assert {space["colorFrom"], space["colorTo"]} <= COLOURS
    # ZeroGPU runs 3.10 and 3.12 only; unquoted, YAML would read 3.10 as 3.1.
    assert space["python_version"] in ("3.10", "3.12")
    assert (ROOT / space["app_file"]).is_file()
    assert len(space["short_description"]) <= 60
    assert space["suggested_hardware"] in [hardware.value for hardware in SpaceHardware]
    gradio = re.search(r"^gradio>=([\d.]+),<(\d+)$", (ROOT / "requirements.txt").read_text(), re.M)
    assert gradio
    version = [int(part) for part in space["sdk_version"].split(".")]
    assert version >= [int(part) for part in gradio[1].split(".")] and version[0] < int(gradio[2])


def test_every_requirement_has_a_lower_and_an_upper_bound():
    for file in ("requirements.txt", "tests/requirements.txt"):
        for line in (ROOT / file).read_text().split():
            assert re.fullmatch(r"[a-z0-9_-]+>=[\d.]+,<[\d.]+", line), line


def test_commands_of_the_readme_parse():
    commands = re.findall(r"^python train\.py (.*)$", README, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        parse_training(command.split())


def test_links_and_pictures_of_the_documents_exist():
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8"))
        for link in links:
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"


@pytest.mark.parametrize(
    "folder", sorted((ROOT / "weights").iterdir()), ids=lambda folder: folder.name
)
def test_weights_that_ship_load_and_say_where_they_come_from(folder):
    weights = load_weights(folder)
    # What 8-bit integers make quick is made from the rest.
    files = [path for path in folder.iterdir() if ".int8." not in path.name]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert front_matter(card)["license"]
    for words in ("Data and licence", "Training", "Limits", weights.config.label_a):
        assert words in card


def test_examples_are_small_pictures():
    examples = list((ROOT / "cyclegan" / "ui" / "examples").glob("*.jpg"))
    assert len(examples) >= 4
    for path in examples:
        assert path.stat().st_size < 150_000
        with Image.open(path) as image:
            assert min(image.size) >= 400


def test_nothing_heavy_or_pickled_is_tracked():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        # An unpacked archive instead of a clone: there is no list of what is tracked.
        files = [str(p.relative_to(ROOT)) for p in (ROOT / "cyclegan").rglob("*") if p.is_file()]
    else:
        files = [name for name in listing.stdout.split("\0") if (ROOT / name).is_file()]
    assert files
    for name in files:
        # OpenVINO's are numbers and nothing else.
        if not name.endswith(".int8.bin"):
            assert Path(name).suffix not in (".pt", ".pth", ".pkl", ".ckpt", ".bin"), name
        assert (ROOT / name).stat().st_size <= 12 * 2**20, name
