"""Cells are left out only where they have no interior."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from autolip.methods.exact.emptiness import (
    combination,
    has_no_interior,
    is_contradictory,
    is_outside,
)
from autolip.norms import Norm
from autolip.piecewise.cells import Cells, HalfSpaces
from autolip.piecewise.points import Derivatives
from autolip.piecewise.programs import Programs
from autolip.regions import Ball, Box, Everywhere, Region
from autolip.rounded import Rounded
from tests.piecewise.drawn import relu_chain, written

SHAPE = torch.Size([1, 2])


def cell(rows: list[list[float]], offsets: list[float], error: float = 0.0) -> HalfSpaces:
    value = torch.tensor(rows, dtype=torch.float64)
    known = Rounded(value, torch.full_like(value, error))
    layers = torch.zeros(len(rows), dtype=torch.int64)
    return HalfSpaces(known, torch.tensor(offsets, dtype=torch.float64), layers, layers)


def ones(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.float64)


TRIANGLE = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]


@pytest.mark.parametrize(
    ("offset", "empty"), [(-1e-9, True), (0.0, True), (5e-324, False), (1e-9, False)]
)
def test_three_half_planes_that_just_meet(offset: float, empty: bool) -> None:
    """x >= 0, y >= 0, x + y <= offset: without interior for offset <= 0."""
    assert is_contradictory(cell(TRIANGLE, [0.0, 0.0, offset]), ones(3), True) == empty


def test_equality_alone_does_not_do_where_rows_are_zero() -> None:
    """0 >= 0 and 0 >= 0 hold everywhere."""
    assert not is_contradictory(cell(TRIANGLE, [0.0, 0.0, 0.0]), ones(3), False)
    zero = cell([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    assert not is_contradictory(zero, ones(2), False)
    assert is_contradictory(cell(TRIANGLE, [0.0, 0.0, -1e-300]), ones(3), False)


@pytest.mark.parametrize(("error", "empty"), [(1e-12, True), (0.3, False)])
def test_rows_within_their_errors(error: float, empty: bool) -> None:
    assert is_contradictory(cell(TRIANGLE, [0.0, 0.0, -1.0], error), ones(3), True) == empty


def test_what_rows_within_their_errors_leave_open() -> None:
    """x >= -1, y >= -1, x + y <= -2 - gap: more than the rows' errors can make up for, or less."""
    for gap, empty in ((1e-9, True), (1e-13, False)):
        part = cell(TRIANGLE, [1.0, 1.0, -2.0 - gap], 1e-11)
        assert is_contradictory(part, ones(3), True) == empty


def test_weights_have_to_be_positive() -> None:
    """x >= 0, y >= 0, x + y <= -1 turned: the only combination has a negative weight."""
    rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert not is_contradictory(cell(rows, [0.0, 0.0, -1.0]), ones(3), True)


def test_rows_in_a_plane_of_a_larger_space_are_compared_in_rational_numbers() -> None:
    rows = [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]]
    assert is_contradictory(cell(rows, [0.0, 0.0]), ones(2), True)
    assert is_contradictory(cell(rows, [0.0, -1e-300]), ones(2), True)
    assert not is_contradictory(cell(rows, [0.0, 1e-300]), ones(2), True)
    assert not is_contradictory(cell([rows[0]] * 2, [0.0, -1.0]), ones(2), True)
    assert not is_contradictory(cell(rows, [0.0, -1.0], 1e-12), ones(2), True)
    nearly = [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.30000000000000004]]
    assert not is_contradictory(cell(nearly, [0.0, -1.0]), ones(2), True)


def test_the_only_combination() -> None:
    rows = [[Fraction(a) for a in row] for row in ((2, 1), (1, 1), (-5, -3))]
    weights = combination(rows)
    assert weights == [2, 1, 1]
    assert combination(rows[:2]) is None
    assert combination([*rows, rows[0]]) is None


@pytest.mark.parametrize(
    ("region", "offset", "empty"),
    [
        (Box(-1, 1), -2.0000001, True),
        (Box(-1, 1), -2.0, False),
        (Box(-1, 1), -1.9999, False),
        (Ball([[0.0, 0.0]], 1.0), -1.42, True),
        (Ball([[0.0, 0.0]], 1.0), -1.41, False),
        (Ball([[0.0, 0.0]], 1.0, Norm.L1), -1.0001, True),
        (Ball([[0.0, 0.0]], 1.0, Norm.L1), -0.9999, False),
    ],
)
def test_a_half_plane_outside_a_region(region: Region, offset: float, empty: bool) -> None:
    """x + y + offset >= 0."""
    assert is_outside(cell([[1.0, 1.0]], [offset]), ones(1), region, SHAPE) == empty


