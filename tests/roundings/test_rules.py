"""What rules say of slopes and images, against rational arithmetic."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from autolip.intervals import Interval, inverted
from autolip.norms import Norm
from autolip.operators import Diagonal
from autolip.rules import RULES
from autolip.rules.derive import action_of
from autolip.rules.linear import reciprocal
from autolip.rules.lines import lines
from autolip.rules.normalisation import _quotient_above
from autolip.rules.ordering import _equivalence
from autolip.rules.products import _middle, _product_range, _square
from autolip.rules.resampling import interpolation, linear
from autolip.rules.rule import Action, Operand
from autolip.slopes import Between, Exact, Gain
from tests.roundings.rational import exponential, inside, point, randn, root
from tests.roundings.rational import rand as unit

SEEDS = range(12)
aten = torch.ops.aten


def rand(seed: int, *shape: int) -> Tensor:
    return unit(seed, *shape) + 0.1


def each(function: Callable[[Fraction], Fraction], x: Tensor) -> list[Fraction]:
    return [function(Fraction(v)) for v in x.flatten().tolist()]


def test_squares_and_reciprocals() -> None:
    x = rand(0, 200)
    square = action_of(_square(Operand("x", x.shape, point(x))), x.shape)
    assert inside(square.image, each(lambda v: v * v, x))
    assert inside(inverted(point(x)), each(lambda v: 1 / v, x))


def test_lines_around_squares() -> None:
    """The chord meets the square at both ends of the range, where rounding may put it below."""
    lo, hi = -rand(0, 2000), rand(1, 2000)
    square = _square(Operand("x", lo.shape, Interval(lo, hi)))
    rows = zip(lo.tolist(), hi.tolist(), *(part.tolist() for part in lines(square)), strict=True)
    for row in rows:
        p, q, low, below, high, above = map(Fraction, row)
        for t in (p, q, (p + q) / 2, low / 2):
            assert not p <= t <= q or low * t + below <= t * t <= high * t + above


def test_products_of_matrices() -> None:
    for seed in SEEDS:
        a, b = rand(seed, 5, 30), rand(seed + 50, 30, 5)
        meant = [
            sum(Fraction(x) * Fraction(y) for x, y in zip(row, column, strict=True))
            for row in a.tolist()
            for column in b.T.tolist()
        ]
        assert inside(_product_range(point(a), point(b), torch.Size([5, 5])), meant)
        one = rand(seed, 1, 1)
        assert inside(_product_range(point(one), point(one), one.shape), each(lambda v: v * v, one))


def test_products_of_matrices_that_underflow() -> None:
    tiny = torch.full((1, 8), 2.0**-538, dtype=torch.float64)
    meant = 8 * Fraction(2.0**-538) * Fraction(2.0**-538 * 0.9)
    assert inside(_product_range(point(tiny), point(tiny.T * 0.9), torch.Size([1, 1])), [meant])


def test_the_middle_of_an_interval() -> None:
    lo, hi = rand(0, 500) - 1, rand(1, 500) + 0.5
    middle, radius = _middle(Interval(lo, hi))
    for a, b, c, r in zip(lo.tolist(), hi.tolist(), middle.tolist(), radius.tolist(), strict=True):
        assert Fraction(c) - Fraction(r) <= Fraction(a) and Fraction(c) + Fraction(r) >= Fraction(b)


def test_divisors() -> None:
    for divisor in rand(0, 200).tolist():
        inverse, error = reciprocal(divisor)
        assert abs(Fraction(inverse.item()) * Fraction(divisor) - 1) <= Fraction(error)
    assert reciprocal(0.125)[1] == 0.0


def test_weights_of_resampling() -> None:
    matrix, error = interpolation(7, 3, linear, False, None)
    rows = [sum(map(Fraction, row)) for row in matrix.tolist()]
    assert any(total != 1 for total in rows), "weights of sevenths are rounded"
    assert all(abs(total - 1) <= Fraction(error) for total in rows)


def test_norms_of_blocks() -> None:
    assert Fraction(_equivalence(float("inf"), 1.125, 10**15).value) ** 9 >= Fraction(10**15) ** 8
    for size in range(2, 100):
        assert Fraction(_equivalence(float("inf"), 2.0, size).value) ** 2 >= size
        assert Fraction(_equivalence(2.0, 1.0, size).value) ** 2 >= size
        assert Fraction(_equivalence(float("inf"), 3.0, size).value) ** 3 >= size


def answer(target: Any, *args: Any) -> Action:
    """What a rule says, operands given by their ranges."""
    given = [
        Operand(f"x{i}", x.shape, x) if isinstance(x, Interval) else x for i, x in enumerate(args)
    ]
    return action_of(RULES[target](*given)[0], torch.Size())


def test_entries_that_are_added_in_one_place() -> None:
    """The terms cancel: the sum's rounding is above what is left of it."""
    for seed in SEEDS:
        x = randn(seed, 9)
        x[-1] = -x[:-1].sum()
        index = torch.zeros(9, dtype=torch.int64)
        action = answer(aten.scatter_add.default, point(x[:1] * 0), 0, index, point(x))
        assert inside(action.image, [sum(map(Fraction, x.tolist()))])
    same, index = rand(0, 1).expand(20_000), torch.zeros(20_000, dtype=torch.int64)
    action = answer(aten.scatter_add.default, point(same[:1] * 0), 0, index, point(same))
    assert inside(action.image, [20_000 * Fraction(same[0].item())])


