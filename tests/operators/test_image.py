"""Images of boxes under linear maps."""

from fractions import Fraction

import pytest
import torch

from autolip.intervals import Interval
from autolip.operators.algebra import Sum, compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal, Identity
from autolip.operators.image import image
from autolip.operators.incidence import Incidence
from autolip.operators.traced import Traced

INF = torch.inf


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
def test_a_point_lies_between_the_ends_exactly(seed: int) -> None:
    """Compared in rational arithmetic: the product of a matrix and a point, which float64
    rounds."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(4, 30, dtype=torch.float64, generator=generator)
    x = torch.randn(30, dtype=torch.float64, generator=generator)
    found = image(Dense(matrix), Interval(x, x))
    for row, lo, hi in zip(matrix.tolist(), found.lo.tolist(), found.hi.tolist(), strict=True):
        exact = sum(Fraction(a) * Fraction(b) for a, b in zip(row, x.tolist(), strict=True))
        assert Fraction(lo) <= exact <= Fraction(hi)
        assert hi - lo < 1e-12


def test_the_ends_of_a_box_are_attained() -> None:
    found = image(Dense(numbers(1.0, -2.0)[None]), Interval(numbers(0.0, -1.0), numbers(3.0, 5.0)))
    assert found.lo.item() == pytest.approx(-10.0, abs=1e-12) and found.hi.item() == pytest.approx(
        5.0, abs=1e-12
    )


@pytest.mark.parametrize("composed", [False, True])
def test_inexact_entries_widen_the_image(composed: bool) -> None:
    inexact = Dense(numbers(1.0, -2.0)[None], relative_error=0.01)
    operator = (
        compose(Diagonal(numbers(1.5), (1,)), Dense(numbers(1.0)[None]), inexact)
        if composed
        else inexact
    )
    scale = 1.5 if composed else 1.0
    found = image(operator, Interval(numbers(1.0, 1.0), numbers(1.0, 1.0)))
    assert found.lo.item() <= -1.03 * scale and found.hi.item() >= -0.97 * scale


def test_half_lines_stay_where_no_infinite_end_is_scaled() -> None:
    matrix = torch.tensor(
        [[1.0, 2.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 3.0], [-1.0, 0.0, 1.0]], dtype=torch.float64
    )
    x = Interval(numbers(0.0, 1.0, -1.0), numbers(INF, INF, 2.0))
    found = image(Dense(matrix), x)
    assert found.lo.tolist() == pytest.approx([2.0, -INF, -3.0, -INF])
    assert found.hi.tolist() == pytest.approx([INF, INF, 6.0, 2.0])
    assert found.lo[0] <= 2.0 and found.hi[3] >= 2.0


def test_a_line_scaled_by_nothing_is_zero() -> None:
    found = image(
        Diagonal(numbers(0.0, 1.0), (2,)), Interval(numbers(-INF, 0.0), numbers(INF, 1.0))
    )
    assert found.lo[0] <= 0 <= found.hi[0] and found.hi[0] - found.lo[0] < 1e-300


def test_a_mean_of_half_lines_is_a_half_line() -> None:
    mean = compose(
        Diagonal(torch.tensor(1 / 3, dtype=torch.float64), ()), Incidence(lambda t: t.sum(), (3,))
    )
    found = image(mean, Interval(numbers(0.0, 0.0, 3.0), numbers(INF, 1.0, 4.0)))
    assert 0.99 < found.lo.item() <= 1.0 and found.hi.item() == INF


def test_what_overflows_is_unbounded() -> None:
    found = image(
        Dense(numbers(1e200, -1e200)[None]), Interval(numbers(1e200, 1e200), numbers(1e200, 1e200))
    )
    assert found.lo.item() == -INF and found.hi.item() == INF


def test_unknown_ranges_stay_one_number() -> None:
    found = image(Dense(torch.ones(4, 3, dtype=torch.float64)), Interval.everywhere((3,)))
    assert found.is_uniform and found.is_everywhere
    half = Interval.uniform(0.0, INF, (3,))
    assert image(Identity((3,)), half) is half
    mixed = torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64)
    assert image(Dense(mixed), half).is_uniform


def test_a_change_of_sign_swaps_the_ends_without_rounding() -> None:
    found = image(Diagonal(numbers(-1.0), (2,)), Interval(numbers(0.1, -INF), numbers(0.2, 0.3)))
    assert found.lo.tolist() == [-0.2, -0.3] and found.hi.tolist() == [-0.1, INF]


def test_unknown_entries_have_an_unknown_image() -> None:
    traced = Traced(lambda t: t.cumsum(0), (3,), terms=3)
    assert image(traced, Interval.uniform(0.0, 1.0, (3,))).is_everywhere
    known = Traced(lambda t: t.cumsum(0), (3,), terms=3, nonnegative=True)
    found = image(Sum((known, Identity((3,)))), Interval.uniform(0.0, 1.0, (3,)))
    assert found.hi.tolist() == pytest.approx([2.0, 3.0, 4.0]) and (found.lo <= 0).all()


def test_a_half_line_to_the_left_turns_into_one_to_the_right() -> None:
    """x_0 - x_1 for 0 <= x_0 <= 1 and x_1 <= 0: at least 0, and not bounded above."""
    found = image(Dense(numbers(1.0, -1.0)[None]), Interval(numbers(0.0, -INF), numbers(1.0, 0.0)))
    assert found.hi.item() == INF and found.lo.item() == pytest.approx(0.0, abs=1e-12)


def test_a_sum_that_loses_small_terms_stays_inside() -> None:
    """1 + 255 t with t just below 2^-53: where 1 is added to early, every further t is lost."""
    x = torch.full((256,), 2.0**-53 * 0.99, dtype=torch.float64)
    x[0] = 1.0
    found = image(Incidence(lambda t: t.sum()[None], (256,)), Interval(x, x))
    exact = sum(map(Fraction, x.tolist()))
    assert Fraction(found.lo.item()) <= exact <= Fraction(found.hi.item())


def test_one_side_may_be_unbounded_everywhere_and_the_other_not() -> None:
    """x <= 1 beside any y."""
    box = Interval(numbers(-INF, -INF), numbers(1.0, INF))
    found = image(Dense(torch.eye(2, dtype=torch.float64)), box)
    assert found.lo.tolist() == [-INF, -INF]
    assert 1 <= found.hi[0] < 1.001 and found.hi[1] == INF
