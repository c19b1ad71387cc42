"""Softmax and its logarithms."""

import math

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.rules.ordering import prefix_gains
from autolip.rules.rule import Action, Affine, Example, Operand, Variable, rule
from autolip.slopes import Gain
from autolip.values import Upper, round_up

aten = torch.ops.aten
SLACK = 2.0**-44
"""Assumed: relative error allowed for exp, log and sums of float64 here (thousands of terms, a few
ulps each)."""


@rule(
    aten.softmax.int,
    Example(Variable(2, 5), -1),
    Example(Variable(3, 2, lo=-9.0, hi=9.0), 0),
    Example(Variable(3, 1), 1),
)
def softmax(self: Operand, dim: int, dtype: torch.dtype | None) -> Action | Affine:
    """Gain(1/2) in l1, l2, linf; on a region max 2 p (1 - p)."""
    return _softmax(self, dim)


@rule(aten._softmax.default, Example(Variable(2, 5), 1, False))
def _softmax_default(self: Operand, dim: int, half_to_float: bool) -> Action | Affine:
    """Gain(1/2) in l1, l2, linf; on a region max 2 p (1 - p)."""
    return _softmax(self, dim)


@rule(aten._safe_softmax.default, Example(Variable(2, 5), 1))
def _safe_softmax(self: Operand, dim: int, dtype: torch.dtype | None) -> Action | Affine:
    """Gain(1/2) in l1, l2, linf; on a region max 2 p (1 - p)."""
    return _softmax(self, dim)


def _softmax(x: Operand, dim: int) -> Action | Affine:
    """J = diag(p) - p p^T is symmetric with absolute row sums 2 p_i (1 - p_i), so every p -> p norm
    is at most the largest of these (Schur for l2); p (1 - p) is largest at the point of its range
    nearest to 1/2.  Of one entry it is 1, unless that is minus infinity."""
    if _count(x, dim) == 1 and bool((x.range.hi > -math.inf).all()):
        return Affine((), 1.0)
    image = softmax_range(x.range, dim)
    nearest = image.hi.clamp(max=0.5).maximum(image.lo)
    largest = (2 * nearest * (1 - nearest)).max().item() if x.shape.numel() else 0.0
    gain = Upper(min(0.5, round_up(largest * (1 + SLACK))))
    return Action(((x, Gain(x.shape, x.shape, dict.fromkeys(Norm, gain), (dim,))),), image)


def softmax_range(x: Interval, dim: int) -> Interval:
    """The extreme of p_i is at one end of x_i and the opposite end of every other entry; entries
    may be minus infinity."""
    if not bool((x.ends()[1] < math.inf).all()):
        return Interval.uniform(0.0, 1.0, x.shape)
    lo = 1 / (1 + _others(x.hi, dim, 1) * torch.exp(_top(x.hi, dim) - x.lo))
    hi = 1 / (1 + _others(x.lo, dim, -1) * torch.exp(_top(x.lo, dim) - x.hi))
    lo = lo.nan_to_num(nan=0.0)
    hi = hi.nan_to_num(nan=1.0)
    return Interval((lo * (1 - SLACK)).clamp(min=0.0), (hi * (1 + SLACK) + 1e-300).clamp(max=1.0))


def _top(x: Tensor, dim: int) -> Tensor:
    return x.amax(dim, keepdim=True)


def _others(x: Tensor, dim: int, direction: int) -> Tensor:
    """sum_{j != i} exp(x_j - top), rounded up or down."""
    weights = torch.exp(x - _top(x, dim))
    total = weights.sum(dim, keepdim=True)
    return (total - weights + direction * SLACK * total).clamp(min=0.0)


def _count(x: Operand, dim: int) -> int:
    """How many entries compete."""
    return x.shape[dim] if x.dim else 1


@rule(
    aten.log_softmax.int,
    Example(Variable(2, 5), -1),
    Example(Variable(4, 2), 0),
    Example(Variable(3, 1), 1),
)
def log_softmax(self: Operand, dim: int, dtype: torch.dtype | None) -> Action | Affine:
    """Gain(l1: n - 1 (at least 1), l2: sqrt(n), linf: 2)."""
    return _log_softmax(self, dim)


