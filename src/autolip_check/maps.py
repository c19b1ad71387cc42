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
TINY = 2.0**-900
BLOCK = 2**20
Shape = tuple[int, ...]
Tensors = dict[str, NDArray[Any]]


def gamma(terms: float) -> float:
    """n u / (1 - n u), rounded up."""
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
        require(
            len(shape) >= 1 and shape[-1] == weight.shape[-1], "a matrix does not fit its input"
        )
        require(
            np.broadcast_shapes(weight.shape[:-2], shape[:-1]) == shape[:-1],
            "matrices do not broadcast",
        )
        self.shape_in = shape
        self.shape_out = (*shape[:-1], weight.shape[-2])
        self.terms = max(weight.shape[-2:]) + self.error

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        turned = entries if back else np.swapaxes(entries, -1, -2)
        return x @ turned if entries.ndim == 2 else (x[..., None, :] @ turned)[..., 0, :]


class Diagonal(Stored):
    """x -> d x, d broadcast to the shape."""

    def __init__(self, scale: Array, shape: Shape, error: float) -> None:
        super().__init__(scale, error)
        require(
            np.broadcast_shapes(scale.shape, shape) == shape,
            "a scale does not broadcast to its shape",
        )
        self.shape_in = shape
        self.shape_out = shape
        self.terms = 1 + self.error

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        return x * entries


