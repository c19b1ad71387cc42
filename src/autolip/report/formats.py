"""The file formats of a result, by the suffix of the file's name."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from autolip.errors import InputError, printable
from autolip.files import write
from autolip.report.content import headline, place, sheets
from autolip.report.latex import latex_table
from autolip.report.table import render_text

if TYPE_CHECKING:
    from autolip.findings import Findings, Row
    from autolip.result import Result

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
        about = (result.model, *result.norm_names, place(result), output)
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


def latex_file(result: "Findings") -> str:
    """Tables for a LaTeX document with booktabs, under the bracket as a caption."""
    return "\n".join(latex_table(sheet, headline(result)) for sheet in sheets(result))


def html_file(result: "Result") -> str:
    """A page of its own: see `autolip.report.page`."""
    from autolip.report.page import page

    return page(result)


def drawn_as(kind: str) -> Callable[["Findings"], bytes]:
    """The bars as a file of this kind."""

    def draw(result: "Findings") -> bytes:
        from autolip.report.bars import bars
        from autolip.report.style import rendered

        return rendered(lambda: bars(result), kind)[kind]

    return draw


FORMATS: dict[str, Callable[["Result"], str | bytes]] = {
    ".txt": text_file,
    ".json": json_file,
    ".csv": csv_file,
    ".html": html_file,
    ".tex": latex_file,
    ".svg": drawn_as("svg"),
    ".pdf": drawn_as("pdf"),
    ".png": drawn_as("png"),
}
DRAWN = (".svg", ".pdf", ".png")
"""Those that matplotlib draws."""


def save(result: "Result", path: Path) -> None:
    """Write a result in the format that the name says, a certificate among them."""
    suffix = suffix_of(path, (*FORMATS, CERTIFICATE))
    check_drawable(suffix)
    if suffix == CERTIFICATE:
        result.certificate().save(path)
    else:
        write(path, FORMATS[suffix](result))


def check_drawable(suffix: str | None) -> None:
    """InputError where a figure is asked for and there is nothing to draw it with."""
    if suffix in DRAWN and find_spec("matplotlib") is None:
        raise InputError(
            f"{suffix} is a figure, and needs matplotlib: pip install 'autolip[report]'"
        )


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
