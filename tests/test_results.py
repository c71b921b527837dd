"""What becomes of a translation on the page: previews, downloads and what is in them."""

import io
import itertools
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw_photo
from page_server import PageServer, painter
from PIL import ExifTags, Image
from result_page import ask, download, file_name, look, photo_file, place, refused, translated

from cyclegan import __version__
from cyclegan.images import load_image
from cyclegan.recipe import Recipe, read_recipe
from cyclegan.ui.translation import cycle_error

TEAL, WHITE, BLACK = (40, 110, 120), (255, 255, 255), (0, 0, 0)
PAPER = (250, 248, 244)


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page whose models paint white there and black back; "small" sees pictures at 64 pixels."""
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "night", "Schnee & Eis")
    small = painter(constant_weights, folder / "small", "night", "snow")
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "short_sides": [1, 64]}))
    server = PageServer(folder, "--weights", weights, small)
    try:
        deadline = time.monotonic() + 60
        while not usable(server) >= {"painter", "small"}:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.1)
        yield server
        assert "Traceback" not in server.log, server.log
    finally:
        server.stop()


def usable(server: PageServer) -> set[str]:
    models = json.loads(server.get("/studio/shelf.json"))["models"]
    return {model["name"] for model in models if model["usable"]}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_file(tmp_path_factory.mktemp("photo") / "Mein Foto.jpg")


@pytest.fixture(scope="module")
def facts(server: PageServer, photo: Path) -> dict[str, Any]:
    return translated(server, photo)


@pytest.fixture(scope="module")
def plain(server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a small picture in one colour, which no scaling changes."""
    path = tmp_path_factory.mktemp("plain") / "teal.png"
    Image.new("RGB", (80, 60), TEAL).save(path)
    return translated(server, path)


def test_previews_are_small_and_stay_with_the_browser(
    server: PageServer, facts: dict[str, Any], photo: Path
) -> None:
    sentence = ask(server, f"{place(facts)}/facts.json")
    assert json.loads(sentence[2]) == facts
    assert (facts["name"], facts["model"], facts["revision"]) == ("Mein Foto.jpg", "painter", None)
    assert (facts["width"], facts["height"], facts["preview"]) == (1200, 2000, [960, 1600])
    assert facts["labels"] == {"a": "night", "b": "Schnee & Eis"}
    pictures = {}
    for view in ("real", "fake", "recovered"):
        path = f"{place(facts)}/{view}.webp"
        status, headers, body = ask(server, path)
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        assert "immutable" in headers["Cache-Control"]
        again = ask(server, path, If_None_Match=headers["ETag"])
        assert (again[0], again[2]) == (304, b"")
        head = ask(server, path, "HEAD")
        assert (head[0], head[1]["Content-Length"], head[2]) == (200, str(len(body)), b"")
        pictures[view] = look(body)
    assert {picture.size for picture in pictures.values()} == {(960, 1600)}
    # Photo and change were each made smaller, which is not quite the same as both together.
    assert min(low for low, _ in pictures["fake"].getextrema()) > 240  # type: ignore[operator]
    assert max(high for _, high in pictures["recovered"].getextrema()) < 15  # type: ignore[operator]
    whole = load_image(photo).resize((960, 1600), Image.Resampling.LANCZOS)
    assert cycle_error(whole, pictures["real"]) < 0.02
    assert facts["cycle_error"] == pytest.approx(np.asarray(whole).mean() / 255, abs=0.005)


def test_downloads_have_every_pixel_at_any_strength(
    server: PageServer, facts: dict[str, Any], photo: Path
) -> None:
    real = np.asarray(load_image(photo), dtype=np.float32)
    for strength in (0, 0.25, 1):
        image = look(download(server, facts, f"fake?format=png&strength={strength}"))
        expected = real + strength * (255 - real)
        assert np.abs(np.asarray(image) - expected).max() <= (0.51 if strength else 0)
    recovered = look(download(server, facts, "recovered?strength=0.5"))
    assert recovered.getextrema() == ((0, 0),) * 3, "the way back starts from the translation"
    webp = look(download(server, facts, "fake?format=webp&strength=0"))
    assert cycle_error(webp, load_image(photo)) < 0.02


