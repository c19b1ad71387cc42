"""Exact arithmetic, half-spaces, and proofs that nothing lies in them.

Covers autolip_check.dyadic and autolip_check.cells.
"""

import random
from fractions import Fraction

import numpy as np
import pytest

from autolip_check.cells import Bounds, Case, Cell, HalfSpace, combination, contradict
from autolip_check.container import Rejected
from autolip_check.dyadic import Dyadic, root_above
from autolip_check.layers import Layer, Layers
from autolip_check.pieces import Pieces

RELU = Pieces((0.0,), (0.0, 1.0), (0.0, 0.0))


def exact(values: np.ndarray) -> list[Fraction]:
    return [Fraction(float(value)) for value in values.reshape(-1)]


def test_sums_and_products_are_exact() -> None:
    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((3, 3)) * 10.0 ** draw.integers(-30, 30, (3, 3)) for _ in "ab")
    a[0, 1] = 0.0
    x, y = Dyadic.of(a), Dyadic.of(b)
    for found, wanted in (
        (x + y, [u + v for u, v in zip(exact(a), exact(b), strict=True)]),
        (x * y, [u * v for u, v in zip(exact(a), exact(b), strict=True)]),
        (x - y, [u - v for u, v in zip(exact(a), exact(b), strict=True)]),
        (
            x @ y,
            [sum(u * v for u, v in zip(exact(r), exact(c), strict=True)) for r in a for c in b.T],
        ),
    ):
        unit = Fraction(2) ** found.exponent
        assert [int(n) * unit for n in found.whole.reshape(-1)] == wanted
        value, off = found.nearest()
        apart = [abs(n - v) for n, v in zip(wanted, exact(value), strict=True)]
        assert all(gap <= room for gap, room in zip(apart, exact(off), strict=True))
    assert not Dyadic.of(a).nearest()[1].any() and Dyadic.zeros(2).is_zero


@pytest.mark.parametrize("value", [Fraction(0), Fraction(2), Fraction(1, 10**60), Fraction(10**60)])
def test_a_root_is_not_below(value: Fraction) -> None:
    root = root_above(value)
    assert value <= root**2 <= value * (1 + Fraction(1, 10**9)) + Fraction(1, 2**100)


def test_combinations_are_found_where_there_are_any() -> None:
    draw = random.Random(0)
    for _ in range(200):
        n, m = draw.randint(1, 5), draw.randint(2, 6)
        rows = np.array([[draw.randint(-3, 3) for _ in range(n)] for _ in range(m)], dtype=object)
        near = np.array([draw.randint(1, 5) for _ in range(m)], dtype=object)
        weights = combination(rows, near)
        rank = np.linalg.matrix_rank(rows.astype(float))
        assert (weights is None) == (rank == m)
        if weights is not None:
            assert not (np.array(weights, dtype=object) @ rows).any() and any(weights)


def spaces(rows: list[list[float]], offsets: list[float]) -> list[HalfSpace]:
    return [
        HalfSpace(Dyadic.of(np.array(row)), Fraction(offset))
        for row, offset in zip(rows, offsets, strict=True)
    ]


