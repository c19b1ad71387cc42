"""Tables on the standard output: for the width of a terminal, else plain text."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from autolip.report.content import Sheet


def show_table(sheet: "Sheet") -> None:
    """Print a table and an empty line."""
    from autolip.report.table import TerminalTable, aligned

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(TerminalTable(sheet))
    else:
        click.echo(aligned(sheet) + "\n")
