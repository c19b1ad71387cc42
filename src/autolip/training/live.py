"""A network's linear passes with the weights that its module has *now*: what a penalty
differentiates.

With the slope set of every operation known, differences travel through the network as

    v = sum_i A_i z_i          through affine operations, A_i made of the live parameters (biases dropped),
    z = through(v)             through the others, in whatever way the caller's method asks for,

for a batch of columns at once.  The operations are exported once, from a copy in evaluation mode;
parameters and buffers are looked up in the module at every pass, so that optimisers,
parametrisations and running statistics need no new export.  Nothing here is a bound.
"""

import contextlib
import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.export import capture_program, export
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError, UnsupportedOperation
from autolip.graph.graph import Graph, Node
from autolip.graph.views import Vertex
from autolip.methods.lipsdp.statement import Constraint, constraint
from autolip.operators.operator import Operator
from autolip.operators.precision import in_precision
from autolip.regions import Everywhere, Region
from autolip.rules import slopes_on
from autolip.rules.lowering import lowered
from autolip.slopes import Exact

aten = torch.ops.aten

Through = Callable[[str, Tensor], Tensor]
"""From the name of a nonlinear part and the columns of its operand to those of its result."""

Weights = dict[str, Any]
"""The value of everything that does not depend on the input, by the name of its node."""

WITHOUT_BIAS: Mapping[Any, Mapping[int, Any]] = {
    aten.linear.default: {2: None},
    aten.convolution.default: {2: None},
    aten.conv1d.default: {2: None},
    aten.conv2d.default: {2: None},
    aten.conv3d.default: {2: None},
    aten.conv_transpose1d.default: {2: None},
    aten.conv_transpose2d.input: {2: None},
    aten.conv_transpose3d.input: {2: None},
    aten.batch_norm.default: {2: None, 3: torch.zeros_like},
}
"""Affine operations whose linear part is the same call with other arguments, by position."""


@dataclass(frozen=True)
class Part:
    """One nonlinear operand of an operation: its slopes as a quadratic constraint (centre, radius,
    blocks)."""

    name: str
    source: str
    constraint: Constraint


@dataclass(frozen=True)
class _Step:
    """One value of the network and how it arises from earlier ones."""

    name: str
    operands: tuple[str, ...]
    parts: tuple[Part, ...]
    exact: tuple[tuple[str, Operator], ...]
    linear: Callable[[Mapping[str, Tensor], Weights], Tensor] | None
    shape: tuple[int, ...]


