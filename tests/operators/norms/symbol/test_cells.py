"""Cells cover every frequency, up to sign, within the reach that they claim."""

import math

import pytest
import torch
from torch import Tensor

from autolip.operators.norms.symbol.cells import Cells, cover, frequencies


def nearest(w: Tensor, cells: Cells, degrees: list[float]) -> float:
    """The least sum_a m_a |w_a - c_a| over centres c, of w or of -w, angles modulo 2 pi."""
    centres = cells.points * math.pi / torch.tensor(cells.counts)
    best = math.inf
    for sign in (1, -1):
        gap = (sign * w - centres + math.pi) % (2 * math.pi) - math.pi
        best = min(best, (gap.abs() * torch.tensor(degrees)).sum(1).min().item())
    return best


@pytest.mark.parametrize("degrees", [[1.0], [1.0, 2.0], [0.5, 1.0, 1.5]])
def test_every_frequency_is_within_reach_of_a_centre(degrees: list[float]) -> None:
    cells = cover(degrees, 0.7, groups=1)
    assert cells.reach(degrees) <= 0.7 * (1 + 1e-9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        w = torch.rand(len(degrees), generator=generator) * 2 * math.pi
        assert nearest(w, cells, degrees) <= cells.reach(degrees) + 1e-6


@pytest.mark.parametrize("degrees", [[1.0], [1.0, 2.0], [0.5, 1.0, 1.5]])
def test_the_children_of_cells_cover_what_their_parents_did(degrees: list[float]) -> None:
    parents = cover(degrees, 1.0, groups=1)
    children = parents.split()
    assert children.reach(degrees) == pytest.approx(parents.reach(degrees) / 2)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        w = torch.rand(len(degrees), generator=generator) * 2 * math.pi
        assert nearest(w, children, degrees) <= children.reach(degrees) + 1e-6


def test_every_group_has_its_cells() -> None:
    cells = cover([1.0], 1.0, groups=3)
    assert cells.groups.unique().tolist() == [0, 1, 2]
    assert len(cells) == 3 * len(cover([1.0], 1.0, groups=1))


@pytest.mark.parametrize("shift", [0, 1])
def test_the_frequencies_of_a_finite_torus(shift: int) -> None:
    """w_j = pi (2 j + shift) / M, one of each pair w, -w; isolated ones are their own cells."""
    size = 6
    cells = frequencies([size], [1], 1, [shift])
    angles = cells.points[:, 0].double() * math.pi / size
    wanted = {round(abs(math.sin((2 * j + shift) * math.pi / size)), 9) for j in range(size)}
    assert {round(abs(math.sin(w)), 9) for w in angles.tolist()} == wanted
    assert cells.isolated and cells.reach([1.0]) == 0.0
