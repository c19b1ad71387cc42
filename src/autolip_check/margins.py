"""An output that stays above a number on a bounded region, by a quadratic form.

For x = c + d in the region, z = max(v, 0) the results of relus, and v and f linear in 1, d and z,

    z (v - z) = 0      z - v >= 0      z >= 0      total - sum_i w_i d_i^2 >= 0

so that with w, mu, nu >= 0 and any lam the form in (1, d, z)

    H = (f - least) 1 - (total 1^2 - sum_i w_i d_i^2)
        - sum [lam z (v - z) + mu (z - v) 1 + nu z 1]

being >= 0 shows f >= least (A. Raghunathan, J. Steinhardt and P. Liang, NeurIPS 2018).  No range of
a value on the way is needed.  H is diagonal in d, which is eliminated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.activations import name_of
from autolip_check.admission import fields_of, list_of, positive, quoted
from autolip_check.container import Array, Document, require
from autolip_check.dyadic import upwards
from autolip_check.forms import Product, Quadratic
from autolip_check.graph import MOVES, Constant, Network, Section
from autolip_check.maps import TINY, Shape, Tensors, tensor
from autolip_check.pieces import pieces_of

ONE = "1|"
"""Defined here: the name of the variable that is 1."""

RELU = ((0.0,), (0.0, 1.0), (0.0, 0.0))
"""Defined: breaks, slopes and offsets of max(v, 0)."""


@dataclass(frozen=True)
class Around:
    """c, and that sum_i w_i d_i^2 is at most a number on a ball, or on a box."""

    centre: list[float]
    reach: list[Fraction]
    """Of entries; of a ball in l1 or l2, of all together."""

    @staticmethod
    def of(entry: Document) -> "Around":
        """Those of the region of this entry; Rejected where it is of another kind."""
        kind = entry["kind"]
        if kind == "box":
            ends = list(zip(entry["lo"], entry["hi"], strict=True))
            centre = [lo / 2 + hi / 2 for lo, hi in ends]
            sides = zip(centre, ends, strict=True)
            return Around(centre, [_further(c, *map(Fraction, lo_hi)) for c, lo_hi in sides])
        require(kind in ("ball", "clipped ball"), "a margin is claimed on no ball and on no box")
        radius = Fraction(entry["radius"])
        count = len(entry["center"]) if entry["norm"] == "linf" else 1
        return Around(list(map(float, entry["center"])), [radius] * count)

    def total(self, weights: Array) -> Fraction:
        """At least sum_i w_i d_i^2: |d|_2 is at most |d|_1."""
        listed = list(map(Fraction, weights.reshape(-1).tolist()))
        if len(self.reach) < len(listed):
            return max(listed) * self.reach[0] ** 2
        squares = zip(listed, self.reach, strict=True)
        return sum((w * r * r for w, r in squares), Fraction(0))


def _further(centre: float, lo: Fraction, hi: Fraction) -> Fraction:
    return max(hi - Fraction(centre), Fraction(centre) - lo)


@dataclass(frozen=True)
class Relu:
    """The multipliers of one operation, entry by entry."""

    lam: Array
    mu: Array
    nu: Array


@dataclass(frozen=True)
class Margin(Quadratic):
    """H on 1, the input and the results of relus."""

    network: Network
    around: Around
    least: float
    relus: dict[str, Relu]
    inputs: Array

    @cached_property
    def section(self) -> Section:
        return Section(self.network, (self.network.input, *self.relus))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        return {ONE: (1,), **{name: self.network[name].shape for name in self.section.free}}

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        flags = [np.full(size, name != self.network.input) for name, size in self.sizes.items()]
        return np.concatenate(flags)

    @cached_property
    def weights(self) -> Array:
        diagonals = [np.ones(1), self.inputs, *(relu.lam for relu in self.relus.values())]
        return np.concatenate([diagonal.reshape(-1) for diagonal in diagonals])

    @cached_property
    def terms(self) -> float:
        """S x is four passes through the section, c and the constants before and after each, and
        sums over all variables."""
        return 4 * (self.section.terms() + sum(self.sizes.values()) + 8 * len(self.relus) + 16)

    @cached_property
    def total(self) -> float:
        return upwards(self.around.total(self.inputs))

    def whole(self, x: Array, absolute: bool) -> Array:
        """H x for the rows of x: half the gradient in 1, d and z, of which v and f are functions
        too."""
        sign, size = (1.0, np.abs) if absolute else (-1.0, np.asarray)
        free = self.parts(x)
        one = free.pop(ONE)
        source, sink = self.network.input, self.network.output
        centre = size(self.centre)
        before = free | {source: free[source] + _spread(one, centre.shape) * centre}
        values = self.section.act(before, False, absolute)
        total = {source: free[source] * self.inputs}
        f = self._value(values, sink, sink, one, size)
        forces = {sink: _spread(one, f.shape[1:]) / 2}
        most = abs(self.least) + self.total if absolute else -(self.least + self.total)
        at_one = one[:, 0] * most + _summed(f) / 2
        at_one = at_one + _summed(forces[sink] * self._at_0(sink, size))
        for name, relu in self.relus.items():
            at = self.network[name].edges[0].source
            v, z = self._value(values, at, name, one, size), free[name]
            wide = _spread(one, v.shape[1:])
            along = relu.mu + relu.nu
            crossed = v * relu.lam + wide * along
            total[name] = z * relu.lam + sign * crossed / 2
            force = (sign * z * relu.lam + wide * relu.mu) / 2
            forces[at] = forces.get(at, 0.0) + force
            at_one = at_one + _summed(v * relu.mu + sign * z * along) / 2
            at_one = at_one + _summed(force * self._at_0(name, size))
        back = self.section.act(forces, True, absolute)
        if source in back:
            at_one = at_one + _summed(back[source] * centre)
        rows = [at_one[:, None]]
        rows += [_flat(total[name] + back.get(name, 0.0)) for name in self.section.free]
        return np.concatenate(rows, axis=1) + (TINY if absolute else 0.0)

    @cached_property
    def centre(self) -> Array:
        """c, as an input."""
        return np.array(self.around.centre).reshape(self.network[self.network.input].shape)

    def _value(self, values: dict[str, Array], at: str, name: str, one: Array, size: Any) -> Array:
        """A value that is affine in the variables: its linear part there is known."""
        constant = self._at_0(name, size)
        there = _spread(one, constant.shape) * constant
        return values[at] + there if at in values else there

    def _constant(self, name: str) -> Constant:
        return self.network.constants[name]

    def _at_0(self, name: str, size: Any) -> Array:
        """The part of a relu's operand, or of f, that is there where all variables are 0."""
        return np.asarray(size(self._constant(name).value))

    def noise(self, product: Product, scale: Array) -> float:
        """What rounding does, and what constants may be off by: they stand in the rows of 1 and of
        z, which are all kept."""
        first = scale[0]
        of_output = self._constant(self.network.output).error.reshape(-1)
        beside = [of_output * first**2]
        start = len(scale) - sum(self.sizes[name] for name in self.relus)
        for name, relu in self.relus.items():
            off = self._constant(name).error.reshape(-1)
            own = scale[start : start + len(off)]
            beside.append(off * relu.mu.reshape(-1) * first**2)
            beside.append(off * relu.lam.reshape(-1) * first * own)
            start += len(off)
        off_by = float(np.concatenate(beside).sum())
        return super().noise(product, scale) + off_by * (1 + 1e-9)


