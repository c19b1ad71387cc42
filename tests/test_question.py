"""What a person may write in Python, and what is refused in a sentence before anything is
captured."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from autolip import Ball, Box, lipschitz
from autolip.errors import InputError, Refusal
from autolip.lower import Ascent, Grid, LowerMethod, LowerProblem, Random
from autolip.lower.pattern import Pattern
from autolip.methods import AutoLip, LipSDP, Rescaled
from autolip.methods.exact.method import Exact
from autolip.norms import Norm
from autolip.outputs import All, Component, Difference, Output, Pairs
from autolip.question import Question, as_shape, example_tensors
from autolip.regions import Everywhere
from autolip.values import Lower

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 6)).eval()


@pytest.mark.parametrize(
    ("norm", "pair"),
    [
        ("l2", (Norm.L2, Norm.L2)),
        (" L2 ", (Norm.L2, Norm.L2)),
        (Norm.LINF, (Norm.LINF, Norm.LINF)),
        (2, (Norm.L2, Norm.L2)),
        (1.0, (Norm.L1, Norm.L1)),
        (np.int64(1), (Norm.L1, Norm.L1)),
        (np.inf, (Norm.LINF, Norm.LINF)),
        (torch.tensor(2), (Norm.L2, Norm.L2)),
        (np.array([np.inf, 1]), (Norm.LINF, Norm.L1)),
        ("inf", (Norm.LINF, Norm.LINF)),
        ("l_inf", (Norm.LINF, Norm.LINF)),
        ("l∞", (Norm.LINF, Norm.LINF)),
        ("2", (Norm.L2, Norm.L2)),
        ("linf:l2", (Norm.LINF, Norm.L2)),
        ("inf : 1", (Norm.LINF, Norm.L1)),
        (("linf", "l2"), (Norm.LINF, Norm.L2)),
        ([float("inf"), Norm.L1], (Norm.LINF, Norm.L1)),
    ],
)
def test_norms(norm: Any, pair: tuple[Norm, Norm]) -> None:
    question = Question.asked(norm=norm)
    assert (question.p, question.q) == pair


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("all", All()),
        ("ALL", All()),
        ("pairs", Pairs()),
        (3, Component(3)),
        ("3", Component(3)),
        (np.int64(3), Component(3)),
        (torch.tensor(3), Component(3)),
        (np.array([3, 5]), Difference(3, 5)),
        ("03", Component(3)),
        ([3], Component(3)),
        ((3, 5), Difference(3, 5)),
        ([3, 5], Difference(3, 5)),
        ("3-5", Difference(3, 5)),
        ("3 - 5", Difference(3, 5)),
        (Difference(3, 5), Difference(3, 5)),
    ],
)
def test_outputs(output: Any, found: Output) -> None:
    assert Question.asked(output=output).output == found


@pytest.mark.parametrize(
    ("method", "found"),
    [
        ("autolip", (AutoLip(),)),
        (AutoLip, (AutoLip(),)),
        (AutoLip(), (AutoLip(),)),
        (["autolip", Rescaled], (AutoLip(), Rescaled())),
        (("autolip", LipSDP(seconds=2.0)), (AutoLip(), LipSDP(seconds=2.0))),
        (None, ()),
        ([], ()),
    ],
)
def test_methods(method: Any, found: tuple[object, ...]) -> None:
    assert Question.asked(method=method).methods == found


def test_auto_adds_to_what_is_named() -> None:
    question = Question.asked(method=["auto", "autolip"])
    assert question.methods == (AutoLip(),)
    assert AutoLip() not in question.automatic and Rescaled() in question.automatic


@pytest.mark.parametrize(
    ("lower", "found"),
    [
        ("ascent", (Ascent(),)),
        (Grid, (Grid(),)),
        (["ascent", Random(points=5)], (Ascent(), Random(points=5))),
        (None, ()),
    ],
)
def test_searches(lower: Any, found: tuple[object, ...]) -> None:
    assert Question.asked(lower=lower).lowers == found


def test_searches_of_auto_are_brief_and_none_that_was_named() -> None:
    names = [search.name for search in Question.asked().searches]
    assert names == ["pattern", "ascent"] and Pattern().brief() in Question.asked().searches
    both = Question.asked(lower=["auto", "pattern"])
    assert both.lowers == (Pattern(),) and both.searches == (Ascent(),)
    assert Question.asked(lower="random").searches == ()
    assert Exact().brief() in Question.asked().automatic


def test_everywhere_is_meant_by_none_and_by_the_class() -> None:
    assert Question.asked().region == Question.asked(region=Everywhere).region == Everywhere()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Tuned(LowerMethod):
    """A search that has no default."""

    steps: int
    name: ClassVar[str] = "tuned"
    source: ClassVar[str] = "nobody"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        return Refusal("never")


REFUSED = {
    "a norm of another p": ({"norm": 3}, "norm 3 is not known: write l1, l2, linf, or a pair"),
    "a truth value as a norm": ({"norm": True}, "norm True is not known"),
    "NaN as a norm": ({"norm": float("nan")}, "norm nan is not known"),
    "no norm": ({"norm": None}, "norm None is not known"),
    "three norms": ({"norm": ("l1", "l2", "l2")}, "norm .* is not known"),
    "no norms": ({"norm": ()}, r"norm \(\) is not known"),
    "a norm of nothing": ({"norm": ""}, "norm '' is not known"),
    "half a pair": ({"norm": "l2:"}, "norm 'l2:' is not known"),
    "a truth value as an output": (
        {"output": True},
        "output True is not known: write a component",
    ),
    "a fraction of an output": ({"output": 1.5}, "output 1.5 is not known"),
    "an output counted from the end": ({"output": -1}, "output -1 is not known.*counted from 0"),
    "no output": ({"output": None}, "output None is not known"),
    "three outputs": ({"output": (1, 2, 3)}, "is not known"),
    "digits of another script": ({"output": "٣"}, "is not known"),
    "an output of 5000 digits": ({"output": "9" * 5000}, r"output '9+\.\.\. is not known"),
    "a difference with itself": ({"output": (3, 3)}, "difference of a component with itself"),
    "an output that does not exist": (
        {"output": 6},
        "output 6 does not exist: the network has 6, counted from 0",
    ),
    "a misspelt method": (
        {"method": "autolp"},
        "no method 'autolp': did you mean 'autolip'. choose from",
    ),
    "a misspelt search": (
        {"lower": "Ascend"},
        "no lower-bound search 'Ascend': did you mean 'ascent'",
    ),
    "a search as a method": ({"method": Ascent}, "is neither a method nor the name of one"),
    "a number as a method": ({"method": 3}, "3 is neither a method nor the name of one"),
    "a class with options": ({"lower": Tuned}, "Tuned cannot be made without options"),
    "several arrays as a method": (
        {"method": np.array(["autolip", "auto"])},
        "is neither a method nor the name",
    ),
    "a negative option": (
        {"lower": Random(points=-1)},
        "points of random is -1: give a number >= 0",
    ),
    "NaN as an option": (
        {"method": LipSDP(seconds=float("nan"))},
        "seconds of lipsdp is nan: give a number >= 0",
    ),
    "a word as an option": (
        {"lower": Random(points="x")},
        "points of random is 'x': give a number",
    ),  # type: ignore
    "no function to tell": ({"progress": 3}, "progress is 3: give a function"),
    "a truth value as an input": (
        {"varying": True},
        "varying is True: give the position or the name of an input",
    ),
    "no input": ({"varying": None}, "varying is None"),
    "nothing": (
        {"method": None, "lower": None},
        "neither a method for an upper bound nor a search",
    ),
    "a tuple as a region": (
        {"region": (0, 1)},
        r"region is 0: give Everywhere\(\), Box\(lo, hi\) or Ball\(center, radius\), or one",
    ),
    "a class as a region": ({"region": Ball}, r"give Everywhere\(\), Box"),
    "a region of another size": ({"region": Box([0, 0], 1)}, "the box has 2 entries"),
    "no delta": ({"delta": None}, "delta is None: give a number"),
    "delta of one": ({"delta": 1}, "delta is 1.0: give a probability"),
    "NaN as delta": ({"delta": float("nan")}, "delta is nan"),
    "a seed of 65 bits": (
        {"seed": 2**64},
        "seed is 18446744073709551616: give a whole number from 0",
    ),
    "a fraction as a seed": ({"seed": 0.5}, "seed is 0.5"),
    "a truth value as a seed": ({"seed": True}, "seed is True"),
    "a negative seed": ({"seed": -1}, "seed is -1"),
    "a negative time budget": (
        {"time_budget": -1},
        "time_budget is -1.0: give a finite number of seconds > 0",
    ),
    "an endless time budget": ({"time_budget": float("inf")}, "time_budget is inf"),
    "NaN as a time budget": ({"time_budget": float("nan")}, "time_budget is nan"),
    "a word as a time budget": ({"time_budget": "1m"}, "time_budget is '1m': give a number"),
    "a truth value as a time budget": ({"time_budget": True}, "time_budget is True"),
}
LATER = {"an output that does not exist", "a region of another size"}
"""What can be seen only when the network's shapes are known."""


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_a_sentence_before_the_capture(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, reason = REFUSED[case]
    if case not in LATER:
        monkeypatch.setattr("autolip.estimate.capture_model", lambda *_: pytest.fail("captured"))
    with pytest.raises(InputError, match=reason) as raised:
        lipschitz(MODEL, torch.zeros(1, 3), **options)
    assert "\n" not in str(raised.value)


def test_pairs_of_one_output_are_a_sentence() -> None:
    with pytest.raises(
        InputError, match="'pairs' needs at least two outputs: this network has one"
    ):
        lipschitz(nn.Linear(3, 1), torch.zeros(1, 3), output="pairs")


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(1, 3),
        np.zeros((1, 3)),
        np.zeros((1, 3), dtype=np.float16),
        [[0.0, 0.0, 0.0]],
        [[0, 0, 0]],
        (np.zeros((1, 3)),),
        [torch.zeros(1, 3)],
        ([[0.0, 0.0, 0.0]],),
    ],
    ids=lambda inputs: type(inputs).__name__,
)
def test_example_inputs(inputs: Any) -> None:
    (found,) = example_tensors(MODEL, inputs)
    assert torch.equal(found, torch.zeros(1, 3)) and found.dtype is torch.float32


