"""A network's linear passes with the weights that its module has *now*: what a penalty
differentiates.

With the slope set of every operation known, differences travel through the network as

    v = sum_i A_i z_i     through affine operations, A_i made of the live parameters (no biases),
    z = through(v)        through the others, in whatever way the caller's method asks for,

for a batch of columns at once.  The operations are exported once, from a copy in evaluation mode;
parameters and buffers are looked up in the module at every pass, so that optimisers,
parametrisations and running statistics need no new export.  Nothing here is a bound.
"""

import contextlib
import copy
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.export import capture_program, export
from autolip.capture.torch.scripted import SCRIPTED
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError, UnsupportedOperation
from autolip.graph.graph import Graph
from autolip.graph.views import Vertex
from autolip.methods.lipsdp.relaxation.constraint import Constraint, constraint
from autolip.operators.operator import Operator
from autolip.regions import Everywhere, Region
from autolip.rules import slopes_on
from autolip.rules.lowering import lowered
from autolip.training.batching import batched_program, first_sample
from autolip.training.calls import Constants, LinearCall, Weights, inserted

Through = Callable[[str, Tensor], Tensor]
"""From the name of a nonlinear part and the columns of its operand to those of its result."""


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
        one = first_sample(example.cpu(), frozen, fixed)
        exported = export(frozen, (one, *fixed), (0,))
        single = taken_apart(exported)
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
        batch = batched_program(frozen, one, fixed, columns, single)
        self.is_batched = batch is not None
        self.columns = columns
        program = batch or single
        self.shape = tuple(one.shape[1:] if self.is_batched else one.shape)
        self.input = self.graph.input
        self.output = self.graph.output
        self._constants = Constants(program, fixed, self.module)
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
        needed = {sink}
        seen = set[str]()
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
    if isinstance(inner, SCRIPTED):
        raise InputError(
            "a model compiled by torch.jit has no Python code to follow its weights through:"
            " give the nn.Module that it was made from"
        )
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


class _Builder:
    """Turns the vertices of a slope graph into steps on live weights."""

    def __init__(self, program: ExportedProgram, batched: bool) -> None:
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.batched = batched

    def step(self, vertex: Vertex, graph: Graph) -> _Step:
        sources = [edge.source for edge in vertex.edges]
        operands = tuple(dict.fromkeys(sources))
        shape = tuple(vertex.shape[1:] if self.batched else vertex.shape)
        if vertex.is_affine:
            return _Step(
                vertex.name, operands, (), (), self._linear(vertex, graph, operands), shape
            )
        parts = tuple(self._parts(vertex))
        exact = tuple((link.source, link.operator.cast(torch.float32)) for link in vertex.links)
        if exact and self.batched:  # an operator knows one input, not a batch of columns
            raise UnsupportedOperation(
                f"{vertex.operation} at {vertex.place} is partly affine: it has no penalty"
            )
        return _Step(vertex.name, operands, parts, exact, None, shape)

    def _parts(self, vertex: Vertex) -> list[Part]:
        parts = []
        for number, edge in enumerate(vertex.edges):
            if edge.operator is not None:
                continue
            found = constraint(replace(vertex, edges=(edge,)))
            if not isinstance(found, Constraint):
                raise UnsupportedOperation(f"{found}: a penalty needs finite slopes; give a region")
            name = vertex.name if len(vertex.edges) == 1 else f"{vertex.name}:{number}"
            parts.append(Part(name, edge.source, found))
        return parts

    def _linear(
        self, vertex: Vertex, graph: Graph, operands: tuple[str, ...]
    ) -> Callable[[Mapping[str, Tensor], Weights], Tensor]:
        node = self.nodes.get(vertex.name)
        pick = None
        if node is not None and node.target is operator.getitem:
            node, pick = node.args[0], int(node.args[1])
        captured = next(item for item in graph.nodes if item.name == vertex.name)
        if node is None or node.target != captured.target:
            return inserted(captured, self.batched)
        shapes = {
            name: tuple(self.nodes[name].meta["val"].shape)
            for name in operands
            if name in self.nodes
        }
        return LinearCall(node, pick, operands, shapes)
