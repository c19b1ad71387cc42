"""LipSDP on random MLPs of growing width: proved value, what the relaxation attains, seconds, the fitted exponent.

python -m benchmarks.lipsdp            # writes benchmarks/results/lipsdp.md
"""

import itertools
import math
import time
from pathlib import Path

import torch
from torch import nn

from autolip.capture.torch_export import capture_model
from autolip.methods import AutoLip, Bound, LipSDP, Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Upper

RESULTS = Path(__file__).parent / "results" / "lipsdp.md"
WIDTHS, DEPTH, INPUTS, OUTPUTS = (16, 32, 64, 128, 256, 512), 3, 32, 10


def network(width: int, seed: int = 0) -> nn.Sequential:
    """Three hidden layers, Gaussian weights of variance 2 / fan-in, no biases."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise((INPUTS, *[width] * DEPTH, OUTPUTS)):
        linear = nn.Linear(n, m, bias=False)
        nn.init.normal_(linear.weight, std=math.sqrt(2 / n))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def value(bound: object) -> float:
    if not isinstance(bound, Bound) or not isinstance(bound.value, Upper):
        raise RuntimeError(f"no bound: {bound}")
    return bound.value.value


def main() -> None:
    """Measure, and write the table."""
    rows, points = [], []
    for width in WIDTHS:
        capture = capture_model(network(width), (torch.zeros(1, INPUTS),))
        problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
        product = value(AutoLip().bound(problem))
        started = time.process_time()
        found = LipSDP(seconds=60.0).bound(problem)
        seconds = time.process_time() - started
        note = found.notes[0] if isinstance(found, Bound) else ""
        rows.append(f"| {width} | {width * DEPTH} | {product:.4f} | {value(found):.4f} | {seconds:.2f} | {note} |")
        points.append((math.log(width * DEPTH), math.log(seconds)))
        print(rows[-1], flush=True)
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    _draw(points, slope)
    head = "| width | neurons | AutoLip | LipSDP, proved | seconds | |\n|---|---|---|---|---|---|\n"
    RESULTS.write_text(
        f"# LipSDP: seconds against neurons\n\n{_story(slope)}\n\n" + head + "\n".join(rows) + "\n", encoding="utf-8"
    )


def _draw(points: list[tuple[float, float]], slope: float) -> None:
    """Seconds against neurons, with the fitted power."""
    from matplotlib.figure import Figure

    neurons, seconds = ([math.exp(value) for value in axis] for axis in zip(*points, strict=True))
    middle = sum(y - slope * x for x, y in points) / len(points)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.loglog(neurons, seconds, "o", label="LipSDP to 1%, proved")
    axes.loglog(neurons, [math.exp(middle) * n**slope for n in neurons], "-", label=f"neurons^{slope:.2f}")
    axes.set_xlabel("hidden neurons")
    axes.set_ylabel("processor seconds")
    axes.legend()
    figure.savefig(RESULTS.with_suffix(".svg"), metadata={"Date": None})


def _story(slope: float) -> str:
    return (
        f"Random ReLU networks {INPUTS}-n-n-n-{OUTPUTS}, l2 to l2, tolerance 1%, one thread, processor seconds;\n"
        f"the proof is included. Seconds grow like neurons^{slope:.2f}. Written by `python -m benchmarks.lipsdp`.\n\n"
        "![seconds against neurons](lipsdp.svg)"
    )


if __name__ == "__main__":
    main()
