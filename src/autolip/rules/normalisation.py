"""Normalisation: by stored statistics a diagonal map; by the input's own statistics a gain, sharper
on a region.

Block by block of n entries, y = w (x - m) / s + b with s^2 = v + eps, m the mean and v the variance
(or, without centring, m = 0 and v the mean square).  With t = v / s^2 < 1 and u = (x - m) / s, sum
u^2 = n t, the derivative is

    J = (I - 1 1^T / n - u u^T / n) / s          (without centring the second term is missing).

* l2: J s is symmetric with eigenvalues 1, 0 (on the constants, if centred) and 1 - t (along u): at
  most 1.
* l1 and linf (J is symmetric): the absolute sum of row i, with a = u_i^2 <= n - 1 if centred and
  sum_j u_j = 0, is by the inequality of Cauchy and Schwarz over j != i at most
      (n - 1 - a + sqrt((n - 1) (n - 1 - a) (1 + a))) / n <= (1 + sqrt(n)) / 2,  and 2 - 2/n (a = 0)
      where n <= 4.
  Without centring it is 1 - a/n + sqrt(a (n - 1) (n t - a)) / n <= 1 + t (sqrt(n) - 1) / 2 <= (1 +
  sqrt(n)) / 2.

A secant is the mean of J along a segment, so a gain at the least s of a convex region holds for it;
and globally s >= sqrt(eps).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.diagonal import Diagonal
from autolip.operators.image import image
from autolip.operators.operator import DTYPE
from autolip.roundoff import TINY, lowered, raised, relative_error, sum_error
from autolip.rules.linear import shifted
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, require_constant, rule
from autolip.slopes import Exact, Gain
from autolip.values import Upper, round_up

aten = torch.ops.aten

SLACK = 2.0**-48
"""Proved: more than the relative error of a dozen float64 operations, 12 units of 2^-53."""

# By stored statistics
# -------------------------------------------------------------------------------------------


def by_statistics(
    x: Operand,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
) -> Action:
    """Exact: w / sqrt(var + eps) for each channel (axis 1)."""
    require_constant(weight=weight, bias=bias, running_mean=mean, running_var=variance)
    if not bool((variance + eps > 0).all()):
        raise InputError(
            "a running variance plus eps is not positive: the stored statistics are damaged"
        )
    weight = torch.ones_like(variance) if weight is None else weight
    scale = weight / torch.sqrt(variance + eps)
    if not bool((scale.isfinite() & ((scale.abs() >= TINY) | (weight == 0))).all()):
        raise InputError(
            "a weight over its standard deviation is beyond the range of float64: rescale the layer"
        )
    error = relative_error(3)  # of the sum, halved by the root, of the root and of the quotient
    columns = [1] * (x.dim - 2)
    along_channels = scale.reshape(-1, *columns)
    diagonal = Diagonal(along_channels, x.shape, error)
    factor = Interval(scale, scale).widen(relative=error)
    negative = -Interval(mean, mean) * factor
    offset = negative if bias is None else negative + Interval(bias, bias)
    spread = Interval(
        *(end.reshape(-1, *columns).expand(x.shape) for end in (offset.lo, offset.hi))
    )
    return Action(((x, Exact(diagonal)),), shifted(image(diagonal, x.range), spread))


C = Constant(3)
POSITIVE = Constant(3, positive=True)


@rule(
    aten._native_batch_norm_legit_no_training.default,
    Example(Variable(2, 3, 4, 2), C, C, C, POSITIVE, 0.1, 1e-3, pick=0),
    Example(Variable(2, 3), None, None, C, POSITIVE, 0.1, 1e-5, pick=0),
)
def batch_norm_without_training(
    input: Operand,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> Action:
    """Exact: weight / sqrt(running variance + eps) for each channel."""
    return by_statistics(input, weight, bias, running_mean, running_var, eps)


@rule(
    aten.batch_norm.default,
    Example(Variable(2, 3, 4), C, None, C, POSITIVE, False, 0.1, 1e-3, True),
)
def batch_norm(
    input: Operand,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Action:
    """Exact: weight / sqrt(running variance + eps) for each channel."""
    if training or running_mean is None or running_var is None:
        raise InputError(
            "batch norm by the statistics of the batch couples the samples: call "
            "model.eval(), with "
            "track_running_stats=True"
        )
    return by_statistics(input, weight, bias, running_mean, running_var, eps)


# By the input's own statistics
# ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blocks:
    """How a tensor falls into blocks that are normalised apart: `rows(t)` is (blocks, n); each lies
    along `dims`."""

    shape: torch.Size
    count: int
    dims: tuple[int, ...]
    centred: bool
    eps: float

    @property
    def size(self) -> int:
        return self.shape.numel() // max(self.count, 1)

    def rows(self, t: Tensor) -> Float[Tensor, "blocks n"]:
        return t.expand(self.shape).reshape(self.count, self.size)


def by_itself(x: Operand, blocks: Blocks, weight: Tensor | None, bias: Tensor | None) -> Action:
    """Gain(l2: max |w| / s, l1 and linf: (1 + sqrt(n)) / 2 times as much), s the least on the
    region; see above."""
    require_constant(weight=weight, bias=bias)
    lo = blocks.rows(x.range.lo)
    hi = blocks.rows(x.range.hi)
    values = Interval(lo, hi)
    least = least_spread(values, blocks.centred)
    largest_weight = (
        torch.ones((), dtype=DTYPE) if weight is None else blocks.rows(weight).abs().amax(1)
    )
    steepest = (
        _quotient_above(largest_weight, least, blocks.eps).max().item() if blocks.count else 0.0
    )
    norms = _norms(steepest, blocks)
    gain = Gain(x.shape, x.shape, norms, blocks.dims)
    unit = _image(values, least, blocks)
    lo = unit.lo.reshape(x.shape)
    hi = unit.hi.reshape(x.shape)
    result = Interval(lo, hi)
    if weight is not None:
        full = weight.expand(x.shape)
        result = result * Interval(full, full)
    if bias is not None:
        full = bias.expand(x.shape)
        result = result + Interval(full, full)
    return Action(((x, gain),), result)


def _norms(steepest: float, blocks: Blocks) -> dict[Norm, Upper]:
    """The gains for the least s: max |w| / s for l2; see the module's text for l1 and linf."""
    n = blocks.size
    if blocks.centred and n == 1:
        return dict.fromkeys(Norm, Upper(0.0))
    row = 2 - 2 / n if blocks.centred and n <= 4 else (1 + math.sqrt(n)) / 2
    entrywise = Upper(steepest) * Upper(round_up(round_up(row)))
    return {Norm.L1: entrywise, Norm.L2: Upper(steepest), Norm.LINF: entrywise}


