"""Models that translate one way only, and one that does not: engine, programs, page, command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from noise import colours, shade, tints
from one_way import RED, SHIPPED, TRANSLATING, reddening
from page_server import PageServer, painter, watched_page
from painted import photo, send
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect
from studio_page import WAIT, give, mean, plain, said, shown, turn
from torch import Tensor, nn

from cyclegan.commands import main
from cyclegan.images import to_tensor
from cyclegan.models.pix2pix import Pix2PixConfig
from cyclegan.native import Change
from cyclegan.networks import UnetGenerator
from cyclegan.translator import Translator, describe
from cyclegan.weights import Weights, WeightsConfig

NO_WAY_BACK = "knows no way back"


# --- engine


class Seen(UnetGenerator):
    """A U-Net that leaves pictures as they are, and remembers the sizes that it was given."""

    def __init__(self, side: int):
        super().__init__(width=1, image_size=side)
        self.sizes: set[tuple[int, int]] = set()

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        self.sizes.add((x.shape[-1], x.shape[-2]))
        return x


@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_u_net_sees_the_square_that_it_was_made_for(side: int) -> None:
    network = Seen(side)
    config = WeightsConfig(1, "pix2pix", "a", "b", side, {}, 0, (72, 286))
    networks: dict[str, nn.Module] = {"generator_ab": network}
    weights = Weights(config, Pix2PixConfig(), networks)
    translator = Translator(weights, describe("unet", None, config), "cpu")
    assert (translator.directions, translator.info.one_size) == (("a2b",), True)
    for size in ((1, 1), (60, 44), (300, 20), (side, side)):
        real = Image.effect_noise(size, 60).convert("RGB")
        for detail in (0.0, 1.0):
            # What is not changed keeps every pixel, whatever the network has seen of it.
            assert translator.translate(real, detail=detail).tobytes() == real.tobytes()
        assert translator.frame(real).size == size
    assert network.sizes == {(side, side)}


def test_without_a_z_bicyclegan_answers_as_with_zeros(tmp_path: Path) -> None:
    translator = Translator.load(tints(tmp_path / "tints"), "cpu")
    fake = translator.translate(Image.new("RGB", (90, 50), (204, 102, 51)))
    expected = [shade(level / 127.5 - 1) for level in (204, 102, 51)]
    assert np.abs(np.asarray(fake).mean(axis=(0, 1)) - expected).max() < 1.5


def drawing(size: int = 480) -> Image.Image:
    """A square in lines on a white sheet."""
    sheet = Image.new("L", (4 * size, 4 * size), 255)
    box = [4 * size * share for share in (0.2, 0.2, 0.8, 0.8)]
    ImageDraw.Draw(sheet).rectangle(box, outline=0, width=size // 9)
    return sheet.resize((size, size), Image.Resampling.LANCZOS).convert("RGB")


@pytest.mark.parametrize("kept", [True, False])
def test_lines_stay_sharp_where_they_were_painted_and_go_where_not(kept: bool) -> None:
    """A network of 48 pixels paints the sheet orange, with the drawing's lines or without."""

    def painted(real: Image.Image) -> Tensor:
        light = to_tensor(real) / 2 + 0.5 if kept else torch.ones(3, real.height, real.width)
        return light * torch.tensor([2.0, 1.2, 0.2])[:, None, None] - 1

    real = drawing()
    small = real.resize((48, 48), Image.Resampling.BICUBIC)
    values = painted(small) - to_tensor(small)
    fake = to_tensor(Change(values.numpy().astype(np.float16)).apply(real))
    off = (fake - painted(real)).abs()
    # Enlarged as it is, the picture would be off by 0.8 beside the lines.
    enlarged = torch.nn.functional.interpolate(painted(small)[None], size=480, mode="bicubic")[0]
    assert not kept or (enlarged - painted(real)).abs().max() > 0.6
    assert off.max() < 0.25
    assert off.mean() < 0.01


def test_there_is_no_way_back_and_nothing_to_guess(tmp_path: Path) -> None:
    translator = Translator.load(reddening(tmp_path / "red"), "cpu")
    assert translator.domain(drawing(30)) is None
    with pytest.raises(ValueError, match="'b2a'; these weights know a2b"):
        translator.recover(drawing(30))
    with pytest.raises(ValueError, match="know none: they do not translate"):
        Translator.load(colours(tmp_path / "noise"), "cpu").translate(drawing(30))


# --- programs


