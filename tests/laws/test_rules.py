"""Every rule obeys its law, and a rule with a wrong slope does not.

The law runs on every rule that is registered, whatever its file, and so covers autolip.rules.rule
and autolip.rules.ordering too; mutants show that autolip.testing.rules, on the boxes and points of
autolip.testing.places, raises autolip.testing.violation.

The law runs on every rule that is registered, whatever its file, and so covers autolip.rules.rule
and autolip.rules.ordering; its mutants show that autolip.testing.rules, on the boxes and points of
autolip.testing.places, raises autolip.testing.violation.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autolip.intervals import Interval
from autolip.operators.algebra import compose
from autolip.operators.diagonal import Diagonal
from autolip.rules import RULES, Rule
from autolip.rules.derive import action_of
from autolip.rules.rule import Action, Example, Operand, Pointwise, Turn, Variable
from autolip.slopes import Between, Exact, Gain
from autolip.testing import LawViolation, check_rule
from autolip.values import Upper

aten = torch.ops.aten


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.filterwarnings("ignore")
def test_every_rule_explains_every_difference(rule: Rule) -> None:
    check_rule(rule)


def mutant(target: Any, change: Callable[..., Any], **settings: Any) -> Rule:
    """The rule with `change` applied to each of its outcomes, its arguments overridden by
    `settings`."""
    original = RULES[target]

    def function(**arguments: Any) -> Any:
        outcome = original.function(**(arguments | settings))
        return [
            change(one) for one in (outcome if isinstance(outcome, list | tuple) else [outcome])
        ]

    return replace(original, function=function)


def with_fields(**fields: Any) -> Callable[[Pointwise], Pointwise]:
    return lambda record: replace(record, **fields)


def same(outcome: Any) -> Any:
    return outcome


def with_slopes(change: Callable[[Any], Any]) -> Callable[[Action], Action]:
    return lambda action: replace(
        action, slopes=tuple((x, change(slope)) for x, slope in action.slopes)
    )


def gains(change: Callable[[float], float]) -> Callable[[Action], Action]:
    def altered(slope: Gain) -> Gain:
        return replace(
            slope, norms={norm: Upper(change(bound.value)) for norm, bound in slope.norms.items()}
        )

    return with_slopes(altered)


def scaled(factor: float) -> Callable[[Action], Action]:
    def altered(slope: Exact) -> Exact:
        shape = slope.operator.out_shape
        return Exact(compose(Diagonal(torch.tensor(factor), shape), slope.operator))

    return with_slopes(altered)


def shifted_image(action: Action) -> Action:
    return replace(action, image=Interval(action.image.lo + 1e-3, action.image.hi + 1e-3))


MUTANTS = {
    "relu of slope 0.99": mutant(
        aten.relu.default,
        with_fields(
            derivative=lambda x: 0.99 * (x > 0),
            slope_limits=(0.0, 0.99),
            slope_turns=(Turn(0.0, 0.0, 0.99),),
        ),
    ),
    "relu without its kink": mutant(
        aten.relu.default, with_fields(slope_turns=(), slope_limits=(0.0, 0.0))
    ),
    "relu with image above 1": mutant(
        aten.relu.default, with_fields(values_within=(1.0, float("inf")))
    ),
    "silu in [0, 1]": mutant(aten.silu.default, with_fields(slopes_within=(0.0, 1.0))),
    "gelu in [0, 1]": mutant(aten.gelu.default, with_fields(slopes_within=(0.0, 1.0))),
    "gelu of at least 0": mutant(
        aten.gelu.default, with_fields(value_turns=(), values_within=(0.0, float("inf")))
    ),
    "mish below 1": mutant(aten.mish.default, with_fields(slopes_within=(-1.0, 1.0))),
    "elu without alpha": mutant(aten.elu.default, same, alpha=1.0),
    "elu without scale": mutant(aten.elu.default, same, scale=1.0),
    "celu as elu": mutant(aten.celu.default, same, alpha=1.0),
    "sigmoid of slope 0.24": mutant(aten.sigmoid.default, with_fields(slopes_within=(0.0, 0.24))),
    "sigmoid by its ends": mutant(aten.sigmoid.default, with_fields(slope_turns=())),
    "tanh by its ends": mutant(aten.tanh.default, with_fields(slope_turns=())),
    "hardswish in [0, 1]": mutant(aten.hardswish.default, with_fields(slopes_within=(0.0, 1.0))),
    "leaky relu with the default slope": mutant(aten.leaky_relu.default, same, negative_slope=0.01),
    "prelu in [0, 1]": mutant(aten.prelu.default, with_fields(slopes_within=(0.0, 1.0))),
    "hardshrink without jumps": mutant(aten.hardshrink.default, with_fields(jumps=())),
    "threshold without jump": mutant(aten.threshold.default, with_fields(jumps=())),
    "clamp with the wrong bound": mutant(aten.clamp.default, same, max=0.25),
    "sqrt of negative numbers": mutant(
        aten.sqrt.default, with_fields(domain=(-float("inf"), float("inf")))
    ),
    "reciprocal without pole": mutant(
        aten.reciprocal.default, with_fields(jumps=(), slope_turns=())
    ),
    "square of slope x": mutant(aten.square.default, with_fields(derivative=lambda x: x)),
    "softplus without beta": mutant(aten.softplus.default, same, beta=1.0),
    "sine with the image of a part": mutant(aten.sin.default, shifted_image),
    "linear with its weight off by 1e-6": mutant(aten.linear.default, scaled(1 - 1e-6)),
    "softmax of gain 0.4": mutant(aten.softmax.int, gains(lambda bound: 0.8 * bound)),
    "sorting that contracts": mutant(aten.sort.default, gains(lambda bound: 0.99 * bound)),
    "logsumexp of gain 0.5": mutant(aten.logsumexp.default, gains(lambda bound: 0.5 * bound)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_rule_is_caught(name: str) -> None:
    with pytest.raises(LawViolation):
        check_rule(MUTANTS[name])


def test_overlapping_windows_of_gain_one_are_caught() -> None:
    """A 3/2 max-pool has l2 gain 2: an input is the maximum of up to four windows."""
    overlapping = (Example(Variable(1, 1, 7, 7), [3, 3], [2, 2]),)
    check_rule(replace(RULES[aten.max_pool2d.default], examples=overlapping))
    of_gain_one = mutant(aten.max_pool2d.default, gains(lambda bound: 1.0))
    with pytest.raises(LawViolation, match="explain"):
        check_rule(replace(of_gain_one, examples=overlapping))


def test_a_violation_names_rule_example_region_and_pair() -> None:
    with pytest.raises(
        LawViolation, match=r"(?s)aten.silu.default.*Variable.*region.*\(x, y\).*\(f\(x\), f\(y\)\)"
    ):
        check_rule(MUTANTS["silu in [0, 1]"])


def test_a_rule_that_refuses_its_examples_is_caught() -> None:
    refusing = mutant(
        aten.pow.Tensor_Tensor,
        same,
        exponent=Operand("y", torch.Size([3]), Interval.everywhere((3,))),
    )
    with pytest.raises(LawViolation, match="refuses its own example"):
        check_rule(replace(refusing, examples=(Example(Variable(3), torch.ones(3)),)))


def test_a_rule_with_the_wrong_shape_is_caught() -> None:
    def narrow(outcome: Pointwise) -> Action:
        action = action_of(outcome, outcome.operand.shape)
        between = action.slopes[0][1]
        assert isinstance(between, Between)
        return replace(action, slopes=((outcome.operand, Between(between.lo[:1], between.hi[:1])),))

    with pytest.raises(LawViolation, match="shapes"):
        check_rule(mutant(aten.relu.default, narrow))
