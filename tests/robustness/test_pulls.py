"""What errors on the way may come to: against maxima in rational arithmetic, and dense Jacobians.

Covers autolip.robustness.pulls.
"""

from fractions import Fraction

import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.intervals import Interval
from autolip.robustness.pulls import Gains, Pull
from autolip.values import INFINITE, Upper


def pull_of(sizes: Tensor, length: float) -> Pull:
    """One row whose entries are at most these."""
    rows = sizes.unsqueeze(0)
    return Pull(Interval(-rows, rows), torch.full((1,), length, dtype=torch.float64))


def test_one_entry_in_rational_arithmetic_and_not_without_its_rounding() -> None:
    """min(size, length) own, where either is the smaller; tiny and huge numbers too."""
    generator = torch.Generator().manual_seed(0)
    close = 0
    for draw in range(300):
        size, length, own = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        own *= 10.0 ** (-140 * (draw % 3))
        one, off = torch.tensor([[size], [own]], dtype=torch.float64)
        found = pull_of(one, length).worth(off)
        exact = Fraction(min(size, length)) * Fraction(own)
        assert exact <= Fraction(found.item()) <= exact * Fraction(1001, 1000)
        close += exact * Fraction(1 + 2**-52) >= Fraction(found.item())
    assert not close, "the rounding is counted"


def test_many_entries_against_the_maximum() -> None:
    """j_i = min(size_i, t own_i), t by halving; entries alone or the length alone are above it."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        sizes, own = torch.rand(2, 30, generator=generator, dtype=torch.float64) ** 3
        sizes[:5] = 0.0
        length = 0.5 * float(sizes.norm())
        low, high = 0.0, 1e9
        for _ in range(200):
            t = (low + high) / 2
            shorter = float(torch.minimum(sizes, t * own).norm()) <= length
            low, high = (t, high) if shorter else (low, t)
        best = float((torch.minimum(sizes, low * own) * own).sum())
        found = pull_of(sizes, length).worth(own).item()
        assert best <= found <= 1.02 * best
        assert found < float((sizes * own).sum()) and found < length * float(own.norm())


def test_what_is_not_known_is_infinite_and_what_is_nothing_is_0() -> None:
    sizes = torch.tensor([1.0, 0.0, 2.0]).double()
    own = torch.tensor([0.5, torch.inf, 0.0]).double()
    assert 0.5 <= pull_of(sizes, torch.inf).worth(own).item() < 0.51
    assert pull_of(sizes, 1.0).worth(own.roll(1)).isinf().all()
    assert not pull_of(sizes, 1.0).worth(torch.zeros(3).double()).any()
    tiny = torch.full((3,), 1e-300, dtype=torch.float64)
    assert pull_of(sizes, 0.1).worth(tiny).item() >= 1e-301


def test_lengths_are_those_of_jacobians() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 4), nn.LeakyReLU(0.5)
    ).eval()
    graph = capture_model(model, (torch.zeros(1, 1, 5, 5),)).graph
    gains = Gains.of(graph)
    exact = torch.linalg.matrix_norm(model[3].weight.detach().double(), 2)
    (linear,) = [node for node in graph if "linear" in str(node.target)]
    (before,) = linear.operands()
    found = gains.towards(linear.name, before)
    assert exact <= found.value <= 1.01 * exact and gains.towards("nobody", before) == INFINITE
    row = torch.randn(2, 4).double()
    pull = Pull.of(Interval(row, row), torch.full((2,), torch.inf).double())
    assert bool((pull.length >= row.norm(dim=1)).all())
    assert torch.allclose(pull.length, row.norm(dim=1))
    longer = pull.lengthened(Upper(0.1))
    for one, length in zip(longer.tolist(), pull.length.tolist(), strict=True):
        assert Fraction(one) > Fraction(length) * Fraction(0.1)
