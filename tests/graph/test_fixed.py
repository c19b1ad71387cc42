"""Known slopes are a linear part: the function is the same, and what is left is centred; whole
operations of known slopes are diagonals."""

import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.fixed import FAINT, known_as_diagonals, without_fixed
from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.operators.diagonal import Diagonal
from autolip.regions import Box
from autolip.rules import slopes_on
from autolip.slopes import Between, Exact


def graph_on(lo: list[float], hi: list[float]) -> SlopeGraph:
    """relu of every input, then their sum."""
    layer = nn.Linear(len(lo), 1, bias=False).double()
    layer.weight.data.fill_(1.0)
    model = nn.Sequential(nn.ReLU(), layer)
    inputs = (torch.zeros(1, len(lo)).double(),)
    region = Box(torch.tensor([lo]), torch.tensor([hi]))
    return slopes_on(capture_model(model, inputs).graph, region)


def nonlinear(graph: SlopeGraph) -> list[Between]:
    slopes = [edge.slope for vertex in graph for edge in vertex.edges]
    return [slope for slope in slopes if isinstance(slope, Between)]


def test_decided_neurons_become_linear_and_the_others_stay() -> None:
    graph = without_fixed(graph_on([-2.0, 1.0, -1.0], [-1.0, 2.0, 1.0]))
    (slope,) = nonlinear(graph)
    assert slope.lo.tolist() == [0.0] and slope.hi.tolist() == [1.0]
    straight = [
        edge.slope.operator.matrix()
        for vertex in graph
        for edge in vertex.edges
        if isinstance(edge.slope, Exact) and vertex.name.startswith("relu")
    ]
    assert any(
        torch.equal(matrix, torch.diag(torch.tensor([0.0, 1.0, 0.0]).double()))
        for matrix in straight
    )


def test_a_network_of_decided_neurons_has_no_nonlinear_part() -> None:
    assert nonlinear(without_fixed(graph_on([1.0, -2.0], [2.0, -1.0]))) == []


def test_where_nothing_is_decided_nothing_changes() -> None:
    graph = graph_on([-1.0, -1.0], [1.0, 1.0])
    assert without_fixed(graph).vertices == graph.vertices


def pointwise(lo: Tensor, hi: Tensor) -> SlopeGraph:
    free = Interval.everywhere(lo.shape)
    start = Vertex("x", lo.shape, (), free)
    return SlopeGraph("x", (start, Vertex("y", lo.shape, (Edge("x", Between(lo, hi)),), free)), "y")


def diagonal(graph: SlopeGraph) -> Diagonal | None:
    slope = graph["y"].edges[0].slope
    return slope.operator if isinstance(slope, Exact) and len(graph["y"].edges) == 1 else None  # type: ignore[return-value]


def test_slopes_that_are_known_are_a_diagonal_without_an_error() -> None:
    ends = torch.tensor([0.0, 1.0, -3.0]).double()
    found = diagonal(known_as_diagonals(pointwise(ends, ends)))
    assert found is not None and torch.equal(found.scale, ends) and found.relative_error == 0.0


def test_what_rounding_leaves_open_is_the_error_of_the_diagonal() -> None:
    lo = torch.tensor([0.1, -2.0]).double()
    hi = lo + torch.tensor([2.0**-50, 2.0**-49]).double()
    found = diagonal(known_as_diagonals(pointwise(lo, hi)))
    assert found is not None
    room = found.relative_error * found.scale.abs()
    assert bool((found.scale - room <= lo).all() and (found.scale + room >= hi).all())


def test_one_slope_that_is_open_leaves_the_operation_as_it_is() -> None:
    lo, hi = torch.tensor([0.0, 1.0]).double(), torch.tensor([1e-30, 1.0]).double()
    for graph in (pointwise(lo, hi), pointwise(lo, torch.full_like(hi, torch.inf))):
        assert diagonal(known_as_diagonals(graph)) is None


def test_slopes_next_to_0_are_moved_outward() -> None:
    """Products of two ends stay within floating point, and no slope is lost."""
    lo = torch.tensor([-1e-300, 1e-300, -1.0, -1.0, -1e-320, 0.0], dtype=torch.float64)
    hi = torch.tensor([1.0, 1.0, 1e-310, -1e-310, 1e-300, 1.0], dtype=torch.float64)
    (slope,) = nonlinear(without_fixed(pointwise(lo, hi)))
    assert (slope.lo <= lo).all() and (slope.hi >= hi).all()
    assert (slope.lo - lo).abs().max() <= FAINT and (slope.hi - hi).abs().max() <= FAINT
    product = slope.lo * slope.hi
    assert ((product == 0) == ((slope.lo == 0) | (slope.hi == 0))).all()
    assert product[4] < 0 and slope.lo[1] == 0 and slope.hi[3] == 0
