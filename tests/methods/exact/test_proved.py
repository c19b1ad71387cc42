"""Bounds of cases hold for every choice of slopes, and for multipliers from anywhere.

Covers autolip.piecewise.relaxed too.
"""

import math

import pytest
import torch
from torch import Tensor

from autolip.methods.exact import proved
from autolip.methods.exact.proved import entry_bounds, jacobians, norms_of, quadratic_bounds
from autolip.norms import Norm
from autolip.piecewise import signs
from autolip.piecewise.network import Network
from autolip.piecewise.relaxed import Vectors, climbed
from autolip.rounded import Rounded
from tests.piecewise.drawn import relu_chain, written
from tests.piecewise.test_signs import SIGNED
from tests.piecewise.test_signs import largest as at_corners


def network() -> Network:
    return written(relu_chain(3, 6, 5, 2, seed=2), 3)


def cases(network: Network, count: int) -> tuple[Tensor, Tensor]:
    """Random cases: about half of the neurons on one piece."""
    draw = torch.Generator().manual_seed(0)
    first = torch.randint(0, 2, (count, network.neurons), generator=draw)
    free = torch.rand(count, network.neurons, generator=draw) < 0.5
    last = torch.where(free, 1, first)
    first = torch.where(free, 0, first)
    return first, last


def largest(network: Network, first: Tensor, last: Tensor) -> Tensor:
    """The largest norm of random patterns of each case, vertices and others."""
    low, high = network.slopes(first, last)
    best = torch.zeros(len(first), dtype=torch.float64)
    draw = torch.Generator().manual_seed(1)
    for number in range(300):
        share = torch.rand(low.shape, generator=draw, dtype=torch.float64)
        share = share.round() if number % 2 else share
        maps = jacobians(network, low + share * (high - low), torch.zeros_like(low))
        best = torch.maximum(best, torch.linalg.matrix_norm(maps.value, 2))
    return best


def test_quadratic_bounds_are_above_all_slopes_and_near() -> None:
    net = network()
    first, last = cases(net, 40)
    slopes = net.centred(first, last)
    start = Vectors.random(net, 40, 6, torch.Generator().manual_seed(0))
    climb = climbed(net, *slopes, start, 100, 2e-3)
    bounds = quadratic_bounds(net, *slopes, climb.multipliers, 0.0)
    known = largest(net, first, last)
    assert bool((bounds >= known * (1 - 1e-12)).all())
    assert bool((bounds <= climb.attained * 1.002).all())


def test_any_multipliers_prove_a_bound_or_none() -> None:
    net = network()
    first, last = cases(net, 40)
    slopes = net.centred(first, last)
    known = largest(net, first, last)
    for scale in (1e-3, 0.1, 1.0, 10.0, 1e4):
        noise = torch.rand(slopes[0].shape, dtype=torch.float64) * scale
        bounds = quadratic_bounds(net, *slopes, noise, 0.0)
        assert bool((bounds >= known * (1 - 1e-12)).all())
    nothing = quadratic_bounds(net, *slopes, torch.zeros_like(slopes[0]), 0.0)
    assert bool((nothing[(slopes[1] > 0).any(1)] == math.inf).all())


def test_a_wanted_value_below_the_bound_changes_nothing() -> None:
    net = network()
    first, last = cases(net, 10)
    slopes = net.centred(first, last)
    start = Vectors.random(net, 10, 6, torch.Generator().manual_seed(0))
    climb = climbed(net, *slopes, start, 100, 2e-3)
    plain = quadratic_bounds(net, *slopes, climb.multipliers, 0.0)
    wanted = quadratic_bounds(net, *slopes, climb.multipliers, float(plain.median()))
    assert bool((wanted >= plain * (1 - 1e-6)).all())
    assert bool((wanted <= torch.clamp(plain, min=float(plain.median())) * (1 + 1e-6)).all())


def test_a_guess_that_is_too_small_proves_nothing_false(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    first, last = cases(net, 20)
    slopes = net.centred(first, last)
    start = Vectors.random(net, 20, 6, torch.Generator().manual_seed(0))
    climb = climbed(net, *slopes, start, 100, 2e-3)
    right = proved._guess
    monkeypatch.setattr(proved, "_guess", lambda *given: 0.9 * right(*given))
    bounds = quadratic_bounds(net, *slopes, climb.multipliers, 0.0)
    assert bool((bounds >= largest(net, first, last) * (1 - 1e-12)).all())


def operator_norms(maps: Tensor, norm: Norm) -> Tensor:
    """From a norm to itself, of every matrix."""
    if norm is Norm.L2:
        return torch.linalg.matrix_norm(maps, 2)
    return maps.abs().sum(1 if norm is Norm.L1 else 2).amax(1)


@pytest.mark.parametrize(
    ("p", "q"), [(Norm.L2, Norm.L2), (Norm.L1, Norm.L1), (Norm.LINF, Norm.LINF)]
)
def test_bounds_by_entries_hold_and_are_norms_where_slopes_are_known(p: Norm, q: Norm) -> None:
    net = network()
    first, last = cases(net, 40)
    low, high = net.slopes(first, last)
    bounds = entry_bounds(net, *net.centred(first, last), p, q)
    for share in torch.rand(50, *low.shape, dtype=torch.float64):
        maps = jacobians(net, low + share * (high - low), torch.zeros_like(low)).value
        assert bool((bounds >= operator_norms(maps, p) * (1 - 1e-12)).all())
    exact = jacobians(net, *net.centred(first, first))
    known = operator_norms(exact.value, p)
    found = norms_of(exact, p, q)
    assert bool((found >= known * (1 - 1e-12)).all())
    assert bool((found <= known * (1 + 1e-9)).all())
    assert bool(exact.error.amax() < 1e-14)


@pytest.mark.parametrize(("p", "q"), SIGNED)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_norms_that_signs_decide(
    p: Norm, q: Norm, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every matrix within the error, and hardly more than the largest of these; in parts."""
    monkeypatch.setattr(signs, "AT_ONCE", 4 * max(shape))
    torch.manual_seed(0)
    value = torch.randn(4, *shape, dtype=torch.float64)
    error = 0.1 * torch.rand(4, *shape, dtype=torch.float64)
    found = norms_of(Rounded.exact(value), p, q)
    known = torch.tensor([at_corners(matrix, p, q) for matrix in value], dtype=torch.float64)
    assert bool((found >= known).all()) and bool((found <= known * (1 + 1e-12)).all())
    around = norms_of(Rounded(value, error), p, q)
    for corner in torch.randint(2, (100, 4, *shape)):
        moved = value + (2 * corner - 1) * error
        for matrix, bound in zip(moved, around.tolist(), strict=True):
            assert at_corners(matrix, p, q) <= bound * (1 + 1e-15)
    assert bool((around > found).all())
