"""Smooth activations: value, derivative, and the turning points and limits of both.

Turning points without closed form were found once to forty digits and rounded to double: the error
of at most one unit in the last place moves a value at an extreme by its square, far below the
records' allowance for rounding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.errors import InputError
from autolip.graph.composites import softsign, tanhshrink
from autolip.rules.rule import Example, Jump, Operand, Pointwise, Turn, Variable, rule
from autolip.values import round_down, round_up

aten = torch.ops.aten
INF = math.inf

ROUNDING = 2.0**-48
"""Assumed: no elementary function of torch errs by more; theirs are a few units of 2^-53."""


@rule(aten.tanh.default, Example(Variable(2, 5)))
def tanh(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=torch.tanh,
        derivative=lambda x: torch.cosh(x) ** -2,
        value_limits=(-1.0, 1.0),
        slope_limits=(0.0, 0.0),
        slope_turns=(Turn(0.0),),
        values_within=(-1.0, 1.0),
        slopes_within=(0.0, 1.0),
    )


@rule(softsign, Example(Variable(2, 5)))
def softsign_whole(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=F.softsign,
        derivative=lambda x: (1 + x.abs()) ** -2,
        value_limits=(-1.0, 1.0),
        slope_limits=(0.0, 0.0),
        slope_turns=(Turn(0.0),),
        values_within=(-1.0, 1.0),
        slopes_within=(0.0, 1.0),
    )


@rule(tanhshrink, Example(Variable(2, 5)))
def tanhshrink_whole(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=F.tanhshrink,
        derivative=lambda x: torch.tanh(x) ** 2,
        value_limits=(-INF, INF),
        slope_limits=(1.0, 1.0),
        slope_turns=(Turn(0.0),),
        slopes_within=(0.0, 1.0),
    )


@rule(aten.sigmoid.default, Example(Variable(2, 5)))
@rule(aten.special_expit.default, Example(Variable(3)))
def sigmoid(self: Operand) -> Pointwise:
    """Between(0, 1/4)."""
    return Pointwise(
        self,
        value=torch.sigmoid,
        derivative=lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
        value_limits=(0.0, 1.0),
        slope_limits=(0.0, 0.0),
        slope_turns=(Turn(0.0),),
        values_within=(0.0, 1.0),
        slopes_within=(0.0, 0.25),
    )


@rule(aten.log_sigmoid.default, Example(Variable(2, 5)))
def log_sigmoid(self: Operand) -> Pointwise:
    """Between(0, 1)."""
    return Pointwise(
        self,
        value=F.logsigmoid,
        derivative=lambda x: torch.sigmoid(-x),
        value_limits=(-INF, 0.0),
        slope_limits=(1.0, 0.0),
        values_within=(-INF, 0.0),
        slopes_within=(0.0, 1.0),
    )


@rule(
    aten.softplus.default,
    Example(Variable(2, 5)),
    Example(Variable(3), 5.0),
    Example(Variable(3), -0.5),
    Example(Variable(3), 1.0, 1.0),
    Example(Variable(3), -2.0, 1.0),
    Example(Variable(3), 2.0, 0.5),
    Example(Variable(3), 0.5, 1.5),
)
def softplus(self: Operand, beta: float, threshold: float) -> Pointwise:
    """Between(0, 1); infinite where the range crosses a threshold below 20.

    PyTorch computes x itself where beta x > threshold.  From 20 on, the default, that is a way to
    evaluate softplus, off by at most log(1 + exp(-threshold)) / |beta| (2.1e-9): part of the
    evaluation error.  Below it is a jump.
    """
    if beta == 0:
        raise InputError("softplus with beta = 0 divides by zero: give a beta that is not")
    stable = threshold >= 20
    gap = math.log1p(math.exp(-threshold)) if stable else 0.0

    def value(x: Tensor) -> Tensor:
        smooth = -F.logsigmoid(-beta * x) / beta
        return smooth if stable else torch.where(beta * x > threshold, x, smooth)

    def derivative(x: Tensor) -> Tensor:
        smooth = torch.sigmoid(beta * x)
        return smooth if stable else torch.where(beta * x > threshold, 1.0, smooth)

    return Pointwise(
        self,
        value=value,
        derivative=derivative,
        value_limits=(0.0, INF) if beta > 0 else (-INF, 0.0),
        slope_limits=(0.0, 1.0) if beta > 0 else (1.0, 0.0),
        slope_turns=() if stable else (_switch(beta, threshold)[0],),
        jumps=() if stable else (_switch(beta, threshold)[1],),
        absolute=(ROUNDING + gap) * max(1.0, 1 / abs(beta)),
        slopes_within=(0.0, 1.0),
    )


def _switch(beta: float, threshold: float) -> tuple[Turn, Jump]:
    """Where softplus gives way to x: at threshold / beta."""
    at = torch.tensor(threshold / beta, dtype=torch.float64)
    value = -F.logsigmoid(-beta * at) / beta
    slope = torch.sigmoid(beta * at)
    if beta > 0:
        return Turn(at, slope, 1.0), Jump(at, value, at)
    return Turn(at, 1.0, slope), Jump(at, at, value)


@rule(aten.gelu.default, Example(Variable(2, 5)), Example(Variable(2, 5), approximate="tanh"))
def gelu(self: Operand, approximate: str) -> Pointwise:
    """Between(-0.1290, 1.1290)."""
    least, steepest = (-0.75246142207101625849, 1.4185040087908283555)
    if approximate == "none":
        least = -0.75179152469356445746
        steepest = math.sqrt(2)
    return Pointwise(
        self,
        value=lambda x: F.gelu(x, approximate=approximate),
        derivative=gelu_slope if approximate == "none" else gelu_tanh_slope,
        value_limits=(0.0, INF),
        slope_limits=(0.0, 1.0),
        value_turns=(least,),
        slope_turns=(Turn(-steepest), Turn(steepest)),
    )


def gelu_slope(x: Tensor) -> Tensor:
    """Phi(x) + x phi(x)."""
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return torch.erfc(-x / math.sqrt(2)) / 2 + x * density


def gelu_tanh_slope(x: Tensor) -> Tensor:
    """(1 + tanh u)/2 + x u' / (2 cosh(u)^2), u = sqrt(2/pi) (x + 0.044715 x^3); beyond 40 it is 0
    or 1."""
    x = x.clamp(-40, 40)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return (1 + torch.tanh(inner)) / 2 + x * slope / torch.cosh(inner) ** 2 / 2


SILU_TURN = 2.3993572805154676678
"""Measured to forty digits: silu' is extreme where x (s(x) - s(-x)) = 2, s the sigmoid."""


