"""Capture of PyTorch models: what is folded, what is refused, and in which words."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip import zoo
from autolip.capture.replay import replay
from autolip.capture.torch_export import Capture, capture_model
from autolip.errors import CaptureMismatch, InputError

aten = torch.ops.aten


def targets(capture: Capture) -> list[object]:
    return [node.target for node in capture.graph]


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_networks_replay_exactly(name: str) -> None:
    model, inputs = zoo.load(name)
    assert replay(capture_model(model, inputs)) <= 1e-12


def test_constants_are_folded_in_float64() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)).eval()
    capture = capture_model(layer, (torch.randn(1, 5),))
    assert targets(capture) == [aten.linear.default]
    weight = capture.graph.nodes[0].args[1]
    assert weight.dtype is torch.float64
    assert torch.linalg.matrix_norm(weight, 2) < 2


def test_several_inputs_one_varies() -> None:
    def function(x: Tensor, y: Tensor) -> Tensor:
        return x * y

    x, y = torch.randn(3), torch.tensor([1.0, -2.0, 5.0])
    first, second = capture_model(function, (x, y)), capture_model(function, (x, y), 1)
    assert torch.equal(first.graph.nodes[0].args[1], y.double())
    assert second.input_name == "y"
    assert replay(first) == replay(second) == 0.0


def test_inputs_by_name_and_unknown_names() -> None:
    model = nn.Bilinear(2, 3, 4).eval()
    capture = capture_model(model, (torch.randn(1, 2), torch.randn(1, 3)), "input2")
    assert capture.graph.input_shape == (1, 3)
    with pytest.raises(InputError, match=r"no input 'z'.*input1, input2"):
        capture_model(model, (torch.randn(1, 2), torch.randn(1, 3)), "z")


def test_several_outputs_are_one_vector() -> None:
    capture = capture_model(lambda x: (x[:, :1], 2 * x, torch.ones(3)), (torch.randn(1, 4),))
    assert capture.graph.output_shape == (8,)
    assert replay(capture) == 0.0


def test_in_place_operations_are_functional() -> None:
    def function(x: Tensor) -> Tensor:
        y = x.clone()
        return F.relu_(y.mul_(2.0)).add_(1.0)

    assert replay(capture_model(function, (torch.randn(4),))) == 0.0


@pytest.mark.slow
def test_recurrent_cells_are_unrolled() -> None:
    torch.manual_seed(0)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        model = kind(3, 4, batch_first=True).eval()
        assert replay(capture_model(lambda x, m=model: m(x)[0], (torch.randn(1, 5, 3),))) <= 1e-5


def test_places_name_module_and_line() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh()))
    place = capture_model(model.eval(), (torch.randn(1, 3),)).graph.nodes[1].place
    assert place.module == "1.0" and place.source.startswith("activation.py:")


def test_a_network_that_ignores_its_input() -> None:
    capture = capture_model(lambda x: torch.ones(3), (torch.randn(2),))
    assert capture.graph.constant is not None and not capture.graph.nodes


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def nan_weights() -> nn.Module:
    model = nn.Linear(2, 2)
    model.weight.data[0, 0] = float("nan")
    return model


def mixed_devices() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (nan_weights(), (torch.randn(1, 2),), "weights weight have 1 NaN or infinite entries"),
        (nn.Sequential(nn.BatchNorm1d(2)), (torch.randn(3, 2),), r"0 \(BatchNorm1d\) is in training mode.*eval"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout()), (torch.randn(1, 2),), r"1 \(Dropout\) is in training mode"),
        (nn.BatchNorm1d(2, track_running_stats=False).eval(), (torch.randn(3, 2),), "no running statistics"),
        (nn.Linear(2, 2), (torch.randn(1, 3),), "cannot be exported"),
        (nn.Linear(2, 2), (), "no example input"),
        (nn.Linear(2, 2), ("x",), "is a str: give a tensor"),
        (nn.Linear(2, 2), (torch.full((1, 2), float("inf")),), "NaN or infinite entries"),
        (lambda x: x * 2, (torch.arange(3),), "needs a floating-point input"),
        (Branch(), (torch.randn(2),), "control flow depends on the data"),
        (Counter(), (torch.randn(2),), "changes its buffer calls"),
        (lambda x: x.mul_(2), (torch.randn(2),), "changes its input .* in place"),
        (lambda x: 3, (torch.randn(2),), "returns no tensor"),
        (nn.Linear(2, 2, device="meta"), (torch.randn(1, 2),), "on the meta device"),
        (nn.Linear(2, 2), (torch.empty(1, 2, device="meta"),), "on the meta device"),
        (mixed_devices(), (torch.randn(1, 2),), "on the meta device"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(model: object, inputs: tuple[object, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        capture_model(model, inputs)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_random_model_is_caught_by_replay() -> None:
    capture = capture_model(lambda x: x, (torch.randn(3),))
    broken = Capture(capture.graph, lambda x: x + torch.rand(3), torch.float64, capture.example, "x", "float32")
    with pytest.raises(CaptureMismatch, match="differ by"):
        replay(broken)


def test_rms_norm_without_eps_keeps_the_stored_precision() -> None:
    capture = capture_model(nn.RMSNorm(4).eval(), (torch.randn(2, 4),))
    assert capture.graph.nodes[0].args[3] == torch.finfo(torch.float32).eps
    assert replay(capture) <= 1e-12
