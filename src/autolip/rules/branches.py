"""Functions of one variable in several operations, and whether their branches meet.

Where a comparison of the variable with a number chooses between branches, both must have the same
value there, exactly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Node, Ref

aten = torch.ops.aten

COMPARISONS: dict[Any, Callable[[Tensor, float], Tensor]] = {
    aten.gt.Scalar: torch.gt,
    aten.ge.Scalar: torch.ge,
    aten.lt.Scalar: torch.lt,
    aten.le.Scalar: torch.le,
    aten.gt.Tensor: torch.gt,
    aten.ge.Tensor: torch.ge,
    aten.lt.Tensor: torch.lt,
    aten.le.Tensor: torch.le,
}


UPWARD = {aten.gt.Scalar, aten.ge.Scalar, aten.gt.Tensor, aten.ge.Tensor}
"""Those that hold above the number that the variable is compared with."""


def _only(at: int, value: Fraction | int) -> Callable[[Fraction], Fraction]:
    """A function that is rational at one point: refused anywhere else."""

    def exact(x: Fraction) -> Fraction:
        if x != at:
            raise ValueError(f"no exact value is known at {x}")
        return Fraction(value)

    return exact


def _power(x: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or exponent < 0:
        raise ValueError(f"no exact value is known of the power {exponent}")
    return x**exponent.numerator


def _choice(mask: Fraction, yes: Fraction, no: Fraction) -> Fraction:
    return yes if mask else no


EXACT: dict[Any, Callable[..., Fraction]] = {
    aten.add.Tensor: lambda a, b: a + b,
    aten.sub.Tensor: lambda a, b: a - b,
    aten.mul.Tensor: lambda a, b: a * b,
    aten.div.Tensor: lambda a, b: a / b,
    aten.rsub.Scalar: lambda a, b, alpha=1: b - alpha * a,
    aten.neg.default: lambda a: -a,
    aten.abs.default: abs,
    aten.square.default: lambda a: a * a,
    aten.pow.Tensor_Scalar: _power,
    aten.relu.default: lambda a: max(a, Fraction(0)),
    aten.maximum.default: max,
    aten.minimum.default: min,
    aten._to_copy.default: lambda a: a,
    aten.where.self: _choice,
    aten.where.ScalarOther: _choice,
    aten.where.ScalarSelf: _choice,
    aten.exp.default: _only(0, 1),
    aten.expm1.default: _only(0, 0),
    aten.log.default: _only(1, 0),
    aten.log1p.default: _only(0, 0),
    aten.tanh.default: _only(0, 0),
    aten.erf.default: _only(0, 0),
    aten.sin.default: _only(0, 0),
    aten.cos.default: _only(0, 1),
    aten.sigmoid.default: _only(0, Fraction(1, 2)),
}
"""Operations entry by entry, and their values in exact arithmetic where these are rational."""

CHOICES = (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf)


@dataclass(frozen=True)
class Scalar:
    """A function of the entries of a value x: the operations that it is written in, in order."""

    x: str
    nodes: tuple[Node, ...]

    @property
    def has_entries(self) -> bool:
        """Whether constants differ between entries."""
        leaves = (arg for node in self.nodes for arg in node.args)
        return any(isinstance(leaf, Tensor) and leaf.dim() > 0 for leaf in leaves)

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """With what x is compared; None where something else is compared."""
        same, moduli = self.repeated
        found = set[float]()
        for node in self.nodes:
            if node.target not in COMPARISONS:
                continue
            operand, level = node.args
            if not isinstance(operand, Ref) or isinstance(level, Ref):
                return None
            if operand.name not in same | moduli or not is_one_number(level):
                return None
            level = float(as_number(level))
            found |= {level, -level} if operand.name in moduli else {level}
        return tuple(sorted(found))

    @property
    def repeated(self) -> tuple[set[str], set[str]]:
        """The names of the variable itself, and of its modulus."""
        same, moduli = {self.x}, set[str]()
        for node in self.nodes:
            first = node.operands()[0]
            rest = [arg for arg in node.args[1:] if isinstance(arg, Tensor | int | float)]
            shifted = node.target in (aten.add.Tensor, aten.sub.Tensor) and len(rest) == 1
            if first in same and node.args[0] == Ref(first):
                if shifted and not bool(torch.as_tensor(rest[0], dtype=torch.float64).any()):
                    same.add(node.name)
                elif node.target is aten.abs.default:
                    moduli.add(node.name)
        return same, moduli

    def masks(self, side: int) -> dict[str, bool]:
        """What comparisons are above all thresholds (side 1), or below."""
        _, moduli = self.repeated
        compared = [node for node in self.nodes if node.target in COMPARISONS]
        above = {node.name: side > 0 or node.operands()[0] in moduli for node in compared}
        return {node.name: above[node.name] == (node.target in UPWARD) for node in compared}


def is_one_number(value: Any) -> bool:
    """Whether it is a finite number, or a tensor of nothing else."""
    entries = torch.as_tensor(value, dtype=torch.float64).flatten()
    return bool(len(entries)) and bool((entries == entries[0]).all() & entries[0].isfinite())


def meets(scalar: Scalar, level: float) -> bool:
    """Whether the branches beside a threshold and that at it have one value there; False where that
    is not known.

    It is enough that every choice has one, which what follows makes something continuous of.
    """
    choices = [number for number, node in enumerate(scalar.nodes) if node.target in CHOICES]
    masks = {node.name for node in scalar.nodes if node.target in COMPARISONS}
    only_choose = all(masks.isdisjoint(_computed_with(node)) for node in scalar.nodes)
    each = [Scalar(scalar.x, scalar.nodes[: number + 1]) for number in choices]
    return _has_one_value(scalar, level) or (
        bool(each) and only_choose and all(_has_one_value(part, level) for part in each)
    )


def _computed_with(node: Node) -> list[str]:
    """The names of its operands, but for the mask of a choice."""
    args = node.args[1:] if node.target in CHOICES else node.args
    return [arg.name for arg in args if isinstance(arg, Ref)]


def _has_one_value(scalar: Scalar, level: float) -> bool:
    """Whether it is the same below, at and above a threshold, in exact arithmetic; False where that
    is not known."""
    try:
        below, there, above = (_exact(scalar, level, side) for side in (-1, 0, 1))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return False
    return bool(below == there == above)


def _exact(scalar: Scalar, at: float, side: int) -> Fraction:
    """The value at a point, comparisons decided as below (-1) it, there (0) or above."""
    values = {scalar.x: Fraction(at)}
    _, moduli = scalar.repeated
    outward = side if at > 0 else -side if at < 0 else abs(side)
    for node in scalar.nodes:
        args = [values[a.name] if isinstance(a, Ref) else as_number(a) for a in node.args]
        if node.target in COMPARISONS:
            beside = outward if node.args[0].name in moduli else side
            values[node.name] = _compared(node, args[0] - args[1], beside)
        else:
            values[node.name] = EXACT[node.target](*args)
    return values[scalar.nodes[-1].name]


def _compared(node: Node, apart: Fraction, side: int) -> Fraction:
    """A comparison of two numbers that are so far apart, or, where they are equal, beside it."""
    sign = torch.tensor(float(side) if apart == 0 else math.copysign(1.0, apart))
    return Fraction(int(COMPARISONS[node.target](sign, 0.0)))


def as_number(value: Any) -> Fraction:
    """A number of Python's, or a tensor of one, exactly."""
    if isinstance(value, Tensor):
        if value.numel() == 0 or not bool((value == value.flatten()[0]).all()):
            raise ValueError("numbers differ between entries")
        value = value.flatten()[0].item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value} is no number")
    return Fraction(value)
