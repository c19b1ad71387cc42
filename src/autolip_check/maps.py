"""Linear maps: a closed set of primitives, executed forward and backward in float64.

With `absolute` a map acts by |A|, and adds 2^-900 (gamma times it is far more than underflow can
lose): for the image m of |x| by |A|, |computed A x - A x| <= gamma_t m with t = `terms` (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).  `terms` counts the products in
one entry, and the stated uncertainty of the entries in units of 2^-53: relative errors e_i of
factors compound to (1 + e_1) ... (1 + e_k) - 1, which is at most gamma of their sum.
"""

import itertools
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import (
    LARGEST_TENSOR,
    admitted,
    fields_of,
    number,
    one_of,
    quoted,
    relative_error,
    shape_of,
)
from autolip_check.container import Array, Document, require

UNIT = 2.0**-53
"""Proved: the relative error of one operation in float64, rounded to nearest."""

TINY = 2.0**-900
"""Proved: times gamma it is more than 2^100 products lose by underflow (2^-1074 each)."""

BLOCK = 2**20
"""Tuned: numbers that a convolution reads at once, so that they stay in the cache."""

Shape = tuple[int, ...]
Tensors = dict[str, NDArray[Any]]


def gamma(terms: float) -> float:
    """At least n u / (1 - n u), n = `terms`: what n roundings can amount to, relatively.

    Four terms more, and four units, are room for the roundings of this formula itself.
    """
    product = (terms + 4) * UNIT
    require(product < 0.01, "too many terms for float64")
    return product / (1 - product) * (1 + 4 * UNIT)


class Map(ABC):
    """A linear map on batches of tensors."""

    shape_in: Shape
    shape_out: Shape
    terms: float

    @property
    @abstractmethod
    def is_zero(self) -> bool:
        """Whether every entry is 0: nothing depends on the operand."""

    @property
    @abstractmethod
    def work(self) -> float:
        """Multiply-adds of one product, or more."""

    @abstractmethod
    def act(self, x: Array, back: bool, absolute: bool) -> Array:
        """A x, or A^T x if `back`."""


class Stored(Map):
    """A map with stored entries, each right up to a relative error."""

    def __init__(self, entries: Array, error: float) -> None:
        self.entries = admitted(entries)
        self.error = error
        """In units of 2^-53."""

    @property
    def is_zero(self) -> bool:
        return not self.entries.any()

    def act(self, x: Array, back: bool, absolute: bool) -> Array:
        if absolute:
            return self.product(np.abs(self.entries), x, back) + TINY
        return self.product(self.entries, x, back)

    @abstractmethod
    def product(self, entries: Array, x: Array, back: bool) -> Array:
        """The same with other entries in their place."""


class Dense(Stored):
    """x -> W x along the last axis; W (*batch, m, n), its batch broadcast against the leading
    axes."""

    def __init__(self, weight: Array, shape: Shape, error: float) -> None:
        super().__init__(weight, error)
        require(weight.ndim >= 2, "a matrix has two axes, or more")
        *batch, m, n = weight.shape
        require(shape[-1:] == (n,), "a matrix does not fit its input")
        lead = shape[:-1]
        require(np.broadcast_shapes(tuple(batch), lead) == lead, "matrices do not broadcast")
        self.shape_in = shape
        self.shape_out = (*lead, m)
        self.terms = max(m, n) + self.error

    @property
    def work(self) -> float:
        return float(math.prod(self.shape_out) * self.shape_in[-1])

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        # x^T W^T is (W x)^T, and x^T W is (W^T x)^T
        transposed = np.swapaxes(entries, -1, -2)
        turned = entries if back else transposed
        if entries.ndim == 2:
            return x @ turned
        rows = x[..., None, :]
        return (rows @ turned)[..., 0, :]


