"""Chains of convolutions per frequency: above every pattern of the cropped chain, whatever stride,
padding, groups.

Covers autolip.methods.liplt.frequencies too.
"""

import math

import pytest
import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.layerwise.ellipsoids import (
    by_correlations,
    by_diagonal,
    by_norm,
    by_rows,
    chain_bound,
)
from autolip.methods.layerwise.frequencies import _circular, _folded, torus_bound, torus_sizes
from autolip.methods.liplt.frequencies import torus_looped
from autolip.operators import Convolution, Geometry
from autolip.operators.norms.semidefinite import are_semidefinite
from autolip.rounded import Rounded
from autolip.slopes import Between
from autolip.values import Upper


def chain(
    *settings: tuple[int, int, int, int, int, int], image: tuple[int, ...], seed: int = 0
) -> list[Convolution]:
    """Convolutions of (channels out, kernel, stride, padding, dilation, groups), one after
    another."""
    generator = torch.Generator().manual_seed(seed)
    shape, blocks = image, []
    for out, kernel, stride, padding, dilation, groups in settings:
        dims = len(image) - 1
        weight = torch.randn(
            out, shape[0] // groups, *[kernel] * dims, generator=generator, dtype=torch.float64
        )
        geometry = Geometry((stride,) * dims, (padding,) * dims, (dilation,) * dims, groups=groups)
        blocks.append(Convolution(weight, shape, geometry))
        shape = tuple(blocks[-1].out_shape)
    return blocks


def slopes(blocks: list[Convolution], hi: float = 1.0) -> list[Between]:
    ends = [torch.ones(block.out_shape, dtype=torch.float64) for block in blocks[:-1]]
    return [Between(0 * end, hi * end) for end in ends]


def attained(blocks: list[Convolution], trials: int = 40) -> float:
    """The largest norm over random patterns of relu, and with all active."""
    best, matrices = 0.0, [block.matrix() for block in blocks]
    for trial in range(trials):
        generator = torch.Generator().manual_seed(trial)
        product = matrices[0]
        for matrix in matrices[1:]:
            active = torch.rand(len(product), generator=generator).double() < (trial + 1) / trials
            product = matrix @ (active.double().unsqueeze(1) * product)
        best = max(best, torch.linalg.matrix_norm(product, 2).item())
    return best


CHAINS = {
    "plain": chain((3, 3, 1, 1, 1, 1), (4, 3, 1, 1, 1, 1), (2, 3, 1, 1, 1, 1), image=(2, 5, 5)),
    "valid": chain((3, 3, 1, 0, 1, 1), (4, 3, 1, 0, 1, 1), image=(2, 7, 7)),
    "strided": chain((3, 3, 2, 1, 1, 1), (4, 3, 2, 1, 1, 1), (3, 3, 1, 1, 1, 1), image=(2, 8, 8)),
    "strides of three": chain((3, 4, 3, 2, 1, 1), (4, 2, 2, 0, 1, 1), image=(1, 11, 11)),
    "dilated": chain((3, 3, 1, 2, 2, 1), (3, 3, 1, 1, 1, 1), image=(2, 6, 6)),
    "grouped": chain((4, 3, 1, 1, 1, 2), (4, 3, 2, 1, 1, 4), (2, 1, 1, 0, 1, 1), image=(4, 6, 6)),
    "one dimension": chain((3, 5, 2, 4, 1, 1), (4, 3, 1, 0, 1, 1), image=(2, 17)),
    "wide padding": chain((3, 2, 1, 3, 1, 1), (2, 3, 1, 1, 1, 1), image=(1, 4, 4)),
}


@pytest.mark.parametrize("choice", [by_norm, by_rows, by_diagonal, by_correlations])
@pytest.mark.parametrize("name", CHAINS)
def test_never_below_a_pattern(name: str, choice: object) -> None:
    blocks = CHAINS[name]
    bound = torus_bound(blocks, slopes(blocks), choice)  # type: ignore[arg-type]
    assert isinstance(bound, Upper) and not bound.events
    product = math.prod(torch.linalg.matrix_norm(block.matrix(), 2).item() for block in blocks)
    assert attained(blocks) <= bound.value <= 3 * product


def test_one_pixel_is_the_dense_chain() -> None:
    """1 x 1 kernels on one pixel: every frequency is the dense recursion."""
    blocks = chain((5, 1, 1, 0, 1, 1), (6, 1, 1, 0, 1, 1), (3, 1, 1, 0, 1, 1), image=(4, 1, 1))
    layers = [
        Rounded(block.weight.flatten(1), torch.zeros_like(block.weight.flatten(1)))
        for block in blocks
    ]
    ends = [
        (torch.zeros(len(x.value)).double(), torch.ones(len(x.value)).double()) for x in layers[:-1]
    ]
    mine, dense = torus_bound(blocks, slopes(blocks), by_norm), chain_bound(layers, ends, by_norm)
    assert isinstance(mine, Upper) and isinstance(dense, Upper)
    assert mine.value == pytest.approx(dense.value, rel=1e-9)


def test_nothing_wraps_around_onto_the_image() -> None:
    """The circular convolution on the torus, restricted to the output image, is the zero-padded
    one."""
    for blocks in CHAINS.values():
        tori = torus_sizes(blocks)
        assert not isinstance(tori, Refusal)
        for block, torus in zip(blocks, tori, strict=True):
            x = torch.randn(1, *block.in_shape, dtype=torch.float64)
            placed = torch.zeros(1, block.in_shape[0], *torus, dtype=torch.float64)
            placed[(..., *(slice(size) for size in block.in_shape[1:]))] = x
            torch.testing.assert_close(circular(block, placed), block.mv(x))