@rule(aten.silu.default, Example(Variable(2, 5)))
def silu(self: Operand) -> Pointwise:
    """Between(-0.0999, 1.0999)."""
    return Pointwise(
        self,
        value=F.silu,
        derivative=silu_slope,
        value_limits=(0.0, INF),
        slope_limits=(0.0, 1.0),
        value_turns=(-1.2784645427610737951,),
        slope_turns=(Turn(-SILU_TURN), Turn(SILU_TURN)),
    )


def silu_slope(x: Tensor) -> Tensor:
    """s(x) (1 + x s(-x)), s the sigmoid."""
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


@rule(aten.mish.default, Example(Variable(2, 5)))
def mish(self: Operand) -> Pointwise:
    """Between(-0.1126, 1.0885)."""
    return Pointwise(
        self,
        value=F.mish,
        derivative=_mish_slope,
        value_limits=(0.0, INF),
        slope_limits=(0.0, 1.0),
        value_turns=(-1.1924312145154952121,),
        slope_turns=(Turn(-2.25637639636079312), Turn(1.4905711794854284593)),
    )


def _mish_slope(x: Tensor) -> Tensor:
    """tanh(s) + x sigmoid(x) / cosh(s)^2, s = log(1 + exp(x))."""
    soft = -F.logsigmoid(-x)
    return torch.tanh(soft) + x * torch.sigmoid(x) / torch.cosh(soft) ** 2


