"""Slopes of the activations: the known constants, tightness, and parameters and arguments at the
edge.

Covers autolip.rules.piecewise_linear, autolip.rules.elementary and autolip.rules.powers too.

Covers autolip.rules.piecewise_linear, autolip.rules.elementary and autolip.rules.powers too.
"""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.errors import InputError, UnsupportedOperation
from autolip.intervals import Interval
from autolip.rules import RULES, Rule
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Constant, Example, Operand, Variable
from autolip.slopes import Between, Gain
from autolip.testing import check_rule

aten = torch.ops.aten
INF = math.inf


def operand(lo: float, hi: float, shape: tuple[int, ...] = (1,)) -> Operand:
    return Operand("x", torch.Size(shape), Interval.uniform(lo, hi, shape))


def act(target: Any, *args: Any, **kwargs: Any) -> Action:
    """The rule's action, the first Operand among the arguments being x."""
    outcome = RULES[target](*args, **kwargs)[0]
    x = next(argument for argument in args if isinstance(argument, Operand))
    return action_of(outcome, x.shape)


def slopes(target: Any, lo: float, hi: float, *args: Any, **kwargs: Any) -> tuple[float, float]:
    slope = act(target, operand(lo, hi), *args, **kwargs).slopes[0][1]
    assert isinstance(slope, Between)
    return slope.lo.item(), slope.hi.item()


def values(target: Any, lo: float, hi: float, *args: Any, **kwargs: Any) -> tuple[float, float]:
    image = act(target, operand(lo, hi), *args, **kwargs).image
    return image.lo.item(), image.hi.item()


GLOBAL = [
    (aten.relu.default, (), (0.0, 1.0)),
    (aten.abs.default, (), (-1.0, 1.0)),
    (aten.relu6.default, (), (0.0, 1.0)),
    (aten.hardtanh.default, (-2.0, 2.0), (0.0, 1.0)),
    (aten.hardtanh.default, (1.0, 1.0), (0.0, 0.0)),
    (aten.clamp.default, (2.0, 1.0), (0.0, 0.0)),
    (aten.clamp.default, (None, 1.0), (0.0, 1.0)),
    (aten.leaky_relu.default, (0.1,), (0.1, 1.0)),
    (aten.leaky_relu.default, (-3.0,), (-3.0, 1.0)),
    (aten.leaky_relu.default, (2,), (1.0, 2.0)),
    (aten.rrelu.default, (0.1, 0.3), (0.2, 1.0)),
    (aten.softshrink.default, (0.5,), (0.0, 1.0)),
    (aten.hardshrink.default, (0.0,), (1.0, 1.0)),
    (aten.hardshrink.default, (0.5,), (-INF, INF)),
    (aten.threshold.default, (1.0, 1.0), (0.0, 1.0)),
    (aten.threshold.default, (1.0, 2.0), (-INF, INF)),
    (aten.tanh.default, (), (0.0, 1.0)),
    (aten.sigmoid.default, (), (0.0, 0.25)),
    (aten.log_sigmoid.default, (), (0.0, 1.0)),
    (aten.softplus.default, (), (0.0, 1.0)),
    (aten.softplus.default, (5.0,), (0.0, 1.0)),
    (aten.softplus.default, (1.0, 3.0), (-INF, INF)),
    (aten.elu.default, (), (0.0, 1.0)),
    (aten.elu.default, (0.5,), (0.0, 1.0)),
    (aten.elu.default, (3.0,), (0.0, 3.0)),
    (aten.elu.default, (-2.0,), (-2.0, 1.0)),
    (aten.elu.default, (0.0,), (0.0, 1.0)),
    (aten.elu.default, (1.0, 1.0, -1.0), (-INF, 1.0)),
    (aten.selu.default, (), (0.0, 1.6732632423543772 * 1.0507009873554805)),
    (aten.celu.default, (0.25,), (0.0, 1.0)),
    (aten.celu.default, (-1.0,), (1.0, INF)),
    (aten.gelu.default, (), (-0.128904145185154786, 1.128904145185154786)),
    (aten.silu.default, (), (-0.099839320128866917, 1.099839320128866917)),
    (aten.mish.default, (), (-0.112526122389462556, 1.088498161251727863)),
    (aten.hardsigmoid.default, (), (0.0, 1 / 6)),
    (aten.hardswish.default, (), (-0.5, 1.5)),
    (aten.sin.default, (), (-1.0, 1.0)),
    (aten.atan.default, (), (0.0, 1.0)),
    (aten.asinh.default, (), (0.0, 1.0)),
    (aten.erf.default, (), (0.0, 2 / math.sqrt(math.pi))),
    (aten.exp.default, (), (0.0, INF)),
    (aten.log.default, (), (-INF, INF)),
    (aten.pow.Tensor_Scalar, (1,), (1.0, 1.0)),
    (aten.pow.Tensor_Scalar, (0,), (0.0, 0.0)),
    (aten.sign.default, (), (0.0, INF)),
]


