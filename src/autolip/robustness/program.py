"""What a program in floating point may make of a network: how far from its real function.

Write v for a value of the real function and v' for what the program computes.  If the operands are
off by e_i, then the operation applied to them is off by |M_i| e_i, M_i in the slope sets on ranges
widened by e_i; and its own rounding adds to that (N. J. Higham, Accuracy and Stability of Numerical
Algorithms, 2002, chapter 3), u being the unit roundoff of the program's type:

    moving and choosing numbers       0
    sums of n products                gamma_n (|A| |v'| + |b|)
    one operation                     a few u |result|
    elementary functions              `ELEMENTARY` u (|result| + |operand| + 1)
    softmax of n numbers              (n + 2 width + `ELEMENTARY`) u

An output is off by sum_k J_k e_k, e_k being what operation k loses itself and J_k a product of
such M, summed over paths: the rows of J_k are bounded backwards (`autolip.robustness.pulls`).

Assumed, since no standard says it: that the program makes the captured calls in its type, products
and sums in some order (no Winograd or Fourier convolutions, no TF32), and elementary functions as
exactly as the table has it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.errors import Refusal
from autolip.graph.graph import Graph, Node
from autolip.intervals import Interval
from autolip.operators.norms.rounding import upper_product, upper_sum
from autolip.operators.operator import Operator
from autolip.robustness.pulls import Gains, Pull, pulled
from autolip.roundoff import Arithmetic, raised
from autolip.rules.propagate import checked_action, outcome_of, values_at
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import INFINITE, ZERO, Upper

aten = torch.ops.aten

CONSTANTS = 3
"""Proved: more roundings than a bias, and numbers that are rounded to the program's type, add to a
sum of products."""

ELEMENTARY = 16.0
"""Assumed: units that elementary functions and activations made of a few of them lose."""

FIRST_ORDER = 0.01
"""Proved: relative error up to which terms of second order are less than those of first order."""

SUMS = frozenset(
    {
        aten.linear, aten.addmm, aten.mm, aten.matmul, aten.bmm, aten.mv,
        aten.convolution, aten.conv1d, aten.conv2d, aten.conv3d,
        aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d,
        aten.add, aten.sub, aten.rsub, aten.mul, aten.div, aten.neg, aten.sum, aten.mean,
        aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d,
        aten.adaptive_avg_pool1d, aten.adaptive_avg_pool2d, aten.adaptive_avg_pool3d,
        aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d, aten.negative, aten.subtract,
        aten.multiply, aten.divide, aten.true_divide,
    }
)  # fmt: skip
"""Affine operations whose every result is a sum of products."""

CHOOSING = frozenset(
    {
        aten.relu, aten.relu6, aten.abs, aten.maximum, aten.minimum, aten.amax, aten.amin, aten.max,
        aten.min, aten.max_pool1d, aten.max_pool2d, aten.max_pool3d,
        aten.max_pool1d_with_indices, aten.max_pool2d_with_indices, aten.max_pool3d_with_indices,
        aten.adaptive_max_pool1d, aten.adaptive_max_pool2d, aten.adaptive_max_pool3d, aten.sort,
    }
)  # fmt: skip
"""Operations that are not affine, each of whose results is, up to its sign, a number that was there
before."""

JOINING = frozenset({aten.cat, aten.concat, aten.stack})
"""Operations that copy their operands, numbers that vary and stored ones."""

PRODUCTS = frozenset({aten.matmul, aten.mm, aten.bmm})
"""Matrix products, where both factors vary."""

ROUNDED = frozenset(
    {
        aten.leaky_relu, aten.prelu, aten.mul, aten.div, aten.square, aten.sqrt, aten.reciprocal,
        aten.clamp, aten.clamp_min, aten.clamp_max, aten.hardtanh, aten.threshold,
    }
)  # fmt: skip
"""Operations that are one or two of floating point's own."""

FUNCTIONS = frozenset(
    {
        aten.tanh, aten.sigmoid, aten.silu, aten.gelu, aten.elu, aten.selu, aten.celu,
        aten.softplus, aten.mish, aten.erf, aten.hardsigmoid, aten.hardswish, aten.log_sigmoid,
        aten.exp, aten.expm1, aten.log, aten.log1p, aten.sin, aten.cos, aten.atan,
    }
)  # fmt: skip
"""Elementary functions, and activations made of them without cancellation beyond the table."""


