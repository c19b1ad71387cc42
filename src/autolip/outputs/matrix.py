"""A linear map of the output that the user gives: its matrix."""

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from autolip.arguments import array
from autolip.errors import InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator
from autolip.outputs.output import Output, output_kind

NUMBERS = r"[-+0-9.e,;]+"
"""What may stand between the brackets of a matrix."""

LARGEST = 1e30
"""Chosen: entries up to here leave floating point alone."""


@output_kind
@dataclass(frozen=True)
class Matrix(Output):
    """A f(x) on the flattened output, for the rows of a matrix A."""

    rows: tuple[tuple[float, ...], ...]

    written: ClassVar[str] = "a matrix ([1,-1;0,2])"

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows}
        if len(widths) != 1 or 0 in widths:
            raise InputError("the output's matrix has rows of several lengths, or none: repair it")
        if not all(abs(entry) <= LARGEST for row in self.rows for entry in row):
            raise InputError(
                f"the output's matrix has entries that are no numbers up to {LARGEST:g}: repair it"
            )

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """That of a two-dimensional array, of a list of rows, or of an `nn.Linear`, whose bias
        moves no difference."""
        given = value.weight if isinstance(value, nn.Linear) else value
        listed = isinstance(given, list | tuple) and len(given) > 0
        rows = listed and all(isinstance(row, list | tuple) for row in given)
        if not rows and not (isinstance(given, Tensor | np.ndarray) and given.ndim == 2):
            return None
        found = array(given, "the output's matrix")
        return cls(tuple(map(tuple, found.tolist())))

    @classmethod
    def read(cls, text: str) -> Self | None:
        match = re.fullmatch(rf"\[({NUMBERS})\]", text)
        if match is None:
            return None
        try:
            rows = [tuple(map(float, row.split(","))) for row in match[1].split(";")]
        except ValueError as error:
            raise InputError(f"{text} is no matrix: write it as [1,-1;0,2]") from error
        return cls(tuple(rows))

    @classmethod
    def examples(cls) -> tuple[Output, ...]:
        return cls(((1.0, -1.0, 0.0, 0.5),)), cls(((0.1, 0.0, 1e-20, 3.0), (0.0, 1.0, 0.0, -7.0)))

    def __str__(self) -> str:
        return "[" + ";".join(",".join(map(repr, row)) for row in self.rows) + "]"

    @property
    def subject(self) -> str:
        count = len(self.rows)
        return f"Lipschitz constant of {count} combination{'s' if count > 1 else ''} of the outputs"

    def readout(self, shape: torch.Size) -> Operator:
        width = len(self.rows[0])
        if width != shape.numel():
            raise InputError(
                f"the output's matrix has {width} columns: the network has "
                f"{math.prod(shape)} outputs"
            )
        matrix = torch.tensor(self.rows, dtype=DTYPE)
        return compose(Dense(matrix), Incidence(lambda y: y.reshape(-1), shape))
