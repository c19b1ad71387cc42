"""Models that compute derivatives are captured as what they compute."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jacfwd, jacrev, vmap

from autolip import lipschitz
from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError

Function = Callable[[Tensor], Tensor]


def mlp(act: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 5), act, nn.Linear(5, 5), act, nn.Linear(5, 1)).eval()


def energy(act: nn.Module) -> Function:
    model = mlp(act)
    return lambda x: model(3 * x).sum()


def upper(function: Function, point: Tensor, method: str = "autolip") -> float:
    found = lipschitz(function, point, method=method, lower=()).upper
    assert found is not None
    assert found.value is not None
    return found.value


class Forces(nn.Module):
    """Minus the gradient of an energy, as force fields write it."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = mlp(nn.SiLU())

    def forward(self, positions: Tensor) -> Tensor:
        with torch.enable_grad():
            positions = positions.requires_grad_(True)
            total = self.energy(positions).sum()
            (slope,) = torch.autograd.grad(total, positions, create_graph=True)
        return -slope


def slopes_of_tanh(x: Tensor) -> Tensor:
    """It relies on gradients being enabled where it is called."""
    return torch.autograd.grad(x.requires_grad_().tanh().sum(), x)[0]


class Denoiser(nn.Module):
    """x - grad E(x), E a sum of convex potentials of a convolution."""

    def __init__(self, stride: int, groups: int) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.filters = nn.Conv2d(2, 4, 3, stride, padding=1, dilation=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        def potential(z: Tensor) -> Tensor:
            return nn.functional.softplus(self.filters(z)).sum()

        return x - grad(potential)(x)


POINT = torch.tensor([0.3, -0.5, 0.2])
IMAGE = torch.linspace(-1, 1, 2 * 5 * 6).reshape(1, 2, 5, 6)

BOUNDED: dict[str, tuple[Function, Tensor]] = {
    "tanh": (grad(energy(nn.Tanh())), POINT),
    "sigmoid": (grad(energy(nn.Sigmoid())), POINT),
    "softplus": (grad(energy(nn.Softplus(2.0))), POINT),
    "silu": (grad(energy(nn.SiLU())), POINT),
    "gelu": (grad(energy(nn.GELU())), POINT),
    "gelu by tanh": (grad(energy(nn.GELU("tanh"))), POINT),
    "elu": (grad(energy(nn.ELU())), POINT),
    "jacrev": (jacrev(mlp(nn.Tanh())), POINT),
    "jacfwd": (jacfwd(mlp(nn.Tanh())), POINT),
    "hessian": (hessian(energy(nn.Tanh())), POINT),
    "of a batch": (vmap(grad(energy(nn.SiLU()))), torch.stack([POINT, -POINT])),
    "forces": (Forces(), POINT),
    "jacrev of silu": (jacrev(mlp(nn.SiLU())), POINT),
    "of its input": (slopes_of_tanh, POINT),
    "denoiser": (Denoiser(1, 1), IMAGE),
    "denoiser by strides": (Denoiser(2, 2), IMAGE),
}
"""Gradients that are Lipschitz everywhere."""


SLOW = {"jacfwd", "hessian", "jacrev of silu", "of a batch", "gelu by tanh", "denoiser"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in BOUNDED]
)
def test_a_gradient_is_bounded_everywhere_by_more_than_it_attains(name: str) -> None:
    function, point = BOUNDED[name]
    capture = capture_model(function, (point,))
    assert replay(capture) < 1e-10
    generator = torch.Generator().manual_seed(0)
    most = upper(function, point)
    for size in (0.1, 1.0, 3.0):
        x = size * torch.randn(point.shape, generator=generator, dtype=torch.float64)
        step = torch.randn(point.shape, generator=generator, dtype=torch.float64)
        y = x + 1e-2 * step
        apart = (capture.reference(x) - capture.reference(y)).norm() / (x - y).norm()
        assert 0 < apart.item() <= most < 1e4


def test_the_norm_of_the_second_derivative_of_a_square_is_known() -> None:
    matrix = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    function = grad(lambda x: ((matrix @ x) ** 2).sum() / 2)
    exact = torch.linalg.matrix_norm((matrix.T @ matrix).double(), 2).item()
    assert exact <= upper(function, torch.zeros(2)) <= exact * (1 + 1e-6)


