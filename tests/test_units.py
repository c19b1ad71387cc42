"""Units of inputs and outputs: the constant is that of the same network in other units.

Covers autolip.units, autolip.lower.in_units, and what every method and search makes of them.
"""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, Box, Everywhere, Result, ScaledBall, lipschitz
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.estimate import _posed
from autolip.lower import Ascent, NelderMead, Random
from autolip.lower.certify import length_above
from autolip.methods import METHODS
from autolip.norms import Norm
from autolip.question import Question
from autolip.regions import Region
from autolip.sweeping import sweep
from autolip.units import Units

UNITS = torch.tensor([1.0, 0.1, 3.0, 255.0]).double()
AFTER = torch.tensor([0.3, 2.0, 7.0]).double()
EXAMPLE = torch.zeros(1, 4).double()
NORMS = ("l2", "linf", "l1", "linf:l2", "l1:linf", "l2:l1", "linf:l1")
SLOW = {"lipsdp-cvxpy", "seqlip-sdp", "seqlip-exact", "theorem3"}


def chain(*act: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 7), act[0], nn.Linear(7, 3)]
    return nn.Sequential(*layers).double().eval()


def in_other_units(model: nn.Sequential) -> nn.Sequential:
    """u -> f(s u) / t."""
    other = chain(model[1])
    with torch.no_grad():
        other[0].weight.copy_(model[0].weight * UNITS)
        other[2].weight.copy_(model[2].weight / AFTER[:, None])
        other[2].bias.copy_(model[2].bias / AFTER)
    return other


def named(norm: str) -> list[Norm]:
    return [Norm(name) for name in (norm.split(":") * 2)[:2]]


def chords(model: nn.Module, region: Region, norm: str) -> float:
    """The steepest of the chords between random points, in units."""
    p, q = named(norm)
    generator = torch.Generator().manual_seed(1)
    points = region.sample(2000, EXAMPLE, generator)
    near = region.project(points + 1e-3 * UNITS * torch.randn(points.shape).double())
    with torch.no_grad():
        rise = model(points.reshape(-1, 4)) - model(near.reshape(-1, 4))
    run = (points - near).reshape(-1, 4)
    return float((q.of_rows(rise / AFTER) / p.of_rows(run / UNITS)).max())


REGIONS: dict[str, tuple[Region, Region]] = {
    "everywhere": (Everywhere(), Everywhere()),
    "box": (Box(-1, 1), Box(-1 / UNITS, 1 / UNITS)),
    "half": (Box([0, 0, 0, -1], [0, 1, 0, 1]), Box([0, 0, 0, -1 / 255], [0, 10, 0, 1 / 255])),
    "scaled": (ScaledBall(0.1, 0.2, "l2", UNITS), Ball(0.1 / UNITS, 0.2)),
}


def asked_for() -> list[Any]:
    """All pairs; of the quick suite one norm for each region."""
    quick = {("l2", "half"), ("linf:l2", "scaled"), ("l1", "everywhere"), ("l1:linf", "box")}
    pairs = [(norm, region) for norm in NORMS for region in REGIONS]
    return [pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("norm", "region"), asked_for())
def test_every_bound_is_that_of_the_network_in_other_units(norm: str, region: str) -> None:
    model, (here, there) = chain(nn.ReLU()), REGIONS[region]
    methods = ["autolip", "rescaled", "liplt", "nonnegative", "layerwise", "lipsdp", "exact"]
    asked: dict[str, Any] = {"norm": norm, "method": methods, "lower": None, "time_budget": 20}
    found = lipschitz(model, EXAMPLE, region=here, input_scale=UNITS, output_scale=AFTER, **asked)
    other = lipschitz(in_other_units(model), EXAMPLE, region=there, **asked)
    steepest = chords(model, here, norm)
    for mine, theirs in zip(found.bounds, other.bounds, strict=True):
        assert (mine.method, mine.kind) == (theirs.method, theirs.kind)
        if mine.kind == "upper" and theirs.value is not None:
            assert mine.value == pytest.approx(theirs.value, rel=1e-6)
            assert mine.value is not None and mine.value >= steepest


