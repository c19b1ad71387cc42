"""VNN-LIB files: boxes are read, rounded outward; everything else about the inputs is refused.
Both versions (autolip.cli.vnnlib2), and the hulls of their bounds (autolip.cli.hull)."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from autolip.cli.hull import FoundBox
from autolip.cli.vnnlib import read_box
from autolip.errors import InputError

DECLARED = "(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)\n"
FIRST = "(assert (>= X_0 0.5)) (assert (<= X_0 1))\n"
SECOND = "(assert (>= X_1 -2)) (assert (<= X_1 2))\n"


def test_bounds_in_either_order_and_in_conjunctions() -> None:
    text = (
        DECLARED
        + FIRST
        + "(assert (and (<= -0.25 X_1) (>= 1e-1 X_1))) ; a comment (\n(assert (<= Y_0 3))"
    )
    assert read_box(text) == FoundBox([0.5, -0.25], [1.0, 0.1])


def test_decimals_that_are_no_doubles_are_rounded_outward() -> None:
    found = read_box("(assert (>= X_0 0.1)) (assert (<= X_0 0.1234567890123456789012345))")
    (lower,), (upper,) = found.lower, found.upper
    assert Fraction(lower) <= Fraction("0.1") and Fraction(upper) >= Fraction(
        "0.1234567890123456789012345"
    )
    assert (lower, upper) == (
        pytest.approx(0.1, rel=1e-15),
        pytest.approx(0.12345678901234568, rel=1e-15),
    )


def test_several_bounds_intersect_and_equality_fixes() -> None:
    text = (
        "(assert (>= X_0 0)) (assert (>= X_0 1)) (assert (<= X_0 3)) (assert (<= X_0 2)) "
        "(assert (= X_1 (- 0.5)))"
    )
    assert read_box(text) == FoundBox([1.0, -0.5], [2.0, -0.5])


def test_disjunctions_of_outputs_are_ignored() -> None:
    text = DECLARED + FIRST + SECOND + "(assert (or (and (>= Y_0 1)) (and (<= Y_0 -1))))"
    assert read_box(text) == FoundBox([0.5, -2.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DECLARED + FIRST, "X_1 has no lower bound"),
        (DECLARED + FIRST + "(assert (>= X_1 0))", "X_1 has no upper bound"),
        (FIRST + "(assert (or (and (<= X_1 1)) (and (>= X_1 2))))", "X_1 has no lower bound"),
        (FIRST + "(assert (or (<= X_0 1) (<= X_0 X_1)))", "only boxes"),
        ("(assert (or))", "no bound on an input"),
        ("(assert)", "is not understood"),
        ("(assert (>= X_0 1e999999999))", "1e999999999 is no decimal number, or has more digits"),
        ("(assert (>= X_0 -1e-999999999))", "more digits"),
        (
            "(assert (>= X_0 1e400)) (assert (<= X_0 1e401))",
            r"the bound 1.0+e\+400 is larger than every double",
        ),
        (f"(assert (>= X_0 {'9' * 10**5}))", r"9+\.\.\. is no decimal number"),
        ("(assert (>= X_0 1/3))", "1/3 is no decimal number"),
        ("(assert (>= X_0 NaN))", "is not a bound on one input"),
        ("(assert (>= X_99999999999 0)) (assert (<= X_99999999999 1))", "without gaps"),
        ("(" * 10**5, "nested deeper than 100"),
        ("(assert " + "(and " * 10**5 + "(<= X_0 1)" + ")" * (10**5 + 1), "nested deeper than 100"),
        (")" * 10**5, "without an opening"),
        ("\x00\x01", "is not understood"),
        (
            FIRST + "(assert (<= (+ X_0 X_1) 1))",
            r"\(<= \(\+ X_0 X_1\) 1\) is not a bound on one input",
        ),
        (FIRST + "(assert (<= X_0 X_1))", "is not a bound on one input"),
        (FIRST + "(assert (not (<= X_0 1)))", "is not a bound on one input"),
        (FIRST + "(assert (<= X_0 Y_0))", "is not a bound on one input"),
        ("(assert (>= X_1 0)) (assert (<= X_1 1))", "without gaps"),
        (FIRST + f"(assert (<= X_{'9' * 20} 1))", "is not a bound on one input"),
        ("", "no bound on an input"),
        (FIRST + "(assert (<= X_0 1)", "never closed"),
        (FIRST + ")", "without an opening"),
        (FIRST + "(check-sat)", r"\(check-sat\) is not understood"),
        ("X_0 <= 1", "is not understood"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_box(text)


def test_alternatives_have_a_box_around_them() -> None:
    """Each alternative speaks of outputs too; one that no input satisfies is left out."""
    boxes = ("(>= X_0 0) (<= X_0 0.5)", "(>= X_0 2) (<= X_0 3)", "(>= X_0 9) (<= X_0 8)")
    text = f"(assert (or {' '.join(f'(and {box} (<= Y_0 Y_1))' for box in boxes)}))"
    assert read_box(text) == FoundBox([0.0], [3.0], joined=2)
    assert read_box(text + "(assert (<= X_0 2.5))") == FoundBox([0.0], [2.5], joined=2)


def test_an_alternative_that_leaves_an_input_free_bounds_nothing() -> None:
    with pytest.raises(InputError, match="X_0 has no upper bound"):
        read_box("(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 -1) (>= Y_0 0))))")


def test_a_long_file_is_read_in_time() -> None:
    text = "".join(f"(assert (>= X_{i} 0.1)) (assert (<= X_{i} 0.3))\n" for i in range(5000))
    assert len(read_box(text).lower) == 5000


NETWORK = (
    "(vnnlib-version <2.0>) (declare-network N (declare-input X float32 [1,3]) "
    "(declare-output Y float32 [2]))\n"
)
REST = (
    "(assert (and (<= X[0,0] 1.0) (>= X[0,0] -0.1))) (assert (>= X[0,2] (- 0.5))) (assert "
    "(>= 0.25 X[0,2]))\n"
)


def test_version_2_is_read_by_its_package() -> None:
    pytest.importorskip("vnnlib")
    either = (
        "(assert (or (and (<= X[0,1] 1.0) (>= X[0,1] 0.0)) (and (<= X[0,1] 3.0) (>= X[0,1] 2.0))))"
    )
    found = read_box(
        NETWORK + REST + "; a comment (\n" + either + "(assert (<= (+ Y[0] 1.5) Y[1]))"
    )
    assert found == FoundBox([found.lower[0], 0.0, -0.5], [1.0, 3.0, 0.25], joined=2)
    assert Fraction(found.lower[0]) <= Fraction("-0.1") and found.lower[0] == pytest.approx(
        -0.1, rel=1e-15
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NETWORK + REST, r"X\[0,1\] has no lower bound"),
        (NETWORK + "(assert (<= X[0,0] 1))", "version 2.0: line 2: Type mismatch"),
        (NETWORK + "(assert (<= X[0,3] 1.0))", "Index out of bounds"),
        (NETWORK + "(assert (<= X[0,0] X[0,1]))", "is not a bound on one input"),
        (NETWORK + "(assert (<= X[0,0]", "never closed"),
        (NETWORK + f"(assert (<= X[0,0] {'9' * 400}.0))", "a number is larger than every double"),
        (NETWORK + "(assert " + "(and " * 10**5, "nested deeper than 100"),
        (
            NETWORK.replace("(declare-output", "(declare-input Z float32 [1]) (declare-output")
            + REST,
            "2 inputs are",
        ),
    ],
)
def test_version_2_refuses_in_a_sentence(text: str, reason: str) -> None:
    pytest.importorskip("vnnlib")
    with pytest.raises(InputError, match=reason) as raised:
        read_box(text)
    assert "\n" not in str(raised.value)


def test_a_published_property(acasxu: Path) -> None:
    found = read_box(acasxu.read_text(encoding="utf-8"))
    lower, upper = found.lower, found.upper
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
