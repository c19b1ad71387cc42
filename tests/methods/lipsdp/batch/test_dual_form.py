"""The matrix of a question and what is concluded from it, in rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.graph.views import fused
from autolip.methods.lipsdp.batch import dual_form
from autolip.methods.lipsdp.batch.dual_form import DualForm, SampleRows, Terms
from autolip.methods.lipsdp.batch.operand_rows import OperandRows
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.relaxation.constraint import constraints_of
from autolip.operators import Dense
from autolip.rounded import Rounded
from autolip.slopes import Between, Exact
from autolip.testing.exact import rational
from tests.roundings.rational import Matrix, minus, product, rand, randn, scaled, turned
from tests.roundings.test_lipsdp import chain

SEEDS = range(20)
NAMES = ("v2", "v4")


def form_of(layers: list[Tensor], slopes: list[Between], row: Tensor) -> DualForm:
    """That of one question about a chain of two nonlinear layers."""
    first, second, third = (Exact(Dense(layer)) for layer in layers)
    graph = chain(first, slopes[0], second, slopes[1], third)
    constraints = constraints_of(graph)
    assert isinstance(constraints, dict)
    given = {
        name: Between(s.lo.unsqueeze(0), s.hi.unsqueeze(0))
        for name, s in zip(NAMES, slopes, strict=True)
    }
    questions = Questions.each(given, row)
    rows = SampleRows.of(OperandRows(fused(graph)), constraints, questions)
    assert isinstance(rows, SampleRows)
    return DualForm.of(rows, questions)


def drawn(seed: int) -> tuple[list[Tensor], list[Between], Tensor]:
    layers = [randn(seed, 3, 2), randn(seed + 100, 3, 3), randn(seed + 200, 2, 3)]
    ends = [rand(seed + 300, 3), rand(seed + 400, 3)]
    slopes = [Between(lo, lo + rand(seed + 500 + k, 3)) for k, lo in enumerate(ends)]
    return layers, slopes, randn(seed + 600, 1, 2)


def fractions(x: Tensor) -> list[Fraction]:
    return [Fraction(value) for value in x.flatten().tolist()]


def meant(layers: list[Tensor], slopes: list[Between], row: Tensor) -> tuple[Matrix, Matrix]:
    """X and E, exactly, of what bends and what is read."""
    a, b, c = (rational(layer) for layer in layers)
    one, two = (fractions(s.centre_and_radius()[0]) for s in slopes)
    read = product(rational(row), c)
    through = product(scaled(two, b), [[Fraction(i == j) for j in range(3)] for i in range(3)])
    inner = product(b, scaled(one, a))
    x = [*a, *inner, *product(read, scaled(two, inner))]
    zero = [[Fraction(0)] * 3] * 3
    e = [[*r, *[Fraction(0)] * 3] for r in zero]
    e += [[*r, *[Fraction(0)] * 3] for r in b]
    e += [[*r, *s] for r, s in zip(product(read, through), read, strict=True)]
    return x, e


def covers(found: Rounded, exact: Matrix) -> bool:
    """Whether every entry is within its error."""
    values, errors = rational(found.value[0]), rational(found.error.expand(found.value.shape)[0])
    return all(
        abs(v - m) <= bound
        for row, others, bounds in zip(values, exact, errors, strict=True)
        for v, m, bound in zip(row, others, bounds, strict=True)
    )


def is_above(found: Tensor, exact: Matrix) -> bool:
    """Whether the difference is diagonally dominant, and so not negative."""
    rows = minus(rational(found[0]), exact)
    return all(2 * row[i] >= sum(map(abs, row)) for i, row in enumerate(rows))


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_and_matrix_are_what_is_meant(seed: int) -> None:
    layers, slopes, row = drawn(seed)
    form = form_of(layers, slopes, row)
    x, e = meant(layers, slopes, row)
    whole, through = meant(layers, slopes, torch.eye(2, dtype=torch.float64))
    assert covers(form.rows.x, whole)
    for part, first in zip(form.rows.e, (0, 3, 6), strict=True):
        height, width = part.value.shape[1:]
        below = through[first : first + height]
        assert covers(part, [line[:width] for line in below])
        assert not any(any(line[width:]) for line in below)
    multipliers = {name: rand(seed + k, 1, 3) + 0.1 for k, name in enumerate(NAMES)}
    h, g = form.heights_and_widths(multipliers)
    squares = product(e, scaled(fractions(g), turned(e)))
    exact = [
        [Fraction(height) * (i == j) - s for j, s in enumerate(line)]
        for i, (height, line) in enumerate(zip(h[0].tolist(), squares, strict=True))
    ]
    assert covers(Terms(*form.constants(multipliers), form.weighed(None)[0]).constant, exact)
    assert is_above(form.weighed(None)[0], product(x, turned(x)))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_bends_is_wider_than_its_slopes_allow(seed: int) -> None:
    """g >= rho^2 h, for radii of all sizes."""
    radius = rand(seed, 8) * 2.0 ** torch.arange(0, -640, -80).to(torch.float64)
    h = dual_form._moderate(1 / rand(seed + 50, 8))
    for r, x, g in zip(
        *(fractions(t) for t in (radius, h, dual_form._width(radius, h))), strict=True
    ):
        assert g >= r * r * x


def test_multipliers_of_any_kind_are_numbers_of_moderate_size() -> None:
    wild = torch.tensor([0.0, -1.0, torch.nan, torch.inf, 1e300], dtype=torch.float64)
    found = dual_form._moderate(wild)
    assert bool(((found > 0) & (found <= dual_form.WIDEST)).all())


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_of_a_box(seed: int) -> None:
    """X diag(1 / mu) X^T and a sum that is at least that of mu."""
    layers, slopes, row = drawn(seed)
    form = form_of(layers, slopes, row)
    inputs = rand(seed + 7, 1, 2) + 0.01
    shares = dual_form._moderate(1 / inputs)
    gram, total = form.weighed(inputs)
    x, _ = meant(layers, slopes, row)
    assert is_above(gram, product(x, scaled(fractions(shares), turned(x))))
    assert Fraction(total.item()) >= sum(1 / share for share in fractions(shares))


@pytest.mark.parametrize("seed", SEEDS)
def test_roots_are_taken_upwards(seed: int) -> None:
    total, s = rand(seed, 40) + 0.5, rand(seed + 1, 40) + 0.5
    found = dual_form._root_above(total, s)
    for root, t, x in zip(fractions(found), fractions(total), fractions(s), strict=True):
        assert root * root * x >= t


def test_what_cancels_in_a_settled_network_is_counted() -> None:
    """|0.1 3 - 0.3| and such: what the doubles mean, not what their products are rounded to."""
    one = torch.ones(2, dtype=torch.float64)
    for seed in range(200):
        a, b = rand(seed, 2).tolist()
        first = torch.tensor([[a], [b]], dtype=torch.float64)
        last = torch.tensor([[b, -a * (1 + 2.0**-52 * (seed % 3 - 1))]], dtype=torch.float64)
        slopes = [Between(one, one), Between(one, one)]
        layers = [first, torch.eye(2, dtype=torch.float64), last]
        form = form_of(layers, slopes, torch.ones(1, 1, dtype=torch.float64))
        value = form.proved({name: one.unsqueeze(0) for name in NAMES})
        exact = product(rational(last), rational(first))[0][0]
        assert value.isfinite() and Fraction(value.item()) >= abs(exact)


def test_a_guess_that_is_too_small_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, slopes, row = drawn(0)
    form = form_of(layers, slopes, row)
    multipliers = {"v2": torch.full((1, 3), 1e4).double(), "v4": torch.full((1, 3), 90.0).double()}
    assert bool(form.proved(multipliers).isfinite().all())
    least = dual_form._least

    def hopeful(constant: Rounded, gram: Tensor) -> tuple[Tensor, Tensor]:
        guess, can = least(constant, gram)
        return guess * 0.5, can

    monkeypatch.setattr(dual_form, "_least", hopeful)
    assert bool(form.proved(multipliers).isinf().all())


def test_multipliers_that_are_not_feasible_prove_nothing() -> None:
    layers, slopes, row = drawn(0)
    form = form_of(layers, slopes, row)
    assert form.proved({name: torch.full((1, 3), 1e-9).double() for name in NAMES}).isinf().all()


def test_what_is_wanted_is_proved_or_nothing_is() -> None:
    layers, slopes, row = drawn(0)
    form = form_of(layers, slopes, row)
    multipliers = {"v2": torch.full((1, 3), 1e4).double(), "v4": torch.full((1, 3), 90.0).double()}
    least = form.proved(multipliers)
    enough = form.proved(multipliers, wanted=least * (1 + 1e-9))
    assert bool((least <= enough).all()) and bool((enough <= least * (1 + 1e-9)).all())
    for value in (least * (1 - 1e-6), least * 0, -least, least * math.nan):
        assert bool(form.proved(multipliers, wanted=value).isinf().all())


def test_what_cancels_in_the_matrix_is_counted() -> None:
    """h - F - s G of one number each, computed as 2^-60: never proved where it is below 0."""
    below, one = 0, torch.ones(1, 1, 1, dtype=torch.float64)
    for seed in range(200):
        s, g = (rand(seed, 2) + 0.5).tolist()
        h = s * g * (1 + 2.0**-33)
        f = (h - s * g) - 2.0**-60
        exact = Fraction(h) - Fraction(f) - Fraction(s) * Fraction(g)
        terms = Terms(one[0] * h, Rounded.exact(one * f), one * g)
        below += exact < 0
        assert exact >= 0 or not terms.hold(one[0, 0] * s).any()
    assert below > 50


def test_errors_of_squares_are_counted() -> None:
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    known = Rounded(one * 0.25, one * 2.0**-20)
    for more, holds in ((2.0**-21, False), (2.0**-19, True)):
        terms = Terms(one[0] * (0.5 + more), known, one)
        assert bool(terms.hold(one[0, 0] * 0.25).all()) is holds


@pytest.mark.parametrize("seed", SEEDS)
def test_products_of_rows_are_bounded_from_above(seed: int) -> None:
    """Of rows that are known up to an error as well."""
    value, error = randn(seed, 1, 3, 5), rand(seed + 1, 1, 3, 5) * 2.0**-40 * (seed % 2)
    for signs in (-1.0, 0.0, 1.0):
        exact = rational((value + signs * error)[0])
        found = Rounded(value, error * (1 + 2.0**-10)).gram_above()
        assert is_above(found, product(exact, turned(exact)))
