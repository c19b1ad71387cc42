"""Branch and bound against enumeration, against rational arithmetic, and when it is stopped
early.

Covers autolip.methods.seqlip.inner.problem too.
"""

import itertools
import math
import time
from fractions import Fraction

import pytest
import torch

from autolip.budget import SPENT, Budget
from autolip.errors import InputError
from autolip.methods.seqlip import enumerate_patterns, maximise_exact, maximise_greedy, relax
from autolip.methods.seqlip.inner import exact as inner_exact
from autolip.methods.seqlip.inner.problem import balanced
from autolip.methods.seqlip.inner.qr_core import condensed
from autolip.values import Certainty


def norm(inner, slopes):
    return torch.linalg.matrix_norm((inner.a * slopes) @ inner.b, 2).item()


def rational(tensor):
    return [[Fraction(x) for x in row] for row in tensor.tolist()]


def exact_square(inner):
    """max ||A diag(s) B||^2 in rational arithmetic, for a B of one column."""
    a, b = rational(inner.a), [row[0] for row in rational(inner.b)]
    best = Fraction(0)
    for s in itertools.product(
        *zip(map(Fraction, inner.lo.tolist()), map(Fraction, inner.hi.tolist()), strict=True)
    ):
        z = [x * y for x, y in zip(s, b, strict=True)]
        best = max(best, sum(sum(x * y for x, y in zip(row, z, strict=True)) ** 2 for row in a))
    return best


def test_every_bound_on_its_side_of_the_enumerated_maximum(inner):
    reference, _ = enumerate_patterns(*inner.parts())
    outcome = maximise_exact(*inner.parts())
    greedy, greedy_slopes = maximise_greedy(*inner.parts())
    assert outcome.finished
    assert outcome.upper.certainty is Certainty.PROVED
    assert outcome.upper.value == pytest.approx(reference.value, rel=1.01e-9)
    assert outcome.attained == pytest.approx(reference.value, rel=1e-12)
    assert outcome.attained <= outcome.upper.value <= relax(*inner.parts()).value * (1 + 1.01e-9)
    assert greedy.value <= outcome.upper.value
    assert norm(inner, greedy_slopes) == pytest.approx(greedy.value, rel=1e-12)


def test_the_pattern_is_a_vertex_that_attains(inner):
    outcome = maximise_exact(*inner.parts())
    assert norm(inner, outcome.pattern) == pytest.approx(outcome.attained, rel=1e-12)
    assert bool(((outcome.pattern == inner.lo) | (outcome.pattern == inner.hi)).all())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("p", [1, 3, 20])
def test_the_bracket_holds_in_rational_arithmetic(pair_of, p, seed):
    inner = pair_of(p, 6, 1, seed)
    outcome = maximise_exact(*inner.parts())
    square = exact_square(inner)
    assert Fraction(outcome.attained) ** 2 <= square <= Fraction(outcome.upper.value) ** 2
    assert square <= Fraction(relax(*inner.parts()).value) ** 2


def test_a_wrong_triangular_factor_costs_tightness_not_soundness(pair_of, monkeypatch):
    """Nothing is asked of the QR code: with a perturbed factor the bound is still one, and
    larger."""
    inner, qr = pair_of(12, 5, 9, 3), torch.linalg.qr
    reference, _ = enumerate_patterns(*inner.parts())
    monkeypatch.setattr(torch.linalg, "qr", lambda m: (qr(m).Q * 0.999, qr(m).R * 0.99))
    outcome = maximise_exact(*inner.parts())
    assert reference.value * (1 + 1e-4) < outcome.upper.value
    assert outcome.attained <= reference.value * (1 + 1e-12)


def test_no_reduction_leaves_the_matrices_alone(pair_of):
    pair, _ = balanced(*pair_of(4, 6, 5).parts())
    core = condensed(pair)
    assert core.a is pair.a and core.b is pair.b and core.upward(1.25) == 1.25


@pytest.mark.parametrize("limit", [{"nodes": 1}, {"nodes": 9, "batch": 2}, {"budget": SPENT}])
def test_stopped_early_the_bound_is_proved_all_the_same(pair_of, limit):
    inner = pair_of(10, 10, 10, 11)
    reference, _ = enumerate_patterns(*inner.parts())
    hard = inner.a, inner.b, inner.lo - 1, inner.hi
    hard_reference, _ = enumerate_patterns(*hard)
    for parts, value in ((inner.parts(), reference.value), (hard, hard_reference.value)):
        outcome = maximise_exact(*parts, **limit)
        assert outcome.attained <= value * (1 + 1e-12) and value <= outcome.upper.value < math.inf
        assert outcome.finished == (outcome.upper.value <= outcome.attained * (1 + 1.1e-9))


