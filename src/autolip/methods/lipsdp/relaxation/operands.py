"""The operands of the nonlinear vertices, and the output, as matrices times the variables of H.

The variables are the input x, the results z of the nonlinear vertices, and t (see quadratic_form):

    v_k = sum_s M_ks s,        y = sum_s M_s s,        s running over x and earlier results.
"""

import itertools
from dataclasses import dataclass, field

from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.relaxation.constraint import nonlinear
from autolip.operators.sparse import identity, sparse_matrix
from autolip.rounded import Rounded

Rows = dict[str, Rounded]
"""An affine value as the sum of matrices times the input and the results it depends on, by name."""

READ = ""
"""The name of t."""

LARGEST_ENTRY = 2.0**200
"""Greatest entry of a network's matrices that H is written out for: a choice, so that products stay
within floating point."""


@dataclass(frozen=True)
class Operands:
    """Where the variables of a network stand in H, x last, and the matrices of its affine parts."""

    graph: SlopeGraph
    """Fused."""
    places: dict[str, slice]
    rows: dict[str, Rows] = field(repr=False)
    """What the operand of every nonlinear vertex is made of, and (READ) the output."""

    @staticmethod
    def of(fused: SlopeGraph) -> "Operands | Refusal":
        """Those of a network; refused where a matrix has unknown or enormous entries."""
        sources = {vertex.name: vertex.edges[0].source for vertex in nonlinear(fused)}
        sources[READ] = fused.output
        places, rows = _places(fused, (*sources, fused.input)), dict[str, Rows]()
        for name, source in sources.items():
            found = _rows(fused, source, places)
            if isinstance(found, Refusal):
                return found
            rows[name] = found
        return Operands(fused, places, rows)

    @property
    def size(self) -> int:
        """The order of H, t included."""
        return self.places[self.graph.input].stop


def _places(fused: SlopeGraph, names: tuple[str, ...]) -> dict[str, slice]:
    sizes = [fused[name or fused.output].shape.numel() for name in names]
    stops = itertools.accumulate(sizes)
    spans = zip(names, stops, sizes, strict=True)
    return {name: slice(stop - size, stop) for name, stop, size in spans}


def _rows(graph: SlopeGraph, name: str, places: dict[str, slice]) -> Rows | Refusal:
    """A value by what it depends on."""
    if name in places:
        return {name: identity(graph[name].shape.numel())}
    rows: Rows = {}
    for link in graph[name].links:
        found = sparse_matrix(link.operator)
        if isinstance(found, Refusal):
            return found
        entries = abs(found.value.data)
        if not entries.max(initial=0.0) <= LARGEST_ENTRY:
            return Refusal(f"the matrix of {link.operator} has entries beyond {LARGEST_ENTRY:.3g}")
        rows[link.source] = found
    return rows
