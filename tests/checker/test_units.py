"""Claims in units: the graph has to begin with them, and the verdict says them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import autolip
from autolip.certificates.certificate import Certificate, canonical
from autolip_check.check import check
from autolip_check.container import Rejected
from autolip_check.graph import Edge, Network, Vertex
from autolip_check.maps import Diagonal
from autolip_check.units import in_units

UNITS = [0.5, 2.0, 3.0]


def certificate(**asked: Any) -> Certificate:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    return autolip.lipschitz(model, (1, 3), method="autolip", lower=None, **asked).certificate()


def saved(path: Path, found: Certificate) -> Path:
    found.save(path / "x.cert")
    return path / "x.cert"


@pytest.mark.parametrize(
    "region", [None, autolip.Box(0, 1), autolip.Box([0, 1, 0], [1, 1, 1]), autolip.Ball(0, 0)]
)
def test_the_verdict_says_the_units(tmp_path: Path, region: autolip.Box | None) -> None:
    found = certificate(input_scale=UNITS, output_scale=0.3, region=region)
    verdict = check(saved(tmp_path, found))
    assert "||(f(x) - f(y)) / [0.3]||_l2 <= " in verdict.claim
    assert f"||(x - y) / {UNITS}||_l2" in verdict.claim
    assert any("divides by the output scale" in sentence for sentence in verdict.assumed)
    assert not any("entries that move" in sentence for sentence in verdict.assumed)


def forged(found: Certificate, **claim: Any) -> Certificate:
    document = json.loads(canonical(found.document))
    document["claim"] |= claim
    return Certificate(document, found.tensors)


@pytest.mark.parametrize(
    ("asked", "claim", "reason"),
    [
        ({"input_scale": UNITS}, {"input_scale": [0.5, 2.0, 4.0]}, "does not begin with the units"),
        ({"input_scale": UNITS}, {"input_scale": 0.5}, "does not begin with the units"),
        ({"input_scale": UNITS}, {"input_scale": [0.5, 2.0]}, "has 2 entries, not 3"),
        ({"input_scale": UNITS}, {"input_scale": [0.5, 2.0, -3.0]}, "not positive"),
        ({"input_scale": UNITS}, {"input_scale": "x"}, "not a number"),
        ({"input_scale": UNITS}, {"input_scale": []}, "is empty"),
        ({}, {"input_scale": 0.5}, "does not begin with the units"),
        ({"output_scale": 2.0}, {"output_scale": 0.0}, "not positive"),
    ],
)
def test_a_claim_in_other_units_is_rejected(
    tmp_path: Path, asked: dict[str, Any], claim: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason):
        check(saved(tmp_path, forged(certificate(**asked), **claim)))


def test_nothing_reads_the_input_past_its_units() -> None:
    """A second reader, or a second operand, would see differences of other lengths."""
    start = Vertex("x", (2,), ())
    units = Edge("x", Diagonal(np.array([0.5, 2.0]), (2,), 0.0))
    plain = Edge("x", Diagonal(np.ones(2), (2,), 0.0))

    def network(*others: Vertex) -> Network:
        vertices = (start, *others)
        return Network("x", others[-1].name, {vertex.name: vertex for vertex in vertices})

    first = Vertex("u", (2,), (units,))
    after = Vertex("y", (2,), (Edge("u", plain.slope),))
    assert in_units(network(first, after), [0.5, 2.0]).units.tolist() == [0.5, 2.0]
    past = Vertex("y", (2,), (Edge("u", plain.slope), plain))
    twice = Vertex("u", (2,), (units, plain))
    for others in ((first, past), (twice, after), (first, Vertex("y", (2,), (plain,)))):
        with pytest.raises(Rejected, match="does not begin with the units"):
            in_units(network(*others), [0.5, 2.0])


def test_units_that_the_claim_leaves_out_are_a_scaling_of_the_model(tmp_path: Path) -> None:
    document = json.loads(canonical(certificate(input_scale=UNITS).document))
    del document["claim"]["input_scale"]
    found = Certificate(document, certificate(input_scale=UNITS).tensors)
    verdict = check(saved(tmp_path, found))
    assert "||x - y||_l2" in verdict.claim
    assert any("multiplies 'input' by 3 numbers" in sentence for sentence in verdict.assumed)


def test_a_ball_in_units_is_said_in_full(tmp_path: Path) -> None:
    ball = autolip.ScaledBall([1, 2, 3], 0.5, "l1", UNITS)
    verdict = check(saved(tmp_path, certificate(region=ball, secants="centre")))
    said = "in the l1 ball of radius 0.5 around [1.0, 2.0, 3.0], distances divided by "
    assert said + str(UNITS) in verdict.claim
    found = certificate(region=ball, secants="centre")
    with pytest.raises(Rejected, match="the centre is not in the ball"):
        check(saved(tmp_path, forged(found, centre=[1.3, 2.0, 3.0])))
    assert check(saved(tmp_path, forged(found, centre=[1.25, 2.0, 3.0])))
