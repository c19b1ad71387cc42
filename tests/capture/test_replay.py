"""Replay: what rounding explains is accepted, a wrong translation is not.

Covers autolip.capture.reference too.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import CaptureMismatch, InputError
from autolip.graph.graph import Graph, Node

X = torch.linspace(-1, 1, 8).reshape(1, 8)


class Narrowed(nn.Module):
    """Casts to float32 and lower on the way."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.first, self.second, self.kind = nn.Linear(8, 8), nn.Linear(8, 4), kind

    def forward(self, x: Tensor) -> Tensor:
        return self.second(
            torch.tanh(3 * self.first(x.float())).to(self.kind).to(self.second.weight.dtype)
        )


def closed_over(scale: float) -> Callable[[Tensor], Tensor]:
    """A function that calls float32 layers, saturated where the scale is large."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(4)]
    for parameter in (p for layer in layers for p in layer.parameters()):
        parameter.data *= scale
    inner = nn.Sequential(*layers)
    return lambda x: inner(x)


def eps_of_the_type(x: Tensor) -> Tensor:
    return x / (x.abs().sum(-1, keepdim=True) + torch.finfo(x.dtype).eps)


@pytest.mark.parametrize(
    "model",
    [
        Narrowed(torch.float32),
        Narrowed(torch.float16),
        Narrowed(torch.bfloat16),
        lambda x: x * torch.linspace(0, 1, 8) + torch.tensor(0.1) + torch.arange(8) / 7,
        closed_over(1.0),
        closed_over(30.0),
        eps_of_the_type,
    ],
)
def test_rounding_in_the_types_of_the_model_is_accepted(model) -> None:
    replay(capture_model(model, (X,)))


def autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return nn.functional.linear(x, torch.ones(3, 8))


def test_autocast_is_rounding() -> None:
    replay(capture_model(autocast, (X,)))


def mutated(capture: Capture, number: int, **change: object) -> Capture:
    """The capture with one argument of one node changed."""
    nodes = list(capture.graph.nodes)
    node = nodes[number]
    args = tuple(change.get(f"arg{i}", value) for i, value in enumerate(node.args))
    nodes[number] = Node(
        node.name, node.target, args, node.shape, node.kwargs, node.pick, node.place
    )
    return replace(
        capture,
        graph=Graph(capture.graph.input, capture.graph.input_shape, tuple(nodes), nodes[-1].name),
    )


MODELS = {
    "float64": lambda: nn.Sequential(nn.Linear(8, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3)).double(),
    "float32": lambda: nn.Sequential(nn.Linear(8, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3)),
    "bfloat16": lambda: nn.Sequential(
        nn.Linear(8, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3)
    ).bfloat16(),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_changed_attribute_is_caught_in_every_precision(kind: str, exact: bool) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]()
    capture = capture_model(model, (X.to(next(model.parameters()).dtype),))
    if not exact:
        capture = replace(
            capture, reference=capture.native, reference_dtype=X.to(model[0].weight.dtype).dtype
        )
    replay(capture)
    with pytest.raises(
        CaptureMismatch, match=r"differ by .* more than .* that rounding in .* explains"
    ):
        replay(mutated(capture, 1, arg1=0.5))
    weight = capture.graph.nodes[2].args[1].clone()
    weight[0, 0] += 1.0
    with pytest.raises(CaptureMismatch):
        replay(mutated(capture, 2, arg1=weight))


def test_a_random_model_is_said_to_be_one() -> None:
    capture = capture_model(lambda x: 1 * x, (torch.randn(3),))
    broken = replace(capture, reference=lambda x: x + torch.rand(3), native=None)
    with pytest.raises(InputError, match="different outputs for the same input"):
        replay(broken)


def test_other_shapes_are_a_mismatch() -> None:
    capture = capture_model(lambda x: 1 * x, (torch.randn(3),))
    with pytest.raises(CaptureMismatch):
        replay(replace(capture, reference=lambda x: x[:2], native=None))


class Leaving(nn.Module):
    """Ends the program at the third call."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 2:
            raise SystemExit(0)
        return 2 * x


def test_leaving_the_program_in_a_later_call_is_a_sentence() -> None:
    capture = capture_model(Leaving(), (X,))
    assert capture.native is not None
    with pytest.raises(InputError, match=r"running the model called sys.exit\(0\)"):
        for _ in range(3):
            capture.native(X.double())
