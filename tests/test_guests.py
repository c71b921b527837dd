"""Weights that a visitor names: what is let in, what is refused, and what is never fetched."""

import io
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_client import log_in
from hub_server import TOKEN, HubServer
from PIL import Image
from safetensors.torch import save

from cyclegan import guests
from cyclegan.errors import UserError
from cyclegan.ui import models
from cyclegan.ui.card_view import about, sample_sheet
from cyclegan.ui.models import Shelf

NAME = "someone/painter"
PHOTO = Image.new("RGB", (32, 32), (90, 120, 150))
WHITE = ((255, 255),) * 3
Files = dict[str, bytes]


@pytest.fixture
def files(constant_weights: Path) -> Files:
    return {path.name: path.read_bytes() for path in constant_weights.iterdir()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The stand-in Hub, to which the host has a token."""
    with HubServer() as server:
        log_in(server, tmp_path, monkeypatch)
        yield server


def fetched(hub: HubServer, *names: str) -> bool:
    return any(request.path.endswith(names) for request in hub.requests)


def test_a_public_model_is_used_without_the_token(hub: HubServer, files: Files) -> None:
    commit = hub.add_repo(NAME, {**files, "pytorch_model.bin": b"never", "extra/config.json": b"x"})
    shelf = Shelf([], "cpu")
    assert shelf.use(f" {NAME} ") == "painter"
    model = shelf.get("painter")
    assert model.translate(PHOTO, "a2b").getextrema() == WHITE
    assert model.info.revision == commit
    assert {request.token for request in hub.requests} == {None}
    assert not fetched(hub, ".bin", "extra/config.json")
    assert shelf.tried("painter")


@pytest.mark.parametrize("typed", ["{url}/{name}", "https://huggingface.co/{name}/tree/main?x=1"])
def test_the_address_of_a_model_is_a_name_too(hub: HubServer, files: Files, typed: str) -> None:
    hub.add_repo(NAME, files)
    assert Shelf([], "cpu").use(typed.format(url=hub.url, name=NAME)) == "painter"


def test_a_revision_can_be_named_and_two_models_of_one_name_are_told_apart(
    hub: HubServer, files: Files
) -> None:
    first = hub.add_repo(NAME, files)
    hub.add_repo(NAME, {"config.json": changed(files, label_a="grey")})
    hub.add_repo("other/painter", files)
    shelf = Shelf([], "cpu")
    names = [shelf.use(source) for source in (NAME, f"{NAME}@{first}", "other/painter")]
    assert names == ["painter", f"{NAME}@{first}", "other/painter"]
    assert [shelf.get(name).info.labels["a"] for name in names] == ["grey", "black", "black"]
    # Named again, it is there already.
    asked = len(hub.requests)
    assert shelf.use(NAME) == "painter"
    assert len(hub.requests) == asked


def test_what_the_host_may_read_and_strangers_may_not_stays_closed(
    hub: HubServer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("tester/secret", files, private=True)
    # The host has it, under a commit, so it is in the cache of the Hub's client too.
    shelf = Shelf([f"tester/secret@{hub.repos['tester/secret'].refs['main']}"], "cpu")
    shelf.start().join()
    assert shelf.get(None).translate(PHOTO, "a2b").getextrema() == WHITE
    assert TOKEN in {request.token for request in hub.requests}
    hub.requests.clear()
    said = r"has no model tester/secret, or not for everybody; this page opens public ones only\.$"
    with pytest.raises(UserError, match=said):
        shelf.use("tester/secret")
    assert {request.token for request in hub.requests} == {None}
    hub.stop()
    with pytest.raises(UserError, match="no connection to"):
        shelf.use("tester/secret")
    hub.start()
    assert len(shelf.entries()) == 1


def test_nobody_has_to_be_told_what_does_not_exist(hub: HubServer, files: Files) -> None:
    hub.add_repo(NAME, files)
    shelf = Shelf([], "cpu")
    with pytest.raises(UserError, match="has no model someone/nothing, or not for everybody"):
        shelf.use("someone/nothing")
    with pytest.raises(UserError, match="it has no revision 'v9'"):
        shelf.use(f"{NAME}@v9")
    for name in ("painter", "", "a b/c", "/etc", "~", "../x/y", "x/y/z", "someone/../painter"):
        with pytest.raises(UserError, match=r"USER/NAME"):
            shelf.use(name)
    with pytest.raises(UserError, match="USER/NAME"):
        shelf.use("x/" + "y" * 400)
    assert shelf.entries() == []


def test_folders_are_for_local_use_only(
    hub: HubServer,
    files: Files,
    constant_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A name on the Hub that is a folder from where the page was started, too.
    shutil.copytree(constant_weights, tmp_path / "someone" / "painter")
    (tmp_path / "someone" / "painter" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    hub.add_repo(NAME, files)
    public = Shelf([], "cpu")
    with pytest.raises(UserError, match="is not the name of a Hub repository"):
        public.use(str(constant_weights))
    assert public.use(NAME) == "painter"

    private = Shelf([], "cpu", local=True)
    assert private.use(str(constant_weights)) == "black2white"
    assert private.get("black2white").translate(PHOTO, "a2b").getextrema() == WHITE
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"^empty/config\.json does not exist; empty is no weights"):
        private.use(str(tmp_path / "empty"))
    assert [entry.name for entry in private.entries()] == ["black2white"]
    # What is the visitor's stays, whatever the page forgets.
    for index in range(models.MOST_ADDED + 1):
        private.use(str(shutil.copytree(constant_weights, tmp_path / f"copy{index}")))
    assert (constant_weights / "config.json").exists()


def test_only_so_many_stay_and_what_goes_leaves_the_disk(
    hub: HubServer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MOST_ADDED", 2)
    for name in "abc":
        hub.add_repo(f"someone/{name}", files)
    shelf = Shelf([], "cpu")
    shelf.use("someone/a")
    shelf.use("someone/b")
    gone = {entry.name: entry.folder for entry in shelf.entries()}["b"]
    held = shelf.get("b")
    shelf.get("a")
    shelf.use("someone/c")
    assert [entry.name for entry in shelf.entries()] == ["a", "c"]
    assert gone is not None
    assert not gone.exists()
    assert held.translate(PHOTO, "a2b").getextrema() == WHITE


# --------------------------------------------------------------------------- refusals


def changed(files: Files, **values: Any) -> bytes:
    config = json.loads(files["config.json"])
    settings = {**config["settings"], **values.pop("settings", {})}
    return json.dumps({**config, **values, "settings": settings}).encode()


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "wide": ({"settings": {"width": 10**9}}, "width is 1,000,000,000, of at most 256"),
    "deep": ({"settings": {"blocks": 10**9}}, "blocks is 1,000,000,000, of at most 256"),
    "image": ({"image_size": 1 << 40}, "image_size is 1,099,511,627,776, of at most 1,024"),
    "sides": ({"short_sides": [9000, 9000]}, "short_sides is 9,000, of at most 1,024"),
    "negative": ({"short_sides": [-5, 10]}, "its images have no size that there is"),
    "nothing": ({"image_size": 0}, "its images have no size that there is"),
    "label": ({"label_a": "x" * 5000}, "a label has more than 60 letters"),
    "blur": ({"change_blur": 1e9}, "change_blur"),
    "kind": ({"model": "../../etc"}, "this version knows"),
    "unknown": ({"code": "import os"}, "code: is not a known key"),
    "type": ({"image_size": "9" * 50}, "config.json: image_size"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_config_is_refused_before_anything_else_is_fetched(
    hub: HubServer, files: Files, kind: str
) -> None:
    values, sentence = HOSTILE[kind]
    hub.add_repo(NAME, {**files, "config.json": changed(files, **values)})
    shelf = Shelf([], "cpu")
    with pytest.raises(UserError) as refusal:
        shelf.use(NAME)
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith(NAME)
    assert "\n" not in str(refusal.value)
    assert not fetched(hub, "model.safetensors")
    assert shelf.entries() == []


def header(length: int) -> bytes:
    return struct.pack("<Q", length) + b"{" * 64


def oversized() -> bytes:
    """A header that promises a tensor of 4 TB, of which none is there."""
    tensor = {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}
    text = json.dumps({"generator_ab.stem.0.weight": tensor}).encode()
    return struct.pack("<Q", len(text)) + text


TENSORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "header": (lambda: header(1 << 60), "a header of 1,152,921,504,606,846,976 bytes"),
    "torn": (lambda: header(64), "is damaged or cut short"),
    "promise": (oversized, "is damaged or cut short"),
    "pickle": (lambda: b"\x80\x02cos\nsystem\n(S'true'\ntR.", "is damaged or cut short"),
    "other": (lambda: save({"lm_head": torch.zeros(3)}), "is missing"),
    "empty": (bytes, "is damaged or cut short"),
    "many": (
        lambda: save({"x": torch.zeros(guests.MOST_PARAMETERS + 1, dtype=torch.int8)}),
        "it has 125 million parameters, of at most 125",
    ),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_hostile_tensors_are_refused(hub: HubServer, files: Files, kind: str) -> None:
    make, sentence = TENSORS[kind]
    hub.add_repo(NAME, {**files, "model.safetensors": make()})
    shelf = Shelf([], "cpu")
    with pytest.raises(UserError) as refusal:
        shelf.use(NAME)
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith(("someone/painter", "painter/model.safetensors"))
    assert shelf.entries() == []


def test_a_config_that_does_not_fit_its_tensors_takes_no_memory(
    hub: HubServer, files: Files
) -> None:
    # 256 wide and 256 deep: within every limit, and 4.8 billion parameters.
    config = changed(files, settings={"width": 256, "blocks": 256})
    hub.add_repo(NAME, {**files, "config.json": config})
    allocated = []
    original = torch.nn.Module.to_empty

    def noted(module: torch.nn.Module, **options: Any) -> torch.nn.Module:
        allocated.append(module)
        return original(module, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "to_empty", noted)
        with pytest.raises(UserError, match="is missing"):
            Shelf([], "cpu").use(NAME)
    assert allocated == []


@pytest.mark.parametrize("path", guests.MOST_BYTES)
def test_too_large_is_refused_without_downloading(
    hub: HubServer, files: Files, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setitem(guests.MOST_BYTES, path, 2000)
    hub.add_repo(NAME, {**files, path: bytes(1_234_567)})
    with pytest.raises(UserError, match=rf"is too large for this page: {path} has 1\.2 MB"):
        Shelf([], "cpu").use(NAME)
    assert not any("/resolve/" in request.path for request in hub.requests)


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_a_repository_without_weights_is_refused(hub: HubServer, files: Files, path: str) -> None:
    hub.add_repo(NAME, {key: value for key, value in files.items() if key != path})
    with pytest.raises(UserError, match=f"holds no weights for this page: it has no {path}"):
        Shelf([], "cpu").use(NAME)


def test_a_hub_that_trickles_or_fails_is_a_sentence(
    hub: HubServer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(NAME, files)
    with monkeypatch.context() as patch:
        patch.setattr(guests, "SECONDS", 0.0)
        with pytest.raises(UserError, match="did not arrive as a whole in time; try again later"):
            Shelf([], "cpu").use(NAME)
    hub.fail_with, hub.fail_on = 500, "/resolve/"
    with pytest.raises(UserError, match="is out of order; try again later"):
        Shelf([], "cpu").use(NAME)
    hub.fail_with = None
    monkeypatch.setattr(guests, "TIMEOUT", 0.2)
    with hub.hanging(), pytest.raises(UserError, match="does not answer"):
        Shelf([], "cpu").use(NAME)


# --------------------------------------------------------------------------- cards and samples


def webp(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "WEBP")
    return buffer.getvalue()


CARD = """---
license: other
license_name: our-own
---
# painter
Words <script>alert(1)</script> <img src=x onerror=alert(2)>
![far](https://tracker.example/a.png) ![What it makes](samples.webp) ![Of photos](photos.webp)
[bad](javascript:alert(3)) [good](https://example.com/?a=1&b="2) [file](config.json)
## Data and licence
Walls.
### Which
```
## no heading
```
## Use
`code`
"""


def test_a_card_becomes_harmless_html(constant_weights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(constant_weights, tmp_path / "painter"))
    (folder / "README.md").write_text(CARD)
    known = about(folder)
    assert known is not None
    assert known.licence == "our-own"
    assert [title for title, _ in known.chosen] == ["Data and licence"]
    assert [title for title, _ in known.rest] == ["Use"]
    assert "<h4>Which</h4>" in known.chosen[0][1]
    assert "## no heading" in known.chosen[0][1]
    shown = known.lead + "".join(body for _, body in (*known.chosen, *known.rest))
    assert "&lt;script&gt;" in shown
    # What has a place of its own, or none, on the page leaves no description behind either.
    assert "<i>far</i>" in shown and "What it makes" not in shown and "Of photos" not in shown
    for forbidden in ("<script", "<img", "tracker.example", 'href="javascript', 'href="config'):
        assert forbidden not in shown
    assert 'href="https://example.com/?a=1&amp;b=%222"' in shown
    # A card that changes is read again.
    (folder / "README.md").write_bytes(b"\xff\xfe broken \x00")
    changed_card = about(folder)
    assert changed_card is not None
    assert changed_card.licence == ""


def test_a_sample_sheet_is_made_anew_and_bounded(constant_weights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(constant_weights, tmp_path / "painter"))
    (folder / "samples.webp").write_bytes(webp((3200, 400)))
    known = about(folder)
    assert known is not None
    assert known.sheet_size == (1600, 200)
    body = sample_sheet(folder, known.sheet)
    assert body is not None
    with Image.open(io.BytesIO(body)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (1600, 200))
    for bad in (webp((5000, 4100)), b"<svg onload='alert(1)'/>", b""):
        (folder / "samples.webp").write_bytes(bad)
        known = about(folder)
        assert known is not None
        assert known.sheet == ""
        assert sample_sheet(folder, "another") is None
