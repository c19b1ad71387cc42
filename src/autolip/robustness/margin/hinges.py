"""Relus that may switch on a region, as linear functions of each other and of the input.

A hinge is an entry z = max(v, 0) with lo < v < hi and lo < 0 < hi.  Between hinges a network is
affine: every v, and every margin, is a linear function of 1, of the input's distance x from the
centre and of the hinges before it, up to what rounding and other operations leave open, which is
bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.graph.graph import Graph, Node
from autolip.norms import Norm
from autolip.operators.operator import flat
from autolip.ranges.linear_bounds import LinearBounds, Slanted, Straight
from autolip.ranges.prefix import Prefix, worth
from autolip.rounded import Rounded
from autolip.roundoff import SMALLEST, dot_error, raised
from autolip.rules.rule import Pointwise
from autolip.values import Upper

FINE = 1e-6
"""Chosen: part of a row's size below which it may be uncertain."""


@dataclass(frozen=True)
class Bend:
    """The hinges of one operation: entries of a value v, and where they stand among all."""

    node: str
    operand: str
    entries: Int[Tensor, " k"]
    places: slice


@dataclass(frozen=True)
class Hinges:
    """Values v of hinges, and margins after them, over y = (1, Q x, z)."""

    rows: Rounded
    """(n + k, 1 + r + n): n hinges in topological order, then k margins."""
    lo: Float[Tensor, " n"]
    hi: Float[Tensor, " n"]
    reach: Upper
    """At least |Q x|_2."""

    @property
    def count(self) -> int:
        """n."""
        return len(self.lo)

    @property
    def free(self) -> int:
        """r."""
        return self.rows.value.shape[1] - 1 - self.count


def hinges_of(
    graph: Graph, prefix: Prefix, forms: Float[Tensor, "k classes"], most: int
) -> Hinges | None:
    """The hinges of a network on the region of its ranges, and linear functions of its output;
    None where there are more than so many, or where other operations leave too much open."""
    bends = tuple(bends_of(graph, prefix))
    if bends and bends[-1].places.stop > most:
        return None
    found = _reduced(prefix, bends, *rows_of(graph, prefix, bends, forms))
    return found if _is_fine(found) else None


def rows_of(
    graph: Graph, prefix: Prefix, bends: tuple[Bend, ...], forms: Float[Tensor, "k classes"]
) -> tuple[Rounded, Float[Tensor, "m d"], Float[Tensor, "m n"]]:
    """Constants of the values v of all hinges and of linear functions of the output after them, and
    their coefficients of the input's distance from the centre and of the hinges."""
    walk = Walk(prefix, bends, bends[-1].places.stop if bends else 0)
    parts = [walk.rows(bend.operand, _units(prefix, bend)) for bend in bends]
    shape = prefix.values[graph.output].shape
    parts.append(walk.rows(graph.output, forms.reshape(-1, *shape)))
    values, errors = zip(*(part.constant for part in parts), strict=True)
    slopes = torch.cat([part.slopes for part in parts])
    links = torch.cat([part.links for part in parts])
    return Rounded(torch.cat(values), torch.cat(errors)), slopes, links


def _is_fine(found: Hinges) -> bool:
    """Whether what is left open is little beside what the rows amount to on the region."""
    value, error = found.rows.value, found.rows.error[:, 0]
    widths = torch.cat([torch.full((found.free,), found.reach.value).double(), found.hi])
    far = value[:, 1:].abs() @ widths
    return bool((error <= FINE * far).all())


def bends_of(graph: Graph, prefix: Prefix, every: bool = False) -> Iterator[Bend]:
    """The relus with entries that may switch; with `every` entry, ranges or not."""
    count = 0
    for node in graph:
        if not _is_relu(node, prefix):
            continue
        operand = node.operands()[0]
        known = prefix.ranges[operand]
        moving = (known.lo < 0) & (known.hi > 0) | every
        (entries,) = moving.reshape(-1).nonzero(as_tuple=True)
        if len(entries):
            places = slice(count, count + len(entries))
            yield Bend(node.name, operand, entries, places)
            count = places.stop


def _is_relu(node: Node, prefix: Prefix) -> bool:
    """Whether it is max(v, 0), entry by entry."""
    outcome = prefix.outcome(node)
    if not isinstance(outcome, Pointwise) or not outcome.piecewise_linear:
        return False
    zero = torch.zeros((), dtype=torch.float64)
    turns = [(turn.at, turn.left, turn.right) for turn in outcome.slope_turns]
    plain = all(isinstance(part, float | int) for turn in turns for part in turn)
    same = outcome.operand.shape == node.shape
    return same and plain and turns == [(0.0, 0.0, 1.0)] and not bool(outcome.value(zero))


def _units(prefix: Prefix, bend: Bend) -> Float[Tensor, "k *shape"]:
    shape = prefix.values[bend.operand].shape
    units = torch.zeros(len(bend.entries), shape.numel(), dtype=torch.float64)
    units[torch.arange(len(bend.entries)), bend.entries] = 1.0
    return units.reshape(-1, *shape)


@dataclass(frozen=True)
class Part:
    """Linear functions constant + slopes (x - centre) + links z, exact but for the constant."""

    constant: tuple[Float[Tensor, " k"], Float[Tensor, " k"]]
    """And how far it may be off, which may depend on the input."""
    slopes: Float[Tensor, "k d"]
    links: Float[Tensor, "k n"]


