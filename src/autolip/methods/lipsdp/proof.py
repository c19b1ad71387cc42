"""The proof of a statement: whatever made the multipliers, H >= 0 is shown afresh.

Along a chain of matrices the layerwise recursion proves it (see recursion; T = lam (b - a)^2 / (2
value^2)).  On any graph H is written out, and the least value for these multipliers follows from
the Schur complement of its part in z; that value, raised a little, is proved by a Cholesky
factorisation of the whole matrix that runs to completion.  Beyond the size, or the time, for which
H can be written out, H >= 0 is the norm of one map (see lifted), and Lanczos proves that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.linalg.blas import dtrsm
from torch import Tensor

from autolip.budget import WALL, Clock, charge
from autolip.errors import Refusal
from autolip.graph.chains import stretches
from autolip.graph.views import SlopeGraph, fused
from autolip.intervals import UNIT, gamma
from autolip.methods.layerwise.ellipsoids import feasible, first_ellipsoid, next_ellipsoid
from autolip.methods.layerwise.method import dense_layers, flat_slopes
from autolip.methods.lipsdp.chain_dual_ascent import Chain
from autolip.methods.lipsdp.depth_grading import graded
from autolip.methods.lipsdp.lifted_map import norm_bound
from autolip.methods.lipsdp.quadratic_form import Form, form_of, size_of, variables_of
from autolip.methods.lipsdp.statement import STEEPEST, Statement, nonlinear
from autolip.norms import Norm
from autolip.operators.estimates.power import top_eigenvalue
from autolip.operators.norms import NormOptions
from autolip.operators.norms.rounding import power_of_two
from autolip.operators.norms.semidefinite import lower_factor, shift_of
from autolip.values import Upper

WIDEST_CHAIN = 1024
"""Greatest width of a hidden layer whose ellipsoid is kept as a matrix."""

SLACK = 1.001
"""How far above what the ascent foresaw a chain's bound may be before H is written out as well."""

CHAIN_OPERATIONS = 20
"""Floating-point operations of the recursion for each of a chain's `work`, measured in terms of a
factorisation."""

WRITING = 7e-5
"""Seconds for each variable of H, measured on convolutional networks."""

NOTHING = 0.1
"""Seconds that are not worth saving."""

LARGEST_FORM = 20_000
"""Greatest order of what remains of H and is factorised as a whole (3 GiB)."""


@dataclass(frozen=True)
class Proved:
    """||y|| <= bound ||x||, and the statement that says so: its value is the bound's."""

    bound: Upper
    statement: Statement


def prove(
    statement: Statement, margin: float, options: NormOptions, until: float = math.inf
) -> Proved | Refusal:
    """The least value that is proved with these multipliers; refused where they are not feasible.

    By a factorisation where it will have ended at `until`, a moment of the budget's clock; by
    Lanczos otherwise.
    """
    if not 1 / STEEPEST <= statement.value <= STEEPEST:
        return Refusal(
            f"the bound is near {statement.value:.3g}: proofs stay within "
            f"{1 / STEEPEST:.3g} and its inverse"
        )
    found: list[Proved | Refusal] = []
    dear = f"H has {size_of(statement.graph)} rows: only up to {LARGEST_FORM} can be factorised"
    for seconds, way in _ways(statement, options.budget.clock):
        if options.budget.clock.now() + seconds > until:
            dear = (
                f"a proof with {size_of(statement.graph)} variables takes about {seconds:.2g} "
                "s, more than was left"
            )
            break
        charge(0.0, seconds)
        found.append(way())
        if isinstance(found[-1], Proved) and found[-1].bound.value <= statement.value * SLACK:
            break
    if found:
        proved = [result for result in found if isinstance(result, Proved)]
        return min(proved, key=lambda result: result.bound.value) if proved else found[-1]
    if options.proved_only:
        return Refusal(dear)
    if until < math.inf:
        options = replace(options, budget=replace(options.budget, deadline=until))
    return prove_lifted(statement, margin, options)


