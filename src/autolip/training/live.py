"""A network's linear passes with the weights that its module has *now*: what a penalty
differentiates.

With the slope set of every operation known, differences travel through the network as

    v = sum_i A_i z_i     through affine operations, A_i made of the live parameters (no biases),
    z = bend(v)           through the others, in whatever way the caller's method asks for,

for a batch of columns at once.  The operations are exported once, from a copy in evaluation mode;
parameters and buffers are looked up in the module at every pass, so that optimisers,
parametrisations and running statistics need no new export.  Nothing here is a bound.
"""

import contextlib
import copy
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.export import capture_program, export
from autolip.capture.torch.scripted import SCRIPTED
from autolip.capture.torch.unwrapping import unwrapped
from autolip.errors import InputError, UnsupportedOperation
from autolip.graph.graph import Graph, Ref
from autolip.graph.views import Vertex
from autolip.methods.lipsdp.relaxation.constraint import Constraint, constraint
from autolip.operators.operator import Operator
from autolip.ranges import ranges
from autolip.regions import Everywhere, Region
from autolip.rules import slopes_on
from autolip.rules.lowering import lowered
from autolip.training.batching import batched_program, first_sample
from autolip.training.calls import Constants, LinearCall, Weights, inserted
from autolip.training.passes import (
    Adjoint,
    Bend,
    Bent,
    Linear,
    Step,
    Sweep,
    Transpose,
    step_of,
    summed,
    traced,
)

aten = torch.ops.aten

SIGNS: Mapping[object, int] = {aten.add.Tensor: 1, aten.sub.Tensor: -1}
"""The sign of the second operand of a sum."""


PRODUCTS = {
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.matmul.default,
    aten.mm.default,
    aten.bmm.default,
    aten.einsum.default,
}
"""Calls that are not linear in several operands together."""


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
    exact: tuple[tuple[str, Adjoint, Adjoint], ...]
    linear: Step | None
    weights: tuple[str, ...]
    shape: tuple[int, ...]

    @cached_property
    def alone(self) -> Part | None:
        """The part that is all of it."""
        return self.parts[0] if len(self.parts) == 1 and not self.exact else None


