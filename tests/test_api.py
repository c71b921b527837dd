"""/translate as programs call it: gradio_client and plain HTTP against a real app.py."""

import base64
import io
import json
import shutil
import struct
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw_photo
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hub_server import HubServer
from page_server import PageServer, http, painter
from PIL import Image

import app
from cyclegan.ui import models

SIZE = (60, 44)
WHITE, BLACK = ((255, 255),) * 3, ((0, 0),) * 3


@pytest.fixture(scope="module")
def weights(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "black2white"
    return painter(constant_weights, folder, "black", "white")


@pytest.fixture(scope="module")
def hub(weights: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        names = ("config.json", "model.safetensors")
        files = {name: (weights / name).read_bytes() for name in names}
        server.add_repo("someone/painter", files)
        yield server


@pytest.fixture(scope="module")
def page(
    hub: HubServer, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """One page for all: models from the Hub and from folders, and one that is nowhere.

    The one called "tiny" sees pictures at a short side of 64 pixels at most.
    """
    folder = tmp_path_factory.mktemp("page")
    tiny = Path(shutil.copytree(weights, folder / "tiny"))
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "short_sides": [1, 64]}))
    server = PageServer(
        folder,
        *("--weights", "someone/painter", weights, tiny, "someone/missing"),
        HF_ENDPOINT=hub.url,
        HF_HUB_DISABLE_XET="1",
    )
    wait_until_loaded(server)
    yield server
    server.stop()


def wait_until_loaded(server: PageServer) -> None:
    """Ask for the last model, which never comes, until the page knows that it does not."""
    for _ in range(300):
        _, said = server.translate({"url": photo_url()}, "someone/missing", "a2b")
        if "loading" not in str(said):
            return
        time.sleep(0.1)
    raise AssertionError("The models did not load.")


@pytest.fixture(scope="module")
def client(page: PageServer) -> Client:
    return Client(page.url, verbose=False)


def photo_url() -> str:
    """A photo as curl can send it, in the request itself."""
    return "data:image/png;base64," + base64.b64encode(encode(draw_photo("a", 0, SIZE))).decode()


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def look(path: str) -> Image.Image:
    with Image.open(path) as image:
        assert image.format == "PNG", "programs get their pictures without loss"
        return image.convert("RGB")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    draw_photo("a", 0, SIZE).save(path)
    return path


@pytest.mark.parametrize(("direction", "there", "back"), [("a2b", 255, 0), ("b2a", 0, 255)])
def test_the_client_gets_both_pictures_and_the_figures(
    client: Client, hub: HubServer, photo: Path, direction: str, there: int, back: int
) -> None:
    fake, recovered, figures = client.predict(
        image=handle_file(photo),
        weights="painter",
        direction=direction,
        api_name="/translate",
    )
    assert look(fake).size == look(recovered).size == SIZE
    assert look(fake).getextrema() == ((there, there),) * 3
    assert look(recovered).getextrema() == ((back, back),) * 3
    assert figures.pop("seconds") > 0
    error = np.abs(np.asarray(look(str(photo)), dtype=float) - back).mean() / 255
    assert figures.pop("cycle_error") == pytest.approx(error)
    assert figures == {
        "width": SIZE[0],
        "height": SIZE[1],
        "model": "painter",
        "revision": hub.repos["someone/painter"].refs["main"],
        "direction": direction,
        "detail": 0,
        "strength": 1,
    }


@pytest.mark.parametrize("strength", [0, 0.3])
def test_strength_goes_from_the_picture_to_the_translation(
    client: Client, photo: Path, strength: float
) -> None:
    fake, recovered, figures = client.predict(
        handle_file(photo), "painter", "a2b", 0.0, strength, api_name="/translate"
    )
    real = np.asarray(look(str(photo)), dtype=float)
    expected = real + strength * (255 - real)
    assert np.abs(np.asarray(look(fake)) - expected).max() <= (0.51 if strength else 0)
    assert look(recovered).getextrema() == BLACK, "the way back starts from the whole translation"
    assert figures["strength"] == strength


def test_detail_makes_the_network_work_on_more_pixels(
    page: PageServer, client: Client, tmp_path: Path
) -> None:
    """What paints all white changes a checkerboard evenly if it sees nothing but grey there."""
    pixels = np.indices((128, 128)).sum(0) % 2 * 255
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "board.png")
    results = {}
    for detail in (0, 1):
        fake, recovered, figures = client.predict(
            handle_file(tmp_path / "board.png"), "tiny", "a2b", detail, api_name="/translate"
        )
        assert look(fake).size == look(recovered).size == (128, 128)
        assert figures["detail"] == detail
        results[detail] = np.asarray(look(fake)).min()
    assert results[1] == 255
    assert results[0] == pytest.approx(128, abs=3)


def test_the_direction_can_be_left_to_the_picture(client: Client, photo: Path) -> None:
    *_, figures = client.predict(handle_file(photo), "painter", "auto", api_name="/translate")
    *_, same = client.predict(
        handle_file(photo), "painter", figures["direction"], api_name="/translate"
    )
    assert figures["direction"] in ("a2b", "b2a")
    assert figures["cycle_error"] == same["cycle_error"]


