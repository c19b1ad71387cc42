"""Certificates of slopes from one point: the claim names it, the check wants it in the region, and
a capture is compared from there."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autolip import Ball, Box, lipschitz
from autolip.certificates.certificate import Certificate, canonical
from autolip.regions import Region
from autolip.result import Result
from autolip_check.check import check
from autolip_check.container import Rejected

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
POINT = torch.tensor([[0.1, -0.2, 0.3]])


def result(region: Region, point: Any = None, norm: str = "l2", method: str = "lipsdp") -> Result:
    return lipschitz(
        MODEL.eval(),
        POINT,
        norm=norm,
        region=region,
        secants="centre",
        point=point,
        method=method,
        lower=None,
    )


@pytest.mark.parametrize("region", [Ball(POINT, 0.4), Ball(POINT, 0.4, "l1"), Box(-1.0, 0.5)])
@pytest.mark.parametrize("method", ["lipsdp", "autolip"])
def test_the_claim_is_of_one_point(region: Region, method: str, tmp_path: Path) -> None:
    found = result(region, POINT, method=method)
    found.certificate().save(tmp_path / "near.cert")
    verdict = check(tmp_path / "near.cert")
    assert "and y = [0.10000000149011612, -0.20000000298023224" in verdict.claim
    assert "for all x in the" in verdict.claim and "x, y" not in verdict.claim
    assert any("this y alone" in sentence for sentence in verdict.assumed)
    assert found.upper is not None and found.upper.value is not None
    assert f"<= {found.certificate().value!r} " in verdict.claim


def forged(certificate: Certificate, path: Path, centre: Any) -> Path:
    document = copy.deepcopy(certificate.document)
    document["claim"]["centre"] = centre
    Certificate(document, certificate.tensors).save(path)
    return path


@pytest.mark.parametrize(
    ("region", "centre", "said"),
    [
        (Ball(POINT, 0.4), [1.0, 0.0, 0.0], "not in the ball"),
        (Ball(POINT, 0.4, "l1"), [0.4, 0.0, 0.3], "not in the ball"),
        (Ball(POINT, 0.4, "linf"), [0.6, 0.0, 0.0], "not in the ball"),
        (Box(-1.0, 0.5), [0.0, 0.0, 0.6], "not in the box"),
        (Box(-1.0, 0.5), [0.0, 0.0], "2 entries, not 3"),
        (Box(-1.0, 0.5), None, "not a list"),
    ],
)
def test_a_point_elsewhere_is_rejected(
    region: Region, centre: Any, said: str, tmp_path: Path
) -> None:
    certificate = result(region, method="autolip").certificate()
    path = forged(certificate, tmp_path / "forged.cert", centre)
    with pytest.raises(Rejected, match=said):
        check(path)


def test_the_slopes_of_a_point_are_not_those_of_any_two(tmp_path: Path) -> None:
    """Without its point the claim is a larger one, which the words then show."""
    certificate = result(Ball(POINT, 0.4)).certificate()
    assert certificate.document["claim"]["centre"] == POINT.double().flatten().tolist()
    assert "centre" in canonical(certificate.document)
    certificate.save(tmp_path / "near.cert")
    assert "x, y" not in check(tmp_path / "near.cert").claim
