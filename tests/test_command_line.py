"""`python -m cyclegan` as people type it; most in this process, since a new one imports torch."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import draw_photo
from hub_server import TOKEN, HubServer
from PIL import Image

from cyclegan.commands import main

ROOT = Path(__file__).parents[1]
WHITE, BLACK = ((255, 255),) * 3, ((0, 0),) * 3


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cyclegan", *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def photo(path: Path, size: tuple[int, int] = (23, 17)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_photo("a", 0, size).save(path)
    return path


def extrema(path: Path) -> object:
    with Image.open(path) as image:
        return image.convert("RGB").getextrema()


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class Shell:
    """Runs commands in this process and keeps what they say."""

    def __init__(self, capture: pytest.CaptureFixture[str], weights: Path):
        self.capture, self.weights = capture, weights
        self.out = self.error = ""

    def translate(self, *arguments: str | Path) -> int:
        command = ["--weights", str(self.weights), "--device", "cpu", *map(str, arguments)]
        self.capture.readouterr()
        code = main(["translate", *command])
        self.out, self.error = self.capture.readouterr()
        return code

    def refuses(self, *arguments: str | Path, words: tuple[str, ...]) -> None:
        """Exit code 2, nothing on stdout, and one sentence with all the words on stderr."""
        assert self.translate(*arguments) == 2
        assert self.out == ""
        assert self.error.count("\n") == 1
        assert self.error.startswith("cyclegan: ")
        assert self.error.endswith(".\n")
        assert [word for word in words if word not in self.error] == []


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], constant_weights: Path) -> Shell:
    return Shell(capsys, constant_weights)


# --- translate, as a process


def test_a_folder_with_a_bad_file(constant_weights: Path, tmp_path: Path) -> None:
    for name, size in (("one.jpg", (23, 17)), ("deep/er/two.png", (8, 40)), ("three.gif", (5, 5))):
        photo(tmp_path / "photos" / name, size)
    (tmp_path / "photos" / "deep" / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").write_text("not even named like one")
    before = {name: (tmp_path / "photos" / name).read_bytes() for name in tree(tmp_path / "photos")}
    done = run(
        "translate",
        tmp_path / "photos",
        *("--weights", constant_weights),
        *("--direction", "b2a"),
        *("--output", tmp_path / "new" / "out"),
        "--recovered",
    )
    assert done.returncode == 2
    assert f"Translated 3 photos into {tmp_path / 'new' / 'out'}\n" == done.stdout
    bad = tmp_path / "photos" / "deep" / "bad.jpg"
    said = done.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"{bad} is not a picture")
    assert said[1] == "1 of 4 photos could not be translated."
    out = tmp_path / "new" / "out"
    assert tree(out) == [
        "deep/er/two.png",
        "deep/er/two.recovered.png",
        "one.jpg",
        "one.recovered.jpg",
        "three.png",
        "three.recovered.png",
    ]
    for name in tree(out):
        # From white to black; the recovered ones are white again.
        assert extrema(out / name) == (WHITE if "recovered" in name else BLACK)
    with Image.open(out / "one.jpg") as one, Image.open(out / "deep/er/two.recovered.png") as two:
        assert (one.format, one.size, two.format, two.size) == ("JPEG", (23, 17), "PNG", (8, 40))
    after = {name: (tmp_path / "photos" / name).read_bytes() for name in tree(tmp_path / "photos")}
    assert after == before


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    script = """
import sys
from cyclegan.commands import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as exit:
        print("code", exit.code)
