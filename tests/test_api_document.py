"""The examples of docs/api.md, run as they stand there against a real page."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import noise
import pytest
from asking import png
from page_server import ROOT, PageServer, painter
from PIL import Image

ADDRESS = "http://127.0.0.1:7860"
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (.*?)$|^```(python|sh)\n(.*?)^```", DOCUMENT, re.M | re.S)
WHITE = ((255, 255),) * 3


def examples() -> Iterator[tuple[str, str, str]]:
    """Section, language and text of every example."""
    section = ""
    for heading, language, text in BLOCKS:
        section = heading.strip("`/") or section
        if text:
            yield section, language, text


@pytest.fixture(scope="module")
def page(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    models = painter(constant_weights, folder / "w", "a", "b"), noise.colours(folder / "c")
    server = PageServer(folder, "--weights", *models)
    yield server
    server.stop()


def run(page: PageServer, language: str, text: str, folder: Path) -> str:
    """Run an example in an empty folder with a photo in it; what it printed."""
    Image.open(io.BytesIO(png())).save(folder / "apple.jpg")
    text = text.replace(ADDRESS, page.url)
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-eu", "-c", text]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(section: str, language: str) -> str:
    (text,) = (t for s, k, t in examples() if (s, k) == (section, language))
    return text


def colours(path: Path | str) -> object:
    with Image.open(path) as image:
        return image.convert("RGB").getextrema()


def test_translate_in_python(page: PageServer, tmp_path: Path) -> None:
    said = run(page, "python", one("translate", "python"), tmp_path)
    fake, model, _ = said.splitlines()[-1].split()
    assert model == "w"
    assert colours(fake) in (WHITE, ((0, 0),) * 3)


def test_translate_with_curl(page: PageServer, tmp_path: Path) -> None:
    run(page, "sh", one("translate", "sh"), tmp_path)
    assert colours(tmp_path / "orange.png") == WHITE


def test_generate_in_python(page: PageServer, tmp_path: Path) -> None:
    said = run(page, "python", one("generate", "python"), tmp_path)
    picture, model, seed = said.splitlines()[-1].split()
    assert (model, seed) == ("c", "7")
    with Image.open(picture) as image:
        assert image.size == (32, 32)


def test_batch_in_python(page: PageServer, tmp_path: Path) -> None:
    said = run(page, "python", one("batch", "python"), tmp_path)
    archive = said.splitlines()[-1].split()[0]
    with zipfile.ZipFile(archive) as found:
        assert any("apple" in name for name in found.namelist())


def test_models_in_python(page: PageServer, tmp_path: Path) -> None:
    lines = run(page, "python", one("models", "python"), tmp_path).splitlines()
    assert "w {'a': 'a', 'b': 'b'} ready" in lines


def test_models_with_curl(page: PageServer, tmp_path: Path) -> None:
    run(page, "sh", one("models", "sh"), tmp_path)
    said = (tmp_path / "models.txt").read_text()
    assert "event: complete" in said
    assert '"name": "w"' in said


def test_every_example_is_run_but_for_the_login() -> None:
    assert [(section, language) for section, language, _ in examples()] == [
        ("translate", "python"),
        ("translate", "sh"),
        ("generate", "python"),
        ("batch", "python"),
        ("models", "python"),
        ("models", "sh"),
        ("With a login", "python"),
    ]


def test_the_page_says_what_the_document_says(page: PageServer) -> None:
    """Inputs by name and order, for all endpoints that there are."""
    named = json.loads(page.get("/gradio_api/info"))["named_endpoints"]
    written = {}
    for section in re.split(r"^## ", DOCUMENT, flags=re.M):
        if match := re.match(r"`(/\w+)`", section):
            written[match[1]] = re.findall(r"^\| `(\w+)` \|", section, re.M)
    found = {
        name: [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        for name, endpoint in named.items()
    }
    assert written == found
