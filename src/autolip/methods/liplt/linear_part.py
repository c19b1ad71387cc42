"""A network through the centres of its slopes, and the norms of its linear pieces.

With slopes in [a, b] write z = c v + r psi(v), c = (a + b)/2, r = (b - a)/2, psi entrywise
1-Lipschitz.  Replacing every nonlinear vertex z by c v leaves a linear network; what r psi(v) adds
at z, the remainder, travels through it as well.  `Centres` holds both; `Maps` knows the norms of
the linear maps from any vertex to any later one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import assert_never

import torch
from torch import Tensor

from autolip.budget import Meter
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph, Vertex
from autolip.methods.method import Problem
from autolip.norms import Norm
from autolip.operators.block import Block, Link, between
from autolip.operators.diagonal import Diagonal
from autolip.operators.norms.dense import rounded_norms
from autolip.operators.norms.entry_sums import columns
from autolip.operators.norms.lanczos import lanczos
from autolip.operators.norms.rounding import Units, rounded_product
from autolip.operators.operator import DTYPE, Operator, flat
from autolip.rounded import Rounded, total
from autolip.slopes import Between, Exact, Gain, Slope
from autolip.values import INFINITE, ONE, ZERO, Upper

MATERIALISED = 12288
"""Chosen: most entries of all nonlinear vertices together for which every map is held as a
matrix."""

HELD = 2**24
"""Chosen: most entries of all maps to one vertex."""

DENSE_WORK = 2e10
"""Chosen: most multiply-adds that holding them may cost."""

LOOSE = 3e-2
"""Chosen: relative excess aimed at for norms of composed maps that are not held as matrices."""


@dataclass(frozen=True)
class Remainder:
    """At vertex `at`, at most `gain` times |diag(radius) (v - v')|, v the value at `source` (radius
    1 if None)."""

    at: str
    source: str
    radius: Tensor | None
    gains: dict[Norm, Upper]

    @cached_property
    def uniform(self) -> float | None:
        """The radius as one number."""
        if self.radius is None:
            return 1.0
        top = self.radius.max().item() if self.radius.numel() else 0.0
        return top if bool((self.radius == top).all()) else None


@dataclass(frozen=True)
class Centres:
    """The fused graph of slope sets with one operand for every nonlinear vertex, split into centres
    and remainders."""

    graph: SlopeGraph

    @cached_property
    def remainders(self) -> dict[str, Remainder]:
        """One for every nonlinear vertex, in topological order."""
        found = {}
        for vertex in self.graph:
            if not vertex.is_affine:
                edge = vertex.edges[0]
                found[vertex.name] = _remainder(vertex.name, edge.source, edge.slope)
        return found

    @cached_property
    def links(self) -> list[Link]:
        """The linear network."""
        links = []
        for vertex in self.graph:
            for edge in vertex.edges:
                operator = centre_of(edge.slope)
                if operator is not None:
                    links.append(Link(edge.source, vertex.name, operator))
        return links

    @cached_property
    def dominators(self) -> dict[str, tuple[str, ...]]:
        """For every vertex the input and the nonlinear vertices that all paths to it go through,
        nearest last."""
        found: dict[str, tuple[str, ...]] = {self.graph.input: (self.graph.input,)}
        for vertex in self.graph:
            if vertex.name == self.graph.input:
                continue
            before = [found[edge.source] for edge in vertex.edges]
            shared = (
                tuple(name for name in before[0] if all(name in other for other in before))
                if before
                else ()
            )
            found[vertex.name] = shared if vertex.is_affine else (*shared, vertex.name)
        return found

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """For every vertex the nonlinear vertices that it depends on."""
        found: dict[str, frozenset[str]] = {}
        for vertex in self.graph:
            own = (
                frozenset()
                if vertex.is_affine or vertex.name == self.graph.input
                else frozenset({vertex.name})
            )
            found[vertex.name] = own.union(*(found[edge.source] for edge in vertex.edges))
        return found


def centre_of(slope: Slope) -> Operator | None:
    """The linear map that stands for a slope set; None where there is no finite one, or a gain is
    all that is known."""
    match slope:
        case Exact():
            return slope.operator
        case Between():
            centre, _ = slope.centre_and_radius()
            return Diagonal.compact(centre, slope.in_shape) if slope.is_finite else None
        case Gain():
            return None
        case _:
            assert_never(slope)


def _remainder(at: str, source: str, slope: Slope) -> Remainder:
    match slope:
        case Exact():
            raise TypeError(f"{at} is affine")
        case Between():
            if not slope.is_finite:
                return Remainder(at, source, None, dict.fromkeys(Norm, INFINITE))
            _, radius = slope.centre_and_radius()
            return Remainder(at, source, radius, dict.fromkeys(Norm, ONE))
        case Gain():
            return Remainder(at, source, None, dict(slope.norms))
        case _:
            assert_never(slope)


class Maps(ABC):
    """Upper bounds on the norms of the linear maps through the centres."""

    @abstractmethod
    def norm(self, source: str, sink: str, norm: Norm) -> Upper:
        """||source -> sink||, 0 where no path leads."""

    @abstractmethod
    def added(self, remainder: Remainder, sink: str, norm: Norm) -> Upper:
        """||diag(radius) at the remainder -> sink||."""

    @property
    @abstractmethod
    def exhausted(self) -> bool:
        """Whether no further norm should be asked for."""


@dataclass
class MatrixFree(Maps):
    """Every map by its products; single operators from the problem's norms, compositions by
    Lanczos.

    `meter` counts the work of the surroundings; from `allowed` multiply-adds on, what is known has
    to do.  At most one random start for every operation of the network: the problem's `delta` is
    shared out among four times as many.
    """

    problem: Problem
    centres: Centres
    meter: Meter
    allowed: float
    _known: dict[tuple[str, str, Norm, bool], Upper] = field(default_factory=dict)
    _draws: int = 0

    @property
    def exhausted(self) -> bool:
        return self.meter.work > self.allowed or self.problem.budget.expired

    def norm(self, source: str, sink: str, norm: Norm) -> Upper:
        key = (source, sink, norm, False)
        if key not in self._known:
            self._known[key] = self._bound(
                between(self.centres.links, source, sink), source, sink, norm
            )
        return self._known[key]

    def added(self, remainder: Remainder, sink: str, norm: Norm) -> Upper:
        if remainder.uniform is not None:
            return Upper(remainder.uniform) * self.norm(remainder.at, sink, norm)
        key = (remainder.at, sink, norm, True)
        if key not in self._known:
            links = between(self.centres.links, remainder.at, sink)
            shape = self.centres.graph[remainder.at].shape
            assert remainder.radius is not None
            radius = Link(
                "radius of " + remainder.at, remainder.at, Diagonal(remainder.radius, shape)
            )
            self._known[key] = self._bound(
                [radius, *links] if links else [], radius.source, sink, norm
            )
        return self._known[key]

    def _bound(self, links: list[Link], source: str, sink: str, norm: Norm) -> Upper:
        if not links:
            return ZERO
        known = self._product(links, source, sink, norm)
        if len(links) == 1 or self.exhausted:
            return known
        operator = Block.of(
            links, source, sink, links[0].operator.in_shape, self.centres.graph[sink].shape
        )
        found = self._composed(operator, norm, known)
        return known if isinstance(found, Refusal) else Upper.least([known, found])

    def _product(self, links: list[Link], source: str, sink: str, norm: Norm) -> Upper:
        """Norms multiplied along paths and added over them."""
        gains = {source: ONE}
        for link in links:
            found = self.problem.norm(link.operator, norm, norm)
            gain = found * gains[link.source] if isinstance(found, Upper) else INFINITE
            before = gains.get(link.target, ZERO)
            gains[link.target] = before + gain
        return gains[sink]

    def _composed(self, operator: Operator, norm: Norm, known: Upper) -> Upper | Refusal:
        options = self.problem.options
        if norm is not Norm.L2:
            return columns(operator if norm is Norm.L1 else operator.T, options)
        if (
            max(operator.in_size, operator.out_size) <= 1024
            and min(operator.in_size, operator.out_size) <= 256
        ):
            return self.problem.norm(operator, norm, norm)
        if options.proved_only or self._draws >= len(self.problem.graph.nodes):
            return Refusal("no further random start is allowed")
        self._draws += 1
        return lanczos(
            operator, replace(options, tolerance=max(LOOSE, options.tolerance), known=known.value)
        )


def matrices_suffice(centres: Centres, limit: float = DENSE_WORK) -> bool:
    """Whether every map can be held as a matrix within about `limit` multiply-adds."""
    sizes = [
        centres.graph[name].shape.numel() for name in (centres.graph.input, *centres.remainders)
    ]
    total = sum(sizes)
    work = sum(link.operator.work for link in centres.links)
    widest = max(vertex.shape.numel() for vertex in centres.graph)
    is_short = total <= MATERIALISED
    small = is_short and total * widest <= HELD
    return small and total * (4 * work + widest**2 / 4) <= limit


class Matrices(Maps):
    """Every map as a matrix with its rounding: one forward pass for all vertices' unit vectors
    together.

    Refused (`Matrices.of`) where some operator's entries are unknown.
    """

    exhausted = False

    def __init__(self, norms: dict[tuple[str, str, bool], dict[Norm, Upper]]) -> None:
        self._norms = norms

    @staticmethod
    def of(centres: Centres, sinks: Sequence[str], norms: Sequence[Norm]) -> "Matrices | Refusal":
        """The norms of all maps to some vertices."""
        found: dict[tuple[str, str, bool], dict[Norm, Upper]] = {}
        for vertex, images in _forward(centres):
            if isinstance(images, Refusal):
                return images
            if vertex.name in sinks:
                found |= _norms_of(vertex.name, images, centres, norms)
        return Matrices(found)

    def norm(self, source: str, sink: str, norm: Norm) -> Upper:
        return self._norms.get((source, sink, False), {}).get(norm, ZERO)

    def added(self, remainder: Remainder, sink: str, norm: Norm) -> Upper:
        if remainder.uniform is not None:
            return Upper(remainder.uniform) * self.norm(remainder.at, sink, norm)
        return self._norms.get((remainder.at, sink, True), {}).get(norm, ZERO)


Images = dict[str, Rounded]
"""For every source the images of its unit vectors, (n, *shape)."""


def _forward(centres: Centres) -> Iterator[tuple[Vertex, Images | Refusal]]:
    """Every vertex with the images of the unit vectors of the input and of all nonlinear vertices
    before it."""
    images: dict[str, Images] = {}
    last = {edge.source: vertex.name for vertex in centres.graph for edge in vertex.edges}
    for vertex in centres.graph:
        terms: dict[str, list[Rounded]] = {}
        for edge in vertex.edges:
            operator = centre_of(edge.slope)
            if operator is not None:
                moved = _moved(operator, images[edge.source])
                if isinstance(moved, Refusal):
                    yield vertex, moved
                    return
                for source, image in moved.items():
                    terms.setdefault(source, []).append(image)
        images[vertex.name] = {source: total(parts) for source, parts in terms.items()}
        yield vertex, images[vertex.name]
        if vertex.name == centres.graph.input or not vertex.is_affine:
            images[vertex.name] = images[vertex.name] | {vertex.name: _units(vertex.shape)}
        for edge in vertex.edges:
            if last[edge.source] == vertex.name:
                images.pop(edge.source, None)


def _units(shape: torch.Size) -> Rounded:
    unit_rows = torch.eye(shape.numel(), dtype=DTYPE)
    units = unit_rows.reshape(-1, *shape)
    return Units(units, torch.zeros_like(units))


def _moved(operator: Operator, images: Images) -> Images | Refusal:
    """The images after an operator: those of unit vectors by themselves (they are exact), the
    others in one batch."""
    moved: Images = {}
    for kind in (Units, Rounded):
        chosen = {source: image for source, image in images.items() if type(image) is kind}
        if not chosen:
            continue
        batch = kind(
            torch.cat([image.value for image in chosen.values()]),
            torch.cat([image.error for image in chosen.values()]),
        )
        product = rounded_product(operator, batch)
        if isinstance(product, Refusal):
            return product
        sizes = [len(image.value) for image in chosen.values()]
        values = product.value.split(sizes)
        errors = product.error.split(sizes)
        for source, value, error in zip(chosen, values, errors, strict=True):
            moved[source] = type(product)(value, error)
    return moved


def _norms_of(
    sink: str, images: Images, centres: Centres, norms: Sequence[Norm]
) -> dict[tuple[str, str, bool], dict[Norm, Upper]]:
    """The norms of all maps to one vertex; matrices of one size in a batch."""
    groups: dict[torch.Size, list[tuple[tuple[str, str, bool], Rounded]]] = {}
    for source, image in images.items():
        value = flat(image.value)
        error = flat(image.error)
        rows = Rounded(value, error)
        groups.setdefault(rows.value.shape, []).append(((source, sink, False), rows))
        remainder = centres.remainders.get(source)
        if remainder is not None and remainder.uniform is None and remainder.radius is not None:
            groups[rows.value.shape].append(
                ((source, sink, True), rows.scale(remainder.radius.reshape(-1)))
            )
    found: dict[tuple[str, str, bool], dict[Norm, Upper]] = {}
    for members in groups.values():
        transposed = [matrix for _, matrix in members]
        values = {norm: rounded_norms(transposed, norm.dual) for norm in norms}
        for number, (key, _) in enumerate(members):
            found[key] = {norm: values[norm][number] for norm in norms}
    return found
