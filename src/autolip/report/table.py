"""The same content three ways: plain text, a terminal table, HTML."""

import html
from itertools import chain
from typing import TYPE_CHECKING

from autolip.errors import printable
from autolip.report.content import Sheet, headline, remarks, sheets

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from autolip.result import Result


def render_text(result: "Result") -> str:
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
    flush = ["<" if _is_text(sheet, column) else ">" for column in range(len(widths))]

    def line(cells: tuple[str, ...]) -> str:
        padded = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, flush, widths, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join(chain([sheet.caption] if sheet.caption else [], map(line, lines)))


def render_rich(result: "Result") -> "RenderableType":
    """The same for a terminal."""
    from rich.console import Group
    from rich.text import Text

    heading = Text(printable(result.model)).append("\n").append(headline(result), style="bold")
    tables = (rich_table(sheet) for sheet in sheets(result))
    return Group(heading, *tables, *(Text(remark, style="dim") for remark in remarks(result)))


def rich_table(sheet: Sheet) -> "Table":
    """A sheet for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=sheet.caption or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    for column, heading in enumerate(sheet.headings):
        table.add_column(heading, justify="left" if _is_text(sheet, column) else "right", overflow="fold")
    for number, row in enumerate(sheet.rows):
        table.add_row(*map(Text, row), style="bold" if number in sheet.bold else None)
    return table


def render_html(result: "Result") -> str:
    """The same for a notebook: a paragraph, tables, a list of remarks."""
    said = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks(result))
    return (
        f"<div><p>{html.escape(printable(result.model))}: <strong>{html.escape(headline(result))}</strong></p>"
        + "".join(map(_html_table, sheets(result)))
        + (f"<ul>{said}</ul>" if said else "")
        + "</div>"
    )


def _html_table(sheet: Sheet) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        styled = (
            f'<{tag} style="text-align:{"left" if _is_text(sheet, column) else "right"}">{html.escape(cell)}</{tag}>'
            for column, cell in enumerate(cells)
        )
        return f"<tr>{''.join(styled)}</tr>"

    caption = f"<caption>{html.escape(sheet.caption)}</caption>" if sheet.caption else ""
    body = "".join(line(row, "td") for row in sheet.rows)
    return f"<table>{caption}<thead>{line(sheet.headings, 'th')}</thead><tbody>{body}</tbody></table>"


def _is_text(sheet: Sheet, column: int) -> bool:
    return column < sheet.left or sheet.headings[column] == "certainty"
