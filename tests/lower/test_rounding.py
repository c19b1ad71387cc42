"""The rounding bound, against evaluation in rational arithmetic."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from autolip.lower.rounding import rounding_error
from autolip.norms import Norm


def rationals(values: Tensor) -> list[Fraction]:
    return [Fraction(value) for value in values.flatten().tolist()]


def exact_layer(layer: nn.Module, x: list[Fraction]) -> list[Fraction]:
    if isinstance(layer, nn.ReLU):
        return [max(value, Fraction(0)) for value in x]
    rows = [rationals(row) for row in layer.weight.detach()]
    return [
        sum((a * b for a, b in zip(row, x, strict=True)), bias)
        for row, bias in zip(rows, rationals(layer.bias.detach()), strict=True)
    ]


def exact(model: nn.Sequential, x: Tensor) -> list[Fraction]:
    values = rationals(x)
    for layer in model:
        values = exact_layer(layer, values)
    return values


def network(seed: int, scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = (
        nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2))
        .double()
        .eval()
    )
    model[4].bias.data += scale
    return model


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_covers_the_true_error_and_not_by_much(pose, scale: float) -> None:
    worst = 0.0
    for seed in range(4):
        model, x = network(seed, scale), torch.randn(6, dtype=torch.float64)
        u = nn.functional.normalize(torch.randn(2, dtype=torch.float64), dim=0)
        computed = model(x).detach()
        truth = exact(model, x)
        gap = sum(
            Fraction(a) * (Fraction(b) - c)
            for a, b, c in zip(u.tolist(), computed.tolist(), truth, strict=True)
        )
        bound = rounding_error(pose(model, x), x, u)
        assert abs(gap) <= bound
        worst = max(worst, float(abs(gap)) / bound)
    assert worst > 1e-4, "the bound says nothing if it is ten thousand times too large"


CASES: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "softmax": (lambda x: torch.softmax(x, -1), (3, 5)),
    "layer norm": (lambda x: nn.functional.layer_norm(x, (5,)), (3, 5)),
    "gelu": (lambda x: nn.functional.gelu(x), (3, 5)),
    "mean": (lambda x: (x + 1e6).mean(0) - 1e6, (30, 2)),
    "cancellation": (lambda x: (x + 1e8) - 1e8, (4,)),
    "product": (lambda x: ((x * x).sum() - (x * x).mean())[None], (9,)),
    "matrices": (lambda x: x @ x.T @ x, (4, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_covers_the_difference_between_single_and_double_precision_scaled_down(
    pose, case: str
) -> None:
    """Rounding errors are proportional to the unit roundoff: those of float32 are 2^29 times
    larger."""
    function, shape = CASES[case]
    problem = pose(function, torch.ones(shape, dtype=torch.float64))
    for seed in range(5):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
        fine, coarse = function(x), function(x.float()).double()
        u = torch.randn(
            fine.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        gap = abs((u * (fine - coarse)).sum().item()) * 2.0**-29
        assert gap <= rounding_error(problem, x, u)


def test_moving_numbers_costs_the_read_out_only(pose) -> None:
    x = torch.rand(2, 3, dtype=torch.float64)
    u = torch.ones(3, 2, dtype=torch.float64)
    moved = rounding_error(pose(lambda x: torch.relu(x.T), x), x, u)
    added = rounding_error(pose(lambda x: torch.relu(x.T + 1.0), x), x, u)
    assert 0 < moved < added


def test_a_readout_is_part_of_the_function(pose) -> None:
    from autolip.outputs import Difference

    model = network(0)
    problem = pose(model, torch.ones(6, dtype=torch.float64), p=Norm.L2).reading(
        Difference(0, 1).readout(torch.Size([2]))
    )
    one = torch.ones(1, dtype=torch.float64)
    assert 0 < rounding_error(problem, torch.ones(6, dtype=torch.float64), one) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_sums_that_cancel(pose, seed: int) -> None:
    """The value is near 0: what is read off it is far below what its terms lose."""
    generator = torch.Generator().manual_seed(seed)
    w, x = torch.randn(2, 60, generator=generator, dtype=torch.float64)
    w[-1] = -(w[:-1] @ x[:-1]) / x[-1]
    model = nn.Linear(60, 1, bias=False).double().eval()
    model.weight.data = w[None]
    gap = abs(
        Fraction(model(x).item())
        - sum(a * b for a, b in zip(rationals(w), rationals(x), strict=True))
    )
    assert gap <= rounding_error(pose(model, x), x, torch.ones(1, dtype=torch.float64))
