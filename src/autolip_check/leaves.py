"""Bounds of one case, by what is left of every slope: c + rho [-1, 1] for each neuron.

Quadratic: with z = c v + e, |e| <= rho |v|, and multipliers lam >= 0

    |y|^2  <=  |y|^2 + sum lam (rho^2 v^2 - e^2)  <=  tau |x|^2

where diag(tau, lam) - Y^T Y - V^T lam rho^2 V >= 0, Y and V the maps from x and e to y and v.
Entries: every entry of the Jacobian within its bounds, and lengths of rows or columns.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autolip_check.container import Array, require
from autolip_check.enclosed import Enclosed, above
from autolip_check.forms import definite, scale_of
from autolip_check.layers import Layers
from autolip_check.maps import TINY, UNIT, gamma

DUAL = {"l1": "linf", "l2": "l2", "linf": "l1"}

MOST = 16
"""Defined here: signs of which all combinations are looked at, at most."""


@dataclass(frozen=True)
class Slopes:
    """Of every neuron, on the pieces that are left."""

    layers: Layers
    centre: Array
    radius: Array

    @staticmethod
    def of(layers: Layers, first: Array, last: Array) -> "Slopes":
        """The least interval around the slopes of the pieces, rounded outward."""
        low = np.zeros(layers.neurons)
        high = np.zeros(layers.neurons)
        for number, layer in enumerate(layers.layers):
            start, stop = layers.starts[number], layers.starts[number + 1]
            slopes = np.array(layer.pieces.slopes)
            piece = np.arange(len(slopes))
            begun = first[start:stop, None] <= piece
            left = begun & (piece <= last[start:stop, None])
            low[start:stop] = np.where(left, slopes, np.inf).min(1)
            high[start:stop] = np.where(left, slopes, -np.inf).max(1)
        whole = Enclosed.between(low, high)
        return Slopes(layers, whole.value, whole.error)

    @cached_property
    def jacobian(self) -> Enclosed:
        """Every derivative, on the entries of the input that move."""
        layers = self.layers
        values = [Enclosed.exact(np.eye(layers.inputs)[:, layers.moving])]
        for number in range(len(layers.layers)):
            start, stop = layers.starts[number], layers.starts[number + 1]
            v = _added(layers.whole[number], values)
            slope = Enclosed(self.centre[start:stop, None], self.radius[start:stop, None])
            values.append(slope * v)
        return _added(layers.whole[-1], values)

    def by_entries(self, p: str, q: str) -> float:
        """At least the p to q norm of every derivative."""
        sizes = self.jacobian.size
        columns = _lengths(sizes.T, q)
        rows = _lengths(sizes, DUAL[p])
        if p == "l1":
            return float(columns.max(initial=0.0))
        if q == "linf" or len(sizes) == 1:
            return float(rows.max(initial=0.0))
        axis = axis_of_signs(p, q, *sizes.shape)
        if axis is not None:
            return _at_corners(*((self.jacobian.T, q) if axis else (self.jacobian, DUAL[p])))
        across = _lengths(sizes.T, "l1").max(initial=0.0)
        along = _lengths(sizes, "l1").max(initial=0.0)
        # the product of both may underflow
        return math.sqrt(float(across)) * math.sqrt(float(along)) * (1 + 8 * UNIT)

    def quadratic(self, multipliers: Array, tau: float) -> None:
        """The l2 norm of every derivative is at most the root of tau; else Rejected."""
        layers = self.layers
        free = np.flatnonzero(self.radius > 0)
        lam = multipliers[free]
        require(bool((lam > 0).all()), "a neuron that has slopes left carries no multiplier")
        inputs = int(layers.moving.sum())
        count = inputs + len(free)
        start = np.zeros((layers.inputs, count))
        start[layers.moving, np.arange(inputs)] = 1.0
        values = [Enclosed.exact(start)]
        matrix = Enclosed.exact(np.diag(np.concatenate([np.full(inputs, tau), lam])))
        for number in range(len(layers.layers)):
            here = slice(layers.starts[number], layers.starts[number + 1])
            v = _added(layers.whole[number], values)
            z = Enclosed.exact(self.centre[here, None]) * v
            own = np.flatnonzero((free >= here.start) & (free < here.stop))
            places = free[own] - here.start
            z.value[places, inputs + own] = 1.0  # 0 stood there
            z.error[places, inputs + own] = 0.0
            values.append(z)
            rho = Enclosed.exact(self.radius[free[own]])
            weight = Enclosed.exact(lam[own]) * rho * rho
            bent = v[places]
            scaled = Enclosed(weight.value[:, None], weight.error[:, None]) * bent
            matrix = matrix + -(bent.T @ scaled)
        y = _added(layers.whole[-1], values)
        _definite(matrix + -(y.T @ y))


def _added(maps: dict[int, Enclosed], values: list[Enclosed]) -> Enclosed:
    terms = [matrix @ values[j] for j, matrix in maps.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def axis_of_signs(p: str, q: str, outputs: int, inputs: int) -> int | None:
    """Where all combinations of signs decide the norm of a matrix: 0 for those of its rows, 1 for
    those of its columns; None where a row, a column or a singular value does."""
    if p == "l1" or q == "linf" or outputs == 1 or p == q == "l2":
        return None
    return 0 if q == "l1" and (p != "linf" or outputs <= inputs) else 1


def _at_corners(matrix: Enclosed, norm: str) -> float:
    """At least the length of s A for every s in [-1, 1]^m: it is convex in s, so that it is largest
    at a corner, and the same at s and -s."""
    count = len(matrix.value)
    require(count <= MOST, f"a norm that {count} signs decide is not looked at")
    found = 0.0
    for start in range(0, 2 ** (count - 1), 1024):
        numbers = np.arange(start, min(start + 1024, 2 ** (count - 1)))
        bits = (2 * numbers[:, None]) >> np.arange(count) & 1
        combined = Enclosed.exact(1 - 2 * bits.astype(np.float64)) @ matrix
        found = max(found, float(_lengths(combined.size, norm).max(initial=0.0)))
    return found


def _lengths(sizes: Array, norm: str) -> Array:
    """At least the norms of rows of numbers >= 0."""
    if norm == "linf":
        return np.asarray(sizes.max(1, initial=0.0))
    if norm == "l1":
        return above(sizes.sum(1), sizes.shape[1])
    return above(np.sqrt((sizes**2).sum(1)) + 2.0**-500, sizes.shape[1])


def _definite(matrix: Enclosed) -> None:
    """Every symmetric matrix in it is positive semidefinite; else Rejected."""
    require(bool(np.isfinite(matrix.value).all() & np.isfinite(matrix.error).all()), "H overflows")
    scale = scale_of(matrix.value.diagonal())
    both = scale[:, None] * scale
    scaled = matrix.value * both
    halved = scaled / 2 + scaled.T / 2
    off = matrix.error * both
    # a symmetric member is within the mean of both errors; its l2 norm is at most a row sum
    noise = _row_sum(off / 2 + off.T / 2)
    sizes = np.abs(scaled)
    rounded = 2 * UNIT * _row_sum(sizes + sizes.T)
    noise += rounded + TINY  # what scaling may have lost by underflow
    definite(halved, noise * (1 + gamma(2 * len(off) + 16)))


def _row_sum(sizes: Array) -> float:
    """The largest sum of a row, as computed."""
    sums = sizes.sum(1)
    return float(sums.max())
