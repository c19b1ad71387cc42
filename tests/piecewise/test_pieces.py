"""Pieces: the function itself, piece by piece."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.piecewise.pieces import Pieces, pieces_of
from autolip.rules.rule import RULES, Operand, Pointwise

aten = torch.ops.aten
CALLS = (
    (aten.relu.default, ()),
    (aten.abs.default, ()),
    (aten.leaky_relu.default, (-0.3,)),
    (aten.hardtanh.default, (-0.5, 2.0)),
    (aten.clamp.default, (None, 0.5)),
    (aten.clamp.default, (0.25, None)),
    (aten.clamp.default, (2.0, 1.0)),
    (aten.softshrink.default, (0.75,)),
    (aten.prelu.default, (torch.tensor([0.2, -1.5, 0.0], dtype=torch.float64),)),
)


def curve(
    target: object, arguments: tuple[object, ...], shape: tuple[int, ...] = (1, 3)
) -> Pointwise:
    operand = Operand("x", torch.Size(shape), Interval.everywhere(shape))
    (outcome,) = RULES[target](operand, *arguments)  # type: ignore[index]
    assert isinstance(outcome, Pointwise)
    return outcome


def evaluated(pieces: Pieces, x: Tensor) -> Tensor:
    """phi(x) by the piece on which each entry lies."""
    piece = (pieces.breaks < x.reshape(-1, 1)).sum(1)
    every = torch.arange(len(piece))
    return pieces.slopes[every, piece] * x.reshape(-1) + pieces.offsets.value[every, piece]


@pytest.mark.parametrize(("target", "arguments"), CALLS, ids=lambda value: str(value)[:40])
def test_pieces_make_up_the_function(target: object, arguments: tuple[object, ...]) -> None:
    pieces = pieces_of(curve(target, arguments))
    assert pieces is not None
    for value in (-3.0, -0.75, -0.4, 0.0, 0.3, 0.75, 1.7, 5.0):
        x = torch.full((1, 3), value, dtype=torch.float64)
        expected = target(x, *arguments).reshape(-1)  # type: ignore[operator]
        assert torch.allclose(evaluated(pieces, x), expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("target", [aten.tanh.default, aten.hardsigmoid.default])
def test_smooth_or_rounded_slopes_have_no_pieces(target: object) -> None:
    assert pieces_of(curve(target, ())) is None


def test_a_jump_has_no_pieces() -> None:
    assert pieces_of(curve(aten.threshold.default, (0.5, 2.0))) is None


def test_values_that_are_rounded_have_no_pieces() -> None:
    """Slopes are exact, but offsets are taken of values at knots."""
    leaky = curve(aten.leaky_relu.default, (-0.3,))
    assert pieces_of(replace(leaky, value=lambda x: leaky.value(x) + 0.1)) is None


def test_pieces_within_a_range() -> None:
    pieces = pieces_of(curve(aten.hardtanh.default, (-1.0, 1.0)))
    assert pieces is not None
    lo = torch.tensor([[-0.5, -1.0, 1.0]], dtype=torch.float64)
    hi = torch.tensor([[3.0, 1.0, 2.0]], dtype=torch.float64)
    first, last = pieces.within(Interval(lo, hi))
    assert first.tolist() == [1, 1, 2] and last.tolist() == [2, 1, 2]


def test_joined_pieces_are_padded_with_infinite_breaks() -> None:
    parts = [pieces_of(curve(*call)) for call in (CALLS[0], CALLS[3])]
    joined = Pieces.joined([part for part in parts if part is not None])
    assert joined.breaks[:3, 1].tolist() == [math.inf] * 3
    everywhere = Interval.everywhere((6,))
    assert joined.within(everywhere)[1].tolist() == [1, 1, 1, 2, 2, 2]
