"""The certificate of a multiplier bound, judged by rational arithmetic."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from autolip.intervals import centre_and_radius
from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import balanced


def exact_matrix(gram, c, r, t):
    """M(t) of the stored numbers, as fractions."""
    p, n = gram.a.shape
    rows = [list(map(Fraction, x)) for x in [*gram.a.tolist(), *gram.b.T.tolist()]]
    c, r, t = (list(map(Fraction, x[0].tolist())) for x in (c, r, t))
    weights = {
        (True, True): [x * y for x, y in zip(r, t, strict=True)],
        (False, False): [x / y for x, y in zip(r, t, strict=True)],
        (True, False): c,
        (False, True): c,
    }
    order = range(len(rows))
    return [
        [sum(rows[i][k] * rows[j][k] * weights[i < p, j < p][k] for k in range(n)) for j in order]
        for i in order
    ]


def is_definite(matrix):
    """Whether a symmetric matrix of fractions is positive semidefinite, by elimination without
    rounding."""
    matrix = [row[:] for row in matrix]
    for k in range(len(matrix)):
        if matrix[k][k] <= 0:
            return matrix[k][k] == 0 and not any(matrix[i][k] for i in range(k, len(matrix)))
        for i in range(k + 1, len(matrix)):
            factor = matrix[i][k] / matrix[k][k]
            matrix[i] = [x - factor * y for x, y in zip(matrix[i], matrix[k], strict=True)]
    return True


def problem(pair_of, n, seed, p=3):
    pair, _ = balanced(*pair_of(p, n, p, seed).parts())
    c, r = centre_and_radius(pair.lo[None] - 0.1, pair.hi[None])
    return Gram.of(pair), c, r, torch.linspace(0.1, 7.3, n).double()[None]


@pytest.mark.parametrize("n", [1, 4, 9, 30])
def test_rounding_of_the_matrix_stays_below_the_slack(pair_of, n):
    gram, c, r, t = problem(pair_of, n, n)
    exact, computed = exact_matrix(gram, c, r, t), gram.matrix(c, r, t)[0].tolist()
    order = range(gram.order)
    error = sum(
        (Fraction(computed[i][j]) - exact[i][j]) ** 2 for i, j in itertools.product(order, order)
    )
    assert 0 < math.sqrt(error) <= gram.slack(c, r, t, torch.zeros(1).double()).item()


def least_factorised(gram, c, r, t):
    """About the least beta at which the factorisation still completes."""
    low, high = 0.0, 1e3
    while low < (middle := (low + high) / 2) < high:
        complete = bool(gram.factorised(c, r, t, torch.tensor([middle], dtype=torch.float64))[1])
        low, high = (low, middle) if complete else (middle, high)
    return high


def test_whatever_factorises_is_proved_with_the_slack_and_not_without(pair_of):
    """beta I - M of fractions is definite at beta + slack for the least beta that factorises."""
    false_without = 0
    for seed in range(12):
        gram, c, r, t = problem(pair_of, 40, seed, p=1 + seed % 3)
        beta = least_factorised(gram, c, r, t)
        slack = gram.slack(c, r, t, torch.tensor([beta], dtype=torch.float64)).item()
        exact = exact_matrix(gram, c, r, t)
        at = [Fraction(beta), Fraction(beta) + Fraction(slack)]
        minus, plus = (
            is_definite(
                [[x * (i == j) - y for j, y in enumerate(row)] for i, row in enumerate(exact)]
            )
            for x in at
        )
        assert plus
        false_without += not minus
    assert false_without > 0
