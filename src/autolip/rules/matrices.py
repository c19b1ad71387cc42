"""Matrix products: exact by a constant on either side, a gain towards each of two varying
factors."""

import torch
from torch import Tensor

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.incidence import Incidence
from autolip.operators.operator import Operator
from autolip.rules.linear import (
    Shape,
    Value,
    combination,
    constant_of,
    expansion,
    scaled,
    shape_of,
    shifted,
    tensor_of,
)
from autolip.rules.products import matrix_product
from autolip.rules.rule import Action, Constant, Example, Operand, Variable, rule
from autolip.slopes import Gain, Slope
from autolip.values import Upper

aten = torch.ops.aten


def right_product(shape: Shape, weight: Tensor) -> Operator:
    """x -> x @ W for x of this shape, as `torch.matmul` broadcasts."""
    if weight.dim() == 1:
        inner = right_product(shape, weight.unsqueeze(-1))
        return compose(Incidence(lambda t: t.squeeze(-1), inner.out_shape), inner)
    if weight.dim() == 2:
        return Dense(weight.mT, shape)
    if len(shape) == 1:
        inner = right_product((1, *shape), weight)
        rows = Incidence(lambda t: t.squeeze(-2), inner.out_shape)
        return compose(rows, inner, Incidence(lambda t: t.unsqueeze(0), shape))
    of_weight = weight.shape[:-2]
    batch = torch.broadcast_shapes(shape[:-2], of_weight)
    full = (*batch, *shape[-2:])
    return compose(Dense(weight.mT.unsqueeze(-3), full), expansion(shape, full))


def left_product(weight: Tensor, shape: Shape) -> Operator:
    """x -> W @ x for x of this shape, as `torch.matmul` broadcasts: the transpose of x^T W^T."""
    if len(shape) == 1:
        return right_product(shape, weight.mT if weight.dim() > 1 else weight)
    swap = Incidence(lambda t: t.mT, shape)
    if weight.dim() == 1:
        return compose(right_product(swap.out_shape, weight), swap)
    inner = right_product(swap.out_shape, weight.mT)
    return compose(Incidence(lambda t: t.mT, inner.out_shape), inner, swap)


def along(matrix: Tensor, shape: Shape, axis: int, relative_error: float = 0.0) -> Operator:
    """The matrix along one axis of a tensor of this shape."""
    last = Incidence(lambda t: t.movedim(axis, -1), shape)
    dense = Dense(matrix, last.out_shape, relative_error)
    return compose(Incidence(lambda t: t.movedim(-1, axis), dense.out_shape), dense, last)


