"""What a network attains, without a line of the program under test: Jacobians, secants, linear
regions, 80 digits."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import torch
from mpmath import mpf
from torch import Tensor

from tests.fuzz.networks import Network, digits
from tests.fuzz.places import Place

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}
PAIRS = tuple(itertools.product(ORDERS, ORDERS))
Output = tuple[int, ...]
"""() for all outputs, (i,) for one, (i, j) for a difference."""

POINTS, FULL = 48, 6
"""Points of a region at which Jacobians are taken; sides up to which all vectors of signs are
tried."""

STEP = mpf(10) ** -35
"""Half distance, relative to the point's size, at which a secant is the derivative to 30 digits."""

NOISE = mpf(10) ** -33
"""What 80 digits may be off by in a slope between points that close, relative to the values."""


@dataclass(frozen=True)
class Candidate:
    """A secant between two points, or the derivative at x along y; `slope` as float64 sees it."""

    slope: float
    x: Tensor
    y: Tensor
    derivative: bool


def read(output: Output, values: Any) -> Any:
    """The read-out of (..., m) values, tensors or arrays."""
    if not output:
        return values
    first = values[..., output[0] : output[0] + 1]
    return first if len(output) == 1 else first - values[..., output[1] : output[1] + 1]


class Attained:
    """Slopes of a network in a place, for every pair of norms and every output."""

    def __init__(
        self, network: Network, place: Place, seed: int, extra: Tensor | None = None
    ) -> None:
        self.network, self.place = network, place
        self.generator = torch.Generator().manual_seed(seed)
        self.points = place.points(POINTS, self.generator)
        inner = self.points if extra is None else torch.cat([self.points, extra])
        self.inner, self.jacobians = _jacobians(network, place, inner)
        self.first, self.second = self._secants()
        self.rises = _values(network, self.first) - _values(network, self.second)
        self.confirmed: dict[tuple[str, str, Output], mpf] = {}

    def _secants(self) -> tuple[Tensor, Tensor]:
        """Pairs of points: far apart, close together, and opposite to each other."""
        shifted = self.points.roll(1, 0)
        near = self.points + (shifted - self.points) * 1e-6
        first, second = [self.points, self.points], [shifted, near]
        if self.place.kind == "everywhere":
            first += [self.points, 1e4 * self.points]
            second += [-self.points, shifted]
        return torch.cat(first), torch.cat(second)

    def slope(self, p: str, q: str, output: Output, claimed: float) -> mpf:
        """A slope that is attained, exact where it is close to the claimed bound or above: 0 where
        none is known."""
        key = (p, q, output)
        if key not in self.confirmed:
            found = [one for one in self.candidates(p, q, output) if one.slope > 0]
            best = max((one.slope for one in found), default=0.0)
            if best < claimed * (1 - 1e-6):
                return mpf(best) * (1 - mpf(2) ** -20)
            self.confirmed[key] = max(
                (self.exact(one, p, q, output) for one in found), default=mpf(0)
            )
        return self.confirmed[key]

    def candidates(self, p: str, q: str, output: Output) -> Iterator[Candidate]:
        """The steepest derivative and the steepest secant."""
        jacobians = read(output, self.jacobians.transpose(1, 2)).transpose(1, 2)
        if jacobians.numel():
            tried = _directions(jacobians, self.place.free.flatten(), self.generator)
            rises = torch.linalg.vector_norm(jacobians @ tried, ORDERS[q], dim=1)
            slopes = (rises / torch.linalg.vector_norm(tried, ORDERS[p], dim=1)).nan_to_num(
                0.0, 0.0, 0.0
            )
            at, along = divmod(int(slopes.argmax()), slopes.shape[1])
            direction = tried[at, :, along].reshape(self.network.shape)
            yield Candidate(float(slopes.max()), self.inner[at], direction, True)
        steps = torch.linalg.vector_norm((self.first - self.second).flatten(1), ORDERS[p], dim=1)
        rises = torch.linalg.vector_norm(read(output, self.rises), ORDERS[q], dim=1)
        slopes = (rises / steps).nan_to_num(0.0, 0.0, 0.0)
        best = int(slopes.argmax())
        yield Candidate(float(slopes[best]), self.first[best], self.second[best], False)

    def exact(self, candidate: Candidate, p: str, q: str, output: Output) -> mpf:
        """The slope of the candidate to 25 digits, rounded down; 0 where it leaves the region."""
        x, y = digits(candidate.x), digits(candidate.y)
        if candidate.derivative:
            step = STEP * max(
                [mpf(1) if self.place.kind == "everywhere" else mpf(0), *map(abs, x.reshape(-1))]
            )
            step = step / max(map(abs, y.reshape(-1)))
            x, y = x + step * y, x - step * y
        if not (self.place.holds(x) and self.place.holds(y)):
            return mpf(0)
        values = [
            np.asarray(self.network.exact(point), dtype=object).reshape(-1) for point in (x, y)
        ]
        run = length(np.asarray(x - y, dtype=object).reshape(-1), p)
        if not run:
            return mpf(0)
        slope = length(read(output, values[0] - values[1]), q) / run
        return max(mpf(0), slope * (1 - mpf(10) ** -25) - NOISE * max(map(abs, values[0])))


def length(entries: np.ndarray, norm: str) -> mpf:
    return mpf(
        mpmath.norm(list(np.atleast_1d(entries)), ORDERS[norm] if norm != "linf" else mpmath.inf)
    )


def _values(network: Network, x: Tensor) -> Tensor:
    """(k, m): the outputs of k points, one at a time, as anyone would."""
    with torch.no_grad():
        return torch.stack([network(one).reshape(-1) for one in x])


def _jacobians(network: Network, place: Place, points: Tensor) -> tuple[Tensor, Tensor]:
    """The points where all outputs are finite, and (k, m, n) Jacobians there; no columns of entries
    that are fixed."""
    x = points.clone().requires_grad_()
    values = torch.stack([network(one).reshape(-1) for one in x])
    columns = [
        torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1)
        for column in values.unbind(1)
    ]
    jacobians = torch.stack(columns, 1) * place.free.flatten()
    kept = jacobians.isfinite().all(2).all(1) & values.isfinite().all(1)
    return points[kept], jacobians[kept]


def _directions(jacobians: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
    """(k, n, r): units, signs, singular vectors, gradients and their signs, along entries that are
    free."""
    k, m, n = jacobians.shape
    units = torch.eye(n, dtype=torch.float64).expand(k, n, n)
    outputs = torch.cat([torch.eye(m, dtype=torch.float64), _signs(m, generator)], 1)
    pulled = jacobians.transpose(1, 2) @ outputs.expand(k, m, -1)
    signs = _signs(n, generator).expand(k, n, -1)
    climbed = (jacobians.transpose(1, 2) @ (jacobians @ signs)).sign()
    singular = torch.linalg.svd(jacobians, full_matrices=False)[2].transpose(1, 2)
    return torch.cat([units, signs, climbed, pulled, pulled.sign(), singular], 2) * free[:, None]


def _signs(size: int, generator: torch.Generator) -> Tensor:
    """(size, r): all vectors of signs up to their own, or some."""
    if size <= FULL:
        rest = list(itertools.product([1.0, -1.0], repeat=max(0, size - 1)))
        return torch.tensor([[1.0, *others][:size] for others in rest], dtype=torch.float64).T
    return torch.randn(size, 2**FULL, generator=generator, dtype=torch.float64).sign()
