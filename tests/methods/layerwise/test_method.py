"""The recursion and its closed forms: valid for any multipliers, exact where it must be, deep
without loss.

Covers autolip.methods.layerwise.ellipsoids too.
"""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.methods import Bound, Layerwise, Problem
from autolip.methods.layerwise.ellipsoids import (
    by_diagonal,
    by_norm,
    by_rows,
    chain_bound,
    first_ellipsoid,
)
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere
from autolip.rounded import Rounded
from autolip.values import Upper


def layers(*widths: int, scale: float = 1.0, seed: int = 0) -> list[Rounded]:
    generator = torch.Generator().manual_seed(seed)
    pairs = itertools.pairwise(widths)
    weights = [
        torch.randn(m, n, generator=generator, dtype=torch.float64) * scale / n**0.5
        for n, m in pairs
    ]
    return [Rounded(weight, torch.zeros_like(weight)) for weight in weights]


def slopes(
    chain: list[Rounded], lo: float = 0.0, hi: float = 1.0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    ones = [torch.ones(len(layer.value), dtype=torch.float64) for layer in chain[:-1]]
    return [(lo * one, hi * one) for one in ones]


def attained(chain: list[Rounded], lo: float, hi: float, trials: int = 300) -> float:
    """The largest norm over random vertices of the slope boxes."""
    best = 0.0
    for trial in range(trials):
        generator = torch.Generator().manual_seed(trial)
        matrix = chain[0].value
        for layer in chain[1:]:
            pick = torch.rand(len(matrix), generator=generator).round().double()
            matrix = layer.value @ ((lo + (hi - lo) * pick).unsqueeze(1) * matrix)
        best = max(best, torch.linalg.matrix_norm(matrix, 2).item())
    return best


@pytest.mark.parametrize(
    ("lo", "hi"), [(0.0, 1.0), (0.1, 1.0), (-0.13, 1.13), (-1.0, -0.2), (0.7, 0.7)]
)
@pytest.mark.parametrize("choice", [by_norm, by_rows, by_diagonal])
def test_between_what_is_attained_and_the_product(lo: float, hi: float, choice: object) -> None:
    chain = layers(5, 9, 8, 4)
    bound = chain_bound(chain, slopes(chain, lo, hi), choice)  # type: ignore[arg-type]
    assert isinstance(bound, Upper) and not bound.events
    product = math.prod(torch.linalg.matrix_norm(layer.value, 2).item() for layer in chain)
    assert attained(chain, lo, hi) <= bound.value
    if choice is by_norm and lo >= 0:
        assert bound.value <= product * max(abs(lo), abs(hi)) ** 2 * (1 + 1e-9)


def test_any_multipliers_give_a_bound() -> None:
    chain = layers(4, 6, 6, 3)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)

        def random(
            number: int, matrix: torch.Tensor, generator: torch.Generator = generator
        ) -> torch.Tensor:
            return torch.exp(3 * torch.randn(len(matrix), generator=generator, dtype=torch.float64))

        bound = chain_bound(chain, slopes(chain), random)
        assert isinstance(bound, Upper) and bound.value >= attained(chain, 0.0, 1.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_impossible_multipliers_are_refused(bad: float) -> None:
    chain = layers(3, 4, 2)
    found = chain_bound(
        chain, slopes(chain), lambda k, a: torch.full((len(a),), bad, dtype=torch.float64)
    )
    assert isinstance(found, Refusal)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_two_hundred_layers_without_loss_of_digits(scale: float) -> None:
    """Identity layers with unit slopes: the constant is scale^200, far outside the range of a
    double for most."""
    one = torch.eye(6, dtype=torch.float64)
    chain = [Rounded(scale * one, torch.zeros(6, 6, dtype=torch.float64)) for _ in range(200)]
    bound = chain_bound(chain, slopes(chain, 0.0, 1.0), by_norm)
    assert isinstance(bound, Upper)
    if scale == 1.0:
        assert 1.0 <= bound.value <= 1 + 1e-6
    else:
        assert bound.value == (math.inf if scale > 1 else pytest.approx(5e-324))


def test_errors_of_the_weights_count() -> None:
    weight = torch.ones(2, 2, dtype=torch.float64)
    exact = first_ellipsoid(Rounded(weight, torch.zeros_like(weight))).norm()
    loose = first_ellipsoid(Rounded(weight, torch.full_like(weight, 0.1))).norm()
    assert 2 <= exact.value <= 2 + 1e-12
    assert loose.value >= 2.2


@pytest.mark.parametrize(
    "factors", [(1e160, 1e-160), (1e-160, 1e160, 3.0), (2.0**-600, 2.0**600), (1e-300, 1e20, 1e200)]
)
def test_layers_of_any_size_are_bounded_in_their_own_units(factors: tuple[float, ...]) -> None:
    """Squares of their entries leave floating point; powers of two move them back, exactly."""
    layers: list[nn.Module] = []
    for factor in factors:
        layer = nn.Linear(2, 2, bias=False).double()
        layer.weight.data = factor * torch.eye(2, dtype=torch.float64)
        layers += [layer, nn.ReLU()]
    graph = capture_model(nn.Sequential(*layers[:-1]), (torch.zeros(1, 2).double(),)).graph
    problem = Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    found = Layerwise().bound(problem)
    assert isinstance(found, Bound) and isinstance(found.value, Upper)
    exact = math.prod(map(Fraction, factors))
    assert exact <= Fraction(found.value.value) <= exact * (1 + Fraction(1, 10**6))
