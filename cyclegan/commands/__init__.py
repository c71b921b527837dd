"""The commands of `python -m cyclegan`, made by tyro from one dataclass each.

A command's fields are its flags and `run` does the work, returning the exit code. Whatever needs
torch or the Hub is imported there: --help and a mistyped flag should not wait for it.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from cyclegan.commands.convert import Convert
from cyclegan.commands.evaluate import Evaluate
from cyclegan.commands.export import Export
from cyclegan.commands.generate import Generate
from cyclegan.commands.prepare import Prepare
from cyclegan.commands.translate import Translate
from cyclegan.commands.weights import Calibrate, Pull, Push
from cyclegan.errors import UserError

COMMANDS: dict[str, Any] = {
    "translate": Translate,
    "generate": Generate,
    "evaluate": Evaluate,
    "calibrate": Calibrate,
    "convert": Convert,
    "export": Export,
    "prepare": Prepare,
    "push": Push,
    "pull": Pull,
}


def main(arguments: Sequence[str]) -> int:
    """Run `python -m cyclegan`; returns its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    command: Any = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="python -m cyclegan",
        description="Make pictures of pictures, and what that takes: weights and data.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        return command.run()
    except UserError as error:
        print(f"cyclegan: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        named = error.filename and error.strerror
        text = f"{error.filename}: {error.strerror}" if named else str(error)
        print(f"cyclegan: {text}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("cyclegan: stopped.", file=sys.stderr)
        return 130
    return 2
