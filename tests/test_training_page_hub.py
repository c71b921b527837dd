"""The Training tab on one machine, the training on another, the Hub in between."""

import shutil
from pathlib import Path

import pytest
from hub_client import log_in, wait_for
from hub_server import TOKEN, HubServer
from page_server import PageServer, watched_page
from playwright.sync_api import Browser, expect
from training_tab import Training, expect_shade

from cyclegan.pusher import Pusher

NAME = "tester/greys"


@pytest.mark.slow
def test_a_page_follows_a_training_elsewhere_through_a_flaky_network(
    browser: Browser,
    constant_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HubServer() as hub:
        log_in(hub, tmp_path, monkeypatch)
        training = Training(tmp_path / "run")
        training.train(3)
        shutil.copytree(constant_weights, tmp_path / "run" / "weights")
        pusher = Pusher(NAME, every=0.0, retry=0.1)

        def push() -> None:
            pusher.submit(tmp_path / "run")
            tile = f"run/samples/{training.steps[-1]:08d}/recovered_b.1.webp"
            wait_for(lambda: NAME in hub.repos and tile in hub.files(NAME))

        push()
        account = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
        server = PageServer(tmp_path / "page", "--runs", NAME, **account)
        try:
            with watched_page(browser, server) as page:
                page.get_by_role("tab", name="Training").click()
                expect(page.locator("h2", has_text="greys").first).to_be_visible()
                expect_shade(page, 20)
                # Photos are not published unless somebody says so.
                assert not [path for path in hub.files(NAME) if path.startswith("run/probes")]
                expect(page.locator('[data-tile="real_a.0"]')).to_be_hidden()

                training.train(1)
                push()
                expect_shade(page, 30)

                hub.stop()
                problem = page.locator(".problem", has_text="no connection to http://127.0.0.1")
                expect(problem).to_be_visible()
                expect_shade(page, 30)

                training.train(1)
                training.status("finished", training.steps[-1])
                hub.start()
                push()
                expect_shade(page, 40)
                expect(problem).to_be_hidden()
                expect(page.get_by_text("Finished").first).to_be_visible()
        finally:
            server.stop()
        assert pusher.close() is None
