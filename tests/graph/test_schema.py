"""Arguments by the names of their operation's schema."""

import operator

import torch

from autolip.graph.schema import completed, named, parameters

aten = torch.ops.aten


def test_arguments_of_a_call_have_the_names_of_the_schema() -> None:
    assert named(aten.add.Tensor, ("x", 2), {"alpha": 3}) == {"self": "x", "other": 2, "alpha": 3}
    assert named(aten.relu.default, (), {"self": "x"}) == {"self": "x"}


def test_what_has_no_schema_has_numbers() -> None:
    assert list(parameters(operator.add)) == []
    assert named(operator.add, (1, 2), {}) == {"0": 1, "1": 2}
    assert completed(operator.add, (1, 2), {}) == {}


def test_what_a_call_leaves_out_has_its_default() -> None:
    found = completed(aten.leaky_relu.default, ("x",), {})
    assert found == {"self": "x", "negative_slope": 0.01}
    assert list(completed(aten.sum.dim_IntList, ("x", [1]), {"keepdim": True})) == [
        "self", "dim", "keepdim", "dtype",
    ]  # fmt: skip
