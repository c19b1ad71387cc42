"""Boxes from VNN-LIB files: the bounds that the assertions put on the inputs X_0, X_1, ...

A VNN-LIB property is a list of s-expressions.  Only conjunctions of bounds on single inputs describe a box; anything
else that speaks of an input is refused, and what speaks of outputs alone is ignored.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from autolip.errors import InputError
from autolip.values import round_down, round_up

Expression = str | list["Expression"]

TOKEN = re.compile(r"[()]|[^\s()]+")
INPUT = re.compile(r"^X_(\d+)$")
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "=": "="}


@dataclass
class _Bounds:
    """The tightest bounds seen for each input; decimal numbers are rounded outward: the box is never too small."""

    lower: dict[int, float] = field(default_factory=dict)
    upper: dict[int, float] = field(default_factory=dict)

    def add(self, index: int, relation: str, value: Fraction) -> None:
        if relation in (">=", ">", "="):
            self.lower[index] = max(_below(value), self.lower.get(index, -math.inf))
        if relation in ("<=", "<", "="):
            self.upper[index] = min(_above(value), self.upper.get(index, math.inf))


def read_box(text: str) -> tuple[list[float], list[float]]:
    """Lower and upper ends of X_0, ..., X_(n-1), in order.

    Raises InputError where the text is no VNN-LIB, an input lacks a bound, or the inputs are bound by more than a box.
    """
    declared: set[int] = set()
    bounds = _Bounds()
    for expression in _expressions(text):
        match expression:
            case ["declare-const" | "declare-fun", str(name), *_]:
                declared.update(int(index) for index in INPUT.findall(name))
            case ["assert", condition]:
                _assert(condition, bounds)
            case _:
                raise InputError(f"VNN-LIB: {_written(expression)} is not understood: declare-const and assert are")
    inputs = sorted(declared | bounds.lower.keys() | bounds.upper.keys())
    if inputs != list(range(len(inputs))) or not inputs:
        raise InputError("VNN-LIB: the inputs must be X_0, X_1, ... without gaps")
    for index in inputs:
        for side, known in (("lower", bounds.lower), ("upper", bounds.upper)):
            if index not in known:
                raise InputError(f"VNN-LIB: X_{index} has no {side} bound: a box needs both")
    return [bounds.lower[index] for index in inputs], [bounds.upper[index] for index in inputs]


def _expressions(text: str) -> Iterator[Expression]:
    """The s-expressions of the text, comments (from ; to the end of the line) left out."""
    stack: list[list[Expression]] = [[]]
    for token in TOKEN.findall(re.sub(r";.*", "", text)):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) == 1:
            raise InputError("VNN-LIB: a closing bracket without an opening one")
        else:
            done = stack.pop()
            stack[-1].append(done)
    if len(stack) > 1:
        raise InputError("VNN-LIB: an opening bracket is never closed")
    yield from stack[0]


def _assert(condition: Expression, bounds: _Bounds) -> None:
    match condition:
        case ["and", *parts]:
            for part in parts:
                _assert(part, bounds)
        case ["or", single]:
            _assert(single, bounds)
        case [str(relation), left, right] if relation in FLIPPED and _bound(relation, left, right, bounds):
            pass
        case _ if _speaks_of_inputs(condition):
            raise InputError(f"VNN-LIB: {_written(condition)} is not a bound on one input: only boxes are read")


def _bound(relation: str, left: Expression, right: Expression, bounds: _Bounds) -> bool:
    """Whether this was a bound on one input, now noted."""
    for one, other, direction in ((left, right, relation), (right, left, FLIPPED[relation])):
        name, value = INPUT.fullmatch(one) if isinstance(one, str) else None, _number(other)
        if name is not None and value is not None:
            bounds.add(int(name[1]), direction, value)
            return True
    return False


def _number(expression: Expression) -> Fraction | None:
    match expression:
        case str(text) if NUMBER.fullmatch(text):
            return Fraction(text)
        case ["-", inner]:
            value = _number(inner)
            return None if value is None else -value
        case _:
            return None


def _speaks_of_inputs(expression: Expression) -> bool:
    if isinstance(expression, str):
        return INPUT.fullmatch(expression) is not None
    return any(map(_speaks_of_inputs, expression))


def _below(value: Fraction) -> float:
    nearest = float(value)
    return round_down(nearest) if Fraction(nearest) > value else nearest


def _above(value: Fraction) -> float:
    nearest = float(value)
    return round_up(nearest) if Fraction(nearest) < value else nearest


def _written(expression: Expression) -> str:
    text = expression if isinstance(expression, str) else f"({' '.join(map(_written, expression))})"
    return text if len(text) <= 60 else f"{text[:57]}..."
