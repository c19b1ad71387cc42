"""The figures: bounds against depth, the ideal scenario, one network's bounds."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from autolip.report.style import COLOURS, FAINT, INK, MEANING, PAPER, rendered
from autolip.reproduce.ideal import FINITE, LIMIT, column
from autolip.reproduce.outcome import PART, WHOLE, Outcome, written
from autolip.reproduce.regularise import CURVE, PRODUCT, TIGHT, Regularised

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRONG = ("AutoLip", "SeqLip", "Greedy SeqLip", "Frobenius", "Theorem 3")
RATIO_COLOURS = ("#9cc3e6", "#5b95cf", "#1f5fa8", "#0a2748")


def pictures(outcome: Outcome) -> dict[str, bytes]:
    """The experiment's figure as PNG and SVG."""
    return rendered(lambda: drawn(outcome))


def drawn(outcome: Outcome) -> "Figure":
    """The experiment's figure."""
    if outcome.experiment == "ideal":
        return ideal_figure(outcome)
    if isinstance(outcome, Regularised):
        return certified_figure(outcome)
    return depth_figure(outcome) if len(outcome.networks) > 1 else single_figure(outcome)


def depth_figure(outcome: Outcome) -> "Figure":
    """Left, every column against the number of layers; right, AutoLip over greedy SeqLip, ours and
    the paper's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
    _bounds_by_depth(left, outcome)
    _ratios_by_depth(right, outcome)
    figure.suptitle(outcome.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _depths(outcome: Outcome) -> list[int]:
    return [network.depth for network in outcome.networks]


def _bounds_by_depth(axes: "Axes", outcome: Outcome) -> None:
    depths = _depths(outcome)
    ends = []
    for name in outcome.columns:
        rows = [outcome.cells[name, network.label] for network in outcome.networks]
        shown = [(d, row.value) for d, row in zip(depths, rows, strict=True) if _finite(row.value)]
        if not shown:
            continue
        kind = next(row.kind for row in rows if row.value)
        strong = name in STRONG
        mark, line = (
            ("o", "-") if kind == "upper" else ("s", "--") if kind == "estimate" else ("^", "-")
        )
        x, y = zip(*shown, strict=True)
        axes.plot(
            x,
            y,
            line,
            marker=mark,
            ms=4,
            color=COLOURS[kind],
            lw=1.6 if strong else 0.8,
            alpha=1 if strong else 0.7,
        )
        ends.append((x[-1], y[-1], name, COLOURS[kind]))
    axes.set_yscale("log")
    _label_ends(axes, ends)
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.set_xlabel("layers")
    axes.set_title("bounds on the Lipschitz constant")
    _legend_of_kinds(axes)


def _label_ends(axes: "Axes", ends: Iterable[tuple[float, float, str, str]]) -> None:
    """Names at the right ends of the lines, pushed apart where they would overlap."""
    figure: Any = axes.figure
    figure.draw_without_rendering()
    to_pixels = axes.transData
    height = 12 * figure.dpi / 72
    placed = -1e9
    for x, value, name, colour in sorted(ends, key=lambda end: end[1]):
        y = to_pixels.transform((x, value))[1]
        placed = max(y, placed + height)
        points = (placed - y) * 72 / figure.dpi
        axes.annotate(
            name,
            (x, value),
            (10, points),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.6, "shrinkA": 0, "shrinkB": 3},
        )


def _finite(value: float | None) -> bool:
    """Whether a logarithmic axis can show it."""
    return value is not None and value > 0 and math.isfinite(value)


def _legend_of_kinds(axes: "Axes") -> None:
    from matplotlib.lines import Line2D

    marks = {"upper": ("o", "-"), "estimate": ("s", "--"), "lower": ("^", "-")}
    handles = [
        Line2D([], [], color=COLOURS[kind], marker=mark, ls=line, ms=4, label=MEANING[kind])
        for kind, (mark, line) in marks.items()
    ]
    axes.legend(handles=handles, loc="upper left", fontsize=8)


def _ratios_by_depth(axes: "Axes", outcome: Outcome) -> None:
    depths = _depths(outcome)
    labels = [network.label for network in outcome.networks]
    for colour, whose, values in (
        (COLOURS["upper"], "ours", [outcome.ratio(label) for label in labels]),
        (PAPER, "published", [outcome.published_ratio(label) for label in labels]),
    ):
        shown = [
            (depth, value) for depth, value in zip(depths, values, strict=True) if _finite(value)
        ]
        if shown:
            x, y = zip(*shown, strict=True)
            axes.plot(
                x,
                y,
                "o-",
                color=colour,
                ms=5,
                mfc=colour if whose == "ours" else "white",
                label=whose,
            )
    axes.axhline(1, color=INK, lw=0.8)
    axes.set_ylim(bottom=0)
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.set_xlabel("layers")
    axes.set_title(f"{WHOLE} / {PART}")
    axes.legend(loc="upper left", fontsize=8)


def ideal_figure(outcome: Outcome) -> "Figure":
    """SeqLip in units of AutoLip against depth, one curve a ratio, with the limits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 5), layout="constrained")
    axes = figure.subplots()
    depths = _depths(outcome)
    ends = []
    ratios = [
        name.removeprefix("SeqLip, r = ")
        for name in outcome.columns
        if name.startswith("SeqLip, r = ")
    ]
    for colour, ratio in zip(RATIO_COLOURS, ratios, strict=False):
        proved = column("SeqLip", float(ratio))
        greedy = column(PART, float(ratio))
        y = _values(outcome, proved)
        axes.errorbar(
            depths, y, _errors(outcome, proved), color=colour, marker="o", ms=4, lw=1.5, capsize=2
        )
        if greedy in outcome.columns:
            axes.plot(
                depths, _values(outcome, greedy), "x", color=COLOURS["estimate"], ms=5, mew=1.2
            )
        ends.append((depths[-1], y[-1], f"r = {ratio}", colour))
    axes.plot(
        depths,
        _values(outcome, FINITE),
        ":",
        color=INK,
        lw=1.4,
        label="expected as r → 0 at this width",
    )
    axes.plot(
        depths,
        _values(outcome, LIMIT),
        "--",
        color=INK,
        lw=1.4,
        label="limit at infinite width, π^−(k−1)",
    )
    axes.plot(
        [],
        [],
        "o-",
        color=RATIO_COLOURS[-2],
        ms=4,
        label="SeqLip, upper bound (bars: two standard errors)",
    )
    axes.plot([], [], "x", color=COLOURS["estimate"], ms=5, label="greedy SeqLip, estimate")
    axes.set_yscale("log")
    axes.set_xticks(depths)
    axes.set_xlabel("layers k")
    axes.set_ylabel("SeqLip / AutoLip")
    axes.legend(loc="lower left", fontsize=8)
    _label_ends(axes, ends)
    figure.suptitle(outcome.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def _errors(outcome: Outcome, name: str) -> list[float]:
    """Two standard errors either way."""
    return [2 * outcome.spread.get((name, network.label), 0.0) for network in outcome.networks]


def _values(outcome: Outcome, name: str) -> list[float]:
    return [outcome.cells[name, network.label].value or 0.0 for network in outcome.networks]


def single_figure(outcome: Outcome) -> "Figure":
    """Every column of one network on a logarithmic axis, with the published values."""
    from matplotlib.figure import Figure

    network = outcome.networks[0]
    names = [
        name
        for name in reversed(outcome.columns)
        if _finite(outcome.cells[name, network.label].value)
    ]
    figure = Figure(figsize=(7.2, 1.6 + 0.38 * len(names)), layout="constrained")
    axes = figure.subplots()
    for y, name in enumerate(names):
        row = outcome.cells[name, network.label]
        axes.plot([row.value or 0.0], [y], "o", ms=7, color=COLOURS[row.kind])
        axes.annotate(
            written(row),
            (row.value or 0.0, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )
        known = outcome.published.get(name, {}).get(network.label)
        if known is not None:
            axes.plot([known], [y], "D", ms=6, mfc="white", mec=PAPER)
    axes.plot([], [], "D", ms=6, mfc="white", mec=PAPER, label="published")
    for kind in dict.fromkeys(outcome.cells[name, network.label].kind for name in reversed(names)):
        axes.plot([], [], "o", color=COLOURS[kind], label=MEANING[kind])
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.3)
    axes.grid(axis="x", color="#ececec")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.suptitle(outcome.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def certified_figure(outcome: Regularised) -> "Figure":
    """Certified accuracy against radius, one curve a trained network: darker for larger weights of
    a penalty."""
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 5), layout="constrained")
    axes = figure.subplots()
    colours = {PRODUCT: COLOURS["estimate"], TIGHT: COLOURS["upper"]}
    for name, colour in (("none", INK), *colours.items()):
        labels = [
            network.label for network in outcome.networks if network.label.split(",")[0] == name
        ]
        for number, label in enumerate(labels):
            shade = to_rgba(colour, 0.3 + 0.7 * (number + 1) / len(labels))
            axes.plot(CURVE, outcome.curves[label], color=shade, lw=1.5, label=label)
    axes.set_ylim(0, 1)
    axes.set_xlim(0, CURVE[-1])
    axes.set_xlabel("l2 radius")
    axes.set_ylabel("certified accuracy")
    axes.legend(loc="upper right", fontsize=8)
    figure.suptitle(outcome.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure
