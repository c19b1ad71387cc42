"""Choices between linear functions that meet where the choice is made are written with relu; others
stay choices, which jump."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip import lipschitz
from autolip.capture.torch.export import capture_model

Chosen = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Halves(nn.Module):
    """A function of both halves of the input and of angles."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.4, 1.9, 3.0]))
        self.chosen = chosen

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat(self.chosen(*z.chunk(2, 1), self.theta), 1)


def across(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return x * t.cos() + y * t.sin(), x * t.sin() - y * t.cos()


def side_of(x: Tensor, y: Tensor, t: Tensor) -> Tensor:
    return x * (0.5 * t).sin() - y * (0.5 * t).cos()


def by_masks(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    s, (u, v) = side_of(x, y, t), across(x, y, t)
    return x * (s <= 0) + u * (s > 0), y * (s <= 0) + v * (s > 0)


def by_where(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    s, (u, v) = side_of(x, y, t), across(x, y, t)
    return torch.where(~(s > 0), x, u), torch.where(s < 0, y, v)


def along_a_vector(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    s = 0.6 * x - 0.8 * y
    return torch.where(s > 0, x - t * s, x), torch.where(s > 0, y + 2 * s, y)


def along_another(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Reflected by a vector of which nothing is known but its name."""
    v, w = t / 2, t / 4
    s = v * x + w * y
    return torch.where(s > 0, x - 2 * v * s, x), torch.where(s > 0, y - 2 * w * s, y)


def other_line(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Reflected at a line that is not the one where the choice is made."""
    s, (u, v) = x * t.sin() - y * t.cos(), across(x, y, t)
    return torch.where(s > 0, u, x), torch.where(s > 0, v, y)


def twice_at_zero(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where s is 0 both are added."""
    s, (u, v) = side_of(x, y, t), across(x, y, t)
    return x * (s <= 0) + u * (s >= 0), y * (s <= 0) + v * (s >= 0)


def other_side(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of one cosine is another: the branches do not meet."""
    s, (u, v) = side_of(x, y, t), (x * t.cos() - y * t.sin(), x * t.sin() + y * t.cos())
    return torch.where(s > 0, u, x), torch.where(s > 0, v, y)


def rounded(x: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """A sine of float32 is a number, and no identity makes the branches meet."""
    s, c = (0.5 * t).sin().half().float(), (0.5 * t).cos()
    return torch.where(x * s > y * c, across(x, y, t)[0], x), y


def upper(chosen: Chosen, **options: object) -> float:
    found = lipschitz(Halves(chosen).eval(), torch.zeros(1, 6), lower=(), **options).upper  # type: ignore[arg-type]
    assert found is not None
    return found.value


@pytest.mark.parametrize("chosen", [by_masks, by_where])
def test_reflections_have_the_constant_one(chosen: Chosen) -> None:
    torch.manual_seed(0)
    assert 1 <= upper(chosen) <= 1 + 1e-5
    model = Halves(chosen).double().eval()
    graph = capture_model(model, (torch.zeros(1, 6),)).graph
    assert not any("where" in f"{node.target}" for node in graph)
    assert [f"{node.target}" for node in graph].count("aten.relu.default") == 1


def test_a_bend_along_a_vector() -> None:
    """I + (-t, 2) (.6, -.8)^T on one side; t = 3 is the steepest."""
    bend = torch.tensor([[1 - 3.0 * 0.6, 3.0 * 0.8], [2 * 0.6, 1 - 2 * 0.8]])
    norm = float(torch.linalg.matrix_norm(bend.double(), 2))
    assert norm - 1e-6 <= upper(along_a_vector) <= 1.02 * norm


def test_a_bend_along_constants() -> None:
    """I - 2 v v^T on one side, of norm |1 - 2 |v|^2|: t = 3."""
    assert 1 <= upper(along_another) <= 1.01 * (2 * 9 * (1 / 4 + 1 / 16) - 1)


@pytest.mark.parametrize("chosen", [other_line, twice_at_zero, other_side, rounded])
def test_what_jumps_is_infinite(chosen: Chosen) -> None:
    assert upper(chosen, method="autolip") == math.inf
