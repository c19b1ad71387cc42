"""Rows: no value lies beyond what their forms show, and no forged one is let through
(autolip_check.rows)."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autolip import Ball, Box, lipschitz
from autolip.regions import Region
from autolip_check.check import check
from autolip_check.container import Rejected, read
from autolip_check.effort import UNLIMITED
from autolip_check.graph import read_network
from autolip_check.ranges import Ranges, _start
from autolip_check.reach import Bounds, Place
from autolip_check.rows import less, rows_of
from tests.checker.conftest import Forgery
from tests.checker.test_ranges import chain

POINT = torch.tensor([0.3, -0.2, 0.5, 0.1])

REGIONS: dict[str, Region] = {
    "l2": Ball(POINT, 0.7),
    "linf": Ball(POINT, 0.4, "linf"),
    "l1": Ball(POINT, 0.9, "l1"),
    "box": Box(POINT - 0.3, POINT + torch.tensor([0.3, -0.3, 0.6, 0.4])),
}


def model(kind: str) -> nn.Sequential:
    torch.manual_seed(5)
    if kind == "chain":
        return nn.Sequential(*chain(4, 12, 12, 12, 2)).eval()
    conv = nn.Sequential(nn.Unflatten(0, (1, 1, 4)), nn.Conv1d(1, 3, 3, padding=1), nn.ReLU())
    return nn.Sequential(
        *conv, nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    ).eval()


@dataclass
class Told:
    """A certificate whose ranges rest on rows."""

    file: Path
    kind: str

    def ranges(self, with_rows: bool = True) -> Ranges:
        document, tensors = read(self.file)
        network = read_network(document["graph"], tensors)
        place, start = Place.of(Bounds.of(network.region.entry)), _start(network)
        assert start is not None
        rows = rows_of(document["proof"])[0] if with_rows else {}
        found = Ranges(network, place, start, (place.middle,), UNLIMITED, rows, tensors)
        found.derive()
        return found


@pytest.fixture(scope="module", params=["chain-l2", "chain-box", "conv-linf"])
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    kind, region = request.param.split("-")
    asked = {"norm": "linf"} if region == "linf" else {}
    found = lipschitz(
        model(kind), POINT, region=REGIONS[region], method="autolip", lower=None, **asked
    )
    file = tmp_path_factory.mktemp("rows") / "rows.cert"
    found.certificate().save(file)
    yield Told(file, kind)


def test_rows_are_closer_and_nothing_lies_beyond(told: Told) -> None:
    """At the ends of the region, where values are extreme."""
    before, after = told.ranges(with_rows=False), told.ranges()
    narrower = sum(
        int((one.lo > before.known[name].lo).sum() + (one.hi < before.known[name].hi).sum())
        for name, one in after.known.items()
    )
    assert narrower > 0
    entry = read(told.file)[0]["graph"]["region"]
    directions = torch.randn((400, 4), generator=torch.Generator().manual_seed(0))
    for x in _inside(entry, directions.double()):
        values = _operands(model(told.kind).double(), x)
        for one, value in zip(after.known.values(), values, strict=True):
            flat = value.reshape(-1).numpy()
            assert bool((one.lo <= flat + 1e-12).all() and (flat <= one.hi + 1e-12).all())


def _inside(entry: dict[str, Any], directions: torch.Tensor) -> torch.Tensor:
    """Points of the region's edge."""
    if entry["kind"] == "box":
        lo, hi = (torch.tensor(entry[end]).double() for end in ("lo", "hi"))
        return torch.where(directions > 0, hi, lo)
    if entry["norm"] == "linf":
        directions = directions.sign()
    norm = {"l1": 1.0, "l2": 2.0, "linf": torch.inf}[entry["norm"]]
    lengths = directions.norm(norm, dim=1, keepdim=True)
    centre = torch.tensor(entry["center"]).double()
    return centre + entry["radius"] * directions / lengths * (1 - 1e-12)


def _operands(network: nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    """What every relu is given."""
    found = []
    for layer in network:
        if isinstance(layer, nn.ReLU):
            found.append(x.detach())
        x = layer(x)
    return found


def test_no_slope_is_assumed(told: Told) -> None:
    sentences = " ".join(check(told.file).assumed)
    assert "narrower than" not in sentences and "as a linear map" not in sentences


Change = Callable[[dict[str, Any], Forgery], None]


def weaker(row: dict[str, Any], forgery: Forgery) -> None:
    """Half the weights of the input: the entry is said to go less far."""
    row["inputs"] = _times(row["inputs"], 0.5, forgery)


def other(row: dict[str, Any], forgery: Forgery) -> None:
    """Multipliers that prove nothing."""
    row["multipliers"] = {
        name: _times(value, 0.01, forgery) for name, value in row["multipliers"].items()
    }


def _times(value: Any, factor: float, forgery: Forgery) -> Any:
    if not isinstance(value, str):
        return value * factor
    name = f"{value}-{factor}"
    forgery.tensors[name] = forgery.tensors[value].astype(np.float64) * factor
    return name


def nowhere(row: dict[str, Any], forgery: Forgery) -> None:
    row["entry"] = 10**6


def below(row: dict[str, Any], forgery: Forgery) -> None:
    row["entry"] = -1


def nothing(row: dict[str, Any], forgery: Forgery) -> None:
    row["at"] = forgery.document["graph"]["output"]


def without(row: dict[str, Any], forgery: Forgery) -> None:
    row["multipliers"] = {}


def negative(row: dict[str, Any], forgery: Forgery) -> None:
    row["inputs"] = -1.0


def surplus(row: dict[str, Any], forgery: Forgery) -> None:
    row["value"] = 1.0


@pytest.mark.parametrize(
    "change", [weaker, other, nowhere, below, nothing, without, negative, surplus]
)
def test_a_forged_row_is_rejected(change: Change, told: Told, tmp_path: Path) -> None:
    forgery = Forgery.of(told.file)
    forgery.document = copy.deepcopy(forgery.document)
    rows = [step for step in forgery.document["proof"] if step["step"] == "row"]
    change(rows[0], forgery)
    with pytest.raises(Rejected):
        check(forgery.write(tmp_path / "forged.cert", careful=True))


def test_rows_hold_on_their_region_alone(told: Told, tmp_path: Path) -> None:
    """On a larger one slopes are wider, and the forms are not positive, or the slopes are told."""
    forgery = Forgery.of(told.file)
    region = forgery.document["graph"]["region"]
    if region["kind"] == "box":
        region["hi"] = [end + 3.0 for end in region["hi"]]
    else:
        region["radius"] *= 10
    try:
        verdict = check(forgery.write(tmp_path / "wide.cert", careful=True))
    except Rejected:
        return
    assert "narrower than" in " ".join(verdict.assumed)


def test_differences_of_slopes_are_rounded_downward_and_admitted() -> None:
    found = less(np.array([1.0, 0.3, 1e-300, -1e-300]), np.array([1.0, 0.1, 0.0, 0.0]))
    assert -(2.0**-240) < found[0] < 0 and found[1] < 0.3 - 0.1
    assert found[2] == 0.0 and found[3] == -(2.0**-250)