def test_downloads_are_named_after_what_is_in_them(
    server: PageServer, facts: dict[str, Any]
) -> None:
    names = {
        "fake": "Mein-Foto-night-Schnee-Eis.png",
        "fake?format=webp": "Mein-Foto-night-Schnee-Eis.webp",
        "recovered": "Mein-Foto-night-Schnee-Eis-night.png",
        "sheet": "Mein-Foto-night-Schnee-Eis-sheet.png",
        "clip": "Mein-Foto-night-Schnee-Eis-clip.webp",
        "clip?format=gif": "Mein-Foto-night-Schnee-Eis-clip.gif",
    }
    for what, name in names.items():
        status, headers, body = ask(server, f"{place(facts)}/download/{what}", "HEAD")
        assert (status, body) == (200, b"")
        assert file_name(headers) == name
        assert headers["Content-Type"] == f"image/{name.rsplit('.', 1)[1]}"


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("苹果 1.jpeg", "苹果-1-night-Schnee-Eis.png"),
        ("../../etc/passwd", "passwd-night-Schnee-Eis.png"),
        ('a"; filename="b.exe', "a-filename-b-night-Schnee-Eis.png"),
        ("…", "night-Schnee-Eis.png"),
        ("x\r\nSet-Cookie: y=1.png", "x-Set-Cookie-y-1-night-Schnee-Eis.png"),
    ],
)
def test_names_of_files_do_no_harm(
    server: PageServer, tmp_path: Path, name: str, called: str
) -> None:
    path = tmp_path / "teal.png"
    Image.new("RGB", (20, 20), TEAL).save(path)
    headers = ask(server, f"{place(translated(server, path, name=name))}/download/fake", "HEAD")[1]
    assert file_name(headers) == called
    assert "Set-Cookie" not in headers


FILES = ["fake?format=png", "fake?format=webp", "recovered", "sheet?format=png"]
FILES += ["sheet?format=webp", "clip?format=webp", "clip?format=gif", "fake?strength=0"]


@pytest.mark.parametrize("what", FILES)
def test_the_recipe_is_in_the_file_and_what_is_private_is_not(
    server: PageServer, facts: dict[str, Any], what: str
) -> None:
    content = download(server, facts, what)
    strength = 0.0 if "strength" in what else 1.0
    assert read_recipe(io.BytesIO(content)) == Recipe(
        *("painter", None, "a2b", "night → Schnee & Eis", what.split("?")[0], strength, 0.0),
        version=__version__,
    )
    assert b"SECRET" not in content
    assert str(server.cwd.parent).encode() not in content
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        assert set(exif) <= {ExifTags.Base.ImageDescription, ExifTags.Base.Software}
        assert "icc_profile" not in image.info
        if image.format == "PNG":
            assert list(image.text) == ["cyclegan"]  # type: ignore[attr-defined]


def test_previews_hold_nothing_private_either(server: PageServer, facts: dict[str, Any]) -> None:
    for view in ("real", "fake", "recovered"):
        assert b"SECRET" not in ask(server, f"{place(facts)}/{view}.webp")[2]


def runs(row: np.ndarray) -> list[tuple[tuple[int, ...], int]]:
    """The colours along a row of pixels, and for how many pixels each goes on."""
    pixels = (tuple(int(value) for value in pixel) for pixel in row)
    return [(colour, len(list(same))) for colour, same in itertools.groupby(pixels)]


