"""SeqLip on layers of AlexNet's size: greedy at 200 singular directions, as published.

    python -m benchmarks.seqlip_large [--trunk FILE]

Writes benchmarks/results/seqlip-large.md.  `--trunk` names the weights of AlexNet's trunk that the
package stlpips-pytorch 0.0.2 carries (alex_shift_tolerant.pth).
"""

import resource
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from autolip.files import write
from autolip.methods import SeqLip, method_named
from autolip.reproduce.alexnet import trunk_network
from benchmarks.gaussian import seconds_per_decomposition
from benchmarks.seqlip_networks import chain, posed, timed

RESULTS = Path(__file__).parent / "results" / "seqlip-large.md"
RANK = 200


def head() -> tuple[str, nn.Module, Tensor]:
    """Layers of the size of AlexNet's head, with PyTorch's random initial weights."""
    torch.manual_seed(0)
    weights = [
        nn.Linear(m, n).weight.detach() for m, n in ((9216, 4096), (4096, 4096), (4096, 1000))
    ]
    return "head 9216-4096-4096-1000, random weights", chain(weights), torch.zeros(1, 9216)


def trunk(path: Path) -> tuple[str, nn.Module, Tensor]:
    """The trained trunk with mean pooling for its max-pooling (of stride one), so that it is one
    chain."""
    parts = [
        nn.AvgPool2d(m.kernel_size, m.stride) if isinstance(m, nn.MaxPool2d) else m
        for m in trunk_network(path)
    ]
    model = nn.Sequential(*parts).eval()
    return "trunk, trained, mean pooling for max-pooling", model, torch.zeros(1, 3, 114, 114)


def row(name: str, model: nn.Module, x: Tensor) -> str:
    problem = posed(model.requires_grad_(False), x)
    started = time.perf_counter()
    method = SeqLip("greedy", rank=RANK, residual=False, seconds=None, restarts=2)
    value, seconds, _ = timed(problem, method)
    wall = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    product = timed(problem, method_named("autolip"))[0]
    sizes = "-".join(str(vertex.shape.numel()) for vertex in problem.fused if not vertex.is_affine)
    cells = [
        name,
        sizes,
        f"{product:.5g}",
        f"{value:.5g}",
        f"{product / value:.2f}",
        f"{seconds:.0f}",
        f"{wall:.0f}",
    ]
    return "| " + " | ".join([*cells, f"{memory:.1f}"]) + " |"


def main(arguments: list[str]) -> None:
    torch.set_num_threads(2)
    networks = [head()]
    if "--trunk" in arguments:
        networks.append(trunk(Path(arguments[arguments.index("--trunk") + 1])))
    one = seconds_per_decomposition(RANK)
    lines = [
        "# SeqLip on layers of AlexNet's size",
        "",
        f"`python -m benchmarks.seqlip_large --trunk FILE`: greedy at {RANK} singular "
        "directions, two climbs, the",
        "published truncation (an estimate), matrix-free; two threads of a busy two-core "
        "machine; memory: the peak so",
        f"far.  One decomposition of a {RANK} x {RANK} matrix takes {1e3 * one:.1f} ms; "
        "one for each candidate flip:",
        f"{193_600 * one / 3600:.1f} hours for a single round over 193600 neurons.",
        "",
        "| network | neurons | AutoLip | greedy | ratio | processor seconds | wall "
        "seconds | memory, GiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    for name, model, x in networks:
        lines.append(row(name, model, x))
        print(lines[-1], flush=True)
        write(RESULTS, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
