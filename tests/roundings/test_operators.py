"""Products with operators, their norms and their images against rational arithmetic."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from autolip.errors import Refusal
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators import (
    Composition,
    Dense,
    Diagonal,
    Incidence,
    Operator,
    Sum,
    Traced,
    compose,
)
from autolip.operators.algebra import add, compound_error
from autolip.operators.image import image
from autolip.operators.norms import NormOptions
from autolip.operators.norms.dense import absolute_norm
from autolip.operators.norms.engine import candidates
from autolip.operators.norms.entry_sums import (
    _total,
    column_norms,
    columns,
    entries,
    finite_columns,
    finite_entries,
    finite_total,
    frobenius,
    schur,
    sums_norm,
    total,
)
from autolip.operators.norms.nonnegative import _length, nonnegative_norm
from autolip.operators.norms.rounding import Units, rounded_product, upper_product
from autolip.operators.operator import Adjoint
from autolip.operators.sparse import _rounded, sparse_matrix
from autolip.rounded import Rounded
from autolip.rounded import total as total_of
from autolip.values import Upper

SEEDS = range(12)
LOOK = NormOptions()


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(matrix: Tensor | Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    rows = matrix.tolist() if isinstance(matrix, Tensor) else matrix
    return [[Fraction(x) for x in row] for row in rows]


def product(
    a: Sequence[Sequence[Fraction]], b: Sequence[Sequence[Fraction]]
) -> list[list[Fraction]]:
    return [
        [
            sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0))
            for column in zip(*b, strict=True)
        ]
        for row in a
    ]


def column(x: Tensor) -> list[list[Fraction]]:
    return [[Fraction(v)] for v in x.tolist()]


def value(bound: Upper | Refusal) -> Fraction:
    assert isinstance(bound, Upper), bound
    return Fraction(bound.value)


def covers(rounded: Rounded, meant: Sequence[Sequence[Fraction]]) -> bool:
    """Whether a computed vector is within its error of the exact one."""
    triples = zip(
        rounded.value.flatten().tolist(), rounded.error.flatten().tolist(), meant, strict=True
    )
    return all(abs(Fraction(v) - row[0]) <= Fraction(e) for v, e, row in triples)


def test_products_of_moduli_are_raised() -> None:
    for seed in SEEDS:
        matrix, x = rand(seed, 30, 100), rand(seed + 99, 100)
        for relative in (0.0, 1e-6):
            above = upper_product(Dense(matrix, relative_error=relative), x[None])[0]
            meant = product(exact(matrix), column(x))
            scale = 1 + Fraction(relative)
            assert all(
                Fraction(v) >= row[0] * scale for v, row in zip(above.tolist(), meant, strict=True)
            )


def test_products_of_moduli_leave_room_for_five_more_roundings() -> None:
    """Every step of the first product is rounded down: its entries, 1 + e, the scale and the
    scaling."""
    scale, x = float.fromhex("0x1.31885e8db3736p+0"), float.fromhex("0x1.024680044ea5bp+0")
    cases = [(scale, x, 0.662), *((s, v, 1e-6) for s, v in pairwise((1 + rand(0, 300)).tolist()))]
    for scale, x, relative in cases:
        operator = Diagonal(torch.tensor(scale, dtype=torch.float64), (1,), relative)
        above = upper_product(operator, torch.tensor([[x]], dtype=torch.float64)).item()
        meant = Fraction(scale) * Fraction(x) * (1 + Fraction(relative))
        assert Fraction(above) >= meant * (1 + 5 * Fraction(2) ** -53)


def test_products_of_moduli_that_underflow_are_not_zero() -> None:
    tiny = torch.full((1, 1), 2.0**-600, dtype=torch.float64)
    assert upper_product(Dense(tiny), tiny).item() > 0
    assert (
        upper_product(Dense(torch.cat([tiny, tiny * 0], 1)), torch.cat([tiny, tiny], 1)).item() > 0
    )


def test_sums_of_copies_are_exact_for_small_integers_only() -> None:
    copies = Incidence(lambda x: x.expand(3, 4).contiguous(), (4,))
    for x in (
        rand(0, 3, 4),
        torch.tensor([[2.0**53], [1.0], [1.0]], dtype=torch.float64).expand(3, 4),
    ):
        above = upper_product(copies.T, x[None])[0]
        meant = [sum(map(Fraction, column)) for column in x.T.tolist()]
        assert all(Fraction(v) >= m for v, m in zip(above.tolist(), meant, strict=True))


def test_running_errors_of_products() -> None:
    for seed in SEEDS:
        matrix, x = randn(seed, 20, 40), randn(seed + 99, 40)
        zero = torch.zeros_like(x)
        for relative in (0.0, 1e-6):
            operator = Dense(matrix, relative_error=relative)
            found = rounded_product(operator, Rounded(x[None], zero[None]))
            assert isinstance(found, Rounded)
            assert covers(found, product(exact(matrix), column(x)))
            meant = [[v * (1 + Fraction(relative)) for v in row] for row in exact(matrix)]
            assert covers(found, product(meant, column(x)))
            moved = rounded_product(operator, Rounded(x[None], zero[None] + 1.0))
            assert isinstance(moved, Rounded) and covers(
                moved, product(meant, column(x + torch.sign(x)))
            )


def test_running_errors_of_products_with_unit_vectors() -> None:
    matrix, unit = randn(0, 5, 3), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    found = rounded_product(
        Dense(matrix, relative_error=1e-6),
        Units(unit[None], torch.zeros(1, 3).double()),
    )
    assert isinstance(found, Rounded)
    meant = [[Fraction(v) * (1 + Fraction(1e-6))] for v in matrix[:, 1].tolist()]
    assert covers(found, meant)


def test_running_errors_of_products_that_underflow() -> None:
    tiny = torch.full((1, 1), 2.0**-600, dtype=torch.float64)
    found = rounded_product(Dense(tiny), Rounded(tiny, torch.zeros_like(tiny)))
    assert isinstance(found, Rounded) and covers(found, [[Fraction(2) ** -1200]])


def test_running_errors_of_sums() -> None:
    for seed in SEEDS:
        parts = [randn(seed + 99 * k, 50) for k in range(3)]
        zero = torch.zeros(50, dtype=torch.float64)
        meant = [
            [sum(map(Fraction, row))]
            for row in zip(*(part.tolist() for part in parts), strict=True)
        ]
        assert covers(total_of([Rounded(part, zero) for part in parts]), meant)
        nudged = [[row[0] + 3 * Fraction(1, 2**20)] for row in meant]
        assert covers(total_of([Rounded(part, zero + 2.0**-20) for part in parts]), nudged)


def test_errors_of_sums_are_summed_upwards() -> None:
    for seed in SEEDS:
        errors = [rand(seed + 99 * k, 50) for k in range(3)]
        found = total_of([Rounded(torch.zeros(50, dtype=torch.float64), error) for error in errors])
        meant = [
            sum(map(Fraction, row))
            for row in zip(*(error.tolist() for error in errors), strict=True)
        ]
        assert all(Fraction(e) >= m for e, m in zip(found.error.tolist(), meant, strict=True))


def matrices() -> list[tuple[str, Operator, list[list[Fraction]]]]:
    """Operators with entries known in rational arithmetic, larger by a relative error where they
    have one."""
    a, b = randn(0, 40, 60), randn(1, 60, 30)
    inexact = [[v * (1 + Fraction(1e-6)) for v in row] for row in exact(a)]
    null = torch.linalg.svd(randn(2, 3, 8))
    small, kernel = (null[1].diag() @ null[2][:3]), null[2][3:].T.contiguous()
    summed = [
        [x + y for x, y in zip(r, s, strict=True)]
        for r, s in zip(exact(a), exact(a.flip(0)), strict=True)
    ]
    return [
        ("dense", Dense(a), exact(a)),
        ("dense, inexact", Dense(a, relative_error=1e-6), inexact),
        ("positive", Dense(a.abs()), exact(a.abs())),
        ("composition", Composition((Dense(a), Dense(b))), product(exact(a), exact(b))),
        (
            "inexact after",
            Composition((Dense(a, relative_error=1e-6), Dense(b))),
            product(inexact, exact(b)),
        ),
        (
            "cancelling composition",
            Composition((Dense(small), Dense(kernel))),
            product(exact(small), exact(kernel)),
        ),
        ("sum", Sum((Dense(a), Dense(a.flip(0)))), summed),
        (
            "sum of three diagonals",
            add(*(Diagonal(rand(k, 9), (9,)) for k in range(3))),
            _diagonal_sum(),
        ),
        ("scaled rows", compose(Diagonal(rand(5, 40), (40,)), Dense(a)), _scaled(rand(5, 40), a)),
        ("scaled twice", compose(Diagonal(rand(5, 9), (9,)), Diagonal(rand(6, 9), (9,))), _twice()),
        (
            "scaled columns",
            compose(Dense(a), Diagonal(rand(5, 60), (60,))),
            _scaled(rand(5, 60), a.T, turned=True),
        ),
    ]


def _diagonal_sum() -> list[list[Fraction]]:
    totals = [
        sum(map(Fraction, row))
        for row in zip(*(rand(k, 9).tolist() for k in range(3)), strict=True)
    ]
    return [[totals[i] * (i == j) for j in range(9)] for i in range(9)]


def _twice() -> list[list[Fraction]]:
    pairs = list(zip(rand(5, 9).tolist(), rand(6, 9).tolist(), strict=True))
    return [
        [Fraction(x) * Fraction(y) * (i == j) for j in range(9)] for i, (x, y) in enumerate(pairs)
    ]


def _scaled(scale: Tensor, matrix: Tensor, turned: bool = False) -> list[list[Fraction]]:
    rows = [
        [Fraction(s) * v for v in row] for s, row in zip(scale.tolist(), exact(matrix), strict=True)
    ]
    return [list(row) for row in zip(*rows, strict=True)] if turned else rows


MATRICES = matrices()
named = pytest.mark.parametrize(
    ("operator", "meant"), [case[1:] for case in MATRICES], ids=[case[0] for case in MATRICES]
)


@named
def test_sums_and_squares_of_entries(operator: Operator, meant: list[list[Fraction]]) -> None:
    sizes = [sum(map(abs, column)) for column in zip(*meant, strict=True)]
    squares = [sum(x * x for x in column) for column in zip(*meant, strict=True)]
    for found in candidates(operator, Norm.L1, Norm.L1, LOOK):
        assert isinstance(found.bound, Refusal) or value(found.bound) >= max(sizes), found
    for found in candidates(operator, Norm.L1, Norm.L2, LOOK):
        assert isinstance(found.bound, Refusal) or value(found.bound) ** 2 >= max(squares), found
    for found in candidates(operator, Norm.L1, Norm.LINF, LOOK):
        assert isinstance(found.bound, Refusal) or value(found.bound) >= max(
            max(map(abs, row)) for row in meant
        )
    for engine, least in ((total, sum(sizes)), (columns, max(sizes))):
        assert value(engine(operator, LOOK)) >= least
    assert value(sums_norm(operator, LOOK)) ** 2 >= sum(size * size for size in sizes)
    for engine, square in ((frobenius, sum(squares)), (column_norms, max(squares))):
        bound = engine(operator, LOOK)
        assert isinstance(bound, Refusal) or value(bound) ** 2 >= square
    rows = max(sum(map(abs, row)) for row in meant)
    assert value(schur(operator, LOOK)) ** 2 >= max(sizes) * rows
    for engine, least in ((finite_total, sum(sizes)), (finite_columns, max(sizes))):
        bound = engine(operator, LOOK)
        assert isinstance(bound, Refusal) or value(bound) >= least


@named
def test_written_out_as_a_sparse_matrix(operator: Operator, meant: list[list[Fraction]]) -> None:
    found = sparse_matrix(operator)
    assert isinstance(found, Rounded)
    values, errors = found.value.toarray().tolist(), found.error.toarray().tolist()
    for row, error, wanted in zip(values, errors, meant, strict=True):
        assert all(
            abs(Fraction(v) - m) <= Fraction(e) for v, e, m in zip(row, error, wanted, strict=True)
        )


@named
def test_images_of_points(operator: Operator, meant: list[list[Fraction]]) -> None:
    for seed in SEEDS:
        x = randn(seed + 7, operator.in_size)
        box = image(operator, Interval(x, x))
        ends = zip(box.lo.tolist(), box.hi.tolist(), product(meant, column(x)), strict=True)
        assert all(Fraction(lo) <= row[0] <= Fraction(hi) for lo, hi, row in ends)


def test_images_of_sums_of_copies() -> None:
    copies = Incidence(lambda x: x.sum(0), (7, 20))
    for seed in SEEDS:
        x = randn(seed, 7, 20)
        box = image(copies, Interval(x, x))
        meant = [sum(map(Fraction, column)) for column in x.T.tolist()]
        assert all(
            Fraction(lo) <= m <= Fraction(hi)
            for lo, m, hi in zip(box.lo.tolist(), meant, box.hi.tolist(), strict=True)
        )


def test_images_that_underflow() -> None:
    """In one product, in several that are added, before a large matrix, and between two."""
    tiny = torch.full((1, 8), 2.0**-538, dtype=torch.float64)
    for count in (1, 8):
        x = tiny[0, :count] * 0.9
        box = image(Dense(tiny[:, :count]), Interval(x, x))
        assert Fraction(box.hi.item()) >= count * Fraction(2.0**-538) * Fraction(2.0**-538 * 0.9)
    for seed in SEEDS:
        x, a = rand(seed, 2) * 2.0**-1035, (1 + rand(seed + 99, 1)) * 2.0**300
        matrix = torch.stack([a[0], -a[0] * (x[0] / x[1])])[None]
        box = image(Dense(matrix), Interval(x, x))
        (meant,) = product(exact(matrix), column(x))[0]
        assert Fraction(box.lo.item()) <= meant <= Fraction(box.hi.item())
    one = torch.ones(1, 1, dtype=torch.float64)
    x = one[0] * 2.0**-480
    box = image(Composition((Dense(one * 2.0**300), Dense(one * 2.0**-600))), Interval(x, x))
    assert Fraction(box.hi.item()) >= Fraction(2) ** -780


def test_norms_of_networks_of_moduli() -> None:
    for seed in SEEDS:
        matrix = rand(seed, 6, 50)
        sums = [sum(map(Fraction, row)) for row in matrix.tolist()]
        assert value(_length(matrix[0], Norm.L1)) >= sums[0]
        for p in (Norm.LINF, Norm.L2):
            bound = nonnegative_norm(Dense(matrix), p, Norm.LINF)
            squares = [sum(Fraction(v) ** 2 for v in row) for row in matrix.tolist()]
            assert (
                value(bound) >= max(sums) if p is Norm.LINF else value(bound) ** 2 >= max(squares)
            )


def test_the_quotients_of_collatz_and_wielandt() -> None:
    """A column has one quotient, its squared length: nothing but rounding is between the bound and
    the norm."""
    for seed in range(40):
        matrix = rand(seed, 9, 1)
        bound = nonnegative_norm(Dense(matrix), Norm.L2, Norm.L2)
        assert value(bound) ** 2 >= sum(Fraction(v) ** 2 for v in matrix.flatten().tolist())


def test_products_of_factors_compound_their_errors() -> None:
    parts = [Dense(torch.eye(1), relative_error=e) for e in (1e-3, 2e-3)]
    meant = (1 + Fraction(1e-3)) * (1 + Fraction(2e-3)) * (1 + Fraction(2) ** -53) - 1
    assert Fraction(compound_error(*parts, roundings=1)) >= meant
    for a, b in pairwise(rand(0, 40).tolist()):
        merged = compose(*(Diagonal(torch.tensor(x, dtype=torch.float64), (1,)) for x in (a, b)))
        assert isinstance(merged, Diagonal)
        reach = Fraction(merged.scale.item()) * (1 + Fraction(merged.relative_error))
        assert reach >= Fraction(a) * Fraction(b)


def test_products_that_underflow_are_not_merged() -> None:
    small = Diagonal(torch.tensor(2.0**-600, dtype=torch.float64), (1,))
    assert isinstance(compose(small, small), Composition)


def test_entries_that_are_known_up_to_an_error() -> None:
    for entry in rand(0, 60).tolist():
        operator = Dense(torch.tensor([[entry]], dtype=torch.float64), relative_error=1e-6)
        assert value(entries(operator, LOOK)) >= Fraction(entry) * (1 + Fraction(1e-6))


def test_entries_that_are_known_up_to_an_error_and_written_out() -> None:
    for entry in rand(0, 60).tolist():
        for relative in (1e-6, 1e-3):
            operator = Dense(torch.tensor([[entry]], dtype=torch.float64), relative_error=relative)
            assert value(finite_entries(Adjoint(operator), LOOK)) >= Fraction(entry) * (
                1 + Fraction(relative)
            )
            written = sparse_matrix(operator)
            assert isinstance(written, Rounded)
            assert Fraction(written.error.toarray()[0, 0]) >= Fraction(entry) * Fraction(relative)


def test_errors_of_sparse_products_and_sums_are_rounded_up() -> None:
    for seed in SEEDS:
        a, e = rand(seed, 1, 9), rand(seed + 50, 9, 20)
        faint = csr_array(e.numpy() * 2.0**-70)
        found = _rounded(Dense(a, relative_error=1e-6)) @ Rounded(faint, csr_array(e.numpy()))
        meant = [m * (1 + Fraction(1e-6)) for m in product(exact(a), exact(e))[0]]
        assert all(
            Fraction(v) >= m for v, m in zip(found.error.toarray()[0].tolist(), meant, strict=True)
        )
        parts = [csr_array(rand(seed + 9 * k, 1, 20).numpy()) for k in range(3)]
        total = total_of([Rounded(part * 0.0, part) for part in parts]).error.toarray()[0].tolist()
        sums = [
            sum(map(Fraction, row))
            for row in zip(*(part.toarray()[0].tolist() for part in parts), strict=True)
        ]
        assert all(Fraction(v) >= m for v, m in zip(total, sums, strict=True))


def test_running_sums() -> None:
    traced = Traced(lambda x: x.cumsum(0), (40,), terms=40, nonnegative=True)
    for seed in SEEDS:
        x = rand(seed, 40)
        above = upper_product(traced, x[None])[0].tolist()
        assert all(
            Fraction(v) >= sum(map(Fraction, x.tolist()[: k + 1])) for k, v in enumerate(above)
        )


LONG = 20_000
"""Equal terms: their running sums are rounded the same way over and over."""


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_of_many_equal_terms(seed: int) -> None:
    entry = rand(seed, 1).item()
    column_, meant = torch.full((LONG, 1), entry, dtype=torch.float64), LONG * Fraction(entry)
    ones = torch.ones(LONG, dtype=torch.float64)
    tall, flat = Dense(column_), Composition((Dense(torch.eye(1)), Dense(column_.T.contiguous())))
    assert value(columns(tall, LOOK)) >= meant
    assert value(total(tall, LOOK)) >= meant
    assert Fraction(_total(column_)) >= meant
    assert Fraction(absolute_norm(column_)) ** 2 >= meant * Fraction(entry)
    assert value(finite_total(flat, LOOK)) >= meant
    assert value(finite_columns(tall, LOOK)) >= meant
    assert value(finite_columns(flat.T, LOOK)) >= meant
    assert value(column_norms(tall, LOOK)) ** 2 >= meant * Fraction(entry)
    assert value(frobenius(tall, LOOK)) ** 2 >= meant * Fraction(entry)
    assert value(frobenius(tall.T, LOOK)) ** 2 >= meant * Fraction(entry)
    assert value(_length(column_.flatten(), Norm.L1)) >= meant
    assert value(nonnegative_norm(tall, Norm.L2, Norm.L2)) ** 2 >= meant * Fraction(entry)
    assert Fraction(upper_product(tall.T, ones[None, :, None].squeeze(-1)).item()) >= meant
    found = rounded_product(tall.T, Rounded(ones[None], torch.zeros_like(ones)[None]))
    assert isinstance(found, Rounded) and covers(found, [[meant]])
    box = image(tall.T, Interval(ones, ones))
    assert Fraction(box.lo.item()) <= meant <= Fraction(box.hi.item())
    written = sparse_matrix(Composition((tall.T, Dense(ones[:, None]))))
    assert isinstance(written, Rounded)
    off = abs(Fraction(written.value.toarray()[0, 0]) - meant)
    assert off <= Fraction(written.error.toarray()[0, 0])
    copies = Incidence(lambda x: x.sum(0), (LONG, 1))
    box = image(copies, Interval(column_, column_))
    assert Fraction(box.lo.item()) <= meant <= Fraction(box.hi.item())
