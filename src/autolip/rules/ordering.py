"""Maxima, minima, sorting and vector norms: 1-Lipschitz by blocks."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import Zero
from autolip.operators.incidence import Incidence
from autolip.roundoff import raised, sum_error
from autolip.rules.rule import Action, Example, Operand, Pointwise, Turn, Variable, rule
from autolip.rules.rule import Constant as ConstantTensor
from autolip.slopes import Between, Exact, Gain
from autolip.values import INFINITE, ONE, Upper, round_up

aten = torch.ops.aten
INF = math.inf
FIRST = slice(1)


def _monotone(
    x: Operand, function: Callable[[Tensor], Tensor], dims: Sequence[int] | None
) -> Action:
    """An operation whose every output is an order statistic of its block: monotone, and |f(x) -
    f(y)| <= max |x - y| within the block.  Then it is 1-Lipschitz in every p-norm (at most one
    output per block, or a rearrangement)."""
    lo = function(x.range.lo)
    hi = function(x.range.hi)
    image = Interval(lo, hi)
    gain = Gain(
        x.shape, image.shape, dict.fromkeys(Norm, Upper(1.0)), None if dims is None else tuple(dims)
    )
    return Action(((x, gain),), image)


def _with_positions(
    x: Operand,
    function: Callable[[Tensor], Tensor],
    dim: int,
    ranks: slice,
    descending: bool = False,
) -> list[Action]:
    """Entries by their rank along an axis, and their positions: a selection where the region leaves
    no doubt of them, else Gain(1) and a jump."""
    values = _monotone(x, function, (dim,))
    shape = values.image.shape
    places, settled = _ranked(x.range, dim, ranks, descending)
    if bool(settled.all()):
        pick = Incidence(lambda t: _gathered(t, dim, places).reshape(shape), x.shape, shape)
        values = Action(((x, Exact(pick)),), values.image)
    image = _positions(places, settled, _length(x.shape, dim), shape)
    return [values, _jump(x, image)]


def _jump(x: Operand, image: Interval) -> Action:
    """Positions, integers in an interval: constant where it is a point."""
    if bool((image.lo == image.hi).all()):
        return Action(((x, Exact(Zero(x.shape, image.shape))),), image)
    infinite = Gain(x.shape, image.shape, dict.fromkeys(Norm, INFINITE))
    return Action(((x, infinite),), image)


def position(x: Interval, dim: int, largest: bool) -> Interval:
    """Where the extreme entry along an axis stands, that axis kept."""
    places, settled = _ranked(x, dim, FIRST, largest)
    return _positions(places, settled, _length(x.shape, dim), places.shape)


def _positions(places: Tensor, settled: Tensor, size: int, shape: torch.Size) -> Interval:
    known = places.double()
    lo = torch.where(settled, known, 0.0)
    hi = torch.where(settled, known, float(max(size - 1, 0)))
    return Interval(lo.reshape(shape), hi.reshape(shape))


def _ranked(x: Interval, dim: int, ranks: slice, descending: bool) -> tuple[Tensor, Tensor]:
    """The positions of entries by rank along an axis, and whether they are the same for all values
    in the interval: every entry of lower rank is certainly below, of higher rank certainly
    above."""
    if not x.shape:
        nowhere = torch.zeros((), dtype=torch.long)
        return nowhere, nowhere == 0
    ends = -x if descending else x
    highs, places = ends.hi.sort(dim=dim, stable=True)
    lows = ends.lo.gather(dim, places)
    size = highs.shape[dim]
    infinite = torch.full_like(highs.narrow(dim, 0, min(size, 1)), INF)
    below = torch.cat([-infinite, highs], dim).narrow(dim, 0, size)
    least = lows.flip(dim).cummin(dim).values.flip(dim) if size else lows
    above = torch.cat([least, infinite], dim).narrow(dim, min(size, 1), size)
    settled = (below < lows) & (highs < above)
    index = torch.arange(size)[ranks]
    return places.index_select(dim, index), settled.index_select(dim, index)


def _gathered(t: Tensor, dim: int, places: Tensor) -> Tensor:
    return t.gather(dim, places) if t.dim() else t


def _length(shape: torch.Size, dim: int) -> int:
    return shape[dim] if shape else 1


@rule(aten.amax.default, Example(Variable(2, 3, 4), [1, 2], True), Example(Variable(2, 3)))
def amax(self: Operand, dim: list[int], keepdim: bool) -> Action:
    """Gain(1)."""
    return _monotone(self, lambda x: aten.amax.default(x, dim, keepdim), dim or None)


@rule(aten.amin.default, Example(Variable(2, 3, 4), [0], True))
def amin(self: Operand, dim: list[int], keepdim: bool) -> Action:
    """Gain(1)."""
    return _monotone(self, lambda x: aten.amin.default(x, dim, keepdim), dim or None)


@rule(aten.max.dim, Example(Variable(2, 3, 4), 1, True, pick=0))
def max_dim(self: Operand, dim: int, keepdim: bool) -> list[Action]:
    """Gain(1), the position jumps; a selection where the region settles it."""
    return _with_positions(self, lambda x: aten.max.dim(x, dim, keepdim)[0], dim, FIRST, True)


@rule(aten.min.dim, Example(Variable(2, 3, 4), 2, pick=0))
def min_dim(self: Operand, dim: int, keepdim: bool) -> list[Action]:
    """Gain(1), the position jumps; a selection where the region settles it."""
    return _with_positions(self, lambda x: aten.min.dim(x, dim, keepdim)[0], dim, FIRST)


@rule(aten.max.default, Example(Variable(2, 3)))
def max_all(self: Operand) -> Action:
    """Gain(1)."""
    return _monotone(self, aten.max.default, None)


@rule(aten.min.default, Example(Variable(2, 3)))
def min_all(self: Operand) -> Action:
    """Gain(1)."""
    return _monotone(self, aten.min.default, None)


def _sorted(x: Operand, dim: int, descending: bool) -> list[Action]:
    def function(t: Tensor) -> Tensor:
        return aten.sort.default(t, dim, descending)[0]

    return _with_positions(x, function, dim, slice(None), descending)


@rule(aten.sort.default, Example(Variable(2, 5), 1, True, pick=0))
def sort(self: Operand, dim: int, descending: bool) -> list[Action]:
    """Gain(1): sorting is non-expansive in every p-norm, the positions jump; a permutation where
    the region settles it."""
    return _sorted(self, dim, descending)


@rule(aten.sort.stable, Example(Variable(2, 5), stable=True, dim=0, descending=False, pick=0))
def sort_stable(self: Operand, stable: bool | None, dim: int, descending: bool) -> list[Action]:
    """Gain(1): sorting is non-expansive in every p-norm, the positions jump; a permutation where
    the region settles it."""
    return _sorted(self, dim, descending)


@rule(
    aten.topk.default,
    Example(Variable(2, 5), 3, 1, False, pick=0),
    Example(Variable(2, 5), 2, pick=0),
)
def topk(self: Operand, k: int, dim: int, largest: bool, sorted: bool) -> list[Action]:
    """Gain(1): some of the sorted values, the positions jump; a selection where the region settles
    it."""
    if not sorted:
        raise InputError(
            "topk(sorted=False) returns its values in no particular order: use sorted=True"
        )
    return _with_positions(
        self, lambda x: aten.topk.default(x, k, dim, largest, True)[0], dim, slice(k), largest
    )


@rule(aten.kthvalue.default, Example(Variable(2, 5), 2, 1, pick=0))
def kthvalue(self: Operand, k: int, dim: int, keepdim: bool) -> list[Action]:
    """Gain(1): one of the sorted values, the position jumps; a selection where the region settles
    it."""
    return _with_positions(
        self, lambda x: aten.kthvalue.default(x, k, dim, keepdim)[0], dim, slice(k - 1, k)
    )


@rule(aten.median.default, Example(Variable(2, 3)))
@rule(aten.nanmedian.default, Example(Variable(5)))
def median_all(self: Operand) -> Action:
    """Gain(1): one of the sorted values."""
    return _monotone(self, aten.median.default, None)


@rule(aten.median.dim, Example(Variable(2, 4), 1, True, pick=0))
@rule(aten.nanmedian.dim, Example(Variable(5, 2), 0, pick=0))
def median(self: Operand, dim: int, keepdim: bool) -> list[Action]:
    """Gain(1): one of the sorted values; the position jumps."""

    def values(x: Tensor) -> Tensor:
        return aten.median.dim(x.contiguous(), dim, keepdim)[0]  # wrong on expanded tensors

    middle = (_length(self.shape, dim) - 1) // 2
    return _with_positions(self, values, dim, slice(middle, middle + 1))


@rule(aten.cummax.default, Example(Variable(2, 5), 1, pick=0), Example(Variable(3, 2), 0, pick=0))
def cummax(self: Operand, dim: int) -> list[Action]:
    """Gain(l1: n, l2: sqrt(n), linf: 1): the largest so far; the position jumps."""
    return _so_far(self, aten.cummax.default, dim)


@rule(aten.cummin.default, Example(Variable(2, 5), -1, pick=0))
def cummin(self: Operand, dim: int) -> list[Action]:
    """Gain(l1: n, l2: sqrt(n), linf: 1): the smallest so far; the position jumps."""
    return _so_far(self, aten.cummin.default, dim)


def _so_far(x: Operand, function: Callable[..., tuple[Tensor, Tensor]], dim: int) -> list[Action]:
    lo, hi = (function(end, dim)[0] for end in (x.range.lo, x.range.hi))
    size = x.shape[dim] if x.dim else 1
    gain = Gain(x.shape, x.shape, prefix_gains(size), (dim,) if x.dim else None)
    places = Interval.uniform(0.0, max(size - 1, 0), x.shape)
    return [Action(((x, gain),), Interval(lo, hi)), _jump(x, places)]


def prefix_gains(size: int) -> dict[Norm, Upper]:
    """Of y_i with |dy_i| <= max_{j <= i} |dx_j|, i < n: one entry may move all of them as far.

    |dy_i| <= |dx|_p for each i, so that |dy|_p <= n^(1/p) |dx|_p.
    """
    count = Upper(float(size))
    return {Norm.L1: count, Norm.L2: count.sqrt(), Norm.LINF: ONE}


@rule(
    aten.maximum.default,
    Example(Variable(2, 3), Variable(2, 3)),
    Example(Variable(2, 3), ConstantTensor(2, 3)),
)
def maximum(self: Operand | Tensor, other: Operand | Tensor) -> Action | Pointwise:
    """Between(0, 1) towards each operand; against a constant, a kink there."""
    if isinstance(self, Operand) and isinstance(other, Operand):
        return _larger(self, other)
    return _against_constant(self, other, torch.maximum, (0.0, 1.0))


@rule(
    aten.minimum.default,
    Example(Variable(2, 3), Variable(2, 3)),
    Example(ConstantTensor(2, 3), Variable(2, 3)),
)
def minimum(self: Operand | Tensor, other: Operand | Tensor) -> Action | Pointwise:
    """Between(0, 1) towards each operand; against a constant, a kink there."""
    if isinstance(self, Operand) and isinstance(other, Operand):
        return _smaller(self, other)
    return _against_constant(self, other, torch.minimum, (1.0, 0.0))


def _larger(a: Operand, b: Operand) -> Action:
    """max(a, b) = b + relu(a - b): the slopes are s and 1 - s, s in [0, 1]; fixed where the ranges
    are apart."""
    image = Interval(torch.maximum(a.range.lo, b.range.lo), torch.maximum(a.range.hi, b.range.hi))
    return Action(
        _shares(a, b, first=a.range.lo >= b.range.hi, second=b.range.lo >= a.range.hi), image
    )


def _smaller(a: Operand, b: Operand) -> Action:
    image = Interval(torch.minimum(a.range.lo, b.range.lo), torch.minimum(a.range.hi, b.range.hi))
    return Action(
        _shares(a, b, first=a.range.hi <= b.range.lo, second=b.range.hi <= a.range.lo), image
    )


def _shares(
    a: Operand, b: Operand, first: Tensor, second: Tensor
) -> tuple[tuple[Operand, Between], ...]:
    second = second & ~first
    return (
        (a, Between(first.double(), (~second).double())),
        (b, Between(second.double(), (~first).double())),
    )


def _against_constant(
    self: Operand | Tensor,
    other: Operand | Tensor,
    function: Callable[..., Tensor],
    sides: tuple[float, float],
) -> Pointwise | Action:
    operand, constant = (self, other) if isinstance(self, Operand) else (other, self)
    assert isinstance(operand, Operand) and isinstance(constant, Tensor)
    exact = constant.double()
    level = exact.expand(operand.shape)
    rising = sides == (0.0, 1.0)
    return Pointwise(
        operand,
        value=lambda x: function(x, level),
        derivative=lambda x: ((x > level) if rising else (x < level)).double(),
        value_limits=(level, INF) if rising else (-INF, level),
        slope_limits=sides,
        slope_turns=(Turn(level, *sides),),
        error=0.0,
    )


@rule(
    aten.linalg_vector_norm.default,
    Example(Variable(2, 3, 4), 2, [1], True),
    Example(Variable(2, 3), 1, [0, 1]),
    Example(Variable(2, 3), math.inf, [1]),
)
def linalg_vector_norm(
    self: Operand, ord: float, dim: list[int] | None, keepdim: bool, dtype: torch.dtype | None
) -> Action:
    """Gain(l_r -> |.|: the constant of norm equivalence n^max(0, 1/ord - 1/r), per block)."""
    axes = list(range(self.dim)) if dim is None else dim
    size = math.prod(self.shape[axis] for axis in axes)
    norms = {norm: _equivalence(norm.p, float(ord), size) for norm in Norm}
    return _norm_action(
        self, lambda x: aten.linalg_vector_norm.default(x, ord, dim, keepdim), norms, axes, size
    )


def _equivalence(r: float, p: float, size: int) -> Upper:
    """||x||_p <= size^max(0, 1/p - 1/r) ||x||_r, for p >= 1; below 1 there is no Lipschitz
    constant."""
    if p < 1:
        return Upper(INF)
    if p >= r:
        return ONE
    exponent = round_up(1 / p) - 1 / r  # r is 1, 2 or infinite: nothing else is rounded, for p < r
    return Upper(size**exponent * (1 + 2**-50))  # a power is right to one unit in the last place


def _norm_action(
    x: Operand,
    function: Callable[[Tensor], Tensor],
    norms: dict[Norm, Upper],
    axes: list[int],
    size: int,
) -> Action:
    image = Interval(function(_distance_to_zero(x.range)), function(x.range.magnitude())).widen(
        relative=sum_error(size + 8, 1.0)
    )
    image = Interval(image.lo.clamp(min=0.0), image.hi.nan_to_num(nan=INF, posinf=INF))
    return Action(((x, Gain(x.shape, image.shape, norms, tuple(axes))),), image)


@rule(
    aten.hypot.default,
    Example(Variable(2, 3), Variable(2, 3)),
    Example(ConstantTensor(2, 3), Variable(2, 3)),
)
def hypot(self: Operand | Tensor, other: Operand | Tensor) -> Action:
    """Between(-1, 1) towards each operand: the gradient of the modulus r is (x / r, y / r)."""
    ranges = [
        x.range if isinstance(x, Operand) else Interval(x.double(), x.double())
        for x in (self, other)
    ]
    sizes = [_distance_to_zero(x) for x in ranges]
    least = torch.hypot(*sizes)
    image = Interval(least, torch.hypot(ranges[0].magnitude(), ranges[1].magnitude())).widen(
        relative=sum_error(4, 1.0)
    )
    towards = [
        (x, _share(span, least))
        for x, span in zip((self, other), ranges, strict=True)
        if isinstance(x, Operand)
    ]
    return Action(tuple(towards), Interval(image.lo.clamp(min=0.0), image.hi))


def _distance_to_zero(x: Interval) -> Tensor:
    return torch.where(
        (x.lo <= 0) & (x.hi >= 0), torch.zeros_like(x.lo), torch.minimum(x.lo.abs(), x.hi.abs())
    )


def _share(x: Interval, least: Tensor) -> Between:
    """The range of x / r for r >= least, within [-1, 1]; `least` and the quotient err by 3 u."""
    hi = raised(x.hi.clamp(min=0.0) / least, 3).nan_to_num(nan=1.0).clamp(max=1.0)
    lo = raised(x.lo.clamp(max=0.0) / least, 3).nan_to_num(nan=-1.0).clamp(min=-1.0)
    return Between(lo, hi)
