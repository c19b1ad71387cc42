"""Every kind of fact, on networks that are small enough to know what is true: no false one is
accepted.

Covers autolip_check.proof, autolip_check.conclusion, autolip_check.graph and the claim in
autolip_check.check.
"""

import itertools
import math
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolip_check import forms, lanczos
from autolip_check.check import check
from autolip_check.conclusion import shortened
from autolip_check.container import Rejected, content
from autolip_check.forms import Form, prove
from autolip_check.graph import Edge, Network, Vertex
from autolip_check.lanczos import trust
from autolip_check.maps import UNIT, Dense, build, gamma
from autolip_check.proof import Prover, exchange
from tests.checker.conftest import Forgery
from tests.checker.test_admission import Claimed, claimed, fact, network, scaled, vertex
from tests.checker.test_hostile import document

__all__ = ["claimed"]

MORE = 1 + 1e-6
Accepted = Callable[..., bool]


@pytest.fixture
def accepted(claimed: Claimed) -> Accepted:
    def judge(*arguments: Any, **options: Any) -> bool:
        try:
            return bool(claimed(*arguments, **options))
        except Rejected:
            return False

    return judge


def quadratic(
    value: float, mu: Any, lam: dict[str, Any], nu: Any = 1.0, **more: Any
) -> dict[str, Any]:
    step = {
        "step": "quadratic",
        "source": "x",
        "sink": "y",
        "norms": ["l2", "l2"],
        "value": value,
        "by": "cholesky",
    }
    return step | {"multipliers": lam, "inputs": mu, "outputs": nu} | more


def between(lo: float, hi: float, source: str = "x") -> dict[str, Any]:
    return {"source": source, "kind": "between", "lo": lo, "hi": hi}


@pytest.mark.parametrize("seed", range(60))
def test_h_of_one_neuron(accepted: Accepted, seed: int) -> None:
    """(mu + lam a b) x^2 - lam (a + b) x z + (lam - 1) z^2, judged by its eigenvalues."""
    draw = np.random.default_rng(seed)
    a, b = np.sort(draw.normal(size=2)).tolist()
    if seed % 3 == 0:
        a, b = (0.0, abs(b)) if seed % 2 else (-abs(a), 0.0)
    lam, mu = draw.uniform(0.9, 4.0), draw.uniform(0.05, 4.0)
    h = np.array([[mu + lam * a * b, -lam * (a + b) / 2], [-lam * (a + b) / 2, lam - 1]])
    least = np.linalg.eigvalsh(h)[0]
    graph = network(
        vertex("x", [1]), vertex("z", [1], between(a, b)), vertex("y", [1], scaled("z", 1.0, [1]))
    )
    value = math.sqrt(mu) * MORE
    assert accepted(graph, [quadratic(value, mu, {"z": lam})], value) == (least > 0)
    assert least <= 0 or max(abs(a), abs(b)) <= value, "what is shown is true"


@pytest.mark.parametrize("g", [3.0, 1 / 3])
@pytest.mark.parametrize("power, holds", [(1, False), (1.5, False), (2, True)])
def test_a_gain_counts_squared(accepted: Accepted, g: float, power: float, holds: bool) -> None:
    gain = {"source": "x", "kind": "gain", "norms": {"l2": g}, "dims": None}
    graph = network(
        vertex("x", [3]), vertex("z", [2], gain), vertex("y", [2], scaled("z", 1.0, [2]))
    )
    mu = max(g**power, 1e-3) * 1.02 if g > 1 or power == 2 else g**2 * 0.98
    value = math.sqrt(mu) * MORE
    assert accepted(graph, [quadratic(value, mu, {"z": 1.01})], value) == holds


def test_one_block_has_one_multiplier(claimed: Claimed) -> None:
    lam = np.array([1.01, 2.0])
    gain = {"source": "x", "kind": "gain", "norms": {"l2": 1.0}, "dims": None}
    graph = network(
        vertex("x", [2]), vertex("z", [2], gain), vertex("y", [2], scaled("z", 1.0, [2]))
    )
    step = quadratic(2.0, 3.9, {"z": content(lam)})
    with pytest.raises(Rejected, match="one block, with one multiplier"):
        claimed(graph, [step], 2.0, tensors={content(lam): lam})
    gain["dims"] = []
    assert claimed(graph, [step], 2.0, tensors={content(lam): lam})


