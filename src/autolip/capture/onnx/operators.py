"""The table of ONNX operators: one decorated function per operator, whose signature is its ONNX
schema.

Positional parameters are the ONNX inputs, keyword parameters the attributes; what an old opset gave
as an attribute and a new one as an input (`axes`, `pads`, `split`, `min`, ...) is one parameter of
that name. An annotation says how an argument arrives:

* `Tensor`: a tensor, which may depend on the network's input;
* `Tensor | float`, `Tensor | int`: a Python number where the file gives a known scalar, a tensor
  otherwise;
* anything else (`list[int]`, `float`, ...): a Python value, which the input must not influence.

Two keyword parameters are filled in by the translation: `outputs`, how many outputs the node has,
and `like`, a tensor of the network's floating type.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from torch import Tensor

from autolip.errors import UnsupportedOperation
from autolip.registry import Registry

Function = Callable[..., Tensor | tuple[Tensor, ...]]
F = TypeVar("F", bound=Function)


class Kind(Enum):
    """How an argument arrives at an operator's function."""

    TENSOR = "tensor"
    NUMBER_OR_TENSOR = "number or tensor"
    STATIC = "static"


@dataclass(frozen=True)
class OnnxOperator:
    """`function` computes the ONNX operator in every opset from `since` to the next entry of its
    name."""

    name: str
    since: int
    function: Function
    kinds: Mapping[str, Kind]

    def slots(self, count: int) -> list[inspect.Parameter]:
        """The parameters that stand for `count` ONNX inputs, in order; the last may be variadic."""
        parameters = inspect.signature(self.function).parameters.values()
        slots = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        if slots and slots[-1].kind is slots[-1].VAR_POSITIONAL:
            return slots[:-1] + slots[-1:] * (count - len(slots) + 1)
        if count > len(slots):
            raise UnsupportedOperation(f"it has {count} inputs; {len(slots)} are supported")
        return slots[:count]

    @property
    def attributes(self) -> set[str]:
        """The ONNX attributes that the function takes."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name for p in parameters if p.kind is not p.VAR_POSITIONAL} - {"outputs", "like"}


OPERATORS: Registry[tuple[str, int], OnnxOperator] = Registry("ONNX operator")
"""By name and first opset."""


def onnx_operator(name: str, since: int = 1) -> Callable[[F], F]:
    """Enters the decorated function into the table as operator `name` from opset `since` on."""

    def enter(function: F) -> F:
        operator = OnnxOperator(name, since, function, _kinds(function))
        OPERATORS.enter((name, since), operator, function)
        return function

    return enter


def find_operator(name: str, opset: int) -> OnnxOperator | None:
    """The entry of `name` that holds in `opset`: the newest that is not newer than it."""
    usable = ((name, since) for since in range(opset, 0, -1) if (name, since) in OPERATORS)
    newest = next(usable, None)
    return None if newest is None else OPERATORS[newest]


def _kinds(function: Function) -> dict[str, Kind]:
    hints = typing.get_type_hints(function)
    return {name: _kind(hint) for name, hint in hints.items() if name != "return"}


def _kind(hint: object) -> Kind:
    types = set(typing.get_args(hint)) or {hint}
    if Tensor not in types:
        return Kind.STATIC
    return Kind.NUMBER_OR_TENSOR if types & {int, float} else Kind.TENSOR