def _quotient_above(w: Tensor, spread: Tensor, eps: float) -> Tensor:
    """w / sqrt(spread + eps), rounded up; 0 / 0 = 0, and nothing else is 0."""
    deviation = torch.sqrt(spread + eps)
    ratio = w / deviation
    quotient = ratio * (1 + SLACK) + TINY
    return torch.where(w == 0, 0.0, quotient.nan_to_num(nan=math.inf, posinf=math.inf))


def least_spread(x: Interval, centred: bool) -> Float[Tensor, " blocks"]:
    """A lower bound on the variance (on the mean square) over a box.

    The variance is min_c v(c; x), v the mean of (x_i - c)^2, so its minimum over the box is that of
    the mean of dist(c, [lo_i, hi_i])^2 over c.  This is convex, and its minimiser lies between min
    hi and max lo (if these cross, all intervals share a point and the minimum is 0), so at any c
    between them v(c) - |v'(c)| (max lo - min hi) is a lower bound; bisection makes v'(c) small.
    """
    if not centred:
        return _distances(x, torch.zeros(len(x.lo), dtype=DTYPE))[0]
    left = x.hi.amin(1)
    right = x.lo.amax(1)
    apart = left < right
    if not bool(apart.any()):
        return torch.zeros_like(left)
    first = torch.where(apart, left, 0.0)
    last = torch.where(apart, right, 0.0)
    low, high = first, last
    for _ in range(60):
        middle = low / 2 + high / 2
        falling = _distances(x, middle)[1] < 0
        low = torch.where(falling, middle, low)
        high = torch.where(falling, high, middle)
    value, slope, error = _distances(x, low)
    steepest = slope.abs() + error
    fall = steepest * (last - first)
    bound = value - fall * (1 + SLACK)
    return torch.where(apart, bound.nan_to_num(0.0, 0.0, 0.0).clamp(min=0), 0.0)


