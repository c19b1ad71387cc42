"""ONNX operators that act element by element: arithmetic, comparisons, activations, casts."""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        return function(x)

    return apply


for _name, _function in UNARY.items():
    onnx_operator(_name)(_unary(_function))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Div": _divide,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}


def _aligned(b: Tensor, dims: int, axis: int | None) -> Tensor:
    """Opset 6: the first axis of `b` stands at axis `axis` of `dims` axes (default: the last that
    fits)."""
    trailing = 0 if axis is None else dims - axis % dims - b.dim()
    return b.reshape(*b.shape, *[1] * trailing) if trailing else b


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def apply(a: Tensor, b: Tensor, *, axis: int | None = None, broadcast: int = 0) -> Tensor:
        return function(a, _aligned(b, a.dim(), axis))

    return apply


for _name, _combine in BINARY.items():
    onnx_operator(_name)(_binary(_combine))


@onnx_operator("BitShift", since=11)
def bit_shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    return a << b if direction == "LEFT" else a >> b


@onnx_operator("IsInf", since=10)
def is_infinite(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    found = torch.isinf(x)
    found = found if detect_negative else torch.logical_and(found, x > 0)
    return found if detect_positive else torch.logical_and(found, x < 0)


@onnx_operator("Mod")
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


@onnx_operator("Pow")
def power(
    a: Tensor, exponent: Tensor | float, *, axis: int | None = None, broadcast: int = 0
) -> Tensor:
    if isinstance(exponent, Tensor):
        exponent = _aligned(exponent, a.dim(), axis)
    result = torch.pow(a, exponent)
    return result if result.dtype == a.dtype else result.to(a.dtype)


@onnx_operator("Sum")
def total(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors)


@onnx_operator("Mean")
def mean(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors) / len(tensors)


@onnx_operator("Max")
def maximum(*tensors: Tensor) -> Tensor:
    return reduce(torch.maximum, tensors)


@onnx_operator("Min")
def minimum(*tensors: Tensor) -> Tensor:
    return reduce(torch.minimum, tensors)


@onnx_operator("Where")
def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


@onnx_operator("Clip")
def clip(x: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        raised = x if min is None else torch.clamp(x, min=min)
        return raised if max is None else torch.clamp(raised, max=max)
    return x if min is None and max is None else torch.clamp(x, min, max)


@onnx_operator("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


@onnx_operator("PRelu")
def prelu_per_channel(x: Tensor, slope: Tensor) -> Tensor:
    """Before opset 7 the slope is one number or one per channel."""
    return F.prelu(x, slope.reshape(-1))


@onnx_operator("PRelu", since=7)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """`max(x, 0) + slope min(x, 0)`, the slope broadcast to the shape of `x`."""
    per_channel = (
        slope.numel() == x.shape[1] and slope.dim() >= x.dim() - 1 and slope.shape[1 - x.dim()] != 1
    )
    if slope.numel() == 1 or per_channel:
        return F.prelu(x, slope.reshape(-1))
    return torch.relu(x) - slope * torch.relu(-x)


@onnx_operator("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


@onnx_operator("Selu")
def selu(
    x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Tensor:
    """`gamma elu(x)`: the file's constants are single precision and not exactly those of
    `torch.selu`."""
    return gamma * F.elu(x, alpha)


@onnx_operator("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.celu(x, alpha)


@onnx_operator("Gelu")
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


@onnx_operator("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


@onnx_operator("Swish")
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)


@onnx_operator("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.threshold(x, alpha, 0.0)


@onnx_operator("Shrink")
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    if bias == lambd:
        return F.softshrink(x, lambd)
    if bias == 0.0:
        return F.hardshrink(x, lambd)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


@onnx_operator("Identity")
def identity(x: Tensor) -> Tensor:
    return x


@onnx_operator("Dropout")
def dropout_with_mode(x: Tensor, *, is_test: int = 0, ratio: float = 0.5) -> Tensor:
    """Before opset 7 an attribute says whether the file was exported for inference."""
    if not is_test:
        raise UnsupportedOperation(
            "it is in training mode (is_test = 0); export the network in eval mode"
        )
    return x


@onnx_operator("Dropout", since=7)
def dropout(x: Tensor, ratio: float = 0.5, training_mode: bool = False, *, seed: int = 0) -> Tensor:
    if training_mode:
        raise UnsupportedOperation("it is in training mode; export the network in eval mode")
    return x


@onnx_operator("Cast")
def cast(x: Tensor, *, to: torch.dtype, like: Tensor, saturate: int = 1) -> Tensor:
    """A cast between floating types is the identity: the network is analysed in one floating
    type."""
    if to.is_floating_point:
        return x if x.is_floating_point() else x.to(like.dtype)
    return x.to(to)


@onnx_operator("CastLike")
def cast_like(x: Tensor, target: Tensor, *, like: Tensor, saturate: int = 1) -> Tensor:
    return cast(x, to=target.dtype, like=like)
