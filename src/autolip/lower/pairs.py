"""Pairs of points, their slopes, and the directions in which the slopes grow."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.lower.problem import LowerProblem
from autolip.norms import Norm, maximiser


@dataclass(frozen=True)
class Pairs:
    """Pairs of points of the region and their slopes ||f(x) - f(y)||_q / ||x - y||_p by the
    captured graph; y is the problem's centre where it has one.

    A slope of -1 says that there is none: the points coincide, or f is not finite at one of them.
    """

    x: Float[Tensor, "k *shape"]
    y: Float[Tensor, "k *shape"]
    slope: Float[Tensor, " k"]

    @staticmethod
    def at(points: Float[Tensor, "k *shape"]) -> "Pairs":
        """Each point with itself: nothing found yet."""
        return Pairs(points, points, -torch.ones(len(points), dtype=torch.float64))

    def better(self, other: "Pairs") -> "Pairs":
        """Of each pair here and its namesake there the steeper one."""
        return self.replaced(other.slope > self.slope, other)

    def replaced(self, chosen: Bool[Tensor, " k"], other: "Pairs") -> "Pairs":
        """These pairs, the chosen ones taken from the other set."""
        columns = column(chosen, self.x)
        x = torch.where(columns, other.x, self.x)
        y = torch.where(columns, other.y, self.y)
        return Pairs(x, y, torch.where(chosen, other.slope, self.slope))

    def joined(self, other: "Pairs") -> "Pairs":
        """Both sets of pairs."""
        return Pairs(
            *(
                torch.cat(ends)
                for ends in ((self.x, other.x), (self.y, other.y), (self.slope, other.slope))
            )
        )

    def steepest(self, count: int) -> "Pairs":
        """The `count` steepest pairs, in falling order of slope."""
        order = self.slope.argsort(descending=True, stable=True)[:count]
        return Pairs(self.x[order], self.y[order], self.slope[order])

    @property
    def centre(self) -> Tensor:
        """The midpoints."""
        return (self.x + self.y) / 2

    def direction(self, norm: Norm) -> Tensor:
        """(x - y) / ||x - y||, zero where the points coincide."""
        run = self.x - self.y
        length = norm.of_rows(run)
        return run / column(length.where(length > 0, 1.0), run)


def column(values: Tensor, like: Tensor) -> Tensor:
    """One number per member of a batch, shaped to multiply the batch."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def ends(
    problem: LowerProblem, centre: Tensor, direction: Tensor, step: Float[Tensor, " k"]
) -> tuple[Tensor, Tensor]:
    """The points centre + step * direction and centre - step * direction, moved into the problem's
    domain; where the second point is given, as far apart and in the same direction from there."""
    offset = column(step, centre) * direction
    if problem.centre is not None:
        given = problem.centre.expand_as(centre)
        return problem.domain.project(given + 2 * offset), given
    return problem.domain.project(centre + offset), problem.domain.project(centre - offset)


def random_directions(problem: LowerProblem, count: int, generator: torch.Generator) -> Tensor:
    """Directions of p-norm one, along the entries that may vary."""
    shape = (count, *problem.example.shape)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = noise * problem.free
    length = problem.p.of_rows(noise)
    return noise / column(length.where(length > 0, 1.0), noise)


def measured(
    problem: LowerProblem, x: Float[Tensor, "k *shape"], y: Float[Tensor, "k *shape"]
) -> Pairs:
    """The pairs with their slopes; see `Pairs`. Costs k passes."""
    both = torch.cat([x, y])
    values = problem.values(both)
    return Pairs(x, y, _slope(problem, values[: len(x)] - values[len(x) :], x - y))


def _slope(problem: LowerProblem, rise: Tensor, run: Tensor) -> Tensor:
    length = problem.p.of_rows(run)
    slope = problem.q.of_rows(rise) / length
    slope = slope.where(slope.isfinite(), -1.0)
    problem.met(slope)
    return slope


