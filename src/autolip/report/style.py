"""How figures look: colours by kind of bound, and their files."""

import functools
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

INK, FAINT, PAPER = "#222222", "#d9d9d9", "#8a8a8a"
COLOURS = {"upper": "#1f5fa8", "estimate": "#d9731a", "lower": "#2e8b57"}
MEANING = {
    "upper": "upper bound",
    "estimate": "estimate, not a bound",
    "lower": "lower bound, attained",
}

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#ececec",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "autolip",
    "svg.fonttype": "none",
    "savefig.dpi": 130,
}


def figure_of(width: float, height: float) -> "Figure":
    """An empty Figure of so many inches that a notebook shows: one that is made without pyplot is
    no picture to it, only a name."""
    return _shown()(figsize=(width, height), layout="constrained")


@functools.cache
def _shown() -> type["Figure"]:
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Shown


def rendered(draw: "Callable[[], Figure]", *kinds: str) -> dict[str, bytes]:
    """A figure as files of these kinds, PNG and SVG by default; the caller's settings of matplotlib
    are left alone."""
    import matplotlib

    found = {}
    with matplotlib.rc_context(STYLE):
        figure = draw()
        for suffix in kinds or ("png", "svg"):
            file = io.BytesIO()
            undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
            figure.savefig(file, format=suffix, metadata=undated)
            found[suffix] = file.getvalue()
    return found
