"""From pairs to a bound that holds: rounding, the original model, the region."""

import json
import pickle
from fractions import Fraction

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.lower import Ascent, LowerProblem
from autolip.lower.certify import certified, evaluated, length_above
from autolip.lower.pairs import Pairs
from autolip.norms import Norm
from autolip.regions import Ball, Box, Everywhere
from autolip.values import Lower


def pair(x: list[float], y: list[float]) -> Pairs:
    points = torch.tensor([x, y], dtype=torch.float64)
    return Pairs(points[:1], points[1:], torch.zeros(1, dtype=torch.float64))


def noisy(x: torch.Tensor) -> torch.Tensor:
    """x, computed with an error of about 1e-8."""
    return (x + 2.0**26) - 2.0**26


@pytest.mark.parametrize("distance", [1e-1, 1e-4, 1e-7])
def test_rounding_does_not_lift_a_secant_above_the_constant(pose, distance: float) -> None:
    problem = pose(noisy, torch.ones(1))
    above = 0
    for k in range(50):
        x = torch.tensor([0.3 + 0.0137 * k], dtype=torch.float64)
        y = x + distance
        above += int(((noisy(x) - noisy(y)).abs() / (x - y).abs()).item() > 1)
        found = evaluated(problem, x, y)
        assert found is not None and found.value <= 1.0
    assert above > 5, "the example shows nothing if the plain secants are never too large"


@pytest.mark.parametrize("size", [1e100, 1e-60, 1e-300, 1e-318])
def test_rounding_at_both_ends_of_floating_point(pose, size: float) -> None:
    """diag(w) of a number, w beyond the range of float32: never above w, and most of it where w is
    not denormal."""
    weight = Fraction(1 / 3) * Fraction(size)
    problem = pose(lambda x: (x * size) / 3, torch.ones(1))
    for k in range(10):
        x = torch.tensor([1.0 + 0.0137 * k], dtype=torch.float64)
        found = evaluated(problem, x, 2.5 * x)
        assert found is not None and Fraction(found.value) * 3 <= Fraction(size)
        assert size < 1e-300 or found.value > float(weight) * (1 - 1e-12)


def test_the_distance_chosen_is_long_where_rounding_is_large(pose) -> None:
    found = certified(pose(noisy, torch.ones(1)), pair([1.0], [1.0 + 1e-6]))
    assert isinstance(found, Lower) and 1 - 1e-6 < found.value <= 1
    assert found.witness.run > 0.1


def test_the_distance_chosen_is_short_where_curvature_is_large(pose) -> None:
    problem = pose(lambda x: torch.sin(1e3 * x), torch.zeros(1))
    found = certified(problem, pair([0.5], [-0.5]))
    assert isinstance(found, Lower) and 1e3 * (1 - 1e-6) < found.value <= 1e3
    assert found.witness.run < 1e-4


def test_the_witness_says_what_was_computed(pose) -> None:
    problem = pose(lambda x: 3 * x, torch.ones(2), p=Norm.L1, q=Norm.LINF)
    found = certified(problem, pair([1.0, 0.0], [0.0, 0.0]))
    assert isinstance(found, Lower)
    witness = found.witness
    assert found.value <= witness.rise / witness.run <= 3
    assert witness.evaluated == "the original model in float64" and 0 < witness.margin < 1e-9
    plain = json.loads(json.dumps(witness.to_dict()))
    assert (
        plain["shape"] == [2]
        and plain["x"] == witness.x.tolist()
        and plain["y"] == witness.y.tolist()
    )
    assert (
        "(l1)" in witness.describe() and "(linf)" in repr(witness) and "tensor" not in repr(found)
    )
    again = pickle.loads(pickle.dumps(found))
    assert again.value == found.value and torch.equal(again.witness.x, witness.x)


def test_both_points_lie_in_the_region(pose) -> None:
    ball = Ball(torch.tensor([0.1, 0.7, 0.3]), 1e-3, Norm.LINF)
    problem = pose(lambda x: x * 2, torch.ones(3), ball)
    inside, outside = ball.center, ball.center + 1e-2
    assert evaluated(problem, inside, inside + 9e-4) is not None
    assert (
        evaluated(problem, inside, outside) is None and evaluated(problem, outside, inside) is None
    )


def test_points_where_the_network_is_not_defined_prove_nothing(pose) -> None:
    problem = pose(lambda x: torch.log(x), torch.ones(1))
    assert evaluated(problem, torch.tensor([2.0]).double(), torch.tensor([-1.0]).double()) is None
    assert isinstance(certified(problem, pair([-3.0], [-30.0])), Refusal)


def test_a_region_of_one_point_is_refused(pose) -> None:
    for region in (Box(torch.ones(2), torch.ones(2)), Ball(torch.ones(2), 0.0)):
        found = Ascent().search(pose(lambda x: x * 2, torch.ones(2), region))
        assert isinstance(found, Refusal) and "single point" in str(found)


class SinglePrecision(nn.Module):
    """A model that insists on float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype is not torch.float32:
            raise TypeError("float32 only")
        return torch.relu(5 * x)


def test_a_model_in_single_precision_is_evaluated_by_its_graph_and_it_is_said() -> None:
    capture = capture_model(SinglePrecision(), (torch.ones(3),))
    assert capture.reference_dtype is torch.float32
    found = Ascent(passes=1000).search(LowerProblem.of(capture, Everywhere(), Norm.L2, Norm.L2))
    assert isinstance(found, Lower) and 5 * (1 - 1e-9) < found.value <= 5
    assert found.witness.evaluated.startswith("the captured graph in float64")


def test_of_graph_and_model_the_smaller_rise_counts(pose) -> None:
    problem = pose(lambda x: 3 * x, torch.ones(1))
    problem.original = lambda x: 2 * x
    found = evaluated(problem, torch.tensor([1.0]).double(), torch.tensor([0.0]).double())
    assert found is not None and 2 - 1e-9 < found.value <= 2


@pytest.mark.parametrize("norm", Norm)
def test_length_above_is_above(norm: Norm) -> None:
    v = torch.tensor([0.1, -0.7, 1e-9], dtype=torch.float64)
    exact = {Norm.L1: 0.800000001, Norm.L2: 0.5**0.5, Norm.LINF: 0.7}[norm]
    assert exact <= length_above(v, norm) <= exact * (1 + 1e-14)
