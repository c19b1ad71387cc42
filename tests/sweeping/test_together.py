"""Questions answered together: the brackets of single calls, up to the width that is asked for.

Covers autolip.methods.lipsdp.batch.sample too.
"""

import math
import re
from typing import Any

import pytest
import torch
from torch import nn

import autolip
from autolip import Box
from autolip.capture.torch.export import Capture, capture_model
from autolip.errors import Contradiction
from autolip.question import Question
from autolip.regions import Region
from autolip.sweeping import together
from autolip.sweeping.together import Bracket, Stack, brackets

EXAMPLE = torch.zeros(1, 2)
CORNERS = ([-1.0, 0.0], [0.0, -0.5], [0.4, 0.3])
REGIONS = [Box(corner, [end + 0.4 for end in corner]) for corner in CORNERS]


def network(bend: nn.Module, outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Linear(2, 12), bend, nn.Linear(12, 12), bend, nn.Linear(12, outputs))
    return nn.Sequential(*layers).eval()


def captured(model: nn.Module) -> Capture:
    return capture_model(model, (EXAMPLE,))


def asked(capture: Capture, **options: Any) -> dict[int, Question]:
    questions = [Question.asked(region=region, **options) for region in REGIONS]
    return {3 * n: one.about(capture) for n, one in enumerate(questions)}


def nobody(number: int) -> Bracket | None:
    raise AssertionError(f"question {number} was asked alone")


@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
@pytest.mark.parametrize("output", ["all", "0-1", [[2.0, -1.0], [0.5, 3.0]]])
def test_brackets_are_those_of_single_calls(norm: str, output: Any) -> None:
    model = network(nn.Tanh(), 2)
    capture = captured(model)
    found = brackets(capture, asked(capture, norm=norm, output=output), 0.999, nobody)
    assert list(found) == [0, 3, 6]
    for one, region in zip(found.values(), REGIONS, strict=True):
        alone = autolip.lipschitz(
            model, EXAMPLE, region=region, norm=norm, output=output, method="lipsdp", lower="random"
        )
        assert alone.upper is not None and alone.lower is not None
        assert alone.upper.value is not None and alone.lower.value is not None
        assert one.upper >= alone.lower.value and one.lower <= alone.upper.value
        assert one.upper <= 1.01 * alone.upper.value
        assert one.lower >= 0.99 * alone.lower.value


def test_wide_brackets_are_left_to_single_calls_that_narrow_them() -> None:
    capture = captured(network(nn.ReLU()))
    questions = asked(capture)
    found = brackets(capture, questions, 0.999, nobody)
    widths = sorted(found, key=lambda number: found[number].width)
    assert 0 < found[widths[1]].width < found[widths[2]].width
    limit = (found[widths[0]].width + found[widths[1]].width) / 2
    heard = list[int]()

    def single(number: int, part: float) -> Bracket:
        heard.append(number)
        one = found[number]
        return Bracket(one.upper * (1 - part * one.width), one.upper)

    narrowed = brackets(capture, questions, limit, lambda number: single(number, 0.5))
    assert heard == [widths[2]] and list(narrowed) == [widths[0]]
    kept = brackets(capture, questions, limit, lambda number: single(number, 0.95))
    assert kept == found and heard == [widths[2]] * 2
    assert brackets(capture, questions, limit, lambda number: None) == found


def test_where_nothing_is_attained_single_calls_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = captured(network(nn.ReLU()))
    monkeypatch.setattr(together, "_lowers", lambda *_: [0.0, 0.0, 0.0])
    assert brackets(capture, asked(capture), 0.5, nobody) == {}


def test_a_bracket_that_contradicts_itself_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """By however little; a closed one is none."""
    capture = captured(network(nn.ReLU()))
    questions = asked(capture)
    uppers = [one.upper for one in brackets(capture, questions, 0.999, nobody).values()]
    monkeypatch.setattr(together, "_uppers", lambda *_: uppers)
    monkeypatch.setattr(together, "_lowers", lambda *_: uppers)
    assert [one.width for one in brackets(capture, questions, 0.5, nobody).values()] == [0.0] * 3
    beyond = [uppers[0], math.nextafter(uppers[1], math.inf), 0.0]
    monkeypatch.setattr(together, "_lowers", lambda *_: beyond)
    said = f"lipsdp bounds output all of question 4 by {uppers[1]!r}, and climbing pairs attains"
    with pytest.raises(Contradiction, match=re.escape(f"{said} {beyond[1]!r}")):
        brackets(capture, questions, 0.5, nobody)
    boxes = [{"region": region, "name": str(n)} for n, region in enumerate(REGIONS)]
    with pytest.raises(Contradiction, match="please report this network"):
        autolip.sweep(network(nn.ReLU()), EXAMPLE, boxes)


