"""The cheap bounds: each an upper bound, the least of them tight where it should be.

Covers autolip.methods.seqlip.inner.interior_point too.
"""

import pytest
import torch

from autolip.methods.seqlip import enumerate_patterns, ideal_network, maximise_exact, relax
from autolip.methods.seqlip.inner import relaxed as inner_relaxed
from autolip.methods.seqlip.inner.multipliers import Gram
from autolip.methods.seqlip.inner.problem import balanced
from autolip.methods.seqlip.inner.relaxed import certified, power_multipliers, product_bound
from autolip.values import Certainty


def test_each_candidate_is_a_bound(inner):
    reference, _ = enumerate_patterns(*inner.parts())
    pair, _ = balanced(*inner.parts())
    gram = Gram.of(pair)
    candidates = [
        product_bound(*inner.parts()).value,
        pair.upward(inner_relaxed._midpoint(pair)),
        pair.upward(certified(gram, pair, power_multipliers(gram, pair))),
        pair.upward(certified(gram, pair, torch.ones(pair.width).double())),
    ]
    assert all(value >= reference.value * (1 - 1e-15) for value in candidates)
    assert relax(*inner.parts()).value <= min(candidates)
    assert relax(*inner.parts()).certainty is Certainty.PROVED


def test_optimal_multipliers_beat_the_others(pair_of):
    for seed in range(4):
        inner = pair_of(12, 12, 12, seed)
        pair, _ = balanced(*inner.parts())
        gram = Gram.of(pair)
        power = pair.upward(certified(gram, pair, power_multipliers(gram, pair, steps=400)))
        assert relax(*inner.parts()).value <= power * (1 + 1e-9)
        assert power <= relax(*inner.parts()).value * 1.01


def test_the_multiplier_bound_is_tight_where_spectra_fall_fast():
    below, above = ideal_network(2, 40, 0.01, seed=1)
    zero, one = torch.zeros(40).double(), torch.ones(40).double()
    exact = maximise_exact(above.weight, below.weight, zero, one)
    assert exact.finished
    assert (
        exact.attained
        <= relax(above.weight, below.weight, zero, one).value
        <= exact.attained * (1 + 1e-8)
    )
    assert product_bound(above.weight, below.weight, zero, one).value > 2 * exact.attained


@pytest.mark.parametrize(("p", "n", "q"), [(300, 400, 280), (12, 3000, 9), (500, 60, 400)])
def test_wide_pairs_without_the_interior_point_method(pair_of, p, n, q):
    inner = pair_of(p, n, q, 1)
    bound = relax(*inner.parts()).value
    high = torch.rand(20, n, generator=torch.Generator().manual_seed(0)) < 0.5
    norms = torch.linalg.matrix_norm((inner.a * high[:, None, :]) @ inner.b, 2)
    assert norms.max().item() <= bound < product_bound(*inner.parts()).value * 0.95


def test_too_large_to_factorise_leaves_the_other_bounds(pair_of, monkeypatch):
    inner = pair_of(20, 20, 20, 1)
    full = relax(*inner.parts()).value
    monkeypatch.setattr(inner_relaxed, "_FACTORISED", 10)
    monkeypatch.setattr(inner_relaxed, "NEWTON_ORDER", 10)
    monkeypatch.setattr(inner_relaxed, "_DECOMPOSED", 10)
    assert full < relax(*inner.parts()).value <= product_bound(*inner.parts()).value


def test_the_power_method_is_deterministic(pair_of):
    pair, _ = balanced(*pair_of(6, 9, 6, 2).parts())
    one, two = (power_multipliers(Gram.of(pair), pair) for _ in range(2))
    assert torch.equal(one, two) and bool((one > 0).all())
