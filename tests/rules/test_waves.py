"""Entries of Fourier matrices lie within their error of the exact ones, and zeros are exact."""

import math

import numpy as np
import pytest
import torch

from autolip.roundoff import relative_error
from autolip.rules.waves import ROUNDINGS, matrix, waves


@pytest.mark.parametrize("period", [1, 2, 3, 5, 6, 8, 12, 31])
@pytest.mark.parametrize("sine", [False, True])
@pytest.mark.parametrize("norm", [0, 1, 2])
def test_entries_against_extended_precision(period: int, sine: bool, norm: int) -> None:
    """In 64 bits of mantissa, at angles that are reduced beforehand."""
    found = matrix(period, period, period, sine, norm).numpy().astype(np.longdouble)
    numbers = np.outer(np.arange(period), np.arange(period)) % period
    turns = numbers.astype(np.longdouble) / period
    pi = np.longdouble("3.14159265358979323846264338327950288")
    divisor = (np.longdouble(1), np.sqrt(np.longdouble(period)), np.longdouble(period))[norm]
    exact = (np.sin if sine else np.cos)(2 * pi * turns) / divisor
    quarter = (4 * numbers + (0 if sine else period)) % (2 * period) == 0
    assert bool((found[quarter] == 0).all())
    rest = ~quarter
    share = relative_error(ROUNDINGS) + 2.0**-60 * 8
    assert bool((np.abs(found - exact)[rest] <= share * np.abs(found)[rest]).all())


def test_waves_are_the_parts_of_a_transform() -> None:
    x = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    transform = torch.fft.rfft(x, norm="ortho")
    torch.testing.assert_close(waves(x, 1, 7, 4, False, 1), transform.real)
    torch.testing.assert_close(-waves(x, 1, 7, 4, True, 1), transform.imag)
    assert math.isclose(waves(x, 1, 7, 1, False, 0)[0, 0].item(), x[0].sum().item())
