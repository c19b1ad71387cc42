"""Places and errors name the line of the user's code: of functions, of methods, of modules."""

from traceback import FrameSummary

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.places import AUTOLIP, CAPTURE, TORCH, users_frames
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError

X = torch.zeros(1, 3)
HERE = "test_places.py"


def twice(x: Tensor) -> Tensor:
    y = torch.sin(x)
    return torch.cos(y)


class Helped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self.helper(x) + nn.functional.softplus(x)

    def helper(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


def line(function: object, offset: int) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno + offset}"  # type: ignore[attr-defined]


def sources(model: object) -> list[str]:
    return [node.place.source for node in capture_model(model, (X,)).graph]  # type: ignore[arg-type]


def test_lines_of_a_function() -> None:
    assert sources(twice) == [line(twice, 1), line(twice, 2)]
    assert sources(lambda x: twice(x) * 2)[:2] == [line(twice, 1), line(twice, 2)]


def test_lines_of_methods() -> None:
    helper = line(Helped.helper, 1)
    forward = line(Helped.forward, 1)
    assert sources(Helped()) == [helper, forward, forward]
    assert sources(Helped().helper) == [helper]


def test_a_module_without_code_of_the_users() -> None:
    place = capture_model(nn.Sequential(nn.Tanh()), (X,)).graph.nodes[0].place
    assert place.module == "0"


def test_who_asked_for_the_capture_has_no_part_in_places() -> None:
    """From the command line its library is on the stack, between files of this package."""
    files = [AUTOLIP + "cli/main.py", "/libraries/click/core.py", CAPTURE + "load.py"]
    frames = [FrameSummary(file, 1, "call") for file in [*files, "/home/me/policy.py", TORCH + "a"]]
    assert [frame.filename for frame in users_frames(frames)] == ["/home/me/policy.py"]
    assert users_frames(frames[:3]) == []


def test_an_error_in_the_users_code_names_its_line() -> None:
    def wrong(x: Tensor) -> Tensor:
        return x @ torch.ones(4, 4)

    with pytest.raises(InputError, match=rf"\({line(wrong, 1)}\)$"):
        capture_model(wrong, (X,))


def test_a_branch_on_the_data_names_its_line() -> None:
    def branching(x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match=rf"depends on the data \({line(branching, 1)}\)"):
        capture_model(branching, (X,))


def test_what_looks_at_a_shape_alone_is_a_constant() -> None:
    def filled(x: Tensor) -> Tensor:
        full = x.new_full((3,), 2.0) + torch.ones_like(x) + torch.zeros_like(x > 0, dtype=x.dtype)
        return x * full

    (node,) = capture_model(filled, (X,)).graph.nodes
    assert any(isinstance(leaf, Tensor) and (leaf == 3).all() for leaf in node.args)
