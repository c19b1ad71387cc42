"""The difference of two components of the output."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.errors import InputError
from autolip.operators.operator import Operator
from autolip.outputs.output import NUMBER, Output, combined, output_kind


@output_kind
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

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return cls(0, 1), cls(3, 2)

    def __str__(self) -> str:
        return f"{self.plus}-{self.minus}"

    @property
    def subject(self) -> str:
        return f"Lipschitz constant of output {self.plus} - output {self.minus}"

    def readout(self, shape: torch.Size) -> Operator:
        return combined(shape, {self.plus: 1.0, self.minus: -1.0})
