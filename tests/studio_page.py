"""Steps on the Translate tab that several test files take."""

import io
from pathlib import Path

from conftest import draw_photo
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

SIZE = (60, 44)
WAIT = 30_000
TEAL = (40, 110, 120)


def photo(size: tuple[int, int] = SIZE) -> bytes:
    """A photo as a PNG file."""
    return png(draw_photo("a", 0, size))


def plain(colour: tuple[int, int, int] = TEAL, size: tuple[int, int] = (320, 240)) -> bytes:
    """A picture in one colour, which no scaling changes, as a PNG file."""
    return png(Image.new("RGB", size, colour))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def give(page: Page, content: bytes, name: str = "photo.png") -> None:
    """Choose a file."""
    file: FilePayload = {"name": name, "mimeType": "image/png", "buffer": content}
    page.set_input_files("#studio input[type=file]", [file])


def give_file(page: Page, path: Path) -> None:
    page.set_input_files("#studio input[type=file]", path)


def said(page: Page, kind: str) -> Locator:
    """The line that says how things stand, once it is of a kind."""
    line = page.locator(f"#status .line.{kind}")
    expect(line).to_be_visible(timeout=WAIT)
    return line


def turn(page: Page, view: str) -> None:
    """Turn to a view: panels, slider, difference, cycle."""
    page.locator(f"#views input[value={view}]").check(force=True)


def source(page: Page, name: str) -> str:
    """Where the picture in a panel comes from."""
    address = page.locator(f"#{name} img.picture").get_attribute("src")
    assert address
    return address


def shown(page: Page, name: str) -> Image.Image:
    """The picture in a panel, as it came over the wire."""
    body = page.request.get(source(page, name)).body()
    return Image.open(io.BytesIO(body)).convert("RGB")


def mean(image: Image.Image) -> tuple[float, ...]:
    """The mean colour of a picture."""
    pixel = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def seen(element: Locator, at: tuple[float, float]) -> tuple[float, ...]:
    """The colour that people see at a place of an element, in shares of its size."""
    picture = Image.open(io.BytesIO(element.screenshot(animations="disabled"))).convert("RGB")
    x, y = int(at[0] * (picture.width - 1)), int(at[1] * (picture.height - 1))
    return mean(picture.crop((x - 2, y - 2, x + 3, y + 3)))