@pytest.mark.parametrize(
    ("function", "bend"),
    [
        (nn.functional.silu, 0.5),
        (nn.functional.gelu, math.sqrt(2 / math.pi)),
        (torch.sigmoid, 1 / math.sqrt(108)),
        (torch.tanh, 4 / math.sqrt(27)),
        (nn.functional.softplus, 0.25),
        (nn.functional.elu, 1.0),
    ],
)
def test_the_smoothness_of_an_activation_is_its_second_derivative(
    function: Function, bend: float
) -> None:
    """To the width of a piece where it is taken of several parts."""
    slope = grad(lambda x: function(x).sum())
    assert bend * (1 - 1e-12) <= upper(slope, POINT) <= bend * 1.01


@pytest.mark.parametrize("function", [nn.functional.silu, nn.functional.gelu])
def test_a_gradient_has_lower_bounds_too(function: Function) -> None:
    found = lipschitz(grad(lambda x: function(x).sum()), POINT, method="autolip").lower
    assert found is not None
    assert found.value is not None
    assert found.value > 0.4


def test_a_transposed_convolution_is_pulled_back() -> None:
    torch.manual_seed(5)
    layer = nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
    function = grad(lambda x: layer(x).tanh().sum())
    assert replay(capture_model(function, (IMAGE,))) < 1e-10
    assert upper(function, IMAGE) < 1e4


def test_a_gradient_that_jumps_is_not_bounded() -> None:
    function = grad(energy(nn.ReLU()))
    assert replay(capture_model(function, (POINT,))) < 1e-10
    assert upper(function, POINT) == torch.inf


def test_zeros_that_are_filled_in_are_not_left_out() -> None:
    """The basis of directions is made of zeros, written to through a view."""

    def directional(x: Tensor) -> Tensor:
        direction = torch.zeros(3)
        direction.view(3)[0] = 2.0
        return torch.func.jvp(lambda z: z**3, (x,), (direction * torch.ones(3),))[1]

    capture = capture_model(directional, (POINT,))
    expected = torch.tensor([6 * 0.09, 0.0, 0.0], dtype=torch.float64)
    assert torch.allclose(capture.reference(POINT.double()), expected)
    assert replay(capture) < 1e-10


def test_a_zero_that_is_written_to_is_none() -> None:
    def spread(x: Tensor) -> Tensor:
        level = torch.zeros(())
        level.view(1).select(0, 0).fill_(2.0)
        return grad(lambda z: (z**2).sum())(x)[None] @ level.expand(3, 3)

    capture = capture_model(spread, (POINT,))
    assert capture.reference(torch.ones(3).double()).tolist() == [[12.0] * 3]
    assert replay(capture) < 1e-10


def test_the_arguments_keep_their_names() -> None:
    model = mlp(nn.Tanh())

    def slope(weights: Tensor, place: Tensor) -> Tensor:
        return grad(lambda z: (weights * model(z)).sum())(place)

    assert capture_model(slope, (torch.ones(1), POINT), "place").input_name == "place"
    assert capture_model(jacrev(model), (POINT,)).input_name != "kwargs"


def test_steps_of_a_derivative_stand_at_the_line_that_asks_for_it() -> None:
    """The energy at its own lines, what is pulled back at the line of the derivative."""

    def value(x: Tensor) -> Tensor:
        return x.sin().sum()

    def force(x: Tensor) -> Tensor:
        return grad(value)(x)

    found = {str(n.target): n.place.source for n in capture_model(force, (torch.ones(1, 3),)).graph}
    file, line = Path(__file__).name, force.__code__.co_firstlineno + 1
    assert found["aten.cos.default"] == f"{file}:{line}"
    jumps = lipschitz(lambda x: hessian(value)(x) / x.sum(), (1, 3), method="autolip", lower=())
    (note, *_) = jumps.upper.notes
    assert f"({file}:" in note


def test_a_branch_on_the_data_inside_is_refused() -> None:
    def bent(x: Tensor) -> Tensor:
        return (x**2).sum() if x.sum() > 0 else x.sum()

    with pytest.raises(InputError, match="depends on the data"):
        capture_model(grad(bent), (POINT,))
