"""Norms of affine maps that are sums of absolute entries."""

import math

import numpy as np

from autolip_check.container import Array, require
from autolip_check.forms import CHUNK
from autolip_check.graph import Network, Section
from autolip_check.maps import gamma

SMALLEST = 2.0**-500
"""What is smaller is taken as this much: squares do not underflow."""


def entry_norms(
    network: Network, source: str, sink: str, majorant: bool
) -> dict[tuple[str, str], float]:
    """Upper bounds on every norm of the map from source to sink that is a sum of absolute entries.

    From the matrix, entry by entry; `majorant`: from two products with |A|, which give only sums of
    its rows and of its columns, and from these the others.
    """
    n = network.size(source)
    m = network.size(sink)
    section = Section(network, (source,))
    terms = section.terms()
    sums = _from_majorant(section, sink, n, m) if majorant else _from_entries(section, sink, n, m)
    columns, rows, squares, row_squares, top = sums
    for part in sums:
        require(bool(np.isfinite(part).all()), "sums of entries overflow")
    bounds = {
        ("l1", "l1"): float(columns.max()),
        ("linf", "linf"): float(rows.max()),
        ("l1", "l2"): math.sqrt(squares.max()),
        ("l2", "linf"): math.sqrt(row_squares.max()),
        ("l1", "linf"): top,
        ("l2", "l1"): float(np.linalg.norm(columns)),
        ("linf", "l2"): float(np.linalg.norm(rows)),
        ("linf", "l1"): float(columns.sum()),
        ("l2", "l2"): min(
            math.sqrt(columns.max()) * math.sqrt(rows.max()), math.sqrt(squares.sum())
        ),
    }
    return {
        pair: bound * (1 + gamma(terms + 2 * (n + m)) + 1e-12) for pair, bound in bounds.items()
    }


Sums = tuple[Array, Array, Array, Array, float]
"""Sums of absolute entries by columns and by rows, of their squares by columns and by rows, the
largest entry."""


def _from_majorant(section: Section, sink: str, n: int, m: int) -> Sums:
    """The sum of |entries| is the image of ones by |A|; the sum of squares is at most its
    square."""
    columns = np.maximum(_moved(section, sink, np.ones((1, m)), True, True)[0], SMALLEST)
    rows = np.maximum(_moved(section, sink, np.ones((1, n)), False, True)[0], SMALLEST)
    return columns, rows, columns**2, rows**2, float(np.minimum(columns.max(), rows.max()))


def _from_entries(section: Section, sink: str, n: int, m: int) -> Sums:
    """The images of the unit vectors, and what rounding may have done to them."""
    columns = np.zeros(n)
    squares = np.zeros(n)
    rows = np.zeros(m)
    row_squares = np.zeros(m)
    top = 0.0
    terms = section.terms()
    step = max(1, CHUNK // max(n, m, 1))
    for start in range(0, n, step):
        units = np.eye(min(step, n - start), n, start)
        computed = np.abs(_moved(section, sink, units))
        rounding = gamma(terms) * _moved(section, sink, units, absolute=True) * (1 + 1e-6)
        sizes = np.maximum(computed + rounding, SMALLEST)
        require(bool(np.isfinite(sizes).all()), "entries overflow")
        chosen = slice(start, start + len(units))
        columns[chosen], squares[chosen] = sizes.sum(1), (sizes**2).sum(1)
        rows = rows + sizes.sum(0)
        row_squares = row_squares + (sizes**2).sum(0)
        top = max(top, float(sizes.max()))
    return columns, rows, squares, row_squares, top


def _moved(
    section: Section, sink: str, x: Array, back: bool = False, absolute: bool = False
) -> Array:
    """A x for the rows of x, or A^T x, flattened."""
    source = section.free[0]
    network = section.network
    start, end = (sink, source) if back else (source, sink)
    values = section.act({start: x.reshape(-1, *network[start].shape)}, back, absolute)
    return values.get(end, np.zeros((len(x), network.size(end)))).reshape(len(x), -1)
