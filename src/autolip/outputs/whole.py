"""All of the output."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.outputs.output import Output, output_kind


@output_kind
@dataclass(frozen=True)
class All(Output):
    """The whole output, as one vector."""

    written: ClassVar[str] = "all"

    @classmethod
    def read(cls, text: str) -> Self | None:
        return cls() if text.lower() == "all" else None

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return (cls(),)

    def __str__(self) -> str:
        return "all"

    @property
    def subject(self) -> str:
        return "Lipschitz constant"

    def readout(self, shape: torch.Size) -> None:
        return None