def test_blocks_match_on_both_sides(claimed: Claimed) -> None:
    lam = np.array([[1.01], [2.0]])
    gain = {"source": "x", "kind": "gain", "norms": {"l2": 1.0}, "dims": [1]}
    graph = network(
        vertex("x", [1, 2]),
        vertex("z", [2, 2], gain),
        vertex("y", [2, 2], scaled("z", 1.0, [2, 2])),
    )
    with pytest.raises(Rejected, match="do not match"):
        claimed(graph, [quadratic(2.0, 3.9, {"z": content(lam)})], 2.0, tensors={content(lam): lam})


@pytest.mark.parametrize(
    "p, q, true", [("l2", "l2", 1), ("linf", "l2", 2), ("l2", "l1", 2), ("linf", "l1", 4)]
)
def test_weights_add_up_where_norms_do(accepted: Accepted, p: str, q: str, true: float) -> None:
    """The identity of R^4, with weights of 1 at both ends."""
    graph = network(vertex("x", [4]), vertex("y", [4], scaled("x", 1.0, [4])))
    for value, holds in ((true * 0.99, False), (true * 0.75, False), (true * MORE, True)):
        step = quadratic(value, 1.0 + 1e-7, {}, norms=[p, q])
        assert accepted(graph, [step], value, (p, q)) == holds


def test_the_value_counts_squared(accepted: Accepted) -> None:
    graph = network(vertex("x", [2]), vertex("y", [2], scaled("x", 0.7, [2])))
    assert accepted(graph, [quadratic(0.7036, 0.495, {})], 0.7036)
    assert not accepted(graph, [quadratic(0.5, 0.495, {})], 0.5)


@pytest.mark.parametrize("value, holds", [(0.501, True), (0.49, False), (0.26, False)])
def test_cases_are_both_ends(accepted: Accepted, value: float, holds: bool) -> None:
    """Half a relu: at the lower end nothing is left, at the upper one 1/2."""
    graph = network(
        vertex("x", [1]),
        vertex("z", [1], between(0.0, 1.0)),
        vertex("y", [1], scaled("z", 0.5, [1])),
    )
    leaf = {"multipliers": {"z": 1000.0}}
    step = fact("x", "y", value, "cholesky") | {
        "step": "cases",
        "tree": {"at": "z", "entry": 0, "low": leaf, "high": leaf},
    }
    assert accepted(graph, [step], value) == holds
    for change in (
        {"entry": 1},
        {"entry": -1},
        {"entry": True},
        {"entry": 0.0},
        {"at": "y"},
        {"at": "x"},
        {"low": 3},
    ):
        assert not accepted(graph, [step | {"tree": step["tree"] | change}], value)
    assert not accepted(graph, [step | {"by": "lanczos"}], value)
    assert not accepted(graph, [step | {"norms": ["linf", "l2"]}], value)


def test_entries_need_a_form_each_and_show_linf(accepted: Accepted) -> None:
    weight = np.array([[1.0], [1.0], [3.0]])
    dense = {"op": "dense", "weight": content(weight), "in": [1], "error": 0.0}
    y = vertex("y", [3], {"source": "x", "kind": "exact", "map": dense})
    graph, tensors = network(vertex("x", [1]), y), {content(weight): weight}
    forms = [{"multipliers": {}, "inputs": square} for square in (1.01, 1.01, 9.01)]

    def entries(value: float, q: str, forms: Any) -> bool:
        step = fact("x", "y", value, "cholesky", ("l2", q)) | {"step": "entries", "entries": forms}
        return accepted(graph, [step], value, ("l2", q), tensors)

    assert entries(3.01, "linf", forms)
    assert not entries(3.01, "l2", forms) and not entries(3.01, "l1", forms)
    assert not entries(1.01, "linf", forms[:2]) and not entries(2.9, "linf", forms)
    assert not entries(3.01, "linf", [*forms, forms[0]]) and not entries(3.01, "linf", forms[::-1])