print("code", "torch" in sys.modules)
"""
    helps = ["--help", "translate --help", "push --help", "pull --help"]
    mistakes = ["translate --no-such-flag", "transalte", "push", ""]
    command = [sys.executable, "-c", script, *helps, *mistakes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("code ")]
    assert codes == ["0"] * 4 + ["2"] * 4 + ["False"]


# --- translate, in this process


def test_one_photo(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "me.webp")
    assert shell.translate(path, "--output", tmp_path / "out") == 0
    assert shell.out == f"Translated 1 photo into {tmp_path / 'out'}\n"
    assert shell.error == ""
    assert tree(tmp_path / "out") == ["me.webp"]
    assert extrema(tmp_path / "out" / "me.webp") == WHITE


@pytest.mark.parametrize(
    ("name", "result", "format"),
    [
        ("a.JPG", "a.JPG", "JPEG"),
        ("a.jpeg", "a.jpeg", "JPEG"),
        ("a.b.png", "a.b.png", "PNG"),
        ("a.webp", "a.webp", "WEBP"),
        ("a.bmp", "a.bmp", "BMP"),
        ("a.tif", "a.tif", "TIFF"),
        ("a.tiff", "a.tiff", "TIFF"),
        ("a.gif", "a.png", "PNG"),
    ],
)
def test_names_and_formats(
    name: str, result: str, format: str, shell: Shell, tmp_path: Path
) -> None:
    assert shell.translate(photo(tmp_path / name), "--output", tmp_path / "out") == 0
    assert tree(tmp_path / "out") == [result]
    with Image.open(tmp_path / "out" / result) as image:
        assert (image.format, image.size) == (format, (23, 17))


def test_a_photo_named_by_itself_needs_no_extension(shell: Shell, tmp_path: Path) -> None:
    photo(tmp_path / "me.png").rename(tmp_path / "me")
    assert shell.translate(tmp_path / "me", "--output", tmp_path / "out") == 0
    assert tree(tmp_path / "out") == ["me.png"]


def test_equal_names_are_numbered_and_said(shell: Shell, tmp_path: Path) -> None:
    for name in ("x/me.png", "y/me.png", "y/me.gif"):
        photo(tmp_path / name)
    paths = [tmp_path / "y/me.gif", tmp_path / "x", tmp_path / "y/me.png"]
    assert shell.translate(*paths, "--output", tmp_path / "out", "--recovered") == 0
    assert tree(tmp_path / "out") == [
        f"me{number}{kind}.png" for number in ("-2", "-3", "") for kind in ("", ".recovered")
    ]
    assert shell.error.splitlines() == [
        f"{tmp_path / 'y/me.png'} becomes me-2.png, since another photo becomes me.png.",
        f"{tmp_path / 'y/me.gif'} becomes me-3.png, since another photo becomes me.png.",
    ]


def test_a_recovered_photo_replaces_no_translated_one(shell: Shell, tmp_path: Path) -> None:
    for name in ("me.png", "me.recovered.png"):
        photo(tmp_path / "photos" / name)
    assert shell.translate(tmp_path / "photos", "--output", tmp_path / "out", "--recovered") == 0
    assert len(tree(tmp_path / "out")) == 4
    assert extrema(tmp_path / "out" / "me.png") == WHITE
    assert extrema(tmp_path / "out" / "me.recovered.png") == BLACK
    assert "becomes me.recovered-2.png" in shell.error


def test_the_same_photo_named_twice_is_translated_once(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "photos" / "me.png")
    assert shell.translate(path, path.parent, path, "--output", tmp_path / "out") == 0
    assert tree(tmp_path / "out") == ["me.png"]
    assert shell.error == ""


def test_photos_are_never_replaced(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "me.png")
    before = path.read_bytes()
    shell.refuses(path, "--output", tmp_path, words=(str(path), "--output"))
    shell.refuses(tmp_path, "--output", tmp_path, words=(str(path), "--output"))
    (tmp_path / "link").symlink_to(tmp_path)
    shell.refuses(path, "--output", tmp_path / "link", words=("me.png", "--output"))
    photo(tmp_path / "me.recovered.png")
    both = [path, tmp_path / "sub" / "..", "--output", tmp_path, "--recovered"]
    (tmp_path / "sub").mkdir()
    shell.refuses(*both, words=("--output",))
    assert path.read_bytes() == before


def test_results_inside_the_folder_are_not_translated_again(shell: Shell, tmp_path: Path) -> None:
    photo(tmp_path / "me.png")
    for _ in range(2):
        assert shell.translate(tmp_path, "--output", tmp_path / "out") == 0
        assert tree(tmp_path) == ["me.png", "out/me.png"]


def test_an_earlier_result_is_replaced(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "me.png")
    for direction, colour in (("a2b", WHITE), ("b2a", BLACK)):
        flags = ("--output", tmp_path / "out", "--direction", direction)
        assert shell.translate(path, *flags) == 0
        assert extrema(tmp_path / "out" / "me.png") == colour


def test_strength_and_detail(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "me.png", (90, 70))
    out = ("--output", tmp_path / "out")
    for strength, whites in ((0, False), (1, True)):
        assert shell.translate(path, *out, "--strength", str(strength), "--detail", "1") == 0
        assert (extrema(tmp_path / "out" / "me.png") == WHITE) == whites
        assert (extrema(tmp_path / "out" / "me.png") == extrema(path)) != whites
    for flag in ("--strength", "--detail"):
        for value in ("1.01", "-0.5", "nan"):
            words = (f"{flag} is {float(value)}; it must be from 0 to 1",)
            shell.refuses(path, *out, f"{flag}={value}", words=words)


def test_a_large_photo_comes_out_smaller_and_it_is_said(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (24_000, 2000)).save(path)
    assert shell.translate(path, "--output", tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / "wide.png") as image:
        assert image.size == (16_970, 1414)
    assert "1 photo had over 24 megapixels" in shell.error


def test_the_help_names_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["translate", "--help"])
    assert "at most 24 megapixels" in capsys.readouterr().out


def test_what_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "photos" / "me.png")
    out = ("--output", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    shell.refuses(tmp_path / "gone.jpg", *out, words=("gone.jpg does not exist",))
    shell.refuses(path, tmp_path / "gone.jpg", *out, words=("gone.jpg does not exist",))
    shell.refuses(tmp_path / "empty", *out, words=(str(tmp_path / "empty"), "no pictures"))
    shell.refuses(*out, words=("nothing to translate",))
    shell.refuses(path, *out, "--direction", "a2c", words=("'a2c'", "a2b or b2a"))
    shell.refuses(path, "--output", tmp_path / "file", words=(str(tmp_path / "file"),))
    shell.refuses(path, "--output", tmp_path / "file" / "x", words=("no folder",))
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    path = photo(tmp_path / "me.png")
    # No machine has both.
    absent = "mps" if torch.cuda.is_available() else "cuda"
    flags = ("--output", tmp_path / "out", "--device", absent)
    shell.refuses(path, *flags, words=(f"no {absent} device", "--device auto"))


def test_bad_weights_are_refused(shell: Shell, tmp_path: Path, constant_weights: Path) -> None:
    path = photo(tmp_path / "me.png")
    out = ("--output", tmp_path / "out")
    shell.refuses(path, *out, "--weights", "gone", words=("gone is neither",))
    shell.refuses(path, *out, "--weights", tmp_path, words=("config.json does not exist",))
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("config.json", "model.safetensors"):
        content = (constant_weights / name).read_bytes()
        (broken / name).write_bytes(content if name == "config.json" else content[:-100])
    shell.refuses(path, *out, "--weights", broken, words=(str(broken), "damaged or cut short"))
    # Nothing answers where the tests say that the Hub is.
    shell.refuses(path, *out, "--weights", "tester/gone", words=("Cannot pull tester/gone",))
    assert not (tmp_path / "out").exists()


def test_a_single_bad_photo_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(b"")
    assert shell.translate(path, "--output", tmp_path / "out") == 2
    assert shell.out == ""
    assert shell.error == f"{path} is empty (0 bytes); choose another file.\n"


def test_a_result_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "a.png")
    photo(tmp_path / "photos" / "b.png")
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    assert shell.translate(tmp_path / "photos", "--output", tmp_path / "out") == 2
    assert tree(tmp_path / "out") == ["b.png"]
    assert f"{tmp_path / 'out' / 'a.png'} cannot be written" in shell.error


# --- push and pull, as processes, against the stand-in Hub


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as hub_server:
        yield hub_server


def hub_environment(server: HubServer, tmp_path: Path) -> dict[str, str]:
    home = str(tmp_path / "hub home")
    return {"HF_ENDPOINT": server.url, "HF_HOME": home, "NO_PROXY": "*", "HF_TOKEN": TOKEN}


def test_push_pull_and_translate(server: HubServer, constant_weights: Path, tmp_path: Path) -> None:
    environment = hub_environment(server, tmp_path)
    name = "tester/black2white"
    pushed = run("push", constant_weights, name, "--private", **environment)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith(f"{server.url}/{name}/commit/")
    assert server.repos[name].private
    assert sorted(server.files(name)) == ["config.json", "model.safetensors"]

    first = pushed.stdout.strip().rpartition("/")[2]
    server.add_repo(name, {"config.json": b"{}"})
    cached = run("pull", name, **environment)
    assert cached.returncode == 0, cached.stderr
    assert (Path(cached.stdout.strip()) / "config.json").read_bytes() == b"{}"

    path = photo(tmp_path / "me.png")
    flags = ("--weights", f"{name}@{first}", "--output", tmp_path / "out")
    translated = run("translate", path, *flags, **environment)
    assert translated.returncode == 0, translated.stderr
    assert extrema(tmp_path / "out" / "me.png") == WHITE


def test_what_the_hub_refuses(server: HubServer, constant_weights: Path, tmp_path: Path) -> None:
    environment = hub_environment(server, tmp_path)
    for arguments, word in (
        (("pull", "tester/gone"), "no such repository"),
        (("push", constant_weights, "somebody-else/x"), "the token does not permit it"),
    ):
        done = run(*arguments, **environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("cyclegan: ")
        assert word in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_is_not_even_tried(
    constant_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, name, word in (
        (tmp_path, "tester/new", "no weights folder"),
        (constant_weights, "no-slash", "USER/NAME"),
        (constant_weights, "tester/new@main", "drop @REVISION"),
    ):
        assert main(["push", str(folder), name]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert word in error
        assert error.count("\n") == 1


def test_pull_replaces_weights_but_nothing_else(
    constant_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("years of work")
    assert main(["pull", "tester/gone", "--output", str(tmp_path / "mine")]) == 2
    assert "holds something other than weights" in capsys.readouterr().err
    assert main(["pull", "tester/gone", "--output", str(tmp_path / "mine" / "README.md")]) == 2
    assert "holds something other than weights" in capsys.readouterr().err
    assert (tmp_path / "mine" / "README.md").read_text() == "years of work"


def test_pull_over_older_weights(server: HubServer, tmp_path: Path) -> None:
    environment = hub_environment(server, tmp_path)
    old = {"config.json": b"old", "model.safetensors": b"old", "samples.webp": b"old"}
    new = {"config.json": b"new", "model.safetensors": b"new", "README.md": b"new"}
    (tmp_path / "weights").mkdir()
    for name, content in {**old, "notes.txt": b"mine"}.items():
        (tmp_path / "weights" / name).write_bytes(content)
    server.add_repo("tester/new", new)
    done = run("pull", "tester/new", "--output", tmp_path / "weights", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'weights'}\n"
    files = {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()}
    assert files == {**new, "notes.txt": b"mine"}
    # Copies, not links into a cache that may be emptied.
    assert not any(path.is_symlink() for path in (tmp_path / "weights").iterdir())