@pytest.mark.parametrize(("target", "parameters", "expected"), GLOBAL, ids=str)
def test_global_slopes(
    target: Any, parameters: tuple[Any, ...], expected: tuple[float, float]
) -> None:
    lo, hi = slopes(target, -INF, INF, *parameters)
    assert lo <= expected[0]
    assert hi >= expected[1]
    assert (lo, hi) == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(
    "target", [aten.relu.default, aten.tanh.default, aten.elu.default, aten.log_sigmoid.default]
)
def test_a_slope_of_at_most_one_is_exactly_one(target: Any) -> None:
    assert slopes(target, -INF, INF) == (0.0, 1.0)


ON_BOXES = [
    (aten.relu.default, (0.0, 5.0), (), (1.0, 1.0)),
    (aten.relu.default, (-5.0, 0.0), (), (0.0, 0.0)),
    (aten.gelu.default, (-0.5, 0.5), (), (0.132505, 0.867495)),
    (aten.silu.default, (-9.0, -3.0), (), (-0.0881, -0.000987)),
    (aten.sigmoid.default, (1.0, 2.0), (), (0.10499, 0.19661)),
    (aten.hardswish.default, (-1.0, 1.0), (), (1 / 6, 5 / 6)),
    (aten.hardshrink.default, (-0.5, 0.5), (0.5,), (0.0, 0.0)),
    (aten.hardshrink.default, (0.6, 9.0), (0.5,), (1.0, 1.0)),
    (aten.threshold.default, (-INF, 1.0), (1.0, 7.0), (0.0, 0.0)),
    (aten.threshold.default, (1.0, 2.0), (1.0, 7.0), (-INF, INF)),
    (aten.sqrt.default, (4.0, 9.0), (), (1 / 6, 1 / 4)),
    (aten.sqrt.default, (0.0, 9.0), (), (1 / 6, INF)),
    (aten.sqrt.default, (-1e-9, 9.0), (), (-INF, INF)),
    (aten.log.default, (0.5, 2.0), (), (0.5, 2.0)),
    (aten.rsqrt.default, (1.0, 4.0), (), (-0.5, -0.0625)),
    (aten.reciprocal.default, (-2.0, -1.0), (), (-1.0, -0.25)),
    (aten.reciprocal.default, (-1.0, 1.0), (), (-INF, INF)),
    (aten.square.default, (-1.0, 3.0), (), (-2.0, 6.0)),
    (aten.pow.Tensor_Scalar, (-1.0, 2.0), (3,), (0.0, 12.0)),
    (aten.pow.Tensor_Scalar, (-2.0, -1.0), (-2,), (0.25, 2.0)),
    (aten.pow.Tensor_Scalar, (0.0, 4.0), (1.5,), (0.0, 3.0)),
    (aten.exp.default, (-INF, 0.0), (), (0.0, 1.0)),
    (aten.sin.default, (0.0, 1.0), (), (math.cos(1), 1.0)),
    (aten.cos.default, (3.0, 3.3), (), (-math.sin(3), -math.sin(3.3))),
    (aten.tan.default, (-0.5, 1.0), (), (1.0, 1 + math.tan(1) ** 2)),
    (aten.tan.default, (1.0, 2.0), (), (-INF, INF)),
    (aten.asin.default, (-0.6, 0.0), (), (1.0, 1.25)),
    (aten.acosh.default, (1.25, 2.0), (), (1 / math.sqrt(3), 4 / 3)),
    (aten.floor.default, (0.0, 0.99), (), (0.0, 0.0)),
    (aten.floor.default, (0.5, 1.0), (), (0.0, INF)),
    (aten.round.default, (-0.5, 0.5), (), (0.0, 0.0)),
    (aten.remainder.Scalar, (2.1, 2.9), (1.0,), (1.0, 1.0)),
    (aten.remainder.Scalar, (-0.1, 0.1), (1.0,), (-INF, INF)),
    (aten.fmod.Scalar, (-0.9, 0.9), (1.0,), (1.0, 1.0)),
    (aten.fmod.Scalar, (-1.0, 0.0), (1.0,), (-INF, INF)),
    (aten.gt.Scalar, (1.0, 2.0), (0.5,), (0.0, 0.0)),
    (aten.isfinite.default, (1.0, 2.0), (), (0.0, 0.0)),
    (aten.isnan.default, (1.0, INF), (), (-INF, INF)),
]