def _spread(one: Array, shape: Shape) -> Array:
    """The same number in all entries of a value."""
    return np.broadcast_to(one.reshape(-1, *[1] * len(shape)), (len(one), *shape))


def _flat(rows: Array) -> Array:
    return rows.reshape(len(rows), -1)


def _summed(rows: Array) -> Array:
    return np.asarray(_flat(rows).sum(1))


FIELDS = {"step", "multipliers", "inputs"}


def margin_of(entry: Any, network: Network, tensors: Tensors, least: float) -> Margin:
    """H as a proof step says it; Rejected where the network is not one of relus."""
    fields_of(entry, FIELDS, "a proof step margin")
    require(entry["step"] == "margin", "a margin is proved by a step of that name")
    require(bool((network.units == 1).all()), "a margin is claimed in the units of the model")
    require(network.size(network.output) == 1, "a margin is claimed of several outputs")
    names = list(_relus(network))
    told = {*names, network.output}
    require(set(network.constants) == told, "constants are told of the relus and the output")
    given = entry["multipliers"]
    require(isinstance(given, dict) and set(given) == set(names), "multipliers are of the relus")
    relus = {name: _relu(given[name], network[name].shape, tensors) for name in names}
    inputs = np.broadcast_to(tensor(entry["inputs"], tensors), network[network.input].shape)
    weights = positive(inputs, "a weight of the input")
    return Margin(network, Around.of(network.region.entry), least, relus, weights)


def _relus(network: Network) -> Iterator[str]:
    """The operations that are bent, each max(v, 0) by its name."""
    for vertex in network:
        whole = name_of(vertex.origin.operation) != MOVES
        require(whole, "a margin depends on entries of the input that are left out of the graph")
        if vertex.edges and not vertex.is_affine:
            pieces = pieces_of(vertex.origin.operation, vertex.origin.parameters)
            is_relu = (pieces.breaks, pieces.slopes, pieces.offsets) == RELU
            require(is_relu and len(vertex.edges) == 1, f"{quoted(vertex.name)} is no relu")
            yield vertex.name


def _relu(given: Any, shape: Shape, tensors: Tensors) -> Relu:
    require(len(list_of(given, "multipliers")) == 3, "a relu has three multipliers")
    lam, mu, nu = (np.broadcast_to(tensor(one, tensors), shape) for one in given)
    require(bool((mu >= 0).all() and (nu >= 0).all()), "a multiplier is negative")
    return Relu(positive(lam, "a multiplier"), mu, nu)
