"""Greedy SeqLip: every flip judged by the secular equation, local optimality judged by
decompositions."""

import pytest
import torch

from autolip.methods.seqlip import maximise_exact, maximise_greedy
from autolip.methods.seqlip.inner import flip_gain as secular
from autolip.methods.seqlip.inner import greedy as inner_greedy
from autolip.methods.seqlip.inner.flip_gain import best_flip, helpful_flips
from autolip.values import Estimate, Upper


def flipped_norms(a, b, m, change):
    return torch.linalg.matrix_norm(m + change[:, None, None] * a.T[:, :, None] * b[:, None, :], 2)


@pytest.mark.parametrize(
    ("p", "n", "q"), [(6, 9, 6), (9, 7, 5), (2, 12, 8), (1, 6, 1), (20, 30, 15)]
)
def test_the_best_flip_is_that_of_as_many_decompositions(pair_of, p, n, q):
    for seed in range(8):
        inner = pair_of(p, n, q, seed)
        high = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
        change = torch.where(high, -1.0, 1.0).double()
        m = (inner.a * high) @ inner.b
        norms, now = flipped_norms(inner.a, inner.b, m, change), torch.linalg.matrix_norm(m, 2)
        flip = best_flip(m, inner.a, inner.b, change)
        if flip is None:
            assert norms.max() <= now * (1 + 1e-8)
        else:
            assert norms[flip] >= norms.max() * (1 - 1e-9)


@pytest.mark.parametrize("rank", [1, 3])
def test_what_helps_is_found_where_m_is_singular(pair_of, rank):
    inner = pair_of(6, 10, 5, 3)
    high = torch.arange(10) < rank
    m, change = (inner.a * high) @ inner.b, torch.where(high, -1.0, 1.0).double()
    helps = flipped_norms(inner.a, inner.b, m, change) > torch.linalg.matrix_norm(m, 2) * (1 + 1e-8)
    assert set(helps.nonzero().flatten().tolist()) <= set(
        helpful_flips(m, inner.a, inner.b, change).tolist()
    )
    assert helpful_flips(m, inner.a, inner.b, torch.zeros(10).double()).numel() == 0


def test_no_single_flip_improves_the_answer(inner):
    value, slopes = maximise_greedy(*inner.parts(), restarts=1)
    change = inner.lo + inner.hi - 2 * slopes
    norms = flipped_norms(inner.a, inner.b, (inner.a * slopes) @ inner.b, change)
    assert norms.max().item() <= value.value * (1 + 1e-8)


@pytest.mark.slow
def test_the_published_share_of_pairs_is_met(pair_of):
    """Within 0.01% of the exact maximum on at least 95% of the pairs of width 20."""
    pairs = [
        pair_of(p, 20, q, seed)
        for p, q in ((1, 20), (3, 20), (2, 2), (20, 20))
        for seed in range(5)
    ]
    close = 0
    for inner in pairs:
        exact, (greedy, _) = (
            maximise_exact(*inner.parts(), tolerance=1e-5),
            maximise_greedy(*inner.parts()),
        )
        assert greedy.value <= exact.upper.value
        close += greedy.value >= exact.attained * (1 - 1e-4)
    assert close >= 0.95 * len(pairs)


def test_an_estimate_and_not_a_bound(pair_of):
    value, _ = maximise_greedy(*pair_of(5, 5, 5).parts())
    assert isinstance(value, Estimate)
    with pytest.raises(TypeError, match="Estimate"):
        Upper(1.0) * value


def test_the_seed_decides(pair_of):
    inner = pair_of(20, 40, 20, 3)
    first, again = (maximise_greedy(*inner.parts(), seed=4, restarts=3) for _ in range(2))
    assert first[0] == again[0] and torch.equal(first[1], again[1])


def test_more_restarts_are_never_worse(pair_of):
    inner = pair_of(20, 40, 20, 3)
    one, many = (maximise_greedy(*inner.parts(), restarts=k)[0].value for k in (1, 16))
    assert one <= many


def test_chunks_are_a_matter_of_memory(pair_of, monkeypatch):
    inner = pair_of(8, 300, 7, 1)
    whole, _ = maximise_greedy(*inner.parts(), restarts=2)
    for module in (secular, inner_greedy):
        monkeypatch.setattr(module, "CHUNK", 100)
    parts, _ = maximise_greedy(*inner.parts(), restarts=2)
    assert parts.value == pytest.approx(whole.value, rel=1e-9)


def test_without_every_singular_triple_the_search_still_climbs(pair_of, monkeypatch):
    inner = pair_of(30, 60, 30, 1)
    full, _ = maximise_greedy(*inner.parts())
    monkeypatch.setattr(inner_greedy, "_DECOMPOSED", 10)
    partial, slopes = maximise_greedy(*inner.parts())
    assert 0.97 * full.value <= partial.value
    assert torch.linalg.matrix_norm((inner.a * slopes) @ inner.b, 2).item() == pytest.approx(
        partial.value, rel=1e-3
    )


def test_a_thousand_neurons_between_few_directions(pair_of):
    inner = pair_of(10, 5000, 10, 2)
    value, slopes = maximise_greedy(*inner.parts(), restarts=2)
    assert torch.linalg.matrix_norm((inner.a * slopes) @ inner.b, 2).item() == pytest.approx(
        value.value, rel=1e-11
    )
    assert value.value >= 1.2 * torch.linalg.matrix_norm(inner.a @ inner.b, 2).item()


def test_equal_singular_values_do_not_flip_a_neuron_back_and_forth(monkeypatch):
    """A diag(+-1) B with orthogonal A and B has one norm for every pattern; rounding alone sees one
    above another."""
    asked = []

    def counted(*arguments):
        asked.append(arguments)
        assert len(asked) < 1000, "the climb does not end"
        return best_flip(*arguments)

    monkeypatch.setattr(inner_greedy, "best_flip", counted)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    ends = -torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    other = torch.tensor([[3.0, -4.0], [4.0, 3.0]], dtype=torch.float64)
    for a, b in (
        (turn, turn),
        (turn, turn.T),
        (other, turn.flip(0) * 2),
        (torch.eye(2).double() * 3, turn),
    ):
        exact = torch.linalg.matrix_norm(a, 2) * torch.linalg.matrix_norm(b, 2)
        assert maximise_greedy(a, b, *ends)[0].value == pytest.approx(exact.item())
