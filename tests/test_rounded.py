"""Computed tensors lie within their errors of what rational arithmetic makes of their entries."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
import torch
from scipy import sparse
from torch import Tensor

from autolip.norms import Norm
from autolip.rounded import Rounded, blocks, number, rising, smallest_proved, total
from autolip.testing.exact import is_above_norm, is_exactly_semidefinite

SEEDS = range(12)
UNIT = Fraction(1, 2**53)

Gaussian = tuple[Fraction, Fraction]
"""A complex number with rational parts."""


def randn(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def cancelling(seed: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """X, Y with rows and columns whose products cancel to some units of their terms."""
    x, y = randn(seed, rows, columns), randn(seed + 500, columns, rows)
    x = torch.cat([x, x], 1)
    return x, torch.cat([y, -y * (1 + 2.0**-50)], 0)


def gaussian(x: Tensor) -> list[list[Gaussian]]:
    """The entries of a matrix."""
    parts = torch.view_as_real(x.to(torch.complex128).resolve_conj())
    return [[(Fraction(a), Fraction(b)) for a, b in row] for row in parts.tolist()]


def times(x: Gaussian, y: Gaussian) -> Gaussian:
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


def plus(numbers: Sequence[Gaussian]) -> Gaussian:
    return sum((a for a, _ in numbers), Fraction(0)), sum((b for _, b in numbers), Fraction(0))


def product(x: Tensor, y: Tensor) -> list[list[Gaussian]]:
    columns = list(zip(*gaussian(y), strict=True))
    return [
        [plus([times(a, b) for a, b in zip(row, column, strict=True)]) for column in columns]
        for row in gaussian(x)
    ]


def entrywise(
    function: Callable[[Gaussian, Gaussian], Gaussian], x: Tensor, y: Tensor
) -> list[list[Gaussian]]:
    return [
        [function(a, b) for a, b in zip(*rows, strict=True)]
        for rows in zip(gaussian(x), gaussian(y), strict=True)
    ]


def dense(x: object) -> Tensor:
    return x if isinstance(x, Tensor) else torch.from_numpy(x.toarray())  # type: ignore[attr-defined]


def covers(found: Rounded, meant: Sequence[Sequence[Gaussian]]) -> bool:
    """Whether every entry is within its error of what is meant."""
    values = gaussian(dense(found.value))
    errors = dense(found.error).expand(len(values), len(values[0])).tolist()
    return all(
        (v[0] - m[0]) ** 2 + (v[1] - m[1]) ** 2 <= Fraction(e) ** 2
        for row in zip(values, errors, meant, strict=True)
        for v, e, m in zip(*row, strict=True)
    )


DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])


@DTYPES
def test_sums_and_differences(dtype: torch.dtype) -> None:
    for seed in SEEDS:
        x, y = randn(seed, 4, 5, dtype=dtype), randn(seed + 99, 4, 5, dtype=dtype)
        a, b = Rounded.exact(x), Rounded.exact(y)
        assert covers(a + b, entrywise(lambda p, q: plus([p, q]), x, y))
        assert covers(a - b, entrywise(lambda p, q: plus([p, q]), x, -y))
        assert covers(total([a, b, a]), entrywise(lambda p, q: plus([p, p, q]), x, y))


def test_errors_of_sums_add_up_upwards() -> None:
    for seed in SEEDS:
        errors = rand(seed, 1, 40), rand(seed + 99, 1, 40)
        found = Rounded(zeros(1, 40), errors[0]) + Rounded(zeros(1, 40), errors[1])
        assert covers(found, entrywise(lambda p, q: plus([p, q]), *errors))


def test_sums_of_subnormal_numbers_are_exact() -> None:
    tiny = zeros(1, 1) + 2.0**-1074
    found = Rounded.exact(tiny) + Rounded(tiny, tiny)
    assert covers(found, [[(Fraction(2) ** -1074 * 3, Fraction(0))]])


@DTYPES
def test_products_of_entries(dtype: torch.dtype) -> None:
    for seed in SEEDS:
        x, y = randn(seed, 4, 5, dtype=dtype), randn(seed + 99, 4, 5, dtype=dtype)
        assert covers(Rounded.exact(x) * Rounded.exact(y), entrywise(times, x, y))
        real = y.real.clone()
        assert covers(Rounded.exact(x) * Rounded.exact(real), entrywise(times, x, real))
        scaled = Rounded.exact(x).scale(real[:, 0], real[0])
        meant = [
            [
                times(times(v, (Fraction(r), Fraction(0))), (Fraction(c), Fraction(0)))
                for v, c in zip(row, real[0].tolist(), strict=True)
            ]
            for row, r in zip(gaussian(x), real[:, 0].tolist(), strict=True)
        ]
        assert covers(scaled, meant)


@DTYPES
def test_products_of_matrices_that_cancel(dtype: torch.dtype) -> None:
    for seed in SEEDS:
        x, y = (part.to(dtype) for part in cancelling(seed, 3, 20))
        if dtype.is_complex:
            x, y = x * (0.6 + 0.8j), y * (0.3 - 0.7j)
        found = Rounded.exact(x) @ Rounded.exact(y)
        assert covers(found, product(x, y)) and not found.is_exact
        assert covers(Rounded.exact(x).gram(), product(x, x.mH))


def test_products_of_sparse_matrices() -> None:
    for seed in SEEDS:
        x, y = cancelling(seed, 3, 8)
        x, y = x * (rand(seed, *x.shape) > 0.2), y * (rand(seed + 9, *y.shape) > 0.2)
        a, b = (Rounded.exact(sparse.csr_array(part.numpy())) for part in (x, y))
        assert covers(a @ b, product(x, y))
        assert covers(a + b.H, entrywise(lambda p, q: plus([p, q]), x, y.T))
        rows, columns = y[:3, 0].sign() * 2, y[:, 1].sign() / 2 + 1
        assert covers(a.scale(rows, columns), product(torch.diag(rows) @ x, torch.diag(columns)))


@pytest.mark.parametrize("which", ["left", "right", "both"])
def test_errors_of_factors_are_passed_on(which: str) -> None:
    """Factors at the far ends of their errors: every term of the bound is attained."""
    for seed in SEEDS:
        x, y = rand(seed, 2, 4), rand(seed + 99, 4, 2)
        e = rand(seed + 5, 2, 4) if which != "right" else zeros(2, 4)
        f = rand(seed + 7, 4, 2) if which != "left" else zeros(4, 2)
        for a, b in ((x, y), (x * 0, y), (x, y * 0), (x * 0, y * 0)):
            far = _sums(a, e), _sums(b, f)
            found = Rounded(a, e) @ Rounded(b, f)
            assert covers(found, _product(*far))
            found = Rounded(a, e) * Rounded(b.T.contiguous(), f.T.contiguous())
            pairs = zip(far[0], zip(*far[1], strict=True), strict=True)
            meant = [[times(p, q) for p, q in zip(r, s, strict=True)] for r, s in pairs]
            assert covers(found, meant)


def _sums(x: Tensor, y: Tensor) -> list[list[Gaussian]]:
    return entrywise(lambda p, q: plus([p, q]), x, y)


def _product(x: list[list[Gaussian]], y: list[list[Gaussian]]) -> list[list[Gaussian]]:
    columns = list(zip(*y, strict=True))
    return [
        [plus([times(p, q) for p, q in zip(row, column, strict=True)]) for column in columns]
        for row in x
    ]


@pytest.mark.parametrize("exponent", [-540, -600])
def test_products_that_underflow(exponent: int) -> None:
    tiny = randn(0, 2, 2) * 2.0**exponent
    huge = zeros(2, 2) + 1.0
    huge[0] = 2.0**500
    for x, y in ((tiny, tiny), (tiny * 2.0**-470, huge)):
        a, b = Rounded.exact(x), Rounded.exact(y)
        assert covers(a @ b, product(x, y)) and covers(a * b, entrywise(times, x, y))
        c, d = (Rounded.exact(sparse.csr_array(part.numpy())) for part in (x, y))
        assert covers(c @ d, product(x, y))
        z, w = x * (1 + 1j), y * (1 + 0j)
        assert covers(Rounded.exact(z) @ Rounded.exact(w), product(z, y))


def test_errors_that_underflow() -> None:
    tiny = zeros(1, 1) + 2.0**-600
    found = Rounded(tiny * 0, tiny) @ Rounded(tiny * 0, tiny)
    assert covers(found, product(tiny, tiny))


def test_zero_stays_zero() -> None:
    x = Rounded.exact(randn(0, 2, 3) * 2.0**-600)
    nothing = Rounded.exact(zeros(3, 2))
    assert (x @ nothing).is_exact and (x.H * nothing).is_exact and nothing.length() == 0


def test_moving_entries_is_exact() -> None:
    x = sparse.csr_array(randn(0, 3, 3).numpy())
    moves = sparse.csr_array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    assert (Rounded.exact(moves) @ Rounded.exact(x)).is_exact
    assert not (Rounded.exact(x) @ Rounded.exact(x)).is_exact
    ones, numbers = zeros(1, 20) + 1, rand(0, 20, 1)
    assert covers(Rounded.exact(ones) @ Rounded.exact(numbers), product(ones, numbers))


def test_powers_of_two() -> None:
    x = Rounded(randn(0, 2, 3), rand(1, 2, 3))
    assert torch.equal(x.shifted(-7).value * 128, x.value)
    assert torch.equal(x.shifted(9).error / 512, x.error)
    odd = Rounded.exact(zeros(1, 1) + 3 * 2.0**-1000)
    assert covers(odd.shifted(-74), [[(3 * Fraction(2) ** -1074, Fraction(0))]])
    assert covers(odd.shifted(-75), [[(3 * Fraction(2) ** -1075, Fraction(0))]])
    assert covers(odd.shifted(-4000), [[(3 * Fraction(2) ** -5000, Fraction(0))]])


def test_a_part_of_a_complex_number_may_become_subnormal() -> None:
    """1 + 2^-600 i, far above where its modulus would underflow."""
    number = torch.tensor([[1 + 2.0**-600 * 1j]], dtype=torch.complex128)
    exact = [[(Fraction(2) ** -500, Fraction(2) ** -1100)]]
    assert covers(Rounded.exact(number).shifted(-500), exact)


def test_products_with_complex_numbers_of_modulus_1_round() -> None:
    """0.6 + 0.8 i only turns, and its modulus is 1 in floating point; 1, -1 and 0 lose nothing."""
    turn = torch.tensor([[0.6 + 0.8j]], dtype=torch.complex128)
    assert turn.abs().item() == 1
    for seed in SEEDS:
        x = randn(seed, 1, 4, dtype=torch.complex128)
        assert covers(Rounded.exact(turn) @ Rounded.exact(x), product(turn, x))
    for sign in (0, 1, -1):
        unit = torch.tensor([[sign]], dtype=torch.complex128)
        assert (Rounded.exact(unit) @ Rounded.exact(x)).is_exact


def test_entries_known_up_to_a_share_of_their_size() -> None:
    for seed in SEEDS:
        x = randn(seed, 1, 40)
        found = Rounded.relatively(x, 1e-6)
        pairs = zip(x[0].tolist(), found.error[0].tolist(), strict=True)
        assert all(Fraction(e) >= abs(Fraction(v)) * Fraction(1e-6) for v, e in pairs)
    tiny = Rounded.relatively(zeros(1, 2) + 2.0**-1070, 0.01)
    assert tiny.error.min() > 0 and Rounded.relatively(zeros(1, 2), 0.1).is_exact


def test_numbers_that_were_rounded_once() -> None:
    for seed in SEEDS:
        squares = rand(seed, 1, 40)
        roots = Rounded.nearest(squares.sqrt())
        triples = zip(
            roots.value[0].tolist(), roots.error[0].tolist(), squares[0].tolist(), strict=True
        )
        for root, error, square in triples:
            low, high = Fraction(root) - Fraction(error), Fraction(root) + Fraction(error)
            assert low**2 <= Fraction(square) <= high**2
    ends = (number(1.0) - number(2.0**-60, 2.0**-61)).interval()
    assert Fraction(ends.lo.item()) <= 1 - Fraction(3, 2**61)
    assert Fraction(ends.hi.item()) >= 1 - Fraction(1, 2**61)


def test_members_of_a_batch_share_an_error() -> None:
    """What is derived holds for every member."""
    for seed in SEEDS:
        x = randn(seed, 3, 2, 4, dtype=torch.complex128)
        y = randn(seed + 9, 3, 4, 2, dtype=torch.complex128)
        e, f = rand(seed, 2, 4), rand(seed + 9, 4, 2)
        apart = Rounded(x, e) @ Rounded(y, f)
        assert apart.error.shape == (2, 2) and Rounded.shared(x).error.shape == (2, 4)
        for k in range(3):
            alone = Rounded(x[k], e) @ Rounded(y[k], f)
            assert bool((alone.error <= apart.error).all())
            assert torch.equal((Rounded(x, e) + Rounded(x, e))[k].value, 2 * x[k])
            assert covers(Rounded.shared(x)[k] @ Rounded.shared(y)[k], product(x[k], y[k]))


@DTYPES
def test_sizes_lengths_and_norms(dtype: torch.dtype) -> None:
    for seed in SEEDS:
        x, e = randn(seed, 3, 7, dtype=dtype), rand(seed + 5, 3, 7)
        for error in (zeros(3, 7), e):
            found = Rounded(x, error)
            squares = [
                [(a * a + b * b, Fraction(s)) for (a, b), s in zip(row, slips, strict=True)]
                for row, slips in zip(gaussian(x), error.tolist(), strict=True)
            ]
            for sizes, row in zip(found.size.tolist(), squares, strict=True):
                assert all(
                    (Fraction(s) - slip) ** 2 >= sq
                    for s, (sq, slip) in zip(sizes, row, strict=True)
                )
            exact = [[Fraction(s) for s in row] for row in found.size.tolist()]
            columns = list(zip(*exact, strict=True))
            for dim, lines in ((1, exact), (0, columns)):
                lengths = found.lengths(dim).tolist()
                assert all(
                    Fraction(v) ** 2 >= sum(s * s for s in line)
                    for v, line in zip(lengths, lines, strict=True)
                )
                sums, tops = (found.lengths(dim, norm).tolist() for norm in (Norm.L1, Norm.LINF))
                assert all(Fraction(v) >= sum(row) for v, row in zip(sums, lines, strict=True))
                assert all(Fraction(v) >= max(row) for v, row in zip(tops, lines, strict=True))
            assert Fraction(found.length()) ** 2 >= sum(s * s for row in exact for s in row)
            assert Fraction(found.norm(Norm.L1).value) >= max(map(sum, columns))
            assert Fraction(found.norm(Norm.LINF).value) >= max(map(sum, exact))
            assert is_above_norm(exact, Fraction(found.norm(Norm.L2).value) ** 2)


def test_lengths_from_below() -> None:
    for seed in SEEDS:
        x, e = randn(seed, 1, 30), rand(seed + 5, 1, 30) * 2.0 ** (seed % 3 * -20)
        for scale in (1.0, 2.0**-700, 2.0**700):
            found = Rounded(x * scale, e * scale).least_length()
            pairs = zip((x * scale)[0].tolist(), (e * scale)[0].tolist(), strict=True)
            least = sum(max(abs(Fraction(v)) - Fraction(s), 0) ** 2 for v, s in pairs)
            assert least * Fraction(1 - 2.0**-40) <= Fraction(found) ** 2 <= least


def test_lengths_neither_underflow_nor_overflow() -> None:
    x = zeros(3, 2)
    x[0], x[1] = 2.0**-1060, 2.0**1020
    lengths = Rounded.exact(x).lengths(1).tolist()
    for found, square in zip(
        lengths, (2 * Fraction(2) ** -2120, 2 * Fraction(2) ** 2040, 0), strict=True
    ):
        assert square <= Fraction(found) ** 2 <= square * (1 + Fraction(1, 2**10))
    assert Rounded.exact(zeros(2, 0)).lengths(1).tolist() == [0, 0]
    assert Rounded.exact(zeros(0, 0)).norm(Norm.L1).value == 0


def test_a_matrix_above_all_within_the_error() -> None:
    """The Gram matrix of two nearly parallel rows, at both ends of the entries' errors."""
    for seed in range(40):
        weight = randn(seed, 2, 60)
        weight[1] = weight[0] * (1 + 2.0**-40)
        for error in (zeros(2, 60), weight.abs() * 2.0**-30):
            above = Rounded(weight, error).gram().above()
            for moved in (weight + error, weight - error):
                gram = [[entry[0] for entry in row] for row in product(moved, moved.T)]
                assert is_exactly_semidefinite(
                    [
                        [Fraction(above[i, j].item()) - gram[i][j] for j in range(2)]
                        for i in range(2)
                    ]
                )