@pytest.mark.parametrize("method", sorted(set(METHODS) - SLOW))
def test_no_method_is_below_a_chord(method: str) -> None:
    """Of activations that no method takes for another one, from a centre as well."""
    model, region = chain(nn.SiLU()), Box(-2, 1)
    for norm in ("l2", "l1:linf"):
        asked: dict[str, Any] = {"norm": norm, "method": method, "lower": None}
        found = lipschitz(
            model, EXAMPLE, region=region, input_scale=UNITS, output_scale=AFTER, **asked
        )
        bound = math.inf if found.upper is None else found.upper.value
        assert bound is not None and bound >= chords(model, region, norm)


@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
@pytest.mark.parametrize("region", ["everywhere", "half", "scaled"])
def test_the_witness_is_in_the_users_numbers_and_holds_exactly(norm: str, region: str) -> None:
    model, (here, _) = chain(nn.Tanh()), REGIONS[region]
    found = lipschitz(
        model,
        EXAMPLE,
        norm=norm,
        region=here,
        input_scale=UNITS,
        output_scale=AFTER,
        method="autolip",
        lower=[Ascent(seconds=0.2), Random(seconds=0.2), NelderMead(seconds=0.2)],
    )
    assert len([row for row in found.bounds if row.kind == "lower"]) == 3
    assert found.lower is not None and found.upper is not None
    witness = found.lower.witness
    assert here.contains(witness.x) and here.contains(witness.y)
    pairs = zip(*(v.flatten().tolist() for v in (witness.x, witness.y, UNITS)), strict=True)
    steps = [abs(Fraction(a) - Fraction(b)) / Fraction(s) for a, b, s in pairs]
    lengths = {"l1": sum(steps), "linf": max(steps)}
    if norm == "l2":
        assert sum(step * step for step in steps) <= Fraction(witness.run) ** 2
    else:
        assert lengths[norm] <= Fraction(witness.run)
    with torch.no_grad():
        rise = (model(witness.x) - model(witness.y)) / AFTER
    slope = float(Norm(norm).of_rows(rise)) / witness.run
    assert slope >= found.lower.value >= slope * (1 - 1e-5)
    assert "of x / input_scale" in witness.describe()


def test_a_linear_map_is_bracketed_to_the_last_digits() -> None:
    model = nn.Linear(4, 3).double().eval()
    found = lipschitz(model, EXAMPLE, input_scale=UNITS, output_scale=AFTER)
    with torch.no_grad():
        exact = torch.linalg.matrix_norm(model.weight * UNITS / AFTER[:, None], 2).item()
    assert found.upper is not None and found.lower is not None
    assert found.upper.value == pytest.approx(exact, rel=1e-9)
    assert found.lower.value == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("scale", [1, 2.0, 0.125])
def test_powers_of_two_change_nothing_but_the_units(scale: float) -> None:
    share, error = Units.asked(None, scale).over({}, EXAMPLE.shape, EXAMPLE.shape).shares() or ()
    assert share[0, 0] == 1 / scale
    assert error == 0.0


@pytest.mark.parametrize("scale", [0.3, 7.0, 255.0, 1e-20])
def test_the_share_of_an_output_is_known_up_to_its_error(scale: float) -> None:
    share, error = Units.asked(None, scale).over({}, EXAMPLE.shape, EXAMPLE.shape).shares() or ()
    known = Fraction(share[0, 0].item())
    assert 0 < abs(known - 1 / Fraction(scale)) <= Fraction(error) * known
    assert error <= 2.0**-52


def test_bounds_count_what_a_share_is_off_by() -> None:
    capture = capture_model(chain(nn.ReLU()), (EXAMPLE,))
    question = Question.asked(output_scale=AFTER).about(capture)
    problem, search = _posed(capture, question, None, Budget.of(None), print)
    (divided,), read = problem.readouts, search.readout
    assert read is not None and divided.relative_error == read.relative_error > 0


