"""Networks by the name given on the command line: shipped, ONNX, archive, module:factory.

Covers autolip.capture.inputs, autolip.capture.results, autolip.capture.factory,
autolip.capture.constants and autolip.capture.checks too.
"""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from autolip import zoo
from autolip.capture.inputs import Request
from autolip.capture.load import load_network
from autolip.capture.onnx.reading import OnnxModel, load_onnx
from autolip.errors import CaptureMismatch, InputError
from autolip.graph.evaluate import evaluate

CODE = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
    def forward(self, x, state, scale=None):
        return self.layer(x) + state * (1 if scale is None else scale)

class Open(nn.Module):
    def forward(self, *inputs):
        return sum(inputs)

def chain():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU())

def dropout():
    return nn.Sequential(nn.Linear(4, 3), nn.Dropout())

def half():
    return nn.Linear(4, 3).half()

def fails():
    return nn.Linear(4, 3, 5, 6, 7)

def number():
    return 3

def needs(width):
    return nn.Linear(width, 1)

def quits():
    raise SystemExit

class Odd(BaseException):
    pass

def raises():
    raise Odd

class Leaving(nn.Module):
    def forward(self, x):
        import sys
        sys.exit(3)

ready = nn.Linear(4, 3)
constant = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A current folder with a module `nets`."""
    (tmp_path / "nets.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found", encoding="utf-8")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)", encoding="utf-8")
    (tmp_path / "wrong.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("nets", "broken", "leaves", "wrong"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    request.addfinalizer(lambda: sys.modules.pop("nets", None))
    return tmp_path


def shape(*sizes: int) -> Request:
    return Request(shapes=((None, sizes),))


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_networks(name: str) -> None:
    network = load_network(name)
    model, (image,) = zoo.load(name)
    assert (network.name, network.fixed) == (name, {})
    expected = model.double()(image.double())
    assert torch.allclose(evaluate(network.capture.graph, image.double()), expected, rtol=1e-10)


def test_shipped_network_refuses_another_shape() -> None:
    with pytest.raises(InputError, match=r"has shape \(1, 1, 8, 8\), not \(1, 3\)"):
        load_network("digits-mlp", shape(1, 3))


def test_factory_and_module(folder: Path) -> None:
    for spec in ("nets:chain", "nets:ready"):
        network = load_network(spec, shape(2, 4))
        assert network.capture.graph.input_shape == (2, 4)
        assert network.name == spec


def test_inputs_by_name_and_order(folder: Path) -> None:
    by_name = load_network(
        "nets:Two", Request(shapes=(("state", (1, 2)), (None, (1, 3))), varying="x")
    )
    assert by_name.capture.input_name == "x"
    assert by_name.fixed == {"state": "zeros, shape (1, 2)"}
    other = load_network(
        "nets:Two", Request(shapes=((None, (1, 3)), (None, (1, 2))), varying="state")
    )
    assert other.capture.graph.input_shape == (1, 2)
    assert list(other.fixed) == ["x"]
    third = load_network(
        "nets:Two", Request(shapes=((None, (1, 3)), (None, (1, 2)), ("scale", (1,))))
    )
    assert list(third.fixed) == ["state", "scale"]
    assert load_network(
        "nets:Open", Request(shapes=((None, (2,)), (None, (2,))))
    ).capture.graph.input_shape == (2,)


def test_values_held_fixed_matter(folder: Path) -> None:
    given = Request(
        shapes=((None, (1, 3)),), values={"state": torch.tensor([[1.0, 2.0]], dtype=torch.float64)}
    )
    network = load_network("nets:Two", given)
    zero = load_network("nets:Two", Request(shapes=((None, (1, 3)), (None, (1, 2)))))
    x = torch.zeros(1, 3, dtype=torch.float64)
    bias = network.capture.reference(x)
    assert network.fixed == {"state": "the given values, shape (1, 2)"}
    assert torch.allclose(evaluate(network.capture.graph, x), bias)
    assert not torch.allclose(evaluate(zero.capture.graph, x), bias)


@pytest.mark.parametrize(
    ("spec", "request_", "reason"),
    [
        (
            "nets:chain",
            Request(),
            "the shape of input input is not known: give it with --input-shape input=",
        ),
        ("nets:Two", shape(1, 3), "the shape of input state is not known"),
        (
            "nets:chain",
            Request(shapes=((None, (1, 4)), (None, (1, 4)))),
            "2 input shapes for a network with 1",
        ),
        (
            "nets:chain",
            Request(shapes=(("y", (1, 4)),)),
            "there is no input 'y': the network has input",
        ),
        ("nets:chain", Request(shapes=((None, (1, 4)),), varying="y"), "there is no input 'y'"),
        (
            "nets:chain",
            Request(shapes=((None, (1, 4)),), values={"input": torch.ones(1, 4)}),
            "varies: it cannot be",
        ),
        (
            "nets:chain",
            Request(shapes=((None, (1, 4)),), values={"z": torch.ones(1)}),
            "there is no input 'z'",
        ),
        ("nets:chain", shape(1, 5), "cannot be exported"),
        ("nets:dropout", shape(1, 4), "is in training mode"),
        ("nets:Open", Request(), "takes no input"),
        ("nets:constant", shape(1), "nets:constant is a int: give an nn.Module"),
        ("nets:number", shape(1), "nets:number returned a int"),
        (
            "nets:needs",
            shape(1),
            r"cannot be called without arguments \(missing a required argument: 'width'\)",
        ),
        ("nets:fails", shape(1), "nets:fails: calling it failed"),
        ("nets:absent", shape(1), "module nets has no 'absent'"),
        ("absent_module:chain", shape(1), "there is no module 'absent_module' here"),
        (
            "broken:chain",
            shape(1),
            "importing broken failed: No module named 'nowhere_to_be_found'",
        ),
        (
            "wrong:chain",
            shape(1),
            r"importing wrong failed: division by zero \(ZeroDivisionError\)",
        ),
        (
            "leaves:chain",
            shape(1),
            r"leaves:chain: importing leaves called sys.exit\(0\): take that call out",
        ),
        ("nets:quits", shape(1), r"nets:quits: calling it called sys.exit\(\)"),
        ("nets:Leaving", shape(1, 4), r"cannot be exported: it calls sys.exit\(3\)"),
        ("nets:raises", shape(1), r"nets:raises: calling it failed: Odd"),
        (
            "network.pth",
            Request(),
            "holds weights without a network: give module:factory and --weights network.pth",
        ),
        (
            "digits-cov",
            Request(),
            r"no network 'digits-cov': did you mean 'digits-conv'\? give an .onnx",
        ),
        ("digits-mlp", Request(weights=Path("w.pth")), "weights go with a module:factory"),
        ("absent.onnx", Request(), "absent.onnx cannot be read: No such file"),
        ("absent.pt2", Request(), "absent.pt2 cannot be read: No such file"),
    ],
)
def test_one_sentence_for_what_cannot_be_loaded(
    folder: Path, spec: str, request_: Request, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_network(spec, request_)
    assert "\n" not in str(caught.value)


def test_evaluation_mode_on_request(folder: Path) -> None:
    network = load_network("nets:dropout", Request(shapes=((None, (1, 4)),), evaluation=True))
    assert network.capture.graph.input_shape == (1, 4)


def test_half_precision_model_is_analysed_exactly(folder: Path) -> None:
    assert load_network("nets:half", shape(1, 4)).capture.stored_dtype == "float16"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_stored_numbers_are_kept_whatever_their_precision(folder: Path, dtype: torch.dtype) -> None:
    weights = {
        "0.weight": torch.randn(3, 4, dtype=torch.float64).to(dtype),
        "0.bias": torch.zeros(3, dtype=dtype),
    }
    save_file(weights, "w.safetensors")
    network = load_network(
        "nets:chain", Request(weights=Path("w.safetensors"), shapes=((None, (1, 4)),))
    )
    x = torch.randn(1, 4, dtype=torch.float64)
    expected = torch.relu(x @ weights["0.weight"].double().T)
    assert torch.allclose(evaluate(network.capture.graph, x), expected, rtol=1e-13, atol=1e-13)
    assert network.capture.stored_dtype == str(dtype).split(".")[-1]


def test_an_interrupt_is_no_failure(folder: Path) -> None:
    (folder / "stopped.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        load_network("stopped:chain")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU()).eval()
    torch.export.save(torch.export.export(model, (torch.randn(2, 4),)), tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def test_archive(archive: Path) -> None:
    network = load_network(str(archive))
    x = torch.randn(2, 4, dtype=torch.float64)
    assert network.capture.graph.input_shape == (2, 4)
    assert torch.allclose(
        evaluate(network.capture.graph, x), network.capture.reference(x), rtol=1e-10
    )


def test_archive_with_a_nan_weight_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
    torch.export.save(torch.export.export(model, (torch.zeros(1, 2),)), tmp_path / "nan.pt2")
    with pytest.raises(InputError, match="NaN"):
        load_network(str(tmp_path / "nan.pt2"))


def affine(path: Path, batch: int | str = 1) -> np.ndarray:
    """An ONNX file of x @ W + state; returns W."""
    weight = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "W"], ["xw"]),
            helper.make_node("Add", ["xw", "state"], ["y"]),
        ],
        "affine",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [batch, 3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(weight, "W")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return weight


def test_onnx_by_name_and_order(tmp_path: Path) -> None:
    weight = affine(tmp_path / "net.onnx", batch="n")
    network = load_network(
        str(tmp_path / "net.onnx"), Request(shapes=((None, (2, 4)), ("state", (2, 3))))
    )
    x = torch.randn(2, 4, dtype=torch.float64)
    assert (network.name, network.capture.input_name) == ("net.onnx", "x")
    assert network.fixed == {"state": "zeros, shape (2, 3)"}
    assert torch.allclose(evaluate(network.capture.graph, x), x @ torch.from_numpy(weight).double())
    state = load_network(str(tmp_path / "net.onnx"), Request(varying="state"))
    assert state.capture.graph.input_shape == (1, 3)


def test_onnx_of_two_inputs_that_vary_together(tmp_path: Path) -> None:
    weight = affine(tmp_path / "net.onnx")
    network = load_network(str(tmp_path / "net.onnx"), Request(varying=("state", "x")))
    assert network.fixed == {} and network.capture.input_name == "state and x"
    x, state = torch.randn(1, 4).double(), torch.randn(1, 3).double()
    value = evaluate(network.capture.graph, torch.cat([state.flatten(), x.flatten()]))
    assert torch.allclose(value, x @ torch.from_numpy(weight).double() + state)


def test_onnx_is_replayed_against_the_original_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(nn.Module):
        def __init__(self, right: nn.Module) -> None:
            super().__init__()
            self.right = right

        def forward(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            return self.right(x, state) * 1.01

    def mistranslated(path: Path, *asked: Any) -> OnnxModel:
        onnx = load_onnx(path, *asked)
        return replace(onnx, module=Wrong(onnx.module))

    affine(tmp_path / "net.onnx")
    monkeypatch.setattr("autolip.capture.load.load_onnx", mistranslated)
    with pytest.raises(CaptureMismatch):
        load_network(str(tmp_path / "net.onnx"))


class Scaled(nn.Module):
    def forward(
        self, x: torch.Tensor, scale: float, *, shift: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {"logits": x * scale + shift["by"], "sum": x.sum()}


def test_archive_with_numbers_nested_arguments_and_several_outputs(tmp_path: Path) -> None:
    program = torch.export.export(
        Scaled(), (torch.ones(1, 4), 2.5), {"shift": {"by": torch.ones(4)}}
    )
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(
        InputError, match=r"returns 2 tensors \(0: logits of shape \(1, 4\), 1: sum of shape \(\)"
    ):
        load_network(str(tmp_path / "net.pt2"))
    network = load_network(str(tmp_path / "net.pt2"), Request(outputs="logits"))
    x = torch.randn(1, 4, dtype=torch.float64)
    assert torch.allclose(evaluate(network.capture.graph, x), 2.5 * x + 1)
    assert torch.allclose(network.capture.reference(x), 2.5 * x + 1)


def test_an_archive_that_inflates_is_refused_by_its_declared_size(archive: Path) -> None:
    with (
        zipfile.ZipFile(archive) as plain,
        zipfile.ZipFile(archive.with_name("z.pt2"), "w") as packed,
    ):
        for entry in plain.infolist():
            weight = entry.filename.endswith("weight_0")
            content = bytes(2**27) if weight else plain.read(entry)
            packed.writestr(
                entry.filename, content, zipfile.ZIP_DEFLATED if weight else zipfile.ZIP_STORED
            )
    with pytest.raises(InputError, match=r"would inflate from .* to 1.34e"):
        load_network(str(archive.with_name("z.pt2")))