def test_a_sum_is_the_sum_of_its_parts(accepted: Accepted) -> None:
    """x + relu(x): neither part alone, nor the larger one."""
    add = vertex(
        "y", [2], scaled("x", 1.0, [2]), scaled("z", 1.0, [2]), operation="aten.add.Tensor"
    )
    graph = network(vertex("x", [2]), vertex("z", [2], between(-0.5, 1.0)), add)
    parts = [fact("x", "y", MORE, "majorant"), fact("z", "y", MORE, "majorant")]
    assert accepted(graph, parts, 2 * MORE)
    for value in (1.99, 1.01):
        assert not accepted(graph, parts, value)
    assert not accepted(graph, parts[:1], 2 * MORE) and not accepted(graph, parts[1:], 2 * MORE)


def chained(count: int, *sizes: float) -> dict[str, Any]:
    """Maxima of the two operations before, each by slopes of its own."""
    vertices = [vertex("x", [1]), vertex("v0", [1], between(0.0, 1.0))]
    for n in range(count):
        edges = [
            between(0.0, size * (1 + n / 64), vertices[-k]["name"])
            for k, size in enumerate(sizes, 1)
        ]
        vertices.append(vertex(f"v{n + 1}", [1], *edges, operation="aten.maximum.default"))
    return network(*vertices)


@pytest.mark.parametrize("sizes", [(0.1, 0.3), (2.0**-10, 2.0**-11)])
def test_gains_of_many_digits_are_shortened_upwards(
    accepted: Accepted, sizes: tuple[float, float]
) -> None:
    """In exact arithmetic the numbers of 3000 sums and products take minutes."""
    gains = [Fraction(1), Fraction(1)]
    for n in range(400):
        gains.append(
            sum(Fraction(size * (1 + n / 64)) * gains[-k] for k, size in enumerate(sizes, 1))
        )
    exact, least = gains[-1], shortened(gains[-1])
    assert exact < least <= exact * (1 + Fraction(1, 2**2000))
    value = max(float(least), 2.0**-1000)
    assert accepted(chained(400, *sizes), [], value * (1 + 1e-12))
    assert least < 2.0**-1000 or not accepted(chained(400, *sizes), [], value * (1 - 1e-12))
    started = time.process_time()
    accepted(chained(3000, *sizes), [], 1.0)
    assert time.process_time() - started < 5


def test_short_numbers_stay_as_they_are() -> None:
    """Shortened are those of thousands of digits: what is too large is unknown, what is too small a
    little larger."""
    for number in (Fraction(3, 7), Fraction(0), Fraction(2**4999 - 1, 2**4998), math.inf):
        assert shortened(number) == number
    assert shortened(Fraction(2**6000)) == math.inf
    assert shortened(Fraction(1, 2**20_000)) == Fraction(1, 2**5000)
    assert shortened(Fraction(2**5500 + 1, 2**600)) == 2**4900 + 2**2400


def test_without_facts_only_zeros_are_known(accepted: Accepted) -> None:
    """Whichever operand is multiplied by nothing, and whatever reads the result."""
    x, z = vertex("x", [2]), vertex("z", [2], between(0.0, 1.0))
    for first, second, holds in (
        (1.0, 1.0, False),
        (0.0, 1.0, False),
        (1.0, 0.0, False),
        (0.0, 0.0, True),
    ):
        y = vertex("y", [2], scaled("z", first, [2]), scaled("x", second, [2]))
        assert accepted(network(x, z, y), [], 0.0) == holds
        assert accepted(network(x, z, y, vertex("u", [2], scaled("y", 1.0, [2]))), [], 0.0) == holds
        assert (
            accepted(network(x, z, y, vertex("u", [2], between(0.0, 1.0, "y"))), [], 0.0) == holds
        )


def test_a_sum_with_an_unknown_part_is_unknown(claimed: Claimed) -> None:
    """Of a part beyond the doubles too."""
    large = [
        vertex(after, [1], between(0.0, 2.0**250, before))
        for before, after in itertools.pairwise("xabcdef")
    ]
    unknown = {"source": "x", "kind": "gain", "norms": {}, "dims": None}
    total = vertex("z", [1], between(0.0, 1.0, "f"), unknown)
    with pytest.raises(Rejected, match=r"the facts show inf, not 1\.0"):
        claimed(network(vertex("x", [1]), *large, total), [], 1.0)


