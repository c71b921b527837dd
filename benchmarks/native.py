"""Translating large photos: seconds, and the most memory that the process ever took.

    python -m benchmarks.native [--weights DIR] [--photo FILE] [--large]

Every row is a process of its own that loads the weights, reads a JPEG and translates it, as the
command line does. Without --photo, an example of the page is enlarged: neither time nor memory
depend on what a photo shows. --large adds full detail at 24 megapixels, which takes long.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from PIL import Image

from benchmarks.report import machine, publish, table

ROOT = Path(__file__).parent.parent
SIZES = {"12": (4000, 3000), "24": (6000, 4000)}
PREVIEW = 1600


def work(weights: str, photo: str, detail: float) -> None:
    """Translate in this process, and print what it took."""
    from cyclegan.images import load_image
    from cyclegan.translator import Translator

    translator = Translator.load(weights)
    real = load_image(photo)
    preview = real.copy()
    preview.thumbnail((PREVIEW, PREVIEW))
    # What only the first picture of a process pays, such as imports, is left out.
    translator.translate(real.resize((64, 64)))
    start = perf_counter()
    change = translator.change(real, "a2b", detail)
    network = perf_counter()
    change.apply(preview)
    previewed = perf_counter()
    change.apply(real)
    values = {
        "network": network - start,
        "preview": previewed - network,
        "native": perf_counter() - previewed,
        "peak": peak(),
        "at": f"{change.values.shape[2]} × {change.values.shape[1]}",
    }
    print(json.dumps(values))


def peak() -> float:
    """The most memory that this process has had, in gigabytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> None:
    """Measure every row and publish the table, or work as the process of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="weights/apples-oranges")
    parser.add_argument("--photo", type=Path, default=ROOT / "cyclegan/ui/examples/apples-4.jpg")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.weights, options.worker[0], float(options.worker[1]))
        return
    rows = []
    for megapixels, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            photo = f"{folder}/photo.jpg"
            Image.open(options.photo).convert("RGB").resize(size).save(photo, quality=90)
            for detail in (0.0, 0.5, 1.0):
                if (megapixels, detail) == ("24", 1.0) and not options.large:
                    continue
                command = [sys.executable, "-m", "benchmarks.native", "--weights", options.weights]
                worker = ["--worker", photo, str(detail)]
                done = subprocess.run(
                    [*command, *worker], cwd=ROOT, capture_output=True, text=True, check=True
                )
                found = json.loads(done.stdout)
                seconds = [f"{found[key]:.1f} s" for key in ("network", "preview", "native")]
                name = f"{megapixels} megapixels, detail {detail:g}"
                rows.append([name, found["at"], *seconds, f"{found['peak']:.2f} GB"])
                print(rows[-1], flush=True)
    head = ["photo", "network runs at", "network", "+ preview", "+ native pixels", "peak memory"]
    publish(
        "native",
        "## Large photos\n\n"
        "One photo, in a process of its own. A result on the page takes the network and a preview "
        f"of {PREVIEW} pixels; the native pixels are computed when somebody downloads them. Peak "
        f"memory is of the whole process, weights and libraries included.\n\n{table(head, rows)}"
        f"\n\n`python -m benchmarks.native{' --large' * options.large}` with `{options.weights}`; "
        f"{machine()}.",
    )


if __name__ == "__main__":
    main()