def test_the_diagonal_of_a_matrix_above_is_raised_by_all_errors_of_its_row() -> None:
    for seed in SEEDS:
        error, diagonal = rand(seed, 30, 30), rand(seed + 9, 30) * 2.0 ** (seed % 2 * 30)
        sums = [sum(map(Fraction, row)) for row in (error.tril() + error.tril(-1).T).tolist()]
        above = Rounded(torch.diag(diagonal), error).above().diagonal()
        for found, entry, meant in zip(above.tolist(), diagonal.tolist(), sums, strict=True):
            assert Fraction(found) >= Fraction(entry) + meant


def test_blocks_are_mirrored() -> None:
    batch = Rounded.shared(randn(0, 5, 2, 2, dtype=torch.complex128), rand(1, 2, 2))
    below = Rounded.shared(randn(2, 5, 3, 2, dtype=torch.complex128), rand(3, 3, 2))
    last = Rounded.exact(torch.eye(3, dtype=torch.float64))
    found = blocks([[batch], [below, last]])
    assert found.value.shape == (5, 5, 5) and found.error.shape == (5, 5)
    assert torch.equal(found.value[:, 2:, :2], below.value)
    assert torch.equal(found.value[:, :2, 2:], below.value.mH)
    assert torch.equal(found.error[2:, :2], below.error) and not found.error[2:, 2:].any()


def test_an_interval_holds_all_within_the_error() -> None:
    for seed in SEEDS:
        x, e = randn(seed, 50), rand(seed + 9, 50)
        box = Rounded(x, e).interval()
        for lo, hi, v, s in zip(
            box.lo.tolist(), box.hi.tolist(), x.tolist(), e.tolist(), strict=True
        ):
            assert (
                Fraction(lo)
                <= Fraction(v) - Fraction(s)
                <= Fraction(v) + Fraction(s)
                <= Fraction(hi)
            )


def test_values_rise_until_one_is_proved() -> None:
    asked = []

    def above_two(value: float) -> bool:
        asked.append(value)
        return value >= 2

    assert smallest_proved(1.0, above_two, excess=0.25) == 2
    assert asked == [1.25, 2.0] == list(rising(1.0, 0.25, 4.0, 2))
    assert smallest_proved(1.0, lambda value: False, excess=0.25) is None
