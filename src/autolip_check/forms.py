"""H >= 0: a quadratic form on the input and the results of nonlinear operations, by factorisation
or Lanczos.

Along the graph, v the operand and z the result of a nonlinear operation with slopes in [a, b], all
differences obey (z - a v)(b v - z) >= 0 entry by entry, and g^2 |v|^2 - |z|^2 >= 0 for a block of
gain g.  With multipliers lam >= 0,

    H = sum_i mu_i x_i^2 - sum_j y_j^2 / nu_j
        - sum lam (z - a v)(b v - z) - sum lam (g^2 |v|^2 - |z|^2)

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
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.admission import quoted
from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Gain, Network, Section, Slopes, Vertex
from autolip_check.maps import TINY, Shape, gamma

LARGEST_MATRIX = 20_000
"""Tuned: the largest order that is factorised (3.2 GB for one matrix, minutes of a processor)."""

LARGEST_SECOND = 4_000
"""Tuned: the largest order that is tried where a smaller matrix leaves no margin (128 MB)."""

CHUNK = 2**23
"""Tuned: numbers of a batch of vectors (64 MB)."""

FAST = 0.2
"""Tuned: what a multiply-add of two large matrices costs, in those of a pass."""

POWER_STEPS = 12
"""Tuned: steps towards the least bound on the norm of |H|; any number of them gives a bound."""


Product = Callable[[Array, bool], Array]
"""M x for the rows of x, or with `absolute` at least |M| x for x >= 0."""


class Quadratic(ABC):
    """H on variables by their names, in order; it is diagonal in those that are not kept."""

    @property
    @abstractmethod
    def section(self) -> Section:
        """The maps that H is made of."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """Of the variables."""

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each of them is."""
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    @property
    @abstractmethod
    def kept(self) -> NDArray[np.bool_]:
        """Which variables are not eliminated."""

    @property
    @abstractmethod
    def weights(self) -> Array:
        """About the diagonal of H, and that of what is eliminated."""

    @property
    @abstractmethod
    def terms(self) -> float:
        """Roundings, in the sense of gamma, of one product with S."""

    @abstractmethod
    def whole(self, x: Array, absolute: bool) -> Array:
        """H x for the rows of x; with `absolute` at least |H| x, for x >= 0, but for rounding."""

    def product(self, x: Array, absolute: bool) -> Array:
        """S x for the rows of x, S = H_kk - H_ke H_ee^-1 H_ek; with `absolute` at least
        (|H_kk| + |H_ke| H_ee^-1 |H_ek|) x, for x >= 0.

        H [x, e] with e = -H_ee^-1 H_ek x is [S x, 0]: two products with H.
        """
        gone = ~self.kept
        h_ee = self.weights[gone]
        n = len(self.kept)
        full = np.zeros((len(x), n))
        full[:, self.kept] = x
        image = self.whole(full, absolute)
        read = image[:, gone]
        full[:, gone] = (read + TINY) / h_ee + TINY if absolute else -read / h_ee
        return self.whole(full, absolute)[:, self.kept]

    def noise(self, product: Product, scale: Array) -> float:
        """At least the norm of what rounding does to D M D, M given by its product, D =
        diag(scale): gamma || D |M| D ||_2.

        ||A||_2 <= max_i (A w)_i / w_i for symmetric A >= 0 and every w > 0 (Collatz 1942); w near
        the leading eigenvector, by power steps, makes that tight.
        """
        none = np.zeros((1, len(scale)))
        w = none + 1
        norm = math.inf
        for _ in range(POWER_STEPS):
            scaled = w * scale
            image = product(scaled, True) * scale
            require(bool(np.isfinite(image).all()), "H overflows")
            ratio = float((image / w).max())
            raised = 1 + 4 * gamma(self.terms)
            norm = min(norm, ratio * raised)
            w = image / image.max() + 1e-3  # positive where the eigenvector is not
        underflow = product(none, True) * scale
        length = float(np.linalg.norm(underflow))
        tiny = len(scale) * length
        return gamma(self.terms) * (norm + tiny) * (1 + 1e-9)

    def parts(self, x: Array) -> dict[str, Array]:
        """The variables of H, each in its shape, from the rows of x."""
        sizes = list(self.sizes.values())
        ends = np.cumsum(sizes)
        pieces = np.split(x, ends[:-1], axis=1)
        return {
            name: part.reshape(-1, *shape)
            for (name, shape), part in zip(self.shapes.items(), pieces, strict=True)
        }


