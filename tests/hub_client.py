"""The client side of tests with the stand-in Hub."""

import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import constants


def log_in(server: HubServer, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the client of this process talk to `server`, with an empty cache and a token."""
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "ENDPOINT", server.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no token"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    patch.setenv("HF_TOKEN", TOKEN)
    patch.setenv("NO_PROXY", "*")
    # The client keeps one session, which keeps the proxies it was born with.
    huggingface_hub.close_session()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the background has brought something about."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
