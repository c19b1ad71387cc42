"""What a time budget buys, by clocks that count; and what is left out beforehand."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from autolip import lipschitz
from autolip.budget import SPENT
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import Refusal
from autolip.estimate import bracket
from autolip.findings import Row
from autolip.lower import Ascent
from autolip.methods import AutoLip, Layerwise, Nonnegative, method
from autolip.methods.method import Bound, Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions, operator_norm
from autolip.operators.operator import Operator
from autolip.portfolio import Found
from autolip.regions import Everywhere
from autolip.values import INFINITE, Event, Lower, Upper

QUICK, DEFAULT = Ascent(passes=40), NormOptions()


def network(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [
        layer for n, m in itertools.pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1]).eval()


def captured(*widths: int) -> Capture:
    return capture_model(network(*widths), (torch.zeros(1, widths[0]),))


def posed(capture: Capture, options: NormOptions = DEFAULT) -> Problem:
    return Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, options)


def test_capturing_takes_nothing_from_the_budget() -> None:
    slow = replace(captured(3, 8, 2), seconds=100.0)
    result = bracket(slow, model="slow", method="autolip", lower=None, time_budget=60.0)
    assert result.complete and result.capture_seconds > 100
    assert result.to_dict()["capture_seconds"] == result.capture_seconds
    assert "the time budget of 60 s began after 1e+02 s of capturing" in repr(result)


def test_norms_that_are_stand_ins_say_so_and_are_found_again_with_more_time() -> None:
    capture = captured(30, 40, 2)
    late = posed(capture, NormOptions(budget=SPENT))
    hurried = AutoLip().bound(late)
    assert isinstance(hurried, Bound) and not hurried.complete
    assert any("2 of 2 norms are cheap stand-ins" in note for note in hurried.notes)
    again, fresh = (
        AutoLip().bound(replace(late, options=NormOptions())),
        AutoLip().bound(posed(capture)),
    )
    assert isinstance(again, Bound) and isinstance(fresh, Bound)
    assert again.value == fresh.value and again.value.value < hurried.value.value
    assert again.complete and not again.notes


class Sign(nn.Module):
    """A step between two matrices whose norms take a search."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(20, 30), nn.Linear(30, 25)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.sign(self.first(x)))


