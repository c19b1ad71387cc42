"""LipSDP on random MLPs of growing width and depth, beside interior-point and first-order solvers,
AutoLip and SeqLip.

python -m benchmarks.lipsdp            # writes benchmarks/results/lipsdp.{md,svg}

Processor seconds.  A solver that did not end within `LIMIT` is not asked about larger networks of
that depth.
"""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.files import write
from autolip.graph.fixed import without_fixed
from autolip.methods import AutoLip, Bound, LipSDP, Problem, SeqLip
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.interior_point import SOLVERS, Solved, solved
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere

RESULTS = Path(__file__).parent / "results" / "lipsdp.md"
WIDTHS, DEPTHS, INPUTS, OUTPUTS = (8, 16, 32, 64, 128, 256, 512), (1, 3, 5), 32, 10
LIMIT = 30.0

Timed = tuple[float, float] | None
"""A value and the seconds it took; None where there is none."""


def network(width: int, depth: int, seed: int = 0) -> nn.Sequential:
    """Hidden layers of one width, Gaussian weights of variance 2 / fan-in, no biases."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise((INPUTS, *[width] * depth, OUTPUTS)):
        linear = nn.Linear(n, m, bias=False)
        nn.init.normal_(linear.weight, std=math.sqrt(2 / n))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def timed(run: Callable[[], object]) -> Timed:
    """The value found, and processor seconds."""
    started = time.process_time()
    found = run()
    seconds = time.process_time() - started
    if isinstance(found, Bound):
        return found.value.value, seconds
    return (found.optimum, seconds) if isinstance(found, Solved) else None


def measured(width: int, depth: int, solvers: list[str]) -> dict[str, Timed]:
    """All methods on one network."""
    capture = capture_model(network(width, depth), (torch.zeros(1, INPUTS),))
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    found = {
        "AutoLip": timed(lambda: AutoLip().bound(problem)),
        "SeqLip": timed(lambda: SeqLip(seconds=5.0).bound(problem)),
        "LipSDP": timed(lambda: LipSDP(seconds=LIMIT).bound(problem)),
    }
    graph, (value, _) = without_fixed(problem.lowered), found["LipSDP"] or (1.0, 0.0)
    relaxation = Relaxation.of(graph, Norm.L2, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    for solver in solvers:
        options = replace(problem.options, budget=Budget.of(LIMIT))
        found[solver] = timed(
            lambda s=solver, o=options: solved(relaxation, value, o, (s,))  # type: ignore[misc]
        )
    return found


def main() -> None:
    """Measure, and write the table."""
    rows: dict[tuple[int, int], dict[str, Timed]] = {}
    for depth in DEPTHS:
        solvers = list(SOLVERS)
        for width in WIDTHS:
            row = rows[depth, width] = measured(width, depth, solvers)
            solvers = [name for name in solvers if row[name] is not None]
            print(_line(depth, width, row), flush=True)
    names = ("LipSDP", *SOLVERS)
    points = {
        name: [(d * w, row[name]) for (d, w), row in rows.items() if row.get(name)]
        for name in names
    }
    fits = {
        name: fitted([(n, item[1]) for n, item in found if item]) for name, found in points.items()
    }
    _draw(rows, fits)
    write(RESULTS, _page([_line(*size, row) for size, row in rows.items()], fits))


def _line(depth: int, width: int, row: dict[str, Timed]) -> str:
    cells = []
    for name in ("AutoLip", "SeqLip", "LipSDP", *SOLVERS):
        item = row.get(name)
        cells += [f"{item[0]:.6g}", f"{item[1]:.2f}"] if item else ["", ""]
    return f"| {depth} | {width} | {depth * width} | " + " | ".join(cells) + " |"


def fitted(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Exponent and logarithm of the factor of a power law, by least squares of logarithms."""
    xs, ys = ([math.log(value) for value in axis] for axis in zip(*points, strict=True))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, mean_y - slope * mean_x


def _draw(
    rows: dict[tuple[int, int], dict[str, Timed]], fits: dict[str, tuple[float, float]]
) -> None:
    """Seconds against neurons, with the fitted powers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, (slope, level)) in enumerate(fits.items()):
        for depth, marker in zip(DEPTHS, "os^", strict=True):
            found = [
                (d * w, row[name]) for (d, w), row in rows.items() if d == depth and row.get(name)
            ]
            neurons, seconds = [n for n, _ in found], [item[1] for _, item in found if item]
            axes.loglog(neurons, seconds, marker, color=f"C{number}", alpha=0.8)
        sizes = [d * w for (d, w), row in rows.items() if row.get(name)]
        ends = (min(sizes), max(sizes))
        label = f"{name}: neurons^{slope:.2f}"
        axes.loglog(
            ends, [math.exp(level) * n**slope for n in ends], "-", color=f"C{number}", label=label
        )
    axes.set_xlabel("hidden neurons (1, 3, 5 hidden layers: o, s, ^)")
    axes.set_ylabel("processor seconds")
    axes.legend()
    figure.savefig(RESULTS.with_suffix(".svg"), metadata={"Date": None})


def _page(lines: list[str], fits: dict[str, tuple[float, float]]) -> str:
    powers = ", ".join(f"{name} neurons^{slope:.2f}" for name, (slope, _) in fits.items())
    names = ("AutoLip", "SeqLip", "LipSDP, proved", "Clarabel", "SCS")
    head = (
        "| hidden layers | width | neurons | "
        + " | ".join(f"{name} | s" for name in names)
        + " |\n"
    )
    story = (
        f"Random ReLU networks {INPUTS}-n-...-n-{OUTPUTS}, l2 to l2, one thread, "
        "processor seconds. SeqLip within 5 s,"
        " LipSDP\nto its default tolerance of 1%, proof included; the solvers (through "
        "cvxpy) report the optimum of\n"
        f"the same relaxation, each within {LIMIT:.0f} s or not at all. Fitted: {powers}.\n"
        "The solvers' powers are those of few and small networks, where what they take "
        "before a first step counts;\n"
        "Clarabel takes 89 s for 96 neurons and 594 s for 150 "
        "([lipsdp_random.md](lipsdp_random.md)).\n"
        "Written by `python -m benchmarks.lipsdp`."
    )
    rule = "|---" * 13 + "|\n"
    title, picture = "# LipSDP: seconds against neurons", "![seconds against neurons](lipsdp.svg)"
    return f"{title}\n\n{story}\n\n{picture}\n\n{head}{rule}" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
