"""Choices between two linear functions by the sign of a third, written with relu where they meet.

A Householder activation leaves (x, y) on one side of a line and reflects it on the other (Singla,
Singla and Feizi, Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100, ICLR 2022).  Its
masks have no bounded slopes, and the parts that they choose from do not say that they meet on the
line.  Where the difference of the two functions is k times the third, s, the choice is the one
below plus k relu(s).  That it is so is proved for the angle of the line, of which the program takes
sines and cosines: rounded to numbers they do not meet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from autolip.capture.torch import sines
from autolip.capture.torch.linear_forms import Form, Forms, plus, size, times
from autolip.capture.torch.sines import Coefficient
from autolip.graph.graph import Node, Place, Ref

aten = torch.ops.aten

COMPARISONS = {
    aten.gt.Scalar: (True, False),
    aten.ge.Scalar: (True, True),
    aten.lt.Scalar: (False, False),
    aten.le.Scalar: (False, True),
}
"""Whether they hold above the number, and whether they hold where both are equal."""

NOT = (aten.logical_not.default, aten.bitwise_not.default)


@dataclass(frozen=True)
class Side:
    """Where a value s is above 0, or where it is below; with 0 or without."""

    s: fx.Node
    above: bool
    with_zero: bool

    def completes(self, other: "Side") -> bool:
        """Whether every s is on exactly one of the two."""
        apart = self.above != other.above
        once = self.with_zero != other.with_zero
        return self.s is other.s and apart and once


@dataclass(frozen=True)
class Choice:
    """What is computed where s is above 0, and where it is below."""

    s: fx.Node
    above: fx.Node
    below: fx.Node


@dataclass(frozen=True)
class Bend:
    """below + factor relu(s)."""

    s: fx.Node
    below: fx.Node
    factor: Coefficient

    def nodes(self, result: fx.Node, values: dict[str, Any], place: Place) -> Iterator[Node]:
        """The nodes that compute it under the name of `result`, of constants and references; that
        of relu(s) once, which is added to the values."""
        bent = f"{self.s.name}.above"
        shape = result.meta["val"].shape
        if bent not in values:
            yield Node(bent, aten.relu.default, (values[self.s.name],), shape, place=place)
            values[bent] = Ref(bent)
        scaled = f"{result.name}.bent"
        factor = _value(self.factor, values)
        yield Node(scaled, aten.mul.Tensor, (values[bent], factor), shape, place=place)
        below = values[self.below.name]
        yield Node(result.name, aten.add.Tensor, (below, Ref(scaled)), shape, place=place)


def bends(program: ExportedProgram) -> dict[fx.Node, Bend]:
    """The choices of a program that can be written so."""
    varying = _varying(program)
    choices = {node: choice for node in varying if (choice := _choice(node)) is not None}
    if not choices:
        return {}
    forms = Forms(program.graph, varying)
    factors = {node: _factor(forms, choice, node) for node, choice in choices.items()}
    return {
        node: Bend(choices[node].s, choices[node].below, factor)
        for node, factor in factors.items()
        if factor is not None
    }


def _varying(program: ExportedProgram) -> set[fx.Node]:
    """What depends on the program's inputs."""
    inputs = {
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT
    }
    found = set[fx.Node]()
    for node in program.graph.nodes:
        if node.name in inputs or not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def _choice(node: fx.Node) -> Choice | None:
    """where(s > 0, u, w), or u (s > 0) + w (s <= 0), in any order."""
    if node.op != "call_function" or node.kwargs:
        return None
    if node.target is aten.where.self:
        return _sorted(_side(node.args[0]), *node.args[1:])
    if node.target is not aten.add.Tensor:
        return None
    one, two = map(_masked, node.args)
    if one is None or two is None or not one[0].completes(two[0]):
        return None
    return _sorted(one[0], one[1], two[1])


def _sorted(side: Side | None, inside: Any, outside: Any) -> Choice | None:
    """The choice that gives the first on a side and the second beside it."""
    if side is None or not isinstance(inside, fx.Node) or not isinstance(outside, fx.Node):
        return None
    above, below = (inside, outside) if side.above else (outside, inside)
    return Choice(side.s, above, below)


def _masked(product: Any) -> tuple[Side, Any] | None:
    """What is kept on a side, and set to 0 beside it."""
    if not isinstance(product, fx.Node) or product.target is not aten.mul.Tensor:
        return None
    for mask, value in (product.args, product.args[::-1]):
        side = _side(mask)
        if side is not None and size(product) == size(side.s):
            return side, value
    return None


def _side(mask: Any) -> Side | None:
    """The side on which a mask is true."""
    if not isinstance(mask, fx.Node):
        return None
    if mask.target is aten._to_copy.default:
        return _side(mask.args[0])
    if mask.target in NOT:
        side = _side(mask.args[0]) if mask.meta["val"].dtype is torch.bool else None
        return None if side is None else Side(side.s, not side.above, not side.with_zero)
    if mask.target not in COMPARISONS or mask.kwargs or mask.args[1] != 0:
        return None
    [s] = mask.all_input_nodes
    return Side(s, *COMPARISONS[mask.target])


def _factor(forms: Forms, choice: Choice, node: fx.Node) -> Coefficient | None:
    """The k with above - below = k s; None where there is none, where it cannot be evaluated, and
    for a choice between multiples of s, which is a function of s alone."""
    values = (choice.s, choice.above, choice.below)
    parts = [value for value in values if value in forms.varying]
    if choice.s not in parts or any(size(part) != size(node) for part in parts):
        return None
    s, above, below = map(forms.of, values)
    if _multiple(below, s) is not None or _multiple(above, s) is not None:
        return None
    factor = _multiple(plus(above, below, -1), s)
    return factor if factor is not None and _is_simple(factor) else None


def _multiple(form: Form, s: Form) -> Coefficient | None:
    """A k with form = k s; only quotients by numbers and twice the coefficients of s are tried."""
    factors = [_quotient(form[value], s[value]) for value in s if value in form]
    factors += [sines.scaled(part, Fraction(two)) for part in s.values() for two in (2, -2)]
    known = [factor for factor in factors if factor is not None]
    return next((factor for factor in known if not plus(form, times(s, factor), -1)), None)


def _quotient(one: Coefficient, two: Coefficient) -> Coefficient | None:
    """The first over the second, where that is a number, or the same term but for a number."""
    if two.number is not None:
        return sines.scaled(one, 1 / two.number)
    if len(two.terms) != 1 or set(one.terms) != set(two.terms):
        return None
    [term] = two.terms
    return sines.number(one.terms[term] / two.terms[term])


def _is_simple(factor: Coefficient) -> bool:
    """Whether evaluating it rounds nothing but a sine or a cosine: a number, or a constant times a
    power of 2."""
    if len(factor.terms) != 1:
        return False
    [(names, odd, angle)], [share] = factor.terms, factor.terms.values()
    if not names and not odd and not angle:
        return Fraction(float(share)) == share
    return len(names) + bool(angle) == 1 and math.frexp(float(abs(share)))[0] == 0.5


def _value(factor: Coefficient, values: dict[str, Any]) -> Tensor | float:
    """The number or the tensor that a coefficient stands for."""
    [((names, odd, angle), share)] = factor.terms.items()
    if names:
        return values[names[0]] * float(share)
    if not angle:
        return float(share)
    total = sum(values[name] * float(part) for name, part in angle)
    return float(share) * (torch.sin(total) if odd else torch.cos(total))
