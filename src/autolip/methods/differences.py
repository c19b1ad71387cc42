"""AutoLip's bound of every difference of two outputs at once.

Let the last operation be affine, f = sum_e A_e u_e + b. Then, with l(u_e) the gain to u_e in a norm
s,

    |(f_i - f_j)(x) - (f_i - f_j)(y)| <= sum_e ||row_i(A_e) - row_j(A_e)||_{s*} l(u_e) ||x - y||:

one walk through the network and the distances between rows are enough for all pairs. Any f has

    |(f_i - f_j)(x) - (f_i - f_j)(y)| <= ||e_i - e_j||_{q*} ||f(x) - f(y)||_q.
"""

from collections.abc import Iterator

from autolip.errors import Refusal
from autolip.methods.autolip import Gains, gains_of
from autolip.methods.method import Problem
from autolip.norms import Norm
from autolip.operators.norms.rounding import rounded_matrix
from autolip.operators.operator import Operator
from autolip.rounded import Rounded
from autolip.values import Upper

LARGEST = 2**24
"""Chosen: most entries of the last map whose rows are compared."""

Bounds = dict[tuple[int, int], Upper]


def differences(problem: Problem) -> Bounds | Refusal:
    """A bound for every pair i < j of outputs."""
    gains = gains_of(problem, problem.fused)
    if isinstance(gains, Refusal):
        return gains
    last = problem.fused[problem.fused.output]
    count = last.shape.numel()
    whole = gains[last.name][problem.q] * _apart(problem.q)
    bounds = {(i, j): whole for i in range(count) for j in range(i + 1, count)}
    by_rows = [_along(link.operator, gains[link.source]) for link in last.links]
    if not by_rows or not last.is_affine or any(rows is None for rows in by_rows):
        return bounds
    for terms in zip(*(rows for rows in by_rows if rows is not None), strict=True):
        pair = terms[0][0]
        total = terms[0][1]
        for _, term in terms[1:]:
            total = total + term
        bounds[pair] = Upper.least([total, whole])
    return bounds


def _apart(q: Norm) -> Upper:
    """||e_i - e_j|| in the dual of q."""
    return {Norm.L1: Upper(1.0), Norm.L2: Upper(2.0).sqrt(), Norm.LINF: Upper(2.0)}[q]


def _along(operator: Operator, gains: Gains) -> list[tuple[tuple[int, int], Upper]] | None:
    """What one operand of the last operation adds to every pair, by the best of the norms at its
    source; None where its map is too large, or its entries are not known."""
    if operator.in_size * operator.out_size > LARGEST:
        return None
    rows = rounded_matrix(operator)
    if isinstance(rows, Refusal):
        return None
    distances = {norm: list(_distances(rows, norm.dual)) for norm in gains}
    pairs = [(i, j) for i in range(operator.out_size) for j in range(i + 1, operator.out_size)]
    return [
        (pair, Upper.least(Upper(distances[norm][number]) * gains[norm] for norm in gains))
        for number, pair in enumerate(pairs)
    ]


def _distances(rows: Rounded, norm: Norm) -> Iterator[float]:
    """At least the distance between any two rows, i < j in order."""
    for i in range(len(rows.value) - 1):
        apart = rows[i : i + 1] - rows[i + 1 :]
        yield from apart.lengths(1, norm).tolist()