@dataclass(frozen=True)
class Near:
    """Inputs within an l2 distance of a centre c: row by row |A| |v| is at most |A| |v(c)| and
    |A|_2 |v - v(c)|_2, where entry by entry all of the distance would count for each."""

    there: Mapping[str, Tensor]
    """At least |v(c)|, of every value."""
    moved: Mapping[str, Upper]
    """At least |v(x) - v(c)|_2."""
    gains: Gains

    @classmethod
    def of(
        cls, graph: Graph, centre: Float[Tensor, "*shape"], reach: Upper, gains: Gains
    ) -> "Near":
        """From the distance of the input, operation by operation."""
        there = {name: value.magnitude() for name, value in values_at(graph, centre).items()}
        moved = {graph.input: reach}
        for node in graph:
            parts = [gains.towards(node.name, name) * moved[name] for name in node.operands()]
            moved[node.name] = sum(parts, ZERO)
        return cls(there, moved, gains)

    def sizes(self, node: Node, operand: str, majorant: Operator, error: Tensor) -> Tensor:
        """At least |A| |v'|, A being what the node makes of an operand v' that is off by an
        error."""
        around = upper_sum([self.there[operand], error])
        moved = self.gains.towards(node.name, operand) * self.moved[operand]
        there = upper_product(majorant, around.contiguous().unsqueeze(0))[0]
        return upper_sum([there, torch.full_like(there, moved.value)])


Errors = Mapping[str, Tensor]
"""At least what every value of the program is off by."""


@dataclass(frozen=True)
class Executed:
    """One operation of the program: the slopes towards what it reads, on ranges that hold for its
    operands as they are computed, and what it loses itself."""

    node: Node
    slopes: tuple[tuple[Operand, Slope], ...]
    own: Float[Tensor, "*shape"]


def program_error(
    graph: Graph,
    ranges: Mapping[str, Interval],
    dtype: torch.dtype,
    rows: Float[Tensor, "k out"],
    near: Near | None = None,
) -> Float[Tensor, " k"] | Refusal:
    """At least |<row, f'(x) - f(x)>| for every row and every x of the region on which these ranges
    hold.

    x is a number of the program's type, and `near` what is known of such x.  Refused where an
    operation's rounding is not known.
    """
    executed = _executed(graph, ranges, dtype, near)
    if isinstance(executed, Refusal):
        return executed
    exact = rows.reshape(len(rows), *graph.output_shape)
    entries = {graph.output: Interval(exact, exact)}
    none = torch.zeros(len(rows), dtype=torch.float64)
    lengths = {graph.output: torch.full_like(none, math.inf)}
    losses = [none]
    for one in reversed(executed):
        name = one.node.name
        if name not in entries:
            continue
        pull = Pull.of(entries.pop(name), lengths.pop(name))
        losses.append(pull.worth(one.own))
        for operand, slope in one.slopes:
            part = pulled(slope, pull.entries)
            if part is None:
                return _unknown(one.node)
            known = entries.get(operand.name)
            entries[operand.name] = part if known is None else known + part
        for source in {operand.name for operand, _ in one.slopes}:
            gain = INFINITE if near is None else near.gains.towards(name, source)
            lengths[source] = upper_sum([lengths.get(source, none), pull.lengthened(gain)])
    return upper_sum(losses).nan_to_num(math.inf, math.inf)


def _executed(
    graph: Graph, ranges: Mapping[str, Interval], dtype: torch.dtype, near: Near | None
) -> list[Executed] | Refusal:
    """Every operation in turn, its operands' ranges widened by what they may be off by."""
    arithmetic = Arithmetic.of(dtype)
    errors = {graph.input: torch.zeros(graph.input_shape, dtype=torch.float64)}
    found = list[Executed]()
    for node in graph:
        if not _is_stored(node, dtype):
            return Refusal(
                f"a constant of {node.target} at {node.place} is no {_short(dtype)}: how the "
                "program makes it is not known"
            )
        operands = {name: _computed(name, ranges[name], errors[name]) for name in node.operands()}
        action = checked_action(node, outcome_of(node, operands))
        passed = [_moved(slope, errors[operand.name]) for operand, slope in action.slopes]
        own = _own_rounding(node, action, arithmetic, near, errors)
        if own is None or any(part is None for part in passed):
            return _unknown(node)
        parts = [own, *(part for part in passed if part is not None)]
        errors[node.name] = upper_sum([part.expand(node.shape) for part in parts])
        found.append(Executed(node, action.slopes, own.expand(node.shape)))
    return found


