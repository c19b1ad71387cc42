"""What is measured of the output: all of it, one component, or the difference of two."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autolip.arguments import plain, shown
from autolip.errors import InputError
from autolip.operators.algebra import compose
from autolip.operators.dense import Dense
from autolip.operators.incidence import Incidence
from autolip.operators.operator import DTYPE, Operator

ASKED = "write all, pairs, a component (3) or a difference (3-5)"


def parse_output(output: Any) -> str:
    """The output as text: "all", "pairs", "3" of 3, "3-5" of (3, 5); InputError where it is none of
    them."""
    output = plain(output)
    given = output if isinstance(output, tuple | list) else [output]
    if len(given) in (1, 2) and all(map(_is_index, given)):
        text = "-".join(str(int(index)) for index in given)
    elif isinstance(output, str):
        text = re.sub(r"\s", "", output.lower())
    else:
        raise InputError(f"output {shown(output)} is not known: {ASKED}")
    match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", text)
    if text not in ("all", "pairs") and match is None:
        raise InputError(f"output {shown(output)} is not known: {ASKED}, counted from 0")
    if match is None:
        return text
    plus, minus = int(match[1]), None if match[2] is None else int(match[2])
    if plus == minus:
        raise InputError(
            f"output {text!r} is the difference of a component with itself: choose two"
        )
    return str(plus) if minus is None else f"{plus}-{minus}"


def _is_index(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def output_readout(output: Any, shape: torch.Size) -> Operator | None:
    """The linear read-out for "all" and "pairs" (None), "3" (component 3) or "3-5" (component 3
    minus component 5)."""
    text = parse_output(output)
    if text == "pairs" and shape.numel() < 2:
        raise InputError("output 'pairs' needs at least two outputs: this network has one")
    if text in ("all", "pairs"):
        return None
    plus, *minus = map(int, text.split("-"))
    for index in (plus, *minus):
        if index >= shape.numel():
            raise InputError(
                f"output {index} does not exist: the network has {shape.numel()}, counted from 0"
            )
    return readout(shape, plus, *minus)


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
