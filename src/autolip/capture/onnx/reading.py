"""Reading an ONNX file as a PyTorch module that `torch.export` turns into an ATen graph."""

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autolip.arguments import nearest
from autolip.capture.checks import LARGEST
from autolip.errors import InputError

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, ValueInfoProto

OLDEST_OPSET = 6
"""Chosen: the oldest version of the operators that the translations follow."""

NEWEST_OPSET = 24
"""Chosen: the newest one."""

MOST_NODES = 2**17
"""Chosen: nodes that functions of the file may stand for; of networks in use, under 10^4 do."""

RUNTIME, ONNX = "onnxruntime", "the reference evaluator of the package onnx"

Reference = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file as a PyTorch module, with what is needed to call it and to check it.

    `module(*inputs)` takes the inputs in the order of `inputs` and returns the output, or the tuple
    of all in the order of `outputs`. Every stored number is kept exactly: half precision is widened
    to single, and everything to double if anything is double. `references` evaluate the original
    file independently, the first one being the judge; `narrowest` is the least precise floating
    type in the file.
    """

    module: nn.Module
    inputs: dict[str, tuple[int, ...]]
    dtypes: dict[str, torch.dtype]
    outputs: tuple[str, ...]
    references: Mapping[str, Reference]
    narrowest: torch.dtype

    @property
    def reference(self) -> Reference:
        """The file evaluated by the software that decides."""
        return next(iter(self.references.values()))


def load_onnx(
    path: str | Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    layer: str | None = None,
) -> OnnxModel:
    """The network in the ONNX file `path`, for inputs of fixed shapes, or up to the node or value
    that is called `layer`.

    A first dimension that the file leaves open is taken to be a batch of one; the file must fix the
    others or `input_shapes` must give them. Operators are translated in the file's own opset (6 to
    24).

    Raises InputError if the file cannot be read or a shape is missing, and UnsupportedOperation,
    with every node concerned, if the network contains operators without a translation.
    """
    _require_onnx()
    from autolip.capture.onnx.translation import (
        narrowest_float,
        torch_dtype,
        translate,
        widest_float,
    )

    path = Path(path)
    model = _read(path)
    if layer is not None:
        _end_at(model, layer)
    opset = _opset(path, model)
    graph = _inlined(model).graph
    _check_given_once(graph)
    floating = widest_float(graph)
    given = _inputs(graph)
    shapes = _shapes(given, input_shapes or {})
    dtypes = {
        value.name: torch_dtype(value.type.tensor_type.elem_type, floating) for value in given
    }
    example = {name: _example(shape, dtypes[name]) for name, shape in shapes.items()}
    module = translate(graph, opset, floating, example).eval()
    outputs = tuple(output.name for output in graph.output)
    return OnnxModel(
        module,
        shapes,
        dtypes,
        outputs,
        _references(path if layer is None else model.SerializeToString(), model, given),
        narrowest_float(graph),
    )


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        message = (
            "ONNX files need the package onnx, which is not installed: pip install autolip[onnx]"
        )
        raise InputError(message) from error


def _read(path: Path) -> "ModelProto":
    """The model in the file, with its external weights."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX file, or it is damaged") from error
    if not model.opset_import or not model.graph.output:
        raise InputError(f"{path} is not an ONNX file: it holds no network")
    _load_external(path, model)
    return model


def _load_external(path: Path, model: "ModelProto") -> None:
    """Loads the weights that lie beside the file; a path that leads out of the file's folder is
    refused."""
    from onnx.checker import ValidationError
    from onnx.external_data_helper import (
        ExternalDataInfo,
        load_external_data_for_tensor,
        uses_external_data,
    )

    from autolip.capture.onnx.translation import stored_tensors

    folder = path.resolve().parent
    bodies = [model.graph, *model.functions]
    for tensor in filter(
        uses_external_data, (tensor for body in bodies for tensor in stored_tensors(body))
    ):
        location = ExternalDataInfo(tensor).location
        if not (folder / location).resolve().is_relative_to(folder):
            raise InputError(
                f"{path} stores '{tensor.name}' in {location}, outside its own folder; refused"
            )
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, ValidationError) as error:
            raise InputError(
                f"{path} stores '{tensor.name}' in {location}, which cannot be read: {error}"
            ) from error


def _end_at(model: "ModelProto", layer: str) -> None:
    """Make what a node returns, or a value, the only output; InputError where there is none of the
    name."""
    from onnx import ValueInfoProto

    nodes = model.graph.node
    by_name = {node.name: list(node.output) for node in nodes if node.name}
    values = {value: [value] for node in nodes for value in node.output if value}
    wanted = values.get(layer) or by_name.get(layer)
    if wanted is None:
        names = [*by_name, *values]
        known = nearest(layer, names) or f"the first are {', '.join(names[:5])}"
        raise InputError(f"the file has no node and no value {layer!r}: {known}")
    del model.graph.output[:]
    model.graph.output.extend(ValueInfoProto(name=value) for value in wanted if value)


