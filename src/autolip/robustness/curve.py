"""Certified accuracy against the radius, as a figure."""

from typing import TYPE_CHECKING, Any

import numpy as np

from autolip.errors import InputError, printable
from autolip.report.style import COLOURS, PAPER, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autolip.robustness.certified import Certified

Floats = np.ndarray[Any, Any]

BEYOND = 1.05
"""Chosen: how far the axis goes beyond the largest radius."""


def curve(found: "Certified") -> "Figure":
    """The share of samples certified at least at a radius, and the share without a known attack
    within it."""
    try:
        figure = figure_of(6, 3.6)
    except ImportError as error:
        raise InputError("plot needs matplotlib: pip install 'autolip[report]'") from error
    radii = steps(found)
    axes = figure.subplots()
    below = [100 * found.certified_accuracy(radius) for radius in radii]
    above = [100 * found.attack_ceiling(radius) for radius in radii]
    axes.step(radii, above, where="post", color=PAPER, label="not attacked")
    axes.step(radii, below, where="pre", color=COLOURS["upper"], label="certified")
    axes.set_xlabel(found.measure)
    axes.set_ylabel("% of the samples")
    axes.set_xlim(0, radii[-1])
    axes.set_ylim(0, 101)
    axes.set_title(printable(found.model))
    axes.legend()
    return figure


def steps(found: "Certified") -> Floats:
    """The radii at which either share changes, from 0 to beyond the largest."""
    attacked = found.attacked[np.isfinite(found.attacked)]
    known = np.concatenate([found.radius, attacked, [found.request["radius"] or 0.0]])
    end = BEYOND * float(known.max(initial=0.0)) or 1.0
    return np.unique(np.concatenate([[0.0], found.radius, attacked, [end]]))
