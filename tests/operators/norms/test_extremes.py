"""Every norm engine at both ends of floating point: no norm is bounded by less than it is, nor by 0
if it is not."""

import math
from fractions import Fraction

import pytest
import torch

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators import Convolution, Dense, Diagonal, Geometry, Operator, Traced, compose
from autolip.operators.norms import NormOptions, candidates
from autolip.operators.norms.lanczos import lanczos
from autolip.values import Upper

SIZES = [5e-324, 1e-310, 1e-300, 1e-200, 1e-160, 1e-120, 1e120, 1e160, 1e200, 1e300]
M, N = 3, 2


def squared_norm(p: Norm, q: Norm, size: Fraction) -> Fraction:
    """||A||_{p -> q}^2 of the 3 x 2 matrix whose entries are all `size`: attained at e_1 or at the
    vector of ones."""
    into = {Norm.L1: Fraction(1), Norm.L2: Fraction(N), Norm.LINF: Fraction(N * N)}[p]
    out = {Norm.L1: Fraction(M * M), Norm.L2: Fraction(M), Norm.LINF: Fraction(1)}[q]
    return into * out * size * size


def told(operator: Operator, p: Norm, q: Norm) -> dict[str, float]:
    found = {one.engine: one.bound for one in candidates(operator, p, q, NormOptions())}
    return {name: bound.value for name, bound in found.items() if isinstance(bound, Upper)}


def kinds(size: float) -> dict[str, tuple[Operator, Fraction]]:
    """Maps whose entries are all the same, and that entry."""
    exact, weight = Fraction(size), torch.full((M, N), size, dtype=torch.float64)
    ones = torch.ones(M, N, dtype=torch.float64)
    root = 2.0 ** round(math.log2(size) / 2)
    half = Diagonal(torch.full((M,), root, dtype=torch.float64), (M,))
    halved = torch.full((M, N), size / root, dtype=torch.float64)
    return {
        "dense": (Dense(weight), exact),
        "uncertain": (Dense(weight, (N,), 2.0**-30), exact),
        "composed": (
            compose(Diagonal(torch.full((M,), size, dtype=torch.float64), (M,)), Dense(ones)),
            exact,
        ),
        "halves": (compose(half, Dense(halved)), Fraction(root) * Fraction(size / root)),
        "many": (
            compose(half, Dense(halved), Dense(torch.eye(N).double())),
            Fraction(root) * Fraction(size / root),
        ),
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("p", "q"), [(p, q) for p in Norm for q in Norm])
def test_matrices_of_one_entry(size: float, p: Norm, q: Norm) -> None:
    for kind, (operator, entry) in kinds(size).items():
        exact = squared_norm(p, q, entry)
        for engine, value in told(operator, p, q).items():
            assert math.isinf(value) or Fraction(value) ** 2 >= exact, (kind, engine, value)


@pytest.mark.parametrize("size", SIZES)
def test_convolutions_of_one_tap(size: float) -> None:
    weight = torch.full((1, 1, 1, 1), size, dtype=torch.float64)
    operator = Convolution(weight, (1, 4, 4), Geometry((1, 1), (0, 0), (1, 1)))
    for p, q in [(Norm.L2, Norm.L2), (Norm.L1, Norm.L1), (Norm.L1, Norm.LINF)]:
        assert all(value >= size for value in told(operator, p, q).values())


@pytest.mark.parametrize("sizes", [(1e-200, 1e-200, 1e-200), (1e-170, 1e-170), (5e-324, 5e-324)])
@pytest.mark.parametrize(("p", "q"), [(p, q) for p in Norm for q in Norm])
def test_a_product_that_underflows_is_not_zero(sizes: tuple[float, ...], p: Norm, q: Norm) -> None:
    operator = compose(*(Dense(torch.full((2, 2), size, dtype=torch.float64)) for size in sizes))
    found = told(operator, p, q)
    assert found and min(found.values()) > 0


def test_lanczos_does_not_take_an_image_of_zero_for_a_zero_map() -> None:
    """1e-300^4 underflows whatever the start; a map that is 0 has other engines that prove it."""
    tiny = Traced(lambda x: x * 1e-300 * 1e-300 * 1e-300 * 1e-300, (7,), terms=1)
    zero = Diagonal(torch.zeros(7, dtype=torch.float64), (7,))
    assert isinstance(lanczos(tiny, NormOptions()), Refusal) and isinstance(
        lanczos(zero, NormOptions()), Refusal
    )
    assert set(told(zero, Norm.L2, Norm.L2).values()) == {0.0}


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("p", "q"), [(p, q) for p in Norm for q in Norm])
def test_entries_that_are_no_numbers_are_bounded_by_nothing(bad: float, p: Norm, q: Norm) -> None:
    """Beside finite ones, before and after them: the largest of a list that holds NaN depends on
    its order."""
    for place in (0, 3, 8):
        weight = torch.ones(9, dtype=torch.float64)
        weight[place] = bad
        for operator in (
            Dense(weight.reshape(3, 3)),
            compose(Dense(weight.reshape(3, 3)), Dense(torch.ones(3, 4).double())),
        ):
            assert all(math.isinf(value) for value in told(operator, p, q).values())
