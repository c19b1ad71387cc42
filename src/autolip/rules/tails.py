"""Slopes of functions of one variable far out, where their limits at infinity are those of their
parts: values and derivatives are carried together, each next to a power and an exponential."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from autolip.graph.graph import Node, Ref
from autolip.intervals import Interval
from autolip.rules.branches import CHOICES
from autolip.rules.orders import Scaled, UnknownOrder, constant, exponential, logarithm
from autolip.rules.rule import Action, Operand

aten = torch.ops.aten

ActionOf = Callable[[Node, Mapping[str, Operand]], Action]
"""What an operation does, given its operands."""


@dataclass(frozen=True)
class Jet:
    """The values of a function of t >= start, and its derivatives towards the variable."""

    value: Scaled
    slope: Scaled

    def __add__(self, other: "Jet") -> "Jet":
        return Jet(self.value + other.value, self.slope + other.slope)

    def __neg__(self) -> "Jet":
        return Jet(-self.value, -self.slope)

    def __sub__(self, other: "Jet") -> "Jet":
        return self + -other

    def __mul__(self, other: "Jet") -> "Jet":
        first = self.slope * other.value
        second = self.value * other.slope
        return Jet(self.value * other.value, first + second)

    def __truediv__(self, other: "Jet") -> "Jet":
        inverse = other.value.inverse()
        return self * Jet(inverse, -(inverse * inverse * other.slope))

    def number(self, value: Fraction | int) -> "Jet":
        """A number, from the same start."""
        exact = Fraction(value)
        near = torch.tensor(float(exact), dtype=torch.float64)
        share = Interval(near, near)
        if near.item() != exact:
            share = share.widen()
        zero = torch.zeros_like(near)
        nothing = Interval(zero, zero)
        start = self.value.start
        return Jet(constant(start, share, exact), constant(start, nothing, Fraction(0)))


def slope_beyond(
    nodes: Sequence[Node],
    variable: str,
    start: float,
    side: int,
    masks: Mapping[str, bool],
    action_of: ActionOf,
) -> Interval | None:
    """Where the derivative lies for all side * x >= start; None where that is not known.

    `masks` holds what comparisons are there.
    """
    nothing = Fraction(0)
    first = Fraction(1)
    line = (nothing, side * first)
    one = torch.ones((), dtype=torch.float64)
    share = Interval(side * one, side * one)
    x = Scaled(start, first, nothing, share, line)
    slope = constant(start, Interval(one, one), first)
    jets = {variable: Jet(x, slope)}
    try:
        for node in nodes:
            if node.name in masks:
                mask = int(masks[node.name])
                jets[node.name] = jets[variable].number(mask)
            else:
                jets[node.name] = _jet(node, jets, masks, action_of)
        return jets[nodes[-1].name].slope.whole
    except UnknownOrder:
        return None


def _jet(
    node: Node, jets: Mapping[str, Jet], masks: Mapping[str, bool], action_of: ActionOf
) -> Jet:
    """What an operation makes of its operands."""
    some = next(iter(jets.values()))
    args: list[Any] = [_argument(arg, jets, some) for arg in node.args]
    if node.target in CHOICES:
        if node.args[0].name not in masks:
            raise UnknownOrder  # what is no comparison decides
        return args[1] if masks[node.args[0].name] else args[2]
    if node.target is aten._to_copy.default:
        return _converted(node, *args)
    if node.target in WRITTEN:
        return WRITTEN[node.target](*args)
    rules = Rules(node, action_of)
    named = zip(node.args, args, strict=True)
    args = [jet if isinstance(arg, Ref | Tensor) else arg for arg, jet in named]  # but parameters
    if node.target in BOUNDED:
        return BOUNDED[node.target](rules, *args)
    if node.target in HOMOGENEOUS:
        return rules.homogeneous(node.target, *args)
    return rules.known(node.target, *args)


def _argument(value: Any, jets: Mapping[str, Jet], some: Jet) -> Any:
    """A jet; of a constant that of a number, of anything else itself."""
    if isinstance(value, Ref):
        return jets[value.name]
    if isinstance(value, bool) or not isinstance(value, Tensor | int | float):
        return value
    entries = torch.as_tensor(value, dtype=torch.float64)
    if entries.dim() == 0 and bool(entries.isfinite()):
        return some.number(Fraction(entries.item()))
    number = some.number(0)
    return replace(number, value=constant(number.value.start, Interval(entries, entries)))


def _converted(node: Node, u: Jet) -> Jet:
    """Itself, as a floating number."""
    dtype = node.kwargs.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise UnknownOrder
    return u


# By formulas
# --------------------------------------------------------------------------------------------------


def _sum(a: Jet, b: Jet, alpha: Jet | None = None) -> Jet:
    return a + (b if alpha is None else b * alpha)


def _difference(a: Jet, b: Jet, alpha: Jet | None = None) -> Jet:
    return a - (b if alpha is None else b * alpha)


def _exp(u: Jet) -> Jet:
    value = exponential(u.value)
    return Jet(value, value * u.slope)


def _log(u: Jet) -> Jet:
    return Jet(logarithm(u.value), u.value.inverse() * u.slope)


def _power(u: Jet, exponent: Jet) -> Jet:
    """u^n: a product where n is a small integer, of what is positive otherwise."""
    line = exponent.value.line
    if line is None or line[1] != 0:
        raise UnknownOrder
    n = line[0]
    if n.denominator == 1 and abs(n) <= MOST:
        product = u.number(1)
        for _ in range(abs(n.numerator)):
            product = product * u
        return product if n >= 0 else u.number(1) / product
    value = u.value.power_of(n)
    return Jet(value, u.number(n).value * value * u.value.inverse() * u.slope)


MOST = 8
"""Chosen: the largest power that is multiplied out."""


def _root(u: Jet) -> Jet:
    return _power(u, u.number(Fraction(1, 2)))


def _cosh(u: Jet) -> Jet:
    return (_exp(u) + _exp(-u)) * u.number(Fraction(1, 2))


def _sinh(u: Jet) -> Jet:
    return (_exp(u) - _exp(-u)) * u.number(Fraction(1, 2))


WRITTEN: dict[Any, Callable[..., Jet]] = {
    aten.add.Tensor: _sum,
    aten.sub.Tensor: _difference,
    aten.rsub.Scalar: lambda a, b, alpha=None: _difference(b, a, alpha),
    aten.neg.default: lambda a: -a,
    aten.mul.Tensor: lambda a, b: a * b,
    aten.div.Tensor: lambda a, b: a / b,
    aten.square.default: lambda a: a * a,
    aten.reciprocal.default: lambda a: a.number(1) / a,
    aten.pow.Tensor_Scalar: _power,
    aten.sqrt.default: _root,
    aten.rsqrt.default: lambda a: a.number(1) / _root(a),
    aten.exp.default: _exp,
    aten.expm1.default: lambda a: _exp(a) - a.number(1),
    aten.log.default: _log,
    aten.log1p.default: lambda a: _log(a + a.number(1)),
    aten.cosh.default: _cosh,
    aten.sinh.default: _sinh,
}
"""Operations whose derivatives are made of such operations."""


# By their rules
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """What rules say of operations on values that lie somewhere."""

    node: Node
    action_of: ActionOf

    def known(self, target: Any, *args: Any) -> Jet:
        """Of where operands lie: bounded values and slopes."""
        image, slopes = self.said(target, [_whole(arg) for arg in args])
        return _chained(constant(_start(args), image), args, slopes)

    def homogeneous(self, target: Any, *args: Any) -> Jet:
        """f(s x) = s f(x) for s >= 0: of the shares on one scale."""
        jets = [arg for arg in args if isinstance(arg, Jet)]
        rate, power = max(jet.value.order for jet in jets)
        shares = [arg.value.on(power, rate).share if isinstance(arg, Jet) else arg for arg in args]
        image, slopes = self.said(target, shares)
        return _chained(Scaled(_start(args), power, rate, image), args, slopes)

    def said(self, target: Any, where: Sequence[Any]) -> tuple[Interval, list[Interval]]:
        """Its values, and its slopes towards each of the intervals."""
        ends = [arg for arg in where if isinstance(arg, Interval)]
        shape = torch.broadcast_shapes(*(arg.shape for arg in ends))
        operands = {
            str(number): Operand(str(number), shape, _expanded(arg, shape))
            for number, arg in enumerate(ends)
        }
        names = iter(operands)
        args = tuple(Ref(next(names)) if isinstance(arg, Interval) else arg for arg in where)
        node = replace(self.node, target=target, args=args, kwargs={}, shape=shape)
        action = self.action_of(node, operands)
        slopes = {operand.name: slope.entries for operand, slope in action.slopes}
        found = [slopes[name] for name in operands]
        if any(slope is None for slope in found):
            raise UnknownOrder
        return action.image, [slope for slope in found if slope is not None]


def _whole(arg: Any) -> Any:
    return arg.value.whole if isinstance(arg, Jet) else arg


def _start(args: Sequence[Any]) -> float:
    return next(arg.value.start for arg in args if isinstance(arg, Jet))


def _expanded(x: Interval, shape: torch.Size) -> Interval:
    return Interval(x.lo.expand(shape), x.hi.expand(shape))


def _chained(value: Scaled, args: Sequence[Any], slopes: Sequence[Interval]) -> Jet:
    """The chain rule."""
    jets = [arg for arg in args if isinstance(arg, Jet)]
    parts = [
        constant(value.start, slope) * jet.slope for jet, slope in zip(jets, slopes, strict=True)
    ]
    return Jet(value, reduce(Scaled.__add__, parts))


def _falling(u: Scaled, bound: Callable[[Scaled], Scaled]) -> Scaled | None:
    """What lies in [0, bound(|u|)] where u tends to infinity; None where it does not, or may."""
    rises = bool((u.share.lo > 0).all())
    falls = bool((u.share.hi < 0).all())
    if not u.grows or not (rises or falls):
        return None
    return _upto(bound(u if rises else -u))


def _upto(bound: Scaled) -> Scaled:
    """[0, bound]."""
    return replace(bound, share=Interval(0 * bound.share.lo, bound.share.hi), line=None)


def _flattening(target: Any, bound: Callable[[Scaled], Scaled]) -> Callable[..., Jet]:
    """Of a bounded function whose slopes are in [0, bound(|u|)]."""

    def jet(rules: Rules, u: Jet) -> Jet:
        found = rules.known(target, u)
        slope = _falling(u.value, bound)
        return found if slope is None else replace(found, slope=slope * u.slope)

    return jet


def _times(factor: float, u: Scaled) -> Scaled:
    size = torch.tensor(factor, dtype=torch.float64)
    return u * constant(u.start, Interval(size, size), Fraction(factor))


_tanh = _flattening(aten.tanh.default, lambda w: _times(4.0, exponential(-(w + w))))
_erf = _flattening(aten.erf.default, lambda w: _times(ABOVE_ERF, exponential(-(w * w))))
_logistic = _flattening(aten.sigmoid.default, lambda w: exponential(-w))

ABOVE_ERF = 1.13
"""Chosen: more than 2 / sqrt(pi)."""


def _sigmoid(rules: Rules, u: Jet) -> Jet:
    if u.value.line is None:
        return _logistic(rules, u)
    return u.number(1) / (u.number(1) + _exp(-u))


def _silu(rules: Rules, u: Jet) -> Jet:
    return u * _sigmoid(rules, u)


def _gelu(rules: Rules, u: Jet, approximate: str = "none") -> Jet:
    if approximate != "none":
        raise UnknownOrder
    root = math.sqrt(0.5)
    near = torch.tensor(root, dtype=torch.float64)
    around = Interval(near, near).widen()
    half = replace(u.number(0), value=constant(u.value.start, around))
    return u * (_erf(rules, u * half) + u.number(1)) * u.number(Fraction(1, 2))


def _softplus(rules: Rules, u: Jet, beta: float = 1, threshold: float = 20) -> Jet:
    """u + [0, log(2) / beta] above 0, at most e^(beta u) / beta below it; slopes are those of the
    rule, which knows its jump, and at most e^(beta u)."""
    if beta <= 0 or threshold < 0:
        raise UnknownOrder
    _, (slopes,) = rules.said(aten.softplus.default, [u.value.whole, beta, threshold])
    below = _falling(u.value, lambda w: exponential(-_times(beta, w)))
    if below is not None and bool((u.value.share.hi < 0).all()):
        return Jet(_upto(_times(ABOVE_ONE / beta, below)), below * u.slope)
    more = torch.tensor([0.0, ABOVE_LOG_2 / beta], dtype=torch.float64)
    apart = Interval(more[0], more[1])
    value = u.value + constant(u.value.start, apart)
    if not bool((u.value.share.lo >= 0).all()):
        return rules.known(aten.softplus.default, u, beta, threshold)
    return Jet(value, constant(u.value.start, slopes) * u.slope)


ABOVE_LOG_2 = 0.7
"""Chosen: more than the logarithm of 2."""

ABOVE_ONE = 1.0001
"""Chosen: more than what a quotient is off by."""


def _arctangent(rules: Rules, u: Jet) -> Jet:
    value = rules.known(aten.atan.default, u).value
    return Jet(value, (u.value * u.value + u.number(1).value).inverse() * u.slope)


def _clamped(rules: Rules, u: Jet, least: float | None = None, most: float | None = None) -> Jet:
    """Between numbers; above one it grows as u does."""
    if least is None or most is not None:
        return rules.known(aten.clamp.default, u, least, most)
    return rules.homogeneous(aten.maximum.default, u, u.number(Fraction(least)))


BOUNDED: dict[Any, Callable[..., Jet]] = {
    aten.tanh.default: _tanh,
    aten.erf.default: _erf,
    aten.sigmoid.default: _sigmoid,
    aten.silu.default: _silu,
    aten.gelu.default: _gelu,
    aten.softplus.default: _softplus,
    aten.atan.default: _arctangent,
    aten.clamp.default: _clamped,
    aten.clamp_min.default: _clamped,
}
"""Operations that tend to a constant or a line, and how fast."""

HOMOGENEOUS = {
    aten.relu.default,
    aten.abs.default,
    aten.leaky_relu.default,
    aten.maximum.default,
    aten.minimum.default,
}
