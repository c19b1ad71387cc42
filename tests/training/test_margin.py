"""The margin loss shifts logits by what the pair constants allow."""

import pytest
import torch
import torch.nn.functional as F

from autolip import InputError
from autolip.training import MarginLoss, Penalty

from .networks import mlp


def test_constants_are_symmetric_with_a_zero_diagonal_in_the_order_of_the_pairs() -> None:
    penalty = Penalty(mlp(), torch.zeros(1, 8), output="pairs")
    loss = MarginLoss(penalty, 0.5)
    penalty.settle()
    constants = loss.constants()
    assert torch.equal(constants, constants.T) and bool((constants.diagonal() == 0).all())
    again = penalty.constants()
    for (i, j), value in zip(penalty.pairs, again.tolist(), strict=True):
        assert constants[i, j].item() == pytest.approx(value, rel=1e-4)


def test_the_loss_is_cross_entropy_at_the_worst_logits() -> None:
    model = mlp()
    penalty = Penalty(model, torch.zeros(1, 8), output="pairs")
    penalty.settle()
    x, y = torch.randn(6, 8), torch.tensor([0, 1, 2, 2, 1, 0])
    logits = model(x)
    shifted = logits.clone()
    constants = MarginLoss(penalty, 0.3).constants()
    for row, label in enumerate(y.tolist()):
        for other in range(3):
            if other != label:
                shifted[row, other] += 0.3 * constants[label, other]
    found = MarginLoss(penalty, 0.3)(logits, y)
    assert found.item() == pytest.approx(F.cross_entropy(shifted, y).item(), rel=1e-3)
    assert MarginLoss(penalty, 0.0)(logits, y).item() == pytest.approx(
        F.cross_entropy(logits, y).item()
    )


def test_a_step_against_it_lowers_it() -> None:
    model = mlp()
    loss = MarginLoss(Penalty(model, torch.zeros(1, 8), output="pairs"), 0.3)
    loss.penalty.settle()
    x, y = torch.randn(6, 8), torch.tensor([0, 1, 2, 2, 1, 0])
    before = loss(model(x), y)
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter -= 1e-2 * parameter.grad
    assert loss(model(x), y).item() < before.item()


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="output='pairs'"):
        MarginLoss(Penalty(mlp(), torch.zeros(1, 8)), 0.1)
    with pytest.raises(InputError, match="radius is -1"):
        MarginLoss(Penalty(mlp(), torch.zeros(1, 8), output="pairs"), -1)
