"""The matrix of samples at constant places is what `grid_sample` does, on random grids."""

import itertools

import pytest
import torch

from autolip import lipschitz
from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.rules import RULES
from autolip.rules.rule import Affine, Operand

SAMPLER = torch.ops.aten.grid_sampler_2d.default
SHAPE = torch.Size([1, 2, 5, 3])


def operand() -> Operand:
    return Operand("x", SHAPE, Interval.everywhere(SHAPE))


@pytest.mark.parametrize(
    ("kernel", "padding", "align"), list(itertools.product((0, 1, 2), (0, 1, 2), (False, True)))
)
def test_samples_of_a_random_grid(kernel: int, padding: int, align: bool) -> None:
    generator = torch.Generator().manual_seed(7 * kernel + padding)
    grid = torch.rand(1, 6, 4, 2, generator=generator, dtype=torch.float64) * 5 - 2.5
    x = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    outcome = RULES[SAMPLER](operand(), grid, kernel, padding, align)[0]
    assert isinstance(outcome, Affine)
    operator = outcome.parts[0][1]
    wanted = SAMPLER(x, grid, kernel, padding, align)
    torch.testing.assert_close(operator.mv(x[None])[0], wanted, rtol=1e-11, atol=1e-11)


def test_a_shift_by_whole_pixels_has_the_constant_1() -> None:
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    theta = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]], dtype=torch.float64)
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 4, 4], align_corners=False)
    result = lipschitz(
        lambda x: torch.nn.functional.grid_sample(x, grid, align_corners=False),
        x,
        method="autolip",
        lower="random",
        seed=0,
    )
    assert result.upper is not None
    assert result.upper.value == pytest.approx(1.0, abs=1e-12)


def test_a_grid_that_varies_is_refused_by_name() -> None:
    grid = Operand("grid", torch.Size([1, 2, 2, 2]), Interval.everywhere((1, 2, 2, 2)))
    with pytest.raises(UnsupportedOperation, match="`grid` depends"):
        RULES[SAMPLER](operand(), grid, 0, 0, False)