class Diagonal(Stored):
    """x -> d x, d broadcast to the shape."""

    def __init__(self, scale: Array, shape: Shape, error: float) -> None:
        super().__init__(scale, error)
        both = np.broadcast_shapes(scale.shape, shape)
        require(both == shape, "a scale does not broadcast to its shape")
        self.shape_in = shape
        self.shape_out = shape
        self.terms = 1 + self.error

    @property
    def work(self) -> float:
        return float(math.prod(self.shape_in))

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        return x * entries


class Convolution(Stored):
    """Zero-padded cross-correlation or its adjoint: weight (c_out, c_in/groups, *kernel), image
    (*lead, c, *space).

    Along each axis, with n entries of the image, p of padding on either side, k taps, stride s and
    dilation d, the padded image has n' = n + 2 p entries, and the result
    floor((n' - d (k - 1) - 1) / s) + 1.
    """

    def __init__(self, weight: Array, shape: Shape, error: float, entry: Document) -> None:
        super().__init__(weight, error)
        axes = weight.ndim - 2
        require(0 < axes < len(shape), "a kernel has no axes")
        require(min(weight.shape) >= 1, "a kernel has no entries")
        self._geometry(entry, axes)
        c_out, c_in, *kernel = weight.shape
        before = len(shape) - axes - 1
        self.lead = shape[:before]
        channels = shape[before]
        self.space = shape[before + 1 :]
        require(c_out % self.groups == 0, "the groups of a kernel are not equal")
        require(channels == c_in * self.groups, "a kernel does not fit its image")
        padded = tuple(map(_padded, self.space, self.padding))
        places = map(_places, padded, kernel, self.stride, self.dilation)
        self.image = (channels, *padded)
        self.out = (c_out, *places)
        require(min(self.out) >= 1, "a convolution has no output")
        read = math.prod(self.image)
        written = math.prod(self.out)
        entries = math.prod(self.lead) * max(read, written)
        require(entries <= LARGEST_TENSOR, "a convolution is too large")
        after = (*self.lead, *self.out)
        self.shape_in = after if self.adjoint else shape
        self.shape_out = shape if self.adjoint else after
        taps = math.prod(kernel)
        channels_read = max(c_out, c_in)
        self.terms = channels_read * taps + self.error

    def _geometry(self, entry: Document, axes: int) -> None:
        """Stride, padding and dilation of every axis, groups, and which of the two maps it is."""
        self.stride = shape_of(entry["stride"])
        self.padding = shape_of(entry["padding"])
        self.dilation = shape_of(entry["dilation"])
        self.groups = entry["groups"]
        self.adjoint = entry["adjoint"]
        require(
            type(self.adjoint) is bool, "a convolution is the adjoint of one or not: true or false"
        )
        require(type(self.groups) is int and self.groups >= 1, "groups are counted from 1")
        for numbers in (self.stride, self.padding, self.dilation):
            require(len(numbers) == axes, "a geometry is odd")
        steps = self.stride + self.dilation
        require(min(steps) >= 1, "strides and dilations are positive")

    @property
    def work(self) -> float:
        return float(math.prod(self.lead) * math.prod(self.out) * self.entries[0].size)

    def _windows(self, first: int, end: int) -> Any:
        """For each tap of the kernel, what it reads of the padded image for these rows of the
        result."""
        all_others = [(0, n) for n in self.out[2:]]
        rows = ((first, end), *all_others)
        for tap in itertools.product(*map(range, self.entries.shape[2:])):
            yield (..., *map(_read, tap, rows, self.stride, self.dilation))

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        """Row by row of the result: kernel times what its taps read, or what they read plus
        kernel^T times the row."""
        forward = back == self.adjoint
        lead = math.prod(self.lead)
        count = len(x) * lead
        padded = np.zeros((count, *self.image))
        out = np.zeros((count, *self.out))
        inside: Any = (..., *map(_inside, self.space, self.padding))
        image = padded[inside]
        given, result = (image, out) if forward else (out, image)
        given[...] = x.reshape(given.shape)

        reads = entries[0].size
        kernel = entries.reshape(self.groups, -1, reads)
        in_a_row = reads * math.prod(self.out[2:])
        step = max(1, BLOCK // in_a_row)
        for start in range(0, self.out[1], step):
            part = out[:, :, start : start + step]
            stop = start + part.shape[2]
            places = self._windows(start, stop)
            windows = [padded[at] for at in places]
            if forward:
                _correlate(kernel, windows, part)
            else:
                _correlate_back(kernel, windows, part)
        after = result.shape[1:]
        shape = (len(x), *self.lead, *after)
        return np.ascontiguousarray(result).reshape(shape)


def _padded(n: int, p: int) -> int:
    """Entries of the padded image along an axis."""
    return n + 2 * p


def _places(n: int, k: int, s: int, d: int) -> int:
    """Entries of the result along an axis: how often a kernel of k taps fits into n entries."""
    return (n - d * (k - 1) - 1) // s + 1


def _inside(n: int, p: int) -> slice:
    """The image in the padded one, along an axis."""
    return slice(p, p + n)


def _read(tap: int, rows: tuple[int, int], s: int, d: int) -> slice:
    """The entries tap d + i s of the padded image, for places first <= i < end of the result."""
    first, end = rows
    last = end - 1
    return slice(tap * d + first * s, tap * d + last * s + 1, s)


def _correlate(kernel: Array, windows: list[Array], part: Array) -> None:
    """part = kernel times what the taps read, group by group."""
    places = part[0, 0].size
    flat = (len(part), len(kernel), -1, places)
    read = [window.reshape(flat) for window in windows]
    columns = np.stack(read, 3)
    image = kernel @ columns.reshape(flat)
    part[...] = image.reshape(part.shape)


def _correlate_back(kernel: Array, windows: list[Array], part: Array) -> None:
    """Adds kernel^T times part to what the taps read, group by group."""
    places = part[0, 0].size
    flat = (len(part), len(kernel), -1, places)
    adjoint = np.swapaxes(kernel, 1, 2)
    columns = adjoint @ part.reshape(flat)
    for tap, window in enumerate(windows):
        read = columns[:, :, tap :: len(windows)]
        window += read.reshape(window.shape)


class Wiring(Map):
    """y_o = sum of x_i over pairs (o, i): reshapes, selections, padding, sums."""

    def __init__(
        self, rows: NDArray[Any], columns: NDArray[Any], shape_in: Shape, shape_out: Shape
    ) -> None:
        self.shape_in = shape_in
        self.shape_out = shape_out
        n = math.prod(shape_in)
        m = math.prod(shape_out)
        require(rows.ndim == columns.ndim == 1, "pairs of a wiring are no lists")
        require(len(rows) == len(columns), "pairs of a wiring do not match")
        used = columns >= 0
        of_rows = rows[used]
        of_columns = columns[used]
        self.rows = of_rows.astype(np.int64)
        self.columns = of_columns.astype(np.int64)
        if self.rows.size:
            require(self.rows.min() >= 0 and self.rows.max() < m, "a wiring leaves its result")
            require(self.columns.max() < n, "a wiring leaves its operand")
        of_a_row = _most_used(self.rows)
        of_a_column = _most_used(self.columns)
        self.counts = [of_a_row, of_a_column]
        self.terms = float(max(self.counts))
        moves_all = n == m == self.rows.size
        self.is_isometry = moves_all and self.terms == 1

    @property
    def is_zero(self) -> bool:
        return not self.rows.size

    @property
    def work(self) -> float:
        return float(self.rows.size + math.prod(self.shape_in) + math.prod(self.shape_out))

    def act(self, x: Array, back: bool, absolute: bool) -> Array:
        source = self.rows if back else self.columns
        target = self.columns if back else self.rows
        shape = self.shape_in if back else self.shape_out
        flat = x.reshape(len(x), -1)
        size = math.prod(shape)
        out = np.zeros((len(x), size))
        if self.counts[back] <= 1:  # no entry of the result is a sum
            out[:, target] = flat[:, source]
        else:
            np.add.at(out.T, target, flat.T[source])
        return out.reshape(-1, *shape)


def _most_used(index: NDArray[Any]) -> int:
    """How often the most frequent place occurs."""
    return int(np.bincount(index, minlength=1).max())


FIELDS = {
    "dense": {"weight", "in", "error"},
    "diagonal": {"weight", "in", "error"},
    "convolution": {"weight", "in", "error", "stride", "padding", "dilation", "groups", "adjoint"},
    "gather": {"in", "out", "index"},
    "pairs": {"in", "out", "rows", "columns"},
}


def build(entry: Any, tensors: Tensors, before: Shape, after: Shape) -> Map:
    """The map of an entry of the certificate, from one shape to another; what is not known is
    refused."""
    kind = one_of(FIELDS, entry, "op", "a linear map")
    fields_of(entry, {"op", *FIELDS[kind]}, f"a map {kind}")
    shape = shape_of(entry["in"])
    if kind in ("pairs", "gather"):
        out = shape_of(entry["out"])
        require((shape, out) == (before, after), "a map has a wrong shape")
        return _wiring(kind, entry, tensors, shape, out)
    weight = tensor(entry["weight"], tensors)
    error = relative_error(entry["error"])
    linear: Map
    if kind == "convolution":
        linear = Convolution(weight, shape, error, entry)
    elif kind == "dense":
        linear = Dense(weight, shape, error)
    else:
        linear = Diagonal(weight, shape, error)
    require((linear.shape_in, linear.shape_out) == (before, after), "a map has a wrong shape")
    return linear


def _wiring(kind: str, entry: Document, tensors: Tensors, shape: Shape, out: Shape) -> Wiring:
    if kind == "pairs":
        rows = indices(entry["rows"], tensors)
        columns = indices(entry["columns"], tensors)
    else:  # every entry of the result has one source, or none
        rows = np.arange(math.prod(out))
        columns = _sources(entry["index"], out, tensors)
    return Wiring(rows, columns, shape, out)


def _sources(index: Any, shape: Shape, tensors: Tensors) -> NDArray[Any]:
    """Where each entry comes from: a tensor (-1: zero), or an offset and a stride for each axis of
    the result."""
    if isinstance(index, str):
        return indices(index, tensors)
    require(isinstance(index, list) and len(index) == 1 + len(shape), "an index is odd")
    require(all(type(n) is int and abs(n) <= LARGEST_TENSOR for n in index), "an index is odd")
    offset, *strides = index
    places = np.full(shape, offset, dtype=np.int64)
    for axis, stride in enumerate(strides):
        along = [1] * len(shape)
        along[axis] = -1
        places += stride * np.arange(shape[axis]).reshape(along)
    require(not places.size or places.min() >= 0, "a wiring leaves its tensors")
    return places.reshape(-1)


def tensor(value: Any, tensors: Tensors) -> Array:
    """A stored tensor by its name, or a number, admitted entry by entry."""
    if not isinstance(value, str):
        return np.array(number(value))
    absent = f"there is no tensor {quoted(value)} in the file: give the model that holds it"
    require(value in tensors, absent)
    stored = tensors[value]
    require(stored.dtype.kind == "f", f"the tensor {quoted(value)} does not hold reals")
    return admitted(stored.astype(np.float64, copy=False))


def indices(name: Any, tensors: Tensors) -> NDArray[Any]:
    """A stored list of integers by its name."""
    require(isinstance(name, str) and name in tensors, f"there is no tensor {quoted(name)}")
    require(tensors[name].dtype.kind == "i", f"{quoted(name)} is no tensor of indices")
    return tensors[name].reshape(-1)
