"""What a rule says about an operation, and the table of rules.

A rule is one function, decorated with the ATen overload it is for.  Its parameters are the
overload's; those that vary with the network's input arrive as `Operand`s, all others as constants.
It answers one question: which linear maps can the operation act as on differences?
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from autolip.errors import AutolipError, UnsupportedOperation
from autolip.graph.schema import completed, parameters
from autolip.intervals import Interval, mean
from autolip.operators.operator import Operator
from autolip.registry import Registry, require_docstring
from autolip.slopes import Slope


@dataclass(frozen=True, eq=False)
class Operand:
    """A varying argument: its node, shape, and the range of its value on the region.

    Slopes are between any two points x, y of the region; from a centre, where that is y, and the
    value there known to lie in `centre`.
    """

    name: str
    shape: torch.Size
    range: Interval
    centre: Interval | None = None

    @property
    def dim(self) -> int:
        return len(self.shape)

    def viewed(self, shape: Sequence[int], repeated: Sequence[int]) -> "Operand":
        """The same numbers in another shape, repeated along further axes."""

        def view(x: Interval) -> Interval:
            lo, hi = (end.reshape(shape).expand(repeated) for end in (x.lo, x.hi))
            return Interval(lo, hi)

        centre = None if self.centre is None else view(self.centre)
        return Operand(self.name, torch.Size(repeated), view(self.range), centre)

    @property
    def second(self) -> Interval:
        """Where the value at y lies."""
        return self.range if self.centre is None else self.centre

    @property
    def mean(self) -> Interval:
        """Where the mean of the values at x and y lies."""
        return self.range if self.centre is None else mean(self.range, self.centre)


@dataclass(frozen=True)
class Affine:
    """sum_i A_i x_i + offset; the image is derived."""

    parts: tuple[tuple[Operand, Operator], ...]
    offset: Tensor | float = 0.0


@dataclass(frozen=True)
class Turn:
    """A point where a derivative stops being monotone; at a kink or jump of it, the slopes on both
    sides."""

    at: Tensor | float
    left: Tensor | float | None = None
    right: Tensor | float | None = None


@dataclass(frozen=True)
class Jump:
    """A point where a function is discontinuous, and its limits from the left and from the
    right."""

    at: Tensor | float
    left: Tensor | float
    right: Tensor | float


@dataclass(frozen=True)
class Pointwise:
    """A scalar function applied entrywise; slope interval and image are derived from this one
    record.

    Between consecutive `value_turns` and `jumps` the value is monotone, between consecutive
    `slope_turns` the derivative is; `value_limits` and `slope_limits` are their limits at the two
    ends of the `domain`, outside of which the function is undefined.  `error` is what float64
    evaluation of either may be off by, relatively, and `absolute` what it may be off by absolutely
    (by default as much; both 0 for functions such as relu, whose values are exact).
    `values_within` and `slopes_within` are known bounds that need no such allowance; where
    `exact_slopes` the derivative needs none at all.
    """

    operand: Operand
    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    value_limits: tuple[Tensor | float, Tensor | float]
    slope_limits: tuple[Tensor | float, Tensor | float]
    value_turns: tuple[Tensor | float, ...] = ()
    slope_turns: tuple[Turn, ...] = ()
    jumps: tuple[Jump, ...] = ()
    domain: tuple[float, float] = (-float("inf"), float("inf"))
    error: float = 2.0**-48
    absolute: float | None = None
    values_within: tuple[float, float] = (-float("inf"), float("inf"))
    slopes_within: tuple[float, float] = (-float("inf"), float("inf"))
    exact_slopes: bool = False
    piecewise_linear: bool = False
    """Whether it is continuous, and linear between consecutive `slope_turns`, each of which names
    both slopes."""

    @property
    def slack(self) -> float:
        """What float64 evaluation may be off by absolutely."""
        return self.error if self.absolute is None else self.absolute

    @property
    def slope_allowance(self) -> tuple[float, float]:
        """What float64 evaluation of the derivative may be off by, relatively and absolutely."""
        return (0.0, 0.0) if self.exact_slopes else (self.error, self.slack)


@dataclass(frozen=True)
class Action:
    """Slopes towards each operand, f(x) - f(y) = sum_i M_i (x_i - y_i), and an interval that
    contains the values."""

    slopes: tuple[tuple[Operand, Slope], ...]
    image: Interval


Outcome = Affine | Pointwise | Action
RuleFunction = Callable[..., Outcome | Sequence[Outcome]]
Function = TypeVar("Function", bound=RuleFunction)


@dataclass(frozen=True)
class Variable:
    """In an example: a varying tensor argument, drawn from [lo, hi], or a mask (`boolean`)."""

    shape: tuple[int, ...]
    lo: float = -3.0
    hi: float = 3.0
    boolean: bool = False

    def __init__(
        self, *shape: int, lo: float = -3.0, hi: float = 3.0, boolean: bool = False
    ) -> None:
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "lo", 0.0 if boolean else lo)
        object.__setattr__(self, "hi", 1.0 if boolean else hi)
        object.__setattr__(self, "boolean", boolean)


@dataclass(frozen=True)
class Constant:
    """In an example: a constant tensor argument, drawn from a normal distribution (or positive: its
    absolute value)."""

    shape: tuple[int, ...]
    positive: bool = False

    def __init__(self, *shape: int, positive: bool = False) -> None:
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "positive", positive)


@dataclass(frozen=True)
class Example:
    """A call of the operation: its test, its row in the documentation and its coverage entry.

    `pick` chooses one result of several.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    pick: int | None = None

    def __init__(self, *args: Any, pick: int | None = None, **kwargs: Any) -> None:
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "kwargs", kwargs)
        object.__setattr__(self, "pick", pick)


