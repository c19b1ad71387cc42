"""SeqLip's bounds on pairs whose products cancel, its cuts and reductions, against rational
arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import Pair, balanced
from autolip.methods.seqlip.inner.qr_core import _triangle, condensed
from autolip.methods.seqlip.inner.relaxed import relaxed_until
from autolip.methods.seqlip.truncation import Split, Splitter
from autolip.norms import Norm
from autolip.operators import Dense
from autolip.operators.norms import NormOptions
from autolip.testing.exact import exact_norm, is_above_norm, is_exactly_semidefinite, rational
from tests.roundings.rational import minus, product, rand, randn, scaled, turned

SEEDS = range(12)


def cancelling(seed: int, rows: int = 2, width: int = 5) -> Pair:
    """A diag(s) B = 0 but for rounding, s known."""
    a, s = randn(seed, rows, width), rand(seed + 50, width) + 0.5
    null = torch.linalg.svd(a * s)[2][rows:].T.contiguous()
    return balanced(a, null, s, s)[0]


def exactly(pair: Pair) -> list[list[Fraction]]:
    """A diag(s) B at the upper ends."""
    s = [Fraction(x) for x in pair.hi.tolist()]
    return product(rational(pair.a), scaled(s, rational(pair.b)))


def test_products_with_the_centres_that_cancel() -> None:
    for seed in SEEDS:
        pair = cancelling(seed)
        bound, _ = relaxed_until(pair.a, pair.b, pair.lo, pair.hi)
        assert is_above_norm(exactly(pair), Fraction(bound.value) ** 2)


def test_what_a_vertex_attains_is_rounded_down() -> None:
    for seed in SEEDS:
        for pair in (cancelling(seed), cancelling(seed, rows=1)):
            attained = pair.attained(torch.ones(pair.width, dtype=torch.bool))
            assert exact_norm(exactly(pair), Norm.L2, Norm.L2).is_at_least(attained)


def test_units_of_a_pair() -> None:
    """2^-1073 times a number between 1 and 2 is none of the subnormal ones."""
    one = torch.ones(1, 1, dtype=torch.float64)
    pair, _ = balanced(one * 2.0**-1000, one * 2.0**-73, one[0], one[0])
    for value in (1 + rand(0, 20)).tolist():
        meant = Fraction(value) * Fraction(2) ** pair.exponent
        assert Fraction(pair.downward(value)) <= meant <= Fraction(pair.upward(value))


def test_the_entries_of_a_matrix_of_multipliers() -> None:
    """Slopes are known: M has nothing on its diagonal, and what is beside it cancels."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64)
    for seed in SEEDS:
        pair = cancelling(seed, rows=1)
        gram = Gram(pair.a, pair.b[:, :1])
        meant = product(
            rational(gram.a), scaled([Fraction(x) for x in pair.hi.tolist()], rational(gram.b))
        )
        (computed,) = gram.matrix(pair.hi[None], 0 * one, one)[:, 1, 0].tolist()
        slack = gram.slack(pair.hi[None], 0 * one, one, zero).item()
        assert abs(Fraction(computed) - meant[0][0]) <= Fraction(slack)


def test_a_factorisation_that_rounding_completes() -> None:
    """M = a a^T, its last entry beside equal ones: their squares are rounded alike, how depends on
    the numbers and on the order in which a machine adds."""
    one, share = torch.ones(1, 1, dtype=torch.float64), 0.9
    completed = 0
    for order, seed in (*((50, seed) for seed in range(16)), (1500, 7)):
        entry = (share / order) ** 0.5 * (rand(seed, 1).item() * 0.2 + 0.9)
        a = torch.full((order, 1), entry, dtype=torch.float64)
        a[-1] = (1 - share) ** 0.5
        gram = Gram(a, 0 * one)
        top = sum(Fraction(x) ** 2 for x in a.flatten().tolist())
        for below in (1, 2, 4, 8, 16, 24):
            near = top * (1 - below * Fraction(1, 2**53))
            beta = torch.tensor([float(near)], dtype=torch.float64)
            if bool(gram.factorised(0 * one, one, one, beta)[1]):
                completed += 1
                slack = gram.slack(0 * one, one, one, beta)
                assert Fraction(beta.item()) + Fraction(slack.item()) >= top
    assert completed


