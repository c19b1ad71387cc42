"""Ranges that the check derives hold, and are those of linear relaxation; slopes that follow from
them are not assumed, and what a forger narrows is.

Covers autolip_check.ranges and autolip_check.bends.
"""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, Box, lipschitz
from autolip.capture.torch.export import capture_model
from autolip.ranges import ranges
from autolip.ranges.relaxation import relaxation
from autolip.regions import Region
from autolip_check.bends import bends
from autolip_check.check import check
from autolip_check.container import Rejected, read
from autolip_check.effort import UNLIMITED, Effort, TooLong
from autolip_check.graph import Network, read_network
from autolip_check.ranges import Ranges, _start, derived
from autolip_check.reach import Bounds, Place
from tests.checker.conftest import Forgery

POINT = torch.tensor([0.3, -0.2, 0.5, 0.1])
FOLLOWS = "where this check finds their operands"


class Residual(nn.Module):
    """Two ways from the first layer on, pieces of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x).clamp(-0.4, 0.6)
        z = z + nn.functional.leaky_relu(self.second(z), 0.2)
        return self.last(nn.functional.softshrink(z + 0.1, 0.25))


def chain(*widths: int) -> nn.Module:
    pairs = itertools.pairwise(widths)
    layers = [layer for m, n in pairs for layer in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def model(kind: str) -> nn.Module:
    torch.manual_seed(5)
    if kind == "chain":
        return chain(4, 12, 12, 2).eval()
    if kind == "conv":
        conv = nn.Sequential(nn.Conv1d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten())
        return nn.Sequential(nn.Unflatten(0, (1, 1, 4)), *conv, nn.Linear(12, 6), nn.ReLU(),
                             nn.Linear(6, 2)).eval()  # fmt: skip
    return Residual().eval()


REGIONS: dict[str, Region] = {
    "l2": Ball(POINT, 0.2),
    "linf": Ball(POINT, 0.1, "linf"),
    "l1": Ball(POINT, 0.3, "l1"),
    "wide": Ball(POINT, 0.7),
    "box": Box(POINT - 0.1, POINT + torch.tensor([0.2, 0.0, 0.1, 0.3])),
}


def written(kind: str, region: Region, path: Path, **asked: Any) -> Path:
    found = lipschitz(model(kind), POINT, region=region, lower=None, **asked)
    found.certificate().save(path / "local.cert")
    return path / "local.cert"


def apart(path: Path) -> Path:
    """A certificate in which known slopes are apart from others."""
    torch.manual_seed(1)
    point = torch.randn(16)
    region = Ball(point, 0.2)
    found = lipschitz(
        chain(16, 32, 32, 3).eval(), point, region=region, method="lipsdp", lower=None
    )
    found.certificate().save(path / "apart.cert")
    return path / "apart.cert"


def network_of(file: Path) -> Network:
    document, tensors = read(file)
    return read_network(document["graph"], tensors)


def derived_in(network: Network) -> Ranges:
    place = Place.of(Bounds.of(network.region.entry))
    start = _start(network)
    assert start is not None
    found = Ranges(network, place, start, (place.middle,), UNLIMITED)
    found.derive()
    return found


@pytest.mark.parametrize(
    ("kind", "region"),
    [("chain", "l2"), ("chain", "l1"), ("conv", "linf"), ("residual", "box"), ("residual", "wide")],
)
def test_ranges_are_those_of_linear_relaxation(kind: str, region: str, tmp_path: Path) -> None:
    """And hold every value: relaxation's are looked at by a law of their own."""
    network = network_of(written(kind, REGIONS[region], tmp_path, method="autolip"))
    found = derived_in(network)
    graph = capture_model(model(kind), (POINT,), 0).graph
    known = ranges(graph, REGIONS[region], engines=[relaxation])
    names = [bend.name for bend in bends(network)]
    assert list(found.known) == names and names
    for name, one in found.known.items():
        wanted = known[one.bend.source]
        size = float(wanted.magnitude().max())
        assert torch.tensor(one.lo) == pytest.approx(wanted.lo.reshape(-1), abs=1e-9 * size)
        assert torch.tensor(one.hi) == pytest.approx(wanted.hi.reshape(-1), abs=1e-9 * size), name


@pytest.mark.parametrize(
    ("kind", "secants", "region"),
    [
        ("chain", "any", "l2"),
        ("chain", "centre", "linf"),
        ("chain", "centre", "wide"),
        ("residual", "any", "box"),
        ("residual", "centre", "l2"),
    ],
)
def test_no_slope_is_assumed(kind: str, secants: str, region: str, tmp_path: Path) -> None:
    asked = {"secants": secants, "point": POINT} if secants == "centre" else {}
    file = written(kind, REGIONS[region], tmp_path, method="lipsdp", time_budget=0.5, **asked)
    verdict = check(file)
    assert any(FOLLOWS in sentence for sentence in verdict.assumed)
    told = " ".join(verdict.assumed)
    for sign in ("narrower than", "as a linear map", "multiplies", "has slopes"):
        assert sign not in told, told