def test_a_budget_does_stop(pair_of):
    inner = pair_of(60, 60, 60, 1)
    started = time.monotonic()
    outcome = maximise_exact(*inner.parts(), budget=Budget.of(0.5))
    assert time.monotonic() - started < 10
    assert not outcome.finished
    assert outcome.attained < outcome.upper.value < 1.03 * outcome.attained


def test_more_nodes_never_worsen_the_bound(pair_of):
    inner = pair_of(20, 20, 20, 1)
    bounds = [
        maximise_exact(*inner.parts(), nodes=k, batch=1).upper.value for k in (1, 3, 5, 7, 100)
    ]
    assert bounds == sorted(bounds, reverse=True)


def test_too_wide_to_split_is_bracketed_without(pair_of, monkeypatch):
    inner = pair_of(10, 10, 10, 2)
    reference, _ = enumerate_patterns(*inner.parts())
    monkeypatch.setattr(inner_exact, "WIDEST", 5)
    outcome = maximise_exact(*inner.parts())
    assert outcome.nodes == 0
    assert (
        outcome.attained <= reference.value * (1 + 1e-12) and reference.value <= outcome.upper.value
    )
    assert norm(inner, outcome.pattern) == pytest.approx(outcome.attained, rel=1e-12)


def test_powers_of_two_change_nothing(pair_of):
    inner = pair_of(8, 8, 8, 4)
    plain = maximise_exact(*inner.parts())
    for x, y in ((300, 200), (-400, -300), (450, -450)):
        scaled = maximise_exact(inner.a * 2.0**x, inner.b * 2.0**y, inner.lo, inner.hi)
        assert scaled.upper.value == math.ldexp(plain.upper.value, x + y)
        assert scaled.attained == math.ldexp(plain.attained, x + y)


def test_beyond_the_doubles_the_bound_is_infinite_or_tiny(pair_of):
    inner = pair_of(3, 3, 3, 4)
    huge = maximise_exact(inner.a * 2.0**1000, inner.b * 2.0**100, inner.lo, inner.hi)
    assert huge.upper.value == math.inf and 0 < huge.attained < math.inf
    small = maximise_exact(inner.a * 2.0**-1000, inner.b * 2.0**-100, inner.lo, inner.hi)
    assert 0 < small.upper.value < 1e-320 and small.attained == 0


@pytest.mark.parametrize("shape", [(3, 0, 4), (0, 3, 4), (3, 4, 0)])
def test_nothing_gives_zero(shape):
    p, n, q = shape
    outcome = maximise_exact(torch.ones(p, n), torch.ones(n, q), torch.zeros(n), torch.ones(n))
    assert (outcome.upper.value, outcome.attained, outcome.nodes, outcome.finished) == (
        0.0,
        0.0,
        0,
        True,
    )
    assert outcome.pattern.shape == (n,)
    assert relax(torch.ones(p, n), torch.ones(n, q), torch.zeros(n), torch.ones(n)).value == 0


def test_fixed_slopes_that_cancel_finish_at_rounding():
    a, b, one = torch.tensor([[1.0, -1.0]]), torch.ones(2, 3), torch.ones(2)
    outcome = maximise_exact(a, b, one, one)
    assert outcome.finished and outcome.attained == 0 and outcome.upper.value < 1e-10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": torch.ones(3, 5)}, "do not multiply"),
        ({"lo": torch.zeros(3)}, "one interval for each of 4 neurons"),
        ({"lo": torch.full((4,), 2.0)}, "empty"),
        ({"b": torch.full((4, 2), math.nan)}, "not finite"),
        ({"hi": torch.full((4,), math.inf)}, "not finite"),
    ],
)
def test_what_is_no_problem_is_refused(change, message):
    parts = {
        "a": torch.ones(3, 4),
        "b": torch.ones(4, 2),
        "lo": torch.zeros(4),
        "hi": torch.ones(4),
    } | change
    for function in (maximise_exact, maximise_greedy, enumerate_patterns, relax):
        with pytest.raises(InputError, match=message):
            function(**parts)


def test_options_out_of_range_are_refused(pair_of):
    inner = pair_of(2, 30, 2)
    with pytest.raises(InputError, match="tolerance"):
        maximise_exact(*inner.parts(), tolerance=0.0)
    with pytest.raises(InputError, match="maximise_exact"):
        enumerate_patterns(*inner.parts())
    with pytest.raises(InputError, match="restarts"):
        maximise_greedy(*inner.parts(), restarts=0)
