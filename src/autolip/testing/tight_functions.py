"""Activations on intervals on both sides of each of their constants, and the steepest slope
there."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import mpmath
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolip.regions import Box, Everywhere
from autolip.testing.exact import Known
from autolip.testing.tight import Tight
from autolip.testing.tight_ratios import EXACT

DIGITS = 50
"""Chosen: decimal digits to which derivatives are evaluated."""

Ends = tuple[float, float]
Derivative = Callable[[mpmath.mpf], mpmath.mpf]


@dataclass(frozen=True)
class _Function:
    """An activation, its derivative, the numbers where the derivative turns or jumps, intervals to
    try it on."""

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Derivative
    turns: tuple[float, ...]
    intervals: tuple[Ends, ...]

    def steepest(self, lo: float, hi: float) -> Known:
        """max |f'| over [lo, hi]: at an end, at a turn, or on either side of one."""
        with mpmath.workdps(DIGITS):
            step = mpmath.mpf(10) ** (5 - DIGITS)
            inside = [t for t in self.turns if lo <= t <= hi]
            beside = [mpmath.mpf(t) + side for t in inside for side in (-step, 0, step)]
            places = [
                mpmath.mpf(lo) + step,
                mpmath.mpf(hi) - step,
                *(x for x in beside if lo < x < hi),
            ]
            best = max(abs(self.derivative(x)) for x in places)
            number = Fraction(int(mpmath.nint(mpmath.ldexp(best, 120))), 2**120)
        return Known.of(number, Fraction(1, 10**30))


def tight_functions() -> tuple[Tight, ...]:
    """Each of the activations on each of its intervals."""
    return tuple(_networks())


def _networks() -> Iterator[Tight]:
    for f in (*_bent(), *_smooth(), *_humped(), *_growing()):
        for lo, hi in f.intervals:
            whole = (lo, hi) == WHOLE
            region = Everywhere() if whole else Box(torch.tensor([[lo]]), torch.tensor([[hi]]))
            where = "everywhere" if whole else f"on [{lo:g}, {hi:g}]"
            ends = (-FAR, FAR) if whole else (lo, hi)
            middle = torch.tensor([[0.0 if whole else (lo + hi) / 2]], dtype=torch.float64)
            number = f.steepest(*ends)
            within = {} if f.name in LOOSE or not number.low else dict.fromkeys(METHODS, EXACT)
            yield Tight(
                f"{f.name} {where}", f.function, middle, (), region, number, ("l2",), within
            )


METHODS = "autolip", "autolip-raw", "frobenius", "liplt", "rescaled", "nonnegative"
"""What multiplies or adds up single slopes is exact for one."""

LOOSE = ("logit",)
"""Rules whose slopes on an interval are wider than the derivative."""

WHOLE = (-math.inf, math.inf)
"""Everywhere."""

FAR = 400.0
"""Proved by their asymptotics: how far out derivatives have reached their limits to more than 30
digits, or do not matter."""


def _step(*pieces: float) -> Derivative:
    """s_0 below t_1, s_1 between t_1 and t_2, ...: written s_0, t_1, s_1, t_2, s_2."""
    slopes = pieces[::2]
    places = pieces[1::2]
    return lambda x: mpmath.mpf(slopes[sum(x > t for t in places)])


def _around(*turns: float) -> tuple[Ends, ...]:
    """Intervals left of, right of, between and across some numbers."""
    first = turns[0]
    last = turns[-1]
    between = [(a + (b - a) / 4, b - (b - a) / 4) for a, b in itertools.pairwise(turns)]
    return (
        WHOLE,
        (first - 2, first - 1),
        (first - 1, first + 0.25),
        *between,
        (last - 0.25, last + 1),
        (last + 1, last + 2),
    )


