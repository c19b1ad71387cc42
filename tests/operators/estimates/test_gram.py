"""Gram iteration: above the norm, converging, differentiable."""

import math

import pytest
import torch

from autolip.errors import InputError
from autolip.operators import Convolution, Geometry
from autolip.operators.estimates import gram
from autolip.operators.estimates.gram import gram_convolution_norm, gram_kernel_norm, gram_norm
from autolip.operators.norms.engine import NormOptions
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.operators.norms.symbol.torus import circular_norm
from autolip.values import Upper


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def supremum(weight: torch.Tensor, stride: int, dilation: int, groups: int) -> float:
    axes = weight.dim() - 2
    geometry = Geometry((stride,) * axes, (0,) * axes, (dilation,) * axes, groups=groups)
    operator = Convolution(weight, (weight.shape[1] * groups, *[40] * axes), geometry)
    bound = symbol_norm(operator, NormOptions(tolerance=1e-6))
    assert isinstance(bound, Upper)
    return bound.value / (1 + 1e-6)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (1, 1), (40, 40), (4, 2, 6, 3)])
def test_bound_is_above_the_norm_and_converges(shape: tuple[int, ...]) -> None:
    matrix = normal(*shape)
    exact = torch.linalg.matrix_norm(matrix, 2)
    previous = torch.full_like(exact, math.inf)
    for iterations in range(1, 12):
        bound = gram_norm(matrix, iterations)
        assert bound.shape == exact.shape
        assert (bound >= exact * (1 - 1e-13)).all() and (bound <= previous * (1 + 1e-13)).all()
        assert (bound <= exact * min(shape[-2:]) ** (1 / 2 ** (iterations + 1)) * (1 + 1e-13)).all()
        previous = bound


def test_complex_matrices() -> None:
    matrix = torch.complex(normal(6, 4), normal(6, 4, seed=1))
    assert gram_norm(matrix, 12).item() == pytest.approx(
        torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-3
    )


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_rescaling_prevents_overflow_and_underflow(scale: float) -> None:
    matrix = normal(8, 8)
    assert gram_norm(matrix * scale, 10).item() == pytest.approx(
        gram_norm(matrix, 10).item() * scale
    )


def test_gradient_is_that_of_the_norm() -> None:
    matrix = normal(7, 5).requires_grad_()
    gram_norm(matrix, 14).backward()
    left, _, right = torch.linalg.svd(matrix.detach())
    assert torch.allclose(matrix.grad, torch.outer(left[:, 0], right[0]), atol=1e-3)
    assert torch.autograd.gradcheck(lambda m: gram_norm(m, 3), (normal(3, 4).requires_grad_(),))


def test_zero_has_norm_zero_and_gradient_zero() -> None:
    matrix = torch.zeros(2, 3, 4, dtype=torch.float64)
    matrix[1] = normal(3, 4)
    matrix.requires_grad_()
    bound = gram_norm(matrix)
    bound.sum().backward()
    assert bound[0] == 0 and (matrix.grad[0] == 0).all() and matrix.grad[1].isfinite().all()


CONVOLUTIONS = [
    ((4, 3, 3, 3), 1, 1, 1),
    ((4, 3, 3, 3), 2, 1, 1),
    ((4, 3, 4, 4), 2, 1, 1),
    ((4, 3, 3, 3), 1, 2, 1),
    ((4, 3, 3, 3), 3, 2, 1),
    ((6, 1, 3, 3), 1, 1, 6),
    ((3, 4, 1, 1), 1, 1, 1),
    ((3, 4, 2, 5), 1, 1, 1),
    ((3, 2, 5), 1, 1, 1),
    ((2, 2, 2, 3, 2), 1, 1, 1),
]


@pytest.mark.parametrize(("shape", "stride", "dilation", "groups"), CONVOLUTIONS)
def test_convolution_bound_is_above_the_supremum(
    shape: tuple[int, ...], stride: int, dilation: int, groups: int
) -> None:
    weight, settings = normal(*shape), {"stride": stride, "dilation": dilation, "groups": groups}
    exact = supremum(weight, stride, dilation, groups)
    bound = gram_convolution_norm(weight, iterations=12, **settings)
    assert exact * (1 - 1e-12) <= bound.item() <= exact * 1.03
    coarse = gram_convolution_norm(weight, grid=2 * max(shape[2:]), iterations=12, **settings)
    assert exact * (1 - 1e-12) <= coarse.item()
    assert (
        exact * (1 - 1e-12)
        <= gram_kernel_norm(weight, iterations=3, **settings).item()
        <= exact * 1.5
    )


def test_circular_bound_converges_to_the_torus_norm() -> None:
    weight = normal(3, 2, 3, 3)
    exact = circular_norm(weight, (6, 8), (1, 1), (1, 1))
    assert isinstance(exact, Upper)
    bound = gram_convolution_norm(weight, grid=(6, 8), circular=True, iterations=14)
    assert exact.value * (1 - 1e-7) <= bound.item() <= exact.value * (1 + 1e-3)


def test_training_a_kernel_towards_norm_one() -> None:
    weight = normal(4, 4, 3, 3).mul(0.2).float().requires_grad_()
    optimiser = torch.optim.SGD([weight], lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        (gram_convolution_norm(weight, grid=8) - 1).square().backward()
        optimiser.step()
    assert weight.dtype == torch.float32
    assert gram_convolution_norm(weight, grid=8).item() == pytest.approx(1, abs=0.05)
    assert 0.4 < supremum(weight.detach(), 1, 1, 1) < 1.05


def test_gradients_of_convolution_bounds() -> None:
    weight = normal(2, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: gram_convolution_norm(w, iterations=3), (weight,))
    assert torch.autograd.gradcheck(lambda w: gram_kernel_norm(w, iterations=2), (weight,))


def test_zero_kernels() -> None:
    zero = torch.zeros(2, 2, 3, 3)
    assert gram_convolution_norm(zero) == 0 and gram_kernel_norm(zero) == 0


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="too coarse"):
        gram_convolution_norm(normal(2, 2, 3, 3), grid=4)
    with pytest.raises(InputError, match="one number for each"):
        gram_convolution_norm(normal(2, 2, 3, 3), stride=(1, 1, 1))
    with pytest.raises(InputError, match="at least once"):
        gram_kernel_norm(normal(2, 2, 3, 3), iterations=0)


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("_riesz", lambda taps, sizes: 1.05),
        ("polyphase", lambda weight, stride, dilation, groups: weight[None, ..., 1:]),
        (
            "_root",
            lambda size, logarithm, iterations: (
                (size.log() + logarithm) / 2 ** (iterations + 1)
            ).exp(),
        ),
    ],
)
def test_a_planted_mistake_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, plant: object
) -> None:
    weight = normal(4, 3, 3, 3)
    exact = supremum(weight, 1, 1, 1)
    assert exact <= gram_convolution_norm(weight, iterations=12).item() <= exact * 1.03
    monkeypatch.setattr(gram, name, plant)
    assert not exact <= gram_convolution_norm(weight, iterations=12).item() <= exact * 1.03
