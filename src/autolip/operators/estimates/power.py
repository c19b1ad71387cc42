"""Singular values from below: the published power method by autodiff, its deflation, and a Krylov
method for many.

Power iteration approaches a norm from below, so everything here is an `Estimate` or plain tensors,
never an `Upper`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from autolip.errors import InputError
from autolip.operators.operator import DTYPE, Operator, flat
from autolip.values import Estimate

Affine = Callable[[Tensor], Tensor]

DENSE_SHARE = 4
"""Chosen: beyond one singular vector in this many, a dense decomposition costs less than an
iterative one."""


@dataclass(frozen=True)
class Singular:
    """k singular triplets, largest value first: A right_i is about values_i left_i."""

    left: Float[Tensor, "k *out_shape"]
    values: Float[Tensor, " k"]
    right: Float[Tensor, "k *in_shape"]


def power_method(
    f: Affine | Operator, shape: tuple[int, ...] | None = None, iterations: int = 100, seed: int = 0
) -> Estimate:
    """||A||_2 from below, of an affine map f(x) = A x + b given as a function of a tensor of
    `shape`.

    v <- grad g(v), g(x) = 1/2 ||f(x) - f(0)||^2, normalised; the value is ||f(v) - f(0)|| after the
    last iteration. Source: A. Virmaux, K. Scaman, Lipschitz regularity of deep neural networks,
    NeurIPS 2018, Algorithm 2. Cost: one forward and one backward pass per iteration.
    """
    return Estimate(deflated_power_method(f, shape, 1, iterations, seed).values[0].item())


def deflated_power_method(
    f: Affine | Operator,
    shape: tuple[int, ...] | None = None,
    k: int = 1,
    iterations: int = 100,
    seed: int = 0,
) -> Singular:
    """The k largest singular triplets by Algorithm 2, one after the other, each orthogonal to those
    before.

    Source: Virmaux, Scaman, NeurIPS 2018, who take the leading singular vectors of large layers for
    SeqLip from it. Slow where singular values are close; `top_singular` needs far fewer products.
    """
    square, size = _square(f, shape)
    if not 1 <= k <= size:
        raise InputError(
            f"{k} singular vectors of a map from {size} numbers were asked for: ask for 1 to {size}"
        )
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(0, size, dtype=DTYPE)
    for _ in range(k):
        drawn = torch.randn(size, dtype=DTYPE, generator=generator)
        v = _unit(_orthogonal(drawn, found))
        for _ in range(iterations):
            step = _orthogonal(square(v)[1], found)
            if not step.any():
                break
            v = _unit(step)
        found = torch.cat([found, v[None]])
    squares = [square(v)[0] for v in found]
    images = torch.stack(squares)
    values = torch.linalg.vector_norm(flat(images), dim=1)
    order = values.argsort(descending=True)
    ones = [1] * (images.dim() - 1)
    divisors = values.clamp(min=torch.finfo(DTYPE).tiny)
    left = images / divisors.view(-1, *ones)
    return Singular(left[order], values[order], found.reshape(k, *_shape(f, shape))[order])


def _shape(f: Affine | Operator, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if isinstance(f, Operator):
        return tuple(f.in_shape)
    if shape is None:
        raise InputError(
            "the power method cannot know what a function takes: give the shape of its input"
        )
    return tuple(shape)


def _square(
    f: Affine | Operator, shape: tuple[int, ...] | None
) -> tuple[Callable[[Tensor], tuple[Tensor, Tensor]], int]:
    """v -> (A v, A^T A v), v flat; and its size."""
    full = _shape(f, shape)
    if isinstance(f, Operator):
        operator = f

        def products(v: Tensor) -> tuple[Tensor, Tensor]:
            image = operator.mv(v.view(1, *full))
            return image[0], operator.rmv(image).flatten()

    else:
        affine = f
        offset = affine(torch.zeros(full, dtype=DTYPE)).detach()

        def products(v: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                x = v.view(full).detach().requires_grad_()
                image = affine(x) - offset
                (gradient,) = torch.autograd.grad(
                    image.square().sum() / 2, x, materialize_grads=True
                )
            return image.detach(), gradient.flatten()

    return products, int(np.prod(full))


def _orthogonal(v: Float[Tensor, " n"], basis: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    """v without its part in the span of orthonormal rows; twice, so that rounding does not bring it
    back."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v