@dataclass(frozen=True)
class Pull:
    """Pairs, and J(x)^T u, J(y)^T u with u the dual vector of f(x) - f(y); 0 in place of the latter
    where y is given."""

    pairs: Pairs
    at_x: Float[Tensor, "k *shape"]
    at_y: Float[Tensor, "k *shape"]

    @property
    def turning(self) -> Tensor:
        """The gradient of the rise as the direction x - y turns about the midpoint."""
        return self.at_x + self.at_y

    @property
    def moving(self) -> Tensor:
        """The gradient of the rise as both points move together."""
        return self.at_x - self.at_y


def pull(problem: LowerProblem, x: Float[Tensor, "k *shape"], y: Float[Tensor, "k *shape"]) -> Pull:
    """Slopes and their gradients, as many pairs at a time as memory allows. Costs 2k passes (3k if
    one is too many)."""
    size = max(1, problem.rows // 2)
    chunks = zip(x.split(size), y.split(size), strict=True)
    parts = [_pull(problem, a, b) for a, b in chunks]
    slope, at_x, at_y = (torch.cat(column) for column in zip(*parts, strict=True))
    return Pull(Pairs(x, y, slope), at_x, at_y)


def _pull(problem: LowerProblem, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    points = torch.cat([x, y]).requires_grad_()
    together = problem.rows >= 2
    values = problem.function(points) if together else problem.values(points)
    rise = (values[: len(x)] - values[len(x) :]).detach()
    finite = rise.nan_to_num()
    one = maximiser(finite, problem.q.dual)
    u = torch.cat([one, one])
    if together:
        gradient = transposed(problem, values, points, u)
    else:
        rows = zip(points.split(1), u.split(1), strict=True)
        gradients = [pulled_back(problem, *row) for row in rows]
        gradient = torch.cat(gradients)
    at_y = gradient[len(x) :]
    if problem.centre is not None:
        at_y = torch.zeros_like(at_y)
    return _slope(problem, rise, x - y), gradient[: len(x)], at_y


def pulled_back(
    problem: LowerProblem, x: Float[Tensor, "k *shape"], u: Float[Tensor, "k *out"]
) -> Tensor:
    """J(x_i)^T u_i. Costs k passes."""
    points = x.detach().requires_grad_()
    return transposed(problem, problem.function(points), points, u)


def transposed(problem: LowerProblem, values: Tensor, points: Tensor, u: Tensor) -> Tensor:
    """J^T u from values computed at points, zero where there is no derivative (rounding,
    comparisons)."""
    if not values.requires_grad:
        return torch.zeros_like(points)
    problem.passes += len(points) / 2
    (gradient,) = torch.autograd.grad(values, points, u, allow_unused=True)
    if gradient is None:
        return torch.zeros_like(points)
    if not bool(gradient.isfinite().all()):
        problem.wild = True
    return gradient.nan_to_num(posinf=0.0, neginf=0.0) * problem.free


def power(
    problem: LowerProblem, centre: Tensor, direction: Tensor, step: float | Tensor, count: int
) -> Pairs:
    """Pairs about each centre along a dominant direction of the Jacobian there, by `count` power
    steps.

    v <- argmax <J^T u, v> over ||v||_p = 1, with u the dual vector of J v: for p = q = 2 the power
    iteration on J^T J (Boyd, Linear Algebra Appl. 1974; Higham, Numer. Math. 1992); J v is a secant
    of length 2 `step`. Costs 2k passes a step.
    """
    given = torch.as_tensor(step, dtype=torch.float64)
    steps = given.expand(len(centre))
    best = Pairs.at(centre)
    for _ in range(count):
        pulled = pull(problem, *ends(problem, centre, direction, steps))
        best = best.better(pulled.pairs)
        direction = turned(problem, pulled, direction)
        if problem.expired:
            break
    return best


def about(problem: LowerProblem, points: Tensor, direction: Tensor, count: int) -> Pairs:
    """What is steep at these points: short pairs about them by `count` power steps; the pairs with
    the centre where there is one."""
    if problem.centre is None:
        return power(problem, points, direction, problem.short, count)
    return measured(problem, points, problem.centre.expand_as(points))


def turned(problem: LowerProblem, pulled: Pull, direction: Tensor) -> Tensor:
    """The direction after one power step; the old one where the gradient vanishes."""
    better = maximiser(pulled.turning, problem.p)
    moved = (better.flatten(1) != 0).any(1)
    return torch.where(column(moved, direction), better, direction)
