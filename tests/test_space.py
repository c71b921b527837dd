"""The page as a Space starts it: what comes before torch, what is written where, and a dead Hub."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import page_server
import pytest
from page_server import ROOT, PageServer
from playwright.sync_api import Browser, expect
from studio_page import WAIT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

# Stands in for the package of ZeroGPU, which patches torch and so has to come before it.
SPACES = {
    "spaces-0.51.3.dist-info/METADATA": "Name: spaces\nVersion: 0.51.3\n",
    "spaces/reloading.py": "def start_reload_server(**_): pass",
    "spaces/__init__.py": """
import os, sys
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        print(text, file=file)
note("torch is there already" if "torch" in sys.modules else "before torch")
def GPU(function):
    note(f"decorated {function.__module__}.{function.__name__}")
    return function
def gradio_auto_wrap(function):
    return function
""",
}
# Python imports a module of this name at its start. It notes every file that is written.
WATCHER = """
import os, sys
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TARGET = {"open": 0, "os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
busy = []
def note(event, arguments):
    if event not in TARGET or event == "open" and not (arguments[2] or 0) & WRITING:
        return
    path = arguments[TARGET[event]]
    if not isinstance(path, int) and not busy:
        busy.append(True)
        with open(os.environ["WRITTEN"], "a") as file:
            print(os.path.abspath(os.fsdecode(path)), file=file)
        busy.clear()
sys.addaudithook(note)
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """The repository without weights, as a ZeroGPU Space whose Hub does not answer."""
    folder = tmp_path_factory.mktemp("space")
    for name in ("stand-ins", "home", "tmp"):
        (folder / name).mkdir()
    for name, text in SPACES.items():
        (folder / "stand-ins" / name).parent.mkdir(exist_ok=True)
        (folder / "stand-ins" / name).write_text(text)
    (folder / "stand-ins" / "sitecustomize.py").write_text(WATCHER)
    (folder / "repository").mkdir()
    shutil.copy(ROOT / "app.py", folder / "repository")
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "cyclegan", folder / "repository" / "cyclegan", ignore=hidden)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_server, "ROOT", folder / "repository")
        server = PageServer(
            folder,
            CYCLEGAN_WEIGHTS="you/zebras",
            PYTHONPATH=str(folder / "stand-ins"),
            PYTHONDONTWRITEBYTECODE="1",
            HOME=str(folder / "home"),
            # Which no Space has, but the benchmarks beside these tests.
            MPLCONFIGDIR=str(folder / "tmp"),
            TMPDIR=str(folder / "tmp"),
            NOTES=str(folder / "notes.txt"),
            WRITTEN=str(folder / "written.txt"),
            SYSTEM="spaces",
            SPACE_ID="you/zebra-page",
            SPACES_ZERO_GPU="true",
        )
    yield server
    server.stop()


def test_spaces_comes_before_torch_and_gets_the_networks(space: PageServer) -> None:
    notes = (space.cwd.parent / "notes.txt").read_text().splitlines()
    assert notes[0] == "before torch"
    assert notes.count("before torch") == 1
    assert any(note.startswith("decorated cyclegan.ui.") for note in notes)


def test_without_weights_the_page_is_there_and_says_so(space: PageServer, browser: Browser) -> None:
    kind, said = space.translate({"url": "data:image/png;base64,"}, "", "a2b")
    assert kind == "error"
    assert said["error"].endswith(".")
    # Gradio's page asks the Hub about the Space that it is on, hence no `watched_page`.
    page = browser.new_page()
    page.goto(space.url)
    expect(page.locator("body")).to_contain_text("you/zebras", timeout=WAIT)
    for tab in ("Live", "Batch", "Models", "Training", "Translate"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    page.close()
    assert "Traceback" not in space.log, space.log


def test_nothing_is_written_elsewhere(space: PageServer) -> None:
    folder = space.cwd.parent
    places = ("gradio", "hf", "tmp", "notes.txt")
    allowed = (*(str(folder / place) for place in places), "/dev/")
    written = (folder / "written.txt").read_text().splitlines()
    assert str(folder / "notes.txt") in written
    assert [path for path in written if not path.startswith(allowed)] == []
    assert list((folder / "home").iterdir()) == []
    assert list(space.cwd.iterdir()) == []


def test_commands_of_the_document_exist() -> None:
    commands = re.findall(r"^(?:\S+=\S+ )*(hf|python) (.*)$", DEPLOY.replace("\\\n", ""), re.M)
    assert len(commands) > 6
    for program, rest in commands:
        words = rest.split()
        if program == "python":
            # `-m cyclegan push`, `train.py cyclegan` or `app.py`.
            start = words[: 3 if words[0] == "-m" else 2 if words[0] == "train.py" else 1]
            command = [sys.executable, *start, "--help"]
        else:
            start = [word for word in words if re.fullmatch("[a-z]+", word)][:2]
            command = [str(Path(sys.executable).with_name("hf")), *start, "--help"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert said.returncode == 0, (command, said.stderr)
        for flag in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", rest):
            assert flag == "-m" or re.search(rf"{flag}\b", said.stdout), (rest, flag)
