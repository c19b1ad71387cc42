"""Bounds against the radius of a ball, by method and by what is known of ranges:
docs/figures/radius.svg.

    python -m benchmarks.radius

Dense: 16-64-64-64-10 with relu, on l2 balls.  Convolutional: two layers on 8 x 8 images, on l2
balls.  Transformer: an encoder layer of width 8 on four tokens, on linf balls.  All as PyTorch
initialises them, all bounds in l2.  Every method has the ranges of every engine, of interval
arithmetic alone, and, where there are several, of each engine alone.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.files import write
from autolip.ranges import ENGINES, forward
from autolip.report.style import INK, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS, FIGURE = ROOT / "benchmarks" / "results", ROOT / "docs" / "figures" / "radius.svg"
METHODS = ("autolip", "liplt", "lipsdp")
EVERY, INTERVALS = "all engines", "intervals"

Row = dict[str, object]
Network = tuple[nn.Module, Tensor, str, tuple[float, ...]]


def dense() -> Network:
    torch.manual_seed(1)
    widths = itertools.pairwise([16, 64, 64, 64, 10])
    layers = [layer for m, n in widths for layer in (nn.Linear(m, n), nn.ReLU())]
    centre = torch.randn(1, 16, generator=torch.Generator().manual_seed(123))
    return nn.Sequential(*layers[:-1]), centre, "l2", (0.01, 0.03, 0.1, 0.3, 1.0)


def convolutional() -> Network:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return model, torch.randn(1, 1, 8, 8), "l2", (0.01, 0.03, 0.1, 0.3, 1.0)


def transformer() -> Network:
    torch.manual_seed(0)
    centre = torch.randn(1, 4, 8)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return model, centre, "linf", (0.001, 0.003, 0.01, 0.03, 0.1)


NETWORKS: dict[str, Callable[[], Network]] = {
    "dense": dense,
    "convolutional": convolutional,
    "transformer layer": transformer,
}


def knowledge() -> Mapping[str, Mapping[str, object]]:
    """Which engines are asked for ranges, beside interval arithmetic."""
    alone = {name: {name: engine} for name, engine in ENGINES.items()} if len(ENGINES) > 1 else {}
    return {EVERY: dict(ENGINES.items()), **alone, INTERVALS: {}}


def measured() -> Iterator[Row]:
    """One row per network, radius and knowledge: every method's bound; with all engines also what
    is attained."""
    for name, make in NETWORKS.items():
        model, centre, norm, radii = make()
        for radius, (known, engines) in itertools.product(radii, knowledge().items()):
            lower = "ascent" if known == EVERY else None
            with patch.object(forward, "ENGINES", engines):
                found = lipschitz(
                    model.eval(),
                    centre,
                    region=Ball(centre, radius, norm=norm),
                    method=METHODS,
                    lower=lower,
                )
            bounds = {row.method: row.value for row in found.bounds if row.kind == "upper"}
            attained = None if found.lower is None else found.lower.value
            row: Row = {
                "network": name,
                "norm": norm,
                "radius": radius,
                "ranges": known,
                "attained": attained,
                "bounds": bounds,
            }
            print(row, flush=True)
            yield row


def draw(rows: list[Row]) -> "Figure":
    """Bound against radius, one panel a network; broken where not every engine is asked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 3.6), layout="constrained")
    panels = figure.subplots(1, len(NETWORKS))
    styles = dict(zip(knowledge(), ("-", "--", ":", "-."), strict=False))
    for axes, name in zip(panels, NETWORKS, strict=True):
        chosen = [row for row in rows if row["network"] == name]
        for (number, method), known in itertools.product(enumerate(METHODS), styles):
            mine = [row for row in chosen if row["ranges"] == known]
            label = method if known == EVERY else f"{method}, {known}"
            heights = [bound(row, method) for row in mine]
            radii = [row["radius"] for row in mine]
            colour = f"C{number}"
            axes.plot(radii, heights, styles[known], color=colour, label=label, markersize=3)
        attained = [row for row in chosen if row["attained"] is not None]
        reached = [row["attained"] for row in attained]
        axes.plot([row["radius"] for row in attained], reached, color=INK, label="attained")
        axes.set(title=name, xlabel=f"radius, {chosen[0]['norm']}", xscale="log", yscale="log")
        least = min(float(str(value)) for value in reached)
        most = max(bound(row, method) for row in chosen for method in METHODS)
        axes.set_ylim(0.8 * least, min(1e3 * least, 1.5 * most))
    panels[0].set_ylabel("bound on the l2 constant")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def bound(row: Row, method: str) -> float:
    bounds: dict[str, float | None] = row["bounds"]  # type: ignore[assignment]
    value = bounds.get(method)
    return float("nan") if value is None else value


def table(rows: list[Row]) -> str:
    """The same numbers, rounded to nearest."""
    lines = ["| network | radius | ranges | attained | " + " | ".join(METHODS) + " |"]
    lines.append("|---" * (4 + len(METHODS)) + "|")
    for row in rows:
        cells = " | ".join(f"{bound(row, method):.4g}" for method in METHODS)
        reached = "" if row["attained"] is None else f"{row['attained']:.4g}"
        radius = f"{row['radius']:g} ({row['norm']})"
        lines.append(f"| {row['network']} | {radius} | {row['ranges']} | {reached} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, draw, and write benchmarks/results/radius.{md,json}."""
    rows = list(measured())
    RESULTS.mkdir(exist_ok=True)
    write(RESULTS / "radius.json", json.dumps(rows, indent=1) + "\n")
    text = "# Bounds against the radius\n\nMeasured by `python -m benchmarks.radius`.\n\n"
    write(RESULTS / "radius.md", text + table(rows))
    write(FIGURE, rendered(lambda: draw(rows))["svg"])


if __name__ == "__main__":
    main()
