"""H >= 0 as the norm of one linear map, for graphs whose form is too large to be written out.

With z = c v + s, |s| <= rho |v|, let M take (x', s'), x = x'/value, s_k = d_k s'_k, through the
network with the s_k as free inputs, to y and to e_k v_k for every nonlinear vertex.  If N >=
||M||_2 then for every difference

    |y|^2 + sum_k |e_k v_k|^2  <=  N^2 (value^2 |x|^2 + sum_k |s_k / d_k|^2),

and where e_k d_k >= N rho_k the sums cancel, for |e_k v_k| >= N |s_k / d_k|: hence |y| <= N value
|x|.  The multipliers lam give e = rho sqrt(lam) and d = 1 / sqrt((1 - eta) lam), eta being the
margin with which they were found: N is then about 1, and should not exceed (1 - eta)^(-1/2) =
limit.  One product with M is one pass of the network, and N is proved as any dense norm, or by
Lanczos.

Where N > limit, let depth count the nonlinear vertices on the longest path: 0 at the input, 1 to K,
K + 1 at y.  Row k of M reads columns j of smaller depth only, so that f(t) = [t^(depth k - depth j
- 1) M_kj] is a polynomial in t, unitarily equivalent to M on |t| = 1, and ||f(1/g)|| <= N for g >=
1 by the maximum principle.  But f(1/g) is M with rows scaled by g^-depth and columns by g^(depth +
1): e_k d_k is g times larger, and g = N / limit makes up for it,

    |y| <= N g^K value |x|,        with multipliers g^(2 (K + 1 - depth)) lam.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.graph.views import Vertex
from autolip.methods.lipsdp.relaxation.assembly import are_weights
from autolip.methods.lipsdp.statement import Statement
from autolip.operators.algebra import compose, compound_error
from autolip.operators.block import Block, Link, accumulate, between, pulled, pushed
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.lanczos import lanczos
from autolip.operators.norms.rounding import upper_product, upper_sum
from autolip.operators.operator import DTYPE, Operator, largest
from autolip.rounded import Rounded
from autolip.roundoff import raised
from autolip.values import Upper

FARTHEST = 10.0
"""Chosen: logarithm of what a repair may cost."""

IN, OUT = "free inputs", "all operands"


@dataclass(frozen=True)
class Lifted:
    """M, what its input stands for, and up to which N it proves anything."""

    operator: Operator
    inputs: Tensor
    """x = inputs * x'."""
    outputs: Tensor
    """y' = outputs * y."""
    reach: float
    """At least rho / (e d), for every neuron."""

    @property
    def limit(self) -> float:
        """About the least e d / rho: up to which N proves the statement as it is."""
        return 1 / self.reach if self.reach else math.inf


def lifted(statement: Statement, margin: float) -> Lifted | Refusal:
    """M for a statement's multipliers."""
    writer = _Writer(statement, margin)
    for vertex in statement.relaxation.graph:
        refusal = writer.enter(vertex)
        if refusal is not None:
            return refusal
    return writer.finished()


@dataclass(frozen=True)
class Repaired:
    """|y| <= bound |x|, by multipliers g^(2 (K + 1 - depth)) lam; g = 1 where nothing is
    missing."""

    bound: Upper
    growth: float
    depths: dict[str, int]

    def factor(self, name: str) -> float:
        """Of the multipliers of a vertex."""
        return self.growth ** (2 * (1 + max(self.depths.values()) - self.depths[name]))


def norm_bound(statement: Statement, margin: float, options: NormOptions) -> Repaired | Refusal:
    """Upper bound on the statement's constant, by a bound on ||M||_2 that the norm engines find."""
    map_ = lifted(statement, margin)
    if isinstance(map_, Refusal):
        return map_
    if not are_weights(map_.inputs) or not are_weights(map_.outputs):
        return Refusal(
            "the weights of the input or the output are not positive numbers of moderate size"
        )
    operator = map_.operator
    near = replace(options, tolerance=max(margin / 10, 1e-4), enough=map_.limit)
    dense = min(operator.in_size, operator.out_size) <= options.finite_size
    norm = operator_norm(operator, options=near) if dense else lanczos(operator, near)
    if isinstance(norm, Refusal):
        return norm
    value = norm * _length(1 / map_.inputs) * _length(1 / map_.outputs)
    missing = Upper(norm.value) * Upper(map_.reach)
    levels, growth = statement.relaxation.depths, Upper(max(missing.value, 1.0))
    if math.log(growth.value) * max(levels.values()) > FARTHEST:
        return Refusal(
            f"the multipliers need a norm near {map_.limit:.6g}, and {norm.value:.6g} is "
            "what was proved of it"
        )
    for _ in range(max(levels.values())):
        value = value * growth
    return Repaired(value, growth.value, levels)