def _opset(path: Path, model: "ModelProto") -> int:
    opset = next(
        (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0
    )
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        supported = f"{OLDEST_OPSET} to {NEWEST_OPSET}"
        raise InputError(f"{path} uses opset {opset}; export it again with one of {supported}")
    return opset


def _inlined(model: "ModelProto") -> "ModelProto":
    """The model without functions of its own: their bodies stand in their place."""
    from onnx.inliner import inline_local_functions

    if not model.functions:
        return model
    _check_functions(model)
    return inline_local_functions(model)


def _check_functions(model: "ModelProto") -> None:
    """InputError where a function of the file calls itself, directly or through others, or where
    all that stands for them is too much to be written out."""
    from autolip.capture.onnx.translation import nodes_of

    def called(body: "GraphProto | FunctionProto") -> Counter[tuple[str, str]]:
        return Counter((node.domain, node.op_type) for node in nodes_of(body))

    sizes = dict[tuple[str, str], int]()

    def size(calls: Counter[tuple[str, str]]) -> int:
        return sum(count * sizes.get(name, 1) for name, count in calls.items())

    waiting = {(body.domain, body.name): called(body) for body in model.functions}
    while waiting:
        known = {name for name, calls in waiting.items() if not calls.keys() & waiting.keys()}
        if not known:
            raise InputError(
                f"the function '{min(waiting)[1]}' of the ONNX file calls itself: export it "
                "without recursion"
            )
        sizes |= {name: size(waiting.pop(name)) for name in known}
    if size(called(model.graph)) > MOST_NODES:
        raise InputError(
            f"the functions of the ONNX file stand for more than {MOST_NODES} nodes: export it "
            "without functions"
        )


def _check_given_once(graph: "GraphProto") -> None:
    """InputError where a graph, or the body of one of its nodes, gives a value twice: the format
    does not say which of them is meant."""
    from onnx import AttributeProto

    stored = {initializer.name for initializer in graph.initializer}
    names = [value.name for value in graph.input if value.name not in stored]
    names += [initializer.name for initializer in graph.initializer]
    names += [name for node in graph.node for name in node.output if name]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"the ONNX file gives its value '{twice}' twice: export it again")
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.type == AttributeProto.GRAPH:
            _check_given_once(attribute.g)


def _inputs(graph: "GraphProto") -> list["ValueInfoProto"]:
    """The inputs that the file gives no value for."""
    from autolip.capture.onnx.translation import FLOATS, INTEGERS

    stored = {initializer.name for initializer in graph.initializer}
    given = [value for value in graph.input if value.name not in stored]
    for value in given:
        if value.type.tensor_type.elem_type not in {*FLOATS, *INTEGERS}:
            raise InputError(
                f"the input '{value.name}' of the ONNX file is not a tensor of numbers"
            )
    return given


def _shapes(
    given: Sequence["ValueInfoProto"], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    names = [value.name for value in given]
    for name in wanted:
        if name not in names:
            raise InputError(f"the ONNX file has no input '{name}'; it has {', '.join(names)}")
    shapes = {value.name: _shape(value, wanted.get(value.name)) for value in given}
    for name, shape in shapes.items():
        if not 0 < math.prod(shape) <= LARGEST:
            raise InputError(
                f"the input '{name}' of the ONNX file has shape {shape}: 1 to {LARGEST:.3g} entries"
            )
    return shapes


def _shape(value: "ValueInfoProto", wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    """The concrete shape of an input: as wanted where the file leaves it open, else a batch of
    one."""
    stated = value.type.tensor_type
    sizes = [dim.dim_value for dim in stated.shape.dim] if stated.HasField("shape") else None
    if sizes is not None and any(
        dim.HasField("dim_value") and dim.dim_value < 1 for dim in stated.shape.dim[1:]
    ):
        raise InputError(
            f"the input '{value.name}' of the ONNX file is empty, of shape {tuple(sizes)}"
        )
    if wanted is None:
        if sizes is None or not all(sizes[1:]):
            raise InputError(
                f"the ONNX file leaves the shape of its input '{value.name}' open; give "
                "it explicitly"
            )
        return tuple(size or 1 for size in sizes)
    if sizes is not None and (
        len(sizes) != len(wanted) or any(a and a != b for a, b in zip(sizes, wanted, strict=True))
    ):
        shape = tuple(size or "?" for size in sizes)
        raise InputError(
            f"the input '{value.name}' of the ONNX file has shape {shape}, not {tuple(wanted)}"
        )
    return tuple(wanted)


def _example(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Positive numbers for floating inputs, zeros (valid as indices) for the others."""
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def _references(
    path: Path | bytes, model: "ModelProto", given: Sequence["ValueInfoProto"]
) -> dict[str, Reference]:
    """Evaluates the file with onnxruntime, where that is there and can, and with the reference of
    the package onnx."""
    from onnx.helper import tensor_dtype_to_np_dtype

    types = {
        value.name: tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type) for value in given
    }
    engines: dict[str, Callable[[], Reference]] = {ONNX: functools.cache(lambda: _evaluator(model))}
    runtime = functools.cache(lambda: _onnxruntime(path))
    if find_spec("onnxruntime") is not None:
        engines = {RUNTIME: lambda: runtime() or engines[ONNX]()} | engines

    def evaluation(engine: Callable[[], Reference]) -> Reference:
        return lambda inputs: engine()(
            {name: np.asarray(inputs[name], dtype) for name, dtype in types.items()}
        )

    return {name: evaluation(engine) for name, engine in engines.items()}


def _onnxruntime(path: Path | bytes) -> Reference | None:
    """The file, or what would stand in it, in an onnxruntime session; None if that is not installed
    or does not know some operator."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidGraph, errors.NotImplemented):
        return None
    return lambda inputs: [np.asarray(output) for output in session.run(None, dict(inputs))]


def _evaluator(model: "ModelProto") -> Reference:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return lambda inputs: [np.asarray(output) for output in evaluator.run(None, dict(inputs))]
