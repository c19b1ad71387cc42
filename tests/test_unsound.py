"""Numbers in circulation that are not bounds: on networks made here ours stays above what is
attained, theirs not.

Each case gives a network and the too small value that a known mistake returns; the attained slope,
measured by finite differences of the original model, refutes it, and our upper bound must not be
refuted.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip import UnsupportedOperation, lipschitz


def attained(model: Callable[[Tensor], Tensor], points: Tensor, step: float = 1e-5) -> float:
    """The largest l2 slope of the function itself along the top singular direction of its
    difference quotients."""
    best = 0.0
    for x in points.double():
        basis = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape)
        columns = [
            (model(x + step * e) - model(x - step * e)).flatten() / (2 * step) for e in basis
        ]
        direction = torch.linalg.svd(torch.stack(columns, 1))[2][0].reshape(x.shape)
        best = max(
            best,
            (
                (model(x + step * direction) - model(x - step * direction)).norm() / (2 * step)
            ).item(),
        )
    return best


def upper(model: object, x: Tensor) -> float:
    bound = lipschitz(model, (x,), lower=()).upper
    assert bound is not None
    return bound.value


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def top(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.double(), 2).item()


def overlapping_pool() -> tuple[nn.Module, Tensor, float]:
    """A pool 3/2 counted as 1-Lipschitz: a single large entry is the maximum of four windows."""
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 10.0
    return nn.MaxPool2d(3, 2), x, 1.0


def silu() -> tuple[nn.Module, Tensor, float]:
    """SiLU's slope taken as [0, 1]; it reaches 1.0998."""
    return nn.SiLU(), torch.full((1, 3), 2.3994), 1.0


def gelu() -> tuple[nn.Module, Tensor, float]:
    """GELU's slope taken as [0, 1]; it reaches 1.1289."""
    return nn.GELU(), torch.full((1, 3), 2**0.5), 1.0


def elu() -> tuple[nn.Module, Tensor, float]:
    """An ELU that forgot alpha."""
    return nn.ELU(alpha=3.0), torch.full((1, 3), -1e-3), 1.0


def grouped() -> tuple[nn.Module, Tensor, float]:
    """The product of the groups' norms instead of their maximum."""
    layer = nn.Conv1d(8, 8, 1, groups=4, bias=False)
    layer.weight.data *= 0.2
    product = torch.stack(
        [torch.linalg.matrix_norm(w, 2) for w in layer.weight.data.reshape(4, 2, 2)]
    ).prod()
    return layer, torch.randn(1, 8, 2), product.item()


def batch_norm() -> tuple[nn.Module, Tensor, float]:
    """Batch norm counted as 1."""
    layer = nn.BatchNorm1d(3)
    layer.running_var.copy_(torch.tensor([1e-2, 1.0, 4.0]))
    layer.weight.data.copy_(torch.tensor([-3.0, 1.0, 1.0]))
    return layer, torch.randn(1, 3), 1.0


class Residual(nn.Module):
    """x + W x, walked module by module: the skip is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def residual() -> tuple[nn.Module, Tensor, float]:
    model = Residual()
    return model, torch.randn(1, 4), top(model.inner.weight)


class Detached(nn.Module):
    """W.detach() x + x: autograd sees 1, the function does not."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.detach()) + x


class Shared(nn.Module):
    """One weight used three times, counted once."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4, bias=False)
        self.inner.weight.data = torch.diag(torch.tensor([2.0, 1.0, 0.5, 0.1]))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = torch.relu(self.inner(x))
        return x


def shared() -> tuple[nn.Module, Tensor, float]:
    return Shared(), torch.rand(1, 4) + 1, 2.0


def reshaped_kernel() -> tuple[nn.Module, Tensor, float]:
    """The norm of the reshaped kernel taken for the convolution's."""
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    layer.weight.data.abs_()
    return layer, torch.randn(1, 2, 6, 6), top(layer.weight.data.flatten(1))


def skipped_layers() -> tuple[nn.Module, Tensor, float]:
    """Convolution plus head, the head skipped or its first layer dropped."""
    model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(24, 2))
    model[2].weight.data *= 3
    return model, torch.randn(1, 1, 6), 0.5 * top(model[2].weight)


def half_of_it() -> tuple[nn.Module, Tensor, float]:
    """1/2 per layer boundary for every layer, the loop one step too long: half the value."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    model[0].bias.data.fill_(50.0)  # every neuron active at the origin
    product = model[2].weight.double() @ model[0].weight.double()
    return model, torch.zeros(1, 3), 0.5 * top(product)


CASES = [
    overlapping_pool,
    silu,
    gelu,
    elu,
    grouped,
    batch_norm,
    residual,
    lambda: (Detached(), torch.randn(1, 4), 1.0),
    shared,
    reshaped_kernel,
    skipped_layers,
    half_of_it,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_mistake_is_refuted_and_ours_is_not(
    case: Callable[[], tuple[nn.Module, Tensor, float]],
) -> None:
    model, x, mistaken = case()
    model.eval()
    bound = upper(model, x)
    slope = attained(model.double(), x.unsqueeze(0))
    assert slope > mistaken * (1 + 1e-9), "this case does not show the mistake"
    assert bound >= slope * (1 - 1e-8)
    assert bound <= 2.5 * slope, "and it is not loose either"


def test_unknown_layers_are_refused_by_name_all_at_once() -> None:
    class Unknown(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    model = nn.Sequential(Unknown(), nn.ReLU(), nn.Sequential(Unknown()))
    with pytest.raises(
        UnsupportedOperation, match=r"(?s)2 operations.*at 0 \(test_unsound.py:.*at 2\.0 \("
    ) as caught:
        lipschitz(model.eval(), (torch.randn(1, 3),))
    assert "special_bessel_j0" in str(caught.value)


@pytest.mark.parametrize(
    "jump", [torch.sign, torch.round, torch.floor, lambda x: (x > 0).to(x.dtype)]
)
def test_discontinuities_are_infinite_with_their_place(jump: Callable[[Tensor], Tensor]) -> None:
    class Jump(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return jump(x)

    result = lipschitz(
        nn.Sequential(nn.Linear(3, 3), Jump()).eval(), (torch.randn(1, 3),), lower=()
    )
    assert result.upper is not None and result.upper.value == float("inf")
    assert "at 1 (test_unsound.py:" in result.upper.notes[0]


def test_batch_mixing_is_part_of_the_claim() -> None:
    """A view that mixes samples: the constant is that of the map on the whole input tensor."""
    result = lipschitz(lambda x: F.relu(x.view(-1, 4).sum(0)), (torch.randn(2, 2, 2),), lower=())
    assert result.upper is not None and result.upper.value == pytest.approx(2**0.5)
    assert result.assumptions["input_shape"] == [2, 2, 2]
