"""An output kind that nothing else of the package knows of: the mean."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator
from autolip.outputs.output import Output, output_kind


@output_kind
@dataclass(frozen=True)
class ToyMean(Output):
    """The mean of all components."""

    written: ClassVar[str] = "toy-mean"

    @classmethod
    def read(cls, text: str) -> Self | None:
        return cls() if text == "toy-mean" else None

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return (cls(),)

    def __str__(self) -> str:
        return "toy-mean"

    @property
    def subject(self) -> str:
        return "Lipschitz constant of the mean"

    def readout(self, shape: torch.Size) -> Operator:
        count = shape.numel()
        row = torch.full((1, count), 1 / count, dtype=DTYPE)
        return compose(Dense(row), Incidence(lambda y: y.reshape(-1), shape))
