"""What a verdict says was taken from the certificate: nothing that a forger writes goes unsaid.

Covers the names in autolip_check.linear too.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autolip_check.check import Verdict
from autolip_check.container import Rejected, content
from tests.checker.test_admission import Claimed, claimed, fact, network, scaled, vertex

__all__ = ["claimed"]

ORIGIN = {"operation": "aten.relu.default", "place": "1", "parameters": {}}
Said = Callable[..., Verdict]


@pytest.fixture
def said(claimed: Claimed) -> Said:
    """The verdict on one operation of one operand, at a gain that holds."""

    def judge(
        edge: dict[str, Any], value: float = 1.0, tensors: Any = None, n: int = 4, **origin: Any
    ) -> Verdict:
        y = {
            "name": "y",
            "shape": [n],
            "edges": [{"source": "x"} | edge],
            "origin": ORIGIN | origin,
        }
        return claimed(network(vertex("x", [n]), y), [], value, tensors=tensors)

    return judge


def between(lo: Any, hi: Any) -> dict[str, Any]:
    return {"kind": "between", "lo": lo, "hi": hi}


def test_slopes_of_a_name_are_summed_up(said: Said) -> None:
    assert (
        "with the slopes everywhere that their names give: relu (1)"
        in said(between(0.0, 1.0)).assumed
    )
    wide = said(between(-1.0, 2.0), 2.0)
    assert "with the slopes everywhere that their names give: relu (1)" in wide.assumed
    given = said(
        between(0.0, 1.0),
        operation="aten.softplus.default",
        parameters={"beta": 2.0, "threshold": 20},
    )
    assert any(
        "give: softplus(beta=2.0, threshold=20) (1)" in sentence for sentence in given.assumed
    )


def test_narrower_slopes_are_counted(said: Said) -> None:
    """63 of 64 neurons that never act are not what relu is."""
    hi = np.zeros(64)
    hi[3] = 1.0
    verdict = said(between(0.0, content(hi)), tensors={content(hi): hi}, n=64)
    (sentence,) = verdict.assumed[1:]
    assert (
        sentence == "'aten.relu.default' at '1' has 63 of 64 slopes narrower than [0, 1], its "
        "name's: within [0.0, 0.0] (63)"
    )


@pytest.mark.parametrize("lo, hi", [(0.0, 0.5), (0.25, 1.0), (0.5, 0.5)])
def test_either_end_counts(said: Said, lo: float, hi: float) -> None:
    verdict = said(between(lo, hi))
    assert verdict.assumed[1].endswith(
        f"4 of 4 slopes narrower than [0, 1], its name's: within [{lo!r}, {hi!r}] (4)"
    )


def test_of_many_intervals_the_narrowest_is_said(said: Said) -> None:
    lo, hi = np.array([-0.5, 0.1, 0.2, 0.3, 0.0]), np.array([0.5, 0.2, 0.9, 0.3, 0.7])
    verdict = said(
        between(content(lo), content(hi)),
        tensors={content(lo): lo, content(hi): hi},
        n=5,
        operation="aten.exp.default",
    )
    (sentence,) = verdict.assumed[1:]
    assert "5 intervals on 5 entries, the narrowest [0.3, 0.3] (1)" in sentence
    assert "lower ends -0.5 to 0.3, upper ends 0.2 to 0.9" in sentence


@pytest.mark.parametrize(
    "dims, words", [(None, "at most l2 1.0"), ([], "entry by entry"), ([0], "along axes [0] apart")]
)
def test_gains_and_their_blocks(said: Said, dims: Any, words: str) -> None:
    """sort acts on all entries together: with dims [] it would act on each by itself."""
    verdict = said(
        {"kind": "gain", "norms": {"l2": 1.0, "l1": 3.0}, "dims": dims},
        operation="aten.sort.default",
    )
    (sentence,) = verdict.assumed[1:]
    assert "'aten.sort.default' at '1' has a gain of at most l1 3.0, l2 1.0" in sentence
    assert words in sentence or dims is None


@pytest.mark.parametrize("dims", [[1], [-1], [0, 0], [1, 0], [True], "0", [0.0]])
def test_odd_blocks_are_refused(said: Said, dims: Any) -> None:
    with pytest.raises(Rejected):
        said({"kind": "gain", "norms": {"l2": 1.0}, "dims": dims})


@pytest.mark.parametrize(
    "norms", [{"l3": 1.0}, {"l2": "1"}, {"l2": math.nan}, [1.0], {"l2\n": 1.0}]
)
def test_odd_gains_are_refused(said: Said, norms: Any) -> None:
    with pytest.raises(Rejected):
        said({"kind": "gain", "norms": norms, "dims": None})


@pytest.mark.parametrize(
    "operation, words",
    [
        ("aten.exp.default", True),
        ("aten.relu.default", True),
        ("", True),
        ("aten.add.Tensor", False),
    ],
)
def test_an_exact_map_of_what_is_not_linear_is_said(
    claimed: Claimed, operation: str, words: bool
) -> None:
    y = {
        "name": "y",
        "shape": [2],
        "edges": [scaled("x", 1.0, [2])],
        "origin": ORIGIN | {"operation": operation},
    }
    verdict = claimed(
        network(vertex("x", [2]), y), [fact("x", "y", 1.0 + 1e-9, "majorant")], 1.0 + 1e-9
    )
    assert any("as a linear map" in sentence for sentence in verdict.assumed) == words


def test_products_are_linear_by_constants_only(claimed: Claimed) -> None:
    y = {
        "name": "y",
        "shape": [2],
        "edges": [scaled("x", 1.0, [2])],
        "origin": ORIGIN | {"operation": "aten.mul.Tensor"},
    }
    verdict = claimed(
        network(vertex("x", [2]), y), [fact("x", "y", 1.0 + 1e-9, "majorant")], 1.0 + 1e-9
    )
    assert (
        verdict.assumed[1]
        == "linear where all factors but one are constants, those of the file: mul (1)"
    )


@pytest.mark.parametrize(
    "origin", [{}, ORIGIN | {"operation": ""}, ORIGIN | {"operation": "aten.add.Tensor"}]
)
def test_scalings_and_errors_are_said_wherever_they_are(
    claimed: Claimed, origin: dict[str, Any]
) -> None:
    """In a step between two operations, too, and at the very end."""
    y = {"name": "#1", "shape": [2], "edges": [scaled("x", 2.0**-20, [2], 1e-9)], "origin": origin}
    value = 2.0**-20 * (1 + 1e-8)
    verdict = claimed(network(vertex("x", [2]), y), [fact("x", "#1", value, "majorant")], value)
    assert any("multiplies 'x' by 9.5367431640625e-07" in sentence for sentence in verdict.assumed)
    assert any("right up to 1e-09 of them" in sentence for sentence in verdict.assumed)
    z = {
        "name": "z",
        "shape": [2],
        "edges": [{"source": "#1"} | between(0.0, 1.0)],
        "origin": ORIGIN,
    }
    verdict = claimed(network(vertex("x", [2]), y, z), [fact("x", "#1", value, "majorant")], value)
    assert any("multiplies 'x' by 9.5367431640625e-07" in sentence for sentence in verdict.assumed)


def test_a_step_that_is_not_linear_is_said(claimed: Claimed) -> None:
    y = {"name": "#1", "shape": [2], "edges": [{"source": "x"} | between(0.0, 0.5)], "origin": {}}
    add = vertex("z", [2], scaled("#1", 1.0, [2]), operation="aten.add.Tensor")
    verdict = claimed(
        network(vertex("x", [2]), y, add), [fact("#1", "z", 1.0 + 1e-9, "majorant")], 0.5 + 1e-9
    )
    assert "'#1', a step of 'aten.add.Tensor' at 'somewhere', is not linear" in verdict.assumed
    assert any(
        "'#1'" in sentence and "has slopes within [0.0, 0.5] (2)" in sentence
        for sentence in verdict.assumed
    )
    y["edges"] = [{"source": "x", "kind": "gain", "norms": {"l2": 0.5}, "dims": []}]
    verdict = claimed(
        network(vertex("x", [2]), y, add), [fact("#1", "z", 1.0 + 1e-9, "majorant")], 0.5 + 1e-9
    )
    assert any(
        "has a gain of at most l2 0.5, and acts entry by entry" in sentence
        for sentence in verdict.assumed
    )
    verdict = claimed(network(vertex("x", [2]), y), [], 0.5)
    assert "'#1', a step of no operation of the model, is not linear" in verdict.assumed


def test_different_factors_are_said_by_their_extent(claimed: Claimed) -> None:
    scale = np.array([0.5, -2.0, 2.0**-30])
    y = vertex("y", [3], scaled("x", content(scale), [3]), operation="aten.batch_norm.default")  # type: ignore[arg-type]
    verdict = claimed(
        network(vertex("x", [3]), y),
        [fact("x", "y", 2.0 + 1e-9, "entries")],
        2.0 + 1e-9,
        tensors={content(scale): scale},
    )
    assert any(
        "by 3 numbers within [-2.0, 0.5], of size 9.31323e-10 at least" in said
        for said in verdict.assumed
    )


def test_a_map_of_zeros_is_said(claimed: Claimed) -> None:
    """A reshape that reads nothing, a layer without weights."""
    nothing = np.zeros(0, dtype=np.int64)
    pairs = {
        "op": "pairs",
        "in": [2],
        "out": [2],
        "rows": content(nothing),
        "columns": content(nothing),
    }
    y = vertex(
        "y", [2], {"source": "x", "kind": "exact", "map": pairs}, operation="aten.view.default"
    )
    verdict = claimed(network(vertex("x", [2]), y), [], 0.0, tensors={content(nothing): nothing})
    assert "'aten.view.default' at 'somewhere' takes nothing from 'x'" in verdict.assumed


@pytest.mark.parametrize(
    "operation, hidden", [("aten.view.default", True), ("aten.linear.default", False)]
)
def test_a_matrix_under_another_name_is_said(
    claimed: Claimed, operation: str, hidden: bool
) -> None:
    """A reshape that multiplies by 2^-20 in all."""
    weight = 2.0**-20 * np.eye(2)
    dense = {"op": "dense", "weight": content(weight), "in": [2], "error": 0.0}
    y = vertex("y", [2], {"source": "x", "kind": "exact", "map": dense}, operation=operation)
    facts = [fact("x", "y", 2.0**-19, "majorant")]
    verdict = claimed(
        network(vertex("x", [2]), y), facts, 2.0**-19, tensors={content(weight): weight}
    )
    said = "acts on 'x' by 2 x 2 numbers: 4 numbers within [0.0, 9.5367431640625e-07]"
    assert any(said in sentence for sentence in verdict.assumed) == hidden


def test_entries_that_are_left_out_are_counted(claimed: Claimed) -> None:
    """A relu that copies one of three entries, and is 0 on the others."""
    places = np.array([1, -1, -1])
    gather = {"op": "gather", "in": [3], "out": [3], "index": content(places)}
    y = vertex(
        "y", [3], {"source": "x", "kind": "exact", "map": gather}, operation="aten.relu.default"
    )
    verdict = claimed(
        network(vertex("x", [3]), y),
        [fact("x", "y", 1 + 1e-9, "majorant")],
        1 + 1e-9,
        tensors={content(places): places},
    )
    assert any(
        "as a linear map, of 'x' into 1 of 3 entries" in sentence for sentence in verdict.assumed
    )


# Regions.


def on(said: Claimed, region: Any, n: int = 2) -> str:
    y = vertex("y", [n], {"source": "x"} | between(0.0, 1.0), operation="aten.relu.default")
    return said(network(vertex("x", [n]), y, region=region), [], 1.0).claim


def test_regions_are_said_in_full(claimed: Claimed) -> None:
    assert on(claimed, {"kind": "everywhere"}).endswith(
        "for all x, y everywhere, deterministically"
    )
    box = {"kind": "box", "lo": [0.0, -1.0], "hi": [1.0, 2.5]}
    assert "in the box from [0.0, -1.0] to [1.0, 2.5]," in on(claimed, box)
    ball = {"kind": "ball", "norm": "linf", "radius": 0.125, "center": [1.0, 2.0]}
    assert "in the linf ball of radius 0.125 around [1.0, 2.0]," in on(claimed, ball)
    one, other = (
        {"kind": "ball", "norm": "l2", "radius": 1.0, "center": [0.5] * 7 + [c]}
        for c in (0.0, 0.25)
    )
    assert "[8 entries within 0.0 and 0.5, sha256 " in on(claimed, one, 8)
    assert on(claimed, one, 8) != on(claimed, other, 8)
    assert "[0.5 in all 8 entries]" in on(claimed, one | {"center": [0.5] * 8}, 8)


@pytest.mark.parametrize(
    "region",
    [
        {},
        {"kind": "everywhere\n"},
        {"kind": "everywhere "},
        {"kind": "Everywhere"},
        {"kind": "every\u200bwhere"},
        {"kind": "everywhere", "radius": 1.0},
        {"kind": ["ball"]},
        {"kind": "box", "lo": [0.0], "hi": [1.0]},
        {"kind": "box", "lo": [0.0, 2.0], "hi": [1.0, 1.0]},
        {"kind": "box", "lo": [0.0, 0.0], "hi": [1.0, 1.0, 1.0]},
        {"kind": "box", "lo": [0.0, "0"], "hi": [1.0, 1.0]},
        {"kind": "ball", "norm": "l7", "radius": 1.0, "center": [0.0, 0.0]},
        {"kind": "ball", "norm": "l2", "radius": -1.0, "center": [0.0, 0.0]},
        {"kind": "ball", "norm": "l2", "radius": True, "center": [0.0, 0.0]},
        {"kind": "ball", "norm": "l2", "radius": 1.0, "center": [0.0]},
        {"kind": "ball", "radius": 1.0, "center": [0.0, 0.0]},
        None,
        "everywhere",
    ],
)
def test_other_regions_are_refused(claimed: Claimed, region: Any) -> None:
    with pytest.raises(Rejected):
        on(claimed, region)


# Entries that cannot move.

HELD = {"kind": "box", "lo": [0.0, 1.0, 1.0, 2.0], "hi": [1.0, 1.0, 1.0, 2.0]}


def leaving_out(
    claimed: Claimed, kept: list[float], region: Any = HELD, **more: Any
) -> tuple[str, ...]:
    """What is assumed where relu reads diag(kept) x."""
    mask = np.array(kept)
    step = scaled("x", content(mask), [4], **more)
    moves = vertex("x:moves", [4], step, operation="the entries that move")
    y = vertex("y", [4], {"source": "x:moves"} | between(0.0, 1.0), operation="aten.relu.default")
    graph = network(vertex("x", [4]), moves, y, region=region)
    proof = [fact("x", "x:moves", 1.001, "cholesky")]
    return claimed(graph, proof, 1.001, tensors={content(mask): mask}).assumed[1:]


def test_what_cannot_move_may_be_left_out(claimed: Claimed) -> None:
    for kept in ([1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]):
        (names,) = leaving_out(claimed, kept)
        assert names.startswith("with the slopes everywhere that their names give")


@pytest.mark.parametrize(
    ("kept", "more"),
    [
        ([0.0, 0.0, 0.0, 0.0], {}),
        ([0.0, 1.0, 1.0, 1.0], {}),
        ([0.5, 1.0, 1.0, 1.0], {}),
        ([1.0, 0.5, 1.0, 1.0], {}),
        ([1.0, 0.0, 0.0, 0.0], {"region": {"kind": "everywhere"}}),
        ([1.0, 0.0, 0.0, 0.0], {"region": {**HELD, "hi": [1.0, 1.0, 1.0, 2.5]}}),
        ([1.0, 0.0, 0.0, 0.0], {"error": 2.0**-53}),
    ],
)
def test_anything_else_left_out_is_said(
    claimed: Claimed, kept: list[float], more: dict[str, Any]
) -> None:
    assumed = " ".join(leaving_out(claimed, kept, **more))
    assert "'the entries that move' at 'somewhere' acts on some entries as a linear map" in assumed


def test_only_entries_that_move_count_between_norms(claimed: Claimed) -> None:
    """One entry moves: its l2 change is its linf change, not twice that."""
    y = vertex("y", [4], {"source": "x"} | between(0.0, 1.0), operation="aten.relu.default")
    graph = network(vertex("x", [4]), y, region=HELD)
    assert claimed(graph, [], 1.0, ("linf", "l2")).claim
    for region in ({"kind": "everywhere"}, HELD | {"hi": [1.0, 1.0, 1.0, 2.5]}):
        with pytest.raises(Rejected, match="the facts show"):
            claimed(graph | {"region": region}, [], 1.0, ("linf", "l2"))


EVIL = "x\n  - nothing at all\x1b[2K\u202e"


def test_nothing_of_the_file_is_printed_raw(claimed: Claimed) -> None:
    """Names, places and parameters stay within their line and within ASCII."""
    origin = {"operation": f"aten.exp.{EVIL}", "place": EVIL, "parameters": {EVIL: EVIL}}
    step = {
        "name": EVIL,
        "shape": [2],
        "edges": [{"source": "x"} | between(0.0, 0.5)],
        "origin": origin,
    }
    odd = {"name": f"{EVIL}2", "shape": [2], "edges": [scaled(EVIL, 0.5, [2])], "origin": {}}
    text = str(
        claimed(
            network(vertex("x", [2]), step, odd), [fact(EVIL, f"{EVIL}2", 0.6, "majorant")], 0.3
        )
    )
    assert text.isascii() and text.replace("\n", "").isprintable()
    assert "\n  - nothing" not in text and text.count("\n") == 2 + len(
        text.split("assuming")[1].strip().split("\n")
    )
    with pytest.raises(Rejected) as refused:
        claimed(
            network(vertex("x", [2]), step | {"edges": [{"source": EVIL} | between(0.0, 0.5)]}),
            [],
            1.0,
        )
    assert str(refused.value).isascii() and "\n" not in str(refused.value)