def _unknown(node: Node) -> Refusal:
    return Refusal(f"the rounding of {node.target} at {node.place} is not known")


def _computed(name: str, known: Interval, error: Tensor) -> Operand:
    """What the program may have for a value: what is off by 0 is what it is."""
    off = torch.where(error.isfinite(), error, math.inf)
    wide = Interval(known.lo - off, known.hi + off).widen()
    is_exact = off == 0
    lo = torch.where(is_exact, known.lo, wide.lo)
    hi = torch.where(is_exact, known.hi, wide.hi)
    return Operand(name, known.shape, Interval(lo, hi))


def _is_stored(node: Node, dtype: torch.dtype) -> bool:
    """Whether every constant tensor is one of the program's type."""
    tensors = [leaf for leaf in pytree.tree_leaves((node.args, node.kwargs)) if _is_real(leaf)]
    return all(torch.equal(tensor.to(dtype).to(tensor.dtype), tensor) for tensor in tensors)


def _is_real(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim() > 0


def _moved(slope: Slope, error: Tensor) -> Tensor | None:
    """At least |M| e for every M of a slope set; None where that is not known."""
    match slope:
        case Exact():
            majorant = slope.operator.majorant()
            return None if majorant is None else upper_product(majorant, error.unsqueeze(0))[0]
        case Between():
            product = slope.steepest.abs() * error
            return raised(torch.where(error == 0, 0.0, product), 1)
        case Gain():
            return _gained(slope, error)
        case _:
            assert_never(slope)


def _gained(slope: Gain, error: Tensor) -> Tensor:
    """The norm of the errors times the gain: no entry is off by more."""
    if not bool(error.any()):
        return torch.zeros(slope.out_shape, dtype=torch.float64)
    lengths = {norm: float(norm.of_rows(error.unsqueeze(0))) for norm in slope.norms}
    whole = [
        gain.value * raised(lengths[norm], error.numel() + 1) for norm, gain in slope.norms.items()
    ]
    least = min(whole, default=math.inf)
    return torch.full(slope.out_shape, raised(least, 2), dtype=torch.float64)


# What an operation itself loses


def _own_rounding(
    node: Node, action: Action, arithmetic: Arithmetic, near: Near | None, errors: Errors
) -> Tensor | None:
    """At least what the operation loses, on the operands that the program has."""
    kind = getattr(node.target, "overloadpacket", node.target)
    if kind in MODELS:
        return MODELS[kind](node, action, arithmetic)
    parts = _linear_parts(action)
    if kind in CHOOSING | JOINING or (parts is not None and _only_moves(parts, action.image)):
        return torch.zeros(node.shape, dtype=torch.float64)
    if parts is not None:
        return _of_sums(node, parts, arithmetic, near, errors) if kind in SUMS else None
    if kind in PRODUCTS:
        return _of_products(node, action, arithmetic)
    size = action.image.magnitude()
    if kind in ROUNDED:
        return arithmetic.sums(CONSTANTS, size)
    if kind in FUNCTIONS:
        operand = action.slopes[0][0].range.magnitude()
        return arithmetic.sums(int(ELEMENTARY), upper_sum([size, operand, torch.ones_like(size)]))
    return None


Parts = list[tuple[Operand, Operator]]


def _linear_parts(action: Action) -> Parts | None:
    """The linear maps of an affine operation; None where it is not affine."""
    parts: Parts = []
    for operand, slope in action.slopes:
        match slope:
            case Exact():
                parts.append((operand, slope.operator))
            case Between() | Gain():
                return None
            case _:
                assert_never(slope)
    return parts


def _only_moves(parts: Parts, image: Interval) -> bool:
    """Whether every result is one number that was there before: what is copied from the ends of the
    ranges are the ends of the image."""
    counts = torch.zeros(image.shape, dtype=torch.float64)
    lo, hi = torch.zeros_like(counts), torch.zeros_like(counts)
    for operand, operator in parts:
        if not (operator.is_wiring or operator.is_isometry):
            return False
        counts += operator.out_counts if operator.is_wiring else 1.0
        ends = torch.stack([operand.range.lo, operand.range.hi])
        copied = operator.mv(ends).sort(0).values
        lo, hi = lo + copied[0], hi + copied[1]
    return bool((counts <= 1).all()) and torch.equal(lo, image.lo) and torch.equal(hi, image.hi)


def _of_sums(
    node: Node, parts: Parts, arithmetic: Arithmetic, near: Near | None, errors: Errors
) -> Tensor | None:
    """gamma_n (|A| |v| + |b|), b being the value at 0; n counts no operands that are 0 whatever the
    input: their products are 0, and to add 0 is exact."""
    zeros = {operand.name: _zero(operand) for operand, _ in parts}
    offset = checked_action(node, outcome_of(node, zeros)).image.magnitude()
    sizes, terms = [offset.expand(node.shape)], CONSTANTS
    for operand, operator in parts:
        majorant = operator.majorant()
        if majorant is None:
            return None
        magnitude = operand.range.magnitude().contiguous()
        size = upper_product(majorant, magnitude.unsqueeze(0))[0]
        if near is not None:
            nearer = near.sizes(node, operand.name, majorant, errors[operand.name])
            size = torch.fmin(size, nearer)
        sizes.append(size)
        terms += min(operator.terms, int((magnitude > 0).sum()))
    return arithmetic.sums(terms, upper_sum(sizes))


def _of_products(node: Node, action: Action, arithmetic: Arithmetic) -> Tensor:
    """gamma_n |A| |B|, both factors varying."""
    sizes = {operand.name: operand.range.magnitude() for operand, _ in action.slopes}
    terms = action.slopes[0][0].shape[-1]
    products = raised(node.call(sizes.__getitem__), terms + 1)
    return arithmetic.sums(terms, products)


def _zero(operand: Operand) -> Operand:
    zero = torch.zeros(operand.shape, dtype=torch.float64)
    return Operand(operand.name, operand.shape, Interval(zero, zero))


def _batch_norm(node: Node, action: Action, arithmetic: Arithmetic) -> Tensor | None:
    """(x - m) w / sqrt(v + eps) + b in any of the usual orders: eight operations on |x| |w / s|,
    |m| |w / s| and |b|."""
    weight, bias, mean, variance = node.args[1:5]
    eps = float(node.args[-1] if len(node.args) < 9 else node.args[7])
    scale = raised((variance + eps).rsqrt(), 8)
    scale = scale if weight is None else raised(scale * weight.abs(), 1)
    column = (-1, *[1] * (len(node.shape) - 2))
    magnitude = action.slopes[0][0].range.magnitude()
    moved = (magnitude + mean.abs().reshape(column)) * scale.reshape(column)
    rest = torch.zeros((), dtype=torch.float64) if bias is None else bias.abs().reshape(column)
    return arithmetic.sums(8 + CONSTANTS, raised(moved + rest, 3))


def _softmax(node: Node, action: Action, arithmetic: Arithmetic) -> Tensor | None:
    """exp(x - max) / sum: relatively, twice what x - max loses and a sum of n."""
    operand = action.slopes[0][0]
    dim = node.args[1]
    width = operand.range.hi.amax(dim, keepdim=True) - operand.range.lo.amin(dim, keepdim=True)
    units = operand.shape[dim] + 2 * width.clamp(min=0.0) + ELEMENTARY
    lost = raised(units, 4) * (2 * arithmetic.unit)
    return torch.where(lost < FIRST_ORDER, lost, math.inf).expand(node.shape)


Model = Callable[[Node, Action, Arithmetic], Tensor | None]

MODELS: dict[Any, Model] = {
    aten.batch_norm: _batch_norm,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _batch_norm,
    aten.softmax: _softmax,
    aten._softmax: _softmax,
}
"""Operations with an analysis of their own."""


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
