"""H >= 0: a quadratic form on the input and the results of nonlinear operations, by factorisation or Lanczos.

Along the graph, v the operand and z the result of a nonlinear operation with slopes in [a, b], all differences obey
(z - a v)(b v - z) >= 0 entry by entry, and g^2 |v|^2 - |z|^2 >= 0 for a block of gain g.  With multipliers lam >= 0,

    H = sum_i mu_i x_i^2 - sum_j y_j^2 / nu_j - sum lam (z - a v)(b v - z) - sum lam (g^2 |v|^2 - |z|^2)

being >= 0 for all x and z shows sum_j y_j^2 / nu_j <= sum_i mu_i x_i^2 (Fazlyab et al., NeurIPS 2019, LipSDP-Neuron).
Without nonlinear operations it says that the norm of an affine map A is at most sqrt(mu).

In place of its second term stand nu |t|^2 - 2 t y, of which that is the least over t.  Where ab = 0 every operation's
own part of H is then diagonal: some that are not coupled are eliminated, and S >= 0 is shown, S being the rest.
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip_check.container import Array, Rejected, require
from autolip_check.graph import Gain, Network, Section, Slopes, Vertex
from autolip_check.maps import TINY, UNIT, gamma

LARGEST_MATRIX = 20_000
LONGEST_RECURRENCE = 4000
CHUNK, LONG = 2**23, 2**19


@dataclass(frozen=True)
class Form:
    """H on `source`, the keys of `multipliers`, and t under the name of `sink`, the value of which is y."""

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
        """Which variables are not eliminated: of those in which H is diagonal, larger operations go first."""
        edges = {name: self.network[name].edges[0] for name in self.multipliers}
        ends = {self.sink: self.sink} | {name: edge.source for name, edge in edges.items()}
        reads, gone = {name: self.network.sources(at, self.section.free) for name, at in ends.items()}, set[str]()
        tied = set().union(*(reads[name] for name, edge in edges.items() if not _is_bent(edge.slope)))
        for name in sorted(self.sizes, key=lambda name: -self.sizes[name]):
            near = reads.get(name, set()) | {other for other, sources in reads.items() if name in sources}
            gone |= set() if name in tied or near & gone else {name}
        return np.concatenate([np.full(size, name not in gone) for name, size in self.sizes.items()])

    @cached_property
    def weights(self) -> Array:
        """About the diagonal of H, and that of what is eliminated: mu, the multipliers, nu."""
        parts = zip(self.sizes, (self.mu, *self.multipliers.values(), self.nu), strict=True)
        return np.concatenate([np.broadcast_to(part, self.network[name].shape).reshape(-1) for name, part in parts])

    def product(self, x: Array, absolute: bool = False) -> Array:
        """S x for the rows of x, S = H_kk - H_ke H_ee^-1 H_ek; with `absolute` at least |H_kk| x + ..., for x >= 0."""
        full = np.zeros((len(x), len(self.kept)))
        full[:, self.kept] = x
        image, own = self.whole(full, absolute)[:, ~self.kept], self.weights[~self.kept]
        full[:, ~self.kept] = (image + TINY) / own + TINY if absolute else -image / own
        return self.whole(full, absolute)[:, self.kept]

    def noise(self, product: Callable[[Array, bool], Array], scale: Array) -> float:
        """Of a product's rounding error, in norm, scaled: | |H| |_2 <= max (|H| w) / w, all w > 0 (Collatz)."""
        terms, none = 4 * self.section.terms() + 32 + 4 * len(self.multipliers), np.zeros((1, len(scale)))
        w, spread = none + 1, math.inf
        for _ in range(12):
            image = product(w * scale, True) * scale
            spread = min(spread, float((image / w).max()) * (1 + 4 * gamma(terms)))
            w = image / image.max() + 1e-3
        tiny = len(scale) * float(np.linalg.norm(product(none, True) * scale))
        return gamma(terms) * (spread + tiny) * (1 + 1e-9)

    def whole(self, x: Array, absolute: bool) -> Array:
        """H x for the rows of x; with `absolute` at least |H| x, for x >= 0, but for rounding."""
        cuts = np.cumsum(list(self.sizes.values()))[:-1]
        parts = zip(self.sizes, np.split(x, cuts, axis=1), strict=True)
        free = {name: part.reshape(-1, *self.network[name].shape) for name, part in parts}
        sign, t = 1.0 if absolute else -1.0, free.pop(self.sink)
        values, forces = self.section.act(free, False, absolute), {self.sink: sign * t}
        total = {self.source: free[self.source] * self.mu, self.sink: t * self.nu}
        for name, multipliers in self.multipliers.items():
            vertex = self.network[name]
            at = vertex.edges[0].source
            total[name], force = _constraint(vertex, multipliers, values[at], free[name], absolute)
            forces[at] = forces.get(at, 0.0) + force
        pulled = self.section.act(forces, True, absolute) | {self.sink: sign * values.get(self.sink, 0.0)}
        rows = [(total[name] + pulled.get(name, 0.0)).reshape(len(x), -1) for name in self.sizes]
        return np.concatenate(rows, axis=1)


def _is_bent(slope: Any) -> bool:
    """Whether its constraint has no square of the operand: one end of every slope is 0."""
    return isinstance(slope, Slopes) and not bool(((slope.lo != 0) & (slope.hi != 0)).any())


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
    n, step = int(form.kept.sum()), max(1, CHUNK // len(scale_of(form.weights)))
    require(0 < n <= LARGEST_MATRIX, f"a matrix of order {n} is too large to factorise")
    matrix = np.concatenate([form.product(np.eye(min(step, n - start), n, start)) for start in range(0, n, step)])
    scale = scale_of(matrix.diagonal())
    matrix *= scale
    matrix *= scale[:, None] / 2
    matrix += matrix.T
    noise = form.noise(form.product, scale)
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
    require(noise + (1.5 * residual + rounding) * (1 + 1e-6) < shift, "rounding leaves no margin: nothing is proved")


def trust(form: Form, delta: float) -> None:
    """H >= 0 but for an event of probability delta over our own random vectors; else Rejected."""
    n, scale = len(form.weights), scale_of(form.weights, exact=False)  # a quarter fewer steps
    runs = max(1, math.ceil(-math.log10(delta) / 3 - 1e-6))
    pieces = runs if n > LONG else 1  # long vectors are faster one after another
    epsilon = delta ** (1 / runs) * math.sqrt(math.pi / (2 * n)) * (1 - 1e-6) - 2.0**-45
    require(epsilon > 0, f"delta = {delta:g} is below what float64 can show")
    start = np.random.Generator(np.random.PCG64(secrets.randbits(128))).standard_normal((runs, n))
    vector, before = start / np.linalg.norm(start, axis=1, keepdims=True), np.zeros_like(start)
    alphas, betas, defects, noise = list[Array](), [np.zeros(runs)], list[Array](), form.noise(form.whole, scale)
    for step in range(1, 1 + LONGEST_RECURRENCE):
        image = -scale * np.concatenate([form.whole(x, False) for x in np.array_split(scale * vector, pieces)])
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
