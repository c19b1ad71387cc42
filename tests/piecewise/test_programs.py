"""Linear programs beside the search, and points in balls."""

import subprocess
import sys

import highspy
import pytest
import torch

from autolip.norms import Norm
from autolip.piecewise.cells import Cells
from autolip.piecewise.points import Derivatives
from autolip.piecewise.programs import Programs, nearest
from autolip.regions import Ball, Everywhere
from tests.piecewise.drawn import relu_chain, written


def test_the_solver_prints_nothing() -> None:
    """Its version went to the standard output, before a result in JSON."""
    code = "from autolip.piecewise.programs import Programs; Programs(None)._solver"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""


def test_the_nearest_point_of_half_spaces() -> None:
    """In a corner it is the corner; it is a combination of normals, and none is nearer."""
    square = torch.eye(2, dtype=torch.float64)
    step, weights = nearest(square, torch.tensor([-3.0, -4.0], dtype=torch.float64))
    assert step.tolist() == pytest.approx([3, 4]) and weights.min() >= 0
    draw = torch.Generator().manual_seed(0)
    normals = torch.randn(40, 6, generator=draw, dtype=torch.float64)
    known = torch.randn(6, generator=draw, dtype=torch.float64)
    ends = 0.1 - normals @ known
    step, weights = nearest(normals, ends)
    assert bool((normals @ step + ends >= -1e-9).all()) and step.norm() <= known.norm()
    along = weights @ normals
    assert float(along @ step) == pytest.approx(float(along.norm() * step.norm()))
    assert float(weights @ (normals @ step + ends)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", list(Norm))
def test_points_of_cells_lie_in_the_ball(kind: Norm) -> None:
    """As tangents alone describe it, a point was up to some per cent beyond it, and its slope was
    taken for one of the region."""
    region = Ball(torch.zeros(1, 6, dtype=torch.float64), 0.5, kind)
    network = written(relu_chain(6, 12, 12, 2), 6, region)
    derivatives, programs, cells = Derivatives(network, Norm.L2, Norm.L2), Programs(network), 0
    inside = region.sample(60, torch.zeros(1, 6), torch.Generator().manual_seed(1)).flatten(1)
    for pattern in derivatives.pattern(inside):
        for turned in derivatives.neighbours(pattern)[:4]:
            cell = Cells(network).of_case(turned, turned)
            assert cell is not None
            solved = programs.deepest(cell)
            if solved is not None and solved.depth > 0:
                assert float(kind.of_rows(solved.point[None])[0]) <= 0.5 * (1 + 2e-9)
                assert bool((cell.rows.value @ solved.point + cell.offsets > 0).all())
                cells += 1
    assert cells > 10


def test_threads_that_another_solver_has_started() -> None:
    """HiGHS keeps one number of threads for a process, and refuses to solve with another one."""
    other = (highspy.Highs.__base__ or highspy.Highs)()
    highspy.Highs.resetGlobalScheduler(True)
    try:
        other.setOptionValue("output_flag", False)
        other.setOptionValue("threads", 2)
        assert other.run() == highspy.HighsStatus.kOk
        network = written(relu_chain(2, 3, 1), 2, Everywhere())
        cell = Cells(network).of_case(network.last, network.last)
        assert cell is not None and Programs(network).deepest(cell) is not None
    finally:
        highspy.Highs.resetGlobalScheduler(True)
