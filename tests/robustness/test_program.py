"""What a program in float32 may be off by: on random inputs, on sums that cancel, and what is
refused.

Covers autolip.robustness.program, and the arithmetic of other types in autolip.roundoff.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators import Dense
from autolip.ranges.forward import known_of
from autolip.regions import Ball
from autolip.robustness.classifier import Classifier
from autolip.robustness.program import Near, program_error
from autolip.robustness.pulls import pulled
from autolip.roundoff import Arithmetic
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper


class Attention(nn.Module):
    """One head of softmax attention over four tokens and one that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 4) for _ in range(3))
        self.token = nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 2, -1)
        return (weights @ self.v(x)).mean(1)


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    norm.running_mean.uniform_(-2, 2)
    norm.running_var.uniform_(0.1, 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return {
        "relu": (nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, 5)), (1, 9)),
        "conv": (
            nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), norm, nn.LeakyReLU(0.1), nn.MaxPool2d(2),
                nn.Conv2d(4, 4, 2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3),
            ),
            (1, 1, 6, 6),
        ),
        "smooth": (
            nn.Sequential(
                nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.GELU(), nn.Linear(12, 12),
                nn.SiLU(), nn.Linear(12, 8), nn.ELU(), nn.Linear(8, 8), nn.Sigmoid(),
                nn.Linear(8, 3), nn.Softmax(1),
            ),
            (1, 6),
        ),
        "attention": (Attention(), (1, 4, 4)),
    }  # fmt: skip


def bound(model: nn.Module, x: Tensor, radius: float) -> Tensor | Refusal:
    classifier = Classifier.of(capture_model(model.eval(), (x.float(),)), "a network")
    known = known_of(classifier.lowered, Ball(x, radius, "linf"))
    rows = torch.eye(classifier.classes, dtype=torch.float64)
    return program_error(classifier.graph, known.ranges, torch.float32, rows)


@pytest.mark.parametrize("name", list(networks()))
def test_no_input_is_off_by_more(name: str) -> None:
    model, shape = networks()[name]
    generator = torch.Generator().manual_seed(1)
    centre = torch.randn(shape, generator=generator).double()
    error = bound(model, centre, 0.1)
    assert isinstance(error, Tensor)
    noise = 0.2 * torch.rand(400, *shape[1:], generator=generator).double() - 0.1
    x = (centre + noise).float()
    with torch.no_grad():
        single = model.eval()(x).double()
        exact = model.double()(x.double())
    off = (single - exact).abs()
    assert bool((off <= error).all())
    assert float(error.max()) < 1e-2 and float(off.max()) > 0


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data = torch.tensor(weight)
    layer.bias.data = torch.tensor(bias)
    return layer


def test_what_a_layer_loses_is_multiplied_by_those_after_it() -> None:
    """x + 2^24 at x = 1 is a tie that becomes 2^24: off by 1; the next layer takes 2^24 away
    exactly, and the one after it multiplies."""
    there, back = linear([[1.0]], [2.0**24]), linear([[1.0]], [-(2.0**24)])
    model = nn.Sequential(there, back, linear([[1024.0]] * 2, [0.0, 0.0]))
    x = torch.ones(1, 1)
    off = (model(x).double() - model.double()(x.double())).abs().max().item()
    assert off == 1024
    error = bound(model.float(), x.double(), 0.0)
    assert isinstance(error, Tensor) and 1024 <= float(error.max()) <= 32 * 1024


def test_a_sum_is_charged_for_all_of_its_terms() -> None:
    """1 + 2^-24 + ... + 2^-24, from left to right, stays 1."""
    terms = 64
    values = torch.full((1, terms), 2.0**-24)
    values[0, 0] = 1.0
    total = torch.tensor(1.0)
    for value in values[0, 1:]:
        total = total + value
    off = float(values.double().sum()) - float(total)
    error = bound(linear([[1.0] * terms] * 2, [0.0, 0.0]), values.double(), 0.0)
    assert isinstance(error, Tensor) and off <= float(error.min()) <= 4 * off


def test_moving_numbers_loses_nothing() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.ReLU(), nn.ZeroPad1d(1), nn.Unflatten(1, (2, 4)), nn.Flatten()
    )
    error = bound(model, torch.randn(1, 2, 3).double(), 0.5)
    assert isinstance(error, Tensor) and not bool(error.any())
    error = bound(Joined(), torch.randn(1, 3).double(), 0.5)
    assert isinstance(error, Tensor) and not bool(error.any())