def test_both_ends_of_slopes_count(accepted: Accepted) -> None:
    for lo, hi in ((-3.0, 1.0), (-1.0, 3.0)):
        graph = network(vertex("x", [2]), vertex("y", [2], between(lo, hi)))
        assert accepted(graph, [], 3.0) and not accepted(graph, [], 2.99)
    assert not accepted(network(vertex("x", [2]), vertex("y", [2], between(1.0, 0.0))), [], 3.0)
    lo = np.array([0.0, 2.0])
    mixed = vertex("y", [2], {"source": "x", "kind": "between", "lo": content(lo), "hi": 1.0})
    assert not accepted(network(vertex("x", [2]), mixed), [], 3.0, tensors={content(lo): lo})


def test_a_fact_counts_in_its_own_norms(accepted: Accepted) -> None:
    graph = network(vertex("x", [4]), vertex("y", [4], scaled("x", 1.0, [4])))
    facts = [fact("x", "y", MORE, "majorant")]
    assert accepted(graph, facts, MORE) and accepted(graph, facts, 2.1, ("l2", "l1"))
    assert not accepted(graph, facts, 1.9, ("l2", "l1")) and not accepted(
        graph, facts, 1.9, ("linf", "l2")
    )


def test_what_is_unknown_stays_unknown(accepted: Accepted) -> None:
    gain = {"source": "x", "kind": "gain", "norms": {"l1": 1.0}, "dims": None}
    graph = network(
        vertex("x", [2]), vertex("z", [2], gain), vertex("y", [2], between(0.0, 0.0, "z"))
    )
    assert not accepted(graph, [], 1e6)
    assert accepted(graph, [], 0.0, ("l1", "l1"))


def test_a_norm_is_of_an_affine_map_and_a_form_of_all_between(claimed: Claimed) -> None:
    z = vertex("z", [2], between(0.0, 1.0))
    with pytest.raises(Rejected, match="is not affine"):
        claimed(network(vertex("x", [2]), z), [fact("x", "z", 1.0, "cholesky")], 1.0)
    graph = network(vertex("x", [2]), z, vertex("y", [2], scaled("z", 1.0, [2])))
    with pytest.raises(Rejected, match="carries no multiplier"):
        claimed(graph, [quadratic(0.1, 0.01, {})], 0.1)
    with pytest.raises(Rejected, match="the facts show inf"):
        claimed(graph, [fact("x", "y", 0.1, "entries")], 0.1)


@pytest.mark.parametrize("changes", [{"in": [3]}, {"in": [1]}, {"in": [2, 2]}])
def test_maps_fit_their_operand(accepted: Accepted, changes: dict[str, Any]) -> None:
    edge = scaled("x", 1.0, [2])
    assert accepted(
        network(vertex("x", [2]), vertex("y", [2], edge)), [fact("x", "y", MORE, "majorant")], MORE
    )
    edge["map"] |= changes
    assert not accepted(
        network(vertex("x", [2]), vertex("y", [2], edge)), [fact("x", "y", MORE, "majorant")], MORE
    )
    weight = np.ones((1, 1))
    dense = {"op": "dense", "weight": content(weight), "in": [2, 1], "error": 0.0}
    y = vertex("y", [2, 1], {"source": "x", "kind": "exact", "map": dense})
    graph = network(vertex("x", [1, 1]), y)
    assert not accepted(
        graph, [fact("x", "y", MORE, "majorant")], MORE, tensors={content(weight): weight}
    )


@pytest.mark.parametrize("kind", ["dense", "diagonal", "convolution"])
@pytest.mark.parametrize("by", ["entries", "majorant", "cholesky"])
def test_entries_that_may_be_off_count_as_such(accepted: Accepted, kind: str, by: str) -> None:
    """1, right up to 9e-4 of it: the norm may be 1.0009."""
    weight = np.ones({"dense": (1, 1), "diagonal": (1, 1), "convolution": (1, 1, 1)}[kind])
    entry = {"op": kind, "weight": content(weight), "in": [1, 1], "error": 9e-4}
    if kind == "convolution":
        entry |= {"stride": [1], "padding": [0], "dilation": [1], "groups": 1, "adjoint": False}
    graph = network(
        vertex("x", [1, 1]), vertex("y", [1, 1], {"source": "x", "kind": "exact", "map": entry})
    )
    for value, holds in ((1.0005, False), (1.02, True)):
        assert (
            accepted(graph, [fact("x", "y", value, by)], value, tensors={content(weight): weight})
            == holds
        )


