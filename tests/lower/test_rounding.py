"""The rounding bound, against evaluation in rational arithmetic."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from autolip.lower.rounding import rounding_error
from autolip.norms import Norm
from tests.roundings.rational import exponential, root


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


def within(computed: Tensor, meant: list[Fraction], bound: float) -> bool:
    """Whether the sum of the entries is off by at most the bound."""
    gap = sum((Fraction(c) - m for c, m in zip(computed.flatten().tolist(), meant, strict=True)))
    return abs(gap) <= Fraction(bound)


def test_what_underflows(pose) -> None:
    """Squares of 1e-160 are 0 in floating point: what is left of them is multiplied by 1e300."""
    x = torch.full((4,), 1e-160, dtype=torch.float64)
    function = lambda x: (x * x) * 1e300  # noqa: E731
    meant = [Fraction(v) ** 2 * Fraction(1e300) for v in x.tolist()]
    one = torch.ones(4, dtype=torch.float64)
    assert within(function(x), meant, rounding_error(pose(function, x), x, one))


def test_sums_whose_terms_underflow(pose) -> None:
    model = nn.Linear(3, 1, bias=False).double().eval()
    model.weight.data.fill_(1e-160)
    function = lambda x: model(x) * 1e300  # noqa: E731
    x = torch.full((3,), 1.5e-163, dtype=torch.float64)
    meant = [3 * Fraction(1e-160) * Fraction(1.5e-163) * Fraction(1e300)]
    one = torch.ones(1, dtype=torch.float64)
    assert within(function(x), meant, rounding_error(pose(function, x), x, one))


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_what_an_operation_loses_of_its_operands(pose, offset: float) -> None:
    """Deviations from a mean cancel inside of the operation."""
    function = lambda x: nn.functional.layer_norm(x, (5,))  # noqa: E731
    for seed in range(5):
        x = torch.randn(5, generator=torch.Generator().manual_seed(seed)).double() + offset
        values = rationals(x)
        mean = sum(values) / 5
        spread = root(sum((v - mean) ** 2 for v in values) / 5 + Fraction(1e-5))
        meant = [(v - mean) / spread for v in values]
        u = torch.eye(5, dtype=torch.float64)[seed]
        found = function(x)[seed : seed + 1]
        assert within(found, meant[seed : seed + 1], rounding_error(pose(function, x), x, u))


def test_what_an_operation_of_which_nothing_is_known_loses_of_its_result(pose) -> None:
    """1 / (1 + e^-x) in one operation, where x is so small that its own rounding is nothing."""
    function = lambda x: (torch.sigmoid(x) - 0.5) * 1e8  # noqa: E731
    for seed in range(20):
        x = 1e-10 * torch.randn(1, generator=torch.Generator().manual_seed(seed)).double()
        share = 1 / (1 + exponential(-Fraction(x.item())))
        meant = [(share - Fraction(1, 2)) * Fraction(1e8)]
        one = torch.ones(1, dtype=torch.float64)
        assert within(function(x), meant, rounding_error(pose(function, x), x, one))


def test_what_an_operation_loses_of_its_result(pose) -> None:
    """e^x is rounded where x is exact and so small that its own rounding is nothing; a factor of
    1e8 is not above what is read."""
    function = lambda x: (torch.exp(x) - 1.0) * 1e8  # noqa: E731
    for seed in range(20):
        x = 1e-10 * torch.randn(1, generator=torch.Generator().manual_seed(seed)).double()
        meant = [(exponential(Fraction(x.item())) - 1) * Fraction(1e8)]
        one = torch.ones(1, dtype=torch.float64)
        assert within(function(x), meant, rounding_error(pose(function, x), x, one))


def test_a_difference_that_is_read_is_rounded(pose) -> None:
    from autolip.outputs import Difference

    x = torch.tensor([1.0, 2.0**-60], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    problem = pose(lambda x: x.clone(), x).reading(Difference(0, 1).readout(torch.Size([2])))
    meant = [Fraction(1) - Fraction(2) ** -60]
    assert within(x[:1] - x[1:], meant, rounding_error(problem, x, one))


ABSORBING: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: x - torch.relu((x + 1e16) - 1e16),
    "behind another": lambda x: x - torch.relu(((x + 1e16) - 1e16) - 0.2) - 0.1,
    "maximum": lambda x: x - torch.maximum((x + 1e16) - 1e16, 0 * x - 0.1),
    "clamp": lambda x: x - torch.clamp((x + 1e16) - 1e16, 0.0, 3.0),
    "comparison": lambda x: x - torch.where((x + 1e16) - 1e16 > 0, x, 0 * x),
    "pool": lambda x: (
        x[..., :1] - nn.functional.max_pool1d(torch.cat([(x + 1e16) - 1e16, 0 * x], -1), 2)
    ),
}
"""Functions of slope 0 between 0.3 and 0.9, for which floating point takes the other branch."""


@pytest.mark.parametrize("name", ABSORBING)
def test_branches_that_rounding_leaves_open(pose, name: str) -> None:
    x, y = (torch.full((1, 1), at, dtype=torch.float64) for at in (0.3, 0.9))
    function = ABSORBING[name]
    one = torch.ones(1, 1, dtype=torch.float64)
    problem = pose(function, x)
    lost = rounding_error(problem, x, one) + rounding_error(problem, y, one)
    assert abs(float(function(y) - function(x))) <= lost


def test_branches_that_are_clear_cost_nothing(pose) -> None:
    x, one = torch.tensor([3.0]).double(), torch.ones(1, dtype=torch.float64)
    for function in (torch.relu, torch.abs, nn.functional.hardswish):
        assert rounding_error(pose(lambda x, f=function: f(x * 3.0), x), x, one) < 1e-12


@pytest.mark.parametrize(
    "hide",
    [
        lambda scores, mask: scores.masked_fill(mask, -math.inf),
        lambda scores, mask: torch.where(mask, -math.inf, scores),
        lambda scores, mask: scores + torch.zeros(3, 3).masked_fill(mask, -math.inf),
    ],
)
def test_a_mask_is_infinite_without_rounding(pose, hide) -> None:
    mask = torch.ones(3, 3).triu(1).bool()
    problem = pose(lambda x: hide(x @ x.T, mask).softmax(-1) @ x, torch.randn(3, 2))
    x = problem.example
    error = rounding_error(problem, x, torch.ones(3, 2, dtype=torch.float64))
    assert 0.0 < error < 1e-12


def test_an_overflow_is_no_mask(pose) -> None:
    """1 / (1 + exp(1000 x)) at 1: the exponential is infinite in floating point alone."""
    mask = torch.tensor([0.0, -math.inf])
    problem = pose(
        lambda x: ((1000 * x).exp() + 1).reciprocal() + (x + mask).softmax(-1), torch.ones(2)
    )
    error = rounding_error(problem, problem.example, torch.ones(2, dtype=torch.float64))
    assert not error < 1e-12


def test_what_a_mask_puts_next_to_minus_infinity_has_no_error(pose) -> None:
    mask = torch.tensor([0.0, -math.inf, 0.0], dtype=torch.float64)
    for function in (
        lambda x: (100 * x + mask).softmax(-1),
        lambda x: (100 * x).masked_fill(mask < 0, -math.inf).softmax(-1),
        lambda x: (100 * x + mask.clamp(min=-3.4e38)).softmax(-1),
    ):
        x = torch.tensor([0.31, 0.2, 0.32], dtype=torch.float64)
        powers = [exponential(100 * Fraction(value)) for value in x.tolist()]
        meant = [powers[2] / (powers[0] + powers[2])]
        error = rounding_error(pose(function, x), x, torch.eye(3, dtype=torch.float64)[2])
        assert within(function(x)[2:], meant, error)
        assert error < 1e-11


def norms_of_windows(x: Tensor) -> Tensor:
    return torch.relu(x).square().reshape(-1, 2).sum(1).sqrt()


def test_the_norm_of_what_is_zero_whatever_the_roundings(pose) -> None:
    """The derivative of the root is infinite, that of relu is 0."""
    x = torch.tensor([-1.0, -2.0, 3.0, 4.0], dtype=torch.float64)
    problem = pose(lambda x: norms_of_windows(1.1 * x), x)
    error = rounding_error(problem, x, torch.ones(2, dtype=torch.float64))
    assert 0.0 < error < 1e-12


ZERO_BY_ROUNDING: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "absorbed": (lambda x: ((x + 1.0) - 1.0).abs().sqrt(), 1e-17, 1e-17**0.5),
    "a norm": (lambda x: (((x + 1.0) - 1.0) * 1e3).square().sum(0, True).sqrt(), 1e-17, 1e-14),
    "underflow": (lambda x: x.square().sqrt(), 1e-170, 1e-170),
    "a quarter": (lambda x: x.square().pow(0.25), 1e-170, 1e-85),
    "in a sum": (lambda x: (((x + 1.0) - 1.0).abs().sqrt() + x) * 7, 1e-17, 7 * 1e-17**0.5),
}
"""Functions that are 0, or lack a term, by rounding where their derivative is infinite; where, and
what they are there."""


@pytest.mark.parametrize("name", ZERO_BY_ROUNDING)
@pytest.mark.parametrize("seed", range(5))
def test_a_root_of_what_is_zero_by_rounding(pose, name: str, seed: int) -> None:
    function, at, meant = ZERO_BY_ROUNDING[name]
    x, one = torch.tensor([at]).double(), torch.ones(1, dtype=torch.float64)
    gap = abs(function(x).item() - meant)
    bound = rounding_error(pose(function, torch.ones(1), seed=seed), x, one)
    assert gap > 0 and not bound < gap


def test_a_branch_that_is_not_taken_costs_nothing(pose) -> None:
    x = torch.tensor([2000.0, 700.0, -0.3], dtype=torch.float64)
    function = lambda x: torch.where(x > 0, x, torch.exp(x) - 1)  # noqa: E731
    error = rounding_error(pose(function, x), x, torch.eye(3, dtype=torch.float64)[2])
    meant = [exponential(Fraction(-0.3)) - 1]
    assert within(function(x)[2:], meant, error)
    assert error < 1e-11


READ: dict[str, Callable[[Tensor], Tensor]] = {
    "reciprocal": lambda x: 1 / (torch.exp(x) * 1e-300),
    "minimum": lambda x: torch.minimum(torch.exp(x) * 1e-308, 5 + 0 * x),
    "clamp": lambda x: (torch.exp(x) * 1e-308).clamp(max=5.0),
    "relu": lambda x: torch.relu(-torch.exp(x) * 1e-308 + 4.0),
    "comparison": lambda x: torch.where(torch.exp(x) * 1e-308 > 4, x, 0 * x),
    "tanh": lambda x: torch.tanh(torch.exp(x) * 1e-308),
    "sign": lambda x: torch.sign(torch.exp(x) * 1e-308 - 4),
    "maximum": lambda x: torch.maximum(-torch.exp(x) * 1e-308, 0 * x - 5),
}
"""Finite in floating point at 710, where e^x is 2.2e308 and infinite in it; all wrong."""


@pytest.mark.parametrize("name", READ)
def test_what_is_read_of_an_overflow_is_worth_nothing(pose, name: str) -> None:
    x, one = torch.tensor([710.0]).double(), torch.ones(1, dtype=torch.float64)
    function = READ[name]
    assert bool(function(x).isfinite())
    error = rounding_error(pose(function, torch.ones(1)), x, one)
    assert not error < 1e-8


def test_a_mask_through_a_comparison_that_is_clear(pose) -> None:
    """logaddexp is written by where: its smaller operand is infinite by the constant alone."""
    function = lambda x: torch.logaddexp(x, torch.tensor([-math.inf, 1.0]).double())  # noqa: E731
    x = torch.tensor([0.3, 0.4], dtype=torch.float64)
    error = rounding_error(pose(function, x), x, torch.ones(2, dtype=torch.float64))
    assert 0.0 < error < 1e-13


def test_a_mask_that_rounding_leaves_open(pose) -> None:
    """e^x at 0.3; but (x + 1e16) - 1e16 is 0 there, and e^-inf too."""
    shown = lambda x: (x + 1e16) - 1e16 > 0  # noqa: E731
    function = lambda x: torch.where(shown(x), x, -math.inf).exp()  # noqa: E731
    x, one = torch.tensor([0.3]).double(), torch.ones(1, dtype=torch.float64)
    assert function(x).item() == 0
    assert not rounding_error(pose(function, torch.ones(1)), x, one) < math.exp(0.3)