def _length(entries: Tensor) -> Upper:
    """The l2 norm of numbers each of which was rounded once."""
    return Upper(Rounded.nearest(entries).length())


Part = tuple[str, Tensor, torch.Size]
"""What a part of M's input goes to, or what a part of its output comes from: a value, its scale,
its shape."""


class _Map(Block):
    """M by its links; a product cuts the input, and joins the output, once instead of link by
    link."""

    def __init__(self, reads: list[Part], inner: list[Link], writes: list[Part]) -> None:
        sizes = (sum(shape.numel() for *_, shape in parts) for parts in (reads, writes))
        super().__init__(IN, OUT, _wired(reads, inner, writes), *((size,) for size in sizes))
        self._reads, self._writes = reads, writes
        self._inner = [link for link in self.links if link.source != IN and link.target != OUT]

    def _mv(self, x: Tensor) -> Tensor:
        return _joined(pushed(self._inner, _cut(x, self._reads)), self._writes, x)

    def _rmv(self, y: Tensor) -> Tensor:
        return _joined(pulled(self._inner, _cut(y, self._writes)), self._reads, y)

    def deviation(self, norm: float) -> Upper | None:
        """2 err ||E |G| D||, by Schur's test, if that is below N = `norm`, where |G' - G| <= err
        |G|.

        Let G be the affine maps from all of x, z_k to all of v_k, y, let C, S, e hold the c_k, d_k,
        e_k, and let a dash mark what is meant.  With v = G z, z = C v + S s', M s' = e v,

            M' - M = (e + M' S^-1 C) (G' - G) (C e^-1 M + S).

        Where ||M'|| <= 2 N, the first factor is at most sqrt(2) times E = e + 2 N |C| / S, the last
        at most sqrt(2) times D = S + N |C| / e, in norm as they act on |G' - G|.  And ||M'|| <= 2
        N: along G + t (G' - G), 0 <= t <= 1,
        ||M' - M|| is continuous, 0 at first, and cannot be N where the bound is smaller.
        """
        bent = {target for target, *_ in self._reads}
        affine = [link for link in self._inner if link.target not in bent]
        centres = {
            link.target: abs(link.operator.diagonal)
            for link in self._inner
            if link.operator.diagonal is not None
        }
        reads, writes = self._reads[:1], self._writes[-1:]
        for (target, into, after), (source, out, before) in zip(
            self._reads[1:], self._writes[:-1], strict=True
        ):
            centre = centres.get(target, torch.zeros((), dtype=DTYPE))
            reads.append((target, raised(into + norm * centre / out, 3), after))
            writes.append((source, raised(out + 2 * norm * centre / into, 3), before))
        rows = _largest_sum(reads, affine, writes)
        columns = _largest_sum(
            writes, [Link(x.target, x.source, x.operator.T) for x in reversed(affine)], reads
        )
        if rows is None or columns is None:
            return None
        error = (
            Upper(2 * compound_error(*(link.operator for link in affine)))
            * rows.sqrt()
            * columns.sqrt()
        )
        return error if error.value < norm else None


def _largest_sum(reads: list[Part], links: list[Link], writes: list[Part]) -> Upper | None:
    """At least the largest row sum of the map's absolute values, link by link; None where a link's
    are unknown.

    Without the wiring from a joined input and to a joined output, whose tables would hold a
    network's values each.
    """
    values = dict[str, Tensor]()
    for name, scale, shape in reads:
        _raise(values, name, scale.broadcast_to(1, *shape))
    for link in links:
        size = link.operator.majorant()
        if size is None:
            return None
        _raise(values, link.target, upper_product(size, values[link.source]))
    sums = (
        Rounded.exact(values[name]) * Rounded.exact(scale)
        for name, scale, _ in writes
        if name in values
    )
    return Upper(max((largest(row.size) for row in sums), default=0.0))


def _raise(values: dict[str, Tensor], name: str, term: Tensor) -> None:
    """Add a term, rounding up."""
    values[name] = upper_sum([values[name], term]) if name in values else term


