"""What a step can be: its expression in PyTorch, its value to 80 digits, and its nodes in an ONNX
file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import torch
from mpmath import mpf
from torch.nn import functional as F

Arrays = list[np.ndarray]
Exact = Callable[[Any, Arrays, dict[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Kind:
    torch: str
    """The expression, with {0} for the first operand and {name} for a setting or a weight."""
    exact: Exact
    onnx: str = ""
    """The operator of the ONNX file; empty where there is none."""


def pointwise(expression: str, function: Callable[..., Any], onnx: str = "") -> Kind:
    """A function of one number, which is given the step's settings as well."""

    def exact(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
        settings = {
            name: mpf(value) if isinstance(value, float) else value
            for name, value in step.settings.items()
        }
        return each(lambda t: function(t, **settings), xs[0])

    return Kind(expression, exact, onnx)


def each(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(x.shape):
        result[index] = function(x[index])
    return result


def linear(
    expression: str,
    onnx: str = "",
    denominator: Callable[[Any, np.ndarray], int] = lambda step, x: 1,
) -> Kind:
    """A linear map without weights: its matrix times the denominator has integers in it."""

    def exact(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
        run = eval(f"lambda x: {expression.format('x', **step.settings)}", {"torch": torch, "F": F})
        units = torch.eye(xs[0].size, dtype=torch.float64).reshape(-1, *xs[0].shape)
        images = [run(unit) for unit in units]
        scale = denominator(step, xs[0])
        rows = [[round(entry) for entry in (image * scale).flatten().tolist()] for image in images]
        flat = np.array(rows, dtype=object).T @ xs[0].reshape(-1) / mpf(scale)
        return np.asarray(flat, dtype=object).reshape(tuple(images[0].shape))

    return Kind(expression, exact, onnx)


def convolved(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Entry (o, i) of the convolution's matrix is the weight whose number stands there for numbered
    weights."""
    x, weight, bias = xs[0], weights["w"], weights["b"]
    numbers = torch.arange(1, weight.size + 1, dtype=torch.float64).reshape(weight.shape)
    function = F.conv_transpose2d if step.kind == "conv_transpose" else F.conv2d
    units = torch.eye(x.size, dtype=torch.float64).reshape(-1, *x.shape[1:])
    images = function(units, numbers, None, **step.settings)
    table = np.array([mpf(0), *weight.reshape(-1)], dtype=object)
    chosen = images.round().long().flatten(1).T.numpy()
    flat = (table[chosen] * x.reshape(-1)[None]).sum(1)
    return flat.reshape(1, *images.shape[1:]) + bias.reshape(1, -1, 1, 1)


def max_pool(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    x, s = xs[0], step.settings
    shape = F.max_pool2d(torch.zeros(x.shape), **s).shape
    result = np.empty(tuple(shape), dtype=object)
    for n, c, i, j in np.ndindex(result.shape):
        places = [
            (
                i * s["stride"] - s["padding"] + s["dilation"] * a,
                j * s["stride"] - s["padding"] + s["dilation"] * b,
            )
            for a in range(s["kernel_size"])
            for b in range(s["kernel_size"])
        ]
        inside = [(a, b) for a, b in places if 0 <= a < x.shape[2] and 0 <= b < x.shape[3]]
        result[n, c, i, j] = max(x[n, c, a, b] for a, b in inside)
    return result


def softmax(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    powers = each(mpmath.exp, xs[0] - xs[0].max(step.settings["dim"], keepdims=True))
    return np.asarray(powers / powers.sum(step.settings["dim"], keepdims=True))


def normalised(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) over the axes."""
    count = int(np.prod([x.shape[axis] for axis in axes]))
    centred = x - x.sum(axes, keepdims=True) / count
    variance = (centred * centred).sum(axes, keepdims=True) / count
    return np.asarray(centred / each(mpmath.sqrt, variance + mpf(eps)))


def layer_norm(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    return normalised(xs[0], (xs[0].ndim - 1,), step.settings["eps"]) * weights["w"] + weights["b"]


def group_norm(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    groups = xs[0].reshape(1, step.settings["groups"], -1)
    channels = (1, -1, *[1] * (xs[0].ndim - 2))
    whole = normalised(groups, (2,), step.settings["eps"]).reshape(xs[0].shape)
    return whole * weights["w"].reshape(channels) + weights["b"].reshape(channels)


def batch_norm(step: Any, xs: Arrays, weights: dict[str, np.ndarray]) -> np.ndarray:
    channels = (1, -1, *[1] * (xs[0].ndim - 2))
    mean, var, w, b = (weights[name].reshape(channels) for name in ("mean", "var", "w", "b"))
    return np.asarray((xs[0] - mean) / each(mpmath.sqrt, var + mpf(step.settings["eps"])) * w + b)


def sigmoid(t: Any) -> Any:
    return 1 / (1 + mpmath.exp(-t))


def softplus(t: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    return t if t * beta > threshold else mpmath.log1p(mpmath.exp(beta * t)) / beta


def gelu(t: Any, approximate: str) -> Any:
    if approximate == "none":
        return t * (1 + mpmath.erf(t / mpmath.sqrt(2))) / 2
    return t * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (t + mpf(0.044715) * t**3))) / 2


def clamped(t: Any, lo: Any, hi: Any) -> Any:
    return min(max(t, mpf(lo)), mpf(hi))


ALPHA, SCALE = mpf(1.6732632423543772848170429916717), mpf(1.0507009873554804934193349852946)

POINTWISE = {
    "relu": pointwise("F.relu({0})", lambda t: max(t, 0), "Relu"),
    "leaky": pointwise(
        "F.leaky_relu({0}, {alpha})", lambda t, alpha: t if t > 0 else alpha * t, "LeakyRelu"
    ),
    "elu": pointwise(
        "F.elu({0}, {alpha})", lambda t, alpha: t if t > 0 else alpha * mpmath.expm1(t), "Elu"
    ),
    "celu": pointwise(
        "F.celu({0}, {alpha})", lambda t, alpha: t if t > 0 else alpha * mpmath.expm1(t / alpha)
    ),
    "selu": pointwise("F.selu({0})", lambda t: SCALE * (t if t > 0 else ALPHA * mpmath.expm1(t))),
    "sigmoid": pointwise("torch.sigmoid({0})", sigmoid, "Sigmoid"),
    "tanh": pointwise("torch.tanh({0})", mpmath.tanh, "Tanh"),
    "softplus": pointwise("F.softplus({0}, {beta}, {threshold})", softplus),
    "silu": pointwise("F.silu({0})", lambda t: t * sigmoid(t)),
    "gelu": pointwise("F.gelu({0}, approximate='{approximate}')", gelu),
    "mish": pointwise("F.mish({0})", lambda t: t * mpmath.tanh(mpmath.log1p(mpmath.exp(t)))),
    "hardtanh": pointwise("F.hardtanh({0}, {lo}, {hi})", clamped, "Clip"),
    "hardsigmoid": pointwise("F.hardsigmoid({0})", lambda t: clamped(t + 3, 0, 6) / 6),
    "hardswish": pointwise("F.hardswish({0})", lambda t: t * clamped(t + 3, 0, 6) / 6),
    "softshrink": pointwise(
        "F.softshrink({0}, {lambd})", lambda t, lambd: t - clamped(t, -lambd, lambd)
    ),
    "hardshrink": pointwise(
        "F.hardshrink({0}, {lambd})", lambda t, lambd: t if abs(t) > lambd else mpf(0)
    ),
    "softsign": pointwise("F.softsign({0})", lambda t: t / (1 + abs(t)), "Softsign"),
    "logsigmoid": pointwise("F.logsigmoid({0})", lambda t: -softplus(-t, threshold=mpf("inf"))),
    "abs": pointwise("{0}.abs()", abs, "Abs"),
    "exp": pointwise("{0}.exp()", mpmath.exp, "Exp"),
    "square": pointwise("{0} * {0}", lambda t: t * t, "Mul"),
    "sin": pointwise("{0}.sin()", mpmath.sin, "Sin"),
    "atan": pointwise("{0}.atan()", mpmath.atan, "Atan"),
    "erf": pointwise("{0}.erf()", mpmath.erf, "Erf"),
    "sign": pointwise("{0}.sign()", mpmath.sign, "Sign"),
    "negative": pointwise("-{0}", lambda t: -t, "Neg"),
    "scale": pointwise("{0} * {by}", lambda t, by: t * by, "Mul"),
    "shift": pointwise("{0} + {by}", lambda t, by: t + by, "Add"),
}

KINDS = POINTWISE | {
    "dense": Kind("F.linear({0}, {w}, {b})", lambda s, xs, w: xs[0] @ w["w"].T + w["b"], "Gemm"),
    "conv": Kind(
        "F.conv2d({0}, {w}, {b}, stride={stride}, padding={padding}, "
        "dilation={dilation}, groups={groups})",
        convolved,
        "Conv",
    ),
    "conv_transpose": Kind(
        "F.conv_transpose2d({0}, {w}, {b}, stride={stride}, padding={padding}, "
        "output_padding={output_padding})",
        convolved,
        "ConvTranspose",
    ),
    "max_pool": Kind(
        "F.max_pool2d({0}, {kernel_size}, {stride}, {padding}, {dilation}, {ceil_mode})",
        max_pool,
        "MaxPool",
    ),
    "avg_pool": linear(
        "F.avg_pool2d({0}, {kernel_size}, {stride}, {padding})",
        "AveragePool",
        lambda s, x: s.settings["kernel_size"] ** 2,
    ),
    "pad": linear("F.pad({0}, {sides}, mode='{mode}')"),
    "flatten": linear("{0}.reshape(1, -1)", "Flatten"),
    "transpose": linear("{0}.transpose(-1, -2)", "Transpose"),
    "flip": linear("{0}.flip(-1)"),
    "cumsum": linear("{0}.cumsum(-1)"),
    "slice": linear("{0}[..., {start}:]"),
    "upsample": linear("F.interpolate({0}, scale_factor=2, mode='nearest')"),
    "sum": linear("{0}.sum({dim})"),
    "total": linear("{0}.sum()", "ReduceSum"),
    "mean": linear("{0}.mean()", "ReduceMean", lambda s, x: x.size),
    "add": Kind("{0} + {1}", lambda s, xs, w: xs[0] + xs[1], "Add"),
    "sub": Kind("{0} - {1}", lambda s, xs, w: xs[0] - xs[1], "Sub"),
    "mul": Kind("{0} * {1}", lambda s, xs, w: xs[0] * xs[1], "Mul"),
    "max": Kind("torch.maximum({0}, {1})", lambda s, xs, w: np.maximum(xs[0], xs[1]), "Max"),
    "min": Kind("torch.minimum({0}, {1})", lambda s, xs, w: np.minimum(xs[0], xs[1]), "Min"),
    "concat": Kind("torch.cat([{0}, {1}], 1)", lambda s, xs, w: np.concatenate(xs, 1), "Concat"),
    "sort": Kind("{0}.sort(-1)[0]", lambda s, xs, w: np.sort(xs[0], -1)),
    "amax": Kind("{0}.amax(-1)", lambda s, xs, w: xs[0].max(-1)),
    "softmax": Kind("F.softmax({0}, {dim})", softmax, "Softmax"),
    "matmul": Kind("{0} @ {1}", lambda s, xs, w: matrix_product(xs), "MatMul"),
    "layer_norm": Kind(
        "F.layer_norm({0}, {w}.shape, {w}, {b}, {eps})", layer_norm, "LayerNormalization"
    ),
    "group_norm": Kind("F.group_norm({0}, {groups}, {w}, {b}, {eps})", group_norm),
    "batch_norm": Kind(
        "F.batch_norm({0}, {mean}, {var}, {w}, {b}, False, 0.0, {eps})",
        batch_norm,
        "BatchNormalization",
    ),
    "tuple": Kind("({body},)", lambda s, xs, w: xs[0]),
}
"""Every kind of step; "tuple" only shows values of the others."""


def matrix_product(xs: Arrays) -> np.ndarray:
    """Batched matrix products of arrays of objects."""
    return np.asarray((xs[0][..., :, :, None] * xs[1][..., None, :, :]).sum(-2))
