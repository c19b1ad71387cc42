"""From an exported program to a graph: what does not depend on the inputs that vary is evaluated,
the rest recorded."""

import operator
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from autolip.capture.checks import LARGEST
from autolip.capture.constants import check_arguments, check_stored, constant, of_constants
from autolip.capture.guarded import users_code
from autolip.capture.places import CAPTURE, TRACING
from autolip.capture.results import Choice, Returned, chosen, names_of
from autolip.capture.torch.differentiating import PRODUCTS
from autolip.capture.torch.layer import WHOLE
from autolip.capture.torch.parts import Pair, PartWriter, is_complex
from autolip.capture.torch.reflections import bends
from autolip.capture.varying import Varying
from autolip.errors import InputError, UnsupportedOperation
from autolip.graph.evaluate import evaluate
from autolip.graph.graph import Graph, Node, Place, Ref
from autolip.graph.schema import named
from autolip.operators.operator import DTYPE

aten = torch.ops.aten

RANDOM = re.compile(
    r"aten\.(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson|exponential|cauchy"
    r"|uniform|geometric|log_normal|random|binomial|dropout|native_dropout|feature_dropout"
    r"|alpha_dropout|rrelu_with_noise)"
    r"(_like|_functional|_)?\."
)
READS = frozenset({aten.item.default, aten._local_scalar_dense.default})
"""A value becomes a number of Python's, which no graph follows."""

SHAPED = frozenset(
    {
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.full_like.default,
    }
)
"""They look at nothing but the shape of their tensor."""


