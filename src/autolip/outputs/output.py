"""What an output kind answers: one thing to measure of what a network returns."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from autolip.errors import AutolipError, InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator
from autolip.registry import Registry, home_of, require_docstring

if TYPE_CHECKING:
    from autolip.outputs.difference import Difference


class Output(ABC):
    """One thing to measure of what a network returns; `str` is how it is written."""

    written: ClassVar[str] = ""
    """How a user writes this kind, with an example."""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The output of this kind that a text without blanks means; None where it means another."""
        return None

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """The output of this kind that a value which is no text means, such as an array; None where
        it means another."""
        return None

    @classmethod
    def examples(cls) -> "tuple[Output, ...]":
        """Outputs of this kind of a network that returns four numbers, on which its laws are
        tried."""
        return ()

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    @abstractmethod
    def subject(self) -> str:
        """What the bounds are bounds of, in words."""

    @abstractmethod
    def readout(self, shape: torch.Size) -> Operator | None:
        """The linear map that is applied to an output of this shape, None for the identity;
        InputError where the output has no such part."""

    @property
    def layer(self) -> str | None:
        """The layer whose output is meant by it, None for the network's own."""
        return None

    def differences(self, shape: torch.Size) -> "tuple[Difference, ...]":
        """The differences of which the largest counts; none where one map is measured."""
        return ()


KINDS: Registry[str, type[Output]] = Registry("output kind")
"""How an output is written -> its kind, in the order of their files' names."""


def output_kind(cls: type[Output]) -> type[Output]:
    """Register a kind of output under `written`.

    It is then read from text, and held to `check_output` at its `examples`.  AutolipError where it
    has none, no docstring, or does not read what it writes.
    """
    require_docstring("output kind", cls)
    home = home_of(cls)
    if not cls.written:
        raise AutolipError(f"the output kind {home} has no `written`: write how a user asks for it")
    examples = cls.examples()
    if not examples:
        raise AutolipError(f"the output kind {home} has no `examples` to try its laws on")
    for example in examples:
        if cls.read(str(example)) != example:
            raise AutolipError(f"the output kind {home} does not read '{example}', which it writes")
    KINDS.enter(cls.written, cls, cls)
    return cls


def combined(shape: torch.Size, weights: dict[int, float]) -> Operator:
    """y -> sum_i weights_i y_i on the flattened output; InputError where a y_i does not exist."""
    row = torch.zeros(1, shape.numel(), dtype=DTYPE)
    for index, weight in weights.items():
        if index >= shape.numel():
            raise InputError(
                f"output {index} does not exist: the network has {shape.numel()}, counted from 0"
            )
        row[0, index] = weight
    return compose(Dense(row), Incidence(lambda y: y.reshape(-1), shape))


NUMBER = "[0-9]{1,18}"
"""How the number of a component is written."""
