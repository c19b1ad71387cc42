"""Models compiled by torch.jit: scripted, traced, frozen."""

import pytest
import torch
from torch import Tensor, nn

from autolip import lipschitz
from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.graph.evaluate import evaluate
from autolip.training.live import own_module


class Small(nn.Module):
    """A branch on the shape, a loop, two results."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.tanh(self.first(x))
        if x.shape[0] > 1:
            y = 2 * y
        for _ in range(2):
            y = y + 0.1 * torch.relu(y)
        return self.second(y), y


def straight(x: Tensor) -> Tensor:
    return torch.sin(x) * 2


X = torch.linspace(-1, 1, 8).reshape(2, 4)
FORMS = {
    "scripted": lambda model: torch.jit.script(model),
    "traced": lambda model: torch.jit.trace(model, X),
    "frozen": lambda model: torch.jit.freeze(torch.jit.script(model)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_function(form: str) -> None:
    model = Small().eval()
    capture = capture_model(FORMS[form](model), (X,), outputs=0)
    assert replay(capture) <= 1e-6
    assert capture.stored_dtype == "float32"
    expected = model.double()(X.double())[0]
    torch.testing.assert_close(evaluate(capture.graph, X.double()), expected)


def test_a_scripted_function() -> None:
    capture = capture_model(torch.jit.script(straight), (X,))
    torch.testing.assert_close(evaluate(capture.graph, X.double()), straight(X.double()))


def test_a_bracket() -> None:
    linear = nn.Linear(4, 3, bias=False).eval()
    found = lipschitz(torch.jit.script(linear), (1, 4), method="autolip")
    exact = torch.linalg.matrix_norm(linear.weight.double(), 2).item()
    assert found.upper is not None and found.lower is not None
    assert found.lower.value <= exact * (1 + 1e-12) and exact <= found.upper.value * (1 + 1e-12)
    assert found.upper.value <= 1.001 * exact


def test_there_is_nothing_to_train() -> None:
    with pytest.raises(InputError, match="no Python code to follow its weights"):
        own_module(torch.jit.script(nn.Linear(4, 3)))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(4), r"cannot convert its graph .*: call model.eval\(\) first"),
        (nn.Dropout(0.5), r"draws random numbers, .*: call model.eval\(\)"),
    ],
)
def test_training_mode_is_refused(layer: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        replay(capture_model(torch.jit.script(nn.Sequential(nn.Linear(4, 4), layer)), (X,)))
