"""The symbol of a convolution, against its matrix on a torus."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from autolip.operators.norms.symbol.polynomial import SymbolGram, half_lags, polyphase, waves


def symbol_at(kernel: Tensor, w: list[float]) -> Tensor:
    """sum_l K_l e^{i <l, w>} by its definition."""
    rows, columns, *taps = kernel.shape
    total = torch.zeros(rows, columns, dtype=torch.complex128)
    for tap in itertools.product(*map(range, taps)):
        angle = sum(t * x for t, x in zip(tap, w, strict=True))
        total += kernel[(slice(None), slice(None), *tap)] * complex(
            math.cos(angle), math.sin(angle)
        )
    return total


def circular(weight: Tensor, stride: int, dilation: int, size: int) -> Tensor:
    """The matrix of a one-dimensional convolution on a torus of `size` points."""
    c_out, c_in, taps = weight.shape
    count = size // stride
    matrix = torch.zeros(c_out * count, c_in * size, dtype=torch.float64)
    for o, i, n, t in itertools.product(range(c_out), range(c_in), range(count), range(taps)):
        place = (stride * n + dilation * t) % size
        matrix[o * count + n, i * size + place] += weight[o, i, t]
    return matrix


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 3)])
def test_the_largest_symbol_on_a_torus_is_the_norm_there(stride: int, dilation: int) -> None:
    generator = torch.Generator().manual_seed(stride + 10 * dilation)
    weight = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    size = 30
    (kernel,) = polyphase(weight, [stride], [dilation], 1)
    count = size // stride
    norms = [
        torch.linalg.matrix_norm(symbol_at(kernel, [2 * math.pi * j * dilation / count]), 2)
        for j in range(count)
    ]
    exact = torch.linalg.matrix_norm(circular(weight, stride, dilation, size), 2)
    assert max(norms).item() == pytest.approx(exact.item(), rel=1e-9)


def test_one_of_each_pair_of_lags_with_zero_first() -> None:
    lags = half_lags([2, 3]).tolist()
    assert lags[0] == [0, 0]
    both = {tuple(lag) for lag in lags} | {(-a, -b) for a, b in lags}
    assert both == set(itertools.product((-1, 0, 1), (-2, -1, 0, 1, 2)))
    assert len(lags) == (len(both) + 1) // 2


def test_waves_at_large_multiples_are_as_exact_as_at_small_ones() -> None:
    """The multiple is reduced in integers: e^{i pi p l / N} has period 2 N in p l."""
    count = 1000
    lags = torch.tensor([[7]])
    small = waves(torch.tensor([[3]]), [count], lags)
    large = waves(torch.tensor([[3 + 2 * count * 10**9]]), [count], lags)
    assert torch.equal(small, large)


def test_the_gram_of_the_symbol() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64)
    kernel = polyphase(weight, [1, 1], [1, 1], 1)
    gram = SymbolGram(kernel)
    counts = (8, 8)
    points = torch.tensor([[3, 5]])
    found = gram.at(torch.tensor([0]), waves(points, counts, gram.lags))[0]
    k = symbol_at(kernel[0], [math.pi * 3 / 8, math.pi * 5 / 8])
    torch.testing.assert_close(found, k @ k.conj().T, rtol=1e-12, atol=1e-12)
