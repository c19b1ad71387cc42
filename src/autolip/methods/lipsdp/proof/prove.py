"""The proof of a statement: whatever made the multipliers, H >= 0 is shown afresh.

Along a chain of matrices the layerwise recursion proves it.  On any graph H is written out, and a
Cholesky factorisation of it that runs to completion proves it.  Beyond the size, or the time, for
which H can be written out, H >= 0 is the norm of one map (see lifted_map), and Lanczos proves that.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from autolip.budget import Clock, charge
from autolip.errors import Refusal
from autolip.methods.layerwise.ellipsoids import feasible, first_ellipsoid, next_ellipsoid
from autolip.methods.lipsdp.proof.depth_grading import graded
from autolip.methods.lipsdp.proof.factorisation import holds, least_factor, price, resolution
from autolip.methods.lipsdp.proof.lifted_map import norm_bound
from autolip.methods.lipsdp.proof.quadratic_form import form_of
from autolip.methods.lipsdp.relaxation.constraint import STEEPEST
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.operators.norms import NormOptions
from autolip.operators.norms.rounding import power_of_two
from autolip.rounded import smallest_proved
from autolip.values import Upper, round_up

SLACK = 1.001
"""How far above what the ascent foresaw a chain's bound may be before H is written out as well:
tuned on trained chains."""

CHAIN_OPERATIONS = 20
"""Floating-point operations of the recursion for each of a chain's `work`, in terms of those of a
factorisation: tuned (measured)."""

NOTHING = 0.1
"""Seconds that are not worth saving: a choice."""

LARGEST_FORM = 20_000
"""Greatest order of what remains of H and is factorised as a whole: a choice (3 GiB)."""

ATTEMPTS = 10
"""Values that a factorisation tries, each raised by four times as much as the one before: a
choice."""

Way = Callable[[Statement], Proved | Refusal]


def prove(statement: Statement, margin: float, options: NormOptions) -> Proved | Refusal:
    """The least value that is proved with these multipliers; refused where they are not feasible.

    By the recursion or a factorisation where the budget affords it; by Lanczos otherwise, unless
    only proofs count.
    """
    relaxation, budget = statement.relaxation, options.budget
    if not 1 / STEEPEST <= statement.value <= STEEPEST:
        allowed = f"proofs stay within {1 / STEEPEST:.3g} and its inverse"
        return Refusal(f"the bound is near {statement.value:.3g}: {allowed}")
    proved, failed = list[Proved](), list[Refusal]()
    dear = f"H has {relaxation.order} rows: only up to {LARGEST_FORM} can be factorised"
    for seconds, way in _ways(relaxation, budget.clock):
        if not budget.affords(seconds):
            about = f"a proof with {relaxation.order} variables takes about {seconds:.2g} s"
            dear = f"{about}, more than was left"
            break
        charge(0.0, seconds)
        found = way(statement)
        if isinstance(found, Refusal):
            failed.append(found)
            continue
        proved.append(found)
        if found.bound.value <= statement.value * SLACK:
            break
    if proved:
        return min(proved, key=lambda one: one.bound.value)
    if failed:
        return failed[-1]
    if options.proved_only:
        return Refusal(dear)
    return by_norm(statement, margin, options)


def _ways(relaxation: Relaxation, clock: Clock) -> list[tuple[float, Way]]:
    """The recursion and the factorisation, where they are possible, with about the seconds that
    they take, the cheaper first; of two that cost nothing the recursion."""
    ways, largest = list[tuple[float, Way]](), LARGEST_FORM
    if relaxation.chain is not None:
        seconds = CHAIN_OPERATIONS * relaxation.chain.work / clock.rate
        ways, largest = [(seconds, by_recursion)], LARGEST_FORM // 4
    if relaxation.order <= largest:
        ways.append((price(relaxation, clock), by_factorisation))
    return sorted(ways, key=lambda way: way[0] if way[0] > NOTHING else 0.0)


def by_recursion(statement: Statement) -> Proved | Refusal:
    """Ellipsoids from layer to layer (see ellipsoids) with T = lam (b - a)^2 / (2 value^2), shrunk
    where a layer is not feasible; as used, lam stays."""
    chain, used = statement.relaxation.chain, dict[str, Tensor]()
    if chain is None:
        return Refusal("the network is not one chain of narrow layers")
    ellipsoid = first_ellipsoid(chain.layers[0])
    for name, (a, b), layer in zip(chain.names, chain.slopes, chain.layers[1:], strict=True):
        lam = statement.multipliers[name]
        scale = ((b - a) / statement.value) ** 2 / 2 * power_of_two(2 * ellipsoid.exponent)
        t = feasible(ellipsoid.matrix, lam.reshape(-1) * scale)
        following = None if t is None else next_ellipsoid(ellipsoid, t, a, b, layer)
        if t is None or following is None:
            return Refusal(f"the multipliers of {name} could not be proved feasible")
        ellipsoid, used[name] = following, (t / scale).reshape(lam.shape)
    bound = ellipsoid.norm()
    ratio = bound.value / statement.value
    made = replace(statement, multipliers=used)
    return Proved(bound, made.regraded(bound.value, lambda name: ratio * ratio))


def by_factorisation(statement: Statement) -> Proved | Refusal:
    """The least value from the Schur complement, raised until the factorisation of H runs to
    completion."""
    form = form_of(statement)
    if isinstance(form, Refusal):
        return form
    least = least_factor(form)
    if least is None:
        return Refusal("the multipliers are not feasible: H is indefinite in the hidden layers")
    tau = smallest_proved(
        least, lambda tau: holds(form, tau), excess=least * resolution(form), attempts=ATTEMPTS
    )
    if tau is None:
        return Refusal("no value could be proved with these multipliers")
    return _scaled(statement, tau)


def by_norm(statement: Statement, margin: float, options: NormOptions) -> Proved | Refusal:
    """The norm of the lifted map; CONFIDENT where only Lanczos can bound it."""
    better = graded(statement, margin, options)
    found = norm_bound(better, margin, options)
    if isinstance(found, Refusal):
        return found
    return Proved(found.bound, better.regraded(found.bound.value, found.factor))


def _scaled(statement: Statement, tau: float) -> Proved:
    """The statement whose input term is multiplied by tau."""
    square, mu, nu = Upper(tau), statement.inputs, statement.outputs
    for weights in (mu, nu):
        if weights is not None:
            total = math.fsum(weights.flatten().tolist())
            square = square * Upper(round_up(total))
    bound = square.sqrt()
    inputs = None if mu is None else mu * tau
    return Proved(bound, replace(statement, value=bound.value, inputs=inputs))