OTHERS: dict[str, dict[str, Any]] = {
    "method": {"method": "lipsdp"},
    "lower": {"lower": "random"},
    "no lower": {"lower": None},
    "time": {"time_budget": 1.0},
    "centre": {"secants": "centre"},
    "units": {"input_scale": 2.0},
    "pairs": {"output": "pairs"},
    "l1": {"norm": "l1"},
    "several outputs in linf": {"norm": "linf"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_asks_for_more_is_asked_alone(name: str) -> None:
    capture = captured(network(nn.Tanh(), 2))
    assert brackets(capture, asked(capture, **OTHERS[name]), 0.5, nobody) == {}


def test_networks_that_no_batch_takes_are_asked_alone() -> None:
    for model in (network(nn.Softmax(1)), network(nn.Sequential(nn.Linear(12, 12), nn.Mish()))):
        capture = captured(model)
        questions = asked(capture)
        assert brackets(capture, {0: questions[0]}, 0.5, nobody) == {}
        assert brackets(capture, questions, 0.0, nobody) == {}
    capture = captured(network(nn.Softmax(1)))
    assert brackets(capture, asked(capture), 0.999, nobody) == {}


def test_many_questions_are_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    capture, sizes = captured(network(nn.Tanh())), list[int]()

    def counted(_: Capture, questions: list[Question]) -> list[Bracket]:
        sizes.append(len(questions))
        return [Bracket(1.0, 1.0)] * len(questions)

    monkeypatch.setattr(together, "_bounds", counted)
    question = asked(capture)[0]
    found = brackets(capture, dict.fromkeys(range(150), question), 0.5, nobody)
    assert sizes == [64, 64, 22] and sorted(found) == list(range(150))


def test_a_sweep_asks_alone_what_stays_wide() -> None:
    model = network(nn.ReLU())
    questions = [{"region": region} for region in REGIONS]
    quick = autolip.sweep(model, EXAMPLE, questions, width=0.9)
    close = autolip.sweep(model, EXAMPLE, questions, width=1e-5)
    alone = autolip.sweep(model, EXAMPLE, questions, width=0)
    assert [row.method for row in quick.rows] == ["lipsdp"] * 3
    assert [row.method for row in alone.rows] == ["exact"] * 3
    for a, b, c in zip(quick.rows, close.rows, alone.rows, strict=True):
        assert a.upper is not None and b.upper is not None and c.upper is not None
        assert a.lower is not None and b.lower is not None and c.lower is not None
        assert a.upper >= c.lower and a.lower <= c.upper
        assert b.upper <= (1 + 2e-5) * c.upper and a.lower >= 0.97 * c.lower


def test_a_width_is_part_of_a_question(tmp_path: Any) -> None:
    model, store = network(nn.ReLU()), tmp_path / "rows.sqlite"
    questions = [{"region": region} for region in REGIONS[:2]]
    autolip.sweep(model, EXAMPLE, questions, width=0.9, store=store)
    alone = autolip.sweep(model, EXAMPLE, questions, width=0, store=store, resume=True)
    assert [row.method for row in alone.rows] == ["exact"] * 2
    refused: list[Any] = [-0.1, 1, float("nan"), "wide"]
    for width in refused:
        with pytest.raises(autolip.InputError, match="width"):
            autolip.sweep(model, EXAMPLE, questions, width=width)


def test_rows_of_a_stack_stay_in_their_regions() -> None:
    stack = Stack(tuple(region.shaped(torch.Size([1, 2])) for region in REGIONS))
    x = stack.project(9 * torch.randn(12, 1, 2, dtype=torch.float64))
    y = stack.sample(12, EXAMPLE.double(), torch.Generator().manual_seed(0))
    for number in range(12):
        own: Region = stack.regions[number // 4]
        assert own.contains(x[number]) and own.contains(y[number]) and stack.contains(x[number])
    box = stack.interval(torch.Size([1, 2]))
    assert box.lo.tolist() == [[-1.0, -0.5]] and box.hi.tolist() == [[0.8, 0.7]]
    plain: Any = stack.describe()
    assert [one["kind"] for one in plain["regions"]] == ["box"] * 3
