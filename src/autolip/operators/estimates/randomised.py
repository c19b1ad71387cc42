"""Many singular directions of a large operator at once: a randomised block, a few passes, in single
precision.

Nothing here is proved: what the directions miss has to be accounted for by whoever uses them.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.operators.estimates.power import Singular
from autolip.operators.operator import DTYPE, Operator, flat

PASSES = 12
"""Chosen: most products of the whole block with A^T A."""

SETTLED = 2e-3
"""Chosen: relative growth of the block's size at one product with A^T A, below which the last one
has been made."""

OVERSAMPLING = 8
"""Chosen: directions beyond those asked for."""

NUMBERS = 2**23
"""Chosen: most numbers of vectors and images that an operator is applied to at once."""


def randomised_singular(operator: Operator, k: int, seed: int = 0) -> Singular:
    """About the k largest singular triplets, the values from below: subspace iteration on a random
    block.

    N. Halko, P.-G. Martinsson, J. Tropp, SIAM Review 2011, Algorithm 4.4, with an orthonormal basis
    after each product and the Rayleigh-Ritz step of Algorithm 5.1.  The iteration ends when the
    block has settled; values close to the (k + 9)th are the least accurate.  Cost: up to 25
    products of k + 8 vectors, float32.
    """
    if operator.in_size > operator.out_size:
        turned = randomised_singular(operator.T, k, seed)
        return Singular(turned.right, turned.values, turned.left)
    single = operator.cast(torch.float32)
    numbers = operator.in_size + operator.out_size
    part = max(1, NUMBERS // numbers)

    def images(rows: Float[Tensor, "k n"]) -> Float[Tensor, "k m"]:
        return torch.cat(
            [flat(single.mv(x.reshape(-1, *operator.in_shape))) for x in rows.split(part)]
        )

    def pulled(rows: Float[Tensor, "k m"]) -> Float[Tensor, "k n"]:
        return torch.cat(
            [flat(single.rmv(y.reshape(-1, *operator.out_shape))) for y in rows.split(part)]
        )

    generator = torch.Generator().manual_seed(seed)
    width = min(k + OVERSAMPLING, operator.in_size)
    drawn = torch.randn(width, operator.in_size, generator=generator)
    basis, _ = _orthonormal(drawn)
    size = 0.0
    for _ in range(PASSES):
        basis, triangle = _orthonormal(pulled(images(basis)))
        before = size
        size = torch.linalg.matrix_norm(triangle).item()
        if size <= before * (1 + SETTLED):
            break
    columns = images(basis).T
    frame, triangle = torch.linalg.qr(columns)
    left, values, right = torch.linalg.svd(triangle.to(DTYPE))
    leading = left[:, :k].float()
    above = (frame @ leading).T.to(DTYPE)
    below = right[:k] @ basis.to(DTYPE)
    return Singular(
        above.reshape(-1, *operator.out_shape), values[:k], below.reshape(-1, *operator.in_shape)
    )


def _orthonormal(rows: Float[Tensor, "k n"]) -> tuple[Float[Tensor, "k n"], Float[Tensor, "k k"]]:
    """Orthonormal rows with the same span, and the triangle that leads back."""
    frame, triangle = torch.linalg.qr(rows.T)
    return frame.T.contiguous(), triangle
