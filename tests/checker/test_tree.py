"""Trees of pieces: genuine ones are accepted, forged ones are not.

Covers autolip_check.tree, autolip_check.layers and autolip.methods.exact.record.
"""

import copy
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import autolip
from autolip.methods.exact.method import Exact
from autolip_check.check import check
from autolip_check.container import NotACertificate, Rejected
from autolip_check.tree import Tree
from tests.checker.conftest import Forgery
from tests.methods.exact.enumerated import constant

Judge = Callable[..., str | None]
Change = Callable[[dict[str, np.ndarray]], None]


def model() -> nn.Sequential:
    torch.manual_seed(4)
    layers = (nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    return nn.Sequential(*layers).double().eval()


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = autolip.lipschitz(
        model(), torch.zeros(1, 2, dtype=torch.float64), method=Exact(), lower=None
    )
    path = tmp_path_factory.mktemp("certificates") / "genuine.cert"
    result.certificate().save(path)
    return path


def forged(genuine: Path, change: Change) -> Forgery:
    """With other arrays in the tree; a careful forger names them by their hashes."""
    forgery = Forgery.of(genuine)
    tree = forgery.document["proof"][0]["tree"]
    arrays = {name: forgery.tensors[tree[name]].copy() for name in tree}
    change(arrays)
    for name, array in arrays.items():
        forgery.tensors[f"new {name}"] = array
        tree[name] = f"new {name}"
    return forgery


def test_nodes_are_read_in_parts() -> None:
    """As many as there are, in their order, in less memory than a list of them takes."""
    at = np.arange(2**19 + 3)
    none = np.zeros(0)
    tree = Tree(at, at + 1, none.reshape(0, 1), none, none, none)
    tracemalloc.start()
    count = 0
    for number, (node, piece) in enumerate(tree.nodes()):
        count += node == number and piece == number + 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == len(at) and peak < 2**24


def test_the_constant_is_certified(genuine: Path, verdict: Judge) -> None:
    assert check(genuine).claim and verdict(Forgery.of(genuine)) is not None
    known, value = constant(model()), Forgery.of(genuine).document["claim"]["value"]
    assert known <= value <= known * (1 + 1.1e-6)
    kinds = Forgery.of(genuine)
    at = kinds.tensors[kinds.document["proof"][0]["tree"]["at"]]
    assert {-1, -3} <= set(at.tolist()) and at.max() >= 0, "all kinds of facts but boxes"
    assert verdict(forged(genuine, lambda arrays: None), True) is not None


def test_a_bound_that_is_lower_by_a_millionth(genuine: Path, verdict: Judge) -> None:
    forgery = Forgery.of(genuine)
    for item in (forgery.document["proof"][0], forgery.document["claim"]):
        item["value"] *= 1 - 1e-6
    assert verdict(forgery) is None


def kind(arrays: dict[str, np.ndarray], number: int) -> int:
    """The place of the first node of a kind."""
    return int(np.flatnonzero(arrays["at"] == number)[0])


def without_a_leaf(arrays: dict[str, np.ndarray]) -> None:
    arrays["at"], arrays["piece"] = arrays["at"][:-1], arrays["piece"][:-1]


def without_a_case(arrays: dict[str, np.ndarray]) -> None:
    """The root is what its lower half was."""
    arrays["at"], arrays["piece"] = arrays["at"][1:], arrays["piece"][1:]


def one_more(arrays: dict[str, np.ndarray]) -> None:
    arrays["at"], arrays["piece"] = (np.append(arrays[name], -2) for name in ("at", "piece"))


def split_outside(arrays: dict[str, np.ndarray]) -> None:
    arrays["piece"][0] = 1


def split_below(arrays: dict[str, np.ndarray]) -> None:
    arrays["piece"][0] = -1


def split_again(arrays: dict[str, np.ndarray]) -> None:
    """The neuron of the root a second time, where a leaf was."""
    place = kind(arrays, -1)
    arrays["at"][place] = arrays["at"][0]


def no_such_neuron(arrays: dict[str, np.ndarray]) -> None:
    arrays["at"][0] = 9


def no_such_fact(arrays: dict[str, np.ndarray]) -> None:
    arrays["at"][kind(arrays, -1)] = -7


def said_to_be_empty(arrays: dict[str, np.ndarray]) -> None:
    """A leaf with points in it, by the half-spaces of another."""
    arrays["at"][kind(arrays, -1)] = -3


def said_to_be_small(arrays: dict[str, np.ndarray]) -> None:
    """An empty cell by its entries, with its half-spaces left over."""
    arrays["at"][kind(arrays, -3)] = -2


def a_negative_weight(arrays: dict[str, np.ndarray]) -> None:
    arrays["weights"][0] *= -1


def no_weight(arrays: dict[str, np.ndarray]) -> None:
    arrays["weights"][0] = 0


def fewer_half_spaces(arrays: dict[str, np.ndarray]) -> None:
    arrays["counts"][0] -= 1


def no_half_spaces(arrays: dict[str, np.ndarray]) -> None:
    arrays["counts"][0] = 0


def a_negative_count(arrays: dict[str, np.ndarray]) -> None:
    arrays["counts"][0] = -1


def another_half_space(arrays: dict[str, np.ndarray]) -> None:
    arrays["sides"][0] ^= 1


def no_such_half_space(arrays: dict[str, np.ndarray]) -> None:
    arrays["sides"][0] = 18


def another_multiplier(arrays: dict[str, np.ndarray]) -> None:
    arrays["multipliers"][arrays["multipliers"] > 0] *= 0.3


def a_negative_multiplier(arrays: dict[str, np.ndarray]) -> None:
    rows = arrays["multipliers"]
    rows[rows > 0] *= -1


def no_multipliers(arrays: dict[str, np.ndarray]) -> None:
    arrays["multipliers"] = 0 * arrays["multipliers"]


def rows_left_over(arrays: dict[str, np.ndarray]) -> None:
    arrays["multipliers"] = np.concatenate([arrays["multipliers"]] * 2)


def rows_too_short(arrays: dict[str, np.ndarray]) -> None:
    arrays["multipliers"] = arrays["multipliers"][:, :-1].copy()


def no_nodes(arrays: dict[str, np.ndarray]) -> None:
    arrays["at"], arrays["piece"] = arrays["at"][:0], arrays["piece"][:0]


CHANGES: list[Change] = [
    without_a_leaf, without_a_case, one_more, split_outside, split_below, split_again,
    no_such_neuron, no_such_fact, said_to_be_empty, said_to_be_small, a_negative_weight, no_weight,
    fewer_half_spaces, no_half_spaces, a_negative_count, another_half_space, no_such_half_space,
    another_multiplier, a_negative_multiplier, no_multipliers, rows_left_over, rows_too_short,
    no_nodes,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_forged_trees_are_refused(change: Change, genuine: Path, verdict: Judge) -> None:
    assert verdict(forged(genuine, change), True) is None


@pytest.mark.parametrize("name", ["value", "error"])
def test_constants_are_part_of_the_network(name: str, genuine: Path, verdict: Judge) -> None:
    """Another offset is another network; one that is not known makes cells larger."""
    forgery = Forgery.of(genuine)
    constants = forgery.document["graph"]["constants"]
    (vertex, *_) = constants
    constants[vertex][name] = 0.5
    assert verdict(forgery) is None, "another network"
    assert verdict(forgery, True) is None, "cells that are not empty"
    del constants[vertex]
    assert verdict(forgery, True) is None


@pytest.mark.parametrize("change", ["tanh", "aten.hardshrink.default", "clamp"])
def test_only_names_give_pieces(change: str, genuine: Path, verdict: Judge) -> None:
    forgery = Forgery.of(genuine)
    bent = [vertex for vertex in forgery.document["graph"]["vertices"] if "relu" in vertex["name"]]
    bent[0]["origin"]["operation"] = change
    assert verdict(forgery, True) is None


def test_of_an_unknown_region_nothing_is_known(genuine: Path, verdict: Judge) -> None:
    forgery = Forgery.of(genuine)
    forgery.document["graph"]["region"] = {"kind": "heart"}
    assert verdict(forgery, True) is None


def test_a_budget_is_kept(genuine: Path) -> None:
    assert check(genuine, budget=60).claim
    with pytest.raises(NotACertificate):
        check(genuine, budget=1e-7)
    with pytest.raises(NotACertificate):
        check(genuine, budget=3e-5)


def test_a_tree_of_boxes(tmp_path: Path) -> None:
    """Boxes by half-spaces, and forged ones: a smaller one, one where there are no bounds."""
    region = autolip.Box(-1, 1)
    x = torch.zeros(1, 2, dtype=torch.float64)
    result = autolip.lipschitz(model(), x, region=region, method=Exact(), lower=None, norm="linf")
    path = tmp_path / "boxes.cert"
    result.certificate().save(path)
    forgery = Forgery.of(path)
    assert check(path).claim
    tree = forgery.document["proof"][0]["tree"]
    at = forgery.tensors[tree["at"]]
    assert (at == -4).any()
    other = copy.deepcopy(forgery)
    other.document["graph"]["region"] = {"kind": "everywhere"}
    with pytest.raises(Rejected, match="no bounds"):
        check(other.write(tmp_path / "unbounded.cert", True))
    forgery.document["graph"]["region"]["hi"] = [3.0, 3.0]
    with pytest.raises(Rejected):
        check(forgery.write(tmp_path / "larger.cert", True))
