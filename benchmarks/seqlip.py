"""SeqLip's inner problem: boxes and seconds against width, greedy against exact, and one pair of AlexNet's size.

    python -m benchmarks.seqlip [--all]

Writes benchmarks/results/seqlip.md.  Trained pairs come from ReLU networks 2-n-n-n-n-1 fitted to a function drawn from
a Gaussian process (as in Virmaux and Scaman 2018), split at the square roots of the singular values; random pairs are
Gaussian.  `--all` adds wider pairs and a pair with 193 600 neurons between 200 singular directions (minutes, 2 GiB).
"""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from autolip.methods.seqlip import enumerate_patterns, maximise_exact, maximise_greedy, relax

RESULTS = Path(__file__).parent / "results" / "seqlip.md"
WIDTHS, MORE_WIDTHS = (10, 14, 20, 30, 50), (70, 100)
SECONDS = 300.0
"""Wall-clock budget of one exact solution."""

Pair = tuple[Tensor, Tensor]


def random_pairs(width: int, count: int) -> list[Pair]:
    generator = torch.Generator().manual_seed(width)
    shape = (width, width)
    return [
        (torch.randn(shape, generator=generator).double(), torch.randn(shape, generator=generator).double())
        for _ in range(count)
    ]


def gaussian_process(generator: torch.Generator, features: int = 500) -> nn.Module:
    """A function of two variables drawn (approximately) from a Gaussian process with an RBF kernel of length one."""
    layer, read = nn.Linear(2, features), nn.Linear(features, 1, bias=False)
    layer.weight.data = torch.randn(features, 2, generator=generator)
    layer.bias.data = torch.rand(features, generator=generator) * 2 * torch.pi
    read.weight.data = torch.randn(1, features, generator=generator) * (2 / features) ** 0.5

    class Cosine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cos(x)

    return nn.Sequential(layer, Cosine(), read).requires_grad_(False)


