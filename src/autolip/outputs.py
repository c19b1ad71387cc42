"""What is measured of the output: a linear map of it (all of it, one component, the difference of
two), or the largest of several such differences.

A kind of output is one class that answers what is asked of it; those of `KINDS` can be written as
text, and an object of any other is taken as it is.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from autolip.arguments import plain, shown
from autolip.errors import InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator


class Output(ABC):
    """One thing to measure of what a network returns; `str` is how it is written."""

    written: ClassVar[str] = ""
    """How a user writes this kind, with an example."""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The output of this kind that a text without blanks means; None where it means another."""
        return None

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

    def differences(self, shape: torch.Size) -> "tuple[Difference, ...]":
        """The differences of which the largest counts; none where one map is measured."""
        return ()


@dataclass(frozen=True)
class All(Output):
    """The whole output, as one vector."""

    written: ClassVar[str] = "all"

    @classmethod
    def read(cls, text: str) -> Self | None:
        return cls() if text == "all" else None

    def __str__(self) -> str:
        return "all"

    @property
    def subject(self) -> str:
        return "Lipschitz constant"

    def readout(self, shape: torch.Size) -> None:
        return None


@dataclass(frozen=True)
class Pairs(Output):
    """Every difference of two components, f_i - f_j for i < j."""

    written: ClassVar[str] = "pairs"

    @classmethod
    def read(cls, text: str) -> Self | None:
        return cls() if text == "pairs" else None

    def __str__(self) -> str:
        return "pairs"

    @property
    def subject(self) -> str:
        return "largest Lipschitz constant of a difference of two outputs"

    def readout(self, shape: torch.Size) -> None:
        if shape.numel() < 2:
            raise InputError("output 'pairs' needs at least two outputs: this network has one")

    def differences(self, shape: torch.Size) -> "tuple[Difference, ...]":
        count = shape.numel()
        return tuple(Difference(i, j) for i in range(count) for j in range(i + 1, count))


@dataclass(frozen=True)
class Component(Output):
    """f_i on the flattened output, counted from 0."""

    index: int

    written: ClassVar[str] = "a component (3)"

    @classmethod
    def read(cls, text: str) -> Self | None:
        match = re.fullmatch(rf"({NUMBER})", text)
        return None if match is None else cls(int(match[1]))

    def __str__(self) -> str:
        return str(self.index)

    @property
    def subject(self) -> str:
        return f"Lipschitz constant of output {self.index}"

    def readout(self, shape: torch.Size) -> Operator:
        return _combined(shape, {self.index: 1.0})


@dataclass(frozen=True)
class Difference(Output):
    """f_plus - f_minus on the flattened output, counted from 0."""

    plus: int
    minus: int

    written: ClassVar[str] = "a difference (3-5)"

    def __post_init__(self) -> None:
        if self.plus == self.minus:
            raise InputError(
                f"output '{self}' is the difference of a component with itself: choose two"
            )

    @classmethod
    def read(cls, text: str) -> Self | None:
        match = re.fullmatch(rf"({NUMBER})-({NUMBER})", text)
        return None if match is None else cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.plus}-{self.minus}"

    @property
    def subject(self) -> str:
        return f"Lipschitz constant of output {self.plus} - output {self.minus}"

    def readout(self, shape: torch.Size) -> Operator:
        return _combined(shape, {self.plus: 1.0, self.minus: -1.0})


NUMBER = "[0-9]{1,18}"
KINDS: tuple[type[Output], ...] = (All, Pairs, Component, Difference)
ASKED = f"write {', '.join(kind.written for kind in KINDS[:-1])} or {KINDS[-1].written}"


def parse_output(output: Any) -> Output:
    """The output that is meant by an `Output`, a text, a number, or a pair of numbers; InputError
    where none is."""
    if isinstance(output, Output):
        return output
    output = plain(output)
    given = output if isinstance(output, tuple | list) else [output]
    if len(given) in (1, 2) and all(map(_is_index, given)):
        text = "-".join(str(int(index)) for index in given)
    elif isinstance(output, str):
        text = re.sub(r"\s", "", output.lower())
    else:
        raise InputError(f"output {shown(output)} is not known: {ASKED}")
    found = next((one for kind in KINDS if (one := kind.read(text)) is not None), None)
    if found is None:
        raise InputError(f"output {shown(output)} is not known: {ASKED}, counted from 0")
    return found


def _is_index(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _combined(shape: torch.Size, weights: dict[int, float]) -> Operator:
    """y -> sum_i weights_i y_i on the flattened output; InputError where a y_i does not exist."""
    row = torch.zeros(1, shape.numel(), dtype=DTYPE)
    for index, weight in weights.items():
        if index >= shape.numel():
            raise InputError(
                f"output {index} does not exist: the network has {shape.numel()}, counted from 0"
            )
        row[0, index] = weight
    return compose(Dense(row), Incidence(lambda y: y.reshape(-1), shape))
