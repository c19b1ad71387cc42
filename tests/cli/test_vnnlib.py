"""VNN-LIB files: boxes are read, rounded outward; everything else about the inputs is refused."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from autolip.cli.vnnlib import read_box
from autolip.errors import InputError

DECLARED = "(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)\n"
FIRST = "(assert (>= X_0 0.5)) (assert (<= X_0 1))\n"
SECOND = "(assert (>= X_1 -2)) (assert (<= X_1 2))\n"


def test_bounds_in_either_order_and_in_conjunctions() -> None:
    text = DECLARED + FIRST + "(assert (and (<= -0.25 X_1) (>= 1e-1 X_1))) ; a comment (\n(assert (<= Y_0 3))"
    assert read_box(text) == ([0.5, -0.25], [1.0, 0.1])


def test_decimals_that_are_no_doubles_are_rounded_outward() -> None:
    (lower,), (upper,) = read_box("(assert (>= X_0 0.1)) (assert (<= X_0 0.1234567890123456789012345))")
    assert Fraction(lower) <= Fraction("0.1") and Fraction(upper) >= Fraction("0.1234567890123456789012345")
    assert (lower, upper) == (pytest.approx(0.1, rel=1e-15), pytest.approx(0.12345678901234568, rel=1e-15))


def test_several_bounds_intersect_and_equality_fixes() -> None:
    text = "(assert (>= X_0 0)) (assert (>= X_0 1)) (assert (<= X_0 3)) (assert (<= X_0 2)) (assert (= X_1 (- 0.5)))"
    assert read_box(text) == ([1.0, -0.5], [2.0, -0.5])


def test_disjunctions_of_outputs_are_ignored() -> None:
    text = DECLARED + FIRST + SECOND + "(assert (or (and (>= Y_0 1)) (and (<= Y_0 -1))))"
    assert read_box(text) == ([0.5, -2.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DECLARED + FIRST, "X_1 has no lower bound"),
        (DECLARED + FIRST + "(assert (>= X_1 0))", "X_1 has no upper bound"),
        (FIRST + "(assert (or (and (<= X_0 1)) (and (>= X_0 2))))", "only boxes"),
        (FIRST + "(assert (<= (+ X_0 X_1) 1))", r"\(<= \(\+ X_0 X_1\) 1\) is not a bound on one input"),
        (FIRST + "(assert (<= X_0 X_1))", "is not a bound on one input"),
        (FIRST + "(assert (not (<= X_0 1)))", "is not a bound on one input"),
        (FIRST + "(assert (<= X_0 Y_0))", "is not a bound on one input"),
        ("(assert (>= X_1 0)) (assert (<= X_1 1))", "without gaps"),
        ("", "without gaps"),
        (FIRST + "(assert (<= X_0 1)", "never closed"),
        (FIRST + ")", "without an opening"),
        (FIRST + "(check-sat)", r"\(check-sat\) is not understood"),
        ("X_0 <= 1", "is not understood"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_box(text)


def test_a_published_property(acasxu: Path) -> None:
    lower, upper = read_box(acasxu.read_text(encoding="utf-8"))
    assert lower == pytest.approx([0.6, -0.5, -0.5, 0.45, -0.5], abs=1e-16)
    assert Fraction(lower[3]) <= Fraction("0.45")
    assert upper[1:] == pytest.approx([0.5, 0.5, 0.5, -0.45], abs=1e-16)
    assert upper[0] == pytest.approx(0.679857769, rel=1e-15)


@pytest.fixture
def acasxu(pytestconfig: pytest.Config) -> Path:
    zoo = Path(os.environ.get("AUTOLIP_ZOO", pytestconfig.rootpath.parent / "shared" / "zoo"))
    file = zoo / "acasxu" / "prop_1.vnnlib"
    if not file.exists():
        pytest.skip(f"{file} is not at hand")
    return file
