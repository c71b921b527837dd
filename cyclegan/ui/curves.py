"""The curves of a run, thinned to what a screen can show."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from cyclegan.evaluate import INCEPTION
from cyclegan.runs import Run
from cyclegan.ui.run_view import events, labels, number, numbers, probe_errors
from cyclegan.ui.words import Language, say

POINTS = 300
"""Points of a curve: each stands for its neighbours, by their mean, least and largest value."""
BRIGHTNESS = {"luminance_correlation": ""}
VARIETY = {"diversity": "training.variety", "change": "training.change"}
"""Measures of the probes in one chart, and what each is called there."""
NAMES = {
    "generators": "training.generators",
    "discriminators": "training.discriminators",
    "cycle": "training.loss_cycle",
    "identity": "training.loss_identity",
    "luminance": "training.loss_luminance",
    "answers": "training.answers",
    "answers_fixed": "training.answers_fixed",
}
"""What has a name in every language; other phases and losses are called what models call them."""

Rows = list[tuple[int, float]]


def curves(run: Run, language: Language = "en") -> dict[str, Any]:
    """What to draw: {"charts": [{title, note, log, curves}], "events": …, "errors": …}.

    A chart with `log` is also worth seeing on a logarithmic scale. A curve is {label, colour,
    dashed, noisy, steps, values} with `low` and `high` where it was thinned or stands for several
    probes; its colour is a number, the same for what belongs together, and one that is noisy is
    worth smoothing.
    """
    parts = (_losses, _distances, _probes, _rates)
    charts = [chart for part in parts for chart in part(run, language)]
    return {"charts": charts, "events": events(run, language), "errors": probe_errors(run)}


def thin(rows: Rows, count: int = POINTS) -> dict[str, list[float]]:
    """Steps and values of at most `count` points; with low and high where points were merged."""
    if len(rows) <= count:
        return {
            "steps": [step for step, _ in rows],
            "values": [_short(value) for _, value in rows],
        }
    edges = [round(i * len(rows) / count) for i in range(count + 1)]
    groups = [rows[i:j] for i, j in pairwise(edges)]
    return {
        # The last of its steps, so that a curve ends where the training is.
        "steps": [group[-1][0] for group in groups],
        "values": [_short(sum(v for _, v in group) / len(group)) for group in groups],
        "low": [_short(min(v for _, v in group)) for group in groups],
        "high": [_short(max(v for _, v in group)) for group in groups],
    }


def _losses(run: Run, language: Language) -> Iterator[dict[str, Any]]:
    """The losses in which the phases play against each other, and all others."""
    training = _series(run, "training", "losses")
    validation = _series(run, "validation", "losses")
    keys = list(dict.fromkeys([*training, *validation]))
    game = [key for key in keys if key.endswith("/adversarial")]
    rest = [key for key in keys if key not in game]
    note = say(language, "training.chart_dashed") if validation else ""
    for heading, chosen in (("training.chart_game", game), ("training.chart_losses", rest)):
        lines = []
        for colour, key in enumerate(chosen):
            phase, _, name = key.partition("/")
            spoken = _spoken(phase, language)
            label = spoken if chosen is game else _spoken(name or phase, language)
            # Two phases may call a loss the same.
            if sum(other.endswith(f"/{name}") for other in rest) > 1 and chosen is rest:
                label = say(language, "training.chart_phase", label=label, phase=spoken)
            if key in training:
                lines.append(_curve(label, colour, training[key], noisy=True))
            if key in validation:
                tested = say(language, "training.chart_tested", label=label)
                lines.append(_curve(tested, colour, validation[key], dashed=True))
        yield from _chart(say(language, heading), lines, note, log=True)


def _probes(run: Run, language: Language) -> Iterator[dict[str, Any]]:
    names = labels(run)
    spread: dict[str, list[tuple[int, list[float]]]] = {}
    for line in run.metrics:
        error = line.get("cycle_error")
        if line["kind"] == "probes" and isinstance(error, dict):
            for side, values in error.items():
                known = [number(v) for v in values] if isinstance(values, list) else []
                known = [v for v in known if v is not None]
                if known:
                    spread.setdefault(str(side), []).append((line["step"], known))
    lines = []
    for colour, (side, rows) in enumerate(spread.items()):
        curve = _curve(
            say(language, "training.chart_back", label=names.get(side, side)),
            colour,
            [(step, sum(values) / len(values)) for step, values in rows],
        )
        if len(rows) <= POINTS:
            curve["low"] = [_short(min(values)) for _, values in rows]
            curve["high"] = [_short(max(values)) for _, values in rows]
        lines.append(curve)
    heading, note = "training.chart_cycle", "training.chart_cycle_note"
    yield from _chart(say(language, heading), lines, say(language, note))
    for heading, note, keys in (
        ("training.chart_brightness", "training.chart_brightness_note", BRIGHTNESS),
        ("training.chart_variety", "training.chart_variety_note", VARIETY),
    ):
        lines = []
        for dashed, (key, word) in enumerate(keys.items()):
            for colour, (direction, rows) in enumerate(_series(run, "probes", key).items()):
                label = _arrow(direction, names)
                if word:
                    measure = say(language, word)
                    label = say(language, "training.chart_of", direction=label, measure=measure)
                lines.append(_curve(label, colour, rows, dashed=bool(dashed)))
        yield from _chart(say(language, heading), lines, say(language, note))
    lines = [
        _curve(_spoken(name, language), colour, rows)
        for colour, (name, rows) in enumerate(_series(run, "probes", "measured").items())
    ]
    note = say(language, "training.chart_answers_note")
    yield from _chart(say(language, "training.chart_answers"), lines, note)


def _rates(run: Run, language: Language) -> Iterator[dict[str, Any]]:
    merged: dict[tuple[tuple[int, float], ...], list[str]] = {}
    for phase, rows in _series(run, "training", "learning_rates").items():
        merged.setdefault(tuple(rows), []).append(phase)
    joint = say(language, "training.and")
    lines = [
        _curve(joint.join(_spoken(phase, language) for phase in phases), colour, list(rows))
        for colour, (rows, phases) in enumerate(merged.items())
    ]
    yield from _chart(say(language, "training.chart_rate"), lines, log=True)


def _distances(run: Run, language: Language) -> Iterator[dict[str, Any]]:
    """FID and KID, which mean nothing without how they were measured."""
    scores = _series(run, "evaluation", "scores")
    last = next((line for line in reversed(run.metrics) if line["kind"] == "evaluation"), {})
    extractor, protocol = str(last.get("extractor") or "?"), str(last.get("protocol") or "")
    names = labels(run)
    for kind in ("fid", "kid"):
        lines = []
        for colour, direction in enumerate(("a2b", "b2a", "z2a", "")):
            key = "_".join(filter(None, (kind, direction)))
            # Of one direction, the mean over directions says nothing more.
            if key not in scores or (not direction and len(lines) == 1):
                continue
            # The mean of both directions dashed, in a colour of its own.
            label = _arrow(direction, names) if direction else say(language, "training.mean")
            curve = _curve(label, colour, scores[key], dashed=not direction)
            deviations = dict(scores.get(f"{key}_std", ()))
            if deviations and len(scores[key]) <= POINTS:
                for edge, sign in (("low", -1), ("high", 1)):
                    curve[edge] = [
                        _short(value + sign * deviations.get(step, 0))
                        for step, value in scores[key]
                    ]
            lines.append(curve)
        note = say(language, "training.chart_features", extractor=extractor, protocol=protocol)
        heading = kind.upper()
        if extractor != INCEPTION:
            # With other features than Inception's it is no FID.
            heading = say(language, f"training.chart_{kind}", extractor=extractor)
        yield from _chart(heading, lines, note.strip())


def _series(run: Run, kind: str, field: str) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for line in run.metrics:
        if line["kind"] == kind:
            for key, value in numbers(line.get(field)).items():
                found.setdefault(key, []).append((line["step"], value))
    return found


def _curve(
    label: str, colour: int, rows: Rows, dashed: bool = False, noisy: bool = False
) -> dict[str, Any]:
    return {"label": label, "colour": colour, "dashed": dashed, "noisy": noisy, **thin(rows)}


def _chart(
    title: str, lines: list[dict[str, Any]], note: str = "", log: bool = False
) -> Iterator[dict[str, Any]]:
    if lines:
        yield {"title": title, "note": note, "log": log, "curves": lines}


def _spoken(name: str, language: Language) -> str:
    return say(language, NAMES[name]) if name in NAMES else name


def _arrow(direction: str, names: dict[str, str]) -> str:
    there, _, back = direction.partition("2")
    return f"{names.get(there, there)} → {names.get(back, back)}"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
