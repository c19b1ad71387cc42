"""A law: of whatever network, in whatever norms, on whatever region, a bound with a proof has a
certificate that holds.

Its value is the bound's, but for what the check needs for rounding.

Covers autolip.certificates.certificate, autolip.certificates.conclusion,
autolip.certificates.encode and autolip.certificates.proof.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip.methods import Method, method_named
from autolip.methods.lipsdp.method import LipSDP
from autolip.regions import Region
from autolip_check.check import check


def chain(
    *sizes: int, activation: Callable[[], nn.Module] = nn.ReLU, scale: float = 1.0
) -> nn.Sequential:
    """Random dense layers with an activation between any two, weights times a scale."""
    layers = [
        layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), activation())
    ]
    for layer in layers[::2]:
        layer.weight.data *= scale
    return nn.Sequential(*layers[:-1])


class Joined(nn.Module):
    """x + b(relu(a(x))), c(cat(tanh, sigmoid)), a maximum, a product: what a method of this name
    computes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.a, self.b, self.c = kind, nn.Linear(4, 6), nn.Linear(6, 4), nn.Linear(6, 3)
        if kind == "zero block":
            self.b.weight.data.zero_()
        if kind == "dead inside":
            self.b.weight.data[:, 3:] = 0
            self.a.weight.data[:3] = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        if self.kind in ("zero block", "dead inside", "residual"):
            return x + self.b(torch.relu(y))
        if self.kind == "cancelling":
            return self.b(torch.relu(y)) + self.a(x)[..., :4] - self.a(x)[..., :4]
        if self.kind == "maximum":
            return self.c(torch.maximum(y, nn.functional.gelu(y)))
        if self.kind == "product":
            return self.c(torch.sigmoid(y) * torch.tanh(y))
        if self.kind == "softmax":
            return self.c(torch.softmax(y, -1))
        return self.c(torch.tanh(y)).sum()


def duplicated() -> nn.Module:
    """A neuron twice, a zero row, a zero column."""
    model = chain(4, 6, 3)
    model[0].weight.data[1] = model[0].weight.data[0]
    model[0].weight.data[2] = 0
    model[2].weight.data[:, 4] = 0
    return model


def rank_one() -> nn.Module:
    model = chain(4, 6, 5, 3)
    model[2].weight.data = torch.outer(torch.randn(5), torch.randn(6))
    return model


def convolutional() -> nn.Module:
    first = nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2, padding=1), nn.BatchNorm2d(3), nn.ReLU()
    return nn.Sequential(*first, nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(12, 3))


BOUNDED = {"dead inside", "tanh"}
"""Networks whose inner values are known everywhere: of neurons without input, and between the ends
of a tanh."""

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{
        kind: (lambda kind=kind: Joined(kind))
        for kind in ("zero block", "dead inside", "residual", "cancelling")
    },
    **{
        kind: (lambda kind=kind: Joined(kind))
        for kind in ("maximum", "product", "softmax", "scalar")
    },
    "one neuron": lambda: chain(4, 1, 1, 2),
    "one of one": lambda: nn.Sequential(nn.Linear(4, 1), nn.Tanh()),
    "affine": lambda: nn.Linear(4, 3),
    "chain": lambda: chain(4, 6, 3),
    "deep": lambda: chain(4, 5, 5, 5, 1),
    "duplicated": duplicated,
    "rank one": rank_one,
    "convolutional": convolutional,
    "large": lambda: chain(4, 5, 5, 2, scale=1e6),
    "small": lambda: chain(4, 5, 5, 2, scale=1e-6),
    "negative slope": lambda: chain(4, 6, 3, activation=lambda: nn.LeakyReLU(-3.0)),
    "tanh": lambda: chain(4, 5, 5, 2, activation=nn.Tanh),
    "silu": lambda: chain(4, 5, 2, activation=nn.SiLU),
    "mish": lambda: chain(4, 5, 2, activation=nn.Mish),
    "elu": lambda: chain(4, 5, 2, activation=lambda: nn.ELU(2.0)),
    "softplus": lambda: chain(4, 5, 2, activation=lambda: nn.Softplus(2.0)),
    "hardswish": lambda: chain(4, 5, 2, activation=nn.Hardswish),
    "clamped": lambda: chain(4, 5, 2, activation=lambda: nn.Hardtanh(-0.5, 0.5)),
}
REGIONS: dict[str, Region | None] = {
    "everywhere": None,
    "box": autolip.Box(torch.full((1, 4), 0.1), torch.full((1, 4), 0.4)),
    "partly fixed": autolip.Box(torch.full((1, 4), 0.1), torch.tensor([[0.1, 0.4, 0.4, 0.5]])),
    "l2 ball": autolip.Ball(torch.zeros(1, 4), 0.1),
    "linf ball": autolip.Ball(torch.ones(1, 4), 1.0, autolip.Norm.LINF),
}
NORMS = ("l2", "l1", "linf", "linf:l2", "l2:linf", "linf:l1")
FEW = (("everywhere", "l2"), ("everywhere", "linf:l2"), ("box", "l2"), ("l2 ball", "linf"))
NAMED = {"zero block", "cancelling", "scalar", "one neuron", "mish", "small", "convolutional"}


def holds(name: str, region: str, norm: str, method: Method, folder: Path) -> None:
    torch.manual_seed(0)
    model, given = NETWORKS[name]().eval(), REGIONS[region]
    result = autolip.lipschitz(
        model, torch.zeros(1, 4), norm=norm, region=given, method=method, lower=None
    )
    row = result.upper
    if row is None or row.value in (None, 0.0, float("inf")):
        return  # refused, constant or unbounded
    if row.proof() is None:
        assert method.title == "seqlip-exact"
        return
    certificate = result.certificate()
    assert row.value <= certificate.value <= row.value * 1.0005
    certificate.save(folder / "x.cert")
    verdict = check(folder / "x.cert")
    assert f"<= {certificate.value!r} ||" in verdict.claim and "deterministically" in verdict.claim
    if region == "everywhere":
        assert not any("narrower" in sentence for sentence in verdict.assumed) or name in BOUNDED


@pytest.mark.parametrize("name", sorted(NAMED))
def test_autolip_in_a_few_cases(name: str, tmp_path: Path) -> None:
    for region, norm in FEW:
        holds(name, region, norm, method_named("autolip"), tmp_path)


def turns() -> Iterator[tuple[str, str]]:
    """Every network everywhere and on one of the regions in turn."""
    bounded = itertools.cycle(list(REGIONS)[1:])
    for name, region in zip(NETWORKS, bounded, strict=False):
        yield name, "everywhere"
        yield name, region


@pytest.mark.slow
@pytest.mark.parametrize(("name", "region"), turns())
def test_every_method_with_a_proof(name: str, region: str, tmp_path: Path) -> None:
    for norm in NORMS:
        holds(name, region, norm, method_named("autolip"), tmp_path)
    for norm in ("l2", "linf"):
        holds(name, region, norm, LipSDP(seconds=0.5), tmp_path)
    holds(name, region, "l2", method_named("seqlip-exact"), tmp_path)
