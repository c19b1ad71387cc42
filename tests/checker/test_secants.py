"""Slopes on intervals contain every quotient of the function, in exact arithmetic, and no more than
they must (autolip_check.secants)."""

from fractions import Fraction

import numpy as np
import pytest

from autolip_check.pieces import Pieces
from autolip_check.secants import image, nodes, reached, secants, values

FUNCTIONS = {
    "relu": Pieces((0.0,), (0.0, 1.0), (0.0, 0.0)),
    "clipped": Pieces((-0.3, 0.6), (0.0, 1.0, 0.0), (-0.3, 0.0, 0.6)),
    "steep": Pieces((0.0,), (-2.0, 1.0), (0.0, 0.0)),
    "shrunk": Pieces((-0.5, 0.5), (1.0, 0.0, 1.0), (0.5, 0.0, -0.5)),
}


def exactly(pieces: Pieces, t: Fraction) -> Fraction:
    piece = sum(Fraction(at) < t for at in pieces.breaks)
    return Fraction(pieces.slopes[piece]) * t + Fraction(pieces.offsets[piece])


def intervals(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    ends = np.sort(draw.standard_normal((2, count)), axis=0)
    ends[:, :3] = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    return ends[0], ends[1]


@pytest.mark.parametrize("pieces", FUNCTIONS.values(), ids=FUNCTIONS)
def test_no_quotient_is_left_out(pieces: Pieces) -> None:
    lo, hi = intervals(0)
    draw = np.random.default_rng(1)
    point = lo + draw.random(len(lo)) * (hi - lo)
    point[5:9] = lo[5:9]
    known = point - 1e-15, point + 1e-15
    least, most = reached(pieces, lo, hi)
    low, high = secants(pieces, lo, hi, known)
    bottom, top = image(pieces, lo, hi)
    at = np.concatenate([draw.random((30, len(lo))), [np.zeros(len(lo)), np.ones(len(lo))]])
    for k in range(len(lo)):
        c = Fraction(point[k])
        for share in at[:, k]:
            t = Fraction(lo[k]) + Fraction(share) * (Fraction(hi[k]) - Fraction(lo[k]))
            assert bottom[k] <= exactly(pieces, t) <= top[k]
            if t == c:
                continue
            quotient = (exactly(pieces, t) - exactly(pieces, c)) / (t - c)
            assert low[k] <= quotient <= high[k]
            assert least[k] <= quotient <= most[k]
        assert least[k] <= low[k] and high[k] <= most[k]


def test_secants_of_relu_are_those_of_the_formula() -> None:
    """[v / (v - l), 1] above 0, [0, h / (h - v)] below it."""
    pieces = FUNCTIONS["relu"]
    lo, hi, v = np.array([-1.0, -3.0]), np.array([2.0, 1.0]), np.array([0.5, -2.0])
    low, high = secants(pieces, lo, hi, (v, v))
    assert low == pytest.approx([0.5 / 1.5, 0.0], rel=1e-14, abs=0.0)
    assert high == pytest.approx([1.0, 1.0 / 3.0], rel=1e-14)


def test_an_end_that_is_a_break_meets_one_piece() -> None:
    pieces = FUNCTIONS["relu"]
    least, most = reached(pieces, np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    assert least.tolist() == [1.0, 0.0, 0.0] and most.tolist() == [1.0, 0.0, 1.0]


def test_values_are_enclosed() -> None:
    pieces = FUNCTIONS["clipped"]
    lo, hi = intervals(2)
    found = values(pieces, nodes(pieces, lo, hi))
    for t, value, error in zip(
        nodes(pieces, lo, hi).reshape(-1), found.value.reshape(-1), found.error.reshape(-1),
        strict=True,
    ):  # fmt: skip
        assert abs(exactly(pieces, Fraction(t)) - Fraction(value)) <= Fraction(error)
