"""Several inputs that vary together: one vector of all their entries, whatever the source.

Covers autolip.capture.varying.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip import Ball, Box, Result, lipschitz
from autolip.capture.inputs import Request
from autolip.capture.load import load_network
from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.graph.evaluate import evaluate


class Cell(nn.Module):
    """Two inputs and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(2, 5, bias=False)

    def forward(self, x: Tensor, state: Tensor, scale: float = 2.0) -> Tensor:
        return torch.tanh(self.a(x) + self.b(state.reshape(1, -1))) * scale


def cell() -> nn.Module:
    torch.manual_seed(3)
    return Cell().eval()


EXAMPLE = (torch.zeros(1, 3), torch.zeros(2, 1))


@pytest.mark.parametrize("varying", [[0, "state"], [0, 1], ["x", "state"]])
def test_the_graph_is_the_model_of_all_entries(varying: list[int | str]) -> None:
    model = cell()
    capture = capture_model(model, (*EXAMPLE, 3.0), varying)
    assert replay(capture) < 1e-6
    assert capture.graph.input_shape == (5,)
    assert capture.varying.by_name == {"x": (1, 3), "state": (2, 1)}
    point = torch.randn(5).double()
    with torch.no_grad():
        expected = model.double()(point[:3].reshape(1, 3), point[3:].reshape(2, 1), 3.0)
    assert torch.allclose(evaluate(capture.graph, point), expected)


def test_their_order_is_the_one_asked_for() -> None:
    capture = capture_model(cell(), EXAMPLE, ["state", "x"])
    assert capture.input_name == "state and x"
    with torch.no_grad():
        expected = capture.reference(torch.arange(5.0).double())
    assert torch.allclose(evaluate(capture.graph, torch.arange(5.0).double()), expected)


def test_the_constant_is_that_of_both_weights_side_by_side() -> None:
    a, b = torch.randn(4, 3).double(), torch.randn(4, 2).double()

    def function(x: Tensor, state: Tensor) -> Tensor:
        return x @ a.T + state @ b.T

    inputs = (torch.zeros(1, 3).double(), torch.zeros(1, 2).double())
    for norm, order in (("l2", 2), ("linf", float("inf")), ("l1", 1)):
        found = lipschitz(function, inputs, varying=[0, 1], norm=norm)
        exact = torch.linalg.matrix_norm(torch.cat([a, b], 1), order).item()
        assert found.lower is not None and found.upper is not None
        assert found.lower.value == pytest.approx(exact, rel=1e-6)
        assert found.upper.value == pytest.approx(exact, rel=1e-6)
        one = lipschitz(function, inputs, varying="state", norm=norm)
        exact = torch.linalg.matrix_norm(b, order).item()
        assert one.upper is not None and one.upper.value == pytest.approx(exact, rel=1e-6)


def test_regions_of_each_and_the_witness_by_name(tmp_path: Path) -> None:
    region = {"state": Ball(0, 0.1), "x": Box(0, 1)}
    found = lipschitz(cell(), EXAMPLE, varying=["x", "state"], region=region, lower="random")
    assert found.lower is not None and "vary together: x (1, 3), state (2, 1)" in repr(found)
    assert "their l2 norm is that of all 5 entries" in repr(found)
    assert "x on a box, state on an l2 ball of radius 0.1" in repr(found)
    point = found.by_input(found.lower.witness.x)
    assert point["x"].shape == (1, 3) and point["state"].shape == (2, 1)
    assert Box(0, 1).contains(point["x"]) and Ball(0, 0.1).contains(point["state"])
    found.save(tmp_path / "result.json")
    again = Result.load(tmp_path / "result.json")
    assert again.to_dict() == found.to_dict()
    assert again.by_input(again.lower.witness.x).keys() == {"x", "state"}  # type: ignore[union-attr]


def test_one_input_has_its_point_by_name_too() -> None:
    found = lipschitz(cell(), EXAMPLE, lower="random")
    assert found.lower is not None
    assert found.by_input(found.lower.witness.y)["x"].shape == (1, 3)


@pytest.mark.parametrize(
    ("varying", "sentence"),
    [
        (["x", 0], "input x comes twice among those that vary"),
        (["x", "y"], "there is no input 'y'"),
        ([0, 2], "only a tensor can vary"),
        ([], "varying is"),
        ([True], "varying is"),
    ],
)
def test_inputs_that_cannot_vary_together_are_refused(varying: list, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lipschitz(cell(), (*EXAMPLE, 3.0), varying=varying)


def test_those_of_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "cell.pt2"
    torch.export.save(torch.export.export(cell(), EXAMPLE), archive)
    whole = lipschitz(cell(), EXAMPLE, varying=[0, 1], method="autolip", lower=None)
    network = autolip.load(archive, varying=["x", "state"])
    assert network.fixed == {} and network.capture.varying.names == ("x", "state")
    found = lipschitz(network, method="autolip", lower=None)
    assert found.upper is not None and whole.upper is not None
    assert found.upper.value == pytest.approx(whole.upper.value, rel=1e-6)


def test_one_that_varies_is_not_held_fixed() -> None:
    request = Request(
        shapes=(("x", (1, 3)), ("state", (2, 1))),
        varying=("x", "state"),
        values={"state": torch.zeros(2, 1)},
    )
    with pytest.raises(InputError, match="input state varies"):
        load_network("tests.capture.test_varying:cell", request)
