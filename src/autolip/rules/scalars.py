"""Functions of one variable written in several operations, bounded as one function.

The slopes of the parts multiply and add to more than the whole has.  On a small piece of the
variable's range they hardly do: the range is cut into pieces, on each of which slopes are composed
(interval differentiation), and the secants of the whole are means of those of its pieces (R. E.
Moore, Interval Analysis, 1966).  That takes a continuous function: where a comparison of the
variable with a number chooses between branches, a piece ends, and both branches must have the same
value there, exactly.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between

aten = torch.ops.aten

GRID, LEAST = 2048, 32
"""Chosen: pieces of a range, and how many there are at least where there are many entries."""

FAR = 8.0
"""Chosen: where the unbounded pieces of an unbounded range begin."""

MOST = 2**21
"""Chosen: entries times pieces, at most."""

ActionOf = Callable[[Node, Mapping[str, Operand]], Action]
"""What an operation does, given its operands."""

COMPARISONS: dict[Any, Callable[[Tensor, float], Tensor]] = {
    aten.gt.Scalar: torch.gt,
    aten.ge.Scalar: torch.ge,
    aten.lt.Scalar: torch.lt,
    aten.le.Scalar: torch.le,
    aten.gt.Tensor: torch.gt,
    aten.ge.Tensor: torch.ge,
    aten.lt.Tensor: torch.lt,
    aten.le.Tensor: torch.le,
}


UPWARD = {aten.gt.Scalar, aten.ge.Scalar, aten.gt.Tensor, aten.ge.Tensor}
"""Those that hold above the number that the variable is compared with."""


def _only(at: int, value: Fraction | int) -> Callable[[Fraction], Fraction]:
    """A function that is rational at one point: refused anywhere else."""

    def exact(x: Fraction) -> Fraction:
        if x != at:
            raise ValueError(f"no exact value is known at {x}")
        return Fraction(value)

    return exact


def _power(x: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or exponent < 0:
        raise ValueError(f"no exact value is known of the power {exponent}")
    return x**exponent.numerator


def _choice(mask: Fraction, yes: Fraction, no: Fraction) -> Fraction:
    return yes if mask else no


EXACT: dict[Any, Callable[..., Fraction]] = {
    aten.add.Tensor: lambda a, b: a + b,
    aten.sub.Tensor: lambda a, b: a - b,
    aten.mul.Tensor: lambda a, b: a * b,
    aten.div.Tensor: lambda a, b: a / b,
    aten.rsub.Scalar: lambda a, b, alpha=1: b - alpha * a,
    aten.neg.default: lambda a: -a,
    aten.abs.default: abs,
    aten.square.default: lambda a: a * a,
    aten.pow.Tensor_Scalar: _power,
    aten.relu.default: lambda a: max(a, Fraction(0)),
    aten.maximum.default: max,
    aten.minimum.default: min,
    aten._to_copy.default: lambda a: a,
    aten.where.self: _choice,
    aten.where.ScalarOther: _choice,
    aten.where.ScalarSelf: _choice,
    aten.exp.default: _only(0, 1),
    aten.expm1.default: _only(0, 0),
    aten.log.default: _only(1, 0),
    aten.log1p.default: _only(0, 0),
    aten.tanh.default: _only(0, 0),
    aten.erf.default: _only(0, 0),
    aten.sin.default: _only(0, 0),
    aten.cos.default: _only(0, 1),
    aten.sigmoid.default: _only(0, Fraction(1, 2)),
}
"""Operations entry by entry, and their values in exact arithmetic where these are rational."""

STRAIGHT = (
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.rsub.Scalar,
    aten.neg.default,
    aten._to_copy.default,
)
CHOICES = (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf)
OTHERS = (
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.reciprocal.default,
    aten.softplus.default,
    aten.silu.default,
    aten.gelu.default,
)
ENTRYWISE = {*EXACT, *COMPARISONS, *OTHERS}


@dataclass(frozen=True)
class Scalar:
    """A function of the entries of a value x: the operations that it is written in, in order."""

    x: str
    nodes: tuple[Node, ...]

    @property
    def has_entries(self) -> bool:
        """Whether constants differ between entries."""
        leaves = (arg for node in self.nodes for arg in node.args)
        return any(isinstance(leaf, Tensor) and leaf.dim() > 0 for leaf in leaves)

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """With what x is compared; None where something else is compared."""
        same, moduli = self.repeated
        found = set[float]()
        for node in self.nodes:
            if node.target not in COMPARISONS:
                continue
            operand, level = node.args
            if not isinstance(operand, Ref) or isinstance(level, Ref):
                return None
            if operand.name not in same | moduli or not _is_one_number(level):
                return None
            level = float(_number(level))
            found |= {level, -level} if operand.name in moduli else {level}
        return tuple(sorted(found))

    @property
    def repeated(self) -> tuple[set[str], set[str]]:
        """The names of the variable itself, and of its modulus."""
        same, moduli = {self.x}, set[str]()
        for node in self.nodes:
            first = node.operands()[0]
            rest = [arg for arg in node.args[1:] if isinstance(arg, Tensor | int | float)]
            shifted = node.target in (aten.add.Tensor, aten.sub.Tensor) and len(rest) == 1
            if first in same and node.args[0] == Ref(first):
                if shifted and not bool(torch.as_tensor(rest[0]).any()):
                    same.add(node.name)
                elif node.target is aten.abs.default:
                    moduli.add(node.name)
        return same, moduli


def _is_one_number(value: Any) -> bool:
    """Whether it is a finite number, or a tensor of nothing else."""
    entries = torch.as_tensor(value, dtype=torch.float64).flatten()
    return bool(len(entries)) and bool((entries == entries[0]).all() & entries[0].isfinite())


def with_scalars(graph: Graph, slopes: SlopeGraph, action_of: ActionOf) -> SlopeGraph:
    """The same slope sets, those of functions of one variable towards it where that is less; the
    same graph where there are none."""
    scalars = _scalars(graph)
    if not scalars:
        return slopes
    found = dict[str, Vertex]()
    for name, scalar in scalars.items():
        if not {name, scalar.x} <= slopes.by_name.keys():
            continue
        better = _whole(slopes[name], scalar, slopes[scalar.x], action_of)
        if better is not None:
            found[name] = better
    if not found:
        return slopes
    return replace(slopes, vertices=tuple(found.get(v.name, v) for v in slopes)).pruned()


def _scalars(graph: Graph) -> dict[str, Scalar]:
    """For every value that something else than a function of the same variable uses, what it is a
    function of, where it uses that variable more than once."""
    shapes = {graph.input: graph.input_shape} | {node.name: node.shape for node in graph}
    roots = dict[str, str]()
    parts = dict[str, tuple[str, ...]]()
    nodes = {node.name: node for node in graph}
    for node in graph:
        operands = node.operands()
        if not _is_entrywise(node, shapes):
            continue
        # of the value whose entries its operands are functions of, or of its only operand
        known = {roots.get(name, name) for name in operands}
        if len(known) != 1:
            continue
        (root,) = known
        inner = {part for name in operands for part in parts.get(name, ())}
        roots[node.name] = root
        parts[node.name] = (*(n for n in nodes if n in inner), node.name)
    used = _used_outside(graph, roots)
    return {
        name: Scalar(root, tuple(nodes[part] for part in parts[name]))
        for name, root in roots.items()
        if name in used and _is_loose(root, [nodes[part] for part in parts[name]])
    }


def _is_entrywise(node: Node, shapes: Mapping[str, torch.Size]) -> bool:
    same = all(shapes[name] == node.shape for name in node.operands())
    plain = not node.kwargs or node.target is aten._to_copy.default
    # a mask that is constant chooses by the entry, not by its value
    by_value = node.target not in CHOICES or isinstance(node.args[0], Ref)
    return node.target in ENTRYWISE and same and plain and by_value and not node.pick


def _used_outside(graph: Graph, roots: Mapping[str, str]) -> set[str]:
    """Values that are read by what is no function of the same variable."""
    used = {graph.output}
    for node in graph:
        used |= {name for name in node.operands() if roots.get(node.name) != roots.get(name)}
    return used


def _is_loose(root: str, nodes: Sequence[Node]) -> bool:
    """Whether parts may lose: the variable is read more than once, or several of them bend."""
    reads = sum(root in node.operands() for node in nodes)
    return reads > 1 or sum(node.target not in STRAIGHT for node in nodes) > 1


# Pieces
# --------------------------------------------------------------------------------------------------


def _whole(vertex: Vertex, scalar: Scalar, source: Vertex, action_of: ActionOf) -> Vertex | None:
    """The vertex with slopes towards the variable; None where they are no smaller, or unknown."""
    lo, hi = source.range.ends()
    if scalar.has_entries:
        lo, hi = source.range.lo, source.range.hi
    thresholds = scalar.thresholds
    if thresholds is None:
        return None
    inside = [t for t in thresholds if bool(((lo <= t) & (t <= hi)).any())]
    breaks = _breaks(lo, hi, inside)
    if breaks.numel() > MOST or not all(_meets(scalar, level) for level in inside):
        return None
    p, q = breaks[:-1], breaks[1:]
    pieces = _slopes(scalar, Interval(p, q), action_of)
    if pieces is None:
        return None
    empty = (p == q) & (lo < hi)
    least = torch.where(empty, math.inf, pieces.lo).amin(0)
    most = torch.where(empty, -math.inf, pieces.hi).amax(0)
    whole = Interval(least.expand(vertex.shape), most.expand(vertex.shape))
    edge = vertex.only_edge
    if edge is not None and edge.source == scalar.x and edge.slope.entries is not None:
        whole = whole.meet(edge.slope.entries)
    slope = Between(_away(whole.lo, -1), _away(whole.hi, 1))
    apart = None if inside else _slopes(scalar, Interval(lo, hi), action_of)
    if not slope.is_finite or (apart is not None and _is_no_less(slope, apart)):
        return None
    return replace(vertex, edges=(Edge(scalar.x, slope),))


def _away(end: Tensor, side: int) -> Tensor:
    """An end further out (1: up), or 0, where it is next to 0: products of it would be lost."""
    near = (end != 0) & (end.abs() < NEAR)
    return torch.where(near, torch.where(end * side > 0, side * NEAR, 0.0), end)


NEAR = 2.0**-100
"""Chosen: far below any slope that matters."""


def _is_no_less(whole: Between, apart: Interval) -> bool:
    """Whether the slopes are hardly below those of the parts composed."""
    return Between(apart.lo, apart.hi).is_at_most(whole.largest_modulus().value * SMALLER)


SMALLER = 1.001
"""Chosen: how many times smaller the slopes have to be."""


def _breaks(lo: Tensor, hi: Tensor, thresholds: Sequence[float]) -> Tensor:
    """The ends of the pieces, entry by entry, in rising order: those of the range, thresholds, and
    points between."""
    count = max(LEAST, min(GRID, MOST // (2 * max(lo.numel(), 1))))
    shares = torch.linspace(0, 1, count + 1, dtype=lo.dtype).reshape(-1, *[1] * lo.dim())
    bounded = lo.isfinite() & hi.isfinite()
    low = torch.where(bounded, lo, lo.clamp(min=-FAR))
    high = torch.where(bounded, hi, hi.clamp(max=FAR))
    grid = low + shares * (high - low)
    levels = torch.tensor(thresholds, dtype=lo.dtype).reshape(-1, *[1] * lo.dim())
    inner = torch.cat([grid, levels.expand(-1, *lo.shape)])
    every = torch.cat([lo[None], torch.minimum(torch.maximum(inner, lo), hi), hi[None]])
    return every.sort(0).values


def _slopes(scalar: Scalar, piece: Interval, action_of: ActionOf) -> Interval | None:
    """Slopes of the whole on a piece, in which no threshold lies but at its ends; None where those
    of an operation are not known entry by entry."""
    shape = piece.shape
    one = torch.ones(shape, dtype=torch.float64)
    values = {scalar.x: piece}
    slopes = {scalar.x: Interval(one, one)}
    _, moduli = scalar.repeated
    for node in scalar.nodes:
        if node.target in COMPARISONS:
            level = float(_number(node.args[1]))
            above = piece.lo >= level
            if node.args[0].name in moduli:
                above = above | (piece.hi <= -level)
            mask = (above if node.target in UPWARD else ~above).double()
            values[node.name], slopes[node.name] = Interval(mask, mask), Interval(0 * one, 0 * one)
            continue
        if node.target in CHOICES:
            values[node.name] = _of_branch(node, values, one)
            slopes[node.name] = _of_branch(node, slopes, one, values)
            continue
        operands = {n: Operand(n, shape, values[n]) for n in node.operands()}
        action = action_of(replace(node, shape=shape), operands)
        composed = _composed(action, slopes)
        if composed is None:
            return None
        values[node.name], slopes[node.name] = action.image, composed
    return slopes[scalar.nodes[-1].name]


def _of_branch(
    node: Node,
    found: Mapping[str, Interval],
    one: Tensor,
    masks: Mapping[str, Interval] | None = None,
) -> Interval:
    """What is found of the branch that a mask chooses; of a number its value, or the slope 0."""

    def side(value: Any) -> Interval:
        if isinstance(value, Ref):
            return found[value.name]
        number = torch.as_tensor(value, dtype=torch.float64) if masks is None else 0.0
        return Interval(number * one, number * one)

    mask, yes, no = node.args
    chosen = (found if masks is None else masks)[mask.name].lo > 0
    a, b = side(yes), side(no)
    return Interval(torch.where(chosen, a.lo, b.lo), torch.where(chosen, a.hi, b.hi))


def _composed(action: Action, slopes: Mapping[str, Interval]) -> Interval | None:
    """The chain rule: slopes towards the operands times theirs.

    An operand that is constant adds nothing; one of unknown slope, which may have no value at all,
    makes the sum unknown even where the factor is 0.
    """
    zero = torch.zeros((), dtype=torch.float64)
    total = Interval(zero, zero)
    for operand, slope in action.slopes:
        towards, inner = slope.entries, slopes[operand.name]
        if towards is None:
            return None
        if not inner.lo.any() and not inner.hi.any():
            continue
        part = towards * inner
        unknown = ~(inner.lo.isfinite() & inner.hi.isfinite())
        part = Interval(
            torch.where(unknown, -math.inf, part.lo), torch.where(unknown, math.inf, part.hi)
        )
        total = total + part
    return total


# Branches
# --------------------------------------------------------------------------------------------------


def _meets(scalar: Scalar, level: float) -> bool:
    """Whether the branches beside a threshold and that at it have one value there; False where that
    is not known.

    It is enough that every choice has one, which what follows makes something continuous of.
    """
    choices = [number for number, node in enumerate(scalar.nodes) if node.target in CHOICES]
    masks = {node.name for node in scalar.nodes if node.target in COMPARISONS}
    only_choose = all(masks.isdisjoint(_computed_with(node)) for node in scalar.nodes)
    each = [Scalar(scalar.x, scalar.nodes[: number + 1]) for number in choices]
    return _has_one_value(scalar, level) or (
        bool(each) and only_choose and all(_has_one_value(part, level) for part in each)
    )


def _computed_with(node: Node) -> list[str]:
    """The names of its operands, but for the mask of a choice."""
    args = node.args[1:] if node.target in CHOICES else node.args
    return [arg.name for arg in args if isinstance(arg, Ref)]


def _has_one_value(scalar: Scalar, level: float) -> bool:
    """Whether it is the same below, at and above a threshold, in exact arithmetic; False where that
    is not known."""
    try:
        below, there, above = (_exact(scalar, level, side) for side in (-1, 0, 1))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return False
    return bool(below == there == above)


def _exact(scalar: Scalar, at: float, side: int) -> Fraction:
    """The value at a point, comparisons decided as below (-1) it, there (0) or above."""
    values = {scalar.x: Fraction(at)}
    _, moduli = scalar.repeated
    outward = side if at > 0 else -side if at < 0 else abs(side)
    for node in scalar.nodes:
        args = [values[a.name] if isinstance(a, Ref) else _number(a) for a in node.args]
        if node.target in COMPARISONS:
            beside = outward if node.args[0].name in moduli else side
            values[node.name] = _compared(node, args[0] - args[1], beside)
        else:
            values[node.name] = EXACT[node.target](*args)
    return values[scalar.nodes[-1].name]


def _compared(node: Node, apart: Fraction, side: int) -> Fraction:
    """A comparison of two numbers that are so far apart, or, where they are equal, beside it."""
    sign = torch.tensor(float(side) if apart == 0 else math.copysign(1.0, apart))
    return Fraction(int(COMPARISONS[node.target](sign, 0.0)))


def _number(value: Any) -> Fraction:
    """A number of Python's, or a tensor of one, exactly."""
    if isinstance(value, Tensor):
        if value.numel() == 0 or not bool((value == value.flatten()[0]).all()):
            raise ValueError("numbers differ between entries")
        value = value.flatten()[0].item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value} is no number")
    return Fraction(value)
