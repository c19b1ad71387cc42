"""From an ONNX graph to a module of plain torch functions.

The graph is walked once on an example. A value is *known* when no value of the network's input
reaches it: an initializer, a shape, whatever is computed from them. Known values become the Python
numbers that Reshape, Slice and the like need, and decide the branch of an If. Floating-point
arithmetic on weights stays in the module, so that it can be redone in another precision; everything
else that is known is folded.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)
from torch import Tensor

from autolip.capture.checks import LARGEST
from autolip.capture.onnx.control import CONTROL
from autolip.capture.onnx.graph import PLACE, OnnxGraph, OnnxNode, Step, Value
from autolip.capture.onnx.missing import reason
from autolip.capture.onnx.operators import Kind, OnnxOperator, find_operator
from autolip.capture.onnx.sizes import Sizes, foretold, shapes_of
from autolip.errors import InputError, UnsupportedOperation
from autolip.registry import discover

discover("autolip.capture.onnx")  # the modules that fill the table of operators

# Operators that look at nothing but the shape of their input.
SHAPE_ONLY = frozenset({"Shape", "Size", "EyeLike"})

INTEGERS: dict[int, torch.dtype] = {
    TensorProto.BOOL: torch.bool,
    TensorProto.UINT4: torch.uint8,
    TensorProto.INT4: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.int32,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
}
FLOATS: dict[int, torch.dtype] = {
    TensorProto.FLOAT16: torch.float32,
    TensorProto.BFLOAT16: torch.float32,
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
}


def torch_dtype(code: int, floating: torch.dtype) -> torch.dtype:
    """The torch type of an ONNX element type; every floating type becomes `floating`."""
    if code in FLOATS:
        return floating
    if code in INTEGERS:
        return INTEGERS[code]
    names = {number: name for name, number in TensorProto.DataType.items()}
    raise UnsupportedOperation(f"the element type {names.get(code, code)}")


def widest_float(graph: GraphProto) -> torch.dtype:
    """float64 if any tensor or input of the graph is double, else float32: every number is exact in
    it."""
    codes = {tensor.data_type for tensor in stored_tensors(graph)}
    codes |= {given.type.tensor_type.elem_type for given in graph.input}
    return torch.float64 if TensorProto.DOUBLE in codes else torch.float32


def narrowest_float(graph: GraphProto) -> torch.dtype:
    """The least precise floating type that is stored, given, or cast to."""
    codes = {tensor.data_type for tensor in stored_tensors(graph)}
    codes |= {given.type.tensor_type.elem_type for given in graph.input}
    codes |= {a.i for node in nodes_of(graph) for a in node.attribute if a.name in ("to", "dtype")}
    narrow = (TensorProto.BFLOAT16, TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE)
    types = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
    return next(
        (dtype for code, dtype in zip(narrow, types, strict=True) if code in codes), torch.float32
    )


def nodes_of(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """Every node, those of branches included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)


def stored_tensors(graph: GraphProto | FunctionProto) -> Iterator[TensorProto]:
    """Every tensor that the file stores, in initializers and attributes, branches included."""
    if isinstance(graph, GraphProto):
        yield from graph.initializer
    for node in nodes_of(graph):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.GRAPH:
                yield from attribute.g.initializer


def translate(
    graph: GraphProto, opset: int, floating: torch.dtype, example: Mapping[str, Tensor]
) -> OnnxGraph:
    """The module that computes the graph's outputs from the inputs in `example`, for inputs of
    those shapes.

    Raises UnsupportedOperation, naming every node without a rule, and InputError for an
    inconsistent graph.
    """
    inputs = [Value(name, tensor, known=False) for name, tensor in example.items()]
    scope = {value.name: value for value in inputs}
    walk = Walk(opset, floating)
    walk.graph(graph, scope)
    if walk.problems:
        raise UnsupportedOperation(
            "the ONNX file has nodes without a rule:\n  " + "\n  ".join(walk.problems)
        )
    missing = [output.name for output in graph.output if output.name not in scope]
    if missing:
        raise InputError(
            f"nothing in the ONNX file computes its output '{missing[0]}'; export it again"
        )
    outputs = [scope[output.name] for output in graph.output]
    return OnnxGraph(inputs, _live(walk.steps, outputs), outputs)


