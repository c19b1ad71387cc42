"""Questions in a CSV file: a line each."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autolip.errors import InputError
from autolip.files import read_text
from autolip.regions import Ball, Box

LARGEST = 2**26
"""Chosen: bytes of a file of questions."""

PLAIN: dict[str, Callable[[str], Any]] = {
    "name": str,
    "norm": str,
    "output": str,
    "method": str,
    "lower": str,
    "time_budget": float,
    "delta": float,
    "seed": int,
    "device": str,
    "input_scale": lambda text: _point(text),
    "output_scale": lambda text: _point(text),
}
REGIONS = ("lo", "hi", "center", "radius", "ball")


def questions_of(path: Path) -> list[dict[str, Any]]:
    """The questions of a CSV file with a line of headings: name, norm, output, method, lower,
    time_budget, delta, seed, device, input_scale, output_scale; a box as lo and hi, a ball as
    center, radius and ball (its norm), the numbers of a point separated by blanks.  Empty cells are
    left out.

    InputError, with the line, where something else is there.
    """
    reader = csv.DictReader(
        read_text(path, "questions, a CSV file", LARGEST).splitlines(), strict=True
    )
    try:
        _check_columns(path, list(reader.fieldnames or ()))
        questions = [_question(path, number, row) for number, row in enumerate(reader, 2)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: no CSV ({error})") from error
    if not questions:
        raise InputError(f"{path} asks nothing: write a line for every question")
    return questions


def _check_columns(path: Path, names: list[str]) -> None:
    """InputError where a column is not known, or there twice."""
    known = {*PLAIN, *REGIONS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        said = f"the columns {', '.join(unknown[:5])}" if unknown else "no columns"
        raise InputError(f"{path} has {said}: choose from {', '.join(sorted(known))}")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{path} has the column {twice} twice: give it once")


def _question(path: Path, line: int, row: dict[Any, Any]) -> dict[str, Any]:
    given = {name: cell.strip() for name, cell in row.items() if isinstance(cell, str)}
    given = {name: cell for name, cell in given.items() if cell}
    try:
        if None in row:
            raise InputError("there are more cells than headings")
        options = {name: PLAIN[name](given[name]) for name in PLAIN if name in given}
        region = _region({name: given[name] for name in REGIONS if name in given})
    except (ValueError, InputError) as error:
        raise InputError(f"{path}, line {line}: {error}") from error
    return options if region is None else {**options, "region": region}


def _region(given: dict[str, str]) -> Box | Ball | None:
    if not given:
        return None
    if set(given) == {"lo", "hi"}:
        return Box(_point(given["lo"]), _point(given["hi"]))
    if set(given) - {"ball"} == {"center", "radius"}:
        return Ball(_point(given["center"]), float(given["radius"]), given.get("ball", "l2"))
    raise InputError("a region is lo and hi, or center and radius (and ball)")


def _point(text: str) -> list[float] | float:
    numbers = [float(part) for part in text.split()]
    return numbers[0] if len(numbers) == 1 else numbers