def test_what_rounding_may_move_is_not_outside() -> None:
    part = cell([[1.0, 1.0]], [-2.1], error=0.2)
    assert not is_outside(part, ones(1), Box(-1, 1), SHAPE)


@pytest.mark.parametrize("region", [Everywhere(), Box(-1, 1), Ball([[0.0, 0.0]], 0.8)])
def test_no_case_with_a_point_inside_is_left_out(region: Region) -> None:
    """Whatever the weights: those of linear programs, and random ones."""
    network = written(relu_chain(2, 6, 5, 1, seed=4), 2, region)
    cells, programs = Cells(network), Programs(network)
    derivatives = Derivatives(network, Norm.L2, Norm.L2)
    x = 3 * torch.randn(300, 1, 2, dtype=torch.float64)
    x = x if isinstance(region, Everywhere) else region.project(x / 2)
    for pattern in derivatives.pattern(x.flatten(1)).unique(dim=0):
        found = cells.of_case(pattern, pattern)
        assert found is not None
        solved = programs.deepest(found)
        assert solved is not None
        for weights in (solved.weights, torch.rand(len(found), dtype=torch.float64)):
            assert not has_no_interior(cells, (pattern, pattern), found, weights)


def test_most_empty_cases_are_proved_empty() -> None:
    network = written(relu_chain(2, 6, 4, 1, seed=4), 2)
    cells, programs = Cells(network), Programs(network)
    draw = torch.Generator().manual_seed(0)
    proved = tried = 0
    for pattern in torch.randint(0, 2, (100, network.neurons), generator=draw):
        found = cells.of_case(pattern, pattern)
        solved = None if found is None else programs.deepest(found)
        if found is not None and solved is not None and solved.depth < 0:
            tried += 1
            proved += has_no_interior(cells, (pattern, pattern), found, solved.weights)
    assert tried > 50 and proved >= 0.95 * tried


def test_neurons_that_are_always_zero_do_not_empty_everything() -> None:
    """Both sides of 0 x + 0 >= 0 are the whole space."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double().eval()
    with torch.no_grad():
        model[0].weight[0] = 0.0
        model[0].bias[0] = 0.0
    network = written(model, 2)
    cells = Cells(network)
    for first in (0, 1):
        case = network.first.clone(), network.last.clone()
        case[0][0] = case[1][0] = first
        found = cells.of_case(*case)
        assert found is not None and not has_no_interior(cells, case, found, ones(len(found)))


@pytest.mark.parametrize(("second", "empty"), [(1.0, True), (4.0, False)])
def test_parallel_rows_behind_a_layer_of_which_one_neuron_is_on(second: float, empty: bool) -> None:
    """v > 3 and v < 1, or v < 4, of the one number v that the next layer reads: its rows are known
    up to rounding alone, and parallel."""
    model = relu_chain(2, 2, 2, 1, seed=0)
    rows = [[0.1, 0.3], [-0.3, -0.1]], [[0.3, 0.2], [-0.7, 0.1]]
    offsets = [0.1, -2.0], [-0.9, 0.7 * second]
    for number, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
        layer = model[2 * number]
        assert isinstance(layer, nn.Linear)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(row))
            layer.bias.copy_(torch.tensor(offset))
    cells = Cells(written(model, 2))
    case = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 0, 1, 1])
    part = cells.of_case(*case)
    assert part is not None and not part.rows.is_exact
    weights = torch.tensor([0.0, 0.0, 0.7, 0.3], dtype=torch.float64)
    assert has_no_interior(cells, case, part, weights) == empty


def test_an_operand_that_is_constant_on_the_wrong_side() -> None:
    """Behind a layer that is off 0 x - 0.5 >= 0: the program has weights for it."""
    model = relu_chain(2, 2, 1, 1, seed=0)
    second = model[2]
    assert isinstance(second, nn.Linear)
    with torch.no_grad():
        second.bias.fill_(-0.5)
    cells = Cells(written(model, 2))
    case = torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1])
    part = cells.of_case(*case)
    assert part is not None
    solved = Programs(cells.network).deepest(part)
    assert solved is not None and solved.depth < 0
    assert has_no_interior(cells, case, part, solved.weights)
