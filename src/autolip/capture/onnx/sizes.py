"""How large what an ONNX file computes may become, asked before memory is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autolip.capture.checks import LARGEST
from autolip.capture.onnx.graph import OnnxNode
from autolip.errors import InputError

GROWTH = 8
"""Chosen: entries that a file may make out of each that it stores; weights that are scaled,
transposed and cast on their way take three."""

LEAST = 2**26
"""Chosen: entries of constants that every file may make: 512 MiB in float64."""


@dataclass
class Sizes:
    """The entries that are there so far: of the constants that the file stores, of those that it
    computes from them, and of the values that move with the input."""

    stored: int = 0
    made: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """By whether they are constants."""

    def add(self, what: str, shapes: Sequence[torch.Size], constant: bool) -> None:
        """Count the results of what makes these shapes; InputError where they are too many."""
        for shape in shapes:
            if shape.numel() > LARGEST:
                raise InputError(
                    f"{what} makes a tensor of shape {tuple(shape)}: at most {LARGEST:.3g} entries"
                )
        self.made[constant] += sum(shape.numel() for shape in shapes)
        most = max(LEAST, GROWTH * self.stored) if constant else LARGEST
        if self.made[constant] > most:
            kind = "the constants" if constant else "the values"
            raise InputError(
                f"with {what}, {kind} that the ONNX file computes have {self.made[constant]:.3g} "
                f"entries: at most {most:.3g} are supported"
            )


def foretold(module: OnnxNode, tensors: Sequence[Tensor]) -> list[torch.Size] | None:
    """The shapes of a node's results by those of its operands alone; None where it reads their
    entries, or fails."""
    try:
        with torch.device("meta"):
            results = module(*(tensor.to("meta") for tensor in tensors))
    except (RuntimeError, NotImplementedError, ValueError, TypeError, LookupError, ArithmeticError):
        return None
    return shapes_of(results)


def shapes_of(results: Tensor | tuple[Tensor, ...]) -> list[torch.Size]:
    return [result.shape for result in (results if isinstance(results, tuple) else (results,))]
