"""The page as a server of the Model Context Protocol, asked by the protocol's own client."""

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import data_url, png, upload
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from page_server import PageServer, painter
from PIL import Image

import app
from cyclegan.ui import app as page_app


@pytest.fixture(scope="module")
def page(constant_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    weights = painter(constant_weights, folder / "painter", "black", "white")
    server = PageServer(folder, "--mcp", "--weights", weights)
    yield server
    server.stop()


def call(page: PageServer, tool: str = "", **arguments: Any) -> Any:
    """Shake hands, and list the tools or call one."""

    async def talk() -> Any:
        url = f"{page.url}/gradio_api/mcp/"
        async with (
            streamablehttp_client(url) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            if not tool:
                return (await session.list_tools()).tools
            # As assistants do: they want to hear how far it has come.
            return await session.call_tool(tool, arguments, progress_callback=heard)

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        pass

    return asyncio.run(talk())


def test_the_endpoints_are_tools_with_their_words(page: PageServer) -> None:
    tools = {tool.name: tool for tool in call(page)}
    names = {name.rsplit("_", 1)[-1] for name in tools}
    assert names == {"translate", "generate", "batch", "models"}
    tool = next(tool for name, tool in tools.items() if name.endswith("translate"))
    assert tool.description.startswith("Translate a picture there and back.")
    assert {"image", "weights", "direction"} <= set(tool.inputSchema["properties"])


@pytest.mark.parametrize("as_data", [True, False])
def test_a_picture_is_translated(page: PageServer, as_data: bool) -> None:
    name = next(tool.name for tool in call(page) if tool.name.endswith("translate"))
    image = data_url(png())
    if not as_data:
        _, path = upload(page.url, "photo.png", png())
        image = f"{page.url}/gradio_api/file={path}"
    result = call(page, name, image=image, direction="a2b")
    assert not result.isError, result.content
    pictures = [part for part in result.content if part.type == "image"]
    with Image.open(io.BytesIO(base64.b64decode(pictures[0].data))) as picture:
        assert picture.convert("RGB").getextrema() == ((255, 255),) * 3
    words = " ".join(part.text for part in result.content if part.type == "text")
    assert "painter" in words


def test_a_wrong_name_is_one_sentence(page: PageServer) -> None:
    name = next(tool.name for tool in call(page) if tool.name.endswith("translate"))
    result = call(page, name, image=data_url(png()), weights="nothing")
    assert result.isError
    assert "no weights called 'nothing'" in result.content[0].text
    assert "Traceback" not in page.log


def test_without_the_flag_there_is_none(constant_weights: Path, tmp_path: Path) -> None:
    server = PageServer(tmp_path, "--weights", constant_weights)
    with pytest.raises(OSError, match="404"):
        server.get("/gradio_api/mcp/")
    server.stop()


@pytest.mark.parametrize(
    ("flags", "installed", "complaint"),
    [
        (["--mcp"], False, "--mcp needs a package more; pip install 'gradio[mcp]'."),
        (["--mcp", "--auth", "a:b"], True, "--mcp has no login, so it cannot be used with --auth"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    flags: list[str],
    installed: bool,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(page_app, "find_spec", lambda name: object() if installed else None)
    assert app.main([*flags, "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"app.py: {complaint}")
    assert said.count("\n") == 1
