"""Boxes from VNN-LIB files: the bounds that the assertions put on the inputs.

A property is a list of s-expressions.  Bounds on single inputs, joined by `and` and `or`, have a
box around them; anything else that speaks of an input is refused, and what speaks of outputs alone
is ignored.  Files of version 1.0, where inputs are called X_0, X_1, ..., are read here; those of
version 2.0 by the package vnnlib.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from autolip.cli.hull import FLIPPED, FoundBox, Hull, decimal
from autolip.errors import InputError

Expression = str | list["Expression"]

TOKEN = re.compile(r"[()]|[^\s()]+")
COMMENT = re.compile(r";[^\n]*")
INPUT = re.compile(r"X_([0-9]{1,18})")
SECOND = re.compile(r"\(\s*(vnnlib-version|declare-network)\b")
"""How files of version 2.0 begin."""

DEEPEST = 100
"""Chosen: brackets within each other; published properties nest less than ten."""


def read_box(text: str) -> FoundBox:
    """The box that the text's assertions put the inputs in.

    Raises InputError where the text is no VNN-LIB, an input lacks a bound, or the inputs are bound
    by more than boxes.
    """
    plain = COMMENT.sub("", text)
    try:
        expressions = list(_expressions(plain))
        return _second(plain) if SECOND.search(plain) else _first(expressions, plain)
    except InputError as error:
        raise InputError(f"VNN-LIB: {error}") from error


def _first(expressions: list[Expression], text: str) -> FoundBox:
    """Version 1.0: declare-const and assert; every input that is spoken of must be bounded."""
    hull = Hull()
    for expression in expressions:
        match expression:
            case ["declare-const" | "declare-fun", str(), *_]:
                pass
            case ["assert", condition]:
                hull.narrow(_hull(condition))
            case _:
                raise InputError(
                    f"{_written(expression)} is not understood: declare-const and assert are"
                )
    inputs = {int(found[1]) for found in map(INPUT.fullmatch, TOKEN.findall(text)) if found}
    if not inputs:
        raise InputError("there is no bound on an input X_0, X_1, ...")
    if max(inputs) != len(inputs) - 1:
        raise InputError("the inputs must be X_0, X_1, ... without gaps")
    return hull.box(len(inputs), "X_{}".format)


def _second(text: str) -> FoundBox:
    try:
        from autolip.cli.vnnlib2 import read_second
    except ImportError as error:
        raise InputError(
            "files of version 2.0 need vnnlib: pip install 'autolip[vnnlib]'"
        ) from error
    return read_second(text)


def _expressions(text: str) -> Iterator[Expression]:
    """The s-expressions of the text."""
    stack: list[list[Expression]] = [[]]
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == "(":
            if len(stack) > DEEPEST:
                raise InputError(f"brackets are nested deeper than {DEEPEST}")
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) == 1:
            raise InputError("a closing bracket without an opening one")
        else:
            done = stack.pop()
            stack[-1].append(done)
    if len(stack) > 1:
        raise InputError("an opening bracket is never closed")
    yield from stack[0]


def _hull(condition: Expression) -> Hull:
    """The hull of the inputs that satisfy a condition, whatever the outputs."""
    match condition:
        case ["and", *parts]:
            hull = Hull()
            for part in parts:
                hull.narrow(_hull(part))
            return hull
        case ["or", *parts] if parts:
            return Hull.around([_hull(part) for part in parts])
        case [str(relation), left, right] if relation in FLIPPED:
            bound = _bound(relation, left, right)
            if bound is not None:
                return bound
    if _speaks_of_inputs(condition):
        raise InputError(f"{_written(condition)} is not a bound on one input: only boxes are read")
    return Hull()


def _bound(relation: str, left: Expression, right: Expression) -> Hull | None:
    """The bound on one input that this is; None where it is something else."""
    for one, other, direction in ((left, right, relation), (right, left, FLIPPED[relation])):
        name = INPUT.fullmatch(one) if isinstance(one, str) else None
        value = _number(other) if name is not None else None
        if name is not None and value is not None:
            return Hull.bound(int(name[1]), direction, value)
    return None


def _number(expression: Expression) -> Decimal | None:
    match expression:
        case str(text):
            return decimal(text)
        case ["-", inner]:
            value = _number(inner)
            return None if value is None else value.copy_negate()
        case _:
            return None


def _speaks_of_inputs(expression: Expression) -> bool:
    if isinstance(expression, str):
        return expression.startswith("X_")
    return any(map(_speaks_of_inputs, expression))


def _written(expression: Expression) -> str:
    text = expression if isinstance(expression, str) else f"({' '.join(map(_written, expression))})"
    return text if len(text) <= 60 else f"{text[:57]}..."
