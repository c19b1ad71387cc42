"""The law of a rule: slopes and image hold for the operation, on regions where they may break."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, assert_never

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.errors import UnsupportedOperation
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.operators.operator import flat
from autolip.roundoff import TINY, units
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
from autolip.testing.places import KINDS, box_of, points_of
from autolip.testing.violation import LawViolation


def check_rule(rule: Rule, *, seed: int = 0, points: int = 14) -> None:
    """f(x) - f(y) lies in the sum of a rule's slope sets applied to x - y, and f(x) in its image.

    For every example of the rule and a dozen kinds of regions (points, tiny, wide, one-sided,
    unbounded, touching the example's constants), the operation itself is evaluated in float64 at
    `points` random places of the region, corners, kinks and close neighbours among them, and all
    their pairs are compared with what the rule says; all pairs with one of them, with what the rule
    says from there, which must be within what it says of any two. Raises LawViolation with example,
    region and pair.
    """
    generator = torch.Generator().manual_seed(seed)
    for example in rule.examples:
        refusals = [
            _check_on(kind, rule, example, points, generator) for kind in (*KINDS, "mixed", "mixed")
        ]
        if all(refusals):
            raise LawViolation(f"{rule.name} refuses its own example {example}: {refusals[0]}")


def _check_on(
    kind: str, rule: Rule, example: Example, points: int, generator: torch.Generator
) -> str:
    """Check one example on one kind of region; the reason if the rule refuses it."""
    call = _Call.draw(rule, example, generator)
    marks = call.marks
    boxes = [box_of(kind, variable, marks, generator) for variable in call.variables]
    operands = [Operand(f"x{i}", box.shape, box) for i, box in enumerate(boxes)]
    try:
        outcome = call.outcome(operands)
    except UnsupportedOperation as refusal:
        return str(refusal)
    xs = [
        points_of(box, v, marks, points, generator)
        for box, v in zip(boxes, call.variables, strict=True)
    ]
    values = torch.stack([call.value([x[i] for x in xs]) for i in range(points)])
    number = int(torch.randint(points, (), generator=generator))
    fixed = [
        replace(operand, centre=_around(x[number], box, generator))
        for operand, x, box in zip(operands, xs, boxes, strict=True)
    ]
    from_there = call.outcome(fixed)
    try:
        of_any_two = _Trial(outcome, operands, xs, values)
        of_one = _Trial(from_there, fixed, xs, values, number)
        of_any_two.check()
        of_one.check()
        _check_within(of_one.action, of_any_two.action)
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

    def outcome(self, operands: list[Operand]) -> Outcome:
        """What the rule says."""
        args, kwargs = self.bind(operands)
        return self.rule(*args, **kwargs)[self.example.pick or 0]

    def value(self, xs: list[Tensor]) -> Tensor:
        """The operation itself."""
        given = [x.bool() if v.boolean else x for x, v in zip(xs, self.variables, strict=True)]
        args, kwargs = self.bind(given)
        result = self.rule.target(*args, **kwargs)
        return (result if isinstance(result, Tensor) else result[self.example.pick or 0]).double()


@dataclass(frozen=True)
class _Trial:
    """What a rule says on a region, and what the operation does at points of it; of their pairs
    those with one of them, where `number` says which."""

    outcome: Outcome
    operands: list[Operand]
    xs: list[Tensor]
    values: Tensor
    number: int | None = None

    @cached_property
    def action(self) -> Action:
        return action_of(self.outcome, self.values.shape[1:])

    def check(self) -> None:
        action = self.action
        self._check_shapes(action)
        tolerance = self._tolerance()
        self._check_image(action.image, tolerance)
        self._check_domain(action)
        first, second = torch.triu_indices(len(self.values), len(self.values), 1)
        if self.number is not None:
            first = torch.arange(len(self.values))
            second = torch.full_like(first, self.number)
        steps = {
            operand: x[first] - x[second] for operand, x in zip(self.operands, self.xs, strict=True)
        }
        before = self.values[second]
        rise = self.values[first] - before
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
            return self.outcome.slack + self.outcome.error * size + units(4, size)
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
            rows = flat(outside).any(1)
            worst = int(rows.nonzero()[0])
            self._fail(f"a value lies outside of the image {image}", worst, worst)

    def _check_domain(self, action: Action) -> None:
        """Where a pointwise function is undefined at a point of the region, no slope is finite."""
        for _, slope in action.slopes:
            if isinstance(slope, Between):
                undefined = self.values.isnan() & slope.lo.isfinite() & slope.hi.isfinite()
                if undefined.any():
                    rows = flat(undefined).any(1)
                    worst = int(rows.nonzero()[0])
                    self._fail(
                        "the slopes are finite where the operation is undefined", worst, worst
                    )

    def _fail(self, what: str, i: int, j: int) -> None:
        pair = [(x[i].tolist(), x[j].tolist()) for x in self.xs]
        values = self.values[i].tolist(), self.values[j].tolist()
        raise LawViolation(
            f"{what}\n  (x, y) = {pair}\n  (f(x), f(y)) = {values}\n  rule: {self.outcome}"
        )


def _around(x: Tensor, box: Interval, generator: torch.Generator) -> Interval:
    """What is known of a point: itself, or a little more, within the box."""
    drawn = torch.rand((), generator=generator, dtype=torch.float64)
    width = 1e-9 * (drawn < 0.3)
    return Interval(x - width, x + width).meet(box)


def _check_within(inner: Action, outer: Action) -> None:
    """Every slope set of the one is part of its namesake of the other."""
    for (x, here), (_, there) in zip(inner.slopes, outer.slopes, strict=True):
        match here, there:
            case Between(), Between():
                holds = bool((here.lo >= there.lo).all() and (here.hi <= there.hi).all())
            case Gain(), Gain():
                pairs = ((here.norms[norm], there.norms[norm]) for norm in there.norms)
                holds = all(a.value <= b.value for a, b in pairs)
            case _:
                holds = type(here) is type(there)
        if not holds:
            raise LawViolation(f"the slopes from a point of {x} are no part of those of any two")


def _surplus(
    action: Action, steps: dict[Operand, Tensor], rise: Tensor, tolerance: Tensor
) -> Tensor:
    """How far f(x) - f(y) is from what the exact and the diagonal slopes explain, beyond
    rounding."""
    lo = torch.zeros_like(rise)
    hi = torch.zeros_like(rise)
    for operand, slope in action.slopes:
        step = steps[operand]
        match slope:
            case Exact():
                moved = slope.operator.mv(step)
                lo = lo + moved
                hi = hi + moved
            case Between():
                ends = torch.stack([_scaled(slope.lo, step), _scaled(slope.hi, step)])
                lo = lo + ends.amin(0)
                hi = hi + ends.amax(0)
            case Gain():
                pass
            case _:
                assert_never(slope)
    tolerance = tolerance + units(8, (lo.abs() + hi.abs()).nan_to_num(0.0, 0.0)) + TINY
    missing = lo - rise - tolerance
    short = missing.clamp(min=0)
    surplus = rise - hi - tolerance
    long = surplus.clamp(min=0)
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
