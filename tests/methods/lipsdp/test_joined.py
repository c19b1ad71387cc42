"""Stretches of a mixed network: each bounded by LipSDP, AutoLip between them."""

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.graph.views import SlopeGraph
from autolip.methods import AutoLip, LipSDP
from autolip.methods.lipsdp.joined import joined
from autolip.methods.method import Bound, Problem
from autolip.regions import Ball
from autolip.testing import check_method
from autolip.values import Upper
from tests.methods.lipsdp.conftest import mlp, pose

pytestmark = pytest.mark.slow

REASON = "H is too large"


class Attending(nn.Module):
    """x + softmax(x x^T) x on five tokens, each of them through a dense stretch afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = mlp(4, 9, 9, 3, seed=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x + torch.softmax(x @ x.mT, -1) @ x)


def posed() -> Problem:
    """On a ball so large that every neuron bends, as everywhere."""
    torch.manual_seed(0)
    return pose(Attending().eval(), (1, 5, 4), region=Ball(torch.randn(1, 5, 4).double(), 3.0))


def value(bound: Bound | Refusal) -> float:
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper), bound
    return bound.value.value


def test_a_stretch_of_an_attention_network_is_tighter_than_its_product() -> None:
    """The bound falls by as much as that of the stretch: the rest is multiplied."""
    problem = posed()
    product = value(AutoLip().bound(problem))
    method = LipSDP(seconds=1)
    with method._clocked(problem) as clocked:
        bound = method._joined(problem, clocked, REASON)
    after_the_join = pose(Attending().dense[2:], (1, 9))
    ratio = value(LipSDP(seconds=1).bound(after_the_join)) / value(AutoLip().bound(after_the_join))
    assert ratio < 0.9
    assert value(bound) == pytest.approx(product * ratio, rel=0.02)
    assert isinstance(bound, Bound) and any(REASON in note for note in bound.notes)


def test_never_below_what_is_attained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LipSDP, "_relaxed", lambda *_: Refusal(REASON))
    capture = capture_model(Attending().eval(), (torch.randn(1, 5, 4).double(),))
    check_method(LipSDP(), capture, Ball(capture.example, 0.1))


def test_the_gain_of_a_stretch_enters_the_product() -> None:
    """A bound of zero for the one stretch makes everything zero; without a bound the reasons are
    told."""
    problem = posed()
    assert value(joined(problem, lambda graph, part: Upper(0.0), REASON)) == 0

    def refusing(graph: SlopeGraph, part: float) -> Refusal:
        assert part == 1
        return Refusal("no")

    refused = joined(problem, refusing, REASON)
    assert (
        isinstance(refused, Refusal) and str(refused).startswith(REASON) and ": no" in str(refused)
    )