class LiveNetwork:
    """The network as linear passes over `columns` columns, with the live weights of `module`.

    A column has the shape of one input.  Where the module treats the entries of a batch apart, the
    columns are a batch; otherwise every column is a whole input, and the passes are vectorised
    (`torch.vmap`).  With `lower`, maxima are written with relu.

    Raises InputError where the module cannot be captured, UnsupportedOperation where an operation
    has no finite l2 slopes on the region.  With `around`, slopes are those between that point of
    the region and any other.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Sequence[Tensor],
        columns: int,
        region: Region | None = None,
        lower: bool = False,
        around: Tensor | None = None,
    ) -> None:
        self.module = own_module(module)
        example = inputs[0].detach()
        self._frozen = copy.deepcopy(self.module).cpu().eval()
        fixed = tuple(value.detach().cpu() for value in inputs[1:])
        one = first_sample(example.cpu(), self._frozen, fixed)
        self._inputs = (one, *fixed)
        self._single = taken_apart(export(self._frozen, self._inputs, (0,)))
        batch = batched_program(self._frozen, one, fixed, columns, self._single)
        self.is_batched = batch is not None
        self.columns = columns
        self.lower = lower
        self._program = batch or self._single
        self.shape = tuple(one.shape[1:] if self.is_batched else one.shape)
        self._constants = Constants(self._program, fixed, self.module)
        self._set_slopes(region or Everywhere(), around)

    def around(self, region: Region, point: Tensor | None) -> "LiveNetwork":
        """The same passes, with the slopes between a point of a region and any other that the
        weights have now."""
        refresh(self._frozen, self._single, self.module)
        other = copy.copy(self)
        other._set_slopes(region, point)
        return other

    def _set_slopes(self, region: Region, around: Tensor | None) -> None:
        graph = capture_program(self._single, self._inputs, 0, self._frozen).graph
        if graph.constant is not None:
            raise InputError(
                "the output does not depend on the input: there is nothing to penalise"
            )
        known = dict(ranges(graph, region))
        if self.lower:
            known = {v.name: v.range for v in slopes_on(graph, region, known, around)} | known
            graph = lowered(graph)
        slopes = slopes_on(graph, region, known, around)
        self.graph: Graph = graph
        self.input = graph.input
        self.output = graph.output
        builder = _Builder(self._program, self.is_batched)
        self._steps = tuple(
            builder.step(vertex, graph) for vertex in slopes if vertex.name != self.input
        )
        self._by_name = {step.name: step for step in self._steps}
        self._ways: dict[tuple[tuple[str, ...], str, bool], list[_Step]] = {}
        self.learnable = tuple(dict.fromkeys(name for step in self._steps for name in step.weights))
        """The names of what linear steps are made of."""
        self.parts = {part.name: part for step in self._steps for part in step.parts}

    def weights(self) -> tuple[Weights, list[Tensor]]:
        """The values that do not depend on the input, and the module's tensors they are made of, as
        they are now."""
        return self._constants.now()

    @property
    def device(self) -> torch.device:
        """Where the module's tensors are."""
        return self._constants.device

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of one column of a value."""
        return self.shape if name == self.input else self._by_name[name].shape

    def sweep(
        self, columns: Mapping[str, Tensor], wanted: str, bend: Bend | None, weights: Weights
    ) -> Sweep:
        """The columns of the value `wanted`, given those of some earlier values; whatever else it
        needs is 0.

        Without `bend`, along affine operations only.
        """
        values = dict(columns)
        taken = list[tuple[str, Transpose]]()
        for step in self._steps_from(tuple(columns), wanted, bend is not None):
            if step.linear is not None:
                values[step.name], transpose = step.linear(values, weights)
            else:
                assert bend is not None
                values[step.name], transpose = _bent(step, values, bend)
            taken.append((step.name, transpose))
        return Sweep(wanted, values[wanted], taken)

    def _steps_from(self, given: tuple[str, ...], wanted: str, bends: bool) -> list["_Step"]:
        """The steps that some values reach on the way to another: the same at every call."""
        key = given, wanted, bends
        if key not in self._ways:
            reached = set(given)
            found = list[_Step]()
            for step in self._steps:
                can = step.name not in reached and not reached.isdisjoint(step.operands)
                if can and (bends or step.linear is not None):
                    reached.add(step.name)
                    found.append(step)
                if step.name == wanted:
                    break
            self._ways[key] = found
        return self._ways[key]

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


def refresh(frozen: nn.Module, program: ExportedProgram, module: nn.Module) -> None:
    """A copy of a module and the program exported from it take the weights of this moment."""
    live = module.state_dict()
    frozen.load_state_dict(live)
    own = frozen.state_dict()
    with torch.no_grad():
        for name, held in program.state_dict.items():
            if name in live and held.data_ptr() != own[name].data_ptr():
                held.copy_(live[name])


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


def _signs(vertex: Vertex, graph: Graph) -> list[tuple[str, int]]:
    """The operands of a sum or difference of two values of one shape, with their signs; none of
    others."""
    node = next(item for item in graph.nodes if item.name == vertex.name)
    sign = SIGNS.get(node.target)
    names = [ref.name for ref in node.args if isinstance(ref, Ref)]
    shapes = {graph.shapes[name] for name in names}
    if sign is None or node.kwargs or len(node.args) != 2 or len(names) != 2 or len(shapes) != 1:
        return []
    return [(names[0], 1), (names[1], sign)]


def _both_ways(operator: Operator, batched: bool) -> tuple[Adjoint, Adjoint]:
    """A linear map of constants, which knows one input with its batch axis, on columns; and its
    transpose."""

    def on_columns(product: Adjoint) -> Adjoint:
        def applied(x: Tensor) -> Tensor:
            given = x[:, None] if batched else x
            found = product(given.to("cpu", torch.float64)).to(x)
            return found[:, 0] if batched else found

        return applied

    return on_columns(operator.mv), on_columns(operator.rmv)


def _bent(step: _Step, values: Mapping[str, Tensor], bend: Bend) -> tuple[Tensor, Transpose]:
    """A nonlinear step on the operands that are known, and its transpose."""
    if step.alone is not None:
        term, adjoint = bend(step.alone.name, values[step.alone.source])
        return term, Bent([(step.alone.source, adjoint)])
    terms = list[Tensor]()
    adjoints = list[tuple[str, Adjoint]]()
    for part in step.parts:
        if part.source in values:
            term, adjoint = bend(part.name, values[part.source])
            terms.append(term)
            adjoints.append((part.source, adjoint))
    for source, forwards, back in step.exact:
        if source in values:
            terms.append(forwards(values[source]))
            adjoints.append((source, back))
    return sum(terms[1:], terms[0]), Bent(adjoints)


class _Builder:
    """Turns the vertices of a slope graph into steps on live weights."""

    def __init__(self, program: ExportedProgram, batched: bool) -> None:
        self.nodes = {node.name: node for node in program.graph.nodes}
        self.batched = batched

    def step(self, vertex: Vertex, graph: Graph) -> _Step:
        sources = [edge.source for edge in vertex.edges]
        operands = tuple(dict.fromkeys(sources))
        shape = tuple(vertex.shape[1:] if self.batched else vertex.shape)
        if vertex.is_affine and self._is_linear(vertex):
            linear = self._linear(vertex, graph, operands)
            names = linear.weights if isinstance(linear, LinearCall) else ()
            signs = _signs(vertex, graph)
            if not self.batched:
                step = traced(torch.vmap(linear, in_dims=(0, None)), operands, names)
            elif signs:
                step = summed(signs)
            else:
                step = step_of(linear, operands)
            return _Step(vertex.name, operands, (), (), step, names, shape)
        parts = tuple(self._parts(vertex))
        exact = tuple(
            (link.source, *_both_ways(link.operator, self.batched)) for link in vertex.links
        )
        return _Step(vertex.name, operands, parts, exact, None, (), shape)

    def _is_linear(self, vertex: Vertex) -> bool:
        """Whether the call is as linear as its slopes: a product with a factor that does not move
        on the region is not."""
        node = self.nodes.get(vertex.name)
        names = {edge.source for edge in vertex.edges}
        return node is None or node.target not in PRODUCTS or len(names) == 1 == len(vertex.edges)

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

    def _linear(self, vertex: Vertex, graph: Graph, operands: tuple[str, ...]) -> Linear:
        node = self.nodes.get(vertex.name)
        pick = None
        if node is not None and node.target is operator.getitem:
            node, pick = node.args[0], int(node.args[1])
        captured = next(item for item in graph.nodes if item.name == vertex.name)
        if node is None or node.target != captured.target:
            return inserted(captured, graph.shapes, self.batched)
        shapes = {
            name: tuple(self.nodes[name].meta["val"].shape)
            for name in operands
            if name in self.nodes
        }
        return LinearCall(node, pick, operands, shapes)
