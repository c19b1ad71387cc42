"""Ranges and bounds of cases hold at points of them; arithmetic counts what rounding loses.

Covers autolip_check.enclosed, autolip_check.reach, autolip_check.leaves and autolip_check.layers.
"""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from autolip_check import leaves
from autolip_check.cells import Bounds, Case
from autolip_check.container import Rejected
from autolip_check.dyadic import Dyadic
from autolip_check.enclosed import Enclosed, above
from autolip_check.layers import Layer, Layers
from autolip_check.leaves import Slopes
from autolip_check.pieces import Pieces
from autolip_check.reach import Place, _lines, narrowed

RELU = Pieces((0.0,), (0.0, 1.0), (0.0, 0.0))
CLIPPED = Pieces((-0.3, 0.6), (0.0, 1.0, 0.0), (-0.3, 0.0, 0.6))
STEEP = Pieces((0.0,), (-2.0, 1.0), (0.0, 0.0))


def exactly(a: np.ndarray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(a)


def test_products_and_sums_are_enclosed() -> None:
    """Whatever the members, in exact arithmetic; numbers of very different sizes, some tiny."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = (draw.standard_normal((3, 3)) * 10.0 ** draw.integers(-8, 8, (3, 3)) for _ in "ab")
        e, f = (draw.uniform(0, 1e-6, (3, 3)) * draw.integers(0, 2, (3, 3)) for _ in "ef")
        x, y = Enclosed(a, e), Enclosed(b, f)
        for sign in (-1, 0, 1):
            u = exactly(a) + sign * exactly(e)
            v = exactly(b) - sign * exactly(f)
            for found, wanted in ((x @ y, u @ v), (x + y, u + v), (x * y, u * v), (-x, -u)):
                off = np.abs(exactly(found.value) - wanted)
                assert bool((off <= exactly(found.error)).all())
                assert bool((exactly(found.lo) <= wanted).all())
                assert bool((wanted <= exactly(found.hi)).all())
                assert bool((np.abs(wanted) <= exactly(found.size)).all())
    tiny = Enclosed.exact(np.full((1, 1), 1e-200))
    assert (tiny @ tiny).error > 0, "a product that underflowed"
    assert above(np.array([0.1 + 0.2]), 2)[0] >= Fraction(0.1) + Fraction(0.2)


def chain(pieces: Pieces, seed: int = 0) -> Layers:
    draw = np.random.default_rng(seed)
    w = [draw.standard_normal(shape) for shape in ((5, 3), (4, 5), (2, 4))]
    b = [draw.standard_normal(size) for size in (5, 4)]
    layers = [
        Layer({k: Dyadic.of(w[k])}, Dyadic.of(b[k]), Dyadic.zeros(len(b[k])), pieces)
        for k in (0, 1)
    ]
    return Layers(layers, {2: Dyadic.of(w[2])}, np.ones(3, dtype=bool))


def at(layers: Layers, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pieces at a point, and the derivative."""
    found, jacobian, z = [], np.eye(3), x
    for number, layer in enumerate(layers.layers):
        w = layer.maps[number].nearest()[0]
        v = w @ z + layer.offset.nearest()[0]
        piece = (np.array(layer.pieces.breaks) < v[:, None]).sum(1)
        slope = np.array(layer.pieces.slopes)[piece]
        z = slope * v + np.array(layer.pieces.offsets)[piece]
        jacobian = slope[:, None] * (w @ jacobian)
        found.append(piece)
    return np.concatenate(found), layers.output[2].nearest()[0] @ jacobian


REGIONS = [{"kind": "box", "lo": [-0.2] * 3, "hi": [0.2, 0.1, 0.15]}] + [
    {"kind": "ball", "norm": norm, "radius": 0.25, "center": [0.2, -0.1, 0.3]}
    for norm in ("l1", "l2", "linf")
]


def points(region: dict[str, object], draw: np.random.Generator, count: int) -> np.ndarray:
    """On the border, as forms are largest there."""
    if region["kind"] == "box":
        lo, hi = np.array(region["lo"]), np.array(region["hi"])
        return lo + (hi - lo) * np.round(draw.uniform(-0.2, 1.2, (count, 3)), 1).clip(0, 1)
    step = draw.standard_normal((count, 3))
    order = {"l1": 1, "l2": 2, "linf": np.inf}[str(region["norm"])]
    step *= region["radius"] / np.linalg.norm(step, order, axis=1, keepdims=True) * (1 - 1e-12)
    corners = np.sign(step) * float(region["radius"]) * (order == np.inf)
    return np.array(region["center"]) + np.concatenate([step, corners])


@pytest.mark.parametrize("pieces", [RELU, CLIPPED, STEEP])
@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_the_pieces_of_points_are_left(region: dict[str, object], pieces: Pieces) -> None:
    draw = np.random.default_rng(1)
    settled = 0
    for seed in range(6):
        layers = chain(pieces, seed)
        last = np.full(9, len(pieces.breaks))
        case = narrowed(layers, Case(0 * last, last), Place.of(Bounds.of(region)))
        slopes = Slopes.of(layers, case.first, case.last)
        bounds = {(p, q): slopes.by_entries(p, q) for p, q in PAIRS}
        settled += int((case.first == case.last).sum())
        for x in points(region, draw, 60):
            piece, jacobian = at(layers, x)
            assert bool(((case.first <= piece) & (piece <= case.last)).all())
            for (p, q), bound in bounds.items():
                assert norm(jacobian, p, q) <= bound
    assert settled > 5


@pytest.mark.parametrize("pieces", [RELU, CLIPPED, STEEP])
def test_functions_lie_within_their_lines(pieces: Pieces) -> None:
    """f(v) - a v is within r of mu for all v of a range, on the pieces that meet it."""
    draw = np.random.default_rng(0)
    lo = draw.uniform(-2, 1, 40)
    hi = lo + draw.uniform(0, 2, 40)
    breaks, zeros = np.array(pieces.breaks), Dyadic.zeros(40)
    first, last = ((breaks < end[:, None]).sum(1) for end in (lo, hi))
    slope, middle, reach = _lines(Layer({}, zeros, zeros, pieces), lo, hi, first, last)
    for share in np.linspace(0, 1, 21):
        v = lo + share * (hi - lo)
        piece = (breaks < v[:, None]).sum(1)
        value = np.array(pieces.slopes)[piece] * v + np.array(pieces.offsets)[piece]
        assert bool((np.abs(value - slope * v - middle) <= reach + 1e-14).all())


PAIRS = list(itertools.product(("l1", "l2", "linf"), repeat=2))


def norm(matrix: np.ndarray, p: str, q: str) -> float:
    order = {"l1": 1, "l2": 2, "linf": np.inf}
    if p == "l1":
        return float(np.linalg.norm(matrix, order[q], axis=0).max())
    if q == "linf":
        dual = {"l2": 2, "linf": 1}[p]
        return float(np.linalg.norm(matrix, dual, axis=1).max())
    if p == q == "l2":
        return float(np.linalg.norm(matrix, 2))
    corners = itertools.product((-1.0, 1.0), repeat=matrix.shape[p == "linf"])
    if p == "linf":
        return max(float(np.linalg.norm(matrix @ corner, order[q])) for corner in corners)
    return max(float(np.linalg.norm(corner @ matrix)) for corner in corners)


def test_smaller_boxes_leave_less() -> None:
    layers, whole = chain(RELU), Place.of(Bounds.of(REGIONS[0]))
    last = np.ones(9, dtype=np.int64)
    tops = [Fraction(1, 100)] * 6
    small = narrowed(layers, Case(0 * last, last), whole.cut(tops))
    large = narrowed(layers, Case(0 * last, last), whole)
    assert (small.first == small.last).sum() > (large.first == large.last).sum()
    assert whole.cut([None] * 6).hi.tolist() == whole.hi.tolist()
    assert whole.cut([Fraction(-1)] * 6) is whole, "what cannot be is left out elsewhere"


@pytest.mark.parametrize("pieces", [RELU, STEEP])
def test_a_quadratic_bound_is_refused_below_the_steepest_point(pieces: Pieces) -> None:
    """With multipliers of all sizes none is accepted that a derivative exceeds, and some hold."""
    draw = np.random.default_rng(2)
    accepted = 0
    for seed in range(3):
        layers = chain(pieces, seed)
        last = np.full(9, len(pieces.breaks))
        slopes = Slopes.of(layers, 0 * last, last)
        x = 3 * draw.standard_normal((300, 3))
        steepest = max(norm(at(layers, one)[1], "l2", "l2") for one in x)
        sizes = [
            np.repeat(pair, (5, 4)) for pair in itertools.product((3.0, 30.0, 300.0), repeat=2)
        ]
        for lam in sizes:
            for factor in (0.99, 5.0, 50.0, 500.0):
                try:
                    slopes.quadratic(lam, (factor * steepest) ** 2)
                except Rejected:
                    continue
                assert factor > 1
                accepted += 1
        with pytest.raises(Rejected, match="no multiplier"):
            slopes.quadratic(np.append(np.zeros(1), np.ones(8)), 1e9)
    assert accepted >= 3


def test_known_slopes_have_the_norm_itself() -> None:
    layers = chain(CLIPPED)
    piece, jacobian = at(layers, np.array([0.1, -0.2, 0.1]))
    slopes = Slopes.of(layers, piece, piece)
    known = float(np.linalg.norm(jacobian, 2))
    slopes.quadratic(np.zeros(9), (known * (1 + 1e-9)) ** 2)
    with pytest.raises(Rejected):
        slopes.quadratic(np.zeros(9), (known * (1 - 1e-9)) ** 2)
    rows = float(np.abs(jacobian).sum(1).max())
    assert rows <= slopes.by_entries("linf", "linf") <= rows * (1 + 1e-12)
    for p, q in (("l2", "l1"), ("linf", "l1"), ("linf", "l2")):
        known = norm(jacobian, p, q)
        assert known <= slopes.by_entries(p, q) <= known * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_every_corner_is_looked_at(seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((3, 4))
    known = norm(matrix, "l2", "l1")
    assert known <= leaves._at_corners(Enclosed.exact(matrix), "l2") <= known * (1 + 1e-12)


def test_more_signs_than_are_looked_at_are_refused() -> None:
    matrix = Enclosed.exact(np.ones((leaves.MOST + 1, 2)))
    with pytest.raises(Rejected, match="17 signs"):
        leaves._at_corners(matrix, "l2")
