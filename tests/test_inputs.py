"""Inputs in every form: tensors, arrays, shapes, dictionaries of arguments.

Covers autolip.question, where it takes them.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip import InputError, lipschitz, zoo
from autolip.question import example_tensors


class Cell(nn.Module):
    """A default between two tensors, and numbers after them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, state: Tensor | None = None, scale: float = 1.0
    ) -> Tensor:
        y = self.a(x) if state is None else self.a(x) + self.b(state)
        return scale * torch.tanh(y if mask is None else y * mask)


X, STATE = np.zeros((1, 3), dtype=np.float32), np.zeros((1, 2))
KEYWORD: dict[str, Any] = {"x": X, "state": STATE}


@pytest.mark.parametrize(
    "inputs",
    [
        KEYWORD,
        {"state": STATE, "x": torch.zeros(1, 3)},
        {"x": (1, 3), "state": (1, 2)},
        {"state": [[0.0, 0.0]], "x": [[0.0, 0.0, 0.0]]},
    ],
)
def test_arguments_by_name_are_those_in_order(inputs: dict[str, Any]) -> None:
    model = Cell().eval()
    x, mask, state = example_tensors(model, inputs)
    assert mask is None and x.dtype == state.dtype == torch.float32
    by_name = lipschitz(model, inputs, varying=["state", "x"], method="autolip", lower=None)
    in_order = lipschitz(model, (X, None, STATE), varying=[2, 0], method="autolip", lower=None)
    assert by_name.upper is not None and in_order.upper is not None
    assert by_name.upper.value == in_order.upper.value
    weights = torch.cat([model.b.weight, model.a.weight], 1).double()
    norm = torch.linalg.matrix_norm(weights, 2).item()
    assert by_name.upper.value == pytest.approx(norm)


def test_numbers_go_by_name_too() -> None:
    found = lipschitz(Cell().eval(), {"x": X, "scale": 3.0}, method="autolip", lower=None)
    plain = lipschitz(Cell().eval(), {"x": X}, method="autolip", lower=None)
    assert found.upper is not None and plain.upper is not None
    assert found.upper.value == pytest.approx(3 * plain.upper.value)


def test_a_function_takes_arguments_by_name() -> None:
    found = lipschitz(
        lambda a, b: 2 * a + b, {"b": [0.0, 0.0], "a": [0.0, 0.0]}, varying="a", lower=None
    )
    assert found.upper is not None and found.upper.value == pytest.approx(2)


def test_several_shapes_are_several_inputs() -> None:
    first, second = example_tensors(nn.Bilinear(3, 2, 4), ((1, 3), (1, 2)))
    assert first.shape == (1, 3) and second.shape == (1, 2)


def test_a_shape_beside_a_tensor_stays_an_argument() -> None:
    x, size = example_tensors(nn.Identity(), (torch.zeros(1, 1, 4, 4), (2, 2)))
    assert size == (2, 2) and isinstance(x, Tensor)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"x": X, "y": X}, "does not take the inputs x, y"),
        ({"state": STATE}, "missing a required argument: 'x'"),
        ({}, "does not take the inputs"),
        ({"x": "text"}, "only a tensor can vary|example inputs"),
    ],
)
def test_what_the_model_does_not_take_is_a_sentence(inputs: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lipschitz(Cell().eval(), inputs)


def test_arguments_by_name_only_are_refused() -> None:
    def function(x: Tensor, *, state: Tensor) -> Tensor:
        return x + state

    with pytest.raises(InputError, match="takes state by name only"):
        lipschitz(function, {"x": X, "state": X})


def test_a_network_that_was_loaded_is_certified_on_arrays() -> None:
    images, labels = zoo.held_out()
    arrays = images[1:3].numpy(), labels[1:3].numpy()
    model, _ = zoo.load("digits-mlp")
    found = autolip.certify(autolip.load("digits-mlp"), *arrays, radius=0.05)
    same = autolip.certify(model, *arrays, radius=0.05)
    assert found.certified.tolist() == same.certified.tolist() == [True, True]


def test_loading_takes_arrays_and_shapes_by_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = {"x": (1, 3), "state": (1, 2)}
    network = autolip.load("tests.test_inputs:Cell", input_shape=shapes, varying=["x", "state"])
    assert network.capture.varying.names == ("x", "state")
