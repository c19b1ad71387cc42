"""H >= 0: a quadratic form on the input and the results of nonlinear operations, by factorisation or Lanczos.

Along the graph, v the operand and z the result of a nonlinear operation with slopes in [a, b], all differences obey
(z - a v)(b v - z) >= 0 entry by entry, and g^2 |v|^2 - |z|^2 >= 0 for a block of gain g.  With multipliers lam >= 0,

    H = sum_i mu_i x_i^2 - sum_j y_j^2 / nu_j - sum lam (z - a v)(b v - z) - sum lam (g^2 |v|^2 - |z|^2)

being >= 0 for all x and z shows sum_j y_j^2 / nu_j <= sum_i mu_i x_i^2 (Fazlyab et al., NeurIPS 2019, LipSDP-Neuron).
Without nonlinear operations it says that the norm of an affine map A is at most sqrt(mu).
"""

import math
import secrets
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Gain, Network, Section, Slopes, Vertex
from autolip_check.maps import UNIT, gamma

LARGEST_MATRIX = 16384
LONGEST_RECURRENCE = 4000
CHUNK = 2**23


@dataclass(frozen=True)
class Form:
    """H on the free variables: `source` and the keys of `multipliers`; y is the value of `sink`.

    `turned` (without multipliers, mu and nu one number each): mu |y|^2 - |A^T y|^2 / nu instead, which says the same.
    """

    network: Network
    source: str
    sink: str
    mu: Array
    nu: Array
    multipliers: dict[str, Array]
    turned: bool = False

    @cached_property
    def section(self) -> Section:
        return Section(self.network, (self.source, *self.multipliers))

    @cached_property
    def sizes(self) -> dict[str, int]:
        free = (self.sink,) if self.turned else self.section.free
        return {name: self.network.size(name) for name in free}

    def weights(self) -> Array:
        """About the diagonal of H: mu and the multipliers."""
        parts = zip(self.sizes, (self.mu, *self.multipliers.values()), strict=True)
        return np.concatenate([np.broadcast_to(part, self.network[name].shape).reshape(-1) for name, part in parts])

    def noise(self, scale: Array) -> float:
        """Of a product's rounding error, in norm, with H scaled: | |H| |_2 <= max (|H| w) / w, all w > 0 (Collatz)."""
        terms, none = 2 * self.section.terms() + 16 + 2 * len(self.multipliers), np.zeros((1, len(scale)))
        w, spread = none + 1, math.inf
        for _ in range(12):
            image = self.product(w * scale, absolute=True) * scale
            spread = min(spread, float((image / w).max()) * (1 + 4 * gamma(terms)))
            w = image / image.max() + 1e-3
        tiny = len(scale) * float(np.linalg.norm(self.product(none, absolute=True) * scale))
        return gamma(terms) * (spread + tiny) * (1 + 1e-9)

    def product(self, x: Array, absolute: bool = False) -> Array:
        """H x for the rows of x; with `absolute` at least |H| x, for x >= 0, but for rounding."""
        cuts = np.cumsum(list(self.sizes.values()))[:-1]
        parts = zip(self.sizes, np.split(x, cuts, axis=1), strict=True)
        free = {name: part.reshape(-1, *self.network[name].shape) for name, part in parts}
        start, end = (self.sink, self.source) if self.turned else (self.source, self.sink)
        values = self.section.act(free, self.turned, absolute)
        forces = {end: (values[end] if absolute else -values[end]) / self.nu} if end in values else {}
        total = {start: free[start] * self.mu}
        for name, multipliers in self.multipliers.items():
            vertex = self.network[name]
            at = vertex.edges[0].source
            v = values.get(at, np.zeros((len(x), *self.network[at].shape)))
            total[name], force = _constraint(vertex, multipliers, v, free[name], absolute)
            forces[at] = forces.get(at, 0.0) + force
        pulled = self.section.act(forces, not self.turned, absolute)
        return np.concatenate(
            [(total[name] + pulled.get(name, 0.0)).reshape(len(x), -1) for name in self.sizes], axis=1
        )


def _constraint(vertex: Vertex, lam: Array, v: Array, z: Array, absolute: bool) -> tuple[Array, Array]:
    """Half the gradient of -lam (z - a v)(b v - z) in z and in v."""
    slope = vertex.edges[0].slope
    if isinstance(slope, Gain):
        require("l2" in slope.norms, f"no l2 gain of {vertex.name} is given")
        return lam * z, (lam if absolute else -lam) * slope.norms["l2"] ** 2 * v
    assert isinstance(slope, Slopes)
    centre, product = (slope.lo + slope.hi) / 2, slope.lo * slope.hi
    if absolute:
        return lam * (z + np.abs(centre) * v), lam * (np.abs(product) * v + np.abs(centre) * z)
    return lam * (z - centre * v), lam * (product * v - centre * z)


def scale_of(diagonal: Array, exact: bool = True) -> Array:
    """What rows and columns are scaled by, to a diagonal of about 1: powers of two if `exact`."""
    require(bool((diagonal > 0).all()), "H has a diagonal entry that is not positive")
    exponents = (np.round if exact else np.positive)(np.log2(diagonal) / -2)
    require(bool((np.abs(exponents) < 300).all()), "H is scaled too badly")
    return np.exp2(exponents)


