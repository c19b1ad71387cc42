"""Block norms, and truncated decompositions made sound."""

import math

import pytest
import torch

from autolip.methods.seqlip import block_bound, enumerate_patterns, truncated_bound
from autolip.values import Event, Upper


def norm(matrix):
    return torch.linalg.matrix_norm(matrix, 2).item()


def test_the_norm_of_two_by_two():
    g = torch.Generator().manual_seed(0)
    corners = [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 0.0, 0.0]]
    for entries in [*(torch.randn(200, 4, generator=g).double() ** 2).tolist(), *corners]:
        bound = block_bound(*map(Upper, entries)).value
        exact = norm(torch.tensor(entries, dtype=torch.float64).view(2, 2))
        assert exact * (1 - 1e-14) <= bound <= exact * (1 + 1e-13)


def test_a_pythagorean_case_is_not_rounded_below():
    assert block_bound(Upper(3.0), Upper(4.0), Upper(0.0), Upper(0.0)).value >= 5.0
    assert block_bound(Upper(0.1), Upper(0.0), Upper(0.0), Upper(0.05)).value >= 0.1


def test_blocks_of_any_shape():
    g = torch.Generator().manual_seed(1)
    for _ in range(50):
        m = torch.randn(7, 9, generator=g).double()
        p, q, r, t = (Upper(norm(x)) for x in (m[:3, :4], m[:3, 4:], m[3:, :4], m[3:, 4:]))
        assert norm(m) <= block_bound(p, q, r, t).value * (1 + 1e-14)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200, 1e308])
def test_extreme_sizes(scale):
    bound = block_bound(Upper(scale), Upper(scale), Upper(scale), Upper(scale)).value
    assert bound >= 2 * scale and (
        bound <= 2 * scale * (1 + 1e-13) or math.isinf(2 * scale) or scale < 1e-300
    )


def test_infinite_and_zero_blocks():
    assert block_bound(Upper(1.0), Upper(math.inf), Upper(0.0), Upper(0.0)).value == math.inf
    assert block_bound(Upper(0.0), Upper(0.0), Upper(0.0), Upper(0.0)).value == 0


def test_failure_events_are_kept():
    events = [Event("a norm", 1e-9), Event("another", 1e-9)]
    bound = block_bound(*(Upper(1.0, frozenset([e])) for e in events), Upper(0.0), Upper(0.0))
    assert bound.events == frozenset(events)


def split(weight, rank, exponent):
    """U_E S_E^x, S_E^(1-x) V_E^T, and the norm of what is left out."""
    u, s, vh = torch.linalg.svd(weight)
    left, right = u[:, :rank] * s[:rank] ** exponent, s[:rank, None] ** (1 - exponent) * vh[:rank]
    return left, right, s[rank].item()


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_truncation_with_its_residual_bounds_the_whole_product(pair_of, rank):
    """||M' D M|| for the best D, against truncated factors: the end layers' outer factors have norm
    one."""
    zero, one = torch.zeros(8).double(), torch.ones(8).double()
    for seed in range(5):
        inner = pair_of(8, 8, 8, seed)
        left, _, f = split(inner.b, rank, 1.0)
        _, right, g = split(inner.a, rank, 0.0)
        leading, _ = enumerate_patterns(right, left, zero, one)
        reference, _ = enumerate_patterns(inner.a, inner.b, zero, one)
        sides = (Upper(norm(left)), Upper(f)), (Upper(norm(right)), Upper(g))
        bound = truncated_bound(Upper(leading.value), *sides, Upper(1.0)).value
        assert leading.value <= reference.value <= bound * (1 + 1e-12)
        assert bound <= math.hypot(leading.value, norm(left) * g, norm(right) * f, f * g) * (
            1 + 1e-12
        )


def test_truncation_between_square_roots(pair_of):
    """The interior of a chain: factors S^1/2 with the directions left out as sqrt(f) times the
    identity."""
    inner = pair_of(8, 8, 8, 1)
    zero, one = torch.zeros(8).double(), torch.ones(8).double()
    left, below_right, f = split(inner.b, 3, 0.5)
    above_left, right, g = split(inner.a, 3, 0.5)
    rest_above = (inner.a - above_left @ right) / math.sqrt(g)
    whole_left = torch.cat([left, math.sqrt(f) * torch.eye(8).double()], 1)
    whole_right = torch.cat([right, rest_above])
    reference, _ = enumerate_patterns(whole_right, whole_left, zero, one)
    leading, _ = enumerate_patterns(right, left, zero, one)
    sides = (Upper(norm(left)), Upper(math.sqrt(f))), (Upper(norm(right)), Upper(math.sqrt(g)))
    assert reference.value <= truncated_bound(Upper(leading.value), *sides, Upper(1.0)).value * (
        1 + 1e-12
    )
    assert below_right.shape == (3, 8)
