"""What `sweep` found as one page of HTML."""

import math
from typing import TYPE_CHECKING

from autolip.errors import printable
from autolip.report.bars import ROOM
from autolip.report.chart import Bar, Chart, along, ticks
from autolip.report.digits import digits_down, digits_up
from autolip.report.template import filled

if TYPE_CHECKING:
    from autolip.sweeping.answers import Answer, Sweep

THINNEST = 0.8
"""Chosen: hundredths of the axis that a bar has at least: a bracket that is closed is seen."""

DRAWN = 60
"""Chosen: brackets that are drawn, the first ones; the table has all."""


def page(found: "Sweep") -> str:
    """The page: the brackets on one axis, all questions, how to repeat it."""
    content = {
        "model": printable(found.model),
        "headline": found.headline,
        "chart": chart(found),
        "sheet": found.sheet,
        "reasons": found.reasons,
        "provenance": found.provenance,
    }
    return filled("sweep.html.jinja", content)


def chart(found: "Sweep") -> Chart:
    """A bar for every bracket, from its lower to its upper end on a logarithmic axis."""
    rows = [row for row in found.rows if row.upper is not None and 0 < row.upper < math.inf]
    rows = rows[:DRAWN]
    known = [row.upper or 1.0 for row in rows] + [row.lower for row in rows if row.lower]
    low, high = min(known, default=1.0) / ROOM, max(known, default=1.0) * ROOM
    bars = tuple(_bar(row, low, high) for row in rows)
    norms = ", ".join(dict.fromkeys(row.norm for row in rows))
    return Chart(f"bounds on the {norms} constant, logarithmic", bars, ticks(low, high))


def _bar(row: "Answer", low: float, high: float) -> Bar:
    upper = row.upper or 0.0
    text = digits_up(upper) if not row.lower else f"{digits_down(row.lower)} to {digits_up(upper)}"
    start = along(row.lower, low, high) if row.lower else 0.0
    end = max(along(upper, low, high), start + THINNEST)
    about = printable(f"{row.name}, {row.region}, output {row.output}")
    return Bar(about, text, "upper", start, end, f"{about}: {text}")