def test_maps_do_not_leave_their_tensors() -> None:
    scale = {"op": "diagonal", "weight": 1.0, "in": [3], "error": 0.0}
    for before, after in (((1,), (3,)), ((3,), (1,)), ((2,), (3,))):
        with pytest.raises(Rejected, match="wrong shape"):
            build(scale, {}, before, after)
    places = {"p": np.array([0, 2]), "r": np.array([0, 1])}
    for index, why in (("p", "leaves its operand"), ([1, 1], "leaves its operand")):
        with pytest.raises(Rejected, match=why):
            build({"op": "gather", "in": [2], "out": [2], "index": index}, places, (2,), (2,))
    with pytest.raises(Rejected, match="leaves its result"):
        build(
            {"op": "pairs", "in": [2], "out": [2], "rows": "p", "columns": "r"}, places, (2,), (2,)
        )


def test_adjoints_are_said_as_truth_values(accepted: Accepted) -> None:
    """2 is neither: a map that is its own adjoint both ways is no linear map."""
    kernel = np.array([[[1.0, 2.0, 4.0]]])
    entry = {
        "op": "convolution",
        "weight": content(kernel),
        "in": [1, 5],
        "error": 0.0,
        "stride": [1],
    }
    entry |= {"padding": [1], "dilation": [1], "groups": 1, "adjoint": False}
    for adjoint, holds in ((False, True), (True, True), (2, False), (1, False), ("yes", False)):
        y = vertex(
            "y", [1, 5], {"source": "x", "kind": "exact", "map": entry | {"adjoint": adjoint}}
        )
        graph = network(vertex("x", [1, 5]), y)
        assert (
            accepted(
                graph, [fact("x", "y", 7.1, "cholesky")], 7.1, tensors={content(kernel): kernel}
            )
            == holds
        )


@pytest.mark.parametrize(
    "change",
    [
        {"certainty": "confident"},
        {"delta": 0.5},
        {"delta": 0.5, "certainty": "confident"},
        {"delta": -1e-9, "certainty": "confident"},
        {"delta": 2.0, "certainty": "confident"},
        {"network": "0" * 64},
        {"norms": ["l2"]},
        {"norms": ["l2", "l2", "l2"]},
        {"norms": ["l2", "l3"]},
        {"norms": "l2"},
        {"value": -1.0},
        {"value": "1"},
        {"more": 1},
    ],
)
@pytest.mark.parametrize("random", [False, True])
def test_claims_say_what_is_proved(tmp_path: Path, change: dict[str, Any], random: bool) -> None:
    """Delta is that of a random step; without one there is none."""
    graph = network(vertex("x", [40]), vertex("y", [40], scaled("x", 1.0, [40])))
    step = fact("x", "y", 1.01, "lanczos" if random else "majorant")
    good = document(graph, 1.02, proof=[step])
    good["claim"] |= {"delta": 1e-3, "certainty": "confident"} if random else {}
    assert (
        check(Forgery(good, {}).write(tmp_path / "x.cert", careful=False)).claim.count(
            "probability 0.001"
        )
        == random
    )
    good["claim"] |= change
    if random and change in (
        {"delta": 0.5},
        {"delta": 0.5, "certainty": "confident"},
        {"certainty": "confident"},
    ):
        return
    with pytest.raises(Rejected):
        check(Forgery(good, {}).write(tmp_path / "x.cert", careful=False))


@pytest.mark.parametrize("size", [2, 3, 5, 7, 1000, 12345])
def test_exchanges_are_rounded_up(size: int) -> None:
    assert (
        Fraction(size)
        <= exchange("l2", "l1", size) ** 2
        <= Fraction(size) * (1 + Fraction(1, 2**50))
    )
    assert (
        exchange("linf", "l2", size) == exchange("l2", "l1", size)
        and exchange("linf", "l1", size) == size
    )
    assert (
        exchange("l1", "l2", size)
        == exchange("l2", "linf", size)
        == exchange("l2", "l2", size)
        == 1
    )


