"""How far rounding can move a network's value: a first-order bound by one backward pass.

An evaluation in floating point is the exact one with an error delta_k added to the result of each
operation k.  To first order the error of the number <u, f(x)> is sum_k <a_k, delta_k>, with a_k the
derivative of <u, f> with respect to that result, which backpropagation gives for all operations at
once.  Hence the bound sum_k <|a_k|, |delta_k|> (Linnainmaa, BIT 1976), with for each kind of
operation

    moving and choosing numbers        0
    one correctly rounded operation    4 u |result|
    functions of a library             8 u |result|
    sums of n products                 gamma_n times the same sum of absolute values
    anything else                      8 u max |result| on the result,
                                       8 u max |operand| on each operand

and u = 2^-53.  The second-order terms are smaller by another factor u; `SAFETY` covers them.

To first order an operation is its derivative, and so it is not where rounding leaves open on which
side of a kink its operands are.  Where they may be is probed by evaluations in which every result
is displaced by its error, with random signs (D. S. Parker, Monte Carlo arithmetic, 1997): the
second difference of an operation over several times such a displacement is an error of its own.

Where an operation has no finite derivative (a root at 0) it is taken for constant, and its first
difference over such a displacement is an error instead: none for the root of a sum of squares that
are 0 whatever the roundings.

What leaves floating point (an exponential in a branch that is not taken) has no error that could be
counted: a finite result that would be another one for other numbers in its place is worth nothing.

An infinite constant (the mask of an attention) makes results infinite without rounding; where that
is so is known from an evaluation with zeros in place of the input and of all finite results.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.graph.graph import Graph, Node
from autolip.lower.cost import MULTIPLYING, SUMMING, packet_of, terms
from autolip.lower.problem import LowerProblem
from autolip.operators.operator import DTYPE
from autolip.roundoff import dot_error, units

aten = torch.ops.aten

SAFETY = 2.0
"""Proved above: more than the terms of second order add."""

PROBES, PROBED = 2, 8.0
"""Chosen: evaluations that are displaced, and how many times their displacement counts as possible:
an entry is displaced by less than an eighth of its deviation in both with probability 1%."""

UNDERFLOW = 2.0**-1050
"""Proved: more than what underflows in one result, half of the smallest double for each of its
products."""

TINIEST = 2.0**-1000
"""Chosen: more than what underflow before it moves an operand whose derivative is infinite."""

FILLERS = (-1e300, 0.0, 1e300)
"""Chosen: what is put for numbers that left floating point, to see whether they are read."""

WIRING = frozenset(
    {
        aten.view,
        aten._unsafe_view,
        aten.reshape,
        aten.flatten,
        aten.permute,
        aten.transpose,
        aten.t,
        aten.expand,
        aten.clone,
        aten.alias,
        aten.slice,
        aten.select,
        aten.index,
        aten.gather,
        aten.squeeze,
        aten.unsqueeze,
        aten.cat,
        aten.stack,
        aten.split,
        aten.chunk,
        aten.flip,
        aten.roll,
        aten.pad,
        aten.constant_pad_nd,
        aten.neg,
    }
)
CHOOSING = frozenset(
    {
        aten.relu,
        aten.abs,
        aten.clamp,
        aten.hardtanh,
        aten.maximum,
        aten.minimum,
        aten.max_pool1d,
        aten.max_pool2d,
        aten.max_pool3d,
        aten.where,
        aten.masked_fill,
    }
)
ROUNDED = frozenset(
    {
        aten.add,
        aten.sub,
        aten.mul,
        aten.div,
        aten.leaky_relu,
        aten.prelu,
        aten.pow,
        aten.sqrt,
        aten.square,
        aten.reciprocal,
    }
)
LIBRARY = frozenset(
    {
        aten.exp,
        aten.exp2,
        aten.expm1,
        aten.log,
        aten.log2,
        aten.log10,
        aten.log1p,
        aten.tanh,
    }
)
"""Functions of each entry that mathematical libraries give within an ulp or two."""

KNOWN = WIRING | CHOOSING | MULTIPLYING | SUMMING | ROUNDED | LIBRARY
"""Operations that do not lose anything of what they read."""

SOFTMAX = frozenset({aten.softmax, aten._softmax, aten._safe_softmax})

MASKING = WIRING | {aten.add, aten.sub, aten.where, aten.masked_fill}
"""Operations that an infinite constant goes through: what is infinite for zeros is so for all."""


def rounding_error(
    problem: LowerProblem, x: Float[Tensor, "*shape"], u: Float[Tensor, "*out"]
) -> float:
    """Bound on |<u, f(x)> computed - <u, f(x)>| for one input, to first order.

    Costs three passes.
    """
    tally = _Tally(problem.graph, problem.generator())
    point = x.detach().to(DTYPE).reshape(problem.graph.input_shape).requires_grad_()
    output = tally.evaluate(point)
    value = problem.read(output[None])[0]
    problem.passes += 2 + PROBES / 2
    size = value.detach().abs()
    if value.requires_grad:
        torch.autograd.grad(value, point, u, allow_unused=True)
    of_reading = float((u.abs() * problem.reading_error(output.detach())).sum())
    return SAFETY * (tally.total + of_reading + units(8, float((u.abs() * size.max()).sum())))


class _Tally:
    """One evaluation, and the sum of <|a_k|, |delta_k|> that backpropagation through it
    collects."""

    def __init__(self, graph: Graph, generator: torch.Generator) -> None:
        self.graph = graph
        self.shapes = graph.shapes
        self.generator = generator
        self.probes: list[dict[str, Any]] = [{} for _ in range(PROBES)]
        self.turned: list[dict[str, tuple[Any, Any]]] = [{} for _ in range(PROBES)]
        """What is not a real number, a comparison for instance, on both sides of the values."""
        self.masks: dict[str, Tensor] | None = {} if _has_infinite(graph) else None
        """Zero, and infinite where results are by constants alone."""
        self.total = 0.0

    def evaluate(self, x: Tensor) -> Tensor:
        """f(x), for x that requires a gradient."""
        if self.graph.constant is not None:
            return self.graph.constant
        values: dict[str, Any] = {self.graph.input: x}
        for probe in self.probes:
            probe[self.graph.input] = x.detach()
        for node in self.graph:
            values[node.name] = self._call(node, values)
        return values[self.graph.output]

    def _call(self, node: Node, values: dict[str, Any]) -> Any:
        packet = packet_of(node)
        self._mask(node, values)
        read, heard = (values, None) if packet in WIRING else self._read(node, values)
        if packet in WIRING | CHOOSING:
            result, error = node.call(read.__getitem__), None
        elif packet in MULTIPLYING | SUMMING:
            result = node.call(read.__getitem__)
            error = dot_error(terms(node, self.shapes) + 6, _of_magnitudes(node, values))
        elif packet in ROUNDED and not node.kwargs:
            result = node.call(read.__getitem__)
            error = units(4, self._finite(result).abs())
        elif packet in LIBRARY:
            result = node.call(read.__getitem__)
            error = units(8, self._finite(result).abs())
        else:
            result = node.call(lambda name: self._operand(node, read[name]))
            real = result.is_floating_point()
            error = units(8, _largest(self._finite(result))) if real else None
        if packet not in WIRING and self._reads_overflow(node, values, result.detach()):
            self.total = math.inf
        if not result.is_floating_point():
            self._probe(node, None, values)
            for probe, turned in zip(self.probes, self.turned, strict=True):
                turned[node.name] = self._on_both_sides(node, values, probe, turned)
            return result
        if packet not in WIRING | MULTIPLYING | SUMMING:
            bent = self._bent(node, values, result.detach())
            error = bent if error is None else error + bent
        if error is not None:
            error = error.where(result.detach().isfinite(), 0.0)
        self._probe(node, error, values)
        if heard is not None and result.requires_grad:
            result.register_hook(heard.append)
        return result if error is None else self._moved(result, error)

    def _read(self, node: Node, values: dict[str, Any]) -> tuple[dict[str, Any], list[Tensor]]:
        """The operands, and where the derivative with respect to the result is to be put: one with
        respect to an operand that is not finite counts as 0, and as a jump of the operation."""
        heard: list[Tensor] = []

        def cleaned(gradient: Tensor) -> Tensor:
            if bool(gradient.isfinite().all()):
                return gradient
            if heard:
                self.total += self._jump(node, values, heard.pop())
            return gradient.nan_to_num(0.0, 0.0, 0.0)

        read = {name: values[name] for name in node.operands()}
        for name, value in read.items():
            if value.is_floating_point() and value.requires_grad:
                read[name] = value.view_as(value)
                read[name].register_hook(cleaned)
        return read, heard

    def _jump(self, node: Node, values: dict[str, Any], a: Tensor) -> float:
        """<|a|, |delta|> with delta the differences of the operation over what its operands may
        be."""
        here = {name: values[name].detach() for name in node.operands()}

        def nudged(by: float) -> dict[str, Any]:
            return {
                name: value + by if value.is_floating_point() else value
                for name, value in here.items()
            }

        with torch.no_grad():
            centre = node.call(here.__getitem__)
            delta = torch.zeros_like(centre)
            for by in (TINIEST, -TINIEST):
                moved = node.call(nudged(by).__getitem__)
                jump = (moved - centre).abs()
                delta = torch.maximum(delta, jump.nan_to_num(0.0, math.inf))
            for probe, turned in zip(self.probes, self.turned, strict=True):
                for side in self._on_both_sides(node, values, probe, turned):
                    jump = (side - centre).abs()
                    delta = torch.maximum(delta, jump.nan_to_num(math.inf, math.inf))
        counted = delta.where(centre.isfinite(), 0.0)
        return float((a.abs() * counted).sum())

    def _reads_overflow(self, node: Node, values: dict[str, Any], result: Tensor) -> bool:
        """Whether a finite result hangs on an operand that left floating point, other than by a
        constant that is infinite."""
        operands = {name: values[name].detach() for name in node.operands()}
        lost = {name: self._overflow(name, value) for name, value in operands.items()}
        if not any(bool(entries.any()) for entries in lost.values()):
            return False
        with torch.no_grad():
            for filler in FILLERS:
                filled = {
                    name: value.masked_fill(lost[name], filler)
                    if value.is_floating_point()
                    else value
                    for name, value in operands.items()
                }
                differs = node.call(filled.__getitem__) != result
                if bool((differs & result.isfinite()).any()):
                    return True
        return False

    def _overflow(self, name: str, value: Tensor) -> Tensor:
        """Where a value is not finite, and no mask makes it infinite."""
        mask = None if self.masks is None else self.masks.get(name)
        lost = ~value.isfinite()
        return lost if mask is None else lost & ~((mask == value) & mask.isinf())

    def _mask(self, node: Node, values: dict[str, Any]) -> None:
        """Where constants make the node's value infinite, whatever the input."""
        masks = self.masks
        if masks is None or packet_of(node) not in MASKING:
            return
        assumed = dict[str, Tensor]()
        for name in node.operands():
            value = values[name].detach()
            if value.is_floating_point():
                assumed[name] = masks.get(name, torch.zeros_like(value))
            elif self._is_clear(name, value):
                assumed[name] = value
            else:
                return
        with torch.no_grad():
            found = node.call(assumed.__getitem__)
        masks[node.name] = torch.where(found.isinf(), found, 0.0)

    def _is_clear(self, name: str, value: Tensor) -> bool:
        """Whether rounding leaves no doubt of a value that is not a real number."""
        sides = [side for turned in self.turned for side in turned[name]]
        return all(torch.equal(side, value) for side in sides)

    def _finite(self, value: Tensor) -> Tensor:
        """The value, with zeros where it is not finite."""
        return value.detach().nan_to_num(0.0, 0.0, 0.0)

    def _operand(self, node: Node, value: Tensor) -> Tensor:
        """What is read by an operation of which nothing is known: stable in the sense of mixed
        forward and backward errors."""
        if not value.is_floating_point():
            return value
        return self._moved(value.view_as(value), self._misread(node, value))

    def _misread(self, node: Node, value: Tensor) -> Tensor:
        """How far off an operand is read: softmax reads each entry's distance to the largest of its
        line, so that a mask of -3e38 says nothing of the others."""
        finite = self._finite(value)
        if packet_of(node) not in SOFTMAX or not value.dim():
            return units(8, _largest(finite))
        return units(8, finite.abs() + finite.amax(node.args[1], keepdim=True).abs())

    def _probe(self, node: Node, error: Tensor | None, values: dict[str, Any]) -> None:
        """The node's value where all results before it are displaced, and itself displaced."""
        with torch.no_grad():
            for probe in self.probes:
                operands = {name: probe[name] for name in node.operands()}
                if packet_of(node) not in KNOWN:
                    operands = {name: self._as_read(node, x) for name, x in operands.items()}
                result = node.call(operands.__getitem__)
                probe[node.name] = result if error is None else self._displaced(result, error)

    def _as_read(self, node: Node, value: Tensor) -> Tensor:
        """What an operation of which nothing is known may read."""
        if not value.is_floating_point():
            return value
        return self._displaced(value, self._misread(node, value))

    def _displaced(self, value: Tensor, error: Tensor) -> Tensor:
        """The value with an error of random signs, and of sizes that do not cancel exactly."""
        if not value.is_floating_point():
            return value
        drawn = torch.randint(2, value.shape, generator=self.generator)
        signs = drawn.to(value.dtype) * 2 - 1
        sizes = 1 - torch.rand(value.shape, generator=self.generator, dtype=value.dtype) / 2
        return value + signs * sizes * error

    def _bent(self, node: Node, values: dict[str, Any], centre: Tensor) -> Tensor:
        """How far the operation is from its derivative on what its operands may be."""
        bent = torch.zeros_like(centre)
        for probe, turned in zip(self.probes, self.turned, strict=True):
            above, below = self._on_both_sides(node, values, probe, turned)
            bend = above + below - 2 * centre
            second = bend.abs()
            size = torch.maximum(above.abs(), below.abs())
            excess = second - units(8, size)
            found = excess.clamp(min=0.0).nan_to_num(math.inf, math.inf)
            seen = found.where(centre.isfinite(), 0.0)
            bent = torch.maximum(bent, seen)
        return bent

    def _on_both_sides(
        self,
        node: Node,
        values: dict[str, Any],
        probe: dict[str, Any],
        turned: dict[str, tuple[Any, Any]],
    ) -> tuple[Any, Any]:
        """The operation several displacements to either side of its operands."""

        def side(share: float) -> Any:
            operands = {}
            for name in node.operands():
                value = values[name].detach()
                if value.is_floating_point():
                    change = probe[name] - value
                    moved = share * change
                    operands[name] = value + moved.nan_to_num(0.0, 0.0, 0.0)
                else:
                    operands[name] = turned[name][share < 0]
            return node.call(operands.__getitem__)

        with torch.no_grad():
            return side(PROBED), side(-PROBED)

    def _moved(self, tensor: Tensor, error: Tensor) -> Tensor:
        """The tensor, of which rounding moves each entry by at most `error`."""
        if tensor.requires_grad and error.numel():
            top = float(error.max()) + UNDERFLOW
            bound = (
                error / top
            ).float()  # a bound needs no more digits, and they would double the memory

            def collect(gradient: Tensor) -> None:
                self.total += (
                    float((gradient.abs() * bound).sum()) * top
                    + float(gradient.abs().sum()) * UNDERFLOW
                )

            tensor.register_hook(collect)
        return tensor


def _has_infinite(graph: Graph) -> bool:
    """Whether a constant is, or has an entry that is."""
    leaves = pytree.tree_leaves([(node.args, node.kwargs) for node in graph])
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return any(math.isinf(leaf) for leaf in leaves if isinstance(leaf, float)) or any(
        bool(tensor.isinf().any()) for tensor in tensors
    )


def _of_magnitudes(node: Node, values: dict[str, Any]) -> Tensor:
    """The operation applied to the absolute values of everything."""
    args, kwargs = node.bind(lambda name: values[name].detach())

    def magnitude(leaf: Any) -> Any:
        return leaf.abs() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    args = pytree.tree_map(magnitude, args)
    kwargs = {
        key: abs(value) if key in ("alpha", "beta") else value for key, value in kwargs.items()
    }
    with torch.no_grad():
        result = node.target(*args, **pytree.tree_map(magnitude, kwargs))
    return result if node.pick is None else result[node.pick]


def _largest(value: Tensor) -> Tensor:
    return value.detach().abs().max() if value.numel() else value.new_zeros(())
