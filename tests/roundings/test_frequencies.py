"""Chains of convolutions frequency by frequency, against rational arithmetic.

On tori of two points all waves are 1 or -1, so that symbols are sums of doubles.
"""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.methods.layerwise.frequencies import Circular, _circular, _folded
from autolip.methods.liplt.frequencies import _largest_norm, _product_error, _Symbols
from autolip.operators import Convolution, Geometry
from autolip.rounded import Rounded
from autolip.testing.exact import is_exactly_semidefinite
from autolip.values import Upper
from tests.roundings.rational import PI, cosine, rand, randn

SEEDS = range(12)

Parts = tuple[Fraction, Fraction]


def complex_randn(seed: int, *shape: int) -> Tensor:
    return torch.complex(randn(seed, *shape), randn(seed + 1000, *shape))


def parts(z: Tensor) -> list[list[Parts]]:
    return [[(Fraction(x.real), Fraction(x.imag)) for x in row] for row in z.tolist()]


def times(a: Parts, b: Parts) -> Parts:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def product(a: list[list[Parts]], b: list[list[Parts]]) -> list[list[Parts]]:
    columns = list(zip(*b, strict=True))
    return [
        [
            tuple(map(sum, zip(*map(times, row, column), strict=True)))  # type: ignore[misc]
            for column in columns
        ]
        for row in a
    ]


def squared_distance(a: list[list[Parts]], b: list[list[Parts]]) -> Fraction:
    pairs = [(x, y) for r, s in zip(a, b, strict=True) for x, y in zip(r, s, strict=True)]
    return sum(((x[0] - y[0]) ** 2 + (x[1] - y[1]) ** 2 for x, y in pairs), Fraction(0))


def real_form(z: Tensor) -> list[list[Fraction]]:
    """[[X, -Y], [Y, X]] of X + i Y: Hermitian forms and norms are those of the complex matrix."""
    top = torch.cat([z.real, -z.imag], 1)
    bottom = torch.cat([z.imag, z.real], 1)
    return [[Fraction(x) for x in row] for row in torch.cat([top, bottom]).tolist()]


def test_products_of_symbols() -> None:
    for seed in SEEDS:
        k, v = complex_randn(seed, 1, 1, 40), complex_randn(seed + 50, 1, 40, 1)
        lost = squared_distance(parts((k @ v)[0]), product(parts(k[0]), parts(v[0])))
        assert 0 < lost <= Fraction(_product_error(k, v).value) ** 2


@pytest.mark.parametrize("off", ["both", "left", "right"])
def test_errors_of_both_factors_of_a_product(off: str) -> None:
    """Each factor is moved along itself, by as much as its error allows."""
    for seed in SEEDS:
        k, v = complex_randn(seed, 1, 1, 5), complex_randn(seed + 50, 1, 5, 1)
        share = {"both": (0.25, 0.25), "left": (0.25, 0.0), "right": (0.0, 0.25)}[off]
        errors = [
            s * torch.linalg.vector_norm(x).item() for s, x in zip(share, (k, v), strict=True)
        ]
        aligned = v.resolve_conj().mH.contiguous() * (torch.linalg.vector_norm(k) / v.norm())
        factors = [
            _Symbols.of(x, Upper(error * (1 + 2.0**-40)))
            for x, error in zip((aligned, v), errors, strict=True)
        ]
        found = factors[0].after(factors[1])
        moved = [x * (1 + s) for s, x in zip(share, (aligned, v), strict=True)]
        meant = product(*(parts(x[0]) for x in moved))
        lost = squared_distance(parts(found.value[0]), meant)
        assert lost <= Fraction(found.error.value) ** 2
        assert sum(x * x for x in meant[0][0]) <= Fraction(found.norm.value) ** 2


def squared_length(row: Tensor) -> Fraction:
    return sum((x * x + y * y for x, y in parts(row)[0]), Fraction(0))


def test_norms_of_symbols() -> None:
    for seed in range(40):
        row = complex_randn(seed, 1, 1, 60)
        assert squared_length(row[0]) <= Fraction(_largest_norm(row).value) ** 2
        known = Rounded(row, torch.full((1, 60), 2.0**-10, dtype=torch.float64))
        moved = row + (1 - 2.0**-40) * 2.0**-10 * row / row.abs()
        within = _Symbols.within(known)
        assert squared_length(moved[0]) <= Fraction(within.norm.value) ** 2


def test_rounding_in_the_square_of_a_symbol() -> None:
    """A sum of many equal squares is rounded the same way each time."""
    for seed in range(10):
        b = 0.5 + rand(seed, 1).item()
        row = torch.full((1, 1, 20000), b, dtype=torch.complex128)
        assert 20000 * Fraction(b) ** 2 <= Fraction(_largest_norm(row).value) ** 2


def convolution(seed: int, taps: int, error: float = 0.0) -> Convolution:
    weight = randn(seed, 1, 1, taps)
    geometry = Geometry((1,), (0,), (1,))
    return Convolution(weight, (1, taps), geometry, error)


@pytest.mark.parametrize("share", [0.0, 2.0**-20])
def test_symbols_of_a_convolution(share: float) -> None:
    """Real parts: sums of taps times cosines, each tap known up to its share."""
    cosines = [cosine(2 * PI * k / 7) for k in range(7)]
    for seed in SEEDS:
        block = convolution(seed, 7, share)
        symbol = _circular(block, (7,)).symbol
        for frequency, value in enumerate(symbol.value[:, 0, 0].real.tolist()):
            waves = [cosines[frequency * tap % 7] for tap in range(7)]
            taps = [Fraction(x) for x in block.weight.flatten().tolist()]
            for sign in (-1, 1):
                moved = [
                    x * (1 + sign * Fraction(share) * (1 if x * wave > 0 else -1))
                    for x, wave in zip(taps, waves, strict=True)
                ]
                meant = sum(x * wave for x, wave in zip(moved, waves, strict=True))
                assert abs(Fraction(value) - meant) <= Fraction(symbol.error[0, 0].item())


def test_the_mean_over_frequencies_that_fold_together() -> None:
    """What is kept is above the exact mean in the order of Hermitian matrices."""
    for seed in range(40):
        roots = complex_randn(seed, 6, 2, 2)
        matrices = torch.tril(roots @ roots.mH)
        matrices = matrices + torch.tril(matrices, -1).mH
        matrices.diagonal(dim1=-2, dim2=-1).imag.zero_()
        none = Rounded.shared(torch.zeros(1, 2, 2, dtype=matrices.dtype))
        folded = _folded(matrices, Circular(none, (6,), (3,)), 0)
        scale = Fraction(4) ** folded.exponent
        for place, kept in enumerate(folded.matrices):
            members = [real_form(matrices[place + 2 * k]) for k in range(3)]
            mean = [
                [sum(entries) / 3 for entries in zip(*rows, strict=True)]
                for rows in zip(*members, strict=True)
            ]
            kept = torch.tril(kept) + torch.tril(kept, -1).mH
            above = [
                [scale * x - y for x, y in zip(r, s, strict=True)]
                for r, s in zip(real_form(kept), mean, strict=True)
            ]
            assert is_exactly_semidefinite(above)