def first_paragraph(of: object) -> str:
    """What a docstring claims, on one line."""
    return (inspect.getdoc(of) or "").partition("\n\n")[0].replace("\n", " ")


@dataclass(frozen=True)
class Rule:
    """A rule, what it is for, and its examples."""

    target: Callable[..., Any]
    group: str
    function: RuleFunction = field(repr=False)
    examples: tuple[Example, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.target)

    @property
    def claim(self) -> str:
        """The first paragraph of the rule's docstring: its slope set."""
        return first_paragraph(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Outcome, ...]:
        given = completed(self.target, args, kwargs)
        outcome = self.function(**{_parameter(name): value for name, value in given.items()})
        return tuple(outcome) if isinstance(outcome, Sequence) else (outcome,)


RULES: Registry[Callable[..., Any], Rule] = Registry("rule")


def rule(target: Callable[..., Any], *examples: Example) -> Callable[[Function], Function]:
    """Register a rule for one ATen overload; its parameters must be the overload's, in order."""

    def register(function: Function) -> Function:
        _check_signature(target, function)
        add_rule(target, function, examples)
        return function

    return register


def add_rule(
    target: Callable[..., Any], function: RuleFunction, examples: tuple[Example, ...]
) -> None:
    """Enter a rule into the table; one without docstring or example is an error."""
    require_docstring("rule", function)
    if not examples:
        raise AutolipError(f"the rule for {target} has no example: give one, it is its test")
    group = function.__module__.rsplit(".", 1)[-1]
    RULES.enter(target, Rule(target, group, function, examples), function)


def require_constant(**arguments: object) -> None:
    """Raise UnsupportedOperation where an argument varies with the network's input that must
    not."""
    for name, value in arguments.items():
        if isinstance(value, Operand):
            raise UnsupportedOperation(
                f"its argument `{name}` depends on the network's input: only a constant "
                "one is supported"
            )


def _parameter(name: str) -> str:
    """A Python parameter for an ATen argument (`from` is a keyword)."""
    return name + "_" if name in {"from", "lambda", "self_"} else name


def _check_signature(target: Callable[..., Any], function: RuleFunction) -> None:
    wanted = [_parameter(a.name) for a in parameters(target)]
    given = list(inspect.signature(function).parameters)
    if wanted != given:
        raise AutolipError(
            f"the rule for {target} takes {given}, its ATen schema {wanted}: they must be equal"
        )
