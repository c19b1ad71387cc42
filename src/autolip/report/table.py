"""The same content three ways: plain text, a terminal table, HTML."""

import html
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from autolip.errors import printable
from autolip.report.content import Sheet, headline, remarks, sheets

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from autolip.findings import Findings


def render_text(result: "Findings") -> str:
    """Plain text, no colours: model, bracket, tables, remarks."""
    blocks = [
        f"{printable(result.model)}\n{headline(result)}",
        *map(aligned, sheets(result)),
        "\n".join(remarks(result)),
    ]
    return "\n\n".join(block for block in blocks if block)


def aligned(sheet: Sheet) -> str:
    """A sheet as lines of text: words flush left, numbers flush right."""
    lines = [sheet.headings, *sheet.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    flush = ["<" if sheet.is_text(column) else ">" for column in range(len(widths))]

    def line(cells: tuple[str, ...]) -> str:
        padded = (
            f"{cell:{side}{width}}" for cell, side, width in zip(cells, flush, widths, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(chain([sheet.caption] if sheet.caption else [], map(line, lines)))


def render_rich(result: "Findings") -> "RenderableType":
    """The same for a terminal."""
    from rich.console import Group
    from rich.text import Text

    heading = Text(printable(result.model)).append("\n").append(headline(result), style="bold")
    tables = map(TerminalTable, sheets(result))
    return Group(heading, *tables, *(Text(remark, style="dim") for remark in remarks(result)))


@dataclass(frozen=True)
class TerminalTable:
    """A sheet for a terminal of any width."""

    sheet: Sheet

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield rich_table(self.sheet, options.max_width)


def rich_table(sheet: Sheet, width: int) -> "Table":
    """A sheet within this many columns of text: lines are broken between words, within them where
    not even the words fit."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=sheet.caption or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    longest = [_longest_word(sheet, column) for column in range(len(sheet.headings))]
    fits = sum(longest) + 2 * len(longest) + 1 <= width
    for column, heading in enumerate(sheet.headings):
        side: Literal["left", "right"] = "left" if sheet.is_text(column) else "right"
        whole = fits and not any(" " in row[column] for row in sheet.rows)
        table.add_column(
            heading, justify=side, overflow="fold", no_wrap=whole, min_width=longest[column] * fits
        )
    for number, row in enumerate(sheet.rows):
        table.add_row(*map(Text, row), style="bold" if number in sheet.bold else None)
    return table


def _longest_word(sheet: Sheet, column: int) -> int:
    words = [word for row in (sheet.headings, *sheet.rows) for word in row[column].split()]
    return max(map(len, words), default=0)


def render_html(result: "Findings") -> str:
    """The same for a notebook: a paragraph, tables, a list of remarks."""
    said = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks(result))
    return (
        f"<div><p>{html.escape(printable(result.model))}: "
        f"<strong>{html.escape(headline(result))}</strong></p>"
        + "".join(map(_html_table, sheets(result)))
        + (f"<ul>{said}</ul>" if said else "")
        + "</div>"
    )


def _html_table(sheet: Sheet) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        sides = ("left" if sheet.is_text(column) else "right" for column in range(len(cells)))
        styled = (
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    caption = f"<caption>{html.escape(sheet.caption)}</caption>" if sheet.caption else ""
    body = "".join(line(row, "td") for row in sheet.rows)
    return (
        f"<table>{caption}<thead>{line(sheet.headings, 'th')}</thead><tbody>{body}</tbody></table>"
    )
