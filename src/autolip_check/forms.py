"""H >= 0: a quadratic form on the input and the results of nonlinear operations, by factorisation
or Lanczos.

Along the graph, v the operand and z the result of a nonlinear operation with slopes in [a, b], all
differences obey (z - a v)(b v - z) >= 0 entry by entry, and g^2 |v|^2 - |z|^2 >= 0 for a block of
gain g.  With multipliers lam >= 0,

    H = sum_i mu_i x_i^2 - sum_j y_j^2 / nu_j - sum lam (z - a v)(b v - z) - sum lam (g^2 |v|^2 -
    |z|^2)

being >= 0 for all x and z shows sum_j y_j^2 / nu_j <= sum_i mu_i x_i^2 (Fazlyab et al., NeurIPS
2019, LipSDP-Neuron). Without nonlinear operations it says that the norm of an affine map A is at
most sqrt(mu).

In place of its second term stand nu |t|^2 - 2 t y, of which that is the least over t.  Where ab = 0
every operation's own part of H is then diagonal: some that are not coupled are eliminated, and S >=
0 is shown, S being the rest.

Its coefficients are products of at most three admitted numbers, or of two with a square, and so
normal numbers.  With `absolute` every result carries 2^-900 besides: gamma times that is more than
all products that underflow have lost.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import quoted
from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Gain, Network, Section, Slopes, Vertex
from autolip_check.maps import TINY, gamma

LARGEST_MATRIX = 20_000
LARGEST_SECOND = 4_000
"""Of a matrix that is tried where a smaller one leaves no margin."""

CHUNK = 2**23
"""Numbers of a batch of vectors."""


Product = Callable[[Array, bool], Array]
"""M x for the rows of x, or with `absolute` at least |M| x for x >= 0."""


@dataclass(frozen=True)
class Form:
    """H on `source`, the keys of `multipliers`, and t under the name of `sink`, the value of which
    is y."""

    network: Network
    source: str
    sink: str
    mu: Array
    nu: Array
    multipliers: dict[str, Array]

    @cached_property
    def section(self) -> Section:
        return Section(self.network, (self.source, *self.multipliers))

    @cached_property
    def sizes(self) -> dict[str, int]:
        return {name: self.network.size(name) for name in (*self.section.free, self.sink)}

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which variables are not eliminated: of those in which H is diagonal, larger operations go
        first.

        z is coupled with what its operand v is made of, t with what y is made of; where an
        operation is not bent, a square of v couples what v is made of, and those variables are
        kept.
        """
        edges = {name: self.network[name].edges[0] for name in self.multipliers}
        ends = {self.sink: self.sink} | {name: edge.source for name, edge in edges.items()}
        reads = {name: self.network.sources(at, self.section.free) for name, at in ends.items()}
        tied = set[str]().union(
            *(reads[name] for name, edge in edges.items() if not _is_bent(edge.slope))
        )
        gone = set[str]()
        for name in sorted(self.sizes, key=lambda name: -self.sizes[name]):
            readers = {other for other, sources in reads.items() if name in sources}
            coupled = reads.get(name, set()) | readers
            if name not in tied and not coupled & gone:
                gone.add(name)
        return np.concatenate(
            [np.full(size, name not in gone) for name, size in self.sizes.items()]
        )

    @cached_property
    def weights(self) -> Array:
        """About the diagonal of H, and that of what is eliminated: mu, the multipliers, nu."""
        parts = zip(self.sizes, (self.mu, *self.multipliers.values(), self.nu), strict=True)
        return np.concatenate(
            [np.broadcast_to(part, self.network[name].shape).reshape(-1) for name, part in parts]
        )

    def product(self, x: Array, absolute: bool) -> Array:
        """S x for the rows of x, S = H_kk - H_ke H_ee^-1 H_ek; with `absolute` at least |H_kk| x +
        ..., for x >= 0."""
        full = np.zeros((len(x), len(self.kept)))
        full[:, self.kept] = x
        gone = ~self.kept
        image = self.whole(full, absolute)[:, gone]
        own = self.weights[gone]
        full[:, gone] = (image + TINY) / own + TINY if absolute else -image / own
        return self.whole(full, absolute)[:, self.kept]

    def noise(self, product: Product, scale: Array) -> float:
        """Of a product's rounding error, in norm, scaled: | |H| |_2 <= max (|H| w) / w, all w > 0
        (Collatz)."""
        terms = 4 * self.section.terms() + 32 + 4 * len(self.multipliers)
        none = np.zeros((1, len(scale)))
        w = none + 1
        spread = math.inf
        for _ in range(12):
            image = product(w * scale, True) * scale
            require(bool(np.isfinite(image).all()), "H overflows")
            spread = min(spread, float((image / w).max()) * (1 + 4 * gamma(terms)))
            w = image / image.max() + 1e-3
        tiny = len(scale) * float(np.linalg.norm(product(none, True) * scale))
        return gamma(terms) * (spread + tiny) * (1 + 1e-9)

    def whole(self, x: Array, absolute: bool) -> Array:
        """H x for the rows of x; with `absolute` at least |H| x, for x >= 0, but for rounding."""
        cuts = np.cumsum(list(self.sizes.values()))[:-1]
        parts = zip(self.sizes, np.split(x, cuts, axis=1), strict=True)
        free = {name: part.reshape(-1, *self.network[name].shape) for name, part in parts}
        sign = 1.0 if absolute else -1.0
        t = free.pop(self.sink)
        values = self.section.act(free, False, absolute)
        forces = {self.sink: sign * t}
        total = {self.source: free[self.source] * self.mu, self.sink: t * self.nu}
        for name, multipliers in self.multipliers.items():
            vertex = self.network[name]
            at = vertex.edges[0].source
            v = values.get(at, np.zeros((len(x), *self.network[at].shape)))
            z = free[name]
            total[name], force = _constraint(vertex, multipliers, v, z, absolute)
            forces[at] = forces.get(at, 0.0) + force
        pulled = self.section.act(forces, True, absolute)
        pulled[self.sink] = sign * values.get(self.sink, np.zeros_like(t))
        rows = [(total[name] + pulled.get(name, 0.0)).reshape(len(x), -1) for name in self.sizes]
        return np.concatenate(rows, axis=1) + (TINY if absolute else 0.0)


