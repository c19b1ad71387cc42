"""SeqLip as a method on whole networks: trained chains of 20 neurons a layer.

    python -m benchmarks.seqlip_networks

Writes benchmarks/results/seqlip-networks.md.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip import Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.files import write
from autolip.methods import Bound, Method, Problem, method_named
from autolip.operators.norms import NormOptions
from benchmarks.gaussian import seconds_per_decomposition, trained_weights

RESULTS = Path(__file__).parent / "results" / "seqlip-networks.md"
LAYERS, WIDTH, SEEDS = (4, 5, 7, 10), 20, 3
METHODS = ("autolip", "theorem3", "seqlip-relaxed", "seqlip-exact", "seqlip-greedy")


def chain(weights: Sequence[Tensor]) -> nn.Sequential:
    """Linear layers without bias, ReLU between them."""
    layers: list[nn.Module] = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False).to(weight.dtype)
        layer.weight = nn.Parameter(weight)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def posed(model: nn.Module, x: Tensor) -> Problem:
    return Problem.pose(
        capture_model(model, (x,)).graph, Everywhere(), Norm.L2, Norm.L2, NormOptions()
    )


def timed(problem: Problem, method: Method) -> tuple[float, float, Bound]:
    """A method's value, its processor seconds, and its whole answer."""
    start = time.process_time()
    bound = method.accepts(problem) or method.bound(problem)
    assert isinstance(bound, Bound), bound
    return bound.value.value, time.process_time() - start, bound


def rows() -> Iterator[str]:
    """A row per depth: exact, greedy and closed-form values, exact's seconds against those of the
    enumeration."""
    per_pattern = seconds_per_decomposition(WIDTH)
    for layers in LAYERS:
        found = []
        for seed in range(SEEDS):
            problem = posed(
                chain(trained_weights(WIDTH, seed, layers=layers)), torch.zeros(1, 2).double()
            )
            values, seconds, bounds = zip(
                *(timed(problem, method_named(name)) for name in METHODS), strict=True
            )
            assert bounds[3].complete, bounds[3].notes
            found.append([*values[:4], values[4] / values[3], values[0] / values[3], seconds[3]])
        mean = torch.tensor(found).mean(0).tolist()
        enumeration = (layers - 1) * 2**WIDTH * per_pattern
        cells = [
            f"{layers}",
            *(f"{x:.5g}" for x in mean[:4]),
            f"{mean[4]:.7f}",
            f"{mean[5]:.3f}",
            f"{mean[6]:.2f}",
        ]
        yield (
            "| " + " | ".join([*cells, f"{enumeration:.0f}", f"{enumeration / mean[6]:.0f}"]) + " |"
        )


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        f"# SeqLip on trained networks of {WIDTH} neurons a layer",
        "",
        "`python -m benchmarks.seqlip_networks`; networks 2-20-...-20-1 fitted to a "
        "function drawn from a Gaussian",
        f"process, means over {SEEDS} seeds; processor seconds on one thread of a busy "
        "two-core machine.  Enumeration:",
        "2^20 singular value decompositions (values only, in batches) for each layer of "
        "neurons, at the measured time",
        "of one.",
        "",
        "| layers | AutoLip | Theorem 3 | relaxed | exact | greedy / exact | AutoLip / "
        "exact | exact, seconds"
        " | enumeration, seconds | speed-up |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    for row in rows():
        lines.append(row)
        print(row, flush=True)
        write(RESULTS, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
