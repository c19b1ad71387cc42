"""The Frobenius bound: the product of the Frobenius norms of the affine operators."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from autolip.errors import Refusal
from autolip.methods.autolip import walk
from autolip.methods.method import Bound, Method, Problem, method
from autolip.norms import L2_TO_L2, Norm, Pair
from autolip.operators.algebra import without_isometries
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.norms.entry_sums import frobenius
from autolip.operators.norms.rounding import LARGEST_MATRIX, rounded_rows
from autolip.operators.operator import Operator
from autolip.values import Upper


@method("frobenius")
@dataclass(frozen=True)
class Frobenius(Method):
    """Upper bound on the l2 constant: AutoLip with ||A||_F for the norm of every affine block A.

    The norm of the operator (for a convolution that of its whole matrix, not of its kernel); blocks
    are fused.  Where a composed block is too large to be formed, ||A||_F <= sqrt(min(m, n))
    ||A||_2.
    """

    name: ClassVar[str] = "frobenius"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2
    source: ClassVar[str] = "Virmaux and Scaman, NeurIPS 2018, section 6"

    def bound(self, problem: Problem) -> Bound | Refusal:
        norms = _norms((link.operator for link in problem.fused.links), problem.options)
        return walk(replace(problem, norms=norms, hurried=set()), problem.fused)


def _norms(
    operators: Iterable[Operator], options: NormOptions
) -> dict[tuple[int, Norm, Norm], tuple[Operator, Upper | Refusal]]:
    return {(id(x), Norm.L2, Norm.L2): (x, frobenius_norm(x, options)) for x in operators}


def frobenius_norm(operator: Operator, options: NormOptions) -> Upper | Refusal:
    """Upper bound on ||A||_F: from the squared entries where they are known, from the matrix where
    it is small."""
    core = without_isometries(operator)
    known = frobenius(core, options)
    if isinstance(known, Upper):
        return known
    small, great = sorted((core.in_size, core.out_size))
    if small <= options.finite_size and small * great <= LARGEST_MATRIX:
        return _by_rows(core if core.in_size == small else core.T)
    spectral = operator_norm(core, Norm.L2, Norm.L2, options)
    return spectral if isinstance(spectral, Refusal) else Upper(float(small)).sqrt() * spectral


def _by_rows(operator: Operator) -> Upper | Refusal:
    """The root of the sum of the squared norms of the columns, each with its rounding."""
    total = Upper(0.0)
    for rows in rounded_rows(operator):
        if isinstance(rows, Refusal):
            return rows
        part = Upper.at_most(rows.length())
        total = total + part * part
    return total.sqrt()
