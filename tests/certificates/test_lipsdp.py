"""Certificates of LipSDP are accepted by the checker, at the bound but for rounding."""

from pathlib import Path

import pytest
import torch
from torch import nn

import autolip
from autolip.methods.lipsdp.method import LipSDP
from autolip_check.check import check
from tests.certificates.test_autolip import certified


class Residual(nn.Module):
    """A residual block, a maximum, a leaky and a smooth activation, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.leaky_relu(self.a(x), 0.2)
        y = x + nn.functional.gelu(self.b(x))
        return self.c(torch.cat([torch.maximum(x, y), torch.sigmoid(y)], -1))


class Blocks(nn.Module):
    """A layer norm's gain by rows, between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.softmax(self.a(x), -1))


def convolutional() -> nn.Module:
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3)
    )


def deep() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(
        *(layer for _ in range(12) for layer in (nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 1)
    )


CASES = {
    "residual": (Residual, (1, 4)),
    "blocks": (Blocks, (2, 4)),
    "convolutional": (convolutional, (1, 1, 6, 6)),
    "deep": (deep, (1, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "linf:l2"])
@pytest.mark.parametrize("name", CASES)
def test_accepted_and_not_above_autolip(name: str, norm: str, tmp_path: Path) -> None:
    factory, shape = CASES[name]
    result = autolip.lipschitz(
        factory().eval(),
        torch.zeros(shape),
        norm=norm,
        method=[LipSDP(seconds=2.0), "autolip"],
        lower=[],
    )
    verdict = certified(result, tmp_path)
    assert "deterministically" in verdict.claim
    assert result.upper is not None and result.upper.method == "lipsdp"


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf:l1", "linf"])
def test_other_norms_of_a_scalar(norm: str, tmp_path: Path) -> None:
    result = autolip.lipschitz(
        deep().eval(), torch.zeros(1, 4), norm=norm, method=LipSDP(seconds=2.0), lower=[]
    )
    certified(result, tmp_path)


class Cancelling(nn.Module):
    """Of what moves little, v is added and taken away: at the end, or before a tanh."""

    def __init__(self, scale: float, within: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(3, 2)
        self.scale, self.within = scale, within

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.within:
            v = self.a(x)
            return self.b(torch.tanh(self.scale * v + v - v))
        v = self.c(x)
        return self.scale * self.b(torch.tanh(self.a(x))) + v - v


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(("scale", "most"), [(1e-6, 1.0001), (1e-9, 1.1), (1e-12, 10)])
def test_terms_that_cancel_cost_their_rounding(
    scale: float, most: float, within: bool, tmp_path: Path
) -> None:
    """About 1e-13 of v, which the check does not see to cancel."""
    model = Cancelling(scale, within).double()
    example = torch.zeros(1, 3, dtype=torch.float64)
    result = autolip.lipschitz(model, example, norm="l2:linf", method=LipSDP(), lower=[])
    certificate = result.certificate()
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= certificate.value <= most * result.upper.value
    certificate.save(tmp_path / "x.cert")
    check(tmp_path / "x.cert")


def test_on_a_box(tmp_path: Path) -> None:
    """Narrower slopes, and operations that do not bend, are listed as taken from the
    certificate."""
    region = autolip.Box(torch.full((1, 4), 0.5), torch.full((1, 4), 0.55))
    model = Residual().eval()
    near = autolip.lipschitz(
        model, torch.zeros(1, 4), region=region, method=LipSDP(seconds=2.0), lower=[]
    )
    verdict = certified(near, tmp_path)
    assert any("slopes narrower than" in sentence for sentence in verdict.assumed)
    assert any("as a linear map" in sentence for sentence in verdict.assumed)


def test_a_certificate_is_that_of_the_better_method(tmp_path: Path) -> None:
    """One step of the ascent is worse than the product of norms, which is then what is
    certified."""
    result = autolip.lipschitz(
        nn.Linear(3, 2).eval(), torch.zeros(1, 3), method=["lipsdp"], lower=[]
    )
    certificate = result.certificate()
    certificate.save(tmp_path / "x.cert")
    assert check(tmp_path / "x.cert").claim
    assert certificate.value == pytest.approx(result.upper.value)


@pytest.mark.parametrize("norm", ["l2:linf", "linf"])
def test_the_largest_of_several_outputs(norm: str, tmp_path: Path) -> None:
    """One form for each of the three, in one fact."""
    method = LipSDP(seconds=2.0)
    result = autolip.lipschitz(
        Residual().eval(), torch.zeros(1, 4), norm=norm, method=method, lower=[]
    )
    verdict = certified(result, tmp_path)
    assert verdict.claim.startswith("||f(x) - f(y)||_linf") and "deterministically" in verdict.claim
    (step,) = result.certificate().document["proof"]
    assert step["step"] == "entries" and len(step["entries"]) == 3


def test_multipliers_of_very_different_sizes(tmp_path: Path) -> None:
    """Maxima of overlapping padded windows: most are never the largest, and their multipliers 10^7
    times the others.

    What is eliminated then cancels but for its rounding; the whole form does not.
    """
    torch.manual_seed(0)
    pooled = nn.Conv2d(1, 2, 1), nn.MaxPool2d(2, 1, padding=1), nn.Flatten(), nn.Linear(18, 2)
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), *pooled).eval()
    result = autolip.lipschitz(
        model, torch.zeros(1, 4), method=LipSDP(seconds=0.3), lower=None, output=0
    )
    result.certificate().save(tmp_path / "x.cert")
    assert check(tmp_path / "x.cert").claim
