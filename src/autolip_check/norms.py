"""Norms of affine maps that are sums of absolute entries."""

import math

import numpy as np

from autolip_check.container import Array, require
from autolip_check.forms import CHUNK
from autolip_check.graph import Network, Section
from autolip_check.maps import gamma

SMALLEST = 2.0**-500
"""Proved: what is smaller is taken as this much, so that its square does not underflow."""


def entry_norms(
    network: Network, source: str, sink: str, majorant: bool
) -> dict[tuple[str, str], float]:
    """Upper bounds on every norm of the map from source to sink that is a sum of absolute entries.

    With columns a_j and rows a^i of A,

        l1 -> l1    max |a_j|_1      l1 -> l2    max |a_j|_2      l2 -> l1    | (|a_j|_1)_j |_2
        linf -> linf    max |a^i|_1  l2 -> linf  max |a^i|_2      linf -> l2  | (|a^i|_1)_i |_2
        l1 -> linf    max |a_ij|     linf -> l1  sum |a_ij|
        l2 -> l2    sqrt(max |a_j|_1 max |a^i|_1) (Schur) or the Frobenius norm.

    From the matrix, entry by entry; `majorant`: from two products with |A|, which give only sums of
    its rows and of its columns, and from these the others.
    """
    n = network.size(source)
    m = network.size(sink)
    section = Section(network, (source,))
    found = _from_majorant if majorant else _from_entries
    sums = found(section, sink, n, m)
    columns, rows, squares, row_squares, top = sums
    for part in sums:
        require(bool(np.isfinite(part).all()), "sums of entries overflow")
    column_norm = math.sqrt(columns.max())
    row_norm = math.sqrt(rows.max())
    schur = column_norm * row_norm
    frobenius = math.sqrt(squares.sum())
    bounds = {
        ("l1", "l1"): float(columns.max()),
        ("linf", "linf"): float(rows.max()),
        ("l1", "l2"): math.sqrt(squares.max()),
        ("l2", "linf"): math.sqrt(row_squares.max()),
        ("l1", "linf"): top,
        ("l2", "l1"): float(np.linalg.norm(columns)),
        ("linf", "l2"): float(np.linalg.norm(rows)),
        ("linf", "l1"): float(columns.sum()),
        ("l2", "l2"): min(schur, frobenius),
    }
    terms = section.terms() + 2 * (n + m)
    rounding = gamma(terms) + 1e-12
    return {pair: bound * (1 + rounding) for pair, bound in bounds.items()}


def work_of(network: Network, source: str, sink: str, majorant: bool) -> float:
    """Multiply-adds of `entry_norms`."""
    section = Section(network, (source,))
    n = network.size(source)
    passes = 2 if majorant else 2 * n
    return float(passes) * (section.work + network.size(sink))


Sums = tuple[Array, Array, Array, Array, float]
"""Sums of absolute entries by columns and by rows, of their squares by columns and by rows, the
largest entry."""


def _from_majorant(section: Section, sink: str, n: int, m: int) -> Sums:
    """The sum of |entries| is the image of ones by |A|; the sum of squares is at most its
    square."""
    outputs = np.ones((1, m))
    inputs = np.ones((1, n))
    (columns,) = _moved(section, sink, outputs, back=True, absolute=True)
    (rows,) = _moved(section, sink, inputs, absolute=True)
    columns = np.maximum(columns, SMALLEST)
    rows = np.maximum(rows, SMALLEST)
    top = min(float(columns.max()), float(rows.max()))
    return columns, rows, columns**2, rows**2, top


def _from_entries(section: Section, sink: str, n: int, m: int) -> Sums:
    """The images of the unit vectors, and what rounding may have done to them."""
    columns = np.zeros(n)
    squares = np.zeros(n)
    rows = np.zeros(m)
    row_squares = np.zeros(m)
    top = 0.0
    terms = section.terms()
    longest = max(n, m, 1)
    step = max(1, CHUNK // longest)
    for start in range(0, n, step):
        stop = min(start + step, n)
        units = np.eye(stop - start, n, start)
        image = _moved(section, sink, units)
        computed = np.abs(image)
        largest = _moved(section, sink, units, absolute=True)
        rounding = gamma(terms) * largest * (1 + 1e-6)
        sizes = np.maximum(computed + rounding, SMALLEST)
        require(bool(np.isfinite(sizes).all()), "entries overflow")
        squared = sizes**2
        columns[start:stop] = sizes.sum(1)
        squares[start:stop] = squared.sum(1)
        rows = rows + sizes.sum(0)
        row_squares = row_squares + squared.sum(0)
        top = max(top, float(sizes.max()))
    return columns, rows, squares, row_squares, top


def _moved(
    section: Section, sink: str, x: Array, back: bool = False, absolute: bool = False
) -> Array:
    """A x for the rows of x, or A^T x, flattened."""
    (source,) = section.free
    network = section.network
    start, end = (sink, source) if back else (source, sink)
    shape = network[start].shape
    given = x.reshape(-1, *shape)
    values = section.act({start: given}, back, absolute)
    size = network.size(end)
    nothing = np.zeros((len(x), size))
    return values.get(end, nothing).reshape(len(x), -1)
