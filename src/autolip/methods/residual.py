"""Layers around which paths part and meet again, each as a whole by multipliers that cancel.

Let y - y' = (A + B S C) (x - x'), S any diagonal with entries in [0, 1] (slopes in [lo, hi] are lo
plus those of B diag(hi - lo)).  With v = C x and z = S v (differences), z_i (v_i - z_i) >= 0.  For
any Lam = diag(lam), lam > 0, and E = A^T B + C^T Lam / 2,

    |A x + B z|^2 = |A x|^2 + 2 x.E z - v.Lam z + |B z|^2.

Let |B Lam^(-1/2)|^2 <= b.  As v.Lam z >= z.Lam z, |z| <= |C x| and z.Lam z <= v.Lam v,

    |A x + B z|^2 <= (|A|^2 + 2 |E| |C| + max(b - 1, 0) |Lam^(1/2) C|^2) |x|^2.

In a layer that is built to be 1-Lipschitz E = 0 and b <= 1 for one Lam: x - 2 W T^-1 relu(W^T x)
has Lam = 4 T^-1 (Meunier et al., ICML 2022; Araujo et al., ICLR 2023), the larger and the smaller
of two with one relu have Lam = 2, halves relu(x) and relu(-x) too, and so has any product of such a
layer with an isometry from the left.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, TypeGuard

import torch
from torch import Tensor

from autolip.errors import NothingThere, Refusal
from autolip.graph.chains import pointwise
from autolip.graph.joins import Join, joins
from autolip.graph.views import SlopeGraph, affine_map, fused
from autolip.intervals import difference_up
from autolip.methods.autolip import Shortcut, walk
from autolip.methods.method import Bound, Method, Problem, method
from autolip.norms import L2_TO_L2, Norm, Pair
from autolip.operators.algebra import add, compose
from autolip.operators.diagonal import Diagonal
from autolip.operators.operator import DTYPE, Operator, flat
from autolip.roundoff import relative_error
from autolip.values import INFINITE, Upper, round_up

PROBES = 2**12
"""Chosen: entries of a layer of which each has a multiplier of its own; above, each channel has."""

BATCH = 2**22
"""Chosen: numbers of a batch of columns."""

SOME, LITTLE = 4, 0.3
"""Chosen: random vectors, and what share of their images may be left where paths cancel."""

LEAST = 2.0**-40
"""Chosen: least multiplier, relative to the largest."""


FLAT = 2.0**-300
"""Chosen: what the root of a multiplier and its reciprocal are above."""


@method("residual")
@dataclass(frozen=True)
class Residual(Method):
    """Upper bound on the l2 constant: layers around which paths part and meet again as a whole, by
    multipliers that cancel, elsewhere products.

    Bounds residual layers, the larger and smaller of pairs, halves that are concatenated at what
    they are, where they are built to be 1-Lipschitz; of whatever size, for only norms are needed.
    """

    name: ClassVar[str] = "residual"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2
    automatic: ClassVar[float] = 15
    tight: ClassVar[Mapping[str, float]] = MappingProxyType(
        dict.fromkeys(
            ("x - relu(x)", "x - 2 relu(x)", "relu(x), relu(-x)"),
            1.000001,
        )
    )
    source: ClassVar[str] = (
        "Meunier, Delattre, Araujo and Allauzen, ICML 2022; Araujo, Havens, Delattre, Allauzen and "
        "Hu, ICLR 2023, Theorem 2"
    )

    def _accepts(self, problem: Problem) -> Refusal | None:
        """Refuses networks in which no paths part and meet again around one layer."""
        found = any(True for _ in _joins(problem))
        return None if found else NothingThere("no paths part and meet again around one layer")

    def is_automatic(self, p: Norm, q: Norm) -> bool:
        """From l2 to l2."""
        return (p, q) in self.norms

    def bound(self, problem: Problem) -> Bound | Refusal:
        graph = problem.lowered
        shortcuts = list(_gains(problem))
        notes = []
        cancels = False

        def norm(operator: Operator) -> Upper:
            bound = problem.norm(operator, Norm.L2, Norm.L2)
            return INFINITE if isinstance(bound, Refusal) else bound

        for join in _joins(problem):
            layer = _Layer.of(graph, join)
            if not layer.cancels:
                continue
            cancels, gain = True, layer.gain(norm)
            if isinstance(gain, Refusal):
                notes.append(f"product of norms to {graph[join.sink].place}: {gain}")
            else:
                shortcuts.append(Shortcut(join.source, join.sink, Norm.L2, gain))
        if not cancels:
            return NothingThere("where paths meet again, what they carry does not cancel")
        stops = {name for known in shortcuts for name in (known.source, known.sink)}
        product = walk(problem, problem.fused)
        walked = walk(problem, fused(graph, stops), shortcuts)
        if isinstance(walked, Refusal):
            return product
        least = product if _is_less(product, walked) else walked
        return replace(least, notes=(*least.notes, *notes))


def _is_less(one: Bound | Refusal, other: Bound) -> TypeGuard[Bound]:
    return isinstance(one, Bound) and one.value.value < other.value.value


def _joins(problem: Problem) -> Iterator[Join]:
    """Those that are no step of a maximum over a window, whose gain is known as a whole."""
    written = {name.partition(".")[0] for name in problem.lowered.by_name if "." in name}
    whole = {known.sink for known in _gains(problem)} & written
    for join in joins(problem.lowered):
        if join.sink.partition(".")[0] not in whole:
            yield join


def _gains(problem: Problem) -> Iterator[Shortcut]:
    """Those of operations that are taken apart in the lowered graph, as a whole."""
    names = problem.lowered.by_name
    for vertex in problem.slopes:
        edge = vertex.only_edge
        if edge is None or vertex.is_affine or not {vertex.name, edge.source} <= names.keys():
            continue
        gain = edge.slope.gain(Norm.L2, Norm.L2, problem.norm)
        if names[vertex.name].is_affine and isinstance(gain, Upper):
            yield Shortcut(edge.source, vertex.name, Norm.L2, gain)


@dataclass(frozen=True)
class _Bent:
    """One nonlinear vertex k of a layer: y contains B S C x."""

    b: Operator
    c: Operator


@dataclass(frozen=True)
class _Layer:
    """y = A x + sum_k B_k S_k C_k x, S_k diagonal with entries in [0, 1]."""

    a: Operator
    bent: tuple[_Bent, ...]

    @staticmethod
    def of(graph: SlopeGraph, join: Join) -> "_Layer":
        """With slopes from 0 on: the lowest ones belong to A."""
        straight = [affine_map(graph, join.source, join.sink)]
        bent = []
        for name in join.bent:
            vertex = graph[name]
            (edge,) = vertex.edges
            slope = pointwise(vertex)
            assert slope is not None
            lo, hi = slope.lo, slope.hi
            b = affine_map(graph, name, join.sink)
            c = affine_map(graph, join.source, edge.source)
            if bool(lo.any()):
                straight.append(compose(b, Diagonal.compact(lo, vertex.shape), c))
            width = Diagonal.compact(difference_up(hi, lo), vertex.shape)
            bent.append(_Bent(compose(b, width), c))
        parts = [part for part in straight if not part.is_zero]
        return _Layer(add(*parts) if parts else straight[0], tuple(bent))

    @cached_property
    def roots(self) -> tuple[Tensor | Refusal, ...]:
        """Of the multipliers of every vertex."""
        return tuple(_roots(self.a, one) for one in self.bent)

    @cached_property
    def cancels(self) -> bool:
        """Whether E maps some random vectors to much less than its first term: only then norms are
        worth their cost."""
        generator = torch.Generator().manual_seed(0)
        for one, roots in zip(self.bent, self.roots, strict=True):
            if isinstance(roots, Refusal):
                continue
            x = torch.randn((SOME, *one.b.in_shape), generator=generator, dtype=DTYPE)
            pulled = self.a.rmv(one.b.mv(x))
            rest = pulled + one.c.rmv(roots.square() * x) / 2
            if bool(pulled.any() and rest.norm() > LITTLE * pulled.norm()):
                return False
        return True

    def gain(self, norm: Callable[[Operator], Upper]) -> Upper | Refusal:
        """The bound of the module's text; terms of several vertices add up."""
        square = norm(self.a) * norm(self.a)
        squares, largest = [], Upper(0.0)
        for one, roots in zip(self.bent, self.roots, strict=True):
            if isinstance(roots, Refusal):
                return roots
            root, half = (Diagonal(r, one.c.out_shape) for r in (roots, roots / 2))
            inverse = Diagonal(1 / roots, one.c.out_shape, relative_error(1))
            rest = add(compose(self.a.T, one.b), compose(one.c.T, root, half))
            square = square + Upper(2.0) * norm(rest) * norm(one.c)
            scaled = norm(compose(root, one.c))
            largest = largest + scaled * scaled
            squares.append(compose(one.b, inverse))
        above = _above_one(_square_of_row(squares, norm))
        return (square + above * largest).sqrt()