@pytest.mark.parametrize("around", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("asked", ["output_scale", "a matrix"])
def test_differences_of_large_outputs_lose_what_reading_them_does(
    around: float, asked: str
) -> None:
    """(x2 - x1) / 7 far from 0: entries are rounded on their own before they cancel."""
    x = torch.tensor([[around, around + 0.37]], dtype=torch.float64)
    given: dict[str, Any] = {"output": "0-1", "output_scale": 7.0}
    if asked == "a matrix":
        given = {"output": torch.tensor([[1.0, -1.0]], dtype=torch.float64) / 7}
    found = lipschitz(lambda v: v.flip(-1), x, region=Ball(x, 1e-3), seed=0, **given)
    assert found.lower is not None and found.upper is not None
    exact = math.sqrt(2) / 7
    assert 0.9 * exact < found.lower.value <= exact * (1 + 1e-15)
    assert exact * (1 - 1e-15) <= found.upper.value < exact * (1 + 1e-12)


@pytest.mark.parametrize("norm", list(Norm))
def test_lengths_in_units_are_not_too_small(norm: Norm) -> None:
    """Of single entries, where nothing else is rounded up by more than the division."""
    for size, scale in ((1.0, 3.0), (5.0, 7.0), (0.1, 0.3), (1e-300, 3e20)):
        v = torch.tensor([size, 0.0], dtype=torch.float64)
        units = torch.tensor([scale, 1.0], dtype=torch.float64)
        length = length_above(v, norm, units)
        assert Fraction(length) >= Fraction(size) / Fraction(scale)
        assert length <= max(size / scale * (1 + 1e-14), 1e-320)


class Channels(nn.Module):
    """A convolution reads the input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.conv(x)).flatten(1))


def test_units_of_channels_are_absorbed_by_a_convolution() -> None:
    model, other = Channels().eval(), Channels().eval()
    scale = [[[0.25]], [[2.0]], [[4.0]]]
    with torch.no_grad():
        other.conv.weight *= torch.tensor(scale)
    asked: dict[str, Any] = {"method": ["layerwise", "lipsdp"], "lower": None, "seed": 1}
    found = lipschitz(model, (1, 3, 6, 6), input_scale=scale, **asked)
    plain = lipschitz(other, (1, 3, 6, 6), **asked)
    assert [row.value for row in found.bounds] == pytest.approx(
        [row.value for row in plain.bounds], rel=1e-6
    )


def test_the_identity_has_units_too() -> None:
    found = lipschitz(lambda x: x, EXAMPLE, input_scale=UNITS, output_scale=2)
    assert found.upper is not None and found.upper.value == pytest.approx(255 / 2)
    assert found.lower is not None and found.lower.value == pytest.approx(255 / 2)


def test_components_differences_and_pairs_are_of_the_output_in_units() -> None:
    model, other = chain(nn.ReLU()), in_other_units(chain(nn.ReLU()))
    for output in (2, "0-1", "pairs"):
        asked: dict[str, Any] = {"output": output, "lower": "random", "seed": 0}
        found = lipschitz(model, EXAMPLE, input_scale=UNITS, output_scale=AFTER, **asked)
        plain = lipschitz(other, EXAMPLE, **asked)
        assert found.upper is not None and plain.upper is not None
        assert found.upper.value == pytest.approx(plain.upper.value, rel=1e-4)
        assert len(found.pairs) == len(plain.pairs)


def test_slopes_from_a_centre_are_in_units() -> None:
    model, region = chain(nn.ReLU()), Box(0, 1)
    asked: dict[str, Any] = {"secants": "centre", "region": region, "lower": "random"}
    found = lipschitz(model, EXAMPLE, input_scale=UNITS, output_scale=AFTER, **asked)
    assert found.lower is not None and found.upper is not None
    assert torch.equal(found.lower.witness.y, torch.full((1, 4), 0.5).double())
    points = region.sample(1000, EXAMPLE, torch.Generator().manual_seed(0)).reshape(-1, 4)
    with torch.no_grad():
        rise = (model(points) - model(torch.full((1, 4), 0.5).double())) / AFTER
    slopes = rise.norm(dim=1) / ((points - 0.5) / UNITS).norm(dim=1)
    assert slopes.max() <= found.upper.value and slopes.max() * 0.9 <= found.lower.value


def test_layers_and_their_attained_gains_are_in_units() -> None:
    asked: dict[str, Any] = {"method": "autolip", "lower": "random"}
    found = lipschitz(chain(nn.ReLU()), EXAMPLE, input_scale=UNITS, **asked)
    layers = found.layer_list
    assert all(layer.attained is not None for layer in layers)
    assert all(layer.attained <= layer.bound * (1 + 1e-9) for layer in layers)  # type: ignore[operator]
    assert found.lower is not None
    assert layers[-1].attained == pytest.approx(found.lower.value, rel=1e-6)


def test_what_is_written_says_the_units_and_is_read_again(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"method": "autolip", "lower": "random"}
    found = lipschitz(
        chain(nn.ReLU()), EXAMPLE, input_scale=UNITS.tolist(), output_scale=2, **asked
    )
    assert "(l2 of x / input_scale -> l2 of y / output_scale, everywhere)" in repr(found)
    assert "input_scale: 4 numbers from 0.1 to 255" in repr(found)
    assert "output_scale: 2.0 in every entry" in repr(found)
    stored = found.to_dict()["norm"]
    assert stored["input_scale"] == UNITS.tolist() and stored["output_scale"] == 2.0
    found.save(tmp_path / "result.json")
    again = Result.load(tmp_path / "result.json")
    assert again.to_dict() == found.to_dict() and repr(again) == repr(found)
    for suffix in (".html", ".csv", ".tex"):
        found.save(tmp_path / f"result{suffix}")
        text = (tmp_path / f"result{suffix}").read_text()
        assert "input" in text and "scale" in text


def test_a_sweep_asks_in_units() -> None:
    questions = [{"name": "plain"}, {"name": "units", "input_scale": 4.0, "output_scale": 2.0}]
    rows = sweep(chain(nn.ReLU()), EXAMPLE, questions, method="autolip", lower="random").rows
    plain, scaled = (row.upper for row in rows)
    assert plain is not None and scaled == pytest.approx(2 * plain, rel=1e-12)
    assert rows[1].norm == "l2 of x / input_scale:l2 of y / output_scale"


def test_of_several_inputs_units_go_by_name() -> None:
    a, b = torch.randn(3, 2).double(), torch.randn(3, 2).double()
    inputs = (torch.zeros(1, 2).double(), torch.zeros(1, 2).double())
    found = lipschitz(
        lambda x, state: x @ a.T + state @ b.T,
        inputs,
        varying=[0, 1],
        input_scale={"state": [3.0, 5.0]},
    )
    whole = torch.cat([a, b * torch.tensor([3.0, 5.0]).double()], 1)
    exact = torch.linalg.matrix_norm(whole, 2).item()
    assert found.upper is not None and found.upper.value == pytest.approx(exact)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"input_scale": 0}, "input_scale is 0: give numbers between 1e-30 and 1e"),
        ({"input_scale": [1, 2, -3, 4]}, "give numbers between"),
        ({"input_scale": [1, 2]}, r"input_scale has shape \(2,\), which does not fit \(1, 4\)"),
        ({"output_scale": np.ones(4)}, r"output_scale has shape \(4,\), which does not fit"),
        ({"output_scale": "metres"}, "output_scale"),
        ({"output_scale": float("nan")}, "output_scale is nan"),
        ({"input_scale": {"x": 2.0}}, "input_scale has units of 'x': those that vary are input"),
        ({"input_scale": {"input": 0.0}}, "input_scale of input is 0.0"),
    ],
)
def test_what_are_no_units_is_refused(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lipschitz(chain(nn.ReLU()), EXAMPLE, method="autolip", lower=None, **asked)