@pytest.fixture(scope="module")
def server(
    constant_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A page with a DCGAN first, a pix2pix that paints red, and a CycleGAN."""
    folder = tmp_path_factory.mktemp("page")
    models = (
        colours(folder / "noise"),
        reddening(folder / "red"),
        painter(constant_weights, folder / "painter", "apple", "orange"),
    )
    server = PageServer(folder, "--weights", *models, "--runs", folder / "runs")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: PageServer) -> Client:
    return Client(server.url, verbose=False)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "sheet.png"
    drawing(60).save(path)
    return path


def assert_red(picture: Image.Image) -> None:
    """The sheet, all red; of its lines nothing that could be seen is left."""
    assert (picture.mode, picture.size) == ("RGB", (60, 60))
    assert np.abs(np.asarray(picture).astype(int) - RED).max() <= 5


@pytest.mark.parametrize("direction", ["a2b", "auto"])
@pytest.mark.parametrize("name", ["", "red"])
def test_programs_get_null_for_the_way_back(
    client: Client, sheet: Path, name: str, direction: str
) -> None:
    fake, recovered, figures = client.predict(
        handle_file(sheet), name, direction, api_name="/translate"
    )
    with Image.open(fake) as picture:
        assert_red(picture)
    assert recovered is None
    # Without a name it is the first one that translates.
    assert (figures["model"], figures["direction"]) == ("red", "a2b")
    assert figures["cycle_error"] is None


@pytest.mark.parametrize(
    ("name", "direction", "sentence"),
    [
        ("red", "b2a", "The direction 'b2a' is unknown; red has a2b (line art → emoji)."),
        ("noise", "a2b", "noise makes pictures from noise and does not translate any."),
        ("noise", "auto", "noise makes pictures from noise and does not translate any."),
    ],
)
def test_what_there_is_not_is_one_sentence_everywhere(
    client: Client, server: PageServer, sheet: Path, name: str, direction: str, sentence: str
) -> None:
    with pytest.raises(AppError) as error:
        client.predict(handle_file(sheet), name, direction, api_name="/translate")
    assert str(error.value) == sentence
    with pytest.raises(AppError) as error:
        client.predict([handle_file(sheet)], name, direction, False, api_name="/batch")
    assert str(error.value) == sentence
    assert send(server, photo(), model=name, direction=direction)[:2] == (400, sentence)


def test_programs_are_told_the_directions_of_all_models(client: Client, server: PageServer) -> None:
    listed = cast(list[dict[str, Any]], client.predict(api_name="/models"))
    ways = {model["name"]: model["directions"] for model in listed}
    assert ways == {"noise": [], "red": ["a2b"], "painter": ["a2b", "b2a"], **SHIPPED}
    live = json.loads(server.get("/live/models.json"))["models"]
    assert [model["name"] for model in live] == ["red", "painter", *TRANSLATING]
    shelf = json.loads(server.get("/studio/shelf.json"))["models"]
    idle = {name for name in SHIPPED if name not in TRANSLATING}
    assert {model["name"] for model in shelf if not model["usable"]} == {"noise", *idle}


def test_a_batch_says_that_there_is_no_way_back(client: Client, sheet: Path) -> None:
    _, report = client.predict([handle_file(sheet)], "red", "auto", True, api_name="/batch")
    (row,) = cast(dict[str, Any], report)["files"]
    assert (row["direction"], row["recovered"]) == ("a2b", "")
    assert row["note"] == "This model knows no way back."


# --- page


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    with watched_page(browser, server) as page:
        expect(page.locator("#model option")).to_have_text(
            ["red", "painter", *TRANSLATING], timeout=WAIT
        )
        yield page


def test_one_way_is_said_in_words_and_shown_in_two_panels(page: Page, tmp_path: Path) -> None:
    expect(page.locator(".head .only")).to_have_text("line art → emojione way only")
    expect(page.locator("#direction")).to_be_hidden()
    give(page, plain(), "teal.png")
    expect(said(page, "done")).to_contain_text(NO_WAY_BACK)
    expect(page.locator("#fake figcaption")).to_contain_text("Translated: emoji")
    assert mean(shown(page, "fake")) == pytest.approx(RED, abs=3)
    expect(page.locator("#recovered")).to_be_hidden()
    boxes = [page.locator(f"#{name}").bounding_box() for name in ("real", "fake")]
    # Side by side, and nothing empty beside them.
    wide = page.locator(".panels").bounding_box()
    assert wide and all(box and box["width"] > 0.45 * wide["width"] for box in boxes)

    labels = page.locator("#views label")
    expect(labels).to_have_text(["Side by side", "Slider", "Difference"])
    page.locator("#views input:checked").focus()
    page.keyboard.press("4")
    expect(page.locator("#views input:checked")).to_have_value("panels")
    for view, part in (("slider", ".comparing .handle"), ("difference", ".single canvas")):
        turn(page, view)
        expect(page.locator(part).locator("visible=true").first).to_be_visible()

    for kind, two in (("Sheet", 2), ("Clip", 14)):
        with page.expect_download() as coming:
            page.locator("#save").get_by_text(kind, exact=True).click()
        with Image.open(coming.value.path()) as image:
            if kind == "Sheet":
                # Two pictures of 320 pixels, and less than another one around them.
                assert two * 320 < image.width < (two + 1) * 320
            else:
                assert getattr(image, "n_frames", 1) == two

    page.reload()
    expect(page.locator("#fake img.picture")).to_be_visible(timeout=WAIT)
    assert mean(shown(page, "fake")) == pytest.approx(RED, abs=3)
    expect(page.locator("#recovered")).to_be_hidden()
    expect(page.locator("#status .line.done")).to_contain_text(NO_WAY_BACK)


def test_what_only_two_ways_have_comes_and_goes_with_the_model(page: Page) -> None:
    page.locator("#model").select_option("painter")
    give(page, plain())
    said(page, "done")
    expect(page.locator("#recovered")).to_be_visible()
    turn(page, "cycle")
    page.locator("#model").select_option("red")
    expect(page.locator("#status .line.done")).to_contain_text(NO_WAY_BACK, timeout=WAIT)
    expect(page.locator("#views input:checked")).to_have_value("panels")
    expect(page.locator("#recovered")).to_be_hidden()
    expect(page.locator(".head .only")).to_be_visible()
    page.locator("#model").select_option("painter")
    expect(page.locator("#direction label")).to_have_text(["apple → orange", "orange → apple"])
    expect(page.locator(".head .only")).to_be_hidden()
    expect(page.locator("#recovered")).to_be_visible()
    expect(page.locator("#views label")).to_have_count(4)


def test_the_other_tabs_offer_what_there_is(page: Page) -> None:
    page.get_by_role("tab", name="Batch").click()
    back = page.get_by_text("Also translate back")
    expect(page.locator("#batch-model")).to_be_visible(timeout=WAIT)
    expect(page.locator("#batch-direction")).to_be_hidden()
    expect(page.locator("#batch-limits")).to_contain_text("line art → emoji, one way only")
    expect(back).to_be_hidden()
    page.locator("#batch-model input").click()
    page.get_by_role("option", name="painter").click()
    expect(page.locator("#batch-direction label")).to_have_count(3)
    expect(back).to_be_visible()

    page.get_by_role("tab", name="Live").click()
    expect(page.locator(".live select option").first).to_have_text("red")
    expect(page.locator(".live .toggle")).to_be_hidden()
    expect(page.locator(".live .only")).to_have_text("line art → emoji, one way only")

    page.get_by_role("tab", name="Models").click()
    for name, domains, ways, buttons in (
        ("noise", "colour", "nothing; makes pictures from noise", 0),
        ("red", "line art → emoji", "one way only", 1),
        ("painter", "apple ⇄ orange", "there and back", 1),
    ):
        panel = page.locator(f"#models-list article[data-model={name}]")
        expect(panel.locator(".domains")).to_have_text(domains, timeout=WAIT)
        expect(panel.locator("dl")).to_contain_text(ways)
        expect(panel.locator("button[data-do=use]")).to_have_count(buttons)


# --- command


def test_the_command_says_what_there_is_not(
    sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red, noise, out = reddening(tmp_path / "red"), colours(tmp_path / "noise"), tmp_path / "out"

    def run(weights: Path, *flags: str) -> tuple[int, str]:
        code = main(
            ["translate", str(sheet), "--weights", str(weights), "--output", str(out), *flags]
        )
        return code, capsys.readouterr().err

    for weights, flags, sentence in (
        (red, ["--direction", "b2a"], f"{red} does not translate b2a, only a2b."),
        (red, ["--recovered"], f"{red} translates a2b only; leave --recovered out."),
        (noise, [], f"{noise} makes pictures from noise and translates none."),
    ):
        assert run(weights, *flags) == (2, f"cyclegan: {sentence}\n")
    assert not out.exists()
    assert run(red, "--direction", "auto") == (0, f"{red} translates one way only, a2b.\n")
    with Image.open(out / "sheet.png") as picture:
        assert_red(picture)
