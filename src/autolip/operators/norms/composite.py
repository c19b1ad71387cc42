"""Bounds on a norm from bounds on other norms: parts of composites, equivalence of norms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autolip.errors import Refusal
from autolip.norms import Norm, parse_norms
from autolip.operators.norms.dispatch import operator_norm
from autolip.operators.norms.engine import (
    NORMAL_PAIRS,
    EngineFunction,
    NormOptions,
    engine,
)
from autolip.operators.operator import Operator
from autolip.values import INFINITE, ONE, Upper


@dataclass(frozen=True)
class _Gains:
    """Bounds on the map from the input to here: from the p-norm to the p-norm, and to the
    q-norm."""

    same: Upper
    other: Upper


def _parts_engine(p: Norm, q: Norm) -> EngineFunction:
    def parts(operator: Operator, options: NormOptions) -> Upper | Refusal:
        """||A||_{p -> q} by ||A B||_{p -> q} <= min(||A||_{p -> q} ||B||_p, ||A||_q ||B||_{p -> q})
        and the triangle inequality, from proved norms of the parts."""
        proved = replace(options, proved_only=True, known=float("inf"))

        def norm(leaf: Operator, source: Norm, target: Norm) -> Upper:
            bound = operator_norm(leaf, source, target, proved)
            return bound if isinstance(bound, Upper) else INFINITE

        def through(leaf: Operator, x: _Gains) -> _Gains:
            same = x.same * norm(leaf, p, p)
            if p is q:
                return _Gains(same, same)
            return _Gains(
                same, Upper.least([x.same * norm(leaf, p, q), x.other * norm(leaf, q, q)])
            )

        outward = p.equivalence(q, operator.in_size)
        gains = operator.fold(_Gains(ONE, outward), through, _add)
        return (
            gains.other
            if gains.other.value < float("inf")
            else Refusal("no proved norm of some part is known")
        )

    return parts


def _add(gains: Sequence[_Gains]) -> _Gains:
    total = gains[0]
    for gain in gains[1:]:
        same = total.same + gain.same
        other = total.other + gain.other
        total = _Gains(same, other)
    return total


def _equivalence_engine(p: Norm, q: Norm) -> EngineFunction:
    def through_l2(operator: Operator, options: NormOptions) -> Upper | Refusal:
        """||A||_{p -> q} <= ||I||_{p -> 2} ||A||_2 ||I||_{2 -> q}."""
        unknown = replace(options, known=float("inf"))
        norm = operator_norm(operator, Norm.L2, Norm.L2, unknown)
        if isinstance(norm, Refusal):
            return norm
        return (
            p.equivalence(Norm.L2, operator.in_size)
            * norm
            * Norm.L2.equivalence(q, operator.out_size)
        )

    return through_l2


for _pair in NORMAL_PAIRS:
    _p, _q = parse_norms(_pair)
    engine("parts", _pair, needs=lambda a: a.is_composite)(_parts_engine(_p, _q))
    if _pair != "l2":
        engine("through l2", _pair)(_equivalence_engine(_p, _q))
