"""Layers cut in two: the stated residuals are at least the true ones, computed in higher
precision."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.layerwise.method import dense_layers
from autolip.methods.seqlip.truncation import (
    Factor,
    Split,
    Splitter,
    _by_gram,
    _left_over,
    _rest_norm,
    _stacked,
    _stacked_norm,
)
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.kernel import Geometry
from autolip.operators.norms import NormOptions
from autolip.operators.operator import Operator


def dense(m: int, n: int, decay: float = 1.0) -> Operator:
    """Entries of normal size, or singular values decay^i."""
    generator = torch.Generator().manual_seed(m * n)
    u, v = (
        torch.linalg.qr(torch.randn(k, min(m, n), dtype=torch.float64, generator=generator))[0]
        for k in (m, n)
    )
    return Dense((u * decay ** torch.arange(min(m, n))) @ v.T)


def convolution() -> Operator:
    generator = torch.Generator().manual_seed(0)
    return Convolution(
        torch.randn(3, 2, 3, 3, generator=generator), (2, 6, 6), Geometry((1, 1), (1, 1), (1, 1))
    )


LAYERS = {
    "square": dense(12, 12),
    "wide": dense(5, 30),
    "tall, falling": dense(40, 7, 0.2),
    "conv": convolution(),
}


def exact_difference(w: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """W - P Q in rational arithmetic, rounded once."""
    rows, columns = ([[Fraction(x) for x in row] for row in m.tolist()] for m in (p, q.T))
    entries = [
        [
            float(Fraction(x) - sum(a * b for a, b in zip(row, column, strict=True)))
            for x, column in zip(line, columns, strict=True)
        ]
        for line, row in zip(w.tolist(), rows, strict=True)
    ]
    return torch.tensor(entries, dtype=torch.float64)


def norm(matrix: Tensor) -> float:
    return torch.linalg.matrix_norm(matrix, 2).item()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rank", [0, 2, 5])
def test_residuals_hold_in_rational_arithmetic(name: str, rank: int) -> None:
    """For directions that are good, and for any others: nothing is asked of P and Q."""
    layer = dense_layers([LAYERS[name]])
    assert not isinstance(layer, Refusal)
    (matrix,) = layer
    found = _by_gram(matrix.value, max(rank, 1))
    p, q = (found.left[:rank].T * found.values[:rank]).contiguous(), found.right[:rank]
    scrambled = 1e3 * torch.randn(
        p.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    for left in (p, scrambled):
        rest = exact_difference(matrix.value, left, q)
        computed = _left_over(matrix, left, q)
        assert torch.linalg.matrix_norm(rest - computed.value).item() <= computed.distance()
        largest = norm(rest) if rank < min(rest.shape) else torch.linalg.matrix_norm(rest).item()
        assert (
            norm(rest) * (1 - 1e-14)
            <= _rest_norm(matrix, left, q).value
            <= largest * (1 + 1e-6) + 1e-9
        )
        for scale in (1e-3, 7.0):
            exact = norm(torch.cat([q, scale * rest]))
            assert (
                exact * (1 - 1e-14)
                <= _stacked_norm(matrix, left, q, scale).value
                <= exact * (1 + 1e-6) + 1e-8
            )


def outer(factor: Factor | None, turned: bool = False) -> Tensor:
    """[matrix, scale I] [matrix, scale I]^T, from the left or from the right."""
    assert factor is not None
    matrix = factor.matrix.T if turned else factor.matrix
    return matrix @ matrix.T + factor.scale.value**2 * torch.eye(len(matrix), dtype=torch.float64)


def cut_at(where: str, layer: Operator, rank: int | None) -> Split:
    splitter = Splitter(rank, True, NormOptions())
    split = {"first": splitter.first, "middle": splitter.middle, "last": splitter.last}[where](
        layer
    )
    assert isinstance(split, Split)
    return split


def bounded_by_its_factors(split: Split, w: Tensor) -> None:
    """|x^T W y| <= |[P, g I]^T x| |[Q; F / g] y| <= ..., for random x, y: what every use of a cut
    relies on."""
    generator = torch.Generator().manual_seed(2)
    x, y = (torch.randn(50, k, dtype=torch.float64, generator=generator) for k in w.shape)
    size: Callable[[Tensor, Tensor], Tensor] = lambda v, gram: ((v @ gram) * v).sum(1).sqrt()  # noqa: E731
    left = size(x, outer(split.left)) if split.left else split.outer.value * x.norm(dim=1)
    right = (
        size(y, outer(split.right, turned=True))
        if split.right
        else split.outer.value * y.norm(dim=1)
    )
    assert (((x @ w) * y).sum(1).abs() <= left * right * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rank", [1, 4, None])
def test_cuts_dominate_the_layer(name: str, rank: int | None) -> None:
    layer = LAYERS[name]
    w = layer.matrix()
    for where in ("first", "middle", "last"):
        split = cut_at(where, layer, rank)
        bounded_by_its_factors(split, w)
        sizes = [
            norm(outer(f, turned)) ** 0.5
            for f, turned in ((split.left, False), (split.right, True))
            if f
        ]
        total = torch.tensor([*sizes, split.outer.value]).prod().item()
        assert norm(w) * (1 - 1e-12) <= total <= norm(w) * (1 + 1e-5), where


def test_a_time_that_is_too_short_costs_directions_only() -> None:
    layer = dense(150, 150)
    split = Splitter(None, True, NormOptions()).middle(layer, seconds=0.0)
    assert isinstance(split, Split) and split.left is not None and split.left.matrix.shape[1] == 100
    bounded_by_its_factors(split, layer.matrix())


@pytest.mark.parametrize("size", [0.0, 1e-310, 1e-140, 1e140])
def test_layers_of_any_size_are_cut_or_refused(size: float) -> None:
    layer = Dense(size * LAYERS["square"].matrix())
    for rank in (1, None):
        splitter = Splitter(rank, True, NormOptions())
        for split in (splitter.first(layer), splitter.middle(layer), splitter.last(layer)):
            assert isinstance(split, Refusal | Split)
            if (
                isinstance(split, Split) and size > 1e-300
            ):  # below, the comparison itself underflows
                bounded_by_its_factors(split, layer.matrix())


def test_the_operator_of_a_large_layer_is_the_stacked_matrix() -> None:
    """[Q; scale (W - P Q)] to the last digits: its scale is not a number of float32."""
    layer, scale = LAYERS["wide"], 1 / 3
    p, q = (
        torch.randn(*shape, generator=torch.Generator().manual_seed(2)).double()
        for shape in ((5, 2), (2, 30))
    )
    expected = torch.cat([q, scale * (layer.matrix() - p @ q)])
    assert torch.allclose(_stacked(layer, p, q, scale).matrix(), expected, rtol=0, atol=1e-14)
