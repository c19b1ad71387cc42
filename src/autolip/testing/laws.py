"""The laws of rules, operators and methods: each is tried where it may break, and fails with a
counterexample."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.capture.torch.export import Capture
from autolip.errors import Refusal, UnsupportedOperation
from autolip.graph.evaluate import evaluate, evaluate_batch
from autolip.graph.graph import Graph
from autolip.intervals import TINY, UNIT, Interval, gamma
from autolip.methods import Method, Problem
from autolip.norms import Norm, parse_norms
from autolip.operators.norms import NormOptions
from autolip.operators.operator import Operator, flat
from autolip.regions import Region
from autolip.rules.derive import action_of
from autolip.rules.rule import (
    Action,
    Constant,
    Example,
    Operand,
    Outcome,
    Pointwise,
    Rule,
    Variable,
)
from autolip.slopes import Between, Exact, Gain
from autolip.values import Upper


class LawViolation(AssertionError):
    """A law does not hold; the text has the counterexample."""


def check_rule(rule: Rule, *, seed: int = 0, points: int = 14) -> None:
    """f(x) - f(y) lies in the sum of a rule's slope sets applied to x - y, and f(x) in its image.

    For every example of the rule and a dozen kinds of regions (points, tiny, wide, one-sided,
    unbounded, touching the example's constants), the operation itself is evaluated in float64 at
    `points` random places of the region, corners, kinks and close neighbours among them, and all
    their pairs are compared with what the rule says. Raises LawViolation with example, region and
    pair.
    """
    generator = torch.Generator().manual_seed(seed)
    for example in rule.examples:
        refusals = [
            _check_on(kind, rule, example, points, generator)
            for kind in (*_KINDS, "mixed", "mixed")
        ]
        if all(refusals):
            raise LawViolation(f"{rule.name} refuses its own example {example}: {refusals[0]}")


def _check_on(
    kind: str, rule: Rule, example: Example, points: int, generator: torch.Generator
) -> str:
    """Check one example on one kind of region; the reason if the rule refuses it."""
    call = _Call.draw(rule, example, generator)
    marks = call.marks
    boxes = [_box(kind, variable, marks, generator) for variable in call.variables]
    operands = [Operand(f"x{i}", box.shape, box) for i, box in enumerate(boxes)]
    try:
        args, kwargs = call.bind(operands)
        outcome = rule(*args, **kwargs)[example.pick or 0]
    except UnsupportedOperation as refusal:
        return str(refusal)
    xs = [
        _points(box, v, marks, points, generator)
        for box, v in zip(boxes, call.variables, strict=True)
    ]
    values = torch.stack([call.value([x[i] for x in xs]) for i in range(points)])
    try:
        _Trial(outcome, operands, xs, values).check()
    except LawViolation as violation:
        raise LawViolation(
            f"{rule.name}, example {example}, region {kind} {boxes}: {violation}"
        ) from None
    return ""


@dataclass(frozen=True)
class _Call:
    """An example with its constants drawn; its variables are free."""

    rule: Rule
    example: Example
    leaves: tuple[Any, ...]
    spec: Any

    @staticmethod
    def draw(rule: Rule, example: Example, generator: torch.Generator) -> "_Call":
        def fill(leaf: Any) -> Any:
            if not isinstance(leaf, Constant):
                return leaf
            noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
            return noise.abs() if leaf.positive else noise

        leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
        return _Call(rule, example, tuple(fill(leaf) for leaf in leaves), spec)

    @property
    def variables(self) -> list[Variable]:
        return [leaf for leaf in self.leaves if isinstance(leaf, Variable)]

    @property
    def marks(self) -> Tensor:
        """Numbers where the operation may kink or jump: its constants, their quotients and
        negatives, 0, 1 and 3."""
        numbers = [float(leaf) for leaf in self.leaves if isinstance(leaf, int | float)]
        numbers += [
            a / b for a, b in itertools.permutations(numbers, 2) if b and math.isfinite(a / b)
        ]
        tensors = [leaf.double().flatten() for leaf in self.leaves if isinstance(leaf, Tensor)]
        marks = torch.cat([torch.tensor([0.0, 1.0, 3.0, *numbers], dtype=torch.float64), *tensors])
        marks = marks[marks.isfinite()]
        return torch.cat([marks, -marks])

    def bind(self, values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        remaining = iter(values)
        leaves = [next(remaining) if isinstance(leaf, Variable) else leaf for leaf in self.leaves]
        return pytree.tree_unflatten(leaves, self.spec)

    def value(self, xs: list[Tensor]) -> Tensor:
        """The operation itself."""
        given = [x.bool() if v.boolean else x for x, v in zip(xs, self.variables, strict=True)]
        args, kwargs = self.bind(given)
        result = self.rule.target(*args, **kwargs)
        return (result if isinstance(result, Tensor) else result[self.example.pick or 0]).double()


@dataclass(frozen=True)
class _Trial:
    """What a rule says on a region, and what the operation does at points of it."""

    outcome: Outcome
    operands: list[Operand]
    xs: list[Tensor]
    values: Tensor

    def check(self) -> None:
        action = action_of(self.outcome, self.values.shape[1:])
        self._check_shapes(action)
        tolerance = self._tolerance()
        self._check_image(action.image, tolerance)
        self._check_domain(action)
        first, second = torch.triu_indices(len(self.values), len(self.values), 1)
        steps = {
            operand: x[first] - x[second] for operand, x in zip(self.operands, self.xs, strict=True)
        }
        rise = self.values[first] - self.values[second]
        surplus = _surplus(action, steps, rise, tolerance[first] + tolerance[second])
        for norm, excess in _excesses(action, steps, surplus):
            if (excess > 0).any():
                worst = int(excess.argmax())
                self._fail(
                    f"the slopes do not explain a difference ({norm})",
                    int(first[worst]),
                    int(second[worst]),
                )

    def _check_shapes(self, action: Action) -> None:
        shape = self.values.shape[1:]
        wrong = [
            slope
            for x, slope in action.slopes
            if (slope.in_shape, slope.out_shape) != (x.shape, shape)
        ]
        if wrong or action.image.shape != shape:
            raise LawViolation(
                f"the shapes are not those of the operation, {tuple(shape)}: {action}"
            )

    def _tolerance(self) -> Tensor:
        """What float64 evaluation of the operation may be off by."""
        size = self.values.abs().nan_to_num(0.0, 0.0, 0.0)
        if isinstance(self.outcome, Pointwise):
            return self.outcome.slack + (self.outcome.error + 4 * UNIT) * size
        largest = (
            max([size.max().item()] + [x.abs().max().item() for x in self.xs if x.numel()])
            if size.numel()
            else 0
        )
        return torch.full_like(size, 1e-12 * (1 + largest))

    def _check_image(self, image: Interval, tolerance: Tensor) -> None:
        outside = (self.values < image.lo - tolerance) | (self.values > image.hi + tolerance)
        outside &= self.values.isfinite()
        if outside.any():
            worst = int(flat(outside).any(1).nonzero()[0])
            self._fail(f"a value lies outside of the image {image}", worst, worst)

    def _check_domain(self, action: Action) -> None:
        """Where a pointwise function is undefined at a point of the region, no slope is finite."""
        for _, slope in action.slopes:
            if isinstance(slope, Between):
                undefined = self.values.isnan() & slope.lo.isfinite() & slope.hi.isfinite()
                if undefined.any():
                    worst = int(flat(undefined).any(1).nonzero()[0])
                    self._fail(
                        "the slopes are finite where the operation is undefined", worst, worst
                    )

    def _fail(self, what: str, i: int, j: int) -> None:
        pair = [(x[i].tolist(), x[j].tolist()) for x in self.xs]
        values = self.values[i].tolist(), self.values[j].tolist()
        raise LawViolation(
            f"{what}\n  (x, y) = {pair}\n  (f(x), f(y)) = {values}\n  rule: {self.outcome}"
        )


def _surplus(
    action: Action, steps: dict[Operand, Tensor], rise: Tensor, tolerance: Tensor
) -> Tensor:
    """How far f(x) - f(y) is from what the exact and the diagonal slopes explain, beyond
    rounding."""
    lo, hi = torch.zeros_like(rise), torch.zeros_like(rise)
    for operand, slope in action.slopes:
        step = steps[operand]
        if isinstance(slope, Exact):
            moved = slope.operator.mv(step)
            lo, hi = lo + moved, hi + moved
        elif isinstance(slope, Between):
            ends = torch.stack([_scaled(slope.lo, step), _scaled(slope.hi, step)])
            lo, hi = lo + ends.amin(0), hi + ends.amax(0)
    tolerance = tolerance + 8 * UNIT * (lo.abs() + hi.abs()).nan_to_num(0.0, 0.0) + TINY
    short, long = (lo - rise - tolerance).clamp(min=0), (rise - hi - tolerance).clamp(min=0)
    return torch.where(rise.isfinite(), torch.maximum(short, long).nan_to_num(0.0), 0.0)


def _scaled(slope: Tensor, step: Tensor) -> Tensor:
    """slope * step, with 0 * inf = 0."""
    return torch.where(step == 0, 0.0, torch.where(slope == 0, 0.0, slope * step))


def _excesses(
    action: Action, steps: dict[Operand, Tensor], surplus: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """By how much the unexplained part exceeds what the gains allow, for every norm, per pair."""
    gains = [(operand, slope) for operand, slope in action.slopes if isinstance(slope, Gain)]
    if not gains:
        yield "entrywise", Norm.LINF.of_rows(surplus.unsqueeze(1))
        return
    for norm in Norm:
        bounds = [(operand, slope, slope.norms.get(norm)) for operand, slope in gains]
        if all(bound is not None for *_, bound in bounds):
            whole = surplus.new_zeros(len(surplus))
            for operand, _, bound in bounds:
                length = norm.of_rows(steps[operand].unsqueeze(1))
                whole += torch.where(
                    length == 0, 0.0, (bound.value if bound else math.inf) * length
                )
            yield norm.value, norm.of_rows(surplus.unsqueeze(1)) - whole * (1 + 1e-12)
    yield from _block_excesses(gains, steps, surplus)


def _block_excesses(
    gains: list[tuple[Operand, Gain]], steps: dict[Operand, Tensor], surplus: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The same block by block, for a gain whose blocks act apart."""
    operand, gain = gains[0]
    if len(gains) > 1 or gain.dims is None:
        return
    inner = _blocks(steps[operand], gain.dims)
    outer = (
        surplus.reshape(*inner.shape[:2], -1)
        if surplus.dim() < steps[operand].dim()
        else _blocks(surplus, gain.dims)
    )
    for norm, bound in gain.norms.items():
        into = torch.linalg.vector_norm(inner, norm.p, dim=-1)
        out = torch.linalg.vector_norm(outer, norm.p, dim=-1)
        allowed = torch.where(into == 0, 0.0, bound.value * into) * (1 + 1e-12)
        yield f"{norm.value}, block by block", flat(out - allowed).amax(1)


def _blocks(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """(pairs, blocks, entries of a block): the axes `dims` span a block."""
    rank = x.dim() - 1
    inside = [d % rank + 1 for d in dims] if rank else []
    lead = [d for d in range(1, x.dim()) if d not in inside]
    return x.permute(0, *lead, *inside).reshape(len(x), math.prod(x.shape[d] for d in lead), -1)


_KINDS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "everywhere": lambda a, b, mark, width: (
        torch.full_like(a, -math.inf),
        torch.full_like(a, math.inf),
    ),
    "box": lambda a, b, mark, width: (torch.minimum(a, b), torch.maximum(a, b)),
    "tiny": lambda a, b, mark, width: (a, a + 1e-6 * width),
    "point": lambda a, b, mark, width: (a, a),
    "above": lambda a, b, mark, width: (a, torch.full_like(a, math.inf)),
    "below": lambda a, b, mark, width: (torch.full_like(a, -math.inf), a),
    "huge": lambda a, b, mark, width: (-1e3 * width, 1e3 * width),
    "right of a mark": lambda a, b, mark, width: (mark, mark + width),
    "left of a mark": lambda a, b, mark, width: (mark - width, mark),
    "around a mark": lambda a, b, mark, width: (mark - width / 8, mark + width),
}
"""Regions, by two random points of the variable's own range, a number where the operation may kink,
and a width."""


def _box(kind: str, variable: Variable, marks: Tensor, generator: torch.Generator) -> Interval:
    if variable.boolean:
        ends = torch.randint(0, 2, (2, *variable.shape), generator=generator).double()
        return Interval(ends.amin(0), ends.amax(0))
    if kind == "everywhere":
        return Interval.everywhere(variable.shape)
    draw = lambda: torch.rand(variable.shape, generator=generator, dtype=torch.float64)  # noqa: E731
    a, b = (variable.lo + (variable.hi - variable.lo) * draw() for _ in range(2))
    mark = marks[torch.randint(len(marks), variable.shape, generator=generator)]
    if kind != "mixed":
        return Interval(*_KINDS[kind](a, b, mark, draw()))
    choices = [_KINDS[name](a, b, mark, draw()) for name in _KINDS]
    lo, hi = (torch.stack(ends) for ends in zip(*choices, strict=True))
    chosen = torch.randint(len(choices), (1, *variable.shape), generator=generator)
    return Interval(lo.gather(0, chosen)[0], hi.gather(0, chosen)[0])


def _points(
    box: Interval, variable: Variable, marks: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Points of a box: random ones, corners, next to the marks, and close neighbours of those."""

    def draw() -> Tensor:
        return torch.rand((count, *box.shape), generator=generator, dtype=torch.float64)

    far = 10 ** (4 * draw() - 1)
    hi = torch.where(box.hi.isfinite(), box.hi, torch.where(box.lo.isfinite(), box.lo, 0.0) + far)
    lo = torch.where(box.lo.isfinite(), box.lo, torch.where(box.hi.isfinite(), box.hi, 0.0) - far)
    x = lo + draw() * (hi - lo)
    x[1::4] = torch.where(draw() < 0.5, lo, hi)[1::4]
    mark = marks[torch.randint(len(marks), x.shape, generator=generator)]
    x[2::4] = (mark + torch.where(draw() < 0.3, 0.0, (draw() - 0.5) * 10 ** (-9 * draw())))[2::4]
    moved = (draw() - 0.5) * 10 ** (-8 * draw()) * (draw() < draw())
    x[3::4] = (x.roll(1, 0) + moved)[3::4]
    x = torch.minimum(torch.maximum(x, lo), hi)
    return x.round() if variable.boolean else x


def check_operator(operator: Operator, *, seed: int = 0) -> None:
    """An operator is one matrix, whichever way it is asked: products, adjoint, entries, majorant,
    split.

    The matrix is built from products with unit vectors, and everything else compared with it:
    batches of random vectors, the adjoint (dot test), `T`, `entrywise`, `magnitude`, `terms`,
    `majorant`, `split`.  For operators of at most a few thousand entries per side.  Raises
    LawViolation with the law and the largest deviation.
    """
    matrix = _matrix(operator)
    bound = operator.majorant()
    size = matrix.abs() if bound is None else torch.maximum(_matrix(bound), matrix.abs())
    if bool((_matrix(bound) * (1 + 1e-12) < matrix.abs()).any() if bound is not None else False):
        raise LawViolation(f"{operator}: its majorant is below |A| in some entry")
    _check_products(operator, matrix, size, torch.Generator().manual_seed(seed))
    _check_entries(operator, matrix)
    parts = operator.split()
    if parts is not None:
        positive, negative = (_matrix(part) for part in parts)
        if (positive < 0).any() or (negative < 0).any():
            raise LawViolation(f"{operator}: a part of its split has negative entries")
        _same(f"{operator}: the difference of its split", positive - negative, matrix, size)


def _matrix(operator: Operator) -> Tensor:
    """(m, n), from products with the unit vectors of the input."""
    units = torch.eye(operator.in_size, dtype=torch.float64).reshape(-1, *operator.in_shape)
    return operator.mv(units).reshape(operator.in_size, operator.out_size).T


def _check_products(
    operator: Operator, matrix: Tensor, size: Tensor, generator: torch.Generator
) -> None:
    x = torch.randn((3, *operator.in_shape), generator=generator, dtype=torch.float64)
    y = torch.randn((3, *operator.out_shape), generator=generator, dtype=torch.float64)
    image, pulled = operator.mv(x), operator.rmv(y)
    if (image.shape[1:], pulled.shape[1:]) != (operator.out_shape, operator.in_shape):
        raise LawViolation(
            f"{operator}: products have shapes {tuple(image.shape)} and {tuple(pulled.shape)}"
        )
    a, b = flat(x), flat(y)
    _same(f"{operator}: A x", flat(image), a @ matrix.T, a.abs() @ size.T)
    _same(f"{operator}: A^T y", flat(pulled), b @ matrix, b.abs() @ size)
    _same(f"{operator}: T x", operator.T.mv(y), pulled, (b.abs() @ size).reshape(pulled.shape))
    _same(f"{operator}: T^T y", operator.T.rmv(x), image, (a.abs() @ size.T).reshape(image.shape))
    _same(f"{operator}: its matrix()", operator.matrix(chunk=7), matrix, size)


def _check_entries(operator: Operator, matrix: Tensor) -> None:
    doubled = operator.entrywise(lambda entry: entry + entry.abs())
    if doubled is None:
        return
    if not torch.equal(_matrix(doubled), matrix + matrix.abs()):
        raise LawViolation(f"{operator}: entrywise does not map every entry of the matrix")
    if operator.magnitude is None or (matrix.abs() > operator.magnitude).any():
        raise LawViolation(
            f"{operator}: its magnitude {operator.magnitude} is below an entry of the matrix"
        )
    used = max([*(matrix != 0).sum(0).tolist(), *(matrix != 0).sum(1).tolist()], default=0)
    if used > operator.terms:
        raise LawViolation(
            f"{operator}: a row or column has {used} entries, more than its terms, {operator.terms}"
        )


def _same(what: str, value: Tensor, wanted: Tensor, size: Tensor) -> None:
    """Equality up to the rounding of a few thousand terms of the given sizes."""
    excess = ((value - wanted).abs() - size * gamma(10_000) - TINY).flatten()
    if not (excess <= 0).all():
        raise LawViolation(
            f"{what} deviates from the matrix by {excess.max().item():.3g} more than "
            "rounding explains"
        )


def check_method(
    method: Method,
    capture: Capture,
    region: Region,
    *,
    norm: str = "l2",
    seed: int = 0,
    seconds: float | None = None,
    attained: float | None = None,
) -> None:
    """A method's upper bound is at least every slope that a captured network attains in the region.

    `attained`: a slope that is known (see `attained_slope`, which finds one otherwise).  A refusal
    passes. `seconds`: the time budget of the method.  Raises LawViolation.
    """
    p, q = parse_norms(norm)
    deadline = None if seconds is None else time.monotonic() + seconds
    problem = Problem.pose(capture.graph, region, p, q, NormOptions(seed=seed, deadline=deadline))
    bound = method.accepts(problem) or method.bound(problem)
    if isinstance(bound, Refusal) or not isinstance(bound.value, Upper):
        return
    if attained is None:
        attained = attained_slope(capture, region, norm=norm, seed=seed)
    if attained > bound.value.value * (1 + 1e-9):
        raise LawViolation(
            f"{method.name} claims {bound.value.value}, but the network attains {attained} ({norm})"
        )


def attained_slope(capture: Capture, region: Region, *, norm: str = "l2", seed: int = 0) -> float:
    """The largest of some slopes that a captured network attains in a region, up to rounding.

    They are norms of Jacobians of the captured graph at 8 random points of the region (for l2 ->
    l2), and difference quotients between 20 random points and close neighbours.
    """
    p, q = parse_norms(norm)
    points = region.sample(20, capture.example, torch.Generator().manual_seed(seed))
    return max(
        _secants(capture.graph, region, points, p, q), _jacobians(capture.graph, points, p, q)
    )


def _secants(graph: Graph, region: Region, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest difference quotient between the points, and between each and a close neighbour in
    the region."""
    near = region.project(points + 1e-4 * points.roll(1, 0))
    best = 0.0
    for other in (points.roll(1, 0), near):
        step = p.of_rows(other - points)
        rise = q.of_rows(evaluate_batch(graph, other) - evaluate_batch(graph, points))
        slopes = (rise / step)[step > 1e-6]
        best = max([best, *slopes.tolist()])
    return best


def _jacobians(graph: Graph, points: Tensor, p: Norm, q: Norm) -> float:
    """The largest l2 norm of a Jacobian at the points."""
    if (p, q) != (Norm.L2, Norm.L2):
        return 0.0
    matrices = [
        torch.func.jacrev(lambda x: evaluate(graph, x).reshape(-1))(x).flatten(1)
        for x in points[:8]
    ]
    return max(torch.linalg.matrix_norm(matrix, 2).item() for matrix in matrices)
