"""Which numbers a certificate may hold, and false claims that rest on numbers out of that range."""

import hashlib
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolip_check.admission import (
    AT_ONCE,
    LARGEST,
    LEAST,
    admitted,
    fields_of,
    finite,
    number,
    positive,
    printable,
    product,
    quoted,
    relative_error,
    shape_of,
)
from autolip_check.check import Verdict, check
from autolip_check.container import Rejected, canonical, content
from tests.checker.conftest import Forgery

OUTSIDE = [LEAST / 2, LARGEST * 2, -LARGEST * 2, 5e-324, 1e300, math.inf, -math.inf, math.nan]
INSIDE = [0.0, -0.0, 1.0, LEAST, LARGEST, -LEAST, -LARGEST, 3]


@pytest.mark.parametrize("value", [*OUTSIDE, True, "1", None, [1.0], 10**400])
def test_what_is_no_number_of_a_certificate(value: Any) -> None:
    with pytest.raises(Rejected):
        number(value)


@pytest.mark.parametrize("value", OUTSIDE)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_entry_outside_the_range_is_enough(value: float, place: int) -> None:
    numbers = np.ones(3)
    numbers[place] = value
    with pytest.raises(Rejected):
        admitted(numbers)
    with pytest.raises(Rejected):
        positive(numbers, "it")


@pytest.mark.parametrize("place", [0, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE])
def test_long_arrays_are_looked_at_to_their_end(place: int) -> None:
    """In parts: what is needed beside them does not grow with them."""
    numbers = np.ones(2 * AT_ONCE + 1)
    assert admitted(numbers) is numbers
    numbers[place] = math.nan
    with pytest.raises(Rejected):
        admitted(numbers)
    whole = np.ones(2**21)
    tracemalloc.start()
    admitted(whole)
    content(whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole.nbytes / 4


def test_what_is_inside_the_range_is_taken_as_it_is() -> None:
    assert [number(value) for value in INSIDE] == INSIDE
    assert admitted(np.array(INSIDE)).tolist() == INSIDE
    for value in (0.0, -1.0):
        with pytest.raises(Rejected, match="not positive"):
            positive(np.array([1.0, value]), "it")


def test_a_product_does_not_underflow_or_overflow_in_silence() -> None:
    assert product(np.array([0.0, 2.0]), np.array([LEAST, 3.0])).tolist() == [0.0, 6.0]
    for factor in (LEAST, LARGEST):
        with pytest.raises(Rejected):
            product(np.array([factor]), np.array([factor]))


def test_products_of_three_numbers_are_normal() -> None:
    """lam a b, lam g^2: what H is made of."""
    smallest = np.finfo(float).smallest_normal
    assert smallest < LEAST**3 and np.finfo(float).max > LARGEST**3


@pytest.mark.parametrize("value", [math.inf, math.nan, True, "1", None])
def test_a_claim_is_finite(value: Any) -> None:
    assert finite(1e-300) == 1e-300
    with pytest.raises(Rejected):
        finite(value)


@pytest.mark.parametrize("value", [-1e-9, 1e-3, 1.0, math.nan])
def test_relative_errors(value: float) -> None:
    assert relative_error(2.0**-53) == 1.0
    with pytest.raises(Rejected):
        relative_error(value)


@pytest.mark.parametrize(
    "value", [[-1], [1.0], [True], "3", None, [2**20, 2**20], [2**29], [0, 2**29], [1] * 33]
)
def test_shapes_are_small_lists_of_integers(value: Any) -> None:
    assert shape_of([2, 0, 3]) == (2, 0, 3)
    with pytest.raises(Rejected):
        shape_of(value)


@pytest.mark.parametrize("value", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {}, ["a", "b"], None])
def test_objects_have_the_fields_they_should(value: Any) -> None:
    assert fields_of({"b": 2, "a": 1}, {"a", "b"}, "it") == {"a": 1, "b": 2}
    with pytest.raises(Rejected, match="it has unknown fields, or lacks some"):
        fields_of(value, {"a", "b"}, "it")


def test_what_is_printed_is_printable() -> None:
    assert printable("a\nb\x1b[2K\u202ec") == "a\\nb\\x1b[2K\\u202ec"
    assert quoted("a\n'") == '"a\\n\'"' and quoted("\u202e") == "'\\u202e'"
    assert len(quoted("x" * 1000)) < 150 and "1002 characters" in quoted("x" * 1000)


# Networks of a forger, written by hand.


def network(*vertices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "input": vertices[0]["name"],
        "output": vertices[-1]["name"],
        "region": {"kind": "everywhere"},
        "vertices": list(vertices),
    } | more