def test_plain_http_works_with_an_uploaded_file(page: PageServer, photo: Path) -> None:
    head = b'--line\r\nContent-Disposition: form-data; name="files"; filename="p.png"\r\n\r\n'
    body = head + photo.read_bytes() + b"\r\n--line--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=line"}
    request = urllib.request.Request(page.url + "/gradio_api/upload", body, headers)
    with http.open(request, timeout=30) as answer:
        (path,) = json.load(answer)
    meta = {"_type": "gradio.FileData"}
    kind, outputs = page.translate({"path": path, "meta": meta}, "", "a2b")
    assert kind == "complete"
    fake, recovered, figures = outputs
    colours = []
    for picture in (fake, recovered):
        with Image.open(io.BytesIO(page.get(picture["url"].removeprefix(page.url)))) as image:
            colours.append(image.convert("RGB").getextrema())
    assert colours == [WHITE, BLACK]
    assert figures["model"] == "painter", "no name means the first model"


def test_plain_http_works_with_the_picture_in_the_request(page: PageServer) -> None:
    kind, outputs = page.translate({"url": photo_url()}, "black2white", "a2b")
    assert (kind, outputs[2]["width"], outputs[2]["revision"]) == ("complete", SIZE[0], None)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (("nothing", "a2b"), "no weights called 'nothing' on this page; it has: painter, "),
        (("painter", "sideways"), "'sideways' is unknown; painter has a2b (black → white) and"),
        (("missing", "a2b"), "Cannot pull someone/missing: "),
        (("painter", "a2b", 1.5), "detail is 1.5; it must be a number from 0 to 1."),
        (("painter", "a2b", 0, -1), "strength is -1; it must be a number from 0 to 1."),
        (("painter", "a2b", None), "detail is None; it must be a number from 0 to 1."),
        (("painter", "a2b", "lots"), "detail is 'lots'; it must be a number from 0 to 1."),
        (("painter", "a2b", 0, []), "strength is []; it must be a number from 0 to 1."),
        (("painter", "a2b", True), "detail is True; it must be a number from 0 to 1."),
    ],
)
def test_wrong_values_give_one_sentence(
    client: Client, photo: Path, values: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(AppError) as refusal:
        client.predict(handle_file(photo), *values, api_name="/translate")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_picture_gives_one_sentence(page: PageServer) -> None:
    kind, said = page.translate(None, "painter", "a2b")
    assert kind == "error"
    assert "no picture in this request" in str(said)


META = {"_type": "gradio.FileData"}
MALFORMED = ("photo.png", 5, ["photo.png"], {"url": 5})


@pytest.mark.parametrize("data", [(), *((image, "", "a2b") for image in MALFORMED)], ids=repr)
def test_a_request_that_cannot_be_understood_gives_one_sentence(
    page: PageServer, data: tuple[Any, ...]
) -> None:
    kind, said = page.translate(*data)
    assert kind == "error"
    assert said["error"].startswith("This request cannot be understood; send the picture as an")


def test_files_of_the_machine_are_not_there_for_requests(page: PageServer, photo: Path) -> None:
    for path in (photo, photo.with_name("missing.png"), "photo.png"):
        kind, said = page.translate({"path": str(path), "meta": META}, "", "a2b")
        assert kind == "error"
        assert said["error"] == "This file was not uploaded here; send the file itself."


def test_sentences_are_in_the_language_of_whoever_asks(page: PageServer) -> None:
    body = json.dumps({"data": [{"url": photo_url()}, "painter", "sideways"]}).encode()
    headers = {"Content-Type": "application/json", "Accept-Language": "zh-CN"}
    request = urllib.request.Request(page.url + "/gradio_api/call/translate", body, headers)
    with http.open(request, timeout=30) as answer:
        event = json.load(answer)["event_id"]
    said = json.loads(page.get(f"/gradio_api/call/translate/{event}").decode().split("data: ")[1])
    assert "sideways" in said["error"]
    assert not said["error"].isascii()


def animation() -> bytes:
    frames = [draw_photo("a", index, (31, 17)) for index in range(3)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(draw_photo("a", 0, (40, 20)), "JPEG", exif=exif)


def huge() -> bytes:
    """20,000 x 20,000 pixels in 50 kB, as an attacker would send them."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)]
    chunks.append(b"IDAT" + zlib.compress(bytes(2501) * 20000, 9))
    chunks.append(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def deep() -> bytes:
    return encode(Image.fromarray(np.full((9, 13), 40000, dtype=np.uint16)))


PICTURES: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "dot.png": (lambda: encode(Image.new("RGB", (1, 1), "red")), (1, 1)),
    "ribbon.png": (lambda: encode(draw_photo("a", 0, (3000, 12))), (3000, 12)),
    "moving.gif": (animation, (31, 17)),
    "print.jpg": (lambda: encode(Image.new("CMYK", (20, 30)), "JPEG"), (20, 30)),
    "deep.png": (deep, (13, 9)),
    "glass.png": (lambda: encode(Image.new("RGBA", (20, 30), (9, 9, 9, 99))), (20, 30)),
    "rotated.jpg": (rotated, (20, 40)),
    "scan.tiff": (lambda: encode(draw_photo("a", 0, SIZE), "TIFF"), SIZE),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero.png": (bytes, "zero.png is empty"),
    "words.jpg": (lambda: b"these are words", "words.jpg is not a picture that can be read"),
    "cut.jpg": (
        lambda: encode(draw_photo("a", 0, (400, 300)), "JPEG")[:3000],
        "cut.jpg is damaged or cut short",
    ),
    "drawing.svg": (
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "drawing.svg is not a picture that can be read",
    ),
    "huge.png": (huge, "huge.png has more than 64 megapixels"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_odd_pictures_are_translated(client: Client, tmp_path: Path, name: str) -> None:
    make, size = PICTURES[name]
    (tmp_path / name).write_bytes(make())
    fake, _, _ = client.predict(handle_file(tmp_path / name), api_name="/translate")
    assert look(fake).size == size
    assert look(fake).getextrema() == WHITE


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_give_one_sentence(client: Client, tmp_path: Path, name: str) -> None:
    make, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(AppError) as refusal:
        client.predict(handle_file(tmp_path / name), api_name="/translate")
    assert sentence in str(refusal.value)


def test_only_what_is_meant_to_be_public_is(page: PageServer, weights: Path) -> None:
    named = json.loads(page.get("/gradio_api/info"))["named_endpoints"]
    assert set(named) == {"/translate", "/generate", "/batch", "/models"}
    secret = page.cwd.parent / "log.txt"
    secret.write_text("private")
    for path in (weights / "config.json", secret):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            page.get(f"/gradio_api/file={path}")
        assert refusal.value.code in (403, 404)
    with pytest.raises(urllib.error.HTTPError):
        page.get("/monitoring")


def test_the_environment_speaks_where_no_flag_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLEGAN_WEIGHTS", "someone/painter, other/model@v1 folder")
    monkeypatch.setenv("CYCLEGAN_RUNS", "/data/runs")
    options = app.parse([])
    assert options.weights == ["someone/painter", "other/model@v1", "folder"]
    assert options.runs == "/data/runs"
    assert app.parse(["--weights", "a", "b"]).weights == ["a", "b"]


def test_a_device_that_is_not_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert app.main(["--device", "mps"]) == 2
    assert capsys.readouterr().err == (
        "app.py: --device mps is not to be had on this machine; use --device auto.\n"
    )


def test_a_port_that_is_taken_is_one_sentence(
    page: PageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    port = page.url.rsplit(":", 1)[1]
    assert app.main(["--port", port, "--device", "cpu"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"app.py: Port {port} is taken")


def test_shipped_weights_come_after_named_ones_and_once(weights: Path, tmp_path: Path) -> None:
    for name in ("shipped", "also"):
        shutil.copytree(weights, tmp_path / name)
    (tmp_path / "empty").mkdir()
    named = str(tmp_path / "shipped")
    assert models.sources(["someone/x", named, named], tmp_path) == [
        "someone/x",
        named,
        str(tmp_path / "also"),
    ]


def test_a_page_opens_with_the_weights_that_are_free_to_use() -> None:
    shipped = [Path(source).name for source in models.sources([], app.SHIPPED)]
    assert shipped[0] == "apples-oranges"
    assert shipped[1:] == sorted(shipped[1:]) and len(shipped) > 3


def test_models_are_called_by_names_that_differ(tmp_path: Path) -> None:
    run = tmp_path / "fruit" / "weights"
    run.mkdir(parents=True)
    sources = [str(run), "me/horses@v2", "you/horses"]
    names = [entry.name for entry in models.Shelf(sources).entries()]
    assert names == ["fruit", "me/horses@v2", "you/horses"]


def test_the_log_has_no_traceback_and_the_folder_no_new_file(page: PageServer) -> None:
    # Last in this file, so that it speaks for everything above.
    assert "Traceback" not in page.log
    assert list(page.cwd.iterdir()) == []


def test_a_pulled_model_is_there_without_the_hub(
    page: PageServer, hub: HubServer, photo: Path
) -> None:
    """The same command, started again when the Hub is gone, serves from the cache."""
    hub.stop()
    page.stop()
    again = PageServer(
        page.cwd.parent,
        *("--weights", "someone/painter", "someone/missing"),
        HF_ENDPOINT=hub.url,
        HF_HUB_DISABLE_XET="1",
    )
    try:
        wait_until_loaded(again)
        kind, outputs = again.translate({"url": photo_url()}, "painter", "a2b")
        assert kind == "complete"
        assert outputs[2]["revision"] == hub.repos["someone/painter"].refs["main"]
        assert "Traceback" not in again.log
    finally:
        again.stop()
        hub.start()
