"""What an exported program computes from few values by sums and by products with constants."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, fx

from autolip.capture.torch import sines
from autolip.capture.torch.sines import Angle, Coefficient

aten = torch.ops.aten

WIDEST = 16
"""Chosen: of how many values a form may be a sum; beyond it is a value of its own."""

SUMS = {aten.add.Tensor: 1, aten.sub.Tensor: -1, aten.add.Scalar: 1, aten.sub.Scalar: -1}
PRODUCTS = (aten.mul.Tensor, aten.mul.Scalar)
QUOTIENTS = (aten.div.Tensor, aten.div.Scalar)

Form = Mapping[fx.Node | None, Coefficient]
"""A sum of constants times values; the value of None is 1."""


class Forms:
    """The forms of a program's values, entry by entry; what is not `varying` is constant."""

    def __init__(self, graph: fx.Graph, varying: set[fx.Node]) -> None:
        self.varying = varying
        self.known: dict[fx.Node, Form] = {}
        self.coefficients: dict[fx.Node, Coefficient] = {}
        for node in graph.nodes:
            if node in varying:
                form = self._of_call(node)
                self.known[node] = form if form and len(form) <= WIDEST else {node: sines.number(1)}
            elif node.op == "call_function":
                self.coefficients[node] = self._constant(node)

    def of(self, value: Any) -> Form:
        """That of a value of the program, or of a constant."""
        if isinstance(value, fx.Node) and value in self.varying:
            return self.known[value]
        constant = self.coefficient(value)
        return {None: constant} if constant.terms else {}

    def coefficient(self, value: Any) -> Coefficient:
        """A constant as one."""
        if isinstance(value, fx.Node):
            return self.coefficients.get(value, sines.symbol(value.name))
        return sines.number(value)

    def _of_call(self, node: fx.Node) -> Form | None:
        """A sum, or a constant times a value; None for anything else."""
        if not _is_plain(node) or not all(map(_is_value, node.args)):
            return None
        if any(x in self.varying and size(x) != size(node) for x in node.all_input_nodes):
            return None
        if node.target in SUMS:
            return plus(self.of(node.args[0]), self.of(node.args[1]), SUMS[node.target])
        if node.target is aten.neg.default:
            return plus({}, self.of(node.args[0]), -1)
        if node.target is aten.clone.default:
            return self.of(node.args[0])
        if node.target in QUOTIENTS and (inverse := _inverse(node.args[1])) is not None:
            return times(self.of(node.args[0]), sines.number(inverse))
        if node.target in PRODUCTS and len(set(node.args) & self.varying) == 1:
            value, factor = sorted(node.args, key=lambda arg: arg not in self.varying)
            return times(self.of(value), self.coefficient(factor))
        return None

    def _constant(self, node: fx.Node) -> Coefficient:
        """A call on constants alone."""
        itself = sines.symbol(node.name)
        if not _is_plain(node) or not all(map(_is_value, node.args)):
            return itself
        if node.target in SUMS:
            one, two = map(self.coefficient, node.args)
            return one + sines.scaled(two, Fraction(SUMS[node.target]))
        if node.target in QUOTIENTS and (inverse := _inverse(node.args[1])) is not None:
            return sines.scaled(self.coefficient(node.args[0]), inverse)
        if node.target in PRODUCTS:
            one, two = map(self.coefficient, node.args)
            return one * two
        if node.target is aten.neg.default:
            return -self.coefficient(node.args[0])
        if node.target in (aten.sin.default, aten.cos.default):
            angle = _angle(self.coefficient(node.args[0]))
            of = sines.sine if node.target is aten.sin.default else sines.cosine
            return itself if angle is None else of(angle)
        return itself


def plus(one: Form, two: Form, sign: int = 1) -> Form:
    """one + sign two, without what has cancelled."""
    total = dict(one)
    for value, coefficient in two.items():
        signed = sines.scaled(coefficient, Fraction(sign))
        total[value] = total.get(value, Coefficient()) + signed
    return {value: coefficient for value, coefficient in total.items() if coefficient.terms}


def times(form: Form, factor: Coefficient) -> Form:
    """A constant times a form."""
    each = {value: coefficient * factor for value, coefficient in form.items()}
    return {value: coefficient for value, coefficient in each.items() if coefficient.terms}


def size(node: fx.Node) -> torch.Size | None:
    """The shape of what a node makes."""
    made = node.meta.get("val")
    return made.shape if isinstance(made, Tensor) else None


def _is_plain(node: fx.Node) -> bool:
    """Whether a call makes floating-point numbers, its optional arguments left as they are."""
    made = node.meta.get("val")
    real = isinstance(made, Tensor) and made.is_floating_point()
    return node.op == "call_function" and real and not node.kwargs and len(node.args) <= 2


def _is_value(argument: Any) -> bool:
    if isinstance(argument, fx.Node):
        return True
    number = isinstance(argument, int | float) and not isinstance(argument, bool)
    return number and math.isfinite(argument)


def _inverse(argument: Any) -> Fraction | None:
    """1 over a number."""
    number = isinstance(argument, int | float) and argument != 0
    return 1 / Fraction(argument) if number else None


def _angle(argument: Coefficient) -> Angle | None:
    """A sum of multiples of constants; None for anything else."""
    plain = all(len(names) == 1 and not angle for names, _, angle in argument.terms)
    if not plain:
        return None
    return tuple(sorted((names[0], share) for (names, _, _), share in argument.terms.items()))
