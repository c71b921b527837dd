"""What the probes tell about a training, and the ways in which CycleGANs go wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cyclegan.config import Direction
from cyclegan.losses import luminance_correlation

LIMITS: Mapping[str, tuple[str, float, str]] = {
    "inversion": (
        "luminance_correlation",
        -0.2,
        "{there} comes out with light and dark exchanged: colours have inverted. Start anew with "
        "another --seed, a larger --lambda-identity, or --lambda-luminance 1.",
    ),
    "collapse": (
        "diversity",
        0.1,
        "{there} looks nearly the same for every photo: the generator has collapsed. Go back to an "
        "earlier checkpoint with a lower --learning-rate, or add photos.",
    ),
    "identity": (
        "change",
        0.01,
        "{there} is the photo itself, hardly changed. Lower --lambda-identity or --lambda-cycle.",
    ),
}
"""By alarm: the measure that has fallen too low, the limit, and what to say and do."""


def measure(
    pictures: Mapping[str, Tensor], directions: tuple[Direction, ...]
) -> dict[str, dict[str, Any]]:
    """Measure samples: "real_a", "fake_b", … to batches [N, C, H, W] in [-1, 1] of the same N.

    Returns, where the pictures for it are there:
        cycle_error: by domain, for every probe, the mean absolute difference of photo and recovered
            photo, as a share of the value range.
        luminance_correlation: by direction, Pearson's correlation of the luminance of photo and
            translation, mean over probes; -1 is a negative, 0 a blank.
        diversity: by direction, the mean difference between translations of different probes,
            divided by that between their photos; 0 when all translations are equal.
        change: by direction, the mean absolute difference of photo and translation, as a share of
            the value range.
    """
    found: dict[str, dict[str, Any]] = {
        name: {} for name in ("cycle_error", "luminance_correlation", "diversity", "change")
    }
    for direction in directions:
        source, target = direction[0], direction[2]
        if f"fake_{target}" not in pictures:
            continue
        real = pictures[f"real_{source}"].float()
        fake = pictures[f"fake_{target}"].float()
        found["luminance_correlation"][direction] = _rounded(
            luminance_correlation(real, fake).mean()
        )
        found["change"][direction] = _rounded(
            (fake - real).abs().mean() / 2 if fake.shape == real.shape else 1.0
        )
        if (between := _spread(real)) > 0:
            found["diversity"][direction] = _rounded(_spread(fake) / between)
        if f"recovered_{source}" in pictures:
            recovered = pictures[f"recovered_{source}"].float()
            errors = (recovered - real).abs().flatten(1).mean(1) / 2
            found["cycle_error"][source] = [_rounded(error) for error in errors.tolist()]
    return {name: values for name, values in found.items() if values}


class Watch:
    """Raises an alarm when a measure is too low at two samples in a row, and ends it again.

    Two, since networks that have only begun make blank pictures once.
    """

    def __init__(self, labels: Mapping[str, str], alarms: Sequence[str] = tuple(LIMITS)):
        self._labels = labels
        self._limits = {kind: LIMITS[kind] for kind in alarms}
        self._suspects: list[str] = []
        self._alarms: dict[str, dict[str, Any]] = {}

    def update(self, measures: Mapping[str, Any], step: int) -> list[dict[str, Any]]:
        """Take in the measures of the sample of a step; returns what changed, for metrics.jsonl."""
        lines, suspects = [], []
        for kind, (measured, limit, message) in self._limits.items():
            for direction, value in measures.get(measured, {}).items():
                key = f"{kind} {direction}"
                low = value < limit
                if low:
                    suspects.append(key)
                if low != (key in self._alarms) and (not low or key in self._suspects):
                    there = f"{self._labels[direction[0]]} → {self._labels[direction[2]]}"
                    alarm = {"direction": direction, "message": message.format(there=there)}
                    if low:
                        self._alarms[key] = {"kind": kind, **alarm, "since": step}
                    else:
                        del self._alarms[key]
                    lines.append({"alarm": kind, **alarm, "value": value, "active": low})
        self._suspects = suspects
        return lines

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """The alarms as they stand: kind, direction, message, and the step since when."""
        return list(self._alarms.values())

    def state(self) -> dict[str, Any]:
        """Collect what the next update depends on."""
        return {"suspects": self._suspects, "alarms": self._alarms}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a collected state."""
        self._suspects, self._alarms = list(state["suspects"]), dict(state["alarms"])


def _spread(images: Tensor) -> float:
    """Mean absolute difference over all pairs of a batch; 0 for a single image."""
    pairs = torch.combinations(torch.arange(len(images)))
    if not len(pairs):
        return 0.0
    return float((images[pairs[:, 0]] - images[pairs[:, 1]]).abs().mean())


def _rounded(value: Any) -> float:
    return round(float(value), 5)
