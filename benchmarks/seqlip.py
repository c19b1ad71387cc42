"""SeqLip: boxes and seconds against width, greedy and relaxed against exact.

    python -m benchmarks.seqlip

Writes benchmarks/results/seqlip.md.  Trained pairs come from ReLU networks 2-n-n-n-n-1 fitted to a
function drawn from a Gaussian process (as in Virmaux and Scaman 2018), split at the square roots of
the singular values; random pairs are Gaussian.  For whole networks see `seqlip_networks`, for
layers of AlexNet's size `seqlip_large`.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.files import write
from autolip.methods.seqlip import enumerate_patterns, maximise_exact, maximise_greedy, relax
from benchmarks.gaussian import seconds_per_decomposition, trained_weights

RESULTS = Path(__file__).parent / "results" / "seqlip.md"
WIDTHS, RANDOM = (10, 14, 20, 30, 50, 70), 30
SECONDS = 120.0
"""Wall-clock budget of one exact solution; random pairs up to the width RANDOM."""

MANY = 20
"""Width of the pairs that greedy and exact are compared on in number."""

Pair = tuple[Tensor, Tensor]


def random_pairs(width: int, count: int) -> list[Pair]:
    generator = torch.Generator().manual_seed(width)
    shape = (width, width)
    return [
        (
            torch.randn(shape, generator=generator).double(),
            torch.randn(shape, generator=generator).double(),
        )
        for _ in range(count)
    ]


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
    exact = maximise_exact(a, b, *box, budget=Budget.of(SECONDS))
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


def enumeration_error(pairs: Iterable[Pair]) -> float:
    """Largest relative distance between the exact value and the enumerated maximum."""
    worst = 0.0
    for a, b in pairs:
        box = torch.zeros(len(b)).double(), torch.ones(len(b)).double()
        reference = enumerate_patterns(a, b, *box)[0].value
        exact = maximise_exact(a, b, *box)
        worst = max(
            worst, abs(exact.upper.value / reference - 1), abs(exact.attained / reference - 1)
        )
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


def agreement(pairs: list[Pair]) -> str:
    """How many greedy values of many pairs are within 0.01% of the exact ones."""
    shares = list[float]()
    for a, b in pairs:
        box = torch.zeros(len(b)).double(), torch.ones(len(b)).double()
        shares.append(maximise_greedy(a, b, *box)[0].value / maximise_exact(a, b, *box).attained)
    close = sum(share >= 1 - 1e-4 for share in shares)
    return f"{close} of {len(shares)} (worst shortfall {max(0.0, 1 - min(shares)):.1e})"


def text(exact: list[str], quality: list[str], error: float, many: str) -> str:
    """The two tables, with what they say."""
    lines = [
        "# SeqLip's inner problem",
        "",
        "`python -m benchmarks.seqlip`; float64, processor seconds on one thread of a "
        "busy two-core machine: good to a",
        "factor of about two.",
        "",
        "## max || A diag(s) B || over 0 <= s <= 1, exact",
        "",
        f"To a relative gap of 1e-9, within {SECONDS:.0f} s of wall clock for each pair.  "
        "Trained pairs: networks",
        "2-n-n-n-n-1 fitted to a function drawn from a Gaussian process; random pairs: "
        "Gaussian.  Enumeration: 2^n",
        "times the measured seconds of one batched singular value decomposition (values "
        "only), not run beyond width",
        f"12; there, exact and enumerated maxima of 8 pairs differ by at most {error:.1e} "
        "(relative).",
        "",
        "| pairs | width | number | finished | largest gap | boxes, median | boxes, most "
        "| seconds, median"
        " | seconds, most | enumeration, seconds | speed-up |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *exact,
        "",
        "## Greedy and relaxed against exact",
        "",
        "Greedy: 8 starts.  Relaxed and product of the norms: as multiples of the "
        "maximum attained.  Of more pairs of",
        f"width {MANY}, greedy was within 0.01% of exact on {many}.",
        "",
        "| pairs | width | greedy within 0.01% | worst shortfall | seconds | relaxed, "
        "median | relaxed, worst | seconds"
        " | product, median |",
        "|---|---|---|---|---|---|---|---|---|",
        *quality,
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    exact, quality = list[str](), list[str]()
    trained, random = agreement(trained_pairs(MANY, 5)), agreement(random_pairs(MANY, 60))
    many = f"{trained} of trained networks and {random} random ones"
    error = enumeration_error([*trained_pairs(12, 1), *random_pairs(12, 4)])
    for width in WIDTHS:
        kinds = {"trained": trained_pairs(width, 1)}
        if width <= RANDOM:
            kinds["random"] = random_pairs(width, 4 if width <= 20 else 2)
        for kind, pairs in kinds.items():
            solved = [solve(pair) for pair in pairs]
            exact.append(width_row(kind, width, solved))
            quality.append(quality_row(kind, width, solved))
            print(exact[-1], quality[-1], sep="\n", flush=True)
            write(RESULTS, text(exact, quality, error, many))


if __name__ == "__main__":
    main()
