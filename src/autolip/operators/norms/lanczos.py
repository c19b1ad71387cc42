"""||A||_2 by Lanczos with a random start: CONFIDENT(delta), for anything that has products.

Let B = A^T A of order n (the smaller side), lambda its largest eigenvalue with unit eigenvector u,
and v_1 random, uniform on the sphere.  |<v_1, u>| has density at most c = sqrt(2 n / pi) on [0, 1],
so that
|<v_1, u>| >= eps = delta / c but for an event of probability delta.  The recurrence
B V = V T + beta_k v_{k+1} e_k^T + F gives for y = V^T u

    y^T (lambda I - T) = beta_k <u, v_{k+1}> e_k^T + (F^T u)^T,

and, for lambda above every eigenvalue theta_i of T, the first entry of y is

    eps <= |<v_1, u>| <= beta_1 ... beta_k / prod_i (lambda - theta_i)  +  sum_j ||F_j|| |w_j|,
    (lambda I - T) w = e_1.

The right-hand side decreases in lambda: every lambda where it is below eps is excluded.  Without F
this is the bound of J. L. M. van Dorsselaer, M. E. Hochstenbach, H. A. van der Vorst, Computing
probabilistic bounds for extreme eigenvalues of symmetric matrices with the Lanczos method, SIAM J.
Matrix Anal. Appl. 22 (2000), Theorem 3.2.  The event does not depend on k: one may stop whenever
the bound is good enough.  Orthogonality of V is not used, so a basis that outgrew its memory costs
steps only, never the guarantee.  F holds the computed defect of the recurrence and the rounding
errors of the products, which are measured (against the product of the high and the low halves of
the vector's digits, which rounds differently), times a safety factor.
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import Refusal
from autolip.operators.norms.engine import NormOptions, engine, upper
from autolip.operators.norms.entry_sums import schur
from autolip.operators.norms.krylov import Krylov
from autolip.operators.operator import Adjoint, Operator, largest
from autolip.roundoff import scale_float
from autolip.values import INFINITE, ONE, ZERO, Estimate, Event, Upper

SAFETY = 4.0
"""How much larger a rounding error may be than the largest one measured."""

_BOUND, _SEARCH = 1, 2
"""Defined: what seeded starts are for."""

START_ERROR = 2.0**-49
"""Proved: bound on the rounding of the normalised start vector, in l2 norm."""

ROUGH, FAINT = 1e-3, 1e-9
"""Chosen: relative error allowed in w, and the relative distance from the Ritz values from which it
is smaller by far."""

MEMORY_OF_VECTORS = 2**33
"""Chosen: bytes of a basis from which Ritz vectors are made."""

WORTH = 4.0
"""A proved bound is given up for a confident one that is smaller by this many tolerances."""


@engine("lanczos", "l2", random=True)
def lanczos(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """||A||_2 within `tolerance` of the largest Ritz value, but for an event of probability
    `delta`.

    Cost: a product with A and one with A^T per step; at most ln(1.65 sqrt(n) / delta) / (2 sqrt(2
    tolerance)) steps (J. Kuczynski, H. Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), Theorem
    4.2), far fewer with a gap.
    """
    side = _narrow(operator)
    runs, epsilon = _runs(options.delta, side.in_size)
    drawn = _search_start(side.in_size, options.search_seed)
    gram = _Gram.of(side, drawn)
    if isinstance(gram, Refusal):
        return gram
    top = 0.0
    delta = options.delta ** (1 / runs)
    each = replace(options, delta=delta)
    for run in range(runs):
        start = _random_start(side.in_size, options.seed, run)
        part = options.budget.within(1 / (runs - run))
        shared = replace(each, budget=part)
        square = _run(gram, start, epsilon, shared)
        if isinstance(square, Refusal):
            return square
        if not square > 0:
            return _unfit(operator)
        top = max(top, square)
    event = Event(f"start vectors of Lanczos for {operator!r}", options.delta)
    value = upper(scale_float(math.sqrt(top), 1 - math.frexp(gram.scale)[1]), ulps=4).value
    return Upper(value, frozenset({event})) + _deviation(operator, value, options)


def lower_estimate(
    operator: Operator, steps: int = 8, seed: int = 0, enough: float = math.inf
) -> Estimate:
    """||A||_2 from below, up to rounding: the largest Ritz value after at most `steps`, or one that
    is `enough`."""
    side = _narrow(operator)
    start = _search_start(side.in_size, seed)
    gram = _Gram.of(side, start)
    if isinstance(gram, Refusal):
        return Estimate(0.0)
    goal = enough * gram.scale
    most = min(steps, side.in_size)
    space = Krylov(gram, start, most).grow(steps, goal * goal)
    return Estimate(math.sqrt(space.top()) / gram.scale)


def worst_vectors(
    operator: Operator, steps: int, seed: int, look: int, above: float
) -> Float[Tensor, "m n"]:
    """Unit vectors x, flat, with |A x| > `above`, about: Ritz vectors of A^T A, the largest first.

    After some steps, or as many as memory holds. The start is another one for every look, and never
    that of a bound: what depends on it may be bounded afterwards.
    """
    flat = (operator.in_size,)
    side = _narrow(operator)
    start = _search_start(side.in_size, seed, 1 + look)
    gram = _Gram.of(side, start)
    if isinstance(gram, Refusal):
        return torch.zeros(0, *flat, dtype=torch.float64)
    limit = above * gram.scale
    of_a_vector = 8 * side.in_size
    most = max(1, min(steps, MEMORY_OF_VECTORS // of_a_vector))
    space = Krylov(gram, start, most, MEMORY_OF_VECTORS).grow(most)
    squares, combinations = space.spectrum()
    chosen = [i for i in reversed(range(len(squares))) if squares[i] > limit * limit]
    ritz = space.combined(combinations[:, chosen])
    if side is not operator:
        images = [side.mv(vector.reshape(1, *side.in_shape)).reshape(flat) for vector in ritz]
        ritz = torch.stack(images) if images else torch.zeros(0, *flat, dtype=torch.float64)
    return ritz / ritz.norm(dim=1, keepdim=True)


def _narrow(operator: Operator) -> Operator:
    """A or A^T, the one with the smaller input."""
    return operator if operator.in_size <= operator.out_size else Adjoint(operator)


def _runs(delta: float, size: int) -> tuple[int, float]:
    """How many independent starts, and epsilon: all of them have |<v_1, u>| < epsilon with
    probability at most delta.

    One, unless its epsilon would drown in rounding errors; every run excludes what lies above its
    bound, so that the largest of the bounds holds unless all starts are nearly orthogonal to u.
    """
    runs = 1
    width = math.sqrt(math.pi / (2 * size))
    unit = width * (1 - 1e-12)
    while delta ** (1 / runs) * unit < 65 * START_ERROR:
        runs += 1
    return runs, delta ** (1 / runs) * unit - START_ERROR


def _random_start(size: int, seed: int | None, run: int) -> Float[Tensor, " n"]:
    """The start of a bound, uniform on the sphere: from 128 bits of the system's randomness, unless
    there is a seed.

    Torch's generator knows 2^32 starts: a network could be made such that thousands of them see
    nothing of its norm.
    """
    drawn = secrets.randbits(128) if seed is None else [_BOUND, seed, size, run]
    return _unit_vector(np.random.default_rng(drawn), size)


def _search_start(size: int, seed: int, look: int = 0) -> Float[Tensor, " n"]:
    """The start of a search: another one than that of any bound."""
    return _unit_vector(np.random.default_rng([_SEARCH, seed, size, look]), size)


def _unit_vector(generator: np.random.Generator, size: int) -> Float[Tensor, " n"]:
    start = torch.from_numpy(generator.standard_normal(size))
    return start / start.norm()


class _Gram:
    """v -> (s A)^T (s A) v, with a power of two s that keeps it near 1."""

    def __init__(self, operator: Operator, scale: float) -> None:
        self.operator = operator
        self.scale = scale

    def __call__(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        scaled = v.reshape(1, *self.operator.in_shape) * self.scale
        image = self.operator.mv(scaled)
        return self.operator.rmv(image * self.scale).flatten()

    def rounding(self, v: Tensor) -> float:
        """The measured rounding error of one product."""
        high = v.float().to(v.dtype)
        return (self(v) - (self(high) + self(v - high))).norm().item()

    @staticmethod
    def of(operator: Operator, start: Tensor) -> "_Gram | Refusal":
        """The scaling found from one product; refused where floating point loses the operator.

        That a product is 0 does not prove the operator to be: something may have underflowed on the
        way.
        """
        x = start.reshape(1, *operator.in_shape)
        tops = {exponent: largest(operator.mv(x * 2.0**exponent)) for exponent in (0, 900, -900)}
        for exponent, top in tops.items():
            if 1e-150 < top < 1e150:
                binary = exponent - math.frexp(top)[1]
                scale = math.ldexp(1.0, min(max(binary, -1000), 1000))
                return _Gram(operator, scale)._unless_it_underflows(start)
        return _unfit(operator)

    def _unless_it_underflows(self, start: Tensor) -> "_Gram | Refusal":
        """Scaling by a power of two commutes with every rounding, unless something under- or
        overflows."""
        if (
            not 1e-50
            < largest(self.operator.mv(start.reshape(1, *self.operator.in_shape) * self.scale))
            < 1e50
        ):
            return _unfit(self.operator)
        room = min(200, 1000 - math.frexp(self.scale)[1])
        factor = 2.0**room
        shaped = start.reshape(1, *self.operator.in_shape)
        x = shaped * self.scale
        for product in (self.operator.mv, self.operator.rmv):
            image = product(x)
            again = product(x * factor) / factor
            difference = (again - image).norm().item()
            if not difference <= 1e-9 * image.norm().item():
                return _unfit(self.operator)
            x = image * self.scale
        return self


def _unfit(operator: Operator) -> Refusal:
    return Refusal(f"products with {operator} under- or overflow in float64: rescale its weights")


def _run(gram: _Gram, start: Tensor, epsilon: float, options: NormOptions) -> float | Refusal:
    """At least ||s A||_2^2, unless |<start, u>| < epsilon."""
    wanted = _steps(len(start), options)
    capacity = min(len(start), wanted)
    space = Krylov(gram, start, capacity)
    rounding = 0.0
    square = math.inf
    due = 1
    while len(space) < capacity and not space.exhausted and not options.budget.expired:
        if len(space) in (0, 8, 64):
            lost = SAFETY * gram.rounding(space.vector)
            rounding = max(rounding, lost)
        space.step()
        if len(space) >= due:
            due += 1 + due // 16
            square = min(square, _excluded_above(space, rounding, epsilon))
            ritz = math.sqrt(space.top())
            if math.sqrt(square) <= max(
                ritz * (1 + options.tolerance), options.enough * gram.scale
            ):
                return square
            if ritz * (1 + WORTH * options.tolerance) >= options.known * gram.scale:
                return Refusal(
                    f"cannot improve on {options.known:.6g} by more than {WORTH:g} tolerances"
                )
    return (
        min(square, _excluded_above(space, rounding, epsilon))
        if len(space)
        else Refusal("no time left")
    )


def _steps(size: int, options: NormOptions) -> int:
    """Steps after which Lanczos has reached the tolerance with probability 1 - delta, on any
    spectrum."""
    return (
        math.ceil(
            math.log(1.65 * math.sqrt(size) / options.delta)
            / (2 * math.sqrt(2 * options.tolerance))
        )
        + 10
    )


def _excluded_above(space: Krylov, rounding: float, epsilon: float) -> float:
    """The least lambda above the Ritz values where the right-hand side of the module's inequality
    is below epsilon."""
    theta, vectors = space.spectrum()
    columns = np.array(space.defects) + rounding  # norms of vectors, which may point the same way
    noise = float(np.linalg.norm(columns))
    with np.errstate(divide="ignore"):
        logarithm = float(np.log(space.betas).sum())
    largest_value = float(np.abs(theta).max())
    top = max(largest_value, max(space.betas))
    slack = 1e-14 * top

    def excludes(gap: float) -> bool:
        distance = gap + (theta[-1] - theta)
        product_of = float(np.log(distance).sum())
        tail = logarithm - product_of
        parts = vectors[0] / distance
        doubt = ROUGH if gap > FAINT * top else 1.0
        moduli = np.abs(parts) + 1e-14 / distance
        size = float(np.linalg.norm(moduli))
        seen = float(columns @ np.abs(vectors @ parts))
        disturbed = doubt * noise * size
        heard = seen + disturbed
        return math.exp(min(tail, 700.0)) + (1 + 1e-3) * heard < epsilon * (1 - 1e-6)

    return (
        0.0
        if top == 0
        else max(float(theta[-1]), 0.0) + slack + _least(excludes, top) * (1 + 1e-12)
    )


def _least(holds: Callable[[float], bool], scale: float) -> float:
    """A number, right to 1%, from which on a monotone property holds."""
    low = high = scale * 2.0**-50
    while not holds(high):
        low = high
        high = high * 16
        if math.isinf(high):
            return high
    while high > low * 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _deviation(operator: Operator, norm: float, options: NormOptions) -> Upper:
    """||A - A'|| for the stored A of this norm and the A' that is meant, within `relative_error`
    entry by entry.

    What the operator itself knows of it, or relative_error || |A| ||, or for composites the norms
    of the leaves, added and multiplied up.
    """
    if operator.relative_error == 0:
        return ZERO
    known = operator.deviation(norm)
    if known is not None:
        return known
    whole = schur(operator, options)
    if isinstance(whole, Refusal):
        rough = replace(options, tolerance=0.1, known=math.inf)
        whole = operator.fold(
            ONE,
            lambda leaf, x: x * _absolute(leaf, rough),
            lambda parts: sum(parts, ZERO),
        )
    return Upper(operator.relative_error) * whole


def _absolute(leaf: Operator, options: NormOptions) -> Upper:
    """At least || |A| ||_2, or ||A||_2 for a leaf without stored entries, which has no relative
    error."""
    for engine_function in (schur, lanczos):
        bound = engine_function(leaf, options)
        if isinstance(bound, Upper):
            return bound
    return INFINITE
