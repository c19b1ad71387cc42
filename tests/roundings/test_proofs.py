"""Proofs by factorisations and recurrences, asked for what is false by less than their rounding
terms."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from autolip.methods.lipsdp.proof.factorisation import holds
from autolip.methods.lipsdp.proof.quadratic_form import Form
from autolip.methods.lipsdp.relaxation.elimination import Blocks
from autolip.operators.norms import dense
from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.lanczos import _excluded_above
from autolip.operators.norms.symbol.bound import settled
from autolip.operators.norms.symbol.cells import Cells
from autolip.operators.norms.symbol.polynomial import SymbolGram


def rand(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_norm_whose_factorisation_rounding_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    """I - G is an arrow with the last pivot a - n b^2 < 0, and ||G|| the larger root of x (x - 1 +
    a) = n b^2."""
    monkeypatch.setattr(dense, "rising", lambda guess, excess: iter([torch.ones_like(guess)]))
    completed = 0
    for order, seed in ((200, 17), (400, 7), (400, 15), (400, 16), (400, 17)):
        b = (rand(seed, 1).item() * 0.2 + 0.9) / order**0.5
        square = order * Fraction(b) ** 2
        for below in (16, 24, 32, 48):
            a = float(square) * (1 - below * 2.0**-53)
            gram = torch.zeros(1, order + 1, order + 1, dtype=torch.float64)
            gram[0, -1, :-1] = gram[0, :-1, -1] = -b
            gram[0, -1, -1] = 1 - a
            value = dense._factorised(gram, torch.zeros(1, dtype=torch.float64)).item()
            completed += math.isfinite(value)
            assert (
                value == math.inf or Fraction(value) * (Fraction(value) - 1 + Fraction(a)) >= square
            )
    assert completed


def test_a_form_whose_largest_terms_cancel() -> None:
    """[[1, c], [c, w f - B]]: w f is rounded up to a double above B, and c^2 lies between both
    differences."""
    asked = 0
    for seed in range(60):
        big, weight = (1 + rand(seed, 1).item()) * 2.0**30, 1 + rand(seed + 99, 1).item()
        factor = math.nextafter(big / weight, math.inf)
        left, computed = Fraction(weight) * Fraction(factor) - Fraction(big), weight * factor - big
        if not 0 < left < Fraction(computed) * Fraction(3, 4):
            continue
        c = ((float(left) + computed) / 2) ** 0.5
        matrix = sparse.csr_array(np.array([[1.0, c], [c, -big]]))
        assert Fraction(c) ** 2 > left
        weights = torch.tensor([weight], dtype=torch.float64)
        assert not holds(Form(matrix, 0.0, 1, weights, Blocks((), np.arange(2))), factor)
        asked += 1
    assert asked


def test_the_products_of_a_recurrence_may_hide_an_eigenvalue() -> None:
    """The largest eigenvalue has a share of 1e-8 in the start, and errors of the products keep it
    out of sight."""
    scale = torch.linspace(0.1, 1.0, 30, dtype=torch.float64)
    start, hidden = rand(0, 31), 1e-8
    start[:-1] *= math.sqrt(1 - hidden**2) / start[:-1].norm()
    start[-1] = hidden
    space = Krylov(lambda v: torch.cat([scale * v[:-1], v.new_zeros(1)]), start, 31)
    for _ in range(12):
        space.step()
    error = 2.0 * hidden  # of the products, whose entry for an eigenvalue of 2 is left out
    assert _excluded_above(space, error, 0.9 * hidden) >= 2.0
    space.defects = [error] * len(space)
    assert _excluded_above(space, 0.0, 0.9 * hidden) >= 2.0


def test_a_symbol_that_cancels() -> None:
    """Taps 1 and -(1 - d): at frequency 0 the norm is d, and the entries of the Gram polynomial are
    1 / d^2 larger."""
    cells = Cells(
        torch.zeros(1, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64), (1,), isolated=True
    )
    for d in (rand(0, 40) * 2.0**-27).tolist():
        taps = torch.tensor([1.0, d - 1.0], dtype=torch.float64)
        norm = 1 + Fraction(taps[1].item())
        assert not bool(
            settled(SymbolGram(taps[None, None, None]), cells, float(norm) * 0.99).any()
        )


def test_defects_of_a_recurrence() -> None:
    """B v_j = b_(j-1) v_(j-1) + a_j v_j + b_j v_(j+1) + F_j, where products with B = diag(1/2, 1,
    2, ...) are exact."""
    for seed in range(6):
        scale = torch.exp2(torch.arange(-1.0, 6.0, dtype=torch.float64))
        space, vectors = Krylov(lambda v, s=scale: s * v, rand(seed, 7), 7), []
        for _ in range(4):
            vectors.append([Fraction(x) for x in space.vector.tolist()])
            space.step()
        vectors.append([Fraction(x) for x in space.vector.tolist()])
        before = [Fraction(0)] * 7
        for j, defect in enumerate(space.defects):
            a, b = Fraction(space.alphas[j]), Fraction(space.betas[j])
            last = Fraction(space.betas[j - 1]) if j else Fraction(0)
            terms = zip(scale.tolist(), vectors[j], before, vectors[j + 1], strict=True)
            left = [(Fraction(s) - a) * v - last * u - b * w for s, v, u, w in terms]
            assert sum(x * x for x in left) <= Fraction(defect) ** 2
            before = vectors[j]