def _square_of_row(blocks: Sequence[Operator], norm: Callable[[Operator], Upper]) -> Upper:
    """|[X_1 ... X_k]|^2 = |sum_k X_k X_k^T|."""
    if len(blocks) == 1:
        single = norm(blocks[0])
        return single * single
    return norm(add(*(compose(x, x.T) for x in blocks)))


def _above_one(bound: Upper) -> Upper:
    """max(b - 1, 0)."""
    excess = max(bound.value - 1, 0.0)
    return Upper(round_up(excess) if excess else 0.0, bound.events)


def _roots(a: Operator, bent: _Bent) -> Tensor | Refusal:
    """Roots of multipliers, about those of which the column of E is smallest, but at least |b_i|.

    Any positive numbers are as right: lam_i = -2 (A^T b_i).c_i / |c_i|^2, for the row c_i of C.
    """
    shape = bent.c.out_shape
    places = _places(shape)
    if isinstance(places, Refusal):
        return places
    found = list[Tensor]()
    many = max(1, BATCH // max(a.in_size, a.out_size, shape.numel()))
    for part in places.reshape(-1).split(many):
        unit = torch.zeros(len(part), shape.numel(), dtype=DTYPE)
        unit[torch.arange(len(part)), part] = 1.0
        unit = unit.reshape(-1, *shape)
        column = bent.b.mv(unit)
        row = flat(bent.c.rmv(unit))
        product = -2 * (flat(a.rmv(column)) * row).sum(1)
        wanted = (product / row.square().sum(1)).nan_to_num(0.0, 0.0, 0.0)
        found.append(torch.maximum(wanted, flat(column).square().sum(1)))
    lam = torch.cat(found).reshape(places.shape)
    least = LEAST * (lam.max().item() or 1.0)
    roots = lam.clamp(min=least).sqrt()
    sane = bool(((roots > FLAT) & (roots < 1 / FLAT)).all())
    return roots if sane else Refusal("its multipliers leave floating point")


def _places(shape: torch.Size) -> Tensor | Refusal:
    """Numbers of the entries that are looked at: all, or one in the middle of every channel; in a
    shape that broadcasts to that of the layer."""
    every = torch.arange(shape.numel()).reshape(shape)
    if shape.numel() <= PROBES:
        return every
    if len(shape) < 3 or shape[:2].numel() > PROBES:
        return Refusal(f"a layer of {shape.numel()} entries has too many multipliers")
    for axis in range(2, len(shape)):
        every = every.narrow(axis, shape[axis] // 2, 1)
    return every
