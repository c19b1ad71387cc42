"""Stretches of a graph: what is known of them takes the place of products of norms, nothing else
changes."""

import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.graph.chains import Stretch, ends, stretches
from autolip.methods import Bound, Problem
from autolip.methods.autolip import walk
from autolip.methods.stretchwise import StretchBound, Stretchwise
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.values import Estimate, Upper


def posed() -> Problem:
    """Three layers of weights 2, 3 and 5: the product of norms is 30."""
    layers = [nn.Linear(1, 1) for _ in range(3)]
    for layer, weight in zip(layers, (2.0, 3.0, 5.0), strict=True):
        nn.init.constant_(layer.weight, weight)
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2]).eval()
    graph = capture_model(model, (torch.zeros(1, 1),)).graph
    return Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())


def folded(answer: StretchBound | Refusal) -> tuple[Stretchwise, Bound]:
    problem = posed()

    def bounded(stretch: Stretch) -> StretchBound | Refusal:
        return answer

    fold = Stretchwise.of(problem, problem.fused, stretches(problem.fused), bounded)
    bound = fold.joined(fold.notes)
    assert isinstance(bound, Bound)
    return fold, bound


def test_a_bound_of_the_stretch_is_the_bound_of_the_network() -> None:
    fold, bound = folded(StretchBound(Upper(7.0), complete=False, remarks=("cut short",)))
    assert isinstance(bound.value, Upper) and bound.value.value == 7
    assert bound.notes == ("cut short",) and not bound.complete and not fold.says_nothing


def test_a_bound_above_the_product_changes_nothing() -> None:
    problem = posed()
    product = walk(problem, problem.fused)
    assert isinstance(product, Bound)
    _, bound = folded(StretchBound(Upper(100.0)))
    assert bound.value == product.value


def test_bounds_to_the_ends_of_its_first_blocks_are_taken() -> None:
    """4 to the end of the second layer, times 5 of the third."""
    fold, bound = folded(StretchBound(Upper(100.0), levels=(Upper(2.0), Upper(4.0))))
    assert 20 <= bound.value.value <= 20 * (1 + 1e-12)
    (stretch,) = stretches(fold.graph)
    inner = [cut.sink for cut in fold.shortcuts[1:]]
    assert inner == ends(fold.graph, stretch)[:2]
    assert [cut.sink for cut in fold.shortcuts[:1]] == [stretch.sink]


def test_what_follows_from_an_estimate_is_one() -> None:
    fold, bound = folded(StretchBound(Estimate(7.0)))
    assert isinstance(bound.value, Estimate) and bound.value.value == 7
    assert not fold.says_nothing and not fold.shortcuts


def test_a_refusal_says_where_and_why_and_the_product_stands() -> None:
    fold, bound = folded(Refusal("no idea"))
    assert fold.says_nothing and 30 <= bound.value.value <= 30 * (1 + 1e-12)
    (note,) = fold.notes
    assert note.startswith("product of norms to ") and note.endswith(": no idea")
