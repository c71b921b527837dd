"""Take the picture of the page that opens the README: `python docs/screenshot.py`.

Needs what tests/requirements.txt lists and a Chromium; the page runs with the weights that ship.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "page.jpg")
    parser.add_argument("--example", type=int, default=0, help="which example to click, from 0")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # An empty folder of runs, whatever lies in this checkout.
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "app.py", "--port", str(port), "--runs", runs]
        server = subprocess.Popen(command, cwd=ROOT)
        try:
            take(f"http://127.0.0.1:{port}", options)
        finally:
            server.terminate()
            server.wait()


def take(address: str, options: argparse.Namespace) -> None:
    """Click an example, wait until it is translated there and back, and save what is seen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": options.width, "height": 930},
            color_scheme="dark" if options.dark else "light",
        )
        for _ in range(120):
            try:
                page.goto(address)
                break
            except Exception:
                # The server is still importing torch.
                page.wait_for_timeout(500)
        page.locator("#direction").wait_for(timeout=60_000)
        page.locator("#examples img").nth(options.example).click()
        expect(page.get_by_text("The way back differs")).to_be_visible(timeout=60_000)
        page.wait_for_timeout(1500)
        page.screenshot(path=options.output, type="jpeg", quality=88)
        browser.close()


if __name__ == "__main__":
    main()
