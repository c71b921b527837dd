"""What the Training tab shows of a run, as JSON: sound whatever the files hold, and small."""

import math
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclegan.runs import RUN, Run
from cyclegan.ui.words import Language, reword, say

QUIET, QUIET_ELSEWHERE = 300.0, 3600.0
"""Seconds without news after which a run that says it is running is doubted: one that writes here,
and one that pushes to the Hub now and then."""
EVENTS = 200
"""How many alarms and rollbacks are told, the newest."""
PHASES = ("running", "stopped", "finished", "failed")


def overview(run: Run, name: str, local: bool = True, language: Language = "en") -> dict[str, Any]:
    """Everything about a run but its curves and pictures; `local` if it is written here."""
    status, description = run.status, run.description
    begun = _changed(run.folder / RUN)
    lines = [line for line in run.metrics if line["kind"] == "training"]
    last = lines[-1] if lines else {}
    state, silent = _state(status, begun, QUIET if local else QUIET_ELSEWHERE)
    return {
        "name": name,
        "state": state,
        "note": _note(state, status, silent, local, language),
        "step": number(status.get("step")) or 0,
        "total": number(status.get("total")) or 0,
        "eta": number(status.get("eta_seconds")) if state == "running" else None,
        "seconds": number(last.get("seconds")),
        "speed": number(last.get("images_per_second")),
        "epoch": number(last.get("epoch")),
        "device": _text(status.get("device") or description.get("device")),
        "machine": _text(description.get("machine")),
        "images": {side: n for side, n in numbers(description.get("images")).items()},
        "labels": labels(run),
        "rows": rows(run),
        "probes": _probes(run),
        "samples": run.samples,
        "best": best(run),
        "alarms": [
            reword(_text(alarm["message"]), language)
            for alarm in _list(status.get("alarms"))
            if isinstance(alarm, dict) and alarm.get("message")
        ],
        # A resumed run makes samples of the same steps again: another age, another address.
        "made": format(begun, "x"),
    }


def rows(run: Run) -> list[list[str]]:
    """The names of what belongs side by side: photo, translation, and back."""
    return [
        [name for name in row if isinstance(name, str) and name.isidentifier()]
        for row in _list(run.description.get("rows"))
        if isinstance(row, list) and row
    ]


def labels(run: Run) -> dict[str, str]:
    """What the domains are called."""
    given = run.description.get("labels")
    if not isinstance(given, dict):
        config = run.description.get("config")
        data = config.get("data") if isinstance(config, dict) else None
        data = data if isinstance(data, dict) else {}
        given = {side: data.get(f"label_{side}") for side in "ab"}
    return {side: _text(given.get(side)) or side.upper() for side in "ab"}


def row_labels(names: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """Call the pictures of a row what they show: apple, orange, apple again."""
    words = []
    for name in names:
        kind, _, side = name.partition("_")
        label = labels.get(side, side or kind)
        words.append(f"{label} again" if kind == "recovered" else label)
    return words


def best(run: Run) -> dict[str, Any] | None:
    """Metric, value and step of the best checkpoint."""
    step, value = number(run.best.get("step")), number(run.best.get("value"))
    if step is None:
        return None
    return {"step": int(step), "metric": _text(run.best.get("metric")), "value": value}


def events(run: Run, language: Language = "en") -> list[dict[str, Any]]:
    """Alarms as they came and went, and rollbacks, oldest first."""
    found = []
    for line in run.metrics:
        if line["kind"] == "alarm":
            kind, text = "alarm", reword(_text(line.get("message")), language)
            if line.get("active") is False:
                # What was wrong, without what to do about it.
                what = re.split("[:.] |[：。]", text)[0].rstrip(".")
                kind, text = "over", say(language, "training.no_longer", text=what)
            found.append({"step": line["step"], "kind": kind, "text": text})
        elif line["kind"] == "rollback":
            rate = number(line.get("rate"))
            key = "training.went_back" if rate is None else "training.went_back_rate"
            reason = reword(_text(line.get("reason")), language)
            step = f"{line['step']:,}"
            text = say(language, key, reason=reason, step=step, rate=f"{rate or 0:g}")
            found.append({"step": line["step"], "kind": "rollback", "text": text.strip()})
    return found[-EVENTS:]


def probe_errors(run: Run) -> dict[str, Any]:
    """How far the way back misses on each probe, by step and domain: {"500": {"a": [0.1, …]}}."""
    shown = set(run.samples)
    return {
        str(line["step"]): {
            side: [_rounded(value) for value in _list(values)]
            for side, values in line["cycle_error"].items()
        }
        for line in run.metrics
        if line["kind"] == "probes"
        and line["step"] in shown
        and isinstance(line.get("cycle_error"), dict)
    }


def number(value: Any) -> float | None:
    """A finite number as it is, anything else as None: JSON for browsers knows no NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def numbers(value: Any) -> dict[str, float]:
    """The finite numbers of an object."""
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(key): n for key, v in pairs if (n := number(v)) is not None}


def duration(seconds: float, language: Language = "en") -> str:
    """Say a time span in its two largest units: "3 h 26 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return say(language, "training.seconds", n=seconds)
    minutes = round(seconds / 60)
    if minutes < 60:
        return say(language, "training.minutes", n=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return say(language, "training.hours", hours=hours, minutes=minutes)
    return say(language, "training.days", days=hours // 24, hours=hours % 24)


def _state(status: Mapping[str, Any], begun: int, limit: float) -> tuple[str, float]:
    """The state of a run, and for how many seconds it has been silent."""
    phase = status.get("phase")
    if phase not in PHASES:
        phase = "starting"
    updated = number(status.get("updated")) or begun / 1e9
    silent = time.time() - updated if updated else 0.0
    if phase in ("running", "starting") and silent > limit:
        phase = "quiet"
    return phase, silent


def _note(
    state: str, status: Mapping[str, Any], silent: float, local: bool, language: Language
) -> str:
    if state == "failed":
        error = reword(_text(status.get("error")), language)
        return error or say(language, "training.note_failed")
    if state == "quiet":
        key = "training.note_unwritten" if local else "training.note_unpushed"
        return say(language, key, time=duration(silent, language))
    if state == "stopped":
        return say(language, "training.note_stopped")
    return ""


def _probes(run: Run) -> int:
    """How many probes there are: what the run says, or what its newest sample holds."""
    given = number(run.description.get("probes"))
    if given is not None:
        return max(0, int(given))
    for line in reversed(run.metrics):
        if line["kind"] == "probes" and isinstance(line.get("cycle_error"), dict):
            return max((len(_list(v)) for v in line["cycle_error"].values()), default=0)
    made = [name for row in rows(run) for name in row if not name.startswith("real")]
    count = 0
    while made and run.samples and run.tile(run.samples[-1], made[0], count).exists():
        count += 1
    return count


def _changed(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 if it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _rounded(value: Any) -> float | None:
    known = number(value)
    return None if known is None else float(f"{known:.4g}")