class Builder:
    """One walk over the exported graph."""

    def __init__(
        self,
        program: ExportedProgram,
        inputs: Sequence[Any],
        varying: Varying,
        outputs: Choice = None,
        names: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.inputs = inputs
        self.varying = varying
        self.choice = outputs
        self.names = names or names_of(program.call_spec.out_spec)
        self.values: dict[str, Any] = {}
        self.pending: dict[str, torch.fx.Node] = {}
        self.nodes: list[Node] = []
        self.types: dict[str, torch.dtype] = {}
        self.masks: dict[str, Place] = {}
        self.bends = bends(program)
        self.input = ""
        self.moving: dict[int, Ref] = {}

    def build(self) -> tuple[Graph, list[Returned], int]:
        """The graph, the returned tensors it computes, and how many the model returns."""
        self._bind_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
        returned = self._returned()
        wanted = chosen(returned, self.choice)
        graph = self._graph([self._output(one) for one in wanted])
        _check_deterministic(graph)
        self._check_masks(graph)
        return graph, wanted, len(returned)

    def _graph(self, outputs: list[tuple[Any, torch.Size]]) -> Graph:
        shape = self.varying.shape
        if sum(size.numel() for _, size in outputs) == 0:
            raise InputError("the output is empty: nothing can be bounded")
        if not any(isinstance(value, Ref) for value, _ in outputs):
            fixed = (
                torch.cat([value.reshape(-1) for value, _ in outputs])
                if len(outputs) > 1
                else outputs[0][0]
            )
            if not bool(fixed.isfinite().all()):
                raise InputError(
                    "the output is NaN or infinite, whatever the input: nothing can be bounded"
                )
            return Graph(self.input, shape, (), self.input, fixed)
        output = outputs[0][0] if len(outputs) == 1 else self._joined(outputs)
        return Graph(self.input, shape, tuple(self.nodes), output.name).pruned()

    def _bind_inputs(self) -> None:
        users = iter(range(len(self.inputs)))
        self._bind_varying()
        used = {node.name for node in self.program.graph.nodes if node.users}
        for spec in self.program.graph_signature.input_specs:
            name = spec.arg.name
            if spec.kind is not InputKind.USER_INPUT:
                stored = self._stored(spec)
                if isinstance(stored, Tensor) and name in used:
                    check_stored(str(spec.target), stored)
                self.values[name] = constant(stored)
            elif (number := next(users)) in self.moving:
                self.values[name] = self.moving[number]
            else:
                self.values[name] = constant(self.inputs[number])

    def _bind_varying(self) -> None:
        """The graph's input, and of several inputs in it each one."""
        specs = self.program.graph_signature.input_specs
        names = [spec.arg.name for spec in specs if spec.kind is InputKind.USER_INPUT]
        chosen = [names[place] for place in self.varying.places]
        if len(chosen) == 1:
            self.input = chosen[0]
            self.moving = {self.varying.places[0]: Ref(self.input)}
            return
        self.input = "+".join(chosen)  # no name of the exporter's has such signs
        stop = 0
        for name, place, shape in zip(
            chosen, self.varying.places, self.varying.shapes, strict=True
        ):
            start, stop = stop, stop + shape.numel()
            among = (Ref(self.input), 0, start, stop)
            flat = Node(f"{name}.entries", aten.slice.Tensor, among, torch.Size([shape.numel()]))
            own = Node(f"{name}.itself", aten.reshape.default, (Ref(flat.name), [*shape]), shape)
            self.nodes += [flat, own]
            self.moving[place] = Ref(own.name)

    def _stored(self, spec: Any) -> Any:
        if spec.target is None:  # a token of side effects: it carries nothing
            return None
        program = self.program
        return (
            program.state_dict[spec.target]
            if spec.target in program.state_dict
            else program.constants[spec.target]
        )

    def _call(self, node: torch.fx.Node) -> None:
        several = node.args[0] if node.target is operator.getitem else None
        if isinstance(several, torch.fx.Node) and several.name in self.pending:
            number: Any = node.args[1]
            self._record(self.pending[several.name], node, pick=int(number))
            return
        _check_call(node)
        if node in self.bends:
            self.nodes += self.bends[node].nodes(node, self.values, _place(node))
            self.values[node.name] = Ref(node.name)
            self.types[node.name] = node.meta["val"].dtype
            return
        args, kwargs = self._arguments(node)
        if node.target in SHAPED:
            args = (_zeros(node.args[0]), *args[1:])
        varies = any(isinstance(leaf, Ref | Pair) for leaf in _leaves((args, kwargs)))
        if varies and is_complex(node, (args, kwargs)):
            self.values[node.name] = self._in_parts(node, args, kwargs)
        elif not varies and not _is_random(node):
            self.values[node.name] = self._evaluated(node, args, kwargs)
        elif node.target in PRODUCTS and any(map(_is_zero, args)):
            self.values[node.name] = _zeros(node)  # derivatives along what does not move
        elif isinstance(node.meta.get("val"), (tuple, list)):
            self.pending[node.name] = node
        else:
            self._record(node, node)

    def _in_parts(self, node: torch.fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that reads or makes complex numbers: calls on real and imaginary parts."""
        shapes = {self.input: self.varying.shape}
        shapes |= {known.name: known.shape for known in self.nodes}
        writer = PartWriter(node.name, _place(node), shapes)
        result = writer.result(node.target, args, kwargs)
        self.nodes += writer.nodes
        return result

    def _evaluated(self, node: torch.fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of a call on constants alone."""
        place = _place(node)
        if any(isinstance(leaf, float) and leaf != leaf for leaf in _leaves((args, kwargs))):
            raise InputError(
                f"a constant of {node.target} at {place} is NaN: repair the number it comes from"
            )
        with users_code(f"{node.target} at {place}, on constants,"):
            return of_constants(node.target, args, kwargs)

    def _record(self, node: torch.fx.Node, result: torch.fx.Node, pick: int | None = None) -> None:
        """A call on the varying input becomes a node; of several results the one picked."""
        target, args, kwargs = _completed(node, *self._arguments(node))
        value = result.meta.get("val")
        place = _place(node)
        if not isinstance(value, Tensor) and value is not None and node.target in READS:
            raise InputError(
                f"{node.target} at {place} reads a value that depends on the input as a "
                "number of Python's, which"
                " no graph follows: keep it a tensor"
            )
        shape = value.shape if isinstance(value, Tensor) else torch.Size()
        if isinstance(value, Tensor):
            _check_type(value.dtype, node.target, place)
            self.types[result.name] = value.dtype
        self.nodes.append(Node(result.name, target, args, shape, kwargs, pick, place))
        self.values[result.name] = Ref(result.name)

    def _arguments(self, node: torch.fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def value(leaf: Any) -> Any:
            return (
                self.values.get(leaf.name) if isinstance(leaf, torch.fx.Node) else _argument(leaf)
            )

        return torch.fx.node.map_aggregate((node.args, dict(node.kwargs)), value)

    def _returned(self) -> list[Returned]:
        """Every tensor among the model's results."""
        returned = []
        for leaf, (name, spec) in enumerate(zip(self.names, self._result_specs(), strict=True)):
            value = self.values.get(getattr(spec.arg, "name", ""))
            if isinstance(value, Pair):
                raise InputError(
                    f"output {leaf} holds complex numbers: return torch.view_as_real of it"
                )
            if isinstance(value, Ref | Tensor):
                returned.append(Returned(name, leaf, tuple(self._shape(value))))
        return returned

    def _result_specs(self) -> list[Any]:
        return [
            s for s in self.program.graph_signature.output_specs if s.kind.name == "USER_OUTPUT"
        ]

    def _shape(self, value: Any) -> torch.Size:
        if isinstance(value, Tensor):
            return value.shape
        if value.name == self.input:
            return self.varying.shape
        return next(node.shape for node in self.nodes if node.name == value.name)

    def _output(self, one: Returned) -> tuple[Any, torch.Size]:
        """The value of a returned tensor, and its shape; InputError unless it holds floating-point
        numbers."""
        value = self.values[self._result_specs()[one.leaf].arg.name]
        dtype = value.dtype if isinstance(value, Tensor) else self.types.get(value.name, DTYPE)
        if not dtype.is_floating_point:
            raise InputError(
                f"{one} is {dtype}: a Lipschitz constant needs floating-point numbers, so "
                "return the"
                " values before the comparison or the index"
            )
        return value, torch.Size(one.shape)

    def _joined(self, outputs: list[tuple[Any, torch.Size]]) -> Ref:
        """Several results as one vector."""
        parts: list[Any] = []
        for number, (value, shape) in enumerate(outputs):
            if isinstance(value, Ref):
                name = f"output_{number}"
                size = shape.numel()
                self.nodes.append(
                    Node(name, aten.reshape.default, (value, [size]), torch.Size([size]))
                )
                parts.append(Ref(name))
            else:
                parts.append(value.reshape(-1))
        size = sum(shape.numel() for _, shape in outputs)
        self.nodes.append(Node("outputs", aten.cat.default, (parts, 0), torch.Size([size])))
        return Ref("outputs")

    def _check_masks(self, graph: Graph) -> None:
        """InputError for NaN among the constants, and for infinities that fault or reach the
        output."""
        masked = [
            n.place for n in graph.nodes if check_arguments(n.target, n.args, n.kwargs, n.place)
        ]
        if not masked:
            return
        example = self.varying.point(self.inputs)
        values = [evaluate(graph, x) for x in (example, example + 0.125)]
        if bool((values[0].isinf() & (values[0] == values[1])).any()):
            raise InputError(
                "entries of the output are infinite whatever the input (a mask at "
                f"{masked[-1]}): return the values"
                " before the mask, or mask with a large finite number"
            )


def _check_call(node: torch.fx.Node) -> None:
    """InputError or UnsupportedOperation for a call that no graph of real numbers can hold."""
    target = node.target
    place = _place(node)
    value = node.meta.get("val")
    if f"{target}" == "with_effects":
        raise UnsupportedOperation(
            f"{node.args[1]} at {place} acts beside what it computes, or checks a value: leave it "
            "out (torch.linalg.cholesky_ex checks nothing)"
        )
    if isinstance(target, torch._ops.HigherOrderOperator):
        raise UnsupportedOperation(
            f"{target} at {place} is not supported: export the branch or the loop that is meant"
        )
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, Tensor) and leaf.numel() > LARGEST:
            shape = tuple(leaf.shape)
            raise InputError(
                f"{target} at {place} makes a tensor of shape {shape}: at most "
                f"{LARGEST:.3g} entries"
            )
        if isinstance(leaf, Tensor) and leaf.layout is not torch.strided:
            raise UnsupportedOperation(
                f"{target} at {place} makes a sparse tensor ({leaf.layout}): use dense ones"
            )


def _check_type(dtype: torch.dtype, target: Any, place: Place) -> None:
    """UnsupportedOperation for a value that varies among complex numbers, or among the few of an
    eight-bit type."""
    if dtype.is_complex:
        raise UnsupportedOperation(
            f"{target} at {place} computes complex numbers: write the real and the "
            "imaginary part out"
        )
    if f"{target}".startswith("aten.quantize_per") or (
        dtype.is_floating_point and dtype.itemsize == 1
    ):
        raise UnsupportedOperation(
            f"{target} at {place} rounds to the few numbers of {dtype}, which is a step "
            "and no rounding error: leave"
            " the cast out"
        )


def _check_deterministic(graph: Graph) -> None:
    """InputError where random numbers reach the output."""
    for node in graph.nodes:
        if _draws(node.target, node.args, node.kwargs):
            raise InputError(
                f"{node.target} at {node.place} draws random numbers, so the output is no "
                "function of the input: call"
                " model.eval(), or take the mean or the mode instead of a sample "
                "(deterministic=True of a policy)"
            )


def _is_random(node: torch.fx.Node) -> bool:
    return _draws(node.target, node.args, node.kwargs)


def _draws(target: Any, args: Any, kwargs: Any) -> bool:
    """Whether a call draws random numbers: a dropout that is told not to be one draws none."""
    return RANDOM.match(f"{target}") is not None and not _switched_off(target, args, kwargs)


def _switched_off(target: Any, args: Any, kwargs: Any) -> bool:
    given = named(target, args, kwargs)
    return given.get("train", given.get("training", True)) is False or given.get("p") == 0


def _completed(
    node: torch.fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The same call with what its stored precision and its types decide written out.

    An RMS norm without eps takes that of the stored precision, which float64 evaluation would not;
    x[mask] = value by a mask of x's shape is a choice between the two, and what is copied into a
    tensor of real numbers is repeated to its shape.
    """
    same = node.target, args, kwargs
    if node.target is aten.rms_norm.default and len(args) < 4 and kwargs.get("eps") is None:
        weight = args[2] if len(args) > 2 else kwargs.get("weight")
        return node.target, (*args[:2], weight, torch.finfo(node.meta["val"].dtype).eps), {}
    if node.target is aten.index_put.default and _is_masked(node):
        return aten.where.self, (args[1][0], args[2], args[0]), {}
    if node.target is aten.copy.default and isinstance(args[1], Ref):
        real = node.meta["val"].is_floating_point()
        return (aten.expand.default, (args[1], list(node.meta["val"].shape)), {}) if real else same
    return same


def _is_masked(node: torch.fx.Node) -> bool:
    """Whether one number is put where a mask of the tensor's own shape says."""
    x, indices, value, *accumulate = (_meta(argument) for argument in node.args)
    mask = indices[0] if len(indices) == 1 else None
    return (
        isinstance(mask, Tensor)
        and mask.dtype is torch.bool
        and mask.shape == x.shape
        and value.numel() == 1
        and value.dim() <= x.dim()
        and not any(accumulate)
    )


def _meta(argument: Any) -> Any:
    return torch.fx.node.map_arg(argument, lambda node: node.meta.get("val"))


def _zeros(node: Any) -> Tensor:
    """A tensor as a call that looks at its shape alone may see it."""
    seen = node.meta["val"]
    return torch.zeros(seen.shape, dtype=DTYPE if seen.is_floating_point() else seen.dtype)


def _is_zero(argument: Any) -> bool:
    return isinstance(argument, Tensor) and not bool(argument.any())


def _leaves(tree: Any) -> list[Any]:
    return pytree.tree_leaves(tree, is_leaf=lambda leaf: isinstance(leaf, Ref | Pair))


def _argument(leaf: Any) -> Any:
    """Non-tensor arguments: every float type is float64 here, every device the CPU."""
    if isinstance(leaf, torch.dtype) and leaf.is_floating_point:
        return DTYPE
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _place(node: torch.fx.Node) -> Place:
    """Module path and source line, in the user's code where there is any."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    frames = [frame for frame in frames if not frame[0].startswith((CAPTURE, TRACING, "<"))]
    theirs = [frame for frame in frames if "/torch/" not in frame[0]] or frames
    source = f"{theirs[-1][0].rsplit('/', 1)[-1]}:{theirs[-1][1]}" if theirs else ""
    return Place(_plain(path), source)


def _plain(path: str) -> str:
    """A module path as the user writes it."""
    own = re.sub(r"^L\['self'\]\.?|^L__self___?", "", path).replace("_FunctionModule", "")
    return re.sub(rf"^{WHOLE}\.?", "", own)
