"""A layer inside the network: its constant is that of the network up to there.

Covers autolip.capture.torch.layer.
"""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import autolip
from autolip import InputError, Result, lipschitz, sweep
from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.graph.evaluate import evaluate


class Net(nn.Module):
    """Shared, unused and nested layers; one whose result the next writes over; a branch on data
    behind them all."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.stem, self.shared = nn.Linear(3, 5), nn.Linear(5, 5)
        self.block = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True))
        self.Head, self.unused = nn.Linear(4, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        y = torch.tanh(self.shared(torch.tanh(self.shared(torch.tanh(self.stem(x)))))) + state
        return torch.floor(self.Head(self.block(y)))


INPUTS = (torch.zeros(1, 3), torch.zeros(1, 5))


def up_to(net: Net, path: str, x: Tensor) -> Tensor:
    """By hand."""
    y = torch.tanh(net.shared(torch.tanh(net.shared(torch.tanh(net.stem(x))))))
    first = net.block[0](y)
    return {"stem": net.stem(x), "block.0": first, "block": first.relu(), "block.1": first.relu()}[
        path
    ]


@pytest.mark.parametrize("path", ["stem", "block.0", "block", "block.1"])
def test_the_graph_ends_at_the_layer(path: str) -> None:
    capture = capture_model(Net().eval(), INPUTS, layer=path)
    assert replay(capture) < 1e-6
    x = torch.randn(1, 3).double()
    with torch.no_grad():
        expected = up_to(Net().double().eval(), path, x)
    assert torch.allclose(evaluate(capture.graph, x), expected, atol=1e-6)
    assert not any("whole" in str(node.place) for node in capture.graph)


def test_what_follows_the_layer_plays_no_part(tmp_path: Path) -> None:
    found = lipschitz(Net().eval(), INPUTS, output="layer:block.0", lower="random")
    assert found.upper is not None and found.lower is not None
    assert "Lipschitz constant of layer block.0" in repr(found)
    assert "of the whole network: what layer block.0 returns" in repr(found)
    whole = lipschitz(Net().eval(), INPUTS, lower=None)
    assert whole.upper is not None and whole.upper.value == float("inf")
    found.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").to_dict() == found.to_dict()


def test_the_first_layer_has_the_norm_of_its_weights_and_inputs_their_names() -> None:
    net = Net().eval()
    asked: dict[str, Any] = {"output": "layer:stem", "lower": None}
    found = lipschitz(net, INPUTS, varying=["x", "state"], **asked)
    norm = torch.linalg.matrix_norm(net.stem.weight.double(), 2).item()
    assert found.upper is not None and found.upper.value == pytest.approx(norm)
    assert found.assumptions["input"] == "x and state"


def test_its_parts_are_asked_for_where_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = autolip.load("digits-mlp", layer="1")
    found = lipschitz(network, output="0-1", method="autolip", lower="random")
    same = lipschitz(network, output="layer:1", method="autolip", lower="random")
    assert found.upper is not None and same.upper is not None
    assert found.upper.value <= 2**0.5 * same.upper.value
    rows = sweep(network, None, [{"output": 3}, {"output": "layer:1"}], method="autolip").rows
    assert all(row.upper is not None for row in rows)
    with pytest.raises(InputError, match="load it with layer='3'"):
        lipschitz(network, output="layer:3")
    with pytest.raises(InputError, match="load it with layer='1'"):
        sweep(autolip.load("digits-mlp"), None, [{"output": "layer:1"}])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("shared", "layer shared is called 2 times"),
        ("unused", "layer unused is never called"),
        ("blok", "the model has no layer 'blok': did you mean 'block'?"),
        ("head", "the model has no layer 'head'"),
    ],
)
def test_a_layer_without_one_value_is_refused(path: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lipschitz(Net().eval(), INPUTS, output=f"layer:{path}")


def test_functions_and_archives_have_no_layers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a function has no layer x"):
        lipschitz(torch.tanh, (1, 3), output="layer:x")
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Linear(3, 2).eval(), (torch.zeros(1, 3),)), file)
    with pytest.raises(InputError, match="is an archive, whose layers are taken apart"):
        autolip.load(file, layer="linear")


def saved(path: Path) -> tuple[Tensor, Path]:
    """An ONNX file of relu(x W) U; returns W."""
    torch.manual_seed(0)
    first, second = torch.randn(4, 3), torch.randn(3, 2)
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["hidden"], name="/first/MatMul"),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "U"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(w.numpy(), n) for w, n in ((first, "W"), (second, "U"))],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path / "net.onnx")
    return first, path / "net.onnx"


@pytest.mark.parametrize("name", ["hidden", "/first/MatMul", "active"])
def test_nodes_and_values_of_an_onnx_file(tmp_path: Path, name: str) -> None:
    first, file = saved(tmp_path)
    found = lipschitz(autolip.load(file, layer=name), lower=None)
    norm = torch.linalg.matrix_norm(first.double(), 2).item()
    assert found.upper is not None and found.upper.value == pytest.approx(norm)
    with pytest.raises(InputError, match=r"no node and no value 'hiden': did you mean 'hidden'\?"):
        autolip.load(file, layer="hiden")
