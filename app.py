"""Open the page: `python app.py [--weights A B …] [--runs RUNS]`. Also the app_file of a Space."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

SHIPPED = Path(__file__).resolve().parent / "weights"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the flags; the environment has the say where a flag is not given, as a Space sets it."""
    parser = argparse.ArgumentParser(
        prog="app.py", description="Translate pictures, and watch trainings, on a page of your own."
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        metavar="WEIGHTS",
        default=os.environ.get("CYCLEGAN_WEIGHTS", "").replace(",", " ").split(),
        help="weights folders or Hub names, USER/NAME[@REVISION]; "
        "they come before those that ship with this repository (CYCLEGAN_WEIGHTS)",
    )
    parser.add_argument(
        "--runs",
        metavar="RUNS",
        default=os.environ.get("CYCLEGAN_RUNS") or "runs",
        help="trainings that the page shows: their folder, or the Hub name, USER/NAME, "
        "of one that runs elsewhere; default: runs (CYCLEGAN_RUNS)",
    )
    parser.add_argument("--host", help="address to listen on; default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="what the models run on; default: the best at hand",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Serve the page until it is interrupted; returns the exit code."""
    options = parse(arguments)
    # Imported late: --help and a mistyped flag should not wait for torch and gradio.
    from cyclegan import ui
    from cyclegan.errors import UserError

    try:
        ui.serve(
            weights=options.weights,
            shipped=SHIPPED,
            runs=options.runs,
            host=options.host,
            port=options.port,
            device=options.device,
        )
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
