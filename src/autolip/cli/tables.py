"""Tables and sentences on the standard output: for the width of a terminal, else plain text."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from autolip.report.content import Sheet


def show_text(text: str) -> None:
    """Print sentences, wrapped between words on a terminal."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(text, markup=False)
    else:
        click.echo(text)


def show_table(sheet: "Sheet") -> None:
    """Print a table and an empty line."""
    from autolip.report.table import TerminalTable, aligned

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(TerminalTable(sheet))
    else:
        click.echo(aligned(sheet) + "\n")