def vertex(
    name: str, shape: list[int], *edges: dict[str, Any], operation: str = "aten.linear.default"
) -> Any:
    origin = {"operation": operation, "place": "somewhere", "parameters": {}}
    return {"name": name, "shape": shape, "edges": list(edges), "origin": origin}


def scaled(source: str, by: float, shape: list[int], error: float = 0.0) -> dict[str, Any]:
    entry = {"op": "diagonal", "weight": by, "in": shape, "error": error}
    return {"source": source, "kind": "exact", "map": entry}


def fact(
    source: str, sink: str, value: float, by: str, norms: tuple[str, str] = ("l2", "l2")
) -> dict[str, Any]:
    return {
        "step": "norm",
        "source": source,
        "sink": sink,
        "norms": list(norms),
        "value": value,
        "by": by,
    }


Claimed = Callable[..., Verdict]


@pytest.fixture
def claimed(tmp_path: Path) -> Claimed:
    """The verdict on a certificate of a forger's own."""

    def judge(
        graph: dict[str, Any],
        proof: list[dict[str, Any]],
        value: float,
        norms: tuple[str, str] = ("l2", "l2"),
        tensors: dict[str, Any] | None = None,
    ) -> Verdict:
        digest = hashlib.sha256(canonical(graph).encode()).hexdigest()
        claim = {
            "value": value,
            "norms": list(norms),
            "certainty": "proved",
            "delta": 0.0,
            "network": digest,
        }
        document = {
            "format": "autolip certificate",
            "version": 1,
            "claim": claim,
            "graph": graph,
            "proof": proof,
        }
        forged = Forgery(document | {"provenance": {}}, tensors or {})
        return check(forged.write(tmp_path / "forged.cert", careful=False))

    return judge