class LiveNetwork:
    """The network as linear passes over `columns` columns, with the live weights of `module`.

    A column has the shape of one input.  Where the module treats the entries of a batch apart, the
    columns are a batch; otherwise every column is a whole input, and the passes are vectorised
    (`torch.vmap`).  With `lower`, maxima are written with relu.

    Raises InputError where the module cannot be captured, UnsupportedOperation where an operation
    has no finite l2 slopes on the region.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[Tensor],
        columns: int,
        region: Region | None = None,
        lower: bool = False,
    ) -> None:
        self.module = own_module(module)
        example = inputs[0].detach()
        frozen = copy.deepcopy(self.module).cpu().eval()
        fixed = tuple(value.detach().cpu() for value in inputs[1:])
        one = _first(example.cpu(), frozen, fixed)
        single = taken_apart(export(frozen, (one, *fixed), (0,)))
        capture = capture_program(single, (one, *fixed), 0, frozen)
        self.graph: Graph = capture.graph
        if self.graph.constant is not None:
            raise InputError(
                "the output does not depend on the input: there is nothing to penalise"
            )
        slopes = slopes_on(self.graph, region or Everywhere())
        if lower:
            self.graph = lowered(self.graph)
            slopes = slopes_on(
                self.graph, region or Everywhere(), {v.name: v.range for v in slopes}
            )
        batch = _batched(frozen, one, fixed, columns, single)
        self.is_batched, self.columns = batch is not None, columns
        program = batch or single
        self.shape = tuple(one.shape[1:] if self.is_batched else one.shape)
        self.input, self.output = self.graph.input, self.graph.output
        self._constants = _Constants(program, fixed, self.module)
        builder = _Builder(program, self.is_batched)
        self._steps = tuple(
            builder.step(vertex, self.graph) for vertex in slopes if vertex.name != self.input
        )
        self._by_name = {step.name: step for step in self._steps}
        self.parts = {part.name: part for step in self._steps for part in step.parts}

    def weights(self) -> tuple[Weights, list[Tensor]]:
        """The values that do not depend on the input, and the module's tensors they are made of, as
        they are now."""
        return self._constants.now()

    def to(self, device: torch.device) -> None:
        """Moves what is not of the module."""
        self._constants.to(device)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of one column of a value."""
        return self.shape if name == self.input else self._by_name[name].shape

    def push(
        self, columns: Mapping[str, Tensor], wanted: str, through: Through | None, weights: Weights
    ) -> Tensor:
        """The columns of the value `wanted`, given those of some earlier values; whatever else it
        needs is 0.

        Without `through`, along affine operations only.
        """
        values = dict(columns)
        for step in self._steps:
            reached = step.name not in values and any(name in values for name in step.operands)
            if reached and (through is not None or step.linear is not None):
                values[step.name] = self._value(step, values, through, weights)
            if step.name == wanted:
                break
        return values[wanted]

    def _value(
        self, step: _Step, values: dict[str, Tensor], through: Through | None, weights: Weights
    ) -> Tensor:
        if step.linear is not None:
            known = {name: values[name] for name in step.operands if name in values}
            if self.is_batched:
                return step.linear(known, weights)
            return torch.vmap(step.linear, in_dims=(0, None))(known, weights)
        assert through is not None
        terms = [
            through(part.name, values[part.source]) for part in step.parts if part.source in values
        ]
        terms += [
            operator.mv(values[source]) for source, operator in step.exact if source in values
        ]
        return sum(terms[1:], terms[0])

    def sources(self) -> list[str]:
        """The input and the results of the nonlinear operations, in order."""
        return [self.input, *(step.name for step in self._steps if step.linear is None)]

    def sinks(self) -> list[str]:
        """The values that nonlinear operations read, and the output, in order."""
        read = {part.source for part in self.parts.values()} | {self.output}
        return [name for name in (self.input, *(step.name for step in self._steps)) if name in read]

    def parts_of(self, name: str) -> tuple[Part, ...]:
        """The nonlinear operands of an operation."""
        return self._by_name[name].parts

    def reaching(self, sink: str, bends: bool) -> list[str]:
        """The sources that a value depends on: through affine operations alone, or through any
        (`bends`)."""
        needed, seen = {sink}, set[str]()
        for step in reversed(self._steps):
            if step.name in needed:
                seen.add(step.name)
                if bends or step.linear is not None:
                    needed |= set(step.operands)
        return [name for name in self.sources() if name in needed]


def own_module(model: nn.Module) -> nn.Module:
    """The user's own module inside `torch.compile`, DataParallel and DistributedDataParallel;
    InputError for others."""
    inner = unwrapped(model)
    if not isinstance(inner, nn.Module):
        raise InputError("a function has no weights to train: give an nn.Module")
    return inner


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; afterwards every submodule is in the mode that it was in."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


class _Constants:
    """What does not depend on the input: parameters, buffers, and what is computed from them."""

    def __init__(
        self, program: ExportedProgram, fixed: Sequence[Tensor], module: nn.Module
    ) -> None:
        self._live: list[tuple[str, nn.Module, str]] = []
        self._held: Weights = {}
        self._nodes: list[torch.fx.Node] = []
        rest, varying = iter(fixed), set[str]()
        for spec in program.graph_signature.input_specs:
            name = spec.arg.name
            if (
                spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)
                and spec.target in program.state_dict
            ):
                owner, _, attribute = str(spec.target).rpartition(".")
                self._live.append((name, module.get_submodule(owner), attribute))
            elif spec.kind is not InputKind.USER_INPUT:
                self._held[name] = program.constants[str(spec.target)]
            elif not varying:
                varying.add(name)
            else:
                self._held[name] = next(rest)
        live = {name for name, _, _ in self._live}
        for node in program.graph.nodes:
            if node.op != "call_function":
                continue
            inputs = {other.name for other in node.all_input_nodes}
            if inputs & varying:
                varying.add(node.name)
            elif inputs & live:
                live.add(node.name)
                self._nodes.append(node)
            else:
                self._held[node.name] = _called(node, self._held)
        self.varying = varying

    def now(self) -> tuple[Weights, list[Tensor]]:
        """All of it, floats at least float32, and the module's tensors that it is made of."""
        values, live = dict(self._held), list[Tensor]()
        for name, owner, attribute in self._live:
            value = getattr(owner, attribute)
            live.append(value)
            values[name] = (
                value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
            )
        for node in self._nodes:
            values[node.name] = _called(node, values)
        return values, live

    def to(self, device: torch.device) -> None:
        """Moves what is not of the module."""
        self._held = pytree.tree_map_only(Tensor, lambda held: held.to(device), self._held)


