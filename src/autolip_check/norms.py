"""Norms of affine maps that are sums of absolute entries."""

import math
from dataclasses import dataclass

import numpy as np

from autolip_check.container import Array, require
from autolip_check.forms import CHUNK
from autolip_check.graph import Network, Section
from autolip_check.maps import Map, gamma


@dataclass(frozen=True)
class Affine:
    """The affine map from one vertex to another, all other free variables at zero."""

    network: Network
    source: str
    sink: str

    def forward(self, x: Array, absolute: bool = False) -> Array:
        """A x for the rows of x."""
        section = Section(self.network, (self.source,))
        values = section.forward({self.source: x.reshape(-1, *self.network[self.source].shape)}, absolute)
        return values.get(self.sink, np.zeros((len(x), self.network.size(self.sink)))).reshape(len(x), -1)

    def factors(self) -> list[Map]:
        """The maps in the order they act, along a single path."""
        path, name = list[Map](), self.sink
        while name != self.source:
            edges = self.network[name].edges
            require(len(edges) == 1 and isinstance(edges[0].slope, Map), "the symbol needs a single path")
            path += [edge.slope for edge in edges if isinstance(edge.slope, Map)]
            name = edges[0].source
        return path[::-1]


def entry_norms(affine: Affine, majorant: bool) -> dict[tuple[str, str], float]:
    """Upper bounds on every norm that is a sum of absolute entries, from the matrix or from one product with |A|."""
    n, m = affine.network.size(affine.source), affine.network.size(affine.sink)
    terms = Section(affine.network, (affine.source,)).terms()
    columns, squares, rows, row_squares, top = np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(m), 0.0
    step = max(1, CHUNK // max(n, m, 1))
    for start in range(0, n, step):
        units = np.eye(min(step, n - start), n, start)
        sizes = affine.forward(units, absolute=True)
        if not majorant:
            sizes = np.abs(affine.forward(units)) + gamma(terms) * sizes * (1 + 1e-6)
        chosen = slice(start, start + len(units))
        columns[chosen], squares[chosen] = sizes.sum(1), (sizes**2).sum(1)
        rows, row_squares, top = rows + sizes.sum(0), row_squares + (sizes**2).sum(0), max(top, float(sizes.max()))
    one, infinite = float(columns.max()), float(rows.max())
    bounds = {
        ("l1", "l1"): one,
        ("linf", "linf"): infinite,
        ("l1", "l2"): math.sqrt(squares.max()),
        ("l2", "linf"): math.sqrt(row_squares.max()),
        ("l1", "linf"): top,
        ("l2", "l1"): float(np.linalg.norm(columns)),
        ("linf", "l2"): float(np.linalg.norm(rows)),
        ("linf", "l1"): float(columns.sum()),
        ("l2", "l2"): min(math.sqrt(one * infinite), math.sqrt(squares.sum())),
    }
    return {pair: bound * (1 + gamma(terms + 2 * (n + m)) + 1e-12) for pair, bound in bounds.items()}