def softmax_of(x: Interval) -> list[tuple[Fraction, Fraction]]:
    """The ends of the images: an entry at one end, all others at their opposite one."""
    lo, hi = ([Fraction(v) for v in end.tolist()] for end in (x.lo, x.hi))
    size = range(len(lo))
    return [
        tuple(
            1 / (1 + sum(exponential(there[j] - here[i]) for j in size if j != i))
            for here, there in ((lo, hi), (hi, lo))
        )
        for i in size
    ]


def test_softmax() -> None:
    for seed in SEEDS:
        x = 9 * randn(seed, 4)
        tall = Interval(torch.cat([x[:1] - 50, x[1:] - 60]), torch.cat([x[:1], x[1:] - 60]))
        for box in (point(x), point(x / 100), tall):
            action = answer(aten.softmax.int, box, 0, None)
            ends = zip(
                action.image.lo.tolist(), softmax_of(box), action.image.hi.tolist(), strict=True
            )
            assert all(Fraction(a) <= lo and hi <= Fraction(b) for a, (lo, hi), b in ends)


def test_the_gain_of_softmax_at_a_point() -> None:
    """Two shares near 1/2: the product of both hardly depends on them."""
    for seed in range(40):
        x = randn(seed, 2) * 1e-4
        ((_, gain),) = answer(aten.softmax.int, point(x), 0, None).slopes
        assert isinstance(gain, Gain)
        least = max(2 * p * (1 - p) for p, _ in softmax_of(point(x)))
        assert all(Fraction(bound.value) >= least for bound in gain.norms.values())


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_logarithms_of_softmax(scale: float) -> None:
    for seed in SEEDS:
        x = scale * randn(seed, 5)
        action = answer(aten.log_softmax.int, point(x), 0, None)
        shares = [share for share, _ in softmax_of(point(x))]
        ends = zip(action.image.lo.tolist(), shares, action.image.hi.tolist(), strict=True)
        assert all(exponential(Fraction(a)) <= p <= exponential(Fraction(b)) for a, p, b in ends)
        ((_, gain),) = action.slopes
        assert isinstance(gain, Gain)
        square = 5 * sum(share * share for share in shares)
        assert Fraction(gain.norms[Norm.L2].value) ** 2 >= square
        total = answer(aten.logsumexp.default, point(x), [0], False).image
        one = Fraction(x[0].item())
        meant = exponential(one) / shares[0]
        assert exponential(Fraction(total.lo.item())) <= meant
        assert meant <= exponential(Fraction(total.hi.item()))


