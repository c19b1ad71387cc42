"""Norms of affine maps that are sums of absolute entries."""

import math

import numpy as np

from autolip_check.container import Array
from autolip_check.forms import CHUNK
from autolip_check.graph import Network, Section
from autolip_check.maps import gamma


def entry_norms(network: Network, source: str, sink: str, majorant: bool) -> dict[tuple[str, str], float]:
    """Upper bounds on every norm of the map from source to sink that is a sum of absolute entries.

    From the matrix; `majorant`: from two products with |A|, which give those from l1 to l1, and from linf to linf.
    """
    section, n, m = Section(network, (source,)), network.size(source), network.size(sink)
    terms, step = section.terms(), max(1, CHUNK // max(n, m, 1))

    def moved(x: Array, back: bool = False, absolute: bool = False) -> Array:
        start, end = (sink, source) if back else (source, sink)
        values = section.act({start: x.reshape(-1, *network[start].shape)}, back, absolute)
        return values.get(end, np.zeros((len(x), network.size(end)))).reshape(len(x), -1)

    columns, rows = moved(np.ones((1, m)), True, True)[0], moved(np.ones((1, n)), False, True)[0]
    squares, row_squares, top = columns**2, rows**2, min(columns.max(), rows.max())
    if not majorant:
        columns, squares, rows, row_squares, top = np.zeros(n), np.zeros(n), np.zeros(m), np.zeros(m), 0.0
    for start in range(0, 0 if majorant else n, step):
        units = np.eye(min(step, n - start), n, start)
        sizes = np.abs(moved(units)) + gamma(terms) * moved(units, absolute=True) * (1 + 1e-6)
        chosen = slice(start, start + len(units))
        columns[chosen], squares[chosen] = sizes.sum(1), (sizes**2).sum(1)
        rows, row_squares, top = rows + sizes.sum(0), row_squares + (sizes**2).sum(0), max(top, float(sizes.max()))
    bounds = {
        ("l1", "l1"): float(columns.max()),
        ("linf", "linf"): float(rows.max()),
        ("l1", "l2"): math.sqrt(squares.max()),
        ("l2", "linf"): math.sqrt(row_squares.max()),
        ("l1", "linf"): top,
        ("l2", "l1"): float(np.linalg.norm(columns)),
        ("linf", "l2"): float(np.linalg.norm(rows)),
        ("linf", "l1"): float(columns.sum()),
        ("l2", "l2"): min(math.sqrt(columns.max() * rows.max()), math.sqrt(squares.sum())),
    }
    return {pair: bound * (1 + gamma(terms + 2 * (n + m)) + 1e-12) for pair, bound in bounds.items()}