class Convolution(Stored):
    """Zero-padded cross-correlation or its adjoint: weight (c_out, c_in/groups, *kernel), image
    (*lead, c, *space)."""

    def __init__(self, weight: Array, shape: Shape, error: float, entry: Document) -> None:
        super().__init__(weight, error)
        axes = weight.ndim - 2
        require(axes >= 1 and min(weight.shape) >= 1 and len(shape) > axes, "a kernel has no axes")
        self.stride, self.padding, self.dilation = (
            shape_of(entry[k]) for k in ("stride", "padding", "dilation")
        )
        self.groups = entry["groups"]
        self.adjoint = entry["adjoint"]
        require(
            type(self.adjoint) is bool, "a convolution is the adjoint of one or not: true or false"
        )
        require(type(self.groups) is int and self.groups >= 1, "groups are counted from 1")
        require(
            len(self.stride) == len(self.padding) == len(self.dilation) == axes, "a geometry is odd"
        )
        require(
            min(self.stride) >= 1 and min(self.dilation) >= 1, "strides and dilations are positive"
        )
        self.lead = shape[: -axes - 1]
        channels = shape[-axes - 1]
        self.space = shape[-axes:]
        require(weight.shape[0] % self.groups == 0, "the groups of a kernel are not equal")
        require(channels == weight.shape[1] * self.groups, "a kernel does not fit its image")
        self.image = (channels, *(n + 2 * p for n, p in zip(self.space, self.padding, strict=True)))
        sizes = zip(self.image[1:], self.dilation, weight.shape[2:], self.stride, strict=True)
        self.out = (weight.shape[0], *((n - d * (k - 1) - 1) // s + 1 for n, d, k, s in sizes))
        require(min(self.out) >= 1, "a convolution has no output")
        largest = math.prod(self.lead) * max(math.prod(self.image), math.prod(self.out))
        require(largest <= LARGEST_TENSOR, "a convolution is too large")
        shapes = shape, (*self.lead, *self.out)
        self.shape_in, self.shape_out = shapes[::-1] if self.adjoint else shapes
        self.terms = max(weight.shape[:2]) * math.prod(weight.shape[2:]) + self.error

    def _windows(self, start: int, stop: int) -> Any:
        """What every offset of the kernel reads of the padded image for some rows of the result."""
        ends = (start, stop), *((0, n) for n in self.out[2:])
        for tap in itertools.product(*map(range, self.entries.shape[2:])):
            steps = zip(tap, self.dilation, ends, self.stride, strict=True)
            yield (
                ...,
                *(slice(t * d + a * s, t * d + (b - 1) * s + 1, s) for t, d, (a, b), s in steps),
            )

    def product(self, entries: Array, x: Array, back: bool) -> Array:
        forward = back == self.adjoint
        count = len(x) * math.prod(self.lead)
        kernel = entries.reshape(self.groups, -1, entries[0].size)
        padded = np.zeros((count, *self.image))
        out = np.zeros((count, *self.out))
        inside: Any = (
            ...,
            *(slice(p, p + n) for p, n in zip(self.padding, self.space, strict=True)),
        )
        given, result = (padded[inside], out) if forward else (out, padded[inside])
        given[...] = x.reshape(given.shape)
        step = max(1, BLOCK // (entries[0].size * math.prod(self.out[2:])))
        for start in range(0, self.out[1], step):
            part = out[:, :, start : start + step]
            windows = [padded[at] for at in self._windows(start, start + part.shape[2])]
            flat = (count, self.groups, -1, part[0, 0].size)
            if forward:
                columns = np.stack([window.reshape(flat) for window in windows], 3)
                part[...] = (kernel @ columns.reshape(flat)).reshape(part.shape)
            else:
                columns = np.swapaxes(kernel, 1, 2) @ part.reshape(flat)
                for number, window in enumerate(windows):
                    window += columns[:, :, number :: len(windows)].reshape(window.shape)
        return np.ascontiguousarray(result).reshape(len(x), *self.lead, *result.shape[1:])


class Wiring(Map):
    """y_o = sum of x_i over pairs (o, i): reshapes, selections, padding, sums."""

    def __init__(
        self, rows: NDArray[Any], columns: NDArray[Any], shape_in: Shape, shape_out: Shape
    ) -> None:
        self.shape_in, self.shape_out = shape_in, shape_out
        n = math.prod(shape_in)
        m = math.prod(shape_out)
        require(
            rows.ndim == columns.ndim == 1 and len(rows) == len(columns),
            "pairs of a wiring do not match",
        )
        used = columns >= 0
        self.rows = rows[used].astype(np.int64)
        self.columns = columns[used].astype(np.int64)
        if self.rows.size:
            require(self.rows.min() >= 0 and self.rows.max() < m, "a wiring leaves its result")
            require(self.columns.max() < n, "a wiring leaves its operand")
        self.counts = [
            int(np.bincount(index, minlength=1).max()) for index in (self.rows, self.columns)
        ]
        self.terms = float(max(self.counts))
        self.is_isometry = n == m == self.rows.size and self.terms == 1

    @property
    def is_zero(self) -> bool:
        return not self.rows.size

    def act(self, x: Array, back: bool, absolute: bool) -> Array:
        source, target = (self.rows, self.columns) if back else (self.columns, self.rows)
        shape = self.shape_in if back else self.shape_out
        flat = x.reshape(len(x), -1)
        out = np.zeros((len(x), math.prod(shape)))
        if self.counts[back] <= 1:
            out[:, target] = flat[:, source]
        else:
            np.add.at(out.T, target, flat.T[source])
        return out.reshape(-1, *shape)


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
        return Wiring(_index(entry["rows"], tensors), _index(entry["columns"], tensors), shape, out)
    return Wiring(np.arange(math.prod(out)), _places(entry["index"], out, tensors), shape, out)


def _places(index: Any, shape: Shape, tensors: Tensors) -> NDArray[Any]:
    """Where each entry comes from: a tensor (-1: zero), or an offset and a stride for each axis of
    the result."""
    if isinstance(index, str):
        return _index(index, tensors)
    require(isinstance(index, list) and len(index) == 1 + len(shape), "an index is odd")
    require(all(type(n) is int and abs(n) <= LARGEST_TENSOR for n in index), "an index is odd")
    places = np.full(shape, index[0], dtype=np.int64)
    for axis, stride in enumerate(index[1:]):
        places += stride * np.arange(shape[axis]).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
    require(not places.size or places.min() >= 0, "a wiring leaves its tensors")
    return places.reshape(-1)


def tensor(value: Any, tensors: Tensors) -> Array:
    """A stored tensor by its name, or a number, admitted entry by entry."""
    if not isinstance(value, str):
        return np.array(number(value))
    require(
        value in tensors,
        f"there is no tensor {quoted(value)} in the file: give the model that holds it",
    )
    require(tensors[value].dtype.kind == "f", f"the tensor {quoted(value)} does not hold reals")
    return admitted(tensors[value].astype(np.float64))


def _index(name: Any, tensors: Tensors) -> NDArray[Any]:
    require(isinstance(name, str) and name in tensors, f"there is no tensor {quoted(name)}")
    require(tensors[name].dtype.kind == "i", f"{quoted(name)} is no tensor of indices")
    return tensors[name].reshape(-1)