class Joined(nn.Module):
    """Numbers that vary beside one that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.token, x.relu()], 1)


def test_what_is_not_known_is_refused() -> None:
    logs = nn.Sequential(nn.Linear(3, 2), nn.LogSoftmax(1))
    found = bound(logs, torch.zeros(1, 3).double(), 0.1)
    assert isinstance(found, Refusal) and "log_softmax" in str(found)
    scaled = nn.Linear(3, 2)
    torch.nn.utils.parametrizations.weight_norm(scaled)
    found = bound(scaled, torch.zeros(1, 3).double(), 0.1)
    assert isinstance(found, Refusal) and "is no float32" in str(found)


def test_an_affine_operation_that_is_no_sum_of_products_is_refused() -> None:
    class Cumulated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cumsum(x, 1)

    found = bound(Cumulated(), torch.zeros(1, 3).double(), 0.1)
    assert isinstance(found, Refusal) and "cumsum" in str(found)


def test_rows_are_pulled_back_outward() -> None:
    """M^T q for members of every slope set and of an interval of rows."""
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(5, 4, generator=generator).double()
    width = torch.rand(5, 4, generator=generator).double()
    pull = Interval(q, q + width)
    matrix = torch.randn(4, 3, generator=generator).double()
    lo = torch.randn(4, generator=generator).double()
    bends = Between(lo, lo + 1)
    lengths = {norm: Upper(2.0) for norm in Norm}
    gain = Gain(torch.Size([4]), torch.Size([4]), lengths)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator).double()).Q
    for _ in range(200):
        row = q + width * torch.rand(5, 4, generator=generator).round().double()
        slope = lo + torch.rand(4, generator=generator).round().double()
        members = (
            (Exact(Dense(matrix)), row @ matrix),
            (bends, row * slope),
            (Gain(torch.Size([4]), torch.Size([4]), {Norm.L2: Upper(1.0)}), row @ turn),
            (gain, 2 * row),
        )
        for one, exact in members:
            found = pulled(one, pull)
            assert found is not None
            slack = 1e-14 if one is not gain else 0.0
            assert bool((found.lo - slack <= exact).all() and (exact <= found.hi + slack).all())


@pytest.mark.parametrize("norm", list(Norm))
def test_a_ball_is_not_taken_for_its_box(norm: Norm) -> None:
    """Of a sum of 400 numbers on an l2 ball, about a twentieth; never below what a run is off
    by."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(400, 3)).eval()
    centre = torch.zeros(1, 20, 20).double()
    classifier = Classifier.of(capture_model(model, (centre.float(),)), "a network")
    known = known_of(classifier.lowered, Ball(centre, 100.0, norm)).ranges
    rows = torch.eye(3, dtype=torch.float64)
    asked = (classifier.graph, known, torch.float32, rows)
    reach = Ball(centre, 100.0, norm).spread(Norm.L2, centre.shape)
    near = Near.of(classifier.graph, centre, reach, classifier.gains)
    box, ball = program_error(*asked), program_error(*asked, near)
    assert isinstance(box, Tensor) and isinstance(ball, Tensor)
    assert bool((ball <= box).all())
    if norm is Norm.L2:
        assert float((ball / box).max()) < 0.1
    noise = torch.randn(50, 20, 20).double()
    column = norm.of_rows(noise).reshape(-1, 1, 1)
    x = (99.99 * noise / column).float()
    with torch.no_grad():
        off = (model(x).double() - model.double()(x.double())).abs()
    assert bool((off <= ball).all())


def test_what_is_0_whatever_the_input_is_no_term_of_a_sum() -> None:
    """Sums over neurons that stay off lose what those over the others lose."""
    torch.manual_seed(0)
    first, last = nn.Linear(3, 400), nn.Linear(400, 2)
    first.bias.data[4:] = -100.0
    few, rest = nn.Linear(3, 4), nn.Linear(4, 2)
    few.weight.data, few.bias.data = first.weight.data[:4], first.bias.data[:4]
    rest.weight.data, rest.bias.data = last.weight.data[:, :4], last.bias.data
    x = torch.zeros(1, 3).double()
    wide = bound(nn.Sequential(first, nn.ReLU(), last), x, 0.1)
    narrow = bound(nn.Sequential(few, nn.ReLU(), rest), x, 0.1)
    assert isinstance(wide, Tensor) and isinstance(narrow, Tensor)
    assert torch.allclose(wide, narrow, rtol=1e-6, atol=0.0)


def test_errors_are_near_what_they_are_on_a_ball_through_layers() -> None:
    """Lengths and distances in l2 bound a deep network's errors far below entries alone."""
    torch.manual_seed(0)
    layers = [part for _ in range(5) for part in (nn.Linear(60, 60), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).eval()
    centre = torch.randn(1, 60).double()
    classifier = Classifier.of(capture_model(model, (centre.float(),)), "a network")
    region = Ball(centre, 0.5, "l2")
    known = known_of(classifier.lowered, region).ranges
    asked = (classifier.graph, known, torch.float32, torch.eye(60).double())
    near = Near.of(classifier.graph, centre, region.spread(Norm.L2, centre.shape), classifier.gains)
    alone, both = program_error(*asked), program_error(*asked, near)
    assert isinstance(alone, Tensor) and isinstance(both, Tensor)
    assert float((both / alone).max()) < 0.3
    noise = torch.randn(300, 60).double()
    x = (centre + 0.499 * noise / noise.norm(dim=1, keepdim=True)).float()
    with torch.no_grad():
        off = (model(x).double() - model.double()(x.double())).abs()
    assert bool((off <= both).all())


def test_what_overflows_is_not_bounded() -> None:
    error = bound(linear([[1e30], [1e30]], [0.0, 0.0]), torch.full((1, 1), 1e10).double(), 0.0)
    assert isinstance(error, Tensor) and bool(error.isinf().all())


def test_arithmetic_of_a_type() -> None:
    single = Arithmetic.of(torch.float32)
    assert (single.unit, single.tiny) == (2.0**-24, 2.0**-126)
    sums = single.sums(3, torch.tensor([0.0, 1.0, 1e38, 2e38]).double())
    assert 6 * 2.0**-126 <= sums[0] < 7 * 2.0**-126
    assert 3 * 2.0**-24 < sums[1] < 3.1 * 2.0**-24
    assert math.isfinite(sums[2]) and math.isinf(sums[3])
    assert math.isinf(single.sums(2**24, torch.ones(1).double())[0])