@dataclass
class Walk:
    """Pulls linear functions of values back to the hinges and the input."""

    prefix: Prefix
    bends: tuple[Bend, ...]
    count: int

    def rows(self, name: str, forms: Float[Tensor, "k *shape"]) -> Part:
        """Linear functions of the value of that name, from the last operation to the first.

        Counted from the values of reference, z - z_ref = 0 z_ref: what is left of the constant is
        the forms' value there.
        """
        prefix, bent = self.prefix, {bend.node: bend for bend in self.bends}
        pending = {name: forms}
        links = torch.zeros(len(forms), self.count, dtype=torch.float64)
        terms, errors = [_there(forms, prefix.values[name])], list[Tensor]()
        for step in prefix.backwards_from(name):
            c = pending.pop(step, None)
            if c is None:
                continue
            bend = bent.get(step)
            if bend is not None:
                links[:, bend.places] = flat(c)[:, bend.entries]
                c = _without(c, bend.entries)
                terms.append(_there(links[:, bend.places], -self._reference(bend)))
            middle = Middle.of(prefix.bounds[step], prefix)
            terms.append(Rounded.exact(flat(c)) @ Rounded.exact(middle.offset.reshape(-1, 1)))
            errors.append(worth(c, middle.radius) + middle.lost)
            for source, part in middle.pulled(c):
                if source in pending:
                    part = pending[source] + part
                    errors.append(dot_error(1, worth(part, prefix.reach(source))))
                pending[source] = part
        (slopes,) = [*pending.values()] or [forms.new_zeros(len(forms), *prefix.shape)]
        return Part(_sum(terms, errors), flat(slopes), links)

    def _reference(self, bend: Bend) -> Tensor:
        return self.prefix.values[bend.node].reshape(-1)[bend.entries]


@dataclass(frozen=True)
class Middle:
    """d = sum_e slope_e d_e + offset, up to a radius: what lies in the middle of linear bounds."""

    bounds: LinearBounds
    offset: Tensor
    radius: Tensor
    lost: float

    @classmethod
    def of(cls, bounds: LinearBounds, prefix: Prefix) -> "Middle":
        """The radius holds half of what is between the bounds, and what rounding makes of c times
        them, an entry of c being 1."""
        offset = bounds.lo / 2 + bounds.hi / 2
        far = torch.maximum(bounds.hi - offset, offset - bounds.lo)
        radius = raised(far, 2) + bounds.weight
        for edge in bounds.edges:
            if isinstance(edge, Slanted):
                slope = _mean(edge)
                apart = torch.maximum(edge.hi - slope, slope - edge.lo)
                moved = raised(apart * prefix.reach(edge.source), 3) + SMALLEST
                radius = raised(radius + torch.where(apart > 0, moved, 0.0), 2)
        return cls(bounds, offset, radius, bounds.lost)

    def pulled(self, c: Float[Tensor, "k *shape"]) -> Iterator[tuple[str, Tensor]]:
        """Forms on the operands."""
        for edge in self.bounds.edges:
            if isinstance(edge, Straight):
                yield edge.source, edge.operator.rmv(c)
            else:
                yield edge.source, c * _mean(edge)


def _mean(edge: Slanted) -> Tensor:
    return edge.lo / 2 + edge.hi / 2


def _there(forms: Tensor, value: Tensor) -> Rounded:
    return Rounded.exact(flat(forms)) @ Rounded.exact(value.reshape(-1, 1))


def _without(c: Tensor, entries: Tensor) -> Tensor:
    rest = flat(c).clone()
    rest[:, entries] = 0.0
    return rest.reshape(c.shape)


def _sum(terms: list[Rounded], errors: list[Tensor]) -> tuple[Tensor, Tensor]:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    off = raised(torch.stack([total.error[:, 0], *errors]).sum(0), len(errors) + 1)
    return total.value[:, 0], off


def _reduced(
    prefix: Prefix,
    bends: tuple[Bend, ...],
    constants: Rounded,
    slopes: Float[Tensor, "m d"],
    links: Float[Tensor, "m n"],
) -> Hinges:
    """With Q x in place of x, Q about an orthonormal basis of the rows A of slopes.

    a x = l Q x + (a - l Q) x for every l, and the second part is at most |a - l Q| R: an error of
    the constant.  |Q x|^2 <= |Q Q^T| R^2, and a symmetric matrix is at most its largest row sum.
    """
    reach = prefix.region.spread(Norm.L2, prefix.shape)
    basis, _ = torch.linalg.qr(slopes[(slopes != 0).any(1)].T)
    q = Rounded.exact(basis.T.contiguous())
    coordinates = slopes @ basis
    rest = Rounded.exact(slopes) - Rounded.exact(coordinates) @ q
    off = raised(rest.lengths(1) * reach.value, 1)
    known = Rounded(constants.value, raised(constants.error + off, 1))
    stretch = q.gram().norm(Norm.LINF).sqrt()
    value = torch.cat([known.value.unsqueeze(1), coordinates, links], 1)
    error = torch.zeros_like(value)
    error[:, 0] = known.error
    lo, hi = (_ends(prefix, bends, end) for end in ("lo", "hi"))
    return Hinges(Rounded(value, error), lo, hi, reach * stretch)


def _ends(prefix: Prefix, bends: tuple[Bend, ...], end: str) -> Tensor:
    none = torch.zeros(0, dtype=torch.float64)
    found = [getattr(prefix.ranges[b.operand], end).reshape(-1)[b.entries] for b in bends]
    return torch.cat([none, *found])
