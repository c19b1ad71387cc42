"""Every member of the default portfolio against depth, on random and on trained networks:
docs/figures/depth.svg.

    python -m benchmarks.depth

Random: relu networks 16-32-...-32-10 as PyTorch initialises them.  One sign: weights uniform on [0,
1], the benchmark of Xu and Sivaranjani (NeurIPS 2024), 80 wide, 4 inputs, 1 output.  Trained:
64-32-...-32-10 on scikit-learn's digits by Adam.  Bounds are shown over the product of norms.
"""

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from autolip import lipschitz
from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.files import write
from autolip.methods import Nonnegative, Problem
from autolip.methods.nonnegative import majorant
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.operators.norms.nonnegative import nonnegative_norm
from autolip.regions import Everywhere
from autolip.report.style import INK, rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS, FIGURE = ROOT / "benchmarks" / "results", ROOT / "docs" / "figures" / "depth.svg"
METHODS = ("autolip", "nonnegative", "layerwise", "rescaled", "liplt")


def relu_chain(widths: list[int], seed: int) -> nn.Sequential:
    """Linear layers with relu between them, initialised by PyTorch."""
    torch.manual_seed(seed)
    layers = [
        layer for m, n in itertools.pairwise(widths) for layer in (nn.Linear(m, n), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1]).double().eval()


def random_chain(depth: int) -> nn.Sequential:
    return relu_chain([16, *[32] * (depth - 1), 10], seed=depth)


def one_sign(depth: int) -> nn.Sequential:
    chain = relu_chain([4, *[80] * (depth - 1), 1], seed=depth)
    for layer in chain:
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight)
    return chain


def trained(depth: int, steps: int = 400) -> nn.Sequential:
    """He initialisation and 400 steps of Adam on digits."""
    chain = relu_chain([64, *[32] * (depth - 1), 10], seed=depth)
    for layer in chain:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    images, labels = images_and_labels()
    optimizer = torch.optim.Adam(chain.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(chain(images), labels).backward()
        optimizer.step()
    return chain


def images_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    """1797 images of 64 numbers in [0, 1], and the digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.data / 16.0), torch.tensor(data.target)


FAMILIES: dict[str, tuple[Callable[[int], nn.Sequential], tuple[int, ...]]] = {
    "random": (random_chain, (2, 3, 5, 10, 20)),
    "one sign": (one_sign, (2, 5, 10, 20, 30, 50, 75, 100)),
    "trained": (trained, (2, 3, 5, 8, 12)),
}


def measured() -> list[dict[str, object]]:
    """One row per network: every member's bound and seconds."""
    rows: list[dict[str, object]] = []
    for family, (make, depths) in FAMILIES.items():
        for depth in depths:
            model = make(depth)
            found = lipschitz(
                model, torch.zeros(1, _width(model)).double(), method=METHODS, lower=()
            )
            bounds = {row.method: row.value for row in found.bounds}
            rows.append(
                {"family": family, "depth": depth, "bounds": bounds, "milliseconds": moduli(model)}
            )
            print(rows[-1], flush=True)
    return rows


def _width(model: nn.Sequential) -> int:
    """Of the input."""
    first = model[0]
    assert isinstance(first, nn.Linear)
    return first.in_features


def moduli(model: nn.Sequential) -> dict[str, float]:
    """Processor time of the network of moduli: of its norm, and with the search for an input that
    makes it exact."""
    graph = capture_model(model, (torch.zeros(1, _width(model)).double(),)).graph
    problem = Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    started = time.process_time()
    operator = majorant(problem.fused)
    if not isinstance(operator, Refusal):
        nonnegative_norm(operator, Norm.L2, Norm.L2)
    middle = time.process_time()
    Nonnegative().bound(problem)
    return {
        "norm": 1e3 * (middle - started),
        "with exactness": 1e3 * (time.process_time() - middle),
    }


def draw(rows: list[dict[str, object]]) -> "Figure":
    """Bound over product against depth, one panel a family."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(FAMILIES))
    for axes, family in zip(panels, FAMILIES, strict=True):
        chosen = [row for row in rows if row["family"] == family]
        for number, method in enumerate(METHODS[1:]):
            depths = [row["depth"] for row in chosen]
            ratios = [ratio(row, method) for row in chosen]
            axes.plot(depths, ratios, marker="osv^"[number], markersize=4, label=method)
        axes.axhline(1.0, color=INK, linewidth=0.8)

        axes.set(title=family, xlabel="affine layers", yscale="log")
        axes.set_ylim(top=1.3)  # where signs are mixed, nonnegative is far above
    panels[0].set_ylabel("upper bound / product of norms")
    panels[0].legend(fontsize=8)
    return figure


def ratio(row: dict[str, object], method: str) -> float:
    bounds: dict[str, float] = row["bounds"]  # type: ignore[assignment]
    return bounds[method] / bounds["autolip"]


def table(rows: list[dict[str, object]]) -> str:
    """The same numbers, rounded to nearest, and processor milliseconds of the network of moduli."""
    lines = [
        "| family | layers | product | "
        + " | ".join(f"{m} / product" for m in METHODS[1:])
        + " | its ms | with exactness |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        bounds: dict[str, float] = row["bounds"]  # type: ignore[assignment]
        cells = " | ".join(f"{ratio(row, method):.4g}" for method in METHODS[1:])
        cost: dict[str, float] = row["milliseconds"]  # type: ignore[assignment]
        head = f"| {row['family']} | {row['depth']} | {bounds['autolip']:.4g}"
        lines.append(f"{head} | {cells} | {cost['norm']:.0f} | {cost['with exactness']:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, draw, and write benchmarks/results/depth.{md,json}."""
    rows = measured()
    RESULTS.mkdir(exist_ok=True)
    write(RESULTS / "depth.json", json.dumps(rows, indent=1) + "\n")
    text = (
        "# The portfolio against depth\n\nMeasured by `python -m benchmarks.depth`, ratios "
        "to the product of norms.\n\n"
    )
    write(RESULTS / "depth.md", text + table(rows))
    FIGURE.parent.mkdir(exist_ok=True)
    write(FIGURE, rendered(lambda: draw(rows))["svg"])


if __name__ == "__main__":
    main()
