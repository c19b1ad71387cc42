"""The border of an image costs what a sine window costs."""

import pytest
import torch

from autolip.operators import Convolution, Geometry
from autolip.operators.norms.symbol.border import share_reached


def test_the_border_of_an_image_costs_what_a_sine_window_costs() -> None:
    def true_share(size: int) -> float:
        weight = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64).view(1, 1, 3)
        operator = Convolution(weight, (1, size), Geometry((1,), (1,), (1,)))
        return torch.linalg.matrix_norm(operator.matrix(), 2).item() / 4.0

    for size in (5, 20, 100):
        operator = Convolution(torch.ones(1, 1, 3), (1, size), Geometry((1,), (1,), (1,)))
        assert 1 - share_reached(operator) == pytest.approx(2 * (1 - true_share(size)), rel=0.1)
