"""The command line of train.py, made from the config dataclasses by tyro."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import tyro

from cyclegan.config import DataConfig, HubConfig, RunConfig, TrainingConfig, with_overrides
from cyclegan.errors import UserError
from cyclegan.models import FAMILIES


def parse_training(arguments: Sequence[str]) -> RunConfig[Any]:
    """Turn `FAMILY [--preset NAME] [flags]` into a RunConfig; flags override the preset.

    Raises UserError on an unknown family, preset or value; exits with code 2 on an unknown flag and
    with 0 after --help, as argparse does.
    """
    names = ", ".join(FAMILIES)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: train.py FAMILY [--preset NAME] [flags]\n\nFAMILY is one of: {names}.")
        print("train.py FAMILY --help lists its flags and presets.")
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name not in FAMILIES:
        raise UserError(f"{name!r} is no family of models; choose one of: {names}.")
    family = FAMILIES[name]
    preset, rest = _take_preset(rest)
    default: RunConfig[Any] = RunConfig(
        family.Config(), DataConfig(), TrainingConfig(), HubConfig()
    )
    default = with_overrides(default, _without_contradiction(family.defaults, rest))
    if preset is not None:
        if preset not in family.presets:
            known = ", ".join(family.presets)
            raise UserError(f"--preset {preset} is unknown; {name} has: {known}.")
        default = with_overrides(default, _without_contradiction(family.presets[preset], rest))
    try:
        return tyro.cli(
            RunConfig[family.Config],  # type: ignore[name-defined]
            prog=f"train.py {name}",
            description=(
                f"Train {name}. --preset NAME changes the defaults below and any flag overrides "
                f"it: {', '.join(family.presets)}."
            ),
            default=default,
            args=rest,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def train(arguments: Sequence[str]) -> int:
    """Run train.py; returns its exit code."""
    # Of several processes that train together, the first one speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(message)s")
    # The client logs every HTTP request at this level.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        config = parse_training(arguments)
        # Accelerate takes seconds to import, for which --help and a mistyped flag need not wait.
        from cyclegan.training import Trainer

        trainer = Trainer(config)
        failure = trainer.run()
    except UserError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        # A full or vanished disk; files are renamed into place, so the older ones are whole.
        print(
            f"train.py: {error.filename or 'The run'} cannot be written or read "
            f"({error.strerror or error}); mend that and run the command again.",
            file=sys.stderr,
        )
        return 1
    if trainer.finished_steps < trainer.total:
        print(
            f"Stopped at step {trainer.finished_steps} of {trainer.total} and saved; "
            "the same command goes on from here.",
            file=sys.stderr,
        )
    if failure is not None:
        print(f"train.py: {failure}", file=sys.stderr)
        return 1
    return 0


def _take_preset(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take `--preset NAME` or `--preset=NAME` out of the arguments."""
    rest = list(arguments)
    for index, argument in enumerate(rest):
        if argument == "--preset":
            if index + 1 == len(rest):
                raise UserError("--preset needs a name.")
            preset = rest[index + 1]
            del rest[index : index + 2]
            return preset, rest
        if argument.startswith("--preset="):
            del rest[index]
            return argument.split("=", 1)[1], rest
    return None, rest


def _without_contradiction(
    overrides: Mapping[str, Mapping[str, Any]], arguments: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Copy overrides, without epochs where --steps replaces them."""
    parts = {part: dict(values) for part, values in overrides.items()}
    if any(flag.split("=")[0] == "--steps" for flag in arguments):
        parts.get("training", {}).pop("epochs", None)
    return parts