def test_the_gain_of_logarithms_of_softmax_where_one_entry_dominates() -> None:
    for size in range(2, 40):
        x = torch.cat([torch.zeros(1), torch.full((size - 1,), -900.0)]).double()
        ((_, gain),) = answer(aten.log_softmax.int, point(x), 0, None).slopes
        assert isinstance(gain, Gain) and Fraction(gain.norms[Norm.L2].value) ** 2 >= size


def test_norms_of_rows() -> None:
    for seed in SEEDS:
        x = rand(seed, 60)
        image = answer(aten.linalg_vector_norm.default, point(x), 2.0, None, False, None).image
        assert inside(image, [root(sum(Fraction(v) ** 2 for v in x.tolist()))])


def test_moduli_of_pairs() -> None:
    for seed in SEEDS:
        x, y = randn(seed, 40), randn(seed + 99, 40)
        action = answer(aten.hypot.default, point(x), point(y))
        pairs = [(Fraction(a), Fraction(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        sizes = [root(a * a + b * b) for a, b in pairs]
        assert inside(action.image, sizes)
        for number, (_, slope) in enumerate(action.slopes):
            assert isinstance(slope, Between)
            shares = [pair[number] / r for pair, r in zip(pairs, sizes, strict=True)]
            ends = zip(slope.lo.tolist(), shares, slope.hi.tolist(), strict=True)
            assert all(Fraction(lo) <= s <= Fraction(hi) for lo, s, hi in ends)


def test_batch_norms() -> None:
    for seed in (9, 18):
        w, mean, spread = *randn(seed, 2, 500), rand(seed + 50, 500)
        zero = torch.zeros(1, 500, dtype=torch.float64)
        action = answer(
            aten.batch_norm.default, point(zero), w, None, mean, spread, False, 0.1, 1e-3, True
        )
        ((_, slope),) = action.slopes
        assert isinstance(slope, Exact) and isinstance(slope.operator, Diagonal)
        steps = zip(w.tolist(), spread.tolist(), slope.operator.scale.tolist(), strict=True)
        meant = [Fraction(v) / root(Fraction(s) + Fraction(1e-3)) for v, s, _ in steps]
        error = Fraction(slope.operator.relative_error)
        for found, exact in zip(slope.operator.scale.tolist(), meant, strict=True):
            assert abs(Fraction(found) - exact) <= error * abs(Fraction(found))
        offset = [-Fraction(m) * f for m, f in zip(mean.tolist(), meant, strict=True)]
        assert inside(action.image, offset)


def test_quotients_by_a_deviation() -> None:
    weights, spreads = randn(0, 500).abs(), randn(1, 500).abs()
    for eps in (0.0, 1e-5, 1.0):
        found = _quotient_above(weights, spreads, eps).tolist()
        for w, spread, above in zip(weights.tolist(), spreads.tolist(), found, strict=True):
            assert Fraction(above) ** 2 * (Fraction(spread) + Fraction(eps)) >= Fraction(w) ** 2


def test_weights_of_a_mean_of_two() -> None:
    """1 - w is rounded: what is meant is within the operator's error."""
    x = Operand("x", torch.Size([1]), Interval.everywhere((1,)))
    rule = RULES[torch.ops.aten.lerp.Scalar]
    for w in (0.3, 0.1, 1e-17, 1 / 3):
        action = action_of(rule(x, torch.ones(1).double(), w)[0], x.shape)
        ((_, slope),) = action.slopes
        assert isinstance(slope, Exact)
        found = Fraction(slope.operator.matrix().item())
        assert abs(found - (1 - Fraction(w))) <= Fraction(slope.operator.relative_error) * abs(
            found
        )
