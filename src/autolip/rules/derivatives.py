"""Derivatives of smooth activations times what comes from above them: the steps of a backward
pass.

Written out, x sigmoid'(x) has no finite range on the whole line, as its factor x has none.  As one
function the derivative is bounded, and so is its own derivative: that is what makes gradients of
networks Lipschitz everywhere.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from autolip.errors import UnsupportedOperation
from autolip.graph.composites import silu_backward
from autolip.rules.activations import SILU_TURN, gelu_slope, gelu_tanh_slope, silu_slope
from autolip.rules.curves import value_range
from autolip.rules.derive import action_of, entrywise
from autolip.rules.linear import Value, mul, shape_of, tensor_of
from autolip.rules.rule import Action, Constant, Example, Operand, Pointwise, Turn, Variable, rule

aten = torch.ops.aten

X = Variable(2, 5)


@rule(silu_backward, Example(X, X), Example(Constant(2, 5), X))
@rule(
    aten.silu_backward.default,
    Example(X, X),
    Example(Constant(2, 5), X),
    Example(X, Constant(2, 5)),
)
def silu_backward_whole(grad_output: Value, self: Value) -> Action | Pointwise:
    """Between: silu', in [-0.0999, 1.0999], towards the gradient; towards x it times silu'', in
    [-0.0370, 1/2]."""
    if not isinstance(self, Operand):
        return mul(grad_output, silu_slope(tensor_of(self)))
    return _times(grad_output, _slope_of_silu, self)


def _slope_of_silu(x: Operand) -> Pointwise:
    return Pointwise(
        x,
        value=silu_slope,
        derivative=_silu_bend,
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        value_turns=(-SILU_TURN, SILU_TURN),
        slope_turns=(Turn(-3.435840993535110689), Turn(0.0), Turn(3.435840993535110689)),
    )


def _silu_bend(x: Tensor) -> Tensor:
    """s(x) s(-x) (2 + x (s(-x) - s(x))), s the sigmoid."""
    above = torch.sigmoid(x)
    below = torch.sigmoid(-x)
    return above * below * (2 + x * (below - above))


@rule(
    aten.gelu_backward.default,
    Example(X, X),
    Example(X, X, approximate="tanh"),
    Example(Constant(2, 5), X),
    Example(X, Constant(2, 5)),
)
def gelu_backward(grad_output: Value, self: Value, approximate: str) -> Action | Pointwise:
    """Between: gelu', in [-0.1290, 1.1290], towards the gradient; towards x it times gelu'', in
    [-0.1080, 0.7979]."""
    exact = approximate == "none"
    if not isinstance(self, Operand):
        slope = gelu_slope if exact else gelu_tanh_slope
        return mul(grad_output, slope(tensor_of(self)))
    return _times(grad_output, _slope_of_gelu if exact else _slope_of_gelu_tanh, self)


def _slope_of_gelu(x: Operand) -> Pointwise:
    return Pointwise(
        x,
        value=gelu_slope,
        derivative=_gelu_bend,
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        value_turns=(-math.sqrt(2), math.sqrt(2)),
        slope_turns=(Turn(-2.0), Turn(0.0), Turn(2.0)),
    )


def _slope_of_gelu_tanh(x: Operand) -> Pointwise:
    turn, bend = 1.4185040087908283555, 2.0134807246242579281
    return Pointwise(
        x,
        value=gelu_tanh_slope,
        derivative=_gelu_tanh_bend,
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        value_turns=(-turn, turn),
        slope_turns=(Turn(-bend), Turn(0.0), Turn(bend)),
    )


def _gelu_bend(x: Tensor) -> Tensor:
    """(2 - x^2) phi(x); beyond 40 it is 0."""
    x = x.clamp(-40, 40)
    return (2 - x * x) * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh_bend(x: Tensor) -> Tensor:
    """u' / cosh(u)^2 + x (u'' / 2 - tanh(u) u'^2) / cosh(u)^2, u = sqrt(2/pi) (x + 0.044715
    x^3)."""
    x = x.clamp(-40, 40)
    unit = math.sqrt(2 / math.pi)
    inner = unit * (x + 0.044715 * x**3)
    first = unit * (1 + 3 * 0.044715 * x**2)
    second = unit * 6 * 0.044715 * x
    return (first + x * (second / 2 - torch.tanh(inner) * first**2)) / torch.cosh(inner) ** 2


def _times(factor: Value, curve_of: Callable[[Operand], Pointwise], x: Operand) -> Action:
    """factor * g(x): a product, whose slope towards g is multiplied by those of g."""
    shape = torch.broadcast_shapes(shape_of(factor), x.shape)
    wide = x.viewed(x.shape, shape)
    inner = action_of(curve_of(wide), shape)
    centre = None
    if wide.centre is not None:
        centre = value_range(curve_of(replace(wide, range=wide.centre, centre=None)))
    g = Operand(f"slope at {x.name}", shape, inner.image, centre)
    product = action_of(mul(factor, g), shape)
    outer = {operand.name: slope.entries for operand, slope in product.slopes}[g.name]
    bend = inner.slopes[0][1].entries
    if outer is None or bend is None:
        raise UnsupportedOperation("its slopes are not known entry by entry")
    kept = tuple((operand, slope) for operand, slope in product.slopes if operand is factor)
    towards_x = entrywise(x, outer * bend, product.image, shape)
    return Action((*kept, *towards_x.slopes), product.image)