@pytest.mark.parametrize(
    ("rows", "offsets", "empty"),
    [
        ([[1.0], [-1.0]], [-1.0, 0.5], True),  # x >= 1, x <= 1/2
        ([[1.0], [-1.0]], [-1.0, 1.0], True),  # x = 1: flat
        ([[1.0], [-1.0]], [-1.0, 1.0 + 2.0**-52], False),
        ([[1.0], [1.0]], [-1.0, 1.0], False),
        ([[1.0], [1.0]], [1.0, -1.0], False),
        ([[0.0, 0.0]], [0.0], False),  # all of space
        ([[0.0, 0.0]], [-(2.0**-200)], True),
        ([[0.1, 0.2], [-0.1, -0.2 - 2.0**-55]], [0.0, -1.0], False),
        ([[0.25, 0.5], [0.5, -0.25], [-0.75, -0.25]], [0.0, 0.0, -1e-30], True),
    ],
)
def test_contradictions(rows: list[list[float]], offsets: list[float], empty: bool) -> None:
    assert contradict(spaces(rows, offsets), np.ones(len(rows))) == empty


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", ""])
def test_forms_are_highest_on_the_border(norm: str) -> None:
    center, row = [0.3, -0.1, 0.7], np.array([1.5, -2.0, 0.25])
    ball = {"kind": "ball", "norm": norm, "radius": 0.5, "center": center}
    box = {"kind": "box", "lo": [-0.2, -0.6, 0.2], "hi": [0.8, 0.4, 1.2]}
    top = Bounds.of(ball if norm else box).highest(Dyadic.of(row))
    length = {"l1": 2.0, "l2": float(np.linalg.norm(row)), "linf": 3.75, "": 3.75}[norm]
    assert top is not None and float(top) == pytest.approx(row @ center + 0.5 * length, abs=1e-15)
    assert Bounds.of({"kind": "everywhere"}).highest(Dyadic.of(row)) is None
    with pytest.raises(Rejected):
        Bounds.of({"kind": "clipped"})


def chain() -> Layers:
    """relu(x), relu(-x), then relu of their sum less 1."""
    first = Layer({0: Dyadic.of(np.array([[1.0], [-1.0]]))}, *[Dyadic.zeros(2)] * 2, RELU)
    second = Layer(
        {1: Dyadic.of(np.array([[1.0, 1.0]]))}, Dyadic.of(np.array([-1.0])), Dyadic.zeros(1), RELU
    )
    return Layers([first, second], {2: Dyadic.of(np.eye(1))}, np.array([True]))


def cell(first: list[int], last: list[int], region: dict[str, object]) -> Cell:
    case = Case(np.array(first), np.array(last))
    return Cell(chain(), Bounds.of(region), case, case)


def test_half_spaces_of_a_chain() -> None:
    """With the first on and the second off, the third is on where x >= 1."""
    half_space = cell([1, 0, 1], [1, 0, 1], {"kind": "everywhere"}).half_space(4)
    assert half_space.row.number() == 1 and half_space.offset == -1
    inside = cell([1, 0, 1], [1, 0, 1], {"kind": "box", "lo": [-2.0], "hi": [0.5]})
    assert inside.is_empty([4], np.array([1.0])), "x >= 1 is beyond the box"
    assert not inside.is_empty([0], np.array([1.0]))
    both_on = cell([1, 1, 0], [1, 1, 1], {"kind": "everywhere"})
    assert both_on.is_empty([0, 2], np.ones(2)), "x >= 0 and -x >= 0 are a point"


@pytest.mark.parametrize(("piece", "side", "row", "offset"), [(0, 1, -2, 0.25), (1, 0, 2, -0.25)])
def test_both_sides_of_a_break(piece: int, side: int, row: int, offset: float) -> None:
    """2 x + 1/4 is below or above 1/2."""
    capped = Pieces((0.5,), (1.0, 0.0), (0.0, 0.5))
    maps = {0: Dyadic.of(np.array([[2.0]]))}
    layer = Layer(maps, Dyadic.of(np.array([0.25])), Dyadic.zeros(1), capped)
    layers = Layers([layer], {1: Dyadic.of(np.eye(1))}, np.array([True]))
    case = Case(np.array([piece]), np.array([piece]))
    found = Cell(layers, Bounds.of({"kind": "everywhere"}), case, case).half_space(side)
    assert (found.row.number(), found.offset) == (row, offset)


@pytest.mark.parametrize(
    ("first", "last", "side"),
    [
        ([0, 0, 1], [1, 1, 1], 4),  # depends on pieces that are not known
        ([1, 0, 0], [1, 0, 1], 4),  # the third has no lower end
        ([1, 0, 0], [1, 0, 1], 1),  # the first has no upper end
        ([1, 0, 0], [1, 0, 1], 6),  # there is no fourth
        ([1, 0, 0], [1, 0, 1], -2),
    ],
)
def test_half_spaces_that_a_case_does_not_have(
    first: list[int], last: list[int], side: int
) -> None:
    with pytest.raises(Rejected):
        cell(first, last, {"kind": "everywhere"}).half_space(side)