def _is_bent(slope: Any) -> bool:
    """Whether its constraint has no square of the operand: one end of every slope is 0."""
    return isinstance(slope, Slopes) and not bool(((slope.lo != 0) & (slope.hi != 0)).any())


def _constraint(
    vertex: Vertex, lam: Array, v: Array, z: Array, absolute: bool
) -> tuple[Array, Array]:
    """Half the gradient of -lam (z - a v)(b v - z) in z and in v, or of -lam (g^2 |v|^2 -
    |z|^2)."""
    slope = vertex.edges[0].slope
    if isinstance(slope, Gain):
        require("l2" in slope.norms, f"no l2 gain of {quoted(vertex.name)} is given")
        square = lam * slope.norms["l2"] ** 2
        return lam * z, square * v + TINY if absolute else -square * v
    if not isinstance(slope, Slopes):
        raise Rejected(f"{quoted(vertex.name)} has no slopes")
    centre = lam * ((slope.lo + slope.hi) / 2)
    square = lam * (slope.lo * slope.hi)
    if absolute:
        centre = np.abs(centre)
        square = np.abs(square)
        return lam * z + centre * v, square * v + centre * z + TINY
    return lam * z - centre * v, square * v - centre * z


def scale_of(diagonal: Array, exact: bool = True) -> Array:
    """What rows and columns are scaled by, to a diagonal of about 1: powers of two if `exact`."""
    require(bool((diagonal > 0).all()), "H has a diagonal entry that is not positive")
    exponents = (np.round if exact else np.positive)(np.log2(diagonal) / -2)
    require(bool((np.abs(exponents) < 300).all()), "H is scaled too badly")
    return np.exp2(exponents)


def prove(form: Form) -> None:
    """H >= 0, deterministically, by S; where what is eliminated cancels but for its rounding, by H
    itself."""
    n = len(form.weights)
    try:
        factorise(form.product, form, int(form.kept.sum()))
    except Rejected:
        if form.kept.all() or n > LARGEST_SECOND:
            raise
        factorise(form.whole, form, n)


def factorise(product: Product, form: Form, n: int) -> None:
    """A matrix M of order n, given by its product: D M D - shift I = R^T R + little, multiplied
    out; else Rejected."""
    require(0 < n <= LARGEST_MATRIX, f"a matrix of order {n} is too large to factorise")
    step = max(1, CHUNK // len(form.weights))
    starts = range(0, n, step)
    matrix = np.concatenate(
        [product(np.eye(min(step, n - start), n, start), False) for start in starts]
    )
    scale = scale_of(matrix.diagonal())
    matrix *= scale
    matrix *= scale[:, None] / 2
    matrix += matrix.T
    noise = form.noise(product, scale)
    shift = noise + 4 * gamma(n + 4) * n * float(matrix.diagonal().max())
    matrix.flat[:: n + 1] -= shift
    try:
        factor = np.linalg.cholesky(matrix).T
    except np.linalg.LinAlgError as error:
        raise Rejected(
            "H is not positive semidefinite by the margin that rounding needs"
        ) from error
    residual = _residual(factor, matrix, step)
    sizes = np.abs(factor)
    rounding = gamma(2 * n + 8) * float((sizes.T @ sizes.sum(1)).max())
    require(
        noise + (1.5 * residual + rounding) * (1 + 1e-6) < shift,
        "rounding leaves no margin: nothing is proved",
    )


def _residual(factor: Array, matrix: Array, step: int) -> float:
    """Of R^T R - M the Frobenius norm below the diagonal and on it: times sqrt 2, that of all of
    it, or more."""
    n = len(matrix)
    residual = 0.0
    for start in range(0, n, step):
        stop = min(start + step, n)
        part = factor[:stop, start:stop].T @ factor[:stop, :stop] - matrix[start:stop, :stop]
        residual = math.hypot(residual, float(np.linalg.norm(part)))
    return residual
