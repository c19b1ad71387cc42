"""The solver's optimum and the vector power method's agree, and either is proved."""

import builtins
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from autolip.errors import InputError, Refusal
from autolip.methods import LipSDP
from autolip.methods.method import Bound
from autolip.values import Certainty, Upper
from tests.methods.lipsdp.conftest import mlp, pose

pytestmark = pytest.mark.slow

ACTIVATIONS = {"[0, 1]": nn.ReLU(), "[0.1, 1]": nn.LeakyReLU(0.1), "[-0.13, 1.13]": nn.GELU()}


class Skipping(nn.Module):
    """A x + f(x)."""

    def __init__(self, network: nn.Sequential, width: int, out: int) -> None:
        super().__init__()
        self.network, self.skip = network, nn.Linear(width, out, bias=False).double()
        self.skip.weight.data = torch.linspace(-1, 1, width * out, dtype=torch.float64).reshape(
            out, width
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.network(x)


def proved(model: nn.Module, width: int, norm: str, method: LipSDP) -> float:
    bound = method.bound(pose(model, (1, width), norm))
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper), bound
    assert bound.value.certainty is Certainty.PROVED
    return bound.value.value


CASES = [
    ((4, 8, 7, 3), "[0, 1]", True, "linf:l2"),
    ((5, 10, 8, 10, 3), "[0.1, 1]", True, "l2"),
    ((4, 9, 6, 1), "[-0.13, 1.13]", True, "l2"),
    ((4, 9, 6, 2), "[-0.13, 1.13]", False, "linf:l2"),
]


@pytest.mark.parametrize(("widths", "slopes", "skip", "norm"), CASES)
def test_the_same_optimum(widths: Sequence[int], slopes: str, skip: bool, norm: str) -> None:
    model: nn.Module = mlp(*widths, seed=len(widths), activation=ACTIVATIONS[slopes])
    if skip:
        model = Skipping(model, widths[0], widths[-1]).eval()  # type: ignore[arg-type]
    reference = proved(model, widths[0], norm, LipSDP(solver="cvxpy"))
    assert proved(model, widths[0], norm, LipSDP(tolerance=2e-5, seconds=10)) == pytest.approx(
        reference, rel=1e-4
    )


def test_a_large_network_is_refused() -> None:
    found = LipSDP(solver="cvxpy").bound(pose(mlp(4, 500, 2), (1, 4), "linf:l2"))
    assert isinstance(found, Refusal) and "504 rows" in str(found)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, space: Mapping[str, object] | None = None, *rest: object) -> object:
        if name == "cvxpy":
            raise ImportError(name)
        return original(name, space, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    found = LipSDP(solver="cvxpy").bound(pose(mlp(4, 5, 2), (1, 4), "linf:l2"))
    assert isinstance(found, Refusal) and "autolip[sdp]" in str(found)


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(InputError, match="no solver 'mosek'"):
        LipSDP(solver="mosek")