def _ways(statement: Statement, clock: Clock) -> list[tuple[float, Callable[[], Proved | Refusal]]]:
    """The ways to a proof and about what they cost, the cheaper first; of two that cost nothing the
    chain's."""
    ways: list[tuple[float, Callable[[], Proved | Refusal]]] = []
    chain, order = chain_of(statement), size_of(statement.graph)
    if chain is not None:
        ways.append(
            (CHAIN_OPERATIONS * chain.work / clock.rate, lambda: prove_chain(statement, chain))
        )
    if order <= (LARGEST_FORM if chain is None else LARGEST_FORM // 4):
        ways.append((price(statement.graph, clock), lambda: prove_form(statement)))
    return sorted(ways, key=lambda way: way[0] if way[0] > NOTHING else 0.0)


def price(graph: SlopeGraph, clock: Clock = WALL) -> float:
    """About the seconds of a proof by a matrix H: two factorisations, as much again for what leads
    to them, and to write it out and eliminate its small blocks."""
    return size_of(graph) ** 3 / clock.rate + WRITING * variables_of(graph)


def chain_of(statement: Statement) -> Chain | None:
    """The network of an l2 -> l2 statement as a chain, if it is one and narrow enough."""
    if (statement.p, statement.q) != (Norm.L2, Norm.L2) or statement.inputs is not None:
        return None
    graph = fused(statement.graph)
    names = [vertex.name for vertex in nonlinear(graph)]
    for stretch in stretches(graph):
        if (stretch.source, stretch.sink) == (graph.input, graph.output) and len(
            stretch.slopes
        ) == len(names):
            layers = dense_layers(stretch.blocks, WIDEST_CHAIN)
            if not isinstance(layers, Refusal):
                return Chain(layers, [flat_slopes(slope) for slope in stretch.slopes], names)
    return None


def prove_chain(statement: Statement, chain: Chain) -> Proved | Refusal:
    """The recursion with T = lam (b - a)^2 / (2 value^2), shrunk where a layer is not feasible; as
    used, lam stays."""
    ellipsoid, used = first_ellipsoid(chain.layers[0]), dict[str, Tensor]()
    for name, (lo, hi), layer in zip(chain.names, chain.slopes, chain.layers[1:], strict=True):
        lam = statement.multipliers[name].reshape(-1)
        scale = ((hi - lo) / statement.value) ** 2 / 2 * power_of_two(2 * ellipsoid.exponent)
        t = feasible(ellipsoid.matrix, lam * scale)
        following = None if t is None else next_ellipsoid(ellipsoid, t, lo, hi, layer)
        if t is None or following is None:
            return Refusal(f"the multipliers of {name} could not be proved feasible")
        ellipsoid, used[name] = following, (t / scale).reshape(statement.multipliers[name].shape)
    bound = ellipsoid.norm()
    ratio = bound.value / statement.value
    factor = ratio * ratio
    return Proved(
        bound, replace(statement, multipliers=used).regraded(bound.value, lambda name: factor)
    )


def prove_lifted(statement: Statement, margin: float, options: NormOptions) -> Proved | Refusal:
    """By the norm of the lifted map; CONFIDENT where only Lanczos can bound it."""
    statement = graded(statement, margin, options)
    found = norm_bound(statement, margin, options)
    if isinstance(found, Refusal):
        return found
    return Proved(found.bound, statement.regraded(found.bound.value, found.factor))


def prove_form(statement: Statement, attempts: int = 10) -> Proved | Refusal:
    """The least value from the Schur complement, raised until the factorisation of H runs to
    completion."""
    form = form_of(statement)
    if isinstance(form, Refusal):
        return form
    least = least_factor(form)
    if least is None:
        return Refusal("the multipliers are not feasible: H is indefinite in the hidden layers")
    size = form.matrix.shape[0]
    raised = max(1e-10, 16 * size * gamma(2 * size))
    for attempt in range(attempts):
        factor = least * (1 + 4.0**attempt * raised)
        if holds(form, factor):
            return _scaled(statement, factor)
    return Refusal("no value could be proved with these multipliers")


def least_factor(form: Form) -> float | None:
    """About the least tau for which H + tau diag(weights) on the input is positive, by what a proof
    of it needs; None where no tau will do."""
    room = 2 * shift_of(form.diagonal, form.slack)
    matrix = form.complement(form.diagonal - room)
    if matrix is None:
        return None
    free, root = len(matrix) - form.inputs, form.weights.sqrt()
    factor = lower_factor(matrix[:free, :free].clone())
    if factor is None:
        return None
    schur = -_symmetric(matrix[free:, free:])
    if free:
        cross = matrix[free:, :free].contiguous().numpy().T
        solved = torch.from_numpy(dtrsm(1.0, factor.numpy().T, cross, lower=0, trans_a=1))
        schur = schur + solved.T @ solved
    return max(top_eigenvalue(schur / root.unsqueeze(0) / root.unsqueeze(1)), 0.0)


def holds(form: Form, factor: float) -> bool:
    """Whether H + factor diag(weights) >= 0 is proved."""
    added, diagonal = form.weights * factor, form.diagonal
    inputs = diagonal[len(diagonal) - form.inputs :]
    inputs += added
    rounding = 2 * UNIT * max(float(added.max()), float(inputs.abs().max())) * (1 + gamma(4))
    matrix = form.complement(diagonal - shift_of(diagonal, form.slack + rounding))
    charge(0.0 if matrix is None else len(matrix) ** 3 / 6)
    return matrix is not None and lower_factor(matrix) is not None


def _scaled(statement: Statement, factor: float) -> Proved:
    """The statement whose input term is multiplied by a factor."""
    square = Upper(factor)
    if statement.inputs is not None:
        inputs = statement.inputs * factor
        square = square * Upper(
            float(statement.inputs.sum()) * (1 + gamma(statement.inputs.numel() + 4))
        )
    else:
        inputs = None
    if statement.outputs is not None:
        square = square * Upper(
            float(statement.outputs.sum()) * (1 + gamma(statement.outputs.numel() + 4))
        )
    bound = square.sqrt()
    return Proved(bound, replace(statement, value=bound.value, inputs=inputs))


def _symmetric(lower: Tensor) -> Tensor:
    return torch.tril(lower) + torch.tril(lower, -1).T
