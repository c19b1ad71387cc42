"""What a mask leaves of scores: which entries count, what they are, and when nothing is said."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.graph.graph import Node, Ref
from autolip.rules.masks import Scores, scores_of

aten = torch.ops.aten
OFF = -math.inf
MASK = torch.tensor([[0.0, OFF], [1.0, 0.5]], dtype=torch.float64)
KEPT = torch.tensor([[True, False], [True, True]])
SCORES = Ref("scores")


def read(target: Any, *args: Any, **kwargs: Any) -> Scores | None:
    node = Node("masked", target, args, torch.Size((2, 2)), kwargs)
    return scores_of(Ref("masked"), node)


@pytest.mark.parametrize("arguments", [(SCORES, MASK), (MASK, SCORES)])
def test_a_sum_keeps_what_is_finite_and_its_shift(arguments: tuple[Any, ...]) -> None:
    found = read(aten.add.Tensor, *arguments)
    assert found is not None and found.x == SCORES
    assert found.kept is not None and found.kept.equal(KEPT)
    assert found.shift is not None and found.shift.equal(MASK.where(KEPT, 0.0))


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (aten.masked_fill.Scalar, (SCORES, ~KEPT, OFF)),
        (aten.masked_fill.Tensor, (SCORES, ~KEPT, torch.tensor(OFF))),
        (aten.where.ScalarOther, (KEPT, SCORES, OFF)),
        (aten.where.ScalarSelf, (~KEPT, OFF, SCORES)),
        (aten.where.self, (KEPT, SCORES, torch.full((2, 2), OFF))),
    ],
)
def test_fills_and_choices_keep_the_others(target: Any, arguments: tuple[Any, ...]) -> None:
    found = read(target, *arguments)
    assert found is not None and found.x == SCORES and found.shift is None
    assert found.kept is not None and found.kept.equal(KEPT)


def test_a_row_of_a_mask_is_repeated() -> None:
    found = read(aten.masked_fill.Scalar, SCORES, torch.tensor([False, True]), OFF)
    assert found is not None and found.kept is not None
    assert found.kept.tolist() == [[True, False], [True, False]]


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (aten.add.Tensor, (SCORES, torch.tensor([0.0, -1e30]))),
        (aten.add.Tensor, (SCORES, torch.tensor([0.0, math.inf]))),
        (aten.add.Tensor, (SCORES, torch.tensor([0.0, math.nan]))),
        (aten.masked_fill.Scalar, (SCORES, ~KEPT, -1e30)),
        (aten.where.self, (Ref("condition"), SCORES, torch.tensor(OFF))),
        (aten.where.self, (KEPT, SCORES, Ref("others"))),
    ],
)
def test_nothing_is_said_of_others(target: Any, arguments: tuple[Any, ...]) -> None:
    assert read(target, *arguments) is None


def test_what_masks_nothing_is_itself() -> None:
    for target, arguments in (
        (aten.mul.Tensor, (SCORES, MASK)),
        (aten.add.Tensor, (SCORES, Ref("others"))),
        (aten.add.Tensor, (SCORES, 2.0)),
    ):
        assert read(target, *arguments) == Scores(Ref("masked"))
    assert scores_of(SCORES, None) == Scores(SCORES)
    assert read(aten.add.Tensor, SCORES, MASK, alpha=2) is None


class Causal(nn.Module):
    """A token sees those before it."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = nn.functional.scaled_dot_product_attention(x, 2 * x, x + 1, is_causal=True)
        return y


def test_causal_attention_is_bracketed_closely() -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 3, 4)
    result = lipschitz(Causal(), x, region=Ball(x.double(), 1e-3, "linf"), method="lipsdp", seed=0)
    assert result.lower is not None and result.upper is not None
    assert result.lower.value <= result.upper.value < 1.02 * result.lower.value