@pytest.mark.parametrize(
    ("size", "across"), [((80, 60), True), ((60, 90), True), ((90, 30), False)]
)
def test_the_sheet_has_three_panels(
    server: PageServer, tmp_path: Path, size: tuple[int, int], across: bool
) -> None:
    path = tmp_path / "teal.png"
    Image.new("RGB", size, TEAL).save(path)
    sheet = np.asarray(look(download(server, translated(server, path), "sheet?strength=0.5")))
    # Through the middle of the pictures, where no caption is.
    line = sheet[100] if across else sheet[:, sheet.shape[1] // 2]
    found = [(colour, length) for colour, length in runs(line) if length > 9]
    half = tuple(round((value + 255) / 2 - 0.001) for value in TEAL)
    colours = [colour for colour, _ in found if colour != PAPER]
    assert colours == [TEAL, pytest.approx(half, abs=1), BLACK]
    scale = 320 / max(size)
    side = round(size[0 if across else 1] * scale)
    assert [length for colour, length in found if colour != PAPER] == [side] * 3
    # The captions are there: something is darker than the paper below the last picture.
    assert sheet[-20:].min() < 150


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_the_clip_goes_round_for_ever(
    server: PageServer, facts: dict[str, Any], plain: dict[str, Any], format: str
) -> None:
    content = download(server, plain, f"clip?format={format}")
    with Image.open(io.BytesIO(content)) as clip:
        assert clip.info["loop"] == 0
        frames, times = [], []
        for index in range(clip.n_frames):  # type: ignore[attr-defined]
            clip.seek(index)
            frames.append(clip.convert("RGB").getpixel((clip.width // 2, clip.height // 3)))
            times.append(clip.info["duration"])
    assert sum(times) == pytest.approx(3000, abs=500)
    rests = [frame for frame, milliseconds in zip(frames, times, strict=True) if milliseconds > 500]
    assert rests == [pytest.approx(colour, abs=6) for colour in (TEAL, WHITE, BLACK)]
    assert len(set(frames)) > 12, "they fade into each other"
    large = download(server, facts, f"clip?format={format}")
    assert max(look(large).size) == (640 if format == "webp" else 480)
    assert len(large) < 4_000_000


WRONG = {
    "fake?format=jpg": "The format jpg is not to be had for this; choose png / webp.",
    "fake?format=gif": "The format gif is not to be had for this; choose png / webp.",
    "clip?format=png": "The format png is not to be had for this; choose webp / gif.",
    "fake?strength=1.5": "The strength 1.5 is no number from 0 to 1.",
    "fake?strength=-0.1": "The strength -0.1 is no number from 0 to 1.",
    "sheet?strength=nan": "The strength nan is no number from 0 to 1.",
    "clip?strength=": "The strength  is no number from 0 to 1.",
    "fake?strength=much": "The strength much is no number from 0 to 1.",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_one_sentence(
    server: PageServer, plain: dict[str, Any], what: str
) -> None:
    path = f"{place(plain)}/download/{what}"
    assert refused(ask(server, path)) == (400, WRONG[what])
    status, chinese = refused(ask(server, path, Accept_Language="zh-CN,zh;q=0.9"))
    assert status == 400
    assert re.search("[一-龥]{4}", chinese)


def test_a_picture_too_wide_for_webp_is_sent_to_png(server: PageServer, tmp_path: Path) -> None:
    path = tmp_path / "skyline.png"
    Image.new("RGB", (17000, 4), TEAL).save(path)
    kept = translated(server, path)
    status, said = refused(ask(server, f"{place(kept)}/download/fake?format=webp"))
    assert (status, said) == (
        400,
        "A WebP picture has at most 16383 pixels a side; download this one as PNG.",
    )
    assert look(download(server, kept, "fake?format=png")).size == (17000, 4)


def test_nothing_is_found_by_guessing(
    server: PageServer, facts: dict[str, Any], plain: dict[str, Any]
) -> None:
    token, here = facts["token"], place(facts)
    assert re.fullmatch("[0-9a-f]{32}", token)
    hidden = "original original.webp change.npz change.npz.webp back.webp real.png real"
    hidden += " ..%2freal.webp %2e%2e/real.webp download/original download/real download/..%2ffake"
    wrong = "0" * 32, token[:-1], token.upper(), "%2e", f"{plain['token']}%2f..%2f{token}"
    tries = [
        "/studio/results",
        f"/studio/results/..%2fresults%2f{token}/facts.json",
        *(f"{here}/{file}" for file in ("", *hidden.split())),
        *(f"/studio/results/{guess}/facts.json" for guess in wrong),
        *(f"/studio/results/{guess}/real.webp" for guess in wrong),
        *(f"/studio/results/{guess}/download/fake" for guess in wrong),
    ]
    for path in tries:
        assert ask(server, path)[0] == 404, path
    gone = "This result is no longer here; translate the picture again."
    assert refused(ask(server, f"/studio/results/{'0' * 32}/facts.json")) == (404, gone)
    chinese = refused(ask(server, f"/studio/results/{'0' * 32}/facts.json", Accept_Language="zh"))
    assert (chinese[0], chinese[1].isascii()) == (404, False)


def test_gradio_gives_no_file_of_a_result_away(
    server: PageServer, facts: dict[str, Any], plain: dict[str, Any]
) -> None:
    (folder,) = (server.cwd.parent / "gradio").glob(f"results-*/{facts['token']}")
    assert {path.name for path in folder.iterdir()} == {
        *("original", "change.npz", "back.npz", "real.webp", "fake.webp", "recovered.webp")
    }
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (*folder.iterdir(), folder, folder.parent):
        for spelt in (path, folder / ".." / folder.name / path.name):
            assert ask(server, f"/gradio_api/file={spelt}")[0] in (403, 404)
        given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        kind, said = server.translate(given, "", "a2b")
        assert (kind, "not" in str(said)) == ("error", True), said


def test_many_download_at_once(server: PageServer, facts: dict[str, Any], photo: Path) -> None:
    expected = {0: load_image(photo).tobytes(), 1: Image.new("RGB", (1200, 2000), WHITE).tobytes()}

    def one(index: int) -> None:
        assert look(ask(server, f"{place(facts)}/real.webp")[2]).size == (960, 1600)
        image = look(download(server, facts, f"fake?format=png&strength={index % 2}"))
        assert image.tobytes() == expected[index % 2]

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(one, range(20)))


def peak(server: PageServer) -> int:
    """The most memory, in bytes, that the server has held since this was set back."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a peak")
def test_twenty_four_megapixels_are_downloaded_in_bounded_memory(
    server: PageServer, tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    draw_photo("a", 0, (600, 400)).resize((6000, 4000)).save(path, quality=90)
    kept = translated(server, path, "small")
    before = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    with ThreadPoolExecutor(6) as threads:
        wanted = ["fake", "fake?format=webp"] * 3
        files = list(threads.map(lambda what: download(server, kept, what), wanted))
    assert [look(file).size for file in files] == [(6000, 4000)] * 6
    grown = peak(server) - before
    print(f"Six downloads of 24 megapixels took {grown / 1e9:.2f} GB.")
    assert grown < 1_000_000_000
