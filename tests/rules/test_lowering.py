"""Maxima written with relu are the same function, and slope sets of the result hold its secants."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip import Ball, Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate
from autolip.methods import AutoLip, Problem
from autolip.methods.autolip import walk
from autolip.methods.method import Bound
from autolip.operators.norms import NormOptions
from autolip.outputs import Difference
from autolip.rules.lowering import LOWERINGS, lowered
from autolip.slopes import Between, Exact, Gain
from autolip.testing import check_method
from autolip.values import Upper

EDGES = torch.tensor([[[0], [2], [2]]])
IMAGE, LINE, VOLUME = (1, 2, 7, 6), (2, 3, 8), (1, 2, 4, 5, 4)
MAXIMA: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "pool 2d": (lambda x: F.max_pool2d(x, 2), IMAGE),
    "pool 2d, overlap, padding": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "pool 2d, dilation, ceil": (
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1), (1, 2), True),
        IMAGE,
    ),
    "pool 1d": (lambda x: F.max_pool1d(x, 3, 2, 1, 2, True), LINE),
    "pool 3d": (lambda x: F.max_pool3d(x, (3, 2, 2), (2, 1, 3), (1, 1, 0)), VOLUME),
    "adaptive pool": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), IMAGE),
    "amax": (lambda x: torch.amax(x, (1, 3), True), IMAGE),
    "max over an axis": (lambda x: torch.max(x, 2)[0], LINE),
    "max over all": (lambda x: torch.max(x), LINE),
    "maximum": (lambda x: torch.maximum(x[:, 0], x[:, 1] - x[:, 2]), LINE),
    "minimum": (lambda x: torch.minimum(x[:, 0], x[:, 1] * 2), LINE),
    "maxmin": (lambda x: torch.sort(x.unflatten(-1, (4, 2)), -1)[0], LINE),
    "maxmin, descending": (
        lambda x: torch.sort(x.unflatten(-1, (4, 2)), -1, descending=True)[0],
        LINE,
    ),
    "max over edges": (
        lambda x: torch.zeros(1, 5, 8, dtype=x.dtype).scatter_reduce(
            1, EDGES.expand(1, 3, 8), x[:1], "amax", include_self=False
        ),
        LINE,
    ),
    "min over edges": (
        lambda x: torch.ones(2, 2, 8, dtype=x.dtype).scatter_reduce(
            2, torch.tensor([[[3, 1, 3]], [[0, 7, 7]]]), x[:, :1, :3], "amin", include_self=False
        ),
        LINE,
    ),
    "maximum of itself": (lambda x: torch.maximum(x, x), LINE),
    "pool of one": (lambda x: F.max_pool1d(x, 1), LINE),
}
graphs = pytest.mark.parametrize("name", MAXIMA)


@graphs
def test_the_same_function_without_maxima(name: str) -> None:
    function, shape = MAXIMA[name]
    graph = capture_model(function, (torch.randn(shape),)).graph
    low = lowered(graph)
    assert low.output == graph.output
    assert not any(node.target in LOWERINGS and not node.pick for node in low.nodes)
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64)
        assert torch.allclose(evaluate(low, x), evaluate(graph, x), rtol=0, atol=1e-14)


def test_edges_fewer_than_what_they_read() -> None:
    places = torch.tensor([[[3, 1, 3]], [[0, 7, 7]]])

    def function(x: Tensor) -> Tensor:
        start = torch.ones(2, 2, 8, dtype=x.dtype)
        return start.scatter_reduce(2, places, x, "amin", include_self=False)

    graph = capture_model(function, (torch.randn(LINE),)).graph
    x = torch.randn(LINE, dtype=torch.float64)
    torch.testing.assert_close(evaluate(lowered(graph), x), evaluate(graph, x), rtol=1e-12, atol=0)


@graphs
def test_every_nonlinear_vertex_has_one_operand_and_bounds_hold(name: str) -> None:
    function, shape = MAXIMA[name]
    capture = capture_model(function, (torch.randn(shape),))

    class Lowered(AutoLip):
        def bound(self, problem: Problem) -> Bound:
            found = walk(problem, problem.lowered)
            assert isinstance(found, Bound)
            return found

    for region in (Everywhere(), Ball(torch.randn(shape), 0.4, Norm.LINF)):
        problem = Problem.pose(capture.graph, region, Norm.L2, Norm.L2, NormOptions())
        for vertex in problem.lowered:
            kinds = [type(edge.slope) for edge in vertex.edges]
            assert kinds in ([Between], [Gain]) or set(kinds) <= {Exact}
        assert not any(
            isinstance(edge.slope, Gain) for vertex in problem.lowered for edge in vertex.edges
        )
        check_method(Lowered(), capture, region)


def test_products_are_sums_of_parts() -> None:
    x = torch.randn(1, 6)
    capture = capture_model(lambda x: torch.sigmoid(x[:, :3]) * torch.tanh(x[:, 3:]), (x,))
    problem = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    readout = Difference(0, 2).readout(capture.graph.output_shape)
    assert readout is not None
    for posed in (problem, problem.reading(readout)):
        whole, parts = walk(posed, posed.slopes), walk(posed, posed.lowered)
        assert isinstance(whole, Bound) and isinstance(parts, Bound)
        assert isinstance(whole.value, Upper) and isinstance(parts.value, Upper)
        assert parts.value.value == pytest.approx(whole.value.value, rel=1e-9)
        assert posed.lowered.output_shape == posed.slopes.output_shape


def test_long_maxima_stay_whole() -> None:
    graph = capture_model(lambda x: torch.amax(x, 1), (torch.randn(2, 100),)).graph
    assert lowered(graph) == graph
