"""Trees of pieces written by hand, on networks whose constant is known: none shows less.

Covers autolip_check.tree, autolip_check.cells, autolip_check.leaves and autolip_check.layers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.checker.conftest import Forgery
from tests.checker.test_hostile import document

Judge = Callable[..., str | None]
Rows = list[list[float]]

QUADRATIC, ENTRIES, EMPTY, BOX = -1, -2, -3, -4
EVERYWHERE = {"kind": "everywhere"}
MOVES = "the entries that move"


def box(*ends: tuple[float, float]) -> dict[str, Any]:
    return {"kind": "box", "lo": [lo for lo, _ in ends], "hi": [hi for _, hi in ends]}


def ball(radius: float, norm: str = "linf", *center: float) -> dict[str, Any]:
    return {"kind": "ball", "norm": norm, "radius": radius, "center": list(center)}


@dataclass(frozen=True)
class Written:
    """A chain of matrices with a function between, and what is said of it."""

    matrices: list[Rows]
    offsets: list[list[float]]
    nodes: list[tuple[int, int]]
    value: float
    groups: tuple[list[tuple[int, float]], ...] = ()
    multipliers: tuple[list[float], ...] = ()
    region: Any = None
    norms: tuple[str, str] = ("l2", "l2")
    function: str = "aten.relu.default"
    parameters: Any = None
    first: Any = None
    """A diagonal and its name, before all else."""

    def forgery(self) -> Forgery:
        tensors: dict[str, np.ndarray] = {}
        vertices: list[dict[str, Any]] = []

        def vertex(name: str, size: int, operation: str, *edges: Any, **parameters: Any) -> str:
            origin = {"operation": operation, "place": name, "parameters": parameters}
            shape = [1, size]
            vertices.append({"name": name, "shape": shape, "origin": origin, "edges": list(edges)})
            return name

        size = len(self.matrices[0][0])
        at = vertex("x", size, "input")
        if self.first is not None:
            diagonal, name = self.first
            tensors["first"] = np.array([diagonal], dtype=float)
            of: dict[str, Any] = {
                "op": "diagonal",
                "weight": "first",
                "in": [1, size],
                "error": 0.0,
            }
            at = vertex("kept", size, name, {"source": at, "kind": "exact", "map": of})
        for k, matrix in enumerate(self.matrices):
            tensors[f"w{k}"] = np.array(matrix, dtype=float)
            of = {"op": "dense", "weight": f"w{k}", "in": [1, len(matrix[0])], "error": 0.0}
            edge = {"source": at, "kind": "exact", "map": of}
            at = vertex(f"v{k}", len(matrix), "aten.linear.default", edge)
            if k < len(self.offsets):
                bent = {"source": at, "kind": "between", "lo": -1.0, "hi": 1.0}
                given = self.parameters or {}
                at = vertex(f"z{k}", len(matrix), self.function, bent, **given)
                tensors[f"b{k}"] = np.array([self.offsets[k]], dtype=float)
        constants = {f"z{k}": {"value": f"b{k}", "error": 0.0} for k in range(len(self.offsets))}
        neurons = sum(map(len, self.offsets))
        pairs = [pair for group in self.groups for pair in group]
        arrays = {
            "at": np.array([node for node, _ in self.nodes]),
            "piece": np.array([piece for _, piece in self.nodes]),
            "multipliers": np.array(self.multipliers, dtype=float).reshape(-1, neurons),
            "counts": np.array([len(group) for group in self.groups], dtype=np.int64),
            "sides": np.array([side for side, _ in pairs], dtype=np.int64),
            "weights": np.array([weight for _, weight in pairs], dtype=float),
        }
        tensors |= {f"tree {name}": array for name, array in arrays.items()}
        graph = {
            "input": "x", "output": at, "region": self.region or EVERYWHERE,
            "vertices": vertices, "constants": constants,
        }  # fmt: skip
        fact = {
            "step": "pieces", "source": "x", "sink": at, "norms": list(self.norms), "by": "tree",
            "value": self.value, "tree": {name: f"tree {name}" for name in arrays},
        }  # fmt: skip
        whole = document(graph, self.value, proof=[fact])
        whole["claim"]["norms"] = list(self.norms)
        return Forgery(whole, tensors)


# slopes -2, 1 and 0: relu(x) + 2 relu(-x) - relu(x - 1)
ONE = Written([[[1], [-1], [1]], [[1, 2, -1]]], [[0, 0, -1]], [(ENTRIES, 0)], 2.0)
LOW = (0, 0), (1, 0), (EMPTY, 0)
"""x <= 0: where -x <= 0 too there is but the hyperplane."""


def test_what_holds_is_accepted(verdict: Judge) -> None:
    """x <= 0 and -x <= 0: left out; then x >= 1 after x <= 0 is empty: 2 remains, and 1 above."""
    low = [(0, 0), (1, 0), (EMPTY, 0), (ENTRIES, 0)]
    high = [(1, 0), (ENTRIES, 0), (EMPTY, 0)]
    flat = [(1, 1.0), (3, 1.0)], [(0, 1.0), (2, 1.0)]
    whole = replace(ONE, nodes=low + high, groups=flat, value=3.0 + 1e-12)
    assert verdict(whole.forgery(), True) is not None
    kept = replace(ONE, nodes=[*low[:3], (2, 0), (ENTRIES, 0), (EMPTY, 0), *high])
    groups = flat[0], [(1, 1.0), (4, 1.0)], flat[1]
    exact = replace(kept, groups=groups, value=2.0 + 1e-12)
    assert verdict(exact.forgery(), True) is not None
    assert verdict(replace(exact, value=2.0 - 1e-9).forgery(), True) is None


# What is wrong, and the certificate: the constant is larger than is said
# --------------------------------------------------------------------------------------------------

HALF = [(0, 0), (EMPTY, 0), (ENTRIES, 0)]
"""x <= 0 left out, where the slope is -2; 1 is said of the rest."""

ABOVE = Written([[[1]], [[1]]], [[0]], [(0, 0), (ENTRIES, 0), (EMPTY, 0)], 1e-9)
"""relu(x), whose upper half is left out."""

STEP = Written([[[1], [1]], [[1, 1]]], [[0, 0]], [(ENTRIES, 0)], 1.0)
"""The same neuron twice: 2."""

STILL = Written([[[1, 0], [0, 0]], [[1, 1]]], [[0, 0]], [(1, 0), (EMPTY, 0), (EMPTY, 0)], 0.5)
"""A neuron without a row: 1."""

DEEP = Written(
    [[[1], [-1]], [[1, 1]], [[1]]], [[0, 0], [-1]], [(2, 0), (ENTRIES, 0), (EMPTY, 0)], 1e-9
)
"""relu(|x| - 1): 1."""

SETTLED = Written(
    [[[1, 1]], [[1]]], [[-4]], [(ENTRIES, 0)], 1e-9, region=box((5, 5), (-1, 1)),
    first=([0.0, 1.0], MOVES),
)  # fmt: skip
"""relu(x_0 + x_1 - 4) where x_0 is 5: 1, which is not seen where x_0 is taken for 0."""

FAINT = Written(
    [[[2.0**-250, 0], [0, 2.0**-250]], [[2.0**-250, 0], [0, 2.0**-250]],
     [[2.0**-250, 0], [0, 2.0**-250]]],
    [[0, 0], [0, 0]], [(ENTRIES, 0)], 0.0,
)  # fmt: skip
"""2^-750: a square of it is 0 in floating point."""

TWO = Written([[[1, 0], [0, 1]], [[1, 1], [1, -1]]], [[0, 0]], [(ENTRIES, 0)], 1.4)
"""sqrt 2 in l2, 2 from linf to linf and from l1 to l1."""

CLAMPED = Written(
    [[[1]], [[1]]], [[0]], [(0, 0), (ENTRIES, 0), (0, 1), (EMPTY, 0), (ENTRIES, 0)], 1e-9,
    function="aten.hardtanh.default",
)  # fmt: skip
"""The middle piece is left out: 1."""

BALL = Written(
    [[[1, 1]], [[1]]], [[-1.5]], [(ENTRIES, 0)], 1e-9, region=ball(1.0, "linf", 0.0, 0.0)
)
"""relu(x_0 + x_1 - 1.5) is 0 on the l1 ball, but not on those of l2 (sqrt 2: it is) and linf."""

FORGERIES: dict[str, Written] = {
    "half a line is no hyperplane": replace(ONE, nodes=HALF, groups=([(1, 1.0)],), value=1.0),
    "a half-space that the case has not": replace(
        ONE, nodes=HALF, groups=([(1, 1.0), (0, 1.0)],), value=1.0
    ),
    "a half-space of a neuron that is not cut": replace(
        ONE, nodes=HALF, groups=([(1, 1.0), (3, 1.0)],), value=1.0
    ),
    "the same half-space twice": replace(
        ONE, nodes=HALF, groups=([(1, 1.0), (1, 1.0)],), value=1.0
    ),
    "the same neuron twice, both above": replace(
        STEP,
        nodes=[(0, 0), (ENTRIES, 0), (1, 0), (EMPTY, 0), (EMPTY, 0)],
        groups=([(0, 1.0), (3, 1.0)], [(0, 1.0), (2, 1.0)]),
    ),
    "a contradiction with too little weight": replace(
        DEEP, nodes=[(0, 0), (EMPTY, 0), (EMPTY, 0)], groups=([(1, 1e-30)], [(0, 1e-30)])
    ),
    "0 >= 0 is no contradiction": replace(STILL, groups=([(3, 1.0)], [(2, 1.0)])),
    "0 >= 0 twice is none": replace(STILL, groups=([(3, 1.0), (3, 1.0)], [(2, 1.0), (2, 2.0)])),
    "no half-spaces": replace(ABOVE, groups=([],)),
    "the upper half": replace(ABOVE, groups=([(0, 1.0)],)),
    "a negative weight": replace(ABOVE, groups=([(0, -1.0)],)),
    "a weight that is no number": replace(ABOVE, groups=([(0, np.nan)],)),
    "an infinite weight": replace(ABOVE, groups=([(0, np.inf)],)),
    "a weight below what is admitted": replace(ABOVE, groups=([(0, 1e-200)],)),
    "a side below 0": replace(ABOVE, groups=([(-1, 1.0)],)),
    "a side beyond all": replace(ABOVE, groups=([(2**62, 1.0)],)),
    "a neuron that depends on others that bend": replace(DEEP, groups=([(4, 1.0)],)),
    "a box where there are no bounds": replace(
        ABOVE, nodes=[(BOX, 0), (ENTRIES, 0)], groups=([], [])
    ),
    "a box by no half-space is the region": replace(
        ABOVE, nodes=[(BOX, 0), (ENTRIES, 0)], groups=([], []), region=box((-1, 1))
    ),
    "a box by a half-space that there is not": replace(
        ABOVE, nodes=[(BOX, 0), (ENTRIES, 0)], groups=([(1, 1.0)], []), region=box((-1, 1))
    ),
    "a box on the wrong side": replace(
        ABOVE,
        nodes=[(0, 0), (BOX, 0), (ENTRIES, 0), (BOX, 0), (ENTRIES, 0)],
        groups=([(1, 1.0)], [], [], [(0, 1.0)]),
        region=box((-1, 1)),
    ),
    "a break on the boundary of the box": replace(ABOVE, region=box((0, 1)), nodes=[(ENTRIES, 0)]),
    "a half that stays open": replace(ABOVE, nodes=[(0, 0), (ENTRIES, 0)]),
    "a ball that is larger in its norm": BALL,
    "only what moves is read": SETTLED,
    "a settled entry, a neuron on its break": replace(
        STEP,
        matrices=[[[1, 0], [-1, 0], [0, 1]], [[0, 0, 1]]],
        offsets=[[0, 0, 0]],
        nodes=[(0, 0), (1, 0), (EMPTY, 0), (EMPTY, 0), (1, 0), (EMPTY, 0), (EMPTY, 0)],
        groups=(
            [(1, 1.0), (3, 1.0)], [(1, 1.0), (2, 1.0)], [(0, 1.0), (3, 1.0)], [(0, 1.0), (2, 1.0)],
        ),
        region=box((0, 0), (-1, 1)),
        value=0.5,
    ),
    "a square that underflows": FAINT,
    "several outputs in l2": TWO,
    "from linf to linf": replace(TWO, norms=("linf", "linf"), value=1.9),
    "from l1 to l1": replace(TWO, norms=("l1", "l1"), value=1.9),
    "from linf to l2": replace(TWO, norms=("linf", "l2"), value=1.9),
    "entries of other norms": replace(TWO, norms=("l2", "l1"), value=1.9),
    "no multiplier where a neuron bends": replace(
        ABOVE, nodes=[(QUADRATIC, 0)], multipliers=([0.0],), value=0.9
    ),
    "a multiplier that is too small": replace(
        ABOVE, nodes=[(QUADRATIC, 0)], multipliers=([1e-9],), value=0.99
    ),
    "a multiplier that is too large": replace(
        ABOVE, nodes=[(QUADRATIC, 0)], multipliers=([1e60],), value=0.99
    ),
    "a piece in the middle": replace(CLAMPED, groups=([(0, 1.0), (1, 1.0)],)),
    "ends of a clamp the wrong way": replace(
        CLAMPED, groups=([(0, 1.0), (1, 1.0)],), parameters={"min_val": 1.0, "max_val": -1.0}
    ),
    "a piece far beyond": replace(ABOVE, nodes=[(0, 2**62), (ENTRIES, 0), (EMPTY, 0)]),
    "a part of a product": replace(
        ABOVE,
        nodes=[(ENTRIES, 0)],
        region={
            "kind": "product",
            "parts": [{"input": "x", "shape": [1, 1], "region": box((-2, -1))}],
        },
    ),
    "a ball in units": replace(
        ABOVE, nodes=[(ENTRIES, 0)], region={**ball(1.0, "l2", -2.0), "scale": [4.0], "kind":
        "scaled ball"},
    ),
    "a box of all numbers there are": replace(
        ABOVE, nodes=[(ENTRIES, 0)], region=box((-1.7e308, 1.7e308))
    ),
    "an offset that is lost in the sum": replace(
        ABOVE, matrices=[[[1.0]], [[1.0]]], offsets=[[1e-30]], nodes=[(ENTRIES, 0)],
        region=box((-1, -1e-31)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_less_than_the_constant_is_refused(forgery: Written, verdict: Judge) -> None:
    assert verdict(forgery.forgery(), True) is None


@pytest.mark.parametrize("region", [box((-3, -1)), box((-1e9, -1)), ball(1.0, "l2", -2.0)])
def test_where_nothing_changes_next_to_0_is_accepted(region: Any, verdict: Judge) -> None:
    assert verdict(replace(ABOVE, nodes=[(ENTRIES, 0)], region=region).forgery(), True) is not None


def test_the_least_ball_of_a_norm(verdict: Judge) -> None:
    for norm in ("l1", "l2"):
        region = ball(1.0, norm, 0.0, 0.0)
        assert verdict(replace(BALL, region=region).forgery(), True) is not None
    larger = replace(BALL, region=ball(1.07, "l2", 0.0, 0.0))
    assert verdict(larger.forgery(), True) is None


def test_entries_that_cannot_move_count(verdict: Judge) -> None:
    """They are part of what a neuron reads; a scaling by another name is listed."""
    whole = replace(SETTLED, first=None, value=1.0 + 1e-12)
    assert verdict(whole.forgery(), True) is not None
    assert verdict(replace(whole, value=1.0 - 1e-12).forgery(), True) is None
