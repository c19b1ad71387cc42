"""Mixtures lie between what is mixed; nothing else is taken for one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball
from autolip.capture.torch.export import capture_model
from autolip.ranges import ranges

CENTRE = torch.tensor([[0.4, -0.9, 2.0]], dtype=torch.float64)


class Mixed(nn.Module):
    """The first entry and the second, with a share of the third."""

    def __init__(self, formula: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: Tensor) -> Tensor:
        a, b, z = torch.tanh(x[:, 0]), torch.tanh(x[:, 1]), torch.sigmoid(x[:, 2])
        return self.formula(a, b, z)


MIXTURES = {
    "b + (a - b) z": lambda a, b, z: b + (a - b) * z,
    "z (a - b) + b": lambda a, b, z: z * (a - b) + b,
}

OTHERS = {
    "b + (b - a) z": lambda a, b, z: b + (b - a) * z,
    "a + (a - b) z": lambda a, b, z: a + (a - b) * z,
    "b + (a - b) 2z": lambda a, b, z: b + (a - b) * (2 * z),
    "b + (a - b) (z - 1)": lambda a, b, z: b + (a - b) * (z - 1),
    "b - (a - b) z": lambda a, b, z: b - (a - b) * z,
}


@pytest.mark.parametrize("radius", [0.3, 3.0])
@pytest.mark.parametrize("name", [*MIXTURES, *OTHERS])
def test_what_is_attained_lies_in_the_range(name: str, radius: float) -> None:
    model = Mixed((MIXTURES | OTHERS)[name]).double().eval()
    capture = capture_model(model, (CENTRE,))
    region = Ball(CENTRE, radius)
    found = ranges(capture.graph, region)[capture.graph.output]
    points = region.sample(2000, CENTRE, torch.Generator().manual_seed(0))
    corners = CENTRE + radius * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    for point in torch.cat([points.reshape(-1, 3), corners]):
        value = model(point.unsqueeze(0))
        assert (found.lo <= value).all() and (value <= found.hi).all()


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_stay_between_what_is_mixed(name: str) -> None:
    capture = capture_model(Mixed(MIXTURES[name]).double().eval(), (CENTRE,))
    found = ranges(capture.graph, Ball(CENTRE, 30.0))[capture.graph.output]
    assert found.lo.item() >= -1.0 and found.hi.item() <= 1.0


@pytest.mark.parametrize("name", OTHERS)
def test_others_reach_beyond(name: str) -> None:
    capture = capture_model(Mixed(OTHERS[name]).double().eval(), (CENTRE,))
    found = ranges(capture.graph, Ball(CENTRE, 30.0))[capture.graph.output]
    assert found.lo.item() < -1.0 or found.hi.item() > 1.0


def test_the_state_of_a_gru_stays_within_1() -> None:
    class State(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 3, batch_first=True)
            for weight in self.cell.parameters():
                nn.init.uniform_(weight, -3.0, 3.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0]

    torch.manual_seed(0)
    x = torch.randn(1, 4, 2, dtype=torch.float64)
    capture = capture_model(State().double().eval(), (x,))
    found = ranges(capture.graph, Ball(x, 5.0))[capture.graph.output]
    assert found.lo.min() >= -1.0 - 1e-12 and found.hi.max() <= 1.0 + 1e-12
