"""Open the page: `python app.py [--weights A B …] [--runs RUNS]`. Also the app_file of a Space."""

import argparse
import ctypes
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

SHIPPED = Path(__file__).resolve().parent / "weights"
TRIMMED = 2
"""Seconds between two times that free memory is given back."""
ARENA_MAX = -8
"""What malloc.h calls M_ARENA_MAX."""
UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with a command."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see --help.\n")


def user_and_password(text: str) -> tuple[str, str]:
    """Read USER:PASSWORD; the password may have colons."""
    user, _, password = text.partition(":")
    if not user.strip() or not password:
        raise argparse.ArgumentTypeError("a user and a password are needed, as in anna:secret")
    return user.strip(), password


def size(text: str) -> int:
    """Read a number of bytes: 50mb."""
    found = re.fullmatch(r"([1-9]\d*) *([kmg]?b)", text.strip().lower())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of a file; give one such as 50mb")
    return int(found[1]) * UNITS[found[2]]


def prefix(text: str) -> str:
    """Read the prefix of a path: /zebras."""
    if not re.fullmatch(r"(/[\w.~-]+)+/?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no path; give one such as /zebras")
    return text.rstrip("/")


def count(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the flags; the environment has the say where a flag is not given, as a Space sets it."""
    parser = Parser(
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
    parser.add_argument(
        "--backend",
        choices=("auto", "torch", "openvino"),
        default="auto",
        help="what runs the models on a CPU; default: OpenVINO, several times as fast, if it is "
        "installed and computes what PyTorch does",
    )
    parser.add_argument(
        "--auth",
        type=user_and_password,
        metavar="USER:PASSWORD",
        default=os.environ.get("CYCLEGAN_AUTH") or None,
        help="what the page asks for before it shows anything; better set as CYCLEGAN_AUTH, since "
        "others on this machine see the flags of a command",
    )
    parser.add_argument(
        "--max-file-size",
        type=size,
        metavar="SIZE",
        default=os.environ.get("CYCLEGAN_MAX_FILE_SIZE") or "50mb",
        help="of a file that is sent here; default: 50mb (CYCLEGAN_MAX_FILE_SIZE)",
    )
    parser.add_argument(
        "--max-loaded",
        type=count,
        metavar="N",
        default=os.environ.get("CYCLEGAN_MAX_LOADED") or "4",
        help="models in memory at once; the one unused for longest makes room; "
        "default: 4 (CYCLEGAN_MAX_LOADED)",
    )
    parser.add_argument(
        "--root-path",
        type=prefix,
        metavar="/PREFIX",
        help="the path under which a proxy serves the page; default: none",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="serve the Model Context Protocol too; needs pip install 'gradio[mcp]'",
    )
    return parser.parse_args(arguments)


def keep_memory_low() -> None:
    """Have glibc keep one heap, not one a thread, and give back every two seconds what is free.

    Pictures pass through many threads, and what is free in the heap of one is of no use to
    another: over hundreds of translations memory grew by 60 MB, and came and went by 100 MB.
    """
    if sys.platform != "linux":
        return
    # Another C library than glibc has no such calls.
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(ARENA_MAX, 1)

        def work() -> None:
            while True:
                time.sleep(TRIMMED)
                libc.malloc_trim(0)

        threading.Thread(target=work, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Serve the page until it is interrupted; returns the exit code."""
    options = parse(arguments)
    keep_memory_low()
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
            backend=options.backend,
            auth=options.auth,
            max_file_size=options.max_file_size,
            max_loaded=options.max_loaded,
            root_path=options.root_path,
            mcp=options.mcp,
        )
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # Whoever stops a service does so by this signal; as after Ctrl-C, uploads are then deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
