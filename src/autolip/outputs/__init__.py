"""What is measured of the output: a linear map of it (all of it, one component, the difference of
two), or the largest of several such differences.

One file a kind, each found by itself; those that are registered can be written as text, and an
object of any other class of outputs is taken as it is.
"""

import re
from typing import Any

import numpy as np

from autolip.arguments import plain, shown
from autolip.errors import InputError
from autolip.outputs.component import Component
from autolip.outputs.difference import Difference
from autolip.outputs.hidden import Hidden
from autolip.outputs.matrix import Matrix
from autolip.outputs.output import KINDS, Output, output_kind
from autolip.outputs.pairs import Pairs
from autolip.outputs.whole import All
from autolip.registry import discover

discover(__name__)

__all__ = [
    "KINDS",
    "All",
    "Component",
    "Difference",
    "Hidden",
    "Matrix",
    "Output",
    "Pairs",
    "asked",
    "output_kind",
    "parse_output",
]


def asked() -> str:
    """How outputs are asked for, in words."""
    *some, last = KINDS
    return f"write {', '.join(some)} or {last}"


def parse_output(output: Any) -> Output:
    """The output that is meant by an `Output`, a text, a number, a pair of numbers, a matrix or an
    `nn.Linear`; InputError where none is."""
    if isinstance(output, Output):
        return output
    meant = next((one for kind in KINDS.values() if (one := kind.of(output)) is not None), None)
    if meant is not None:
        return meant
    output = plain(output)
    given = output if isinstance(output, tuple | list) else [output]
    if len(given) in (1, 2) and all(map(_is_index, given)):
        text = "-".join(str(int(index)) for index in given)
    elif isinstance(output, str):
        text = re.sub(r"\s", "", output)
    else:
        raise InputError(f"output {shown(output)} is not known: {asked()}")
    found = next((one for kind in KINDS.values() if (one := kind.read(text)) is not None), None)
    if found is None:
        raise InputError(f"output {shown(output)} is not known: {asked()}, counted from 0")
    return found


def _is_index(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