def row(*scales: float, shape: list[int], first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A chain of scalings after some vertices."""
    vertices = list(first)
    for by in scales:
        before = vertices[-1]["name"]
        vertices.append(vertex(f"s{len(vertices)}", shape, scaled(before, by, shape)))
    return vertices


def convolution(source: str, weight: str, shape: list[int]) -> dict[str, Any]:
    entry = {"op": "convolution", "weight": weight, "in": shape, "error": 0.0}
    geometry = {
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [1, 1],
        "groups": 1,
        "adjoint": False,
    }
    return {"source": source, "kind": "exact", "map": entry | geometry}


@pytest.mark.parametrize("size", [2.0**-199, 2.0**-120, 2.0**199])
def test_a_kernel_is_not_scaled_away_and_back(claimed: Claimed, size: float) -> None:
    """Six scalings and their inverses, a 1x1 convolution between: its norm is 1, whatever
    underflows on the way."""
    shape, kernel = [1, 4, 4], np.ones((1, 1, 1, 1))
    name = content(kernel)
    for by, value in (
        ("symbol", 1e-6),
        ("cholesky", 1e-6),
        ("entries", 1e-6),
        ("majorant", 1e-6),
        ("entries", 0.0),
    ):
        first = row(*[size] * 6, shape=shape, first=[vertex("x", shape)])
        conv = vertex("conv", shape, convolution(first[-1]["name"], name, shape))
        whole = row(*[1 / size] * 6, shape=shape, first=[*first, conv])
        sink = whole[-1]["name"]
        with pytest.raises(Rejected):
            claimed(network(*whole), [fact("x", sink, value, by)], value, tensors={name: kernel})


@pytest.mark.parametrize(
    "norms", [("l1", "linf"), ("l1", "l1"), ("l2", "l2"), ("l1", "l2"), ("linf", "l1")]
)
@pytest.mark.parametrize("by", ["entries", "majorant"])
def test_an_overflow_shows_nothing(claimed: Claimed, norms: tuple[str, str], by: str) -> None:
    """inf - inf, 0 inf and the larger of 0 and NaN are no bounds."""
    weight = 5 * np.eye(3)
    name = content(weight)
    for sizes in ([2.0**199] * 6, [2.0**249] * 5):
        first = row(*sizes, shape=[3], first=[vertex("x", [3])])
        entry = {"op": "dense", "weight": name, "in": [3], "error": 0.0}
        dense = vertex("dense", [3], {"source": first[-1]["name"], "kind": "exact", "map": entry})
        whole = row(*[1 / size for size in sizes], shape=[3], first=[*first, dense])
        for value in (0.0, 1.0):
            facts = [fact("x", whole[-1]["name"], value, by, norms)]
            with pytest.raises(Rejected):
                claimed(network(*whole), facts, value, norms, {name: weight})


@pytest.mark.parametrize(
    "norms",
    [("l1", "l1"), ("l2", "l2"), ("l1", "l2"), ("l2", "linf"), ("l2", "l1"), ("linf", "l2")],
)
@pytest.mark.parametrize("by", ["entries", "majorant"])
def test_squares_do_not_underflow_to_nothing(
    claimed: Claimed, norms: tuple[str, str], by: str
) -> None:
    """The norm is 2^-600, not 0."""
    whole = row(*[2.0**-200] * 3, shape=[2], first=[vertex("x", [2])])
    with pytest.raises(Rejected):
        claimed(network(*whole), [fact("x", "s3", 0.0, by, norms)], 0.0, norms)


@pytest.mark.parametrize("lo, hi", [(-(2.0**-665), 2.0**-665), (0.0, 2.0**-1074), (0.0, 2.0**300)])
def test_slopes_out_of_the_range_are_refused(claimed: Claimed, lo: float, hi: float) -> None:
    edge = {"source": "x", "kind": "between", "lo": lo, "hi": hi}
    with pytest.raises(Rejected, match=r"too small|too large"):
        claimed(network(vertex("x", [2]), vertex("y", [2], edge)), [], max(hi, 1.0))


@pytest.mark.parametrize(
    "gain, reason", [(2.0**-600, "too small"), (2.0**600, "too large"), (-1.0, "negative")]
)
def test_gains_out_of_the_range_are_refused(claimed: Claimed, gain: float, reason: str) -> None:
    edge = {"source": "x", "kind": "gain", "norms": {"l2": gain}, "dims": None}
    graph = network(vertex("x", [2]), vertex("y", [2], edge))
    with pytest.raises(Rejected, match=reason):
        claimed(graph, [], 1.0)
    edge["norms"] = {"l2": 0.5}
    assert claimed(graph, [], 0.5)
    with pytest.raises(Rejected, match=r"the facts show 0\.5"):
        claimed(graph, [], 0.25)


@pytest.mark.parametrize("by", ["symbol", "cholesky", "entries", "majorant"])
@pytest.mark.parametrize("count, error", [(300, 0.000999), (2, 0.000999)])
def test_relative_errors_compound(claimed: Claimed, by: str, count: int, error: float) -> None:
    """(1 + e)^n, not 1 + n e."""
    shape, kernel = [1, 4, 4], np.ones((1, 1, 1, 1))
    name = content(kernel)
    vertices = [vertex("x", shape), vertex("conv", shape, convolution("x", name, shape))]
    for _ in range(count):
        before = vertices[-1]["name"]
        vertices.append(vertex(f"s{len(vertices)}", shape, scaled(before, 1.0, shape, error)))
    true, added = (1 + error) ** count, 1 + count * error
    sink = vertices[-1]["name"]
    for value in (added, true * (1 - 1e-9)):
        with pytest.raises(Rejected):
            claimed(network(*vertices), [fact("x", sink, value, by)], value, tensors={name: kernel})
    if count < 10:
        value = true * (1 + 1e-2)
        assert claimed(
            network(*vertices), [fact("x", sink, value, by)], value, tensors={name: kernel}
        )


def test_what_is_multiplied_by_nothing_is_nothing(claimed: Claimed) -> None:
    """A linear map of zeros leads nowhere, so that no fact about it is needed; one that is nearly
    zero leads on."""
    zero = vertex("y", [2], scaled("x", 1.0, [2]), scaled("z", 0.0, [2]))
    z = vertex(
        "z",
        [2],
        {"source": "x", "kind": "gain", "norms": {}, "dims": None},
        operation="aten.exp.default",
    )
    graph = network(vertex("x", [2]), z, zero)
    assert claimed(graph, [fact("x", "y", 1.0 + 1e-9, "majorant")], 1.0 + 1e-9)
    graph["vertices"][2]["edges"][1]["map"]["weight"] = 2.0**-200
    with pytest.raises(Rejected, match="the facts show inf"):
        claimed(graph, [fact("x", "y", 1.0 + 1e-9, "majorant")], 1.0 + 1e-9)
    with pytest.raises(Rejected, match="is not proved"):
        claimed(
            graph,
            [fact("x", "y", 1.0 + 1e-9, "majorant"), fact("z", "y", 0.0, "entries")],
            1.0 + 1e-9,
        )


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**60 + 3, 10**400], ids=range(4))
def test_integers_that_are_no_doubles_are_refused(claimed: Claimed, value: int) -> None:
    """Rounded to nearest, 2^53 + 1 would be 2^53: a slope of it is above a claim of 2^53."""
    edge = {"source": "x", "kind": "between", "lo": value, "hi": value}
    for admit in (number, finite):
        with pytest.raises(Rejected):
            admit(value)
    assert number(2**60) == finite(2**60) == 2.0**60
    with pytest.raises(Rejected, match=r"double precision|too large"):
        claimed(
            network(vertex("x", [1]), vertex("y", [1], edge)), [], abs(float(min(value, 2**60)))
        )