def _interval(
    target: Any, box: tuple[float, float], parameters: tuple[Any, ...]
) -> tuple[float, float]:
    """The slope interval; a rule may also say that it is a constant."""
    slope = act(target, operand(*box), *parameters).slopes[0][1]
    return (slope.lo.item(), slope.hi.item()) if isinstance(slope, Between) else (0.0, 0.0)


@pytest.mark.parametrize(("target", "box", "parameters", "expected"), ON_BOXES, ids=str)
def test_slopes_on_boxes(
    target: Any,
    box: tuple[float, float],
    parameters: tuple[Any, ...],
    expected: tuple[float, float],
) -> None:
    assert _interval(target, box, parameters) == pytest.approx(expected, rel=1e-4, abs=1e-12)


IMAGES = [
    (aten.gelu.default, (-INF, INF), (), (-0.16997120747990367, INF)),
    (aten.silu.default, (-INF, INF), (), (-0.2784645427610738, INF)),
    (aten.mish.default, (-INF, INF), (), (-0.3088434130172504, INF)),
    (aten.hardswish.default, (-INF, INF), (), (-0.375, INF)),
    (aten.tanh.default, (-INF, INF), (), (-1.0, 1.0)),
    (aten.exp.default, (-INF, INF), (), (0.0, INF)),
    (aten.abs.default, (-2.0, 1.0), (), (0.0, 2.0)),
    (aten.elu.default, (-INF, INF), (2.0,), (-2.0, INF)),
    (aten.clamp.default, (-INF, INF), (-1.0, 2.0), (-1.0, 2.0)),
    (aten.threshold.default, (-INF, INF), (1.0, 7.0), (1.0, INF)),
    (aten.hardshrink.default, (0.0, 0.4), (0.5,), (0.0, 0.0)),
    (aten.reciprocal.default, (0.0, 2.0), (), (0.5, INF)),
    (aten.square.default, (-3.0, 2.0), (), (0.0, 9.0)),
    (aten.cosh.default, (-1.0, 0.5), (), (1.0, math.cosh(1))),
    (aten.sin.default, (0.0, 2.0), (), (0.0, 1.0)),
    (aten.cos.default, (4.0, 6.0), (), (math.cos(4), math.cos(6))),
    (aten.floor.default, (-0.5, 1.5), (), (-1.0, 1.0)),
    (aten.gt.Scalar, (-1.0, 1.0), (0.0,), (0.0, 1.0)),
    (aten.remainder.Scalar, (-INF, INF), (3.0,), (0.0, 3.0)),
    (aten.softplus.default, (-INF, INF), (), (0.0, INF)),
]


@pytest.mark.parametrize(("target", "box", "parameters", "expected"), IMAGES, ids=str)
def test_images(
    target: Any,
    box: tuple[float, float],
    parameters: tuple[Any, ...],
    expected: tuple[float, float],
) -> None:
    lo, hi = values(target, *box, *parameters)
    assert lo <= expected[0] + 2**-52
    assert hi >= expected[1]
    assert (lo, hi) == pytest.approx(expected, rel=1e-12, abs=1e-8)


# Tightness: every finite end of a slope interval is approached by difference quotients.

SMOOTH_GROUPS = {"activations", "piecewise_linear", "elementary", "powers"}
SMOOTH = [rule for rule in RULES.values() if rule.group in SMOOTH_GROUPS]
BOXES = [(-INF, INF), (-2.6, 0.7), (0.31, 4.1), (-0.55, 0.9), (0.2, 0.21)]


def _grid(lo: float, hi: float) -> Tensor:
    """Points of [lo, hi], close pairs at the ends and at the likely kinks, and far ones on an
    infinite side."""
    left, right = max(lo, -6.5), min(hi, 6.5)
    kinks = torch.tensor(
        [-3, -2, -1, -0.5, 0, 0.25, 0.5, 1, 2, 3, 6, left, right], dtype=torch.float64
    )
    near = torch.cat([kinks, kinks - 1e-7, kinks + 1e-7])
    far = torch.tensor([700.0, 800.0, 1e8, 1e9, 1e299, 1e300], dtype=torch.float64)
    far = torch.cat([far, -far])
    near = near[(near >= left) & (near <= right)].unique()
    even = torch.linspace(left, right, 6001, dtype=torch.float64)
    even = even[(even[:, None] - near).abs().amin(1) > 1e-6]
    return torch.cat([even, near, far[(far >= lo) & (far <= hi)]]).unique()