def prove(form: Form) -> None:
    """H >= 0, deterministically: D H D - shift I = R^T R + little, multiplied out; else Rejected."""
    n = sum(form.sizes.values())
    require(0 < n <= LARGEST_MATRIX, f"a matrix of order {n} is too large to factorise")
    matrix, step = np.empty((n, n)), max(1, CHUNK // n)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        matrix[rows] = form.product(np.eye(rows.stop - start, n, start))
    scale = scale_of(matrix.diagonal())
    matrix *= scale
    matrix *= scale[:, None]
    matrix = (matrix + matrix.T) / 2
    noise = form.noise(scale)
    shift = noise + 4 * gamma(n + 4) * n * float(matrix.diagonal().max())
    matrix.flat[:: n + 1] -= shift
    try:
        factor = np.linalg.cholesky(matrix).T
    except np.linalg.LinAlgError as error:
        raise Rejected("H is not positive semidefinite by the margin that rounding needs") from error
    residual = 0.0
    for start in range(0, n, step):
        stop = min(start + step, n)
        part = factor[:stop, start:stop].T @ factor[:stop, :stop] - matrix[start:stop, :stop]
        residual = math.hypot(residual, float(np.linalg.norm(part)))
    sizes = np.abs(factor)
    rounding = gamma(2 * n + 8) * float((sizes.T @ sizes.sum(1)).max())
    settled = noise + (1.5 * residual + rounding) * (1 + 1e-6) < shift
    require(settled, "rounding leaves no margin: H >= 0 is not proved")


def trust(form: Form, delta: float) -> None:
    """H >= 0 but for an event of probability delta over our own random vectors; else Rejected."""
    n, scale = sum(form.sizes.values()), scale_of(form.weights(), exact=False)  # a quarter fewer steps
    runs = max(1, math.ceil(-math.log10(delta) / 3 - 1e-6))
    epsilon = delta ** (1 / runs) * math.sqrt(math.pi / (2 * n)) * (1 - 1e-6) - 2.0**-45
    require(epsilon > 0, f"delta = {delta:g} is below what float64 can show")
    start = np.random.Generator(np.random.PCG64(secrets.randbits(128))).standard_normal((runs, n))
    vector, before = start / np.linalg.norm(start, axis=1, keepdims=True), np.zeros_like(start)
    alphas, betas, defects, noise = list[Array](), [np.zeros(runs)], list[Array](), form.noise(scale)
    for step in range(1, 1 + LONGEST_RECURRENCE):
        image = -scale * form.product(scale * vector)
        alphas.append((vector * image).sum(1))
        rest = image - alphas[-1][:, None] * vector - betas[-1][:, None] * before
        beta = np.linalg.norm(rest, axis=1)
        require(bool(np.isfinite(beta).all()), "Lanczos overflowed")
        sizes = np.linalg.norm(image, axis=1) + np.abs(alphas[-1]) + betas[-1] + beta
        defects.append(noise * (1 + 1e-6) + 12 * UNIT * sizes)
        before, vector = vector, rest / np.maximum(beta, 2.0**-1000)[:, None]
        betas.append(beta)
        runs_so_far = zip(*(np.array(x).T.tolist() for x in (alphas, betas[1:], defects)), strict=True)
        if step % 4 == 0 and all(_excludes(a, b, d, epsilon) for a, b, d in runs_so_far):
            return
    raise Rejected(f"{LONGEST_RECURRENCE} steps of Lanczos did not exclude a negative eigenvalue of H")


def _excludes(alphas: list[float], betas: list[float], defects: list[float], epsilon: float) -> bool:
    """Whether a recurrence of B = -D H D excludes an eigenvalue >= 0; Rejected where one is seen.

    B V = V T + beta v e_k^T + F, with u a unit eigenvector of B for lambda >= 0 above the spectrum of T, gives
    |<v_1, u>| <= beta y_k + sum |F_j| y_j, y = (-T)^-1 e_1 >= 0 (which decreases in lambda); but |<v_1, u>| < eps has
    probability at most eps sqrt(2 n / pi) for every run: van Dorsselaer, Hochstenbach and van der Vorst, SIAM J. Matrix
    Anal. Appl. 22 (2000), Theorem 3.2.  Orthogonality of V is not used.  |F_j| <= `defects`, column by column.

    The pivots of -T from below are exact for off-diagonals changed by a few units, which are one more part of F.
    """
    pivots = [-alphas[-1]]
    for alpha, beta in zip(alphas[-2::-1], betas[-2::-1], strict=True):
        require(pivots[-1] > 0, "H has a negative eigenvalue")
        pivots.append(-alpha - beta * beta / pivots[-1])
    require(pivots[-1] > 0, "H has a negative eigenvalue")
    y = [1 / pivots[-1]]
    for beta, pivot in zip(betas[:-1], pivots[-2::-1], strict=True):
        y.append(beta * y[-1] / pivot)
    heard = math.fsum(map(math.prod, zip(defects, y, strict=True))) + 16 * UNIT * math.hypot(*betas) * math.hypot(*y)
    return betas[-1] * y[-1] * (1 + 1e-6) + heard * (1 + 1e-6) < epsilon * (1 - 1e-6)
