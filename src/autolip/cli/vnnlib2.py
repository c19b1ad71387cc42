"""VNN-LIB 2.0: networks with declared inputs; the package vnnlib reads the text and checks its
types."""

import json
import math
from decimal import Decimal
from typing import Any

import vnnlib
from vnnlib import (
    And,
    Comparison,
    Equal,
    GreaterEqual,
    GreaterThan,
    LessEqual,
    LessThan,
    Literal,
    Negate,
    Or,
    Var,
)

from autolip.cli.hull import FLIPPED, FoundBox, Hull, decimal
from autolip.errors import InputError

RELATIONS = {LessEqual: "<=", LessThan: "<", GreaterEqual: ">=", GreaterThan: ">", Equal: "="}


def read_second(text: str) -> FoundBox:
    """The box around the one input of the one network that the text declares, in the order of its
    entries."""
    try:
        query = vnnlib.parse_query_string(text)
    except Exception as error:
        raise InputError(f"version 2.0: {_told(error)}") from error
    inputs = [(network.name, one) for network in query.networks for one in network.inputs]
    if len(inputs) != 1:
        raise InputError(
            f"{len(inputs)} inputs are declared: only properties of one network with one "
            "input are read"
        )
    (_, declared), hull = inputs[0], Hull()
    for assertion in query.assertions:
        hull.narrow(_hull(assertion.expr))
    shape = [int(size) for size in declared.shape]

    def name(index: int) -> str:
        places = [
            str(index // math.prod(shape[axis + 1 :]) % shape[axis]) for axis in range(len(shape))
        ]
        return f"{declared.name}[{','.join(places)}]"

    return hull.box(math.prod(shape), name)


def _hull(condition: Any) -> Hull:
    """The hull of the inputs that satisfy a condition, whatever the outputs."""
    if isinstance(condition, And):
        hull = Hull()
        for part in condition.args:
            hull.narrow(_hull(part))
        return hull
    if isinstance(condition, Or):
        return Hull.around([_hull(part) for part in condition.args])
    if isinstance(condition, Comparison) and type(condition) in RELATIONS:
        bound = _bound(RELATIONS[type(condition)], condition.lhs, condition.rhs)
        if bound is not None:
            return bound
    if _speaks_of_inputs(condition):
        raise InputError(
            f"{' '.join(str(condition).split())[:60]} is not a bound on one input: only "
            "boxes are read"
        )
    return Hull()


def _bound(relation: str, left: Any, right: Any) -> Hull | None:
    """The bound on one input that this is; None where it is something else."""
    for one, other, direction in ((left, right, relation), (right, left, FLIPPED[relation])):
        value = _number(other) if _is_input(one) else None
        if value is not None:
            index = 0
            for size, place in zip(one.shape, one.indices, strict=True):
                index = index * size + place
            return Hull.bound(index, direction, value)
    return None


def _number(expression: Any) -> Decimal | None:
    """The exact value of what is written, not of the nearest double."""
    if isinstance(expression, Literal):
        return decimal(expression.lexeme)
    if isinstance(expression, Negate):
        value = _number(expression.expr)
        return None if value is None else value.copy_negate()
    return None


def _is_input(expression: Any) -> bool:
    return isinstance(expression, Var) and expression.kind == vnnlib.SymbolKind.Input


def _speaks_of_inputs(expression: Any) -> bool:
    return _is_input(expression) or any(map(_speaks_of_inputs, expression.children()))


def _told(error: Exception) -> str:
    """The package's first complaint in one line: it answers with JSON or with text."""
    try:
        first = json.loads(str(error))["errors"][0]
        return (
            f"line {first['line']}: {first['message']} at {first['offendingSymbol']}: "
            f"{first['hint']}"
        )
    except (ValueError, LookupError, TypeError):
        text = " ".join(str(error).split())
        return (
            "a number is larger than every double"
            if text == "stod"
            else text or type(error).__name__
        )