def trained_weights(width: int, seed: int, steps: int = 2000) -> list[Tensor]:
    """The weights of a trained 2-n-n-n-n-1 network."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    truth, sizes = gaussian_process(generator), [2, *[width] * 4, 1]
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    network = nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        x = 4 * torch.rand(256, 2, generator=generator) - 2
        loss = (network(x) - truth(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [layer.weight.detach().double() for layer in linear]


def split_pairs(weights: list[Tensor]) -> Iterator[Pair]:
    """S^1/2 V^T of each layer against U S^1/2 of the one below; the end layers whole."""
    factors = [torch.linalg.svd(w, full_matrices=False) for w in weights]
    last = len(weights) - 1
    for k in range(last):
        (u, s, _), (_, t, vh) = factors[k], factors[k + 1]
        below = weights[0] if k == 0 else u * s.sqrt()
        above = weights[last] if k + 1 == last else t.sqrt()[:, None] * vh
        yield above, below


def trained_pairs(width: int, networks: int) -> list[Pair]:
    return [pair for seed in range(networks) for pair in split_pairs(trained_weights(width, seed))]


@dataclass(frozen=True)
class Solved:
    """One pair: exact, greedy and relaxed, with processor seconds on one thread."""

    attained: float
    gap: float
    nodes: int
    finished: bool
    seconds: float
    greedy: float
    greedy_seconds: float
    relaxed: float
    relaxed_seconds: float
    product: float


def solve(pair: Pair) -> Solved:
    a, b = pair
    box = torch.zeros(len(b)).double(), torch.ones(len(b)).double()
    start = time.process_time()
    exact = maximise_exact(a, b, *box, deadline=time.monotonic() + SECONDS)
    after_exact = time.process_time()
    greedy, _ = maximise_greedy(a, b, *box)
    after_greedy = time.process_time()
    relaxed = relax(a, b, *box).value
    end = time.process_time()
    return Solved(
        exact.attained,
        exact.upper.value / exact.attained - 1,
        exact.nodes,
        exact.finished,
        after_exact - start,
        greedy.value / exact.attained,
        after_greedy - after_exact,
        relaxed / exact.attained,
        end - after_greedy,
        (torch.linalg.matrix_norm(a, 2) * torch.linalg.matrix_norm(b, 2)).item() / exact.attained,
    )


def seconds_per_decomposition(width: int) -> float:
    """Processor seconds of one singular value decomposition (values only), in batches, for the enumeration."""
    (a, b), count = random_pairs(width, 1)[0], 4096
    batch = (a * (torch.rand(count, 1, width, generator=torch.Generator().manual_seed(0)) < 0.5)) @ b
    torch.linalg.svdvals(batch)
    start = time.process_time()
    torch.linalg.svdvals(batch)
    return (time.process_time() - start) / count


def enumeration_error(pairs: Iterable[Pair]) -> float:
    """Largest relative distance between the exact value and the enumerated maximum."""
    worst = 0.0
    for a, b in pairs:
        box = torch.zeros(len(b)).double(), torch.ones(len(b)).double()
        reference = enumerate_patterns(a, b, *box)[0].value
        exact = maximise_exact(a, b, *box)
        worst = max(worst, abs(exact.upper.value / reference - 1), abs(exact.attained / reference - 1))
    return worst


def width_row(kind: str, width: int, solved: list[Solved]) -> str:
    per_pattern = seconds_per_decomposition(width)
    enumeration, own = per_pattern * 2**width, median(s.seconds for s in solved)
    done = sum(s.finished for s in solved)
    cells = [
        kind,
        str(width),
        str(len(solved)),
        f"{done}/{len(solved)}",
        f"{max(s.gap for s in solved):.1e}",
        f"{median(s.nodes for s in solved):.0f}",
        str(max(s.nodes for s in solved)),
        f"{own:.3f}",
        f"{max(s.seconds for s in solved):.2f}",
        f"{enumeration:.3g}",
        f"{enumeration / own:.1e}",
    ]
    return "| " + " | ".join(cells) + " |"


def quality_row(kind: str, width: int, solved: list[Solved]) -> str:
    close = sum(s.greedy >= 1 - 1e-4 for s in solved)
    cells = [
        kind,
        str(width),
        f"{close}/{len(solved)}",
        f"{max(0.0, 1 - min(s.greedy for s in solved)):.1e}",
        f"{median(s.greedy_seconds for s in solved):.3f}",
        f"{median(s.relaxed for s in solved):.5f}",
        f"{max(s.relaxed for s in solved):.5f}",
        f"{median(s.relaxed_seconds for s in solved):.3f}",
        f"{median(s.product for s in solved):.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def large_pair(neurons: int = 193_600, rank: int = 200) -> list[str]:
    """One greedy climb where a layer has as many activations as AlexNet's first."""
    generator = torch.Generator().manual_seed(0)
    decay = torch.linspace(1, 0.05, rank).double() / neurons**0.5
    a = torch.randn(rank, neurons, generator=generator).double() * decay[:, None]
    b = torch.randn(neurons, rank, generator=generator).double() * decay
    box = torch.zeros(neurons).double(), torch.ones(neurons).double()
    start = time.process_time()
    value, _ = maximise_greedy(a, b, *box, restarts=1)
    seconds = time.process_time() - start
    start = time.process_time()
    bound = relax(a, b, *box).value
    relaxed = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    per_flip = seconds_per_decomposition(rank)
    product = (torch.linalg.matrix_norm(a, 2) * torch.linalg.matrix_norm(b, 2)).item()
    return [
        "",
        f"## {neurons} neurons between {rank} singular directions",
        "",
        f"Gaussian directions, singular values falling linearly to 5%.  Greedy, one climb: {value.value:.6f} in"
        f" {seconds:.0f} s; proved bound {bound:.6f} ({bound / value.value:.4f} times greedy) in {relaxed:.0f} s;",
        f"product of the norms {product:.6f}.  Peak memory {memory:.1f} GiB, the pair itself included.  One"
        f" decomposition per candidate flip takes {per_flip * 1e3:.1f} ms:",
        f"{per_flip * neurons / 3600:.1f} hours for one round over all neurons.",
    ]


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    widths = WIDTHS + (MORE_WIDTHS if "--all" in arguments else ())
    exact, quality = [], []
    for width in widths:
        count = 8 if width <= 30 else 3 if width <= 50 else 1
        for kind, pairs in (("trained", trained_pairs(width, 2)), ("random", random_pairs(width, count))):
            solved = [solve(pair) for pair in pairs]
            exact.append(width_row(kind, width, solved))
            quality.append(quality_row(kind, width, solved))
            print(exact[-1], quality[-1], sep="\n", flush=True)
    error = enumeration_error([*trained_pairs(12, 1), *random_pairs(12, 4)])
    lines = [
        "# SeqLip's inner problem: max || A diag(s) B || over 0 <= s <= 1",
        "",
        "`python -m benchmarks.seqlip" + (" --all`" if "--all" in arguments else "`") + "; float64, processor seconds"
        " on one thread of a busy two-core machine: good to a factor of about two.",
        "",
        f"## Exact, to a relative gap of 1e-9 within {SECONDS:.0f} s of wall clock",
        "",
        "Enumeration: 2^n times the measured seconds of one batched singular value decomposition (values only), not run"
        " beyond width 12;",
        f"there, exact and enumerated maxima of 8 pairs differ by at most {error:.1e} (relative).",
        "",
        "| pairs | width | number | finished | largest gap | boxes, median | boxes, most | seconds, median"
        " | seconds, most | enumeration, seconds | speed-up |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *exact,
        "",
        "## Greedy and relaxed against exact",
        "",
        "Greedy: 8 starts.  Relaxed and product of the norms: as multiples of the maximum attained.",
        "",
        "| pairs | width | greedy within 0.01% | worst shortfall | seconds | relaxed, median | relaxed, worst | seconds"
        " | product, median |",
        "|---|---|---|---|---|---|---|---|---|",
        *quality,
        *(large_pair() if "--all" in arguments else ()),
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