def circular(block: Convolution, placed: Tensor) -> Tensor:
    """The sum over taps of shifted signals, every stride-th position from the padding's corner,
    cropped."""
    geometry, axes = block.geometry, tuple(range(2, placed.dim()))
    total = torch.zeros(1, *block.out_shape, dtype=torch.float64)
    for tap in (
        torch.cartesian_prod(*(torch.arange(k) for k in block.weight.shape[2:]))
        .reshape(-1, len(axes))
        .tolist()
    ):
        shifts = [
            p - t * d for t, d, p in zip(tap, geometry.dilation, geometry.padding, strict=True)
        ]
        moved = torch.roll(placed, shifts, axes)
        kept = [
            slice(0, s * n, s) for s, n in zip(geometry.stride, block.out_shape[1:], strict=True)
        ]
        part = block.weight[(slice(None), slice(None), *tap)]
        groups = moved[(..., *kept)].unflatten(1, (geometry.groups, -1))
        total += torch.einsum(
            "goi,bgi...->bgo...", part.unflatten(0, (geometry.groups, -1)), groups
        ).flatten(1, 2)
    return total


def test_folding_is_dropping_positions() -> None:
    """A random circulant covariance: the mean over frequencies that fold together is that of every
    second position."""
    block = chain((2, 3, 2, 1, 1, 1), image=(2, 8))[0]
    layer = _circular(block, (8,))
    matrices = layer.symbol.value @ layer.symbol.value.mH
    folded = _folded(matrices, layer, 0)
    positions = torch.fft.ifft(matrices, dim=0)
    wanted = torch.fft.fft(positions[::2], dim=0)
    torch.testing.assert_close(folded.matrices * 4.0**folded.exponent, wanted, rtol=1e-9, atol=1e-9)


def test_negative_slopes_are_refused() -> None:
    blocks = CHAINS["plain"]
    found = torus_bound(
        blocks, [Between(slope.lo - 0.1, slope.hi) for slope in slopes(blocks)], by_norm
    )
    assert isinstance(found, Refusal)


def test_semidefinite_within_an_error() -> None:
    eye = torch.eye(3, dtype=torch.complex128)
    lowest = torch.tensor([1.0, 1e-3, -1e-3], dtype=torch.float64)
    turn = torch.linalg.qr(
        torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.complex128)
    )[0]
    spectra = torch.stack([lowest, 2 + 0 * lowest, 3 + 0 * lowest], 1).to(eye.dtype)
    matrices = turn * spectra.unsqueeze(1) @ turn.mH
    none, some = Rounded.shared(matrices), Rounded.shared(matrices, 1e-3)
    assert are_semidefinite(none).tolist() == [True, True, False]
    assert are_semidefinite(some).tolist() == [True, False, False]


@pytest.mark.parametrize("name", ["plain", "valid", "dilated", "wide padding"])
def test_the_looped_chain_is_above_every_pattern_and_below_the_product(name: str) -> None:
    blocks = CHAINS[name]
    levels = torus_looped(blocks, slopes(blocks))
    assert isinstance(levels, list) and len(levels) == len(blocks)
    assert attained(blocks) <= levels[-1].value
    matrices = [
        _circular(block, torus).symbol.value
        for block, torus in zip(blocks, torus_sizes(blocks), strict=True)
    ]  # type: ignore[arg-type]
    product = math.prod(torch.linalg.matrix_norm(matrix, 2).max().item() for matrix in matrices)
    assert levels[-1].value <= product * (1 + 1e-6)


def test_the_looped_chain_of_one_pixel_is_the_published_formula() -> None:
    blocks = chain((5, 1, 1, 0, 1, 1), (3, 1, 1, 0, 1, 1), image=(4, 1, 1))
    first, second = (block.weight.flatten(1) for block in blocks)
    norm = lambda matrix: torch.linalg.matrix_norm(matrix, 2).item()  # noqa: E731
    levels = torus_looped(blocks, slopes(blocks))
    assert isinstance(levels, list)
    assert levels[-1].value == pytest.approx(
        norm(second @ first) / 2 + norm(second) * norm(first) / 2, rel=1e-9
    )


def test_strides_are_refused_by_the_looped_chain() -> None:
    assert isinstance(torus_looped(CHAINS["strided"], slopes(CHAINS["strided"])), Refusal)


@pytest.mark.parametrize("choice", [by_norm, by_diagonal])
def test_the_largest_slope_of_a_channel_counts(choice: object) -> None:
    """1 x 1 kernels on one channel of three places, one of which has slopes up to 3."""
    blocks = chain((1, 1, 1, 0, 1, 1), (1, 1, 1, 0, 1, 1), image=(1, 3))
    highest = torch.tensor([[0.1, 3.0, 0.2]], dtype=torch.float64)
    exact = 3 * math.prod(abs(block.weight.item()) for block in blocks)
    found = torus_bound(blocks, [Between(0 * highest, highest)], choice)  # type: ignore[arg-type]
    assert isinstance(found, Upper) and exact <= found.value <= exact * (1 + 1e-6)
    levels = torus_looped(blocks, [Between(0 * highest, highest)])
    assert isinstance(levels, list) and exact <= levels[-1].value <= exact * (1 + 1e-6)
