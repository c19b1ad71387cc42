"""H >= 0 but for a small probability: Lanczos from random starts excludes a negative eigenvalue."""

import math
import secrets

import numpy as np

from autolip_check.container import Array, Rejected, require
from autolip_check.forms import Form, scale_of
from autolip_check.maps import UNIT

LONGEST_RECURRENCE = 4000
LONG = 2**19


def trust(form: Form, delta: float) -> None:
    """H >= 0 but for an event of probability delta over our own random vectors; else Rejected."""
    n, scale = len(form.weights), scale_of(form.weights, exact=False)  # a quarter fewer steps
    runs = max(1, math.ceil(-math.log10(delta) / 3 - 1e-6))
    pieces = runs if n > LONG else 1  # long vectors are faster one after another
    epsilon = delta ** (1 / runs) * math.sqrt(math.pi / (2 * n)) * (1 - 1e-6) - 2.0**-45
    require(epsilon > 0, f"delta = {delta:g} is below what float64 can show")
    start = np.random.Generator(np.random.PCG64(secrets.randbits(128))).standard_normal((runs, n))
    vector = start / np.linalg.norm(start, axis=1, keepdims=True)
    before = np.zeros_like(start)
    alphas = list[Array]()
    betas = [np.zeros(runs)]
    defects = list[Array]()
    noise = form.noise(form.whole, scale)
    for step in range(1, 1 + LONGEST_RECURRENCE):
        image = -scale * np.concatenate(
            [form.whole(x, False) for x in np.array_split(scale * vector, pieces)]
        )
        alphas.append((vector * image).sum(1))
        rest = image - alphas[-1][:, None] * vector - betas[-1][:, None] * before
        beta = np.linalg.norm(rest, axis=1)
        require(bool(np.isfinite(beta).all()), "Lanczos overflowed")
        sizes = np.linalg.norm(image, axis=1) + np.abs(alphas[-1]) + betas[-1] + beta
        defects.append(noise * (1 + 1e-6) + 12 * UNIT * sizes)
        before = vector
        vector = rest / np.maximum(beta, 2.0**-1000)[:, None]
        betas.append(beta)
        runs_so_far = zip(
            *(np.array(x).T.tolist() for x in (alphas, betas[1:], defects)), strict=True
        )
        if step % 4 == 0 and all(_excludes(a, b, d, epsilon) for a, b, d in runs_so_far):
            return
    raise Rejected(
        f"{LONGEST_RECURRENCE} steps of Lanczos did not exclude a negative eigenvalue of H"
    )


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
    pivots = [-alphas[-1]]
    for alpha, beta in zip(alphas[-2::-1], betas[-2::-1], strict=True):
        require(pivots[-1] > 0, "H has a negative eigenvalue")
        pivots.append(-alpha - beta * beta / pivots[-1])
    require(pivots[-1] > 0, "H has a negative eigenvalue")
    y = [1 / pivots[-1]]
    for beta, pivot in zip(betas[:-1], pivots[-2::-1], strict=True):
        y.append(beta * y[-1] / pivot)
    disturbed = math.fsum(map(math.prod, zip(defects, y, strict=True)))
    disturbed += 16 * UNIT * math.hypot(*betas) * math.hypot(*y)
    overlap = betas[-1] * y[-1] + disturbed
    return overlap * (1 + 1e-6) < epsilon * (1 - 1e-6)