def _distances(x: Interval, c: Float[Tensor, " blocks"]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of dist(c, [lo_i, hi_i])^2 rounded down, its derivative, and the rounding error of
    that."""
    n = x.lo.shape[1]
    lower_gap = x.lo - c[:, None]
    below = lower_gap.clamp(min=0)
    upper_gap = c[:, None] - x.hi
    above = upper_gap.clamp(min=0)
    squares = below**2 + above**2
    mean = squares.sum(1) / n
    difference = above.sum(1) - below.sum(1)
    slope = difference * (2 / n)
    total = above.sum(1) + below.sum(1)
    size = total * (2 / n)
    least = lowered(mean, n + 7) - n * TINY
    return least.clamp(min=0, max=1e300), slope, sum_error(n + 8, size) + TINY


def greatest_spread(x: Interval, centred: bool) -> Float[Tensor, " blocks"]:
    """An upper bound on the variance (on the mean square): the mean of (x_i - c)^2 is one for every
    c."""
    centre = (
        (x.lo / 2 + x.hi / 2).mean(1, keepdim=True).nan_to_num(0.0, 0.0, 0.0) if centred else 0.0
    )
    to_lo = (x.lo - centre).abs()
    to_hi = (x.hi - centre).abs()
    far = torch.maximum(to_lo, to_hi)
    return raised((far**2).mean(1), x.lo.shape[1] + 7) + TINY


def _image(x: Interval, least: Tensor, blocks: Blocks) -> Interval:
    """u = d / s with d = x_i - m: s^2 >= max(least v, d^2 / (n - 1)) + eps, s^2 <= greatest v +
    eps."""
    n = blocks.size - 1 if blocks.centred else blocks.size
    if n == 0 or not x.lo.numel():
        return Interval.uniform(0.0, 0.0, x.shape)
    d = _deviations(x) if blocks.centred else x
    greatest = greatest_spread(x, blocks.centred)
    hi = _ratio(d.hi, least, greatest, blocks.eps, n)
    return Interval(-_ratio(-d.lo, least, greatest, blocks.eps, n), hi)


def _deviations(x: Interval) -> Interval:
    """The range of x_i - m: (1 - 1/n) x_i minus 1/n times the sum of the others."""
    n = x.lo.shape[1]
    sum_hi = x.hi.sum(1, keepdim=True)
    others_hi = sum_hi - x.hi
    sum_lo = x.lo.sum(1, keepdim=True)
    others_lo = sum_lo - x.lo
    lo = x.lo * (1 - 1 / n) - others_hi / n
    own_part = x.hi * (1 - 1 / n)
    hi = own_part - others_lo / n
    magnitude = x.magnitude()
    size = torch.where(magnitude.isfinite(), magnitude, 0.0)
    mean = size.sum(1, keepdim=True) / n
    slack = sum_error(n + 8, size + mean)
    lo = lo - slack
    hi = hi + slack
    return Interval(
        torch.where(lo.isnan(), -math.inf, lo), torch.where(hi.isnan(), math.inf, hi)
    ).widen()


def _ratio(d: Tensor, least: Tensor, greatest: Tensor, eps: float, n: int) -> Tensor:
    """An upper bound on d / s: increasing in d, so d is at its largest; at most sqrt(n)."""
    root = math.sqrt(n) * (1 + SLACK)
    own = d**2 / n * (1 - SLACK)
    larger = torch.maximum(least[:, None], own)
    smallest = larger + eps
    rising = (d / torch.sqrt(smallest)).nan_to_num(nan=root) * (1 + SLACK)
    bounded = rising.clamp(max=root)
    rising = torch.where(d > 1e150, root, bounded)
    above = greatest[:, None] + eps
    largest = torch.sqrt(above)
    falling = d / largest * (1 - SLACK)
    return torch.where(d > 0, rising, falling.nan_to_num(0.0, 0.0, 0.0).clamp(max=0.0))


@rule(
    aten.layer_norm.default,
    Example(Variable(2, 3, 4), [4], Constant(4), Constant(4), 1e-3),
    Example(Variable(2, 3, 4), [3, 4], None, None, 0.5),
    Example(Variable(2, 3), [3]),
    Example(Variable(3, 2), [2], Constant(2)),
    Example(Variable(3, 1), [1], Constant(1), Constant(1)),
)
def layer_norm(
    input: Operand,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    cudnn_enable: bool,
) -> Action:
    """Gain(l2: max |w| / s, l1 and linf: (1 + sqrt(n)) / 2 times that), s = sqrt(least variance +
    eps)."""
    return by_itself(input, _trailing(input, len(normalized_shape), True, eps), weight, bias)


@rule(
    aten.rms_norm.default,
    Example(Variable(2, 3, 4), [4], Constant(4), 1e-3),
    Example(Variable(2, 3, 4), [3, 4], None, 0.5),
    Example(Variable(3, 1), [1], Constant(1), 1e-5),
)
def rms_norm(
    input: Operand, normalized_shape: Sequence[int], weight: Tensor | None, eps: float | None
) -> Action:
    """Gain(l2: max |w| / s, l1 and linf: (1 + sqrt(n)) / 2 times that), s = sqrt(least mean square
    + eps)."""
    if eps is None:
        raise InputError("an RMS norm without eps depends on the precision it runs in: give eps")
    return by_itself(input, _trailing(input, len(normalized_shape), False, eps), weight, None)


def _trailing(x: Operand, axes: int, centred: bool, eps: float) -> Blocks:
    lead = x.dim - axes
    return Blocks(x.shape, math.prod(x.shape[:lead]), tuple(range(lead, x.dim)), centred, eps)


@rule(
    aten.group_norm.default,
    Example(Variable(2, 4, 3), 2, Constant(4), Constant(4), 1e-3),
    Example(Variable(2, 4), 2, None, None, 0.5),
    Example(Variable(2, 4, 2, 2), 1, Constant(4)),
)
def group_norm(
    input: Operand,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    cudnn_enabled: bool,
) -> Action:
    """Gain(l2: max |w| / s, l1 and linf: (1 + sqrt(n)) / 2 times that), s = sqrt(least variance +
    eps)."""
    count = input.shape[0] * num_groups
    dims = tuple(range(1, input.dim))
    blocks = Blocks(input.shape, count, dims, True, eps)
    return by_itself(input, blocks, _channelwise(weight, input), _channelwise(bias, input))


@rule(
    aten.instance_norm.default,
    Example(Variable(2, 3, 4), C, C, None, None, True, 0.1, 1e-3, True),
    Example(Variable(2, 3, 2, 2), None, None, C, POSITIVE, True, 0.1, 0.5, True),
    Example(Variable(2, 3, 4), C, C, C, POSITIVE, False, 0.1, 1e-3, True),
)
def instance_norm(
    input: Operand,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Action:
    """Gain as layer norm, for each channel of each sample; by stored statistics Exact, as batch
    norm."""
    if not use_input_stats and running_mean is not None and running_var is not None:
        return by_statistics(input, weight, bias, running_mean, running_var, eps)
    count = math.prod(input.shape[:2])
    dims = tuple(range(2, input.dim))
    blocks = Blocks(input.shape, count, dims, True, eps)
    return by_itself(input, blocks, _channelwise(weight, input), _channelwise(bias, input))


def _channelwise(parameter: Tensor | None, x: Operand) -> Tensor | None:
    require_constant(parameter=parameter)
    return None if parameter is None else parameter.reshape(-1, *[1] * (x.dim - 2))


__all__ = ["Blocks", "by_itself", "by_statistics", "greatest_spread", "least_spread"]