def product(
    left: Value, right: Value, addend: Value | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Action:
    """beta * addend + alpha * left @ right: exact where one factor is constant."""
    if isinstance(left, Operand) and isinstance(right, Operand):
        return _varying_product(left, right, addend, beta, alpha)
    if isinstance(right, Operand):
        operator = left_product(tensor_of(constant_of(left)), right.shape)
    else:
        operator = right_product(tuple(shape_of(left)), tensor_of(right))
    value = right if isinstance(right, Operand) else left
    scaling = Diagonal(tensor_of(alpha), operator.out_shape)
    return combination(operator.out_shape, (compose(scaling, operator), value), (beta, addend))


def _varying_product(
    left: Operand, right: Operand, addend: Value | None, beta: float, alpha: float
) -> Action:
    """Both factors as batches of matrices of one shape; a factor that serves k of them has k^(1/p)
    times the gain."""
    probes = (torch.empty(factor.shape, device="meta") for factor in (left, right))
    shape = torch.matmul(*probes).shape
    rows = left.shape if left.dim > 1 else torch.Size((1, *left.shape))
    columns = right.shape if right.dim > 1 else torch.Size((*right.shape, 1))
    batch = torch.broadcast_shapes(rows[:-2], columns[:-2])
    factors = (
        left.viewed(rows, (*batch, *rows[-2:])),
        right.viewed(columns, (*batch, *columns[-2:])),
    )
    product = torch.Size((*batch, rows[-2], columns[-1]))
    inner = matrix_product(*factors, product)
    slopes = [
        (x, _through(gain, x, shape))
        for x, (_, gain) in zip((left, right), inner.slopes, strict=True)
    ]
    image = Interval(inner.image.lo.reshape(shape), inner.image.hi.reshape(shape))
    action = scaled(Action(tuple(slopes), image), alpha)
    if addend is None:
        return action
    added = combination(shape, (beta, addend))
    return Action((*action.slopes, *added.slopes), shifted(action.image, added.image))


def _through(gain: Slope, x: Operand, out_shape: torch.Size) -> Gain:
    if not isinstance(gain, Gain):
        raise TypeError("a product of two matrices has a gain towards each")
    inputs = max(x.shape.numel(), 1)
    count = gain.in_shape.numel() // inputs
    copies = Upper(float(count))
    more = {Norm.L1: copies, Norm.L2: copies.sqrt(), Norm.LINF: Upper(1.0)}
    return Gain(
        x.shape, out_shape, {norm: bound * more[norm] for norm, bound in gain.norms.items()}
    )


@rule(
    aten.linear.default,
    Example(Variable(2, 3, 4), Constant(5, 4), Constant(5)),
    Example(Variable(4), Constant(5, 4), None),
    Example(Variable(3, 4), Constant(4), None),
)
def linear(input: Value, weight: Value, bias: Value | None) -> Action:
    """Exact: the weight matrix along the last axis."""
    if isinstance(weight, Operand):
        raise UnsupportedOperation(
            "the weight of a linear layer depends on the input: write it as a product, x @ w.T"
        )
    matrix = tensor_of(weight)
    return product(input, matrix.mT if matrix.dim() > 1 else matrix, bias)


@rule(
    aten.mm.default,
    Example(Variable(3, 4), Constant(4, 5)),
    Example(Constant(3, 4), Variable(4, 5)),
    Example(Variable(3, 4), Variable(4, 5)),
)
@rule(
    aten.bmm.default,
    Example(Variable(2, 3, 4), Constant(2, 4, 5)),
    Example(Constant(2, 3, 4), Variable(2, 4, 5)),
    Example(Variable(2, 3, 4), Variable(2, 4, 5)),
)
def mm(self: Value, mat2: Value) -> Action:
    """Exact by a constant matrix on either side; of two varying matrices: a Gain by both ranges."""
    return product(self, mat2)


@rule(
    aten.matmul.default,
    Example(Variable(2, 1, 3, 4), Constant(6, 4, 5)),
    Example(Constant(6, 3, 4), Variable(2, 1, 4, 5)),
    Example(Variable(4), Constant(2, 4, 5)),
    Example(Constant(2, 3, 4), Variable(4)),
    Example(Constant(4), Variable(2, 4, 5)),
    Example(Variable(2, 3, 4), Constant(4)),
    Example(Constant(4), Variable(4)),
    Example(Variable(3, 1, 2, 4), Variable(2, 4, 5)),
    Example(Variable(4), Variable(2, 4, 5)),
    Example(Variable(2, 3, 4), Variable(4)),
    Example(Variable(4), Variable(4)),
)
def matmul(self: Value, other: Value) -> Action:
    """Exact by a constant on either side; of two varying factors: a Gain by both ranges."""
    return product(self, other)


@rule(aten.mv.default, Example(Variable(3, 4), Constant(4)), Example(Constant(3, 4), Variable(4)))
def mv(self: Value, vec: Value) -> Action:
    """Exact by a constant matrix or vector; of two varying factors: a Gain by both ranges."""
    return product(self, vec)


@rule(aten.dot.default, Example(Variable(4), Constant(4)), Example(Constant(4), Variable(4)))
def dot(self: Value, tensor: Value) -> Action:
    """Exact by a constant vector; of two varying vectors: a Gain by both ranges."""
    return product(self, tensor)


@rule(aten.vdot.default, Example(Variable(4), Constant(4)))
def vdot(self: Value, other: Value) -> Action:
    """Exact by a constant vector; of two varying vectors: a Gain by both ranges."""
    return product(self, other)


@rule(
    aten.addmm.default,
    Example(Constant(5), Variable(3, 4), Constant(4, 5), beta=0.3, alpha=-0.7),
    Example(Variable(3, 1), Constant(3, 4), Variable(4, 5)),
    Example(Variable(5), Constant(3, 4), Constant(4, 5), beta=0.3, alpha=2),
)
def addmm(self: Value, mat1: Value, mat2: Value, beta: float, alpha: float) -> Action:
    """Exact: alpha times the constant matrix, beta times the identity towards self."""
    return product(mat1, mat2, self, beta, alpha)


@rule(
    aten.baddbmm.default,
    Example(Constant(2, 1, 5), Variable(2, 3, 4), Constant(2, 4, 5), beta=0.3, alpha=-0.7),
    Example(Variable(2, 1, 5), Variable(2, 3, 4), Variable(2, 4, 5), beta=0.3, alpha=-0.7),
)
def baddbmm(self: Value, batch1: Value, batch2: Value, beta: float, alpha: float) -> Action:
    """Exact: alpha times the constant matrices, beta times the identity towards self."""
    return product(batch1, batch2, self, beta, alpha)


@rule(aten.addmv.default, Example(Constant(3), Constant(3, 4), Variable(4), beta=0.3, alpha=-0.7))
def addmv(self: Value, mat: Value, vec: Value, beta: float, alpha: float) -> Action:
    """Exact: alpha times the constant matrix or vector, beta times the identity towards self."""
    return product(mat, vec, self, beta, alpha)