def test_a_triangular_factor_and_its_residual() -> None:
    for seed in range(40):
        matrix = randn(seed, 50, 1 + seed % 2)
        q, r = torch.linalg.qr(matrix)
        found, length, errors = _triangle(matrix)
        assert torch.equal(found, r) and is_above_norm(rational(q), Fraction(length.value) ** 2)
        rest = minus(rational(matrix), product(rational(q), rational(r)))
        for column, error in zip(zip(*rest, strict=True), errors.tolist(), strict=True):
            assert sum(x * x for x in column) <= Fraction(error) ** 2


def test_nothing_is_asked_of_the_orthogonal_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    """|a| s b from |R| s b, for one neuron, where Q or R is wrong by 2^-30."""
    one, qr = torch.ones(1, dtype=torch.float64), torch.linalg.qr
    for wrong in (2.0**-30, -(2.0**-30)):
        for longer, larger in ((wrong, 0.0), (0.0, wrong)):
            monkeypatch.setattr(
                torch.linalg,
                "qr",
                lambda a, x=longer, y=larger: tuple(
                    m * (1 + e) for m, e in zip(qr(a), (x, y), strict=True)
                ),
            )
            pair = Pair(randn(0, 9, 1), one[None], one, one, 0)
            core = condensed(pair)
            square = sum(Fraction(x) ** 2 for x in pair.a.flatten().tolist())
            assert Fraction(core.upward(abs(core.a.item()))) ** 2 >= square


def residual(split: Split, weight: Tensor) -> tuple[list[list[Fraction]], Fraction]:
    """F = W - P Q, and the square of what is claimed to be above it."""
    left, right = split.left, split.right
    assert left is not None and right is not None
    rest = minus(rational(weight), product(rational(left.matrix), rational(right.matrix)))
    return rest, (Fraction(left.scale.value) * Fraction(right.scale.value)) ** 2


def test_what_a_cut_leaves_out() -> None:
    for seed in SEEDS:
        for rank in (None, 1):
            weight = randn(seed, 3, 4)
            if rank:
                weight = weight[:, :1] @ weight[:1]
            for error in (0.0, 2.0**-20):
                layer = Dense(weight, relative_error=error)
                split = Splitter(rank, True, NormOptions()).middle(layer)
                assert isinstance(split, Split)
                assert is_above_norm(*residual(split, weight * (1 + error)))


def test_what_a_cut_at_the_end_leaves_out() -> None:
    """W W^T <= outer^2 (P P^T + g^2 I), where W has one direction and F is its rounding."""
    for seed in range(200):
        weight = randn(seed, 2, 1) @ randn(seed + 999, 1, 2)
        split = Splitter(1, True, NormOptions()).first(Dense(weight))
        assert isinstance(split, Split) and split.left is not None
        p, w, size = rational(split.left.matrix), rational(weight), range(2)
        inner, outer = product(p, turned(p)), product(w, turned(w))
        square, gain = Fraction(split.outer.value) ** 2, Fraction(split.left.scale.value) ** 2
        above = [[square * (inner[i][j] + gain * (i == j)) for j in size] for i in size]
        assert is_exactly_semidefinite(minus(above, outer))


def test_the_entries_of_a_layer_that_is_kept_whole() -> None:
    for seed in SEEDS:
        weight = randn(seed, 3, 4)
        split = Splitter(None, True, NormOptions()).first(Dense(weight, relative_error=1e-6))
        assert isinstance(split, Split) and split.left is not None
        room = Fraction(split.left.scale.value) ** 2 * (Fraction(split.outer.value) ** 2 - 1)
        assert room >= sum((Fraction(x) * Fraction(1e-6)) ** 2 for x in weight.flatten().tolist())
