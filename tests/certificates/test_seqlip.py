"""Certificates of exact SeqLip: cuts and cases are accepted by the checker, at the bound but for
1e-4.

Covers autolip.methods.seqlip.certificate.
"""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

import autolip
from autolip.errors import InputError
from autolip_check.check import check
from tests.certificates.test_autolip import certified
from tests.checker.conftest import Forgery, verdict

pytestmark = pytest.mark.slow

__all__ = ["verdict"]


def chain(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(sum(sizes))
    layers = [
        layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), activation())
    ]
    return nn.Sequential(*layers[:-1]).eval()


def exact(model: nn.Module, size: int) -> autolip.Result:
    return autolip.lipschitz(model, torch.zeros(1, size), method="seqlip-exact", lower=[])


@pytest.mark.parametrize("sizes", [(3, 6, 2), (2, 9, 1), (3, 8, 7, 2), (4, 6, 6, 6, 3)])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU])
def test_chains_are_certified(
    sizes: tuple[int, ...], activation: type[nn.Module], tmp_path: Path
) -> None:
    result = exact(chain(*sizes, activation=activation), sizes[0])
    certificate = result.certificate()
    certificate.save(tmp_path / "x.cert")
    verdict = check(tmp_path / "x.cert")
    assert "deterministically" in verdict.claim and not any(
        "slopes within" in sentence for sentence in verdict.assumed
    )
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= certificate.value <= result.upper.value * 1.0001
    assert {step["step"] for step in certificate.document["proof"]} == {"cases"}


@pytest.mark.parametrize("pruned", [(), (0,)])
def test_one_hidden_layer_is_certified_at_its_exact_constant(
    pruned: tuple[int, ...], tmp_path: Path
) -> None:
    """The largest of all 2^8 products, which the certificate exceeds by 1e-4 at most; neurons that
    do not move count, too."""
    model = chain(5, 8, 5)
    with torch.no_grad():
        model[0].weight[list(pruned)] = 0.0
    first, last = (
        layer.weight.detach().double() for layer in model if isinstance(layer, nn.Linear)
    )
    patterns = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 8)
    largest = torch.linalg.matrix_norm((last * patterns[:, None, :]) @ first, 2).max().item()
    certificate = exact(model, 5).certificate()
    certificate.save(tmp_path / "x.cert")
    assert check(tmp_path / "x.cert").claim
    assert largest <= certificate.value <= largest * 1.0001
    assert "low" in certificate.document["proof"][0]["tree"], "the relaxation alone would not do"


def test_a_smaller_value_or_a_missing_case_is_rejected(tmp_path: Path, verdict) -> None:
    exact(chain(5, 8, 5), 5).certificate().save(tmp_path / "genuine.cert")
    original = Forgery.of(tmp_path / "genuine.cert")
    smaller = Forgery(copy.deepcopy(original.document), original.tensors)
    smaller.document["proof"][0]["value"] *= 1 - 1e-4
    smaller.document["claim"]["value"] *= 1 - 1e-4
    assert verdict(smaller) is None
    for end, other in (("low", "high"), ("high", "low")):
        forged = Forgery(copy.deepcopy(original.document), original.tensors)
        tree = forged.document["proof"][0]["tree"]
        tree[end] = copy.deepcopy(tree[other])
        del tree[other]
        assert verdict(forged) is None
    forged = Forgery(copy.deepcopy(original.document), original.tensors)
    forged.document["proof"][0]["tree"]["entry"] = 99
    assert verdict(forged) is None


def test_the_product_of_norms_is_certified_where_it_is_better(tmp_path: Path) -> None:
    """Not a chain: no certificate of SeqLip, a clear sentence instead."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = chain(3, 5, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.a(x))
            return self.b(y) + x[..., :2]

    result = exact(Two().eval(), 3)
    with pytest.raises(InputError, match="comes without a proof"):
        result.certificate()
    certified(
        autolip.lipschitz(Two().eval(), torch.zeros(1, 3), method="autolip", lower=[]), tmp_path
    )


def test_slopes_known_but_for_rounding_are_held(tmp_path: Path) -> None:
    """A coordinate that is fixed leaves neurons intervals of 1e-14: multipliers of 1e13 would drown
    the form."""
    torch.manual_seed(0)
    layers = (
        nn.Unflatten(1, (2, 2)),
        nn.Conv1d(2, 4, 2, padding=2, dilation=2, groups=2),
        nn.Mish(),
        nn.Flatten(),
    )
    model = nn.Sequential(*layers, nn.Linear(16, 2)).eval()
    region = autolip.Box(torch.full((1, 4), 0.1), torch.tensor([[0.1, 0.4, 0.4, 0.5]]))
    result = autolip.lipschitz(
        model, torch.zeros(1, 4), region=region, method="seqlip-exact", lower=None
    )
    result.certificate().save(tmp_path / "x.cert")
    assert check(tmp_path / "x.cert").claim
