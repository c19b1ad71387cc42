"""Entries gathered at constant places: sums, means and extrema of those that arrive at one."""

import torch
from torch import Tensor

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.operator import Operator
from autolip.rules.linear import Value, combination, reciprocal, shape_of, tensor_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, require_constant, rule
from autolip.slopes import Gain
from autolip.values import ONE

aten = torch.ops.aten

INDEX = torch.tensor([[0, 1, 0, 2], [1, 1, 2, 2]])


@rule(
    aten.scatter_reduce.two,
    Example(Variable(2, 3), 1, INDEX, Variable(2, 4), "sum"),
    Example(Constant(2, 3), 1, INDEX, Variable(2, 5), "sum", include_self=False),
    Example(Variable(2, 4), 1, INDEX, Variable(2, 4), "mean"),
    Example(Variable(2, 3), 1, INDEX, Constant(2, 4), "mean", include_self=False),
    Example(Variable(2, 3), 1, INDEX, Variable(2, 4), "amax"),
    Example(Constant(2, 3), 1, INDEX, Variable(2, 4), "amin"),
    Example(Variable(2, 4), 1, INDEX, Variable(3, 4), "amax", include_self=False),
)
def scatter_reduce(
    self: Value, dim: int, index: Tensor, src: Value, reduce: str, include_self: bool
) -> Action:
    """Exact for sums and means of the entries that arrive at one place; Gain(1) for their extrema;
    by constant places."""
    require_constant(index=index)
    reads = tuple(slice(size) for size in index.shape)
    ones = torch.ones(index.shape, dtype=torch.float64)
    arriving = torch.zeros(shape_of(self), dtype=torch.float64).scatter_add(dim, index, ones)
    kept = torch.ones_like(arriving) if include_self else (arriving == 0).double()

    def sums(t: Tensor) -> Tensor:
        return t.new_zeros(kept.shape).scatter_add(dim, index, t[reads])

    if reduce in ("sum", "mean"):
        onto: Operator = Incidence(sums, tuple(shape_of(src)), tuple(kept.shape))
        stays: Operator = Diagonal(kept, tuple(kept.shape))
        if reduce == "mean":
            shares = Diagonal(*_shares(kept + arriving))
            onto, stays = compose(shares, onto), compose(shares, stays)
        return combination(tuple(kept.shape), (stays, self), (onto, src))
    if reduce not in ("amax", "amin"):
        raise UnsupportedOperation(f"scatter_reduce by {reduce}: sum, mean, amax, amin are known")

    def extremum(end: str) -> Tensor:
        a, b = (getattr(x.range, end) if isinstance(x, Operand) else x for x in (self, src))
        return tensor_of(a).scatter_reduce(
            dim, index, tensor_of(b), reduce, include_self=include_self
        )

    gains = dict.fromkeys(Norm, ONE)
    varying = {x.name: x for x in (self, src) if isinstance(x, Operand)}
    slopes = tuple((x, Gain(x.shape, kept.shape, gains)) for x in varying.values())
    return Action(slopes, Interval(extremum("lo"), extremum("hi")))


def _shares(counts: Tensor) -> tuple[Tensor, tuple[int, ...], float]:
    inverse, error = reciprocal(counts)
    return inverse, tuple(counts.shape), error