def test_whole_numbers_of_an_array_stay_whole_and_numbers_stay_numbers() -> None:
    found = example_tensors(MODEL, (np.zeros((1, 3)), np.array([1, 2]), 2.5))
    assert found[1].dtype is torch.int64 and found[2] == 2.5


@pytest.mark.parametrize("inputs", [(), {1, 2}, "zeros", None, [["a"]], [[0.0], [0.0, 1.0]]])
def test_what_is_no_example_input(inputs: Any) -> None:
    with pytest.raises(InputError, match="example input"):
        example_tensors(MODEL, inputs)


def test_a_bracket_from_arrays() -> None:
    """All forms at once: the margin of a linear map is the distance of two rows."""
    model = nn.Linear(3, 6)
    weight = model.weight.detach().double()
    row = weight[1] - weight[4]
    found = lipschitz(
        model,
        [[0, 0, 0]],
        norm=(2, 2),
        region=Box(0, 1),
        output=(1, 4),
        method=AutoLip,
        lower=None,
        time_budget=60,
    )
    assert found.lower is None and found.upper is not None
    assert found.upper.value == pytest.approx(row.norm().item(), rel=1e-9)
    assert found.region["lo"] == [0.0] * 3


@pytest.mark.parametrize("shape", [(1, 3), [1, 3], torch.Size([1, 3]), np.array([1, 3])])
def test_shapes_as_they_are_given(shape: object) -> None:
    assert as_shape(shape) == (1, 3)


def test_a_number_is_the_shape_of_a_vector() -> None:
    assert as_shape(7) == (7,)


@pytest.mark.parametrize("shape", ["1,3", (1, 0), (1.5,), (True,), (), (10**9, 10**9), None])
def test_what_is_no_shape(shape: object) -> None:
    with pytest.raises(InputError, match="is not the shape of an input"):
        as_shape(shape)


def test_the_shape_of_an_input_is_enough() -> None:
    (example,) = example_tensors(nn.Linear(3, 2).double(), (1, 3))
    assert example.shape == (1, 3) and example.dtype == torch.float64
    assert [type(one) for one in example_tensors(None, (torch.ones(2), 3))] == [torch.Tensor, int]
