"""Calmness moduli: chords from one point, against many points and from both sides.

Covers autolip.methods.exact.calm too.
"""

import math

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip import Ball, Box
from autolip.errors import InputError
from autolip.lower import Random
from autolip.methods.exact.certificate import written
from autolip.methods.exact.chords import Chords
from autolip.methods.exact.method import Exact
from autolip.norms import Norm, parse_norms
from autolip.piecewise.network import Network
from autolip.regions import Everywhere, Region
from autolip.result import Result
from autolip.rounded import Rounded, number
from tests.methods.exact.test_method import chain, problem


def asked(model: nn.Module, c: Tensor, norm: str, region: Region, **more: object) -> Result:
    given = {"norm": norm, "region": region, "method": Exact(), "lower": None} | more
    return autolip.lipschitz(model, c, **given)  # type: ignore[arg-type]


def from_centre(model: nn.Module, c: Tensor, norm: str, region: Region) -> tuple[float, str]:
    """The upper bound, and how far the search came."""
    found = asked(model, c, norm, region, secants="centre", point=c)
    assert found.upper is not None and found.upper.value is not None
    assert found.upper.certainty == "proved"
    return found.upper.value, found.upper.notes[0]


def sampled(model: nn.Module, c: Tensor, norm: str, region: Region) -> float:
    """The largest of many quotients, near and far."""
    p, q = parse_norms(norm)
    draw = torch.Generator().manual_seed(1)
    most, size = 0.0, c.shape[1]
    for exponent in (-3, -2, -1, 0, 1, 2):
        moves = torch.randn(20000, size, generator=draw, dtype=torch.float64) * 10.0**exponent
        x = region.project(c + moves)
        length = p.of_rows(x - c)
        with torch.no_grad():
            quotient = q.of_rows(model(x) - model(c)) / length
        most = max(most, float(quotient[length > 1e-5].max()))
    return most


C = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
CASES = [
    ((2, 6, 1), nn.ReLU(), "l2", Everywhere()),
    ((2, 5, 4, 1), nn.LeakyReLU(-0.5), "l2", Ball(C, 0.7)),
    ((2, 6, 4, 2), nn.ReLU(), "linf", Box(-1, 1)),
    ((2, 5, 3, 2), nn.Hardtanh(-0.2, 0.3), "l1", Ball(C, 0.9, "l1")),
    ((2, 6, 3), nn.LeakyReLU(0.2), "l2:linf", Box(-0.5, 2)),
]


@pytest.mark.parametrize(("widths", "kind", "norm", "region"), CASES)
def test_the_largest_quotient(
    widths: tuple[int, ...], kind: nn.Module, norm: str, region: Region
) -> None:
    """Closed, not below any quotient and near the largest of many, not above that of all pairs."""
    model = chain(*widths, seed=sum(widths), activation=lambda: kind)  # type: ignore[arg-type]
    value, note = from_centre(model, C, norm, region)
    known = sampled(model, C, norm, region)
    assert "exact to 1e-06" in note
    assert known <= value * (1 + 1e-9) and value <= known * 1.02
    pairs = asked(model, C, norm, region).upper
    assert pairs is not None and pairs.value is not None and value <= pairs.value * (1 + 1e-9)


@pytest.mark.parametrize("region", [Ball([[0.0, 0.0]], 1.0), Everywhere()], ids=str)
def test_a_centre_where_all_neurons_bend(region: Region) -> None:
    """Cones with their tips there: nothing is added by rounding."""
    torch.manual_seed(7)
    layers = [nn.Linear(2, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False)]
    model, c = nn.Sequential(*layers).double(), torch.zeros(1, 2, dtype=torch.float64)
    value, note = from_centre(model, c, "l2", region)
    assert "exact to 1e-06" in note and value == pytest.approx(
        sampled(model, c, "l2", region), 1e-2
    )


class Bent(nn.Module):
    """relu(x - 1): from 0 its chords are as steep as (r - 1) / r as far as r."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x - 1)


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize(("reach", "known"), [(2.0, 0.5), (4.0, 0.75)])
def test_a_bend_that_lies_away(norm: Norm, reach: float, known: float) -> None:
    c = torch.zeros(1, 1, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(1, 1, bias=False), Bent()).double()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    balls = Ball([[0.0]], reach, norm), Ball([[0.5]], reach - 0.5, norm)
    for region in (*balls, Box(-1.0, reach)):
        value, _ = from_centre(model, c, norm.value, region)
        assert known <= value <= known * (1 + 1e-9)
    value, _ = from_centre(model, c, norm.value, Everywhere())
    assert 1 <= value <= 1 + 1e-9


def bent(slope: float, weight: float = 1.0) -> Chords:
    """Chords from 1, where a leaky relu of w (x - 1) bends."""
    model = nn.Sequential(nn.Linear(1, 1), nn.LeakyReLU(slope), nn.Linear(1, 1)).double()
    with torch.no_grad():
        for weights, value in zip(model.parameters(), (weight, -weight, 1.0, 0.0), strict=True):
            weights.fill_(value)
    network = written(problem(model, (1, 1)))
    assert isinstance(network, Network)
    return Chords(network, torch.ones(1, dtype=torch.float64), Norm.L2, Norm.L2)


def test_weights_that_show_nothing() -> None:
    """With d + y o above 0 there is no bound, however far the region reaches."""
    one = Rounded.exact(torch.ones(1, 1, dtype=torch.float64))
    chords, y = bent(0.3), torch.zeros(1, dtype=torch.float64)
    assert chords._shown(one, number(1.0), one, one, y) == math.inf
    assert chords._shown(one, number(0.0), one, one, y) == pytest.approx(1.0)


def test_a_function_does_not_jump_where_it_bends() -> None:
    """At a break that is known, both pieces agree: exactly."""
    chords = bent(0.3, 3.0)
    for piece in (0, 1):
        off = chords._offset(torch.tensor([piece]))
        assert off.is_exact and float(off.value) == 0.0


def test_chords_pass_over_the_pieces_between() -> None:
    """From a centre on the first piece to a case on the last one, and the other way."""
    here, beyond = torch.tensor([[0]]), torch.tensor([[1]])
    low, high = bent(0.3).hull(beyond, beyond)
    assert (int(low), int(high)) == (0, 1)
    low, high = bent(0.3).hull(here, here)
    assert (int(low), int(high)) == (0, 0)


def test_the_lower_bound_is_a_chord_from_the_centre() -> None:
    model = chain(2, 6, 4, 1, seed=3)
    found = asked(model, C, "l2", Ball(C, 1.0), secants="centre", lower=Random())
    rows = [row for row in found.bounds if (row.method, row.kind) == ("exact", "lower")]
    assert len(rows) == 1 and rows[0].value is not None
    assert found.upper is not None and found.upper.value is not None
    assert found.upper.value * (1 - 1e-6) <= rows[0].value <= found.upper.value


def test_what_is_refused() -> None:
    """Several outputs in l2, and units."""
    region = Ball(C, 1.0)
    found = asked(chain(2, 4, 3, seed=1), C, "l2", region, secants="centre")
    assert found.upper is None and "from one point of one output" in str(found.bounds[0])
    scaled = asked(
        chain(2, 4, 1, seed=1),
        C,
        "l2",
        region,
        secants="centre",
        input_scale=torch.tensor([[1.0, 2.0]]),
    )
    assert scaled.upper is None and "units of the model" in str(scaled.bounds[0])


def test_no_certificate() -> None:
    found = asked(chain(2, 4, 1, seed=1), C, "l2", Ball(C, 1.0), secants="centre")
    with pytest.raises(InputError, match="chords from one point"):
        found.certificate()
