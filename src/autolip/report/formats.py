"""The file formats of a result, by the suffix of the file's name."""

import csv
import html
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autolip.errors import InputError, printable
from autolip.report.content import place
from autolip.report.table import render_html, render_text

if TYPE_CHECKING:
    from autolip.findings import Findings, Row

CERTIFICATE = ".cert"
COLUMNS = (
    "model",
    "input_norm",
    "output_norm",
    "region",
    "output",
    "method",
    "kind",
    "value",
    "certainty",
    "delta",
    "seconds",
    "passes",
    "refusal",
)


def text_file(result: "Findings") -> str:
    """The table as plain text."""
    return f"{render_text(result)}\n"


def json_file(result: "Findings") -> str:
    """The documented JSON form (docs/json.md)."""
    return json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"


def csv_file(result: "Findings") -> str:
    """A line for every row of the table, then two for every pair of outputs; numbers with all their
    digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for output, row in _rows(result):
        value = "" if row.value is None else repr(row.value)
        about = (result.model, result.p.value, result.q.value, place(result), output)
        cost = (f"{row.seconds:.3f}", f"{row.passes:.1f}")
        writer.writerow(
            (
                *about,
                row.method,
                row.kind,
                value,
                row.certainty or "",
                row.delta,
                *cost,
                row.refusal or "",
            )
        )
    return file.getvalue()


def html_file(result: "Findings") -> str:
    """A page of its own."""
    title = html.escape(printable(result.model))
    head = (
        '<!doctype html>\n<html lang="en">\n<head><meta '
        f'charset="utf-8"><title>{title}</title></head>'
    )
    return f"{head}\n<body>{render_html(result)}</body>\n</html>\n"


FORMATS: dict[str, Callable[["Findings"], str]] = {
    ".txt": text_file,
    ".json": json_file,
    ".csv": csv_file,
    ".html": html_file,
}


def suffix_of(path: Path, known: tuple[str, ...]) -> str:
    """The suffix that says the format of a file; InputError where it is none of the known ones."""
    suffix = path.suffix.lower()
    if suffix not in known:
        listed = " or ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
        raise InputError(
            f"{printable(str(path))} does not say its format: let the name end in {listed}"
        )
    return suffix


def _rows(result: "Findings") -> Iterator[tuple[str, "Row"]]:
    shown = "largest pair" if result.pairs else str(result.output)
    yield from ((shown, row) for row in result.bounds)
    for pair in result.pairs:
        yield from (
            (f"{pair.i}-{pair.j}", row) for row in (pair.upper, pair.lower) if row is not None
        )
