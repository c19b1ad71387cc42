"""Theorem 3: the formula, its sharper form, the proved bound and the limit."""

import itertools
import math

import pytest
import torch

from autolip.errors import InputError
from autolip.methods.seqlip import (
    enumerate_patterns,
    ideal_network,
    maximise_exact,
    pi_limit,
    theorem3_bound,
    theorem3_factor,
)
from autolip.methods.seqlip.theorem3 import greatest_alignment


def unit(n, seed):
    x = torch.randn(n, generator=torch.Generator().manual_seed(seed)).double()
    return x / x.norm()


@pytest.mark.parametrize(("r", "s"), [(0.0, 0.0), (0.1, 0.3), (0.9, 0.8), (1.0, 1.0)])
def test_the_published_formula(r, s):
    u, v = unit(9, 1), unit(9, 2)
    m = max((u * v).clamp_min(0).sum().item(), -(u * v).clamp_max(0).sum().item())
    published = math.sqrt((1 - r - s) * m**2 + r + s + r * s)
    sharp = math.sqrt((1 - r) * (1 - s) * m**2 + r + s - r * s)
    assert theorem3_factor(u, v, r, s).value == pytest.approx(published, rel=1e-13)
    assert theorem3_factor(u, v, r, s, published=False).value == pytest.approx(sharp, rel=1e-13)
    assert sharp <= published * (1 + 1e-15)


def test_the_alignment_is_the_maximum_over_the_box():
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        u, v = torch.randn(2, 6, generator=g).double()
        lo, hi = torch.randn(2, 6, generator=g).double().sort(0).values
        vertices = itertools.product(*zip(lo.tolist(), hi.tolist(), strict=True))
        reference = max(
            abs(sum(s * x * y for s, x, y in zip(w, u.tolist(), v.tolist(), strict=True)))
            for w in vertices
        )
        low, high = greatest_alignment(u, v, lo, hi)
        assert low <= reference <= high
        assert high - low <= 1e-13


def test_the_factor_bounds_the_inner_maximum():
    """Layers with the spectra that the theorem speaks of: between square roots of singular
    values."""
    for seed, ratio in itertools.product(range(3), (0.02, 0.3, 1.0)):
        below, above = ideal_network(2, 10, ratio, seed=seed)
        a, b = above.values.sqrt()[:, None] * above.v.T, below.u * below.values.sqrt()
        for lo, hi in ((0.0, 1.0), (-0.2, 1.0), (0.3, 0.9)):
            box = torch.full((10,), lo).double(), torch.full((10,), hi).double()
            reference, _ = enumerate_patterns(a, b, *box)
            for published in (True, False):
                factor = theorem3_factor(
                    below.u[:, 0], above.v[:, 0], ratio, ratio, *box, published=published
                )
                assert reference.value <= factor.value * (1 + 1e-14)


def test_the_proved_bound_is_one_for_any_pair(inner):
    reference, _ = enumerate_patterns(*inner.parts())
    assert theorem3_bound(*inner.parts()).value >= reference.value * (1 - 1e-15)


@pytest.mark.parametrize("exponents", [(5, 0, 0), (0, 5, 0), (0, 0, 5), (300, -200, -99)])
def test_the_proved_bound_scales_with_weights_and_slopes(pair_of, exponents):
    """Slopes of both signs, each in its own units: by a power of two nothing rounds."""
    a, b, lo, hi = pair_of(6, 8, 6, 2).parts()
    lo = lo - 0.3
    bound = theorem3_bound(a, b, lo, hi).value
    of_a, of_b, of_slopes = (2.0**k for k in exponents)
    scaled = theorem3_bound(a * of_a, b * of_b, lo * of_slopes, hi * of_slopes).value
    assert scaled == pytest.approx(bound * 2.0 ** sum(exponents), rel=1e-14)


def test_the_proved_bound_is_the_sharper_formula():
    below, above = ideal_network(2, 12, 0.1, seed=3)
    zero, one = torch.zeros(12).double(), torch.ones(12).double()
    proved = theorem3_bound(above.weight, below.weight, zero, one).value
    formula = theorem3_factor(below.u[:, 0], above.v[:, 0], 0.01, 0.01, published=False).value
    assert proved == pytest.approx(formula, rel=1e-9)


def test_a_wrong_singular_vector_costs_tightness_not_soundness(pair_of, monkeypatch):
    inner, svd = pair_of(6, 8, 6, 2), torch.linalg.svd
    reference, _ = enumerate_patterns(*inner.parts())

    def rotated(matrix, full_matrices):
        u, s, vh = svd(matrix, full_matrices=full_matrices)
        return type(svd(matrix))((u[:, :1] + 0.3 * u[:, 1:2], s, vh))

    right = theorem3_bound(*inner.parts()).value
    monkeypatch.setattr(torch.linalg, "svd", rotated)
    assert max(reference.value, right) < theorem3_bound(*inner.parts()).value


def test_random_directions_reach_the_limit():
    """max <s u, v> for random directions of R^n tends to 1/pi, with a deviation of order n^-1/2."""
    factors = [
        theorem3_factor(unit(20_000, 2 * k), unit(20_000, 2 * k + 1), 0, 0).value for k in range(20)
    ]
    assert sum(factors) / 20 == pytest.approx(1 / math.pi, abs=0.004)
    assert pi_limit(1) == 1 and pi_limit(4) == pytest.approx(math.pi**-3)


def test_the_ideal_scenario_approaches_the_limit():
    layers = ideal_network(3, 60, 1e-3, seed=0)
    zero, one = torch.zeros(60).double(), torch.ones(60).double()
    total = 1.0
    for below, above in itertools.pairwise(layers):
        left = above.values if above is layers[-1] else above.values.sqrt()
        right = below.values if below is layers[0] else below.values.sqrt()
        total *= maximise_exact(
            left[:, None] * above.v.T, below.u * right, zero, one, tolerance=1e-6
        ).upper.value
    assert total == pytest.approx(pi_limit(3), rel=0.35)


def test_the_ideal_layers_are_what_they_say():
    first, second = ideal_network(2, 15, 0.25, seed=7)
    assert torch.allclose(first.u.T @ first.u, torch.eye(15).double(), atol=1e-13)
    spectrum = torch.linalg.svdvals(second.weight)
    assert torch.allclose(spectrum, torch.tensor([1.0] + [0.25] * 14).double(), atol=1e-13)
    assert torch.equal(ideal_network(2, 15, 0.25, seed=7)[1].weight, second.weight)
    assert not torch.equal(first.weight, second.weight)


def test_arguments_out_of_range_are_refused():
    u = unit(3, 0)
    with pytest.raises(InputError, match="ratios"):
        theorem3_factor(u, u, 1.2, 0.1)
    with pytest.raises(InputError, match="at least one layer"):
        pi_limit(0)
    with pytest.raises(InputError, match="ideal scenario"):
        ideal_network(2, 0, 0.1)


def test_what_overflows_is_no_bound():
    """Products beyond the largest double times a weight of 0 are no number: not 0."""
    u = torch.full((2,), 1e200, dtype=torch.float64)
    assert theorem3_factor(u, u, 1.0, 0.5, published=False).value == math.inf
