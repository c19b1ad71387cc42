"""What is measured of the output: all of it, one component, or the difference of two."""

import re
from collections.abc import Iterator

import torch

from autolip.errors import InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.index import Incidence
from autolip.operators.operator import DTYPE, Operator


def output_readout(text: str, shape: torch.Size) -> Operator | None:
    """The linear read-out for "all" and "pairs" (None), "3" (component 3) or "3-5" (component 3 minus component 5)."""
    if text in ("all", "pairs"):
        return None
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None:
        raise InputError(f"output {text!r} is not known: write all, pairs, a component (3) or a difference (3-5)")
    plus, minus = int(match[1]), None if match[2] is None else int(match[2])
    for index in (plus, minus):
        if index is not None and index >= shape.numel():
            raise InputError(f"output {index} does not exist: the network has {shape.numel()}, counted from 0")
    if plus == minus:
        raise InputError(f"output {text!r} is the difference of a component with itself: choose two")
    return readout(shape, plus, minus)


def readout(shape: torch.Size, plus: int, minus: int | None = None) -> Operator:
    """y -> y[plus] - y[minus] on the flattened output."""
    row = torch.zeros(1, shape.numel(), dtype=DTYPE)
    row[0, plus] = 1.0
    if minus is not None:
        row[0, minus] = -1.0
    return compose(Dense(row), Incidence(lambda y: y.reshape(-1), shape))


def pair_readouts(shape: torch.Size) -> Iterator[tuple[int, int, Operator]]:
    """Every difference i < j."""
    for i in range(shape.numel()):
        for j in range(i + 1, shape.numel()):
            yield i, j, readout(shape, i, j)
