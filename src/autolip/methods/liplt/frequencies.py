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
from jaxtyping import Complex
from torch import Tensor

from autolip.budget import charge
from autolip.errors import Refusal
from autolip.methods.layerwise.frequencies import circular_layers
from autolip.operators.convolution import Convolution
from autolip.operators.norms.semidefinite import largest_eigenvalue
from autolip.rounded import Rounded
from autolip.roundoff import dot_error
from autolip.slopes import Between
from autolip.values import Upper


@dataclass(frozen=True)
class _Symbols:
    """Matrices of all frequencies, within `error` of the exact ones in spectral norm, which `norm`
    bounds.

    Entrywise errors would grow with the product of || |K| ||, not of ||K||, along a chain.
    """

    value: Complex[Tensor, "f m n"]
    error: Upper
    norm: Upper

    @staticmethod
    def of(value: Complex[Tensor, "f m n"], error: Upper) -> "_Symbols":
        return _Symbols(value, error, _largest_norm(value) + error)

    @staticmethod
    def within(symbol: Rounded) -> "_Symbols":
        """Of matrices known entry by entry."""
        return _Symbols.of(symbol.value, Upper.at_most(symbol.distance()))

    def after(self, inner: "_Symbols") -> "_Symbols":
        """The product: |fl(K V) - K V| <= gamma |K|_F |V|_F, and the factors' own errors."""
        charge(4 * self.value.numel() * inner.value.shape[2])
        error = _product_error(self.value, inner.value)
        error = error + self.error * (inner.norm + inner.error) + self.norm * inner.error
        return _Symbols.of(self.value @ inner.value, error)


def _product_error(left: Complex[Tensor, "f m k"], right: Complex[Tensor, "f k n"]) -> Upper:
    """At least what rounding loses of their product, in Frobenius norm."""
    sizes = _frobenius(left) * _frobenius(right)
    return Upper.at_most(dot_error(right.shape[1], sizes.value, is_complex=True))


def _frobenius(value: Complex[Tensor, "f m n"]) -> Upper:
    """max_w ||value(w)||_F."""
    parts_of = torch.view_as_real(value.resolve_conj())
    parts = parts_of.flatten(1)
    return Upper.at_most(Rounded.exact(parts).lengths(1).max().item())


def _largest_norm(value: Complex[Tensor, "f m n"]) -> Upper:
    """max_w ||value(w)||_2 of the stored matrices, proved on the smaller side."""
    is_wide = value.shape[1] > value.shape[2]
    value = value.mH if is_wide else value
    gram = value @ value.mH
    charge(4 * value.numel() * value.shape[1])
    unit = torch.eye(value.shape[1], dtype=torch.float64)
    error = _product_error(value, value.mH).value * unit
    return Upper(largest_eigenvalue(Rounded(gram, error))).sqrt()


def torus_looped(blocks: Sequence[Convolution], slopes: Sequence[Between]) -> list[Upper] | Refusal:
    """All l_k = ||x -> v_k|| + sum_j ||r_j z_j -> v_k|| l_j on the torus; refused where some stride
    is not 1."""
    if any(step > 1 for block in blocks for step in block.geometry.stride):
        return Refusal("strides change the torus")
    chain = circular_layers(blocks, slopes)
    if isinstance(chain, Refusal):
        return chain
    layers, gains = chain
    reaching = [_Symbols.within(layers[0].symbol)]
    levels: list[Upper] = []
    for number, layer in enumerate(layers):
        if number:
            half_gains = gains[number - 1] / 2
            symbol = layer.symbol.scale(columns=half_gains)
            through = _Symbols.within(symbol)
            reaching = [*(through.after(inner) for inner in reaching), through]
        total = reaching[0].norm
        for symbols, level in zip(reaching[1:], levels, strict=True):
            total = total + symbols.norm * level
        levels.append(total)
    return levels