@dataclass(frozen=True)
class Form(Quadratic):
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
    def shapes(self) -> dict[str, Shape]:
        return {name: self.network[name].shape for name in (*self.section.free, self.sink)}

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which variables are not eliminated: of those in which H is diagonal, larger operations go
        first.

        z is coupled with what its operand v is made of, t with what y is made of; where an
        operation is not bent, a square of v couples what v is made of, and those variables are
        kept.
        """
        reads = {self.sink: self._made_of(self.sink)}
        tied = set[str]()
        for name in self.multipliers:
            (edge,) = self.network[name].edges
            reads[name] = self._made_of(edge.source)
            if not _is_bent(edge.slope):
                tied |= reads[name]
        gone = set[str]()
        for name in sorted(self.sizes, key=lambda name: -self.sizes[name]):
            coupled = set(reads.get(name, ()))
            coupled |= {other for other, sources in reads.items() if name in sources}
            if name not in tied and not coupled & gone:
                gone.add(name)
        flags = []
        for name, size in self.sizes.items():
            is_kept = name not in gone
            flags.append(np.full(size, is_kept))
        return np.concatenate(flags)

    def _made_of(self, name: str) -> set[str]:
        """The variables that a value depends on through affine operations."""
        return self.network.sources(name, self.section.free)

    @cached_property
    def weights(self) -> Array:
        """About the diagonal of H, and that of what is eliminated: mu, the multipliers, nu."""
        diagonals = (self.mu, *self.multipliers.values(), self.nu)
        full = []
        for name, diagonal in zip(self.sizes, diagonals, strict=True):
            shape = self.network[name].shape
            entries = np.broadcast_to(diagonal, shape)
            full.append(entries.reshape(-1))
        return np.concatenate(full)

    @cached_property
    def terms(self) -> float:
        """S x is four passes through the section, between them a sum over the multipliers."""
        return 4 * self.section.terms() + 32 + 4 * len(self.multipliers)

    def whole(self, x: Array, absolute: bool) -> Array:
        """H x for the rows of x; with `absolute` at least |H| x, for x >= 0, but for rounding.

        Half the gradient of H, in its own variables (`total`) and through the operands v and the
        output y, which are affine in them (`forces`, pulled back through the section).
        """
        free = self.parts(x)
        t = free.pop(self.sink)
        sign = 1.0 if absolute else -1.0
        values = self.section.act(free, False, absolute)
        given = free[self.source]
        total = {self.source: given * self.mu}
        total[self.sink] = t * self.nu
        forces = {self.sink: sign * t}
        for name, lam in self.multipliers.items():
            vertex = self.network[name]
            at = vertex.edges[0].source
            shape = self.network[at].shape
            nothing = np.zeros((len(x), *shape))
            v = values.get(at, nothing)
            z = free[name]
            total[name], force = _constraint(vertex, lam, v, z, absolute)
            forces[at] = forces.get(at, 0.0) + force
        pulled = self.section.act(forces, True, absolute)
        nothing = np.zeros_like(t)
        y = values.get(self.sink, nothing)
        pulled[self.sink] = sign * y
        rows = []
        for name in self.sizes:
            part = total[name] + pulled.get(name, 0.0)
            rows.append(part.reshape(len(x), -1))
        image = np.concatenate(rows, axis=1)
        return image + (TINY if absolute else 0.0)


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
        gain = slope.norms["l2"]
        square = lam * gain**2
        return lam * z, square * v + TINY if absolute else -square * v
    # -(z - a v)(b v - z) = z^2 - 2 c z v + a b v^2, c = (a + b) / 2
    if not isinstance(slope, Slopes):
        raise Rejected(f"{quoted(vertex.name)} has no slopes")
    a = slope.lo
    b = slope.hi
    centre = lam * ((a + b) / 2)
    square = lam * (a * b)
    if absolute:
        centre = np.abs(centre)
        square = np.abs(square)
        return lam * z + centre * v, square * v + centre * z + TINY
    return lam * z - centre * v, square * v - centre * z


def work_of(form: Quadratic) -> float:
    """Multiply-adds of `prove`, but for a second try: products with the unit vectors, a
    factorisation, and the product of its factors."""
    n = float(form.kept.sum())
    passes = 4 * (n + POWER_STEPS)
    return passes * (form.section.work + len(form.weights)) + FAST * 1.5 * n**3


def scale_of(diagonal: Array, exact: bool = True) -> Array:
    """What rows and columns are scaled by, to a diagonal of about 1: powers of two if `exact`."""
    require(bool((diagonal > 0).all()), "H has a diagonal entry that is not positive")
    exponents = np.log2(diagonal) / -2
    if exact:
        exponents = np.round(exponents)
    require(bool((np.abs(exponents) < 300).all()), "H is scaled too badly")
    return np.exp2(exponents)


def prove(form: Quadratic) -> None:
    """H >= 0, deterministically, by S; where what is eliminated cancels but for its rounding, by H
    itself."""
    n = len(form.weights)
    try:
        factorise(form.product, form, int(form.kept.sum()))
    except Rejected:
        if form.kept.all() or n > LARGEST_SECOND:
            raise
        factorise(form.whole, form, n)


def factorise(product: Product, form: Quadratic, n: int) -> None:
    """M >= 0 for a matrix M of order n, given by its product; else Rejected."""
    require(0 < n <= LARGEST_MATRIX, f"a matrix of order {n} is too large to factorise")
    longest = len(form.weights)
    step = max(1, CHUNK // longest)
    matrix = _matrix(product, n, step)
    scale = scale_of(matrix.diagonal())
    matrix *= scale
    matrix *= scale[:, None] / 2
    matrix += matrix.T
    definite(matrix, form.noise(product, scale), step)


def definite(matrix: Array, noise: float, step: int = CHUNK) -> None:
    """Every symmetric matrix within `noise` (l2) of A is positive semidefinite; else Rejected.

    A has a diagonal of about 1 and is overwritten; R is the computed Cholesky factor of
    A - shift I.  Multiplied out, R^T R = A - shift I + E, so that what is within `noise` of A is
    at least

        (shift - noise - ||E||) I,    ||E|| <= residual + rounding,

    `residual` what is computed of ||E||, `rounding` what that computation may miss.
    """
    n = len(matrix)
    largest = float(matrix.diagonal().max())
    margin = 4 * gamma(n + 4) * n * largest
    shift = noise + margin
    matrix.flat[:: n + 1] -= shift
    try:
        factor = np.linalg.cholesky(matrix).T
    except np.linalg.LinAlgError as error:
        raise Rejected(
            "H is not positive semidefinite by the margin that rounding needs"
        ) from error
    residual = _residual(factor, matrix, step)
    # || |R|^T |R| ||_2 is at most its largest row sum
    sizes = np.abs(factor)
    row_sums = sizes.T @ sizes.sum(1)
    product_norm = float(row_sums.max())
    rounding = gamma(2 * n + 8) * product_norm
    require(
        noise + (1.5 * residual + rounding) * (1 + 1e-6) < shift,
        "rounding leaves no margin: nothing is proved",
    )


def _matrix(product: Product, n: int, step: int) -> Array:
    """The matrix from its products with the unit vectors, `step` of them at once."""
    images = []
    for start in range(0, n, step):
        count = min(step, n - start)
        units = np.eye(count, n, start)
        images.append(product(units, False))
    return np.concatenate(images)


def _residual(factor: NDArray[Any], matrix: Array, step: int) -> float:
    """Of R^T R - M the Frobenius norm below the diagonal and on it: times sqrt 2, that of all of
    it, or more."""
    n = len(matrix)
    residual = 0.0
    for start in range(0, n, step):
        stop = min(start + step, n)
        top = factor[:stop, :stop]
        rows = top[:, start:].T
        product = rows @ top
        part = product - matrix[start:stop, :stop]
        length = float(np.linalg.norm(part))
        residual = math.hypot(residual, length)
    return residual