def _called(node: torch.fx.Node, values: Weights) -> Any:
    """A node's value, given those of what it reads."""
    args, kwargs = torch.fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: values[n.name])
    return node.target(*args, **kwargs)  # type: ignore[operator]


class _Builder:
    """Turns the vertices of a slope graph into steps on live weights."""

    def __init__(self, program: ExportedProgram, batched: bool) -> None:
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.batched = batched

    def step(self, vertex: Vertex, graph: Graph) -> _Step:
        operands = tuple(dict.fromkeys(edge.source for edge in vertex.edges))
        shape = tuple(vertex.shape[1:] if self.batched else vertex.shape)
        if vertex.is_affine:
            return _Step(
                vertex.name, operands, (), (), self._linear(vertex, graph, operands), shape
            )
        parts = tuple(self._parts(vertex))
        exact = tuple(
            (edge.source, in_precision(edge.slope.operator, torch.float32))
            for edge in vertex.edges
            if isinstance(edge.slope, Exact)
        )
        if exact and self.batched:  # an operator knows one input, not a batch of columns
            raise UnsupportedOperation(
                f"{vertex.operation} at {vertex.place} is partly affine: it has no penalty"
            )
        return _Step(vertex.name, operands, parts, exact, None, shape)

    def _parts(self, vertex: Vertex) -> list[Part]:
        parts = []
        for number, edge in enumerate(vertex.edges):
            if isinstance(edge.slope, Exact):
                continue
            found = constraint(
                Vertex(
                    vertex.name, vertex.shape, (edge,), vertex.range, vertex.place, vertex.operation
                )
            )
            if not isinstance(found, Constraint):
                raise UnsupportedOperation(f"{found}: a penalty needs finite slopes; give a region")
            name = vertex.name if len(vertex.edges) == 1 else f"{vertex.name}:{number}"
            parts.append(Part(name, edge.source, found))
        return parts

    def _linear(
        self, vertex: Vertex, graph: Graph, operands: tuple[str, ...]
    ) -> Callable[[Mapping[str, Tensor], Weights], Tensor]:
        node, pick = self.nodes.get(vertex.name), None
        if node is not None and node.target is operator.getitem:
            node, pick = node.args[0], int(node.args[1])
        captured = next(item for item in graph.nodes if item.name == vertex.name)
        if node is None or node.target != captured.target:
            return _inserted(captured, self.batched)
        shapes = {
            name: tuple(self.nodes[name].meta["val"].shape)
            for name in operands
            if name in self.nodes
        }
        return _Linear(node, pick, operands, shapes)


