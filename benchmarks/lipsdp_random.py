"""LipSDP on random networks: against exact constants, and against an interior-point solver.

python -m benchmarks.lipsdp_random exact 1000      # never below the constant (regions enumerated)
python -m benchmarks.lipsdp_random reference 50    # equal to cvxpy's optimum
python -m benchmarks.lipsdp_random speed 3600      # 20-50-50-50-10, both, cvxpy within an hour
python -m benchmarks.lipsdp_random beyond 800      # 20-800-800-800-10, vector power method alone

A second number is the first seed.  Seconds are those of the processor.
"""

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolip.budget import Budget
from autolip.errors import Refusal
from autolip.graph.fixed import without_fixed
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.interior_point import Solved, solved
from autolip.methods.lipsdp.search.rounds import Search
from autolip.norms import Norm
from autolip.operators.dense import Dense
from autolip.operators.norms import NormOptions
from autolip.slopes import Between, Exact

SLOPES = ((0.0, 1.0), (0.1, 1.0), (-0.13, 1.13))
FAR = 1e4
"""Linear regions are looked for in the square [-FAR, FAR]^2."""


@dataclass(frozen=True)
class Network:
    """W_K phi(... phi(W_1 x + b_1)) + S x, every slope of phi in [lo, hi]."""

    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    slopes: tuple[float, float] = (0.0, 1.0)
    skip: Tensor | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.weights[0].shape[1], *(len(weight) for weight in self.weights))

    @property
    def graph(self) -> SlopeGraph:
        """Its slope sets on all inputs."""
        vertices, before = [_vertex("x", self.widths[0])], "x"
        for number, weight in enumerate(self.weights):
            last = number + 1 == len(self.weights)
            edges = [Edge(before, Exact(Dense(weight)))]
            edges += [Edge("x", Exact(Dense(self.skip)))] if last and self.skip is not None else []
            vertices.append(_vertex(f"v{number}", len(weight), *edges))
            if not last:
                ends = (torch.full((len(weight),), end, dtype=torch.float64) for end in self.slopes)
                vertices.append(
                    _vertex(f"z{number}", len(weight), Edge(f"v{number}", Between(*ends)))
                )
            before = vertices[-1].name
        return without_fixed(SlopeGraph("x", tuple(vertices), before))


def _vertex(name: str, size: int, *edges: Edge) -> Vertex:
    shape = torch.Size([size])
    return Vertex(name, shape, edges, Interval.everywhere(shape), operation=name)


def random_network(
    widths: Sequence[int], seed: int, slopes: tuple[float, float] = (0.0, 1.0)
) -> Network:
    """Gaussian weights of variance 2 / fan-in, biases of variance 1/4."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    weights = [draw(m, n) * math.sqrt(2 / n) for n, m in itertools.pairwise(widths)]
    return Network(weights, [draw(m) / 2 for m in widths[1:]], slopes)


def power(network: Network, norm: Norm, tolerance: float, seconds: float) -> Search:
    """The relaxation by the vector power method."""
    relaxation = Relaxation.of(network.graph, norm, Norm.L2)
    if isinstance(relaxation, Refusal):
        raise RuntimeError(str(relaxation))
    effort = Effort.within(Budget.of(seconds), tolerance, None, 0.01, 20_000)
    return Search(relaxation, effort, NormOptions(proved_only=True)).run()


def interior_point(network: Network, norm: Norm, seconds: float) -> Solved | Refusal:
    """The same by cvxpy."""
    relaxation = Relaxation.of(network.graph, norm, Norm.L2)
    if isinstance(relaxation, Refusal):
        return relaxation
    unit = power(network, norm, 0.1, 1.0).iterate.primal or 1.0
    return solved(relaxation, unit, NormOptions(budget=Budget.of(seconds)))


def exact_constant(network: Network) -> tuple[float, int]:
    """The l2 Lipschitz constant of a ReLU network of two inputs, and the number of its linear
    regions in the square.

    Every neuron cuts the convex polygons on which the layers before it are affine; the constant is
    the largest norm among the polygons that are left.
    """
    square = torch.tensor([[-FAR, -FAR], [FAR, -FAR], [FAR, FAR], [-FAR, FAR]], dtype=torch.float64)
    regions = [(square, torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))]
    for weight, bias in zip(network.weights[:-1], network.biases, strict=False):
        cut = [
            piece
            for polygon, matrix, offset in regions
            for piece in _pieces(polygon, weight @ matrix, weight @ offset + bias)
        ]
        regions = cut
    norms = torch.linalg.matrix_norm(
        torch.stack([network.weights[-1] @ matrix for _, matrix, _ in regions]), 2
    )
    return norms.max().item(), len(regions)


def _pieces(
    polygon: Tensor, matrix: Tensor, offset: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The parts of a polygon on which relu(matrix x + offset) is affine, and that map there."""
    parts: list[tuple[Tensor, list[bool]]] = [(polygon, [])]
    for row, shift in zip(matrix, offset, strict=True):
        parts = [
            (half, [*active, side > 0])
            for part, active in parts
            for side in (1.0, -1.0)
            if (half := _half(part, side * row, side * shift)) is not None
        ]
    for part, active in parts:
        on = torch.tensor(active, dtype=torch.float64)
        yield part, on.unsqueeze(1) * matrix, on * offset


