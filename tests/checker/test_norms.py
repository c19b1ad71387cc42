"""Norms: right claims are accepted, claims a little too small are not.

Covers autolip_check.symbol and autolip_check.lanczos too.
"""

import numpy as np
import pytest
import torch

from autolip.operators import Convolution, Dense, Diagonal, Geometry, Incidence, Operator, compose
from autolip_check.container import Rejected
from autolip_check.forms import Form, prove
from autolip_check.lanczos import trust
from autolip_check.maps import Map
from autolip_check.norms import entry_norms
from autolip_check.symbol import single_path, symbol
from tests.checker.test_maps import OPERATORS, section

torch.manual_seed(2)
SPECTRAL = ["dense", "convolution", "transposed", "adjoint", "overlap", "composed", "added", "pad"]


def form(operator: Operator, value: float) -> Form:
    return Form(section(operator).network, "x", "y", np.array(value**2), np.array(1.0), {})


@pytest.mark.parametrize("name", SPECTRAL)
def test_factorisation_decides_to_ten_digits(name: str) -> None:
    norm = torch.linalg.matrix_norm(OPERATORS[name].matrix(), 2).item()
    prove(form(OPERATORS[name], norm * (1 + 1e-10)))
    with pytest.raises(Rejected):
        prove(form(OPERATORS[name], norm * (1 - 1e-12)))


@pytest.mark.parametrize("name", SPECTRAL)
def test_lanczos_decides(name: str) -> None:
    norm = torch.linalg.matrix_norm(OPERATORS[name].matrix(), 2).item()
    trust(form(OPERATORS[name], norm * 1.001), 1e-9)
    for _ in range(5):
        with pytest.raises(Rejected):
            trust(form(OPERATORS[name], norm * (1 - 1e-9)), 1e-9)


@pytest.mark.slow
def test_lanczos_errs_as_often_as_it_says() -> None:
    """With delta 0.3, a large singular value among 400 is overlooked sometimes, but not more often
    than that."""
    squares = torch.cat([torch.tensor([1.0001]), 1 - torch.linspace(0.01, 1, 399)]).double()
    operator = Dense(torch.diag(squares.sqrt()))
    accepted = 0
    for _ in range(100):
        try:
            trust(form(operator, 1.0), 0.3)
            accepted += 1
        except Rejected:
            pass
    assert 0 < accepted < 100 * 0.3 + 28


@pytest.mark.parametrize("majorant", [False, True])
@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"zero"}))
def test_sums_of_entries_are_bounds(name: str, majorant: bool) -> None:
    matrix = OPERATORS[name].matrix()
    bounds = entry_norms(section(OPERATORS[name]).network, "x", "y", majorant)
    x = torch.randint(0, 2, (matrix.shape[1], 200)).double() * 2 - 1
    p_norms = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}
    vectors = torch.cat(
        [x, torch.eye(matrix.shape[1], dtype=torch.float64), torch.randn_like(x)], 1
    )
    for (p, q), bound in bounds.items():
        sizes = [
            torch.linalg.vector_norm(v, ord=p_norms[n], dim=0)
            for v, n in ((vectors, p), (matrix @ vectors, q))
        ]
        assert (sizes[1] / sizes[0]).max().item() <= bound
    if not majorant:
        assert bounds["l1", "l1"] == pytest.approx(matrix.abs().sum(0).max().item())
        assert bounds["l1", "l2"] == pytest.approx(matrix.norm(dim=0).max().item())
        assert bounds["linf", "linf"] == pytest.approx(matrix.abs().sum(1).max().item())


CONVOLUTIONS = {
    "plain": (torch.randn(4, 3, 3, 3), Geometry((1, 1), (1, 1), (1, 1))),
    "strided": (torch.randn(4, 2, 4, 3), Geometry((2, 3), (1, 0), (1, 1))),
    "dilated": (torch.randn(2, 5, 3), Geometry((2,), (4,), (3,))),
    "groups": (torch.randn(6, 2, 3, 3), Geometry((1, 1), (0, 0), (2, 1), groups=3)),
    "transposed": (torch.randn(4, 3, 3, 2), Geometry((2, 1), (1, 0), (1, 1), True)),
    "pointwise": (torch.randn(4, 3, 1, 1), Geometry((1, 1), (0, 0), (1, 1))),
}


def supremum(conv: Convolution) -> float:
    """The norm of the symbol, on a grid fine enough for four digits: that of a large periodic
    convolution."""
    from autolip.operators.norms import NormOptions
    from autolip.operators.norms.symbol.bound import symbol_norm

    return symbol_norm(conv, NormOptions(tolerance=1e-5)).value  # type: ignore[union-attr]


def path(operator: Operator) -> list[Map]:
    return single_path(section(operator).network, "x", "y")


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_symbol_decides(name: str) -> None:
    weight, geometry = CONVOLUTIONS[name]
    channels = weight.shape[0] if geometry.transposed else weight.shape[1] * geometry.groups
    conv = Convolution(weight, (channels, *[12] * geometry.dims), geometry)
    norm = supremum(conv)
    symbol(path(conv), norm * 1.001)
    with pytest.raises(Rejected):
        symbol(path(conv), norm * 0.9995)


def test_the_symbol_takes_scaled_channels() -> None:
    weight, geometry = CONVOLUTIONS["groups"]
    conv = Convolution(weight, (6, 12, 12), geometry)
    before, after = torch.rand(6, 1, 1) + 0.5, torch.rand(6, 1, 1) + 0.5
    scaled = compose(Diagonal(after, conv.out_shape), conv, Diagonal(before, conv.in_shape))
    apart = [
        *path(Diagonal(before, conv.in_shape)),
        *path(conv),
        *path(Diagonal(after, conv.out_shape)),
    ]
    assert isinstance(scaled, Convolution)
    norm = supremum(scaled)
    symbol(apart, norm * 1.001)
    with pytest.raises(Rejected):
        symbol(apart, norm * 0.999)
    shuffle = path(Incidence(lambda x: x[[5, 4, 3, 2, 1, 0]], conv.out_shape))
    symbol([*apart, *shuffle], norm * 1.001)
    with pytest.raises(Rejected, match="scalings of its channels"):
        symbol([*apart[:-1], *shuffle, apart[-1]], norm * 1.001)
    with pytest.raises(Rejected, match="along the image"):
        symbol([*path(Diagonal(torch.rand(1, 12, 1) + 1, conv.in_shape)), *path(conv)], 1e9)
