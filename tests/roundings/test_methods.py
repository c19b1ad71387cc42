"""What methods compute on the way to a bound, against rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.methods.layerwise.ellipsoids import _statement, first_ellipsoid
from autolip.methods.scalings import scaled
from autolip.methods.seqlip.theorem3 import greatest_alignment
from autolip.norms import Norm
from autolip.operators import Dense, Diagonal
from autolip.operators.norms.dense import proved_norms, rounded_norms
from autolip.operators.norms.semidefinite import is_semidefinite
from autolip.rounded import Rounded, blocks
from autolip.rules.normalisation import _deviations, greatest_spread
from autolip.testing.exact import is_above_norm, is_exactly_semidefinite

SEEDS = range(12)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def rows(matrix: Tensor) -> list[list[Fraction]]:
    return [[Fraction(x) for x in row] for row in matrix.tolist()]


def test_rows_scaled_by_the_radius_of_a_slope() -> None:
    matrix, radius, error = randn(0, 40, 5), randn(1, 40, 1).abs(), randn(2, 40, 5).abs() * 2.0**-30
    for known, moved in ((zeros(40, 5), matrix), (error, matrix + error)):
        known = torch.maximum((moved - matrix).abs(), known)
        found = Rounded(matrix, known).scale(radius[:, 0])
        triples = zip(
            rows(found.value),
            rows(found.error),
            rows(matrix),
            rows(known),
            radius[:, 0].tolist(),
            strict=True,
        )
        for values, errors, entries, slips, r in triples:
            for v, e, x, slip in zip(values, errors, entries, slips, strict=True):
                assert (
                    abs(v - (x + slip) * Fraction(r)) <= e
                    and abs(v - (x - slip) * Fraction(r)) <= e
                )


@pytest.mark.parametrize("norm", Norm)
def test_norms_of_a_batch_of_matrices(norm: Norm) -> None:
    for seed in SEEDS:
        matrix = randn(seed, 2, 40).abs()
        for error in (zeros(2, 40), zeros(2, 40) + 2.0**-20):
            (bound,) = rounded_norms([Rounded(matrix, error)], norm)
            reach = [[x + Fraction(error[0, 0].item()) for x in row] for row in rows(matrix)]
            if norm is Norm.L2:
                assert is_above_norm(reach, Fraction(bound.value) ** 2)
            else:
                lines = reach if norm is Norm.LINF else list(zip(*reach, strict=True))
                assert Fraction(bound.value) >= max(sum(line) for line in lines)


def test_norms_of_many_small_matrices() -> None:
    batch = randn(0, 200, 2, 2)
    for matrix, value in zip(batch, proved_norms(batch), strict=True):
        assert is_above_norm(rows(matrix), Fraction(value) ** 2)
    copies = batch.repeat(1, 400, 1)
    for matrix, value in zip(batch, proved_norms(copies), strict=True):
        assert is_above_norm(rows(matrix), Fraction(value) ** 2 / 400)


def test_the_first_ellipsoid_contains_the_image_of_the_ball() -> None:
    for seed in range(40):
        weight = randn(seed, 2, 60)
        weight[1] = weight[0] * (1 + 2.0**-40)
        for error in (zeros(2, 60), weight.abs() * 2.0**-30):
            found = first_ellipsoid(Rounded(weight, error))
            scale = Fraction(4) ** found.exponent
            moved = rows(weight + error)
            gram = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in moved] for a in moved]
            raised = rows(found.matrix)
            assert is_exactly_semidefinite(
                [[scale * raised[i][j] - gram[i][j] for j in range(2)] for i in range(2)]
            )


@pytest.mark.parametrize("lowest", [0.0, -0.3])
def test_the_statement_of_a_layer_is_known_up_to_its_error(lowest: float) -> None:
    for seed in SEEDS:
        weight, root, t = randn(seed, 2, 3), randn(seed + 50, 3, 3), randn(seed + 99, 3).abs()
        matrix, raised = root @ root.T, torch.eye(2, dtype=torch.float64)
        matrix = (matrix + matrix.T) / 2
        lo, hi = (
            zeros(3) + lowest,
            torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5,
        )
        above = _statement(matrix, t, lo, hi, Rounded(weight, zeros(2, 3)))
        statement = blocks([*above[:-1], [*above[-1], Rounded.exact(raised)]])
        value, error = statement.value, statement.error
        meant = _exact_statement(
            rows(matrix), [Fraction(x) for x in t.tolist()], lo, hi, rows(weight), lowest != 0
        )
        for i, row in enumerate(meant):
            for j, entry in enumerate(row):
                assert abs(Fraction(value[i, j].item()) - entry) <= Fraction(error[i, j].item()), (
                    i,
                    j,
                )


def _exact_statement(
    a: list[list[Fraction]],
    t: list[Fraction],
    lo: Tensor,
    hi: Tensor,
    w: list[list[Fraction]],
    shifted: bool,
) -> list[list[Fraction]]:
    """The rows above the last block, and the last one up to its diagonal block, which is given."""
    low, spread = (
        [Fraction(x) for x in lo.tolist()],
        [Fraction(h) - Fraction(x) for h, x in zip(hi.tolist(), lo.tolist(), strict=True)],
    )
    n = len(a)
    forward = [[row[j] * spread[j] for j in range(n)] for row in w]
    if not shifted:
        s = [[2 * t[i] * (i == j) - t[i] * a[i][j] * t[j] for j in range(n)] for i in range(n)]
        return [[*s[i][: i + 1]] for i in range(n)] + forward
    coupling = [[-t[i] * a[i][j] for j in range(n)] for i in range(n)]
    twice = [[2 * t[i] * (i == j) for j in range(i + 1)] for i in range(n)]
    skewed = [[sum(row[k] * low[k] * a[k][j] for k in range(n)) for j in range(n)] for row in w]
    middle = [coupling[i] + twice[i] for i in range(n)]
    return (
        [a[i][: i + 1] for i in range(n)]
        + middle
        + [x + y for x, y in zip(skewed, forward, strict=True)]
    )


def test_weights_and_their_reciprocals() -> None:
    """A diag(d)^-1 is rounded twice, and its relative error covers both."""
    for seed in range(40):
        weight, before = randn(seed, 1, 1), randn(seed + 99, 1).abs()
        found = scaled(Dense(weight), None, before)
        assert isinstance(found, Dense)
        meant = abs(Fraction(weight.item()) / Fraction(before.item()))
        assert abs(Fraction(found.weight.item())) * (1 + Fraction(found.relative_error)) >= meant
        alone = scaled(Diagonal(torch.ones((), dtype=torch.float64), (1,)), None, before)
        assert isinstance(alone, Diagonal)
        reach = Fraction(alone.scale.item()) * (1 + Fraction(alone.relative_error))
        assert reach >= 1 / Fraction(before.item())


def test_the_alignment_of_two_vectors() -> None:
    for seed in SEEDS:
        u, v = randn(seed, 60), randn(seed + 99, 60)
        lo, hi = zeros(60), zeros(60) + 1
        low, high = greatest_alignment(u, v, lo, hi)
        products = [Fraction(x) * Fraction(y) for x, y in zip(u.tolist(), v.tolist(), strict=True)]
        best = max(sum(p for p in products if p > 0), -sum(p for p in products if p < 0))
        assert Fraction(low) <= best <= Fraction(high)


def test_a_matrix_is_definite_only_with_all_within_its_error() -> None:
    one = torch.eye(2, dtype=torch.float64)
    error = torch.tensor([[0.0, 1 + 2.0**-40], [1 + 2.0**-40, 0.0]], dtype=torch.float64)
    assert not is_semidefinite(Rounded(one, error))
    assert is_semidefinite(Rounded(one, error * 0.99))


def test_rounding_in_a_factorisation_does_not_make_a_matrix_definite() -> None:
    """An arrow: the last pivot is 1 - n b^2 + e, and the sum of n equal squares is rounded the same
    way each time."""
    for order, seed in ((200, k) for k in range(25)):
        b = (
            torch.rand(1, generator=torch.Generator().manual_seed(seed)).item() * 0.2 + 0.9
        ) / order**0.5
        square = order * Fraction(b) ** 2
        matrix = torch.eye(order + 1, dtype=torch.float64)
        matrix[-1, :-1] = matrix[:-1, -1] = b
        for below in (2, 4, 8):
            matrix[-1, -1] = float(square) * (1 - below * 2.0**-53)
            if Fraction(matrix[-1, -1].item()) < square:
                assert not is_semidefinite(Rounded.exact(matrix))


def test_deviations_from_a_mean() -> None:
    for seed in SEEDS:
        x = randn(seed, 1, 7)
        exact = [Fraction(v) for v in x[0].tolist()]
        mean = sum(exact) / 7
        box = _deviations(Interval(x, x))
        ends = zip(box.lo[0].tolist(), box.hi[0].tolist(), exact, strict=True)
        assert all(Fraction(lo) <= v - mean <= Fraction(hi) for lo, hi, v in ends)
        assert (
            Fraction(greatest_spread(Interval(x, x), centred=True).item())
            >= sum((v - mean) ** 2 for v in exact) / 7
        )
        assert (
            Fraction(greatest_spread(Interval(x, x), centred=False).item())
            >= sum(v * v for v in exact) / 7
        )
