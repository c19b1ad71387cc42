"""Every published ONNX file gets a bracket: attention and recurrent networks on a small box, the
others everywhere."""

import math
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from autolip.capture.inputs import Request
from autolip.capture.load import load_network
from autolip.estimate import bracket
from autolip.lower import Ascent
from autolip.methods import AUTO
from autolip.norms import Norm
from autolip.regions import Ball, Everywhere, Region

from .zoo_networks import ZOO

FILES = sorted(ZOO.rglob("*.onnx"))
LOCAL = ("attention", "recurrent")
"""Folders of networks that multiply variables: their constants are infinite or unknown on an
unbounded region."""

SECONDS = 4.0
"""For all members and the search together: late ones are left out."""

ACAS = 2.8787e7
"""Published product of norms of ACAS Xu 1_1."""


@pytest.mark.skipif(not FILES, reason=f"no ONNX files in {ZOO}; set AUTOLIP_ZOO")
@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_file_is_bracketed(path: Path) -> None:
    """By every member of the portfolio: none below what is attained, none but the moduli above the
    product of norms."""
    capture = load_network(str(path), Request(outputs="all")).capture
    local = path.parent.name in LOCAL
    region: Region = Ball(capture.example.double(), 1e-3, Norm.LINF) if local else Everywhere()
    search = Ascent(passes=100, seconds=0.3)
    result = bracket(
        capture,
        model=path.stem,
        region=region,
        method=list(AUTO),
        lower=search,
        time_budget=SECONDS,
    )
    assert result.upper is not None and result.lower is not None
    assert 0 < result.lower.value <= result.upper.value < math.inf
    uppers = {
        row.method: row.value
        for row in result.bounds
        if row.kind == "upper" and row.value is not None
    }
    for method, value in uppers.items():
        assert result.lower.value <= value and (
            value <= uppers["autolip"] * (1 + 1e-9) or method == "nonnegative"
        )
    if path.parent.name == "acasxu":
        assert uppers["autolip"] == pytest.approx(ACAS, rel=2e-5) and "lipsdp" in uppers