def _with_constants(example: Example) -> tuple[Variable, Any]:
    """The example's variable, and the call with its constants drawn."""
    generator = torch.Generator().manual_seed(5)

    def draw(argument: Any) -> Any:
        if not isinstance(argument, Constant):
            return argument
        noise = torch.randn(argument.shape, generator=generator, dtype=torch.float64)
        return noise.abs() if argument.positive else noise

    args = [draw(argument) for argument in example.args]
    position = next(i for i, argument in enumerate(args) if isinstance(argument, Variable))
    variable = args[position]

    def bound(x: Any) -> tuple[Any, ...]:
        return (*args[:position], x, *args[position + 1 :])

    return variable, bound


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("rule", SMOOTH, ids=lambda rule: rule.name)
def test_slopes_and_images_are_attained(rule: Rule, box: tuple[float, float]) -> None:
    grid = _grid(*box)
    for example in rule.examples:
        variable, bound = _with_constants(example)
        args = bound(operand(*box, variable.shape))
        outcome = rule(*args, **example.kwargs)[0]
        x = grid.view(-1, *[1] * len(variable.shape)).expand(-1, *variable.shape)
        y = _apply(rule, bound, x, example.kwargs)
        action = action_of(outcome, y.shape[1:])
        slope = action.slopes[0][1]
        if isinstance(slope, Between):
            quotients = y.diff(dim=0) / x.diff(dim=0)
            _assert_attained(slope.lo, slope.hi, quotients, 2e-6)
        _assert_attained(action.image.lo, action.image.hi, y, 2e-6)


def _apply(rule: Rule, bound: Any, x: Tensor, kwargs: dict[str, Any]) -> Tensor:
    """The operation at every point; some cannot be mapped, but take a batch as it is."""
    if rule.target is aten.rrelu.default:
        return rule.target(*bound(x), **kwargs)
    return torch.vmap(lambda one: rule.target(*bound(one), **kwargs))(x).double()


def _assert_attained(lo: Tensor, hi: Tensor, found: Tensor, tolerance: float) -> None:
    """No finite end is further out than what was found, but for the tolerance (relative above
    1)."""
    least, most = (
        found.nan_to_num(INF, INF, -INF).amin(0),
        found.nan_to_num(-INF, INF, -INF).amax(0),
    )
    for end, extreme in ((lo, least), (hi, most)):
        gap = ((end - extreme).abs() / end.abs().clamp(min=1.0))[
            end.isfinite() & extreme.isfinite()
        ]
        assert (gap <= tolerance).all(), (lo, hi, least, most)


# Parameters and arguments at the edge.


def test_prelu_has_one_slope_per_channel() -> None:
    weight = torch.tensor([0.5, -2.0, 3.0])
    slope = act(aten.prelu.default, operand(-1.0, 1.0, (2, 3, 4)), weight).slopes[0][1]
    assert isinstance(slope, Between)
    assert slope.lo[0, :, 0].tolist() == pytest.approx([0.5, -2.0, 1.0])
    assert slope.hi[1, :, 3].tolist() == pytest.approx([1.0, 1.0, 3.0])


def test_rrelu_in_training_mode_is_refused() -> None:
    with pytest.raises(InputError, match="eval"):
        RULES[aten.rrelu.default](operand(-1, 1), 0.1, 0.3, True)


@pytest.mark.parametrize("parameters", [(aten.softplus.default, 0.0), (aten.celu.default, 0.0)])
def test_division_by_a_zero_parameter_is_refused(parameters: tuple[Any, float]) -> None:
    target, value = parameters
    with pytest.raises(InputError, match="zero"):
        RULES[target](operand(-1, 1), value)


def test_a_negative_base_is_refused() -> None:
    with pytest.raises(InputError, match="positive"):
        RULES[aten.pow.Scalar](-2.0, operand(-1, 1))


@pytest.mark.parametrize(
    "target", [aten.clamp_min.Tensor, aten.prelu.default, aten.pow.Tensor_Tensor, aten.fmod.Tensor]
)
def test_a_varying_parameter_is_refused(target: Any) -> None:
    with pytest.raises(UnsupportedOperation, match="input"):
        RULES[target](operand(-1, 1), operand(-1, 1))