def _bent() -> Iterator[_Function]:
    """Piecewise linear and piecewise quadratic functions."""
    two = torch.tensor([0.25], dtype=torch.float64)
    yield _Function("relu", F.relu, _step(0, 0, 1), (0,), _around(0))
    yield _Function("leaky relu 0.25", nn.LeakyReLU(0.25), _step(0.25, 0, 1), (0,), _around(0))
    yield _Function("leaky relu -3", nn.LeakyReLU(-3.0), _step(-3, 0, 1), (0,), _around(0))
    yield _Function("prelu", lambda x: F.prelu(x, two), _step(0.25, 0, 1), (0,), _around(0))
    yield _Function(
        "hardtanh [-0.5, 2]",
        nn.Hardtanh(-0.5, 2.0),
        _step(0, -0.5, 1, 2, 0),
        (-0.5, 2),
        _around(-0.5, 2),
    )
    yield _Function("relu6", F.relu6, _step(0, 0, 1, 6, 0), (0, 6), _around(0, 6))
    yield _Function("clamp above 1", lambda x: x.clamp(max=1.0), _step(1, 1, 0), (1,), _around(1))
    yield _Function(
        "clamp below -1", lambda x: x.clamp(min=-1.0), _step(0, -1, 1), (-1,), _around(-1)
    )
    yield _Function(
        "clamp [2, 1]", lambda x: x.clamp(2.0, 1.0), _step(0), (), (WHOLE, (0, 1.5), (1.25, 1.75))
    )
    yield _Function("abs", lambda x: torch.abs(x), _step(-1, 0, 1), (0,), _around(0))
    yield _Function("-2 relu", lambda x: -2 * F.relu(x), _step(0, 0, -2), (0,), _around(0))
    yield _Function(
        "softshrink 0.75",
        nn.Softshrink(0.75),
        _step(1, -0.75, 0, 0.75, 1),
        (-0.75, 0.75),
        _around(-0.75, 0.75),
    )
    inside = (-3, 3)
    yield _Function(
        "hardsigmoid", F.hardsigmoid, lambda x: mpmath.mpf(abs(x) < 3) / 6, inside, _around(*inside)
    )
    yield _Function(
        "hardswish", F.hardswish, _hardswish, inside, (*_around(*inside), (-2, -1), (2, 2.5))
    )
    beside = ((0.75, 2.0), (-1.0, 0.25))
    yield _Function(
        "hardshrink 0.5",
        nn.Hardshrink(0.5),
        _step(1, -0.5, 0, 0.5, 1),
        (-0.5, 0.5),
        (beside[0], (-0.25, 0.25)),
    )
    yield _Function("threshold 0.5", nn.Threshold(0.5, 3.0), _step(0, 0.5, 1), (0.5,), beside)


