"""Half-spaces of cases hold where the case does.

Covers autolip.piecewise.programs too.
"""

import pytest
import torch

from autolip.norms import Norm
from autolip.piecewise.cells import Cells
from autolip.piecewise.points import Derivatives
from autolip.piecewise.programs import Programs
from autolip.regions import Ball, Box, Everywhere, Region
from tests.piecewise.drawn import relu_chain, written
from tests.piecewise.test_network import Skips


@pytest.mark.parametrize("known", [9, 6, 5, 2])
def test_points_of_a_case_are_in_its_cell(known: int) -> None:
    """With the first neurons alone known, too; in the input and in the operands of layers."""
    network = written(relu_chain(3, 5, 4, 2), 3)
    cells, derivatives = Cells(network), Derivatives(network, Norm.L2, Norm.L2)
    for x in 2 * torch.randn(40, 3, dtype=torch.float64):
        (pattern,) = derivatives.pattern(x.unsqueeze(0))
        first, last = network.first.clone(), network.last.clone()
        first[:known] = last[:known] = pattern[:known]
        cell = cells.of_case(first, last)
        assert cell is not None and len(cell) == known
        assert bool((cell.rows.value @ x + cell.offsets >= 0).all())
        layer = network.layers[0]
        v = layer.maps[0].value @ x + layer.offset.value
        lifted = cells.of_case(first, last, 1)
        assert lifted is not None and bool((lifted.rows.value @ v + lifted.offsets >= -1e-14).all())


def test_a_layer_that_reads_the_input_again_has_no_other_base() -> None:
    torch.manual_seed(0)
    network = written(Skips().double().eval(), 3)
    cells = Cells(network)
    assert cells.of_case(network.first, network.first, 2) is None
    assert cells.of_case(network.first, network.first) is not None


@pytest.mark.parametrize(
    "region",
    [Everywhere(), Box(-1, 1), Ball([[0.0, 0.0, 0.0]], 0.7), Ball([[0.1, 0.0, 0.0]], 0.7, Norm.L1)],
)
def test_the_deepest_point_lies_in_the_cell_and_in_the_region(region: Region) -> None:
    network = written(relu_chain(3, 5, 4, 2), 3, region)
    cells, programs = Cells(network), Programs(network)
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    x = region.sample(20, torch.zeros(1, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    for pattern in derivatives.pattern(x.flatten(1)):
        cell = cells.of_case(pattern, pattern)
        solved = None if cell is None else programs.deepest(cell)
        assert solved is not None and solved.depth > 0
        assert torch.equal(derivatives.pattern(solved.point.unsqueeze(0))[0], pattern)
        near = region.project(solved.point.reshape(1, 1, 3))[0, 0]
        assert torch.allclose(near, solved.point, atol=1e-2)


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    network = written(relu_chain(2, 3, 1), 2)
    found = Cells(network).of_case(network.first, network.first)
    assert found is not None and Programs(network).deepest(found) is not None
    assert capfd.readouterr().out == ""
