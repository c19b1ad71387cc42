"""What a layer inside the network returns."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from autolip.outputs.output import Output, output_kind

PREFIX = "layer:"


@output_kind
@dataclass(frozen=True)
class Hidden(Output):
    """The whole output of a layer, by its path in the module or its name in the file.

    The network is captured up to there: what follows the layer plays no part.
    """

    path: str

    written: ClassVar[str] = "a layer (layer:features.3)"

    @classmethod
    def read(cls, text: str) -> Self | None:
        path = text.removeprefix(PREFIX)
        return cls(path) if text.startswith(PREFIX) and path else None

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return cls("features.3"), cls("/block/Relu_output_0")

    def __str__(self) -> str:
        return f"{PREFIX}{self.path}"

    @property
    def layer(self) -> str:
        return self.path

    @property
    def subject(self) -> str:
        return f"Lipschitz constant of layer {self.path}"

    def readout(self, shape: torch.Size) -> None:
        return None
