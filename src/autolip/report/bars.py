"""The bounds of a result as bars on a logarithmic axis."""

import math
from typing import TYPE_CHECKING

from autolip.report.content import headline
from autolip.report.digits import digits_near, digits_of
from autolip.report.style import COLOURS, MEANING, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autolip.findings import Findings, Row

MULTIPLES = (1, 2, 5)
"""Chosen: the multiples of a power of ten that an axis may name."""

MOST_LABELS = 6
"""Chosen: labels on an axis, so many that they do not touch on a telephone."""

ROOM = 1.3
"""Chosen: by what factor the axis goes on beyond the largest bar, and begins before the least."""


def drawable(result: "Findings") -> list["Row"]:
    """The rows with a finite value above zero, smallest first."""
    rows = [row for row in result.bounds if row.value is not None and 0 < row.value < math.inf]
    return sorted(rows, key=lambda row: row.value or 0.0)


def ends(rows: list["Row"]) -> tuple[float, float]:
    """Where the logarithmic axis of some bars begins and ends."""
    values = [row.value for row in rows if row.value is not None] or [1.0]
    return min(values) / ROOM, max(values) * ROOM


def round_numbers(low: float, high: float) -> list[float]:
    """What an axis may name between its ends: powers of ten, with their multiples where there are
    few, and not all where there are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    step = 1 + len(decades) // MOST_LABELS
    multiples = MULTIPLES if len(decades) <= len(MULTIPLES) else MULTIPLES[:1]
    numbers = [m * 10.0**e for e in decades if e % step == 0 for m in multiples]
    return [number for number in numbers if low < number < high]


def bars(result: "Findings") -> "Figure":
    """A matplotlib Figure: a bar a method, the smallest on top; what is attained as a line across.

    Raises ImportError where matplotlib (extra: report) is not installed.
    """
    rows = drawable(result)
    low, high = ends(rows)
    figure = figure_of(7.5, 1.3 + 0.34 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    labelled = round_numbers(low, high)
    axes.set_xticks(labelled, [digits_near(number) for number in labelled])
    axes.set_xticks([], minor=True)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"bound on the {' -> '.join(result.norm_names)} constant")
    for place, row in enumerate(rows):
        value = row.value or 0.0
        colour = COLOURS[row.kind]
        axes.barh(place, value - low, left=low, height=0.7, color=colour, label=MEANING[row.kind])
        axes.annotate(
            digits_of(row.answer),
            (value, place),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            color="white" if value > low * ROOM**2 else "black",
        )
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.invert_yaxis()
    if result.lower is not None and result.lower.value:
        axes.axvline(result.lower.value, color=COLOURS["lower"], linewidth=1, linestyle="--")
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    figure.suptitle(f"{result.model}: {headline(result)}", x=0.01, ha="left", fontsize=8)
    seen = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if seen:
        figure.legend(seen.values(), seen.keys(), loc="outside lower left", ncols=3, fontsize=8)
    return figure
