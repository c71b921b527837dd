"""Take the pictures of the page in the README.

    python docs/screenshot.py                        docs/page.jpg, with the weights that ship
    python docs/screenshot.py --runs runs            docs/training.jpg, of the newest run there

Needs what tests/requirements.txt lists and a Chromium. A run whose pictures may be shown to
everybody has its probes from the examples: `train.py … --probes DIR`, DIR/A and DIR/B holding
apples and oranges of cyclegan/ui/examples.
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
    parser.add_argument("--output", type=Path, help="default: as above")
    parser.add_argument("--runs", type=Path, help="take the Training tab of the newest run there")
    parser.add_argument("--example", type=int, default=0, help="which example to click, from 0")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=930)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    name = "training.jpg" if options.runs else "page.jpg"
    options.output = options.output or ROOT / "docs" / name
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Else an empty folder of runs, whatever lies in this checkout.
    with tempfile.TemporaryDirectory() as empty:
        runs = options.runs.resolve() if options.runs else empty
        command = [sys.executable, "app.py", "--port", str(port), "--runs", str(runs)]
        server = subprocess.Popen(command, cwd=ROOT)
        try:
            take(f"http://127.0.0.1:{port}", options)
        finally:
            server.terminate()
            server.wait()


def take(address: str, options: argparse.Namespace) -> None:
    """Open the page, show an example there and back or a run, and save what is seen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height},
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
        if options.runs:
            page.get_by_role("tab", name="Training").click()
            page.get_by_text("Generators against discriminators").wait_for(timeout=60_000)
        else:
            page.locator("#examples button").nth(options.example).click()
            expect(page.get_by_text("The way back differs")).to_be_visible(timeout=60_000)
        page.wait_for_timeout(1500)
        page.screenshot(path=options.output, type="jpeg", quality=88)
        browser.close()


if __name__ == "__main__":
    main()