def _half(polygon: Tensor, row: Tensor, shift: Tensor) -> Tensor | None:
    """The part where row x + shift >= 0 (Sutherland and Hodgman); None where it has no interior."""
    heights = (polygon @ row + shift).tolist()
    if min(heights) >= 0:
        return polygon
    if max(heights) <= 1e-12 * max(1.0, -min(heights)):
        return None
    corners = []
    for number, height in enumerate(heights):
        before, start, end = heights[number - 1], polygon[number - 1], polygon[number]
        if (before > 0) != (height > 0):
            corners.append(start + (end - start) * (before / (before - height)))
        if height > 0:
            corners.append(end)
    return torch.stack(corners)


def exact(count: int, first: int = 0) -> None:
    """Bounds of random networks 2-m-n-k over their exact constants, where these are not 0."""
    ratios, regions, started = [], 0, time.process_time()
    for seed in range(first, first + count):
        network = small_network(seed)
        constant, pieces = exact_constant(network)
        best = power(network, Norm.L2, 1e-3, 5.0).best
        if best is None or best.bound.value < constant:
            raise RuntimeError(f"network {seed}: {best and best.bound} for the constant {constant}")
        ratios += [best.bound.value / constant] if constant else []
        regions += pieces
    ratios.sort()
    quantiles = ", ".join(
        f"{ratios[int(q * (len(ratios) - 1))]:.4f}" for q in (0, 0.1, 0.5, 0.9, 1)
    )
    print(
        f"{count} networks, {len(ratios)} of them not constant, {regions} linear regions,"
        f" {time.process_time() - started:.0f} s: never below.  Bound over\n"
        f"constant, least, 10%, median, 90%, largest: {quantiles}"
    )


def small_network(seed: int) -> Network:
    """Two inputs, one to three hidden layers of one to seven neurons, one to three outputs."""
    generator = torch.Generator().manual_seed(seed)
    depth = int(torch.randint(1, 4, (1,), generator=generator))
    hidden = torch.randint(1, 8, (depth,), generator=generator).tolist()
    return random_network((2, *hidden, int(torch.randint(1, 4, (1,), generator=generator))), seed)


def medium_network(seed: int) -> tuple[Network, Norm]:
    """Two to six layers up to 50 neurons in all; slopes, skip and norm in turn."""
    generator = torch.Generator().manual_seed(seed)
    layers = 2 + seed % 5
    draw = lambda lo, hi: int(torch.randint(lo, hi + 1, (1,), generator=generator))  # noqa: E731
    most = min(60, 50 // (layers - 1))
    widths = (draw(2, 8), *(draw(max(2, most // 2), most) for _ in range(layers - 1)), draw(1, 5))
    network = random_network(widths, seed, SLOPES[seed % 3])
    if seed % 2:
        skip = torch.randn((widths[-1], widths[0]), generator=generator, dtype=torch.float64)
        network = Network(network.weights, network.biases, network.slopes, skip)
    return network, (Norm.L2, Norm.LINF)[seed // 2 % 2]


def reference(count: int, first: int = 0) -> None:
    """Proved bounds over the optimum that cvxpy reports, one line a network."""
    worst, total = 0.0, [0.0, 0.0]
    print(
        "| network | slopes | skip | input | cvxpy, optimum | proved | difference | "
        "cvxpy, s | this, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for seed in range(first, first + count):
        network, norm = medium_network(seed)
        started = time.process_time()
        best = power(network, norm, 2e-5, 20.0).best
        between = time.process_time()
        other = interior_point(network, norm, 300.0)
        seconds = time.process_time() - between, between - started
        if isinstance(other, Refusal) or best is None:
            print(
                f"| {'-'.join(map(str, network.widths))} | | | | {other} | "
                f"{best and best.bound.value} | | | |"
            )
            continue
        difference = best.bound.value / other.optimum - 1
        worst, total = (
            max(worst, abs(difference)),
            [a + b for a, b in zip(total, seconds, strict=True)],
        )
        print(
            f"| {'-'.join(map(str, network.widths))} | {list(network.slopes)} | "
            f"{'yes' if seed % 2 else ''} |"
            f" {norm.value} | {other.optimum:.7g} | {best.bound.value:.7g} | {difference:.1e} |"
            f" {seconds[0]:.1f} | {seconds[1]:.1f} |",
            flush=True,
        )
    print(
        f"\nLargest difference {worst:.1e}; {total[0]:.0f} s by cvxpy, {total[1]:.0f} s "
        "by the vector power method."
    )


def speed(limit: int) -> None:
    """20-50-50-50-10, relu, l2: the tolerance 1e-4 against an interior-point solver within a limit
    of seconds."""
    network = beyond(50)
    started = time.process_time()
    other = interior_point(network, Norm.L2, limit)
    print(
        f"cvxpy: {other if isinstance(other, Refusal) else other.optimum} in "
        f"{time.process_time() - started:.1f} s"
    )


def beyond(width: int) -> Network:
    """20-n-n-n-10, relu, l2: the tolerance 1e-4 by the vector power method."""
    network = random_network((20, width, width, width, 10), 0)
    started = time.process_time()
    search = power(network, Norm.L2, 1e-4, 600.0)
    seconds = time.process_time() - started
    value = search.best and search.best.bound.value
    attained = f"attained {search.iterate.primal}"
    print(f"20-{width}-{width}-{width}-10: {value} in {seconds:.2f} s, {attained}", flush=True)
    return network


if __name__ == "__main__":
    tasks: dict[str, Callable[..., Any]]
    tasks = {"exact": exact, "reference": reference, "speed": speed, "beyond": beyond}
    tasks[sys.argv[1]](*map(int, sys.argv[2:]))