def test_what_is_infinite_is_found_before_any_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the engines that cost next to nothing: every method that multiplies norms is infinite by
    its slopes."""

    def cheap(operator: Operator, p: Norm, q: Norm, options: NormOptions) -> Upper | Refusal:
        assert options.budget.expired, "a norm was computed for nothing"
        return operator_norm(operator, p, q, options)

    monkeypatch.setattr(method, "operator_norm", cheap)
    result = lipschitz(Sign().eval(), torch.zeros(1, 20), lower=None)
    assert result.upper is not None and result.upper.value == float("inf") and result.complete
    assert any("infinite through aten.sign" in note for row in result.bounds for note in row.notes)


def test_a_member_that_would_take_long_is_left_out_but_for_who_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture = captured(3, 8, 2)
    monkeypatch.setattr(Nonnegative, "price", lambda self, problem: 1e4)
    result = bracket(capture, model="net", lower=None)
    assert (
        "nonnegative left out: it would take about 1e+04 s: name it to have it run" in result.notes
    )
    assert result.complete and all(row.method != "nonnegative" for row in result.bounds)
    named = bracket(capture, model="net", method="nonnegative", lower=None)
    assert named.upper is not None and named.upper.method == "nonnegative"


def test_prices_grow_with_what_is_factorised() -> None:
    """Frequencies with the pixels, matrices with the cube of their width."""

    def chain(side: int) -> Problem:
        layers = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
        ).eval()
        return posed(capture_model(layers, (torch.zeros(1, 4, side, side),)))

    assert 12 < Layerwise().price(chain(127)) / Layerwise().price(chain(31)) < 20
    assert Layerwise().price(posed(captured(3, 400, 2))) > 10 * Layerwise().price(
        posed(captured(3, 40, 2))
    )
    assert Layerwise().price(posed(captured(3, 4000, 2))) == 0.0
    assert (
        0
        < Nonnegative().price(posed(captured(3, 40, 2)))
        < Nonnegative().price(posed(captured(9, 40, 40, 40, 9)))
    )


def test_who_came_too_late_has_another_turn_where_the_last_one_ends_early(ticking: None) -> None:
    """LipSDP is done with a small network long before its time is spent."""
    result = bracket(captured(3, 8, 2), model="net", lower=None, time_budget=40.0)
    assert {"autolip", "layerwise", "rescaled", "liplt", "lipsdp"} <= {
        row.method for row in result.bounds
    }


def random(value: float, delta: float) -> Upper:
    return Upper(value, frozenset({Event("a start", delta)}))


def test_a_bound_known_beforehand_is_taken_where_it_is_smaller() -> None:
    rows = (Row("autolip", Upper(5.0)), Row("liplt", Upper(4.0)), Row("ascent", Lower(1.0)))
    found = Found(rows, rows[1], rows[2])
    taken = found.with_row(Row("autolip", Upper(3.0)))
    assert taken.upper == Row("autolip", Upper(3.0))
    assert taken.rows == (taken.upper, *rows[1:])
    assert found.with_row(Row("autolip", Upper(4.0))) == found
    assert Found().with_row(Row("autolip", INFINITE)).upper == Row("autolip", INFINITE)


def test_a_bound_known_beforehand_adds_what_may_fail_to_a_random_one() -> None:
    """The choice looks at both; a proved winner cannot fail."""
    row = Row("lipsdp", random(4.0, 1e-9))
    larger = Found((row,), row).with_row(Row("autolip", random(5.0, 2e-9)))
    smaller = Found((row,), row).with_row(Row("autolip", random(3.0, 2e-9)))
    assert larger.upper is not None and larger.upper.method == "lipsdp"
    assert smaller.upper is not None and smaller.upper.method == "autolip"
    assert larger.upper.delta == smaller.upper.delta == pytest.approx(3e-9)
    proved = Found((row,), row).with_row(Row("autolip", Upper(3.0)))
    assert proved.upper is not None and proved.upper.delta == 0.0


def test_what_the_clock_cut_short_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that ended early, though the search had time."""
    capture = captured(3, 8, 2)
    monkeypatch.setattr(AutoLip, "bound", lambda self, problem: Bound(Upper(50.0), complete=False))
    cut = bracket(capture, model="net", method="autolip", lower=QUICK)
    assert not cut.complete and cut.upper is not None and not cut.upper.complete
    assert cut.lower is not None and cut.lower.complete


def test_small_networks_have_their_constant_by_default_and_no_search_after_it() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64)
    result = lipschitz(network(3, 8, 2).double(), x)
    assert result.upper is not None and result.lower is not None
    assert result.upper.method == "exact" and result.lower.method == "exact"
    assert result.upper.value <= result.lower.value * (1 + 2e-6)
    assert [row.method for row in result.bounds if row.kind == "lower"] == ["exact"]


def test_a_search_knows_what_was_found_before_it() -> None:
    x = torch.zeros(1, 6, dtype=torch.float64)
    result = lipschitz(network(6, 40, 40, 1).double(), x, method="autolip", seed=0)
    pattern, ascent = (row for row in result.bounds if row.kind == "lower")
    assert (pattern.method, ascent.method) == ("pattern", "ascent")
    assert pattern.value is not None and ascent.value is not None
    assert ascent.value >= pattern.value * (1 - 1e-9)


def test_where_a_member_has_nothing_to_do_nothing_is_said_of_it() -> None:
    smooth = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double().eval()
    result = lipschitz(smooth, torch.zeros(1, 3, dtype=torch.float64), seed=0)
    assert not {"exact", "pattern"} & {row.method for row in result.bounds}
    assert not any("exact" in note or "pattern" in note for note in result.notes)