def _unit(v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """v / ||v||, without overflow."""
    largest = v.abs().max()
    return v / largest / torch.linalg.vector_norm(v / largest)


def top_singular(operator: Operator, k: int, tolerance: float = 0.0, seed: int = 0) -> Singular:
    """The k largest singular triplets of an operator, to about the rounding error (or a relative
    tolerance).

    Implicitly restarted Lanczos on the smaller side (ARPACK: R. Lehoucq, D. Sorensen, C. Yang,
    1998, through `scipy.sparse.linalg.eigsh`); a dense decomposition when k is a good part of the
    smaller side.  Of the methods compared (LOBPCG, block power and block Krylov iterations,
    Golub-Kahan by PROPACK) it needs the fewest products.
    """
    smaller = min(operator.in_size, operator.out_size)
    if not 1 <= k <= smaller:
        raise InputError(
            f"{k} singular vectors of {operator} were asked for: ask for 1 to {smaller}"
        )
    if smaller <= max(DENSE_SHARE * k, 32):
        left, values, right = torch.linalg.svd(operator.matrix(), full_matrices=False)
        return _triplets(operator, left.T[:k], values[:k], right[:k])
    if operator.in_size > operator.out_size:
        turned = _by_arpack(operator.T, k, tolerance, seed)
        return Singular(turned.right, turned.values, turned.left)
    return _by_arpack(operator, k, tolerance, seed)


def top_eigenvalue(matrix: Float[Tensor, "n n"]) -> float:
    """About the largest eigenvalue of a symmetric matrix, from below beyond order 1024: a guess to
    be proved."""
    if len(matrix) <= 1024:
        return torch.linalg.eigvalsh(matrix)[-1].item()
    start = torch.randn(
        len(matrix), dtype=DTYPE, generator=torch.Generator().manual_seed(0)
    ).numpy()
    found = scipy.sparse.linalg.eigsh(
        matrix.numpy(), 1, which="LA", v0=start, tol=1e-10, return_eigenvectors=False
    )
    return float(found[0])


def _by_arpack(operator: Operator, k: int, tolerance: float, seed: int) -> Singular:
    """Eigenvectors of A^T A; then the small SVD of their images, which repairs clustered values."""
    size = operator.in_size

    def gram(x: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(np.ascontiguousarray(x))
        image = operator.mv(rows.view(1, *operator.in_shape))
        return operator.rmv(image).flatten().numpy()

    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(size, dtype=DTYPE, generator=generator).numpy()
    if not gram(start).any():
        return Singular(
            _units(k, operator.out_shape), torch.zeros(k, dtype=DTYPE), _units(k, operator.in_shape)
        )
    linear = scipy.sparse.linalg.LinearOperator((size, size), matvec=gram, dtype=np.float64)
    _, vectors = scipy.sparse.linalg.eigsh(linear, k, v0=start, tol=tolerance)
    basis = torch.from_numpy(np.ascontiguousarray(vectors.T))
    shaped = basis.view(k, *operator.in_shape)
    images = flat(operator.mv(shaped))
    turn, values, left = torch.linalg.svd(images, full_matrices=False)
    return _triplets(operator, left, values, turn.T @ basis)


def _units(k: int, shape: torch.Size) -> Tensor:
    """Orthonormal vectors: singular ones of the zero map, which is all that a random vector can be
    mapped to 0 by."""
    return torch.eye(k, shape.numel(), dtype=DTYPE).view(k, *shape)


def _triplets(operator: Operator, left: Tensor, values: Tensor, right: Tensor) -> Singular:
    return Singular(
        left.reshape(-1, *operator.out_shape).contiguous(),
        values,
        right.reshape(-1, *operator.in_shape).contiguous(),
    )