def _live(steps: Sequence[Step], outputs: Sequence[Value]) -> list[Step]:
    """The steps that the outputs depend on, in order."""
    needed = set(outputs)
    live = []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            live.append(step)
    return live[::-1]


@dataclass
class Arguments:
    """The arguments of an operator's function, `PLACE` where the tensors go, and these tensors in
    order."""

    positional: list[object] = field(default_factory=list)
    keyword: dict[str, object] = field(default_factory=dict)
    tensors: list[Value] = field(default_factory=list)

    def place(self, value: Value, kind: Kind, name: str) -> object:
        """What stands for `value` in the call: its place, or the Python value that it has."""
        if kind is Kind.NUMBER_OR_TENSOR and value.known and value.tensor.dim() == 0:
            return value.tensor.item()
        if kind is not Kind.STATIC:
            self.tensors.append(value)
            return PLACE
        if not value.known:
            raise UnsupportedOperation(
                f"its argument '{name}' depends on the values of the network's input"
            )
        return value.tensor.tolist()


class Walk:
    """One pass over the graph on the example: `steps` is what remains, `problems` what has no
    rule."""

    def __init__(self, opset: int, floating: torch.dtype) -> None:
        self.opset = opset
        self.steps: list[Step] = []
        self.problems: list[str] = []
        self._sizes = Sizes()
        self._like = Value("like", torch.zeros((), dtype=floating), known=True)
        self._skipped: set[str] = set()  # names that a problem left without a value
        self._unfilled: set[str] = set()  # optional outputs that no function here computes

    def graph(self, graph: GraphProto, scope: dict[str, Value]) -> None:
        """Enters the value of every name in `graph` into `scope`."""
        for initializer in graph.initializer:
            scope[initializer.name] = Value(initializer.name, self._tensor(initializer), known=True)
        for node in graph.node:
            try:
                self._node(node, scope)
            except UnsupportedOperation as error:
                self.problems.append(f"{_label(node)}: {error}")
                self._skipped.update(node.output)

    def _node(self, node: NodeProto, scope: dict[str, Value]) -> None:
        standard = node.domain in ("", "ai.onnx")
        operator = find_operator(node.op_type, self.opset) if standard else None
        control = CONTROL.get(node.op_type) if standard else None
        if operator is None and control is None:
            why = f": {reason(node.op_type)}" if standard else ""
            raise UnsupportedOperation(f"the operator is not supported (opset {self.opset}){why}")
        if self._skipped.intersection(node.input):
            self._skipped.update(node.output)
            return
        self._check_inputs(node, scope)
        if control is not None:
            control(self, node, scope)
        elif operator is not None:
            self._step(node, self._arguments(node, operator, scope), operator, scope)

    def _check_inputs(self, node: NodeProto, scope: Mapping[str, Value]) -> None:
        absent = [name for name in node.input if name and name not in scope]
        if self._unfilled.intersection(absent):
            raise UnsupportedOperation(
                f"it reads '{absent[0]}', an optional output that is not supported"
            )
        if absent:
            raise InputError(
                f"{_label(node)} of the ONNX file reads '{absent[0]}', which nothing computes"
            )

    def enter(self, name: str, value: Value | None, scope: dict[str, Value]) -> None:
        """Gives a value the name of a node's output; None where a problem left none."""
        if value is None:
            self._skipped.add(name)
        else:
            scope[name] = value

    def skip(self, node: NodeProto) -> None:
        """Leaves the outputs of a node without a value."""
        self._skipped.update(node.output)

    def _arguments(
        self, node: NodeProto, operator: OnnxOperator, scope: Mapping[str, Value]
    ) -> Arguments:
        attributes = {attribute.name: self._attribute(attribute) for attribute in node.attribute}
        unknown = sorted(set(attributes) - operator.attributes)
        if unknown:
            raise UnsupportedOperation(f"its attribute '{unknown[0]}' is not supported")
        arguments = Arguments(keyword=attributes)
        inputs = [scope[name] if name else None for name in node.input]
        for value, parameter in zip(inputs, operator.slots(len(inputs)), strict=True):
            if value is None:
                arguments.positional.append(
                    None if parameter.default is parameter.empty else parameter.default
                )
            else:
                place = arguments.place(value, operator.kinds[parameter.name], parameter.name)
                arguments.positional.append(place)
        if "like" in operator.kinds:
            arguments.keyword["like"] = arguments.place(self._like, Kind.TENSOR, "like")
        if "outputs" in operator.kinds:
            arguments.keyword["outputs"] = len(node.output)
        return arguments

    def _step(
        self, node: NodeProto, arguments: Arguments, operator: OnnxOperator, scope: dict[str, Value]
    ) -> None:
        module = OnnxNode(operator.function, arguments.positional, arguments.keyword)
        shape_only = node.op_type in SHAPE_ONLY
        known = shape_only or all(value.known for value in arguments.tensors)
        results = self._results(node, module, arguments.tensors, known)
        operands = [value.tensor for value in arguments.tensors if value is not self._like]
        if (
            known
            and not shape_only
            and any(x.is_floating_point() and bool(x.isnan().any()) for x in operands)
        ):
            raise InputError(
                f"a constant of {_label(node)} is NaN: repair the number it comes from"
            )
        inexact = not shape_only and any(tensor.is_floating_point() for tensor in operands)
        outputs: list[Value | None] = []
        for name, tensor in zip(node.output, results, strict=False):
            value = Value(name, tensor, known)
            folded = known and not (inexact and tensor.is_floating_point())
            scope[name] = value
            outputs.append(None if folded else value)
        self._unfilled.update(node.output[len(results) :])
        self.steps.append(Step(_name(node), module, arguments.tensors, outputs))

    def _results(
        self, node: NodeProto, module: OnnxNode, operands: Sequence[Value], known: bool
    ) -> tuple[Tensor, ...]:
        """What the node makes of the example, which is not too much."""
        shapes = foretold(module, [value.tensor for value in operands])
        if shapes is not None:
            self._sizes.add(_label(node), shapes, known)
        results = _evaluate(node, module, operands)
        if shapes is None:
            self._sizes.add(_label(node), shapes_of(results), known)
        return results

    def _attribute(self, attribute: AttributeProto) -> object:
        if attribute.type == AttributeProto.TENSOR:
            return self._tensor(attribute.t)
        value = helper.get_attribute_value(attribute)
        if attribute.name in ("to", "dtype"):
            return torch_dtype(value, self._like.tensor.dtype)
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, Sequence):
            return [item.decode() if isinstance(item, bytes) else item for item in value]
        return value

    def _tensor(self, stored: TensorProto) -> Tensor:
        try:
            dtype = torch_dtype(stored.data_type, self._like.tensor.dtype)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(
                f"the stored tensor '{stored.name}' has {error}, which is not supported"
            ) from error
        size = math.prod(stored.dims)
        if size > LARGEST:
            shape = tuple(stored.dims)
            raise InputError(
                f"the tensor '{stored.name}' of the ONNX file has shape {shape}: at most "
                f"{LARGEST:.3g}"
            )
        try:
            array = numpy_helper.to_array(stored)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"the tensor '{stored.name}' of the ONNX file is corrupt: {error}"
            ) from error
        if dtype.is_floating_point:
            array = array.astype(np.float64 if dtype is torch.float64 else np.float32)
        self._sizes.stored += size
        return torch.from_numpy(np.array(array))


def _label(node: NodeProto) -> str:
    return f"'{_name(node)}' ({node.op_type})"


def _name(node: NodeProto) -> str:
    return node.name or "_".join(map(str, [node.op_type, *node.output[:1]]))


def _evaluate(node: NodeProto, module: OnnxNode, operands: Sequence[Value]) -> tuple[Tensor, ...]:
    tensors = [value.tensor for value in operands]
    try:
        with torch.no_grad():
            results = module(*tensors)
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise InputError(
            f"{_label(node)} cannot be evaluated on inputs of shape {shapes}: {error}"
        ) from error
    return results if isinstance(results, tuple) else (results,)
