"""The pieces that names give are those of PyTorch's functions."""

import pytest
import torch
from torch.nn import functional

from autolip_check.container import Rejected
from autolip_check.pieces import Pieces, pieces_of

CASES = [
    ("aten.relu.default", {}, functional.relu),
    ("relu6", {}, functional.relu6),
    ("abs", {}, torch.abs),
    ("aten.leaky_relu.default", {}, functional.leaky_relu),
    ("leaky_relu", {"negative_slope": -2.0}, lambda x: functional.leaky_relu(x, -2.0)),
    ("hardtanh", {}, functional.hardtanh),
    ("hardtanh", {"min_val": 0.25}, lambda x: functional.hardtanh(x, 0.25)),
    ("clamp", {"min": -0.5, "max": 0.75}, lambda x: x.clamp(-0.5, 0.75)),
    ("clamp", {"max": 0.75}, lambda x: x.clamp(max=0.75)),
    ("clamp_min", {"min": 0.5}, lambda x: x.clamp_min(0.5)),
    ("clamp_max", {"max": 0.5}, lambda x: x.clamp_max(0.5)),
    ("softshrink", {"lambd": 0.25}, lambda x: functional.softshrink(x, 0.25)),
]


@pytest.mark.parametrize(
    ("name", "given", "function"), CASES, ids=[f"{name} {given}" for name, given, _ in CASES]
)
def test_they_are_the_functions(name, given, function) -> None:  # type: ignore[no-untyped-def]
    pieces = pieces_of(name, given)
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    for value, wanted in zip(x.tolist(), function(x).tolist(), strict=True):
        piece = sum(at < value for at in pieces.breaks)
        found = pieces.slopes[piece] * value + pieces.offsets[piece]
        assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tanh", {}),
        ("relu", {"beta": 1}),
        ("clamp", {}),  # its ends are tensors
        ("clamp", {"min": "inf"}),
        ("hardtanh", {"min_val": 2.0}),
        ("softshrink", {"lambd": 0.0}),
        ("hardshrink", {}),
        ("prelu", {}),
    ],
)
def test_other_names_give_none(name: str, given: dict[str, object]) -> None:
    with pytest.raises(Rejected):
        pieces_of(name, given)


def test_a_jump_is_no_function_of_pieces() -> None:
    with pytest.raises(Rejected):
        Pieces((1.0,), (0.0, 1.0), (0.0, 0.0))
