"""What is known of each run, read again only when its files have changed."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from cyclegan.errors import UserError
from cyclegan.run_source import RunSource
from cyclegan.runs import CHECKPOINTS, METRICS, RUN, SAMPLES, STATUS, Run
from cyclegan.ui.curves import curves
from cyclegan.ui.run_view import overview
from cyclegan.ui.words import Language

WATCHED = (RUN, STATUS, METRICS, SAMPLES, CHECKPOINTS)
CURVES = 8
"""Runs whose curves are kept; those of a long run are a hundred kilobytes."""
CARD = "name state step total eta speed device alarms made".split()

Stamp = tuple[tuple[int, int], ...]


class RunStore:
    """Remembers runs, without their metrics, which may be many megabytes.

    Used from several threads without a lock: entries are replaced whole, and at worst a run is
    read twice.
    """

    def __init__(self, source: RunSource):
        self._source = source
        self._runs: dict[str, tuple[Stamp, Run]] = {}
        self._curves: OrderedDict[tuple[str, Language], tuple[Stamp, dict[str, Any]]] = (
            OrderedDict()
        )

    def overview(self, name: str, language: Language = "en") -> dict[str, Any]:
        """What run_view.overview says. Raises UserError for an unknown name."""
        # Not kept as it is: whether there is news for five minutes depends on the clock.
        return overview(self._current(name)[1], name, self._source.local, language)

    def card(self, name: str, language: Language = "en") -> dict[str, Any] | None:
        """What a list of runs shows of one, or None for a run that is gone by now."""
        try:
            run = self._current(name)[1]
        except UserError:
            return None
        seen = overview(run, name, self._source.local, language)
        made = next((t for row in seen["rows"] for t in row if not t.startswith("real")), None)
        picture = None
        if made and run.samples:
            step = run.samples[-1]
            # From the Hub it may still have to come.
            if not self._source.local or run.tile(step, made, 0).exists():
                picture = step, made
        return {"picture": picture, **{key: seen[key] for key in CARD}}

    def curves(self, name: str, language: Language = "en") -> dict[str, Any]:
        """What curves.curves says. Raises UserError for an unknown name."""
        stamp, _ = self._current(name)
        known = self._curves.get((name, language))
        if known is None or not stamp or known[0] != stamp:
            known = stamp, curves(self._source.read(name), language)
            self._curves[name, language] = known
            while len(self._curves) > CURVES:
                self._curves.popitem(last=False)
        return known[1]

    def _current(self, name: str) -> tuple[Stamp, Run]:
        known = self._runs.get(name)
        # Before reading: what is written meanwhile then counts as news. The folder of a run is
        # learned by reading it, so the first reading is not trusted for long.
        stamp = _stamp(known[1].folder) if known and self._source.local else ()
        if known and stamp and known[0] == stamp:
            return known
        run = self._source.read(name)
        current = stamp, replace(run, metrics=_newest(run.metrics))
        self._runs[name] = current
        return current


def _newest(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last line of each kind."""
    return list({str(line["kind"]): line for line in metrics}.values())


def _stamp(folder: Path) -> Stamp:
    """When the parts of a run last changed; empty if it is gone."""
    found = []
    for part in WATCHED:
        try:
            stat = (folder / part).stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((stat.st_mtime_ns, stat.st_size))
    return tuple(found) if found[0] != (0, 0) else ()
