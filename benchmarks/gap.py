"""Both bounds of exact against time, on networks too large to finish, beside LipSDP alone:
docs/figures/gap.svg.

    python -m benchmarks.gap [SECONDS]

Random: 8-50-50-1 with relu as PyTorch initialises it.  Wine: 13-50-50-3, trained on scikit-learn's
wines by Adam.  Both in l2 everywhere, and on an l2 ball of radius 1 around a point.  Seconds are
those of one core, 10 for every search unless others are given.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.files import write
from autolip.methods import Problem
from autolip.methods.exact.certificate import written
from autolip.methods.exact.tree import Tree
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere, Region
from autolip.report.style import INK, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS, FIGURE = ROOT / "benchmarks" / "results", ROOT / "docs" / "figures" / "gap.svg"


class Row(TypedDict):
    """One search: seconds, upper and lower bound after each step; LipSDP's bound and seconds."""

    name: str
    steps: list[tuple[float, float, float]]
    cases: int
    open: int
    lipsdp: tuple[float, float]


def chain(widths: list[int], seed: int) -> nn.Sequential:
    """Linear layers with relu between them, initialised by PyTorch."""
    torch.manual_seed(seed)
    layers = [part for m, n in itertools.pairwise(widths) for part in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).double().eval()


def random() -> tuple[nn.Sequential, Tensor]:
    return chain([8, 50, 50, 1], seed=0), torch.zeros(1, 8).double()


def wine() -> tuple[nn.Sequential, Tensor]:
    """300 steps of Adam on all 178 wines; around the first of them."""
    from sklearn.datasets import load_wine

    data = load_wine()
    x = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0))
    labels = torch.tensor(data.target)
    model = chain([13, 50, 50, 3], seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return model, x[:1]


NETWORKS: dict[str, Callable[[], tuple[nn.Sequential, Tensor]]] = {
    "8-50-50-1, random": random,
    "13-50-50-3, wine": wine,
}


def searched(name: str, model: nn.Sequential, x: Tensor, region: Region, seconds: float) -> Row:
    """The bounds of a search as it goes on, and LipSDP's."""
    graph = capture_model(model, (x,)).graph
    problem = Problem.pose(graph, region, Norm.L2, Norm.L2, NormOptions())
    network = written(problem)
    assert not isinstance(network, Refusal)
    started = time.process_time()
    tree = Tree(network, Norm.L2, Norm.L2, 1e-6, Budget.of(None))
    tree.start()
    steps = [(time.process_time() - started, tree.upper, tree.lower)]
    while not tree.finished and steps[-1][0] < seconds:
        tree.step()
        steps.append((time.process_time() - started, tree.upper, tree.lower))
    began = time.process_time()
    upper = lipschitz(model, x, region=region, method="lipsdp", lower=None).upper
    assert upper is not None and upper.value is not None
    return Row(
        name=name,
        steps=steps,
        cases=tree.nodes,
        open=len(tree.open),
        lipsdp=(time.process_time() - began, upper.value),
    )


def measured(seconds: float) -> list[Row]:
    """Every network, everywhere and on a ball."""
    rows = list[Row]()
    for name, make in NETWORKS.items():
        model, x = make()
        for where, region in (("everywhere", Everywhere()), ("ball of radius 1", Ball(x, 1.0))):
            rows.append(searched(f"{name}, {where}", model, x, region, seconds))
            print(table(rows[-1:]), flush=True)
    return rows


def draw(rows: list[Row]) -> "Figure":
    """Both bounds over the larger of the attained ones, against seconds, one panel a search."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(rows))
    for axes, row in zip(panels, rows, strict=True):
        times, upper, lower = zip(*row["steps"], strict=True)
        seconds, bound = row["lipsdp"]
        unit = lower[-1]
        axes.step(times, [x / unit for x in upper], where="post", label="exact, proved")
        axes.step(times, [x / unit for x in lower], where="post", label="exact, estimated below")
        axes.plot([seconds], [bound / unit], marker="o", color=INK, linestyle="", label="LipSDP")
        axes.axhline(bound / unit, color=INK, linewidth=0.6, linestyle=":")
        axes.axhline(1.0, color=INK, linewidth=0.8)
        network, _, where = row["name"].rpartition(", ")
        axes.set_title(f"{network}\n{where}", fontsize=9)
        axes.set(xlabel="seconds of one core", xscale="log")
    panels[0].set_ylabel("bound / steepest region met")
    panels[0].legend(fontsize=8)
    return figure


def table(rows: list[Row]) -> str:
    """Gaps after 1, 3 and all seconds, and that of LipSDP."""
    lines = [
        "| network | gap after 1 s | 3 s | at the end | LipSDP's | its seconds | cases | open |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        lowest = row["steps"][-1][2]
        gaps = [f"{_gap(row, second, lowest):.1f}%" for second in (1.0, 3.0, float("inf"))]
        seconds, bound = row["lipsdp"]
        alone = f"{100 * (bound / lowest - 1):.1f}% | {seconds:.1f}"
        lines.append(
            f"| {row['name']} | {' | '.join(gaps)} | {alone} | {row['cases']} | {row['open']} |"
        )
    return "\n".join(lines) + "\n"


def _gap(row: Row, seconds: float, lowest: float) -> float:
    """In percent, after so long, above the steepest region met in the end."""
    uppers = [upper for at, upper, _ in row["steps"] if at <= seconds] or [float("inf")]
    return 100 * (uppers[-1] / lowest - 1)


def main() -> None:
    """Measure, draw, and write benchmarks/results/gap.{md,json}."""
    torch.set_num_threads(1)
    rows = measured(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    RESULTS.mkdir(exist_ok=True)
    write(RESULTS / "gap.json", json.dumps(rows) + "\n")
    text = (
        "# The gap of exact against time\n\nMeasured by `python -m benchmarks.gap`: seconds of one "
        "core, gaps above the steepest linear region met.\n\n"
    )
    write(RESULTS / "gap.md", text + table(rows))
    FIGURE.parent.mkdir(exist_ok=True)
    write(FIGURE, rendered(lambda: draw(rows))["svg"])


if __name__ == "__main__":
    main()