@pytest.mark.parametrize("parameter", [-2.5, -1.0, 0.0, 1e-12, 0.3, 1.0, 7.0, 1e6])
@pytest.mark.parametrize(
    "target", [aten.leaky_relu.default, aten.elu.default, aten.softplus.default, aten.celu.default]
)
def test_the_law_holds_for_every_parameter(target: Any, parameter: float) -> None:
    if parameter == 0 and target in (aten.softplus.default, aten.celu.default):
        return
    rule = RULES[target]
    check_rule(Rule(rule.target, rule.group, rule.function, (Example(Variable(4), parameter),)))


LARGE = [
    (1e300, 1e301),
    (-1e301, -1e300),
    (-INF, -1e300),
    (1e300, INF),
    (-1e307, 1e307),
    (745.0, 800.0),
]


@pytest.mark.parametrize("box", LARGE, ids=str)
@pytest.mark.parametrize(
    "target",
    [
        aten.gelu.default,
        aten.silu.default,
        aten.mish.default,
        aten.hardswish.default,
        aten.softplus.default,
        aten.log_sigmoid.default,
        aten.elu.default,
        aten.tanh.default,
        aten.sigmoid.default,
        aten.asinh.default,
        aten.atan.default,
        aten.erf.default,
    ],
    ids=str,
)
def test_large_arguments_give_finite_and_sound_slopes(
    target: Any, box: tuple[float, float]
) -> None:
    lo, hi = slopes(target, *box)
    low, high = values(target, *box)
    ends = torch.tensor([end for end in box if math.isfinite(end)], dtype=torch.float64)
    assert -2 < lo <= hi < 2
    assert all(low <= value <= high for value in target(ends).tolist())
    if box[0] > 700 and target in (
        aten.gelu.default,
        aten.silu.default,
        aten.mish.default,
        aten.elu.default,
    ):
        assert (lo, hi) == pytest.approx((1.0, 1.0))


def test_gelu_by_tanh_is_not_nan_at_large_arguments() -> None:
    assert slopes(aten.gelu.default, 1e300, 1e301, approximate="tanh") == pytest.approx((1.0, 1.0))
    assert slopes(aten.gelu.default, -1e301, -1e300, approximate="tanh") == pytest.approx(
        (0.0, 0.0)
    )


def test_an_overflowing_lower_end_stays_finite() -> None:
    low, high = values(aten.exp.default, 800.0, 900.0)
    assert math.isfinite(low)
    assert high == INF


def test_the_sine_of_many_periods_and_of_large_numbers() -> None:
    assert values(aten.sin.default, 0.0, 100.0) == (-1.0, 1.0)
    assert values(aten.sin.default, 1e18, 1e18 + 1e6) == (-1.0, 1.0)
    assert values(aten.sin.default, 1e300, 1e300) == (-1.0, 1.0)


def test_softplus_past_its_threshold_stays_within_the_error() -> None:
    """PyTorch's softplus drops by 2.1e-9 at 20: the image must contain both sides."""
    low, high = values(aten.softplus.default, 19.9999999999, 20.0000000001)
    at = torch.tensor([20.0, 20.0000000001], dtype=torch.float64)
    assert all(low <= value <= high for value in F.softplus(at).tolist())


def test_a_parameter_that_broadcasts_makes_a_gain_by_copies() -> None:
    """clamp of one number by three bounds: three outputs move with one input."""
    x = operand(-1.0, 1.0, (1,))
    outcome = RULES[aten.clamp_min.Tensor](x, torch.zeros(3))[0]
    slope = action_of(outcome, torch.Size([3])).slopes[0][1]
    assert isinstance(slope, Gain)
    assert {norm.value: bound.value for norm, bound in slope.norms.items()} == pytest.approx(
        {"l1": 3.0, "l2": math.sqrt(3), "linf": 1.0}
    )


def test_comparisons_of_ranges_decide() -> None:
    left, right = operand(0.0, 1.0), Operand("y", torch.Size([1]), Interval.uniform(2.0, 3.0, (1,)))
    assert action_of(RULES[aten.lt.Tensor](left, right)[0], left.shape).image.lo.item() == 1.0
    assert action_of(RULES[aten.eq.Tensor](left, right)[0], left.shape).image.hi.item() == 0.0
    overlapping = RULES[aten.lt.Tensor](left, operand(0.5, 2.0))[0]
    assert action_of(overlapping, left.shape).slopes[0][1].hi.item() == INF  # type: ignore[union-attr]
