"""Operations written with others: the same numbers, and brackets of networks that hold them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.capture.torch.written import WRITTEN

aten = torch.ops.aten
DOUBLE = torch.float64
X = torch.tensor(
    [[0.3, -1.2, 2.0, 0.7, -0.4], [1.1, 0.2, -0.9, 1.6, 0.8], [-2.0, 0.5, 0.1, 0.6, 1.3]],
    dtype=DOUBLE,
)
Y = X.flip(1) * 0.7 + 0.3
SQUARE = X[:, :3] @ X[:, :3].mT + torch.eye(3, dtype=DOUBLE)
INDEX = torch.tensor([[0, 1, 1, 0, 2], [2, 0, 1, 2, 2], [0, 0, 1, 1, 2]])
IMAGES = torch.linspace(-1, 2, 4 * 6 * 9, dtype=DOUBLE).sin().reshape(2, 2, 6, 9)
KERNEL = torch.linspace(-2, 1, 4 * 3 * 2, dtype=DOUBLE).cos().reshape(4, 1, 3, 2)
GRADIENTS = torch.conv2d(IMAGES, KERNEL, None, (2, 3), (1, 0), (1, 2), 2)
ONLY = [True, False, False]

CALLS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "var": (aten.var.correction, (X, [1]), {"correction": 2, "keepdim": True}),
    "var of all": (aten.var.correction, (X,), {}),
    "var_mean": (aten.var_mean.correction, (X, [0, 1]), {"correction": 0}),
    "std_mean": (aten.std_mean.correction, (X, [-1]), {"correction": 1}),
    "prod": (aten.prod.dim_int, (X, 1), {}),
    "prod, kept": (aten.prod.dim_int, (X, 0, True), {}),
    "prod of all": (aten.prod.default, (X,), {}),
    "cumprod": (aten.cumprod.default, (X, 1), {}),
    "cumprod of rows": (aten.cumprod.default, (X, 0), {}),
    "cdist": (aten._cdist_forward.default, (X, Y[:2], 1.0, None), {}),
    "cdist, l3": (aten._cdist_forward.default, (X, Y, 3.0, 2), {}),
    "many rows": (aten._euclidean_dist.default, (X, Y), {}),
    "pdist": (aten._pdist_forward.default, (X, 2.0), {}),
    "dist": (aten.dist.default, (X, Y, math.inf), {}),
    "bilinear": (aten.bilinear.default, (X[:, :3], Y, X.reshape(1, 3, 5), Y[0, :1]), {}),
    "addbmm": (
        aten.addbmm.default,
        (SQUARE, X.reshape(1, 3, 5), Y.mT.reshape(1, 5, 3)),
        {"beta": 0.3, "alpha": -0.5},
    ),
    "solve": (aten.linalg_solve.default, (SQUARE, X), {}),
    "solve from the right": (aten.linalg_solve.default, (SQUARE, X.mT), {"left": False}),
    "inv": (aten.linalg_inv.default, (SQUARE,), {}),
    "cholesky_solve": (aten.cholesky_solve.default, (X, SQUARE.tril()), {}),
    "cholesky_solve, upper": (aten.cholesky_solve.default, (X, SQUARE.triu(), True), {}),
    "lu_solve": (aten.linalg_lu_solve.default, (*torch.linalg.lu_factor(SQUARE), X), {}),
    "fmax": (aten.fmax.default, (X, Y), {}),
    "a quantile": (aten.quantile.scalar, (X, 0.3), {}),
    "quantiles": (aten.quantile.default, (X, torch.tensor([0.1, 1.0]).to(X.dtype), 0, True), {}),
    "logaddexp": (aten.logaddexp.default, (X, Y), {}),
    "fmin": (aten.fmin.default, (X, Y), {}),
    "scatter": (aten.scatter.reduce, (X, 1, INDEX, Y), {"reduce": "add"}),
    "index_reduce": (
        aten.index_reduce.default,
        (X[:2], 0, torch.tensor([1, 0, 1]), Y, "amax"),
        {"include_self": False},
    ),
    "slope of softplus": (aten.softplus_backward.default, (Y, X, 2.0, 20.0), {}),
    "slope of elu": (aten.elu_backward.default, (Y, 1.5, 0.7, 2.0, False, X), {}),
    "slope of elu by its value": (aten.elu_backward.default, (Y, 0.5, 2, 1.5, True, X), {}),
    "convolution, back": (
        aten.convolution_backward.default,
        *((GRADIENTS, IMAGES, KERNEL, [4], [2, 3], [1, 0], [1, 2], False, [0, 0], 2, ONLY), {}),
    ),
    "transposed convolution, back": (
        aten.convolution_backward.default,
        *((IMAGES, GRADIENTS, KERNEL, [2], [2, 3], [1, 0], [1, 2], True, [1, 0], 2, ONLY), {}),
    ),
    "layer norm": (aten.native_layer_norm.default, (X, [5], Y[0], Y[1], 1e-3), {}),
    "group norm": (
        aten.native_group_norm.default,
        (X.reshape(1, 3, 5).repeat(2, 2, 1), None, None, 2, 6, 5, 3, 1e-3),
        {},
    ),
    "any": (aten.any.dims, (X > 1.5, [-1]), {"keepdim": True}),
    "div": (aten.div.Scalar_mode, (X, 0.7), {"rounding_mode": "floor"}),
    "fake_quantize": (
        aten.fake_quantize_per_tensor_affine_cachemask.default,
        (X, 0.125, 3, -4, 11),
        {},
    ),
    "fake_quantize by tensors": (
        aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default,
        (X, torch.tensor(0.125), torch.tensor(3), torch.tensor(1), -4, 11),
        {},
    ),
    "fake_quantize of channels": (
        aten.fake_quantize_per_channel_affine_cachemask.default,
        (
            X,
            torch.tensor([0.125, 0.25, 1.0]),
            torch.tensor([3, 0, -1], dtype=torch.int32),
            0,
            -4,
            11,
        ),
        {},
    ),
    "and": (aten.bitwise_and.Scalar, (X > 0, True), {}),
    "or": (aten.bitwise_or.Scalar, (X > 0, False), {}),
    "xor": (aten.bitwise_xor.Scalar, (X > 0, True), {}),
    "ldexp": (aten.ldexp.Tensor, (X, torch.tensor([1, -2, 0, 3, 1])), {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_written_is_the_operation(name: str) -> None:
    target, args, kwargs = CALLS[name]
    wanted, found = target(*args, **kwargs), WRITTEN[target](*args, **kwargs)
    pairs = zip(wanted, found, strict=True) if isinstance(wanted, tuple) else [(wanted, found)]
    for a, b in pairs:
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12)


def test_every_one_of_them_is_tried() -> None:
    tried = {target for target, _, _ in CALLS.values()}
    assert set(WRITTEN) - tried <= {aten.cdist.default}


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "std": (lambda x: x.std(1), 1 / math.sqrt(4)),
    "distance to points": (lambda x: torch.cdist(x, Y[:2]), math.sqrt(2)),
    "median": (lambda x: x.median(1)[0], 1.0),
    "cummax": (lambda x: x.cummax(1)[0], math.sqrt(5)),
    "fmax": (lambda x: torch.fmax(x, Y), 1.0),
    "addbmm": (
        lambda x: torch.addbmm(SQUARE, x.reshape(1, 3, 5), Y.mT.reshape(1, 5, 3)),
        float(torch.linalg.matrix_norm(Y, 2)),
    ),
    "solve": (
        lambda x: torch.linalg.solve(SQUARE, x),
        1 / float(torch.linalg.matrix_norm(SQUARE, -2)),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_global_constant_is_met(name: str) -> None:
    function, constant = FUNCTIONS[name]
    result = lipschitz(function, X, method="autolip", lower="random", seed=0)
    assert result.upper is not None
    assert result.upper.value == pytest.approx(constant, rel=1e-9)


def test_a_bilinear_layer_is_bracketed_on_a_ball() -> None:
    """Towards x1 it is sum_j x2_j W_kij, and alike towards x2."""
    torch.manual_seed(0)
    layer = nn.Bilinear(3, 3, 4).double()
    result = lipschitz(lambda x: layer(x, x), X[:, :3], region=Ball(X[:, :3], 1e-6), seed=0)
    assert result.lower is not None
    assert result.upper is not None
    assert result.lower.value is not None
    assert result.upper.value is not None
    assert result.lower.value <= result.upper.value <= 3 * result.lower.value
