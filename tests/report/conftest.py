"""Results made by hand, with fixed numbers and seconds."""

from collections.abc import Callable
from typing import Any

import pytest

from autolip.errors import Refusal
from autolip.findings import Pair, Row
from autolip.norms import Norm
from autolip.outputs import All, Pairs
from autolip.result import Result
from autolip.values import Estimate, Event, Lower, Upper

ASSUMED = {"input": "x", "input_shape": [1, 1, 8, 8], "batch": 1, "dtype": "float32"}


def row(method: str, kind: str, value: float, **rest: Any) -> Row:
    answers = {"upper": Upper, "lower": Lower, "estimate": Estimate}
    return Row(method, answers[kind](value), **rest)


def confident(value: float, delta: float) -> Upper:
    return Upper(value, frozenset({Event("a start", delta)}))


@pytest.fixture
def bracket() -> Result:
    """One row of each kind."""
    upper = row("autolip", "upper", 28.04123456, seconds=0.312, passes=14.0)
    lower = row("ascent", "lower", 14.2087999, seconds=2.05, passes=812.0)
    random = Row("lanczos", confident(30.1, 1e-9), seconds=0.1, passes=350.5)
    estimate = row("power", "estimate", 25.125, seconds=0.04, passes=20.0)
    reason = Refusal("it holds for dense layers only, and there is a convolution")
    rows = (upper, random, estimate, Row("lipsdp", reason), lower)
    return Result(
        "digits-conv",
        Norm.L2,
        Norm.L2,
        {"kind": "everywhere"},
        All(),
        rows,
        upper,
        lower,
        dict(ASSUMED),
    )


@pytest.fixture
def pairs() -> Callable[[int], Result]:
    """All differences of so many outputs: upper i + j, lower half of it."""

    def make(count: int) -> Result:
        found = tuple(
            Pair(i, j, row("autolip", "upper", float(i + j)), row("ascent", "lower", (i + j) / 2))
            for i in range(count)
            for j in range(i + 1, count)
        )
        worst = found[-1]
        assert worst.upper and worst.lower
        rows = (worst.upper, worst.lower)
        return Result(
            "net",
            Norm.LINF,
            Norm.L2,
            {"kind": "everywhere"},
            Pairs(),
            rows,
            *rows,
            dict(ASSUMED),
            pairs=found,
        )

    return make
