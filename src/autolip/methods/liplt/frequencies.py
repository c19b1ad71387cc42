"""LipLT along chains of convolutions, one small matrix per frequency of the torus on which the
chain is contained.

With slopes in [0, b] at every position of the torus (see `torus`) the centres are diag(b / 2), the
same everywhere, so that the linear network through the centres is a circular convolution, and so is
every remainder's: all norms are maxima over frequencies, proved by Cholesky factorisations of c x c
matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from autolip.budget import charge
from autolip.errors import Refusal
from autolip.intervals import UNIT, gamma
from autolip.methods.layerwise.frequencies import Circular, circular_layers
from autolip.operators.convolution import Convolution
from autolip.operators.norms.engine import upper
from autolip.operators.norms.rounding import upper_norm
from autolip.operators.norms.semidefinite import are_semidefinite
from autolip.slopes import Between
from autolip.values import INFINITE, Upper


@dataclass(frozen=True)
class _Symbols:
    """Matrices of all frequencies, within `error` of the exact ones in spectral norm, which `norm`
    bounds."""

    value: Complex[Tensor, "f m n"]
    error: Upper
    norm: Upper

    @staticmethod
    def of(value: Complex[Tensor, "f m n"], error: Upper) -> "_Symbols":
        return _Symbols(value, error, _largest_norm(value) + error)

    @staticmethod
    def from_layer(layer: Circular, scale: Float[Tensor, " n"] | None = None) -> "_Symbols":
        """K(w) diag(scale), scale >= 0."""
        if scale is None:
            return _Symbols.of(layer.symbol, upper(upper_norm(layer.error)))
        error = (layer.error + (layer.sizes + layer.error) * 2 * UNIT) * scale
        return _Symbols.of(layer.symbol * scale, upper(upper_norm(error), ulps=4))

    def after(self, inner: "_Symbols") -> "_Symbols":
        """The product: |fl(K V) - K V| <= gamma |K|_F |V|_F, and the factors' own errors."""
        charge(4 * self.value.numel() * inner.value.shape[2])
        rounding = upper(gamma(8 * (inner.value.shape[1] + 2)))
        error = rounding * _frobenius(self.value) * _frobenius(inner.value)
        error = error + self.error * (inner.norm + inner.error) + self.norm * inner.error
        return _Symbols.of(self.value @ inner.value, error)


def _frobenius(value: Complex[Tensor, "f m n"]) -> Upper:
    """max_w ||value(w)||_F."""
    squares = torch.view_as_real(value.resolve_conj()).flatten(1).square().sum(1)
    return upper(squares.max().item() * (1 + gamma(2 * value[0].numel() + 4))).sqrt()


def _largest_norm(value: Complex[Tensor, "f m n"]) -> Upper:
    """max_w ||value(w)||_2 of the stored matrices, proved on the smaller side."""
    value = value.mH if value.shape[1] > value.shape[2] else value
    order = value.shape[1]
    gram = value @ value.mH
    charge(4 * value.numel() * order)
    size = _frobenius(value)
    slack = (upper(gamma(8 * (value.shape[2] + 2))) * size * size).value
    guess = max(torch.linalg.eigvalsh(gram).max().item(), 0.0)
    for attempt in range(16):
        square = guess * (1 + 2.0 ** (3 * attempt - 44)) + 2.0**-900
        statement = square * torch.eye(order, dtype=gram.dtype) - gram
        rounding = torch.diag(statement.abs().amax(0).diagonal() + square) * 2 * UNIT
        if bool(
            are_semidefinite(
                statement, rounding + slack * torch.eye(order, dtype=rounding.dtype)
            ).all()
        ):
            return Upper(square).sqrt()
    return INFINITE


def torus_looped(blocks: Sequence[Convolution], slopes: Sequence[Between]) -> list[Upper] | Refusal:
    """All l_k = ||x -> v_k|| + sum_j ||r_j z_j -> v_k|| l_j on the torus; refused where some stride
    is not 1."""
    if any(step > 1 for block in blocks for step in block.geometry.stride):
        return Refusal("strides change the torus")
    chain = circular_layers(blocks, slopes)
    if isinstance(chain, Refusal):
        return chain
    layers, gains = chain
    reaching = [_Symbols.from_layer(layers[0])]
    levels: list[Upper] = []
    for number, layer in enumerate(layers):
        if number:
            through = _Symbols.from_layer(layer, gains[number - 1] / 2)
            reaching = [*(through.after(inner) for inner in reaching), through]
        total = reaching[0].norm
        for symbols, level in zip(reaching[1:], levels, strict=True):
            total = total + symbols.norm * level
        levels.append(total)
    return levels
