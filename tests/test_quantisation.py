"""Networks that round to a grid: |f(x) - f(y)| <= L |x - y| + e, on pairs that come near it."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, Result, lipschitz, load
from autolip.errors import InputError
from autolip.training import NotLipschitz, assert_lipschitz

ORDER = {"l1": 1, "l2": 2, "linf": math.inf}


def quantised(x: Tensor, scale: float, zero_point: int) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, 255)


class Quantised(nn.Module):
    """Linear layers of quantised values, with a path around the second."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(quantised(x, 0.25, 128)))
        h = h + quantised(torch.tanh(self.second(quantised(h, 0.125, 0))), 0.0625, 128)
        return self.last(h)


def by_hand(x: Tensor) -> Tensor:
    """With a zero point in between, as exported by others."""
    numbers = torch.clamp(torch.round(x / 0.5) + 3, -8, 7)
    return (numbers - 3) * 0.5


def asked(model: Callable[..., Any], x: Tensor, **options: Any) -> tuple[Result, float, float]:
    result = lipschitz(model, x, seed=0, **options)
    assert result.upper is not None
    assert result.upper.value is not None
    assert result.rounding is not None
    return result, result.upper.value, result.rounding.value


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("region", [None, Ball(torch.zeros(1, 4), 0.5)])
def test_no_pair_of_inputs_is_further_apart(norm: str, region: Ball | None) -> None:
    model = Quantised().eval()
    _, upper, error = asked(
        model, torch.zeros(1, 4), norm=norm, region=region, method="autolip", lower=None
    )
    generator = torch.Generator().manual_seed(1)
    near = 10 ** (-3 * torch.rand(20_000, 1, generator=generator))
    x = 8 * torch.rand(20_000, 4, generator=generator) - 4
    y = x + near * torch.randn(20_000, 4, generator=generator)
    if region is not None:
        x, y = (p / p.norm(dim=1, keepdim=True).clamp(min=0.5) / 2 for p in (x, y))
    with torch.no_grad():
        apart = torch.linalg.vector_norm(model(x) - model(y), ORDER[norm], 1)
    allowed = upper * torch.linalg.vector_norm(x - y, ORDER[norm], 1) + error
    assert bool((apart <= allowed).all())
    assert bool((apart > allowed - error).any())


@pytest.mark.parametrize(("norm", "error"), [("l1", 1.5), ("l2", 0.5 * 3**0.5), ("linf", 0.5)])
def test_the_error_of_one_quantiser_is_attained(norm: str, error: float) -> None:
    """At a tie every entry jumps by one step, and the inputs are as near as one likes."""
    _, upper, found = asked(by_hand, torch.zeros(3), norm=norm, method="autolip", lower=None)
    assert upper == pytest.approx(1.0, abs=1e-12)
    assert error <= found <= error * (1 + 1e-12)
    below, above = (by_hand(torch.full((3,), t, dtype=torch.float64)) for t in (0.2499, 0.2501))
    assert torch.linalg.vector_norm(above - below, ORDER[norm]).item() == pytest.approx(error)


class Rounded(nn.Module):
    """A layer of float32, its values on a grid of steps that float32 rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return quantised(self.layer(x), 0.1, 100)


def test_a_step_is_that_of_float32() -> None:
    """As the operation holds it: 1.5e-8 more than .1."""
    _, _, error = asked(Rounded().eval(), torch.zeros(6), method="autolip", lower=None)
    assert error >= np.float64(np.float32(0.1)) * 6**0.5 > 0.1 * 6**0.5 * (1 + 1e-8)


def test_what_rounds_without_clipping_stays_infinite() -> None:
    result = lipschitz(lambda x: torch.round(x), torch.zeros(3), method="autolip", lower=None)
    assert result.rounding is None
    assert result.upper is not None
    assert result.upper.value == math.inf


def test_both_numbers_are_said_and_stored() -> None:
    result, upper, error = asked(by_hand, torch.zeros(3), method="autolip")
    assert "constant without rounding <= 1" in str(result)
    assert re.search(r"\|f\(x\) - f\(y\)\| <= 1\S* \|x - y\| \+ 0\.86602", str(result))
    back = Result.from_dict(result.to_dict())
    assert back.rounding is not None
    assert (back.rounding.value, back.upper and back.upper.value) == (error, upper)


def test_nothing_is_certified_or_asserted_of_it() -> None:
    result, _, _ = asked(by_hand, torch.zeros(3), method="autolip", lower=None)
    with pytest.raises(InputError, match="without its roundings"):
        result.certificate()
    with pytest.raises(NotLipschitz, match="rounds to a grid"):
        assert_lipschitz(by_hand, 10.0, torch.zeros(3), method="autolip", lower=None)


def test_a_quantised_onnx_file(tmp_path: Path) -> None:
    """Weights by DequantizeLinear, activations by both; against the same network in torch."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.array([[50, -20, 7], [-100, 90, 3]], np.int8)
    stored: dict[str, Any] = {
        "w8": weight,
        "ws": np.array([0.02, 0.01], np.float32),
        "wz": np.zeros(2, np.int8),
        "xs": np.array(0.05, np.float32),
        "xz": np.array(10, np.uint8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        helper.make_node("DequantizeLinear", ["w8", "ws", "wz"], ["w"], axis=0),
        helper.make_node("Gemm", ["d", "w"], ["y"], transB=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", 3), ("y", 2))
    ]
    initial = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "quantised", ends[:1], ends[1:], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, str(tmp_path / "q.onnx"))
    result = lipschitz(load(tmp_path / "q.onnx"), method="autolip", lower=None)
    matrix = weight * np.array([[0.02], [0.01]])
    assert result.upper is not None
    assert result.upper.value == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-6)
    assert result.rounding is not None
    bound = np.linalg.norm(matrix, 2) * 0.05 * 3**0.5
    assert result.rounding.value == pytest.approx(bound, rel=1e-6)
