"""The graph of a certificate beside that of the capture: what is wider holds, everything else is
listed."""

import copy
from typing import Any

import numpy as np
import pytest

from autolip.certificates.comparison import Written, differences

WEIGHT, OTHER = np.arange(6.0).reshape(2, 3), np.arange(1.0, 7.0).reshape(2, 3)


def graph() -> dict[str, Any]:
    """x -> W x -> slopes -> a gain."""
    origin = {"operation": "aten.any.default", "place": "1", "parameters": {"alpha": 1.0}}
    dense = {"op": "dense", "weight": "w", "in": [3], "error": 1e-12}
    edges: list[list[dict[str, Any]]] = [
        [],
        [{"source": "x", "kind": "exact", "map": dense}],
        [{"source": "a", "kind": "between", "lo": -0.5, "hi": 1.0}],
        [{"source": "b", "kind": "gain", "norms": {"l2": 1.0, "l1": 2.0}, "dims": [0]}],
    ]
    shapes = ([3], [2], [2], [2])
    parts = zip("xabc", shapes, edges, strict=True)
    vertices = [{"name": n, "shape": s, "edges": e, "origin": origin} for n, s, e in parts]
    return {"input": "x", "output": "c", "region": {"kind": "everywhere"}, "vertices": vertices}


def found(claimed: dict[str, Any], values: np.ndarray = WEIGHT) -> list[str]:
    tensors = {"w": values, "v": values, "gone?": values}
    return differences(Written(claimed, tensors), Written(graph(), {"w": WEIGHT}))


def changed(*path: Any, to: Any) -> dict[str, Any]:
    claimed = copy.deepcopy(graph())
    at = claimed["vertices"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return claimed


def test_the_same_graph_has_no_differences() -> None:
    assert found(graph()) == []


@pytest.mark.parametrize(
    "path, value",
    [
        ((2, "edges", 0, "lo"), -0.6),
        ((2, "edges", 0, "hi"), 1.5),
        ((3, "edges", 0, "norms", "l2"), 1.5),
        ((3, "edges", 0, "norms"), {"l1": 2.0}),
        ((1, "edges", 0, "map", "error"), 1e-11),
        ((1, "edges", 0, "map", "weight"), "w"),
    ],
)
def test_what_is_wider_holds(path: tuple[Any, ...], value: Any) -> None:
    assert found(changed(*path, to=value)) == []


@pytest.mark.parametrize(
    "path, value",
    [
        ((2, "edges", 0, "lo"), -0.4),
        ((2, "edges", 0, "hi"), 0.9),
        ((2, "edges", 0, "lo"), "nowhere"),
        ((3, "edges", 0, "norms", "l2"), 0.9),
        ((3, "edges", 0, "norms", "linf"), 5.0),
        ((3, "edges", 0, "dims"), []),
        ((3, "edges", 0, "source"), "a"),
        ((3, "edges"), []),
        ((2, "edges", 0), {"source": "a", "kind": "gain", "norms": {"l2": 9.0}, "dims": None}),
        ((1, "edges", 0, "map", "error"), 1e-13),
        ((1, "edges", 0, "map", "weight"), "nowhere"),
        ((1, "edges", 0, "map", "weight"), 1.0),
        ((1, "edges", 0, "map", "in"), [4]),
        ((1, "edges", 0, "map", "op"), "diagonal"),
        ((1, "shape"), [3]),
        ((1, "name"), "z"),
        ((1, "origin"), {}),
        ((1, "origin", "parameters"), {"alpha": 2.0}),
        ((1, "origin", "operation"), "aten.other.default"),
    ],
)
def test_everything_else_is_listed(path: tuple[Any, ...], value: Any) -> None:
    assert found(changed(*path, to=value))


def test_other_numbers_are_counted_within_their_errors() -> None:
    close = WEIGHT * (1 + 1e-11)
    other = changed(1, "edges", 0, "map", "weight", to="v")
    assert found(other, OTHER) == [
        "'a': towards 'x' 6 of 6 numbers differ, the first 1.0 where the model has 0.0"
    ]
    assert found(other, close) == [
        "'a': towards 'x' 5 of 6 numbers differ, the first 1.00000000001 where the model has 1.0"
    ]
    other["vertices"][1]["edges"][0]["map"]["error"] = 2e-11
    assert found(other, close) == []


def test_missing_and_additional_operations_and_another_order() -> None:
    fewer = graph()
    fewer["vertices"] = fewer["vertices"][:3]
    assert found(fewer) == ["'c' of the model is missing"]
    turned = graph()
    turned["vertices"] = turned["vertices"][::-1]
    assert found(turned) == ["the operations come in another order"]
    renamed = graph()
    renamed["output"] = "b"
    assert found(renamed) == ["output: 'b', the model's is 'c'"]