@pytest.mark.parametrize("terms", [1, 10, 1000, 2.0**30])
def test_gamma_is_above_what_roundings_compound_to(terms: float) -> None:
    n, unit = Fraction(terms), Fraction(UNIT)
    assert n * unit / (1 - n * unit) < Fraction(gamma(terms))
    with pytest.raises(Rejected):
        gamma(2.0**47)


def plain(matrix: np.ndarray, value: float) -> Form:
    linear = Dense(matrix, (matrix.shape[1],), 0.0)
    vertices = (
        Vertex("x", linear.shape_in, ()),
        Vertex("y", linear.shape_out, (Edge("x", linear),)),
    )
    return Form(
        Network("x", "y", {v.name: v for v in vertices}),
        "x",
        "y",
        np.array(value**2),
        np.array(1.0),
        {},
    )


def test_the_shift_is_taken_off() -> None:
    """Of order 60 it is 2e-12: a norm that is too small by a tenth of that is not accepted."""
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))[0]
    prove(plain(matrix, 1 + 1e-9))
    with pytest.raises(Rejected):
        prove(plain(matrix, 1 - 2e-13))


def test_a_factor_is_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a factorisation returns, it proves nothing by itself."""
    monkeypatch.setattr(forms.np.linalg, "cholesky", lambda matrix: np.eye(len(matrix)))
    with pytest.raises(Rejected, match="nothing is proved"):
        prove(plain(np.full((2, 2), 0.9), 1.5))


def test_all_runs_of_lanczos_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three for a delta of 1e-9, each with its own part of it."""
    seen = list[tuple[int, float]]()

    def excludes(
        alphas: list[float], betas: list[float], defects: list[float], epsilon: float
    ) -> bool:
        seen.append((len(alphas), epsilon))
        return len(seen) % 3 == 1

    monkeypatch.setattr(lanczos, "_excludes", excludes)
    monkeypatch.setattr(lanczos, "LONGEST_RECURRENCE", 8)
    with pytest.raises(Rejected, match="did not exclude"):
        trust(plain(np.eye(50), 2.0), 1e-9)
    n = 100
    assert all(epsilon * math.sqrt(2 * n / math.pi) < 1e-3 for _, epsilon in seen)
    assert all(epsilon * math.sqrt(2 * n / math.pi) > 0.99e-3 for _, epsilon in seen)


def test_sums_are_rounded_up(accepted: Accepted) -> None:
    """1 + 2^-54 is not 1, though its double is."""
    weight = np.array([[1.0], [2.0**-54]])
    dense = {"op": "dense", "weight": content(weight), "in": [1], "error": 0.0}
    graph = network(
        vertex("x", [1]), vertex("y", [2], {"source": "x", "kind": "exact", "map": dense})
    )
    for by in ("majorant", "entries"):
        for value, holds in ((1.0, False), (1 + 1e-9, True)):
            facts = [fact("x", "y", value, by, ("l1", "l1"))]
            assert accepted(graph, facts, value, ("l1", "l1"), {content(weight): weight}) == holds


def test_names_that_end_in_a_bar_are_the_checkers_own(claimed: Claimed) -> None:
    with pytest.raises(Rejected, match="the checker's own"):
        claimed(network(vertex("x", [1]), vertex("y|", [1], between(0.0, 1.0))), [], 1.0)


def test_random_steps_share_what_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they fail with probability delta at most; a form for every entry shares a step's."""
    given = list[float]()
    monkeypatch.setattr(Prover, "lanczos", lambda self, form, delta: given.append(delta))
    graph = network(
        vertex("x", [2]),
        vertex("z", [2], between(0.0, 1.0)),
        vertex("y", [2], scaled("z", 1.0, [2])),
    )
    form = {"inputs": 1.01, "multipliers": {"z": 2.0}}
    entries = fact("x", "y", 1.02, "lanczos", ("l2", "linf")) | {"step": "entries"}
    norm = fact("z", "y", 1.01, "lanczos")
    made = document(graph, 1.03, proof=[norm, norm, entries | {"entries": [form, form]}])
    made["claim"] |= {"delta": 3e-3, "certainty": "confident", "norms": ["l2", "linf"]}
    check(Forgery(made, {}).write(tmp_path / "x.cert", careful=False))
    assert given == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4], rel=1e-9)
    assert math.fsum(given) <= 3e-3