def _wired(reads: list[Part], inner: list[Link], writes: list[Part]) -> tuple[Link, ...]:
    """Those links from parts of the input to parts of the output that lie on a path."""
    ins, outs = (sum(shape.numel() for *_, shape in parts) for parts in (reads, writes))
    into = [
        Link(IN, target, compose(Diagonal(scale, shape), _slice(start, shape, ins)))
        for start, (target, scale, shape) in _offsets(reads)
    ]
    out = [
        Link(source, OUT, compose(_place(start, shape, outs), Diagonal(scale, shape)))
        for start, (source, scale, shape) in _offsets(writes)
    ]
    return tuple(between([*into, *inner, *out], IN, OUT))


def _cut(x: Tensor, parts: list[Part]) -> dict[str, Tensor]:
    """The parts of every row of x, scaled; those of one value added up."""
    values = dict[str, Tensor]()
    pieces = x.split([shape.numel() for *_, shape in parts], 1)
    for (name, scale, shape), piece in zip(parts, pieces, strict=True):
        accumulate(values, name, piece.reshape(-1, *shape) * scale)
    return values


def _joined(values: dict[str, Tensor], parts: list[Part], like: Tensor) -> Tensor:
    """The scaled values, as rows; 0 for those that nothing reaches."""
    none = like.new_zeros(())
    rows = [
        (values.get(name, none) * scale).broadcast_to(len(like), *shape)
        for name, scale, shape in parts
    ]
    return torch.cat([row.reshape(len(like), -1) for row in rows], 1)


@dataclass
class _Writer:
    """The links of M, vertex by vertex."""

    statement: Statement
    margin: float
    reads: list[Part] = field(default_factory=list)
    inner: list[Link] = field(default_factory=list)
    writes: list[Part] = field(default_factory=list)
    reaches: list[float] = field(default_factory=list)

    def enter(self, vertex: Vertex) -> Refusal | None:
        """The links into a vertex, and out of what a nonlinear one reads."""
        graph = self.statement.relaxation.graph
        if vertex.name == graph.input:
            mu = self.statement.inputs
            scale = (
                torch.tensor(1 / self.statement.value, dtype=DTYPE) if mu is None else mu.rsqrt()
            )
            self.reads.append((vertex.name, scale, vertex.shape))
        elif vertex.is_affine:
            self.inner += vertex.links
        else:
            return self._bend(vertex)
        return None

    def _bend(self, vertex: Vertex) -> Refusal | None:
        item = self.statement.relaxation.constraints[vertex.name]
        lam = self.statement.multipliers[vertex.name].reshape(item.blocks)
        centre, radius = item.centre, item.radius
        if not are_weights(lam) or not are_weights(radius):
            what = f"a multiplier or a width of {vertex.operation} at {vertex.place}"
            return Refusal(f"{what} is not a positive number of moderate size")
        out, into = radius * lam.sqrt(), (lam * (1 - self.margin)).rsqrt()
        self.reaches.append(largest(raised(radius / (out * into), 2)))
        source = vertex.edges[0].source
        self.writes.append((source, out, item.in_shape))
        if bool(centre.any()):
            self.inner.append(Link(source, vertex.name, Diagonal(centre, item.in_shape)))
        self.reads.append((vertex.name, into, item.out_shape))
        return None

    def finished(self) -> Lifted:
        graph, nu = self.statement.relaxation.graph, self.statement.outputs
        scale = torch.ones((), dtype=DTYPE) if nu is None else nu.rsqrt()
        self.writes.append((graph.output, scale, graph.output_shape))
        operator = _Map(self.reads, self.inner, self.writes)
        return Lifted(operator, self.reads[0][1], scale, max(self.reaches, default=0.0))


def _offsets(parts: list[Part]) -> Iterator[tuple[int, Part]]:
    start = 0
    for part in parts:
        yield start, part
        start += part[2].numel()


def _slice(start: int, shape: torch.Size, total: int) -> Operator:
    """The entries from `start` on, as a tensor of this shape."""
    return Incidence(
        lambda x: x.narrow(0, start, shape.numel()).reshape(shape), (total,), tuple(shape)
    )


def _place(start: int, shape: torch.Size, total: int) -> Operator:
    """A tensor's entries from `start` on, zero elsewhere."""
    after = total - start - shape.numel()
    return Incidence(
        lambda x: torch.nn.functional.pad(x.reshape(-1), (start, after)), tuple(shape), (total,)
    )
