"""One component of the output."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.operators.operator import Operator
from autolip.outputs.output import NUMBER, Output, combined, output_kind


@output_kind
@dataclass(frozen=True)
class Component(Output):
    """f_i on the flattened output, counted from 0."""

    index: int

    written: ClassVar[str] = "a component (3)"

    @classmethod
    def read(cls, text: str) -> Self | None:
        match = re.fullmatch(rf"({NUMBER})", text)
        return None if match is None else cls(int(match[1]))

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return cls(0), cls(3)

    def __str__(self) -> str:
        return str(self.index)

    @property
    def subject(self) -> str:
        return f"Lipschitz constant of output {self.index}"

    def readout(self, shape: torch.Size) -> Operator:
        return combined(shape, {self.index: 1.0})
