"""Functions of one variable written in several operations, bounded as one function.

The slopes of the parts multiply and add to more than the whole has.  On a small piece of the
variable's range they hardly do: the range is cut into pieces, on each of which slopes are composed
(interval differentiation), and the secants of the whole are means of those of its pieces (R. E.
Moore, Interval Analysis, 1966).  That takes a continuous function: where a comparison of the
variable with a number chooses between branches, a piece ends, and both branches must have the same
value there, exactly (`branches`).  Far out, slopes are those of `tails`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Graph, Node, Ref
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.norms import operator_norm
from autolip.rules.branches import CHOICES, COMPARISONS, EXACT, UPWARD, Scalar, as_number, meets
from autolip.rules.lowering import Lowerings, Writer, rewritten
from autolip.rules.rule import Action, Operand
from autolip.rules.tails import ActionOf, slope_beyond
from autolip.slopes import Between
from autolip.values import INFINITE, ONE, Upper

aten = torch.ops.aten

GRID, LEAST = 2048, 32
"""Chosen: pieces of a range, and how many there are at least where there are many entries."""

FAR = 8.0
"""Chosen: where pieces begin to grow with what they are apart from 0."""

STARTS = (4096.0, 512.0, 64.0, 8.0)
"""Chosen: from where on slopes are those of tails, at most."""

MOST = 2**21
"""Chosen: entries times pieces, at most."""

STRAIGHT = (
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.rsub.Scalar,
    aten.neg.default,
    aten._to_copy.default,
)
OTHERS = (
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.reciprocal.default,
    aten.softplus.default,
    aten.silu.default,
    aten.gelu.default,
    aten.atan.default,
    aten.cosh.default,
    aten.sinh.default,
    aten.relu6.default,
    aten.hardtanh.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.leaky_relu.default,
)
ENTRYWISE = {*EXACT, *COMPARISONS, *OTHERS}


def with_scalars(graph: Graph, slopes: SlopeGraph, action_of: ActionOf) -> SlopeGraph:
    """The same slope sets, those of functions of one variable towards it where that is less; the
    same graph where there are none."""
    scalars = _scalars(rewritten(graph, WITHOUT_SIGNS))
    if not scalars:
        return slopes
    found = dict[str, Vertex]()
    for name, scalar in scalars.items():
        if not {name, scalar.x} <= slopes.by_name.keys():
            continue
        better = _whole(slopes[name], scalar, slopes, action_of)
        if better is not None:
            found[name] = better
    if not found:
        return slopes
    return replace(slopes, vertices=tuple(found.get(v.name, v) for v in slopes)).pruned()


def _signed(writer: Writer, self: Any, other: Any) -> Ref | None:
    """sign(x) y as a choice, whose branches may meet where sign(x) alone jumps."""
    for sign, value in ((self, other), (other, self)):
        made = writer.known.get(sign.name) if isinstance(sign, Ref) else None
        if made is None or made.target is not aten.sign.default or not isinstance(value, Ref):
            continue
        [x] = made.operands()
        if not writer.shapes[x] == writer.shapes[value.name] == writer.node.shape:
            continue
        above = _compared(writer, aten.gt.Scalar, Ref(x))
        below = _compared(writer, aten.lt.Scalar, Ref(x))
        shape = writer.node.shape
        down = writer.call(aten.neg.default, value, shape=shape)
        beside = writer.call(aten.where.ScalarOther, below, down, 0, shape=shape)
        return writer.call(aten.where.self, above, value, beside, shape=shape)
    return None


def _sign(writer: Writer, self: Ref) -> Ref:
    """1 above 0, -1 below."""
    up, zero, down = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    above = _compared(writer, aten.gt.Scalar, self)
    below = _compared(writer, aten.lt.Scalar, self)
    shape = writer.node.shape
    beside = writer.call(aten.where.self, below, down, zero, shape=shape)
    return writer.call(aten.where.self, above, up, beside, shape=shape)


def _compared(writer: Writer, comparison: Any, x: Ref) -> Ref:
    """Where x is above 0, or below."""
    return writer.call(comparison, x, 0, shape=writer.node.shape)


WITHOUT_SIGNS: Lowerings = {aten.mul.Tensor: _signed, aten.sign.default: _sign}


def _scalars(graph: Graph) -> dict[str, Scalar]:
    """For every value that something else than a function of the same variable uses, what it is a
    function of, where it uses that variable more than once."""
    shapes = graph.shapes
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


def _whole(
    vertex: Vertex, scalar: Scalar, before: SlopeGraph, action_of: ActionOf
) -> Vertex | None:
    """The vertex with slopes towards the variable; None where they are no smaller, or unknown."""
    source = before[scalar.x]
    lo, hi = source.range.ends()
    if scalar.has_entries:
        lo, hi = source.range.lo, source.range.hi
    found = slopes_of(scalar, Interval(lo, hi), action_of)
    if found is None:
        return None
    whole = Interval(found.lo.expand(vertex.shape), found.hi.expand(vertex.shape))
    edge = vertex.only_edge
    if edge is not None and edge.source == scalar.x and edge.slope.entries is not None:
        whole = whole.meet(edge.slope.entries)
    whole = whole.meet(_composed_gains(vertex, scalar.x, before))
    slope = Between(_away(whole.lo, -1), _away(whole.hi, 1))
    one = Interval(lo, hi)
    apart = None if _inside(scalar, one) else on_piece(scalar, one, action_of)
    if not slope.is_finite or (apart is not None and _is_no_less(slope, apart[1])):
        return None
    return replace(vertex, edges=(Edge(scalar.x, slope),))


def _composed_gains(vertex: Vertex, x: str, graph: SlopeGraph) -> Interval:
    """The slopes that the gains from x to the vertex leave, where there is one way: moved alone, an
    entry of x moves its own entry no further than all entries together may move."""
    total = ONE
    while vertex.name != x and vertex.only_edge is not None:
        gain = vertex.only_edge.slope.gain(Norm.L2, Norm.L2, operator_norm)
        total = total * gain if isinstance(gain, Upper) else INFINITE
        vertex = graph[vertex.only_edge.source]
    most = total.value if vertex.name == x else math.inf
    end = torch.tensor(most, dtype=torch.float64)
    return Interval(-end, end)


def slopes_of(
    scalar: Scalar, ends: Interval, action_of: ActionOf, at: Sequence[float] = ()
) -> Interval | None:
    """Where the slopes between any two points of an interval lie, entry by entry; None where that
    is not known.  Pieces end at some more points, if they are given."""
    lo, hi = ends.lo, ends.hi
    thresholds = scalar.thresholds
    if thresholds is None:
        return None
    inside = _inside(scalar, ends)
    breaks = _breaks(lo, hi, [*inside, *at])
    if breaks.numel() > MOST or not all(meets(scalar, level) for level in inside):
        return None
    pieces = Interval(breaks[:-1], breaks[1:])
    found = on_piece(scalar, pieces, action_of)
    if found is None:
        return None
    slopes = _far_out(scalar, found[1], pieces, thresholds, action_of)
    empty = (pieces.lo == pieces.hi) & (lo < hi)
    least = torch.where(empty, math.inf, slopes.lo).amin(0)
    return Interval(least, torch.where(empty, -math.inf, slopes.hi).amax(0))


def _inside(scalar: Scalar, ends: Interval) -> list[float]:
    """The thresholds that lie between the ends of an entry."""
    levels = scalar.thresholds or ()
    return [level for level in levels if bool(((ends.lo <= level) & (level <= ends.hi)).any())]


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
    levels = torch.tensor(thresholds, dtype=lo.dtype)
    if bool((torch.maximum(lo.abs(), hi.abs()) > FAR).any()):
        levels = torch.cat([levels, _spread(count).to(lo.dtype)])
    levels = levels.reshape(-1, *[1] * lo.dim())
    inner = torch.cat([grid, levels.expand(-1, *lo.shape)])
    every = torch.cat([lo[None], torch.minimum(torch.maximum(inner, lo), hi), hi[None]])
    return every.sort(0).values


def _spread(count: int) -> Tensor:
    """Points that lie evenly about 0, and further apart the further out."""
    octaves = int(math.log2(STARTS[0] / FAR))
    count_out = octaves * OCTAVE + 1
    doublings = torch.linspace(0, octaves, count_out, dtype=torch.float64)
    outward = FAR * 2**doublings
    return torch.cat([-outward, torch.linspace(-FAR, FAR, count // 4), outward])


OCTAVE = 16
"""Chosen: pieces between a number and its double."""


def _far_out(
    scalar: Scalar,
    slopes: Interval,
    pieces: Interval,
    thresholds: Sequence[float],
    action_of: ActionOf,
) -> Interval:
    """Slopes on pieces, those above all that are nearer met with what holds beyond a start."""
    nearest = max(map(abs, thresholds), default=0.0)
    inside = (pieces.lo > -FAR) & (pieces.hi < FAR)
    size = torch.where(inside, slopes.magnitude(), 0.0).amax()
    for side, begins in ((1, pieces.lo), (-1, -pieces.hi)):
        for start in (s for s in STARTS if s >= nearest):
            beyond = begins >= start
            if bool((slopes.magnitude()[beyond] <= size).all()):
                continue
            found = slope_beyond(scalar.nodes, scalar.x, start, side, scalar.masks(side), action_of)
            if found is not None:
                met = slopes.meet(found)
                lo = torch.where(beyond, met.lo, slopes.lo)
                hi = torch.where(beyond, met.hi, slopes.hi)
                slopes = Interval(lo, hi)
    return slopes


def on_piece(
    scalar: Scalar, piece: Interval, action_of: ActionOf
) -> tuple[Interval, Interval] | None:
    """Values and slopes of the whole on a piece, in which no threshold lies but at its ends; None
    where those of an operation are not known entry by entry."""
    shape = piece.shape
    one = torch.ones(shape, dtype=torch.float64)
    values = {scalar.x: piece}
    slopes = {scalar.x: Interval(one, one)}
    _, moduli = scalar.repeated
    for node in scalar.nodes:
        if node.target in COMPARISONS:
            level = float(as_number(node.args[1]))
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
    last = scalar.nodes[-1].name
    known = Between(slopes[last].lo, slopes[last].hi)  # not NaN
    return values[last], Interval(known.lo, known.hi)


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
    zero = torch.zeros(action.image.shape, dtype=torch.float64)
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