def forged(file: Path, change: Any) -> str:
    """What is assumed after a change, or that it is rejected."""
    forgery = Forgery.of(file)
    change(forgery)
    try:
        return " ".join(check(forgery.write(file, careful=True)).assumed)
    except Rejected as reason:
        return f"rejected: {reason}"


def edges(forgery: Forgery, kind: str) -> list[dict[str, Any]]:
    vertices = forgery.document["graph"]["vertices"]
    return [edge for v in vertices for edge in v["edges"] if edge["kind"] == kind]


def narrowed(forgery: Forgery) -> None:
    """A slope that is not what follows."""
    for edge in edges(forgery, "between"):
        edge["hi"] = 0.75


def larger(forgery: Forgery) -> None:
    """The same claim of a region ten times as large."""
    forgery.document["graph"]["region"]["radius"] *= 10


def shifted(forgery: Forgery) -> None:
    """The same of other constants: these are told, and compared with the model's."""
    for constant in forgery.document["graph"]["constants"].values():
        value = forgery.tensors[constant["value"]]
        forgery.tensors[constant["value"]] = (value + 0.5).astype(value.dtype)


def unsettled(forgery: Forgery) -> None:
    """Known slopes that are not: 1 in place of 0."""
    for vertex in forgery.document["graph"]["vertices"]:
        if vertex["origin"].get("operation") == "aten.relu.default":
            for edge in vertex["edges"]:
                if edge["kind"] == "exact" and edge["map"]["op"] == "diagonal":
                    edge["map"]["weight"] = 1.0


@pytest.mark.parametrize("change", [narrowed, larger, shifted, unsettled])
def test_what_does_not_follow_is_told_or_rejected(change: Any, tmp_path: Path) -> None:
    file = apart(tmp_path)
    honest = " ".join(check(file).assumed)
    assert FOLLOWS in honest and "narrower" not in honest and "as a linear map" not in honest
    told = forged(file, change)
    signs = ("rejected", "narrower than", "as a linear map")
    assert any(sign in told for sign in signs), told


def test_a_known_slope_on_one_side_of_what_follows_is_no_part_of_it(tmp_path: Path) -> None:
    """1 in place of 0 is above what follows and not below it."""
    file = apart(tmp_path)
    forgery = Forgery.of(file)
    unsettled(forgery)
    network = network_of(forgery.write(file, careful=True))
    rest = derived(network, None, UNLIMITED, {}, {}).rest
    for bend in bends(network):
        known = np.delete(rest[bend.name], bend.places)
        assert known.any()


def silent(forgery: Forgery) -> None:
    """Neither constants nor rows."""
    document = forgery.document
    document["graph"].pop("constants")
    document["proof"] = [step for step in document["proof"] if step["step"] != "row"]


def test_without_constants_slopes_are_assumed(tmp_path: Path) -> None:
    file = apart(tmp_path)
    told = forged(file, silent)
    assert FOLLOWS not in told and "as a linear map" in told


def test_a_budget_ends_it(tmp_path: Path) -> None:
    network = network_of(written("chain", REGIONS["linf"], tmp_path, method="autolip"))
    with pytest.raises(TooLong):
        derived(network, None, Effort.of_seconds(1e-9), {}, {})
    assert derived(network, None, UNLIMITED, {}, {}).rest.keys() == set(network.constants)


def test_an_operation_that_is_not_followed_leaves_what_comes_after() -> None:
    """A value that is no affine function by its name, as the pieces of another kind."""
    torch.manual_seed(0)
    found = lipschitz(model("chain"), POINT, region=REGIONS["l2"], method="autolip", lower=None)
    graph = found.certificate().document["graph"]
    tensors = found.certificate().tensors.arrays
    network = read_network(graph, tensors)
    first = next(bends(network))
    vertex = network[first.source]
    renamed = replace(vertex, origin=replace(vertex.origin, operation="aten.floor.default"))
    other = replace(network, vertices={**network.vertices, vertex.name: renamed})
    assert not derived_in(other).known
    assert len(derived_in(network).known) == 2


def test_a_step_that_puts_entries_elsewhere_is_no_bend(tmp_path: Path) -> None:
    file = apart(tmp_path)
    network = network_of(file)
    split = [bend for bend in bends(network) if bend.bent not in ("", bend.name)]
    assert split
    forgery = Forgery.of(file)
    for vertex in forgery.document["graph"]["vertices"]:
        for edge in vertex["edges"]:
            if edge["source"] == split[0].bent:
                edge["map"] = {**edge["map"], "index": _turned(forgery, edge["map"])}
    told = [bend.name for bend in bends(network_of(forgery.write(file, careful=True)))]
    assert split[0].name not in told


def _turned(forgery: Forgery, linear: dict[str, Any]) -> str:
    name = "turned"
    forgery.tensors[name] = np.roll(forgery.tensors[linear["index"]], 1)
    return name