class _Linear:
    """The linear part of one exported call towards its varying operands."""

    def __init__(
        self,
        node: torch.fx.Node,
        pick: int | None,
        operands: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.node, self.pick, self.operands, self.shapes = node, pick, set(operands), shapes
        self.replaced = dict(WITHOUT_BIAS.get(node.target, {}))
        self.offset = not self.replaced and self._has_offset()

    def _has_offset(self) -> bool:
        """Whether zero operands give something else than zero, whatever the constants: seen with
        random ones."""

        def sample(node: torch.fx.Node) -> Any:
            value = node.meta["val"]
            if node.name in self.operands:
                return torch.zeros(value.shape)
            return (
                torch.rand(value.shape) + 0.5
                if value.is_floating_point()
                else torch.zeros_like(value, device="cpu")
            )

        args, kwargs = torch.fx.node.map_arg((self.node.args, dict(self.node.kwargs)), sample)
        result = self.node.target(*args, **kwargs)  # type: ignore[operator]
        result = result if self.pick is None else result[self.pick]
        return bool((result != 0).any())

    def __call__(self, values: Mapping[str, Tensor], weights: Weights) -> Tensor:
        found = self._result(values, weights)
        if not self.offset:
            return found
        zeros = {name: torch.zeros_like(values[name]) for name in self.operands if name in values}
        return found - self._result(zeros, weights)

    def _result(self, values: Mapping[str, Tensor], weights: Weights) -> Tensor:
        args = [self._argument(argument, values, weights) for argument in self.node.args]
        kwargs = {
            key: self._argument(value, values, weights) for key, value in self.node.kwargs.items()
        }
        for place, new in self.replaced.items():
            if place < len(args):
                args[place] = (
                    new(args[place]) if callable(new) and args[place] is not None else None
                )
        result: Any = self.node.target(*args, **kwargs)  # type: ignore[operator]
        return result if self.pick is None else result[self.pick]

    def _argument(self, argument: Any, values: Mapping[str, Tensor], weights: Weights) -> Any:
        if isinstance(argument, torch.fx.Node):
            if argument.name not in self.operands:
                return weights[argument.name]
            if argument.name in values:
                return values[argument.name]
            return next(iter(values.values())).new_zeros(self.shapes[argument.name])
        if isinstance(argument, (list, tuple)):
            return [self._argument(item, values, weights) for item in argument]
        return argument


def _inserted(node: Node, batched: bool) -> Callable[[Mapping[str, Tensor], Weights], Tensor]:
    """Wiring that is not among the exported calls (a broadcast, parts of a maximum): column by
    column."""

    def column(values: Mapping[str, Tensor]) -> Tensor:
        inputs = {name: value[None] if batched else value for name, value in values.items()}
        result: Tensor = node.call(inputs.__getitem__)
        return result[0] if batched else result

    return lambda values, weights: torch.vmap(column)(values) if batched else column(values)


def _first(example: Tensor, module: nn.Module, fixed: Sequence[Tensor]) -> Tensor:
    """One sample of a batch whose samples the module treats apart; else the whole."""
    if example.dim() < 2 or len(example) == 1 or not _treats_apart(module, example[:2], fixed):
        return example
    return example[:1]


def _treats_apart(module: nn.Module, batch: Tensor, fixed: Sequence[Tensor]) -> bool:
    """Whether every sample's result depends on that sample alone, seen on random samples."""
    drawn = torch.randn(batch.shape, generator=torch.Generator().manual_seed(0)).to(batch.dtype)
    try:
        with torch.no_grad():
            whole = module(drawn, *fixed)
            apart = torch.cat([module(sample[None], *fixed) for sample in drawn])
    except (
        Exception
    ):  # a module that does not take another batch size: every column is a whole input
        return False
    return (
        isinstance(whole, Tensor)
        and whole.shape == apart.shape
        and torch.allclose(whole, apart, 1e-3, 1e-5)
    )


def _batched(
    module: nn.Module, one: Tensor, fixed: Sequence[Tensor], columns: int, single: ExportedProgram
) -> ExportedProgram | None:
    """The module exported for a batch of columns, if it is the same calls with that many first
    entries."""
    if one.dim() < 2 or len(one) != 1:
        return None
    if columns == 1:
        return single
    if not _treats_apart(module, one.expand(2, *one.shape[1:]), fixed):
        return None
    try:
        program = taken_apart(
            export(module, (one.expand(columns, *one.shape[1:]).clone(), *fixed), (0,))
        )
    except InputError:
        return None
    pairs = zip(single.graph.nodes, program.graph.nodes, strict=False)
    same = len(single.graph.nodes) == len(program.graph.nodes)
    varying = _Constants(single, fixed, module).varying
    return (
        program
        if same and all(_alike(a, b, columns, a.name in varying) for a, b in pairs)
        else None
    )


def _alike(one: torch.fx.Node, many: torch.fx.Node, columns: int, varies: bool) -> bool:
    """The same call, its result with `columns` first entries in place of one."""
    if (one.op, one.name, one.target) != (many.op, many.name, many.target):
        return False
    a, b = one.meta.get("val"), many.meta.get("val")
    if not varies or not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return True
    return a.dim() > 0 and a.shape[0] == 1 and tuple(b.shape) == (columns, *a.shape[1:])
