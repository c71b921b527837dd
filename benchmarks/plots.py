"""Curves of how cost grows: drawn as SVG, put into tables, and described in a sentence or two."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

# The page's own colours, on its own paper, which can be read wherever the picture is put.
PAPER, INK, FAINT, GRID = "#faf8f4", "#2e2b26", "#7d766a", "#e6e1d6"
COLOURS = ("#2a6a55", "#c8642b", "#4a6fa5")
MARKERS = ("o", "s", "D")
STYLE = {
    # The same numbers make the same file: ids are drawn from this, and no date is written.
    "svg.hashsalt": "cyclegan",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
CLOSE = 1.15
"""How many times the cheapest a unit of work may cost while a curve counts as straight."""


NOTHING = ("Date", "Creator", "Format", "Type")
"""What would be noted in the file, and change with the day or with matplotlib."""


@dataclass(frozen=True)
class Curve:
    """What was measured at one value after the other.

    Attributes:
        name: of what was measured.
        turns: for every turn the measured values, one for each of the panel's.
    """

    name: str
    turns: Sequence[Sequence[float]]

    @property
    def ratios(self) -> list[tuple[float, float, float]]:
        """Median, least and greatest of each value against the first of the same turn."""
        columns = zip(*([value / turn[0] for value in turn] for turn in self.turns), strict=True)
        return [(median(column), min(column), max(column)) for column in columns]


@dataclass(frozen=True)
class Panel:
    """Curves over the same values.

    Attributes:
        title: what is measured against what.
        axis: what the values are.
        values: where was measured.
        work: how much there was to do at each, of which the ratios are drawn dashed.
        expected, unit: what to call that, and one of it.
        curves: the measured ones.
        early, late: why a unit of work costs more at the small values, and at the large ones.
    """

    title: str
    axis: str
    values: Sequence[int]
    work: Sequence[float]
    curves: Sequence[Curve]
    expected: str = "multiply-adds"
    unit: str = "a multiply-add"
    early: str = ""
    late: str = ""

    @property
    def growth(self) -> list[float]:
        """The work against that at the first value."""
        return [work / self.work[0] for work in self.work]

    def rows(self) -> list[list[str]]:
        """Of a Markdown table: value, work and every curve."""
        columns = [
            [f"{middle:.2f}× ({low:.2f}–{high:.2f})" for middle, low, high in curve.ratios]
            for curve in self.curves
        ]
        work = [f"{growth:.2f}×" for growth in self.growth]
        return [list(row) for row in zip(map(str, self.values), work, *columns, strict=True)]

    def head(self) -> list[str]:
        """Of the same table."""
        return [self.axis, self.expected, *(curve.name for curve in self.curves)]

    def sentences(self) -> str:
        """Where each curve bends, and why."""
        return " ".join(self._bend(curve) for curve in self.curves)

    def _bend(self, curve: Curve) -> str:
        costs = [ratio[0] / growth for ratio, growth in zip(curve.ratios, self.growth, strict=True)]
        costs = [cost / min(costs) for cost in costs]
        close = [at for at, cost in enumerate(costs) if cost <= CLOSE]
        first, last = close[0], close[-1]
        said = []
        if first > 0:
            said.append((max(costs[:first]), f"below {self.values[first]}", self.early))
        if last < len(costs) - 1:
            said.append((max(costs[last + 1 :]), f"above {self.values[last]}", self.late))
        if not said:
            worst = max(costs) - 1
            return f"{curve.name}: {self.unit} costs the same everywhere, within {worst:.0%}."
        bends = [
            f"up to {cost:.1f} times as much {where}{f', because {why}' if why else ''}"
            for cost, where, why in said
        ]
        return f"{curve.name}: {self.unit} costs {'; '.join(bends)}."


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels, two or three beside each other, both axes logarithmic, as an SVG file.

    The same panels make the same file.
    """
    columns = 3 if len(panels) == 3 else 2
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        size = (5.2 + 2 * columns, 3.7 * rows + 0.3)
        figure = Figure(figsize=size, facecolor=PAPER)
        for at, panel in enumerate(panels):
            _panel(figure.add_subplot(rows, columns, at + 1), panel)
        figure.tight_layout(pad=1.6, h_pad=2.2, w_pad=2.2)
        with io.StringIO() as text:
            figure.savefig(text, format="svg", facecolor=PAPER, metadata=dict.fromkeys(NOTHING))
            # Trailing blanks are matplotlib's; editors would take them away.
            lines = [line.rstrip() for line in text.getvalue().splitlines()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _panel(axes: Axes, panel: Panel) -> None:
    axes.set_facecolor(PAPER)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.plot(
        panel.values, panel.growth, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.4,
        label=panel.expected, zorder=2,
    )  # fmt: skip
    for curve, colour, marker in zip(panel.curves, COLOURS, MARKERS, strict=False):
        middle, low, high = zip(*curve.ratios, strict=True)
        axes.fill_between(panel.values, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(
            panel.values, middle, color=colour, marker=marker, markersize=5, linewidth=2,
            label=curve.name, zorder=3, solid_capstyle="round",
        )  # fmt: skip
    axes.set_title(panel.title, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xlabel(panel.axis)
    axes.set_ylabel("time, first = 1")
    axes.xaxis.set_major_locator(FixedLocator(list(panel.values)))
    # Between 1 and 4 the powers of two would be few.
    halves = (1.0, 1.25, 1.5, 1.75) if axes.get_ylim()[1] < 4 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(base=2, subs=halves, numticks=9))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_plain))
    axes.tick_params(length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=10, loc="upper left", handlelength=2.2)


def _plain(value: float, _: int) -> str:
    return f"{value:g}" if value < 100 else f"{value:.0f}"
