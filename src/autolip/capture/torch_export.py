"""From a PyTorch model to a graph: `torch.export` at ATen level, constants folded in float64."""

import contextlib
import copy
import inspect
import io
import logging
import operator
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from autolip.capture.checks import check_inputs, check_module
from autolip.capture.decompositions import taken_apart
from autolip.errors import InputError
from autolip.graph.composites import recognised
from autolip.graph.graph import Graph, Node, Place, Ref
from autolip.graph.passes import explicit_broadcasts
from autolip.operators.operator import DTYPE

aten = torch.ops.aten


@dataclass(frozen=True)
class Capture:
    """A network as a graph of one varying input, and the original to compare it with.

    `reference` is the original model as a function of the varying input: in float64 if it can be converted, else
    in the precision `reference_dtype`.
    """

    graph: Graph
    reference: Callable[[Tensor], Tensor]
    reference_dtype: torch.dtype
    example: Tensor
    input_name: str
    stored_dtype: str
    seconds: float = 0.0
    """What reading and capturing took."""


class _FunctionModule(nn.Module):
    """A plain function as a module, for the exporter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def capture_model(model: nn.Module | Callable[..., Any], inputs: Sequence[Tensor], varying: int | str = 0) -> Capture:
    """Capture `model(*inputs)` as a function of one input, the others held fixed at the given values.

    Raises InputError for what cannot be analysed (training mode, NaN weights, data-dependent control flow, ...).
    """
    started = time.monotonic()
    module = model if isinstance(model, nn.Module) else _FunctionModule(model)
    check_module(module)
    check_inputs(inputs)
    capture = capture_program(export(module, tuple(inputs)), inputs, varying, module)
    return replace(capture, seconds=time.monotonic() - started)


def export(module: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """`torch.export`, its failures in one sentence."""
    try:
        with _silence():
            return torch.export.export(module, inputs)
    except Exception as error:
        raise InputError(f"the model cannot be exported: {_first_sentence(error)}") from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No warnings, no graph and no traceback of the exporter's own where it fails: one sentence tells it all."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def capture_program(
    program: ExportedProgram,
    inputs: Sequence[Tensor],
    varying: int | str = 0,
    module: nn.Module | None = None,
) -> Capture:
    """Capture an exported program; `module` is the original it came from (default: the program's own)."""
    program = taken_apart(program)
    _refuse_mutation(program)
    names = _input_names(program, module)
    index = _index_of(varying, names)
    _check_varying(inputs[index], names[index])
    graph = _Builder(program, inputs, index).build()
    graph = explicit_broadcasts(recognised(graph.pruned()))
    reference, dtype = _reference(module if module is not None else program.module(), inputs, index)
    stored = next(
        (str(p.dtype) for p in program.state_dict.values() if p.is_floating_point()), str(inputs[index].dtype)
    )
    return Capture(graph, reference, dtype, inputs[index].detach().to(DTYPE), names[index], stored.split(".")[-1])


def _refuse_mutation(program: ExportedProgram) -> None:
    for output in program.graph_signature.output_specs:
        if output.kind is OutputKind.BUFFER_MUTATION:
            raise InputError(
                f"the model changes its buffer {output.target} while it runs"
                " (batch norm in training mode?): call model.eval()"
            )
        if output.kind is OutputKind.USER_INPUT_MUTATION:
            raise InputError(f"the model changes its input {output.target} in place: clone it first")


def _input_names(program: ExportedProgram, module: nn.Module | None) -> list[str]:
    """The inputs as the user names them."""
    names = [str(name) for name in program.graph_signature.user_inputs]
    if not isinstance(module, _FunctionModule):
        return names
    given = [
        name for name, p in inspect.signature(module.function).parameters.items() if p.kind is not p.VAR_POSITIONAL
    ]
    return given[: len(names)] + names[len(given) :]


def _index_of(varying: int | str, names: list[str]) -> int:
    if isinstance(varying, int) and 0 <= varying < len(names):
        return varying
    if isinstance(varying, str) and varying in names:
        return names.index(varying)
    raise InputError(f"there is no input {varying!r}: the model's inputs are {', '.join(names)}")


def _check_varying(example: Tensor, name: str) -> None:
    if not example.is_floating_point():
        raise InputError(f"input {name} is {example.dtype}: a Lipschitz constant needs a floating-point input")


class _Builder:
    """One walk over the exported graph: what does not depend on the varying input is evaluated, the rest recorded."""

    def __init__(self, program: ExportedProgram, inputs: Sequence[Tensor], varying: int) -> None:
        self.program = program
        self.inputs = inputs
        self.varying = varying
        self.values: dict[str, Any] = {}
        self.pending: dict[str, torch.fx.Node] = {}
        self.nodes: list[Node] = []
        self.input = ""

    def build(self) -> Graph:
        self._bind_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
        outputs = self._outputs()
        shape = self.inputs[self.varying].shape
        if not any(isinstance(value, Ref) for value, _ in outputs):
            constant = torch.cat([value.reshape(-1) for value, _ in outputs]) if len(outputs) > 1 else outputs[0][0]
            return Graph(self.input, shape, (), self.input, constant)
        output = outputs[0][0] if len(outputs) == 1 else self._joined(outputs)
        return Graph(self.input, shape, tuple(self.nodes), output.name)

    def _bind_inputs(self) -> None:
        users = iter(range(len(self.inputs)))
        for spec in self.program.graph_signature.input_specs:
            name = spec.arg.name
            if spec.kind is not InputKind.USER_INPUT:
                self.values[name] = _constant(self._stored(spec))
            elif (number := next(users)) == self.varying:
                self.input, self.values[name] = name, Ref(name)
            else:
                self.values[name] = _constant(self.inputs[number])

    def _stored(self, spec: Any) -> Tensor:
        program = self.program
        return program.state_dict[spec.target] if spec.target in program.state_dict else program.constants[spec.target]

    def _call(self, node: torch.fx.Node) -> None:
        several = node.args[0] if node.target is operator.getitem else None
        if isinstance(several, torch.fx.Node) and several.name in self.pending:
            self._record(self.pending[several.name], node, pick=int(node.args[1]))  # type: ignore[arg-type]
            return
        args, kwargs = self._arguments(node)
        if not any(isinstance(leaf, Ref) for leaf in _leaves((args, kwargs))):
            self.values[node.name] = pytree.tree_map(_constant, node.target(*args, **kwargs))  # type: ignore[operator]
        elif isinstance(node.meta.get("val"), (tuple, list)):
            self.pending[node.name] = node
        else:
            self._record(node, node)

    def _record(self, node: torch.fx.Node, result: torch.fx.Node, pick: int | None = None) -> None:
        """A call on the varying input becomes a node; of several results the one picked."""
        args, kwargs = _completed(node, *self._arguments(node))
        shape = result.meta["val"].shape if hasattr(result.meta.get("val"), "shape") else torch.Size()
        self.nodes.append(Node(result.name, node.target, args, shape, kwargs, pick, _place(node)))  # type: ignore[arg-type]
        self.values[result.name] = Ref(result.name)

    def _arguments(self, node: torch.fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def value(leaf: Any) -> Any:
            return self.values[leaf.name] if isinstance(leaf, torch.fx.Node) else _argument(leaf)

        return torch.fx.node.map_aggregate((node.args, dict(node.kwargs)), value)

    def _outputs(self) -> list[tuple[Any, torch.Size]]:
        """Values and shapes of the model's tensor results."""
        results: list[tuple[Any, torch.Size]] = []
        for spec in self.program.graph_signature.output_specs:
            value = self.values.get(getattr(spec.arg, "name", ""))
            if isinstance(value, Ref):
                shape = next(n.shape for n in self.nodes if n.name == value.name) if value.name != self.input else None
                results.append((value, shape if shape is not None else self.inputs[self.varying].shape))
            elif isinstance(value, Tensor):
                results.append((value, value.shape))
        if not results:
            raise InputError("the model returns no tensor: nothing can be bounded")
        return results

    def _joined(self, outputs: list[tuple[Any, torch.Size]]) -> Ref:
        """Several results as one vector."""
        flat: list[Any] = []
        for number, (value, shape) in enumerate(outputs):
            if isinstance(value, Ref):
                name = f"output_{number}"
                self.nodes.append(
                    Node(name, aten.reshape.default, (value, [shape.numel()]), torch.Size([shape.numel()]))
                )
                flat.append(Ref(name))
            else:
                flat.append(value.reshape(-1))
        size = sum(shape.numel() for _, shape in outputs)
        self.nodes.append(Node("outputs", aten.cat.default, (flat, 0), torch.Size([size])))
        return Ref("outputs")


def _completed(
    node: torch.fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An RMS norm without eps takes that of the stored precision, which float64 evaluation would not."""
    if node.target is aten.rms_norm.default and len(args) < 4 and kwargs.get("eps") is None:
        weight = args[2] if len(args) > 2 else kwargs.get("weight")
        return (*args[:2], weight, torch.finfo(node.meta["val"].dtype).eps), {}
    return args, kwargs


def _leaves(tree: Any) -> list[Any]:
    return pytree.tree_leaves(tree, is_leaf=lambda leaf: isinstance(leaf, Ref))


def _constant(value: Any) -> Any:
    """Constants are float64 on the CPU, whatever they are stored in."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return value.to(DTYPE) if value.is_floating_point() else value


def _argument(leaf: Any) -> Any:
    """Non-tensor arguments: every float type is float64 here, every device the CPU."""
    if isinstance(leaf, torch.dtype) and leaf.is_floating_point:
        return DTYPE
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _place(node: torch.fx.Node) -> Place:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    theirs = [frame for frame in frames if "/torch/" not in frame[0]] or frames
    source = f"{theirs[-1][0].rsplit('/', 1)[-1]}:{theirs[-1][1]}" if theirs else ""
    return Place(_plain(path), source)


def _plain(path: str) -> str:
    """A module path as the user writes it."""
    return re.sub(r"^L\['self'\]\.?|^L__self___?", "", path).replace("_FunctionModule", "")


def _reference(
    module: Callable[..., Any], inputs: Sequence[Tensor], varying: int
) -> tuple[Callable[[Tensor], Tensor], torch.dtype]:
    """The original as a function of the varying input, in float64 where it can be converted."""
    fixed = [value.detach().cpu() for value in inputs]
    try:
        double = _in_double(module)
        exact = _flat_function(double, [_constant(value) for value in fixed], varying, DTYPE)
        exact(fixed[varying].to(DTYPE))
        return exact, DTYPE
    except (RuntimeError, TypeError, AttributeError, ValueError, AssertionError):
        dtype = fixed[varying].dtype
        return _flat_function(module, fixed, varying, dtype), dtype


def _in_double(module: Any) -> nn.Module:
    """A float64 copy; an RMS norm keeps the eps of the precision it was made for."""
    double = copy.deepcopy(module).cpu()
    for child in double.modules():
        if isinstance(child, nn.RMSNorm) and child.eps is None:
            child.eps = torch.finfo(child.weight.dtype if child.weight is not None else torch.float32).eps
    return double.to(DTYPE)


def _flat_function(
    module: Callable[..., Any], fixed: Sequence[Tensor], varying: int, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        arguments = list(fixed)
        arguments[varying] = x.to(dtype)
        with torch.no_grad():
            result = module(*arguments)
        tensors = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        if len(tensors) == 1:
            return tensors[0].to(DTYPE)
        return torch.cat([tensor.reshape(-1).to(DTYPE) for tensor in tensors])

    return function


def _first_sentence(error: Exception) -> str:
    """The part of an exporter's message that a user can act on."""
    text = str(error).strip()
    if "data-dependent" in text or "GuardOnDataDependent" in type(error).__name__:
        place = re.search(r'File "([^"]*/)?([^"/]+)", line (\d+), in forward', text)
        where = f" ({place.group(2)}:{place.group(3)})" if place else ""
        return f"its control flow depends on the data{where}; use torch.where, or export the branch you mean"
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return f"{line[:300]} ({type(error).__name__})"
