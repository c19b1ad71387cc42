"""Every method on one network: value against seconds, as a figure."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from autolip.report.content import headline
from autolip.report.digits import digits_of
from autolip.report.style import COLOURS, MEANING, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from autolip.findings import Findings, Row


def comparison(result: "Findings") -> dict[str, bytes]:
    """The figure of a result as PNG and SVG."""
    return rendered(lambda: drawn(result))


def drawn(result: "Findings") -> "Figure":
    """Upper bounds and estimates by seconds and value, both on logarithmic scales; lower bounds as
    lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel(f"bound on the {' -> '.join(result.norm_names)} constant")
    _points(axes, [row for row in _drawable(result) if row.kind != "lower"])
    for row in _drawable(result):
        if row.kind == "lower":
            axes.axhline(
                row.value or 0.0,
                color=COLOURS["lower"],
                linewidth=1,
                linestyle="--",
                label=MEANING["lower"],
            )
    figure.suptitle(
        f"{result.model}: {headline(result)}", x=0.01, ha="left", fontsize=9, fontweight="bold"
    )
    seen = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if seen:
        axes.legend(seen.values(), seen.keys(), loc="best", fontsize=8, markerscale=0.6)
    return figure


def _drawable(result: "Findings") -> Iterator["Row"]:
    """The rows with a finite value above zero."""
    return (row for row in result.bounds if row.value is not None and 0 < row.value < math.inf)


def _points(axes: "Axes", rows: list["Row"]) -> None:
    """A numbered dot for each row, smallest value first, and the list of what the numbers stand
    for."""
    for place, row in enumerate(sorted(rows, key=lambda row: row.value or 0.0)):
        at = max(row.seconds, 1e-3), row.value or 0.0
        axes.plot(
            *([x] for x in at),
            "o",
            color=COLOURS[row.kind],
            label=MEANING[row.kind],
            markersize=12,
            alpha=0.85,
        )
        axes.annotate(str(place + 1), at, ha="center", va="center", fontsize=7, color="white")
        line = f"{place + 1:2d}  {row.method}  {digits_of(row.answer)}"
        axes.text(
            1.03,
            0.97 - 0.055 * place,
            line,
            transform=axes.transAxes,
            fontsize=8,
            color=COLOURS[row.kind],
        )
    axes.margins(x=0.1, y=0.15)