@rule(aten._log_softmax.default, Example(Variable(2, 5), 1, False))
def _log_softmax_default(self: Operand, dim: int, half_to_float: bool) -> Action | Affine:
    """Gain(l1: n - 1 (at least 1), l2: sqrt(n), linf: 2)."""
    return _log_softmax(self, dim)


def _log_softmax(x: Operand, dim: int) -> Action | Affine:
    """J = I - 1 p^T: column sums 1 + (n - 2) p_j, row sums 2 (1 - p_i); an oblique projection, so
    its l2 norm is that of 1 p^T, sqrt(n) ||p||_2 (n > 1).  Of one entry it is 0, unless that is
    minus infinity."""
    n = _count(x, dim)
    if n == 1 and bool((x.range.hi > -math.inf).all()):
        return Affine((), 0.0)
    p = softmax_range(x.range, dim)
    largest = (
        min(1.0, torch.linalg.vector_norm(p.hi, dim=dim).max().item() * (1 + SLACK))
        if x.shape.numel()
        else 0.0
    )
    norms = {
        Norm.L1: Upper(float(max(n - 1, 1))),
        Norm.L2: Upper(round_up(math.sqrt(n) * largest * (1 + SLACK))),
        Norm.LINF: Upper(2.0),
    }
    return Action(((x, Gain(x.shape, x.shape, norms, (dim,))),), _log_softmax_range(x.range, dim))


def _log_softmax_range(x: Interval, dim: int) -> Interval:
    if not x.is_bounded:
        return Interval.uniform(-math.inf, 0.0, x.shape)
    span = (x.hi.abs().amax() + x.lo.abs().amax() + 1).item() * SLACK
    lo = x.lo - torch.logsumexp(x.hi, dim, keepdim=True) - span
    hi = (x.hi - torch.logsumexp(x.lo, dim, keepdim=True) + span).clamp(max=0.0)
    return Interval(lo, hi)


@rule(
    aten.logsumexp.default,
    Example(Variable(2, 3, 4), [1], True),
    Example(Variable(2, 3), [0, 1]),
)
def logsumexp(self: Operand, dim: list[int], keepdim: bool) -> Action:
    """Gain(1) in l1, l2, linf: the gradient is a probability vector."""
    span = 0.0
    if self.range.is_bounded:
        span = (
            self.range.magnitude().amax() + math.log(max(self.shape.numel(), 1)) + 1
        ).item() * SLACK
    lo = aten.logsumexp.default(self.range.lo, dim, keepdim) - span
    hi = aten.logsumexp.default(self.range.hi, dim, keepdim) + span
    image = Interval(
        lo.nan_to_num(nan=-math.inf, neginf=-math.inf, posinf=math.inf), hi.nan_to_num(nan=math.inf)
    )
    gain = Gain(self.shape, image.shape, dict.fromkeys(Norm, Upper(1.0)), tuple(dim))
    return Action(((self, gain),), image)


@rule(aten.logcumsumexp.default, Example(Variable(2, 5), 1), Example(Variable(3, 2), 0))
def logcumsumexp(self: Operand, dim: int) -> Action:
    """Gain(l1: n, l2: sqrt(n), linf: 1): each gradient is a probability vector on the entries so
    far."""
    span = 0.0
    if self.range.is_bounded and self.shape.numel():
        size = self.range.magnitude().amax() + math.log(self.shape.numel()) + 1
        span = size.item() * self.shape.numel() * SLACK
    lo, hi = (aten.logcumsumexp.default(end, dim) for end in (self.range.lo, self.range.hi))
    image = Interval(
        (lo - span).nan_to_num(nan=-math.inf, neginf=-math.inf, posinf=math.inf),
        (hi + span).nan_to_num(nan=math.inf, neginf=-math.inf, posinf=math.inf),
    )
    count = self.shape[dim] if self.dim else 1
    gain = Gain(self.shape, self.shape, prefix_gains(count), (dim,) if self.dim else None)
    return Action(((self, gain),), image)
