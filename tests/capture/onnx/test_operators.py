"""Every entry of the table of ONNX operators against an independent evaluation of a file with that
one node.

Covers autolip.capture.onnx.attention, autolip.capture.onnx.images, autolip.capture.onnx.layers,
autolip.capture.onnx.normalisation, autolip.capture.onnx.pointwise,
autolip.capture.onnx.quantisation, autolip.capture.onnx.transforms, autolip.capture.onnx.recurrent,
autolip.capture.onnx.reductions, autolip.capture.onnx.resize and autolip.capture.onnx.wiring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from autolip.capture.onnx.operators import (  # noqa: E402
    OPERATORS,
    find_operator,
    onnx_operator,
)
from autolip.capture.onnx.reading import load_onnx  # noqa: E402
from autolip.capture.onnx.translation import translate  # noqa: E402, F401 - it fills the table
from autolip.errors import AutolipError, InputError, UnsupportedOperation  # noqa: E402

Array = np.ndarray
ORT = "onnxruntime"
RNG = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> Array:
    return (RNG.random(shape) + 0.5).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


def scalar(value: float) -> Array:
    return np.array(value, dtype=np.float32)


@dataclass(frozen=True)
class Case:
    """One node: inputs are shapes of network inputs, arrays stored in the file, or None where left
    out."""

    op: str
    inputs: Sequence[tuple[int, ...] | Array | None]
    attributes: Mapping[str, object] = field(default_factory=dict)
    opset: int = 21
    outputs: int = 1
    judge: str = "onnx"  # or ORT, where the package onnx does not implement the operator's option

    def __str__(self) -> str:
        options = ",".join(
            f"{name}={value}" for name, value in self.attributes.items() if np.ndim(value) < 2
        )
        return f"{self.op}-{self.opset}({options})"

    def save(self, folder: Path) -> Path:
        """A file with this node, inputs x0, x1, ... and outputs y0, y1, ..."""
        names = ["" if value is None else f"x{i}" for i, value in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        pairs = list(zip(names, self.inputs, strict=True))
        given = [float_input(name, value) for name, value in pairs if isinstance(value, tuple)]
        stored = [
            numpy_helper.from_array(value, name)
            for name, value in pairs
            if isinstance(value, Array)
        ]
        node = helper.make_node(self.op, names, outputs, name="node", **self.attributes)
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph([node], "network", given, results, stored)
        opsets = [helper.make_opsetid("", self.opset)]
        path = folder / f"{self.op}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(path))
        return path


def int8(*shape: int) -> Array:
    return RNG.integers(-100, 100, shape).astype(np.int8)


def float_input(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def run(module: torch.nn.Module, inputs: Sequence[Array]) -> list[Array]:
    outputs = module(*(torch.from_numpy(array) for array in inputs))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


IMAGE = (1, 4, 7, 6)
MASK = RNG.random((3, 4)) > 0.5

POINTWISE = [
    *(
        Case(op, [(3, 4)])
        for op in ("Abs", "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor")
    ),
    *(
        Case(op, [(3, 4)])
        for op in ("HardSwish", "Identity", "Mish", "Neg", "Reciprocal", "Relu", "Round")
    ),
    *(
        Case(op, [(3, 4)])
        for op in ("Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Tan", "Tanh")
    ),
    *(Case(op, [(3, 4), (3, 4)]) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    *(Case(op, [(2, 3, 4), normal(3, 1)]) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    *(
        Case(op, [(3, 4), normal(3, 4)])
        for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    Case("Equal", [(3, 4), np.zeros((3, 4), np.float32)]),
    Case("Div", [ints(-7, 7, -8), ints(2, -2, 3)]),
    Case("Mod", [ints(-7, 7, -8), ints(2, -2, 3)]),
    Case("Mod", [(3, 4), scalar(0.75)], {"fmod": 1}),
    Case("Pow", [(3, 4), scalar(2.0)]),
    Case("Pow", [(3, 4), np.array([3], np.int64)]),
    Case("Pow", [ints(2, 3), ints(3, 2)]),
    Case("Pow", [positive(3, 4), (3, 4)]),
    Case("Sum", [(3, 4), (4,), (3, 1)]),
    Case("Mean", [(3, 4), (3, 4), normal(4)]),
    Case("Max", [(3, 4), (3, 4), normal(4)]),
    Case("Where", [MASK, (3, 4), (4,)]),
    *(Case(op, [MASK, ~MASK[:1]]) for op in ("And", "Or", "Xor")),
    Case("Not", [MASK]),
    Case("Clip", [(3, 4), scalar(-0.3), scalar(0.4)]),
    Case("Clip", [(3, 4), None, scalar(0.4)]),
    Case("Clip", [(3, 4)]),
    Case("Clip", [(3, 4), (), scalar(0.4)]),
    Case("Clip", [(3, 4)], {"min": -0.3}, 6),
    Case("Clip", [(3, 4)], {"min": -0.3, "max": 0.4}, 10),
    Case("LeakyRelu", [(3, 4)], {"alpha": 0.3}),
    *(
        Case("PRelu", [(2, 3, 4, 5), normal(*shape)])
        for shape in ((3, 1, 1), (1, 3, 1, 1), (1,), (5,), (4, 5))
    ),
    *(Case("PRelu", [(2, 3, 3), normal(*shape)]) for shape in ((3,), (3, 3), (1, 1, 3), (3, 1))),
    Case("Elu", [(3, 4)], {"alpha": 1.7}),
    Case("Selu", [(3, 4)]),
    Case("Selu", [(3, 4)], {"alpha": 1.2, "gamma": 0.8}),
    Case("Celu", [(3, 4)], {"alpha": 0.6}),
    Case("Gelu", [(3, 4)]),
    Case("Gelu", [(3, 4)], {"approximate": "tanh"}),
    Case("HardSigmoid", [(3, 4)], {"alpha": 0.4, "beta": 0.3}),
    Case("Swish", [(3, 4)], {}, 24),
    Case("Swish", [(3, 4)], {"alpha": 1.4}, 24),
    Case("ThresholdedRelu", [(3, 4)], {"alpha": 0.4}),
    *(Case("Shrink", [(3, 4)], {"lambd": 0.3, "bias": bias}) for bias in (0.3, 0.0, 0.1)),
    Case("Dropout", [(3, 4), scalar(0.4)]),
    Case("Dropout", [(3, 4)], {"ratio": 0.4}, 9),
    *(
        Case("Cast", [(3, 4)], {"to": to})
        for to in (TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT)
    ),
    Case("Cast", [MASK], {"to": TensorProto.FLOAT}),
    Case("CastLike", [ints(1, 2), (3,)]),
]

REDUCTIONS = [
    *(
        Case(f"Reduce{name}", [(2, 3, 4), ints(0, -1)], {"keepdims": 0}, 18)
        for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare", "LogSumExp")
    ),
    *(
        Case(f"Reduce{name}", [(2, 3, 4)], {"axes": [1]}, 11)
        for name in ("L2", "Max", "Mean", "Prod", "Sum")
    ),
    *(Case(f"Reduce{name}", [(2, 3, 4)]) for name in ("L2", "Max", "Mean", "Prod", "Sum")),
    Case("ReduceLogSum", [positive(2, 3, 4), ints(1)]),
    Case("ArgMax", [(3, 4)], {"axis": 1, "keepdims": 0}),
    Case("ArgMax", [(3, 4)], {"axis": -2, "select_last_index": 1}),
    Case("ArgMin", [(3, 4)], {"axis": 1}),
    Case("ArgMin", [(3, 4)], {"axis": 0, "select_last_index": 1, "keepdims": 0}),
    Case("TopK", [(3, 5), ints(2)], {"axis": 1, "largest": 0}, outputs=2),
    Case("TopK", [(3, 5), ints(3)], {"axis": 0}, outputs=1),
    Case("CumSum", [(3, 5), np.array(1)]),
    Case("CumSum", [(3, 5), np.array(-2)], {"exclusive": 1, "reverse": 1}),
    *(Case(op, [(2, 3, 4)], {"axis": 1}, 21) for op in ("Softmax", "LogSoftmax")),
    *(Case(op, [(2, 3, 4)], {}, 13) for op in ("Softmax", "LogSoftmax")),
]

NORMALISATIONS = [
    Case("LpNormalization", [(3, 4)], {"axis": 0, "p": 1}, judge=ORT),
    Case("LpNormalization", [(3, 4)], {"axis": 1, "p": 2}),
    Case("BatchNormalization", [(2, 3, 4, 5), *(positive(3) for _ in range(4))], {"epsilon": 0.1}),
    Case(
        "BatchNormalization",
        [(2, 3), *(positive(3) for _ in range(4))],
        {"epsilon": 0.1},
        9,
        judge=ORT,
    ),
    Case(
        "BatchNormalization",
        [(2, 3, 4), *(positive(3) for _ in range(4))],
        {"momentum": 0.3},
        7,
        judge=ORT,
    ),
    Case("BatchNormalization", [(2, 3, 4), *(positive(3) for _ in range(4))], {"is_test": 1}, 6),
    Case("InstanceNormalization", [(2, 3, 4, 5), normal(3), normal(3)], {"epsilon": 0.1}),
    Case(
        "GroupNormalization", [(2, 6, 4), normal(6), normal(6)], {"epsilon": 0.1, "num_groups": 3}
    ),
    Case(
        "GroupNormalization",
        [(2, 6, 4), normal(3), normal(3)],
        {"epsilon": 0.1, "num_groups": 3},
        18,
    ),
    Case("LayerNormalization", [(2, 3, 4), normal(3, 4), normal(4)], {"axis": 1, "epsilon": 0.1}),
    Case("LayerNormalization", [(2, 3, 4), normal(4)]),
    Case("RMSNormalization", [(2, 3, 4), normal(3, 4)], {"axis": 1, "epsilon": 0.1}, 23),
]

CONVOLUTIONS = [
    Case("Conv", [IMAGE, normal(5, 4, 3, 2), normal(5)], {"strides": [2, 1], "pads": [1, 0, 1, 0]}),
    Case(
        "Conv", [IMAGE, normal(6, 2, 3, 2)], {"group": 2, "dilations": [2, 1], "pads": [0, 2, 1, 3]}
    ),
    Case("Conv", [IMAGE, normal(5, 4, 3, 2)], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    *(
        Case("Conv", [IMAGE, normal(5, 4, 3, 2)], {"auto_pad": mode})
        for mode in ("SAME_LOWER", "VALID")
    ),
    Case("Conv", [(2, 3, 9), normal(4, 3, 3), normal(4)], {"pads": [1, 1], "kernel_shape": [3]}),
    Case("Conv", [(1, 2, 5, 5, 4), normal(3, 2, 2, 3, 2)], {"strides": [1, 2, 1]}),
    Case(
        "ConvTranspose",
        [IMAGE, normal(4, 3, 3, 2), normal(3)],
        {"strides": [2, 3], "pads": [1, 0, 1, 0]},
    ),
    Case(
        "ConvTranspose",
        [IMAGE, normal(4, 3, 3, 3)],
        {"strides": [2, 2], "pads": [0, 1, 1, 0], "output_padding": [1, 1]},
    ),
    Case(
        "ConvTranspose", [IMAGE, normal(4, 3, 4, 4)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}
    ),
    Case(
        "ConvTranspose",
        [IMAGE, normal(4, 3, 3, 3)],
        {"strides": [2, 2], "output_shape": [13, 11]},
        judge=ORT,
    ),
    Case(
        "ConvTranspose", [IMAGE, normal(4, 3, 3, 2)], {"group": 2, "dilations": [1, 2]}, judge=ORT
    ),
    Case("ConvTranspose", [(1, 2, 5), normal(2, 3, 3)], {"strides": [2], "pads": [1, 1]}),
    Case("Gemm", [(3, 4), normal(5, 4), normal(5)], {"transB": 1, "alpha": 0.7, "beta": 1.3}),
    Case("Gemm", [(4, 3), normal(4, 5)], {"transA": 1, "alpha": 0.7}),
    Case("Gemm", [(3, 4), normal(4, 5), normal(3, 1)]),
    Case("MatMul", [(2, 3, 4), normal(4, 5)]),
    Case("MatMul", [(4,), (4, 2)]),
    Case("Einsum", [(2, 3, 4), (2, 4, 5)], {"equation": "bij, bjk -> bik"}),
]

POOLS = [
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}),
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "dilations": [2, 1]}),
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 2, 1]}),
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    Case(
        "MaxPool",
        [IMAGE],
        {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        judge=ORT,
    ),
    Case("MaxPool", [IMAGE], {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    Case(
        "MaxPool",
        [(1, 2, 9)],
        {"kernel_shape": [3], "strides": [3], "pads": [1, 1], "ceil_mode": 1},
    ),
    Case(
        "MaxPool",
        [(1, 2, 8)],
        {"kernel_shape": [3], "strides": [3], "pads": [0, 1], "ceil_mode": 1},
    ),
    Case("MaxPool", [(1, 2, 5, 5, 5)], {"kernel_shape": [2, 2, 2]}),
    Case("AveragePool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}),
    Case(
        "AveragePool",
        [IMAGE],
        {"kernel_shape": [3, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    Case("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "pads": [0, 0, 2, 1]}),
    Case(
        "AveragePool",
        [IMAGE],
        {"kernel_shape": [3, 3], "pads": [0, 0, 2, 1], "count_include_pad": 1},
    ),
    Case(
        "AveragePool",
        [IMAGE],
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ),
    Case("AveragePool", [IMAGE], {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    Case(
        "AveragePool",
        [(1, 2, 8)],
        {"kernel_shape": [3], "strides": [2], "pads": [0, 1], "ceil_mode": 1},
    ),
    Case("GlobalAveragePool", [IMAGE]),
    Case("GlobalMaxPool", [IMAGE]),
]

WIRING = [
    Case("Reshape", [(2, 3, 4), ints(0, -1, 2)]),
    Case("Reshape", [(2, 3, 4), ints(4, 6)], {"allowzero": 1}),
    *(Case("Flatten", [(2, 3, 4)], {"axis": axis}) for axis in (2, 0, -1)),
    Case("Flatten", [(5,)]),
    Case("Transpose", [(2, 3, 4)], {"perm": [1, 2, 0]}),
    Case("Transpose", [(2, 3, 4)]),
    Case("Squeeze", [(1, 3, 1), ints(0)]),
    Case("Squeeze", [(1, 3, 1)], {"axes": [-1]}, 11),
    Case("Squeeze", [(1, 3, 1)]),
    Case("Unsqueeze", [(3, 4), ints(-1, 0)]),
    Case("Unsqueeze", [(3, 4)], {"axes": [3, 1]}, 11, judge=ORT),
    Case("Concat", [(2, 3), normal(2, 2), (2, 1)], {"axis": -1}),
    Case("Split", [(7, 2), ints(3, 4)], {"axis": 0}, outputs=2),
    Case("Split", [(2, 7)], {"axis": 1, "num_outputs": 3}, outputs=3),
    Case("Split", [(2, 6)], {"axis": 1}, 13, outputs=2),
    Case("Split", [(2, 7)], {"axis": 1, "split": [2, 5]}, 11, outputs=2),
    Case("Slice", [(5, 6, 7), ints(1, -2), ints(2**62, 0), ints(0, 2), ints(2, -3)]),
    Case("Slice", [(5, 6), ints(-1), ints(-(2**62)), ints(1), ints(-1)]),
    Case("Slice", [(5, 6), ints(1, 2), ints(-1, 100)]),
    Case("Slice", [(5, 6)], {"starts": [1], "ends": [4], "axes": [1]}, 9),
    Case("Gather", [(3, 4, 5), np.array(-1)], {"axis": 1}),
    Case("Gather", [(3, 4, 5), np.array([[0, -1], [2, 2]])], {"axis": 1}),
    Case("GatherElements", [(2, 4), np.array([[0, -1], [2, 2]])], {"axis": 1}),
    Case("GatherND", [(3, 4, 5), np.array([[0, -1], [2, 2]])]),
    Case("ScatterElements", [(3, 4), np.array([[0, -1]]), (1, 2)], {"axis": 1}),
    Case("ScatterND", [(3, 4, 5), np.array([[0, -1], [2, 2]]), (2, 5)]),
    Case("Expand", [(3, 1), ints(2, 1, 4)]),
    Case("Tile", [(3, 2), ints(2, 3)]),
    Case("Trilu", [(4, 4), np.array(1)], {"upper": 0}),
    Case("Trilu", [(4, 4)]),
    Case("Pad", [(2, 3, 4), ints(0, 1, 2, 1, -1, 0), scalar(0.7)], judge=ORT),
    Case("Pad", [(2, 3, 4), ints(1, 2), scalar(0.7), ints(-2)]),
    Case("Pad", [(2, 3, 4)], {"pads": [0, 1, 0, 0, 0, 2], "value": 0.7}, 10),
    Case("Pad", [(2, 3, 4), ints(0, 1, 2, 0, 1, 1)], {"mode": "reflect"}),
    Case("Pad", [(2, 3, 4), ints(0, 0, 0, 0, 0, 0)], {"mode": "reflect"}),
    Case("Pad", [(5, 4), ints(1, 2, 0, 1)], {"mode": "edge"}),
    Case("Pad", [(2, 3, 4, 5, 6), ints(0, 0, 0, 0, 1, 0, 0, 0, 0, 2)], {"mode": "reflect"}),
    Case("Pad", [(2, 3, 4, 5), ints(0, 0, 1, 2, 0, 0, 0, 1)], {"mode": "wrap"}),
    Case("DepthToSpace", [(1, 12, 2, 3)], {"blocksize": 2}),
    Case("DepthToSpace", [(1, 12, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", [(1, 3, 4, 6)], {"blocksize": 2}),
    Case("Constant", [], {"value": numpy_helper.from_array(normal(2, 3))}),
    *(
        Case("Constant", [], {f"value_{kind}": value})
        for kind, value in (("float", 0.5), ("floats", [0.5, 1.5]))
    ),
    *(
        Case("Constant", [], {f"value_{kind}": value})
        for kind, value in (("int", 3), ("ints", [3, 4]))
    ),
    Case("ConstantOfShape", [ints(2, 3)]),
    Case(
        "ConstantOfShape", [ints(2, 3)], {"value": numpy_helper.from_array(np.array([7], np.int64))}
    ),
    Case("EyeLike", [(3, 4)], {"k": 1}),
    Case("EyeLike", [(3, 4)], {"k": -1, "dtype": TensorProto.INT64}),
    Case("Range", [np.array(2), np.array(11), np.array(3)]),
    Case("Range", [scalar(2), scalar(1), scalar(-0.25)]),
    Case("Shape", [(3, 4, 5)]),
    Case("Shape", [(3, 4, 5)], {"start": -2, "end": -1}),
    Case("Size", [(3, 4)]),
]

NO_ROI = np.zeros(0, np.float32)


def resized(mode: str, coordinates: str, scale: Sequence[float], **options: object) -> Case:
    factors = np.array([1, 1, *scale], np.float32)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, **options}
    return Case("Resize", [(1, 2, 4, 6), None, factors], attributes, 19)


RESIZES = [
    resized("nearest", "asymmetric", [2, 3], nearest_mode="floor"),
    resized("nearest", "half_pixel", [2, 3]),
    *(
        resized("nearest", coordinates, [1.7, 0.6], nearest_mode=rounding)
        for coordinates in ("asymmetric", "half_pixel")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    *(
        resized(mode, coordinates, [1.7, 0.6])
        for mode in ("linear", "cubic")
        for coordinates in ("asymmetric", "half_pixel", "pytorch_half_pixel")
    ),
    resized("linear", "half_pixel_symmetric", [1.7, 0.6]),
    resized("linear", "half_pixel", [2, 0.5]),
    resized("nearest", "align_corners", [1.5, 0.5]),
    resized("linear", "align_corners", [2, 2]),
    resized("linear", "align_corners", [0.25, 1.5]),
    resized("cubic", "align_corners", [1.5, 0.5]),
    resized("linear", "pytorch_half_pixel", [0.25, 0.5]),
    resized("linear", "half_pixel", [2, 2], exclude_outside=1),
    resized("cubic", "half_pixel", [2, 2], cubic_coeff_a=-0.5, exclude_outside=1),
    Case("Resize", [(1, 2, 4, 6), None, None, ints(7, 5)], {"axes": [2, 3], "mode": "linear"}, 18),
    Case("Resize", [(1, 2, 4, 6), NO_ROI, NO_ROI, ints(1, 2, 8, 12)], {}, 11),
    Case("Resize", [(1, 2, 4), None, np.array([1, 1, 2], np.float32)], {"mode": "linear"}, 13),
    Case("Resize", [(1, 2, 4, 6), np.array([1, 1, 2, 2], np.float32)], {}, 10, judge=ORT),
    Case(
        "Resize",
        [(1, 2, 4, 6), np.array([1, 1, 1.5, 0.5], np.float32)],
        {"mode": "linear"},
        10,
        judge=ORT,
    ),
    Case("Upsample", [(1, 2, 4, 6), np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, 9),
    Case(
        "Upsample", [(1, 2, 4, 6)], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "linear"}, 7, judge=ORT
    ),
]


def recurrent(op: str, gates: int, directions: int, **attributes: object) -> Case:
    """Time 5, batch 2, 3 features, 4 hidden units, with a bias and initial states."""
    shapes = (directions, gates * 4, 3), (directions, gates * 4, 4), (directions, 2 * gates * 4)
    weights = [0.5 * normal(*shape) for shape in shapes]
    states = [(directions, 2, 4)] * (2 if op == "LSTM" else 1)
    attributes = {"hidden_size": 4, **attributes}
    inputs = [(5, 2, 3), *weights, None, *states]
    return Case(op, inputs, attributes, outputs=3 if op == "LSTM" else 2, judge=ORT)


BOTH = {"direction": "bidirectional"}
LSTM = recurrent("LSTM", 4, 1)

RECURRENT = [
    recurrent("RNN", 1, 1),
    recurrent("RNN", 1, 2, activations=["Relu", "Tanh"], **BOTH),
    recurrent("GRU", 3, 1, direction="reverse"),
    recurrent("GRU", 3, 2, linear_before_reset=1, **BOTH),
    LSTM,
    recurrent("LSTM", 4, 1, direction="reverse", input_forget=1),
    recurrent(
        "LSTM", 4, 2, activations=["Sigmoid", "Softsign", "Tanh", "Sigmoid", "Tanh", "Relu"], **BOTH
    ),
    Case("LSTM", [*LSTM.inputs, normal(1, 12)], LSTM.attributes, outputs=3, judge=ORT),
    Case("LSTM", [*LSTM.inputs[:4], np.array([5, 5], np.int32)], LSTM.attributes, 14, 3, ORT),
    Case("LSTM", [(2, 5, 3), *LSTM.inputs[1:3]], {"hidden_size": 4, "layout": 1}, outputs=2),
    Case("GRU", [(5, 2, 3), normal(1, 12, 3), normal(1, 12, 4)], {"hidden_size": 4}, 7, 2),
]

IMAGES = (2, 4, 5, 6)
GRID = (RNG.random((2, 3, 4, 2)) * 3 - 1.5).astype(np.float32)
HEADS = (2, 3, 4, 6)
ANGLES = normal(5, 3), normal(5, 3)
POSITIONS = np.array([[0, 1, 4, 2], [3, 2, 1, 0]])
SAMPLED = [
    Case(
        "GridSample",
        [IMAGES, GRID],
        {"mode": mode, "padding_mode": padding, **aligned},
        opset,
        judge=ORT,
    )
    for opset, mode in ((16, "bilinear"), (20, "linear"), (20, "cubic"))
    for padding, aligned in (("zeros", {}), ("border", {"align_corners": 1}), ("reflection", {}))
]
NEWER = [
    *SAMPLED,
    Case("AffineGrid", [(2, 2, 3), ints(2, 4, 3, 5)], {"align_corners": 1}),
    Case("CenterCropPad", [(5, 7, 4), ints(2, 8)], {"axes": [0, -2]}),
    Case("CenterCropPad", [(5, 4), ints(8, 1)]),
    Case("Col2Im", [(1, 10, 20), ints(5, 6), ints(1, 5)], {"pads": [0, 1, 0, 1]}),
    Case("LRN", [IMAGES], {"size": 3, "alpha": 0.3, "beta": 0.6, "bias": 2.0}, judge=ORT),
    Case("LRN", [IMAGES], {"size": 5}, judge=ORT),
    Case("GlobalLpPool", [IMAGES], {"p": 3}, judge=ORT),
    Case("LpPool", [IMAGES], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]}),
    Case("Hardmax", [(3, 4, 2)], {"axis": 1}),
    Case("MeanVarianceNormalization", [IMAGES], {"axes": [0, 2]}),
    Case("DequantizeLinear", [int8(3, 4), scalar(0.1), np.array(-7, np.int8)]),
    Case("DequantizeLinear", [int8(3, 4), positive(3), int8(3)], {"axis": 0}),
    Case("BitwiseNot", [ints(5, -3)]),
    Case("BitwiseAnd", [ints(5, -3), ints(3, 6)]),
    Case("BitwiseOr", [ints(5, -3), ints(3, 6)]),
    Case("BitwiseXor", [ints(5, -3), ints(3, 6)]),
    Case("BitShift", [np.array([5], np.uint8), np.array([2], np.uint8)], {"direction": "LEFT"}),
    Case("IsNaN", [(3, 4)]),
    Case("IsInf", [(3, 4)], {"detect_negative": 0}),
    Case("Compress", [(3, 4), np.array([True, False, True])], {"axis": 0}),
    Case("Compress", [(2, 2), np.array([False, True, True])]),
    Case("NonZero", [np.array([[1.0, 0.0], [2.0, 3.0]], np.float32)]),
    Case("OneHot", [ints(2, -1, 0), np.array(3), np.array([0.5, 2.0], np.float32)], {"axis": 0}),
    Case("OneHot", [ints(2, -1, 0), np.array(3), np.array([0.5, 2.0], np.float32)]),
    Case("ReverseSequence", [(4, 3, 2), ints(1, 4, 2)]),
    Case("ReverseSequence", [(3, 4), ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1}),
    Case("Scatter", [(3, 4), np.array([[1, 2]]), (1, 2)], {"axis": 1}, 10, judge=ORT),
    Case("ScatterElements", [(3, 4), np.array([[0], [0]]), (2, 1)], {"reduction": "add"}),
    Case("ScatterElements", [(3, 4), np.array([[0], [0]]), (2, 1)], {"reduction": "max"}),
    Case("ScatterND", [(3, 4), np.array([[0], [0]]), (2, 4)], {"reduction": "add"}),
    Case("BlackmanWindow", [np.array(5)]),
    Case("HammingWindow", [np.array(5)], {"periodic": 0}),
    Case("HannWindow", [np.array(6)]),
    Case("Attention", [HEADS, (2, 3, 5, 6), (2, 3, 5, 6)], {"scale": 0.7}, 23),
    Case("Attention", [HEADS, (2, 1, 4, 6), (2, 1, 4, 6)], {"is_causal": 1}, 23),
    Case(
        "Attention",
        [(2, 4, 6), (2, 5, 6), (2, 5, 6), normal(4, 5)],
        {"q_num_heads": 2, "kv_num_heads": 2, "softcap": 2.0},
        23,
    ),
    Case("RotaryEmbedding", [HEADS, *ANGLES, POSITIONS], {}, 23),
    Case("RotaryEmbedding", [HEADS, *ANGLES, POSITIONS], {"interleaved": 1}, 23),
    Case(
        "RotaryEmbedding",
        [(2, 4, 16), normal(5, 2), normal(5, 2), POSITIONS],
        {"num_heads": 2, "rotary_embedding_dim": 4},
        23,
    ),
]
NEWER += [
    Case("DFT", [(2, 6, 1)], {"axis": 1, "onesided": 1}, 17),
    Case("DFT", [(2, 5, 2)], {"axis": 1, "inverse": 1}, 17),
    Case("DFT", [(3, 6, 2), np.array(4), np.array(-2)], {}, 20),
    Case("DFT", [(3, 6, 1), None, np.array(0)], {"inverse": 1}, 20),
]
ROUNDED = Case("QuantizeLinear", [(3, 4), scalar(0.1), np.array(-7, np.int8)])

CASES = [
    *POINTWISE,
    *REDUCTIONS,
    *NORMALISATIONS,
    *CONVOLUTIONS,
    *POOLS,
    *WIRING,
    *RESIZES,
    *RECURRENT,
    *NEWER,
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_computes_what_the_reference_computes(case: Case, tmp_path: Path) -> None:
    """The module, its export and its double version, on random inputs."""
    path = case.save(tmp_path)
    model = load_onnx(path)
    inputs = {name: normal(*shape) for name, shape in model.inputs.items()}
    if case.judge == ORT:
        pytest.importorskip(ORT)
        expected = model.reference(inputs)
    else:
        expected = ReferenceEvaluator(str(path)).run(None, inputs)
    arrays = list(inputs.values())
    exported = torch.export.export(model.module, tuple(map(torch.from_numpy, arrays))).module()
    for ours, exports, theirs in zip(
        run(model.module, arrays), run(exported, arrays), expected, strict=True
    ):
        assert (
            (ours.shape, ours.dtype)
            == (exports.shape, exports.dtype)
            == (theirs.shape, theirs.dtype)
        )
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
        np.testing.assert_array_equal(ours, exports)
    doubled = run(model.module.double(), [array.astype(np.float64) for array in arrays])
    for ours, theirs in zip(doubled, expected, strict=True):
        assert ours.dtype == (np.float64 if theirs.dtype == np.float32 else theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def evaluate(case: Case, folder: Path, x: Array) -> Array:
    return run(load_onnx(case.save(folder)).module, [x])[0]


LIMITED = {
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Asin": np.arcsin,
    "Atanh": np.arctanh,
    "Log": np.log,
} | {"Sqrt": np.sqrt}


@pytest.mark.parametrize("op", LIMITED)
def test_a_function_that_is_not_defined_everywhere(op: str, tmp_path: Path) -> None:
    x = (0.9 * RNG.random((3, 4)) + (op == "Acosh")).astype(np.float32)
    expected = LIMITED[op](x)
    np.testing.assert_allclose(
        evaluate(Case(op, [(3, 4)]), tmp_path, x), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow"])
def test_before_opset_7_an_axis_aligns_the_second_operand(op: str, tmp_path: Path) -> None:
    x, b = positive(2, 3, 4), normal(3)
    functions = {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
    }
    case = Case(op, [(2, 3, 4), b], {"axis": 1, "broadcast": 1}, 6)
    np.testing.assert_allclose(evaluate(case, tmp_path, x), functions[op](x, b[:, None]), rtol=1e-5)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_before_opset_13_a_softmax_runs_over_all_trailing_axes(op: str, tmp_path: Path) -> None:
    x = normal(2, 3, 4)
    flat = torch.softmax(torch.from_numpy(x).reshape(2, 12), 1).reshape(2, 3, 4)
    flat = flat.log() if op == "LogSoftmax" else flat
    old, new = (
        evaluate(Case(op, [(2, 3, 4)], {"axis": 1}, opset), tmp_path, x) for opset in (12, 13)
    )
    np.testing.assert_allclose(old, flat, rtol=1e-5)
    assert np.abs(new - old).max() > 0.01


def test_before_opset_7_a_prelu_slope_belongs_to_the_channel(tmp_path: Path) -> None:
    slope, x = normal(3), normal(2, 3, 3)
    expected = np.where(x > 0, x, slope[:, None] * x)
    np.testing.assert_allclose(
        evaluate(Case("PRelu", [(2, 3, 3), slope], {}, 6), tmp_path, x), expected, rtol=1e-6
    )


def test_before_opset_7_dropout_says_whether_it_is_a_test(tmp_path: Path) -> None:
    x = normal(3)
    np.testing.assert_array_equal(
        evaluate(Case("Dropout", [(3,)], {"is_test": 1}, 6), tmp_path, x), x
    )


def test_batch_norm_per_feature(tmp_path: Path) -> None:
    x, (s, b, m, v) = normal(2, 3, 4), (positive(3, 4) for _ in range(4))
    case = Case("BatchNormalization", [(2, 3, 4), s, b, m, v], {"spatial": 0, "epsilon": 0.1}, 8)
    np.testing.assert_allclose(
        evaluate(case, tmp_path, x), (x - m) / np.sqrt(v + 0.1) * s + b, rtol=1e-5
    )


# What the tests above cover beside CASES.
OLD = [Case(op, [], {}, 6) for op in ("Dropout", "Hardmax", "LogSoftmax", "PRelu", "Softmax")]
OLD += [ROUNDED]


def test_every_entry_of_the_table_is_tested() -> None:
    tested = {(case.op, case.opset) for case in CASES + OLD} | {(op, 21) for op in LIMITED}
    found = [find_operator(op, opset) for op, opset in tested]
    assert {(entry.name, entry.since) for entry in found if entry is not None} == set(OPERATORS)


REFUSED = [
    Case("BatchNormalization", [(2, 3), *(positive(3) for _ in range(4))], {"training_mode": 1}),
    Case("BatchNormalization", [(2, 3), *(positive(3) for _ in range(4))], {}, 6),
    Case("Dropout", [(3,), scalar(0.5), np.array(True)]),
    Case("Dropout", [(3,)], {}, 6),
    Case("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    Case("Conv", [(1, 1, 2, 2, 2, 2), normal(1, 1, 1, 1, 1, 1)]),
    Case("Conv", [IMAGE, normal(5, 4, 3, 2)], {"auto_pad": "SAME"}),
    Case(
        "ConvTranspose", [IMAGE, normal(4, 3, 3, 3)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}
    ),
    Case("GatherND", [(3, 4), np.zeros((3, 1), np.int64)], {"batch_dims": 1}),
    Case("LSTM", LSTM.inputs, {**LSTM.attributes, "activations": ["Affine", "Tanh", "Tanh"]}),
    Case("LSTM", [*LSTM.inputs[:4], np.array([5, 3], np.int32)], LSTM.attributes),
    Case("LSTM", LSTM.inputs, {**LSTM.attributes, "clip": 1.0}),
    Case("Pad", [(1, 1, 2, 2, 2, 2), ints(*[1] * 12)], {"mode": "edge"}),
    Case("ReduceSum", [(3, 4)], {"noop_with_empty_axes": 1}),
    Case("ScatterND", [(3, 4), np.array([[0]]), (1, 4)], {"reduction": "max"}),
    Case("Col2Im", [(1, 10, 12), ints(5, 6), ints(1, 5)], {"pads": [0, 1, 0, 0]}),
    Case("LpPool", [IMAGE], {"kernel_shape": [2, 2], "ceil_mode": 1}),
    Case("Attention", [HEADS, HEADS, HEADS, None, HEADS, HEADS], {}, 23),
    Case("Relu", [(3, 4), (3, 4)]),
    Case("Cast", [(3, 4)], {"to": TensorProto.STRING}),
    resized("linear", "tf_crop_and_resize", [2, 2]),
    resized("linear", "align_corners", [1.7, 0.6]),
    resized("linear", "half_pixel", [2, 2], antialias=1),
    resized("quintic", "half_pixel", [2, 2]),
    Case("Resize", [(1, 2, 4, 6)], {}, 19),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_an_option_without_a_rule_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation, match=f"'node' \\({case.op}\\): "):
        load_onnx(case.save(tmp_path))


def without(case: Case, place: int, array: np.ndarray, **attributes: object) -> Case:
    """The case with another array as one of its inputs."""
    inputs = [array if k == place else given for k, given in enumerate(case.inputs)]
    return replace(case, inputs=inputs, attributes={**case.attributes, **attributes})


CONTRADICTIONS = {
    "hidden_size": without(LSTM, 99, scalar(0), hidden_size=5),
    "recurrence": without(LSTM, 2, normal(1, 16, 1)),
    "weight": without(LSTM, 1, normal(1, 12, 3)),
    "bias": without(LSTM, 3, normal(1, 2)),
    "states": without(LSTM, 5, normal(1, 1, 4)),
    "peepholes": Case("LSTM", [*LSTM.inputs, normal(1, 3)], LSTM.attributes, outputs=3),
    "rows": without(recurrent("GRU", 3, 1), 1, normal(1, 4, 3)),
    "unit": without(recurrent("RNN", 1, 1), 99, scalar(0), hidden_size=1),
}


@pytest.mark.parametrize("case", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_parameters_that_contradict_each_other_are_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be evaluated .*: its (\w+) (is|has|do)"):
        load_onnx(case.save(tmp_path))


def test_two_entries_for_one_opset_are_an_error() -> None:
    with pytest.raises(AutolipError, match="the ONNX operator Relu 1 is there already"):
        onnx_operator("Relu")(lambda x: x)