@rule(aten.hardswish.default, Example(Variable(2, 5, lo=-5.0, hi=5.0)))
def hardswish(self: Operand) -> Pointwise:
    """Between(-1/2, 3/2)."""
    return Pointwise(
        self,
        value=lambda x: x * ((x + 3).clamp(0, 6) / 6),
        derivative=lambda x: torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, (2 * x + 3) / 6)),
        value_limits=(0.0, INF),
        slope_limits=(0.0, 1.0),
        value_turns=(-1.5,),
        slope_turns=(Turn(-3.0, 0.0, -0.5), Turn(3.0, 1.5, 1.0)),
        slopes_within=(-0.5, 1.5),
    )


@rule(
    aten.elu.default,
    Example(Variable(2, 5)),
    Example(Variable(3), 3.0),
    Example(Variable(3), -2, 0.5, 1.5),
    Example(Variable(3), 1.0, -1.0, 1.0),
    Example(Variable(3), 0.5, 1.0, -1.0),
    Example(Variable(3), 0.0),
)
def elu(self: Operand, alpha: float, scale: float, input_scale: float) -> Pointwise:
    """Between(0, scale max(1, alpha input_scale)) for positive parameters, Between(0, 1) by
    default."""
    return _exponential_below(
        self, float(scale), scale * alpha, float(input_scale), _product(scale, alpha, input_scale)
    )


@rule(aten.selu.default, Example(Variable(2, 5)))
def selu(self: Operand) -> Pointwise:
    """Between(0, 1.7581)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _exponential_below(self, scale, scale * alpha, 1.0, _product(scale, alpha))


@rule(
    aten.celu.default,
    Example(Variable(2, 5)),
    Example(Variable(3), 0.25),
    Example(Variable(3), 4.0),
    Example(Variable(3), -2.0),
)
def celu(self: Operand, alpha: float) -> Pointwise:
    """Between(0, 1) for alpha > 0."""
    if alpha == 0:
        raise InputError("celu with alpha = 0 divides by zero: give an alpha that is not")
    return _exponential_below(self, 1.0, float(alpha), 1 / alpha, (1.0, 1.0))


def _product(*factors: float) -> tuple[float, float]:
    """Doubles around the exact product of at most three numbers."""
    product = float(math.prod(factors))
    if sum(factor != 1 for factor in factors) <= 1 or product == 0:
        return product, product
    return round_down(round_down(product)), round_up(round_up(product))


def _exponential_below(
    x: Operand, above: float, height: float, rate: float, corner: tuple[float, float]
) -> Pointwise:
    """above * x for x > 0, height (exp(rate x) - 1) below, whose slope at 0- lies in `corner`.

    The argument rate x rounds: a relative error of up to 745 u where the exponential grows (rate <
    0).
    """
    grows = rate < 0
    steep = sum(corner) / 2
    return Pointwise(
        x,
        value=lambda x: torch.where(x > 0, above * x, height * torch.expm1(rate * x)),
        derivative=lambda x: torch.where(x > 0, above, steep * torch.exp(rate * x)),
        value_limits=(_far(height) if grows else -height * (rate > 0), _far(above)),
        slope_limits=(_far(steep) if grows else 0.0, above),
        value_turns=(0.0,),
        slope_turns=(Turn(0.0, steep, above),),
        error=2.0**-40 if grows else ROUNDING,
        absolute=ROUNDING * max(1.0, abs(height), abs(steep)),
        slopes_within=(-INF, INF)
        if grows
        else (min(0.0, above, corner[0]), max(0.0, above, corner[1])),
    )


def _far(slope: float) -> float:
    """The limit of slope * x at x = inf, with 0 * inf = 0."""
    return slope * INF if slope else 0.0
