"""All patterns of a small problem, one by one."""

import itertools
from typing import Any

import pytest
import torch

from autolip.errors import InputError
from autolip.methods.seqlip.inner.enumeration import LARGEST, enumerate_patterns

from ..conftest import gaussian


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_largest_norm_of_all(seed: int) -> None:
    inner = gaussian(3, 5, 4, seed)
    norms = {
        signs: torch.linalg.matrix_norm((inner.a * torch.tensor(signs)) @ inner.b, 2).item()
        for signs in itertools.product((0.0, 1.0), repeat=5)
    }
    value, pattern = enumerate_patterns(*inner.parts())
    assert value.value == pytest.approx(max(norms.values()), rel=1e-12)
    assert norms[tuple(pattern.tolist())] == pytest.approx(max(norms.values()), rel=1e-12)


def test_batches_see_every_pattern() -> None:
    inner = gaussian(3, 6, 3)
    whole, _ = enumerate_patterns(*inner.parts())
    parts, _ = enumerate_patterns(*inner.parts(), batch=5)
    assert whole.value == parts.value


def test_a_known_constant() -> None:
    """max over s in {0, 1}^2 of |s_1 - 2 s_2| is 2."""
    a = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    value, pattern = enumerate_patterns(a, b, zero, one)
    assert value.value == 2.0 and pattern.tolist() == [0.0, 1.0]


def test_too_many_patterns_are_refused() -> None:
    inner: Any = gaussian(2, LARGEST + 1, 2)
    with pytest.raises(InputError, match="too many: use maximise_exact"):
        enumerate_patterns(*inner.parts())
