"""The published power method, its deflation, and leading singular triplets, against dense
decompositions."""

import pytest
import torch

from autolip.errors import InputError
from autolip.operators import Convolution, Dense, Geometry, Operator, Zero
from autolip.operators.estimates import power
from autolip.operators.estimates.power import (
    Singular,
    deflated_power_method,
    power_method,
    top_singular,
)
from autolip.values import Estimate


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def convolution() -> Convolution:
    return Convolution(normal(4, 3, 3, 3), (3, 9, 8), Geometry((2, 1), (1, 1), (1, 1)))


def with_spectrum(values: list[float], m: int, n: int) -> Dense:
    left, _ = torch.linalg.qr(normal(m, len(values)))
    right, _ = torch.linalg.qr(normal(n, len(values), seed=1))
    return Dense(left * torch.tensor(values, dtype=torch.float64) @ right.T)


def assert_triplets(operator: Operator, found: Singular, k: int, accuracy: float) -> None:
    """Values as in the dense decomposition, orthonormal vectors, A right = left values and A^T left
    = right values."""
    exact = torch.linalg.svdvals(operator.matrix())[:k]
    scale = float(exact[0])
    assert found.left.shape == (k, *operator.out_shape) and found.right.shape == (
        k,
        *operator.in_shape,
    )
    assert torch.allclose(found.values, exact, atol=accuracy * scale)
    left, right = found.left.flatten(1), found.right.flatten(1)
    assert torch.allclose(left @ left.T, torch.eye(k, dtype=left.dtype), atol=1e-7)
    assert torch.allclose(right @ right.T, torch.eye(k, dtype=left.dtype), atol=1e-7)
    assert torch.allclose(
        operator.mv(found.right).flatten(1), left * found.values[:, None], atol=1e-7 * scale
    )
    assert torch.allclose(
        operator.rmv(found.left).flatten(1), right * found.values[:, None], atol=1e-4 * scale
    )


def test_power_method_approaches_the_norm_from_below() -> None:
    operator = convolution()
    exact = torch.linalg.matrix_norm(operator.matrix(), 2).item()
    values = [power_method(operator, iterations=n, seed=3).value for n in (0, 1, 10, 100, 1000)]
    assert values == sorted(values) and values[-1] <= exact * (1 + 1e-14)
    assert values[-1] == pytest.approx(exact, rel=1e-5) and values[0] < 0.9 * exact


def test_power_method_by_autodiff_equals_the_one_by_products() -> None:
    layer = torch.nn.Conv2d(3, 4, 3, padding=1, dtype=torch.float64).requires_grad_(False)
    operator = Convolution(layer.weight, (3, 6, 6), Geometry((1, 1), (1, 1), (1, 1)))
    found = power_method(layer, (3, 6, 6), iterations=20, seed=1)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(
        power_method(operator, iterations=20, seed=1).value, rel=1e-12
    )


def test_power_method_of_any_affine_function() -> None:
    matrix = normal(5, 4)
    found = power_method(lambda x: (matrix @ x.T).flip(0) + 7, (3, 4), iterations=200)
    assert found.value == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-9)


def test_power_method_under_no_grad_and_of_constants() -> None:
    with torch.no_grad():
        assert power_method(lambda x: 2 * x, (3,), iterations=3).value == pytest.approx(2)
        assert (
            power_method(
                lambda x: torch.ones(2, dtype=x.dtype) + 0 * x.sum(), (3,), iterations=3
            ).value
            == 0
        )
    assert power_method(Zero((3,), (2,))).value == 0


def test_power_method_depends_on_its_seed_alone() -> None:
    operator = convolution()
    assert power_method(operator, iterations=3, seed=5) == power_method(
        operator, iterations=3, seed=5
    )
    assert power_method(operator, iterations=3, seed=5) != power_method(
        operator, iterations=3, seed=6
    )


def test_deflation_finds_the_leading_triplets() -> None:
    operator = with_spectrum([5, 3, 2, 1, 0.3], 8, 6)
    assert_triplets(operator, deflated_power_method(operator, k=4, iterations=200), 4, 1e-10)
    by_autodiff = deflated_power_method(
        lambda x: operator.weight @ x + 1, (6,), k=4, iterations=200
    )
    assert_triplets(operator, by_autodiff, 4, 1e-10)


def test_deflation_beyond_the_rank_gives_zeros() -> None:
    found = deflated_power_method(with_spectrum([2, 1], 5, 4), k=4, iterations=100)
    assert found.values.tolist() == pytest.approx([2, 1, 0, 0], abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 7, 30, 81, 160])
def test_top_singular_of_a_convolution(k: int) -> None:
    operator = convolution()
    assert_triplets(operator, top_singular(operator, k), k, 1e-10)


@pytest.mark.parametrize("shape", [(200, 90), (90, 200), (3, 500)])
def test_top_singular_of_matrices(shape: tuple[int, int]) -> None:
    operator = Dense(normal(*shape))
    assert_triplets(operator, top_singular(operator, 3), 3, 1e-10)


def test_top_singular_of_clustered_values() -> None:
    operator = with_spectrum([1.0] * 6 + [0.5] * 40, 60, 50)
    assert_triplets(operator, top_singular(operator, 4), 4, 1e-10)


def test_top_singular_of_zero() -> None:
    found = top_singular(Zero((40,), (50,)), 2)
    assert (found.values == 0).all()


def test_bad_input_is_refused() -> None:
    operator = Dense(normal(3, 4))
    for wrong in (0, 4):
        with pytest.raises(InputError, match="singular vectors"):
            top_singular(operator, wrong)
    with pytest.raises(InputError, match="singular vectors"):
        deflated_power_method(operator, k=5)
    with pytest.raises(InputError, match="shape of its input"):
        power_method(lambda x: x)


@pytest.mark.parametrize(
    ("name", "plant"),
    [("_orthogonal", lambda v, basis: v), ("_unit", lambda v: v / v.abs().sum())],
)
def test_a_planted_mistake_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, plant: object
) -> None:
    monkeypatch.setattr(power, name, plant)
    operator = with_spectrum([5, 3, 2, 1, 0.3], 8, 6)
    with pytest.raises(AssertionError):
        assert_triplets(operator, deflated_power_method(operator, k=3, iterations=100), 3, 1e-10)
