"""Certified accuracy against the radius: the figure, and a page with it."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autolip.errors import InputError, printable
from autolip.report.style import COLOURS, PAPER, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autolip.robustness.certified import Certified

BEYOND = 1.05
"""Chosen: how far the axis goes beyond the largest radius."""


def curve(found: "Certified") -> "Figure":
    """The share of samples certified at least at a radius, and the share without a known attack
    within it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("plot needs matplotlib: pip install 'autolip[report]'") from error
    attacked = found.attacked[np.isfinite(found.attacked)]
    known = np.concatenate([found.radius, attacked, [found.request["radius"] or 0.0]])
    end = BEYOND * float(known.max(initial=0.0)) or 1.0
    radii = np.unique(np.concatenate([[0.0], found.radius, attacked, [end]]))
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    below = [100 * found.certified_accuracy(radius) for radius in radii]
    above = [100 * found.attack_ceiling(radius) for radius in radii]
    axes.step(radii, above, where="pre", color=PAPER, label="not attacked")
    axes.step(radii, below, where="pre", color=COLOURS["upper"], label="certified")
    axes.set_xlabel(f"{found.request['norm']} radius")
    axes.set_ylabel("% of the samples")
    axes.set_xlim(0, end)
    axes.set_ylim(0, 101)
    axes.set_title(printable(found.model))
    axes.legend()
    return figure


def page(found: "Certified", plain: Sequence[Mapping[str, object]]) -> str:
    """A page of its own: the line, the figure where matplotlib is there, the rows."""
    title = html.escape(printable(found.model))
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>"
        for row in plain
    )
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in plain[0])
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in found.notes)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><p>{title}: <strong>{html.escape(found.headline)}</strong></p>"
        f"{_figure(found)}<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
        f"<ul>{notes}</ul></body>\n</html>\n"
    )


def _figure(found: "Certified") -> str:
    try:
        drawn = rendered(lambda: curve(found))["png"]
    except ImportError:
        return ""
    return f'<p><img alt="certified accuracy" src="data:image/png;base64,{_encoded(drawn)}"></p>'


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _cell(value: object) -> str:
    return "" if value is None else html.escape(printable(str(value)))