def _hardswish(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.mpf(x > 3) if abs(x) > 3 else (2 * x + 3) / 6


def _sigmoid(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def _normal(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def _silu(x: mpmath.mpf) -> mpmath.mpf:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _mish(x: mpmath.mpf) -> mpmath.mpf:
    t = mpmath.tanh(mpmath.log1p(mpmath.exp(x)))
    return t + x * (1 - t * t) * _sigmoid(x)


def _gelu(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.ncdf(x) + x * _normal(x)


def _gelu_tanh(x: mpmath.mpf) -> mpmath.mpf:
    c, k = mpmath.sqrt(2 / mpmath.pi), mpmath.mpf("0.044715")
    t = mpmath.tanh(c * (x + k * x**3))
    turned = (1 - t * t) * c * (1 + 3 * k * x * x)
    return (1 + t) / 2 + x / 2 * turned


def _turn(derivative: Derivative, near: float) -> float:
    """Where the derivative turns, near a number: to double precision, which is enough at its
    flat top."""
    with mpmath.workdps(DIGITS):
        return float(mpmath.findroot(lambda x: mpmath.diff(derivative, x), near))


def _exponential(scale: float, rate: float) -> Derivative:
    """Of ELU and CELU: `scale` e^(rate x) below 0, 1 above."""
    return lambda x: scale * mpmath.exp(rate * x) if x < 0 else mpmath.mpf(1)


def _selu(x: mpmath.mpf) -> mpmath.mpf:
    """With torch's constants, which are doubles."""
    scale = mpmath.mpf(1.0507009873554804934193349852946)
    alpha = mpmath.mpf(1.6732632423543772848170429916717)
    return scale * (alpha * mpmath.exp(x) if x < 0 else 1)


def _softplus_cut(x: mpmath.mpf) -> mpmath.mpf:
    """Of softplus with beta 2, which is linear where 2 x is above its threshold, 1."""
    return _sigmoid(2 * x) if 2 * x <= 1 else mpmath.mpf(1)


def _smooth() -> Iterator[_Function]:
    """Functions whose derivatives turn at 0, or only tend to their limits."""
    bell: Derivative = lambda x: _sigmoid(x) * _sigmoid(-x)  # noqa: E731
    turning: tuple[tuple[str, Callable[[Tensor], Tensor], Derivative], ...] = (
        ("elu 2", nn.ELU(2.0), _exponential(2, 1)),
        ("elu 0.5", nn.ELU(0.5), _exponential(0.5, 1)),
        ("celu 2", nn.CELU(2.0), _exponential(1, 0.5)),
        ("selu", nn.SELU(), _selu),
        ("sigmoid", lambda x: torch.sigmoid(x), bell),
        ("1 - sigmoid", lambda x: 1 - torch.sigmoid(x), lambda x: -bell(x)),
        ("tanh", lambda x: torch.tanh(x), lambda x: 1 / mpmath.cosh(x) ** 2),
        ("softsign", lambda x: F.softsign(x), lambda x: 1 / (1 + abs(x)) ** 2),
        ("tanhshrink", lambda x: F.tanhshrink(x), lambda x: mpmath.tanh(x) ** 2),
    )
    for name, function, derivative in turning:
        yield _Function(name, function, derivative, (0,), _around(0))
    yield _Function("logsigmoid", lambda x: F.logsigmoid(x), lambda x: _sigmoid(-x), (), _around(0))
    soft = nn.Softplus(beta=2.0, threshold=1e9)
    yield _Function("softplus 2", soft, lambda x: _sigmoid(2 * x), (), _around(0))
    cut = nn.Softplus(beta=2.0, threshold=1.0)
    sides = ((-1.0, 0.25), (0.75, 2.0))
    yield _Function("softplus 2, threshold 1", cut, _softplus_cut, (0.5,), sides)


def _humped() -> Iterator[_Function]:
    """Functions that are steepest on either side of 0, beyond their limits at infinity."""
    intervals = (WHOLE, (-4.0, -1.0), (-1.0, 1.0), (1.0, 4.0), (3.0, 3.5))
    for name, function, derivative, tops in (
        ("silu", lambda x: F.silu(x), _silu, (2.4, -2.4)),
        ("mish", lambda x: F.mish(x), _mish, (1.5, -2.2)),
        ("gelu", lambda x: F.gelu(x), _gelu, (1.41, -1.41)),
        ("gelu by tanh", nn.GELU("tanh"), _gelu_tanh, (1.4, -1.4)),
    ):
        turns = tuple(_turn(derivative, near) for near in tops)
        yield _Function(name, function, derivative, turns, intervals)


def _growing() -> Iterator[_Function]:
    """Functions that are steep somewhere: finite on intervals alone."""
    yield _Function("exp", lambda x: torch.exp(x), mpmath.exp, (), ((-2.0, -1.0), (0.0, 1.5)))
    yield _Function(
        "square", lambda x: torch.square(x), lambda x: 2 * x, (0,), ((-2.0, 1.0), (0.5, 3.0))
    )
    yield _Function("x^3", lambda x: x**3, lambda x: 3 * x * x, (0,), ((-2.0, 1.0), (0.5, 1.0)))
    yield _Function(
        "x^0.5", lambda x: x**0.5, lambda x: 1 / (2 * mpmath.sqrt(x)), (), ((0.25, 1.0),)
    )
    yield _Function("log", lambda x: torch.log(x), lambda x: 1 / x, (), ((0.25, 1.0), (2.0, 5.0)))
    yield _Function(
        "reciprocal",
        lambda x: torch.reciprocal(x),
        lambda x: -1 / x**2,
        (),
        ((0.5, 3.0), (-2.0, -1.0)),
    )
    yield _Function(
        "sin", lambda x: torch.sin(x), mpmath.cos, (0,), (WHOLE, (0.25, 1.0), (-1.0, 1.0))
    )
    yield _Function(
        "logit",
        lambda x: torch.logit(x, eps=0.125),
        lambda x: 1 / (x - x * x),
        (),
        ((0.25, 0.5), (0.5, 0.75)),
    )
