"""H >= 0 but for a small probability: Lanczos from random starts excludes a negative eigenvalue."""

import math
import secrets

import numpy as np

from autolip_check.container import Array, Rejected, require
from autolip_check.effort import UNLIMITED, Effort
from autolip_check.forms import Form, scale_of
from autolip_check.maps import UNIT

LONGEST_RECURRENCE = 4000
"""Tuned: a limit on the work, beyond what the certificates of `benchmarks` need."""

LONG = 2**19
"""Tuned: entries of a vector from which several are faster one after another than as a batch."""

STRIDE = 4
"""Tuned: steps between two tests, which go through all steps so far."""


def trust(form: Form, delta: float, effort: Effort = UNLIMITED) -> None:
    """H >= 0 but for an event of probability delta over our own random vectors; else Rejected.

    Several runs at once, so that each may fail with probability delta^(1 / runs): all of them have
    to exclude.
    """
    n = len(form.weights)
    scale = scale_of(form.weights, exact=False)  # a quarter fewer steps than powers of two
    digits = -math.log10(delta)
    runs = max(1, math.ceil(digits / 3 - 1e-6))
    # a start has less than epsilon of a given direction with probability <= epsilon sqrt(2 n / pi)
    of_a_run = delta ** (1 / runs)
    width = math.sqrt(math.pi / (2 * n))
    least = of_a_run * width * (1 - 1e-6)
    epsilon = least - 2.0**-45
    require(epsilon > 0, f"delta = {delta:g} is below what float64 can show")
    starts = _directions(runs, n)
    recurrence = _Recurrence(form, scale, starts)
    for step in range(1, 1 + LONGEST_RECURRENCE):
        effort.spend(runs * (2 * form.section.work + 8 * n))
        recurrence.extend()
        if step % STRIDE == 0 and recurrence.excludes(epsilon):
            return
    raise Rejected(
        f"{LONGEST_RECURRENCE} steps of Lanczos did not exclude a negative eigenvalue of H"
    )


def _directions(runs: int, n: int) -> Array:
    """Random unit vectors of R^n, one for each run, whatever the certificate."""
    seed = secrets.randbits(128)
    bits = np.random.PCG64(seed)
    generator = np.random.Generator(bits)
    start = generator.standard_normal((runs, n))
    return start / np.linalg.norm(start, axis=1, keepdims=True)


class _Recurrence:
    """Lanczos's three terms for B = -D H D, D = diag(scale), from several starts at once:

    B v_k = beta_k v_{k-1} + alpha_k v_k + beta_{k+1} v_{k+1} + F_k,    |F_k| <= defect_k.
    """

    def __init__(self, form: Form, scale: Array, start: Array) -> None:
        self.form = form
        self.scale = scale
        self.vector = start
        self.before = np.zeros_like(start)
        self.alphas = list[Array]()
        self.betas = [np.zeros(len(start))]
        self.defects = list[Array]()
        self.noise = form.noise(form.whole, scale)

    def extend(self) -> None:
        """One step of every run; Rejected where it overflows."""
        image = self._image()
        alpha = (self.vector * image).sum(1)
        along = alpha[:, None] * self.vector
        last = self.betas[-1]
        behind = last[:, None] * self.before
        rest = image - along - behind
        beta = np.linalg.norm(rest, axis=1)
        require(bool(np.isfinite(beta).all()), "Lanczos overflowed")
        length = np.linalg.norm(image, axis=1)
        sizes = length + np.abs(alpha) + last + beta
        self.defects.append(self.noise * (1 + 1e-6) + 12 * UNIT * sizes)
        self.before = self.vector
        divisor = np.maximum(beta, 2.0**-1000)
        column = divisor[:, None]
        self.vector = rest / column
        self.alphas.append(alpha)
        self.betas.append(beta)

    def _image(self) -> Array:
        """B v for the vector of every run."""
        pieces = len(self.vector) if len(self.scale) > LONG else 1
        scaled = self.scale * self.vector
        parts = np.array_split(scaled, pieces)
        return -self.scale * np.concatenate([self.form.whole(part, False) for part in parts])

    def excludes(self, epsilon: float) -> bool:
        """Whether every run excludes an eigenvalue >= 0."""
        alphas, betas, defects = (
            np.array(column).T.tolist() for column in (self.alphas, self.betas[1:], self.defects)
        )
        runs = zip(alphas, betas, defects, strict=True)
        return all(_excludes(*run, epsilon) for run in runs)


def _excludes(
    alphas: list[float], betas: list[float], defects: list[float], epsilon: float
) -> bool:
    """Whether a recurrence of B = -D H D excludes an eigenvalue >= 0; Rejected where one is seen.

    B V = V T + beta v e_k^T + F, with u a unit eigenvector of B for lambda >= 0 above the spectrum
    of T, gives

        |<v_1, u>| <= beta y_k + sum_j |F_j| y_j,    y = (-T)^-1 e_1 >= 0 (decreasing in lambda);

    but |<v_1, u>| < eps has probability at most eps sqrt(2 n / pi) for every run: van Dorsselaer,
    Hochstenbach and van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000), Theorem 3.2.
    Orthogonality of V is not used.  |F_j| <= `defects`, column by column.

    The pivots of -T from below are exact for off-diagonals changed by a few units, which are one
    more part of F.
    """
    pivots = [-alphas[-1]]  # of -T = U D U^T, from the last row upwards
    for alpha, beta in zip(alphas[-2::-1], betas[-2::-1], strict=True):
        require(pivots[-1] > 0, "H has a negative eigenvalue")
        pivots.append(-alpha - beta * beta / pivots[-1])
    require(pivots[-1] > 0, "H has a negative eigenvalue")
    y = [1 / pivots[-1]]  # -T y = e_1, from the first entry downwards
    for beta, pivot in zip(betas[:-1], pivots[-2::-1], strict=True):
        y.append(beta * y[-1] / pivot)
    pairs = zip(defects, y, strict=True)
    products = map(math.prod, pairs)
    disturbed = math.fsum(products)
    disturbed += 16 * UNIT * math.hypot(*betas) * math.hypot(*y)
    last = betas[-1] * y[-1]
    overlap = last + disturbed
    return overlap * (1 + 1e-6) < epsilon * (1 - 1e-6)
