"""The largest of all differences of two components."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.errors import InputError
from autolip.outputs.difference import Difference
from autolip.outputs.output import Output, output_kind


@output_kind
@dataclass(frozen=True)
class Pairs(Output):
    """Every difference of two components, f_i - f_j for i < j."""

    written: ClassVar[str] = "pairs"

    @classmethod
    def read(cls, text: str) -> Self | None:
        return cls() if text.lower() == "pairs" else None

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return (cls(),)

    def __str__(self) -> str:
        return "pairs"

    @property
    def subject(self) -> str:
        return "largest Lipschitz constant of a difference of two outputs"

    def readout(self, shape: torch.Size) -> None:
        if shape.numel() < 2:
            raise InputError("output 'pairs' needs at least two outputs: this network has one")

    def differences(self, shape: torch.Size) -> tuple[Difference, ...]:
        count = shape.numel()
        return tuple(Difference(i, j) for i in range(count) for j in range(i + 1, count))
